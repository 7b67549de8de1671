"""One request budget per workspace, shared by every process of this user on this machine.

The budget is a sliding window: bursts are allowed, the window is never exceeded. Sixty requests go
out at once, then one for each that leaves the window.

What counts. The server counts a request when it arrives, which is some time between its grant and
its answer. So a slot counts from its grant until `window` seconds after its answer. A slot that was
never settled (its process died, its answer never came) counts until `window` seconds after its
lease, which is the longest that a request can take. One whose request was never sent counts no
more. These are exact bounds as long as nobody sets the clock forward: at no moment can the server
see more than the limit in its window, wherever between grant and answer it counted.

The gate. A 429 all the same means that somebody else uses the workspace's quota. It closes the gate
for every thread and process: for the server's `Retry-After` where it gave one, else for 1/30 of a
window (2 s), doubled with each consecutive 429 up to a whole window. Then one request goes ahead
alone, as a probe: its success opens the gate and ends the doubling, its 429 closes the gate again.
One that was not sent, or is given up, closes it for as long as the last pause did, and if it is
never settled the next probe follows after the lease. A 429 to a request that was already under way
when the gate closed is the same 429 met again: it doubles nothing, though a later `Retry-After` is
respected. Gate and slots are told apart by the number of closings that a slot's
grant had seen, not by time, so a clock that jumps confuses nothing.

The clock. An entry that begins in the future was made before the clock was set back. It begins now
instead, so such a jump blocks for no longer than the entry would have lasted anyway.

The state is a small SQLite file, with one IMMEDIATE transaction for each grant. While more requests
of a Quota are under way than it has answers, an answer is written down together with what comes
next: until then, other processes take it for not answered yet, and wait rather too long than too
short. The journal mode is PERSIST: a process may be killed at any point. WAL
would be faster, but needs shared memory, which network home folders do not give, and its first use
by two processes at once fails as locked. A file that is damaged is replaced (once by each Quota);
one that cannot be used leaves the budget to this Quota's memory, and `problem` says why. No trouble
with the file ever stops a backup.

Why not pyrate-limiter: it stamps a request when it is granted, so a slow request and, a minute
later, a fast one can meet in the server's window. Its count and its insert are not one transaction,
so processes need a lock file beside it. And it cannot be told of a 429.
"""

import contextlib
import os
import secrets
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from oauthsync.clock import Clock, SystemClock
from oauthsync.files import PRIVATE_MODE

# A server's Retry-After beyond this is probed once an hour rather than believed for days.
LONGEST_PAUSE = 3600.0
# While a probe is under way the others ask again this often: about the time an answer takes.
PROBE_POLL = 0.25
# A transaction takes well under a millisecond: whoever holds the file for this long is stuck.
BUSY_TIMEOUT = 5.0

_SCHEMA = (
    # What counts against the window. One tree of a page or two: each page costs system calls.
    "CREATE TABLE IF NOT EXISTS slots (until REAL NOT NULL, number INTEGER NOT NULL,"
    " since REAL NOT NULL, PRIMARY KEY (until, number)) WITHOUT ROWID",
    # One row. closings: how often it has closed. backoff: its last pause, 0 after a success.
    # probing: it is closed only because a probe is under way.
    "CREATE TABLE IF NOT EXISTS gates (id INTEGER PRIMARY KEY CHECK (id = 0),"
    " closings INTEGER NOT NULL, backoff REAL NOT NULL, probing INTEGER NOT NULL,"
    " since REAL NOT NULL, until REAL NOT NULL)",
)

T = TypeVar("T")


class Slot:
    """Leave to send one request, to be settled by `release`, `rejected` or `abandon`.

    It was granted at `since`, and counts until `until`. `closings` and `backoff` are the gate's at
    the grant; a slot with a backoff is a probe.
    """

    def __init__(
        self, quota: "Quota", closings: int, backoff: float, since: float, until: float
    ) -> None:
        # Random: a slot that outlives a replaced file must not meet a namesake in the new one.
        self.number = secrets.randbits(63)
        self.closings = closings
        self.backoff = backoff
        self.since = since
        self.until = until
        self._quota = quota
        self._settled = False

    def release(self, *, answered: bool = True) -> None:
        """The answer is in, and no 429; or not `answered`: the request certainly was not sent.

        Once the slot is settled, this does nothing.
        """
        if not self._settled:
            self._settled = True
            self._quota._release(self, answered=answered)

    def rejected(self, retry_after: float | None) -> float:
        """The answer is a 429: nobody gets a slot for the number of seconds that this returns.

        `retry_after` is what the server asked for, in seconds: None, or nothing above zero, where
        it did not say. The result is 0 for a 429 that others met and overcame already. In place of
        `release`, or after it.
        """
        self._settled = True
        return self._quota._reject(self, retry_after)

    def abandon(self) -> None:
        """Nobody knows whether the request can still arrive: it counts for its whole lease."""
        self._settled = True
        self._quota._abandon(self)


class Quota:
    """The budget of one workspace; any number of threads may use one Quota.

    All processes that share `path` share the budget. `requests_per_minute` are allowed in any
    `window` seconds, which is the same for all. `lease` is the longest that a request can take, in
    seconds.
    """

    def __init__(
        self,
        path: Path,
        *,
        requests_per_minute: int,
        window: float = 60.0,
        lease: float = 60.0,
        clock: Clock | None = None,
    ) -> None:
        assert requests_per_minute >= 1, "a budget of nothing would wait for ever"
        self._limit = requests_per_minute
        self._window = window
        self._lease = lease
        self._clock = clock or SystemClock()
        self._state = _State(path)
        self._turn = threading.Lock()
        self._lock = threading.Lock()
        # Under the lock: what is not answered yet, and answers that are not written down yet.
        self._under_way: set[Slot] = set()
        self._answered: list[tuple[Slot, float]] = []

    @property
    def problem(self) -> str | None:
        """Why the budget is not shared with other processes; None where it is."""
        return self._state.problem

    def try_acquire(self) -> Slot | float:
        """A slot, or the seconds (> 0) until it is worth asking again."""
        with self._lock:
            answer = self._transact(self._grant)
            if isinstance(answer, Slot):
                self._under_way.add(answer)
        return answer

    def acquire(self, on_wait: Callable[[float], None] | None = None) -> Slot:
        """A slot, waited for where need be; `on_wait` is told the seconds before each sleep.

        One thread at a time waits for the window or the gate, the others stand in line behind it:
        a slot that becomes free wakes one thread, not all. Raises what the clock's sleep raises
        (SleepInterruptedError), in each of them.
        """
        with self._turn:
            while not isinstance(answer := self.try_acquire(), Slot):
                if on_wait is not None:
                    on_wait(answer)
                self._clock.sleep(answer)
        return answer

    def close(self) -> None:
        """Let go of the file. A slot settled after this opens it once more."""
        with self._lock:
            if self._answered:
                self._transact(_nothing)
            self._state.close()

    def _release(self, slot: Slot, *, answered: bool) -> None:
        def work(db: sqlite3.Connection) -> None:
            if not answered:
                self._remove(db, slot)
                self._probe_again(db, slot)
            elif slot.backoff and slot.closings == self._gate(db)[0]:
                now = self._clock.now()
                self._set_gate(db, slot.closings, 0.0, now, now)

        with self._lock:
            self._under_way.discard(slot)
            if answered:
                self._answered.append((slot, self._clock.now()))
            if not answered or slot.backoff or len(self._answered) >= len(self._under_way):
                self._transact(work)

    def _abandon(self, slot: Slot) -> None:
        with self._lock:
            self._under_way.discard(slot)
            if slot.backoff or (self._answered and len(self._answered) >= len(self._under_way)):
                self._transact(lambda db: self._probe_again(db, slot))

    def _reject(self, slot: Slot, retry_after: float | None) -> float:
        def work(db: sqlite3.Connection) -> float:
            now = self._now(db)
            # Whether the server counts what it refuses is unknown: assume that it does.
            self._settle(db, slot, now)
            closings, backoff, probing, opens = self._gate(db)
            pause = 0.0
            if slot.closings == closings:
                pause = backoff = min(slot.backoff * 2 or self._window / 30, self._window)
            if retry_after is not None and retry_after > 0:
                pause = min(retry_after, LONGEST_PAUSE)
            # Behind a probe the gate is open, but for politeness: only a real closing is kept.
            closed_until = now if probing else max(opens, now)
            if now + pause > closed_until:
                closed_until = now + pause
                self._set_gate(db, closings + 1, backoff, now, closed_until)
            return closed_until - now

        with self._lock:
            self._under_way.discard(slot)
            return self._transact(work)

    def _transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` returns, with all answers written down before; the lock is held."""

        def settled(db: sqlite3.Connection) -> T:
            for slot, answered in self._answered:
                self._settle(db, slot, answered)
            return work(db)

        result = self._state.transact(settled)
        self._answered.clear()
        return result

    # --- within a transaction -------------------------------------------------------------------

    def _grant(self, db: sqlite3.Connection) -> Slot | float:
        now = self._now(db)
        closings, backoff, probing, opens = self._gate(db)
        gate_wait = min(opens - now, PROBE_POLL) if probing else opens - now
        wait = max(gate_wait, self._window_wait(db, now))
        if wait > 0:
            return wait
        if backoff:
            self._set_gate(db, closings, backoff, now, now + self._lease, probing=True)
        slot = Slot(self, closings, backoff, now, now + self._lease + self._window)
        self._insert(db, slot, now)
        return slot

    def _probe_again(self, db: sqlite3.Connection, slot: Slot) -> None:
        """Close the gate behind the probe that is out, if it is this one, for its last pause."""
        found = db.execute("SELECT 1 FROM gates WHERE probing AND since = ?", (slot.since,))
        if slot.backoff and found.fetchone():
            now = self._clock.now()
            self._set_gate(db, slot.closings, slot.backoff, now, now + slot.backoff)

    def _now(self, db: sqlite3.Connection) -> float:
        """The time; entries that were made before the clock was set back begin now."""
        now = self._clock.now()
        db.execute(
            "UPDATE slots SET until = until - since + :now, since = :now"
            # Nothing counts for less than a window: so few rows are looked at.
            " WHERE until > :now + :window AND since > :now",
            {"now": now, "window": self._window},
        )
        db.execute(
            "UPDATE gates SET until = until - since + :now, since = :now WHERE since > :now",
            {"now": now},
        )
        return now

    def _window_wait(self, db: sqlite3.Connection, now: float) -> float:
        """Seconds until fewer than the limit count; 0 where they do."""
        db.execute("DELETE FROM slots WHERE until <= ?", (now,))
        (count,) = db.execute("SELECT count(*) FROM slots").fetchone()
        if count < self._limit:
            return 0.0
        row: tuple[float] = db.execute(
            "SELECT until FROM slots ORDER BY until LIMIT 1 OFFSET ?", (count - self._limit,)
        ).fetchone()
        # A request still under way may be answered any moment, and then leaves in one window.
        return min(row[0] - now, self._window)

    def _settle(self, db: sqlite3.Connection, slot: Slot, answered: float) -> None:
        """Count a slot until a window after its answer, whatever became of its row."""
        self._remove(db, slot)
        slot.until = answered + self._window
        self._insert(db, slot, answered)

    def _remove(self, db: sqlite3.Connection, slot: Slot) -> None:
        found = db.execute(
            "DELETE FROM slots WHERE until = ? AND number = ?", (slot.until, slot.number)
        )
        if not found.rowcount:  # its time was changed, as the clock was set back
            db.execute("DELETE FROM slots WHERE number = ?", (slot.number,))

    def _insert(self, db: sqlite3.Connection, slot: Slot, since: float) -> None:
        db.execute(
            "INSERT INTO slots (until, number, since) VALUES (?, ?, ?)",
            (slot.until, slot.number, since),
        )

    def _gate(self, db: sqlite3.Connection) -> tuple[int, float, bool, float]:
        """How often it has closed, its last pause, whether a probe is out, when it opens."""
        row = db.execute("SELECT closings, backoff, probing, until FROM gates").fetchone()
        return (0, 0.0, False, 0.0) if row is None else row

    def _set_gate(
        self,
        db: sqlite3.Connection,
        closings: int,
        backoff: float,
        now: float,
        until: float,
        *,
        probing: bool = False,
    ) -> None:
        db.execute(
            "REPLACE INTO gates (id, closings, backoff, probing, since, until)"
            " VALUES (0, ?, ?, ?, ?, ?)",
            (closings, backoff, probing, now, until),
        )


def _nothing(_db: sqlite3.Connection) -> None:
    """For a transaction that only writes answers down."""


class _State:
    """The SQLite file behind a budget, or memory where the file cannot be used.

    For one thread at a time: a transaction is shorter than SQLite's own steps of waiting for a
    second connection.
    """

    def __init__(self, path: Path) -> None:
        self.problem: str | None = None
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._inode: tuple[int, int] | None = None
        self._damaged: tuple[int, int] | None = None  # to be removed
        self._replaced = False

    def transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` returns, run as one transaction that no other process is in."""
        while True:
            try:
                with _in_turn, self._current() as connection:  # which commits, or rolls back
                    connection.execute("BEGIN IMMEDIATE")
                    return work(connection)
            except (sqlite3.Error, OSError) as error:
                if self.problem is not None:
                    raise  # in memory there is nothing left that could fail but the program
                self._recover(error)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _current(self) -> sqlite3.Connection:
        # A file that was removed or replaced meanwhile would go on working, for this process alone.
        if self.problem is None and self._connection and _inode(self._path) != self._inode:
            self.close()
        return self._connection or self._connect()

    def _connect(self) -> sqlite3.Connection:
        if self.problem is None:
            self._remove_damaged()
            _create(self._path)
            # Before connecting: if the file is replaced in between, the next look notices.
            self._inode = _inode(self._path)
        connection = sqlite3.connect(
            ":memory:" if self.problem is not None else self._path,
            timeout=BUSY_TIMEOUT,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            _set_up(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def _recover(self, error: sqlite3.Error | OSError) -> None:
        self.close()
        if _is_damage(error) and not self._replaced:
            self._damaged = self._inode
            self._replaced = True
        else:
            reason = error.strerror if isinstance(error, OSError) else error
            self.problem = f"{self._path} cannot be used: {reason}"

    def _remove_damaged(self) -> None:
        # Once, as the new file may get the same inode; not if another process has done it already.
        damaged, self._damaged = self._damaged, None
        if damaged is not None and damaged == _inode(self._path):
            # The journal first: SQLite would roll a leftover one back into the new file.
            self._path.with_name(self._path.name + "-journal").unlink(missing_ok=True)
            self._path.unlink(missing_ok=True)


def _set_up(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = PERSIST")
    # A loss of power loses what counted in the last minute, and nothing else.
    connection.execute("PRAGMA synchronous = OFF")
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        for table in _SCHEMA:
            connection.execute(table)


_creating = threading.Lock()
_in_turn = threading.Lock()
"""Held in a transaction, of whatever file: each of its calls lets go of the interpreter, and a
hundred threads that want it back at every call keep each other from working."""


def _create(path: Path) -> None:
    """An empty file with mode 0600, where there is none; SQLite would create it for all to read."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    # Closing a file drops every lock that this process has on it (POSIX), SQLite's too. So only a
    # new file is opened here, and no thread goes on to SQLite before it is closed.
    with _creating, contextlib.suppress(FileExistsError):
        os.close(os.open(path, flags, PRIVATE_MODE))


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _is_damage(error: sqlite3.Error | OSError) -> bool:
    # An extended code has the primary one in its lowest byte (sqlite.org/rescode.html).
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
