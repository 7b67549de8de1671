"""The command line: parse, wire, print, exit.

A command's module is imported when the command is called, and imports the library inside its
functions: `--help` and `--version` cost no more than click does.
"""

import gc
import io
import os
import resource
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

import click

from oauthsync import __version__
from oauthsync.cli.terminal import columns

GARBAGE = (100_000, 50, 100)
"""When Python looks for garbage: what a command makes lives to its end, and to look through 100,000
profiles again and again takes up to a fifth of its time."""

_COMMANDS = {
    "init": ("workspaces", "Write a first oauthsync.toml by asking."),
    "export": ("backup", "Take a snapshot of each workspace."),
    "snapshots": ("backup", "List the snapshots."),
    "show": ("backup", "Show the profiles of a snapshot."),
    "diff": ("backup", "Compare a snapshot with another, or with now."),
    "log": ("backup", "Show what changed from export to export."),
    "secrets": ("secrets", "Keep the client secrets in the sidecar."),
    "plan": ("plan", "Show what `import` would do."),
    "import": ("restore", "Create what the target lacks, exactly once."),
    "runs": ("runs", "List what was written to workspaces."),
    "resume": ("restore", "Carry on an import that was cut off."),
    "undo": ("restore", "Take back what an import did."),
    "profiles": ("profiles", "Work on one profile of a workspace."),
    "report": ("report", "Write a page about the backup folder."),
    "check": ("care", "See that the backup is whole, and what it could restore."),
    "prune": ("care", "Remove old snapshots by a policy."),
    "doctor": ("workspaces", "Find what is wrong, and say what to do."),
    "sandbox": ("sandbox", "Run a local Workato to rehearse with."),
}
"""Each command's module here, which has it as `NAME_command`, and its line in the help."""

_COMPLETION = """\b
To have a shell complete commands, options and workspaces:
  eval "$(_OAUTHSYNC_COMPLETE=bash_source oauthsync)"   # zsh: zsh_source
  _OAUTHSYNC_COMPLETE=fish_source oauthsync | source
"""

_CALLED_HERE = {"backup": "export", "migrate": "import", "restore": "import"}
"""What people type, and the command that does it."""


class _LazyGroup(click.Group):
    """A group that imports a command's module when the command is needed."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        module, line = _COMMANDS[name]
        command: click.Command = getattr(
            import_module(f"oauthsync.cli.{module}"), f"{name}_command"
        )
        # A shell shows a short help whole, and of any other the first 45 characters.
        command.short_help = line
        for each in command.commands.values() if isinstance(command, click.Group) else ():
            each.short_help = each.get_short_help_str(limit=1000)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in _COMMANDS and args[0][:1] != "-" and not ctx.resilient_parsing:
            from oauthsync.errors import UsageError
            from oauthsync.tables import suggestion

            meant = _CALLED_HERE.get(args[0], args[0])
            raise UsageError(f"no such command {args[0]!r}", hint=suggestion(meant, _COMMANDS))
        return super().resolve_command(ctx, args)

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in _COMMANDS.items()])


@click.group(
    cls=_LazyGroup,
    invoke_without_command=True,
    subcommand_metavar="COMMAND [ARGS]...",
    epilog=_COMPLETION,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "terminal_width": max(min(columns(sys.stdout), 100) - 2, 50),
    },
)
@click.version_option(__version__, message="oauthsync %(version)s")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Back up the custom OAuth profiles of a Workato workspace, and put them back."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        ctx.exit(2)


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with the code of what happened."""
    from oauthsync.cli.run import EXIT_INTERRUPTED, end_on_signals, run

    # A core dump would hold the secrets that this process has at hand.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    gc.set_threshold(*GARBAGE)
    end_on_signals()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A character that the locale cannot write is shown escaped, as on stderr.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = run(cli, args)
    except KeyboardInterrupt:  # one more, while the first one was told
        code = EXIT_INTERRUPTED
    if code == EXIT_INTERRUPTED:
        # Threads may still wait for answers; the journal knows, and the user wants to go now.
        os._exit(code)
    sys.exit(code)
