"""The SQLite file: opening it safely, its schema and migrations.

Snapshots and the journal share one database, and each keeps to its own tables. A file that is not
ours, is damaged, comes from a newer version, or whose tables were redefined is refused before
anything is read from it: a schema can hold triggers and views that act on whoever opens it.

`docs/database.md` describes the tables for people who open the file themselves.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlite_utils import Database, Migrations

from oauthsync.errors import StoreError
from oauthsync.files import PRIVATE_MODE

APPLICATION_ID = 0x6F617574  # "oaut": tells file(1) and us whose database it is
BUSY_SECONDS = 30.0

migrations = Migrations("oauthsync")


def open_database(path: Path, *, create: bool = True) -> Database:
    """The database at `path`, migrated to this version.

    Raises StoreError where there is none and `create` is false, or where it cannot be used.
    """
    if not create and not path.exists():
        raise StoreError(
            f"there is no {path.name} in {path.parent}",
            hint="take a snapshot with `oauthsync export`, or name the backup folder by --dir",
        )
    if path.is_symlink():
        raise StoreError(f"{path} is a symbolic link, which oauthsync does not follow")
    try:
        _create_private(path)
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, check_same_thread=False)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"cannot open {path}: {error}") from error
    try:
        _shut_doors(connection)
        # Plugins of sqlite-utils would run code of their own on this database.
        database = Database(connection, execute_plugins=False)
        _check_ours(database, path)
        _migrate(database)
        _check_schema(database, path)
    except sqlite3.Error as error:
        connection.close()
        raise unusable(path, error) from error
    except BaseException:
        connection.close()
        raise
    return database


def unusable(path: Path | str, error: sqlite3.Error) -> StoreError:
    """The StoreError for an error of SQLite, with what to do about it."""
    text = str(error)
    hint = None
    if "locked" in text or "busy" in text:
        hint = "another process holds it; try again when that has finished"
    elif "readonly" in text:
        hint = "check the owner and mode of the file and of its folder"
    elif "full" in text:
        hint = "free some space and try again: the earlier backup is untouched"
    elif "malformed" in text or "not a database" in text:
        hint = "restore the file from a copy, or move it away to start a new one"
    return StoreError(f"cannot use {path}: {text}", hint=hint)


def _create_private(path: Path) -> None:
    # SQLite creates its file, and the journal beside it, with the mode of what is there.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE_MODE))


def _shut_doors(connection: sqlite3.Connection) -> None:
    """Take from a hostile schema what it could do to whoever opens the file."""
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    connection.execute("PRAGMA foreign_keys = ON")
    # A rollback journal leaves one file behind, not three: the folder goes into backups as it is.
    connection.execute("PRAGMA journal_mode = DELETE")
    # An intent must be on the disk before its request goes out (journal.py).
    connection.execute("PRAGMA synchronous = FULL")


def _check_ours(database: Database, path: Path) -> None:
    (application_id,) = database.execute("PRAGMA application_id").fetchone()
    if (
        application_id != APPLICATION_ID
        and database.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
    ):
        raise StoreError(
            f"{path} is a database, but not one of oauthsync's",
            hint="name another backup folder by --dir, or move the file away",
        )


def _migrate(database: Database) -> None:
    if migrations.pending(database):
        with writing(database):  # another process may be at the same
            database.conn.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            migrations.apply(database)


@contextmanager
def writing(database: Database) -> Iterator[sqlite3.Connection]:
    """One transaction that holds the write lock from its start, done whole or not at all."""
    connection = database.conn
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        database.rollback()
        raise


def _check_schema(database: Database, path: Path) -> None:
    """Refuse a newer version's database, and one whose tables are not the ones we made."""
    known = {migration.name for migration in migrations._migrations}
    applied = {migration.name for migration in migrations.applied(database)}
    if newer := applied - known:
        raise StoreError(
            f"{path} was written by a newer oauthsync ({', '.join(sorted(newer))})",
            hint="upgrade oauthsync: pip install --upgrade oauthsync",
        )
    found = _schema(database)
    altered = [name for name, sql in _expected_schema().items() if found.get(name) != sql]
    if altered or any(key[0] == "trigger" for key in found):
        what = ", ".join(sorted({name for _, name in altered})) or "triggers were added"
        raise StoreError(
            f"the schema of {path} was altered ({what})",
            hint="use an unaltered copy; further tables, indexes and views of your own are fine",
        )


def _schema(database: Database) -> dict[tuple[str, str], str | None]:
    rows = database.execute(
        "SELECT type, name, sql FROM sqlite_master WHERE tbl_name <> ?",
        [migrations.migrations_table],  # made by sqlite-utils, whose versions may differ
    )
    return {(kind, name): sql for kind, name, sql in rows.fetchall()}


def _expected_schema() -> dict[tuple[str, str], str | None]:
    fresh = Database(memory=True, execute_plugins=False)
    migrations.apply(fresh)
    try:
        return _schema(fresh)
    finally:
        fresh.close()


@migrations()
def m001_snapshots_and_runs(db: Database) -> None:
    """The first schema."""
    for statement in _FIRST_SCHEMA.split(";\n\n"):
        db.conn.execute(statement)


_FIRST_SCHEMA = """
CREATE TABLE workspaces (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    url TEXT NOT NULL,
    user_id INTEGER
) STRICT;

CREATE TABLE snapshots (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    workspace_id INTEGER NOT NULL REFERENCES workspaces(id),
    taken_at TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('export', 'safety')),
    profiles INTEGER NOT NULL,
    added INTEGER NOT NULL,
    changed INTEGER NOT NULL,
    removed INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    listings INTEGER NOT NULL,
    digest TEXT NOT NULL
) STRICT;

CREATE INDEX snapshots_of_workspace ON snapshots(workspace_id, id);

CREATE TABLE profile_versions (
    id INTEGER PRIMARY KEY,
    workspace_id INTEGER NOT NULL REFERENCES workspaces(id),
    first_snapshot INTEGER NOT NULL REFERENCES snapshots(id),
    end_snapshot INTEGER REFERENCES snapshots(id),
    profile_id INTEGER NOT NULL,
    digest TEXT NOT NULL,
    provider TEXT NOT NULL,
    name TEXT NOT NULL,
    client_id TEXT,
    user_id INTEGER,
    shared_accounts_count INTEGER,
    oem_customers_count INTEGER,
    created_at TEXT,
    updated_at TEXT,
    document TEXT NOT NULL,
    UNIQUE (workspace_id, profile_id, first_snapshot)
) STRICT;

CREATE INDEX profile_versions_end ON profile_versions(workspace_id, end_snapshot);

CREATE INDEX profile_versions_first_snapshot ON profile_versions(first_snapshot);

CREATE INDEX profile_versions_end_snapshot ON profile_versions(end_snapshot);

CREATE VIEW latest_profiles AS
SELECT workspaces.name AS workspace, snapshots.id AS snapshot, snapshots.taken_at,
    v.profile_id AS id, v.provider, v.name, v.client_id, v.shared_accounts_count,
    v.oem_customers_count, v.created_at, v.updated_at, v.document
FROM workspaces
JOIN snapshots ON snapshots.id = (
    SELECT max(id) FROM snapshots WHERE workspace_id = workspaces.id AND kind = 'export')
JOIN profile_versions AS v ON v.workspace_id = workspaces.id
    AND v.first_snapshot <= snapshots.id
    AND (v.end_snapshot IS NULL OR v.end_snapshot > snapshots.id);

CREATE TABLE runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL CHECK (kind IN ('import', 'undo', 'profile')),
    target_id INTEGER NOT NULL REFERENCES workspaces(id),
    source_id INTEGER REFERENCES workspaces(id),
    snapshot_id INTEGER REFERENCES snapshots(id),
    safety_snapshot_id INTEGER NOT NULL REFERENCES snapshots(id),
    undoes_run INTEGER REFERENCES runs(id),
    started_at TEXT NOT NULL,
    finished_at TEXT,
    state TEXT NOT NULL CHECK (state IN ('running', 'complete', 'incomplete', 'undone')),
    verified INTEGER,
    plan_id TEXT NOT NULL UNIQUE,
    fingerprint TEXT NOT NULL,
    report TEXT NOT NULL
) STRICT;

CREATE TABLE steps (
    id INTEGER PRIMARY KEY,
    run_id INTEGER NOT NULL REFERENCES runs(id),
    position INTEGER NOT NULL,
    action TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('planned', 'done', 'adopted', 'failed')),
    source_id INTEGER,
    target_id INTEGER,
    provider TEXT NOT NULL,
    name TEXT NOT NULL,
    client_id TEXT,
    data TEXT NOT NULL,
    reason TEXT NOT NULL,
    error TEXT,
    UNIQUE (run_id, position)
) STRICT;

CREATE INDEX steps_of_source ON steps(source_id, target_id);

CREATE TABLE calls (
    id INTEGER PRIMARY KEY,
    step_id INTEGER NOT NULL REFERENCES steps(id),
    method TEXT NOT NULL,
    began REAL NOT NULL,
    ended REAL,
    outcome TEXT NOT NULL
        CHECK (outcome IN ('intent', 'done', 'refused', 'not sent', 'unknown', 'settled')),
    detail TEXT
) STRICT;

CREATE INDEX calls_of_step ON calls(step_id)
"""
