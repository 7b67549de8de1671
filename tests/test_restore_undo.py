"""Undoing a run on a real target: what is deleted, put back, or left, also in a small quota."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oauthsync import documents
from oauthsync.api import ATTEMPTS
from oauthsync.errors import UsageError
from oauthsync.importer import MAX_LOOKS
from oauthsync.plan import Options
from oauthsync.profiles import difference
from oauthsync.pruning import prune
from oauthsync.render import Renderer
from oauthsync.restore import run_to_resume, run_to_undo
from oauthsync.retention import Policy
from oauthsync.runs import unfinished
from oauthsync.sandbox import Fault, Request
from tests.importing import TOKENS, Crash, Points, World, contents, scratch
from tests.test_importer import UPDATE, fill, states
from tests.test_restore import stopped_after_an_unanswered_post

names = st.sampled_from(["a", "b", "c"])
apps = st.sampled_from(["app 1", "app 2"])
profiles = st.lists(st.tuples(names, apps), max_size=4, unique_by=lambda each: each[0])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(source=profiles, target=profiles)
def test_undo_after_an_import_leaves_the_target_as_the_safety_snapshot_shows_it(
    source: list[tuple[str, str]], target: list[tuple[str, str]]
) -> None:
    with scratch() as folder, World(folder / "backup") as world:
        for name, app in source:
            world.source.create("hubspot", name, app, data={"n": 1.0})
        for name, app in target:
            world.target.create("hubspot", name, app)
        world.file_secrets()
        world.export()
        before = contents(world.target)
        ids = set(world.target.profiles)
        carried = world.carry_out(options=UPDATE)
        assert {step.action for step in carried.report.steps} <= {"create", "update"}
        world.undo()
        assert contents(world.target) == before
        assert set(world.target.profiles) == ids
        with world.backup() as backup:
            snapshots = backup.snapshots()
            safety = snapshots.get(carried.report.run.safety_snapshot or 0)
            live = backup.live(backup.workspace("prod"))
            assert not difference(snapshots.profiles(safety), live.profiles)
            assert backup.journal().run(carried.report.run.id).state == "undone"


def test_undo_leaves_what_is_in_use_unless_forced(world: World) -> None:
    fill(world, count=1)
    before = contents(world.target)
    carried = world.carry_out()
    used = carried.report.steps[0].target_id
    assert used is not None
    world.target.update(used, shared_accounts_count=1)
    with world.session() as session:
        made, undone = session.undo(
            run_to_undo(session.backup, None), force=False, confirm=lambda _: True
        )
    assert [left.target_id for left in made.left] == [used]
    assert undone is not None
    assert (undone.report.run.state, world.runs()[-1].state) == ("complete", "complete")
    assert set(world.target.profiles) - {used} == {min(world.target.profiles)}
    world.undo(1, force=True)
    assert contents(world.target) == before
    assert world.runs()[-1].state == "undone"


def test_undo_of_an_unfinished_run_settles_it_first(world: World) -> None:
    fill(world, count=1)
    before = contents(world.target)
    stopped_after_an_unanswered_post(world)
    world.undo()
    assert contents(world.target) == before
    assert world.runs()[-1].state == "undone"


def test_what_the_same_import_created_again_counts_for_that_run_alone(world: World) -> None:
    """The first one was cut off, the second one did the rest, and then the first was carried on."""
    wanted = fill(world)
    world.points = Points(crash_on="after POST")
    with pytest.raises(Crash):
        world.carry_out()
    world.restart()
    second = states(world.carry_out())["done"]
    world.resume(1)
    with world.backup() as backup:
        made = [
            documents.run(run, backup.journal().steps(run.id)) for run in backup.journal().runs()
        ]
    assert [run["by_others"] for run in made] == [0, second]
    assert sum(int(str(run["created"])) for run in made) == sum(wanted.values()) - 1
    world.undo(1)
    assert len(world.target.profiles) == 1 + second
    world.undo(2)
    assert len(world.target.profiles) == 1


def test_an_undo_is_itself_not_undone(world: World) -> None:
    """Putting back what an undo has put back would be an import that nobody has planned."""
    fill(world)
    world.carry_out(options=UPDATE)
    world.undo()
    before = contents(world.target)
    with pytest.raises(UsageError, match="run 2 is itself the undo of run 1"):
        world.undo(2)
    assert contents(world.target) == before


def test_a_run_that_only_seemed_undone_can_be_undone_once_more(world: World) -> None:
    """The token led to another workspace, an empty one that did not tell so."""
    wanted = {TOKENS["PROD_TOKEN"]: ["list", "create", "delete"]}
    wanted[TOKENS["DEV_TOKEN"]] = wanted[TOKENS["PROD_TOKEN"]]
    with scratch() as folder, World(folder / "backup", privileges=wanted) as other:
        fill(other)
        before = contents(other.target)
        other.carry_out()
        for profile_id in other.source.profiles:
            other.source.delete(profile_id)
        tokens = other.tokens
        other.tokens = {**tokens, "PROD_TOKEN": tokens["DEV_TOKEN"]}
        assert other.undo() is None
        other.tokens = tokens
        other.undo(1)
        assert contents(other.target) == before
        assert other.undo(1) is None


def _cut_off(world: World, at: str = "before DELETE", *, force: bool = False) -> None:
    """An undo of run 1 that is cut off."""
    world.width = 1
    world.points = Points(crash_on=at)
    with pytest.raises(Crash):
        world.undo(1, force=force)
    world.restart()


def test_an_undo_that_was_cut_off_is_not_carried_on_unasked(world: World) -> None:
    """An import since then has found all there, which is in no journal: it may be needed now."""
    wanted = fill(world)
    world.carry_out()
    _cut_off(world)
    assert not world.carry_out().report.steps
    for run in (None, 2):
        with pytest.raises(UsageError, match="run 2 is the undo of run 1") as caught:
            world.resume(run)
        assert "`oauthsync undo 1`" in (caught.value.hint or "")
    assert contents(world.target) == wanted


def test_the_same_undo_again_goes_on_where_one_was_cut_off(world: World) -> None:
    fill(world)
    before = contents(world.target)
    made = len(world.carry_out().report.steps)
    _cut_off(world, "after DELETE")
    with world.backup() as backup:
        assert run_to_undo(backup, None).id == 1
        with pytest.raises(UsageError, match="itself the undo") as caught:
            world.undo(2)
    assert "`oauthsync undo 1` goes on" in (caught.value.hint or "")
    world.undo()
    assert contents(world.target) == before
    assert {run.id: run.state for run in world.runs()} == {
        3: "complete",
        2: "complete",
        1: "undone",
    }
    others = [step.error for step in world.steps(2) if not step.is_own]
    assert others == ["another undo did it"] * (made - 1)
    assert len(world.steps(3)) == made - 1


def test_what_a_newer_undo_has_left_is_not_deleted_by_an_older_one(world: World) -> None:
    """The first one was to delete also what is in use, and a person thought better of it."""
    fill(world)
    used = world.carry_out().report.steps[0].target_id
    assert used is not None
    world.target.update(used, shared_accounts_count=3)
    _cut_off(world, force=True)
    world.undo(1)
    with world.backup() as backup, pytest.raises(UsageError, match="no unfinished run"):
        run_to_resume(backup, None)
    assert used in world.target.profiles
    assert [run.state for run in world.runs()] == ["complete", "incomplete", "complete"]
    world.export("prod")
    with world.backup() as backup:
        kept = prune(backup.database(), Policy(last=1), dry_run=True).kept
    assert [each.id for each in kept if each.kind == "safety"] == [4], "the newest alone"


def _to_do(world: World) -> list[tuple[int, str]]:
    return [(run.id, run.way_on) for run in unfinished(world.runs())]


def test_an_undo_of_which_nothing_can_be_done_any_more_is_at_its_end(world: World) -> None:
    """What is left came into use during it."""
    fill(world, count=1)
    last = world.carry_out().report.steps[0].target_id
    assert last is not None

    def others() -> None:
        world.clock.sleep(21.0)
        world.target.update(last, shared_accounts_count=1)

    world.width = 1
    world.points = Points(meanwhile={"after DELETE": others})
    world.undo()
    assert _to_do(world) == [(2, "undo 1")]
    assert world.undo() is None
    assert _to_do(world) == []


def test_who_says_no_to_going_on_with_an_undo_is_not_reminded_of_it(world: World) -> None:
    fill(world)
    world.carry_out()
    _cut_off(world)
    assert _to_do(world) == [(2, "undo 1")]
    with world.session() as session:
        session.undo(run_to_undo(session.backup, None), force=False, confirm=lambda _: False)
    assert _to_do(world) == []


def test_an_undo_that_was_cut_off_does_not_outlive_that_its_run_is_carried_on(
    world: World,
) -> None:
    fill(world)
    world.width = 1
    world.sandbox.faults = [Fault("refused", "POST", after=2)]
    world.carry_out()
    world.sandbox.faults = []
    _cut_off(world)
    world.points = Points(crash_on="after POST")
    with pytest.raises(Crash):
        world.resume(1)
    world.restart()
    assert _to_do(world) == [(1, "resume 1")]
    assert world.resume().report.run.state == "complete"
    assert _to_do(world) == []


def test_a_run_that_was_undone_but_for_what_is_in_use_is_not_carried_on_unasked(
    world: World,
) -> None:
    fill(world)
    world.width = 1
    world.sandbox.faults = [Fault("refused", "POST", after=2)]
    used = world.carry_out().report.steps[0].target_id
    assert used is not None
    world.sandbox.faults = []
    world.target.update(used, shared_accounts_count=1)
    world.undo()
    with world.backup() as backup, pytest.raises(UsageError, match="no unfinished run"):
        run_to_resume(backup, None)
    there = len(world.target.profiles)
    resumed = world.resume(1).report  # whoever names it means it
    assert resumed.run.state == "complete"
    assert ", 1 of them not there any more" in Renderer().run(resumed)
    assert len(world.target.profiles) > there


@pytest.mark.parametrize("answer", ["404", "none"])
def test_a_look_by_id_that_does_not_work_is_not_believed(world: World, answer: str) -> None:
    """The list says that the profiles are there; a deletion that never went out is not done."""
    fill(world, count=1)
    before = contents(world.target)
    world.carry_out()
    world.width = 1
    world.points = Points(meanwhile={"after DELETE": lambda: world.clock.sleep(21.0)})
    hidden: dict[int, Any] = {}

    def hide(request: Request) -> None:
        profiles = world.target._profiles
        if request.call == "get":
            hidden.update(profiles)
            profiles.clear()
        else:
            profiles.update(hidden)
            hidden.clear()

    if answer == "404":
        world.sandbox.hook = hide
    else:
        world.sandbox.faults = [Fault("reset", "get")]
    world.sandbox.requests.clear()
    world.undo()
    assert contents(world.target) == before
    assert Counter(world.calls)["GET get"] <= ATTEMPTS


def test_no_page_is_verified_that_cannot_be_there(world: World) -> None:
    for number in range(150):
        world.source.create("hubspot", f"profile {number}", "app")
    world.file_secrets()
    world.export()
    world.carry_out()
    world.sandbox.requests.clear()
    world.undo()
    after = world.calls[-world.calls[::-1].index("DELETE delete") :]
    assert after == ["GET list"]


@pytest.mark.parametrize("privileges", [("get",), ()])
def test_a_large_workspace_is_put_back_within_a_small_quota(privileges: tuple[str, ...]) -> None:
    """Without the privilege to get, each look would be a list of 40 pages."""
    granted = ["list", "create", "update", "delete", *privileges]
    given = dict.fromkeys(TOKENS.values(), granted)
    with scratch() as folder, World(folder / "backup", privileges=given) as world:
        for number in range(3):
            world.source.create("hubspot", f"app {number}", f"new-{number}")
            world.target.create("hubspot", f"app {number}", f"old-{number}")
        world.target.fill(4000)
        world.file_secrets()
        world.export()
        before = contents(world.target)
        world.carry_out(options=UPDATE)
        world.give_quota(60)
        world.sandbox.requests.clear()
        world.undo()
        assert world.runs()[-1].state == "undone"
        assert contents(world.target) == before
        assert Counter(world.calls)["GET list"] < 250


def test_undo_asks_and_a_no_changes_nothing(world: World) -> None:
    wanted = fill(world)
    world.carry_out()
    with world.session() as session:
        run = run_to_undo(session.backup, None)
        made, carried = session.undo(run, force=False, confirm=lambda _: False)
    assert (len(made.steps), carried) == (5, None)
    assert contents(world.target) == wanted


def test_a_profile_that_came_into_use_while_an_undo_was_cut_off_is_kept(world: World) -> None:
    fill(world, count=1)
    carried = world.carry_out()
    world.sandbox.faults = [Fault("refused", "DELETE")]
    world.undo()
    world.sandbox.faults = []
    used = carried.report.steps[0].target_id
    assert used is not None
    world.target.update(used, shared_accounts_count=1)
    world.undo()
    assert set(world.target.profiles) == {min(world.target.profiles), used}
    assert [run.state for run in world.runs()] == ["complete", "incomplete", "complete"]


def test_what_others_change_during_a_long_undo_is_not_put_back(world: World) -> None:
    for number in range(3):
        world.source.create("hubspot", f"app {number}", f"new-{number}")
        world.target.create("hubspot", f"app {number}", f"old-{number}")
    world.file_secrets()
    world.export()
    world.carry_out(options=UPDATE)
    first = min(world.target.profiles)  # which is put back last

    def others() -> None:
        world.clock.sleep(21.0)
        world.target.update(first, name="renamed")

    world.width = 1
    world.points = Points(meanwhile={"after PUT": others})
    world.undo()
    assert world.target.profiles[first].document["name"] == "renamed"
    errors = [step.error for step in world.steps(2) if not step.is_done]
    assert errors == ["it was changed since the run began"]


@pytest.mark.parametrize(
    ("change", "ending"),
    [
        ({"shared_accounts_count": 1}, ("failed", "it came into use since the run began")),
        ({"name": "renamed"}, ("failed", "it was changed since the run began")),
        (None, ("done", None)),  # it was deleted by others
    ],
)
def test_what_others_do_during_a_long_undo_is_seen_before_each_deletion(
    world: World, change: dict[str, Any] | None, ending: tuple[str, str | None]
) -> None:
    fill(world, count=1)
    carried = world.carry_out()
    first = carried.report.steps[0].target_id  # which is deleted last
    assert first is not None

    def others() -> None:
        world.clock.sleep(21.0)
        if change is None:
            world.target.delete(first)
        else:
            world.target.update(first, **change)

    world.width = 1
    world.points = Points(meanwhile={"after DELETE": others})
    world.sandbox.requests.clear()
    world.undo()
    assert [(step.state, step.error) for step in world.steps(2)] == [
        *[("done", None)] * (len(carried.report.steps) - 1),
        ending,
    ]
    assert (first in world.target.profiles) == (change is not None)
    assert world.calls[:4] == ["GET list", "DELETE delete", "GET get", "DELETE delete"]


def test_what_comes_into_use_while_a_deletion_waits_for_the_quota_is_kept(world: World) -> None:
    """Also where the server asks for a pause: the look comes behind all waiting."""
    fill(world, count=1)
    carried = world.carry_out()
    used = carried.report.steps[-1].target_id  # which is deleted first
    assert used is not None
    world.width = 1
    world.sandbox.faults = [Fault("429", "DELETE", times=1)]

    def others() -> None:
        world.clock.sleep(21.0)
        world.target.update(used, shared_accounts_count=1)

    world.points = Points(meanwhile={"after end_call not sent": others})
    world.undo()
    assert used in world.target.profiles
    assert [step.error for step in world.steps(2) if not step.is_done] == [
        "it came into use since the run began"
    ]


def test_undo_needs_no_privilege_to_get() -> None:
    granted = {TOKENS["PROD_TOKEN"]: ["list", "create", "delete"]}
    with scratch() as folder, World(folder / "backup", privileges=granted) as world:
        fill(world, count=1)
        before = contents(world.target)
        world.carry_out()
        world.width = 1
        world.points = Points(meanwhile={"after DELETE": lambda: world.clock.sleep(21.0)})
        world.undo()
        assert world.runs()[-1].state == "undone"
        assert contents(world.target) == before


@pytest.mark.parametrize("privileges", [None, ["list", "create", "delete"]])
def test_a_small_quota_makes_an_undo_long_but_not_endless(privileges: list[str] | None) -> None:
    """Side by side, each look would be stale when the turn of its deletion has come."""
    granted = {TOKENS["PROD_TOKEN"]: privileges} if privileges else {}
    with scratch() as folder, World(folder / "backup", privileges=granted) as world:
        for number in range(12):
            world.source.create("hubspot", f"profile {number}", "app")
        world.file_secrets()
        world.export()
        world.carry_out()
        world.give_quota(5)
        world.undo()
        assert world.runs()[-1].state == "undone"
        assert not world.target.profiles
        made = Counter(world.calls)
        assert made["DELETE delete"] == 12
        # Without the privilege to get, one list serves several deletions.
        assert made["GET get"] <= (12 + world.width if privileges is None else 1)
        assert made["GET list"] < 16


def test_an_undo_that_the_quota_leaves_no_time_for_is_given_up_and_can_be_carried_on(
    world: World,
) -> None:
    fill(world, count=2)
    world.carry_out()
    world.give_quota(1)
    world.sandbox.requests.clear()
    world.undo()
    failed = [step.error for step in world.steps(2) if step.state == "failed"]
    assert failed == [
        "the quota left no time to delete it within 20 s of a look at it: it takes a higher quota"
    ] * len(world.steps(2))
    assert Counter(world.calls)["GET get"] <= world.width + MAX_LOOKS
    world.give_quota(90_000)
    world.undo()
    assert world.runs()[-1].state == "undone"


@pytest.mark.parametrize("timeline", ["the same start of the machine", "the next start"])
def test_what_others_created_in_place_of_a_call_long_ago_is_left_by_undo(
    world: World, timeline: str
) -> None:
    """The call did nothing, and a week later a colleague has made up for it."""
    world.timeline = "the same start of the machine"
    world.source.create("hubspot", "Acme", "app")
    world.target.create("jira", "another", "app")
    world.file_secrets()
    world.export()
    world.points = Points(crash_on="before POST")
    with pytest.raises(Crash):
        world.carry_out()
    world.restart()
    world.timeline = timeline
    world.clock.sleep(7 * 86_400.0)
    theirs = world.target.create("hubspot", "Acme", "app").id
    assert states(world.resume()) == {"adopted": 1}
    with world.session() as session:
        run = run_to_undo(session.backup, 1)
        made, _ = session.undo(run, force=True, confirm=lambda _: True)
    assert [left.reason for left in made.left] == ["somebody else may have created it"]
    assert theirs in world.target.profiles


def test_undo_leaves_what_no_call_of_the_run_created(world: World) -> None:
    wanted = fill(world, count=1)
    with world.session() as session:
        chosen = session.backup.snapshots().find("latest", "dev")
        prepared = session.prepare(chosen, Options())
        world.clock.sleep(61.0)
        theirs = world.target.create("slack", "with a token", "app").id
        session.carry_out(prepared)
    assert contents(world.target) == wanted
    world.undo()
    assert theirs in world.target.profiles
    assert len(world.target.profiles) == 2


def test_after_an_undo_the_same_import_can_be_done_again(world: World) -> None:
    wanted = fill(world)
    world.carry_out()
    world.undo()
    carried = world.carry_out()
    assert states(carried) == {"done": 5}
    assert contents(world.target) == wanted
