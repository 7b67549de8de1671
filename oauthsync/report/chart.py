"""A workspace's profiles over time, as a small inline SVG.

The upper lane is a line of the number of profiles, between the least and the most there were; the
lower one has a mark up for what was added and a mark down for what was removed. It carries no words
but its title and description: they would be stretched with it, so they stand around it, in HTML.
All charts of a page share one span of time, so that they can be compared.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from oauthsync.report.markup import Markup, element

WIDTH, HEIGHT = 600, 100
TOP, BOTTOM = 5, 62
ZERO, REACH = 84, 14
"""Where the lower lane has its zero, and how far its marks go."""

STEP = 4
"""Units of a column; changes in one column share a mark, so a chart is small however many."""


@dataclass(frozen=True)
class Point:
    """An export: seconds since the epoch, its profiles, and the changes since the one before."""

    at: float
    profiles: int
    added: int
    removed: int


@dataclass(frozen=True)
class Span:
    """From when to when the charts of a page go, in seconds since the epoch."""

    start: float
    end: float

    def x(self, at: float) -> int:
        """Where a time is on the chart; whole units are finer than the eye."""
        length = self.end - self.start
        return round(STEP + (WIDTH - 2 * STEP) * ((at - self.start) / length if length else 0.5))


def draw(points: Sequence[Point], span: Span, name: str, description: str) -> Markup:
    """The chart of at least one point; `name` makes the ids of its title and description."""
    ids = f"{name}-title", f"{name}-about"
    return element(
        "svg",
        element("title", "Profiles over time", id=ids[0]),
        element("desc", description, id=ids[1]),
        element("line", x1=0, y1=ZERO, x2=WIDTH, y2=ZERO, class_="axis"),
        *_marks(points, span),
        element("path", d=_line(points, span), class_="count"),
        element("path", d=_dot(points, span), class_="dot"),
        role="img",
        aria_labelledby=ids[0],
        aria_describedby=ids[1],
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        preserveAspectRatio="none",
    )


def _line(points: Sequence[Point], span: Span) -> str:
    """Steps from one export to the next; of each column the first, least, most and last count."""
    columns: dict[int, list[int]] = defaultdict(list)
    for point in points:
        columns[span.x(point.at)].append(point.profiles)
    y = _scale(points)
    drawn: list[str] = []
    for x, counts in sorted(columns.items()):
        shown = (counts[0], min(counts), max(counts), counts[-1])
        drawn += [f"H{x}", *(f"V{y(count)}" for count in shown)]
    height = f"V{y(points[0].profiles)}"
    first = f"M{span.x(points[0].at)} {height[1:]}"
    return first + "".join(_without_repeats(height, drawn))


def _without_repeats(height: str, drawn: Iterable[str]) -> Iterator[str]:
    """A height that the line has already needs no saying: most exports change nothing."""
    pending = ""
    for each in drawn:
        if each[0] == "H":
            pending = each
        elif each != height:
            yield pending + each
            height, pending = each, ""
    yield pending


def _scale(points: Sequence[Point]) -> Callable[[int], int]:
    least = min(point.profiles for point in points)
    most = max(point.profiles for point in points)
    if least == most:
        return lambda _count: (TOP + BOTTOM) // 2
    return lambda count: round(BOTTOM - (BOTTOM - TOP) * (count - least) / (most - least))


def _dot(points: Sequence[Point], span: Span) -> str:
    # A line of no length with round ends is a dot that is not stretched with the chart.
    return f"M{span.x(points[-1].at)} {_scale(points)(points[-1].profiles)}h0"


def _marks(points: Sequence[Point], span: Span) -> Iterator[Markup]:
    columns: dict[int, list[Point]] = defaultdict(list)
    for point in points:
        if point.added or point.removed:
            columns[span.x(point.at) // STEP * STEP].append(point)
    sums = {
        x: (sum(point.added for point in group), sum(point.removed for point in group))
        for x, group in sorted(columns.items())
    }
    most = max((max(both) for both in sums.values()), default=1)
    for x, (added, removed) in sums.items():
        if added:
            yield _mark(x, -_height(added, most), f"{added} added", "added")
        if removed:
            yield _mark(x, _height(removed, most), f"{removed} removed", "removed")


def _height(count: int, most: int) -> int:
    return max(3, round(REACH * count / most))


def _mark(x: int, height: int, title: str, kind: str) -> Markup:
    path = element("path", d=f"M{x} {ZERO}v{height}")
    return element("g", element("title", title), path, class_=kind)
