"""What an import would do to a target, step by step. Pure: no I/O, no clock, no logging.

A plan is sorted, and its fingerprint covers the snapshot, the target as listed (without what
others' use of it moves), and every step: two plans with one fingerprint do the same to the same
target.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import ClassVar, Literal, TypeAlias

from oauthsync import matching, overrides, profiles, strictjson
from oauthsync.errors import UsageError
from oauthsync.overrides import Override, Wanted
from oauthsync.profiles import Profile
from oauthsync.strictjson import Json

OnExisting = Literal["update", "skip", "fail"]

MAX_UPDATED_SHARE = 0.3
SMALL_TARGET = 10
"""Updating more than this share of a target of more than 10 profiles takes an explicit yes."""


@dataclass(frozen=True)
class Selection:
    """Which of the snapshot's profiles an import is about; empty means all."""

    names: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    ids: tuple[int, ...] = ()

    def holds(self, profile: Profile) -> bool:
        """Whether a profile is selected: each kind of condition that was given must hold."""
        return (
            (not self.names or any(fnmatchcase(profile.name, glob) for glob in self.names))
            and (not self.providers or profile.provider in self.providers)
            and (not self.ids or profile.id in self.ids)
        )


@dataclass(frozen=True)
class Options:
    """What the user wants of an import."""

    selection: Selection = Selection()
    on_existing: OnExisting = "skip"
    push_secrets: bool = False
    allow_missing: bool = False
    maps: Mapping[int, int] = field(default_factory=dict)
    overrides: tuple[Override, ...] = ()


@dataclass(frozen=True)
class _Step:
    """One profile of the snapshot, and how it is to stand in the target.

    `data` is what is sent as `data`, without the client id's secrets; `uses` counts the connections
    and customers of the target's profile (None: unknown), `source_uses` those of the source.
    """

    action: ClassVar[str]
    source_id: int
    target_id: int | None
    provider: str
    name: str
    client_id: str | None
    reason: str
    data: Mapping[str, Json] = field(repr=False)
    uses: int | None = 0
    source_uses: int | None = 0

    @property
    def key(self) -> tuple[str, str, str | None]:
        """What makes two steps interchangeable (`Profile.key`)."""
        return (self.provider, self.name, self.client_id)

    def to_json(self) -> dict[str, Json]:
        """The step as users see it."""
        return {
            "action": self.action,
            "source_id": self.source_id,
            "target_id": self.target_id,
            "provider": self.provider,
            "name": self.name,
            "client_id": self.client_id,
            "reason": self.reason,
        }


@dataclass(frozen=True)
class Create(_Step):
    """The target has no such profile."""

    action = "create"


@dataclass(frozen=True)
class Update(_Step):
    """The target's profile differs, or is to get the sidecar's secret."""

    action = "update"


@dataclass(frozen=True)
class Unchanged(_Step):
    """The target has it as it is wanted."""

    action = "unchanged"


@dataclass(frozen=True)
class Skip(_Step):
    """It is left as it is, on the user's word."""

    action = "skip"


@dataclass(frozen=True)
class Blocked(_Step):
    """It cannot be done, and so nothing is."""

    action = "blocked"


Step: TypeAlias = Create | Update | Unchanged | Skip | Blocked
ACTIONS = ("create", "update", "unchanged", "skip", "blocked")


@dataclass(frozen=True)
class Plan:
    """All steps of an import into `target`, sorted by provider, name and source id."""

    target: str
    snapshot: int
    fingerprint: str
    target_size: int
    steps: tuple[Step, ...]

    @property
    def summary(self) -> dict[str, int]:
        """How many steps there are of each action."""
        counts = Counter(step.action for step in self.steps)
        return {action: counts[action] for action in ACTIONS}

    @property
    def writes(self) -> tuple[Create | Update, ...]:
        """The steps that write to the target."""
        return tuple(step for step in self.steps if isinstance(step, Create | Update))

    @property
    def blocked(self) -> tuple[Blocked, ...]:
        """The steps that keep the plan from being carried out."""
        return tuple(step for step in self.steps if isinstance(step, Blocked))

    @property
    def cautions(self) -> tuple[str, ...]:
        """What about this plan takes an explicit yes."""
        updates = [step for step in self.steps if isinstance(step, Update)]
        found = []
        share = len(updates) / self.target_size if self.target_size else 0
        if self.target_size > SMALL_TARGET and share > MAX_UPDATED_SHARE:
            found.append(f"it updates {len(updates)} of the target's {self.target_size} profiles")
        found += [
            f"it updates {step.name!r} ({step.provider}, id {step.target_id}), which is in use"
            for step in updates
            if step.uses != 0
        ]
        return tuple(found)

    def to_json(self) -> dict[str, Json]:
        """The plan as users see it."""
        return {
            "target": self.target,
            "snapshot": self.snapshot,
            "fingerprint": self.fingerprint,
            "summary": dict(self.summary),
            "steps": [step.to_json() for step in self.steps],
        }


@dataclass(frozen=True)
class Situation:
    """Everything that a plan is made from, beside the user's options.

    `apps` are the (provider, client id) pairs whose secret is at hand; `id_map` says which target
    ids earlier imports gave to source ids.
    """

    snapshot: int
    source: Sequence[Profile]
    target_name: str
    target: Sequence[Profile]
    same_workspace: bool
    apps: frozenset[tuple[str, str]]
    id_map: Mapping[int, int]


def make(situation: Situation, options: Options) -> Plan:
    """The plan for a situation. UsageError where an option names what is not there."""
    _check_selection(options.selection, situation.source)
    wanted = overrides.apply(options.overrides, situation.source)
    matches = matching.match(
        wanted,
        situation.target,
        maps=options.maps,
        same_workspace=situation.same_workspace,
        id_map=situation.id_map,
    )
    collisions = _collisions(wanted)
    steps = []
    for each in wanted:
        source_id = each.source.id
        if options.selection.holds(each.source):
            blocker = matches.ambiguous.get(source_id) or collisions.get(source_id)
            steps.append(
                _step(each, matches.found.get(source_id), blocker, situation.apps, options)
            )
    steps.sort(key=lambda step: (step.provider, step.name, step.source_id))
    return Plan(
        target=situation.target_name,
        snapshot=situation.snapshot,
        fingerprint=_fingerprint(situation, steps),
        target_size=len(situation.target),
        steps=tuple(steps),
    )


def _check_selection(selection: Selection, source: Sequence[Profile]) -> None:
    if unknown := set(selection.ids) - {profile.id for profile in source}:
        raise UsageError(f"--id: the snapshot has no profile {min(unknown)}")
    if selection != Selection() and not any(selection.holds(profile) for profile in source):
        raise UsageError("no profile of the snapshot is selected by --only, --provider and --id")


def _collisions(wanted: Sequence[Wanted]) -> dict[int, str]:
    """Profiles that differed in the snapshot and would be alike after the overrides."""
    names: dict[tuple[str, str], list[Wanted]] = defaultdict(list)
    keys: dict[tuple[str, str, str | None], list[Wanted]] = defaultdict(list)
    for each in wanted:
        names[each.provider, each.name].append(each)
        keys[each.key].append(each)
    alike = [group for group in names.values() if len({each.source.name for each in group}) > 1]
    alike += [group for group in keys.values() if len({each.source.key for each in group}) > 1]
    return {
        each.source.id: "the overrides make profiles "
        + ", ".join(str(other.source.id) for other in group)
        + " alike"
        for group in alike
        for each in group
    }


def _step(
    wanted: Wanted,
    match: Profile | None,
    blocker: str | None,
    apps: frozenset[tuple[str, str]],
    options: Options,
) -> Step:
    def step(kind: type[Step], reason: str) -> Step:
        return kind(
            source_id=wanted.source.id,
            target_id=match.id if match else None,
            provider=wanted.provider,
            name=wanted.name,
            client_id=wanted.client_id,
            reason=reason,
            data=_data(wanted),
            uses=match.uses if match else 0,
            source_uses=wanted.source.uses,
        )

    def write(kind: type[Create] | type[Update], reason: str) -> Step:
        if wanted.client_id is None:
            return step(Blocked, "the snapshot has no client id for it")
        if (wanted.provider, wanted.client_id) not in apps:
            missing = "its client secret is missing"
            return step(Skip if options.allow_missing else Blocked, missing)
        return step(kind, reason)

    if blocker:
        return step(Blocked, blocker)
    if match is None:
        return write(Create, "not in target")
    differing = _differing(wanted, match)
    if "provider" in differing:
        return step(Blocked, f"the target's profile {match.id} is of {match.provider!r}")
    if not differing:
        if options.push_secrets:
            return write(Update, "to give it the sidecar's secret")
        return step(Unchanged, "same in target")
    reason = f"differs in {', '.join(differing)}"
    match options.on_existing:
        case "update":
            return write(Update, reason)
        case "skip":
            return step(Skip, reason)
        case "fail":
            return step(Blocked, reason)


def _data(wanted: Wanted) -> dict[str, Json]:
    return {**wanted.source.data, "client_id": wanted.client_id}


def _differing(wanted: Wanted, profile: Profile) -> list[str]:
    """The fields in which a target profile is not as wanted."""
    if wanted.source.document == profile.document and wanted.key == profile.key:
        return []
    found = []
    if profile.provider != wanted.provider:
        found.append("provider")
    if profile.name != wanted.name:
        found.append("name")
    there: dict[str, Json] = {"client_id": profile.client_id, **profile.data}
    data = _data(wanted)
    found += [
        f"data.{name}"
        for name in sorted(there.keys() | data.keys())
        if (name in there) != (name in data)
        or strictjson.canonical(there.get(name)) != strictjson.canonical(data.get(name))
    ]
    return found


def _fingerprint(situation: Situation, steps: Sequence[Step]) -> str:
    digest = hashlib.sha256(profiles.digest(situation.source).encode("ascii"))
    for profile in sorted(situation.target, key=lambda each: each.id):
        digest.update(profile.significant.encode("utf-8") + b"\n")
    for step in steps:
        value: Json = {**step.to_json(), "data": dict(step.data), "uses": step.uses}
        digest.update(strictjson.canonical(value).encode("utf-8") + b"\n")
    return f"sha256:{digest.hexdigest()}"
