"""`plan`: what an import would do, and the options that say what is wanted."""

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from oauthsync.cli.common import Session, common_options, read_input
from oauthsync.errors import FileError, UsageError

if TYPE_CHECKING:
    from oauthsync.backup import Backup
    from oauthsync.overrides import Override
    from oauthsync.plan import Options
    from oauthsync.render import Renderer
    from oauthsync.restore import Prepared

F = TypeVar("F", bound=Callable[..., Any])

MAX_OVERRIDES = 1 << 20

_PLAN_OPTIONS = (
    click.option("--from", "source", metavar="WORKSPACE", help="Whose snapshot."),
    click.option("--to", "target", metavar="WORKSPACE", help="The target."),
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
        ids = re.fullmatch("([0-9]{1,18})=([0-9]{1,18})", text)
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
@click.argument("snapshot", default="latest")
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
    from oauthsync import files, restore

    if output:
        _check_output(output)
    with session.backup() as backup:
        prepared = restore.prepare(backup, snapshot, options, source=source, target=target)
        nothing = nothing_to_do(backup, prepared)
    if output:
        files.replace_file(output, restore.save(prepared))
    show_plan(session, prepared, nothing, markdown=markdown)
    if output:
        session.say(f"saved: `oauthsync import --plan {output}` carries out exactly this plan")


def _check_output(file: Path) -> None:
    """FileError where the plan would take the place of something else than a plan."""
    from oauthsync import plan_file

    if not os.path.lexists(file):
        return
    try:
        plan_file.parse(read_input(file, plan_file.MAX_SIZE), where=str(file))
    except UsageError as error:
        raise FileError(
            f"{file} is there already, and is no saved plan", hint="name another file"
        ) from error


def show_plan(
    session: Session, prepared: "Prepared", nothing: str, *, markdown: bool = False
) -> None:
    """Answer with a plan, and what `nothing_to_do` says of it."""

    def text(renderer: "Renderer") -> str:
        if markdown:
            from oauthsync import markdown as md

            return md.plan(prepared, verbose=session.verbose)
        return "\n".join(filter(None, [renderer.plan(prepared), nothing]))

    session.answer(prepared.plan.to_json(), text)
    remind(session, prepared)


def nothing_to_do(backup: "Backup", prepared: "Prepared") -> str:
    """What is said of a plan that writes nothing, and of the snapshot that may be meant."""
    from oauthsync.restore import snapshot_with_more

    if prepared.plan.writes or prepared.plan.blocked:
        return ""
    told = "nothing to do: the target has what was selected of the snapshot"
    if (older := snapshot_with_more(backup, prepared)) is not None:
        told += (
            f"\nsnapshot {older.id} ({older.taken_at}) has profiles that the target lacks:"
            f" `oauthsync plan {older.id}` shows them"
        )
    return told


def remind(session: Session, prepared: "Prepared") -> None:
    """Of what is outside a backup, where profiles go to another data center (the API's page)."""
    url = prepared.target.url
    if prepared.plan.writes and prepared.snapshot.url != url:
        session.say(
            f"the target is elsewhere: at each provider, add {url}/oauth/callback to the app's"
            " redirect URIs, and check its scopes"
        )
