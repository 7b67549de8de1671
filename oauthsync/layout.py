"""Lines and columns: text laid out for a terminal, by the width that it gives each character.

Columns line up in every script. Where there is a terminal, what does not fit is shortened, the
widest column first; in a pipe or a file nothing is.
"""

from collections.abc import Iterable, Sequence

from rich.cells import cell_len, set_cell_size

from oauthsync.text import inline

GAP = "  "
MIN_WIDTH = 12
"""A column is not made narrower than this."""


def cell(value: object) -> str:
    """A value as it stands in a cell; nothing for None."""
    return "" if value is None else inline(str(value))


def columns(
    rows: Sequence[Sequence[str]], room: int | None, *, right: Iterable[int] = ()
) -> list[str]:
    """The rows with their cells below each other, in at most `room` columns (None: any).

    Cells are safe to show already; `right` are the columns whose cells stand at their right end.
    """
    if not rows:
        return []
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    if room is not None:
        _shrink(widths, room)
    aligned = frozenset(right)
    return [
        GAP.join(
            _padded(text, width, right=index in aligned)
            for index, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _shrink(widths: list[int], room: int) -> None:
    """Take from the widest column, again and again, until all fit or are at their minimum."""
    excess = sum(widths) + len(GAP) * (len(widths) - 1) - room
    while excess > 0 and max(widths) > MIN_WIDTH:
        widths[widths.index(max(widths))] -= 1
        excess -= 1


def shortened(text: str, width: int) -> str:
    """Text in at most `width` columns."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 1).rstrip() + "…"


def _padded(text: str, width: int, *, right: bool) -> str:
    text = shortened(text, width)
    space = " " * (width - cell_len(text))
    return space + text if right else text + space
