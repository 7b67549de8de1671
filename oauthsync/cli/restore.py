"""`plan`, `import`, `runs`, `resume`, `undo`: putting profiles back."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from oauthsync.cli.common import Session, common_options
from oauthsync.errors import IncompleteError, OauthsyncError, UsageError

if TYPE_CHECKING:
    from oauthsync.backup import Backup
    from oauthsync.journal import Run, Step
    from oauthsync.plan import Options
    from oauthsync.restore import Carried, Prepared
    from oauthsync.strictjson import Json
    from oauthsync.undo import UndoPlan

F = TypeVar("F", bound=Callable[..., Any])

EXIT_INCOMPLETE = 6


def _plan_options(function: F) -> F:
    for option in reversed(
        (
            click.option("--from", "source", metavar="WORKSPACE", help="Whose snapshot."),
            click.option("--to", "target", metavar="WORKSPACE", help="The target."),
            click.option("--only", multiple=True, metavar="GLOB", help="Profiles of such a name."),
            click.option("--provider", multiple=True, metavar="P", help="A provider's profiles."),
            click.option("--id", "ids", multiple=True, type=int, metavar="N", help="One profile."),
            click.option(
                "--on-existing",
                type=click.Choice(["update", "skip", "fail"]),
                default="skip",
                help="What to do with a profile that is there but differs (default: skip).",
            ),
            click.option("--push-secrets", is_flag=True, help="Update the same ones, too."),
            click.option(
                "--overrides",
                type=click.Path(path_type=Path, dir_okay=False),
                help="What is different in the target (TOML).",
            ),
            click.option(
                "--map",
                "maps",
                multiple=True,
                metavar="SOURCE_ID=TARGET_ID",
                help="Settle a match.",
            ),
            click.option("--allow-missing", is_flag=True, help="Leave out what has no secret."),
        )
    ):
        function = option(function)
    return function


def _options(
    only: tuple[str, ...],
    provider: tuple[str, ...],
    ids: tuple[int, ...],
    on_existing: str,
    push_secrets: bool,
    overrides: Path | None,
    maps: tuple[str, ...],
    allow_missing: bool,
) -> "Options":
    from oauthsync.overrides import Override, parse
    from oauthsync.plan import Options, Selection
    from oauthsync.tables import read_regular

    entries: tuple[Override, ...] = ()
    if overrides is not None:
        try:
            text = read_regular(overrides, limit=1 << 20)
        except OSError as error:
            raise UsageError(f"cannot read {overrides}: {error.strerror or error}") from error
        entries = parse(text, where=str(overrides))
    return Options(
        selection=Selection(only, provider, ids),
        on_existing=on_existing,  # type: ignore[arg-type]  # click.Choice knows them
        push_secrets=push_secrets,
        allow_missing=allow_missing,
        maps=_maps(maps),
        overrides=entries,
    )


def _maps(texts: Sequence[str]) -> dict[int, int]:
    found: dict[int, int] = {}
    for text in texts:
        source, equals, target = text.partition("=")
        if not (equals and source.isdecimal() and target.isdecimal()):
            raise UsageError(f"--map {text!r} is not SOURCE_ID=TARGET_ID")
        if int(source) in found:
            raise UsageError(f"--map gives {source} twice")
        found[int(source)] = int(target)
    return found


@click.command("plan")
@click.argument("snapshot", default="latest")
@_plan_options
@common_options
def plan_command(
    session: Session, snapshot: str, source: str | None, target: str | None, **options: Any
) -> int:
    """Show what `import` would do; writes nothing to the target."""
    return _plan(session, snapshot, source, target, _options(**options))


def _plan(
    session: Session, snapshot: str, source: str | None, target: str | None, options: "Options"
) -> int:
    from oauthsync.restore import prepare

    with session.backup() as backup:
        prepared = prepare(backup, snapshot, options, source=source, target=target)
        _tell_nothing_to_do(session, backup, prepared)
    session.answer(prepared.plan.to_json(), lambda renderer: renderer.plan(prepared.plan))
    return 0


@click.command("import")
@click.argument("snapshot", default="latest")
@_plan_options
@click.option("-y", "--yes", is_flag=True, help="Do not ask before writing.")
@click.option("--dry-run", is_flag=True, help="The same as `plan`.")
@common_options
def import_command(
    session: Session,
    snapshot: str,
    source: str | None,
    target: str | None,
    yes: bool,
    dry_run: bool,
    **options: Any,
) -> int:
    """Create in the target what the SNAPSHOT has and the target lacks, each exactly once."""
    from oauthsync.restore import open_session, select

    if dry_run:
        return _plan(session, snapshot, source, target, _options(**options))
    with session.backup() as backup:
        chosen = select(backup, snapshot, source)
        workspace = backup.workspace(target or chosen.workspace)
        with open_session(backup, workspace) as writing:
            prepared = writing.prepare(chosen, _options(**options))
            _show_and_ask(session, backup, prepared, yes=yes)
            carried = writing.carry_out(prepared)
        return _report(session, carried)


def _show_and_ask(session: Session, backup: "Backup", prepared: "Prepared", *, yes: bool) -> None:
    """Show the plan, and go on only on a yes; IncompleteError where it is blocked."""
    plan = prepared.plan
    renderer = session.renderer
    if plan.blocked:
        session.answer(plan.to_json(), lambda _: renderer.plan(plan))
        raise IncompleteError(
            f"{len(plan.blocked)} of the plan's steps are blocked, so nothing was written",
            hint="`oauthsync secrets fill` asks for missing secrets, --map settles a match,"
            " --allow-missing leaves out what has no secret",
        )
    session.say(renderer.plan(plan))
    _tell_nothing_to_do(session, backup, prepared)
    if not plan.writes:
        return
    for caution in plan.cautions:
        session.warn(caution)
    if plan.cautions and not yes:
        raise OauthsyncError("this plan takes an explicit yes", hint="add --yes if it is meant so")
    where = f"{prepared.target.name} ({prepared.target.url})"
    if not yes and not session.confirm(f"{renderer.summary(plan)}. Write to {where}?"):
        raise click.Abort


def _tell_nothing_to_do(session: Session, backup: "Backup", prepared: "Prepared") -> None:
    from oauthsync.restore import snapshot_with_more

    if prepared.plan.writes or prepared.plan.blocked:
        return
    session.say("nothing to do: the target has what the snapshot has")
    if (older := snapshot_with_more(backup, prepared)) is not None:
        session.say(
            f"snapshot {older.id} ({older.taken_at}) has profiles that the target lacks:"
            f" oauthsync plan {older.id}"
        )


def _report(session: Session, carried: "Carried") -> int:
    """Print a run's report; its exit code."""
    document = run_to_json(carried)
    run, report = carried.report.run, carried.report
    session.answer(document, lambda renderer: renderer.run(report))
    for finding in report.findings:
        session.warn(finding)
    if carried.in_use:
        session.say("still to be re-pointed by hand, in each connection's settings:")
        for step, profile in carried.in_use:
            from oauthsync.render import describe

            session.say(f"  {describe(profile)} → id {step.target_id}")
    if run.state == "complete":
        return 0
    raise IncompleteError(
        f"run {run.id} is not complete",
        hint=f"`oauthsync runs show {run.id}` says why; `oauthsync resume {run.id}` tries again",
    )


def run_to_json(carried: "Carried") -> "dict[str, Json]":
    """A run's report as users see it (`import --json`)."""
    report = carried.report
    run = report.run

    def done(action: str) -> "list[Json]":
        return [
            {
                "source_id": step.source_id,
                "target_id": step.target_id,
                "provider": step.provider,
                "name": step.name,
                **({"adopted": True} if step.state == "adopted" else {}),
            }
            for step in report.steps
            if step.action == action and step.is_done
        ]

    failed = [step for step in report.steps if not step.is_done]
    document: dict[str, Json] = {
        "run": run.id,
        "target": run.target,
        "safety_snapshot": run.safety_snapshot,
        "verified": bool(run.verified),
        "created": done("create"),
        "updated": done("update"),
    }
    if run.kind == "undo":
        document["deleted"] = done("delete")
        document["left"] = run.report.get("left", [])
    else:
        document["unchanged"] = run.report.get("unchanged", 0)
        document["skipped"] = run.report.get("skipped", [])
        document["blocked"] = []
    document["failed"] = [
        {"source_id": step.source_id, "error": step.error or "not done"} for step in failed
    ]
    document["in_use"] = [
        {
            "source_id": profile.id,
            "name": profile.name,
            "shared_accounts_count": profile.fields.get("shared_accounts_count"),
            "oem_customers_count": profile.fields.get("oem_customers_count"),
        }
        for _, profile in carried.in_use
    ]
    document["id_map"] = _id_map(report.steps)
    return document


def _id_map(steps: "Sequence[Step]") -> "dict[str, Json]":
    return {
        str(step.source_id): step.target_id
        for step in steps
        if step.is_done and step.source_id is not None
    }


@click.group("runs", invoke_without_command=True)
@common_options
@click.pass_context
def runs_command(ctx: click.Context, session: Session) -> None:
    """List the runs of `import` and `undo`, newest first; `runs show RUN` shows one."""
    if ctx.invoked_subcommand is not None:
        return
    with session.backup() as backup:
        journal = backup.journal()
        found = [(run, journal.steps(run.id)) for run in journal.runs()]
    session.answer(
        {"runs": [_run_to_json(run, steps) for run, steps in found]},
        lambda renderer: renderer.table(
            ("id", "kind", "target", "snapshot", "started at", "state", "done", "failed"),
            [
                (
                    run.id,
                    run.kind,
                    run.target,
                    run.snapshot,
                    run.started_at,
                    run.state,
                    sum(step.is_done for step in steps),
                    sum(step.state == "failed" for step in steps),
                )
                for run, steps in found
            ],
        ),
    )


@runs_command.command("show")
@click.argument("run", type=int)
@click.option("--id-map", is_flag=True, help="Print source_id,target_id as CSV.")
@common_options
def runs_show_command(session: Session, run: int, id_map: bool) -> None:
    """Show one run and its steps."""
    with session.backup() as backup:
        journal = backup.journal()
        found, steps = journal.run(run), journal.steps(run)
    if id_map:
        rows = [f"{source},{target}" for source, target in _id_map(steps).items()]
        session.answer(
            {"id_map": _id_map(steps)}, lambda _: "\n".join(["source_id,target_id", *rows])
        )
        return
    document: dict[str, Json] = {
        **_run_to_json(found, steps),
        "steps": [
            {
                "action": step.action,
                "state": step.state,
                "source_id": step.source_id,
                "target_id": step.target_id,
                "provider": step.provider,
                "name": step.name,
                "client_id": step.client_id,
                "reason": step.reason,
                "error": step.error,
            }
            for step in steps
        ],
    }
    session.answer(
        document,
        lambda renderer: renderer.table(
            ("action", "state", "source id", "target id", "provider", "name", "error"),
            [
                (s.action, s.state, s.source_id, s.target_id, s.provider, s.name, s.error)
                for s in steps
            ],
        ),
    )


def _run_to_json(run: "Run", steps: "Sequence[Step]") -> "dict[str, Json]":
    def count(action: str) -> int:
        return sum(step.action == action and step.is_done for step in steps)

    return {
        "id": run.id,
        "kind": run.kind,
        "target": run.target,
        "snapshot": run.snapshot,
        "safety_snapshot": run.safety_snapshot,
        "undoes": run.undoes,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "state": run.state,
        "verified": run.verified,
        "created": count("create"),
        "updated": count("update"),
        "deleted": count("delete"),
        "failed": sum(step.state == "failed" for step in steps),
        "planned": sum(step.state == "planned" for step in steps),
    }


@click.command("resume")
@click.argument("run", type=int, required=False)
@common_options
def resume_command(session: Session, run: int | None) -> int:
    """Carry on a RUN that was cut off, or whose steps failed (default: the newest such)."""
    from oauthsync.restore import find_run, open_session

    with session.backup() as backup:
        found = find_run(backup, run, unfinished=True)
        if found.state in ("complete", "undone"):
            raise UsageError(f"run {found.id} is {found.state}: there is nothing to carry on")
        with open_session(backup, backup.workspace(found.target)) as writing:
            carried = writing.resume(found)
        return _report(session, carried)


@click.command("undo")
@click.argument("run", type=int, required=False)
@click.option("--force", is_flag=True, help="Delete what is in use, too.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask before writing.")
@common_options
def undo_command(session: Session, run: int | None, force: bool, yes: bool) -> int:
    """Delete what a RUN created, and put back what it updated (default: the newest run)."""
    from oauthsync.restore import find_run, open_session

    with session.backup() as backup:
        found = find_run(backup, run, unfinished=False)
        if found.kind == "undo" or found.state == "undone":
            raise UsageError(f"run {found.id} is an undo, or undone already")
        workspace = backup.workspace(found.target)

        def confirm(plan: "UndoPlan") -> bool:
            session.say(session.renderer.undo(plan))
            question = f"{len(plan.steps)} writes. Undo in {workspace.name} ({workspace.url})?"
            if yes or session.confirm(question):
                return True
            raise click.Abort

        with open_session(backup, workspace) as writing:
            plan, carried = writing.undo(found, force=force, confirm=confirm)
        if carried is not None:
            code = _report(session, carried)
        else:
            document: dict[str, Json] = {"run": found.id, "left": [e.to_json() for e in plan.left]}
            session.answer(document, lambda renderer: renderer.undo(plan))
            code = 0
    if plan.left:
        raise IncompleteError(
            f"{len(plan.left)} profiles were left as they are",
            hint="undo says why; --force also deletes what is in use",
        )
    return code
