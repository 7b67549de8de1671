"""The overrides file: what it says, what it refuses, and what it makes of profiles."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oauthsync.errors import UsageError
from oauthsync.overrides import Override, apply, check, from_entries, parse
from oauthsync.profiles import Profile
from oauthsync.strictjson import Fraction, Json
from tests.plans import OVERRIDES, TEXTS, profile

EXAMPLE = b"""
[[override]]
match = { provider = "hubspot", name = "Acme *" }
client_id = "the-production-app"
name = "{name} (prod)"

[[override]]
match.client_id = "old"
client_id = "new"
"""


def applied(overrides: list[Override], found: Profile) -> tuple[str, str | None]:
    """The name and client id that overrides make of a profile."""
    [wanted] = apply(overrides, [found])
    return wanted.name, wanted.client_id


def refusal(text: str | bytes) -> UsageError:
    with pytest.raises(UsageError) as caught:
        parse(text.encode() if isinstance(text, str) else text, where="prod.toml")
    return caught.value


def refused(reading: Callable[[], object]) -> UsageError | None:
    try:
        reading()
    except UsageError as error:
        return error
    return None


def test_a_file_is_read_entry_by_entry() -> None:
    assert parse(EXAMPLE, where="prod.toml") == (
        Override(
            provider_is="hubspot",
            name_like="Acme *",
            client_id="the-production-app",
            name="{name} (prod)",
        ),
        Override(client_id_is="old", client_id="new"),
    )


def test_an_empty_file_overrides_nothing() -> None:
    assert parse(b"# nothing differs\n", where="prod.toml") == ()


@pytest.mark.parametrize(
    ("text", "words", "hint"),
    [
        ("x = 1", "x in prod.toml is not a key", "override"),
        ("overide = []", "overide in prod.toml is not a key", "did you mean override?"),
        ("[override]\nname = 'x'", "override in prod.toml is not a list of entries", "[[override]"),
        ("override = [1]", "override.1 in prod.toml is a number", "a table"),
        ("[[override]]\nname = 'x'", "override.1.match in prod.toml is missing", "match = {"),
        ("[[override]]\nmatch = {}\nname = 'x'", "override.1.match in prod.toml is missing", ""),
        ("[[override]]\nmatch = 'hubspot'", "override.1.match in prod.toml is a string", "table"),
        ("[[override]]\nmatch.provider = 'x'", "override.1 in prod.toml sets nothing", "`name`"),
        (
            "[[override]]\nmatch.provider = 'x'\nname = 'x'\n"
            "[[override]]\nmatch.provider = 'x'\nnme = 'x'",
            "override.2.nme in prod.toml is not a key",
            "did you mean name?",
        ),
        (
            "[[override]]\nmatch.client-id = 'x'",
            "override.1.match.client-id in prod.toml is not a key",
            "did you mean client_id?",
        ),
        (
            "[[override]]\nmatch.provider = 'x'\nclient_secret = 'c4n4ry'",
            "override.1.client_secret in prod.toml is not a key",
            "oauthsync secrets set",
        ),
        (
            "[[override]]\nmatch.provider = 'x'\nname = 7",
            "override.1.name in prod.toml is a number",
            "a string",
        ),
        (
            "[[override]]\nmatch.name = ''\nname = 'x'",
            "override.1.match.name in prod.toml is empty",
            "",
        ),
        (
            '[[override]]\nmatch.name = "x"\nname = "\\u001b[2J"',
            "override.1.name in prod.toml holds a control character",
            "",
        ),
        ("[[override]", "prod.toml is not valid TOML", "correct it"),
        (b"name = '\xff'", "prod.toml is not valid TOML: not UTF-8", ""),
        ("x = " + "9" * 5000, "prod.toml is not valid TOML: a value beyond all bounds", ""),
        ("x = " + "[" * 5000, "prod.toml is not valid TOML: a value beyond all bounds", ""),
    ],
)
def test_a_wrong_file_is_an_error_that_names_file_entry_and_key_but_no_value(
    text: str | bytes, words: str, hint: str
) -> None:
    error = refusal(text)
    assert words in str(error)
    assert hint in str(error.hint)
    assert "c4n4ry" not in f"{error} {error.hint} {error.__cause__} {error.__context__}"


@pytest.mark.parametrize(
    ("name", "braces"),
    [
        ("{nme} (prod)", "{nme}"),
        ("{name!r}", "{name!r}"),
        ("{ name }", "{ name }"),
        ("{name.__class__}", "{name.__class__}"),
        ("{}", "{}"),
        ("{name} {", "{"),
        ("{name}}", "}"),
        ("{{name}", "}"),
        ("{name", "{name"),
    ],
)
def test_braces_that_are_neither_the_name_nor_doubled_are_an_error(name: str, braces: str) -> None:
    error = refusal(f"[[override]]\nmatch.provider = 'x'\nname = '{name}'")
    assert str(error) == f"override.1.name in prod.toml holds '{braces}', which is no placeholder"
    assert error.hint == "the only one is {name}; a brace itself is written twice: {{ or }}"


@given(st.binary() | st.text().map(str.encode))
@example(EXAMPLE)
@example(b"override = [[]]")
def test_whatever_the_bytes_there_are_entries_or_a_usage_error(text: bytes) -> None:
    error = refused(lambda: parse(text, where="prod.toml"))
    assert error is None or "prod.toml" in str(error)


_JSON: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS | st.just(Fraction("1.5")),
    lambda each: st.lists(each) | st.dictionaries(st.sampled_from(["match", "name"]), each),
    max_leaves=6,
)


@given(_JSON)
def test_whatever_the_json_there_are_entries_or_a_usage_error(value: Json) -> None:
    error = refused(lambda: from_entries(value, where="plan.json"))
    assert error is None or "plan.json" in str(error)


@given(st.lists(OVERRIDES))
def test_entries_survive_the_way_through_json(overrides: list[Override]) -> None:
    entries: list[Json] = [each.to_json() for each in overrides]
    assert from_entries(entries, where="plan.json") == tuple(overrides)


# --- applying -----------------------------------------------------------------------------------


def test_what_no_entry_fits_stays_as_it_was() -> None:
    found = profile(1, "Acme", "hubspot", "app")
    override = Override(provider_is="slack", name="x", client_id="x")
    assert applied([override], found) == ("Acme", "app")
    assert apply([override], [found])[0].is_as_it_was


@pytest.mark.parametrize(
    ("conditions", "fits"),
    [
        ({"provider_is": "hubspot"}, True),
        ({"provider_is": "hub"}, False),
        ({"name_like": "Acme*"}, True),
        ({"name_like": "acme*"}, False),
        ({"name_like": "Acme"}, False),
        ({"name_like": "?cme [[]HubSpot]"}, True),
        ({"client_id_is": "app"}, True),
        ({"client_id_is": "a*"}, False),
        ({"provider_is": "hubspot", "name_like": "Acme*", "client_id_is": "app"}, True),
        ({"provider_is": "hubspot", "name_like": "Other*"}, False),
    ],
)
def test_an_entry_fits_where_all_its_conditions_do(conditions: Any, fits: bool) -> None:
    assert Override(**conditions).fits(profile(1, "Acme [HubSpot]")) is fits


def test_entries_apply_in_their_order_to_what_the_snapshot_has() -> None:
    """Each entry is matched against the snapshot's name, and builds on what was made of it."""
    overrides = [
        Override(name_like="Acme", name="{name} (prod)"),
        Override(name_like="Acme", name="EU {name}", client_id="new"),
        Override(name_like="EU *", name="never"),
        Override(client_id_is="new", name="never"),
    ]
    assert applied(overrides, profile(1, "Acme")) == ("EU Acme (prod)", "new")


@pytest.mark.parametrize(
    "name",
    ["{name}", "{0.__class__} {name!r} {", "%s %(name)s", "$name ${name}", "\\1 \\g<0>", "\x1b[2J"],
)
def test_a_name_is_put_in_as_it_is_and_never_read_as_a_format(name: str) -> None:
    override = Override(provider_is="hubspot", name="<{name}> {{provider}} %s {{}} {{{name}}}")
    made = f"<{name}> {{provider}} %s {{}} {{{name}}}"
    assert applied([override], profile(1, name)) == (made, "app")


def test_a_profile_without_a_client_id_can_be_given_one() -> None:
    found = profile(1, client_id=None)
    assert applied([Override(provider_is="hubspot", client_id="new")], found) == ("Acme", "new")


def test_an_entry_that_fits_nothing_is_an_error_that_names_it() -> None:
    overrides = parse(EXAMPLE, where="prod.toml")
    check(overrides[:1], [profile(1, "Acme 1")])
    with pytest.raises(UsageError, match=r"^override\.2 in prod\.toml matches no profile"):
        check(overrides, [profile(1, "Acme 1")])


# --- comparing ----------------------------------------------------------------------------------


def differing(source: Profile, target: Profile, *overrides: Override) -> list[str]:
    [wanted] = apply(overrides, [source])
    return wanted.differing(target)


@pytest.mark.parametrize(
    ("ours", "theirs", "fields"),
    [
        ({}, {}, []),
        ({"name": "A"}, {"name": "B"}, ["name"]),
        ({"client_id": "a"}, {"client_id": "b"}, ["data.client_id"]),
        ({"client_id": None}, {"client_id": "b"}, ["data.client_id"]),
        ({"client_id": None}, {"client_id": None}, []),
        ({"client_id": None}, {"client_id": None, "data": None}, []),
        ({"client_id": None}, {"client_id": None, "more": {"client_id": None}}, []),
        ({"more": {"k": 1}}, {"more": {"k": 1}}, []),
        ({"more": {"k": 1}}, {}, ["data.k"]),
        ({}, {"more": {"k": None}}, ["data.k"]),
        ({"more": {"k": 1}}, {"more": {"k": True}}, ["data.k"]),
        ({"more": {"k": 1}}, {"more": {"k": Fraction("1.0")}}, ["data.k"]),
        ({"more": {"k": Fraction("1e2")}}, {"more": {"k": Fraction("1E2")}}, ["data.k"]),
        ({"more": {"k": 0}}, {"more": {"k": False}}, ["data.k"]),
        ({"more": {"k": [1, 2]}}, {"more": {"k": [2, 1]}}, ["data.k"]),
        ({"more": {"k": {"a": 1, "b": 2}}}, {"more": {"k": {"b": 2, "a": 1}}}, []),
        ({"more": {"\x1b[2J": 1}}, {}, ["data.\\x1b[2J"]),
        (
            {"name": "A", "client_id": "a", "more": {"z": 1, "b": 1}},
            {"name": "B", "client_id": "b"},
            ["name", "data.client_id", "data.b", "data.z"],
        ),
        ({}, {"user_id": 9, "created_at": "2026", "updated_at": None, "unknown": [1]}, []),
        ({}, {"shared_accounts_count": 9, "oem_customers_count": None}, []),
    ],
)
def test_profiles_differ_in_name_and_data_by_the_canonical_text(
    ours: Any, theirs: Any, fields: list[str]
) -> None:
    assert differing(profile(1, **ours), profile(11, **theirs)) == fields


def test_secret_fields_of_data_are_no_difference() -> None:
    masked: Json = {"client_id": "app", "client_secret": "****", "token": None}
    assert differing(profile(1), profile(1, data=masked)) == []


def test_an_override_is_a_difference_from_the_very_same_profile() -> None:
    renamed = Override(provider_is="hubspot", name="new")
    assert differing(profile(1), profile(1), renamed) == ["name"]
    re_pointed = Override(provider_is="hubspot", client_id="new")
    assert differing(profile(1), profile(1), re_pointed) == ["data.client_id"]
    assert differing(profile(1), profile(11, client_id="new"), re_pointed) == []


@given(TEXTS, TEXTS, st.sampled_from(["created_at", "a", "d", "data2", "e"]), TEXTS)
def test_more_than_a_client_id_in_data_is_seen_wherever_it_stands(
    client_id: str, text: str, field: str, value: str
) -> None:
    """Documents that look nearly as documented are no shortcut around what they hold."""
    beside: dict[str, Any] = {field: value}
    plain = profile(1, client_id=client_id, **beside)
    more = profile(1, client_id=client_id, more={text: value}, **beside)
    nested = profile(1, client_id=client_id, more={"k": {"data": {"client_id": client_id}}})
    hidden = {"client_id", "client_secret", "token"}
    assert bool(differing(plain, more)) is (text not in hidden)
    assert differing(plain, nested) == ["data.k"]
