"""The machine's clock, and the tests' own."""

import threading
import time

import pytest

from oauthsync.clock import SleepInterruptedError, SystemClock, moment, timestamp
from tests.clock import FakeClock


def test_a_timestamp_is_utc_to_the_second() -> None:
    assert timestamp(1_795_428_000.9) == "2026-11-23T10:00:00Z"


def test_a_timestamp_is_read_again_and_nothing_else_is() -> None:
    assert moment("2026-11-23T10:00:00Z") == 1_795_428_000
    for text in ("", "2026-11-23", "2026-11-23T10:00:00", "2026-11-31T10:00:00Z"):
        assert moment(text) is None


def test_interrupting_wakes_a_sleeper_of_another_thread_and_every_later_one() -> None:
    clock, woken = SystemClock(), threading.Event()

    def sleep() -> None:
        with pytest.raises(SleepInterruptedError):
            clock.sleep(60)
        woken.set()

    sleeper = threading.Thread(target=sleep)
    sleeper.start()
    clock.interrupt()
    assert woken.wait(10)
    sleeper.join()
    with pytest.raises(SleepInterruptedError):
        clock.sleep(60)


def test_the_system_clock_tells_the_time() -> None:
    before = time.time()
    clock = SystemClock()
    clock.sleep(0)
    assert before <= clock.now() <= time.time()


def test_sleepers_of_the_fake_clock_share_the_time() -> None:
    clock = FakeClock(start=100.0)
    clock.sleep(5)
    clock.advance_to(103)
    assert clock.now() == 105
    assert clock.slept == [5]
