"""Progress says how far the work is, what it waits for, and when it may end."""

import io
import threading

import pytest

from oauthsync.events import Event, ExportEnded, PageRead, StepEnded, Waiting
from oauthsync.progress import (
    Job,
    MovingLine,
    Pace,
    PlainLines,
    Progress,
    describe_all,
    progress_on,
)


class Stream(io.StringIO):
    def __init__(self, *, terminal: bool = True) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


class Time:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def pace(_name: str) -> Pace:
    return Pace(60)


def columns(_stream: object) -> int:
    return 80


def job(*events: Event, now: float = 0.0) -> Job:
    found = Job("dev")
    for event in events:
        found.take(event, now)
    return found


# what is said


@pytest.mark.parametrize(
    ("events", "told"),
    [
        ([PageRead("dev", 1, 1)], "dev: 1 read"),
        ([PageRead("dev", 1, 250)], "dev: 250 read"),
        ([PageRead("dev", 1, 250), PageRead("dev", 2, 100)], "dev: 100 read again"),
        ([StepEnded("dev", "create", "Acme", 3, 200)], "dev: 3 of 200 done"),
        ([PageRead("dev", 1, 9), StepEnded("dev", "create", "A", 1, 2)], "dev: 1 of 2 done"),
        ([StepEnded("dev", "create", "A", 2, 2), PageRead("dev", 1, 9)], "dev: 9 read"),
        (
            [PageRead("dev", 1, 9), Waiting("dev", 8.0, "retry")],
            "dev: 9 read, waiting 8 s (to try again)",
        ),
        (
            [StepEnded("dev", "create", "A", 1, 2), Waiting("dev", 40.0, "unknown outcome")],
            "dev: 1 of 2 done, waiting 40 s (what came of a request is not known)",
        ),
        ([Waiting("dev", 0.25, "quota")], "dev: 0 read, waiting 1 s (quota)"),
    ],
)
def test_the_state_of_one_workspace(events: list[Event], told: str) -> None:
    assert job(*events).describe(0.0, pace) == told


def test_a_wait_is_counted_down_and_over_when_its_time_has_come() -> None:
    found = job(PageRead("dev", 1, 9), Waiting("dev", 8.0, "retry"), now=100.0)
    assert "waiting 3 s" in found.describe(105.0, pace)
    assert found.describe(108.0, pace) == "dev: 9 read"


def test_names_of_workspaces_are_escaped() -> None:
    assert "\x1b" not in Job("\x1b[2J").describe(0.0, pace)


# the estimate: 60 requests a minute, so what is left behind a wait takes a minute for each 60


@pytest.mark.parametrize(
    ("done", "total", "told"),
    [
        (60, 61, "~30 s left"),
        (60, 120, "~30 s left"),
        (60, 121, "~90 s left"),
        (60, 260, "~4 min left"),
    ],
)
def test_the_end_of_an_import_is_estimated_where_the_quota_rules(
    done: int, total: int, told: str
) -> None:
    events: list[Event] = [
        StepEnded("dev", "create", "A", done, total),
        Waiting("dev", 30.0, "quota"),
    ]
    assert f", {told}, waiting 30 s" in job(*events).describe(0.0, pace)


@pytest.mark.parametrize(
    ("reading", "read", "expected", "told"),
    [
        (1, 6000, 10_000, ", ~2 min left, "),  # 140 of 200 pages are left
        (2, 6000, 10_000, ", ~30 s left, "),  # 40 are
        (1, 6000, 0, "read, waiting 30 s (quota)"),  # nobody knows
        (1, 0, 99, ", ~30 s left, "),
        (1, 0, 6000, ", ~90 s left, "),
    ],
)
def test_the_end_of_an_export_is_estimated_from_what_there_was(
    reading: int, read: int, expected: int, told: str
) -> None:
    events: list[Event] = [PageRead("dev", reading, read), Waiting("dev", 30.0, "quota")]
    assert told in job(*events).describe(0.0, lambda _: Pace(60, expected))


def test_the_second_reading_is_estimated_from_the_first() -> None:
    found = job(PageRead("dev", 1, 7000), PageRead("dev", 2, 1000), Waiting("dev", 30.0, "quota"))
    assert ", ~30 s left, " in found.describe(0.0, pace)


def test_no_estimate_where_something_else_rules() -> None:
    events: list[Event] = [StepEnded("dev", "create", "A", 1, 500), Waiting("dev", 30.0, "retry")]
    assert "left" not in job(*events).describe(0.0, pace)


def test_a_fleet_is_summed_up() -> None:
    jobs = {name: Job(name) for name in ("a", "b", "c")}
    jobs["a"].take(PageRead("a", 1, 300), 0.0)
    jobs["b"].take(PageRead("b", 1, 100), 0.0)
    assert describe_all(jobs, 0.0, pace) == "0 of 3 workspaces done, 400 profiles read"
    jobs["b"].take(Waiting("b", 20.0, "quota"), 0.0)
    jobs["c"].take(Waiting("c", 50.0, "quota"), 0.0)
    assert describe_all(jobs, 10.0, pace) == (
        "0 of 3 workspaces done, 400 profiles read, 2 waiting for up to 40 s (quota)"
    )
    jobs["c"].take(Waiting("c", 50.0, "retry"), 0.0)
    assert describe_all(jobs, 10.0, pace).endswith("2 waiting for up to 40 s (quota, to try again)")
    for name in ("a", "b"):
        jobs[name].take(ExportEnded(name), 10.0)
    assert describe_all(jobs, 10.0, pace) == (
        "2 of 3 workspaces done, 400 profiles read; c: 0 read, waiting 40 s (to try again)"
    )


# where it is said


def test_what_shows_progress_depends_on_where() -> None:
    def kind(stream: Stream | None, *, quiet: bool = False, verbose: bool = False) -> type:
        return type(progress_on(stream, pace, columns, quiet=quiet, verbose=verbose))

    assert kind(Stream()) is MovingLine
    assert kind(Stream(), verbose=True) is PlainLines
    assert kind(Stream(terminal=False)) is PlainLines
    assert kind(Stream(), quiet=True) is kind(None) is Progress


def test_a_dumb_terminal_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    assert type(progress_on(Stream(), pace, columns, quiet=False, verbose=False)) is PlainLines


def test_nothing_is_shown_where_nobody_watches() -> None:
    progress = Progress()
    progress(PageRead("dev", 1, 100))
    progress.wipe()


def test_plain_lines_come_for_long_waits_and_now_and_then() -> None:
    stream, time = Stream(terminal=False), Time()
    lines = PlainLines(stream, pace, time, verbose=False)
    lines(PageRead("dev", 1, 100))
    lines(Waiting("dev", 0.5, "quota"))
    assert stream.getvalue() == ""
    lines(Waiting("dev", 30.0, "retry"))
    assert stream.getvalue() == "dev: 100 read, waiting 30 s (to try again)\n"
    time.now += 40
    lines(StepEnded("dev", "create", "Acme\x1b", 7, 9))
    assert stream.getvalue().splitlines()[1:] == ["dev: 7 of 9 done, create Acme\\x1b"]
    time.now += 1
    lines(StepEnded("dev", "create", "Acme", 8, 9))
    assert len(stream.getvalue().splitlines()) == 2


def test_verbose_lines_tell_everything_but_brief_waits() -> None:
    stream = Stream(terminal=False)
    lines = PlainLines(stream, pace, Time(), verbose=True)
    lines(PageRead("dev", 1, 100))
    lines(StepEnded("dev", "create", "Acme", 8, 9))
    lines(Waiting("dev", 0.9, "quota"))
    assert len(stream.getvalue().splitlines()) == 2
    lines(Waiting("dev", 1.0, "quota"))
    assert len(stream.getvalue().splitlines()) == 3


def test_the_moving_line_is_written_over_and_wiped() -> None:
    stream, time = Stream(), Time()
    line = MovingLine(stream, pace, time, columns=columns)
    line(PageRead("dev", 1, 100))
    line(PageRead("dev", 1, 200))  # too soon to be seen
    time.now += 1
    line(PageRead("dev", 1, 300))
    line.wipe()
    line.wipe()
    assert stream.getvalue() == ("\r\x1b[Kdev: 100 read\r\x1b[Kdev: 300 read\r\x1b[K")


def test_a_line_of_a_long_export_fits_60_columns() -> None:
    events: list[Event] = [PageRead("dev", 2, 12_000), Waiting("dev", 56.0, "quota")]
    told = job(*events).describe(0.0, lambda _: Pace(10, 28_000))
    assert told == "dev: 12000 read again, ~16 min left, waiting 56 s (quota)"
    assert len(told) < 60


def test_the_moving_line_never_wraps() -> None:
    stream = Stream()
    MovingLine(stream, pace, Time(), columns=columns)(PageRead("名" * 100, 1, 100))
    assert len(stream.getvalue()) < 80


def test_a_stream_that_is_gone_stops_nothing() -> None:
    class Gone(Stream):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

    moving = MovingLine(Gone(), pace, columns=columns)
    for progress in (moving, PlainLines(Gone(), pace, verbose=True)):
        progress(Waiting("dev", 30.0, "quota"))
        progress.wipe()


def test_events_come_from_many_threads() -> None:
    stream = Stream(terminal=False)
    lines = PlainLines(stream, pace, Time(), verbose=True)

    def work(name: str) -> None:
        for number in range(100):
            lines(PageRead(name, 1, number))

    threads = [threading.Thread(target=work, args=(f"w{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told = stream.getvalue().splitlines()
    assert len(told) == 800
    assert all(line.endswith(" read") for line in told)
