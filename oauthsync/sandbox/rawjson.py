"""JSON whose numbers stay as they were written: `1.0`, `1e400` and a 30-digit integer alike.

What is parsed here and encoded again differs from the original in white space and in the escapes
of strings, never in a number. Python's own `json` would turn `1e400` into `inf`.
"""

import json
from dataclasses import dataclass
from typing import NoReturn


@dataclass(frozen=True, slots=True)
class Number:
    """A JSON number, as its text."""

    text: str


def parse(raw: bytes) -> object:
    """The value of a JSON text, with `Number` for its numbers.

    Raises ValueError for what is not JSON (`NaN` included) and RecursionError for a text that is
    nested too deeply.
    """
    return json.loads(raw, parse_int=Number, parse_float=Number, parse_constant=_refuse)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def encode(value: object) -> bytes:
    """A value from `parse`, or of plain Python types, as compact UTF-8 JSON."""
    # A lone surrogate has no UTF-8; `backslashreplace` happens to write exactly JSON's escape.
    return _encode(value).encode("utf-8", "backslashreplace")


def _encode(value: object) -> str:
    if isinstance(value, Number):
        return value.text
    if isinstance(value, dict):
        members = [f"{_encode(str(key))}:{_encode(member)}" for key, member in value.items()]
        return f"{{{','.join(members)}}}"
    if isinstance(value, list | tuple):
        return f"[{','.join([_encode(item) for item in value])}]"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
