"""Columns line up in any script, and fit where there is a terminal."""

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from oauthsync.layout import GAP, MIN_WIDTH, cell, columns, shortened

CELL = st.text(max_size=30).map(cell)
ROWS = st.integers(1, 5).flatmap(
    lambda width: st.lists(st.lists(CELL, min_size=width, max_size=width), min_size=1, max_size=8)
)


def test_columns_start_below_each_other() -> None:
    rows = [("さくら", "a"), ("Acme Inc", "b"), ("👩‍💻", "c")]
    assert columns(rows, None) == ["さくら    a", "Acme Inc  b", "👩‍💻        c"]


def test_numbers_stand_at_the_right() -> None:
    assert columns([("id", "x"), ("7", "a"), ("12345", "b")], None, right=[0]) == [
        "   id  x",
        "    7  a",
        "12345  b",
    ]


def test_nothing_is_laid_out_as_nothing() -> None:
    assert columns([], 80) == []
    assert (cell(None), cell(0), cell("a\nb")) == ("", "0", "a\\nb")


def test_the_widest_column_gives_way_first() -> None:
    rows = [("short", "x" * 50, "y" * 30)]
    assert columns(rows, 60) == [f"short  {'x' * 24}…  {'y' * 25}…"]
    assert columns(rows, 10) == [f"short  {'x' * 11}…  {'y' * 11}…"]


@given(ROWS, st.integers(20, 120))
def test_rows_fit_unless_all_columns_are_at_their_minimum(rows: list[list[str]], room: int) -> None:
    least = len(rows[0]) * (MIN_WIDTH + len(GAP))
    for line in columns(rows, room):
        assert cell_len(line) <= max(room, least)


@given(ROWS)
def test_without_a_terminal_no_cell_is_shortened(rows: list[list[str]]) -> None:
    for line, row in zip(columns(rows, None), rows, strict=True):
        for text in row:
            assert text.rstrip() in line


@given(st.text(max_size=60).map(cell), st.integers(2, 40))
def test_shortened_text_fits_and_says_that_it_was_shortened(text: str, width: int) -> None:
    short = shortened(text, width)
    assert cell_len(short) <= width
    assert short == text or short.endswith("…")
