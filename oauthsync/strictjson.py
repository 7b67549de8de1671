"""JSON whose values survive: the one parser and the one canonical writer of the project.

The standard parser turns `1e400` into infinity, rounds long fractions, drops the sign of `-0`, lets
the last of two equal keys win, and accepts `NaN`. Here a number with a fraction or an exponent
stays the text that it was, integers keep every digit, and whatever would lose or hide something is
refused.

Canonical means: keys sorted by code point, no white space, UTF-8, no escapes but the needed ones.
Two values are the same where their canonical texts are; to Python `True == 1`.
"""

import json
import re
from typing import Any, NoReturn, TypeAlias

from oauthsync.text import is_unicode

MAX_DEPTH = 100
"""Objects and lists within each other. The interpreter's own limit moves with its call stack: what
was parsed here could fail to be written, or to be parsed again, elsewhere."""

_TOO_DEEP = f"nested more than {MAX_DEPTH} deep"
_MINUS_ZERO = re.compile(rb"-0(?![0-9.eE])")
_LONE_SURROGATE = "a lone surrogate"
_MARK = "\ud800"  # in no text that was parsed
_MARKED = re.compile(f'"{_MARK}([-+.0-9eE]+)"')
_ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


class Fraction:
    """A JSON number with a fraction or an exponent, or `-0`: as it was written."""

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
    """The value of a JSON document, in UTF-8 where it is bytes.

    Raises ValueError, which says what is wrong and never quotes the document: broken syntax,
    bytes that are not UTF-8, a key that stands twice in one object, `NaN` or `Infinity`, an integer
    of more digits than Python converts (4,300), a lone surrogate, or nesting deeper than 100.
    """
    problem = ""
    try:
        raw = text if isinstance(text, bytes) else text.encode("utf-8")
        decoder = _WITH_MINUS_ZERO if _MINUS_ZERO.search(raw) else _DECODER
        value: Json = decoder.decode(raw.decode("utf-8"))
    except UnicodeDecodeError:
        problem = "not UTF-8"
    except UnicodeEncodeError:
        problem = _LONE_SURROGATE
    except json.JSONDecodeError as error:
        problem = f"{error.msg} (line {error.lineno}, column {error.colno})"
    except RecursionError:
        problem = _TOO_DEEP
    if problem:
        # Not raised from those errors: they hold the document, and with it perhaps a secret.
        raise ValueError(problem)
    # Few openings cannot be many levels; bytes are searched much faster than text.
    if raw.count(b"[") + raw.count(b"{") > MAX_DEPTH:
        _refuse_depth(value)
    # An escaped surrogate is one half of a character or alone: only the parsed text shows which.
    if _ESCAPED_SURROGATE.search(raw):
        _refuse_lone_surrogate(value)
    return value


def canonical(value: Json) -> str:
    """The canonical text of a value; ValueError where it is nested too deeply."""
    return _write(value, _CANONICAL)


def write(value: Json) -> str:
    """One line of JSON with the keys in the order given; ValueError as `canonical`."""
    return _write(value, _COMPACT)


def encode(value: Json) -> bytes:
    """What `write` gives, in UTF-8; ValueError also for a lone surrogate."""
    text = write(value)
    # Before it is tried: the standard library's error would hold the text.
    _refuse_lone_surrogate(value)
    return text.encode("utf-8")


def _write(value: Json, encoder: json.JSONEncoder) -> str:
    try:
        text = encoder.encode(value)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    return _MARKED.sub(r"\1", text) if _MARK in text else text


def _marked(value: object) -> str:
    """The standard writer has no place for a number's own text: it gets a string to be unquoted."""
    if isinstance(value, Fraction):
        return _MARK + value.text
    raise TypeError(f"{type(value).__name__} is not JSON")


def _refuse_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        # Exact types are the fastest to tell, and all that the parser makes.
        level = [
            item
            for each in level
            for item in (each.values() if type(each) is dict else each)
            if type(item) is dict or type(item) is list
        ]
        if not level:
            return
    raise ValueError(_TOO_DEEP)


def _refuse_lone_surrogate(value: Json) -> None:
    if not is_unicode(_UNMARKED.encode(value)):
        raise ValueError(_LONE_SURROGATE)


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _integer(text: str) -> int | Fraction:
    return Fraction(text) if text == "-0" else int(text)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_float=Fraction, parse_constant=_refuse_constant
)
# `-0` is rare, and a hook for every integer takes a fifth of the time.
_WITH_MINUS_ZERO = json.JSONDecoder(
    object_pairs_hook=_unique,
    parse_float=Fraction,
    parse_int=_integer,
    parse_constant=_refuse_constant,
)
_UNMARKED = json.JSONEncoder(ensure_ascii=False, check_circular=False, default=str)
_COMPACT = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, separators=(",", ":"), default=_marked
)
_CANONICAL = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, separators=(",", ":"), default=_marked, sort_keys=True
)
