"""The records of the journal: a run, its steps, and the calls that they make.

- A run is one `import`, `undo` or change of a single profile, with its steps in their order.
- A step is one profile to create, update or delete: planned, then done, adopted or failed.
- A call is one request for a step: an intent, then an outcome.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Literal, TypeAlias

from oauthsync.errors import StoreError
from oauthsync.profiles import COUNTS, MalformedProfileError, Profile, from_json
from oauthsync.steady import Moment
from oauthsync.strictjson import Json

RunKind: TypeAlias = Literal["import", "undo", "profile"]
RunState: TypeAlias = Literal["running", "complete", "incomplete", "undone"]
UNFINISHED: tuple[RunState, ...] = ("running", "incomplete")
"""The states of a run that did not come to its end."""

Action: TypeAlias = Literal["create", "update", "delete"]
StepState: TypeAlias = Literal["planned", "done", "adopted", "failed"]
Outcome: TypeAlias = Literal["done", "refused", "not sent", "unknown", "settled"]


@dataclass(frozen=True)
class NewStep:
    """A step to be journaled; `data` is what is sent as `data`, without the secrets."""

    action: Action
    source_id: int | None
    target_id: int | None
    provider: str
    name: str
    client_id: str | None
    reason: str
    data: Mapping[str, Json]

    @classmethod
    def on(
        cls,
        profile: Profile,
        action: Literal["update", "delete"],
        reason: str,
        *,
        provider: str | None = None,
        name: str | None = None,
        client_id: str | None = None,
    ) -> "NewStep":
        """A step for a profile that is there: with all that it has, but for what is given here."""
        wanted = profile.client_id if client_id is None else client_id
        return cls(
            action=action,
            source_id=None,
            target_id=profile.id,
            provider=profile.provider if provider is None else provider,
            name=profile.name if name is None else name,
            client_id=wanted,
            reason=reason,
            data={**profile.data, "client_id": wanted},
        )


def new_plan_id() -> str:
    """An id for a plan, which no other plan has and nobody can guess."""
    return token_hex(16)


@dataclass(frozen=True, kw_only=True)
class NewRun:
    """A run to be journaled.

    `plan_id` is unique: a plan is carried out once. `report` is what the run's own report says of
    the plan beside its steps (JSON); its `in_use` is as `note_of` makes it.
    """

    kind: RunKind
    target: str
    steps: Sequence[NewStep]
    source: str | None = None
    snapshot: int | None = None
    safety_snapshot: int | None = None
    undoes: int | None = None
    plan_id: str = field(default_factory=new_plan_id)
    fingerprint: str = ""
    report: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """A step of a run: `target_id` is its profile's id in the target, once that is known.

    `result` is the `fingerprint` of the profile as the step left it, where it is done.
    """

    id: int
    run: int
    action: Action
    state: StepState
    source_id: int | None
    target_id: int | None
    provider: str
    name: str
    client_id: str | None
    data: Mapping[str, Json]
    reason: str
    result: str | None
    error: str | None

    @property
    def key(self) -> tuple[str, str, str | None]:
        """What makes two profiles interchangeable (`Profile.key`)."""
        return (self.provider, self.name, self.client_id)

    @property
    def is_done(self) -> bool:
        """Whether the target has it now."""
        return self.state in ("done", "adopted")

    @property
    def is_own(self) -> bool:
        """Whether a call of its own did it, and not perhaps somebody else or another run."""
        return self.is_done and self.error is None


@dataclass(frozen=True)
class Ending:
    """How a step ends: `target_id` and `result` as in `Step`, and why it failed."""

    state: Literal["done", "adopted", "failed"]
    target_id: int | None = None
    result: str | None = None
    error: str | None = None


@dataclass(frozen=True)
class Run:
    """A run as the journal knows it; the snapshots may have been pruned since."""

    id: int
    kind: RunKind
    target: str
    target_url: str
    source: str | None
    snapshot: int | None
    safety_snapshot: int | None
    undoes: int | None
    started_at: str
    finished_at: str | None
    state: RunState
    verified: bool | None
    plan_id: str
    fingerprint: str
    report: Mapping[str, Json]

    @property
    def way_on(self) -> str:
        """The command of oauthsync that carries it on.

        For an undo it is another one, which looks anew, and asks: what the first one was to delete
        may have been counted on since.
        """
        if self.undoes is not None:
            return f"undo {self.undoes}"
        return f"resume {self.id}"


ENDED, DROPPED = "ended", "dropped"
"""What the report of an undo says where it is not carried on, or where what it undoes was."""


def unfinished(runs: Iterable[Run]) -> list[Run]:
    """Those of `runs`, the newest first, that are to be carried on.

    A run that was begun to be undone is not, unless it was carried on since.
    """
    found: list[Run] = []
    undone: set[int | None] = set()
    for run in runs:
        if run.state in UNFINISHED and run.id not in undone and ENDED not in run.report:
            found.append(run)
        if DROPPED not in run.report:
            undone.add(run.undoes)
    return found


def note_of(profile: Profile) -> dict[str, Json]:
    """What a run notes of a profile that was in use: its snapshot may be pruned before the run."""
    fields = profile.fields
    return {name: fields.get(name) for name in ("id", "name", "provider", *COUNTS)}


def in_use(
    run: Run, steps: Sequence[Step], deleted: Container[int | None] = ()
) -> list[tuple[Step, Profile]]:
    """What a person has to re-point after a run: the steps, and of each profile what was noted.

    That is what was, or may have been, in use in the run's snapshot and has a new id now, which is
    not among those that were `deleted` since. Raises StoreError where the run's notes are damaged.
    """
    if run.state == "undone":
        return []
    noted = _noted(run)
    return [
        (step, noted[step.source_id])
        for step in steps
        if step.action == "create"
        and step.is_done
        and step.source_id in noted
        and step.target_id not in deleted
    ]


def _noted(run: Run) -> dict[int, Profile]:
    notes = run.report.get("in_use", [])
    try:
        # What is no list is no profile either.
        found = map(from_json, notes if isinstance(notes, list) else [notes])
        return {profile.id: profile for profile in found}
    except MalformedProfileError as error:
        raise StoreError(
            f"run {run.id} was altered or damaged, in what it notes as in use: {error}",
            hint="restore the database from a copy",
        ) from error


@dataclass(frozen=True)
class OpenCall:
    """A call whose outcome is unknown, and when it went out, or by when where not `is_dated`."""

    id: int
    step: Step
    began: Moment
    is_dated: bool
