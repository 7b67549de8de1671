"""What there is to report about a backup folder.

It comes from the database and the sidecar alone: no workspace is asked. Of the sidecar's entries
only their names and times leave this module, so no page made from the facts can show a secret.
"""

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from oauthsync.backup import Backup
from oauthsync.clock import moment
from oauthsync.errors import SidecarError
from oauthsync.missing import MissingApp, missing_apps
from oauthsync.profiles import Difference, Profile, split_created_again
from oauthsync.runs import Run, Step, in_use
from oauthsync.snapshots import LogEntry, Snapshot

RECENT_DAYS = 30
"""For how long a loss that nobody made good is told."""


@dataclass(frozen=True)
class FiledSecret:
    """When an app's secret was filed, and how many profiles of the newest exports use it."""

    provider: str
    client_id: str
    has_token: bool
    updated_at: str
    profiles: int

    @property
    def app(self) -> tuple[str, str]:
        """What it is filed under."""
        return (self.provider, self.client_id)


@dataclass(frozen=True)
class Sidecar:
    """The sidecar: its secrets, the oldest first, where it opened, and `why` where it did not."""

    state: Literal["open", "closed", "absent"]
    why: str = ""
    secrets: tuple[FiledSecret, ...] = ()


@dataclass(frozen=True)
class Restorable:
    """Which profiles of a snapshot could be restored, and what the others lack."""

    ready: tuple[Profile, ...]
    missing: tuple[MissingApp, ...]
    without_client_id: tuple[Profile, ...]

    @property
    def lacking(self) -> int:
        """How many profiles could not be restored."""
        return sum(len(app.profiles) for app in self.missing) + len(self.without_client_id)


@dataclass(frozen=True)
class Lost:
    """A profile that an export noticed as removed, and the export before, which has it."""

    profile: Profile
    snapshot: int


@dataclass(frozen=True)
class WorkspaceFacts:
    """A workspace: its exports, the oldest first, and what they found changed, the newest first.

    `url` is None where nothing is known but its name. `restorable` is about the newest export;
    None where there is none, or the sidecar did not open. `lost` is what exports of the last
    RECENT_DAYS noticed as removed, no run of this folder deleted, and the newest export lacks.
    """

    name: str
    url: str | None
    exports: tuple[Snapshot, ...]
    changes: tuple[LogEntry, ...]
    restorable: Restorable | None
    lost: tuple[Lost, ...]

    @property
    def latest(self) -> Snapshot | None:
        """The newest export."""
        return self.exports[-1] if self.exports else None


@dataclass(frozen=True)
class RunFacts:
    """A run, and how far its steps are."""

    run: Run
    done: int
    failed: int
    planned: int


RepointState = Literal["unseen", "gone", "moved", "open"]


@dataclass(frozen=True)
class Repoint:
    """A profile that was in use when its snapshot was taken, and has a new id since an import.

    `source` is what the run noted of the profile as it was. `state` says what the target's newest
    export tells: `unseen` (none was taken since), `gone` (the new profile is not there any more),
    `moved` (it is used by as many as the old one was), else `open`. `uses` is by how many (None:
    unknown).
    """

    run: int
    target: str
    target_id: int
    source: Profile
    state: RepointState
    uses: int | None

    @property
    def is_due(self) -> bool:
        """Whether somebody may still have to choose it again in a connection."""
        return self.state in ("unseen", "open")


@dataclass(frozen=True)
class Facts:
    """All facts at one time, `now` in seconds since the epoch; runs are the newest first."""

    now: float
    sidecar: Sidecar
    workspaces: tuple[WorkspaceFacts, ...]
    runs: tuple[RunFacts, ...]
    repoints: tuple[Repoint, ...]


def gather(backup: Backup, now: float) -> Facts:
    """The facts of a backup folder.

    A sidecar that is absent or does not open is one of them. Raises StoreError where the database
    cannot be used or is damaged, and UsageError where the configuration does not parse.
    """
    exports = _exports(backup)
    newest = {
        name: (stored[-1], {each.id: each for each in backup.snapshots().profiles(stored[-1])})
        for name, stored in exports.items()
        if stored
    }
    used = Counter(each.app for _, profiles in newest.values() for each in profiles.values())
    sidecar = _sidecar(backup, used)
    apps = None if sidecar.state == "closed" else {secret.app for secret in sidecar.secrets}
    runs = [(run, backup.journal().steps(run.id)) for run in backup.journal().runs()]
    return Facts(
        now=now,
        sidecar=sidecar,
        workspaces=tuple(
            _workspace(backup, name, stored, newest.get(name), apps, now)
            for name, stored in exports.items()
        ),
        runs=tuple(_run(run, steps) for run, steps in runs),
        repoints=tuple(_repoints(runs, newest)),
    )


Newest = tuple[Snapshot, Mapping[int, Profile]]
"""A workspace's newest export, and its profiles by id."""


def _exports(backup: Backup) -> dict[str, list[Snapshot]]:
    """Each workspace's exports, the oldest first; of configured ones also where there is none."""
    found: dict[str, list[Snapshot]] = {name: [] for name in backup.config.workspaces}
    for snapshot in reversed(backup.snapshots().all()):
        exports = found.setdefault(snapshot.workspace, [])
        if snapshot.kind == "export":
            exports.append(snapshot)
    return dict(sorted(found.items()))


def _sidecar(backup: Backup, used: Mapping[tuple[str, str | None], int]) -> Sidecar:
    if not backup.sidecar.exists:
        return Sidecar("absent")
    try:
        entries = backup.sidecar.secrets().entries
    except SidecarError as error:
        return Sidecar("closed", "; ".join(filter(None, (str(error), error.hint))))
    filed = (
        FiledSecret(
            entry.provider,
            entry.client_id,
            entry.token is not None,
            entry.updated_at,
            used.get(entry.app, 0),
        )
        for entry in entries
    )
    return Sidecar("open", secrets=tuple(sorted(filed, key=lambda each: each.updated_at)))


def _workspace(
    backup: Backup,
    name: str,
    exports: Sequence[Snapshot],
    newest: Newest | None,
    apps: Container[tuple[str, str]] | None,
    now: float,
) -> WorkspaceFacts:
    changes = tuple(backup.snapshots().log(name))
    deleted = backup.journal().deleted_ids(name)
    return WorkspaceFacts(
        name=name,
        url=exports[-1].url if exports else _configured_url(backup, name),
        exports=tuple(exports),
        changes=changes,
        restorable=None if newest is None or apps is None else _restorable(newest[1], apps),
        lost=_lost(changes, newest[1], deleted, now) if newest else (),
    )


def _configured_url(backup: Backup, name: str) -> str | None:
    workspace = backup.config.workspaces.get(name)
    return workspace.url if workspace else None


def _restorable(profiles: Mapping[int, Profile], apps: Container[tuple[str, str]]) -> Restorable:
    return Restorable(
        ready=tuple(each for each in profiles.values() if each.app in apps),
        missing=missing_apps(profiles.values(), apps),
        without_client_id=tuple(each for each in profiles.values() if each.client_id is None),
    )


def _lost(
    changes: Iterable[LogEntry], newest: Mapping[int, Profile], deleted: Container[int], now: float
) -> tuple[Lost, ...]:
    """`WorkspaceFacts.lost`, in the order of the ids; `changes` are the newest first."""
    since = now - RECENT_DAYS * 86_400
    removed: dict[int, Lost] = {}
    added: dict[int, Profile] = {}
    for entry in changes:
        if (moment(entry.snapshot.taken_at) or 0) < since:
            continue
        found = entry.difference
        added |= {each.id: newest[each.id] for each in found.added if each.id in newest}
        for each in found.removed:
            if each.id not in newest and each.id not in deleted:
                removed.setdefault(each.id, Lost(each, entry.before.id))
    gone = tuple(removed[each].profile for each in sorted(removed))
    rest, _ = split_created_again(Difference(tuple(added.values()), gone))
    return tuple(removed[each.id] for each in rest.removed)


def _run(run: Run, steps: Sequence[Step]) -> RunFacts:
    return RunFacts(
        run,
        done=sum(step.is_done for step in steps),
        failed=sum(step.state == "failed" for step in steps),
        planned=sum(step.state == "planned" for step in steps),
    )


def _repoints(
    runs: Sequence[tuple[Run, Sequence[Step]]], newest: Mapping[str, Newest]
) -> Iterable[Repoint]:
    """Of each source profile the newest new one; `runs` are the newest first."""
    handled: set[tuple[str, str | None, int]] = set()
    deleted: set[tuple[str, int | None]] = set()
    for run, steps in runs:
        deleted |= {(run.target, s.target_id) for s in steps if s.action == "delete" and s.is_done}
        for step, source in in_use(run, steps):
            key, target_id = (run.target, run.source, source.id), step.target_id
            if key in handled or target_id is None or (run.target, target_id) in deleted:
                continue
            handled.add(key)
            yield _repoint(run, target_id, source, newest.get(run.target))


def _repoint(run: Run, target_id: int, source: Profile, newest: Newest | None) -> Repoint:
    state: RepointState = "unseen"
    uses = None
    if newest and _is_after(newest[0], run):
        there = newest[1].get(target_id)
        uses = there.uses if there else None
        state = "open" if there else "gone"
        if uses is not None and source.uses is not None and uses >= source.uses:
            state = "moved"
    return Repoint(run.id, run.target, target_id, source, state, uses)


def _is_after(export: Snapshot, run: Run) -> bool:
    """Whether an export shows what a run left; times are whole seconds, and ids tell the order."""
    if run.finished_at is None or export.id < (run.safety_snapshot or 0):
        return False
    return export.taken_at >= run.finished_at
