"""`import`, `resume`, `undo`: putting profiles back."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oauthsync.cli.common import Session, common_options, complete_snapshot, yes_option
from oauthsync.cli.plan import (
    how_to_unblock,
    make_plan,
    notes_on,
    options_from,
    plan_options,
    read_plan,
    remind,
    show_plan,
    tell_with_json,
    typed,
    warn_of_unfinished,
)
from oauthsync.errors import IncompleteError, OauthsyncError
from oauthsync.text import count_of

if TYPE_CHECKING:
    from oauthsync.backup import Backup
    from oauthsync.config import Workspace
    from oauthsync.plan import Options
    from oauthsync.plan_file import SavedPlan
    from oauthsync.preparing import Prepared
    from oauthsync.render import Renderer
    from oauthsync.restore import Carried
    from oauthsync.restore import Session as Writing
    from oauthsync.runs import Run
    from oauthsync.undo import UndoPlan

    Prepare = Callable[[Writing], Prepared]


_NOT_CONFIRMED = "not confirmed, so nothing was written"


@click.command("import")
@click.argument("snapshot", default="latest", shell_complete=complete_snapshot)
@plan_options
@click.option(
    "--plan",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Carry out exactly this saved plan, once.",
)
@yes_option
@click.option("--dry-run", is_flag=True, help="The same as `plan`.")
@common_options
def import_command(
    session: Session,
    snapshot: str,
    source: str | None,
    target: str | None,
    file: Path | None,
    yes: bool,
    dry_run: bool,
    **options: Any,
) -> int:
    """Create in the target what the SNAPSHOT has and the target lacks, each exactly once."""
    from oauthsync.restore import open_session

    saved = _saved(file, but_for=("snapshot", "source", "target", *options)) if file else None
    wanted = options_from(**options)
    once_begun, session.interrupted = session.interrupted, "nothing was written"
    if dry_run and not saved:
        make_plan(session, snapshot, source, target, wanted)
        return 0
    with session.backup() as backup:
        if saved:
            name, prepare = saved.inputs.target, _saved_again(session, saved)
        else:
            name, prepare = _chosen(backup, snapshot, source, target, wanted)
        with open_session(backup, backup.workspace(name)) as writing:
            prepared = prepare(writing)
            warn_of_unfinished(session, backup, name)
            if dry_run:
                show_plan(session, prepared, notes_on(backup, prepared))
                return 0
            if not _go_ahead(session, backup, prepared, yes=yes):
                return 0
            session.interrupted = once_begun
            carried = writing.carry_out(prepared)
    remind(session, prepared)
    return _report(session, carried)


def _chosen(
    backup: "Backup", snapshot: str, source: str | None, target: str | None, options: "Options"
) -> "tuple[str, Prepare]":
    """The target's name, and how the plan for it is made."""

    chosen = backup.find(snapshot, source)
    return target or chosen.workspace, lambda writing: writing.prepare(chosen, options)


def _saved_again(session: Session, saved: "SavedPlan") -> "Prepare":
    """How a saved plan is made again; what is different is shown."""
    from oauthsync.restore import PlanChangedError

    def prepare(writing: "Writing") -> "Prepared":
        try:
            return writing.prepare_saved(saved)
        except PlanChangedError as error:
            session.warn(f"different now:\n{session.folded(error.differences)}")
            raise OauthsyncError(
                "the saved plan is not what would be done now, so nothing was written",
                hint=error.hint,
            ) from error

    return prepare


def _saved(file: Path, *, but_for: Collection[str]) -> "SavedPlan":
    """The plan in a file; UsageError where the command line has one of these parameters, too."""
    ctx = click.get_current_context()
    for parameter in ctx.command.params:
        given = ctx.get_parameter_source(str(parameter.name))
        if parameter.name in but_for and given is click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError(
                f"--plan carries out exactly that plan: leave {parameter.opts[0]} out", ctx
            )
    return read_plan(file)


def _go_ahead(session: Session, backup: "Backup", prepared: "Prepared", *, yes: bool) -> bool:
    """Show the plan, and ask; False where there is nothing to write, else an error where not."""
    from oauthsync import documents
    from oauthsync.lines import summary

    plan, target = prepared.plan, prepared.target
    notes = notes_on(backup, prepared)
    if plan.blocked or not plan.writes:
        session.report(
            lambda: documents.not_imported(plan),
            lambda renderer: renderer.plan(prepared, notes),
        )
        tell_with_json(session, notes)
        if plan.blocked:
            raise _blocked(session, prepared)
        return False
    asks = session.interactive and not yes  # the question has the counts
    session.show(lambda renderer: renderer.plan(prepared, notes, counts=not asks))
    if plan.cautions:
        session.warn(f"look twice at this plan:\n{session.folded(plan.cautions)}")
    _confirm(session, f"{summary(plan.summary)}. Write to", target, yes=yes)
    return True


def _confirm(session: Session, question: str, target: "Workspace", *, yes: bool) -> None:
    """Go on only where a person says so, who has seen which workspace it is about."""
    if not yes and not session.confirm(f"{question} {target.name} ({target.url})?"):
        raise OauthsyncError(_NOT_CONFIRMED)


def _blocked(session: Session, prepared: "Prepared") -> IncompleteError:
    count, hint = len(prepared.plan.blocked), how_to_unblock(session, prepared)
    if prepared.plan_id:
        made = typed("plan", str(prepared.snapshot.id), "--to", prepared.target.name)
        hint += f"\nthen make the plan again, with the options of then: `{made} … -o FILE`"
    return IncompleteError(
        f"blocked: {count_of(count, 'step')} of the plan, so nothing was written", hint=hint
    )


def _report(session: Session, carried: "Carried") -> int:
    """Print how a run ended; its exit code."""
    from oauthsync import documents

    run, report = carried.report.run, carried.report

    def text(renderer: "Renderer") -> str:
        told = [renderer.run(report)]
        if carried.in_use:
            told.append(renderer.in_use(run, carried.in_use))
            told.append(f"`oauthsync runs show {run.id} -v` shows all of this again")
        return "\n".join(told)

    session.report(lambda: documents.carried(carried), text)
    if session.quiet and carried.in_use:
        session.warn(
            f"{count_of(len(carried.in_use), 'profile')} in use with a new id: `oauthsync runs show"
            f" {run.id}` lists what is to be done by hand"
        )
    if report.findings:
        session.warn(f"the target is not as it should be:\n{session.folded(report.findings)}")
    if run.state == "complete":
        return 0
    hint = f"`oauthsync runs show {run.id}` says why; `oauthsync {run.way_on}` tries again"
    if run.kind == "import" and all(step.is_done for step in report.steps):
        # What is done is not written again, also where it was adopted and has other data.
        again = typed("import", str(run.snapshot), "--to", run.target, "--on-existing", "update")
        hint = (
            f"`{again}`, with the options of then, writes what is different;"
            f" `oauthsync {run.way_on}` looks again"
        )
    raise IncompleteError(f"run {run.id} is not complete", hint=hint)


def _warn_of_target(session: Session, backup: "Backup", run: "Run") -> None:
    """Of a run that nobody named, and that may not be the one that is meant."""
    default = backup.config.default_workspace or run.target
    if run.target != default:
        session.warn(f"run {run.id} is one in {run.target}, and the default workspace is {default}")


@click.command("resume")
@click.argument("run", type=click.IntRange(min=1), required=False)
@common_options
def resume_command(session: Session, run: int | None) -> int:
    """Carry on a RUN that was cut off, or whose steps failed (default: the newest such).

    An undo is carried on by `undo` alone, which looks anew, and asks.
    """
    from oauthsync.restore import open_session, run_to_resume

    with session.backup() as backup:
        found = run_to_resume(backup, run)
        if run is None:
            _warn_of_target(session, backup, found)
        with open_session(backup, backup.workspace(found.target)) as writing:
            carried = writing.resume(found)
    return _report(session, carried)


@click.command("undo")
@click.argument("run", type=click.IntRange(min=1), required=False)
@click.option("--force", is_flag=True, help="Delete what is in use, too.")
@yes_option
@common_options
def undo_command(session: Session, run: int | None, force: bool, yes: bool) -> int:
    """Delete what a RUN created, and put back what it updated (default: the newest run).

    The same again goes on where one was cut off. What is put back gets the secret that the sidecar
    has: nobody knows the one before.
    """
    from oauthsync import documents
    from oauthsync.restore import open_session, run_to_undo

    with session.backup() as backup:
        found = run_to_undo(backup, run)
        if run is None:
            _warn_of_target(session, backup, found)
        workspace, steps = backup.workspace(found.target), backup.journal().steps(found.id)

        once_begun, session.interrupted = session.interrupted, "nothing was written"

        def confirm(plan: "UndoPlan") -> bool:
            session.show(lambda renderer: renderer.undo(found, steps, plan))
            deletes = sum(step.action == "delete" for step in plan.steps)
            counts = f"{deletes} to delete, {len(plan.steps) - deletes} to put back"
            question = f"{counts}. Undo run {found.id} in {workspace.name} ({workspace.url})?"
            confirmed = yes or session.confirm(question)
            session.interrupted = once_begun
            return confirmed

        with open_session(backup, workspace) as writing:
            plan, carried = writing.undo(found, force=force, confirm=confirm)
    if plan.steps and carried is None:
        raise OauthsyncError(_NOT_CONFIRMED)
    code = 0
    if carried is not None:
        code = _report(session, carried)
    else:
        session.report(
            lambda: documents.not_undone(found, plan),
            lambda renderer: renderer.undo(found, steps, plan),
        )
    if plan.left:
        hint = "the list of what is left says why"
        if any(each.takes_secret for each in plan.left):
            again = typed("undo", str(found.id), *["--force"] * force)
            hint += f"; `oauthsync secrets set` files a missing secret, and then `{again}` goes on"
        if any(each.takes_force for each in plan.left):
            forced = typed("undo", str(found.id), "--force")
            hint += f"; `{forced}` also deletes what is in use"
        raise IncompleteError(
            f"undo left {count_of(len(plan.left), 'profile')} untouched", hint=hint
        )
    return code
