"""What undoing a run would do to its target. Pure.

What the run created is deleted, where it is as the run left it and not in use. What it updated gets
its earlier state back from the safety snapshot, where it is as the run left it and the sidecar has
the secret of the client id that it had then. Everything else is left as it is, and named with the
reason; so is what cannot be undone: a secret that was pushed, and a profile that was deleted, which
an import of the safety snapshot creates anew.
"""

from collections.abc import Container, Mapping, Sequence, Set
from dataclasses import dataclass

from oauthsync import profiles
from oauthsync.profiles import Profile
from oauthsync.runs import NewStep, Step
from oauthsync.settling import fingerprint, is_as_sent, may_be
from oauthsync.strictjson import Json

_IN_USE = "it is in use"
_MAYBE_IN_USE = "whether it is in use is not known"
_NO_SECRET = "the sidecar has no secret for its earlier client id "  # noqa: S105 - a reason


@dataclass(frozen=True)
class Left:
    """A profile that undoing leaves as it is."""

    target_id: int | None
    name: str
    reason: str

    @property
    def takes_force(self) -> bool:
        """Whether `force` would delete it."""
        return self.reason in (_IN_USE, _MAYBE_IN_USE)

    @property
    def takes_secret(self) -> bool:
        """Whether it would be put back with a secret that the sidecar lacks."""
        return self.reason.startswith(_NO_SECRET)

    def to_json(self) -> dict[str, Json]:
        """The profile as users see it."""
        return {"target_id": self.target_id, "name": self.name, "reason": self.reason}


@dataclass(frozen=True)
class UndoPlan:
    """The steps that undo a run, and what they leave."""

    steps: tuple[NewStep, ...]
    left: tuple[Left, ...]


def make(
    run: Sequence[Step],
    target: Mapping[int, Profile],
    before: Mapping[int, Profile],
    apps: Container[tuple[str, str | None]],
    *,
    force: bool,
    safety_snapshot: int | None,
    creators: Mapping[int, int],
) -> UndoPlan:
    """Undo a run's steps, the last one first.

    `target` is what is there now, `before` what was there when the run began, as `safety_snapshot`
    (None: it was pruned) has it; `apps` are those whose secret is at hand, and `creators` the runs
    that created profiles, by these profiles' ids. `force` also deletes what is in use.
    """
    steps: list[NewStep] = []
    left: list[Left] = []
    for step in reversed(run):
        if not step.is_done:
            left += _doubtful(step, run, target, before.keys() | creators.keys())
            continue
        profile, earlier = target.get(step.target_id or 0), before.get(step.target_id or 0)
        match step.action:
            case "create":
                found = _uncreate(step, profile, creators, force=force)
            case "update":
                found = _put_back(step, profile, earlier, apps)
            case "delete":
                others = [each for id_, each in target.items() if id_ not in before]
                found = _deleted(step, others, safety_snapshot)
        if isinstance(found, NewStep):
            steps.append(found)
        elif found is not None:
            name = profile.name if profile else step.name
            left.append(Left(step.target_id, name, found))
    return UndoPlan(tuple(steps), tuple(left))


def _uncreate(
    step: Step, profile: Profile | None, creators: Mapping[int, int], *, force: bool
) -> NewStep | str | None:
    if profile is None:
        return None
    if not step.is_own:
        # Somebody else may have made it, and may need it.
        run = creators.get(profile.id)
        return f"run {run} created it: `oauthsync undo {run}` undoes that" if run else step.error
    if not _is_as_left(step, profile):
        return "it was changed since"
    if profile.uses != 0 and not force:
        return _IN_USE if profile.uses else _MAYBE_IN_USE
    return NewStep.on(profile, "delete", "created by the run")


def _deleted(step: Step, new: Sequence[Profile], safety_snapshot: int | None) -> str:
    if again := [profile.id for profile in new if profile.key == step.key]:
        return f"it was deleted; one with its name and client id is there: id {min(again)}"
    if safety_snapshot is None:
        return "it was deleted, and the snapshot that had it was pruned: `oauthsync log` may know"
    return (
        f"it was deleted: `oauthsync import {safety_snapshot} --id {step.target_id}` creates it"
        " anew, with a new id, where its secret is filed"
    )


def _put_back(
    step: Step,
    profile: Profile | None,
    earlier: Profile | None,
    apps: Container[tuple[str, str | None]],
) -> NewStep | str | None:
    if profile is None:
        return "it is gone"
    if earlier is None:
        return "its earlier state is not in the safety snapshot"
    if is_as_sent(step, earlier):
        return "only its secret was changed, and the earlier one is not known"
    if not profiles.differs(earlier, profile):
        return None
    if not _is_as_left(step, profile):
        return "it was changed since"
    if earlier.app not in apps:
        return f"{_NO_SECRET}{earlier.client_id!r}"
    return NewStep.on(earlier, "update", "updated by the run")


def _doubtful(
    step: Step, run: Sequence[Step], target: Mapping[int, Profile], others: Set[int]
) -> list[Left]:
    """The new profiles that could be of a create which failed as nobody could tell."""
    known = others | {each.target_id for each in run}
    found = may_be(step, (each for each in target.values() if each.id not in known))
    return [Left(each.id, each.name, "whether the run created it is not known") for each in found]


def _is_as_left(step: Step, profile: Profile) -> bool:
    """Whether a profile is as a step left it, be it with fields that the API has added."""
    return is_as_sent(step, profile) or step.result == fingerprint(profile)
