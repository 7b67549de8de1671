"""The SQLite file: opening it safely, and one transaction at a time.

Snapshots and the journal share one database, and each keeps to its own tables. A file that is not
ours, is damaged, comes from a newer version, or whose tables were redefined is refused before
anything is read from it or migrated: a schema can hold triggers and views that act on whoever opens
the file.

SQLite's locks keep processes apart; docs/database.md says what they are worth on a network.
"""

import contextlib
import os
import re
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlite_utils import Database

from oauthsync.errors import StoreError, UsageError
from oauthsync.files import PRIVATE_MODE
from oauthsync.interrupts import held
from oauthsync.schema import migrations

APPLICATION_ID = 0x6F617574  # "oaut": tells file(1) and us whose database it is
OLDEST_SQLITE = (3, 37)  # the first one with STRICT tables
BUSY_SECONDS = 30.0

SUPER_JOURNAL = bytes.fromhex("d9d505f920a163d7")
"""How a rollback journal ends that names a second one (https://sqlite.org/fileformat2.html)."""

MAX_ROW = 256 * 1024 * 1024
"""Bytes of a row: more than the API's largest answer can make of one profile."""

_COMPUTED = re.compile(r"\bAS\b", re.IGNORECASE)
"""What a generated column cannot do without (https://sqlite.org/gencol.html)."""

_Schema = dict[tuple[str, str], str | None]
"""The SQL of everything in a database, by kind and name."""

_in_use = threading.RLock()  # a connection has one transaction: the threads take turns

_HINTS = {
    sqlite3.SQLITE_BUSY: "another process holds it; try again when that has finished",
    sqlite3.SQLITE_READONLY: "check the owner and mode of the file and of its folder",
    sqlite3.SQLITE_PERM: "check the owner and mode of the file and of its folder",
    sqlite3.SQLITE_CANTOPEN: "check the owner and mode of the file and of its folder",
    sqlite3.SQLITE_FULL: "free some space and try again: the earlier backup is untouched",
    sqlite3.SQLITE_IOERR: "check the disk and its free space: the earlier backup is untouched",
    sqlite3.SQLITE_CORRUPT: "restore the file from a copy, or move it away to start a new one",
    sqlite3.SQLITE_NOTADB: "restore the file from a copy, or move it away to start a new one",
}


def open_database(path: Path, *, create: bool = True) -> Database:
    """The database at `path`, migrated to this version; it may be used by several threads.

    A file that may only be read can be opened, and writing to it fails. Raises StoreError where
    there is no file, or an empty one, and `create` is false, or where it cannot be used.
    """
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise StoreError(
            f"this Python's SQLite is version {sqlite3.sqlite_version}, and oauthsync needs 3.37",
            hint="use a newer Python",
        )
    _prepare_file(path, create=create)
    try:
        # Absolute: SQLite may take a name that begins with `file:` for a URI.
        connection = sqlite3.connect(path.absolute(), timeout=BUSY_SECONDS, check_same_thread=False)
    except sqlite3.Error as error:
        raise unusable(path, error) from error
    try:
        return _open(connection, path)
    except BaseException as error:
        connection.close()
        if isinstance(error, sqlite3.Error):
            raise unusable(path, error) from error
        raise


def unusable(what: Path | str, error: sqlite3.Error) -> StoreError:
    """The StoreError for an error of SQLite, with what to do about it."""
    code = getattr(error, "sqlite_errorcode", 0)
    return StoreError(f"cannot use {what}: {error}", hint=_HINTS.get(code & 0xFF))


@contextmanager
def reading(database: Database) -> Iterator[sqlite3.Connection]:
    """The connection, for this thread alone, and one state of the database whoever writes to it.

    SQLite's errors leave as StoreErrors.
    """
    with held(), _used_alone(database) as connection:
        if connection.in_transaction:
            yield connection
        else:
            with _transaction(connection, "BEGIN", "ROLLBACK"):
                yield connection


@contextmanager
def writing(database: Database, *, keep: bool = True) -> Iterator[sqlite3.Connection]:
    """As `reading`, in one transaction that is done whole or not at all.

    It holds the write lock from its start, so that nothing read in it changes before its end. With
    `keep` false all of it is undone at the end: a rehearsal.
    """
    with (
        held(),
        _used_alone(database) as connection,
        _transaction(connection, "BEGIN IMMEDIATE", "COMMIT" if keep else "ROLLBACK"),
    ):
        yield connection


def close(database: Database) -> None:
    """Close it once no other thread uses it, which SQLite's connections do not survive."""
    with held(), _in_use:
        database.close()


def inserted(cursor: sqlite3.Cursor) -> int:
    """The id of the row that was just inserted."""
    assert cursor.lastrowid is not None
    return cursor.lastrowid


@contextmanager
def _used_alone(database: Database) -> Iterator[sqlite3.Connection]:
    with _in_use:
        try:
            yield database.conn
        except sqlite3.Error as error:
            raise unusable("the database", error) from error
        except UnicodeEncodeError as error:
            # An argument whose bytes are not UTF-8 reaches Python as lone surrogates.
            raise UsageError("a name that is not UTF-8 cannot be in the database") from error
        except OverflowError as error:
            raise UsageError("a number of more than 64 bits cannot be in the database") from error


@contextmanager
def _transaction(connection: sqlite3.Connection, begin: str, end: str) -> Iterator[None]:
    connection.execute(begin)
    try:
        yield
        connection.execute(end)
    except BaseException:
        connection.rollback()
        raise


def _prepare_file(path: Path, *, create: bool) -> None:
    # Nothing here opens a file that is there already: closing it again would drop the locks that
    # this process may hold on it (fcntl(2)).
    try:
        if not create or os.path.lexists(path):
            status = path.lstat()
            if not stat.S_ISREG(status.st_mode):
                raise StoreError(
                    f"{path} is a symbolic link, a folder or a device, and not a file",
                    hint="put the file itself there, or name the folder it is in by --dir",
                )
            # SQLite takes it for a new one. Only another process's may be: one that creates it now.
            if not create and not status.st_size:
                raise StoreError(
                    f"{path} is empty: it has lost what it held, or nothing ever was in it",
                    hint="restore it from a copy; where no export has ever ended, remove it",
                )
            _check_journal(path.with_name(f"{path.name}-journal"))
            return
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with contextlib.suppress(FileExistsError):  # another process was quicker
            # SQLite gives the mode of its file to the journal that it puts beside it.
            os.close(os.open(path, flags, PRIVATE_MODE))
    except FileNotFoundError as error:
        raise StoreError(
            f"there is no {path.name} in {path.parent}",
            hint="take a snapshot with `oauthsync export`, or name the backup folder by --dir",
        ) from error
    except OSError as error:
        raise StoreError(
            f"cannot open {path}: {error.strerror or error}",
            hint=_HINTS[sqlite3.SQLITE_CANTOPEN],
        ) from error


def _check_journal(path: Path) -> None:
    """Refuse a journal that names another: SQLite deletes that one, whatever file it is.

    None of ours does, as nothing is ever attached.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as file:
            file.seek(-len(SUPER_JOURNAL), os.SEEK_END)
            end = file.read()
    except OSError:  # there is none, or none that SQLite could read
        return
    if end == SUPER_JOURNAL:
        raise StoreError(
            f"{path} is no journal of oauthsync's: it names another file, which would be deleted",
            hint="restore the database and its journal from a copy",
        )


def _open(connection: sqlite3.Connection, path: Path) -> Database:
    _shut_doors(connection)
    # Plugins of sqlite-utils would run code of their own on this database.
    database = Database(connection, execute_plugins=False)
    with _transaction(connection, "BEGIN", "ROLLBACK"):
        is_new = _check(database, path)
    if is_new:
        # So that `prune` can shrink the file within its transaction; only a new file takes it.
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    if migrations.pending(database):
        # Another process may be at the same, and is waited for.
        with _transaction(connection, "BEGIN IMMEDIATE", "COMMIT"):
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            migrations.apply(database)
    return database


def _shut_doors(connection: sqlite3.Connection) -> None:
    """Take from a hostile schema what it could do to us, and make durable what we write."""
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_ROW)
    connection.execute("PRAGMA foreign_keys = ON")
    # An intent must be on the disk before its request goes out (journal.py). FULL would not sync
    # the folder after the rollback journal is removed, and a power cut could bring that back.
    connection.execute("PRAGMA synchronous = EXTRA")


def _check(database: Database, path: Path) -> bool:
    """Refuse what is not ours, newer, or altered; whether there is nothing in it yet."""
    found = _schema(database.conn)
    (application_id,) = database.conn.execute("PRAGMA application_id").fetchone()
    (encoding,) = database.conn.execute("PRAGMA encoding").fetchone()
    is_new = not application_id and not found
    if encoding != "UTF-8" or not (is_new or application_id == APPLICATION_ID):
        raise StoreError(
            f"{path} is a database, but not one of oauthsync's",
            hint="name another backup folder by --dir, or move the file away",
        )
    _refuse(_acting(found), path)
    applied = {migration.name for migration in migrations.applied(database)}
    expected = _expected_schema(applied, path)
    _refuse({key[1] for key, sql in expected.items() if found.get(key) != sql}, path)
    return is_new


def _acting(found: _Schema) -> set[str]:
    """What would run somebody else's statements before the tables are compared with ours."""
    return {
        name
        for (kind, name), sql in found.items()
        if kind == "trigger"
        or (name.lower() == migrations.migrations_table and not _is_mere_table(kind, sql or ""))
    }


def _is_mere_table(kind: str, sql: str) -> bool:
    """Whether reading it gives what is stored there, and computes nothing."""
    return kind == "table" and sql.startswith("CREATE TABLE") and not _COMPUTED.search(sql)


def _refuse(altered: set[str], path: Path) -> None:
    if altered:
        raise StoreError(
            f"the schema of {path} was altered: {', '.join(sorted(map(repr, altered)))}",
            hint="use an unaltered copy; tables, indexes and views of your own are fine beside"
            " oauthsync's, triggers are not",
        )


def _schema(connection: sqlite3.Connection) -> _Schema:
    rows = connection.execute("SELECT type, name, sql FROM sqlite_master").fetchall()
    return {(kind, name): sql for kind, name, sql in rows}


def _expected_schema(applied: set[str], path: Path) -> _Schema:
    """What these migrations create; StoreError where one of them is not ours yet."""
    with Database(memory=True, execute_plugins=False) as database:
        known = {migration.name for migration in migrations.pending(database)}
        if newer := applied - known:
            raise StoreError(
                f"{path} was written by a newer oauthsync ({', '.join(map(repr, newer))})",
                hint="upgrade oauthsync: pip install --upgrade oauthsync",
            )
        migrations.apply(database, stop_before=known - applied)
        schema = _schema(database.conn)
    # sqlite-utils makes its own table, and each of its versions may do so in its own way.
    return {key: sql for key, sql in schema.items() if migrations.migrations_table not in key[1]}
