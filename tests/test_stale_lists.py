"""A list that lacks what is there, once: what only one reading lacks is not taken for gone."""

import pytest

from oauthsync import single
from oauthsync.sandbox import Fault
from tests.importing import Crash, Points, World, contents
from tests.invariants import check_invariants
from tests.test_importer import fill

STALE = Fault("stale", "list", times=1)


def _cut_off(world: World, at: str = "after POST") -> None:
    world.width = 1
    world.points = Points(crash_on=at)
    with pytest.raises(Crash):
        world.carry_out()
    world.restart()


def _nothing_is_created_twice(world: World) -> None:
    wanted = contents(world.source) + contents(world.target)
    world.sandbox.faults = [STALE]
    assert world.carry_out().report.steps == ()
    assert world.sandbox.faults == []
    assert contents(world.target) <= wanted


def test_what_was_created_after_an_export_in_the_middle_of_an_import(world: World) -> None:
    wanted = fill(world)
    _cut_off(world)
    world.export("prod")
    world.resume()
    _nothing_is_created_twice(world)
    check_invariants(world, wanted)


def test_an_export_stores_what_was_created_after_the_one_before(world: World) -> None:
    fill(world)
    _cut_off(world)
    world.export("prod")
    world.resume()
    world.sandbox.faults = [STALE]
    world.export("prod")
    with world.backup() as backup:
        newest = backup.snapshots().newest("prod")
    assert newest is not None
    assert newest.profiles == len(world.target.profiles)


def test_what_an_older_run_has_created_since_the_newest_snapshot(world: World) -> None:
    fill(world)
    world.sandbox.faults = [Fault("refused", "POST")]
    world.carry_out()
    world.sandbox.faults = []
    there = min(world.target.profiles)
    world.write_one(lambda listing: single.update(listing, there, name="renamed"))
    wanted = contents(world.source) + contents(world.target)
    world.resume(1)
    _nothing_is_created_twice(world)
    assert contents(world.target) == wanted


@pytest.mark.parametrize("is_exported", [True, False])
def test_what_was_created_under_another_name_of_the_workspace(
    world: World, is_exported: bool
) -> None:
    """Where the other name is new, the list tells which workspace it is, and is read once more."""
    wanted = fill(world)
    toml = world.folder / "oauthsync.toml"
    [prod] = toml.read_text("utf-8").split("[workspaces.prod]")[1:]
    with toml.open("a", encoding="utf-8") as file:
        file.write(f"[workspaces.alias]{prod}")
    if is_exported:
        world.export("alias")
    world.carry_out()
    world.sandbox.faults = [STALE]
    world.carry_out("alias")
    assert contents(world.target) == wanted


@pytest.mark.parametrize("is_cut_off", [False, True])
def test_what_a_call_without_an_answer_has_created(world: World, is_cut_off: bool) -> None:
    wanted = fill(world)
    world.export("prod")
    world.sandbox.faults = [
        Fault("reset-after-apply", "POST", after=1, times=1),
        Fault("stale", "list", after=1, times=1),
    ]
    if is_cut_off:
        _cut_off(world, "before end_call unknown")
        world.resume()
    else:
        world.width = 1
        world.carry_out()
    assert world.sandbox.faults == []
    check_invariants(world, wanted)
