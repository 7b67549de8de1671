"""The campaign's own script: it plays, counts, and fails loudly where something is broken."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

from scripts.campaign import Tally, play, table

ROOT = Path(__file__).parent.parent


def test_a_few_rounds_pass_and_the_table_counts_them() -> None:
    command = [sys.executable, "-m", "scripts.campaign", "--seed=7", "--rounds=4", "--jobs=1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    _, _, summary = done.stdout.partition("\n\n")
    counts = {name: int(number) for name, number in map(_row, summary.splitlines())}
    assert counts["rounds"] == 4
    assert counts["requests"] > 20
    assert counts["duplicates"] == counts["losses"] == counts["leaks"] == 0


def _row(line: str) -> tuple[str, str]:
    name, number = line.rsplit(maxsplit=1)
    return name.strip(), number.replace(",", "")


def test_a_round_is_the_same_each_time() -> None:
    """Round 2 of seed 7 does its steps one after the other."""
    first, second = play(7, 2), play(7, 2)
    assert first == second
    assert not first.broken


def test_what_is_broken_is_counted_and_told() -> None:
    total = Tally()
    total.add(Tally(rounds=1, broken=Counter(loss=1), report="round 3: lost"))
    total.add(Tally(rounds=1, broken=Counter(loss=1, leak=1), report="round 4: leaked"))
    assert total.report == "round 3: lost"
    assert "losses                                   2" in table(total, 1.0)
