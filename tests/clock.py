"""A clock that tests turn by hand."""

import threading

from oauthsync.clock import SleepInterruptedError


class FakeClock:
    """Time passes only by `sleep`, at once; sleepers side by side share the time they wait for."""

    def __init__(self, start: float = 1_795_428_000.0) -> None:
        self._now = start
        self._lock = threading.Lock()
        self._interrupted = False
        self.slept: list[float] = []

    def now(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        with self._lock:
            if self._interrupted:
                raise SleepInterruptedError
            wake = self._now + max(seconds, 0.0)
            self.slept.append(seconds)
        self.advance_to(wake)

    def advance_to(self, moment: float) -> None:
        with self._lock:
            self._now = max(self._now, moment)

    def interrupt(self) -> None:
        self._interrupted = True
