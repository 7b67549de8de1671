"""What undoing a run would do: what is put back, what is left and why, and that it is all of it."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauthsync import profiles, undo
from oauthsync.profiles import Profile
from oauthsync.runs import Step
from oauthsync.settling import fingerprint
from oauthsync.target import by_id
from tests.plans import Everything, profile
from tests.test_settling import step


def undone(
    steps: Sequence[Step],
    there: Sequence[Profile],
    before: Sequence[Profile] = (),
    *,
    apps: Any = None,
    force: bool = False,
    creators: Mapping[int, int] | None = None,
) -> tuple[list[tuple[str, int | None]], list[str]]:
    """The steps as (action, id), and the reasons of what is left."""
    found = undo.make(
        steps,
        by_id(there),
        by_id(before),
        Everything() if apps is None else apps,
        force=force,
        safety_snapshot=12,
        creators=creators or {},
    )
    return [(s.action, s.target_id) for s in found.steps], [left.reason for left in found.left]


CREATED = step("create", 7, state="done")
UPDATED = step("update", 1, name="new", client_id="new app", state="done")


def test_what_was_created_is_deleted_the_last_one_first() -> None:
    steps = [CREATED, step("create", 8, number=2, state="adopted")]
    assert undone(steps, [profile(7), profile(8)]) == ([("delete", 8), ("delete", 7)], [])


def test_what_was_updated_gets_its_earlier_state_back() -> None:
    earlier = profile(1, "old", client_id="old app", more={"scopes": ["read"]})
    made = undo.make(
        [UPDATED],
        by_id([profile(1, "new", client_id="new app")]),
        by_id([earlier]),
        frozenset({("hubspot", "old app")}),
        force=False,
        safety_snapshot=12,
        creators={},
    )
    [found] = made.steps
    assert (found.action, found.target_id, found.name) == ("update", 1, "old")
    assert (found.client_id, found.data) == ("old app", earlier.data)
    assert made.left == ()


@pytest.mark.parametrize("state", ["planned", "failed"])
def test_a_step_that_was_not_done_is_not_undone(state: Any) -> None:
    assert undone([step("create", state=state)], [profile(7)]) == ([], [])


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize(
    "error",
    [
        "2 new profiles could be this one (7, 8): …",
        "a new profile may be this one, changed by the API: 7",
    ],
)
def test_of_profiles_that_could_be_the_runs_none_is_touched(error: str, count: int) -> None:
    """Also where somebody has deleted one of two meanwhile: the other one may be the run's."""
    steps = [step("create", state="failed", error=error), step("create", 9, number=2, state="done")]
    new = [profile(7), profile(8, "acme ")][:count]
    found, reasons = undone(steps, [profile(1), profile(9), *new], [profile(1)])
    assert found == [("delete", 9)]
    assert reasons == ["whether the run created it is not known"] * count


def test_a_step_that_was_refused_has_created_nothing() -> None:
    refused = step("create", state="failed", error="the POST request was refused with 422: …")
    assert undone([refused], [profile(7)]) == ([], [])


def test_what_is_gone_already_needs_no_undoing() -> None:
    assert undone([CREATED], []) == ([], [])


def test_what_was_put_back_already_needs_no_undoing() -> None:
    earlier = profile(1, "old", client_id="old app")
    assert undone([UPDATED], [earlier], [earlier]) == ([], [])


@pytest.mark.parametrize(
    ("done", "there", "before", "reason"),
    [
        (CREATED, [profile(7, "renamed")], [], "changed since"),
        (CREATED, [profile(7, more={"scopes": []})], [], "changed since"),
        (CREATED, [profile(7, shared_accounts_count=2)], [], "in use"),
        (CREATED, [profile(7, oem_customers_count=1)], [], "in use"),
        (CREATED, [profile(7, oem_customers_count=None)], [], "not known"),
        (UPDATED, [], [profile(1)], "it is gone"),
        (UPDATED, [profile(1, "new", client_id="new app")], [], "not in the safety snapshot"),
        (UPDATED, [profile(1, "renamed")], [profile(1)], "changed since"),
        (
            step("update", 1, state="done"),
            [profile(1)],
            [profile(1)],
            "earlier one is not known",
        ),
        (step("delete", 7, state="done"), [], [profile(7)], "`oauthsync import 12 --id 7`"),
    ],
)
def test_what_cannot_be_undone_is_left_with_the_reason(
    done: Step, there: list[Profile], before: list[Profile], reason: str
) -> None:
    steps, [left] = undone([done], there, before)
    assert steps == []
    assert reason in left


def test_what_was_deleted_and_created_again_by_others_is_not_to_be_created_once_more() -> None:
    deleted = step("delete", 3, state="done")
    there = profile(9, provider=deleted.provider, name=deleted.name, client_id=deleted.client_id)
    reason = "it was deleted; one with its name and client id is there: id 9"
    assert undone([deleted], [there]) == ([], [reason])
    assert undone([deleted], [there], [there]) != ([], [reason]), "its twin was always there"


def test_what_was_deleted_is_not_promised_back_from_a_snapshot_that_was_pruned() -> None:
    deleted = step("delete", 7, state="done")
    made = undo.make([deleted], {}, {}, Everything(), force=True, safety_snapshot=None, creators={})
    [left] = made.left
    assert "was pruned" in left.reason
    assert not left.takes_force


def test_without_the_secret_of_its_earlier_client_id_an_update_stays() -> None:
    there = profile(1, "new", client_id="new app")
    before = profile(1, "old", client_id="old app")
    steps, [left] = undone([UPDATED], [there], [before], apps={("hubspot", "new app")})
    assert steps == []
    assert "'old app'" in left


def test_what_another_run_created_is_left_to_the_undoing_of_that() -> None:
    adopted = step("create", 7, state="adopted", error="no call of the run created it")
    assert undone([adopted], [profile(7)], force=True) == ([], [adopted.error])
    assert undone([adopted], [profile(7)], creators={7: 3}, force=True) == (
        [],
        ["run 3 created it: `oauthsync undo 3` undoes that"],
    )


def test_force_deletes_what_is_in_use_and_still_not_what_was_changed() -> None:
    used = profile(7, shared_accounts_count=2)
    assert undone([CREATED], [used], force=True) == ([("delete", 7)], [])
    assert undone([CREATED], [profile(7, "renamed")], force=True)[0] == []


def test_what_the_api_added_to_a_profile_is_no_change_of_it() -> None:
    there = profile(7, more={"added_by_the_api": True})
    done = step("create", 7, state="done", result=fingerprint(there))
    assert undone([done], [there]) == ([("delete", 7)], [])
    assert undone([done], [profile(7, more={"added_by_the_api": False})])[0] == []


@st.composite
def runs(draw: st.DrawFn) -> tuple[list[Step], dict[int, Profile], dict[int, Profile]]:
    """A run's steps, the target before it, and after it."""
    before = {n: profile(n, draw(st.sampled_from("abc"))) for n in range(1, 5)}
    after = dict(before)
    steps = []
    for number in range(draw(st.integers(0, 6))):
        name = draw(st.sampled_from("abc"))
        if number + 1 in before and draw(st.booleans()):
            target = number + 1
            steps.append(step("update", target, number=number, name=name, state="done"))
        else:
            target = 100 + number
            steps.append(step("create", target, number=number, name=name, state="done"))
        after[target] = profile(target, name)
    return steps, before, after


@given(runs())
def test_undoing_a_run_brings_back_what_was_there_before(
    run: tuple[list[Step], dict[int, Profile], dict[int, Profile]],
) -> None:
    steps, before, target = run
    made = undo.make(
        steps, target, before, Everything(), force=False, safety_snapshot=12, creators={}
    )
    for new in made.steps:
        assert new.target_id is not None
        if new.action == "delete":
            del target[new.target_id]
        else:
            target[new.target_id] = profile(new.target_id, new.name)
    assert not profiles.difference(before.values(), target.values())
    # What is left has nothing but its secret changed.
    assert all(before[left.target_id or 0] == target[left.target_id or 0] for left in made.left)
    # And then there is nothing more to do.
    again = undo.make(
        steps, target, before, Everything(), force=False, safety_snapshot=12, creators={}
    )
    assert again.steps == ()
