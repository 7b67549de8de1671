"""What an import would do to a target, step by step. Pure: no I/O, no clock, no logging.

Nothing in a target is ever deleted. A plan is sorted, and does not depend on the order of what it
is made from. Its fingerprint covers the snapshot, every step, and the target as listed, but of each
profile there only what an import could change: two plans with one fingerprint do the same to the
same target, however often its profiles were used meanwhile.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from operator import attrgetter
from typing import ClassVar, Literal, TypeAlias

from oauthsync import matching, overrides
from oauthsync.errors import UsageError
from oauthsync.overrides import Override, Wanted, more_data
from oauthsync.profiles import Profile
from oauthsync.strictjson import Json
from oauthsync.tables import suggestion
from oauthsync.text import GLOBS, listed

OnExisting = Literal["update", "skip", "fail"]

MAX_UPDATED_SHARE = 0.3
SMALL_TARGET = 10
"""Updating more than this share of a target of more than 10 profiles is worth a second look."""

_NO_SECRET = "its client secret is missing"  # noqa: S105 - a reason, not a secret
_DIFFERS = "differs in "
_AMBIGUOUS = "ambiguous: "


@dataclass(frozen=True)
class Selection:
    """Which of the snapshot's profiles an import is about; empty means all."""

    names: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    ids: tuple[int, ...] = ()

    def holds(self, profile: Profile) -> bool:
        """Whether a profile is selected: each kind of condition that was given must hold.

        A name is a glob, and the snapshot's, whatever the overrides make of it.
        """
        return (
            (not self.names or any(fnmatchcase(profile.name, glob) for glob in self.names))
            and (not self.providers or profile.provider in self.providers)
            and (not self.ids or profile.id in self.ids)
        )

    def check(self, source: Sequence[Profile]) -> None:
        """Raise UsageError where a condition holds for no profile, or all together do not."""
        if unknown := set(self.ids) - {profile.id for profile in source}:
            raise UsageError(
                f"--id: the snapshot has no profile {min(unknown)}",
                hint="`oauthsync log` says which snapshot has it, if it was removed",
            )
        known = {profile.provider for profile in source}
        if unheard := sorted(set(self.providers) - known):
            raise UsageError(
                f"--provider: the snapshot has no profile of {unheard[0]!r}",
                hint=suggestion(unheard[0], sorted(known)),
            )
        for glob in self.names:
            if not any(fnmatchcase(profile.name, glob) for profile in source):
                raise UsageError(
                    f"--only: no profile of the snapshot is named {glob!r}",
                    hint=f"{GLOBS}. Where it is gone: `oauthsync log` says which snapshot has it",
                )
        if self != Selection() and not any(self.holds(profile) for profile in source):
            raise UsageError("--only, --provider and --id together select no profile")


@dataclass(frozen=True)
class Options:
    """What the user wants of an import; `maps` are source ids to target ids."""

    selection: Selection = Selection()
    on_existing: OnExisting = "skip"
    push_secrets: bool = False
    allow_missing: bool = False
    maps: Mapping[int, int] = field(default_factory=dict)
    overrides: tuple[Override, ...] = ()


@dataclass(frozen=True, slots=True)
class _Step:
    """One profile of the snapshot as it is wanted, its match in the target, and why."""

    action: ClassVar[str]
    wanted: Wanted
    match: Profile | None
    reason: str

    @property
    def source_id(self) -> int:
        """The id in the snapshot."""
        return self.wanted.source.id

    @property
    def target_id(self) -> int | None:
        """The id in the target, where there is a match."""
        return self.match.id if self.match else None

    @property
    def provider(self) -> str:
        """The provider."""
        return self.wanted.provider

    @property
    def name(self) -> str:
        """The name that is wanted."""
        return self.wanted.name

    @property
    def client_id(self) -> str | None:
        """The client id that is wanted."""
        return self.wanted.client_id

    @property
    def key(self) -> tuple[str, str, str | None]:
        """What makes two steps interchangeable (`Profile.key`)."""
        return self.wanted.key

    @property
    def data(self) -> dict[str, Json]:
        """What a write sends as `data`, without the secrets."""
        return {**self.wanted.source.data, "client_id": self.client_id}

    @property
    def uses(self) -> int | None:
        """How many connections and customers use the match (None: unknown)."""
        return self.match.uses if self.match else 0

    @property
    def source_uses(self) -> int | None:
        """How many used the profile at the time of the snapshot (None: unknown)."""
        return self.wanted.source.uses

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


@dataclass(frozen=True, slots=True)
class Create(_Step):
    """The target has no such profile."""

    action = "create"


@dataclass(frozen=True, slots=True)
class Update(_Step):
    """The target's profile differs, or is to get the sidecar's secret."""

    action = "update"


@dataclass(frozen=True, slots=True)
class Unchanged(_Step):
    """The target has it as it is wanted."""

    action = "unchanged"


@dataclass(frozen=True, slots=True)
class Skip(_Step):
    """It is left as it is, on the user's word."""

    action = "skip"


@dataclass(frozen=True, slots=True)
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

    @cached_property
    def summary(self) -> dict[str, int]:
        """How many steps there are of each action."""
        counts = Counter(step.action for step in self.steps)
        return {action: counts[action] for action in ACTIONS}

    @cached_property
    def writes(self) -> tuple[Create | Update, ...]:
        """The steps that write to the target."""
        return tuple(step for step in self.steps if isinstance(step, Create | Update))

    @cached_property
    def blocked(self) -> tuple[Blocked, ...]:
        """The steps that keep the plan from being carried out."""
        return tuple(step for step in self.steps if isinstance(step, Blocked))

    @cached_property
    def without_secret(self) -> tuple[Blocked, ...]:
        """Those of the blocked steps whose client secret is missing."""
        return tuple(step for step in self.blocked if step.reason == _NO_SECRET)

    @cached_property
    def ambiguous(self) -> tuple[Blocked, ...]:
        """Those of the blocked steps whose match is ambiguous."""
        return tuple(step for step in self.blocked if step.reason.startswith(_AMBIGUOUS))

    @cached_property
    def differing(self) -> tuple[Skip | Blocked, ...]:
        """The steps that leave a profile as it is because it differs."""
        left = (step for step in self.steps if isinstance(step, Skip | Blocked))
        return tuple(step for step in left if step.reason.startswith(_DIFFERS))

    @cached_property
    def in_use(self) -> tuple[Create, ...]:
        """The creates whose profile was, or may have been, in use: its new id is to be chosen."""
        creates = (step for step in self.steps if isinstance(step, Create))
        return tuple(step for step in creates if step.source_uses != 0)

    @property
    def cautions(self) -> tuple[str, ...]:
        """What about this plan is worth a second look."""
        updates = [step for step in self.steps if isinstance(step, Update)]
        found = []
        if self.target_size > SMALL_TARGET and len(updates) > MAX_UPDATED_SHARE * self.target_size:
            found.append(f"it updates {len(updates)} of the target's {self.target_size} profiles")
        for step in updates:
            if step.uses != 0:
                used = "is in use" if step.uses else "may be in use: the API does not say"
                found.append(f"it updates {step.name!r} (id {step.target_id}), which {used}")
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

    `source` are the snapshot's profiles, whose digest is `source_digest`. `same_workspace`: the
    target is the one that the snapshot was taken of. `apps` holds the
    (provider, client id) pairs whose secret is at hand, and is asked only about what would be
    written. `id_map` says which target ids earlier imports gave to source ids.
    """

    snapshot: int
    source: Sequence[Profile]
    source_digest: str
    target_name: str
    target: Sequence[Profile]
    same_workspace: bool
    apps: Container[tuple[str, str]]
    id_map: Mapping[int, int]


def make(situation: Situation, options: Options) -> Plan:
    """The plan for a situation. UsageError where an option names what is not there."""
    options.selection.check(situation.source)
    overrides.check(options.overrides, situation.source)
    wanted = overrides.apply(options.overrides, situation.source)
    matches = _match(situation, wanted, options.maps)
    selected = [each for each in wanted if options.selection.holds(each.source)]
    selected.sort(key=attrgetter("source.provider", "name", "source.id"))
    blockers = {each: f"{_AMBIGUOUS}{why}" for each, why in matches.ambiguous.items()}
    if options.overrides:
        blockers |= _collisions(selected)
    steps = tuple(
        _step(
            each,
            matches.found.get(each.source.id),
            blockers.get(each.source.id),
            situation.apps,
            options,
        )
        for each in selected
    )
    return Plan(
        target=situation.target_name,
        snapshot=situation.snapshot,
        fingerprint=_fingerprint(situation, steps),
        target_size=len(situation.target),
        steps=steps,
    )


def lacking(situation: Situation, options: Options) -> tuple[Profile, ...]:
    """The selected profiles of a snapshot that the target has no match for.

    For a look at other snapshots than the plan's: `--map` is of no account, and options that name
    what the snapshot does not have are no error.
    """
    wanted = overrides.apply(options.overrides, situation.source)
    matches = _match(situation, wanted, {})
    return tuple(
        profile
        for profile in situation.source
        if options.selection.holds(profile)
        and profile.id not in matches.found
        and profile.id not in matches.ambiguous
    )


def _match(
    situation: Situation, wanted: Sequence[Wanted], maps: Mapping[int, int]
) -> matching.Matches:
    return matching.match(
        wanted,
        situation.target,
        maps=maps,
        same_workspace=situation.same_workspace,
        id_map=situation.id_map,
    )


def _collisions(wanted: Sequence[Wanted]) -> dict[int, str]:
    """Why profiles that the snapshot tells apart would not be told apart in the target."""
    names: dict[object, list[Profile]] = defaultdict(list)
    keys: dict[object, list[Profile]] = defaultdict(list)
    for each in wanted:
        names[each.provider, each.name].append(each.source)
        keys[each.key].append(each.source)
    alike = [group for group in names.values() if len({each.name for each in group}) > 1]
    alike += [group for group in keys.values() if len({each.key for each in group}) > 1]
    found = {}
    for group in alike:
        ids = sorted(each.id for each in group)
        found.update(dict.fromkeys(ids, f"the overrides make {listed(ids)} alike"))
    return found


def _step(
    wanted: Wanted,
    match: Profile | None,
    blocker: str | None,
    apps: Container[tuple[str, str]],
    options: Options,
) -> Step:
    kind, reason = (Blocked, blocker) if blocker else _intent(wanted, match, options)
    if kind is Create or kind is Update:
        if not wanted.client_id:
            kind, reason = Blocked, "it has no client id; an override can give it one"
        elif (wanted.provider, wanted.client_id) not in apps:
            kind = Skip if options.allow_missing else Blocked
            reason = _NO_SECRET
    return kind(wanted, match, reason)


def _intent(wanted: Wanted, match: Profile | None, options: Options) -> tuple[type[Step], str]:
    """What to do with a profile where nothing is in the way, and why."""
    if match is None:
        return Create, "not in target"
    if differing := wanted.differing(match):
        return _ON_EXISTING[options.on_existing], f"{_DIFFERS}{listed(differing)}"
    if options.push_secrets:
        return Update, "to give it the sidecar's secret"
    return Unchanged, "same in target"


_ON_EXISTING: Mapping[OnExisting, type[Step]] = {"update": Update, "skip": Skip, "fail": Blocked}


def _fingerprint(situation: Situation, steps: Sequence[Step]) -> str:
    digest = hashlib.sha256()
    for row in _covered(situation, steps):
        # `ascii` tells any two rows apart, and is the same in every version of Python.
        digest.update(ascii(row).encode("ascii"))
    return f"sha256:{digest.hexdigest()}"


def _covered(situation: Situation, steps: Sequence[Step]) -> Iterator[tuple[object, ...]]:
    yield situation.target_name, situation.source_digest
    for profile in sorted(situation.target, key=attrgetter("id")):
        yield profile.id, *profile.key, *sorted(more_data(profile).items())
    for step in steps:
        in_use = isinstance(step, Update) and step.uses != 0
        yield step.action, step.source_id, step.target_id, *step.key, step.reason, in_use
