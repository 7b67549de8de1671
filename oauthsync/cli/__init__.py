"""The command line: parse, wire, print, exit.

A command's module is imported when the command is called (or listed in the help), and imports the
library inside its functions: `--help` and `--version` cost no more than click does.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

import click

from oauthsync import __version__

_COMMANDS = {
    "export": "backup",
    "snapshots": "backup",
    "show": "backup",
    "diff": "backup",
    "log": "backup",
    "secrets": "secrets",
    "plan": "restore",
    "import": "restore",
    "runs": "restore",
    "resume": "restore",
    "undo": "restore",
    "sandbox": "sandbox",
}


class _LazyGroup(click.Group):
    """A group that imports a command's module when the command is needed."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        module = import_module(f"oauthsync.cli.{_COMMANDS[name]}")
        command: click.Command = getattr(module, f"{name}_command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _COMMANDS and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0], _COMMANDS, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise click.UsageError(f"No such command {args[0]!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message="oauthsync %(version)s")
def cli() -> None:
    """Back up the custom OAuth profiles of a Workato workspace, and put them back."""


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with the code of what happened."""
    from oauthsync.cli.common import run

    sys.exit(run(cli, args))
