"""Progress for people, on stderr: one moving line on a terminal, plain lines elsewhere.

Whoever watches may go at any time: a line that cannot be written stops nothing.
"""

import contextlib
import math
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TextIO

from oauthsync.events import Event, ExportEnded, PageRead, StepEnded, Waiting
from oauthsync.text import count_of, inline

PER_PAGE = 100
WINDOW = 60.0

NOTABLE = 5.0
"""Seconds of waiting that are worth a line where there is no terminal."""

BRIEF = 1.0
"""Seconds of waiting that are worth one with `verbose`."""

EVERY = 10.0
"""Seconds between two lines where there is no terminal."""

REDRAW = 0.1
"""Seconds between two states of the moving line: each costs a system call."""

_REASONS = {
    "quota": "quota",
    "retry": "to try again",
    "unknown outcome": "what came of a request is not known",
}

Now = Callable[[], float]


@dataclass(frozen=True)
class Pace:
    """What an estimate needs of a workspace: its quota, and how many profiles it probably has."""

    requests_per_minute: int
    profiles: int = 0


PaceOf = Callable[[str], Pace]
"""A workspace's pace, by its name."""

ColumnsOf = Callable[[TextIO], int]
"""How many columns a terminal has."""


@dataclass
class Job:
    """What is known of the work on one workspace; `wait_ends` is by the clock of the events."""

    workspace: str
    reading: int = 0
    profiles: int = 0
    most_profiles: int = 0
    done: int = 0
    total: int = 0
    wait_ends: float = 0.0
    waits_for: str = ""
    is_over: bool = False

    def take(self, event: Event, now: float) -> None:
        """Note what has happened."""
        match event:
            case PageRead():
                self.reading, self.profiles, self.total = event.reading, event.profiles, 0
                self.most_profiles = max(self.most_profiles, event.profiles)
            case StepEnded():
                self.done, self.total = event.done, event.total
            case Waiting():
                self.wait_ends, self.waits_for = now + event.seconds, event.reason
            case ExportEnded():
                self.is_over = True

    def describe(self, now: float, pace_of: PaceOf) -> str:
        """The state in one line: how far it is, when it may end, what it waits for.

        What matters most comes first, and in few words: a narrow terminal cuts the end off.
        """
        parts = [self._progress()]
        if (seconds := self.wait_ends - now) > 0:
            if (
                self.waits_for == "quota"
                and (left := self.time_left(pace_of(self.workspace))) is not None
            ):
                parts.append(f"~{_duration(seconds + left)} left")
            parts.append(f"waiting {_duration(seconds)} ({_REASONS[self.waits_for]})")
        return f"{inline(self.workspace)}: {', '.join(parts)}"

    def time_left(self, pace: Pace) -> float | None:
        """Seconds from the end of a wait for the quota to that of the work; None: nobody knows.

        A sliding window gives its slots back in the order and at the pace in which they were used.
        """
        left = self._requests_left(pace)
        return WINDOW * ((left - 1) // pace.requests_per_minute) if left > 0 else None

    def _requests_left(self, pace: Pace) -> int:
        if self.total:
            return self.total - self.done
        known = max(pace.profiles, self.most_profiles if self.reading > 1 else 0)
        pages = -(-known // PER_PAGE)
        read = (max(self.reading, 1) - 1) * pages + -(-self.profiles // PER_PAGE)
        # A list of more than one page is read twice.
        return (pages if pages < 2 else 2 * pages) - read

    def _progress(self) -> str:
        if self.total:
            return f"{self.done} of {self.total} done"
        again = " again" if self.reading > 1 else ""
        return f"{self.profiles} read{again}"


def describe_all(jobs: Mapping[str, Job], now: float, pace_of: PaceOf) -> str:
    """The state of all jobs in one line."""
    if len(jobs) == 1:
        [job] = jobs.values()
        return job.describe(now, pace_of)
    read = sum(job.most_profiles for job in jobs.values())
    at_work = [job for job in jobs.values() if not job.is_over]
    done = len(jobs) - len(at_work)
    told = f"{done} of {len(jobs)} workspaces done, {count_of(read, 'profile')} read"
    if len(at_work) == 1:
        return f"{told}; {at_work[0].describe(now, pace_of)}"
    if waits := [job for job in at_work if job.wait_ends > now]:
        reasons = dict.fromkeys(_REASONS[job.waits_for] for job in waits)
        longest = max(job.wait_ends for job in waits) - now
        told += f", {len(waits)} waiting for up to {_duration(longest)} ({', '.join(reasons)})"
    return told


def _duration(seconds: float) -> str:
    return f"{math.ceil(seconds)} s" if seconds < 100 else f"{seconds / 60:.0f} min"


class Progress:
    """Listens to events and shows nothing: the base of what does."""

    def __call__(self, event: Event) -> None:
        """Take an event, from any thread."""

    def wipe(self) -> None:
        """Leave the stream to somebody else."""


class _Shown(Progress):
    def __init__(self, stream: TextIO, pace_of: PaceOf, now: Now) -> None:
        self._stream = stream
        self._pace_of = pace_of
        self._now = now
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()

    def _take(self, event: Event) -> Job:
        job = self._jobs.setdefault(event.workspace, Job(event.workspace))
        job.take(event, self._now())
        return job

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError):
            self._stream.write(text)
            self._stream.flush()


class PlainLines(_Shown):
    """A line now and then, and for each long wait; with `verbose`, for all but brief waits."""

    def __init__(
        self, stream: TextIO, pace_of: PaceOf, now: Now = time.monotonic, *, verbose: bool
    ) -> None:
        super().__init__(stream, pace_of, now)
        self._verbose = verbose
        self._told = now()

    def __call__(self, event: Event) -> None:
        """Take an event, from any thread."""
        with self._lock:
            job = self._take(event)
            now = self._now()
            is_notable = self._verbose
            if isinstance(event, Waiting):
                is_notable = event.seconds >= (BRIEF if self._verbose else NOTABLE)
            if not (is_notable or now - self._told >= EVERY):
                return
            self._told = now
            line = job.describe(now, self._pace_of)
            if isinstance(event, StepEnded):
                line += f", {event.action} {inline(event.name)}"
            self._write(f"{line}\n")


class MovingLine(_Shown):
    """The state of everything in one line, which is written over, and counts waits down."""

    def __init__(
        self, stream: TextIO, pace_of: PaceOf, now: Now = time.monotonic, *, columns: ColumnsOf
    ) -> None:
        super().__init__(stream, pace_of, now)
        self._columns_of = columns
        self._drawn: float | None = None
        self._ticker: threading.Thread | None = None

    def __call__(self, event: Event) -> None:
        """Take an event, from any thread."""
        with self._lock:
            self._take(event)
            if self._ticker is None:
                self._ticker = threading.Thread(target=self._tick, name="progress", daemon=True)
                self._ticker.start()
            # What is not drawn now is drawn by the next event, or by the ticker.
            if self._drawn is None or self._now() - self._drawn >= REDRAW:
                self._draw()

    def wipe(self) -> None:
        """Leave the stream to somebody else; the next event brings the line back."""
        with self._lock:
            if self._drawn is not None:
                self._drawn = None
                self._write("\r\x1b[K")

    def _draw(self) -> None:
        from oauthsync.layout import shortened

        self._drawn = self._now()
        line = describe_all(self._jobs, self._drawn, self._pace_of)
        # A line that wraps cannot be written over.
        self._write(f"\r\x1b[K{shortened(line, self._columns_of(self._stream) - 1)}")

    def _tick(self) -> None:
        while True:
            time.sleep(1.0)
            with self._lock:
                if self._drawn is not None:
                    self._draw()


def progress_on(
    stream: TextIO | None, pace_of: PaceOf, columns: ColumnsOf, *, quiet: bool, verbose: bool
) -> Progress:
    """What shows progress on a stream (None: there is none)."""
    if stream is None or quiet:
        return Progress()
    if stream.isatty() and not verbose and os.environ.get("TERM") != "dumb":
        return MovingLine(stream, pace_of, columns=columns)
    return PlainLines(stream, pace_of, verbose=verbose)
