"""What the modules of all commands share: the common options, and what else comes with them."""

import os
from collections.abc import Callable
from errno import EINVAL
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from oauthsync.cli.run import Called
from oauthsync.cli.session import Session as Session
from oauthsync.errors import IncompleteError, OauthsyncError, UsageError

EXIT_DIFFERENT = 4
EXIT_INCOMPLETE = IncompleteError.exit_code

F = TypeVar("F", bound=Callable[..., Any])

yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask before writing.")


def complete_workspace(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The names of workspaces that a word may become, without those that stand before it.

    No workspace and no token source is asked.
    """
    from oauthsync import config

    try:
        folder = Path(ctx.params.get("folder") or os.environ.get("OAUTHSYNC_DIR") or ".")
        names = config.load(folder.expanduser(), os.environ, Path.home()).names()
    except (OauthsyncError, OSError, RuntimeError):
        return []  # a shell that completes a word has no place to tell of it
    there = ctx.params.get(param.name or "") if param.nargs == -1 else None
    return [name for name in names if name.startswith(incomplete) and name not in (there or ())]


def complete_snapshot(ctx: click.Context, _param: object, incomplete: str) -> list[str]:
    """The words for a snapshot that a word may become; a saved plan has its own."""
    if ctx.params.get("file"):
        return []
    return [word for word in ("latest", "latest~1") if word.startswith(incomplete)]


def common_options(function: F) -> F:
    """Give a command the options that all have, and its Session as the first argument."""

    @click.option(
        "--dir",
        "folder",
        type=click.Path(path_type=Path, file_okay=False),
        envvar="OAUTHSYNC_DIR",
        default=".",
        help="The backup folder (default: OAUTHSYNC_DIR, else the current folder).",
    )
    @click.option("--json", is_flag=True, help="Print one JSON document.")
    @click.option("-q", "--quiet", is_flag=True, help="Print what was asked for, and warnings.")
    @click.option("-v", "--verbose", is_flag=True, help="Fold and shorten nothing, tell each step.")
    @click.option("--no-input", is_flag=True, help="Never wait for a person.")
    @click.pass_context
    @wraps(function)
    def wrapper(ctx: click.Context, *args: Any, **options: Any) -> Any:
        session = _session(ctx, options)
        return function(session, *args, **options)

    return wrapper  # type: ignore[return-value]


def _session(ctx: click.Context, options: dict[str, Any]) -> Session:
    """The session of the common options, which are taken out of `options`.

    What was given to the group above (`runs --json show 7`) counts for its command, too.
    """
    called = ctx.ensure_object(Called)
    given = {name: options.pop(name) for name in _COMMON}
    if (above := called.session) is not None:
        for name in _COMMON:
            if ctx.get_parameter_source(name) is not click.core.ParameterSource.COMMANDLINE:
                given[name] = getattr(above, name)
    if given["quiet"] and given["verbose"]:
        raise click.UsageError("give --quiet or --verbose, not both", ctx)
    called.session = Session(**given)
    if ctx.command.name in _CARRY_OUT_RUNS:
        called.session.interrupted = _KEPT
    return called.session


_COMMON = ("folder", "json", "quiet", "verbose", "no_input")

_CARRY_OUT_RUNS = ("import", "resume", "undo", "create", "update", "delete")

_KEPT = "what was done is kept: `oauthsync resume`, or the same undo again, goes on with a run"
"""What who interrupts one of these is told, until it knows better."""


def read_input(file: Path, limit: int, *, or_stdin: bool = False) -> bytes:
    """The content of a file that was named; UsageError where it cannot be read.

    `or_stdin`: `-` could have been named in its place.
    """
    from oauthsync.files import read_regular

    try:
        return read_regular(file, limit=limit)
    except OSError as error:
        hint = "check its name and permissions"
        if or_stdin and error.errno == EINVAL:  # as of the pipe that a shell makes of <(…)
            hint = "pipe it in, and name `-` in its place"
        raise UsageError(f"cannot read {file}: {error.strerror or error}", hint=hint) from error
