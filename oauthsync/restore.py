"""Putting profiles back: a plan for a target, carried out, carried on, and undone.

Whoever writes to a workspace holds its lock from before the target is listed until the run ends, so
that no other process of this machine writes to it meanwhile, and keeps `prune` out of the folder.
There is no other way to write to a workspace than a `Session`.
"""

import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace

from oauthsync import files, plan, plan_file, undo
from oauthsync.api import Api
from oauthsync.backup import Backup
from oauthsync.config import Workspace
from oauthsync.errors import IncompleteError, OauthsyncError, UsageError
from oauthsync.importer import WIDTH, Importer, Report, SecretLookup
from oauthsync.locks import TargetLock
from oauthsync.plan import Options, Plan
from oauthsync.plan_file import SavedPlan
from oauthsync.preparing import KnownSecrets, Prepared, prepare_for
from oauthsync.profiles import Profile
from oauthsync.runs import (
    UNFINISHED,
    NewRun,
    NewStep,
    Run,
    Step,
    in_use,
    new_plan_id,
    note_of,
    unfinished,
)
from oauthsync.snapshots import Listing, Snapshot, check_identity
from oauthsync.steady import Steady, steady
from oauthsync.strictjson import Json
from oauthsync.target import Target, by_id

FOLDER_LOCK = ".oauthsync.lock"

FRESH = 60.0
"""Seconds; a listing that is older, as a person took their time to answer, is read once more."""


@dataclass(frozen=True)
class Carried:
    """A run that was carried out: its report, and what a person still has to re-point."""

    report: Report
    in_use: Sequence[tuple[Step, Profile]]


class PlanChangedError(OauthsyncError):
    """A saved plan that the target, or the snapshot, has left behind; `differences` say how."""

    def __init__(self, inputs: plan_file.Inputs, differences: Sequence[str]) -> None:
        super().__init__(
            "the saved plan is not what would be done now, so nothing was written:"
            f" {'; '.join(differences)}",
            hint="look at a new plan, with the options that this one was made with:"
            f" `oauthsync plan {inputs.snapshot} --to {shlex.quote(inputs.target)} … -o FILE`",
        )
        self.differences = tuple(differences)


class Session:
    """The right to write to one workspace; see `open_session`."""

    def __init__(
        self,
        backup: Backup,
        workspace: Workspace,
        api: Api,
        lock: TargetLock,
        *,
        width: int,
        steady: Steady,
    ) -> None:
        self.backup = backup
        self.workspace = workspace
        self._api = api
        self._lock = lock
        self._width = width
        self._snapshots = backup.snapshots()
        self._journal = backup.journal()
        self._sidecar = KnownSecrets(backup)
        self._target = Target(
            api,
            backup.database(),
            self._journal,
            self._snapshots,
            listener=backup.listener,
            steady=steady,
        )

    # --- reading --------------------------------------------------------------------------------

    def look(self) -> Listing:
        """The workspace's profiles, after the open calls of earlier runs are settled by them.

        Raises as `Target.look` does, and FileError where another process writes to the workspace.
        """
        known = self._snapshots.newest(self.workspace.name)
        self.backup.last_known(self.workspace.name)  # for whoever watches
        if known and known.user_id is not None:
            self._lock.take(known.user_id)
        while True:
            if self._lock.strangers:
                self._target.wait_for_strangers()
                self._lock.strangers_are_gone()
            self._lock.watch()
            listing = self._target.look()
            if not self._lock.take(self._target.user_id):
                return listing

    def prepare(self, snapshot: Snapshot, options: Options) -> Prepared:
        """The plan, made from what a look at the target shows."""
        return prepare_for(
            self.backup, snapshot, self.workspace, self.look(), options, self._sidecar
        )

    def prepare_saved(self, saved: SavedPlan) -> Prepared:
        """A saved plan, made again and found to be the same.

        Raises PlanChangedError where it is another, StoreError where it was carried out before, and
        UsageError where it is one for another workspace.
        """
        inputs = saved.inputs
        self._journal.check_plan_id(inputs.id)
        self._check_ours("the plan", inputs.target, inputs.target_url)
        snapshot = self._snapshots.get(inputs.snapshot)
        if (snapshot.workspace, snapshot.digest) != (inputs.source, inputs.snapshot_digest):
            raise PlanChangedError(
                inputs, [f"snapshot {snapshot.id} is another one in this folder"]
            )
        prepared = self.prepare(snapshot, inputs.options)
        if found := plan_file.differences(saved, prepared.plan):
            raise PlanChangedError(inputs, found)
        return replace(prepared, plan_id=inputs.id)

    # --- writing --------------------------------------------------------------------------------

    def carry_out(self, prepared: Prepared) -> Carried:
        """Take the safety snapshot, journal the plan, and do it.

        Raises IncompleteError where a step is blocked, UsageError where it is a plan for another
        workspace, and as `Importer.carry_on` does.
        """
        made = prepared.plan
        if made.blocked:
            raise IncompleteError(
                f"{len(made.blocked)} of the plan's steps are blocked, so nothing was written",
                hint="the plan says why; `oauthsync secrets fill` asks for missing secrets",
            )
        new = NewRun(
            kind="import",
            target=self.workspace.name,
            steps=[_new_step(step) for step in made.writes],
            source=prepared.snapshot.workspace,
            snapshot=prepared.snapshot.id,
            plan_id=prepared.plan_id or new_plan_id(),
            fingerprint=made.fingerprint,
            report=_report(made),
        )
        return self._begin(new, prepared.listing)

    def write_one(self, step: NewStep, listing: Listing) -> Carried:
        """Create, update or delete one profile; `listing` is what `look` has just shown.

        It is a run like any other, so it happens exactly once, and can be carried on and undone.
        That takes to know what was there before: the listing becomes its safety snapshot. Where the
        answer is clear, it is not listed again. Raises as `Importer.carry_on` does.
        """
        new = NewRun(kind="profile", target=self.workspace.name, steps=[step])
        return self._begin(new, listing)

    def resume(self, run: Run) -> Carried:
        """Carry on a run that was cut off, or whose steps failed.

        What others have changed in the target since the run began is left as it is, and what they
        created in place of a step is adopted. Raises UsageError where there is nothing to carry on,
        or the run is an undo, which is not done unasked, and as `Importer.carry_on` does.
        """
        run = self._journal.run(run.id)
        if run.kind == "undo":
            raise UsageError(
                f"run {run.id} is the undo of run {run.undoes}, and is not carried on unasked",
                hint=f"`oauthsync {run.way_on}` looks at what there is left to undo, and asks",
            )
        if run.state not in UNFINISHED:
            raise UsageError(
                f"run {run.id} is {run.state}: there is nothing to carry on",
                hint=f"`oauthsync runs show {run.id}` shows what it did",
            )
        self._check_ours(f"run {run.id}", run.target, run.target_url)
        # A person may have to be asked: before the look, which is good for a moment only.
        secrets = self._secrets(step for step in self._journal.steps(run.id) if not step.is_done)
        listing = self.look()
        self._journal.reopen(run, self.backup.clock.now())
        return self._carry_on(run, listing, secrets)

    def undo(
        self, run: Run, *, force: bool, confirm: Callable[[undo.UndoPlan], bool]
    ) -> tuple[undo.UndoPlan, Carried | None]:
        """Undo a run, after `confirm` has seen what that does; the rest is in the plan.

        The second is None where there is nothing to do, or `confirm` said no: then an undo of it
        that was cut off is at its end, too. Raises UsageError where the run is itself an undo, and
        as `Importer.carry_on` does.
        """
        run = self._journal.run(run.id)
        _check_can_be_undone(run)
        self._check_ours(f"run {run.id}", run.target, run.target_url)
        listing = self.look()
        made = undo.make(
            self._journal.steps(run.id),
            by_id(listing.profiles),
            {} if run.safety_snapshot is None else self._target.before(run),
            self._sidecar,
            force=force,
            safety_snapshot=run.safety_snapshot,
            creators=self._target.creators(),
        )
        if not made.steps and not made.left:
            self._journal.mark_undone(run, self.backup.clock.now())
        if not made.steps or not confirm(made):
            self._journal.end_undos(run, self.backup.clock.now())
            return made, None
        left: list[Json] = [each.to_json() for each in made.left]
        new = NewRun(
            kind="undo",
            target=self.workspace.name,
            steps=made.steps,
            undoes=run.id,
            report={"left": left},
        )
        return made, self._begin(new, listing)

    def _begin(self, new: NewRun, listing: Listing) -> Carried:
        """Journal a run that changes what `listing` shows, and carry it out."""
        self._check_ours("the plan", listing.workspace, listing.url)
        secrets = self._secrets(new.steps)
        # What has changed since then is dealt with as after a crash.
        now = listing if self._target.shows(listing, FRESH) else self.look()
        check_identity(self.workspace.name, listing.identity, now.identity)
        safety, _ = self._snapshots.add(listing, "safety")
        run = self._journal.begin(replace(new, safety_snapshot=safety.id), self.backup.clock.now())
        return self._carry_on(run, now, secrets)

    def _check_ours(self, what: str, name: str, url: str) -> None:
        """UsageError where a plan or a run is one of another workspace than this session's."""
        if (name, url) != (self.workspace.name, self._api.url):
            raise UsageError(
                f"{what} is one for {name!r} at {url}, not for {self.workspace.name!r} at"
                f" {self._api.url}"
            )

    def _secrets(self, steps: Iterable[NewStep | Step]) -> SecretLookup:
        """The sidecar, where these steps need it: opened now, as a person may have to be asked."""
        if any(step.action != "delete" for step in steps):
            return self._sidecar.secrets.get
        return lambda _provider, _client_id: None

    def _carry_on(self, run: Run, listing: Listing, secrets: SecretLookup) -> Carried:
        self._lock.mark(run.plan_id)
        self._target.forget()
        report = Importer(self._target, secrets, width=self._width).carry_on(run.id, listing)
        return Carried(report, in_use(report.run, report.steps, self._target.deleted()))

    def close(self) -> None:
        """Leave no mark where no call of this folder is under way."""
        if self._target.is_quiet():
            self._lock.unmark()


@contextmanager
def open_session(
    backup: Backup, workspace: Workspace, *, width: int = WIDTH, steady: Steady = steady
) -> Iterator[Session]:
    """Hold the right to write to a workspace; `width` steps are done side by side.

    Raises FileError where another process holds it.
    """
    folder_lock = backup.folder / FOLDER_LOCK
    with ExitStack() as stack:
        stack.enter_context(
            files.locked(folder_lock, what=f"the folder {backup.folder}", shared=True)
        )
        api = stack.enter_context(backup.api(workspace))
        backup.database(create=True)
        lock = TargetLock(
            backup.state_folder / "locks",
            api.url,
            backup.journal().has_plan,
            what=f"workspace {workspace.name!r}",
        )
        stack.enter_context(lock)
        session = Session(backup, workspace, api, lock, width=width, steady=steady)
        try:
            yield session
        finally:
            with suppress(OauthsyncError):  # a mark that stays costs the next folder a wait
                session.close()


def run_to_resume(backup: Backup, run_id: int | None) -> Run:
    """The run with this id, or the newest that is not finished; UsageError where there is none."""
    journal = backup.journal()
    if run_id is not None:
        return journal.run(run_id)
    for run in unfinished(journal.runs()):
        return run
    raise UsageError("there is no unfinished run", hint="`oauthsync runs` lists the runs")


def run_to_undo(backup: Backup, run_id: int | None) -> Run:
    """The run with this id, or the newest; or where that is an unfinished undo, what it undoes.

    UsageError where there is none.
    """
    journal = backup.journal()
    if run_id is not None:
        return journal.run(run_id)
    for run in journal.runs():
        return journal.run(run.undoes) if run.undoes and run.state in UNFINISHED else run
    raise UsageError("there is no run", hint="`oauthsync runs` lists the runs")


def _check_can_be_undone(run: Run) -> None:
    if run.kind == "undo":
        hint = "name another one: `oauthsync runs` lists them"
        if run.state in UNFINISHED:
            hint = f"`oauthsync {run.way_on}` goes on with it"
        raise UsageError(f"run {run.id} is itself the undo of run {run.undoes}", hint=hint)


def _new_step(step: plan.Create | plan.Update) -> NewStep:
    return NewStep(
        action="create" if isinstance(step, plan.Create) else "update",
        source_id=step.source_id,
        target_id=step.target_id,
        provider=step.provider,
        name=step.name,
        client_id=step.client_id,
        reason=step.reason,
        data=step.data,
    )


def _report(made: Plan) -> dict[str, Json]:
    """What the run's report says beside its steps: what it does not write, and what was in use."""
    return {
        "unchanged": made.summary["unchanged"],
        "skipped": [step.to_json() for step in made.steps if isinstance(step, plan.Skip)],
        "in_use": [note_of(step.wanted.source) for step in made.in_use],
    }
