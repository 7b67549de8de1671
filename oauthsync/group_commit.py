"""One transaction for what several threads want written at the same time.

What costs is to wait for the disk, and that is once for each transaction. Whoever comes while
another one waits for it is written in the next one, together with all others that have come.
"""

import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlite_utils import Database

from oauthsync.database import writing

T = TypeVar("T")


@dataclass
class _Write:
    work: Callable[[sqlite3.Connection], Any]
    result: Any = None
    error: BaseException | None = None
    is_over: bool = False


class GroupCommit:
    """Writes to one database; usable by several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: list[_Write] = []
        self._lock = threading.Lock()
        self._turn = threading.Lock()

    def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` returns, when what it has written is on the disk.

        Where one of several works fails, none of them is done. Raises what that has raised, and
        StoreError where the database cannot be used.
        """
        mine = _Write(work)
        with self._lock:
            self._waiting.append(mine)
        with self._turn:
            if not mine.is_over:
                self._write_all()
        assert mine.is_over
        if mine.error is not None:
            raise mine.error
        result: T = mine.result
        return result

    def _write_all(self) -> None:
        with self._lock:
            writes, self._waiting = self._waiting, []
        try:
            with writing(self._database) as connection:
                for each in writes:
                    each.result = each.work(connection)
        except BaseException as error:  # noqa: BLE001 - raised by each of those that it concerns
            for each in writes:
                each.error = error
        for each in writes:
            each.is_over = True
