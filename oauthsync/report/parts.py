"""What the page's sections are made of: tables, names, quantities and times."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

from oauthsync.clock import moment, timestamp
from oauthsync.report.markup import Content, Markup, element
from oauthsync.text import count_of

ROWS = 100
"""Rows of a table that are shown."""

OPEN = 20
"""A table of at most so many rows is not folded."""

CLIP = 120
"""Characters of a name or a value that are shown."""

MAX_WORD = 32
"""Characters of a word that are shown, in one line."""

NONE = "–"
"""Stands in a cell where there is nothing to tell."""


def section(anchor: str, title: Content, *content: Content) -> Markup:
    """A section of the page, which `#anchor` leads to."""
    return element("section", element("h2", title), *content, id=anchor)


def folded(
    title: str,
    headers: Sequence[str],
    rows: Iterable[Sequence[Content]],
    count: int,
    more: str,
    *,
    is_open: bool = True,
) -> Content:
    """As `table`, folded where it is long, or not `is_open`; nothing where it has no row."""
    if not count:
        return ""
    shown = table(title, headers, rows, count, more)
    if is_open and count <= OPEN:
        return shown
    return element("details", element("summary", f"{title}: {count}"), shown)


def table(
    title: str, headers: Sequence[str], rows: Iterable[Sequence[Content]], count: int, more: str
) -> Markup:
    """A table whose first cells are the rows' headers; a `#` marks a column of numbers.

    Of `count` rows only those that are shown are made; `more` is the command that shows all.
    """
    classes = [{"class_": "number"} if header.startswith("#") else {} for header in headers]
    head = [
        element("th", header.removeprefix("#"), scope="col", **its)
        for header, its in zip(headers, classes, strict=True)
    ]
    body = [_row(row, classes) for row in islice(rows, ROWS)]
    if count > ROWS:
        rest = f"… and {count - ROWS} more: "
        body.append(element("tr", element("td", rest, command(more), colspan=len(headers))))
    caption = element("caption", title)
    parts = element("thead", element("tr", *head)), element("tbody", *body)
    # On a narrow screen the table is moved sideways, and not the page.
    return element("div", element("table", caption, *parts), class_="wide")


def _row(cells: Sequence[Content], classes: Sequence[Mapping[str, str]]) -> Markup:
    (first, its), *others = zip(cells, classes, strict=True)
    header = element("th", first, scope="row", **its)
    return element("tr", header, *(element("td", cell, **own) for cell, own in others))


def name(text: str) -> Markup:
    """A name from outside; apart, so that one that runs from right to left turns nothing else."""
    return element("bdi", clipped(text))


def word(text: str) -> Markup:
    """As `name`, for what is short and stays in one line, such as a provider."""
    return element("bdi", clipped(text, MAX_WORD), class_="word")


def code(text: str) -> Markup:
    """As `name`, for what machines made."""
    return element("code", name(text))


def command(arguments: str) -> Markup:
    """A call of oauthsync."""
    return element("code", f"oauthsync {arguments}")


def clipped(text: str, limit: int = CLIP) -> str:
    """Text of at most so many characters."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


# --- times --------------------------------------------------------------------------------------


def when(text: str) -> Markup:
    """A time to the minute, or what stands in its place."""
    if moment(text) is None:
        return name(text)
    return element("time", f"{text[:10]} {text[11:16]}", datetime=text)


def day(seconds: float) -> str:
    """The date of a time in seconds since the epoch."""
    return timestamp(seconds)[:10]


def age(text: str, now: float) -> str:
    """How long ago a time is, in hours up to two days."""
    at = moment(text)
    if at is None or at > now:
        return NONE
    hours = int((now - at) // 3600)
    return count_of(hours, "hour") if hours < 48 else count_of(hours // 24, "day")
