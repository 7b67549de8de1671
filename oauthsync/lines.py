"""What is said of profiles, steps and runs, a line each: words and marks, without a layout.

A mark's symbol says what its colour says. Names from outside are safe to show in what is returned.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from oauthsync import strictjson
from oauthsync.text import count_of, inline

if TYPE_CHECKING:
    from oauthsync.checks import Vanished
    from oauthsync.plan import Step
    from oauthsync.preparing import Prepared
    from oauthsync.profiles import Profile
    from oauthsync.runs import NewStep
    from oauthsync.runs import Step as RunStep
    from oauthsync.strictjson import Json


@dataclass(frozen=True)
class Mark:
    """How one kind of line is marked, and what its hidden ones are called."""

    symbol: str
    color: str | None
    words: str


MARKS: Mapping[str, Mark] = {
    "create": Mark("+", "green", "to create"),
    "update": Mark("~", "yellow", "to update"),
    "unchanged": Mark("=", None, "unchanged"),
    "skip": Mark(".", None, "skipped"),
    "blocked": Mark("!", "red", "blocked"),
    "added": Mark("+", "green", "added"),
    "removed": Mark("-", "red", "removed"),
    "changed": Mark("~", "yellow", "changed"),
    "new id": Mark("±", "yellow", "with a new id"),
    "delete": Mark("-", "red", "to delete"),
    "put back": Mark("~", "yellow", "to put back"),
    "left": Mark("!", "red", "left as they are"),
    "failed": Mark("!", "red", "not done"),
    "in use": Mark(">", "yellow", "to be chosen again"),
}


@dataclass(frozen=True)
class Line:
    """A marked line below the heading of its `group`, and what is told below it."""

    group: str
    kind: str
    cells: tuple[str, ...]
    details: tuple[str, ...] = ()


def describe(profile: "Profile | Vanished") -> str:
    """A profile in one line."""
    return f"{inline(profile.name)} ({inline(profile.provider)}, id {profile.id})"


def side(side: Mapping[str, "Json"]) -> str:
    """One side of a comparison, which is as `documents` gives it."""
    what = f"snapshot {side['id']}" if side["id"] is not None else "now"
    size = side["profiles"]
    assert isinstance(size, int)
    workspace = inline(str(side["workspace"]))
    return f"{workspace}, {what}, {side['taken_at']}: {count_of(size, 'profile')}"


def heading(prepared: "Prepared") -> str:
    """What a plan is made from, and what for."""
    snapshot, target = prepared.snapshot, prepared.target
    return (
        f"snapshot {snapshot.id} of {inline(snapshot.workspace)} ({snapshot.taken_at})"
        f" → {inline(target.name)} ({target.url})"
    )


def ids_of(step: "Step") -> str:
    """A step's id in the source, and the one in the target where it has another there."""
    if step.target_id in (None, step.source_id):
        return str(step.source_id)
    return f"{step.source_id} → {step.target_id}"


def step_line(step: "Step") -> Line:
    """A step of a plan."""
    head = (inline(step.name), f"id {ids_of(step)}")
    if step.action == "blocked":
        # Its reason is what a person has to act on: a line of its own is never shortened.
        told = (inline(step.reason), *_changed(step))
        return Line(step.provider, step.action, (*head, ""), told)
    return Line(step.provider, step.action, (*head, inline(step.reason)), _changed(step))


def _changed(step: "Step") -> tuple[str, ...]:
    told = changes(before(step), step)
    if step.action != "update" or not step.match:
        return told
    data = step.wanted.differing_data(step.match).items()
    more = (f"data.{name}: {old or 'none'} → {new or 'none'}" for name, (old, new) in data)
    return (*told, *map(inline, more))


def before(step: "Step") -> "Profile":
    """What a step makes another of: what the target has, or what the snapshot has.

    It is the snapshot's where the target has none, or keeps what it has.
    """
    keeps = step.action == "skip"
    return step.wanted.source if keeps or not step.match else step.match


def changes(before: "Profile | RunStep", step: "Step | NewStep") -> tuple[str, ...]:
    """How name and client id of a step differ from what was there."""
    pairs = (("name", before.name, step.name), ("client id", before.client_id, step.client_id))
    return tuple(
        f"{name}: {inline(old or 'none')} → {inline(new or 'none')}"
        for name, old, new in pairs
        if old != new
    )


def failed_line(step: "RunStep") -> Line:
    """A step of a run that was not done, and why."""
    ids = f"id {step.source_id or step.target_id}"
    return Line("", "failed", (inline(step.name), ids), (inline(step.error or "not done"),))


def in_use_line(step: "RunStep", profile: "Profile") -> Line:
    """What a person has to choose again: the step that created it, and what it was."""
    ids = f"id {step.source_id} → {step.target_id}"
    cells = (inline(step.name), ids, ", ".join(used_by(profile)) or "use unknown")
    return Line(step.provider, "in use", cells)


def used_by(profile: "Profile") -> list[str]:
    """By how many of what a profile is used, as far as the API tells."""
    nouns = {"shared_accounts_count": "connection", "oem_customers_count": "customer"}
    fields = profile.fields
    return [_uses(fields[name], noun) for name, noun in nouns.items() if fields.get(name)]


def _uses(count: "Json", noun: str) -> str:
    # The API's page says that they are integers; nobody knows that they always are.
    if isinstance(count, int):
        return count_of(count, noun)
    return f"{inline(strictjson.write(count))} {noun}s"


def remarks(prepared: "Prepared", shown: Callable[[str], str] = inline) -> list[str]:
    """What a plan leaves a person to do afterwards, and what it cannot bring back.

    `shown` is how a name from outside is shown.
    """
    return [*_to_choose_again(prepared, shown), *_replaced_secrets(prepared.plan.summary["update"])]


def _replaced_secrets(updates: int) -> list[str]:
    """That a profile which is updated gets a secret, too: the API takes no update without one."""
    if not updates:
        return []
    what, has = ("the one", "it has") if updates == 1 else (f"the {updates}", "they have")
    return [
        f"{what} to update will have the sidecar's client secret: what {has} now is not known, and"
        " cannot be put back"
    ]


def _to_choose_again(prepared: "Prepared", shown: Callable[[str], str]) -> list[str]:
    """That profiles in use get new ids, which has a person at work afterwards; or nothing."""
    uses = [step.source_uses for step in prepared.plan.in_use]
    if not uses:
        return []
    known = sum(each or 0 for each in uses)
    one = ("is", "one has", "its")
    are, ones_have, their = one if len(uses) == 1 else ("are", "ones have", "their")
    if None in uses:
        are = "are, or may be," if known else "may be"
    told = f"{len(uses)} of those to create {are} in use"
    where = ""
    if not prepared.same_workspace:
        told += f" in {shown(prepared.snapshot.workspace)}"
        where = f", in what takes {their} place in the target"
    if known:
        told += f" by {known}{' or more' if None in uses else ''} connections and customers"
    return [f"{told}: the new {ones_have} to be chosen by hand afterwards{where}"]


def summary(counts: Mapping[str, int]) -> str:
    """A plan's counts in words: `3 to create, 211 unchanged`."""
    return counted({MARKS[action].words: count for action, count in counts.items()})


def counted(counts: Mapping[str, int]) -> str:
    """Counts in words, without the zeros."""
    return ", ".join(f"{count} {words}" for words, count in counts.items() if count) or "nothing"
