"""Text from outside is shown so that nothing of it moves the cursor or hides."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauthsync.text import count_of, inline, is_unicode, json_line, listed, visible

ANY = st.text(st.characters(categories=None) | st.sampled_from("\x1b\x9b\u202e\u2066\u200b\n\x7f"))


@pytest.mark.parametrize(
    "name",
    [
        "Acme HubSpot",
        "株式会社　さくら",
        "شركة النور",
        "می‌خواهم",
        "नमस्ते",
        "👩‍💻 🚀",
        "e\u0301",
        "a\u00a0b",
        'O\'Brien "Sons" \\n',
    ],
)
def test_names_in_any_script_are_shown_as_they_are(name: str) -> None:
    assert inline(name) == visible(name) == name


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J", "\\x1b[2J"),
        ("a\r\nb\tc\0", "a\\r\\nb\\tc\\x00"),
        ("\x9b31m\x7f", "\\x9b31m\\x7f"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\u2066a\u2069\u200e\u200f\u061c", "\\u2066a\\u2069\\u200e\\u200f\\u061c"),
        ("a\u200b\ufeff\u2060\u00ad", "a\\u200b\\ufeff\\u2060\\xad"),
        ("\U000e0041\ue000\U0010ffff", "\\U000e0041\\ue000\\U0010ffff"),
        ("\ud800", "\\ud800"),
        ("\u2028\u2029", "\\u2028\\u2029"),
    ],
)
def test_what_cannot_be_seen_is_shown_escaped(text: str, shown: str) -> None:
    assert inline(text) == shown


def test_only_visible_keeps_line_breaks() -> None:
    assert visible("a\nb\x1b\n") == "a\nb\\x1b\n"
    assert inline("a\nb") == "a\\nb"


@given(ANY)
def test_nothing_unseen_is_left_and_nothing_is_escaped_twice(text: str) -> None:
    shown = inline(text)
    for character in shown:
        kept = character in "\u200c\u200d" or unicodedata.category(character) == "Zs"
        assert character.isprintable() or kept
    assert inline(shown) == shown
    shown.encode()


@given(st.recursive(st.integers() | ANY, lambda inner: st.dictionaries(ANY, inner, max_size=3)))
def test_a_line_of_json_stays_the_same_document(value: object) -> None:
    line = json_line(json.dumps(value, ensure_ascii=False))
    assert json.loads(line) == value
    assert inline(line) == line
    line.encode()


def test_counts_agree_with_their_nouns() -> None:
    assert [count_of(number, "profile") for number in (0, 1, 2)] == [
        "0 profiles",
        "1 profile",
        "2 profiles",
    ]


def test_items_beyond_the_limit_are_counted() -> None:
    assert listed(["a", "b", "c"], 3) == "a, b, c"
    assert listed([1, 2, 3, 4, 5], 3) == "1, 2, 3 and 2 more"


@pytest.mark.parametrize(
    ("text", "is_text"), [("", True), ("é名👩\0", True), ("\ud800", False), ("a\udcff", False)]
)
def test_a_lone_surrogate_is_no_unicode(text: str, is_text: bool) -> None:
    assert is_unicode(text) == is_text
