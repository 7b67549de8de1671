"""The versions of profiles: each state is stored once, with the span of snapshots that hold it.

A span begins at `first_snapshot` and ends before `end_snapshot` (NULL while it lasts), and covers
the snapshots of its workspace in between. So an unchanged profile adds nothing to a new snapshot.

What a version's document says counts; its other columns repeat some of it for people's queries.
These functions work within the caller's transaction.
"""

import sqlite3
from collections.abc import Iterable, Iterator

from oauthsync import profiles
from oauthsync.errors import StoreError
from oauthsync.profiles import Difference, Profile

BEGINNING = -(2**63)
"""Before any snapshot."""

Columns = tuple[int | str | None, ...]
"""`profile_id` to `oem_customers_count`, in the table's order."""


def columns(profile: Profile, digest: str) -> Columns:
    """What a profile's columns hold; `digest` is its document's."""
    return (
        profile.id,
        digest,
        profile.provider,
        profile.name,
        profile.client_id,
        profile.connections,
        profile.customers,
    )


def store(
    connection: sqlite3.Connection, workspace_id: int, snapshot_id: int, found: Iterable[Profile]
) -> None:
    """End the versions that a new snapshot does not hold, and insert those that are new in it."""
    new = {profile.id: profile for profile in found}
    ended = []
    # The documents are compared, and not their digests: a damaged one must not last.
    for row, profile_id, document in connection.execute(
        "SELECT id, profile_id, CAST(document AS BLOB) FROM profile_versions"
        " WHERE workspace_id = ? AND end_snapshot IS NULL",
        (workspace_id,),
    ):
        profile = new.get(profile_id)
        if profile is not None and profile.document == document:
            del new[profile_id]
        else:
            ended.append((snapshot_id, row))
    connection.executemany("UPDATE profile_versions SET end_snapshot = ? WHERE id = ?", ended)
    connection.executemany(
        "INSERT INTO profile_versions (workspace_id, first_snapshot, profile_id, digest, provider,"
        " name, client_id, shared_accounts_count, oem_customers_count, document)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, CAST(? AS TEXT))",
        (
            (workspace_id, snapshot_id, *columns(profile, profile.digest), profile.document)
            for profile in new.values()
        ),
    )


def documents(connection: sqlite3.Connection, snapshot_id: int) -> Iterator[tuple[int, bytes]]:
    """A snapshot's profile ids and documents, in the order of the ids."""
    return connection.execute(
        "SELECT v.profile_id, CAST(v.document AS BLOB) FROM snapshots AS s"
        " JOIN profile_versions AS v ON v.workspace_id = s.workspace_id"
        " AND v.first_snapshot <= s.id AND (v.end_snapshot IS NULL OR v.end_snapshot > s.id)"
        " WHERE s.id = ? ORDER BY v.profile_id",
        (snapshot_id,),
    )


def begun(
    connection: sqlite3.Connection, after: int, up_to: int
) -> Iterator[tuple[int, int, int | None, bytes, Columns]]:
    """The versions of all workspaces that begin after one snapshot and up to another.

    Each as its workspace's id, its profile's id, its end, its document and its columns.
    """
    # A hostile file may hold values of any type in any column; what is computed with is cast.
    rows = connection.execute(
        "SELECT workspace_id, CAST(profile_id AS INTEGER), CAST(end_snapshot AS INTEGER),"
        " CAST(document AS BLOB), profile_id, digest, provider, name, client_id,"
        " shared_accounts_count, oem_customers_count"
        " FROM profile_versions WHERE first_snapshot > ? AND first_snapshot <= ?",
        (after, up_to),
    )
    return ((*row[:4], row[4:]) for row in rows)


def difference(connection: sqlite3.Connection, old: int, new: int) -> Difference:
    """What changed from one snapshot of a workspace to another of the same.

    Only the versions that differ are read. StoreError where one does not match its own digest.
    """
    span = {"earlier": min(old, new), "later": max(old, new)}
    # The plus signs keep SQLite from walking through all versions of the workspace.
    only_earlier = connection.execute(
        "SELECT profile_id, CAST(document AS BLOB), digest FROM profile_versions"
        " WHERE +workspace_id = (SELECT workspace_id FROM snapshots WHERE id = :later)"
        " AND end_snapshot > :earlier AND end_snapshot <= :later"
        " AND +first_snapshot <= :earlier",
        span,
    )
    only_later = connection.execute(
        "SELECT profile_id, CAST(document AS BLOB), digest FROM profile_versions"
        " WHERE +workspace_id = (SELECT workspace_id FROM snapshots WHERE id = :later)"
        " AND first_snapshot > :earlier AND first_snapshot <= :later"
        " AND (+end_snapshot IS NULL OR +end_snapshot > :later)",
        span,
    )
    before, after = (only_earlier, only_later) if old < new else (only_later, only_earlier)
    return profiles.difference(_checked(before), _checked(after))


def _checked(rows: Iterable[tuple[int, bytes, str]]) -> Iterator[Profile]:
    for profile_id, document, digest in rows:
        if profiles.document_digest(document) != digest:
            raise altered(f"profile {profile_id}")
        yield stored_profile(profile_id, document)


def stored_profile(profile_id: int, document: bytes) -> Profile:
    """The profile in a stored document; StoreError where there is none, or another one."""
    try:
        profile = profiles.from_document(document)
    except ValueError as error:
        raise altered(f"profile {profile_id}") from error
    if profile.id != profile_id:
        raise altered(f"profile {profile_id}")
    return profile


def altered(what: str) -> StoreError:
    """The StoreError for what does not match its digest."""
    return StoreError(
        f"{what} in the database was altered or damaged: it does not match its digest",
        hint="`oauthsync check` shows what is whole; restore the database from a copy",
    )


def follow_snapshots(connection: sqlite3.Connection) -> None:
    """Let the spans begin and end at snapshots again, after some of these were deleted.

    What the remaining snapshots hold stays the same; versions in none of them are deleted.
    """
    connection.execute(
        "DELETE FROM profile_versions AS v WHERE NOT EXISTS (SELECT 1 FROM snapshots AS s"
        " WHERE s.workspace_id = v.workspace_id AND s.id >= v.first_snapshot"
        " AND (v.end_snapshot IS NULL OR s.id < v.end_snapshot))"
    )
    connection.execute(
        "UPDATE profile_versions AS v SET"
        " first_snapshot = (SELECT min(s.id) FROM snapshots AS s"
        "  WHERE s.workspace_id = v.workspace_id AND s.id >= v.first_snapshot),"
        " end_snapshot = (SELECT min(s.id) FROM snapshots AS s"
        "  WHERE s.workspace_id = v.workspace_id AND s.id >= v.end_snapshot)"
        " WHERE v.first_snapshot NOT IN (SELECT id FROM snapshots)"
        " OR v.end_snapshot NOT IN (SELECT id FROM snapshots)"
    )
