"""Pruning removes what no rule keeps, gives its space back, and leaves the rest as it was."""

import sqlite3
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlite_utils import Database

from oauthsync import checks
from oauthsync.database import open_database, writing
from oauthsync.errors import StoreError
from oauthsync.profiles import Profile
from oauthsync.pruning import prune
from oauthsync.retention import Policy
from oauthsync.snapshots import Kind, Snapshot, Snapshots
from tests.store import (
    KILLED,
    add,
    dying_after,
    in_child,
    in_memory,
    profile,
    reopened,
    replaced,
    some,
)


def take(database: Database, days: int) -> None:
    """Daily exports of 60 profiles, of which three change each day."""
    for day in range(days):
        new = [profile(day * 3 % 60 + n, name=f"{day} {n} " + "x" * 300) for n in (1, 2, 3)]
        add(database, replaced(some(60), *new), day=day)


def contents(database: Database) -> dict[Snapshot, tuple[Profile, ...]]:
    snapshots = Snapshots(database)
    return {each: snapshots.profiles(each) for each in snapshots.all()}


def test_what_is_kept_stays_as_it_was_and_space_is_given_back(
    path: Path, database: Database
) -> None:
    take(database, 40)
    before, size = contents(database), path.stat().st_size
    pruned = prune(database, Policy(last=2, weekly=3))
    assert [each.id for each in pruned.kept] == [40, 39, 35, 28]
    assert [each.id for each in pruned.removed] == sorted(
        set(range(1, 41)) - {28, 35, 39, 40}, reverse=True
    )
    assert contents(database) == {each: before[each] for each in pruned.kept}
    assert pruned.bytes == size - path.stat().st_size
    assert pruned.bytes > size / 4
    assert checks.check(database).ok


def test_a_rehearsal_tells_the_same_and_changes_nothing(path: Path, database: Database) -> None:
    take(database, 20)
    before = path.read_bytes()
    rehearsed = prune(database, Policy(last=1), dry_run=True)
    assert path.read_bytes() == before
    assert prune(database, Policy(last=1)) == rehearsed
    assert len(rehearsed.removed) == 19


def test_with_nothing_to_remove_nothing_changes(path: Path, database: Database) -> None:
    take(database, 3)
    before = path.read_bytes()
    pruned = prune(database, Policy(last=3))
    assert (len(pruned.kept), pruned.removed, pruned.bytes) == (3, (), 0)
    assert path.read_bytes()[100:] == before[100:]  # the header counts the transactions


def test_a_removed_id_is_never_used_again(database: Database) -> None:
    add(database, some(1), workspace="prod")
    take(database, 3)
    prune(database, Policy(last=1))
    assert add(database, some(1)).id == 5
    with pytest.raises(StoreError, match="no snapshot 2"):
        Snapshots(database).find("2")


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["dev", "prod"]),
            st.sampled_from(["export", "export", "safety"]),
            st.dictionaries(st.integers(1, 4), st.integers(0, 1)),
        ),
        min_size=1,
        max_size=8,
    ),
    st.integers(1, 2),
    st.integers(0, 2),
)
def test_any_history_and_policy(
    history: list[tuple[str, Kind, dict[int, int]]], last: int, daily: int
) -> None:
    with in_memory() as database:
        for number, (workspace, kind, state) in enumerate(history):
            found = [profile(each, name=f"v{state[each]}") for each in sorted(state)]
            add(database, found, workspace=workspace, kind=kind, day=number / 2)
        before, snapshots = contents(database), Snapshots(database)
        pruned = prune(database, Policy(last=last, daily=daily))
        after = contents(database)
        assert after == {each: before[each] for each in pruned.kept}
        assert checks.check(database).ok
        assert database.execute(
            "SELECT count(*) FROM profile_versions WHERE first_snapshot NOT IN"
            " (SELECT id FROM snapshots) OR end_snapshot NOT IN (SELECT id FROM snapshots)"
        ).fetchone() == (0,)
        # What is added now is added to the state that the newest snapshot had.
        newest = add(database, some(3), day=99)
        assert snapshots.profiles(newest) == some(3)
        assert {each: snapshots.profiles(each) for each in after} == after
        assert checks.check(database).ok


def test_what_an_unfinished_run_needs_is_kept(database: Database) -> None:
    for day in range(12):
        add(database, some(1), day=day, kind="safety" if day % 2 else "export")
    with writing(database) as connection:
        _run(connection, 1, "complete", source=1, safety=2)
        _run(connection, 2, "running", source=3, safety=4)
        _run(connection, 3, "complete", source=None, safety=6)
        _run(connection, 4, "incomplete", source=None, safety=8, undoes=3)
        _run(connection, 5, "undone", source=9, safety=10)
    pruned = prune(database, Policy(last=1))
    assert {each.id for each in pruned.kept} == {3, 4, 6, 8, 11, 12}


def test_a_call_that_may_have_been_done_is_needed_whatever_its_run_says(database: Database) -> None:
    for day in range(4):
        add(database, some(1), day=day, kind="safety" if day % 2 else "export")
    with writing(database) as connection:
        _run(connection, 1, "undone", source=1, safety=2)
        connection.execute(
            "INSERT INTO steps (id, run_id, position, action, state, provider, name, data,"
            " reason) VALUES (1, 1, 0, 'create', 'planned', 'p', 'n', '{}', '')"
        )
        connection.execute(
            "INSERT INTO calls (step_id, method, began_at, timeline, began, outcome)"
            " VALUES (1, 'POST', '', '', 0, 'intent')"
        )
    assert prune(database, Policy(last=1)).removed == ()


def test_finished_runs_forget_the_snapshots_that_go(database: Database) -> None:
    for day in range(4):
        add(database, some(1), day=day, kind="safety" if day % 2 else "export")
    with writing(database) as connection:
        _run(connection, 1, "complete", source=1, safety=2)
        _run(connection, 2, "complete", source=3, safety=4)
    prune(database, Policy(last=1))
    runs = database.conn.execute("SELECT snapshot_id, safety_snapshot_id FROM runs")
    assert runs.fetchall() == [(None, None), (3, 4)]
    assert checks.check(database).ok


def test_a_damaged_database_is_not_pruned(path: Path, database: Database) -> None:
    take(database, 3)
    database.conn.execute("UPDATE profile_versions SET name = 'X' WHERE end_snapshot IS NULL")
    database.conn.commit()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="damaged, and nothing was removed"):
        prune(database, Policy(last=1))
    assert path.read_bytes() == before


def test_killed_at_any_time_all_of_it_is_done_or_nothing(path: Path) -> None:
    with open_database(path) as database:
        take(database, 6)
        before = contents(database)
    original = path.read_bytes()

    def prune_and_die(statements: int) -> None:
        with reopened(path) as database:
            database.conn.execute("PRAGMA cache_size = 1")
            database.conn.set_trace_callback(dying_after(statements))
            prune(database, Policy(last=2))

    for statements in range(0, 1000, 2):
        status = in_child(partial(prune_and_die, statements))
        with reopened(path) as database:
            after = contents(database)
            assert len(after) in (2, 6)
            assert all(before[each] == held for each, held in after.items())
            assert checks.check(database).ok
        if status == 0:
            break
        assert status == KILLED
        path.write_bytes(original)
    assert len(after) == 2
    assert statements > 20


def _run(
    connection: sqlite3.Connection,
    run: int,
    state: str,
    *,
    source: int | None,
    safety: int,
    undoes: int | None = None,
) -> None:
    connection.execute(
        "INSERT INTO runs (id, kind, target_id, snapshot_id, safety_snapshot_id, undoes_run,"
        " started_at, state, plan_id, fingerprint, report)"
        " VALUES (?, 'import', 1, ?, ?, ?, '', ?, ?, '', '{}')",
        (run, source, safety, undoes, state, str(run)),
    )
