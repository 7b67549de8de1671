"""Putting profiles back: a plan for a target, carried out, carried on, and undone.

Whoever writes to a workspace holds its lock from before the target is listed until the run ends, so
that no other process of this machine writes to it meanwhile, and keeps `prune` out of the folder.
"""

import secrets as random
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from oauthsync import files, plan, undo
from oauthsync.api import Api
from oauthsync.backup import Backup, workspace_key
from oauthsync.config import Workspace
from oauthsync.errors import IncompleteError, StoreError, UsageError
from oauthsync.importer import Importer, Report
from oauthsync.journal import NewRun, NewStep, Run, Step
from oauthsync.plan import Options, Plan, Situation
from oauthsync.profiles import Profile
from oauthsync.snapshots import Listing, Snapshot
from oauthsync.strictjson import Json

FOLDER_LOCK = ".oauthsync.lock"


class _AllApps:
    """Every app: to see whether a plan writes at all before the sidecar is opened for it."""

    def __contains__(self, _app: object) -> bool:
        return True


@dataclass(frozen=True)
class Prepared:
    """A plan, and what it was made from."""

    plan: Plan
    snapshot: Snapshot
    source: Sequence[Profile]
    target: Workspace
    listing: Listing
    same_workspace: bool


@dataclass(frozen=True)
class Carried:
    """A run that was carried out: its report, and what a person still has to re-point."""

    report: Report
    in_use: Sequence[tuple[Step, Profile]]


def prepare(
    backup: Backup,
    selector: str,
    options: Options,
    *,
    source: str | None = None,
    target: str | None = None,
) -> Prepared:
    """The plan for `selector`'s snapshot and `target`; nothing is written anywhere."""
    snapshot = select(backup, selector, source)
    workspace = backup.workspace(target or snapshot.workspace)
    return _prepare(backup, snapshot, workspace, backup.live(workspace), options)


def select(backup: Backup, selector: str, source: str | None) -> Snapshot:
    """The snapshot that is meant: of `source`, or of the default workspace where there is one."""
    if source is None and not selector.isdecimal():
        source = backup.config.default_workspace
    return backup.snapshots().find(selector, source)


def _prepare(
    backup: Backup, snapshot: Snapshot, workspace: Workspace, listing: Listing, options: Options
) -> Prepared:
    same = _is_same_workspace(snapshot, listing)
    profiles = backup.snapshots().profiles(snapshot)

    def make(apps: "frozenset[tuple[str, str]] | _AllApps") -> Plan:
        return plan.make(
            Situation(
                snapshot=snapshot.id,
                source=profiles,
                target_name=workspace.name,
                target=listing.profiles,
                same_workspace=same,
                apps=apps,
                id_map=backup.journal().id_map(snapshot.workspace, workspace.name),
            ),
            options,
        )

    made = make(_AllApps())
    if made.writes:
        # Only now is the sidecar needed, and perhaps a person asked for its passphrase.
        made = make(backup.apps())
    return Prepared(made, snapshot, profiles, workspace, listing, same)


def snapshot_with_more(backup: Backup, prepared: Prepared) -> Snapshot | None:
    """The newest earlier export with profiles that the target lacks, where it is their own."""
    if not prepared.same_workspace:
        return None
    there = {profile.id for profile in prepared.listing.profiles}
    there |= set(backup.journal().id_map(prepared.snapshot.workspace, prepared.target.name))
    snapshots = backup.snapshots()
    for snapshot in snapshots.all(prepared.snapshot.workspace):
        older = snapshot.id < prepared.snapshot.id and snapshot.kind == "export"
        if older and snapshots.profile_ids(snapshot.id) - there:
            return snapshot
    return None


def _is_same_workspace(snapshot: Snapshot, listing: Listing) -> bool:
    """Whether the target is the one that the snapshot was taken of, under whatever name.

    Raises StoreError where the name is the snapshot's and the workspace is not.
    """
    if snapshot.workspace == listing.workspace:
        known = (snapshot.user_id, listing.user_id)
        if snapshot.url != listing.url or (None not in known and known[0] != known[1]):
            raise StoreError(
                f"{listing.workspace!r} is not the workspace that snapshot {snapshot.id} was taken"
                f" of: then {snapshot.url} (id {snapshot.user_id}), now {listing.url}"
                f" (id {listing.user_id})",
                hint="check its URL and token, or name the other workspace by --to",
            )
        return True
    return (
        snapshot.url == listing.url
        and snapshot.user_id is not None
        and snapshot.user_id == listing.user_id
    )


class Session:
    """The right to write to one workspace; see `open_session`."""

    def __init__(self, backup: Backup, workspace: Workspace, api: Api) -> None:
        self.backup = backup
        self.workspace = workspace
        self._api = api

    def prepare(self, snapshot: Snapshot, options: Options) -> Prepared:
        """The plan, after the open calls of earlier runs are settled."""
        listing = self._importer().settle() or self.backup.read(self._api)
        return _prepare(self.backup, snapshot, self.workspace, listing, options)

    def carry_out(self, prepared: Prepared, *, plan_id: str | None = None) -> Carried:
        """Take the safety snapshot, journal the plan, and do it.

        Raises IncompleteError where a step is blocked, and as `Importer.carry_on` does.
        """
        made = prepared.plan
        if made.blocked:
            raise IncompleteError(
                f"{len(made.blocked)} of the plan's steps are blocked, so nothing was written",
                hint="the plan says why; `oauthsync secrets fill` asks for missing secrets",
            )
        steps = [
            NewStep(
                action="create" if isinstance(step, plan.Create) else "update",
                source_id=step.source_id,
                target_id=step.target_id,
                provider=step.provider,
                name=step.name,
                client_id=step.client_id,
                reason=step.reason,
                data=step.data,
            )
            for step in made.writes
        ]
        safety, _ = self.backup.snapshots().add(prepared.listing, "safety")
        run = self.backup.journal().begin(
            NewRun(
                kind="import",
                target=self.workspace.name,
                source=prepared.snapshot.workspace,
                snapshot=prepared.snapshot.id,
                safety_snapshot=safety.id,
                undoes=None,
                plan_id=plan_id or random.token_hex(16),
                fingerprint=made.fingerprint,
                report=_report(made),
                steps=steps,
            ),
            self.backup.clock.now(),
        )
        return self._carry_on(run)

    def resume(self, run: Run) -> Carried:
        """Carry on a run that was cut off, or whose steps failed."""
        self.backup.journal().reopen(run.id)
        return self._carry_on(run)

    def undo(
        self, run: Run, *, force: bool, confirm: Callable[[undo.UndoPlan], bool]
    ) -> tuple[undo.UndoPlan, Carried | None]:
        """Undo a run, after `confirm` has seen what that does; the rest is in the plan."""
        listing = self._importer().settle() or self.backup.read(self._api)
        journal, snapshots = self.backup.journal(), self.backup.snapshots()
        safety = snapshots.profiles(snapshots.get(run.safety_snapshot))
        made = undo.make(
            journal.steps(run.id), listing.profiles, safety, self._apps_for(run), force=force
        )
        if not made.steps:
            if not made.left:
                journal.mark_undone(run.id)
            return made, None
        if not confirm(made):
            return made, None
        before, _ = snapshots.add(listing, "safety")
        undoing = journal.begin(
            NewRun(
                kind="undo",
                target=self.workspace.name,
                source=None,
                snapshot=None,
                safety_snapshot=before.id,
                undoes=run.id,
                plan_id=random.token_hex(16),
                fingerprint=run.fingerprint,
                report={"left": [each.to_json() for each in made.left]},
                steps=made.steps,
            ),
            self.backup.clock.now(),
        )
        return made, self._carry_on(undoing)

    def _apps_for(self, run: Run) -> frozenset[tuple[str, str]]:
        updates = any(step.action == "update" for step in self.backup.journal().steps(run.id))
        return self.backup.apps() if updates else frozenset()

    def _carry_on(self, run: Run) -> Carried:
        report = self._importer(run).carry_on(run.id)
        journal = self.backup.journal()
        complete = report.run.state == "complete" and not report.run.report.get("left")
        if run.undoes is not None and complete:
            journal.mark_undone(run.undoes)
        return Carried(report, _in_use(self.backup, report))

    def _importer(self, run: Run | None = None) -> Importer:
        writes = run is not None and any(
            step.action != "delete" and not step.is_done
            for step in self.backup.journal().steps(run.id)
        )
        secrets = self.backup.secrets() if writes else None
        return Importer(
            self._api,
            self.backup.journal(),
            self.backup.snapshots(),
            secrets.get if secrets else lambda _provider, _client_id: None,
            listener=self.backup.listener,
        )


@contextmanager
def open_session(backup: Backup, workspace: Workspace) -> Iterator[Session]:
    """Hold the right to write to a workspace.

    Raises FileError where another process holds it.
    """
    key = workspace_key(workspace.url, workspace.token())
    locks = backup.state_folder / "locks"
    locks.mkdir(mode=0o700, parents=True, exist_ok=True)
    with ExitStack() as stack:
        stack.enter_context(
            files.locked(
                backup.folder / FOLDER_LOCK, what=f"the folder {backup.folder}", shared=True
            )
        )
        stack.enter_context(
            files.locked(locks / f"{key}.lock", what=f"workspace {workspace.name!r}")
        )
        yield Session(backup, workspace, stack.enter_context(backup.api(workspace)))


def _report(made: Plan) -> dict[str, Json]:
    """What the run's report says of the steps that write nothing."""
    return {
        "unchanged": made.summary["unchanged"],
        "skipped": [step.to_json() for step in made.steps if isinstance(step, plan.Skip)],
    }


def _in_use(backup: Backup, report: Report) -> list[tuple[Step, Profile]]:
    """The profiles that were in use in the snapshot, and have a new id now."""
    if report.run.kind != "import" or report.run.snapshot is None:
        return []
    snapshots = backup.snapshots()
    source = {
        profile.id: profile for profile in snapshots.profiles(snapshots.get(report.run.snapshot))
    }
    return [
        (step, source[step.source_id])
        for step in report.steps
        if step.action == "create"
        and step.is_done
        and step.source_id in source
        and source[step.source_id].uses != 0
    ]


def find_run(backup: Backup, run_id: int | None, *, unfinished: bool) -> Run:
    """The run with this id; or the newest one, or the newest that is not finished.

    UsageError where there is none.
    """
    journal = backup.journal()
    if run_id is not None:
        return journal.run(run_id)
    for run in journal.runs():
        if not unfinished or run.state in ("running", "incomplete"):
            return run
    what = "unfinished run" if unfinished else "run"
    raise UsageError(f"there is no {what}", hint="`oauthsync runs` lists the runs")
