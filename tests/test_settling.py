"""What a listing tells of steps whose outcome is not known: every case, and what holds for all."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauthsync import settling
from oauthsync.profiles import Profile
from oauthsync.runs import Action, Step, StepState
from oauthsync.strictjson import Json
from oauthsync.target import by_id
from tests.plans import profile


def step(
    action: Action,
    target_id: int | None = None,
    *,
    number: int = 1,
    name: str = "Acme",
    client_id: str = "app",
    state: StepState = "planned",
    data: dict[str, Json] | None = None,
    result: str | None = None,
    error: str | None = None,
) -> Step:
    return Step(
        id=number,
        run=1,
        action=action,
        state=state,
        source_id=number,
        target_id=target_id,
        provider="hubspot",
        name=name,
        client_id=client_id,
        data={"client_id": client_id, **(data or {})},
        reason="",
        result=result,
        error=error,
    )


# A call that may have been carried out


def test_the_one_new_profile_that_matches_is_adopted() -> None:
    ending = settling.called(step("create"), by_id([profile(7), profile(8, "other")]), set(), {})
    assert ending is not None
    assert (ending.state, ending.target_id) == ("adopted", 7)
    assert ending.result == settling.fingerprint(profile(7))


def test_what_is_found_long_after_the_call_may_be_somebody_elses() -> None:
    ending = settling.called(step("create"), by_id([profile(7)]), set(), {}, late=True)
    assert ending is not None
    assert (ending.state, ending.target_id) == ("adopted", 7)
    assert "somebody else" in (ending.error or "")


@pytest.mark.parametrize(
    "there",
    [
        [],
        [profile(7, "other name")],
        [profile(7, client_id="other app")],
        [profile(7, provider="jira")],
        [profile(1)],  # it was there before
    ],
)
def test_where_no_new_profile_matches_the_call_is_repeated(there: list[Profile]) -> None:
    assert settling.called(step("create"), by_id(there), {1}, {}) is None


@pytest.mark.parametrize(
    "there",
    [
        profile(7, "acme "),
        profile(7, "\N{FULLWIDTH LATIN CAPITAL LETTER A}cme"),
        profile(7, client_id="APP"),
        profile(7, provider="HubSpot"),
    ],
)
def test_a_new_profile_that_the_api_may_have_changed_is_not_made_once_more(there: Profile) -> None:
    """An API that stores names without the space around them would get one with each try."""
    steps, listed = [step("create")], by_id([profile(1, "another"), there])
    ending = settling.called(steps[0], listed, {1}, {})
    assert ending is not None
    assert (ending.state, ending.target_id) == ("failed", None)
    assert "a new profile may be this one, changed by the API: 7" in (ending.error or "")
    assert settling.uncalled(steps, listed, {1}, {}) == {1: ending}
    assert settling.uncalled(steps, listed, {1, 7}, {}) == {}, "it was there before"


def test_several_new_profiles_are_for_a_person_to_decide() -> None:
    ending = settling.called(step("create"), by_id([profile(7), profile(8)]), {1}, {})
    assert ending is not None
    assert ending.state == "failed"
    assert ending.target_id is None
    assert "7, 8" in (ending.error or "")


def test_a_profile_that_is_gone_was_deleted() -> None:
    ending = settling.called(step("delete", 7), by_id([profile(8)]), {7, 8}, {})
    assert ending is not None
    assert (ending.state, ending.target_id) == ("done", 7)


def test_a_deletion_of_a_profile_that_is_still_there_is_repeated() -> None:
    assert settling.called(step("delete", 7), by_id([profile(7)]), {7}, by_id([profile(7)])) is None


def test_an_update_that_has_visibly_been_carried_out_is_adopted() -> None:
    there = profile(7, "new", more={"added_by_the_api": True})
    ending = settling.called(step("update", 7, name="new"), {7: there}, {7}, by_id([profile(7)]))
    assert ending is not None
    assert (ending.state, ending.target_id) == ("adopted", 7)
    assert ending.result == settling.fingerprint(there)


@pytest.mark.parametrize(
    ("there", "before"),
    [
        ([profile(7)], [profile(7)]),  # not carried out
        ([profile(7, "other")], [profile(7)]),  # somebody else's change
        ([profile(7, "new")], [profile(7, "new")]),  # only its secret is new, and does not show
        ([], [profile(7)]),  # the API will refuse it
    ],
)
def test_an_update_that_does_not_show_is_repeated(
    there: list[Profile], before: list[Profile]
) -> None:
    sent = step("update", 7, name="new")
    assert settling.called(sent, by_id(there), {7}, by_id(before)) is None


# A step that was never begun, and a target that others have changed meanwhile


def uncalled(
    steps: Sequence[Step], there: Sequence[Profile], before: Sequence[Profile] = ()
) -> dict[int, Any]:
    known = by_id(before).keys() | {each.target_id for each in steps if each.target_id}
    planned = [each for each in steps if each.state == "planned"]
    found = settling.uncalled(planned, by_id(there), known, by_id(before))
    return {number: ending.target_id or ending.error for number, ending in found.items()}


def test_in_a_target_that_is_as_it_was_all_is_still_to_be_done() -> None:
    before = [profile(1, shared_accounts_count=4), profile(2, "two")]
    steps = [step("create"), step("update", 1, number=2), step("delete", 2, number=3)]
    assert uncalled(steps, before, before) == {}


def test_what_others_created_in_its_place_is_adopted() -> None:
    assert uncalled([step("create")], [profile(7)]) == {1: 7}


def test_of_two_interchangeable_steps_one_profile_of_others_ends_one() -> None:
    steps = [step("create"), step("create", number=2)]
    assert uncalled(steps, [profile(7)]) == {1: 7}
    assert uncalled(steps, [profile(7), profile(8)]) == {1: 7, 2: 8}


def test_more_new_profiles_than_steps_are_for_a_person_to_decide() -> None:
    ended = uncalled([step("create")], [profile(7), profile(8)])
    assert "7, 8" in ended[1]


def test_a_profile_that_a_step_of_the_run_stands_for_is_not_new() -> None:
    done = step("create", 7, state="done")
    assert uncalled([done, step("create", number=2)], [profile(7)]) == {}


@pytest.mark.parametrize(
    ("action", "there", "said"),
    [
        ("update", [], "deleted since"),
        ("update", [profile(1, "renamed")], "changed since"),
        ("delete", [profile(1, "renamed")], "changed since"),
        ("delete", [profile(1, shared_accounts_count=1)], "came into use"),
    ],
)
def test_what_others_changed_is_not_touched(
    action: Action, there: list[Profile], said: str
) -> None:
    ended = uncalled([step(action, 1, name="new")], there, [profile(1)])
    assert said in ended[1]


def test_a_profile_that_others_deleted_need_not_be_deleted() -> None:
    assert uncalled([step("delete", 1)], [], [profile(1)]) == {1: 1}


def test_an_update_that_was_done_already_is_no_change_of_others() -> None:
    before, after = profile(1), profile(1, "new", more={"added_by_the_api": True})
    assert uncalled([step("update", 1, name="new")], [after], [before]) == {}


def test_use_that_was_known_when_the_run_began_is_no_news() -> None:
    assert (
        uncalled(
            [step("delete", 1)],
            [profile(1, shared_accounts_count=9)],
            [profile(1, shared_accounts_count=3)],
        )
        == {}
    )


# Verifying


def found(
    steps: Sequence[Step],
    there: Sequence[Profile],
    before: Sequence[int] = (),
    deleted: Sequence[int] = (),
) -> list[str]:
    return list(settling.findings(steps, by_id(there), set(before), deleted))


def test_what_another_run_has_deleted_is_not_missed() -> None:
    steps = [step("create", 7, state="done"), step("delete", 8, number=2, state="done")]
    assert found(steps, [], deleted=[7, 8]) == []
    assert len(found(steps, [])) == 1
    assert len(found(steps, [profile(8)], deleted=[7, 8])) == 1, "it is still there"


def test_a_target_that_is_as_the_steps_say_gives_no_findings() -> None:
    steps = [
        step("create", 7, state="done", data={"n": 1}),
        step("create", 8, number=2, state="adopted", data={"n": 1}),
        step("update", 1, number=3, name="new", state="done"),
        step("delete", 2, number=4, state="done"),
        step("create", number=5, name="failed", state="failed"),
    ]
    data: dict[str, Json] = {"n": 1, "added_by_the_api": True}
    there = [profile(7, more=data), profile(8, more=data), profile(1, "new"), profile(3)]
    assert found(steps, there, before=[1, 2, 3]) == []


@pytest.mark.parametrize(
    ("done", "there", "said"),
    [
        (step("create", 7, state="done"), [], "not in the list"),
        (step("delete", 1, state="done"), [profile(1)], "still there"),
        (step("create", 7, state="done"), [profile(7, "other")], "not as it was sent: name"),
        (
            step("create", 7, state="done", data={"n": 1}),
            [profile(7, more={"n": True})],
            "not as it was sent: data.n",
        ),
        (step("create", 7, state="done"), [profile(7), profile(8)], "2 new profiles are named"),
    ],
)
def test_whatever_is_not_as_it_was_sent_is_a_finding(
    done: Step, there: list[Profile], said: str
) -> None:
    [finding] = found([done], there, before=[1])
    assert said in finding


# Whatever happened to the calls


NAMES = ("a", "b")


@given(
    applied=st.lists(st.tuples(st.sampled_from(NAMES), st.booleans()), max_size=8),
    older=st.lists(st.sampled_from(NAMES), max_size=3),
)
def test_settling_and_doing_the_rest_creates_each_exactly_once(
    applied: list[tuple[str, bool]], older: list[str]
) -> None:
    """Steps whose POST was applied or not, one open call for each key as the importer has it."""
    before = {100 + n: profile(100 + n, name) for n, name in enumerate(older)}
    live = dict(before)
    claimed: set[int] = set()
    for number, (name, was_applied) in enumerate(applied):
        if was_applied:
            live[number + 1] = profile(number + 1, name)
        ending = settling.called(step("create", name=name), live, before.keys() | claimed, before)
        if ending is None:
            live[50 + number] = profile(50 + number, name)  # the call is repeated
            claimed.add(50 + number)
        else:
            assert ending.state == "adopted"
            assert ending.target_id is not None
            claimed.add(ending.target_id)
    new = Counter(each.name for number, each in live.items() if number not in before)
    assert new == Counter(name for name, _ in applied)
    assert claimed == live.keys() - before.keys()
