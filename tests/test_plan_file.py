"""A plan in a file: what it says, what is refused, and what makes a plan another one."""

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oauthsync import plan, plan_file
from oauthsync.errors import UsageError
from oauthsync.overrides import Override
from oauthsync.plan import Options, Plan, Selection, Situation
from oauthsync.plan_file import Inputs, SavedPlan
from tests.plans import OPTIONS, TEXTS, profile, situation

SITUATION = situation([profile(1, "A"), profile(2, "B")], [profile(11, "A"), profile(12, "C")])
OPTION_VALUES = Options(
    selection=Selection(("A", "B*"), ("hubspot",), (1, 2)),
    on_existing="update",
    push_secrets=True,
    allow_missing=True,
    maps={1: 11},
    overrides=(Override(provider_is="hubspot", name_like="B", name="{name}!", client_id="app2"),),
)


def inputs(options: Options | None = None, **changes: Any) -> Inputs:
    found = Inputs(
        id="0f" * 16,
        source="dev",
        target="prod",
        target_url="https://app.eu.workato.com",
        snapshot=3,
        snapshot_digest="sha256:" + "ab" * 32,
        options=options or Options(),
    )
    return dataclasses.replace(found, **changes)


def dumped(given_: Situation = SITUATION, options: Options | None = None) -> bytes:
    made = plan.make(given_, options or Options())
    return plan_file.dump(made, inputs(options))


def document(**changes: Any) -> dict[str, Any]:
    """The document of a file, with some of it changed."""
    return {**json.loads(dumped(options=OPTION_VALUES)), **changes}


def parse(value: object) -> SavedPlan:
    return plan_file.parse(json.dumps(value).encode(), where="plan.json")


def refusal(text: bytes) -> UsageError:
    with pytest.raises(UsageError) as caught:
        plan_file.parse(text, where="plan.json")
    return caught.value


# --- what a file says ---------------------------------------------------------------------------


def test_a_file_says_what_a_plan_was_made_from_and_what_it_does() -> None:
    made = plan.make(SITUATION, OPTION_VALUES)
    text = plan_file.dump(made, inputs(OPTION_VALUES)).decode()
    public = made.to_json()
    assert json.loads(text) == {
        "format": "oauthsync-plan",
        "version": 1,
        "id": "0f" * 16,
        "source": "dev",
        "target": {"name": "prod", "url": "https://app.eu.workato.com"},
        "snapshot": {"id": 3, "digest": "sha256:" + "ab" * 32},
        "options": {
            "only": ["A", "B*"],
            "provider": ["hubspot"],
            "id": [1, 2],
            "on_existing": "update",
            "push_secrets": True,
            "allow_missing": True,
            "map": {"1": 11},
            "overrides": [
                {
                    "match": {"provider": "hubspot", "name": "B"},
                    "name": "{name}!",
                    "client_id": "app2",
                }
            ],
        },
        "fingerprint": made.fingerprint,
        "summary": public["summary"],
        "steps": public["steps"],
    }
    assert text.endswith("\n")
    assert '\n      "name": "B!",\n' in text  # a line for each field: for people, and for diffs


def test_a_file_gives_back_what_it_was_made_from() -> None:
    made = plan.make(SITUATION, OPTION_VALUES)
    saved = plan_file.parse(plan_file.dump(made, inputs(OPTION_VALUES)), where="plan.json")
    assert saved.inputs == inputs(OPTION_VALUES)
    assert saved.fingerprint == made.fingerprint
    assert list(saved.steps.values()) == [step.to_json() for step in made.steps]


@given(OPTIONS)
def test_options_survive_the_way_through_a_file(options: Options) -> None:
    text = plan_file.dump(plan.make(SITUATION, Options()), inputs(options))
    assert plan_file.parse(text, where="plan.json").inputs.options == options


@given(TEXTS, TEXTS, TEXTS)
def test_names_survive_the_way_through_a_file(name: str, provider: str, source: str) -> None:
    made = plan.make(situation([profile(1, name, provider)], []), Options())
    text = plan_file.dump(made, inputs(source=source))
    saved = plan_file.parse(text, where="plan.json")
    assert saved.steps == {1: made.steps[0].to_json()}
    assert saved.inputs.source == source


@given(TEXTS)
@example("\x1b[2J\x9b2J\u202egpj.exe\u2028\U000e0041\x7f")
def test_a_file_shows_every_character_as_it_is_or_escaped(name: str) -> None:
    text = dumped(situation([profile(1, name)], [])).decode()
    shown = text.replace("\n", "").translate(dict.fromkeys(map(ord, "\u200c\u200d\u3000\xa0"), " "))
    assert all(each.isprintable() or each.isspace() for each in shown)
    assert not set(text) & set("\x1b\x9b\u202e\u2028\U000e0041\x7f")


def test_names_in_any_script_can_be_read_in_a_file() -> None:
    assert (
        "株式会社 “Größe” 🚀" in dumped(situation([profile(1, "株式会社 “Größe” 🚀")], [])).decode()
    )


def test_a_file_holds_none_of_data_but_the_client_id() -> None:
    """What an undocumented field may hold is for the target alone."""
    found = profile(1, more={"signing_key": "c4n4ry"})
    assert b"c4n4ry" not in dumped(situation([found], [profile(11, client_id="x")]))


def test_an_option_that_is_not_unicode_text_is_an_error() -> None:
    """A shell hands on bytes that are not UTF-8; Python makes lone surrogates of them."""
    options = Options(selection=Selection(names=("[A\udcff]",)))
    with pytest.raises(UsageError, match="not Unicode"):
        dumped(options=options)


# --- what is refused ----------------------------------------------------------------------------


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in document().items() if name != key}


def with_options(**changes: Any) -> dict[str, Any]:
    return document(options={**document()["options"], **changes})


def with_step(**changes: Any) -> dict[str, Any]:
    first, *others = document()["steps"]
    return document(steps=[{**first, **changes}, *others])


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], "plan.json is not a saved plan"),
        ({}, "plan.json is not a saved plan"),
        (document(format="oauthsync-secrets"), "plan.json is not a saved plan"),
        (document(version=2), "plan.json is of a version that this oauthsync does not know"),
        (document(version=True), "plan.json: version is not a positive whole number"),
        (document(extra=1), "plan.json: unknown key 'extra'"),
        *((without(key), f"plan.json: {key} is missing") for key in plan_file._KEYS[2:]),
        (document(id=7), "plan.json: id is not a string"),
        (document(source=None), "plan.json: source is not a string"),
        (document(target="prod"), "plan.json: target is not an object"),
        (document(target={"name": "prod"}), "plan.json: target: url is missing"),
        (document(snapshot={"id": 0, "digest": ""}), "snapshot: id is not a positive whole"),
        (document(snapshot={"id": 2**63, "digest": ""}), "snapshot: id is not a positive whole"),
        (document(snapshot={"id": 1.0, "digest": ""}), "snapshot: id is not a positive whole"),
        (document(fingerprint=[]), "plan.json: fingerprint is not a string"),
        (document(options=[]), "plan.json: options is not an object"),
        (with_options(more=1), "plan.json: options: unknown key 'more'"),
        (with_options(only="A"), "plan.json: options: only is not a list"),
        (with_options(only=[1]), "plan.json: options: an item of only is not a string"),
        (with_options(id=[True]), "options: an item of id is not a positive whole number"),
        (with_options(on_existing="delete"), "on_existing is not update, skip or fail"),
        (with_options(push_secrets=1), "plan.json: options: push_secrets is not true or false"),
        (with_options(map=[]), "plan.json: options: map is not an object"),
        (with_options(map={"1": "2"}), "plan.json: options: map: 1 is not a positive whole number"),
        (with_options(map={"01": 2}), "map: the key '01' is not a positive whole number"),
        (with_options(map={"٣": 2}), "map: the key '٣' is not a positive whole number"),
        (with_options(map={"9" * 19: 2}), "is not a positive whole number"),
        (with_options(overrides={}), "plan.json: options: overrides is not a list"),
        (with_options(overrides=[{"match": {}}]), "override.1.match in plan.json is missing"),
        (with_options(overrides=[None]), "override.1 in plan.json"),
        (document(steps={}), "plan.json: steps is not a list"),
        (document(steps=[1]), "plan.json: step 1 is not an object"),
        (with_step(extra=1), "plan.json: step 1: unknown key 'extra'"),
        (with_step(name=None), "plan.json: step 1: name is not a string"),
        (with_step(target_id="11"), "plan.json: step 1: target_id is not a positive whole"),
        (with_step(client_id=1), "plan.json: step 1: client_id is not a string"),
        (with_step(source_id=2), "plan.json: step 2: an earlier step has its source_id"),
        (with_step(action="unchanged"), "plan.json: summary is not that of the steps"),
        (with_step(action="delete"), "plan.json: step 1: action is not one of create, update"),
        (document(summary={}), "plan.json: summary is not that of the steps"),
    ],
)
def test_what_is_no_saved_plan_is_an_error_that_names_file_and_place(
    value: object, words: str
) -> None:
    error = refusal(json.dumps(value).encode())
    assert words in str(error)
    assert error.exit_code == 2


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff",
        b"not JSON",
        dumped()[:-3],
        dumped() + b"{}",
        dumped().replace(b'"version": 1', b'"version": 1, "version": 1'),
        dumped().replace(b'"source": "dev"', b'"source": "\\ud800"'),
        b"[" * 100_000,
    ],
)
def test_what_is_not_json_is_an_error_that_names_the_file(text: bytes) -> None:
    assert str(refusal(text)).startswith("plan.json is not JSON: ")


_SAVED = dumped(options=OPTION_VALUES)


@given(st.integers(0, len(_SAVED) - 1), st.binary(max_size=2))
def test_a_damaged_file_is_a_plan_or_a_usage_error(place: int, bytes_there: bytes) -> None:
    text = _SAVED[:place] + bytes_there + _SAVED[place + 1 :]
    error = refused(lambda: plan_file.parse(text, where="plan.json"))
    assert error is None or "plan.json" in str(error)


_VALUES: st.SearchStrategy[object] = st.sampled_from(
    [None, True, 0, -1, 2**70, 1.5, "", "x", [], [[]], {}, {"x": 1}]
)


@given(st.data())
def test_a_file_with_any_value_replaced_is_a_plan_or_a_usage_error(data: st.DataObject) -> None:
    whole = document()
    place: Any = whole
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = data.draw(_VALUES)
    error = refused(lambda: parse(whole))
    assert error is None or "plan.json" in str(error)


def refused(reading: Callable[[], object]) -> UsageError | None:
    try:
        reading()
    except UsageError as error:
        return error
    return None


# --- what makes a plan another one --------------------------------------------------------------


def differences(now: Situation, value: object = None) -> tuple[str, ...]:
    """The differences of the saved plan, or of a changed one, to the plan for `now`."""
    saved = parse(value) if value else plan_file.parse(dumped(), where="plan.json")
    return plan_file.differences(saved, remade(saved, now))


def remade(saved: SavedPlan, now: Situation) -> Plan:
    return plan.make(now, saved.inputs.options)


def test_the_plan_made_again_for_the_same_target_is_the_same() -> None:
    used = [profile(11, "A", shared_accounts_count=7), profile(12, "C", updated_at="later")]
    assert differences(SITUATION) == ()
    assert differences(dataclasses.replace(SITUATION, target=used)) == ()


def test_what_became_of_a_step_is_told() -> None:
    now = [profile(12, "C"), profile(13, "B"), profile(14, "A", client_id="new")]
    assert differences(dataclasses.replace(SITUATION, target=now)) == (
        "hubspot A (1): unchanged 11 (same in target) → skip 14 (differs in data.client_id)",
        "hubspot B (2): create (not in target) → unchanged 13 (same in target)",
    )


def test_steps_that_are_gone_or_new_are_told() -> None:
    now = [profile(1, "A"), profile(3, "\x1b[2JB")]
    assert differences(dataclasses.replace(SITUATION, source=now)) == (
        "hubspot B (2): create (not in target) → no step",
        "hubspot \\x1b[2JB (3): no step → create (not in target)",
    )


def test_a_target_that_changed_beside_the_steps_is_another_one() -> None:
    now = dataclasses.replace(SITUATION, target=[*SITUATION.target, profile(15, "new")])
    assert differences(now) == (
        "no step differs, but the target's list does, or what of it is in use",
    )


@pytest.mark.parametrize(
    "change", [{"name": "harmless"}, {"client_id": "other"}, {"reason": "\x1b[2J"}]
)
def test_steps_that_were_altered_in_the_file_are_told(change: dict[str, str]) -> None:
    """A reviewer must have seen what is then done."""
    whole = json.loads(dumped())
    first, *others = whole["steps"]
    altered = {**whole, "steps": [{**first, **change}, *others]}
    [line] = differences(SITUATION, altered)
    assert line.startswith("hubspot A (1): unchanged 11")
    assert line.isprintable()


def test_an_altered_fingerprint_is_another_plan() -> None:
    assert differences(SITUATION, {**json.loads(dumped()), "fingerprint": "sha256:x"})
