"""The budget: exact, shared, polite after a 429, and never in the way of a backup."""

import contextlib
import heapq
import math
import multiprocessing
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from itertools import count
from multiprocessing.queues import SimpleQueue
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oauthsync import quota as quota_module
from oauthsync.clock import SleepInterruptedError
from oauthsync.quota import LONGEST_PAUSE, PROBE_POLL, Quota, Slot
from tests.clock import FakeClock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "quota.db"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@contextlib.contextmanager
def opened(
    path: Path, clock: FakeClock, *, limit: int = 60, window: float = 60.0, lease: float = 60.0
) -> Iterator[Quota]:
    with contextlib.closing(
        Quota(path, requests_per_minute=limit, window=window, lease=lease, clock=clock)
    ) as quota:
        yield quota


@pytest.fixture
def quota(path: Path, clock: FakeClock) -> Iterator[Quota]:
    with opened(path, clock) as quota:
        yield quota


def granted(quota: Quota) -> Slot:
    answer = quota.try_acquire()
    assert isinstance(answer, Slot), f"to wait for {answer} s"
    return answer


def refused(quota: Quota) -> float:
    answer = quota.try_acquire()
    assert isinstance(answer, float), "a slot was granted"
    assert answer > 0
    return answer


# --- the window -----------------------------------------------------------------------------------


def most_in_window(requests: list[tuple[float, float]], window: float) -> int:
    """The most that a server can see in its window, wherever in [grant, answer] each arrived."""
    return max(
        sum(other <= grant and answer > grant - window for other, answer in requests)
        for grant, _ in requests
    )


WINDOW, LEASE = 16.0, 8.0  # sixteenths of seconds add up exactly
sixteenths = st.integers(0, 16 * 20).map(lambda number: number / 16)
latencies = st.none() | st.integers(0, int(16 * LEASE)).map(lambda number: number / 16)


@settings(deadline=None, max_examples=150)
@given(limit=st.integers(1, 4), calls=st.lists(st.tuples(sixteenths, latencies), max_size=25))
def test_no_arrival_pattern_exceeds_the_limit_and_no_slot_is_held_back_without_need(
    limit: int, calls: list[tuple[float, float | None]]
) -> None:
    clock = FakeClock()
    under_way: list[tuple[float, int, Slot]] = []
    requests: list[tuple[float, float]] = []
    counted_until: dict[int, float] = {}

    def pass_time(moment: float) -> None:
        while under_way and under_way[0][0] <= moment:
            answered, number, slot = heapq.heappop(under_way)
            clock.advance_to(answered)
            slot.release()
            counted_until[number] = answered + WINDOW
        clock.advance_to(moment)

    with (
        tempfile.TemporaryDirectory() as folder,
        opened(Path(folder, "quota.db"), clock, limit=limit, window=WINDOW, lease=LEASE) as quota,
    ):
        for number, (gap, latency) in enumerate(calls):
            pass_time(clock.now() + gap)
            while not isinstance(answer := quota.try_acquire(), Slot):
                assert 0 < answer <= WINDOW
                assert sum(until > clock.now() for until in counted_until.values()) >= limit
                pass_time(clock.now() + answer)
            grant = clock.now()
            # A request that is never answered arrives within its lease, if ever.
            requests.append((grant, grant + (LEASE if latency is None else latency)))
            counted_until[number] = grant + LEASE + WINDOW
            if latency is not None:
                heapq.heappush(under_way, (grant + latency, number, answer))
    assert not requests or most_in_window(requests, WINDOW) <= limit


def test_a_burst_passes_at_once_and_then_one_for_each_that_leaves(
    quota: Quota, clock: FakeClock
) -> None:
    start = clock.now()
    for second in range(60):
        clock.advance_to(start + second / 4)
        granted(quota).release()
    assert refused(quota) == 60 - 59 / 4
    for second in range(60):
        clock.advance_to(start + 60 + second / 4)
        granted(quota).release()
        assert refused(quota) == (0.25 if second < 59 else 45.25)


def test_two_hundred_calls_at_sixty_a_minute_take_three_minutes(
    quota: Quota, clock: FakeClock
) -> None:
    start = clock.now()
    waits: list[float] = []
    for _ in range(200):
        quota.acquire(waits.append).release()
    assert clock.now() - start == 180
    assert waits == clock.slept == [60, 60, 60]


def test_a_slow_request_counts_from_its_answer(path: Path, clock: FakeClock) -> None:
    with opened(path, clock, limit=1) as quota:
        slow = granted(quota)
        clock.sleep(50)
        slow.release()
        clock.sleep(59.5)
        assert refused(quota) == 0.5
        clock.sleep(0.5)
        granted(quota)


def test_settling_twice_does_not_prolong_a_slot(path: Path, clock: FakeClock) -> None:
    with opened(path, clock, limit=1) as quota:
        slot = granted(quota)
        slot.release()
        clock.sleep(30)
        slot.release()
        assert refused(quota) == 30
        clock.sleep(30)
        slot = granted(quota)
        slot.rejected(None)
        clock.sleep(30)
        slot.release()
        assert refused(quota) == 30


def test_a_lower_limit_waits_until_its_own_number_is_left(path: Path, clock: FakeClock) -> None:
    with opened(path, clock, limit=5) as quota, opened(path, clock, limit=2) as stricter:
        for _ in range(5):
            granted(quota).release()
            clock.sleep(1)
        assert refused(quota) == 55
        assert refused(stricter) == 58


class HeldClock(FakeClock):
    """A clock that lets nobody's sleep end before `go` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    def sleep(self, seconds: float) -> None:
        self.go.wait()
        super().sleep(seconds)


def test_one_thread_waits_for_the_window_and_the_others_for_their_turn(path: Path) -> None:
    clock = HeldClock()
    with opened(path, clock, limit=1) as quota:
        start = clock.now()
        threads = [
            threading.Thread(target=lambda: quota.acquire().release(), daemon=True)
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        clock.go.set()
        for thread in threads:
            thread.join()
    assert clock.now() - start == 7 * 60
    assert len(clock.slept) == 7


def test_an_error_of_on_wait_ends_the_wait_and_leaves_the_line_to_others(
    path: Path, clock: FakeClock
) -> None:
    def stop(seconds: float) -> None:
        raise InterruptedError(str(seconds))

    with opened(path, clock, limit=1) as quota:
        granted(quota).release()
        with pytest.raises(InterruptedError, match=r"^60\.0$"):
            quota.acquire(stop)
        quota.acquire().release()


def test_an_interrupt_ends_the_wait_of_all_in_the_line(path: Path) -> None:
    clock = HeldClock()
    ended: list[bool] = []

    def wait(quota: Quota) -> None:
        with pytest.raises(SleepInterruptedError):
            quota.acquire()
        ended.append(True)

    with opened(path, clock, limit=1) as quota:
        granted(quota)
        threads = [threading.Thread(target=wait, args=(quota,), daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        clock.interrupt()
        clock.go.set()
        for thread in threads:
            thread.join()
    assert ended == [True] * 4


# --- the gate -------------------------------------------------------------------------------------


def test_nobody_gets_a_slot_until_retry_after_is_over(path: Path, clock: FakeClock) -> None:
    with opened(path, clock) as quota, opened(path, clock) as other_process:
        assert granted(quota).rejected(17.5) == 17.5
        assert refused(quota) == refused(other_process) == 17.5
        clock.sleep(17.5)
        granted(other_process)


def test_without_retry_after_the_pause_doubles_up_to_the_window(
    quota: Quota, clock: FakeClock
) -> None:
    pauses = [quota.acquire().rejected(None) for _ in range(8)]
    assert pauses == [*clock.slept, 60] == [2, 4, 8, 16, 32, 60, 60, 60]


@pytest.mark.parametrize("useless", [0.0, -5.0, math.nan])
def test_a_retry_after_that_says_nothing_is_none(quota: Quota, useless: float) -> None:
    assert granted(quota).rejected(useless) == 2


def test_an_absurd_retry_after_is_probed_once_an_hour(quota: Quota) -> None:
    assert granted(quota).rejected(math.inf) == LONGEST_PAUSE
    assert refused(quota) == LONGEST_PAUSE


def test_the_429s_of_requests_under_way_are_one_429(path: Path, clock: FakeClock) -> None:
    with opened(path, clock) as quota, opened(path, clock) as other_process:
        slots = [granted(quota if number % 2 else other_process) for number in range(20)]
        assert slots.pop().rejected(None) == 2
        clock.sleep(0.5)
        assert [slot.rejected(None) for slot in slots[:10]] == [1.5] * 10
        clock.sleep(1.5)
        assert [slot.rejected(None) for slot in slots[10:]] == [0.0] * 9
        assert granted(quota).rejected(None) == 4


def test_a_429_from_before_a_success_neither_closes_the_gate_nor_hides_a_new_one(
    quota: Quota, clock: FakeClock
) -> None:
    before, rejected = granted(quota), granted(quota)
    rejected.rejected(None)
    clock.sleep(2)
    granted(quota).release()
    after = granted(quota)
    clock.sleep(1)
    assert before.rejected(None) == 0
    granted(quota)
    assert after.rejected(None) == 2


def test_a_later_retry_after_of_a_request_under_way_is_respected(
    quota: Quota, clock: FakeClock
) -> None:
    first, second, third = granted(quota), granted(quota), granted(quota)
    assert first.rejected(10) == 10
    assert second.rejected(30) == 30
    assert third.rejected(5) == 30
    clock.sleep(30)
    assert granted(quota).rejected(None) == 4, "the three were one 429"


def test_after_a_429_one_probe_goes_ahead_and_its_success_opens_the_gate(
    path: Path, clock: FakeClock
) -> None:
    with opened(path, clock) as quota, opened(path, clock) as other_process:
        granted(quota).rejected(None)
        clock.sleep(2)
        probe = granted(quota)
        assert refused(quota) == refused(other_process) == PROBE_POLL
        clock.sleep(1)
        probe.release()
        slots = [granted(quota), granted(other_process)]
        assert slots[0].rejected(None) == 2, "the doubling has ended"


def test_a_rejected_probe_closes_the_gate_for_longer(quota: Quota, clock: FakeClock) -> None:
    granted(quota).rejected(None)
    clock.sleep(2)
    granted(quota).rejected(None)
    assert refused(quota) == 4


def test_a_probe_that_was_released_before_its_429_was_known_still_doubles(
    quota: Quota, clock: FakeClock
) -> None:
    granted(quota).rejected(None)
    clock.sleep(2)
    probe = granted(quota)
    probe.release()
    assert probe.rejected(None) == 4
    assert refused(quota) == 4
    probe.release()
    assert refused(quota) == 4


def test_a_probe_that_is_given_up_is_followed_by_another_after_the_same_pause(
    path: Path, clock: FakeClock
) -> None:
    """Its connection broke: that tells nothing of the quota, and is no reason to wait for long."""
    with opened(path, clock) as quota, opened(path, clock) as other_process:
        granted(quota).rejected(None)
        clock.sleep(2)
        granted(quota).abandon()
        assert refused(quota) == refused(other_process) == 2
        clock.sleep(2)
        probe = granted(other_process)
        assert refused(quota) == PROBE_POLL, "it goes ahead alone"
        assert probe.rejected(None) == 4


def test_a_request_that_was_not_sent_counts_no_more(path: Path, clock: FakeClock) -> None:
    with opened(path, clock, limit=2) as quota, opened(path, clock, limit=2) as other_process:
        granted(quota).release(answered=False)
        sent, unsent = granted(quota), granted(other_process)
        assert refused(quota) == 60
        unsent.release(answered=False)
        granted(quota)
        sent.release()
        assert refused(other_process) == 60


def test_a_probe_that_was_not_sent_neither_opens_the_gate_nor_ends_the_doubling(
    quota: Quota, clock: FakeClock
) -> None:
    granted(quota).rejected(None)
    clock.sleep(2)
    granted(quota).release(answered=False)
    assert refused(quota) == 2
    clock.sleep(2)
    assert granted(quota).rejected(None) == 4


def test_a_probe_that_is_given_up_after_its_lease_changes_nothing(
    path: Path, clock: FakeClock
) -> None:
    """Its machine slept; the probe after it has opened the gate, or is out."""
    with opened(path, clock, lease=45) as quota:
        granted(quota).rejected(None)
        clock.sleep(2)
        late = granted(quota)
        clock.sleep(45)
        later = granted(quota)
        clock.sleep(45)
        probe = granted(quota)
        late.abandon()
        assert refused(quota) == PROBE_POLL
        probe.release()
        later.abandon()
        granted(quota)


def test_a_probe_that_died_is_followed_by_another_after_its_lease(
    path: Path, clock: FakeClock
) -> None:
    with opened(path, clock, lease=45) as quota:
        granted(quota).rejected(None)
        clock.sleep(2)
        granted(quota)
        clock.sleep(44.9)
        assert refused(quota) == pytest.approx(0.1)
        clock.sleep(refused(quota))
        assert granted(quota).rejected(None) == 4


def test_the_success_of_a_request_from_before_the_429_opens_nothing(
    quota: Quota, clock: FakeClock
) -> None:
    before, rejected = granted(quota), granted(quota)
    rejected.rejected(None)
    before.release()
    assert refused(quota) == 2
    clock.sleep(2)
    assert granted(quota).rejected(None) == 4


def test_a_probe_does_not_open_a_gate_that_was_closed_behind_it(
    quota: Quota, clock: FakeClock
) -> None:
    before, rejected = granted(quota), granted(quota)
    rejected.rejected(None)
    clock.sleep(2)
    probe = granted(quota)
    assert before.rejected(20) == 20
    probe.release()
    assert refused(quota) == 20


def test_both_the_gate_and_the_window_are_waited_for(path: Path, clock: FakeClock) -> None:
    with opened(path, clock, limit=1) as quota:
        granted(quota).rejected(None)
        assert refused(quota) == 60
        clock.sleep(60)
        granted(quota).rejected(300)
        assert refused(quota) == 300


def test_a_budget_used_up_by_others_is_found_again_with_few_requests(
    quota: Quota, clock: FakeClock
) -> None:
    start = clock.now()
    at_once = [granted(quota) for _ in range(8)]
    for slot in at_once:
        slot.rejected(None)
    refusals = 0
    while clock.now() < start + 60:
        slot = quota.acquire()
        if clock.now() < start + 60:
            slot.rejected(None)
            refusals += 1
    slot.release()
    assert refusals == 4
    assert clock.now() - start == 62
    for _ in range(55 - 4):
        granted(quota).release()


# --- processes ------------------------------------------------------------------------------------


def run_calls(path: Path, calls: int, results: "SimpleQueue[list[tuple[float, float]]]") -> None:
    quota = Quota(path, requests_per_minute=8, window=0.6, lease=5)
    requests = []
    for number in range(calls):
        slot = quota.acquire()
        grant = time.time()
        time.sleep(0.01 * (number % 3))
        requests.append((grant, time.time()))
        slot.release()
    quota.close()
    results.put(requests)


def test_processes_that_start_at_once_share_one_budget(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    results: SimpleQueue[list[tuple[float, float]]] = context.SimpleQueue()
    workers = [context.Process(target=run_calls, args=(path, 6, results)) for _ in range(4)]
    for worker in workers:
        worker.start()
    requests = [request for _ in workers for request in results.get()]
    for worker in workers:
        worker.join()
    assert len(requests) == 24
    assert most_in_window(requests, 0.6) <= 8
    assert path.exists(), "the budget was shared"


def test_threads_and_quotas_of_one_process_share_the_file(path: Path, clock: FakeClock) -> None:
    answers: list[Slot | float] = []
    with opened(path, clock, limit=50) as one, opened(path, clock, limit=50) as two:
        threads = [
            threading.Thread(
                target=lambda quota: answers.extend(quota.try_acquire() for _ in range(20)),
                args=(quota,),
            )
            for quota in (one, two) * 2
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert one.problem is two.problem is None
    assert sum(isinstance(answer, Slot) for answer in answers) == 50
    assert len(answers) == 80


@pytest.mark.parametrize(
    "what_is_next", [lambda quota, _: granted(quota), lambda _, slot: slot.release()]
)
def test_an_answer_is_told_to_other_processes_with_the_next_grant_or_some_answers_later(
    path: Path, clock: FakeClock, what_is_next: Callable[[Quota, Slot], None]
) -> None:
    with opened(path, clock, limit=5) as quota, opened(path, clock, limit=5) as other_process:
        slots = [granted(quota) for _ in range(5)]
        clock.sleep(10)
        slots[0].release()
        slots[1].release()
        clock.sleep(61)
        refused(other_process)
        what_is_next(quota, slots[2])
        granted(other_process)


@pytest.mark.parametrize(
    "end", [lambda quota, slot: slot.abandon(), lambda quota, _: quota.close()]
)
def test_an_answer_is_not_kept_back_for_a_request_that_is_given_up(
    path: Path, clock: FakeClock, end: Callable[[Quota, Slot], None]
) -> None:
    with opened(path, clock, limit=3) as quota, opened(path, clock, limit=3) as other_process:
        answered, *lost = [granted(quota) for _ in range(3)]
        answered.release()
        for slot in lost:
            end(quota, slot)
        clock.sleep(60)
        granted(other_process)
        assert refused(other_process) == 60, "those that are lost count for their lease"


TAKE_THREE_AND_DIE = """
import os, signal, sys
from pathlib import Path
from oauthsync.quota import Quota
quota = Quota(Path(sys.argv[1]), requests_per_minute=3, lease=60)
for _ in range(3):
    quota.acquire()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_slots_of_a_killed_process_count_until_lease_and_window_are_over(path: Path) -> None:
    result = subprocess.run([sys.executable, "-c", TAKE_THREE_AND_DIE, path], check=False)
    assert result.returncode == -signal.SIGKILL
    clock = FakeClock(start=time.time())
    with opened(path, clock, limit=3) as quota:
        while clock.now() < time.time() + 110:
            clock.sleep(refused(quota))
        clock.sleep(10)
        granted(quota)


# --- the clock ------------------------------------------------------------------------------------


@pytest.mark.parametrize("hours", [1, 24 * 365])
def test_a_clock_set_back_blocks_no_longer_than_the_entries_would_have(
    path: Path, hours: int
) -> None:
    clock = FakeClock()
    with opened(path, clock, limit=3, lease=40) as quota:
        for _ in range(2):
            granted(quota).release()
        granted(quota)
    early = FakeClock(start=clock.now() - hours * 3600)
    with opened(path, early, limit=3, lease=40) as quota:
        assert refused(quota) == 60
        early.sleep(60)
        granted(quota).release()
        granted(quota).release()
        assert refused(quota) == 40, "the request under way kept its lease"
        early.sleep(40)
        granted(quota)


def test_a_clock_set_back_does_not_lengthen_a_closed_gate(path: Path, clock: FakeClock) -> None:
    with opened(path, clock) as quota:
        granted(quota).rejected(30)
    early = FakeClock(start=clock.now() - 7200)
    with opened(path, early) as quota:
        assert refused(quota) == 30
        early.sleep(30)
        granted(quota)


class SettableClock(FakeClock):
    """A clock that can be set back."""

    def set_back(self, seconds: float) -> None:
        self._now -= seconds


def test_a_slot_answered_after_the_clock_was_set_back_counts_for_one_window(path: Path) -> None:
    clock = SettableClock()
    with contextlib.closing(Quota(path, requests_per_minute=1, clock=clock)) as quota:
        slot = granted(quota)
        clock.set_back(3600)
        slot.release()
        assert refused(quota) == 60
        clock.sleep(60)
        granted(quota)


# --- the file -------------------------------------------------------------------------------------


def test_the_file_is_for_its_owner_alone(path: Path, quota: Quota) -> None:
    granted(quota).release()
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_the_state_outlives_its_quota(path: Path, clock: FakeClock) -> None:
    with opened(path, clock, limit=2) as quota:
        granted(quota).release()
        late = granted(quota)
    clock.sleep(30)
    late.release()
    quota.close()
    with opened(path, clock, limit=2) as quota:
        assert refused(quota) == 30


def cut_in_half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def fill_with_text(path: Path) -> None:
    path.write_text("not a database, " * 1000)


def scramble_tables(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))


def empty(path: Path) -> None:
    os.truncate(path, 0)


@pytest.mark.parametrize("damage", [cut_in_half, fill_with_text, scramble_tables, empty])
def test_a_damaged_file_is_replaced(
    path: Path, clock: FakeClock, damage: Callable[[Path], None]
) -> None:
    with opened(path, clock) as quota:
        granted(quota).release()
    path.with_name(path.name + "-journal").write_bytes(b"left over" * 999)
    damage(path)
    with opened(path, clock, limit=1) as quota, opened(path, clock, limit=1) as other_process:
        granted(quota)
        refused(other_process)
        assert quota.problem is other_process.problem is None
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_file_that_replaced_a_damaged_one_is_kept(path: Path, clock: FakeClock) -> None:
    path.parent.mkdir()
    fill_with_text(path)
    with opened(path, clock, limit=1) as quota:
        granted(quota)
        quota.close()
        refused(quota)


def test_a_file_damaged_while_in_use_is_replaced_for_all(path: Path, clock: FakeClock) -> None:
    with opened(path, clock, limit=2) as quota, opened(path, clock, limit=2) as other_process:
        slot = granted(quota)
        granted(other_process)
        fill_with_text(path)
        slot.release()
        granted(other_process)
        refused(quota)
        assert quota.problem is other_process.problem is None


def test_a_file_removed_while_in_use_does_not_divide_the_budget(
    path: Path, clock: FakeClock
) -> None:
    with opened(path, clock, limit=2) as quota, opened(path, clock, limit=2) as other_process:
        slot = granted(quota)
        granted(other_process)
        for file in path.parent.iterdir():
            file.unlink()
        path.parent.rmdir()
        slot.release()
        granted(other_process)
        refused(quota)
        assert quota.problem is None


def no_folder(path: Path) -> None:
    path.parent.write_text("a file where the folder should be")


def a_folder(path: Path) -> None:
    path.mkdir(parents=True)


def a_pipe(path: Path) -> None:
    path.parent.mkdir()
    os.mkfifo(path)


def a_broken_link(path: Path) -> None:
    path.parent.mkdir()
    path.symlink_to("/nowhere/at/all")


@pytest.mark.parametrize("obstacle", [no_folder, a_folder, a_pipe, a_broken_link])
def test_where_no_file_can_be_the_budget_is_kept_in_memory(
    path: Path, clock: FakeClock, obstacle: Callable[[Path], None]
) -> None:
    obstacle(path)
    with opened(path, clock, limit=2) as quota:
        granted(quota).release()
        granted(quota).rejected(90)
        assert refused(quota) == 90
        assert str(path) in (quota.problem or "")
        assert "Errno" not in (quota.problem or "")


WITHOUT_A_WRITABLE_DISK = """
import resource, sys
from pathlib import Path
from oauthsync.quota import Quota
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
quota = Quota(Path(sys.argv[1]), requests_per_minute=2)
slots = [quota.acquire(), quota.acquire()]
assert isinstance(quota.try_acquire(), float)
assert quota.problem
"""


def test_a_disk_that_takes_no_byte_leaves_the_budget_in_memory(
    path: Path, clock: FakeClock
) -> None:
    with opened(path, clock) as quota:
        granted(quota)
    for file in (path, path.with_name("new.db")):
        subprocess.run([sys.executable, "-c", WITHOUT_A_WRITABLE_DISK, file], check=True)
    with opened(path, clock) as quota:
        granted(quota)
        assert quota.problem is None, "the shared file is as good as before"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
@pytest.mark.parametrize("mode", [0o500, 0o000])
def test_a_read_only_home_leaves_the_budget_in_memory(
    tmp_path: Path, clock: FakeClock, mode: int
) -> None:
    tmp_path.chmod(mode)
    try:
        with opened(tmp_path / "state" / "quota.db", clock, limit=1) as quota:
            granted(quota)
            refused(quota)
            assert quota.problem
    finally:
        tmp_path.chmod(0o700)


def test_a_file_that_another_process_never_lets_go_of_is_left_to_it(
    path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quota_module, "BUSY_TIMEOUT", 0.05)
    with opened(path, clock, limit=1) as quota:
        granted(quota).release()
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as stuck:
            stuck.execute("BEGIN EXCLUSIVE")
            granted(quota)
            refused(quota)
        assert "locked" in (quota.problem or "")


class FailingClock(FakeClock):
    """A clock whose first look is interrupted by the user."""

    def __init__(self) -> None:
        super().__init__()
        self._looks = count()

    def now(self) -> float:
        if next(self._looks) == 0:
            raise KeyboardInterrupt
        return super().now()


def test_a_step_that_is_interrupted_leaves_no_lock_behind(path: Path) -> None:
    with opened(path, FailingClock(), limit=1) as quota, opened(path, FakeClock()) as other_process:
        with pytest.raises(KeyboardInterrupt):
            quota.try_acquire()
        granted(other_process).release()
        refused(quota)
        assert quota.problem is other_process.problem is None
