"""Progress for people: one moving line on a terminal, plain lines elsewhere, never on stdout."""

import threading
import time
from typing import TextIO

from oauthsync.events import Event, Listener, PageRead, StepEnded, Waiting, ignore

NOTABLE = 5.0
"""Seconds of waiting that are worth a line where there is no terminal."""

_REASONS = {
    "quota": "the request quota",
    "retry": "another try",
    "unknown outcome": "the server to be done with a request that got no answer",
}


def listener_for(stream: TextIO, *, quiet: bool, verbose: bool) -> Listener:
    """What shows events on this stream."""
    if quiet:
        return ignore
    if stream.isatty():
        return _MovingLine(stream)
    return _PlainLines(stream, verbose=verbose)


class _PlainLines:
    """A line for what takes long; with `verbose`, for everything."""

    def __init__(self, stream: TextIO, *, verbose: bool) -> None:
        self._stream = stream
        self._verbose = verbose

    def __call__(self, event: Event) -> None:
        if self._verbose or (isinstance(event, Waiting) and event.seconds >= NOTABLE):
            self._stream.write(describe(event) + "\n")
            self._stream.flush()


class _MovingLine:
    """The newest event, in one line that is written over and wiped at the end."""

    def __init__(self, stream: TextIO) -> None:
        import atexit

        self._stream = stream
        self._lock = threading.Lock()
        self._shown = 0.0
        atexit.register(self._wipe)

    def __call__(self, event: Event) -> None:
        with self._lock:
            now = time.monotonic()
            # A terminal shows no more than some lines a second, and each costs a system call.
            if isinstance(event, Waiting) or now - self._shown > 0.05:
                self._shown = now
                self._stream.write(f"\r\x1b[K{describe(event)}")
                self._stream.flush()

    def _wipe(self) -> None:
        with self._lock:
            if self._shown:
                self._stream.write("\r\x1b[K")
                self._stream.flush()


def describe(event: Event) -> str:
    """An event in one line."""
    from oauthsync.render import inline

    match event:
        case PageRead():
            text = f"{event.profiles} profiles read"
            if event.reading > 1:
                text += f", reading {event.reading}"
        case Waiting():
            text = f"waiting {event.seconds:.0f} s for {_REASONS[event.reason]}"
        case StepEnded():
            text = f"{event.done}/{event.total}: {event.action} {inline(event.name)}"
    return f"{inline(event.workspace)}: {text}"
