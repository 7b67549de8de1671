"""Measure oauthsync beside its peers, in one run, so that ratios hold whatever the machine does.

Every figure is the median over whole processes; compared programs take turns. The peers are a plain
loop of requests into sqlite3, the same with curl and sqlite-utils, and dlt's rest_api source, which
is installed into a virtual environment of its own when it is asked for. The peers read the list
once; oauthsync reads it until two readings agree.
"""

import argparse
import http.client
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

PYTHON = sys.executable
OAUTHSYNC = str(Path(PYTHON).with_name("oauthsync"))
PEERS = Path(__file__).parent / "peers"
NO_QUOTA = 10_000_000
SPEED = 20
"""How much faster time passes where a minute's quota is measured."""


@dataclass(frozen=True)
class Figure:
    """One line of the table; `ratio` is to `beside`, `limit` the most that it should be."""

    what: str
    value: float
    unit: str
    beside: str = ""
    ratio: float | None = None
    limit: str = ""
    holds: bool | None = None


@dataclass(frozen=True)
class Run:
    seconds: float
    peak_mb: float


class Bench:
    """Collects figures, and keeps the folders and environment of the measured processes."""

    def __init__(self, runs: int) -> None:
        self.runs = runs
        self.figures: list[Figure] = []
        self.scratch = Path(tempfile.mkdtemp(prefix="oauthsync-bench-"))

    def add(self, what: str, value: float, unit: str, **more: Any) -> None:
        figure = Figure(what, value, unit, **more)
        self.figures.append(figure)
        print(_line(figure), flush=True)

    def folder(self, url: str, *, workspaces: Sequence[str] = ("A",)) -> Path:
        """A new backup folder whose workspaces are called like their tokens."""
        folder = Path(tempfile.mkdtemp(dir=self.scratch))
        (folder / "oauthsync.toml").write_text(
            'default_workspace = "A"\n'
            + "".join(
                f'[workspaces.{name}]\nurl = "{url}"\ntoken_env = "TOKEN_{name}"\n'
                f"requests_per_minute = 100000\n"
                for name in workspaces
            )
        )
        return folder

    def run(self, command: Sequence[str], folder: Path) -> Run:
        """One whole process; SystemExit with its output where it fails."""
        environ = os.environ | {
            "OAUTHSYNC_DIR": str(folder),
            "XDG_STATE_HOME": str(folder / "state"),
            "OAUTHSYNC_IDENTITY": str(self.scratch / "key.txt"),
            "TOKEN_A": "A",
            "TOKEN_B": "B",
            "PATH": f"{Path(PYTHON).parent}:{os.environ['PATH']}",
        }
        with tempfile.TemporaryFile() as output:
            begun = time.perf_counter()
            process = subprocess.Popen(command, env=environ, stdout=output, stderr=output)
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - begun
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode != 0:
                output.seek(0)
                raise SystemExit(f"{' '.join(command)} failed:\n{output.read().decode()}")
        return Run(seconds, usage.ru_maxrss / 1024)

    def turns(self, *measured: Callable[[], Run], runs: int | None = None) -> list[Run]:
        """The medians of several measurements that take turns."""
        rounds = [[each() for each in measured] for _ in range(runs or self.runs)]
        return [
            Run(
                statistics.median(run.seconds for run in column),
                statistics.median(run.peak_mb for run in column),
            )
            for column in zip(*rounds, strict=True)
        ]


@contextmanager
def sandbox(*, profiles: int = 0, latency: float = 0.0, quota: int = NO_QUOTA) -> Iterator[str]:
    command = [OAUTHSYNC, "sandbox", "--token", "A", "--token", "B", "--quiet"]
    command += ["--profiles", str(profiles), "--latency", str(latency)]
    command += ["--requests-per-minute", str(quota)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())["url"]
        finally:
            process.terminate()


# --- the measurements ---------------------------------------------------------------------------


def start_up(bench: Bench) -> None:
    folder = bench.folder("http://127.0.0.1:1")
    nothing, click, version, help_ = bench.turns(
        lambda: bench.run([PYTHON, "-c", "pass"], folder),
        lambda: bench.run([PYTHON, "-c", "import click"], folder),
        lambda: bench.run([OAUTHSYNC, "--version"], folder),
        lambda: bench.run([OAUTHSYNC, "--help"], folder),
        runs=15,
    )
    bench.add("python -c pass", nothing.seconds * 1000, "ms")
    bench.add("python -c 'import click'", click.seconds * 1000, "ms")
    for name, run in (("--version", version), ("--help", help_)):
        ratio = run.seconds / click.seconds
        bench.add(
            f"oauthsync {name}",
            run.seconds * 1000,
            "ms",
            beside="import click",
            ratio=ratio,
            limit="< 1.5",
            holds=ratio < 1.5,
        )


def sandbox_alone(bench: Bench) -> None:
    with sandbox(profiles=10_000) as url:
        address = urlsplit(url)
        assert address.hostname is not None
        connection = http.client.HTTPConnection(address.hostname, address.port)
        begun, count = time.perf_counter(), 2000
        for number in range(count):
            path = f"/api/custom_oauth_profiles?page={number % 100 + 1}&per_page=100"
            connection.request("GET", path, headers={"Authorization": "Bearer A"})
            connection.getresponse().read()
        bench.add("the sandbox alone", count / (time.perf_counter() - begun), "pages/s")
        connection.close()


def latency(bench: Bench, dlt: list[str] | None) -> None:
    """10,000 profiles at 100 ms a request, without a quota."""
    with sandbox(profiles=10_000, latency=0.1) as url:
        folders: list[Path] = []

        def first() -> Run:
            folders.append(bench.folder(url))
            return bench.run([OAUTHSYNC, "export"], folders[-1])

        runs = [
            ("oauthsync export, the first", first),
            ("oauthsync export, later ones", lambda: bench.run([OAUTHSYNC, "export"], folders[-1])),
            ("plain loop, one reading", lambda: _peer(bench, url, "plain")),
            ("curl and sqlite-utils, one reading", lambda: _peer(bench, url, "curl")),
        ]
        if dlt:
            runs.append(("dlt, one reading", lambda: _peer(bench, url, "dlt", dlt)))
        medians = bench.turns(*(run for _, run in runs))
    plain = medians[2].seconds
    for (name, _), run in zip(runs, medians, strict=True):
        ours = name.startswith("oauthsync")
        bench.add(
            f"10,000 profiles at 100 ms: {name}",
            run.seconds,
            "s",
            beside="plain loop",
            ratio=run.seconds / plain,
            limit="< 3.5 s" if ours else "",
            holds=run.seconds < 3.5 if ours else None,
        )


def creates(bench: Bench) -> None:
    """200 creates at 100 ms a request, without a quota."""

    def ours() -> Run:
        with sandbox(profiles=200, latency=0.1) as url:
            folder = bench.folder(url, workspaces=("A", "B"))
            bench.run([OAUTHSYNC, "export"], folder)
            _file_secrets(bench, folder)
            return bench.run([OAUTHSYNC, "import", "--to", "B", "--yes", "--quiet"], folder)

    def plain() -> Run:
        with sandbox(latency=0.1) as url:
            command = [PYTHON, str(PEERS / "plain.py"), "create", url, "A", "200"]
            return bench.run(command, bench.folder(url))

    run, loop = bench.turns(ours, plain)
    bench.add(
        "200 creates at 100 ms: oauthsync import, listings included",
        run.seconds,
        "s",
        beside="plain loop",
        ratio=run.seconds / loop.seconds,
        limit="< 3.5 s",
        holds=run.seconds < 3.5,
    )
    bench.add("200 creates at 100 ms: plain loop", loop.seconds, "s")


def sizes(bench: Bench, counts: Sequence[int]) -> None:
    """No latency: what the client itself costs, and how it grows."""
    for count in counts:
        runs = bench.runs if count < 100_000 else 3
        with sandbox(profiles=count) as url:
            folders: list[Path] = []

            def export(url: str = url, folders: list[Path] = folders) -> Run:
                folders.append(bench.folder(url))
                return bench.run([OAUTHSYNC, "export", "--quiet"], folders[-1])

            ours, plain = bench.turns(export, lambda url=url: _peer(bench, url, "plain"), runs=runs)
            ratio = ours.seconds / plain.seconds
            large = count >= 10_000
            bench.add(
                f"{count:,} profiles: export, two readings",
                ours.seconds,
                "s",
                beside="plain loop, one reading",
                ratio=ratio,
                limit="< 2.0" if large else "",
                holds=ratio < 2.0 if large else None,
            )
            bench.add(
                f"{count:,} profiles: export, peak memory",
                ours.peak_mb,
                "MB",
                beside="plain loop",
                ratio=ours.peak_mb / plain.peak_mb,
                limit="< 150 MB",
                holds=ours.peak_mb < 150,
            )
            _later(bench, folders[-1], count)


def _later(bench: Bench, folder: Path, count: int) -> None:
    database = folder / "oauthsync.db"
    before = database.stat().st_size
    for name, command, limit in (
        ("a second, identical export", ["export", "--quiet"], 3.0),
        ("diff with the snapshot before", ["diff", "1", "2", "--quiet"], 2.0),
        ("plan", ["plan", "--quiet"], 2.0),
        ("check", ["check", "--quiet"], 2.0),
    ):
        [run] = bench.turns(
            lambda command=command: bench.run([OAUTHSYNC, *command], folder), runs=3
        )
        bench.add(
            f"{count:,} profiles: {name}",
            run.seconds,
            "s",
            limit=f"< {limit:.0f} s",
            holds=run.seconds < limit,
        )
    grown = (database.stat().st_size - before) / before
    bench.add(
        f"{count:,} profiles: growth by three identical exports",
        grown * 100,
        "%",
        limit="< 1 %" if count >= 10_000 else "",
        holds=grown < 0.01 if count >= 10_000 else None,
    )


def fleet(bench: Bench) -> None:
    """100 workspaces of 300 profiles side by side, beside one."""
    from oauthsync.sandbox import Sandbox

    tokens = [f"t{number}" for number in range(100)]
    with Sandbox(tokens, latency=0.1, requests_per_minute=NO_QUOTA) as running:
        for workspace in running.workspaces:
            workspace.fill(300)
        folder = bench.folder(running.url)
        (folder / "oauthsync.toml").write_text(
            "".join(
                f'[workspaces.{token}]\nurl = "{running.url}"\ntoken_file = "{token}"\n'
                "requests_per_minute = 100000\n"
                for token in tokens
            )
        )
        for token in tokens:
            (folder / token).write_text(token)
        one, every = bench.turns(
            lambda: bench.run([OAUTHSYNC, "export", "t0", "--quiet"], folder),
            lambda: bench.run([OAUTHSYNC, "export", "--all", "--quiet"], folder),
            runs=3,
        )
    bench.add("1 workspace of 300 profiles at 100 ms", one.seconds, "s")
    bench.add(
        "100 workspaces of 300 profiles at 100 ms",
        every.seconds,
        "s",
        beside="1 workspace",
        ratio=every.seconds / one.seconds,
    )


class FastClock:
    """The machine's clock, with time passing `SPEED` times as fast."""

    def __init__(self) -> None:
        self._began = time.time()
        self._interrupted = threading.Event()

    def now(self) -> float:
        return self._began + (time.time() - self._began) * SPEED

    def sleep(self, seconds: float) -> None:
        self._interrupted.wait(max(seconds, 0.0) / SPEED)

    def interrupt(self) -> None:
        self._interrupted.set()


def quota(bench: Bench) -> None:
    """200 creates at 60 requests a minute: 60 at once, then as they leave the window."""
    from oauthsync import Backup, Options, open_session
    from oauthsync.sandbox import Sandbox

    clock = FastClock()
    with Sandbox(["A", "B"], profiles=200, clock=clock) as running:
        folder = bench.folder(running.url, workspaces=("A", "B"))
        text = (folder / "oauthsync.toml").read_text().replace("100000", "60")
        (folder / "oauthsync.toml").write_text(text)
        environ = {
            "TOKEN_A": "A",
            "TOKEN_B": "B",
            "XDG_STATE_HOME": str(folder / "state"),
            "OAUTHSYNC_IDENTITY": str(bench.scratch / "key.txt"),
        }
        with Backup(folder, environ=environ, clock=clock) as backup:
            list(backup.export([backup.workspace("A")]))
            _file_secrets(bench, folder)
            with open_session(backup, backup.workspace("B")) as session:
                snapshot = backup.snapshots().find("latest")
                session.carry_out(session.prepare(snapshot, Options()))
            calls = [request for request in running.requests if request.workspace == 1]
        posts = [request for request in calls if request.method == "POST"]
        refused = sum(request.status == 429 for request in running.requests)
    # The listing before takes one of the first window's sixty.
    seconds = max(request.at for request in posts) - min(request.at for request in calls)
    bench.add(
        "200 creates at 60 a minute",
        seconds,
        "s",
        beside="180 s",
        ratio=seconds / 180,
        limit="< 1.02",
        holds=seconds / 180 < 1.02,
    )
    bench.add("… of which answered 429", refused, "", limit="0", holds=refused == 0)
    bench.add("… requests: 1 + 200 + 5", len(calls), "", limit="206", holds=len(calls) == 206)


# --- helpers ------------------------------------------------------------------------------------


def _peer(bench: Bench, url: str, name: str, python: Sequence[str] = ()) -> Run:
    folder = bench.folder(url)
    target = str(folder / "peer.db")
    command = {
        "plain": [PYTHON, str(PEERS / "plain.py"), "export", url, "A", target],
        "curl": [str(PEERS / "curl.sh"), url, "A", target],
        "dlt": [*python, str(PEERS / "dlt_export.py"), url, "A", target],
    }[name]
    return bench.run(command, folder)


def _file_secrets(bench: Bench, folder: Path) -> None:
    """File a secret for every app of the latest snapshot."""
    from oauthsync import Backup, Secret, sidecar

    with Backup(folder, environ={"OAUTHSYNC_IDENTITY": str(bench.scratch / "key.txt")}) as backup:
        snapshots = backup.snapshots()
        apps = {profile.app for profile in snapshots.profiles(snapshots.find("latest"))}
        entries = [
            sidecar.Entry(provider, client_id or "", Secret("s"), None, "2026-11-23T10:00:00Z")
            for provider, client_id in apps
        ]
        sidecar.update(backup.config.sidecar, backup.key, entries)


def _install_dlt(where: Path) -> list[str]:
    python = where / "bin" / "python"
    if not python.exists():
        print("Installing dlt into", where, flush=True)
        subprocess.run([PYTHON, "-m", "venv", str(where)], check=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "dlt[sqlalchemy]"]
        subprocess.run(install, check=True)
    return [str(python)]


def _line(figure: Figure) -> str:
    ratio = f"{figure.ratio:6.2f} x {figure.beside}" if figure.ratio is not None else ""
    verdict = "" if figure.holds is None else ("ok" if figure.holds else "MISSED")
    value = f"{figure.value:,.2f}" if figure.value < 1000 else f"{figure.value:,.0f}"
    return (
        f"{figure.what:<62} {value:>9} {figure.unit:<8}"
        f"{ratio:<34} {figure.limit:<9} {verdict}".rstrip()
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=3, help="runs of each measurement (default 3)")
    parser.add_argument("--only", action="append", help="only these sections (repeatable)")
    parser.add_argument("--dlt", action="store_true", help="install and measure dlt, too")
    parser.add_argument("--largest", type=int, default=100_000, help="profiles of the largest list")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    bench = Bench(options.runs)
    try:
        key = bench.scratch / "key.txt"
        subprocess.run([OAUTHSYNC, "secrets", "keygen", "-q", "-o", str(key)], check=True)
        dlt = _install_dlt(Path(".venv-dlt")) if options.dlt else None
        counts = [count for count in (1_000, 10_000, 100_000) if count <= options.largest]
        sections: dict[str, Callable[[], None]] = {
            "start-up": lambda: start_up(bench),
            "sandbox": lambda: sandbox_alone(bench),
            "quota": lambda: quota(bench),
            "latency": lambda: latency(bench, dlt),
            "creates": lambda: creates(bench),
            "fleet": lambda: fleet(bench),
            "sizes": lambda: sizes(bench, counts),
        }
        for name in options.only or sections:
            sections[name]()
    finally:
        shutil.rmtree(bench.scratch)
    if options.json:
        machine = (
            f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
        )
        document = {
            "date": datetime.now(UTC).date().isoformat(),
            "machine": machine,
            "figures": [asdict(figure) for figure in bench.figures],
        }
        options.json.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
