"""Try hostile input on every reader of what comes from outside, for a given time in total.

Prints executions and findings for each target. Exit 1 on a finding, with the smallest input that
fails and the command that tries just that one again. Other inputs each time, unless --seed is
given.
"""

import argparse
import ast
import secrets
import shlex
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tests.fuzz_targets import NAMES, open_targets
from tests.fuzzing import Outcome, Target, execute, fuzz

ROUND = 200


def main() -> int:
    options = _options()
    with tempfile.TemporaryDirectory() as folder, open_targets(Path(folder)) as targets:
        if options.input is not None:
            execute(targets[options.target[0]], ast.literal_eval(options.input))
            print("nothing found")
            return 0
        return _campaign(targets, options.target or NAMES, options.seconds, options.seed)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="in total (60)")
    parser.add_argument("--target", action="append", choices=NAMES, help="only this; repeatable")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32))
    parser.add_argument("--input", help="try one input, a Python literal, on the --target")
    options = parser.parse_args()
    if options.input is not None and len(options.target or ()) != 1:
        parser.error("--input goes with one --target")
    return options


def _campaign(
    targets: Mapping[str, Target], names: Sequence[str], seconds: float, seed: int
) -> int:
    print(
        f"seed {seed}\n{'target':<14} {'executions':>10} {'per second':>10}  findings", flush=True
    )
    found = {}
    for name in names:
        begun = time.monotonic()
        outcome = _for(targets[name], seconds / len(names), seed)
        rate = outcome.executions / (time.monotonic() - begun)
        line = f"{name:<14} {outcome.executions:>10,} {rate:>10,.0f}"
        print(f"{line}  {1 if outcome.finding else 0}", flush=True)
        if outcome.finding:
            found[name] = outcome
    for name, outcome in found.items():
        _report(name, outcome)
    return 1 if found else 0


def _for(target: Target, seconds: float, seed: int) -> Outcome:
    """Rounds until the time is over, or one finds something."""
    until = time.monotonic() + seconds
    executions = 0
    while True:
        outcome = fuzz(target, ROUND, start=seed)
        executions += outcome.executions
        if outcome.finding or time.monotonic() >= until:
            return replace(outcome, executions=executions)
        seed += 1


def _report(name: str, outcome: Outcome) -> None:
    words = ["scripts/fuzz", "--target", name, "--input", repr(outcome.value)]
    print(f"\n{name}: again with\n{shlex.join(words)}", flush=True)
    traceback.print_exception(outcome.finding)


if __name__ == "__main__":
    sys.exit(main())
