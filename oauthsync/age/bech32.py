"""Bech32 (BIP 173), the text form of age keys: a prefix, `1`, the data, six characters of checksum.

As the age specification asks, there is no limit on length. A text is all lower case or all upper
case; the checksum is that of the lower-case form. Every text has one meaning, and every prefix and
data has one text in each case. No error quotes the text: it may be a secret key.
"""

from collections.abc import Iterable

_ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_VALUES = {character: value for value, character in enumerate(_ALPHABET)}
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CHECKSUM_LENGTH = 6


class Bech32Error(ValueError):
    """The text is not Bech32; `str()` says why, and never quotes the text."""


def encode(prefix: str, data: bytes) -> str:
    """The text of `data` under `prefix`, in the case of `prefix`."""
    words, rest, bits = _regroup(data, 8, 5)
    if bits:
        words.append(rest << (5 - bits))
    lower = prefix.lower()
    text = lower + "1" + "".join(_ALPHABET[word] for word in [*words, *_checksum(lower, words)])
    return text if prefix == lower else text.upper()


def decode(text: str) -> tuple[str, bytes]:
    """The prefix, in the case of `text`, and the data. Raises Bech32Error."""
    # Before any change of case: U+212A, the Kelvin sign, is no K, and yet its lower case is "k".
    if not all("!" <= character <= "~" for character in text):
        raise Bech32Error("it has a character that is a space, or not ASCII")
    if text not in (text.lower(), text.upper()):
        raise Bech32Error("it mixes upper and lower case")
    prefix, separator, tail = text.rpartition("1")
    if not (prefix and separator) or len(tail) < _CHECKSUM_LENGTH:
        raise Bech32Error("it is too short, or cut off")
    words = _words(tail.lower())
    if _polymod([*_expand(prefix.lower()), *words]) != 1:
        raise Bech32Error("its checksum does not fit: a character is wrong, or missing")
    return prefix, _data(words[:-_CHECKSUM_LENGTH])


def _words(tail: str) -> list[int]:
    try:
        return [_VALUES[character] for character in tail]
    except KeyError:
        raise Bech32Error("it has a character that Bech32 does not use") from None


def _data(words: list[int]) -> bytes:
    data, rest, bits = _regroup(words, 5, 8)
    if bits >= 5 or rest:
        raise Bech32Error("its padding is not canonical")
    return bytes(data)


def _regroup(values: Iterable[int], width: int, new_width: int) -> tuple[list[int], int, int]:
    """The bits of `values` in groups of `new_width`; then the value and the count of those left."""
    groups = []
    rest = bits = 0
    for value in values:
        rest = rest << width | value
        bits += width
        while bits >= new_width:
            bits -= new_width
            groups.append(rest >> bits)
            rest &= (1 << bits) - 1
    return groups, rest, bits


def _checksum(prefix: str, words: list[int]) -> list[int]:
    polymod = _polymod([*_expand(prefix), *words, *[0] * _CHECKSUM_LENGTH]) ^ 1
    return [polymod >> shift & 31 for shift in (25, 20, 15, 10, 5, 0)]


def _expand(prefix: str) -> list[int]:
    codes = prefix.encode("ascii")
    return [*(code >> 5 for code in codes), 0, *(code & 31 for code in codes)]


def _polymod(words: Iterable[int]) -> int:
    remainder = 1
    for word in words:
        top = remainder >> 25
        remainder = (remainder & 0x1FFFFFF) << 5 ^ word
        for bit, term in enumerate(_GENERATOR):
            if top >> bit & 1:
                remainder ^= term
    return remainder
