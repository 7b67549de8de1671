"""Where a secret comes from: an environment variable, a file, or a command.

- A source is read when its secret is needed, never before, and nothing keeps what it gave.
- One trailing newline (LF or CRLF) of a file or of a command's output is not part of the secret.
- A command runs without a shell, with no standard input, and has a minute. Its standard error is
  the user's: it is where `op`, `pass` and their like ask for a touch and say what is wrong. Its
  standard output stands in no error.
- What names a file or a command is never quoted, but for a folder that there is: by mistake, people
  put the secret itself there.
- A command sees neither a passphrase nor a token in its environment.
- An error is raised outside of the handler of the one that it comes from, which holds the content
  or the name, and would be its context.
"""

import contextlib
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

from oauthsync.errors import UsageError
from oauthsync.files import read_regular
from oauthsync.secret import Secret
from oauthsync.text import is_unicode

if TYPE_CHECKING:
    import subprocess

MAX_SECRET_SIZE = 64 * 2**10
"""Bytes of a file or of a command's output; a larger one is refused."""

COMMAND_TIMEOUT = 60.0
"""Seconds: long enough for a person to unlock a password manager."""

# A token or a key pasted in place of a name is longer than any name, and must not be shown as one.
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,59}")


class SourceError(Exception):
    """A source does not give its secret; whoever asked raises its own error from this one."""

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class Source(Protocol):
    """One place that a secret is read from."""

    @property
    def description(self) -> str:
        """The place in words that fit into a sentence."""
        ...

    def read(self) -> Secret:
        """The secret as it is now, never empty. Raises SourceError."""
        ...


@dataclass(frozen=True)
class FromVariable:
    """A secret in an environment variable, as it is."""

    name: str
    environ: Mapping[str, str] = field(repr=False, compare=False)

    @property
    def description(self) -> str:
        """`environment variable WORKATO_DEV_TOKEN`."""
        return f"environment variable {self.name}"

    def read(self) -> Secret:
        """The value. Raises SourceError where it is not set, empty or not UTF-8."""
        value = self.environ.get(self.name)
        if not value:
            state = "not set" if value is None else "empty"
            raise SourceError(f"{self.description} is {state}", hint=f"set {self.name}")
        if not is_unicode(value):
            raise SourceError(f"{self.description} is not UTF-8", hint=f"set {self.name} anew")
        return Secret(value)


@dataclass(frozen=True)
class FromFile:
    """A secret in a file of its own; `named_by` is the setting that names the file."""

    path: Path = field(repr=False)
    named_by: str

    @property
    def description(self) -> str:
        """`the file that OAUTHSYNC_PASSPHRASE_FILE names`."""
        return f"the file that {self.named_by} names"

    def read(self) -> Secret:
        """The content. Raises SourceError where the file is missing, unreadable, empty or large."""
        try:
            content = read_regular(self.path, limit=MAX_SECRET_SIZE)
        except OSError as error:
            reason = error.strerror
        else:
            return _secret(content, self.description)
        # A folder that is there is a part of a path, and of no secret.
        parents = self.path.absolute().parents
        folder = next(each for each in parents if os.path.isdir(each))  # noqa: PTH112 - never raises
        raise SourceError(
            f"{self.description} cannot be read: {reason}",
            hint="that setting is to be the path of a file that holds the secret; it leads into the"
            f" folder {folder}",
        )


@dataclass(frozen=True)
class FromCommand:
    """A secret that a command prints; `named_by` is the setting that gives the command.

    `folder` is where it runs (None: the current one), `environ` all of its environment, `timeout`
    in seconds.
    """

    arguments: tuple[str, ...] = field(repr=False)
    named_by: str
    environ: Mapping[str, str] = field(repr=False, compare=False)
    folder: Path | None = None
    timeout: float = COMMAND_TIMEOUT

    @property
    def description(self) -> str:
        """`the command that workspaces.dev.token_command in oauthsync.toml gives`."""
        return f"the command that {self.named_by} gives"

    def read(self) -> Secret:
        """What it prints. Raises SourceError where it fails, takes too long or prints nothing."""
        output, status = self._run()
        if status != 0:
            ended = f"exit status {status}" if status > 0 else f"signal {-status}"
            raise self._failed(f"failed with {ended}")
        return _secret(output, self.description)

    def _run(self) -> tuple[bytes, int]:
        import subprocess

        process = self._start()
        assert process.stdout is not None
        deadline = time.monotonic() + self.timeout
        try:
            output = self._read_output(process.stdout, deadline)
            with contextlib.suppress(subprocess.TimeoutExpired):
                return output, process.wait(max(deadline - time.monotonic(), 0.1))
        finally:
            process.stdout.close()
            # Who runs as another user, as `sudo` does, cannot be ended, and is not waited for.
            with contextlib.suppress(PermissionError):
                process.kill()  # does nothing where it has ended
                process.wait()
        raise self._too_slow()

    def _start(self) -> "subprocess.Popen[bytes]":
        import subprocess

        try:
            return subprocess.Popen(
                self.arguments,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                bufsize=0,
                cwd=self.folder,
                env=dict(self.environ),
            )
        except OSError as error:
            reason = error.strerror
        raise self._failed(f"cannot be started: {reason}")

    def _read_output(self, pipe: IO[bytes], deadline: float) -> bytes:
        # Not `communicate`: it has no limit, and waits for grandchildren when the time is over.
        import selectors

        output = b""
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            while selector.select(max(deadline - time.monotonic(), 0)):
                chunk = os.read(pipe.fileno(), MAX_SECRET_SIZE)
                output += chunk
                if not chunk:
                    return output
                if len(output) > MAX_SECRET_SIZE:
                    raise self._failed(f"printed more than {MAX_SECRET_SIZE} bytes")
        raise self._too_slow()

    def _too_slow(self) -> SourceError:
        return self._failed(f"did not end within {self.timeout:g} seconds")

    def _failed(self, how: str) -> SourceError:
        return SourceError(
            f"{self.description} {how}",
            hint="try it by hand; it runs without a shell (no ~, $, pipes) and without input",
        )


def _secret(content: bytes, description: str) -> Secret:
    """What a file or a command gave, without its one trailing newline."""
    text = None
    with contextlib.suppress(UnicodeDecodeError):
        text = content.decode("utf-8")
    if text is None:
        raise SourceError(
            f"{description} gives something that is not UTF-8 text", hint="check what it holds"
        )
    if text.endswith("\n"):
        text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise SourceError(f"{description} gives nothing", hint="check what it holds")
    return Secret(text)


@dataclass(frozen=True)
class Sources:
    """Turns settings into sources.

    `folder` is where relative paths and commands start from (None: the current folder), `hidden`
    the variables that no command sees, besides the passphrase's.
    """

    environ: Mapping[str, str] = field(repr=False)
    home: Path
    folder: Path | None
    hidden: frozenset[str]

    def path(self, text: str) -> Path:
        """The path that a setting gives; `~` and `~/…` are the home's."""
        if text == "~" or text.startswith("~/"):
            return self.home / text[2:]
        return (self.folder or Path()) / text

    def source(self, kind: str, text: str, where: str) -> Source:
        """The source of a kind, `env`, `file` or `command`, from the setting at `where`.

        Raises UsageError for what is no variable's name, or no command.
        """
        match kind:
            case "env":
                return FromVariable(_variable_name(text, where), self.environ)
            case "file":
                return FromFile(self.path(text), where)
            case "command":
                return FromCommand(_split(text, where), where, self._child_environ(), self.folder)
        raise AssertionError(f"no such kind of source: {kind}")

    def _child_environ(self) -> dict[str, str]:
        return {
            name: value
            for name, value in self.environ.items()
            if name not in self.hidden and not name.startswith("OAUTHSYNC_PASSPHRASE")
        }


def _variable_name(text: str, where: str) -> str:
    if not _VARIABLE_NAME.fullmatch(text):
        raise UsageError(
            f"{where} is not the name of an environment variable",
            hint="write the name there, such as WORKATO_DEV_TOKEN, and the token into the variable",
        )
    return text


def _split(text: str, where: str) -> tuple[str, ...]:
    import shlex

    try:
        arguments = tuple(shlex.split(text))
    except ValueError as error:  # "No closing quotation": it does not quote the text
        raise UsageError(f"{where} is not a command: {error}", hint="correct its quotes") from None
    if not arguments:
        raise UsageError(f"{where} is not a command: it is blank", hint="write a command there")
    return arguments
