"""`runs`: what was written to workspaces."""

from typing import TYPE_CHECKING

import click

from oauthsync.cli.common import Session, common_options
from oauthsync.cli.plan import how_to_carry_on

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oauthsync.journal import Journal
    from oauthsync.render import Renderer
    from oauthsync.runs import Step
    from oauthsync.strictjson import Json


@click.group("runs", invoke_without_command=True)
@common_options
@click.pass_context
def runs_command(ctx: click.Context, session: Session) -> None:
    """List what was written to workspaces, newest first; `runs show RUN` shows one run.

    A run is an `import`, an `undo`, or one change by `oauthsync profiles`.
    """
    from oauthsync import documents

    if ctx.invoked_subcommand is not None:
        return
    with session.backup() as backup:
        journal = backup.journal()
        runs = journal.runs()
        found = [documents.run(run, journal.steps(run.id)) for run in runs]
    columns = ("id", "kind", "target", "snapshot", "started_at", "state")

    def text(renderer: "Renderer") -> str:
        table = renderer.table(
            [*(name.replace("_", " ") for name in columns), "steps"],
            [[*(run[name] for name in columns), _steps(run)] for run in found],
            none="no runs",
            spare=("kind", "started at", "steps", "snapshot"),
        )
        return "\n".join(filter(None, (table, how_to_carry_on(runs))))

    session.answer(lambda: {"runs": list(found)}, text)


def _steps(run: "dict[str, Json]") -> str:
    """How far a run's steps came: `2 created, 1 failed`."""
    from oauthsync.lines import counted

    names = ("created", "updated", "deleted", "by_others", "failed", "planned")
    counts = {name.replace("_", " "): run[name] for name in names}
    return counted({name: count for name, count in counts.items() if isinstance(count, int)})


@runs_command.command("show")
@click.argument("run", type=int)
@click.option("--id-map", is_flag=True, help="Print source_id,target_id as CSV.")
@common_options
def show_command(session: Session, run: int, id_map: bool) -> None:
    """Show one run, its steps, and what has to be re-pointed after it."""
    from oauthsync import documents
    from oauthsync.runs import in_use

    with session.backup() as backup:
        journal = backup.journal()
        found, steps = journal.run(run), journal.steps(run)
        used = in_use(found, steps, journal.deleted_ids(found.target))
        undone = _undone(journal, run, len(steps))
    if id_map:
        ids = documents.id_map(steps)
        lines = ["source_id,target_id", *(f"{source},{target}" for source, target in ids.items())]
        session.answer(lambda: {"id_map": ids}, lambda _: "\n".join(lines))
        return
    document = documents.run(found, steps)

    def text(renderer: "Renderer") -> str:
        told = ["\n".join([_told(document), *undone]), _table(renderer, steps)]
        return "\n\n".join([*told, *([renderer.in_use(found, used)] if used else [])])

    session.answer(
        lambda: {
            **document,
            "steps": [documents.run_step(step) for step in steps],
            "in_use": documents.in_use(used),
        },
        text,
    )


def _told(document: "dict[str, Json]") -> str:
    """A run's own fields, without those that say nothing."""
    told = [(name, value) for name, value in document.items() if value or value is False]
    return "\n".join(f"{name.replace('_', ' ')}: {_word(value)}" for name, value in told)


def _undone(journal: "Journal", run: int, count: int) -> list[str]:
    """How many of a run's steps later runs have undone."""
    told = []
    for undo in reversed(journal.runs()):
        done = sum(step.is_own for step in journal.steps(undo.id)) if undo.undoes == run else 0
        if done:
            told.append(f"undone by run {undo.id}: {done} of {count} steps")
    return told


def _word(value: "Json") -> str:
    from oauthsync.text import inline

    if isinstance(value, bool):
        return "yes" if value else "no"
    return inline(str(value))


def _table(renderer: "Renderer", steps: "Sequence[Step]") -> str:
    columns = ["action", "state", "source_id", "target_id", "provider", "name"]
    columns += ["error"] * any(step.error for step in steps)
    return renderer.table(
        [name.replace("_", " ") for name in columns],
        [[getattr(step, name) for name in columns] for step in steps],
        none="no steps",
        spare=("source id", "provider"),
    )
