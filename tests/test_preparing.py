"""Saved plans, whose snapshot is meant, and which earlier one has more."""

from pathlib import Path

import pytest

from oauthsync import plan_file, single
from oauthsync.errors import StoreError, UsageError
from oauthsync.plan import Options, Selection
from oauthsync.preparing import prepare, save, snapshot_with_more
from oauthsync.pruning import prune
from oauthsync.restore import PlanChangedError
from oauthsync.retention import Policy
from tests.importing import World
from tests.invariants import check_invariants
from tests.test_importer import fill

# Saved plans


def saved(world: World, options: Options | None = None) -> plan_file.SavedPlan:
    with world.backup() as backup:
        prepared = prepare(backup, "latest", options or Options(), target="prod")
        return plan_file.parse(save(prepared), where="plan.json")


def test_a_saved_plan_is_carried_out_once(world: World) -> None:
    wanted = fill(world)
    plan = saved(world)
    with world.session() as session:
        session.carry_out(session.prepare_saved(plan))
    check_invariants(world, wanted)
    world.sandbox.requests.clear()
    with world.session() as session, pytest.raises(StoreError, match="already, as run 1"):
        session.prepare_saved(plan)
    assert world.sandbox.requests == []


def test_a_saved_plan_with_options_is_made_again_with_them(world: World) -> None:
    fill(world)
    plan = saved(world, Options(selection=Selection(providers=("slack",))))
    with world.session() as session:
        carried = session.carry_out(session.prepare_saved(plan))
    assert [step.provider for step in carried.report.steps] == ["slack"]


def test_a_saved_plan_is_refused_where_the_target_has_changed(world: World) -> None:
    fill(world)
    plan = saved(world)
    world.target.create("slack", "with a token", "app")
    with world.session() as session, pytest.raises(PlanChangedError) as caught:
        session.prepare_saved(plan)
    [difference] = caught.value.differences
    assert "with a token" in difference
    assert "create (not in target) → unchanged" in difference
    assert caught.value.exit_code == 1
    assert "`oauthsync plan 1 --to prod … -o FILE`" in str(caught.value.hint)
    assert (world.writes, world.runs()) == ([], [])


def test_a_saved_plan_is_bound_to_its_target_and_snapshot(world: World, tmp_path: Path) -> None:
    fill(world)
    plan = saved(world)
    with world.session("dev") as session, pytest.raises(UsageError, match="not for 'dev'"):
        session.prepare_saved(plan)
    (world.folder / "oauthsync.db").unlink()
    world.source.create("hubspot", "one more", "app")
    world.export()
    with world.session() as session, pytest.raises(PlanChangedError, match="snapshot 1 is another"):
        session.prepare_saved(plan)


# Choosing


def test_without_a_source_the_default_workspaces_snapshot_is_meant(world: World) -> None:
    fill(world)
    world.export("prod")
    with world.backup() as backup:
        assert backup.find("latest", None).workspace == "dev"
        assert backup.find("latest", "prod").workspace == "prod"
        assert backup.find("2", None).workspace == "prod"


def test_an_earlier_snapshot_that_has_more_is_found(world: World) -> None:
    fill(world)
    lost = min(world.source.profiles)
    world.source.delete(lost)
    world.export()
    world.source.update(min(world.source.profiles), name="renamed")
    world.export()
    with world.backup() as backup:
        prepared = prepare(backup, "latest", Options())
        assert prepared.plan.writes == ()
        found = snapshot_with_more(backup, prepared)
        assert found is not None
        assert found.id == 1
        prepared = prepare(backup, "1", Options())
        assert snapshot_with_more(backup, prepared) is None


def test_a_safety_snapshot_that_has_more_is_found_where_no_export_has_any_more(
    world: World,
) -> None:
    fill(world)
    lost = min(world.source.profiles)
    world.write_one(lambda listing: single.delete(listing, lost, force=True), "dev")
    world.export()
    with world.backup() as backup:
        assert [each.id for each in prune(backup.database(), Policy(last=1)).removed] == [1]
        found = snapshot_with_more(backup, prepare(backup, "latest", Options()))
        assert found is not None
        assert (found.id, found.kind) == (2, "safety")


def test_an_earlier_snapshot_that_has_more_is_found_also_when_those_after_it_are_pruned(
    world: World,
) -> None:
    fill(world)
    world.clock.sleep(86_400.0)
    world.source.delete(min(world.source.profiles))
    world.export()
    world.export()
    with world.backup() as backup:
        assert [each.id for each in prune(backup.database(), Policy(daily=2)).removed] == [2]
        found = snapshot_with_more(backup, prepare(backup, "latest", Options()))
        assert found is not None
        assert found.id == 1


def test_an_earlier_snapshot_whose_profiles_are_there_by_new_ids_has_no_more(world: World) -> None:
    fill(world)
    lost = next(
        number for number, each in world.source.profiles.items() if "token" in each.document["name"]
    )
    world.source.delete(lost)
    world.source.create("slack", "with a token", "app")
    world.export()
    with world.backup() as backup:
        for target in ("dev", "prod"):
            prepared = prepare(backup, "latest", Options(), target=target)
            assert snapshot_with_more(backup, prepared) is None
