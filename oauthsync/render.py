"""Results as text for people: tables, plans, differences. The only place that knows colours.

Names come from an API, so nothing of them reaches the terminal but what can be seen: control and
direction characters are shown escaped. Columns line up by the width that a terminal gives each
character. Everything can be read without colour.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

import click
from rich.cells import cell_len, set_cell_size

from oauthsync.importer import Report
from oauthsync.plan import Plan, Step
from oauthsync.profiles import Change, Difference, Profile
from oauthsync.strictjson import Json, write
from oauthsync.undo import UndoPlan

FOLD = 20
"""Lines of a list that are shown unless everything is asked for."""

MAX_CELL = 60

_SYMBOLS = {"create": "+", "update": "~", "unchanged": "=", "skip": "·", "blocked": "!"}
_COLORS = {"create": "green", "update": "yellow", "blocked": "red"}


def visible(text: str) -> str:
    """Text whose control and direction characters are escaped, except line breaks."""
    return "".join(_escaped(character) for character in text)


def _escaped(character: str) -> str:
    hidden = unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp", "Co", "Cn")
    turns = unicodedata.bidirectional(character) in _DIRECTIONS
    if character != "\n" and (hidden or turns):
        return character.encode("unicode_escape", "surrogatepass").decode("ascii")
    return character


_DIRECTIONS = {"LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI"}


def inline(text: str) -> str:
    """As `visible`, on one line."""
    return visible(text).replace("\n", "\\n")


class Renderer:
    """Turns results into text; `verbose` folds and shortens nothing."""

    def __init__(self, *, color: bool = False, verbose: bool = False) -> None:
        self.color = color
        self.verbose = verbose

    def styled(self, text: str, color: str | None) -> str:
        """Text in a colour, where colours are wanted."""
        return click.style(text, fg=color) if self.color and color else text

    def table(self, headers: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
        """Rows below their headers, each column as wide as its widest cell."""
        cells = [[self._cell(cell) for cell in row] for row in rows]
        widths = [
            max([cell_len(header), *(cell_len(row[index]) for row in cells)])
            for index, header in enumerate(headers)
        ]
        lines = [_row(headers, widths), *(_row(row, widths) for row in self.folded(cells))]
        if len(lines) <= len(cells):
            lines.append(f"… and {len(cells) - len(lines) + 1} more (-v shows all)")
        return "\n".join(lines)

    def folded(self, rows: Sequence[Sequence[str]]) -> Sequence[Sequence[str]]:
        """The rows that are shown."""
        return rows if self.verbose or len(rows) <= FOLD else rows[: FOLD - 1]

    def lines(self, symbol: str, color: str | None, texts: Sequence[str]) -> list[str]:
        """One line for each text, marked and folded."""
        shown = texts if self.verbose or len(texts) <= FOLD else texts[: FOLD - 1]
        lines = [self.styled(f"  {symbol} {text}", color) for text in shown]
        if len(shown) < len(texts):
            lines.append(f"  {symbol} … and {len(texts) - len(shown)} more (-v shows all)")
        return lines

    def difference(self, found: Difference) -> str:
        """What was added, removed and changed."""
        lines = [
            *self.lines("+", "green", [describe(profile) for profile in found.added]),
            *self.lines("-", "red", [describe(profile) for profile in found.removed]),
            *self.lines("~", "yellow", [_change(change) for change in found.changed]),
        ]
        counts = (len(found.added), len(found.removed), len(found.changed))
        return "\n".join([*lines, "{} added, {} removed, {} changed".format(*counts)])

    def plan(self, plan: Plan) -> str:
        """A plan like a good diff, grouped by provider."""
        shown = [step for step in plan.steps if self.verbose or step.action != "unchanged"]
        lines = [f"Plan for {inline(plan.target)} from snapshot {plan.snapshot}"]
        for provider, steps in groupby(shown, key=lambda step: step.provider):
            lines.append(f"{inline(provider)}:")
            for action, group in groupby(
                sorted(steps, key=lambda step: step.action), key=lambda step: step.action
            ):
                texts = [_step(step) for step in group]
                lines += self.lines(_SYMBOLS[action], _COLORS.get(action), texts)
        lines.append(self.summary(plan))
        return "\n".join(lines)

    def undo(self, plan: UndoPlan) -> str:
        """What undoing a run would do, and leave."""
        deletes = [step.name for step in plan.steps if step.action == "delete"]
        updates = [step.name for step in plan.steps if step.action == "update"]
        left = [f"{inline(each.name)}  (id {each.target_id})  {each.reason}" for each in plan.left]
        lines = [
            *self.lines("-", "red", [f"{inline(name)}  to delete" for name in deletes]),
            *self.lines("~", "yellow", [f"{inline(name)}  to put back" for name in updates]),
            *self.lines("!", "red", left),
        ]
        return "\n".join(lines) or "nothing to undo"

    def run(self, report: Report) -> str:
        """How a run ended."""
        words = {"create": "created", "update": "updated", "delete": "deleted"}
        done = Counter(words[step.action] for step in report.steps if step.is_done)
        adopted = sum(step.state == "adopted" for step in report.steps)
        failed = [
            f"{inline(step.name)}  {inline(step.error or 'not done')}"
            for step in report.steps
            if not step.is_done
        ]
        told = f"run {report.run.id} in {inline(report.run.target)}: {counts(done)}"
        if adopted:
            told += f" ({adopted} of them adopted: their call got no answer, but was carried out)"
        if failed:
            told += f", {len(failed)} not done"
        told += ", verified" if report.run.verified else ", NOT verified"
        return "\n".join([told, *self.lines("!", "red", failed)])

    def summary(self, plan: Plan) -> str:
        """A plan's counts."""
        words = {"create": "to create", "update": "to update", "skip": "skipped"}
        counts = [f"{count} {words.get(name, name)}" for name, count in plan.summary.items()]
        return ", ".join(counts)

    def _cell(self, value: object) -> str:
        text = "" if value is None else inline(str(value))
        if not self.verbose and cell_len(text) > MAX_CELL:
            return set_cell_size(text, MAX_CELL - 1).rstrip() + "…"
        return text


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (
        cell + " " * (width - cell_len(cell)) for cell, width in zip(cells, widths, strict=True)
    )
    return "  ".join(padded).rstrip()


def describe(profile: Profile) -> str:
    """A profile in one line."""
    return f"{inline(profile.name)}  ({inline(profile.provider)}, id {profile.id})"


def _change(change: Change) -> str:
    fields = "; ".join(
        f"{name}: {_value(old)} → {_value(new)}" for name, (old, new) in change.fields.items()
    )
    return f"{describe(change.new)}  {fields}"


def _value(value: Json) -> str:
    return inline(write(value))


def _step(step: Step) -> str:
    ids = f"id {step.source_id}"
    if step.target_id is not None and step.target_id != step.source_id:
        ids += f" → {step.target_id}"
    app = inline(step.client_id or "no client id")
    return f"{inline(step.name)}  ({ids}, {app})  {inline(step.reason)}"


def difference_to_json(found: Difference) -> dict[str, Json]:
    """A difference as users see it (`diff --json`)."""
    return {
        "added": [profile.fields for profile in found.added],
        "removed": [profile.fields for profile in found.removed],
        "changed": [
            {
                "id": change.new.id,
                "provider": change.new.provider,
                "name": change.new.name,
                "fields": {name: list(values) for name, values in change.fields.items()},
            }
            for change in found.changed
        ],
    }


def counts(document: Mapping[str, int]) -> str:
    """Counts in words, without the zeros."""
    return ", ".join(f"{count} {name}" for name, count in document.items() if count) or "nothing"
