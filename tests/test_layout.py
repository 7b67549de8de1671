"""Columns line up in any script, and fit where there is a terminal."""

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from oauthsync.layout import MIN_WIDTH, cell, columns, shortened, without_room, wrapped

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
    assert columns(rows, 33) == [f"short  {'x' * 11}…  {'y' * 11}…"]
    assert columns(rows, 18) == ["sho…  xxxx…  yyyy…"]


def test_columns_that_come_first_give_way_to_the_others() -> None:
    rows = [("x" * 20, "y" * 20, "z" * 20)]
    assert columns(rows, 60, first=[[1], [2]]) == [f"{'x' * 20}  {'y' * 15}…  {'z' * 20}"]
    assert columns(rows, 50, first=[[1], [2]]) == [f"{'x' * 20}  {'y' * 11}…  {'z' * 13}…"]
    assert columns(rows, 40, first=[[1], [2]]) == [f"{'x' * 11}…  {'y' * 11}…  {'z' * 11}…"]


def test_spare_columns_get_what_room_there_is_in_their_order() -> None:
    rows = [("id", "x" * 30, "long" * 5, "short")]

    def left_out(room: int) -> set[int]:
        return without_room(rows, room, spare=[2, 3], free=[1])

    assert left_out(2 + 2 + MIN_WIDTH + 2 + 20 + 2 + 5) == set()
    assert left_out(2 + 2 + MIN_WIDTH + 2 + 20 + 2 + 4) == {3}
    assert left_out(2 + 2 + MIN_WIDTH + 2 + 19) == {2}
    assert left_out(10) == {2, 3}


@given(ROWS, st.integers(20, 120))
def test_no_row_is_wrapped(rows: list[list[str]], room: int) -> None:
    for line in columns(rows, room):
        assert cell_len(line) <= room


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


def test_prose_is_wrapped_at_spaces_and_never_within_a_command() -> None:
    command = "`oauthsync secrets set --provider p`"
    text = f"said of it: use {command} and 株式会社 さくら\n  a list's line stays as it is"
    assert wrapped(text, 20, used=7, indent=1).split("\n") == [
        "said of it:",
        " use",
        f" {command}",
        " and 株式会社 さくら",
        "  a list's line stays as it is",
    ]
    assert wrapped("two  spaces `and one", 80) == "two  spaces `and one"
