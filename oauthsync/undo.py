"""What undoing a run would do to its target. Pure.

What the run created is deleted, where it is as the run left it and not in use. What it updated gets
its earlier state back from the safety snapshot, where the sidecar has the secret of the client id
that it had then. Everything else is left as it is, and named with the reason.
"""

from collections.abc import Container, Sequence
from dataclasses import dataclass

from oauthsync import strictjson
from oauthsync.journal import NewStep, Step
from oauthsync.profiles import Profile
from oauthsync.strictjson import Json


@dataclass(frozen=True)
class Left:
    """A profile that undoing leaves as it is."""

    target_id: int | None
    name: str
    reason: str

    def to_json(self) -> dict[str, Json]:
        """The profile as users see it."""
        return {"target_id": self.target_id, "name": self.name, "reason": self.reason}


@dataclass(frozen=True)
class UndoPlan:
    """The steps that undo a run, and what they leave."""

    steps: tuple[NewStep, ...]
    left: tuple[Left, ...]


def make(
    done: Sequence[Step],
    target: Sequence[Profile],
    safety: Sequence[Profile],
    apps: Container[tuple[str, str | None]],
    *,
    force: bool,
) -> UndoPlan:
    """Undo the steps that are done; `force` also deletes what is in use."""
    live = {profile.id: profile for profile in target}
    earlier = {profile.id: profile for profile in safety}
    steps: list[NewStep] = []
    left: list[Left] = []
    for step in reversed(done):
        profile = live.get(step.target_id or 0)
        if not step.is_done or (profile is None and step.action == "create"):
            continue
        if profile is None:
            left.append(Left(step.target_id, step.name, "it is gone"))
            continue
        if not _is_as_sent(step, profile):
            found: NewStep | str = "it was changed since"
        elif step.action == "create":
            found = _delete(profile, force=force)
        else:
            found = _put_back(profile, earlier.get(profile.id), apps)
        if isinstance(found, str):
            left.append(Left(profile.id, profile.name, found))
        else:
            steps.append(found)
    return UndoPlan(tuple(steps), tuple(left))


def _is_as_sent(step: Step, profile: Profile) -> bool:
    sent: dict[str, Json] = {**step.data, "client_id": step.client_id}
    return profile.key == step.key and strictjson.canonical(profile.data) == strictjson.canonical(
        sent
    )


def _delete(profile: Profile, *, force: bool) -> NewStep | str:
    if profile.uses != 0 and not force:
        return "it is in use" if profile.uses else "whether it is in use is not known"
    return NewStep(
        action="delete",
        source_id=None,
        target_id=profile.id,
        provider=profile.provider,
        name=profile.name,
        client_id=profile.client_id,
        reason="created by the run",
        data=profile.data,
    )


def _put_back(
    profile: Profile, earlier: Profile | None, apps: Container[tuple[str, str | None]]
) -> NewStep | str:
    if earlier is None:
        return "its earlier state is not in the safety snapshot"
    if earlier.app not in apps:
        return f"the sidecar has no secret for its earlier client id {earlier.client_id!r}"
    return NewStep(
        action="update",
        source_id=None,
        target_id=profile.id,
        provider=earlier.provider,
        name=earlier.name,
        client_id=earlier.client_id,
        reason="updated by the run",
        data=earlier.data,
    )
