"""The benchmark: its table, how it measures, and how it treats a workspace that is somebody's."""

import contextlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from oauthsync.sandbox import Request, Sandbox
from scripts import measuring
from scripts.bench import SECTIONS, main
from scripts.bench_url import FIRST, Budget, announced, costs
from scripts.measuring import Figure, Run, Table, turns
from tests.clock import FakeClock

TOKEN = "token-that-nobody-may-see"
PYTHON = sys.executable


# --- the table ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("figure", "holds"),
    [
        (Figure("x", 3.4, "s"), None),
        (Figure("x", 3.5, "s", limit=3.5), True),
        (Figure("x", 3.6, "s", limit=3.5), False),
        (Figure("x", 9.0, "s", ratio=1.9, ratio_limit=2), True),
        (Figure("x", 9.0, "s", ratio=2.1, ratio_limit=2), False),
        (Figure("x", 9.0, "s", ratio=1.9, limit=8, ratio_limit=2), False),
        (Figure("x", 0, limit=0), True),
    ],
)
def test_a_figure_holds_where_it_keeps_to_each_of_its_limits(
    figure: Figure, holds: bool | None
) -> None:
    assert figure.holds is holds
    verdict = {None: "", True: "ok", False: "MISSED"}[holds]
    assert figure.line.split()[-1] == verdict or not verdict


def test_the_table_shows_value_cpu_time_ratio_and_limit(
    capsys: pytest.CaptureFixture[str],
) -> None:
    table = Table()
    loop = Run(seconds=10.0, cpu_seconds=1.0, peak_mb=30.0)
    table.add_run("export", Run(2.5, 4.25, 50.0), ("plain loop", loop), limit=2, ratio_limit=0.5)
    table.add(Figure("served", 3244.4, "pages/s"))
    table.add(Figure("requests", 206, limit=206))
    assert [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()] == [
        "median of value CPU s ratio at most",
        "export 2.50 s 4.25 0.25 x plain loop 2 s, 0.5 x MISSED",
        "served 3,244 pages/s",
        "requests 206 206 ok",
    ]


def test_the_document_says_what_was_measured_where_when_and_of_what() -> None:
    table = Table()
    table.add(Figure("x", 1.5, "s", limit=1))
    document = table.document()
    assert document["python"] == ".".join(map(str, sys.version_info[:3]))
    assert {"date", "machine", "commit"} < document.keys()
    [figure] = document["figures"]
    assert (figure["what"], figure["value"], figure["holds"]) == ("x", 1.5, False)


# --- measuring ----------------------------------------------------------------------------------


def test_programs_take_turns_and_a_figure_is_the_median_of_its_runs() -> None:
    order = []

    def program(name: str, *seconds: float) -> Iterator[Run]:
        for each in seconds:
            order.append(name)
            yield Run(each, cpu_seconds=each * 2, peak_mb=7.0)

    one, other = program("one", 3.0, 9.0, 1.0), program("other", 5.0, 4.0, 6.0)
    medians = turns(3, lambda: next(one), lambda: next(other))
    assert order == ["one", "other"] * 3
    assert [run.seconds for run in medians] == [3.0, 5.0]
    assert medians[0] == Run(3.0, 6.0, 7.0)


def test_a_process_is_measured_without_the_memory_of_the_one_that_measures() -> None:
    here = bytes(range(256)) * 400_000
    small = measuring.run([PYTHON, "-c", "pass"], {})
    large = measuring.run([PYTHON, "-c", "bytes(range(256)) * 200_000; sum(range(10**6))"], {})
    assert small.peak_mb < 40 < 50 < large.peak_mb < len(here) / 2**20
    assert 0 < small.cpu_seconds < large.cpu_seconds
    assert large.seconds > 0


def test_a_process_that_fails_ends_the_benchmark_with_what_it_said_and_no_secret() -> None:
    script = "import os; print('said', os.environ['T'], flush=True); 1 / 0"
    with pytest.raises(SystemExit) as caught:
        measuring.run([PYTHON, "-c", script], {"T": TOKEN}, secret=TOKEN)
    assert "said …" in str(caught.value)
    assert "ZeroDivisionError" in str(caught.value)
    assert TOKEN not in str(caught.value)


# --- a workspace that is somebody's -------------------------------------------------------------


def test_a_workspace_is_only_read_at_the_cost_that_was_said_and_nobody_sees_the_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BENCH_TOKEN", TOKEN)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    arguments: list[str] = []

    def look_around(_request: Request) -> None:
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):  # it has ended
                arguments.append(process.read_text(errors="replace"))

    with Sandbox([TOKEN], profiles=120, requests_per_minute=1000) as sandbox:
        sandbox.hook = look_around
        options = ["--token-env=BENCH_TOKEN", "--requests-per-minute=1000", "--peers", "--runs=1"]
        main([f"--url={sandbox.url}", *options, f"--json={tmp_path / 'figures.json'}"])
        requests = list(sandbox.requests)
    printed, complained = capfd.readouterr()
    said = [int(number) for number in re.findall(r": (\d+) requests", printed)]
    assert said == [4, 4, 2, 2]
    assert len(requests) == 4 + sum(said)
    assert {(request.method, request.status) for request in requests} == {("GET", 200)}
    names = ["first export", "later export", "plain loop", "curl and sqlite-utils"]
    figures = json.loads((tmp_path / "figures.json").read_text())["figures"]
    assert [figure["what"].split(": ")[1].split(", ")[-1] for figure in figures] == names
    assert any("curl\0" in each for each in arguments)
    assert any("oauthsync\0export" in each for each in arguments)
    assert TOKEN not in "".join([*arguments, printed, complained])
    # Its quota is the one that this user's other processes keep to.
    assert list((tmp_path / "state" / "oauthsync" / "quota").glob("*.db"))


@pytest.mark.parametrize(
    ("profiles", "later", "plain", "dlt"),
    [(0, 1, 1, 1), (99, 1, 1, 2), (100, 3, 2, 2), (199, 4, 2, 3), (10_000, 201, 101, 101)],
)
def test_the_cost_of_a_run_follows_from_the_length_of_the_list(
    profiles: int, later: int, plain: int, dlt: int
) -> None:
    assert list(costs(profiles).values()) == [later, plain, plain, dlt]


def test_a_peer_that_would_exceed_the_quota_is_left_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert announced("plain loop", 60, 60)
    assert not announced("plain loop", 61, 60)
    assert announced(FIRST, 120, 60)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "  plain loop: 60 requests"
    assert lines[1].endswith("61 requests; left out, as it would meet with 429")
    assert lines[2].endswith("120 requests; waiting is measured, too")


def test_a_run_begins_when_its_requests_are_within_the_quota(tmp_path: Path) -> None:
    clock = FakeClock()
    begun: list[float] = []

    def run(seconds: float) -> None:
        begun.append(clock.now())
        clock.sleep(seconds)

    with contextlib.closing(Budget(tmp_path / "budget.db", 60, clock)) as budget:
        for requests in (40, 20, 30, 200):
            budget.spend(requests, lambda: run(5))
    first, second, third, fourth = (moment - begun[0] for moment in begun)
    assert (first, second) == (0, 5)
    assert third == 5 + 60
    assert fourth == third + 5 + 60


# --- the command line ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ("--only nothing", "invalid choice: 'nothing'"),
        ("--runs 0", "'0' is not a whole number from 1"),
        ("--largest many", "'many' is not a whole number from 1"),
        ("--json /nowhere/figures.json", "is not a file in a folder that exists"),
        ("--peers", "--peers does not go without --url"),
        ("--token-env BENCH_TOKEN", "--token-env does not go without --url"),
        ("--url https://127.0.0.1 --only sizes", "--only does not go with --url"),
        ("--url https://127.0.0.1", "--token-env is not the name of an environment variable"),
        ("--url https://127.0.0.1 --token-env NOT_SET", "NOT_SET is not set"),
        ("--url https://127.0.0.1 --token-env BENCH_TOKEN --dlt", "--dlt needs --peers"),
        ("--url http://example.com --token-env BENCH_TOKEN", "must begin with https://"),
    ],
)
def test_a_wrong_argument_is_said_before_anything_is_measured(
    arguments: str,
    complaint: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("BENCH_TOKEN", TOKEN)
    with pytest.raises(SystemExit) as caught:
        main(arguments.split())
    printed, complained = capsys.readouterr()
    assert (caught.value.code, printed) == (2, "")
    assert complaint in complained


@pytest.mark.parametrize("token", [f"{TOKEN}\n", ""])
def test_a_token_that_cannot_be_one_is_refused_and_not_shown(
    token: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BENCH_TOKEN", token)
    with pytest.raises(SystemExit):
        main(["--url=https://127.0.0.1", "--token-env=BENCH_TOKEN"])
    complained = capsys.readouterr().err
    assert "environment variable BENCH_TOKEN" in complained
    assert TOKEN not in complained


def test_help_names_every_section(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    printed = capsys.readouterr().out
    assert all(f"  {name} " in printed for name in SECTIONS)


def test_a_section_is_measured_and_its_figures_are_kept(tmp_path: Path) -> None:
    main(["--only=sizes", "--largest=20", "--runs=1", f"--json={tmp_path / 'figures.json'}"])
    figures = json.loads((tmp_path / "figures.json").read_text())["figures"]
    assert all(figure["what"].startswith("20 profiles: ") for figure in figures)
    kinds = {figure["unit"]: figure for figure in figures}
    assert kinds.keys() == {"s", "MB", "%"}
    assert 10 < kinds["MB"]["value"] < 150
    assert sum(figure["cpu_seconds"] is not None for figure in figures) == 6
