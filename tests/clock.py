"""A clock that tests turn by hand."""

import threading


class FakeClock:
    """Time passes only by `sleep`, at once; sleepers side by side share the time they wait for."""

    def __init__(self, start: float = 1_795_428_000.0) -> None:
        self._now = start
        self._lock = threading.Lock()
        self.slept: list[float] = []

    def now(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        with self._lock:
            wake = self._now + max(seconds, 0.0)
            self.slept.append(seconds)
        self.advance_to(wake)

    def advance_to(self, moment: float) -> None:
        with self._lock:
            self._now = max(self._now, moment)
