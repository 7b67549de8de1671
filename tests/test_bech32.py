"""Bech32: every text has one meaning, and every wrong one a reason that does not quote it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauthsync.age import bech32

ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
PREFIXES = st.sampled_from(["age", "age1pq", "AGE-SECRET-KEY-", "a", "?1?"])

# BIP 173 has these among its valid and its invalid strings; the data is checked where it is bytes.
VALID = [
    ("A12UEL5L", "A", b""),
    ("a12uel5l", "a", b""),
    (
        "abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw",
        "abcdef",
        bytes.fromhex("00443214c74254b635cf84653a56d7c675be77df"),
    ),
    ("?1ezyfcl", "?", b""),
]
INVALID = {
    "\x201nwldj5": "not ASCII",
    "\x7f1axkwrx": "not ASCII",
    "\x801eym55h": "not ASCII",
    "pzry9x0s0muk": "too short",
    "1pzry9x0s0muk": "too short",
    "10a06t8": "too short",
    "1qzzfhee": "too short",
    "li1dgmt3": "too short",
    "": "too short",
    "1": "too short",
    "x1b4n0q5v": "does not use",
    "de1lg7wt\xff": "not ASCII",
    "A1G7SGD8": "checksum",
    "A12uEL5L": "mixes",
    "a12UEL5L": "mixes",
}


def text_of(prefix: str, words: list[int]) -> str:
    """A text with a right checksum, whatever its padding."""
    tail = [*words, *bech32._checksum(prefix, words)]
    return prefix + "1" + "".join(ALPHABET[word] for word in tail)


@pytest.mark.parametrize(("text", "prefix", "data"), VALID)
def test_the_examples_of_bip_173_decode_and_encode(text: str, prefix: str, data: bytes) -> None:
    assert bech32.decode(text) == (prefix, data)
    assert bech32.encode(prefix, data) == text


@pytest.mark.parametrize(("text", "reason"), INVALID.items())
def test_an_invalid_text_is_refused_with_its_reason(text: str, reason: str) -> None:
    with pytest.raises(bech32.Bech32Error, match=reason):
        bech32.decode(text)


@given(PREFIXES, st.binary(max_size=100))
def test_what_is_encoded_decodes(prefix: str, data: bytes) -> None:
    text = bech32.encode(prefix, data)
    assert bech32.decode(text) == (prefix, data)
    assert bech32.decode(text.swapcase()) == (prefix.swapcase(), data)


@given(PREFIXES, st.binary(max_size=40), st.data())
def test_any_other_character_is_noticed(prefix: str, data: bytes, draw: st.DataObject) -> None:
    text = bech32.encode(prefix, data)
    at = draw.draw(st.integers(0, len(text) - 1))
    other = draw.draw(st.characters().filter(lambda other: other.lower() != text[at].lower()))
    with pytest.raises(bech32.Bech32Error):
        bech32.decode(text[:at] + other + text[at + 1 :])


@given(PREFIXES, st.lists(st.integers(0, 31), max_size=60))
def test_whatever_decodes_is_what_would_be_encoded(prefix: str, words: list[int]) -> None:
    text = text_of(prefix.lower(), words)
    spare = len(words) * 5 % 8
    canonical = not words or (spare < 5 and words[-1] % (1 << spare) == 0)
    if canonical:
        assert bech32.encode(*bech32.decode(text)) == text
    else:
        with pytest.raises(bech32.Bech32Error, match="padding"):
            bech32.decode(text)


@pytest.mark.parametrize(
    "words",
    [
        pytest.param([0], id="five bits that make no byte"),
        pytest.param([0, 1], id="spare bits that are not zero"),
        pytest.param([0, 0, 0], id="a whole word of padding"),
    ],
)
def test_padding_that_is_not_canonical_is_refused(words: list[int]) -> None:
    with pytest.raises(bech32.Bech32Error, match="padding"):
        bech32.decode(text_of("age", words))


def test_the_same_words_with_canonical_padding_decode() -> None:
    assert bech32.decode(text_of("age", [0, 4])) == ("age", b"\x01")


@pytest.mark.parametrize("lookalike", ["\u212a", "\uff2b", "\u017f", "\u0131", "\u0000"])
def test_a_character_that_only_folds_to_ascii_is_refused(lookalike: str) -> None:
    """U+212A, the Kelvin sign, turns into `k` in lower case."""
    text = bech32.encode("AGE-SECRET-KEY-", bytes(range(32)))
    for at, character in enumerate(text):
        if character in "KSI":
            with pytest.raises(bech32.Bech32Error, match="ASCII"):
                bech32.decode(text[:at] + lookalike + text[at + 1 :])
    assert "K" in text
    assert "\u212a".lower() == "k"


@given(st.text(alphabet="KQ7", min_size=10, max_size=40))
def test_no_error_quotes_the_text(secret: str) -> None:
    with pytest.raises(bech32.Bech32Error) as caught:
        bech32.decode("AGE-SECRET-KEY-1" + secret + "!")
    assert secret not in str(caught.value)
    assert caught.value.__cause__ is None
