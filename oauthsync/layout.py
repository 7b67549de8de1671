"""Lines and columns: text laid out for a terminal, by the width that it gives each character.

Columns line up in every script. Where there is a terminal, what does not fit is shortened, the
widest column first, and no line is wrapped; in a pipe or a file nothing is shortened.
"""

import re
from collections.abc import Collection, Iterable, Sequence

from rich.cells import cell_len, set_cell_size

from oauthsync.text import inline

GAP = "  "
MIN_WIDTH = 12
"""A column is not made narrower than this, unless its line would be wrapped."""


def cell(value: object) -> str:
    """A value as it stands in a cell; nothing for None."""
    return "" if value is None else inline(str(value))


def columns(
    rows: Sequence[Sequence[str]],
    room: int | None,
    *,
    right: Iterable[int] = (),
    first: Sequence[Collection[int]] = (),
    whole: Collection[int] = (),
) -> list[str]:
    """The rows with their cells below each other, in at most `room` columns (None: any).

    Cells are safe to show already; `right` are the columns whose cells stand at their right end,
    `first` the groups of them that are shortened before all others, in their order, and `whole`
    those that are shortened after all others.
    """
    if not rows:
        return []
    widths = _widths(rows)
    if room is not None:
        _shrink(widths, room, first, whole)
    aligned = frozenset(right)
    return [
        GAP.join(
            _padded(text, width, right=index in aligned)
            for index, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def fit(rows: Sequence[Sequence[str]], room: int) -> bool:
    """Whether all rows fit into `room` columns as they are."""
    return not rows or _total(_widths(rows)) <= room


def without_room(
    rows: Sequence[Sequence[str]], room: int, spare: Sequence[int], free: Collection[int]
) -> set[int]:
    """Which of the `spare` columns do not fit beside the others, of which `free` are shortened.

    The `spare` ones get what room there is in their order.
    """
    least = [
        min(width, MIN_WIDTH) if index in free else width
        for index, width in enumerate(_widths(rows))
    ]
    left = room - _total([width for index, width in enumerate(least) if index not in spare])
    left_out = set()
    for index in spare:
        if (needed := least[index] + len(GAP)) <= left:
            left -= needed
        else:
            left_out.add(index)
    return left_out


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(cell_len, column)) for column in zip(*rows, strict=True)]


def _total(widths: Collection[int]) -> int:
    return sum(widths) + len(GAP) * (len(widths) - 1)


def _shrink(
    widths: list[int], room: int, first: Sequence[Collection[int]], whole: Collection[int]
) -> None:
    """Take from the widest column of those whose turn it is, again and again, until all fit."""
    excess = _total(widths) - room
    every = range(len(widths))
    most = [index for index in every if index not in whole]
    for group, least in (
        *((each, MIN_WIDTH) for each in first),
        (most, MIN_WIDTH),
        (most, 1),
        (every, 1),
    ):
        while excess > 0 and group:
            widest = max(group, key=widths.__getitem__)
            if widths[widest] <= least:
                break
            widths[widest] -= 1
            excess -= 1


def shortened(text: str, width: int) -> str:
    """Text in at most `width` columns."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 1).rstrip() + "…"


def _padded(text: str, width: int, *, right: bool) -> str:
    if (length := cell_len(text)) > width:
        text = shortened(text, width)
        length = cell_len(text)
    space = " " * (width - length)
    return space + text if right else text + space


_PIECE = re.compile(" *(?:`[^`]*`|[^ ])+")
"""Spaces, and what is not broken after them: a word, or a command that is to stay copyable."""


def wrapped(text: str, room: int, *, used: int = 0, indent: int = 0) -> str:
    """Text whose lines are broken at spaces, to `room` cells; of the first one, `used` are taken.

    What is broken goes on after `indent` spaces. Lines that are indented, as lists are, stay as
    they are.
    """
    told = []
    for line in text.split("\n"):
        kept = ""
        for piece in [line] if line.startswith(" ") else _PIECE.findall(line):
            if kept and used + cell_len(kept + piece) > room:
                told.append(kept)
                kept, used = " " * indent + piece.lstrip(" "), 0
            else:
                kept += piece
        told.append(kept)
        used = 0
    return "\n".join(told)
