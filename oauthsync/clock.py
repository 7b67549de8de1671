"""Time as an argument: whoever waits or reads the time takes a `Clock`, so a test can steer it."""

import threading
import time
from datetime import UTC, datetime
from typing import Protocol

from oauthsync.interrupts import wait_for

_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


class Clock(Protocol):
    """The time, and a way to let it pass."""

    def now(self) -> float:
        """Seconds since the epoch, as every process of the machine sees them."""
        ...

    def sleep(self, seconds: float) -> None:
        """Return when `now()` has advanced by `seconds`, or raise SleepInterruptedError."""
        ...

    def interrupt(self) -> None:
        """Wake every sleeper, and let nobody sleep again: the user wants to go."""
        ...


class SleepInterruptedError(Exception):
    """Raised out of `Clock.sleep`, in every thread, once `interrupt` was called."""


class SystemClock:
    """The machine's own clock."""

    def __init__(self) -> None:
        self._interrupted = threading.Event()

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Block this thread for `seconds`, or raise SleepInterruptedError."""
        if wait_for(self._interrupted, max(seconds, 0.0)):
            raise SleepInterruptedError

    def interrupt(self) -> None:
        """Wake every sleeper, and let nobody sleep again."""
        self._interrupted.set()


def timestamp(seconds: float) -> str:
    """Seconds since the epoch as `2026-11-23T10:00:00Z`."""
    return datetime.fromtimestamp(seconds, UTC).strftime(_FORMAT)


def moment(text: str) -> float | None:
    """Seconds since the epoch of a time like `2026-11-23T10:00:00Z`; None where it is none."""
    try:
        return datetime.strptime(text, _FORMAT).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
