"""A quota of requests per minute, as a sliding window."""

from collections import deque

WINDOW = 60.0


class SlidingWindow:
    """The requests of the last minute. Not thread-safe."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._times: deque[float] = deque()

    def wait(self, now: float) -> float:
        """0 where one more request is within the quota, else the seconds until it is."""
        # A client that waits for exactly the rest of the window is right, even where its sum
        # and ours round differently.
        while self._times and self._times[0] <= now - WINDOW + 0.001:
            self._times.popleft()
        return 0.0 if len(self._times) < self._limit else WINDOW - (now - self._times[0])

    def count(self, now: float) -> None:
        """Count a request."""
        self._times.append(now)

    def forget(self, at: float) -> None:
        """Take back what was counted at this time, if it has not left the window since."""
        if at in self._times:
            self._times.remove(at)
