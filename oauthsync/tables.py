"""Strict reading of TOML files that people write: an unknown key or a wrong type is an error.

Every error names the file and the key, and none ever quotes a value: the value may be a secret
that was put in the wrong place.
"""

import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path

from oauthsync.errors import UsageError
from oauthsync.files import read_regular

MAX_FILE_SIZE = 2**20
"""Bytes of a file that a person writes; a larger one is not read."""

BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SECRET_WORDS = frozenset(
    {"bearer", "key", "passphrase", "passwd", "password", "pwd", "secret", "token"}
)
_TYPE_NAMES = {
    bool: "a boolean",
    date: "a date or time",
    datetime: "a date or time",
    dict: "a table",
    list: "an array",
    str: "a string",
    time: "a date or time",
    type(None): "null",
}
"""What values are called that are no numbers; `null` stands in a saved plan only."""


@dataclass(frozen=True)
class Table:
    """One table of a file; `keys` is the way to it, empty for the root."""

    file: Path
    keys: tuple[str, ...]
    values: Mapping[str, object]

    def place(self, *keys: str) -> str:
        """Where a key, or the table, stands, for messages: `workspaces.dev in oauthsync.toml`."""
        return f"{_dotted((*self.keys, *keys))} in {self.file}"

    def check_keys(self, known: Collection[str], *, secret_advice: str) -> None:
        """Raise UsageError for a key that is not known.

        The hint is the nearest known key, or, for a key that looks like a secret, the advice.
        """
        for key in self.values:
            if key not in known:
                looks_secret = re.split(r"[_-]", key.lower())[-1] in _SECRET_WORDS
                raise UsageError(
                    f"{self.place(key)} is not a key that oauthsync knows",
                    hint=secret_advice if looks_secret else suggestion(key, known),
                )

    def only_one(self, *keys: str) -> str | None:
        """Which one of the keys is there, if any. Raises UsageError where several are."""
        there = [key for key in keys if key in self.values]
        if len(there) > 1:
            raise UsageError(
                f"{self.place()} has both {' and '.join(there)}", hint="keep one of them"
            )
        return there[0] if there else None

    def text(self, key: str) -> str | None:
        """A string that is neither empty nor holds control characters; None where it is absent."""
        value = self.values.get(key)
        if value is None:
            return None
        return self._checked_text(self.place(key), value)

    def texts(self, key: str) -> tuple[str, ...]:
        """An array of such strings; empty where it is absent."""
        value = self.values.get(key, [])
        if not isinstance(value, list):
            raise _wrong_type(self.place(key), "an array of strings", value)
        return tuple(self._checked_text(f"an item of {self.place(key)}", item) for item in value)

    def _checked_text(self, place: str, value: object) -> str:
        if not isinstance(value, str):
            raise _wrong_type(place, "a string", value)
        if not value or _CONTROL.search(value):
            why = "holds a control character" if value else "is empty"
            raise UsageError(f"{place} {why}", hint="write its value in one line of quotes")
        return value

    def number(self, key: str, default: float, *, limit: float) -> float:
        """A number above 0 and at most `limit`; `default` where it is absent."""
        value = self.values.get(key, default)
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise _wrong_type(self.place(key), "a number", value)
        if not 0 < value <= limit:  # what is not a number (nan) is not in the range either
            raise UsageError(
                f"{self.place(key)} is out of range",
                hint=f"write a number above 0, of at most {limit:g}",
            )
        return value

    def whole_number(self, key: str, default: int, *, limit: int) -> int:
        """A whole number from 1 to `limit`; `default` where it is absent."""
        value = self.number(key, default, limit=limit)
        if not isinstance(value, int):
            raise UsageError(f"{self.place(key)} is not whole", hint="write it without a fraction")
        return value

    def table(self, key: str) -> "Table":
        """A table inside this one; an empty one where it is absent."""
        value = self.values.get(key, {})
        if not isinstance(value, dict):
            raise _wrong_type(self.place(key), "a table", value)
        return Table(self.file, (*self.keys, key), value)


def read_toml(path: Path) -> Table | None:
    """The root table of a TOML file, or None where there is no such file.

    Raises UsageError for a file that cannot be read, is larger than 1 MiB or not TOML.
    """
    try:
        content = read_regular(path, limit=MAX_FILE_SIZE)
    except FileNotFoundError:
        if path.is_symlink():
            raise UsageError(
                f"{path} is a symbolic link to nothing", hint="correct the link, or remove it"
            ) from None
        return None
    except OSError as error:
        raise UsageError(
            f"cannot read {path}: {error.strerror}", hint="check what it is and its permissions"
        ) from error
    return Table(path, (), parse_toml(path, content))


def parse_toml(path: Path, content: bytes) -> dict[str, object]:
    """The root table of a TOML file; UsageError, which shows nothing of it, where it is none."""
    try:
        return tomllib.loads(content.decode("utf-8-sig"))  # some editors mark a file so
    except UnicodeDecodeError:
        why = "not UTF-8"
    except tomllib.TOMLDecodeError as error:
        # The text alone (what, line, column): newer Pythons keep the whole document in the error.
        why = str(error)
    except (ValueError, RecursionError):  # an integer of thousands of digits, nesting without end
        why = "a value beyond all bounds"
    # Not `from` the parser's error: it may hold the whole text, and that a misplaced secret.
    raise UsageError(f"{path} is not valid TOML: {why}", hint="correct it at that place")


def suggestion(word: str, known: Collection[str]) -> str:
    """A hint: the known word that is nearest, or all of them where none is near."""
    import difflib

    folded = {each.casefold(): each for each in known}
    if near := difflib.get_close_matches(word.casefold(), folded, n=1):
        return f"did you mean {folded[near[0]]}?"
    return f"known are: {', '.join(known)}" if known else "none is known"


def _dotted(keys: tuple[str, ...]) -> str:
    return ".".join(key if BARE_KEY.fullmatch(key) else repr(key) for key in keys)


def _wrong_type(place: str, wanted: str, value: object) -> UsageError:
    found = _TYPE_NAMES.get(type(value), "a number")
    return UsageError(f"{place} is {found}", hint=f"write {wanted} there")
