"""The journal: what it records is what it tells, to the next process too, and never half of it."""

import os
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlite_utils import Database

from oauthsync.database import open_database
from oauthsync.errors import StoreError
from oauthsync.journal import Journal
from oauthsync.runs import Ending, NewRun, NewStep, Run, Step
from oauthsync.steady import Moment
from oauthsync.strictjson import Fraction, Json
from tests import store

NOW = float(store.START)
THEN = Moment("boot", 100.0)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """Two workspaces, `dev` and `prod`, with a snapshot each."""
    database = open_database(tmp_path / "oauthsync.db")
    store.add(database, store.some(2), workspace="dev")
    store.add(database, [store.profile(9, user_id=456)], workspace="prod", kind="safety")
    yield database
    database.close()


@pytest.fixture
def journal(database: Database) -> Journal:
    return Journal(database)


def new_step(
    source_id: int | None, name: str = "one", data: dict[str, Json] | None = None
) -> NewStep:
    return NewStep(
        action="create",
        source_id=source_id,
        target_id=None,
        provider="hubspot",
        name=name,
        client_id="app",
        reason="not in target",
        data={"client_id": "app", **(data or {})},
    )


NEW = NewRun(
    kind="import",
    target="prod",
    source="dev",
    snapshot=1,
    safety_snapshot=2,
    undoes=None,
    plan_id="plan 1",
    fingerprint="sha256:0",
    report={"unchanged": 3},
    steps=[new_step(1), new_step(2, "two")],
)


def begin(journal: Journal, plan_id: str = "plan 1", **changes: object) -> tuple[Run, list[Step]]:
    run = journal.begin(replace(NEW, plan_id=plan_id, **changes), NOW)  # type: ignore[arg-type]
    return run, journal.steps(run.id)


def done(journal: Journal, step: Step, target_id: int) -> None:
    call = journal.intend(step, NOW, THEN)
    journal.end_call(call, "done", NOW, ending=Ending("done", target_id, "state"))


def test_a_run_is_told_as_it_was_recorded(journal: Journal) -> None:
    exact: dict[str, Json] = {"n": 10**30, "f": Fraction("1.0"), "é": [None, True]}
    run, steps = begin(journal, steps=[new_step(1, "名", exact), new_step(None)])
    assert (run.kind, run.source, run.target, run.state) == ("import", "dev", "prod", "running")
    assert (run.snapshot, run.safety_snapshot, run.report) == (1, 2, {"unchanged": 3})
    assert (run.started_at, run.finished_at, run.verified) == ("2026-11-23T10:00:00Z", None, None)
    assert run.target_url == "https://www.workato.com"
    assert [(step.name, step.source_id, step.state) for step in steps] == [
        ("名", 1, "planned"),
        ("one", None, "planned"),
    ]
    assert steps[0].data == {"client_id": "app", **exact}


def test_a_plan_is_carried_out_once(journal: Journal) -> None:
    journal.check_plan_id("plan 1")
    begin(journal)
    with pytest.raises(StoreError, match="as run 1") as caught:
        begin(journal)
    assert "resume 1" in (caught.value.hint or "")
    with pytest.raises(StoreError):
        journal.check_plan_id("plan 1")
    assert len(journal.runs()) == 1


def test_an_intent_is_open_until_its_outcome_is_known(journal: Journal) -> None:
    _, [one, two] = begin(journal)
    first, second = journal.intend(one, NOW, THEN), journal.intend(two, NOW, THEN)
    assert [(call.id, call.step, call.began) for call in journal.open_calls("prod")] == [
        (first, one, THEN),
        (second, two, THEN),
    ]
    journal.end_call(first, "done", NOW, ending=Ending("done", 70, "state"))
    journal.end_call(second, "unknown", NOW, detail="no answer")
    [left] = journal.open_calls("prod")
    assert (left.id, left.step.state) == (second, "planned")
    journal.end_call(second, "settled", NOW, ending=Ending("adopted", 71, "state"))
    assert journal.open_calls("prod") == []
    assert journal.open_calls("dev") == []


@pytest.mark.parametrize("outcome", ["not sent", "refused"])
def test_a_call_that_did_nothing_leaves_its_step_to_be_done(journal: Journal, outcome: str) -> None:
    _, [one, _] = begin(journal)
    journal.end_call(journal.intend(one, NOW, THEN), outcome, NOW)  # type: ignore[arg-type]
    assert journal.open_calls("prod") == []
    assert journal.steps(1)[0].state == "planned"


def test_a_call_is_kept_with_its_method_and_what_was_said(
    journal: Journal, database: Database
) -> None:
    _, [one, _] = begin(journal)
    call = journal.intend(one, NOW, THEN)
    journal.end_call(call, "unknown", NOW + 5, detail="timed out")
    journal.end_call(call, "settled", NOW + 50)
    [row] = database["calls"].rows
    assert row == {
        "id": 1,
        "step_id": one.id,
        "method": "POST",
        "began_at": "2026-11-23T10:00:00Z",
        "ended_at": "2026-11-23T10:00:50Z",
        "timeline": "boot",
        "began": 100.0,
        "outcome": "settled",
        "detail": "timed out",
    }


def test_a_step_ends_with_its_profile_or_with_the_reason(journal: Journal) -> None:
    run, [one, two] = begin(journal)
    done(journal, one, 70)
    journal.end_step(two, Ending("failed", error="no secret"))
    one, two = journal.steps(run.id)
    assert (one.state, one.target_id, one.result, one.error) == ("done", 70, "state", None)
    assert (two.state, two.target_id, two.is_done, two.error) == (
        "failed",
        None,
        False,
        "no secret",
    )


def test_a_run_that_is_reopened_tries_its_failed_steps_again_and_only_those(
    journal: Journal,
) -> None:
    run, [one, two] = begin(journal)
    done(journal, one, 70)
    journal.end_step(two, Ending("failed", error="no secret"))
    journal.finish(run, "incomplete", NOW, verified=False)
    journal.reopen(run, NOW)
    assert [step.state for step in journal.steps(run.id)] == ["done", "planned"]
    assert journal.steps(run.id)[1].error is None
    reopened = journal.run(run.id)
    assert (reopened.state, reopened.finished_at, reopened.verified) == ("running", None, None)


def test_an_undo_that_leaves_nothing_marks_what_it_undoes(journal: Journal) -> None:
    run, _ = begin(journal)
    undo, _ = begin(journal, "plan 2", kind="undo", undoes=run.id, source=None, snapshot=None)
    journal.finish(undo, "incomplete", NOW, verified=True)
    assert journal.run(run.id).state == "running"
    journal.finish(undo, "complete", NOW, verified=True, undone=True)
    assert [each.state for each in journal.runs()] == ["complete", "undone"]


def test_a_run_of_which_nothing_is_left_is_undone(journal: Journal) -> None:
    run, _ = begin(journal)
    journal.mark_undone(run, NOW)
    assert journal.run(run.id).state == "undone"


@pytest.mark.parametrize("is_all", [True, False])
def test_an_id_that_was_undone_is_no_match_any_more(journal: Journal, is_all: bool) -> None:
    """A `--map` may have been wrong: the next import is not to write to that profile again."""
    run, [one, two] = begin(journal)
    done(journal, one, 70)
    done(journal, two, 71)
    if is_all:
        journal.mark_undone(run, NOW)
    else:
        _, [back, _] = begin(journal, "plan 2", kind="undo", undoes=run.id)
        done(journal, back, 70)
    assert journal.id_map("dev", "prod") == ({} if is_all else {2: 71})


def test_to_find_what_was_undone_takes_one_look_at_the_undos(
    journal: Journal, database: Database
) -> None:
    """A look for each step would take minutes where an import and its undo have many."""
    queries: list[str] = []
    database.conn.set_trace_callback(queries.append)
    journal.id_map("dev", "prod")
    database.conn.set_trace_callback(None)
    [query] = [each for each in queries if "undoes_run" in each]
    plan = [row[-1] for row in database.execute(f"EXPLAIN QUERY PLAN {query}").fetchall()]
    assert not [line for line in plan if line.startswith("CORRELATED")]


def test_the_newest_import_says_which_id_a_profile_has_in_the_target(journal: Journal) -> None:
    _, [one, two] = begin(journal)
    done(journal, one, 70)
    done(journal, two, 71)
    _, [one, _] = begin(journal, "plan 2")
    done(journal, one, 80)
    _, [one, _] = begin(journal, "plan 3", kind="profile")
    done(journal, one, 99)
    assert journal.id_map("dev", "prod") == {1: 80, 2: 71}
    assert journal.id_map("prod", "dev") == {}


def test_steps_of_all_runs_stand_for_ids(journal: Journal) -> None:
    run, [one, _] = begin(journal)
    done(journal, one, 70)
    _, [one, _] = begin(journal, "plan 2")
    done(journal, one, 80)
    journal.mark_undone(run, NOW)
    assert journal.claimed_ids("prod") == {70, 80}
    assert journal.claimed_ids("dev") == set()


def test_a_workspace_is_the_same_by_whatever_name(journal: Journal, database: Database) -> None:
    """The url and the workspace's own id tell; a workspace whose id is not known is just itself."""
    store.add(database, [store.profile(9, user_id=456)], workspace="live")
    store.add(database, [], workspace="empty")
    _, [one, two] = begin(journal)
    done(journal, two, 70)
    call = journal.intend(one, NOW, THEN)
    for name in ("prod", "live"):
        assert [each.id for each in journal.open_calls(name)] == [call]
        assert journal.claimed_ids(name) == {70}
        assert journal.id_map("dev", name) == {2: 70}
    for name in ("dev", "empty", "nowhere"):
        assert journal.open_calls(name) == []
        assert journal.claimed_ids(name) == set()


def test_a_run_that_is_not_there_is_named(journal: Journal) -> None:
    with pytest.raises(StoreError, match="no run 7"):
        journal.run(7)


def test_a_step_without_an_action_is_damage_and_no_traceback(
    journal: Journal, database: Database
) -> None:
    run, _ = begin(journal)
    database.execute("UPDATE steps SET action = 'resume'")
    with pytest.raises(StoreError, match="altered or damaged"):
        journal.steps(run.id)


def test_what_is_no_json_is_damage_and_no_traceback(journal: Journal, database: Database) -> None:
    run, _ = begin(journal)
    for damaged in ("{", "[]"):
        database.execute("UPDATE steps SET data = ?", [damaged])
        with pytest.raises(StoreError, match="JSON"):
            journal.steps(run.id)


def test_threads_record_side_by_side(journal: Journal) -> None:
    run, steps = begin(journal, steps=[new_step(n, f"name {n}") for n in range(40)])

    def record(part: list[Step]) -> None:
        for step in part:
            done(journal, step, 100 + step.id)

    threads = [threading.Thread(target=record, args=(steps[n::4],)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ended = journal.steps(run.id)
    assert {step.target_id for step in ended} == {100 + step.id for step in ended}
    assert all(step.is_done for step in ended)


def test_a_process_killed_in_a_write_leaves_all_of_it_or_nothing(tmp_path: Path) -> None:
    """Killed before each statement of a run's beginning and of a step's end, in a process."""
    path = tmp_path / "oauthsync.db"
    database = open_database(path)
    store.add(database, store.some(1), workspace="dev")
    store.add(database, store.some(1), workspace="prod", kind="safety")
    database.close()
    statuses = []
    for statements in range(30):
        before = path.read_bytes()

        def record(statements: int = statements) -> None:
            connection = store.reopened(path)
            connection.conn.set_trace_callback(store.dying_after(statements))
            journal = Journal(connection)
            run = journal.begin(replace(NEW, plan_id=f"plan {statements}"), NOW)
            done(journal, journal.steps(run.id)[0], 70)

        statuses.append(store.in_child(record))
        database = store.reopened(path)
        journal = Journal(database)
        for run in journal.runs():
            one, two = journal.steps(run.id)
            assert (one.target_id == 70) == one.is_done
            calls = len(list(database["calls"].rows))
            assert len(journal.open_calls("prod")) == calls - one.is_done
            assert two.state == "planned"
        database.close()
        path.write_bytes(before)
        if statuses[-1] == 0:
            break
    assert statuses[-1] == 0
    assert statuses.count(store.KILLED) == len(statuses) - 1 > 8


def test_an_intent_is_on_the_disk_when_it_is_recorded(journal: Journal, tmp_path: Path) -> None:
    """Another connection sees it, and nothing is left that would have to be synced."""
    _, [one, _] = begin(journal)
    journal.intend(one, NOW, THEN)
    with sqlite3.connect(tmp_path / "oauthsync.db") as other:
        assert other.execute("SELECT outcome FROM calls").fetchall() == [("intent",)]
        assert other.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    other.close()
    assert not os.path.lexists(tmp_path / "oauthsync.db-journal")
    assert journal._database.execute("PRAGMA synchronous").fetchone() == (3,)
