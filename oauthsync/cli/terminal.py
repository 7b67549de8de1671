"""What is written to the user and read from them, without a word about commands.

Results go to stdout, everything else to stderr. Whatever is told here has been made safe to show:
text of ours is escaped on the way (`text.py`), text of `render.py` was escaped there.
"""

import contextlib
import os
import sys
import termios
from typing import TYPE_CHECKING, TextIO

import click

from oauthsync.text import inline, json_line, visible

if TYPE_CHECKING:
    from oauthsync.strictjson import Json

# Written out and not taken from `sys`: mypy knows its streams as never None, which they are where
# a process was started without (`>&-`).
_Stream = TextIO | None


def print_text(text: str) -> None:
    """Write a result for people."""
    click.echo(text)


def print_json(document: "dict[str, Json]") -> None:
    """Write a result for programs: one line of JSON, in UTF-8 whatever the terminal's encoding."""
    from oauthsync import strictjson

    click.echo(json_line(strictjson.write(document)).encode("utf-8"))


def tell(text: str) -> None:
    """Write a line to stderr; where nobody reads that any more, nobody is told."""
    with contextlib.suppress(OSError):
        click.echo(text, err=True)


def tell_labelled(label: str, color: str, text: str, *, wrap: bool = False) -> None:
    """As `tell`, with a coloured label before the text, which is escaped; `wrap` for a terminal."""
    shown = click.style(label, fg=color, bold=True) if wants_color(sys.stderr) else label
    text = visible(text)
    tell(f"{shown} {wrapped(text, sys.stderr, used=len(label) + 1) if wrap else text}")


def wrapped(text: str, stream: _Stream, *, used: int = 0, indent: int = 0) -> str:
    """Text for people, as `layout.wrapped` where the stream is a terminal."""
    if room := width(stream):
        from oauthsync.layout import wrapped

        return wrapped(text, room, used=used, indent=indent)
    return text


def tell_again(problem: str) -> None:
    """Tell why an answer is not taken, and is asked for again."""
    tell_labelled("try again:", "yellow", problem, wrap=True)


def is_terminal(stream: _Stream) -> bool:
    """Whether a stream is there, and leads to a terminal."""
    return stream is not None and stream.isatty()


def wants_color(stream: _Stream) -> bool:
    """Whether a stream is a terminal that shows colours, and nobody has forbidden them."""
    forbidden = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return is_terminal(stream) and not forbidden


def columns(stream: _Stream) -> int:
    """How many columns a terminal has, or COLUMNS says; 80 where neither is known.

    Not from shutil, as click does it: that asks stdout alone, and takes long to import.
    """
    try:
        told = max(int(os.environ.get("COLUMNS") or 0), 0)
        return told or os.get_terminal_size(stream.fileno() if stream else -1).columns or 80
    except (ValueError, OSError):
        return 80


def width(stream: _Stream) -> int | None:
    """As `columns`; None where the stream is no terminal, and nothing is shortened."""
    return columns(stream) if is_terminal(stream) else None


def somebody_there() -> bool:
    """Whether a person sees a question and can answer it."""
    return is_terminal(sys.stdin) and is_terminal(sys.stderr)


_ANSWERS = {"y": True, "yes": True, "n": False, "no": False, "": False}
"""What is an answer to a yes-or-no question."""


def confirm(question: str) -> bool:
    """Ask a yes-or-no question until it is answered. Abort at the end of input.

    What was typed before the question is no answer to it, and dropped.
    """
    while True:
        if is_terminal(sys.stdin):
            termios.tcflush(sys.stdin, termios.TCIFLUSH)
        if (found := _ANSWERS.get(ask(f"{question} [y/N]").lower())) is not None:
            return found
        tell_again("answer y for yes, or n for no")


def ask(prompt: str) -> str:
    """A line that a person types, without the space around it. Abort at the end of input."""
    # Neither `input` nor click's prompt: they write to stdout, which is for the result alone.
    with contextlib.suppress(OSError):
        click.echo(f"{wrapped(visible(prompt), sys.stderr)} ", nl=False, err=True)
    if not (line := sys.stdin.readline()):
        tell("")  # what is told next does not stand behind the question
        raise click.Abort
    return line.strip()


def ask_hidden(prompt: str) -> str:
    """Ask for what must not be seen."""
    from getpass import getpass

    return getpass(f"{wrapped(f'{inline(prompt)}:', sys.stderr)} ", stream=sys.stderr)
