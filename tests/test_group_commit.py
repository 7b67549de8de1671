"""Writes of several threads share a transaction, and each is told when its own is done."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from oauthsync.database import open_database
from oauthsync.errors import StoreError
from oauthsync.group_commit import GroupCommit

TIMEOUT = 20.0


class Writers:
    """A writer that holds its transaction open until `release`, and others that come meanwhile."""

    def __init__(self, path: Path) -> None:
        self.database = open_database(path)
        self.database.execute("CREATE TABLE notes (text TEXT)")
        self.statements: list[str] = []
        self.database.conn.set_trace_callback(self.statements.append)
        self.commits = GroupCommit(self.database)
        self.release = threading.Event()
        self.results: list[int] = []
        self.errors: list[BaseException] = []
        self._threads: list[threading.Thread] = []
        begun = threading.Event()

        def hold(connection: sqlite3.Connection) -> int:
            begun.set()
            assert self.release.wait(TIMEOUT)
            return self.note("first")(connection)

        self.start(hold)
        assert begun.wait(TIMEOUT)

    def note(self, text: str) -> Callable[[sqlite3.Connection], int]:
        def work(connection: sqlite3.Connection) -> int:
            return connection.execute("INSERT INTO notes VALUES (?)", (text,)).lastrowid or 0

        return work

    def start(self, work: Callable[[sqlite3.Connection], int]) -> None:
        def run() -> None:
            try:
                self.results.append(self.commits.write(work))
            except BaseException as error:  # noqa: BLE001 - to be looked at by the test
                self.errors.append(error)

        waiting = len(self.commits._waiting)
        thread = threading.Thread(target=run)
        thread.start()
        self._threads.append(thread)
        while self._threads[1:] and len(self.commits._waiting) == waiting:
            assert thread.is_alive()

    def finish(self) -> list[str]:
        """What is written in the end."""
        self.release.set()
        for thread in self._threads:
            thread.join(TIMEOUT)
        return [text for (text,) in self.database.execute("SELECT text FROM notes")]


@pytest.fixture
def writers(tmp_path: Path) -> Iterator[Writers]:
    found = Writers(tmp_path / "oauthsync.db")
    yield found
    found.database.close()


def test_what_comes_while_a_transaction_is_written_is_written_in_one(writers: Writers) -> None:
    for number in range(6):
        writers.start(writers.note(f"note {number}"))
    assert writers.finish() == ["first", *(f"note {number}" for number in range(6))]
    assert sorted(writers.results) == [1, 2, 3, 4, 5, 6, 7]
    assert writers.statements.count("COMMIT") == 2


def test_where_one_fails_none_is_done_and_each_is_told(writers: Writers) -> None:
    def fail(connection: sqlite3.Connection) -> int:
        connection.execute("INSERT INTO nowhere VALUES (1)")
        return 0

    for work in (writers.note("before"), fail, writers.note("after")):
        writers.start(work)
    assert writers.finish() == ["first"]
    assert [type(error) for error in writers.errors] == [StoreError] * 3
    assert writers.commits.write(writers.note("next")) == 2
