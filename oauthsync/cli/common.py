"""What all commands share: their common options, output, questions, and how errors end them."""

import os
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from oauthsync import strictjson
from oauthsync.errors import OauthsyncError, UsageError

if TYPE_CHECKING:
    from oauthsync.backup import Backup
    from oauthsync.render import Renderer
    from oauthsync.secret import Secret
    from oauthsync.strictjson import Json

EXIT_DIFFERENT = 4
EXIT_INTERRUPTED = 130

F = TypeVar("F", bound=Callable[..., Any])


class Session:
    """One call of a command: its common options, and how it talks to whoever called it."""

    def __init__(
        self, folder: Path, *, json: bool, quiet: bool, verbose: bool, no_input: bool
    ) -> None:
        self.folder = folder
        self.json = json
        self.quiet = quiet
        self.verbose = verbose
        self.interactive = not no_input and sys.stdin.isatty()
        self.answered = False

    def backup(self) -> "Backup":
        """The backup folder; close it after use."""
        from oauthsync.backup import Backup
        from oauthsync.progress import listener_for

        if not self.folder.is_dir():
            raise UsageError(
                f"the backup folder {self.folder} does not exist", hint="create it, or check --dir"
            )
        return Backup(
            self.folder,
            listener=listener_for(sys.stderr, quiet=self.quiet, verbose=self.verbose),
            ask=self.ask if self.interactive else None,
        )

    @property
    def renderer(self) -> "Renderer":
        """What turns results into text."""
        from oauthsync.render import Renderer

        return Renderer(color=wants_color(sys.stdout), verbose=self.verbose)

    def answer(self, document: "dict[str, Json]", text: Callable[["Renderer"], str]) -> None:
        """Print the result: one JSON document, or text for people."""
        self.answered = True
        if self.json:
            click.echo(strictjson.write(document))
        elif shown := text(self.renderer):
            click.echo(shown)

    def say(self, text: str) -> None:
        """Tell a person what happens."""
        if not self.quiet:
            click.echo(text, err=True)

    def warn(self, text: str) -> None:
        """Tell a person what is not as it should be, whatever they asked for."""
        click.echo(_styled("warning:", "yellow") + f" {text}", err=True)

    def ask(self, prompt: str, is_new: bool) -> "Secret":
        """Ask for a secret, hidden; twice where it is new."""
        from oauthsync.secret import Secret

        value: str = click.prompt(prompt, hide_input=True, confirmation_prompt=is_new, err=True)
        return Secret(value)

    def ask_secret(self, prompt: str) -> "Secret":
        """Ask for a client secret or token, hidden; empty where the person gives none."""
        from oauthsync.render import inline
        from oauthsync.secret import Secret

        return Secret(
            click.prompt(inline(prompt), hide_input=True, default="", show_default=False, err=True)
        )

    def confirm(self, question: str) -> bool:
        """Ask a yes-or-no question; UsageError where nobody can answer."""
        if not self.interactive:
            raise UsageError("nobody is there to answer, so nothing was written", hint="use --yes")
        return click.confirm(question, err=True)


class Called:
    """What `run` knows of the call, once the options are parsed."""

    session: Session | None = None


def common_options(function: F) -> F:
    """Give a command the options that all have, and its Session as the first argument."""

    @click.option(
        "--dir",
        "folder",
        type=click.Path(path_type=Path),
        envvar="OAUTHSYNC_DIR",
        default=".",
        help="The backup folder (default: OAUTHSYNC_DIR, else the current folder).",
    )
    @click.option("--json", is_flag=True, help="Print one JSON document.")
    @click.option("-q", "--quiet", is_flag=True, help="Print results and warnings only.")
    @click.option("-v", "--verbose", is_flag=True, help="Print more; fold nothing.")
    @click.option("--no-input", is_flag=True, help="Never wait for a person.")
    @wraps(function)
    def wrapper(
        *args: Any,
        folder: Path,
        json: bool,
        quiet: bool,
        verbose: bool,
        no_input: bool,
        **options: Any,
    ) -> Any:
        session = Session(folder, json=json, quiet=quiet, verbose=verbose, no_input=no_input)
        click.get_current_context().ensure_object(Called).session = session
        return function(session, *args, **options)

    return wrapper  # type: ignore[return-value]


def run(command: click.Command, args: Sequence[str] | None) -> int:
    """Run a command; its exit code. Errors become a message, and a JSON document with --json."""
    arguments = list(sys.argv[1:] if args is None else args)
    called = Called()
    try:
        result = command.main(arguments, "oauthsync", standalone_mode=False, obj=called)
        sys.stdout.flush()
    except click.UsageError as error:
        if error.ctx is not None:
            click.echo(error.ctx.get_usage(), err=True)
        return _failed("--json" in arguments, error.format_message(), None, error.exit_code)
    except click.Abort:
        return _failed("--json" in arguments, "interrupted", None, EXIT_INTERRUPTED)
    except KeyboardInterrupt:
        code = _failed("--json" in arguments, "interrupted", None, EXIT_INTERRUPTED)
        sys.stdout.flush()
        # Threads may still wait for answers; the journal knows, and the user wants to go now.
        os._exit(code)
    except OauthsyncError as error:
        session = called.session
        as_json = session is not None and session.json and not session.answered
        return _failed(as_json, str(error), error.hint, error.exit_code)
    except BrokenPipeError:
        # Whoever read our output has gone; the interpreter must not complain about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return result if isinstance(result, int) else 0


def _failed(as_json: bool, message: str, hint: str | None, code: int) -> int:
    from oauthsync.render import visible

    click.echo(_styled("error:", "red") + f" {visible(message)}", err=True)
    if hint:
        click.echo(_styled("hint:", "cyan") + f" {visible(hint)}", err=True)
    if as_json:
        click.echo(strictjson.write({"error": message, "hint": hint, "exit_code": code}))
    return code


def wants_color(stream: Any) -> bool:
    """Whether a stream is a terminal that shows colours, and nobody has forbidden them."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _styled(text: str, color: str) -> str:
    return click.style(text, fg=color, bold=True) if wants_color(sys.stderr) else text
