"""Is the database whole? SQLite's own checks, each snapshot's digest, and each version's columns.

And what is in older snapshots alone: a profile that was lost, and not created again since.

A version is looked at once, however many snapshots hold it: the snapshots are replayed from the
oldest to the newest, with the versions that begin and end at each.
"""

import sqlite3
import sys
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter, itemgetter

from sqlite_utils import Database

from oauthsync import profiles, versions
from oauthsync.database import reading
from oauthsync.versions import Columns

TABLES = ("snapshots", "profile_versions", "runs", "steps", "calls")
"""The tables that refer to others."""

App = tuple[str, str | None]
"""Provider and client id, as `Profile.app`."""

_VANISHED = """
SELECT w.name, v.profile_id, v.first_snapshot, v.end_snapshot, v.provider, v.name, v.client_id
FROM profile_versions AS v JOIN workspaces AS w ON w.id = v.workspace_id
WHERE v.end_snapshot IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM profile_versions AS newest WHERE newest.workspace_id = v.workspace_id
        AND newest.profile_id = v.profile_id AND newest.end_snapshot IS NULL)
ORDER BY v.workspace_id, v.profile_id, v.first_snapshot
"""

_PUT_BACK = """
SELECT w.name, steps.id, steps.source_id, steps.target_id, EXISTS (
        SELECT 1 FROM profile_versions AS v
        WHERE v.workspace_id = runs.target_id AND v.profile_id = steps.target_id)
    OR runs.state <> 'undone' AND NOT EXISTS (
        SELECT 1 FROM snapshots AS s WHERE s.workspace_id = runs.target_id
            AND s.taken_at > coalesce(runs.finished_at, runs.started_at))
FROM steps JOIN runs ON runs.id = steps.run_id JOIN workspaces AS w ON w.id = runs.target_id
WHERE steps.action = 'create' AND steps.state IN ('done', 'adopted')
    AND runs.source_id = runs.target_id AND steps.source_id IS NOT NULL
ORDER BY steps.id
"""
"""What runs created in place of a profile of the same workspace, whatever they called it.

And whether it counts: a snapshot has what was created, or none was taken since and it was not
undone."""

_CREATED = """
SELECT v.profile_id, w.name, v.provider, v.name, v.client_id, v.first_snapshot
FROM profile_versions AS v JOIN workspaces AS w ON w.id = v.workspace_id
WHERE NOT EXISTS (
    SELECT 1 FROM profile_versions AS before WHERE before.workspace_id = v.workspace_id
        AND before.profile_id = v.profile_id AND before.end_snapshot = v.first_snapshot)
ORDER BY v.first_snapshot
"""


@dataclass(frozen=True)
class SnapshotCheck:
    """Whether a snapshot is whole, and how many of its profiles could be restored today.

    `restorable` counts the profiles whose app's secret is known, `missing` the others. Nothing can
    be restored of a snapshot that does not match its digest.
    """

    id: int
    ok: bool
    restorable: int
    missing: int


@dataclass(frozen=True)
class Vanished:
    """A profile that the newest snapshot of its workspace lacks; provider and name are its last.

    `spans` are those of its versions: the snapshot that begins one, and the one that ends it.
    """

    workspace: str
    id: int
    provider: str
    name: str
    spans: tuple[tuple[int, int], ...]

    def is_in(self, snapshot: int) -> bool:
        """Whether a snapshot of its workspace holds it."""
        return any(first <= snapshot < end for first, end in self.spans)


@dataclass(frozen=True)
class Checked:
    """The snapshots, newest first, and everything that is wrong with the database."""

    snapshots: tuple[SnapshotCheck, ...]
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether the database is whole."""
        return not self.problems


def check(database: Database, apps: Container[App] = ()) -> Checked:
    """Check all of the database; `apps` are those whose secrets are known.

    Damage is a problem in the result; StoreError only where the database cannot be read now.
    """
    problems: list[str] = []
    with reading(database) as connection:
        with _damage_noted(problems):
            problems.extend(_sqlite_problems(connection))
        found = replay(connection, apps)
    return Checked(found.snapshots, (*problems, *found.problems))


def vanished(database: Database) -> list[Vanished]:
    """The profiles that the newest snapshots lack, without those created again with a new id.

    Created again is what vanished before another with its provider, name and client id appeared,
    and what a run created again; that one may have vanished since, and stands for both. Of twins,
    as many are created again as appeared.
    """
    with reading(database) as connection:
        rows = connection.execute(_VANISHED).fetchall()
        if not rows:
            return []
        put_back = _PutBack(connection.execute(_PUT_BACK))
        # Looked up here: SQLite compares with row after row where a value may be NULL.
        created: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for profile_id, workspace, *key, first in connection.execute(_CREATED):
            if not put_back.has_created(workspace, profile_id):  # that stands for its source alone
                created[workspace, *key].append(first)
    gone = []
    for (workspace, profile_id), group in groupby(rows, key=itemgetter(0, 1)):
        spans, keys = zip(*((row[2:4], row[4:]) for row in group), strict=True)
        provider, name, _ = keys[-1]
        if not put_back.has(workspace, profile_id):
            found = Vanished(workspace, profile_id, provider, name, spans)
            gone.append((found, created[workspace, *keys[-1]]))
    return _not_created_again(gone)


class _PutBack:
    """Which profiles runs have put back, by workspace and id."""

    def __init__(self, rows: Iterable[tuple[str, int, int, int, bool]]) -> None:
        self._source: dict[tuple[str, int], tuple[int, int]] = {}
        self._last: dict[tuple[str, int], int] = {}
        for workspace, step, source, target, counts in rows:
            self._source[workspace, target] = (source, step)
            if counts:
                self._last[workspace, source] = step

    def has_created(self, workspace: str, profile_id: int) -> bool:
        """Whether a profile was created in place of another."""
        return (workspace, profile_id) in self._source

    def has(self, workspace: str, profile_id: int) -> bool:
        """Whether a profile, or the one in whose place it was created, was put back since then."""
        _, since = self._source.get((workspace, profile_id), (0, 0))
        step = sys.maxsize
        while self._last.get((workspace, profile_id), 0) <= since:
            profile_id, earlier = self._source.get((workspace, profile_id), (0, 0))
            if not 0 < earlier < step:  # where there is none; a hostile file may say anything
                return False
            step = earlier
        return True


def _not_created_again(gone: list[tuple[Vanished, list[int]]]) -> list[Vanished]:
    """The vanished profiles without those for which another one stands.

    Each comes with the snapshots, in their order, in which its like appeared. Each appearance
    stands for one.
    """
    lost = []
    for profile, appeared in sorted(gone, key=lambda each: -each[0].spans[-1][1]):
        if appeared and appeared[-1] >= profile.spans[-1][1]:
            appeared.pop()
        else:
            lost.append(profile)
    return sorted(lost, key=attrgetter("workspace", "id"))


@contextmanager
def _damage_noted(problems: list[str]) -> Iterator[None]:
    """Let an error that means damage end what is done here, and nothing else."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        # Python's own error, for a text that is not UTF-8, has no code.
        if code != sqlite3.SQLITE_CORRUPT and "decode" not in str(error):
            raise
        problems.append(f"SQLite: {error}")


def _sqlite_problems(connection: sqlite3.Connection) -> Iterator[str]:
    for (said,) in connection.execute("PRAGMA integrity_check"):
        if said != "ok":
            yield f"SQLite: {said}"
    for table in TABLES:
        for _, row, parent, _ in connection.execute(f"PRAGMA foreign_key_check({table})"):
            yield f"row {row} of {table} refers to a row of {parent} that is not there"


def replay(connection: sqlite3.Connection, apps: Container[App] = ()) -> Checked:
    """Check the snapshots alone, within the caller's transaction."""
    replayed = _Replay(connection, apps)
    snapshots: list[tuple[int, int, int, str]] = []
    found: list[SnapshotCheck] = []
    with _damage_noted(replayed.problems):
        snapshots += connection.execute(
            "SELECT id, workspace_id, profiles, digest FROM snapshots ORDER BY id"
        )
        found.extend(replayed.check(*row) for row in snapshots)
    found += [SnapshotCheck(row[0], False, 0, 0) for row in snapshots[len(found) :]]
    return Checked(tuple(reversed(found)), tuple(replayed.problems))


class _Replay:
    """Goes through the snapshots in their order, with the versions that each of them holds."""

    def __init__(self, connection: sqlite3.Connection, apps: Container[App]) -> None:
        self.problems: list[str] = []
        self._connection = connection
        self._apps = apps
        self._workspaces: dict[int, _Workspace] = defaultdict(_Workspace)
        self._before = versions.BEGINNING

    def check(self, snapshot: int, workspace: int, count: int, digest: str) -> SnapshotCheck:
        for owner, profile_id, end, document, columns in versions.begun(
            self._connection, self._before, snapshot
        ):
            version = self._examine(snapshot, profile_id, end, document, columns)
            self._workspaces[owner].begin(version)
        self._before = snapshot
        held = self._workspaces[workspace]
        held.come_to(snapshot)
        is_whole = (len(held.versions), held.digest) == (count, digest)
        if not is_whole:
            self.problems.append(f"snapshot {snapshot}: its profiles do not match its digest")
        restorable = held.restorable if is_whole else 0  # no plan is made from it
        missing = len(held.versions) - restorable
        return SnapshotCheck(snapshot, is_whole and held.are_sound, restorable, missing)

    def _examine(
        self, snapshot: int, profile_id: int, end: int | None, document: bytes, columns: Columns
    ) -> "_Version":
        digest = profiles.document_digest(document)
        try:
            profile = profiles.from_document(document)
            is_sound = versions.columns(profile, digest) == columns
        except ValueError:
            is_sound = False
        if not is_sound:
            self.problems.append(
                f"profile {profile_id}, as of snapshot {snapshot}: its columns do not match its"
                " document"
            )
        is_restorable = is_sound and profile.app in self._apps
        return _Version(
            profile_id, end, profiles.digest_line(profile_id, digest), is_sound, is_restorable
        )


@dataclass(slots=True)
class _Version:
    """`line` is its profile's line in the digest of a snapshot that holds it."""

    profile_id: int
    end: int | None
    line: bytes
    is_sound: bool
    is_restorable: bool


class _Workspace:
    """The versions of one workspace at the snapshot that the replay has come to."""

    def __init__(self) -> None:
        self.versions: list[_Version] = []
        self._has_new = True

    def begin(self, version: _Version) -> None:
        self.versions.append(version)
        self._has_new = True

    def come_to(self, snapshot: int) -> None:
        lasting = [each for each in self.versions if each.end is None or each.end > snapshot]
        if self._has_new or len(lasting) < len(self.versions):
            lasting.sort(key=attrgetter("profile_id"))
            self.digest = profiles.combined_digest(each.line for each in lasting)
            self.are_sound = all(each.is_sound for each in lasting)
            self.restorable = sum(each.is_restorable for each in lasting)
        self.versions = lasting
        self._has_new = False
