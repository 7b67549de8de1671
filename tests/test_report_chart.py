"""The report's charts: small, and never outside their frame."""

import re

from hypothesis import given
from hypothesis import strategies as st

from oauthsync.report.chart import HEIGHT, WIDTH, Point, Span, draw
from tests.html_page import Page

exports = st.builds(
    Point,
    at=st.integers(0, 10**9).map(float),
    profiles=st.integers(0, 10**6),
    added=st.integers(0, 10**6),
    removed=st.integers(0, 10**6),
)


def drawn(points: list[Point], span: Span) -> Page:
    return Page(draw(points, span, "w", "about").html)


def counts(page: Page) -> list[str]:
    """What the line of the number of profiles is drawn with."""
    return [attrs["d"] or "" for attrs, _ in page.all("path") if attrs["class"] == "count"]


@given(st.lists(exports, min_size=1, max_size=50))
def test_everything_drawn_stays_on_the_chart(points: list[Point]) -> None:
    points.sort(key=lambda point: point.at)
    for attrs, _ in drawn(points, Span(points[0].at, points[-1].at)).all("path"):
        x = y = 0
        for kind, numbers in re.findall(r"([MHVhv])([-0-9 ]+)", attrs["d"] or ""):
            first, *rest = map(int, numbers.split())
            x = {"M": first, "H": first, "h": x + first}.get(kind, x)
            y = {"M": rest and rest[0], "V": first, "v": y + first}.get(kind, y) or 0
            assert 0 <= x <= WIDTH
            assert 0 <= y <= HEIGHT


def test_a_loss_and_its_repair_within_one_column_are_both_drawn() -> None:
    points = [Point(float(at), count, 0, 0) for at, count in enumerate([250, 3, 250])]
    [line] = counts(drawn(points, Span(0.0, 10_000.0)))
    before, lost, repaired = map(int, re.findall(r"M4 (\d+)H4V(\d+)V(\d+)", line)[0])
    assert before == repaired < lost


def test_ten_years_of_daily_exports_make_a_small_chart() -> None:
    points = [Point(float(day), 250 + day % 7, day % 3, day % 2) for day in range(3650)]
    assert len(draw(points, Span(0.0, 3650.0), "w", "").html) < 40_000


def test_a_year_without_changes_is_one_line() -> None:
    points = [Point(float(day), 250, 0, 0) for day in range(365)]
    page = drawn(points, Span(0.0, 365.0))
    assert len(page.all("path")) == 2
    assert re.fullmatch(r"M4 \d+H594", counts(page)[0])
