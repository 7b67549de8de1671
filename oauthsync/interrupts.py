"""Ctrl-C where it does no harm: held back, and raised at waits.

Python raises KeyboardInterrupt between any two instructions of the main thread, also within those
that release a lock, end a transaction or wait for a thread: whatever `with` and `finally` promise,
a process can hang then, or end with another error. So an interruption of what is `held` is noted,
and raised by the waits of this module, and at the hold's end.

That takes a handler of signals which calls `interrupt`; without one, all is as Python has it. All
other threads know no signals: a hold does nothing there, and the waits just wait.
"""

import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

POLL = 0.1
"""Seconds after which a wait looks whether it was interrupted."""

T = TypeVar("T")

_holds = 0
_noted = 0


def interrupt() -> None:
    """Raise KeyboardInterrupt: now, or as soon as the main thread's holds allow; for a handler."""
    global _noted
    if not _holds:
        raise KeyboardInterrupt
    _noted += 1


class held:  # noqa: N801 - it reads as `with held():`
    """Nothing in this block is interrupted but its waits. (A generator could not promise that.)"""

    def __enter__(self) -> None:
        global _holds
        self._counts = _in_main_thread()
        if self._counts:
            _holds += 1

    def __exit__(self, *_: object) -> None:
        global _holds, _noted
        if self._counts:
            _holds -= 1
            if not _holds and _noted:
                _noted = 0
                raise KeyboardInterrupt


def as_completed(futures: "Collection[Future[T]]") -> "Iterator[Future[T]]":
    """The futures as they end, each once."""
    ended: SimpleQueue[Future[T]] = SimpleQueue()
    for future in futures:
        future.add_done_callback(ended.put)
    for _ in futures:
        yield _taken(ended)


def wait(futures: "Collection[Future[Any]]") -> None:
    """Return when all of them have ended."""
    for _ in as_completed(futures):
        pass


def result(future: "Future[T]") -> T:
    """What a future returns, or raises, when it ends."""
    wait([future])
    return future.result()


@contextmanager
def readers(width: int, name: str, wake: Callable[[], None]) -> "Iterator[ThreadPoolExecutor]":
    """Threads that read: an interruption has `wake` called, and waits for none of them."""
    from concurrent.futures import ThreadPoolExecutor

    pool = ThreadPoolExecutor(width, thread_name_prefix=name)
    is_interrupted = False
    try:
        yield pool
    except KeyboardInterrupt:
        is_interrupted = True
        wake()
        raise
    finally:
        pool.shutdown(wait=not is_interrupted, cancel_futures=True)


def wait_for(event: threading.Event, seconds: float) -> bool:
    """Wait for an event, for at most so many seconds; whether it came."""
    if not _in_main_thread():
        return event.wait(seconds)
    end = monotonic() + seconds
    with held():
        while not event.wait(max(min(end - monotonic(), POLL), 0.0)):
            _raise_noted()
            if monotonic() >= end:
                return False
        return True


def _taken(queue: SimpleQueue[T]) -> T:
    if not _in_main_thread():
        return queue.get()
    with held():
        while True:
            _raise_noted()
            with suppress(Empty):
                return queue.get(timeout=POLL)


def _raise_noted() -> None:
    global _noted
    if _noted:
        _noted -= 1
        raise KeyboardInterrupt


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
