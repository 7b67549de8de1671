"""`plan`: what an import would do, and the options that say what is wanted."""

import os
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from oauthsync.cli.common import (
    Session,
    common_options,
    complete_snapshot,
    complete_workspace,
    read_input,
)
from oauthsync.errors import FileError, UsageError
from oauthsync.text import count_of, inline

if TYPE_CHECKING:
    from oauthsync.backup import Backup
    from oauthsync.overrides import Override
    from oauthsync.plan import Options, Plan
    from oauthsync.plan_file import SavedPlan
    from oauthsync.preparing import Prepared
    from oauthsync.render import Renderer
    from oauthsync.runs import Run

F = TypeVar("F", bound=Callable[..., Any])

_UNFINISHED_SHOWN = 3

MAX_OVERRIDES = 1 << 20

FEW = 3
"""Secrets that a person is told one by one how to file."""

_PLAN_OPTIONS = (
    click.option(
        "--from",
        "source",
        metavar="WORKSPACE",
        help="Whose snapshot (default: the default workspace).",
        shell_complete=complete_workspace,
    ),
    click.option(
        "--to",
        "target",
        metavar="WORKSPACE",
        help="The target (default: the snapshot's own workspace).",
        shell_complete=complete_workspace,
    ),
    click.option("--only", multiple=True, metavar="GLOB", help="Profiles named so; repeatable."),
    click.option("--provider", multiple=True, metavar="P", help="A provider's; repeatable."),
    click.option(
        "--id",
        "ids",
        multiple=True,
        type=click.IntRange(min=1),
        metavar="N",
        help="One profile; repeatable.",
    ),
    click.option(
        "--on-existing",
        type=click.Choice(["update", "skip", "fail"]),
        default="skip",
        help="What to do with a profile that is there but differs (default: skip).",
    ),
    click.option(
        "--push-secrets", is_flag=True, help="Give the sidecar's secret to what does not differ."
    ),
    click.option(
        "--overrides",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="What is different in the target (TOML).",
    ),
    click.option(
        "--map",
        "maps",
        multiple=True,
        metavar="SOURCE_ID=TARGET_ID",
        help="Settle an ambiguous match; repeatable.",
    ),
    click.option("--allow-missing", is_flag=True, help="Leave out what has no secret."),
)


def plan_options(function: F) -> F:
    """Give a command the options of `plan` and `import`."""
    for option in reversed(_PLAN_OPTIONS):
        function = option(function)
    return function


def options_from(
    only: tuple[str, ...],
    provider: tuple[str, ...],
    ids: tuple[int, ...],
    on_existing: Any,
    push_secrets: bool,
    overrides: Path | None,
    maps: tuple[str, ...],
    allow_missing: bool,
) -> "Options":
    """What these options say. UsageError where one of them makes no sense."""
    from oauthsync.plan import Options, Selection

    return Options(
        selection=Selection(only, provider, ids),
        on_existing=on_existing,
        push_secrets=push_secrets,
        allow_missing=allow_missing,
        maps=_maps(maps),
        overrides=_overrides(overrides),
    )


def _maps(texts: Sequence[str]) -> dict[int, int]:
    found: dict[int, int] = {}
    for text in texts:
        ids = re.fullmatch("([0-9]{1,19})=([0-9]{1,19})", text)
        if not ids:
            raise UsageError(
                f"--map {text!r} is not SOURCE_ID=TARGET_ID", hint="both are ids, as in 321=987"
            )
        source, target = map(int, ids.groups())
        if found.setdefault(source, target) != target:
            raise UsageError(f"--map gives {source} twice", hint="keep the one that is right")
    return found


def _overrides(file: Path | None) -> "tuple[Override, ...]":
    from oauthsync.overrides import parse

    return parse(read_input(file, MAX_OVERRIDES), where=str(file)) if file else ()


@click.command("plan")
@click.argument("snapshot", default="latest", shell_complete=complete_snapshot)
@plan_options
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Save the plan, for `import --plan`.",
)
@click.option("--markdown", is_flag=True, help="Print it for a pull request.")
@common_options
def plan_command(
    session: Session,
    snapshot: str,
    source: str | None,
    target: str | None,
    output: Path | None,
    markdown: bool,
    **options: Any,
) -> None:
    """Show what `import` would do; writes nothing to the target."""
    if markdown and session.json:
        raise click.UsageError("give --markdown or --json, not both")
    wanted = options_from(**options)
    make_plan(session, snapshot, source, target, wanted, output=output, markdown=markdown)


def make_plan(
    session: Session,
    snapshot: str,
    source: str | None,
    target: str | None,
    options: "Options",
    *,
    output: Path | None = None,
    markdown: bool = False,
) -> None:
    """Make a plan, save it in `output`, and show it."""
    from oauthsync import files, preparing

    if output:
        _check_output(output)
    with session.backup() as backup:
        prepared = preparing.prepare(backup, snapshot, options, source=source, target=target)
        notes = notes_on(backup, prepared)
        warn_of_unfinished(session, backup, prepared.target.name)
    if output:
        files.replace_file(output, preparing.save(prepared))
    show_plan(session, prepared, notes, markdown=markdown)
    if output and prepared.plan.blocked:
        session.say(
            f"saved in {output}, but it cannot be imported as it is: when nothing is blocked any"
            " more, make it again"
        )
    elif output:
        session.say(f"saved: `oauthsync import --plan {output}` carries out exactly this plan")


def _check_output(file: Path) -> None:
    """FileError where the plan would take the place of something else than a plan."""
    if str(file) == "-":
        raise UsageError("-o takes a file's name", hint="--json prints the plan on stdout")
    if not os.path.lexists(file):
        return
    try:
        read_plan(file)
    except UsageError as error:
        raise FileError(
            f"{file} is there already, and is no saved plan", hint="name another file"
        ) from error


def read_plan(file: Path) -> "SavedPlan":
    """The plan in a file; UsageError where it holds none."""
    from oauthsync import plan_file

    return plan_file.parse(read_input(file, plan_file.MAX_SIZE), where=str(file))


def show_plan(
    session: Session, prepared: "Prepared", notes: Sequence[str], *, markdown: bool = False
) -> None:
    """Answer with a plan, and what `notes_on` it says."""

    def text(renderer: "Renderer") -> str:
        if markdown:
            from oauthsync import markdown as md

            return md.plan(prepared, verbose=session.verbose)
        return renderer.plan(prepared, [*_caution(prepared.plan), *notes])

    session.answer(lambda: prepared.plan.to_json(), text)
    tell_with_json(session, notes)
    remind(session, prepared)
    if blocked := prepared.plan.blocked:
        told = f"{count_of(len(blocked), 'blocked step')}: as it is, an import writes nothing"
        session.say(f"{told}\n{how_to_unblock(session, prepared)}")


def tell_with_json(session: Session, notes: Sequence[str]) -> None:
    """Tell what else stands in the text, where the answer is a document without a place for it."""
    if session.json:
        for note in notes:
            session.say(note)


def _caution(plan: "Plan") -> Iterator[str]:
    if plan.cautions:
        first, *others = map(inline, plan.cautions)
        more = f" ({count_of(len(others), 'more reason')}, which it names)" if others else ""
        yield f"look twice: {first}{more}"


def warn_of_unfinished(session: Session, backup: "Backup", target: str) -> None:
    """Of runs into a target that can be carried on instead of a plan being made for the rest."""
    if told := how_to_carry_on(run for run in backup.journal().runs() if run.target == target):
        session.warn(told)


def how_to_carry_on(runs: "Iterable[Run]") -> str:
    """How to carry on those of the runs that are not finished; nothing where all are."""
    from oauthsync.runs import unfinished

    found = unfinished(runs)
    told = [
        f"run {run.id} is not finished: `oauthsync {run.way_on}` carries it on"
        + (", unless it is still at work" if run.state == "running" else "")
        for run in found[:_UNFINISHED_SHOWN]
    ]
    if more := len(found) - len(told):
        told.append(f"and {more} more: `oauthsync runs` lists them")
    return "\n".join(told)


def notes_on(backup: "Backup", prepared: "Prepared") -> list[str]:
    """What is said of a plan that writes nothing, and of a snapshot that may be meant as well."""
    from oauthsync.preparing import snapshot_with_more

    notes = []
    source, target = prepared.snapshot.workspace, prepared.target.name
    if prepared.same_workspace and source != target:
        notes.append(
            f"{source} and {target} are one workspace (id {prepared.snapshot.user_id}): if that is"
            " not meant so, check their URLs and tokens"
        )
    if not (prepared.plan.writes or prepared.plan.blocked):
        told = "nothing to do: the target has what was selected of the snapshot"
        if skipped := prepared.plan.summary["skip"]:
            are = "is" if skipped == 1 else "are"
            told += f", but for {skipped} that {are} skipped for the reason above"
        notes.append(told)
    if differing := sum(step.action == "skip" for step in prepared.plan.differing):
        it, differs = ("it", "it differs") if differing == 1 else ("them", "they differ")
        told = f"{differing} skipped because {differs}: --on-existing update would update {it}"
        notes.append(told)
    if (older := snapshot_with_more(backup, prepared)) is not None:
        safety = "safety " if older.kind == "safety" else ""
        notes.append(
            f"{safety}snapshot {older.id} ({older.taken_at}) has profiles that the target lacks:"
            f" `oauthsync diff {older.id} {prepared.snapshot.id}` shows them, and a plan from it,"
            " with the same options, would bring them back"
        )
    return notes


def how_to_unblock(session: Session, prepared: "Prepared") -> str:
    """What a person can do about a plan's blocked steps, a line each."""
    plan = prepared.plan
    told = []
    missing = {(step.provider, step.client_id or "") for step in plan.without_secret}
    # `fill` asks for all that the snapshot's profiles need, whatever the plan selects of them.
    by_hand = missing
    if len(missing) > FEW:
        by_hand = missing - {profile.app for profile in prepared.source}
    if len(by_hand) < len(missing):
        told.append(f"`oauthsync secrets fill {plan.snapshot}` asks for missing secrets")
    commands = [_set_secret(*app) for app in sorted(by_hand)]
    if len(commands) == 1:
        told.append(f"`{commands[0]}` asks for the secret")
    elif commands:
        told += ["each of these asks for a secret:", session.folded(commands)]
    if missing:
        told.append("--allow-missing leaves out what has no secret")
    if plan.ambiguous:
        first = plan.ambiguous[0].source_id
        told.append(f"--map settles an ambiguous match: --map {first}=ID with an id of its reason")
    differing = [step for step in plan.differing if step.action == "blocked"]
    if differing:
        told.append("--on-existing update would update what differs, skip leaves it as it is")
    if len(plan.without_secret) + len(plan.ambiguous) + len(differing) < len(plan.blocked):
        told.append("the plan says what blocks each step")
    return "\n".join(told)


def _set_secret(provider: str, client_id: str) -> str:
    return typed("secrets", "set", "--provider", provider, "--client-id", client_id)


def typed(*arguments: str) -> str:
    """A call of the command as it is typed into a shell."""
    return inline(shlex.join(["oauthsync", *arguments]))


def remind(session: Session, prepared: "Prepared") -> None:
    """Of what is outside a backup, where profiles go to another data center (the API's page)."""
    url = prepared.target.url
    if prepared.plan.writes and prepared.snapshot.url != url:
        session.say(
            f"the target is elsewhere: at each provider, add {url}/oauth/callback to the app's"
            " redirect URIs, and check its scopes"
        )
