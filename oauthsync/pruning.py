"""Old snapshots are removed by a policy, and their space is given back: all of it, or nothing."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sqlite_utils import Database

from oauthsync import checks, retention, versions
from oauthsync.checks import Vanished
from oauthsync.database import writing
from oauthsync.errors import StoreError
from oauthsync.retention import Policy
from oauthsync.snapshots import Snapshot, Snapshots

_NEEDED = """
SELECT snapshot_id, safety_snapshot_id FROM runs
WHERE (state IN ('running', 'incomplete') AND json_extract(report, '$.ended') IS NULL)
    OR id IN (SELECT undoes_run FROM runs
        WHERE state IN ('running', 'incomplete') AND json_extract(report, '$.ended') IS NULL)
    OR id IN (SELECT run_id FROM steps JOIN calls ON calls.step_id = steps.id
        WHERE calls.outcome IN ('intent', 'unknown'))
"""


@dataclass(frozen=True)
class Pruned:
    """What a policy keeps and removes, newest first, and by how many bytes the file shrinks.

    `lost` are the profiles that are gone from their workspace and now from all snapshots, each with
    the id of the last one that had it.
    """

    kept: tuple[Snapshot, ...]
    removed: tuple[Snapshot, ...]
    bytes: int
    lost: tuple[tuple[Vanished, int], ...]


def prune(database: Database, policy: Policy, *, dry_run: bool = False) -> Pruned:
    """Remove the snapshots that the policy does not keep, and give their space back.

    All in one transaction, and what remains is compared with its digests before the end of it;
    StoreError where that is damaged. `retention` says what is kept; what an unfinished run or
    its undoing needs is kept beside that, and other runs forget the snapshots that go. With
    `dry_run` nothing is removed, and the result says what would be.

    The caller keeps imports out meanwhile: one that has chosen its snapshot, and has not begun
    its run yet, has nothing here that tells of it.
    """
    with writing(database, keep=not dry_run) as connection:
        vanished = checks.vanished(database)
        found = Snapshots(database).all()
        keep = retention.keep(policy, found) | _needed(connection)
        kept = tuple(each for each in found if each.id in keep)
        removed = tuple(each for each in found if each.id not in keep)
        freed = _remove(connection, [each.id for each in removed])
    return Pruned(kept, removed, freed, tuple(_lost(vanished, kept, removed)))


def _needed(connection: sqlite3.Connection) -> set[int]:
    """The snapshots that an unfinished run, or the undoing of one, goes back to."""
    rows = connection.execute(_NEEDED)
    return {snapshot for row in rows for snapshot in row if snapshot is not None}


def _remove(connection: sqlite3.Connection, ids: Sequence[int]) -> int:
    """Remove snapshots and shrink the file; by how many bytes."""
    before = _pragma(connection, "page_count")
    # The versions refer to snapshots that are gone until their spans follow.
    connection.execute("PRAGMA defer_foreign_keys = ON")
    connection.executemany("DELETE FROM snapshots WHERE id = ?", ((each,) for each in ids))
    versions.follow_snapshots(connection)
    if problems := checks.replay(connection).problems:
        raise StoreError(
            f"the database is damaged, and nothing was removed: {problems[0]}",
            hint="`oauthsync check` shows what is whole; restore the database from a copy",
        )
    for _ in range(_pragma(connection, "freelist_count")):
        connection.execute("PRAGMA incremental_vacuum")  # Python's sqlite3 frees one page each time
    # Spans that follow to higher ids may take a little more room than hardly any removed rows gave.
    freed = max(before - _pragma(connection, "page_count"), 0)
    return freed * _pragma(connection, "page_size")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    (value,) = connection.execute(f"PRAGMA {name}").fetchone()
    return int(value)


def _lost(
    vanished: Iterable[Vanished], kept: Sequence[Snapshot], removed: Sequence[Snapshot]
) -> Iterator[tuple[Vanished, int]]:
    """The vanished profiles that only removed snapshots have, each with the last of these."""
    for profile in vanished:
        remaining, gone = (
            [each.id for each in group if each.workspace == profile.workspace]
            for group in (kept, removed)
        )
        if not any(map(profile.is_in, remaining)) and (had := [*filter(profile.is_in, gone)]):
            yield profile, max(had)
