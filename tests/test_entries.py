"""The document that a sidecar seals: what it says, what it refuses, and what `get` releases."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauthsync.entries import Entry, Secrets, dump_document, entry_from_json, parse_document
from oauthsync.errors import SidecarError, UsageError
from oauthsync.secret import Secret
from tests.leaks import shown

NOW = "2026-11-23T10:00:00Z"
CANARY = "c4n4ry-of-a-secret"

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
SECRETS = st.builds(Secret, TEXTS)
ENTRIES = st.builds(Entry, TEXTS, TEXTS, SECRETS, st.none() | SECRETS, st.just(NOW))
EMPTY = Secrets((), ())


def entry(
    provider: str = "hubspot",
    client_id: str = "app",
    secret: str = CANARY,
    token: str | None = None,
) -> Entry:
    return Entry(provider, client_id, Secret(secret), Secret(token) if token else None, NOW)


def document(**changes: Any) -> dict[str, Any]:
    item = {"provider": "slack", "client_id": "app", "client_secret": CANARY, "updated_at": NOW}
    whole = {"format": "oauthsync-secrets", "version": 1, "recipients": [], "secrets": [item]}
    return {**whole, **changes}


def with_item(**changes: Any) -> dict[str, Any]:
    return document(secrets=[{**document()["secrets"][0], **changes}])


def without_item_field(name: str) -> dict[str, Any]:
    [item] = document()["secrets"]
    return document(secrets=[{key: value for key, value in item.items() if key != name}])


def assert_hides(error: SidecarError | UsageError, *canaries: str) -> None:
    """Neither the error nor anything that can be reached from it has any of the canaries."""
    told = shown(error)
    for canary in (CANARY, *canaries):
        assert canary not in told


def test_the_document_is_json_that_a_person_can_read() -> None:
    secrets = Secrets(("age1x",), (entry("slack", "B", "schlüssel", "tok"), entry("zoom", "Z")))
    assert dump_document(secrets).decode() == (
        '{\n  "format": "oauthsync-secrets",\n  "recipients": [\n    "age1x"\n  ],\n'
        '  "secrets": [\n    {\n      "client_id": "B",\n      "client_secret": "schlüssel",\n'
        '      "provider": "slack",\n      "token": "tok",\n'
        '      "updated_at": "2026-11-23T10:00:00Z"\n    },\n'
        '    {\n      "client_id": "Z",\n      "client_secret": "c4n4ry-of-a-secret",\n'
        '      "provider": "zoom",\n      "token": null,\n'
        '      "updated_at": "2026-11-23T10:00:00Z"\n    }\n  ],\n  "version": 1\n}\n'
    )


@given(st.lists(ENTRIES, max_size=5, unique_by=lambda each: each.app), st.lists(TEXTS, max_size=2))
def test_a_document_parses_to_what_it_was_written_from(
    entries: list[Entry], recipients: list[str]
) -> None:
    secrets = Secrets(tuple(recipients), EMPTY.changed(entries, ()).entries)
    assert parse_document(dump_document(secrets)) == secrets


def test_a_hand_written_document_may_be_unsorted_and_leave_the_token_out() -> None:
    items = [{**document()["secrets"][0], "client_id": name} for name in ("b", "a")]
    secrets = parse_document(json.dumps(document(secrets=items)).encode())
    assert [(each.client_id, each.token) for each in secrets.entries] == [("a", None), ("b", None)]


BAD = {
    "an unknown format": document(format="other"),
    "no format": {"version": 1},
    "an envelope that is a list": [document()],
    "an unknown field": document(comment=CANARY),
    "a missing field": {"format": "oauthsync-secrets", "version": 1, "secrets": []},
    "recipients that are a string": document(recipients="age1x"),
    "a recipient that is a number": document(recipients=[1]),
    "secrets that are an object": document(secrets={CANARY: CANARY}),
    "an entry that is a string": document(secrets=[CANARY]),
    "an entry with an unknown field": with_item(**{CANARY: "x"}),
    "an entry with a misspelt token": with_item(tokn=CANARY),
    "an entry without its provider": without_item_field("provider"),
    "an entry without its client_id": without_item_field("client_id"),
    "an entry without its client_secret": without_item_field("client_secret"),
    "an entry without its time": without_item_field("updated_at"),
    "an empty provider": with_item(provider=""),
    "an empty client_id": with_item(client_id=""),
    "an empty client_secret": with_item(client_secret=""),
    "an empty token": with_item(token=""),
    "a client_id that is a number": with_item(client_id=17),
    "a client_secret that is null": with_item(client_secret=None),
    "a client_secret that is a list": with_item(client_secret=[CANARY]),
    "a token that is false": with_item(token=False),
    "a time with an offset": with_item(updated_at="2026-11-23T10:00:00+01:00"),
    "a time in other digits": with_item(updated_at="٢٠26-11-23T10:00:00Z"),
    "two entries for one app": document(secrets=document()["secrets"] * 2),
}


@pytest.mark.parametrize("what", BAD)
def test_a_document_is_refused_for(what: str) -> None:
    with pytest.raises(SidecarError) as caught:
        parse_document(json.dumps(BAD[what]).encode())
    assert_hides(caught.value)


TEXT = json.dumps(document())
BAD_TEXT = {
    "a key twice": TEXT.replace('"provider":', '"client_id": "other", "provider":'),
    "the same key twice in the envelope": TEXT.replace(
        '"version": 1', '"version": 1, "version": 1'
    ),
    "a lone surrogate": TEXT.replace(CANARY, CANARY + "\\ud800"),
    "NaN": TEXT.replace('"version": 1', '"version": NaN'),
    "a fraction": TEXT.replace('"version": 1', '"version": 1.0'),
    "text after it": TEXT + CANARY,
    "a broken string": TEXT.replace(CANARY, CANARY + "\n"),
    "a broken escape": TEXT.replace(CANARY, CANARY + "\\x"),
    "being cut off": TEXT[: TEXT.index(CANARY) + len(CANARY)],
    "being empty": "",
    "nested lists": '{"a":' + "[" * 100_000 + CANARY,
    "nested objects": '{"\\u0061":' * 100_000,
    "nested lists that end": "[" * 980 + '"\\u0061"' + "]" * 980,
    "an endless number": TEXT.replace('"version": 1', '"version": ' + "1" * 5000),
}


@pytest.mark.parametrize("what", BAD_TEXT)
def test_text_is_refused_for(what: str) -> None:
    with pytest.raises(SidecarError) as caught:
        parse_document(BAD_TEXT[what].encode())
    assert_hides(caught.value)


def test_bytes_that_are_not_utf_8_are_refused() -> None:
    with pytest.raises(SidecarError, match="not UTF-8") as caught:
        parse_document(TEXT.replace(CANARY, CANARY + "é").encode("latin-1"))
    assert_hides(caught.value)


@pytest.mark.parametrize("version", [0, 2, "1", True, None, [1]])
def test_another_version_is_refused_with_the_way_to_read_it(version: object) -> None:
    with pytest.raises(SidecarError, match="not of version 1") as caught:
        parse_document(json.dumps(document(version=version)).encode())
    assert caught.value.hint is not None
    assert "newer oauthsync" in caught.value.hint


def test_an_error_names_the_entry_and_its_field() -> None:
    items = [*document()["secrets"], {"provider": "x", "client_id": "y", "client_secret": 5}]
    with pytest.raises(SidecarError, match=r"^secrets\[1\]: client_secret is not a string$"):
        parse_document(json.dumps(document(secrets=items)).encode())


@pytest.mark.parametrize(
    ("values", "field"),
    [
        (("", "a", "s", None, NOW), "provider is empty"),
        (("p", "", "s", None, NOW), "client_id is empty"),
        (("p", "a", "", None, NOW), "client_secret is empty"),
        (("p", "a", "s", "", NOW), "token is empty"),
        (("p", "a", CANARY + "\udc80", None, NOW), "client_secret is not Unicode text"),
        (("p", "a", "s", CANARY + "\ud800", NOW), "token is not Unicode text"),
        (("p", "a", "s", None, NOW + "\n"), "updated_at is not a time"),
    ],
)
def test_an_entry_that_could_not_be_sealed_cannot_be_made(
    values: tuple[str, str, str, str | None, str], field: str
) -> None:
    provider, client_id, secret, token, updated_at = values
    with pytest.raises(UsageError, match=field) as caught:
        Entry(
            provider,
            client_id,
            Secret(secret),
            None if token is None else Secret(token),
            updated_at,
        )
    assert_hides(caught.value)


def test_no_representation_shows_a_secret() -> None:
    secrets = EMPTY.changed([entry(token=CANARY)], ())
    for text in (repr(secrets), str(secrets), repr(secrets.entries[0]), f"{secrets.names()}"):
        assert CANARY not in text


def test_an_entry_is_made_of_just_its_own_fields() -> None:
    with pytest.raises(UsageError, match="a field other than provider, client_id"):
        entry_from_json({**document()["secrets"][0], "name": "x"})


LOOK_ALIKES = [
    ("slack", "caf\u00e9"),
    ("slack", "cafe\u0301"),
    ("slack", "Caf\u00e9"),
    ("slack", "caf\u00e9 "),
    ("slack", " caf\u00e9"),
    ("slack", "caf\u00e9\n"),
    ("slack", "caf\u00e9\0"),
    ("slack", "c\u0430f\u00e9"),  # a Cyrillic a
    ("Slack", "caf\u00e9"),
    ("slackc", "af\u00e9"),
    ("slac", "kcaf\u00e9"),
    ("caf\u00e9", "slack"),
]


@pytest.mark.parametrize("app", LOOK_ALIKES)
def test_a_secret_is_released_for_nothing_that_only_looks_like_its_app(
    app: tuple[str, str],
) -> None:
    secrets = EMPTY.changed([entry(*app)], ())
    assert [other for other in LOOK_ALIKES if secrets.get(*other)] == [app]


@given(st.lists(ENTRIES, max_size=5), TEXTS, TEXTS)
def test_a_secret_is_released_for_exactly_its_provider_and_client_id(
    entries: list[Entry], provider: str, client_id: str
) -> None:
    secrets = EMPTY.changed(entries, ())
    apps = [each.app for each in entries]
    for app in [
        *apps,
        (provider, client_id),
        *((first, second) for first, _ in apps for _, second in apps),
    ]:
        found = secrets.get(*app)
        assert (found.app if found else None) == (app if app in apps else None)
    assert secrets.names() == frozenset(apps)


def test_an_entry_that_is_filed_already_keeps_its_time() -> None:
    old = entry(token="tok")
    same = Entry(*old.app, old.client_secret, old.token, "2027-01-01T00:00:00Z")
    assert EMPTY.changed([old], ()).changed([same], ()).entries == (old,)


def test_taking_out_comes_before_filing() -> None:
    old, new = entry(secret="old"), entry(secret="new")
    assert EMPTY.changed([old], ()).changed([new], {old.app}).entries == (new,)
