"""What a sandbox keeps across restarts, in SQLite: profiles without secrets, and the next id.

No call returns a secret, so none is kept: who rehearses with the real sidecar leaves nothing of it
behind. The file has mode 0600, and one process at a time holds it.
"""

import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from oauthsync.errors import StoreError

Row = tuple[int, int, bytes]
"""id, number of the workspace, JSON document."""

APPLICATION_ID = 0x4F415343
"""What marks a file as a sandbox's (https://sqlite.org/pragma.html#pragma_application_id)."""

_SCHEMA = (
    "CREATE TABLE profiles (id INTEGER PRIMARY KEY, workspace INTEGER NOT NULL, "
    "document BLOB NOT NULL)",
    "CREATE TABLE next_id (id INTEGER NOT NULL)",
    f"PRAGMA application_id = {APPLICATION_ID}",
)


class Database:
    """An open database; raises StoreError where the file cannot be one. Not thread-safe."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
            self._sqlite = sqlite3.connect(path, check_same_thread=False, timeout=0)
        except (OSError, sqlite3.Error) as error:
            raise self._unusable(error) from error
        try:
            self._prepare()
        except sqlite3.Error as error:
            self.close()
            raise self._unusable(error) from error
        except StoreError:
            self.close()
            raise

    def _prepare(self) -> None:
        # A killed process loses nothing without fsync; a killed machine may lose a rehearsal.
        self._sqlite.execute("PRAGMA synchronous = OFF")
        self._sqlite.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._sqlite.execute("BEGIN EXCLUSIVE")
        (application_id,) = self._sqlite.execute("PRAGMA application_id").fetchone()
        (tables,) = self._sqlite.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if tables == application_id == 0:
            for statement in _SCHEMA:
                self._sqlite.execute(statement)
        elif application_id != APPLICATION_ID:
            # Above all the user's own oauthsync.db, which a sandbox must not write to.
            raise self._unusable("it belongs to another program")
        self._sqlite.commit()

    def load(self) -> tuple[int, list[Row]] | None:
        """The next id and all profiles by id, or None where the file is new."""
        try:
            next_id = self._sqlite.execute("SELECT id FROM next_id").fetchone()
            rows = self._sqlite.execute("SELECT * FROM profiles ORDER BY id").fetchall()
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        return None if next_id is None else (next_id[0], rows)

    def save(self, next_id: int, rows: Iterable[Row] = (), delete: Iterable[int] = ()) -> None:
        """Store and delete profiles, in one transaction."""
        try:
            with self._sqlite as sqlite:
                sqlite.execute("DELETE FROM next_id")
                sqlite.execute("INSERT INTO next_id VALUES (?)", (next_id,))
                sqlite.executemany("INSERT OR REPLACE INTO profiles VALUES (?,?,?)", rows)
                sqlite.executemany("DELETE FROM profiles WHERE id = ?", [(i,) for i in delete])
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def close(self) -> None:
        """Close the file and let go of its lock."""
        self._sqlite.close()

    def _unusable(self, reason: object) -> StoreError:
        return StoreError(
            f"{self._path} cannot be used as a sandbox's database: {reason}",
            hint="name another file; one that another sandbox has open cannot be shared",
        )
