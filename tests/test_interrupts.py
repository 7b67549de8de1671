"""Ctrl-C is held back where it would tear something apart, and comes at the next wait."""

import itertools
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial
from types import FrameType
from typing import Any

import pytest

from oauthsync.cli import cli
from oauthsync.cli.run import EXIT_INTERRUPTED, run
from oauthsync.interrupts import as_completed, held, interrupt, readers, result, wait_for
from tests.desk import DEV, Desk
from tests.store import in_child

PATIENCE = 20.0
NOT_REACHED = 99
NAMES = ["Acme", "Beta"]


@pytest.fixture(autouse=True)
def handler() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, lambda *_: interrupt())
    yield
    signal.signal(signal.SIGINT, before)


def press_ctrl_c() -> None:
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


def test_what_is_not_held_is_interrupted_at_once() -> None:
    with pytest.raises(KeyboardInterrupt):
        press_ctrl_c()


def test_what_is_held_comes_to_its_end_and_then_it_is_once_for_all() -> None:
    done = []

    def hold() -> None:
        with held():
            with held():
                press_ctrl_c()
                press_ctrl_c()
            done.append(1)

    with pytest.raises(KeyboardInterrupt):
        hold()
    with held():
        done.append(2)
    assert done == [1, 2]


def test_an_interruption_comes_in_place_of_an_error() -> None:
    def fail() -> None:
        with held():
            press_ctrl_c()
            raise ValueError("boom")

    with pytest.raises(KeyboardInterrupt) as caught:
        fail()
    assert isinstance(caught.value.__context__, ValueError)


def test_a_wait_within_is_interrupted_and_another_one_by_the_next() -> None:
    never: Future[None] = Future()
    waits: list[Callable[[], object]] = [
        lambda: result(never),
        lambda: wait_for(threading.Event(), PATIENCE),
    ]
    with held():
        for wait in waits:
            timer = threading.Timer(0.0, press_ctrl_c)
            timer.start()
            with pytest.raises(KeyboardInterrupt):
                wait()
            timer.join()


def test_other_threads_hold_nothing_back_and_are_not_interrupted() -> None:
    is_held, goes_on = threading.Event(), threading.Event()

    def hold() -> None:
        with held():
            is_held.set()
            assert wait_for(goes_on, PATIENCE)

    thread = threading.Thread(target=hold)
    thread.start()
    assert is_held.wait(PATIENCE)
    with pytest.raises(KeyboardInterrupt):
        press_ctrl_c()
    goes_on.set()
    thread.join()


def test_a_wait_ends_with_what_it_waits_for() -> None:
    event = threading.Event()
    assert not wait_for(event, 0.0)
    event.set()
    assert wait_for(event, PATIENCE)
    first, second = Future[int](), Future[int]()
    ended = as_completed([first, second])
    second.set_result(2)
    assert next(ended).result() == 2
    first.set_exception(ValueError("boom"))
    assert next(ended) is first
    with pytest.raises(ValueError, match="boom"):
        result(first)


def test_who_reads_is_not_waited_for_after_an_interruption() -> None:
    goes_on, woken = threading.Event(), threading.Event()

    def read() -> None:
        with readers(2, "page", woken.set) as pool:
            pool.submit(goes_on.wait, PATIENCE)
            press_ctrl_c()

    timer = threading.Timer(PATIENCE / 2, goes_on.set)  # who waits for it sees that
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        read()
    assert woken.is_set()
    assert not goes_on.is_set()
    timer.cancel()
    goes_on.set()


def test_who_reads_is_waited_for_after_an_error() -> None:
    goes_on, woken = threading.Event(), threading.Event()

    def read() -> None:
        with readers(2, "page", woken.set) as pool:
            pool.submit(goes_on.wait, PATIENCE)
            threading.Timer(0.0, goes_on.set).start()
            raise ValueError("boom")

    with pytest.raises(ValueError, match="boom"):
        read()
    assert goes_on.is_set()
    assert not woken.is_set()


class Press:
    """Presses Ctrl-C at one line of the code that is most easily torn apart.

    It is the line with this number, among all that the rest of an import passes there, each counted
    once for each function that calls.
    """

    def __init__(self, number: int) -> None:
        self.is_done = False
        self._left = number
        self._passed: set[tuple[str, int, str]] = set()
        self._is_on = False

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> Any:
        self._is_on = self._is_on or frame.f_code.co_name == "carry_on"
        name = frame.f_code.co_filename
        if self._is_on and event == "line" and name.endswith(("contextlib.py", "database.py")):
            caller = frame.f_back.f_code.co_name if frame.f_back else ""
            self._passed.add((name, frame.f_lineno, caller))
            if len(self._passed) == self._left:
                self.is_done = True
                sys.settrace(None)
                press_ctrl_c()
        return self


def test_an_import_that_is_interrupted_anywhere_ends_with_130_and_goes_on(desk: Desk) -> None:
    lost = desk.create(*NAMES)
    desk.file(("hubspot", "app"))
    desk.done("export")
    workspace = desk.sandbox.workspace(DEV)
    for each in lost:
        workspace.delete(each.id)

    def interrupted_import(number: int) -> None:
        signal.alarm(int(PATIENCE))  # where it hangs
        press = Press(number)
        sys.settrace(press)
        code = run(cli, ["import", "1", "--yes"])
        sys.settrace(None)
        os._exit(code if press.is_done else NOT_REACHED)

    for number in itertools.count(7, 7):
        code = in_child(partial(interrupted_import, number))
        if code == NOT_REACHED:
            break
        assert code == EXIT_INTERRUPTED
        if desk.done("runs")["runs"][0]["state"] != "complete":
            desk.done("resume")
        assert sorted(each.document["name"] for each in workspace.profiles.values()) == NAMES
        for profile_id in list(workspace.profiles):
            workspace.delete(profile_id)
    assert number > 100
