"""Time as an argument: whoever waits or reads the time takes a `Clock`, so a test can steer it."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """The time, and a way to let it pass."""

    def now(self) -> float:
        """Seconds since the epoch, as every process of the machine sees them."""
        ...

    def sleep(self, seconds: float) -> None:
        """Return when `now()` has advanced by `seconds`."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Block this thread for `seconds`."""
        time.sleep(seconds)


def timestamp(seconds: float) -> str:
    """Seconds since the epoch as `2026-11-23T10:00:00Z`."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
