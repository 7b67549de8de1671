"""The snapshots of workspaces: stored whole or not at all, sharing what did not change.

A snapshot is a row, and the versions of profiles whose span covers it (`versions.py`): an unchanged
workspace adds one row. A snapshot never changes, and its digest covers all its profiles: whoever
reads a snapshot here has had it compared. What tells of changes, and `apps`, read no snapshot: they
show what the rows of several say, and `checks` tells whether those are whole.

Every method raises StoreError where the database cannot be used.
"""

import re
import shlex
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from itertools import pairwise
from typing import Any, Literal

from sqlite_utils import Database

from oauthsync import profiles, versions
from oauthsync.database import inserted, reading, writing
from oauthsync.errors import StoreError, UsageError
from oauthsync.profiles import Difference, Profile

Kind = Literal["export", "safety"]

_COLUMNS = """
SELECT s.id, w.name, w.url, w.user_id, s.taken_at, s.kind, s.profiles, s.added, s.changed,
    s.removed, s.requests, s.listings, s.digest
FROM snapshots AS s JOIN workspaces AS w ON w.id = s.workspace_id
"""


Identity = tuple[str, int | None]
"""Which workspace a token opens: its URL, and its own id where that is known."""


def check_identity(workspace: str, known: Identity, found: Identity) -> None:
    """StoreError where a workspace's name stood for another one; an unknown id agrees with any."""
    if known[0] != found[0] or (None not in (known[1], found[1]) and known != found):
        raise StoreError(
            f"{workspace!r} is another workspace now: its snapshots are of {_described(known)},"
            f" and the API answered for {_described(found)}",
            hint="check its URL and token, or give the other workspace a name of its own",
        )


def _described(identity: Identity) -> str:
    url, user_id = identity
    return url if user_id is None else f"{url} (workspace id {user_id})"


@dataclass(frozen=True)
class Listing:
    """All profiles of one workspace at one time, in the order of their ids, and each id once.

    `taken_at` is like `2026-11-23T10:00:00Z`; `listings` is how often the list was read, `requests`
    how many requests that took.
    """

    workspace: str
    url: str
    taken_at: str
    profiles: tuple[Profile, ...]
    requests: int
    listings: int

    def __post_init__(self) -> None:
        if any(one.id >= next_one.id for one, next_one in pairwise(self.profiles)):
            raise ValueError("a listing's profiles are not in the order of their ids, each once")

    @property
    def user_id(self) -> int | None:
        """The workspace's own id, where its profiles agree on one."""
        return profiles.workspace_id(self.profiles)

    @property
    def identity(self) -> Identity:
        """Which workspace it is of."""
        return (self.url, self.user_id)


@dataclass(frozen=True)
class Snapshot:
    """A stored listing.

    `added`, `changed` and `removed` count against the last export before it, as that stood then.
    """

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

    @property
    def identity(self) -> Identity:
        """Which workspace it is of."""
        return (self.url, self.user_id)


@dataclass(frozen=True)
class LogEntry:
    """What one export found different from the export before it, which still has what is gone."""

    snapshot: Snapshot
    before: Snapshot
    difference: Difference


class Snapshots:
    """The snapshots in one database; usable by several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, listing: Listing, kind: Kind) -> tuple[Snapshot, Difference]:
        """Store a listing; the snapshot, and the difference to the last export before it.

        StoreError where the workspace's name stands for another workspace in this database.
        """
        with writing(self._database) as connection:
            workspace_id = _workspace_id(connection, listing)
            before = _last_export(connection, workspace_id)
            snapshot_id = _insert_snapshot(connection, workspace_id, listing, kind)
            versions.store(connection, workspace_id, snapshot_id, listing.profiles)
            found = Difference()
            if before is not None:
                found = versions.difference(connection, before, snapshot_id)
                connection.execute(
                    "UPDATE snapshots SET added = ?, changed = ?, removed = ? WHERE id = ?",
                    (len(found.added), len(found.changed), len(found.removed), snapshot_id),
                )
        return self.get(snapshot_id), found

    def identify(self, workspace: str, user_id: int) -> None:
        """Note a workspace's own id, where it is in the database and its id is not known yet."""
        with writing(self._database) as connection:
            connection.execute(
                "UPDATE workspaces SET user_id = ? WHERE name = ? AND user_id IS NULL",
                (user_id, workspace),
            )

    def namesakes(self, workspace: str) -> list[str]:
        """The other names under which there are snapshots of the same workspace."""
        with reading(self._database) as connection:
            rows = connection.execute(
                "SELECT other.name FROM workspaces AS this JOIN workspaces AS other"
                " ON other.url = this.url AND other.user_id = this.user_id"
                " WHERE this.name = ? AND other.name <> this.name ORDER BY other.name",
                (workspace,),
            )
            return [name for (name,) in rows]

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
        if workspace is None:
            return self._select("ORDER BY s.id DESC")
        return self._select("WHERE w.name = ? ORDER BY s.id DESC", workspace)

    def newest(self, workspace: str) -> Snapshot | None:
        """The newest snapshot of a workspace, of whichever kind."""
        return self._newest("w.name = ?", workspace)

    def export_before(self, snapshot: Snapshot) -> Snapshot | None:
        """The newest export of a snapshot's workspace that is older than it."""
        return self._newest(
            "w.name = ? AND s.kind = 'export' AND s.id < ?", snapshot.workspace, snapshot.id
        )

    def find(self, selector: str, workspace: str | None = None) -> Snapshot:
        """The snapshot that an id, `latest`, `latest~N` or a date (UTC) selects.

        Only an id reaches a safety snapshot. UsageError where the selector does not parse,
        StoreError where nothing is selected.
        """
        if re.fullmatch("[0-9]{1,18}", selector):
            snapshot = self.get(int(selector))
            if workspace is not None and snapshot.workspace != workspace:
                raise StoreError(
                    f"snapshot {selector} is one of {snapshot.workspace!r}, not of {workspace!r}",
                    hint="leave the workspace out, or name one of its own: `oauthsync snapshots`"
                    " lists them",
                )
            return snapshot
        exports = [each for each in self.all(workspace) if each.kind == "export"]
        back = 0
        if latest := re.fullmatch("latest(?:~([0-9]{1,9}))?", selector):
            back = int(latest[1] or 0)
        else:
            day = _parse_date(selector)
            exports = [each for each in exports if each.taken_at[:10] <= day]
        if back >= len(exports):
            where, name = "", ""
            if workspace is not None:
                where, name = f" of {workspace!r}", f" {shlex.quote(workspace)}"
            raise StoreError(
                f"there is no snapshot {selector}{where}",
                hint=f"`oauthsync snapshots` lists them; `oauthsync export{name}` takes one",
            )
        return exports[back]

    def profiles(self, snapshot: Snapshot, known: Iterable[Profile] = ()) -> tuple[Profile, ...]:
        """A snapshot's profiles in the order of their ids, compared with its digest.

        Those that are among the `known` ones, unchanged, are taken from there and not parsed again.
        """
        same = {(profile.id, profile.document): profile for profile in known}
        return tuple(
            same.get(each) or versions.stored_profile(*each) for each in self._documents(snapshot)
        )

    def last_seen(self, snapshot: Snapshot) -> dict[int, int]:
        """The last export before a snapshot that has a profile which was gone, or changed, by then.

        By the profile's id, the export's; where all those were pruned, a safety snapshot's. For
        hints, as no digest is compared.
        """
        with reading(self._database) as connection:
            rows = connection.execute(
                "SELECT v.profile_id, coalesce("
                "  max((SELECT max(s.id) FROM snapshots AS s"
                "   WHERE s.workspace_id = v.workspace_id AND s.kind = 'export'"
                "   AND s.id >= v.first_snapshot AND s.id < v.end_snapshot)),"
                "  max((SELECT max(s.id) FROM snapshots AS s"
                "   WHERE s.workspace_id = v.workspace_id"
                "   AND s.id >= v.first_snapshot AND s.id < v.end_snapshot)))"
                " FROM snapshots AS this"
                " JOIN profile_versions AS v ON v.workspace_id = this.workspace_id"
                " WHERE this.id = ? AND v.end_snapshot <= this.id"
                " GROUP BY v.profile_id",
                (snapshot.id,),
            )
            return dict(rows.fetchall())

    def apps(self) -> set[tuple[str, str | None]]:
        """The apps of all profiles of all snapshots: for hints, as no digest is compared."""
        with reading(self._database) as connection:
            rows = connection.execute("SELECT DISTINCT provider, client_id FROM profile_versions")
            return set(rows)

    def names(self) -> set[str]:
        """The names of all profiles of all snapshots: for hints, as `apps`."""
        with reading(self._database) as connection:
            rows = connection.execute("SELECT DISTINCT name FROM profile_versions")
            return {name for (name,) in rows}

    def difference(self, old: Snapshot, new: Snapshot) -> Difference:
        """What changed from one snapshot to another."""
        if old.workspace != new.workspace:
            return profiles.difference(self.profiles(old), self.profiles(new))
        with reading(self._database) as connection:
            for snapshot in (old, new):
                self._documents(snapshot)
            return versions.difference(connection, old.id, new.id)

    def log(
        self, workspace: str | None, provider: str | None = None, name: str = "*"
    ) -> Iterator[LogEntry]:
        """The differences from one export to the next, newest first, without the empty ones.

        `provider` and `name` (a glob) keep the profiles that match, before or after the change.
        Reads what differs, and not all of each snapshot.
        """
        newer: dict[str, Snapshot] = {}
        for snapshot in self.all(workspace):
            if snapshot.kind != "export":
                continue
            later = newer.get(snapshot.workspace)
            newer[snapshot.workspace] = snapshot
            if later is not None:
                with reading(self._database) as connection:
                    found = versions.difference(connection, snapshot.id, later.id)
                if kept := _matching(found, provider, name):
                    yield LogEntry(later, snapshot, kept)

    def _documents(self, snapshot: Snapshot) -> list[tuple[int, bytes]]:
        with reading(self._database) as connection:
            found = list(versions.documents(connection, snapshot.id))
        digest = profiles.combined_digest(
            profiles.digest_line(profile_id, profiles.document_digest(document))
            for profile_id, document in found
        )
        if (len(found), digest) != (snapshot.profiles, snapshot.digest):
            raise versions.altered(f"snapshot {snapshot.id}")
        return found

    def _newest(self, condition: str, *parameters: object) -> Snapshot | None:
        found = self._select(f"WHERE {condition} ORDER BY s.id DESC LIMIT 1", *parameters)
        return found[0] if found else None

    def _select(self, where: str, *parameters: object) -> list[Snapshot]:
        with reading(self._database) as connection:
            return [_snapshot(row) for row in connection.execute(_COLUMNS + where, parameters)]


def _snapshot(row: tuple[Any, ...]) -> Snapshot:
    found = Snapshot(*row)
    try:
        date.fromisoformat(found.taken_at[:10])
    except (ValueError, TypeError) as error:
        raise StoreError(
            f"snapshot {found.id} was altered or damaged: its time does not parse",
            hint="restore the database from a copy",
        ) from error
    return found


# --- storing ------------------------------------------------------------------------------------


def _workspace_id(connection: sqlite3.Connection, listing: Listing) -> int:
    row = connection.execute(
        "SELECT id, url, user_id FROM workspaces WHERE name = ?", (listing.workspace,)
    ).fetchone()
    if row is None:
        return inserted(
            connection.execute(
                "INSERT INTO workspaces (name, url, user_id) VALUES (?, ?, ?)",
                (listing.workspace, listing.url, listing.user_id),
            )
        )
    workspace_id, *known = row
    check_identity(listing.workspace, tuple(known), listing.identity)
    connection.execute(
        "UPDATE workspaces SET user_id = coalesce(user_id, ?) WHERE id = ?",
        (listing.user_id, workspace_id),
    )
    return int(workspace_id)


def _last_export(connection: sqlite3.Connection, workspace_id: int) -> int | None:
    (found,) = connection.execute(
        "SELECT max(id) FROM snapshots WHERE workspace_id = ? AND kind = 'export'", (workspace_id,)
    ).fetchone()
    return None if found is None else int(found)


def _insert_snapshot(
    connection: sqlite3.Connection, workspace_id: int, listing: Listing, kind: Kind
) -> int:
    return inserted(
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


# --- reading ------------------------------------------------------------------------------------


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
        if re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            return date.fromisoformat(text).isoformat()
    except ValueError:
        pass  # no such day
    raise UsageError(
        f"{text!r} is no snapshot",
        hint="use an id, `latest`, `latest~1`, or a date like 2026-11-20",
    )
