"""JSON whose values survive: the one parser and the one canonical writer of the project.

The standard parser turns `1e400` into infinity, rounds long fractions, lets the last of two equal
keys win, and accepts `NaN`. Here a number with a fraction or an exponent stays the text that it
was, integers keep every digit, and whatever would lose or hide something is refused.

Canonical means: keys sorted by code point, no white space, UTF-8, no escapes but the needed ones.
"""

import json
from collections.abc import Iterable
from typing import NoReturn, TypeAlias

MAX_INTEGER_DIGITS = 4000
"""Longer integers are refused: Python itself converts at most 4,300 digits."""


class Fraction:
    """A JSON number with a fraction or an exponent, as it was written."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Fraction) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)


Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | bool | Fraction | None"


def parse(text: bytes | str) -> Json:
    """The value of a JSON document in UTF-8.

    Raises ValueError, which says what is wrong and never quotes the document: broken syntax,
    bytes that are not UTF-8, a key that stands twice in one object, `NaN` or `Infinity`, an integer
    of more than 4,000 digits, a lone surrogate, or nesting deeper than the parser goes.
    """
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        value: Json = _DECODER.decode(text)
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} (line {error.lineno}, column {error.colno})") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    # Only an escape can bring a lone surrogate in: the text itself was UTF-8.
    if "\\u" in text:
        _refuse_lone_surrogates(value)
    return value


def canonical(value: Json) -> str:
    """The canonical text of a value; ValueError where it is nested too deeply."""
    return _write(value, sort_keys=True)


def write(value: Json) -> str:
    """One line of JSON with the keys in the order given."""
    return _write(value, sort_keys=False)


def _write(value: Json, *, sort_keys: bool) -> str:
    try:
        return (_CANONICAL if sort_keys else _COMPACT).encode(value)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except TypeError:
        # The standard writer has no place for a number's own text; fractions are rare.
        return _write_slowly(value, sort_keys=sort_keys)


def _write_slowly(value: Json, *, sort_keys: bool) -> str:
    match value:
        case Fraction():
            return value.text
        case dict():
            items: Iterable[tuple[str, Json]] = value.items()
            if sort_keys:
                items = sorted(items, key=lambda item: item[0])
            return (
                "{"
                + ",".join(
                    f"{_COMPACT.encode(key)}:{_write_slowly(item, sort_keys=sort_keys)}"
                    for key, item in items
                )
                + "}"
            )
        case list():
            return "[" + ",".join(_write_slowly(item, sort_keys=sort_keys) for item in value) + "]"
        case _:
            return _COMPACT.encode(value)


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _integer(text: str) -> int:
    if len(text) > MAX_INTEGER_DIGITS:
        raise ValueError(f"an integer of more than {MAX_INTEGER_DIGITS} digits")
    return int(text)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _refuse_lone_surrogates(value: Json) -> None:
    try:
        canonical(value).encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("a lone surrogate") from None


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique,
    parse_float=Fraction,
    parse_int=_integer,
    parse_constant=_refuse_constant,
)
_COMPACT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False)
_CANONICAL = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), check_circular=False, sort_keys=True
)
