"""From a snapshot and a target as it is now to a plan; nothing is written anywhere."""

from collections.abc import Container, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from oauthsync import plan, plan_file
from oauthsync.backup import Backup
from oauthsync.config import Workspace
from oauthsync.plan import Options, Plan, Situation
from oauthsync.profiles import Profile
from oauthsync.runs import new_plan_id
from oauthsync.snapshots import Listing, Snapshot, check_identity

if TYPE_CHECKING:
    # It brings cryptography, which a plan that writes nothing does not need.
    from oauthsync.sidecar import Secrets


@dataclass(frozen=True)
class Prepared:
    """A plan, and what it was made from; `plan_id` is a saved plan's own."""

    plan: Plan
    options: Options
    snapshot: Snapshot
    source: Sequence[Profile]
    target: Workspace
    listing: Listing
    same_workspace: bool
    plan_id: str | None = None


class KnownSecrets:
    """The sidecar, opened when it is first needed, as that takes a second, or a person.

    As a container it holds the apps whose secret is at hand.
    """

    def __init__(self, backup: Backup) -> None:
        self._backup = backup
        self._opened: tuple[tuple[int, int] | None, Secrets] | None = None

    @property
    def secrets(self) -> "Secrets":
        """What it holds now; SidecarError where it is missing or does not open."""
        # While a person is asked, another process may file the secret that is to be sent.
        file = self._file()
        if self._opened is None or self._opened[0] != file:
            self._opened = file, self._backup.sidecar.secrets()
        return self._opened[1]

    def _file(self) -> tuple[int, int] | None:
        """Which file it is: one that is saved takes the place of the one before."""
        try:
            found = self._backup.config.sidecar.stat()
        except OSError:
            return None  # whoever opens it says why
        return found.st_ino, found.st_mtime_ns

    @cached_property
    def _apps(self) -> frozenset[tuple[str, str]]:
        return self.secrets.names() if self._backup.sidecar.exists else frozenset()

    def __contains__(self, app: object) -> bool:
        return app in self._apps


def prepare(
    backup: Backup,
    selector: str,
    options: Options,
    *,
    source: str | None = None,
    target: str | None = None,
) -> Prepared:
    """The plan for `selector`'s snapshot and `target`, which is listed for it."""
    snapshot = backup.find(selector, source)
    workspace = backup.workspace(target or snapshot.workspace)
    listing = backup.live(workspace)
    return prepare_for(backup, snapshot, workspace, listing, options, KnownSecrets(backup))


def prepare_for(
    backup: Backup,
    snapshot: Snapshot,
    target: Workspace,
    listing: Listing,
    options: Options,
    apps: Container[tuple[str, str]],
) -> Prepared:
    """The plan for a snapshot and a target, from the target's `listing`; `apps` have secrets."""
    situation = _situation(backup, snapshot, listing, apps)
    return Prepared(
        plan=plan.make(situation, options),
        options=options,
        snapshot=snapshot,
        source=situation.source,
        target=target,
        listing=listing,
        same_workspace=situation.same_workspace,
    )


def save(prepared: Prepared) -> bytes:
    """The content of a file that holds this plan, to be carried out once. Raises UsageError."""
    snapshot = prepared.snapshot
    inputs = plan_file.Inputs(
        id=new_plan_id(),
        source=snapshot.workspace,
        target=prepared.target.name,
        target_url=prepared.target.url,
        snapshot=snapshot.id,
        snapshot_digest=snapshot.digest,
        options=prepared.options,
    )
    return plan_file.dump(prepared.plan, inputs)


def snapshot_with_more(backup: Backup, prepared: Prepared) -> Snapshot | None:
    """The newest earlier snapshot with profiles that plan and target lack."""
    known = {profile.id for profile in prepared.source}
    keys = {profile.key for profile in prepared.source}
    snapshots = backup.snapshots()
    last = snapshots.last_seen(prepared.snapshot)
    lost = {profile_id: seen for profile_id, seen in last.items() if profile_id not in known}
    for seen in sorted(set(lost.values()), reverse=True):
        snapshot = snapshots.get(seen)
        situation = _situation(backup, snapshot, prepared.listing, ())
        for profile in plan.lacking(situation, prepared.options):
            # What was created again is in the plan under its new id.
            if lost.get(profile.id) == seen and profile.key not in keys:
                return snapshot
    return None


def _situation(
    backup: Backup, snapshot: Snapshot, listing: Listing, apps: Container[tuple[str, str]]
) -> Situation:
    return Situation(
        snapshot=snapshot.id,
        source=backup.snapshots().profiles(snapshot, listing.profiles),
        source_digest=snapshot.digest,
        target_name=listing.workspace,
        target=listing.profiles,
        same_workspace=_is_same_workspace(snapshot, listing),
        apps=apps,
        id_map=backup.journal().id_map(snapshot.workspace, listing.workspace, *listing.identity),
    )


def _is_same_workspace(snapshot: Snapshot, listing: Listing) -> bool:
    """Whether the target is the one that the snapshot was taken of, under whatever name.

    Raises StoreError where the name is the snapshot's and the workspace is not.
    """
    if snapshot.workspace != listing.workspace:
        return listing.user_id is not None and listing.identity == snapshot.identity
    check_identity(snapshot.workspace, snapshot.identity, listing.identity)
    return True
