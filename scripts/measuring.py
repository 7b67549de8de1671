"""How things are measured: whole processes that take turns, medians, one table, one JSON document.

- A process is measured from its start to its end, with all children that it has waited for.
- Programs that are compared take turns, so that what else the machine does meets all of them: the
  ratios hold, the seconds are this machine's at this time. A figure is the median of its runs.
- A limit is the most that a figure, or its ratio to another one, should be.
"""

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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

PYTHON = sys.executable

_STARTER = """
import json, os, sys, time
to_stderr = [(os.POSIX_SPAWN_DUP2, 2, 1)]
begun = time.perf_counter()
process = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=to_stderr)
_, status, usage = os.wait4(process, 0)
seconds = time.perf_counter() - begun
print(json.dumps([seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss]))
sys.exit(status != 0)
"""
"""What starts a process that is measured: its peak memory begins with that of whoever starts it."""

_MAXRSS_PER_MB = 2**20 if sys.platform == "darwin" else 2**10


@dataclass(frozen=True)
class Run:
    """A process, or the medians of several: wall time, CPU time (user and system), memory."""

    seconds: float
    cpu_seconds: float
    peak_mb: float


@dataclass(frozen=True)
class Figure:
    """One line of the table; `ratio` is the value's to that of `beside`."""

    what: str
    value: float
    unit: str = ""
    cpu_seconds: float | None = None
    beside: str = ""
    ratio: float | None = None
    limit: float | None = None
    ratio_limit: float | None = None

    @property
    def holds(self) -> bool | None:
        """Whether it keeps to its limits; None where it has none."""
        pairs = ((self.value, self.limit), (self.ratio, self.ratio_limit))
        kept = [value <= most for value, most in pairs if value is not None and most is not None]
        return all(kept) if kept else None

    @property
    def line(self) -> str:
        """The line."""
        is_long = isinstance(self.value, int) or self.value >= 1000
        value = f"{self.value:,.0f}" if is_long else f"{self.value:,.2f}"
        cpu = "" if self.cpu_seconds is None else f"{self.cpu_seconds:,.2f}"
        ratio = "" if self.ratio is None else f"{self.ratio:.2f} x {self.beside}"
        limits = [f"{self.limit:g} {self.unit}".rstrip()] if self.limit is not None else []
        limits += [f"{self.ratio_limit:g} x"] if self.ratio_limit is not None else []
        verdict = {None: "", True: "ok", False: "MISSED"}[self.holds]
        return _columns(self.what, value, self.unit, cpu, ratio, ", ".join(limits), verdict)


class Table:
    """The figures, printed as they come."""

    def __init__(self) -> None:
        self.figures: list[Figure] = []

    def add(self, figure: Figure) -> None:
        """Add a figure."""
        if not self.figures:
            print(_columns("median of", "value", "", "CPU s", "ratio", "at most", ""))
        self.figures.append(figure)
        print(figure.line, flush=True)

    def add_run(
        self,
        what: str,
        run: Run,
        beside: tuple[str, Run] | None = None,
        *,
        limit: float | None = None,
        ratio_limit: float | None = None,
    ) -> None:
        """Add a run's wall time in seconds, and its ratio to that of another one."""
        name, other = beside or ("", None)
        ratio = run.seconds / other.seconds if other else None
        self.add(Figure(what, run.seconds, "s", run.cpu_seconds, name, ratio, limit, ratio_limit))

    def document(self) -> dict[str, Any]:
        """The figures, and on what machine they were measured, when, and of which commit."""
        return {
            "date": datetime.now(UTC).date().isoformat(),
            "machine": f"{platform.system()}, {platform.machine()}, {os.cpu_count()} cores",
            "python": platform.python_version(),
            "commit": _commit(),
            "figures": [asdict(figure) | {"holds": figure.holds} for figure in self.figures],
        }


def run(command: Sequence[str], environ: Mapping[str, str], *, secret: str = "") -> Run:
    """Run a process to its end; SystemExit with its output, but for `secret`, where it fails."""
    with tempfile.TemporaryFile() as output:
        starter = [PYTHON, "-I", "-S", "-c", _STARTER, *command]
        done = subprocess.run(
            starter, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=output
        )
        if done.returncode != 0:
            output.seek(0)
            told = output.read().decode(errors="replace")
            raise SystemExit(
                f"{' '.join(command)} failed:\n{told.replace(secret, '…') if secret else told}"
            )
    seconds, cpu_seconds, peak = json.loads(done.stdout)
    return Run(seconds, cpu_seconds, peak / _MAXRSS_PER_MB)


def turns(runs: int, *measured: Callable[[], Run]) -> list[Run]:
    """The medians of several measurements that take turns, `runs` times."""
    rounds = [[each() for each in measured] for _ in range(runs)]
    return [
        Run(*map(statistics.median, zip(*map(astuple, column), strict=True)))
        for column in zip(*rounds, strict=True)
    ]


class FastClock:
    """The machine's clock, with time passing `speed` times as fast."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._began = time.time()
        self._interrupted = threading.Event()

    def now(self) -> float:
        return self._began + (time.time() - self._began) * self._speed

    def sleep(self, seconds: float) -> None:
        self._interrupted.wait(max(seconds, 0.0) / self._speed)

    def interrupt(self) -> None:
        self._interrupted.set()


def _columns(*texts: str) -> str:
    what, value, unit, cpu, ratio, limit, verdict = texts
    line = f"{what:<62} {value:>9} {unit:<8}{cpu:>7}  {ratio:<34} {limit:<9} {verdict}"
    return line.rstrip()


def _commit() -> str | None:
    """The commit that is checked out, and `-dirty` where it is not quite; None outside of git."""
    if not shutil.which("git"):
        return None
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True)
    return done.stdout.strip() or None
