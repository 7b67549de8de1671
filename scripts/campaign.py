"""Random schedules of faults and crashes against the sandbox, and what must hold after each.

A round makes up two workspaces, imports one into the other while the server misbehaves and the
process dies again and again, goes on by `resume` or by the same import, perhaps undoes it all in
the same way, and in the end checks that the target is what an undisturbed run would have left. Time
is scaled down to nothing: the client and the sandbox share a clock that jumps when anybody waits.
What a client can only wait for in real time, an answer that never comes, is left to the tests.

A round depends on its seed alone where its steps are done one after the other, as in two of three;
where they are done side by side, threads have their part in it.
"""

import argparse
import random
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from random import Random

from oauthsync.errors import OauthsyncError
from oauthsync.importer import WIDTH
from oauthsync.plan import Options
from oauthsync.runs import NewStep, unfinished
from oauthsync.sandbox import KINDS, Fault, Request
from oauthsync.sandbox.faults import LISTING, METHODS
from tests.importing import (
    Content,
    Crash,
    Points,
    World,
    content_of,
    contents,
    kill_in_write,
    scratch,
)
from tests.invariants import broken

KILL_EVERY = 100
"""Rounds of which one kills a real process."""

MAX_TRIES = 12
"""Starts of a process in a round with faults; after them the server is well."""

PROVIDERS = ("hubspot", "slack", "jira")
NAMES = ("Acme", "東京支社", "🚀", "a <b> 'c'")
KINDS_OF_WRITES = tuple(kind for kind in KINDS if kind not in LISTING and "hang" not in kind)
REAL_PAUSES = {"drip": 0.0, "interim": 0.01}
"""Seconds that no clock makes shorter."""

LACKING = ("empty-page", "stale")
"""What is believed where nobody has seen the workspace before, or two readings in a row say so."""

KINDS_OF_LISTS = tuple(
    kind
    for kind in KINDS
    if kind not in LACKING and not any(word in kind for word in ("late", "apply", "hang"))
)


@dataclass
class Tally:
    """What happened in some rounds, and what was broken."""

    rounds: int = 0
    requests: int = 0
    crashes: int = 0
    kills: int = 0
    restarts: int = 0
    undone: int = 0
    adopted: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)
    report: str = ""

    def add(self, other: "Tally") -> None:
        names = ("rounds", "requests", "crashes", "kills", "restarts", "undone", "adopted")
        for name in names:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.faults += other.faults
        self.broken += other.broken
        self.report = self.report or other.report


class Round:
    """One round: what is there, what goes wrong, and what was done."""

    def __init__(self, world: World, rng: Random, *, kill: bool) -> None:
        self.world = world
        self.rng = rng
        self.kill = kill
        self.tally = Tally(rounds=1)
        self.log: list[str] = []
        self.wanted: Counter[Content] = Counter()

    def play(self) -> None:
        self._populate()
        self.options = Options(on_existing="update", push_secrets=self.rng.random() < 0.2)
        before = contents(self.world.target)
        self._until_complete("import")
        if self.rng.random() < 0.4:
            self._until_complete("leftovers")
        if self.rng.random() < 0.2:
            there = [each.document for each in self.world.target.profiles.values()]
            self.twin = next(each for each in there if each["provider"] in PROVIDERS)
            self._until_complete("twin")
            self.wanted += Counter([content_of(self.twin)])
        elif self.rng.random() < 0.3:
            self.tally.undone = 1
            self.wanted = before + self.noise
            self._until_complete("undo")
            self.wanted += self._doubtful()

    def _doubtful(self) -> Counter[Content]:
        """What `undo` leaves: found so late that somebody else may have created it."""
        ids = {
            step.target_id
            for run in self.world.runs()
            for step in self.world.steps(run.id)
            if step.state == "adopted" and step.error
        }
        there = self.world.target.profiles
        return Counter(content_of(each.document) for key, each in there.items() if key in ids)

    def _populate(self) -> None:
        world, rng = self.world, self.rng
        world.width = rng.choice((1, 1, WIDTH))
        apps = [(rng.choice(PROVIDERS), f"app-{number}") for number in range(rng.randint(1, 4))]
        for number in range(rng.randint(1, 10)):
            # A name of its own, so that nothing is ambiguous but what is meant to be alike.
            provider, client_id = rng.choice(apps)
            name = f"{rng.choice(NAMES)} {number}"
            data = {"n": 1.0} if rng.random() < 0.3 else {}
            twins = rng.choice((1, 1, 1, 2, 3))
            for _ in range(twins):
                world.source.create(provider, name, client_id, data=data)
            if twins == 1 and rng.random() < 0.3:
                there = rng.choice((client_id, "old-app"))
                world.target.create(provider, name, there)
        for number in range(rng.randint(0, 4)):
            world.target.create(rng.choice(PROVIDERS), f"another {number}", rng.choice(apps)[1])
        world.file_secrets()
        world.export()
        self.is_known = rng.random() < 0.5
        if self.is_known:
            world.export("prod")
        names = {(each[0], each[1]) for each in contents(world.source)}
        others = Counter(
            each for each in contents(world.target).elements() if each[:2] not in names
        )
        self.wanted = contents(world.source) + others
        self.noise: Counter[Content] = Counter()

    # --- what goes wrong ------------------------------------------------------------------------

    def _faults(self) -> list[Fault]:
        return [*self._some(KINDS_OF_WRITES, ("POST", "PUT", "DELETE")), *self._some_on_lists()]

    def _some(self, kinds: Sequence[str], on: Sequence[str]) -> Iterator[Fault]:
        for _ in range(self.rng.randint(0, 4)):
            kind = self.rng.choice(kinds)
            yield Fault(
                kind,
                self.rng.choice(on),
                probability=self.rng.choice((0.1, 0.3, 0.6, 1.0)),
                times=self.rng.choice((1, 2, 4, None)),
                after=self.rng.choice((0, 0, 1, 3)),
                delay=REAL_PAUSES.get(kind, round(self.rng.uniform(0.0, 40.0), 1)),
            )

    def _some_on_lists(self) -> Iterator[Fault]:
        yield from islice(self._some(KINDS_OF_LISTS, ("list",)), self.rng.choice((0, 0, 1)))
        if self.is_known and self.rng.random() < 0.2:
            after = self.rng.choice((0, 0, 1, 3))
            yield Fault(self.rng.choice(LACKING), "list", times=1, after=after)

    def _points(self) -> Points:
        return Points(self.rng.randint(1, 60) if self.rng.random() < 0.7 else None)

    def _disturb(self) -> None:
        """Somebody else works in the target, too, on other profiles."""
        if self.rng.random() < 0.2:
            stored = self.world.target.create("zoom", f"noise {len(self.noise)}", "zoom-app")
            new = Counter([content_of(stored.document)])
            self.noise += new
            self.wanted += new

    # --- going on until it is done --------------------------------------------------------------

    def _until_complete(self, what: str) -> None:
        world = self.world
        if self.kill:
            self.kill = False
            self._kill_a_process(what)
        for number in range(MAX_TRIES + 6):
            is_well = number >= MAX_TRIES
            world.sandbox.faults = [] if is_well else self._faults()
            world.restart(Points() if is_well else self._points())
            self._disturb()
            if self._try(what):
                world.sandbox.faults = []
                return
            world.clock.sleep(self.rng.choice((0.0, 1.0, 20.0, 100.0)))
            if self.rng.random() < 0.1:  # the machine is started anew
                world.timeline = f"start {number}"
                self.tally.restarts += 1
                self.log.append(world.timeline)
        self.log.append(f"{what} never ends")
        self.tally.broken["loss"] += 1

    def _try(self, what: str) -> bool:
        """Whether the work is done now."""
        try:
            done = self._go_on(what)
        except Crash as crash:
            self.tally.crashes += 1
            self.log.append(f"crash {crash}")
            return False
        except OauthsyncError as error:
            self.log.append(f"{type(error).__name__}: {error}")
            return False
        finally:
            self.world.restart()
        return done

    def _go_on(self, what: str) -> bool:
        if what == "undo":
            return self._go_on_undoing()
        if what == "twin":
            return self._go_on_with_a_twin()
        if what == "leftovers":
            return self._go_on_with_leftovers()
        open_runs = unfinished(self.world.runs())
        if open_runs and open_runs[0].kind != "undo" and self.rng.random() < 0.6:
            self.log.append("resume")
            carried = self.world.resume()
        else:
            self.log.append("import")
            carried = self.world.carry_out(options=self.options)
        return carried.report.run.state == "complete"

    def _go_on_with_leftovers(self) -> bool:
        """Runs that a newer import has made superfluous: there is nothing left to do in them."""
        for run in reversed(self.world.runs()):
            if run.kind != "undo" and run.state in ("running", "incomplete"):
                self.log.append(f"resume {run.id}")
                if self.world.resume(run.id).report.run.state != "complete":
                    return False
        return True

    def _go_on_with_a_twin(self) -> bool:
        """One more profile by hand, which nothing but its id tells from one that is there."""
        made = [run for run in self.world.runs() if run.kind == "profile"]
        if made:
            self.log.append("resume the twin")
            return (
                made[0].state == "complete"
                or self.world.resume(made[0].id).report.run.state == "complete"
            )
        self.log.append("a twin")
        step = NewStep(
            action="create",
            source_id=None,
            target_id=None,
            provider=self.twin["provider"],
            name=self.twin["name"],
            client_id=self.twin["data"]["client_id"],
            reason="asked for",
            data=self.twin["data"],
        )
        return self.world.write_one(lambda _listing: step).report.run.state == "complete"

    def _go_on_undoing(self) -> bool:
        runs = self.world.runs()
        # The newest first; a run of which nothing is left but a secret that it pushed is undone.
        for run in runs:
            if run.kind == "import":
                self.log.append(f"undo {run.id}")
                carried = self.world.undo(run.id)
                if carried is not None and carried.report.run.state != "complete":
                    return False
        return True

    def _kill_a_process(self, what: str) -> None:
        if what == "import":
            kill_in_write(self.world, self.rng.randint(1, 6))
            self.tally.kills = 1
            self.log.append("SIGKILL")

    # --- the end --------------------------------------------------------------------------------

    def check(self) -> None:
        world = self.world
        for each in broken(world, self.wanted, "\n".join(self.log)):
            self.tally.broken[each.partition(":")[0]] += 1
            self.log.append(each)
        self.tally.requests = len(world.sandbox.requests)
        self.tally.faults = Counter(_struck(world.sandbox.requests))
        self.tally.adopted = sum(
            step.state == "adopted" for run in world.runs() for step in world.steps(run.id)
        )


def _struck(requests: Sequence[Request]) -> Iterator[str]:
    for request in requests:
        if request.fault is not None:
            yield f"{request.method} {request.fault.kind}"


def play(seed: int, number: int) -> Tally:
    """Play one round."""
    rng = Random(f"{seed}:{number}")
    random.seed(rng.random())  # the jitter of the retry policy
    kill = number % KILL_EVERY == KILL_EVERY // 2
    with scratch() as folder, World(folder / "backup", seed=rng.randrange(1 << 30)) as world:
        round_ = Round(world, rng, kill=kill)
        try:
            round_.play()
            round_.check()
        except Exception:  # noqa: BLE001 - whatever it is, the round that shows it is told
            round_.log.append(traceback.format_exc())
            round_.tally.broken["error"] += 1
        if round_.tally.broken:
            lines = [f"round {number}:", *round_.log, *map(str, world.sandbox.requests)]
            round_.tally.report = "\n".join(lines)
    return round_.tally


def main() -> int:
    """Play the rounds; 1 where one of them broke an invariant."""
    parser = argparse.ArgumentParser(prog="scripts/campaign", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--first", type=int, default=1, help="the number of the first round")
    parser.add_argument("--jobs", type=int, default=2, help="rounds that are played side by side")
    args = parser.parse_args()
    began = time.monotonic()
    total = Tally()
    numbers = range(args.first, args.first + args.rounds)
    with ProcessPoolExecutor(args.jobs) as pool:
        played = zip(numbers, pool.map(play, [args.seed] * len(numbers), numbers), strict=True)
        for number, tally in played:  # noqa: B007 - the last one is told
            total.add(tally)
            if tally.broken:
                pool.shutdown(wait=False, cancel_futures=True)
                break
    print(table(total, time.monotonic() - began))
    if total.broken:
        print(total.report)
        print(f"again: scripts/campaign --seed {args.seed} --first {number} --rounds 1")
    return 1 if total.broken else 0


def table(total: Tally, seconds: float) -> str:
    """What happened, for people."""
    rows = [
        ("rounds", total.rounds),
        ("requests", total.requests),
        ("crashes", total.crashes),
        ("processes killed", total.kills),
        ("machine restarts", total.restarts),
        ("undone again", total.undone),
        ("steps adopted", total.adopted),
        ("faults", total.faults.total()),
        ("duplicates", total.broken["duplicate"]),
        ("losses", total.broken["loss"]),
        ("leaks", total.broken["leak"]),
        ("inconsistencies of the journal", total.broken["journal"] + total.broken["error"]),
        ("seconds", round(seconds)),
    ]
    return "\n".join(
        [*_faults_by_kind(total), "", *(f"{name:<34}{count:>8,}" for name, count in rows)]
    )


def _faults_by_kind(total: Tally) -> Iterator[str]:
    yield f"{'fault':<26}" + "".join(f"{method:>8}" for method in METHODS)
    for kind in sorted({name.split()[1] for name in total.faults}):
        counts = (total.faults[f"{method} {kind}"] for method in METHODS)
        yield f"{kind:<26}" + "".join(f"{count or '':>8}" for count in counts)


if __name__ == "__main__":
    threading.excepthook = lambda _: None  # threads of a process that is dead
    sys.exit(main())
