"""The snapshots of workspaces: stored whole or not at all, sharing what did not change.

A profile's state is stored once, as a version with the span of snapshots that hold it: from
`first_snapshot` up to, and without, `end_snapshot` (NULL while it lasts). A snapshot is a row and
the versions whose span covers it, so an unchanged workspace adds one row. A snapshot's digest
covers all its profiles; whoever reads a snapshot here has had it compared.

Every method raises StoreError where the database cannot be used.
"""

import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from typing import Literal

from sqlite_utils import Database

from oauthsync import profiles
from oauthsync.database import unusable, writing
from oauthsync.errors import StoreError, UsageError
from oauthsync.profiles import Difference, Profile

Kind = Literal["export", "safety"]

_COLUMNS = """
SELECT s.id, w.name, w.url, w.user_id, s.taken_at, s.kind, s.profiles, s.added, s.changed,
    s.removed, s.requests, s.listings, s.digest
FROM snapshots AS s JOIN workspaces AS w ON w.id = s.workspace_id
"""


@dataclass(frozen=True)
class Listing:
    """All profiles of one workspace at one time, in the order of their ids.

    `listings` is how often the list was read, `requests` how many requests that took.
    """

    workspace: str
    url: str
    taken_at: str
    profiles: tuple[Profile, ...]
    requests: int
    listings: int

    @property
    def user_id(self) -> int | None:
        """The workspace's own id, where its profiles agree on one."""
        ids = {profile.user_id for profile in self.profiles}
        return ids.pop() if len(ids) == 1 else None


@dataclass(frozen=True)
class Snapshot:
    """A stored listing; `added`, `changed` and `removed` count against the export before it."""

    id: int
    workspace: str
    url: str
    user_id: int | None
    taken_at: str
    kind: Kind
    profiles: int
    added: int
    changed: int
    removed: int
    requests: int
    listings: int
    digest: str


@dataclass(frozen=True)
class LogEntry:
    """What one export found different from the export before it."""

    snapshot: Snapshot
    difference: Difference


class Snapshots:
    """The snapshots in one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, listing: Listing, kind: Kind) -> tuple[Snapshot, Difference]:
        """Store a listing; the snapshot, and the difference to the last export before it.

        StoreError where the workspace's name stands for another workspace in this database.
        """
        with _sqlite_errors(), writing(self._database) as connection:
            workspace_id = _workspace_id(connection, listing)
            before = _last_export(connection, workspace_id)
            snapshot_id = _insert_snapshot(connection, workspace_id, listing, kind)
            _store_versions(connection, workspace_id, snapshot_id, listing.profiles)
            found = (
                _difference(connection, workspace_id, before, snapshot_id)
                if before is not None
                else Difference((), (), ())
            )
            connection.execute(
                "UPDATE snapshots SET added = ?, changed = ?, removed = ? WHERE id = ?",
                (len(found.added), len(found.changed), len(found.removed), snapshot_id),
            )
        return self.get(snapshot_id), found

    def get(self, snapshot_id: int) -> Snapshot:
        """The snapshot with this id; StoreError where there is none."""
        found = self._select("WHERE s.id = ?", snapshot_id)
        if not found:
            raise StoreError(
                f"there is no snapshot {snapshot_id}", hint="`oauthsync snapshots` lists them"
            )
        return found[0]

    def all(self, workspace: str | None = None) -> list[Snapshot]:
        """All snapshots, or those of one workspace, newest first."""
        return self._select("WHERE ?1 IS NULL OR w.name = ?1 ORDER BY s.id DESC", workspace)

    def find(self, selector: str, workspace: str | None = None) -> Snapshot:
        """The snapshot that an id, `latest`, `latest~N` or a date (UTC) selects.

        Only an id reaches a safety snapshot. UsageError where the selector does not parse,
        StoreError where nothing is selected.
        """
        if re.fullmatch("[0-9]{1,18}", selector):
            snapshot = self.get(int(selector))
            if workspace is not None and snapshot.workspace != workspace:
                raise StoreError(
                    f"snapshot {selector} is one of {snapshot.workspace!r}, not of {workspace!r}"
                )
            return snapshot
        exports = [each for each in self.all(workspace) if each.kind == "export"]
        where = f" of {workspace!r}" if workspace is not None else ""
        back = 0
        if latest := re.fullmatch("latest(?:~([0-9]{1,9}))?", selector):
            back = int(latest[1] or 0)
        else:
            day = _parse_date(selector)
            exports = [each for each in exports if each.taken_at[:10] <= day]
        if back >= len(exports):
            raise StoreError(
                f"there is no snapshot {selector}{where}",
                hint="`oauthsync snapshots` lists them; `oauthsync export` takes one",
            )
        return exports[back]

    def profiles(self, snapshot: Snapshot) -> tuple[Profile, ...]:
        """A snapshot's profiles in the order of their ids, compared with its digest."""
        with _sqlite_errors():
            rows = self._database.execute(
                "SELECT v.document FROM profile_versions AS v JOIN snapshots AS s"
                " ON s.workspace_id = v.workspace_id AND s.id = ? AND v.first_snapshot <= s.id"
                " AND (v.end_snapshot IS NULL OR v.end_snapshot > s.id) ORDER BY v.profile_id",
                [snapshot.id],
            )
            found = tuple(_stored_profile(document) for (document,) in rows)
        if profiles.digest(found) != snapshot.digest:
            raise _altered(f"snapshot {snapshot.id}")
        return found

    def profile_ids(self, snapshot_id: int) -> set[int]:
        """The ids of a snapshot's profiles."""
        return {profile.id for profile in self.profiles(self.get(snapshot_id))}

    def difference(self, old: Snapshot, new: Snapshot) -> Difference:
        """What changed from one snapshot to another."""
        return profiles.difference(self.profiles(old), self.profiles(new))

    def log(
        self, workspace: str | None, provider: str | None = None, name: str = "*"
    ) -> Iterator[LogEntry]:
        """The differences from one export to the next, newest first, without the empty ones.

        `provider` and `name` (a glob) keep the profiles that match, before or after the change.
        """
        newer: dict[str, Snapshot] = {}
        for snapshot in self.all(workspace):
            if snapshot.kind != "export":
                continue
            later = newer.get(snapshot.workspace)
            newer[snapshot.workspace] = snapshot
            if later is not None:
                with _sqlite_errors():
                    found = _difference(
                        self._database.conn, self._workspace_id(later), snapshot.id, later.id
                    )
                if kept := _matching(found, provider, name):
                    yield LogEntry(later, kept)

    def _workspace_id(self, snapshot: Snapshot) -> int:
        row = self._database.execute(
            "SELECT workspace_id FROM snapshots WHERE id = ?", [snapshot.id]
        ).fetchone()
        return int(row[0])

    def _select(self, where: str, *parameters: object) -> list[Snapshot]:
        with _sqlite_errors():
            rows = self._database.execute(_COLUMNS + where, list(parameters)).fetchall()
        return [Snapshot(*row) for row in rows]


# --- storing ------------------------------------------------------------------------------------


def _workspace_id(connection: sqlite3.Connection, listing: Listing) -> int:
    row = connection.execute(
        "SELECT id, url, user_id FROM workspaces WHERE name = ?", (listing.workspace,)
    ).fetchone()
    if row is None:
        return _inserted(
            connection.execute(
                "INSERT INTO workspaces (name, url, user_id) VALUES (?, ?, ?)",
                (listing.workspace, listing.url, listing.user_id),
            )
        )
    workspace_id, url, user_id = row
    known, now = (url, user_id), (listing.url, listing.user_id)
    if url != listing.url or (None not in (user_id, listing.user_id) and known != now):
        raise StoreError(
            f"{listing.workspace!r} is another workspace now: its snapshots are of"
            f" {_identity(url, user_id)}, and the API answered for {_identity(*now)}",
            hint="check its URL and token, or give the other workspace a name of its own",
        )
    connection.execute(
        "UPDATE workspaces SET user_id = coalesce(user_id, ?) WHERE id = ?",
        (listing.user_id, workspace_id),
    )
    return int(workspace_id)


def _identity(url: str, user_id: int | None) -> str:
    return url if user_id is None else f"{url} (workspace id {user_id})"


def _last_export(connection: sqlite3.Connection, workspace_id: int) -> int | None:
    (found,) = connection.execute(
        "SELECT max(id) FROM snapshots WHERE workspace_id = ? AND kind = 'export'", (workspace_id,)
    ).fetchone()
    return None if found is None else int(found)


def _insert_snapshot(
    connection: sqlite3.Connection, workspace_id: int, listing: Listing, kind: Kind
) -> int:
    return _inserted(
        connection.execute(
            "INSERT INTO snapshots (workspace_id, taken_at, kind, profiles, added, changed,"
            " removed, requests, listings, digest) VALUES (?, ?, ?, ?, 0, 0, 0, ?, ?, ?)",
            (
                workspace_id,
                listing.taken_at,
                kind,
                len(listing.profiles),
                listing.requests,
                listing.listings,
                profiles.digest(listing.profiles),
            ),
        )
    )


def _store_versions(
    connection: sqlite3.Connection, workspace_id: int, snapshot_id: int, found: Sequence[Profile]
) -> None:
    """End the versions that the listing no longer has, and insert those that are new."""
    lasting = {
        profile_id: (row_id, digest)
        for row_id, profile_id, digest in connection.execute(
            "SELECT id, profile_id, digest FROM profile_versions"
            " WHERE workspace_id = ? AND end_snapshot IS NULL",
            (workspace_id,),
        )
    }
    new = []
    for profile in found:
        digest = profile.digest
        if profile.id in lasting and lasting[profile.id][1] == digest:
            del lasting[profile.id]
        else:
            new.append(_version(profile, digest, workspace_id, snapshot_id))
    connection.executemany(
        "UPDATE profile_versions SET end_snapshot = ? WHERE id = ?",
        ((snapshot_id, row_id) for row_id, _ in lasting.values()),
    )
    connection.executemany(
        "INSERT INTO profile_versions (workspace_id, first_snapshot, profile_id, digest, provider,"
        " name, client_id, user_id, shared_accounts_count, oem_customers_count, created_at,"
        " updated_at, document) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        new,
    )


def _version(
    profile: Profile, digest: str, workspace_id: int, snapshot_id: int
) -> tuple[object, ...]:
    fields = profile.fields
    return (
        workspace_id,
        snapshot_id,
        profile.id,
        digest,
        profile.provider,
        profile.name,
        profile.client_id,
        *(_integer(fields.get(name)) for name in INTEGER_COLUMNS),
        *(_text(fields.get(name)) for name in TEXT_COLUMNS),
        profile.document.decode("utf-8"),
    )


INTEGER_COLUMNS = ("user_id", "shared_accounts_count", "oem_customers_count")
TEXT_COLUMNS = ("created_at", "updated_at")


def _integer(value: object) -> int | None:
    """What fits a column of SQLite's; the document has the value in any case."""
    return value if type(value) is int and abs(value) < 2**63 else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _inserted(cursor: sqlite3.Cursor) -> int:
    assert cursor.lastrowid is not None
    return cursor.lastrowid


# --- reading ------------------------------------------------------------------------------------


def _difference(
    connection: sqlite3.Connection, workspace_id: int, old: int, new: int
) -> Difference:
    """Compare two snapshots of one workspace by the versions that only one of them holds."""
    columns = "SELECT document, digest FROM profile_versions WHERE workspace_id = :workspace AND "
    key = {"workspace": workspace_id, "old": old, "new": new}
    gone = connection.execute(
        columns + "first_snapshot <= :old AND end_snapshot > :old AND end_snapshot <= :new", key
    )
    come = connection.execute(
        columns + "first_snapshot > :old AND first_snapshot <= :new"
        " AND (end_snapshot IS NULL OR end_snapshot > :new)",
        key,
    )
    return profiles.difference(_checked(gone), _checked(come))


def _checked(rows: Iterable[tuple[str, str]]) -> Iterator[Profile]:
    for document, digest in rows:
        profile = _stored_profile(document)
        if profile.digest != digest:
            raise _altered(f"profile {profile.id}")
        yield profile


def _stored_profile(document: str) -> Profile:
    try:
        return profiles.from_document(document.encode("utf-8"))
    except ValueError as error:
        raise _altered("a profile") from error


def _altered(what: str) -> StoreError:
    return StoreError(
        f"{what} in the database was altered or damaged: it does not match its digest",
        hint="`oauthsync check` shows what is whole; restore the database from a copy",
    )


def _matching(found: Difference, provider: str | None, name: str) -> Difference:
    def matches(profile: Profile) -> bool:
        return provider in (None, profile.provider) and fnmatchcase(profile.name, name)

    return Difference(
        tuple(filter(matches, found.added)),
        tuple(filter(matches, found.removed)),
        tuple(each for each in found.changed if matches(each.old) or matches(each.new)),
    )


def _parse_date(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise UsageError(
            f"{text!r} is no snapshot",
            hint="use an id, `latest`, `latest~1`, or a date like 2026-11-20",
        ) from error


@contextmanager
def _sqlite_errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise unusable("the database", error) from error
