"""A plan in a file: `plan -o FILE` and `import --plan FILE`. Pure: no I/O.

The file says what the plan was made from, and what came of it. Whoever carries it out makes the
plan again from the same, with the target as it is then, and goes on only where `differences` finds
none: the steps in a file are for people to read, and nothing is ever done because they say so. Nor
is `target_url` a place to connect to, but one to compare the configured one with.

A file holds no secret. It is JSON in UTF-8; what would not show as itself on a terminal or a web
page (control and direction characters) stands there escaped.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from oauthsync import overrides, strictjson
from oauthsync.errors import UsageError
from oauthsync.plan import ACTIONS, OnExisting, Options, Plan, Selection
from oauthsync.profiles import is_id
from oauthsync.strictjson import Json
from oauthsync.tables import suggestion
from oauthsync.text import inline, is_unicode, json_line

FORMAT = "oauthsync-plan"
VERSION = 1

MAX_SIZE = 64 * 1024 * 1024
"""Bytes of a file that is read; 100,000 steps take about half of it."""

T = TypeVar("T")


@dataclass(frozen=True)
class Inputs:
    """What a plan is made from, beside the target as it is listed.

    `id` is the plan's own, unique, so that it is carried out once. `source` and `target` are
    names of workspaces, `target_url` is the target's, `snapshot_digest` the snapshot's.
    """

    id: str
    source: str
    target: str
    target_url: str
    snapshot: int
    snapshot_digest: str
    options: Options


@dataclass(frozen=True)
class SavedPlan:
    """The inputs to make a plan again, and its fingerprint and steps (by source id) as saved."""

    inputs: Inputs
    fingerprint: str
    steps: Mapping[int, Mapping[str, Json]]


# --- writing ------------------------------------------------------------------------------------


def dump(plan: Plan, inputs: Inputs) -> bytes:
    """The content of a file. UsageError where an option is not Unicode text."""
    assert (plan.target, plan.snapshot) == (inputs.target, inputs.snapshot)
    public = plan.to_json()
    document = {
        "format": FORMAT,
        "version": VERSION,
        "id": inputs.id,
        "source": inputs.source,
        "target": {"name": inputs.target, "url": inputs.target_url},
        "snapshot": {"id": inputs.snapshot, "digest": inputs.snapshot_digest},
        "options": _options_to_json(inputs.options),
        "fingerprint": public["fingerprint"],
        "summary": public["summary"],
        "steps": public["steps"],
    }
    text = json.dumps(document, ensure_ascii=False, indent=2)
    if not is_unicode(text):
        raise UsageError("an option is not Unicode text, so the plan cannot be saved")
    return "".join(f"{json_line(line)}\n" for line in text.split("\n")).encode()


def _options_to_json(options: Options) -> dict[str, Json]:
    return {
        "only": list(options.selection.names),
        "provider": list(options.selection.providers),
        "id": list(options.selection.ids),
        "on_existing": options.on_existing,
        "push_secrets": options.push_secrets,
        "allow_missing": options.allow_missing,
        "map": {str(source_id): target_id for source_id, target_id in options.maps.items()},
        "overrides": [override.to_json() for override in options.overrides],
    }


# --- reading ------------------------------------------------------------------------------------


def parse(text: bytes, *, where: str) -> SavedPlan:
    """The plan in a file's content; `where` is its name.

    Raises UsageError, which names the file and the key, for anything that `dump` does not write.
    """
    try:
        value = strictjson.parse(text)
    except ValueError as error:
        raise UsageError(f"{where} is not JSON: {error}", hint=_HINT) from None
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise UsageError(f"{where} is not a saved plan", hint=_HINT)
    if _checked(value.get("version"), int, f"{where}: version") != VERSION:
        raise UsageError(f"{where} is of a version that this oauthsync does not know", hint=_HINT)
    root = _Object(value, where, _KEYS)
    target = root.object("target", ("name", "url"))
    snapshot = root.object("snapshot", ("id", "digest"))
    return SavedPlan(
        inputs=Inputs(
            id=_plan_id(root),
            source=root.get("source", str),
            target=target.get("name", str),
            target_url=target.get("url", str),
            snapshot=snapshot.get("id", int),
            snapshot_digest=snapshot.get("digest", str),
            options=_options(root.object("options", _OPTION_KEYS), where),
        ),
        fingerprint=root.get("fingerprint", str),
        steps=_steps(root),
    )


def _plan_id(root: "_Object") -> str:
    found = root.get("id", str)
    if not re.fullmatch("[0-9a-f]{32}", found):
        raise UsageError(f"{root.where}: id is not 32 hexadecimal digits", hint=_HINT)
    return found


_HINT = "`oauthsync plan -o FILE` saves a plan"
_KEYS = (
    *("format", "version", "id", "source", "target", "snapshot", "options", "fingerprint"),
    *("summary", "steps"),
)
_OPTION_KEYS = (
    *("only", "provider", "id", "on_existing", "push_secrets", "allow_missing", "map"),
    "overrides",
)
_STEP_KEYS = ("action", "source_id", "target_id", "provider", "name", "client_id", "reason")
_NAMES = {
    str: "a string",
    int: "a positive whole number",
    bool: "true or false",
    list: "a list",
    dict: "an object",
}


class _Object:
    """An object in a file: its keys are these, and what is got from it is of its kind."""

    def __init__(self, value: Json, where: str, keys: Sequence[str]) -> None:
        self.values = _checked(value, dict, where)
        self.where = where
        for key in self.values:
            if key not in keys:
                raise UsageError(f"{where}: unknown key {key!r}", hint=suggestion(key, keys))
        for key in keys:
            if key not in self.values:
                raise UsageError(f"{where}: {key} is missing", hint=_HINT)

    def get(self, key: str, kind: type[T]) -> T:
        return _checked(self.values[key], kind, f"{self.where}: {key}")

    def many(self, key: str, kind: type[T]) -> tuple[T, ...]:
        where = f"{self.where}: an item of {key}"
        return tuple(_checked(value, kind, where) for value in self.get(key, list))

    def optional(self, key: str, kind: type[T]) -> T | None:
        return None if self.values[key] is None else self.get(key, kind)

    def object(self, key: str, keys: Sequence[str]) -> "_Object":
        return _Object(self.values[key], f"{self.where}: {key}", keys)


def _checked(value: Json, kind: type[T], where: str) -> T:
    # The only numbers here are ids and the version; Python takes true for a number, too.
    if (kind is int and not is_id(value)) or not isinstance(value, kind):
        raise UsageError(f"{where} is not {_NAMES[kind]}", hint=_HINT)
    return value


def _options(options: _Object, where: str) -> Options:
    return Options(
        selection=Selection(
            names=options.many("only", str),
            providers=options.many("provider", str),
            ids=options.many("id", int),
        ),
        on_existing=_on_existing(options),
        push_secrets=options.get("push_secrets", bool),
        allow_missing=options.get("allow_missing", bool),
        maps=_maps(options.get("map", dict), f"{options.where}: map"),
        overrides=overrides.from_entries(options.get("overrides", list), where=where),
    )


def _on_existing(options: _Object) -> OnExisting:
    match options.get("on_existing", str):
        case "update" | "skip" | "fail" as value:
            return value
        case _:
            raise UsageError(f"{options.where}: on_existing is not update, skip or fail")


def _maps(values: Mapping[str, Json], where: str) -> dict[int, int]:
    found = {}
    for key, value in values.items():
        number = int(key) if re.fullmatch("[1-9][0-9]{0,18}", key) else None
        source_id = _checked(number, int, f"{where}: the key {key!r}")
        found[source_id] = _checked(value, int, f"{where}: {key}")
    return found


def _steps(root: _Object) -> dict[int, Mapping[str, Json]]:
    found: dict[int, Mapping[str, Json]] = {}
    for number, value in enumerate(root.get("steps", list), 1):
        step = _Object(value, f"{root.where}: step {number}", _STEP_KEYS)
        if step.get("action", str) not in ACTIONS:
            raise UsageError(f"{step.where}: action is not one of {', '.join(ACTIONS)}")
        for key in ("provider", "name", "reason"):
            step.get(key, str)
        step.optional("target_id", int)
        step.optional("client_id", str)
        if found.setdefault(step.get("source_id", int), step.values) is not step.values:
            raise UsageError(f"{step.where}: an earlier step has its source_id", hint=_HINT)
    counts = Counter(step["action"] for step in found.values())
    if root.values["summary"] != {action: counts[action] for action in ACTIONS}:
        raise UsageError(f"{root.where}: summary is not that of the steps", hint=_HINT)
    return found


# --- comparing ----------------------------------------------------------------------------------


def differences(saved: SavedPlan, plan: Plan) -> tuple[str, ...]:
    """What makes `plan` another than the saved one, a line each; nothing where it is the same.

    The lines are safe to show, whatever the names and the file hold.
    """
    then = saved.steps
    now = {step.source_id: step.to_json() for step in plan.steps}
    found = [
        f"{step['provider']} {step['name']} ({source_id}):"
        f" {_summed_up(then.get(source_id))} → {_summed_up(now.get(source_id))}"
        for source_id, step in {**then, **now}.items()
        if then.get(source_id) != now.get(source_id)
    ]
    if not found and saved.fingerprint != plan.fingerprint:
        found = ["no step differs, but the target's list does, or what of it is in use"]
    return tuple(map(inline, found))


def _summed_up(step: Mapping[str, Json] | None) -> str:
    if step is None:
        return "no step"
    at = "" if step["target_id"] is None else f" {step['target_id']}"
    return f"{step['action']}{at} ({step['reason']})"
