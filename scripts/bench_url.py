"""Exports of a real workspace beside the peers' readings, within its quota.

Nothing is written to it. What each run costs is said before the first of them begins.
"""

import sys
from collections.abc import Callable
from contextlib import closing
from functools import partial
from math import ceil
from pathlib import Path
from typing import TypeVar

from oauthsync.api import PER_PAGE
from oauthsync.clock import Clock
from oauthsync.quota import Quota
from oauthsync.text import count_of
from scripts.measuring import turns
from scripts.programs import Bench, Exports

FIRST = "oauthsync, first export"
LATER = "oauthsync, later export"

T = TypeVar("T")


def costs(profiles: int) -> dict[str, int]:
    """How many requests a run of each program takes for so many profiles.

    A first export may take more than a later one, as nobody knows yet how many pages there are.
    """
    pages = ceil(profiles / PER_PAGE)
    # Only a page that is not full is known to be the last.
    reading = profiles // PER_PAGE + 1
    return {
        LATER: reading + (pages if profiles >= PER_PAGE else 0),
        "plain loop": reading,
        "curl and sqlite-utils": reading,
        "dlt": pages + 1,
    }


class Budget:
    """The requests of all runs in the last minute.

    oauthsync keeps to the quota by itself, but knows nothing of the peers, and they of nobody.
    """

    def __init__(self, file: Path, quota: int, clock: Clock | None = None) -> None:
        self._quota = quota
        self._window = Quota(file, requests_per_minute=quota, clock=clock)

    def spend(self, requests: int, run: Callable[[], T]) -> T:
        """What `run` returns, begun when so many requests are left of the quota (or all of it).

        They count from then until a minute after its end.
        """
        slots = [self._window.acquire(_tell) for _ in range(min(requests, self._quota))]
        try:
            return run()
        finally:
            for slot in slots:
                slot.release()

    def close(self) -> None:
        """Let go of the file."""
        self._window.close()


def _tell(wait: float) -> None:
    if wait > 1:
        print(f"waiting {wait:.0f} s for the quota", file=sys.stderr, flush=True)


def exports_of(bench: Bench, url: str, quota: int) -> None:
    """Exports of a real workspace, beside the peers' readings: nothing is written to it."""
    exports = Exports(bench, url, quota=quota)
    print(
        "A look at how long the list is: 1 request for fewer than 100 profiles, else 2 for each"
        " 100, and up to 16 more",
        flush=True,
    )
    exports.first()
    with bench.backup(exports.folder) as backup:
        look = backup.snapshots().find("latest")
    programs = {FIRST: exports.first, LATER: exports.later}
    programs |= {name: partial(bench.peer, name, url) for name in bench.peers}
    requests = {FIRST: look.requests, **costs(look.profiles)}
    print(f"{look.profiles:,} profiles; what one run costs, of {bench.runs} in turns:")
    names = [name for name in programs if announced(name, requests[name], quota)]
    with closing(Budget(bench.scratch / "budget.db", quota)) as budget:
        budget.spend(look.requests, lambda: None)
        measured = (partial(budget.spend, requests[name], programs[name]) for name in names)
        results = dict(zip(names, turns(bench.runs, *measured), strict=True))
    plain = results.get("plain loop")
    for name, run in results.items():
        title = f"{look.profiles:,} profiles: {name}"
        bench.table.add_run(title, run, ("plain loop", plain) if plain else None)


def announced(name: str, requests: int, quota: int) -> bool:
    """Say what a run costs; whether it can be within the quota, as oauthsync always is."""
    ours = name in (FIRST, LATER)
    over = "; waiting is measured, too" if ours else "; left out, as it would meet with 429"
    is_over = requests > quota
    print(f"  {name}: {count_of(requests, 'request')}{over if is_over else ''}", flush=True)
    return ours or not is_over
