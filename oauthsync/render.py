"""Results as text for people: tables, plans, differences. The only place that writes colours.

Every line can be read without colour (`lines.py`). Lists are folded, with their counts, and
shortened on a terminal only: a pipe gets all of it, and so does `verbose`.
"""

from collections import Counter
from collections.abc import Callable, Collection, Container, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING

import click

from oauthsync import strictjson
from oauthsync.layout import cell, columns, fit, without_room, wrapped
from oauthsync.lines import (
    MARKS,
    Line,
    changes,
    counted,
    failed_line,
    heading,
    in_use_line,
    remarks,
    side,
    step_line,
    summary,
)
from oauthsync.text import inline

if TYPE_CHECKING:
    from oauthsync.importer import Report
    from oauthsync.preparing import Prepared
    from oauthsync.profiles import Change, Difference, Profile
    from oauthsync.runs import Run
    from oauthsync.runs import Step as RunStep
    from oauthsync.snapshots import LogEntry, Snapshot
    from oauthsync.strictjson import Json
    from oauthsync.undo import UndoPlan

FOLD = 20
"""Lines of a list that are shown unless everything is asked for."""

MAX_VALUE = 200
"""Characters of a JSON value that are shown."""

_IDS = 1
"""The column of a line with the ids of a profile."""

_FREE = (("name", "profiles", "error"), ("client id",))
"""The columns that are shortened first: free text, and only then what has to be typed letter by
letter, while the others say what a row is about."""

_OWN = ("id", "user_id", "created_at")
"""What a profile that was created again has of its own."""


class Renderer:
    """Turns results into text for a stream of `width` columns (None: it is no terminal)."""

    def __init__(
        self, *, color: bool = False, verbose: bool = False, width: int | None = None
    ) -> None:
        self._color = color
        self._verbose = verbose
        self._width = None if verbose else width
        self._room = None if self._width is None else self._width - len("  + ")
        self._folds = self._width is not None

    # --- listings -------------------------------------------------------------------------------

    def table(
        self,
        headers: Sequence[str],
        rows: Iterable[Sequence[object]],
        *,
        none: str = "none",
        spare: Sequence[str] = (),
        shorten: Sequence[Collection[str]] = _FREE,
    ) -> str:
        """Rows below their headers, numbers at the right; `none` is said where there is no row.

        Where a terminal is too narrow, `spare` columns are left out, the last one first, and
        groups of columns are shortened in the order of `shorten`.
        """
        found = list(rows)
        if not found:
            return none
        folds = self._folds and len(found) > FOLD
        shown = found[: FOLD - 1] if folds else found
        cells = [list(headers), *([cell(value) for value in row] for row in shown)]
        free = [[at for at, header in enumerate(headers) if header in group] for group in shorten]
        left_out: set[int] = set()
        if self._width is not None:
            places = [headers.index(each) for each in spare]
            left_out = without_room(cells, self._width, places, free[0])
        kept = [at for at in range(len(headers)) if at not in left_out]
        head, *lines = columns(
            [[row[at] for at in kept] for row in cells],
            self._width,
            right=[to for to, at in enumerate(kept) if all(_is_number(row[at]) for row in found)],
            first=[[kept.index(at) for at in group if at in kept] for group in free],
        )
        if folds:
            lines.append(f"… and {len(found) - len(shown)} more (-v shows all)")
        if left_out:
            names = ", ".join(headers[at] for at in sorted(left_out))
            lines.append(f"… no room for {names} (-v shows all)")
        return "\n".join([self._styled(head, bold=True), *lines])

    def profiles(self, profiles: Sequence["Profile"]) -> str:
        """A table of profiles."""
        return self.table(
            ("id", "provider", "name", "client id", "uses"),
            [
                (p.id, p.provider, p.name, p.client_id, "?" if p.uses is None else p.uses)
                for p in profiles
            ],
            none="no profiles",
            spare=("uses",),
            shorten=(("name", "client id"),),
        )

    def lines(self, lines: Sequence[Line]) -> list[str]:
        """Marked lines, grouped and folded; `lines` are sorted by their groups."""
        return self._lines([line.kind for line in lines], lines.__getitem__)

    def _lines(
        self,
        kinds: Sequence[str],
        line_at: Callable[[int], Line],
        first: Container[int] = (),
    ) -> list[str]:
        """As `lines`, of which only those that are shown are made: those of `first` before all.

        The ids are not shortened while there is another column to shorten.
        """
        indices, hidden = self._folded(kinds, first)
        shown = [line_at(index) for index in indices]
        texts = iter(columns([line.cells for line in shown], self._room, whole=(_IDS,)))
        told = []
        for group, members in groupby(shown, key=lambda line: line.group):
            if group:
                told.append(self._styled(inline(group), bold=True))
            for line in members:
                mark = MARKS[line.kind]
                told.append(self._styled(f"  {mark.symbol} {next(texts)}", mark.color))
                for detail in line.details:
                    # The words of a reason are wrapped, and values are left in their line.
                    is_reason = line.kind in ("blocked", "left", "failed")
                    told += self._prose(detail, 6) if is_reason else [f"      {detail}"]
        # Not indented: they are about all the groups, and not about the one above them.
        for kind, count in hidden.items():
            told.append(f"… and {count} more {MARKS[kind].words} (-v shows all)")
        return told

    def _folded(
        self, kinds: Sequence[str], first: Container[int]
    ) -> tuple[Sequence[int], Mapping[str, int]]:
        """Where the lines of each kind stand that are shown, and how many of each are not."""
        counts = Counter(kinds)
        hidden = {kind: count - FOLD + 1 for kind, count in counts.items() if count > FOLD}
        if not (self._folds and hidden):
            return range(len(kinds)), {}
        room = {kind: count - hidden.get(kind, 0) for kind, count in counts.items()}
        shown = []
        for index in sorted(range(len(kinds)), key=lambda index: index not in first):
            if room[kinds[index]]:
                room[kinds[index]] -= 1
                shown.append(index)
        return sorted(shown), hidden

    def prose(self, text: str) -> str:
        """Text with its lines broken between words."""
        return "\n".join(self._prose(text))

    def _prose(self, text: str, indent: int = 0) -> list[str]:
        shown = text if self._width is None else wrapped(text, self._width - indent)
        return [" " * indent + line for line in shown.split("\n")]

    def names(self, names: Sequence[str]) -> str:
        """Names one below the other, folded."""
        shown = names[: FOLD - 1] if self._folds and len(names) > FOLD else names
        more = len(names) - len(shown)
        told = [f"  {name}" for name in shown]
        if more:
            told.append(f"  … and {more} more (-v shows all)")
        return "\n".join(told)

    # --- differences ----------------------------------------------------------------------------

    def difference(self, found: "Difference") -> str:
        """What was added, removed and changed, or has a new id, and how much of each."""
        from oauthsync.profiles import split_created_again

        found, moved = split_created_again(found)
        marked: list[tuple[str, Profile, Change | None]] = [
            *(("added", profile, None) for profile in found.added),
            *(("removed", profile, None) for profile in found.removed),
            *(("changed", change.new, change) for change in found.changed),
            *(("new id", change.new, change) for change in moved),
        ]
        marked.sort(key=lambda each: each[1].provider)
        lines = self._lines(
            [kind for kind, *_ in marked], lambda index: self._difference_line(*marked[index])
        )
        counts = (len(found.added), len(found.removed), len(found.changed))
        told = "{} added, {} removed, {} changed".format(*counts)
        told += f", {len(moved)} with a new id" if moved else ""
        return "\n".join([*lines, told])

    def _difference_line(self, kind: str, profile: "Profile", change: "Change | None") -> Line:
        ids = f"{change.old.id} → {profile.id}" if change and kind == "new id" else profile.id
        cells = (inline(profile.name), f"id {ids}")
        return Line(profile.provider, kind, cells, self._changes(change) if change else ())

    def comparison(
        self, before: Mapping[str, "Json"], after: Mapping[str, "Json"], found: "Difference"
    ) -> str:
        """A difference below its two sides, which are as `documents` gives them."""
        return f"--- {side(before)}\n+++ {side(after)}\n{self.difference(found)}"

    def log(self, entries: Sequence["LogEntry"], newest: Sequence["Snapshot"]) -> str:
        """The differences from export to export; without any, the `newest` that were compared."""
        told = [self._log_entry(entry) for entry in entries]
        since = [
            f"snapshot {each.id} of {inline(each.workspace)}, {each.taken_at}:"
            f" `oauthsync diff {each.id}` shows what changed since"
            for each in newest
        ]
        if since:
            since = ["", "exports were compared, up to", *map(self.prose, since)]
        return "\n\n".join(told) or "\n".join(["no changes from one export to the next", *since])

    def _log_entry(self, entry: "LogEntry") -> str:
        from oauthsync.profiles import split_created_again

        snapshot, before = entry.snapshot, entry.before.id
        head = (
            f"snapshot {snapshot.id} of {inline(snapshot.workspace)}, {snapshot.taken_at},"
            f" against snapshot {before}"
        )
        told = [self._styled(head, bold=True), self.difference(entry.difference)]
        left, _ = split_created_again(entry.difference)
        if left.removed:
            told.append(f"snapshot {before} has what was removed")
        return "\n".join(told)

    def _changes(self, change: "Change") -> tuple[str, ...]:
        return tuple(
            f"{inline(name)}: {self._value(old)} → {self._value(new)}"
            for name, (old, new) in change.fields.items()
            if change.old.id == change.new.id or name not in _OWN
        )

    def _value(self, value: "Json") -> str:
        text = inline(strictjson.write(value))
        return f"{text[: MAX_VALUE - 1]}…" if self._folds and len(text) > MAX_VALUE else text

    # --- plans and runs -------------------------------------------------------------------------

    def plan(self, prepared: "Prepared", notes: Sequence[str] = (), *, counts: bool = True) -> str:
        """A plan like a good diff, with notes below; what stays unchanged is counted only.

        With verbose, it is shown.
        """
        plan = prepared.plan
        steps = [step for step in plan.steps if self._verbose or step.action != "unchanged"]
        lines = self._lines(
            [step.action for step in steps],
            lambda at: step_line(steps[at]),
            first={at for at, step in enumerate(steps) if not step.wanted.is_as_it_was},
        )
        if counts:
            lines.append(summary(plan.summary))
        told = [*remarks(prepared), *notes]
        return "\n".join([self.prose(heading(prepared)), *lines, *map(self.prose, told)])

    def undo(self, run: "Run", steps: "Sequence[RunStep]", plan: "UndoPlan") -> str:
        """What undoing a run would do, and leave; `steps` are the run's."""
        what = "change of one profile in" if run.kind == "profile" else f"{run.kind} into"
        head = f"undo of run {run.id}, {what} {inline(run.target)}, {run.started_at}"
        kinds = {"delete": "delete", "update": "put back"}
        sent = {step.target_id: step for step in steps}
        lines = []
        for step in plan.steps:
            cells, found = (inline(step.name), f"id {step.target_id}"), sent.get(step.target_id)
            differing = changes(found, step) if found and step.action == "update" else ()
            lines.append(Line(step.provider, kinds[step.action], cells, differing))
        # What a step may have made without an id of its own has the step's name.
        providers: dict[object, str] = {step.name: step.provider for step in steps}
        providers |= {step.target_id: step.provider for step in steps}
        for each in plan.left:
            provider = providers.get(each.target_id) or providers.get(each.name, "")
            cells = (inline(each.name), f"id {each.target_id}")
            lines.append(Line(provider, "left", cells, (inline(each.reason),)))
        lines.sort(key=lambda line: line.group)
        told = self.lines(lines) or ["nothing to undo"]
        if any(step.action == "update" for step in plan.steps):
            remark = "gets the sidecar's client secret: the earlier one is not known"
            told.append(self.prose(f"what is put back {remark}"))
        return "\n".join([self.prose(head), *told])

    def run(self, report: "Report") -> str:
        """How a run ended."""
        words = {"create": "created", "update": "updated", "delete": "deleted"}
        done = Counter(words[step.action] for step in report.steps if step.is_done)
        adopted = [step for step in report.steps if step.state == "adopted"]
        failed = [failed_line(step) for step in report.steps if not step.is_done]
        verified = bool(report.run.verified)
        told = f"run {report.run.id} in {inline(report.run.target)}: {counted(done)}"
        told += " and verified" if done and verified else ""
        made = [step for step in report.steps if step.is_done and step.action != "delete"]
        gone = sum(step.target_id not in report.seen for step in made) if report.seen else 0
        told += f", {gone} of them not there any more" if gone else ""
        if adopted:
            by_others = sum(not step.is_own for step in adopted)
            ways = {
                "whose call got no answer, but was carried out": len(adopted) - by_others,
                "that somebody else, or another run, may have made": by_others,
            }
            told += f" (of them adopted: {counted(ways)})"
        if failed:
            told += f", {len(failed)} not done"
        told += "" if verified else ", NOT verified"
        return "\n".join([self.prose(told), *self.lines(failed)])

    def in_use(self, run: "Run", found: "Sequence[tuple[RunStep, Profile]]") -> str:
        """Which profiles a person has to choose again in the target's connections."""
        lines = [in_use_line(step, profile) for step, profile in found]
        lines.sort(key=lambda line: line.group)
        where = "connection that used it"
        if run.source != run.target:
            target, source = inline(run.target), inline(run.source or "")
            where = f"connection of {target} that takes the place of one in {source}"
        head = (
            f"still to be done by hand: choose the new profile in each {where}, and assign it to"
            " each Embedded customer"
        )
        if self._room is not None and not fit([line.cells for line in lines], self._room):
            # Neither is to be shortened while there is another line to put the uses on.
            lines = [replace(line, cells=line.cells[:2], details=line.cells[2:]) for line in lines]
        return "\n".join([self.prose(head), *self.lines(lines)])

    def _styled(self, text: str, color: str | None = None, *, bold: bool = False) -> str:
        return click.style(text, fg=color, bold=bold or None) if self._color else text


def _is_number(value: object) -> bool:
    return value is None or isinstance(value, int)
