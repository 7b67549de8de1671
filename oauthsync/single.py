"""One profile at a time: the step that creates, updates or deletes it. Pure.

The step is carried out by `restore.Session.write_one`, as a run with a journal like any other. A
profile that is there already is not created again: who calls a second time, because the first call
was cut off, is not to have it twice.
"""

import shlex

from oauthsync.errors import OauthsyncError, UsageError
from oauthsync.profiles import Profile
from oauthsync.runs import NewStep
from oauthsync.snapshots import Listing
from oauthsync.text import is_unicode

_BY_HAND = "by hand"


def find(listing: Listing, profile_id: int) -> Profile:
    """The profile with this id. Raises OauthsyncError."""
    for profile in listing.profiles:
        if profile.id == profile_id:
            return profile
    raise not_there(listing.workspace, profile_id)


def not_there(workspace: str, profile_id: int) -> OauthsyncError:
    """The error for an id that a workspace does not have."""
    option = f"--workspace {shlex.quote(workspace)}"
    return OauthsyncError(
        f"{workspace!r} has no profile {profile_id}",
        hint=f"`oauthsync profiles list {option}` shows them, `oauthsync diff {option}` what is"
        " gone since the last export, `oauthsync log` what went before; or name another workspace",
    )


def create(listing: Listing, *, provider: str, name: str, client_id: str) -> NewStep:
    """Create a profile. Raises UsageError for a bad text, OauthsyncError where it is there."""
    step = NewStep(
        action="create",
        source_id=None,
        target_id=None,
        provider=provider,
        name=name,
        client_id=client_id,
        reason=_BY_HAND,
        data={"client_id": client_id},
    )
    _check_texts(step)
    for profile in listing.profiles:
        if profile.key == (provider, name, client_id):
            raise OauthsyncError(
                f"{listing.workspace!r} has this profile already: id {profile.id}",
                hint=f"`oauthsync profiles update {profile.id}` gives it the sidecar's secret",
            )
    return step


def update(
    listing: Listing,
    profile_id: int,
    *,
    provider: str | None = None,
    name: str | None = None,
    client_id: str | None = None,
) -> NewStep:
    """Update a profile; what is None stays as it is. Raises UsageError, OauthsyncError."""
    profile = find(listing, profile_id)
    step = NewStep.on(
        profile, "update", _BY_HAND, provider=provider, name=name, client_id=client_id
    )
    if step.client_id is None:
        raise UsageError(f"profile {profile_id} has no client id", hint="give one by --client-id")
    _check_texts(step)
    return step


def delete(listing: Listing, profile_id: int, *, force: bool) -> NewStep:
    """Delete a profile; one that is, or may be, in use takes `force`. Raises OauthsyncError."""
    profile = find(listing, profile_id)
    if profile.uses != 0 and not force:
        uses = "is in use" if profile.uses else "may be in use: the API does not tell"
        raise OauthsyncError(
            f"profile {profile_id} ({profile.name!r}) {uses}",
            hint="its connections would stop working; --force deletes it all the same",
        )
    return NewStep.on(profile, "delete", _BY_HAND)


def _check_texts(step: NewStep) -> None:
    texts = {"provider": step.provider, "name": step.name, "client id": step.client_id}
    for what, text in texts.items():
        if not text:
            raise UsageError(f"the {what} is empty")
        if not is_unicode(text):
            raise UsageError(f"the {what} is not Unicode text")
