"""Measure oauthsync beside its peers, in one run, and print one table.

A line is the median of a figure, the CPU time of its process, its ratio to what was measured beside
it, and the most that it should be. Everything is measured against local sandboxes; or, with --url,
exports of a real workspace, which is only read: no peers unless --peers is given, as they know no
quota, and each run waits until its requests are within it.
"""

import argparse
import gc
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from oauthsync import Backup, OauthsyncError, Options, Secret, open_session, sidecar
from oauthsync.cli import GARBAGE
from oauthsync.config import Workspace
from oauthsync.preparing import prepare_for
from oauthsync.sandbox import Sandbox
from oauthsync.snapshots import Listing
from oauthsync.sources import Sources
from oauthsync.urls import parse_url
from scripts.bench_url import exports_of
from scripts.measuring import PYTHON, FastClock, Figure, Run, turns
from scripts.programs import DLT, NO_QUOTA, OAUTHSYNC, PEERS, PLAIN, Bench, Exports, sandbox


def start_up(bench: Bench) -> None:
    """--version and --help, beside importing click (15 runs or more)"""
    folder = bench.folder("http://127.0.0.1:1")
    commands = {
        "python -c pass": [PYTHON, "-c", "pass"],
        "python -c 'import click'": [PYTHON, "-c", "import click"],
        "oauthsync --version": [OAUTHSYNC, "--version"],
        "oauthsync --help": [OAUTHSYNC, "--help"],
    }
    measured = (partial(bench.run, command, folder) for command in commands.values())
    medians = turns(max(bench.runs, 15), *measured)
    for name, run in zip(commands, medians, strict=True):
        figure = Figure(name, run.seconds * 1000, "ms", run.cpu_seconds)
        if name.startswith("oauthsync"):
            ratio = run.seconds / medians[1].seconds
            figure = replace(figure, beside="import click", ratio=ratio, ratio_limit=1.5)
        bench.table.add(figure)


def sandbox_alone(bench: Bench) -> None:
    """what the sandbox can serve to one client"""
    with sandbox(profiles=10_000) as url:
        address = urlsplit(url)
        assert address.hostname is not None
        connection = http.client.HTTPConnection(address.hostname, address.port)
        begun, count = time.perf_counter(), 2000
        for number in range(count):
            path = f"/api/custom_oauth_profiles?page={number % 100 + 1}&per_page=100"
            connection.request("GET", path, headers={"Authorization": "Bearer A"})
            connection.getresponse().read()
        per_second = count / (time.perf_counter() - begun)
        bench.table.add(Figure("the sandbox alone", per_second, "pages/s"))
        connection.close()


def creates_within_quota(bench: Bench) -> None:
    """200 creates at 60 requests a minute: 60 at once, then as they leave the window"""
    clock = FastClock(speed=20)
    with Sandbox(["A", "B"], profiles=200, clock=clock) as running:
        folder = bench.folder(running.url, quota=60)
        with Backup(folder, environ=bench.environ(folder), clock=clock) as backup:
            list(backup.export([backup.workspace("A")]))
            _file_secrets(backup)
            with open_session(backup, backup.workspace("B")) as session:
                snapshot = backup.snapshots().find("latest")
                session.carry_out(session.prepare(snapshot, Options()))
        refused = sum(request.status == 429 for request in running.requests)
        calls = [request for request in running.requests if request.workspace == 1]
    posts = [request.at for request in calls if request.method == "POST"]
    # The listing before takes one of the first window's sixty.
    seconds = max(posts) - min(request.at for request in calls)
    for figure in (
        Figure(
            "200 creates at 60 a minute",
            seconds,
            "s",
            beside="180 s",
            ratio=seconds / 180,
            ratio_limit=1.02,
        ),
        Figure("… of which answered 429", refused, limit=0),
        Figure("… requests: 1 listing, 200 creates, 5 to verify", len(calls), limit=206),
    ):
        bench.table.add(figure)


def latency(bench: Bench) -> None:
    """10,000 profiles at 100 ms a request"""
    with sandbox(profiles=10_000, latency=0.1) as url:
        exports = Exports(bench, url)
        readings = (partial(bench.peer, name, url) for name in bench.peers)
        first, later, *others = turns(bench.runs, exports.first, exports.later, *readings)
    peers = dict(zip(bench.peers, others, strict=True))
    plain = ("plain loop", peers["plain loop"])
    title = "10,000 profiles at 100 ms"
    bench.table.add_run(f"{title}: oauthsync, first export", first, plain, limit=3.5)
    bench.table.add_run(f"{title}: oauthsync, later exports", later, plain, limit=3.5)
    for name, run in peers.items():
        bench.table.add_run(f"{title}: {name}, one reading", run, plain)


def creates(bench: Bench) -> None:
    """200 creates at 100 ms a request"""

    def ours() -> Run:
        with sandbox(profiles=200, latency=0.1) as url:
            folder = bench.folder(url)
            bench.oauthsync(folder, "export")
            with bench.backup(folder) as backup:
                _file_secrets(backup)
            return bench.oauthsync(folder, "import", "--to", "B", "--yes")

    def plain() -> Run:
        with sandbox(latency=0.1) as url:
            return bench.run([*PLAIN, "create", url, "200"], bench.folder(url))

    run, loop = turns(bench.runs, ours, plain)
    title = "200 creates at 100 ms"
    bench.table.add_run(
        f"{title}: oauthsync import, both listings", run, ("plain loop", loop), limit=3.5
    )
    bench.table.add_run(f"{title}: plain loop", loop)


def fleet(bench: Bench) -> None:
    """100 workspaces of 300 profiles at 100 ms a request, beside one"""
    names = ["A", *(f"W{number}" for number in range(1, 100))]
    with Sandbox(names, latency=0.1, requests_per_minute=NO_QUOTA) as running:
        for workspace in running.workspaces:
            workspace.fill(300)
        folder = bench.folder(running.url, names=names)
        export = [OAUTHSYNC, "export", "--quiet"]
        one, every = turns(
            bench.runs,
            lambda: bench.run([*export, "A"], folder, names),
            lambda: bench.run([*export, "--all"], folder, names),
        )
    beside = ("1 workspace", one)
    bench.table.add_run("1 workspace of 300 profiles at 100 ms", one)
    bench.table.add_run("100 workspaces of 300 profiles at 100 ms", every, beside)
    bench.table.add(Figure("… peak memory", every.peak_mb, "MB"))


def sizes(bench: Bench) -> None:
    """what the client itself costs without latency, and how that grows with the list"""
    for count in [*(each for each in (1_000, 10_000) if each < bench.largest), bench.largest]:
        runs = bench.runs if count < 100_000 else min(bench.runs, 3)
        with sandbox(profiles=count) as url:
            _of_size(replace(bench, runs=runs), count, url)


def _of_size(bench: Bench, count: int, url: str) -> None:
    exports = Exports(bench, url)
    ours, plain = turns(bench.runs, exports.first, partial(bench.peer, "plain loop", url))
    # Of a smaller list, starting is most of it.
    is_large = count >= 10_000
    bench.table.add_run(
        f"{count:,} profiles: first export, two readings",
        ours,
        ("plain loop's one", plain),
        ratio_limit=2 if is_large else None,
    )
    bench.table.add(
        Figure(
            f"{count:,} profiles: … peak memory",
            ours.peak_mb,
            "MB",
            beside="plain loop",
            ratio=ours.peak_mb / plain.peak_mb,
            limit=150,
        )
    )
    database = exports.folder / "oauthsync.db"
    before = database.stat().st_size
    [again] = turns(bench.runs, exports.later)
    grown = (database.stat().st_size - before) / before / bench.runs * 100
    bench.table.add_run(f"{count:,} profiles: identical export, two readings", again, limit=3)
    growth = f"{count:,} profiles: … growth of the file"
    bench.table.add(Figure(growth, grown, "%", limit=1 if is_large else None))
    for name, arguments in (
        ("diff with the snapshot before", ["diff", "1", "2"]),
        ("check", ["check"]),
        # Without secrets: a sidecar may not be as large as the longest list's.
        ("plan into an empty workspace", ["plan", "--to", "B"]),
    ):
        [run] = turns(bench.runs, partial(bench.oauthsync, exports.folder, *arguments))
        bench.table.add_run(f"{count:,} profiles: {name}", run, limit=2)
    _restore_plan(bench, count, exports.folder)


def _restore_plan(bench: Bench, count: int, folder: Path) -> None:
    """A whole process, which reads the target twice; and what of that is the plan itself."""
    [whole] = turns(bench.runs, partial(bench.oauthsync, folder, "plan"))
    bench.table.add_run(f"{count:,} profiles: plan of a restore, two readings", whole)
    gc.set_threshold(*GARBAGE)
    with bench.backup(folder) as backup:
        snapshot = backup.snapshots().find("latest")
        live = backup.snapshots().profiles(snapshot)
        listing = Listing("A", snapshot.url, snapshot.taken_at, live, requests=0, listings=0)
        seconds = []
        for _ in range(bench.runs):
            begun = time.perf_counter()
            prepare_for(backup, snapshot, backup.workspace("A"), listing, Options(), ())
            seconds.append(time.perf_counter() - begun)
    alone = f"{count:,} profiles: … reading the snapshot and planning alone"
    bench.table.add(Figure(alone, statistics.median(seconds), "s", limit=2))


def _file_secrets(backup: Backup) -> None:
    """File a secret for every app of the latest snapshot."""
    snapshots = backup.snapshots()
    apps = {profile.app for profile in snapshots.profiles(snapshots.find("latest"))}
    entries = [
        sidecar.Entry(provider, client_id or "", Secret("s"), None, "2026-11-23T10:00:00Z")
        for provider, client_id in apps
    ]
    sidecar.update(backup.config.sidecar, backup.sidecar.key, entries)


# --- the command line ---------------------------------------------------------------------------

# Their docstrings are what --help says of them.
SECTIONS: dict[str, Callable[[Bench], None]] = {
    "start-up": start_up,
    "sandbox": sandbox_alone,
    "quota": creates_within_quota,
    "latency": latency,
    "creates": creates,
    "fleet": fleet,
    "sizes": sizes,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what the arguments say."""
    options = _parse(arguments)
    wanted = [name for name in PEERS if name != "dlt" or options.dlt]
    if options.dlt:
        _install_dlt()
    with tempfile.TemporaryDirectory(prefix="oauthsync-bench-") as scratch:
        bench = Bench(
            scratch=Path(scratch),
            runs=options.runs,
            largest=options.largest or 100_000,
            peers=wanted if options.peers or not options.url else [],
            token=options.token,
            is_real=bool(options.url),
        )
        keygen = [OAUTHSYNC, "secrets", "keygen", "-q", "-o", str(bench.key)]
        subprocess.run(keygen, check=True, stdout=subprocess.DEVNULL)
        if options.url:
            measured = [partial(exports_of, bench, options.url, options.requests_per_minute or 60)]
        else:
            measured = [partial(SECTIONS[name], bench) for name in options.only or SECTIONS]
        for each in measured:
            each()
            if options.json:
                text = json.dumps(bench.table.document(), indent=2, ensure_ascii=False)
                options.json.write_text(text + "\n", encoding="utf-8")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options, `url` as an origin and `token` from its variable; SystemExit for wrong ones."""
    parser = _parser()
    options = parser.parse_args(arguments)
    local = {"--only": options.only, "--largest": options.largest}
    real = {
        "--token-env": options.token_env,
        "--requests-per-minute": options.requests_per_minute,
        "--peers": options.peers,
    }
    for name, value in (local if options.url else real).items():
        if value:
            parser.error(f"{name} does not go {'with' if options.url else 'without'} --url")
    options.token = Secret("A")
    if not options.url:
        return options
    if options.dlt and not options.peers:
        parser.error("with --url, --dlt needs --peers")
    try:
        options.url = parse_url(options.url, where="--url")
        sources = Sources(os.environ, Path.home(), None, frozenset())
        source = sources.source("env", options.token_env or "", "--token-env")
        options.token = Workspace(options.url, options.url, source=source).token()
    except OauthsyncError as error:
        parser.error(f"{error}; {error.hint}")
    return options


def _install_dlt() -> None:
    python = DLT / "bin" / "python"
    if not python.exists():
        print("installing dlt in", DLT, file=sys.stderr, flush=True)
        subprocess.run([PYTHON, "-m", "venv", str(DLT)], check=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, "dlt[sqlalchemy]"], check=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "scripts/bench",
        description=__doc__,
        epilog="sections, in this order:\n"
        + "\n".join(f"  {name:<10}{each.__doc__}" for name, each in SECTIONS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--runs", type=_number, metavar="N", default=3, help="runs of each (default: 3)")
    add("--dlt", action="store_true", help="measure dlt, too, installed in .venv-dlt")
    add(
        "--json",
        type=_new_file,
        metavar="FILE",
        help="write the figures there as well, with machine, Python, date and commit",
    )
    add = parser.add_argument_group("against sandboxes").add_argument
    add(
        "--only",
        action="append",
        choices=SECTIONS,
        metavar="SECTION",
        help="only this section; repeatable",
    )
    add("--largest", type=_number, metavar="N", help="longest list of `sizes` (default: 100000)")
    add = parser.add_argument_group("against a workspace, which is only read").add_argument
    add("--url", help="its origin; http:// is for loopback addresses only")
    add("--token-env", metavar="NAME", help="the variable that holds its token")
    add("--requests-per-minute", type=_number, metavar="N", help="its quota (default: 60)")
    add("--peers", action="store_true", help="measure the peers, too")
    return parser


def _number(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if not 1 <= number <= NO_QUOTA:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {NO_QUOTA}")
    return number


def _new_file(text: str) -> Path:
    path = Path(text)
    if path.is_dir() or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is not a file in a folder that exists")
    return path


if __name__ == "__main__":
    main()
