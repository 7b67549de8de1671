"""How a command is run, and how errors end it."""

import contextlib
import itertools
import os
import re
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from oauthsync import interrupts
from oauthsync.cli import terminal
from oauthsync.errors import FileError, OauthsyncError

if TYPE_CHECKING:
    from oauthsync.cli.session import Session

EXIT_INTERRUPTED = 130

SOON = 0.5
"""Seconds after an interruption; who still waits then is told why, and what to do."""

_WAIT = b"\ninterrupted: finishing what is under way; press Ctrl-C once more to cut it off\n"


_CLICKS_WORDS = (
    (r"is not a valid integer( range)?", "is not a whole number"),
    (r"is not a valid float( range)?", "is not a number"),
    (r"is not in the range x>=(\S+)", r"is less than \1"),
    (r"is not in the range (\S+?)<=x<=(\S+)", r"is not from \1 to \2"),
    (r"File (.*) is a directory", r"\1 is a folder, and no file"),
    (r"Directory (.*) is a file", r"\1 is a file, and no folder"),
    (r"'\[(\w+)\]'", r"'\1'"),
)
"""What click says of a value that is not taken, and the plain words for it."""

_SURPLUS = re.compile(
    r"no such command '(.*)'|got unexpected extra argument \((.*)\)", re.IGNORECASE
)

_SHELL = click.core.ParameterSource.ENVIRONMENT

_ABOUT_ONE = {"snapshots": "show", "runs": "runs show", "profiles": "profiles get"}
"""Commands that are about all, and what shows the one with an id."""


class Called:
    """What `run` knows of the call, once the options are parsed."""

    session: "Session | None" = None


def end_on_signals() -> None:
    """Have Ctrl-C and SIGTERM end the command: what is under way is finished, and recorded.

    Who ends a command, be it a person or a supervisor, gets the same. A second one cuts off what is
    under way, too, and a third ends the process at once.
    """
    times = itertools.count(1)

    def interrupt(_number: int, _frame: object) -> None:
        if (time := next(times)) == 1:
            signal.setitimer(signal.ITIMER_REAL, SOON)
        elif time > 2:
            os._exit(EXIT_INTERRUPTED)
        interrupts.interrupt()

    signal.signal(signal.SIGALRM, _tell_of_wait)
    signal.signal(signal.SIGTERM, interrupt)
    # A shell has its background processes ignore Ctrl-C: so it stays.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupt)


def _tell_of_wait(_number: int, _frame: object) -> None:
    # Past its buffer: the signal may have come in the middle of a write to that.
    with contextlib.suppress(OSError):
        if sys.stderr is not None:
            os.write(sys.stderr.fileno(), _WAIT)


def run(command: click.Command, args: Sequence[str] | None) -> int:
    """Run a command; its exit code. Errors become a message, and a JSON document with --json."""
    arguments = list(sys.argv[1:] if args is None else args)
    called = Called()
    try:
        try:
            result = command.main(arguments, "oauthsync", standalone_mode=False, obj=called)
        except (Exception, KeyboardInterrupt) as error:
            if isinstance(error, OSError) and _is_of_stdout(error):
                raise
            if isinstance(error, click.UsageError):
                error.ctx = error.ctx or _named(command, arguments)
            with interrupts.held():
                result = _failed(error, called.session, asked_for_json="--json" in arguments)
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        # The interpreter would try to write the rest once more, and complain.
        _discard_stdout()
        if isinstance(error, BrokenPipeError):
            return 1
        return _failed(FileError(f"stdout cannot be written: {error.strerror}"), None)
    return result if isinstance(result, int) else 0


def _is_of_stdout(error: OSError) -> bool:
    """Whether it comes of writing a result, or click's help: no other writing lets an error out."""
    from traceback import walk_tb

    return any(frame.f_code is click.echo.__code__ for frame, _ in walk_tb(error.__traceback__))


def _named(command: click.Command, words: Sequence[str]) -> click.Context:
    """The context of the command that the first words name: some errors of click's have none."""
    context = click.Context(command, info_name="oauthsync")
    for word in words:
        if not isinstance(context.command, click.Group):
            break
        if (found := context.command.get_command(context, word)) is None:
            break
        context = click.Context(found, context, word)
    return context


def _failed(
    error: BaseException, session: "Session | None", *, asked_for_json: bool = False
) -> int:
    """Tell an error, and give the exit code that it ends the command with."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        terminal.tell(error.ctx.get_help())
        return error.exit_code
    message, hint, code = _told(error)
    wrap = not (asked_for_json or (session is not None and session.json))
    if session is not None:
        if code == EXIT_INTERRUPTED:
            hint = hint or session.interrupted
            if last := session.last_step:
                message += f": {last.done} of {last.total} steps have ended"
        session.wipe_progress()
    terminal.tell_labelled("error:", "red", message, wrap=wrap)
    if hint:
        terminal.tell_labelled("hint:", "cyan", hint, wrap=wrap)
    if session is not None and not isinstance(error, click.UsageError):
        asked_for_json = session.json and not session.answered
    if asked_for_json:
        terminal.print_json({"error": message, "hint": hint, "exit_code": code})
    return code


def _told(error: BaseException) -> tuple[str, str | None, int]:
    """An error's message, hint and exit code."""
    match error:
        case OauthsyncError():
            return str(error), error.hint, error.exit_code
        case click.ClickException():
            return _wrong_usage(error)
        case click.Abort() | KeyboardInterrupt():
            return "interrupted", None, EXIT_INTERRUPTED
        case OSError(strerror=str(reason)):
            name = f": {error.filename}" if error.filename else ""
            return f"the system refused: {reason}{name}", None, 1
        case _:
            return _defect(error)


def _wrong_usage(error: click.ClickException) -> tuple[str, str, int]:
    """What is told of an error of click's, in the style of our own."""
    message = error.format_message().removesuffix(".")
    context = error.ctx if isinstance(error, click.UsageError) else None
    path = context.command_path if context else "oauthsync COMMAND"
    hint = f"`{path} --help` shows what it takes"
    if near := getattr(error, "possibilities", None):
        message, hint = error.message.removesuffix("."), f"did you mean {near[0]}?"
    if isinstance(error, click.NoSuchOption) and isinstance(
        context and context.command, click.Group
    ):
        message = f"no such option {error.option_name!r} before a command's name"
        hint = f"options come after it: `{path} COMMAND {error.option_name}`"
    elif isinstance(error, click.BadParameter):
        for clicks, plain in _CLICKS_WORDS:
            message = re.sub(clicks, plain, message)
        if (
            context
            and error.param
            and context.get_parameter_source(str(error.param.name)) is _SHELL
        ):
            message = message.replace(f"'{error.param.opts[0]}'", str(error.param.envvar), 1)
    elif context and (surplus := _SURPLUS.fullmatch(message)):
        hint = _meant(context, path, surplus[1] or surplus[2]) or hint
    return message[:1].lower() + message[1:], hint, error.exit_code


def _meant(context: click.Context, path: str, word: str) -> str | None:
    """What a word may have been meant for that the command does not take."""
    from shlex import quote

    command = context.command
    if word.isdecimal() and command.name in _ABOUT_ONE:
        return f"`oauthsync {_ABOUT_ONE[command.name]} {word}` shows the one with that id"
    if command.name == "check":
        return f"it is about the folder; `oauthsync doctor {quote(word)}` is about one workspace"
    for each in command.params:
        if "--workspace" in each.opts:
            known = {item.value for item in each.shell_complete(context, word)}
            if word in known or command.name == "init":  # which is given a new name
                return f"a workspace is named by an option: `{path} --workspace {quote(word)}`"
    return None


def _defect(error: BaseException) -> tuple[str, str, int]:
    """What is told of an error that nobody expected: where it was, and no value that it holds."""
    from traceback import extract_tb

    place = extract_tb(error.__traceback__)[-1]
    where = f"{os.path.basename(place.filename)}, line {place.lineno}"  # noqa: PTH119 - light
    return (
        f"unexpected {type(error).__name__} in {where}",
        "this is a defect of oauthsync: please report it, with these two lines",
        1,
    )


def _discard_stdout() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
