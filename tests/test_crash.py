"""A process that stops dead, anywhere: the next one ends with what an undisturbed run ends with.

The crash matrix stops an import, and an undo, before and after every write to the journal and every
request, in this process; a few cases kill a real one. Then Ctrl-C, which is not as sudden.
"""

import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from oauthsync import interrupts
from oauthsync.importer import WIDTH, InterruptedRunError
from oauthsync.sandbox import Fault, Request
from tests.clock import FakeClock
from tests.importing import (
    PATIENCE,
    Content,
    Crash,
    Points,
    Template,
    World,
    contents,
    kill_in_write,
    scratch,
    start_import,
)
from tests.invariants import check_invariants
from tests.test_importer import UPDATE, fill

# --- the crash matrix -----------------------------------------------------------------------------


class Matrix:
    """A small import with everything in it, and its undo: set back to the start for each crash."""

    def __init__(self, world: World, folder: Path) -> None:
        self._world = world
        self._folder = folder
        self._numbers = count()
        world.source.create("slack", "with a token", "app", data={"n": 1.0})
        world.source.create("hubspot", "twin", "app")
        world.source.create("hubspot", "twin", "app")
        world.source.create("jira", "renamed", "new app")
        world.target.create("jira", "renamed", "old app")
        world.target.create("hubspot", "another", "app")
        world.file_secrets()
        world.export()
        self.before = contents(world.target)
        replaced = contents(world.target) - Counter(
            each for each in self.before.elements() if each[1] == "renamed"
        )
        self.after: Counter[Content] = contents(world.source) + replaced
        self._start = Template(world)
        imported = self._start.fresh(folder / "imported" / "backup")
        imported.carry_out(options=UPDATE)
        self._imported = Template(imported)

    def to_import(self) -> World:
        return self._start.fresh(self._place())

    def to_undo(self) -> World:
        return self._imported.fresh(self._place())

    def _place(self) -> Path:
        return self._folder / str(next(self._numbers)) / "backup"


@pytest.fixture(scope="module")
def matrix() -> Iterator[Matrix]:
    with scratch() as folder, World(folder / "start" / "backup") as world:
        yield Matrix(world, folder)


def crashes(begin: Callable[[], World], do: Callable[[World], object]) -> Iterator[World]:
    """The world after a crash at each point of `do`, one after the other."""
    for number in count(1):
        world = begin()
        world.points = Points(number)
        try:
            do(world)
        except Crash:
            world.restart()
            world.clock.sleep(number % 3 * 20.0)  # the next start is sooner or later
            yield world
        else:
            assert number > 15, "so few points do not cover an import"
            return


def test_resume_after_a_crash_at_any_point_ends_as_an_undisturbed_import(matrix: Matrix) -> None:
    for world in crashes(matrix.to_import, lambda each: each.carry_out(options=UPDATE)):
        if not world.runs():
            assert world.writes == []
            continue
        if world.runs()[0].state != "complete":
            world.resume()
        assert world.runs()[0].state == "complete"
        check_invariants(world, matrix.after)


def test_the_same_import_again_after_a_crash_ends_as_an_undisturbed_one(matrix: Matrix) -> None:
    for world in crashes(matrix.to_import, lambda each: each.carry_out(options=UPDATE)):
        assert world.carry_out(options=UPDATE).report.run.state == "complete"
        check_invariants(world, matrix.after)


def test_undo_after_a_crash_of_an_undo_ends_with_the_target_as_it_was(matrix: Matrix) -> None:
    for world in crashes(matrix.to_undo, lambda each: each.undo()):
        world.undo(1)
        check_invariants(world, matrix.before)
        *undos, undone = [run.state for run in world.runs()]
        assert (set(undos), undone) == ({"complete"}, "undone")


def test_undo_of_an_import_that_crashed_at_any_point_leaves_nothing_of_it(matrix: Matrix) -> None:
    for world in crashes(matrix.to_import, lambda each: each.carry_out(options=UPDATE)):
        if world.runs():
            world.undo()
            assert contents(world.target) == matrix.before


def test_a_crash_while_recovering_from_a_crash_is_recovered_from(matrix: Matrix) -> None:
    """The first process leaves open calls of each kind; the second one stops at any point."""

    def begin() -> World:
        world = matrix.to_import()
        world.sandbox.faults = [Fault("reset-late", delay=39.0, on="POST", times=2)]
        world.points = Points(crash_on="after end_call unknown")
        with pytest.raises(Crash):
            world.carry_out(options=UPDATE)
        world.sandbox.faults = []
        world.restart()
        return world

    for world in crashes(begin, lambda each: each.resume()):
        if world.runs()[0].state != "complete":
            world.resume()
        assert world.runs()[0].state == "complete"
        check_invariants(world, matrix.after)


# --- a real process, and SIGKILL ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "number"), [(None, 1), ("reset", 2), ("reset-after-apply", 3), ("reset-late", 4)]
)
def test_a_process_that_is_killed_in_a_request_is_carried_on(
    matrix: Matrix, fault: str | None, number: int
) -> None:
    """Killed when the sandbox has got its POST number so and so, and before it is answered."""
    world = matrix.to_import()
    shown = kill_in_write(world, number, Fault(fault, delay=39.0) if fault else None)
    assert shown is not None
    [run] = world.runs()
    assert run.state == "running"
    assert world.resume().report.run.state == "complete"
    check_invariants(world, matrix.after, output=shown)


def test_a_lock_dies_with_its_process(matrix: Matrix) -> None:
    """A second import is refused while the first one runs, and goes on where that was killed."""
    world = matrix.to_import()
    held, release = threading.Event(), threading.Event()

    def hold(request: Request) -> None:
        if request.method == "POST" and not held.is_set():
            held.set()
            release.wait(PATIENCE)

    world.sandbox.hook = hold
    first = start_import(world)
    assert held.wait(PATIENCE)
    second = start_import(world)
    shown, _ = second.communicate(timeout=PATIENCE)
    assert second.returncode == 1
    assert b"in use by another oauthsync process" in shown
    first.kill()
    first.communicate(timeout=PATIENCE)
    release.set()
    world.sandbox.hook = None
    assert world.carry_out(options=UPDATE).report.run.state == "complete"
    check_invariants(world, matrix.after)


# --- Ctrl-C ---------------------------------------------------------------------------------------


class WakingClock(FakeClock):
    """Tells when it was interrupted; `on_sleep` is called before each sleep."""

    def __init__(self) -> None:
        super().__init__()
        self.interrupted = threading.Event()
        self.on_sleep: Callable[[], None] = lambda: None

    def sleep(self, seconds: float) -> None:
        self.on_sleep()
        interrupts.wait_for(self.interrupted, 0.0)
        super().sleep(seconds)

    def interrupt(self) -> None:
        super().interrupt()
        self.interrupted.set()

    def restart(self) -> None:
        """As the clock of the next process, that nobody has interrupted."""
        self._interrupted = False
        self.interrupted.clear()
        self.on_sleep = lambda: None


@pytest.fixture
def waking() -> Iterator[World]:
    with (
        scratch() as folder,
        World(folder / "backup", clock=WakingClock(), requests_per_minute=15) as world,
    ):
        before = signal.signal(signal.SIGINT, lambda *_: interrupts.interrupt())
        yield world
        signal.signal(signal.SIGINT, before)


def press_ctrl_c() -> None:
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


def clock_of(world: World) -> WakingClock:
    assert isinstance(world.clock, WakingClock)
    return world.clock


def interrupt_in_flight(world: World, times: int) -> threading.Event:
    """Press Ctrl-C when the first POSTs are all in flight; they are answered when that was seen."""
    arrived = threading.Barrier(WIDTH, timeout=PATIENCE)
    release = threading.Event()

    def hold(request: Request) -> None:
        if request.method != "POST":
            return
        if arrived.wait() == 0:
            press_ctrl_c()
            assert clock_of(world).interrupted.wait(PATIENCE)
            if times > 1:
                press_ctrl_c()
            else:
                release.set()
        assert release.wait(PATIENCE)

    world.sandbox.hook = hold
    return release


def go_on(world: World) -> None:
    clock_of(world).restart()
    world.restart()
    world.sandbox.hook = None
    world.clock.sleep(60.0)


def test_ctrl_c_finishes_and_records_what_is_in_flight(waking: World) -> None:
    wanted = fill(waking, count=20)
    interrupt_in_flight(waking, times=1)
    with pytest.raises(InterruptedRunError, match="interrupted") as caught:
        waking.carry_out()
    assert caught.value.exit_code == 130
    assert "oauthsync resume 1" in (caught.value.hint or "")
    assert len(waking.writes) == WIDTH
    assert Counter(step.state for step in waking.steps(1)) == {"done": WIDTH, "planned": 22 - WIDTH}
    assert waking.runs()[0].state == "incomplete"
    go_on(waking)
    assert waking.resume().report.run.state == "complete"
    check_invariants(waking, wanted)


def test_a_second_ctrl_c_leaves_at_once_and_the_journal_knows_what_was_in_flight(
    waking: World,
) -> None:
    wanted = fill(waking, count=20)
    release = interrupt_in_flight(waking, times=2)
    with pytest.raises(KeyboardInterrupt):
        waking.carry_out()
    with waking.backup() as backup:
        assert len(backup.journal().open_calls("prod")) == WIDTH
    release.set()
    go_on(waking)
    assert waking.resume().report.run.state == "complete"
    check_invariants(waking, wanted)
    assert Counter(step.state for step in waking.steps(1))["adopted"] == WIDTH


@pytest.mark.parametrize("reason", ["quota", "settling"])
def test_ctrl_c_while_waiting_ends_the_run_at_once(waking: World, reason: str) -> None:
    """In a worker's wait for the quota, and in the main thread's until a call is over."""
    wanted = fill(waking, count=20 if reason == "quota" else 1)
    clock = clock_of(waking)
    clock.sleep(60.0)
    if reason == "settling":
        waking.sandbox.faults = [Fault("reset-after-apply", "POST", times=1)]

    def press_and_wait() -> None:
        clock.on_sleep = lambda: None
        press_ctrl_c()
        interrupts.wait_for(clock.interrupted, PATIENCE)

    clock.on_sleep = press_and_wait
    before = clock.now()
    with pytest.raises(InterruptedRunError, match="run 1 is not finished"):
        waking.carry_out()
    assert clock.now() == before
    assert waking.runs()[0].state == "incomplete"
    waking.sandbox.faults = []
    go_on(waking)
    assert waking.resume().report.run.state == "complete"
    check_invariants(waking, wanted)
