"""A plan as Markdown, for a pull request. Pure.

What comes from outside stands in code spans alone (https://github.github.com/gfm/#code-spans),
where nothing is markup: no HTML, no link, no @mention and no #reference, whatever a name holds.
"""

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from oauthsync.lines import MARKS, before, ids_of, remarks, summary
from oauthsync.text import inline

if TYPE_CHECKING:
    from oauthsync.plan import Step
    from oauthsync.preparing import Prepared

OPEN = 20
"""Lines of a list or table that stand open; a longer one is there to be unfolded."""

_HEADERS = ("", "provider", "name", "client id", "id", "why")


def plan(prepared: "Prepared", *, verbose: bool = False) -> str:
    """A plan's counts and its steps; those that stay unchanged are counted only."""
    made, snapshot, target = prepared.plan, prepared.snapshot, prepared.target
    shown = [step for step in made.steps if verbose or step.action != "unchanged"]
    return "\n".join(
        [
            f"### Plan for {code(target.name)} at {code(target.url)}",
            "",
            f"From snapshot {snapshot.id} of {code(snapshot.workspace)}, taken {snapshot.taken_at}:"
            f" **{summary(made.summary)}**",
            *(line for told in remarks(prepared, code) for line in ("", told)),
            *_cautions(made.cautions),
            *_table(shown),
            "",
            f"Fingerprint: {code(made.fingerprint)}",
        ]
    )


def code(text: str) -> str:
    """Text as a code span, which may stand in a table."""
    shown = inline(text).replace("|", "\\|")  # the one escape that a table takes out of a span
    fence = "`" * (max(map(len, re.findall("`+", shown)), default=0) + 1)
    # A space at both ends is no part of the span: it keeps backticks apart, and edges of spaces.
    pad = " " if not shown.strip() or shown[0] in " `" or shown[-1] in " `" else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def _cautions(cautions: Sequence[str]) -> list[str]:
    if not cautions:
        return []
    told = [f"- {code(caution)}" for caution in cautions]
    return ["", "**Look twice:**", *_folded(told, len(told), "reasons")]


def _table(steps: Sequence["Step"]) -> list[str]:
    if not steps:
        return []
    rows = [_row(_HEADERS), _row("---" for _ in _HEADERS), *map(_step, steps)]
    return _folded(rows, len(steps), "steps")


def _folded(lines: Sequence[str], count: int, what: str) -> list[str]:
    if count <= OPEN:
        return ["", *lines]
    return ["", f"<details><summary>{count} {what}</summary>", "", *lines, "", "</details>"]


def _step(step: "Step") -> str:
    old = before(step)
    return _row(
        (
            f"{code(MARKS[step.action].symbol)} {step.action}",
            code(step.provider),
            _changed(old.name, step.name),
            _changed(old.client_id, step.client_id),
            ids_of(step),
            code(step.reason),
        )
    )


def _changed(old: str | None, new: str | None) -> str:
    """What a step makes of a value."""
    values = [old, new] if old != new else [new]
    return " → ".join("none" if each is None else code(each) for each in values)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
