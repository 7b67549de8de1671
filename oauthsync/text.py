"""Text from outside, made safe to show: nothing of it reaches a terminal but what can be seen.

Names come from an API, and whoever can name a profile must not be able to move the cursor, turn
the direction of a line, or make two names look alike by characters that nobody sees. So control,
format, private and unassigned characters are shown escaped, as Python writes them. Spaces of all
scripts stay, and so do the joiners that some scripts and emoji are written with.
"""

from collections.abc import Sequence

GLOBS = (
    "upper and lower case differ; * stands for any text, ? for a character, [ab] for one of these,"
    " and [[] for a bracket"
)
"""What to know of a glob that fits nothing."""

_SPACES = "\N{NO-BREAK SPACE}\N{OGHAM SPACE MARK}\N{NARROW NO-BREAK SPACE}\N{IDEOGRAPHIC SPACE}" + (
    "".join(map(chr, range(0x2000, 0x200B))) + "\N{MEDIUM MATHEMATICAL SPACE}"
)
_JOINERS = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"
_SHOWN = frozenset(_SPACES + _JOINERS)


def inline(text: str) -> str:
    """Text on one line, with everything escaped that cannot be seen."""
    if text.isprintable():
        return text
    return "".join(character if _is_seen(character) else _escaped(character) for character in text)


def visible(text: str) -> str:
    """As `inline`, with line breaks kept: for text of our own that quotes text from outside."""
    return "\n".join(map(inline, text.split("\n")))


def json_line(text: str) -> str:
    """A line of JSON whose unseen characters are escaped as JSON does it: the same document."""
    if text.isprintable():
        return text
    from json import dumps

    return "".join(
        character if _is_seen(character) else dumps(character)[1:-1] for character in text
    )


def count_of(count: int, noun: str) -> str:
    """`1 profile`, `2 profiles`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def listed(items: Sequence[object], limit: int = 5) -> str:
    """The first items for a message, and how many more there are."""
    shown = ", ".join(map(str, items[:limit]))
    more = len(items) - limit
    return f"{shown} and {more} more" if more > 0 else shown


def is_unicode(text: str) -> bool:
    """Whether it can be written as UTF-8.

    A lone surrogate cannot: JSON can escape one, and bytes of a command line or of a variable that
    are not UTF-8 reach Python as such.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _is_seen(character: str) -> bool:
    return character.isprintable() or character in _SHOWN


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
