"""Client secrets in bulk, from CSV with a header or JSON: every row is good, or none is taken.

Rows have `provider`, `client_id`, `client_secret` and, where there is one, `token`; an empty token
is none. A column `profiles` tells a person what a row is for, and nothing of it is taken. The text
is JSON where it starts with a bracket (a list of objects) or brace (what a sidecar seals, as
`age -d` prints it), else CSV. What spreadsheets make of a CSV is read, too: a byte order mark,
columns separated by semicolons or tabs, and names of columns in any case, with spaces or dashes.

- A spreadsheet rounds a client id that looks like a number, and computes one that looks like a
  formula. So in a CSV, a provider or client id that does not start with a letter may stand behind
  an apostrophe, which is not part of it; `template` writes it there. A secret is taken as it is.
- An error names the file, the row (CSV: the line it starts on, counted from 1; JSON: the index,
  counted from 0) and the column. It never shows a value, and what may be a value by mistake, such
  as the first line of a file without a header, counts as one.
- White space or an invisible character at an end of a value is refused: it came along with a copied
  value far more often than it belongs to it, and would make a secret wrong or unfindable. The rare
  value that has one can be filed by `oauthsync secrets set`.
- So is what a spreadsheet or a form leaves in place of a value: 1.23E+15, #NAME?, a mask, <secret>.
- Two rows for one app are refused, unless they are the same.
- What a sidecar seals was looked at when it was filed there, and is taken as it is.
"""

import csv
import difflib
import io
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from oauthsync import strictjson
from oauthsync.entries import Entry, entry_from_json, parse_document
from oauthsync.errors import SidecarError, UsageError
from oauthsync.strictjson import Json
from oauthsync.text import count_of, inline, listed

MAX_SIZE = 16 << 20
"""Bytes of a file."""

MAX_PROBLEMS = 5
"""How many kinds of problems a message tells of."""

REQUIRED = ("provider", "client_id", "client_secret")
COLUMNS = (*REQUIRED, "token")
NOTE = "profiles"
"""A column that `template` writes, and nobody reads but people."""

_KNOWN = (*COLUMNS, NOTE)

TEXT_MARK = "'"
"""At the start of a provider or client id of a CSV: text follows, whatever it looks like."""

_MEANS_TEXT = re.compile("[A-Za-z]")
"""How a value begins that no spreadsheet takes for a number or a formula."""

_STAND_IN = re.compile(
    r"-?[0-9]+(?:[.,][0-9]+)?[Ee][+-][0-9]+"  # a long number, rounded
    r"|#[A-Z0/]+[!?]?|Err:[0-9]+"  # what took itself for a formula
    r"|([\W\d_])\1{3,}|x{4,}|X{4,}"  # a mask
    r"|<[^<>]+>"  # a field to fill in
)
"""What a spreadsheet or a form leaves in place of a value."""

_SEPARATORS = ",;\t"
_HEADER_HINT = f"the columns are {','.join(COLUMNS)} in any order, of which token may be left out"

_QUOTES_HINT = "a value that holds the separator, a quote or a line break stands in double quotes"


class _RowError(Exception):
    """What is wrong with a row, told without a value; `where` is the row."""

    def __init__(self, where: str, problem: str, *, hint: str | None = None) -> None:
        super().__init__(f"{where}: {problem}")
        self.where, self.problem, self.hint = where, problem, hint


_Row: TypeAlias = dict[str, Json] | _RowError
"""A row by its columns, or why it cannot be read."""

_Bad: TypeAlias = dict[tuple[str, str | None], list[str]]
"""Problems, with their hints, and the rows that have them."""


def parse_rows(text: bytes, *, name: str, now: str) -> dict[str, Entry]:
    """The entries of a CSV or JSON file by their rows (`line 2`, `row [0]`, `secrets[0]`).

    They are filed at `now` (`2026-11-23T10:00:00Z`); `name` is what messages call the file. Raises
    UsageError, which tells of the first bad rows, and shows no value.
    """
    if len(text) > MAX_SIZE:
        raise UsageError(
            f"{name} is larger than {MAX_SIZE >> 20} MiB", hint="load it in several parts"
        )
    content = _decode(text, name)
    if not content.strip():
        raise UsageError(f"{name} is empty", hint=_HEADER_HINT)
    try:
        found, bad = _entries(content, now)
    except _RowError as error:
        found, bad = {}, {(error.problem, error.hint): [error.where]}
    if bad:
        raise _refusal(name, bad)
    return found


def _refusal(name: str, bad: _Bad) -> UsageError:
    problems = [f"{listed(wheres, 10)}: {problem}" for (problem, _), wheres in bad.items()]
    if len(problems) == 1:
        [(_, hint)] = bad
        hint = hint or "nothing is stored: put it right, and load the file again"
        return UsageError(f"{name}, {problems[0]}", hint=hint)
    counts = [len(wheres) for wheres in bad.values()]
    if more := sum(counts[MAX_PROBLEMS:]):
        problems[MAX_PROBLEMS:] = [f"and {more} more"]
    return UsageError(
        "\n  ".join([f"{name} has {sum(counts)} bad rows:", *problems]),
        hint="nothing is stored: put them right, and load the file again",
    )


def _decode(text: bytes, name: str) -> str:
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = error.start + 1
    # Out here, that error is not the context of this one: it holds the whole text.
    raise UsageError(
        f"{name} is not UTF-8, first at byte {place}",
        hint='save it as UTF-8 (in a spreadsheet: "CSV UTF-8")',
    )


def _entries(content: str, now: str) -> tuple[dict[str, Entry], _Bad]:
    """The entries by their rows, and what is wrong with the others."""
    found: dict[tuple[str, str], tuple[str, Entry]] = {}
    bad: _Bad = {}
    start = content.lstrip()[:1]
    if start == "{":
        return _sealed(content, now), {}
    for where, row in _json_rows(content) if start == "[" else _csv_rows(content):
        try:
            entry = _entry(where, row, now)
            first, earlier = found.setdefault(entry.app, (where, entry))
            if earlier != entry:
                raise _RowError(
                    where,
                    f"is for the same provider and client_id as {first}, with another secret or"
                    " token",
                    hint="keep the one that is right",
                )
        except _RowError as error:
            bad.setdefault((error.problem, error.hint), []).append(error.where)
    return dict(found.values()), bad


def _entry(where: str, row: _Row, now: str) -> Entry:
    if isinstance(row, _RowError):
        raise row
    if row["client_secret"] == "":
        raise _RowError(
            where,
            "client_secret is empty",
            hint="nothing is stored: fill it in, or remove the rows that have none",
        )
    row = {column: value for column, value in row.items() if column != NOTE}
    for column, value in row.items():
        if isinstance(value, str) and (problem := problem_of(value)):
            raise _RowError(
                where,
                f"{column} {problem}",
                hint="put the value itself there; one that is meant so is filed by"
                " `oauthsync secrets set`",
            )
    token = None if row.get("token") == "" else row.get("token")
    try:
        return entry_from_json({**row, "token": token, "updated_at": now})
    except UsageError as error:
        raise _RowError(where, str(error)) from error


def problem_of(value: str) -> str | None:
    """Why a value is hardly what is meant, told without it; None where it may be."""
    if any(end.isspace() or not end.isprintable() for end in (value[:1], value[-1:]) if end):
        return "has white space or an invisible character at its start or end"
    if _STAND_IN.fullmatch(value):
        return "is what a spreadsheet or a form leaves in its place (1.23E+15, #NAME?, ****, <…>)"
    return None


def doubts(entry: Entry) -> list[str]:
    """What is hardly meant so in an entry's secret and token, told without them."""
    found = []
    for name, secret in (("client_secret", entry.client_secret), ("token", entry.token)):
        value = secret.reveal() if secret else ""
        broken = "has a line break in it" if len(value.splitlines()) > 1 else None
        if problem := problem_of(value) or broken:
            found.append(f"{name} {problem}")
    return found


def _sealed(content: str, now: str) -> dict[str, Entry]:
    """The entries of a sidecar's own document, filed now."""
    try:
        entries = parse_document(content.encode("utf-8")).entries
    except SidecarError as error:
        problem = f"it is neither a list of objects nor what a sidecar seals: {error}"
        raise _RowError("as JSON", problem, hint=error.hint) from error
    return {f"secrets[{at}]": replace(each, updated_at=now) for at, each in enumerate(entries)}


def _json_rows(content: str) -> Iterator[tuple[str, _Row]]:
    try:
        rows = strictjson.parse(content)
    except ValueError as error:
        raise _RowError("as JSON", str(error)) from error
    assert isinstance(rows, list), "it starts with a bracket"
    for index, row in enumerate(rows):
        where = f"row [{index}]"
        try:
            yield where, _json_row(where, row)
        except _RowError as error:
            yield where, error


def _json_row(where: str, row: Json) -> dict[str, Json]:
    if not isinstance(row, dict):
        raise _RowError(where, "it is not an object")
    return dict(zip(_columns(where, list(row)), row.values(), strict=True))


def _csv_rows(content: str) -> Iterator[tuple[str, _Row]]:
    lines = _csv_lines(content)
    header = _columns(*next(lines))
    for where, cells in lines:
        if len(cells) != len(header):
            problem = f"it has {count_of(len(cells), 'cell')}, and the header has {len(header)}"
            yield where, _RowError(where, problem, hint=_QUOTES_HINT)
            continue
        row: dict[str, Json] = dict(zip(header, cells, strict=True))
        for column in ("provider", "client_id"):
            row[column] = _unmarked(str(row[column]))
        yield where, row


def _csv_lines(content: str) -> Iterator[tuple[str, list[str]]]:
    """The rows that are not blank, each with the line it starts on."""
    # Line ends stay as they are: within quotes they belong to the value.
    header = re.split("[\r\n]", content.lstrip(), maxsplit=1)[0]
    separator = next((each for each in _SEPARATORS if each in header), ",")
    reader = csv.reader(io.StringIO(content, newline=""), delimiter=separator, strict=True)
    while True:
        where = f"line {reader.line_num + 1}"
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise _RowError(where, f"it is not CSV: {error}") from error
        if cells:
            yield where, cells


def _columns(where: str, names: Sequence[str]) -> list[str]:
    """The columns that these names mean. Raises _RowError."""
    found = [_plain(name) for name in names]
    if not set(found) & set(COLUMNS):
        raise _RowError(where, "it names none of the columns", hint=_HEADER_HINT)
    for position, name in enumerate(found, start=1):
        if name not in _KNOWN:
            problem, hint = _unknown(position, names[position - 1])
            raise _RowError(where, problem, hint=hint)
        if name in found[: position - 1]:
            raise _RowError(where, f"column {name} stands there twice", hint=_HEADER_HINT)
    for name in REQUIRED:
        if name not in found:
            raise _RowError(where, f"column {name} is missing", hint=_HEADER_HINT)
    return found


def _plain(name: str) -> str:
    return re.sub("[ -]", "_", name.strip().lower())


def _unknown(position: int, name: str) -> tuple[str, str]:
    if not re.fullmatch(r"[A-Za-z _-]{1,40}", name):  # it may be a value in the wrong place
        return f"column {position} is unknown", _HEADER_HINT
    near = difflib.get_close_matches(_plain(name), _KNOWN, n=1)
    hint = f"did you mean {near[0]!r}?" if near else _HEADER_HINT
    return f"column {position} ({name!r}) is unknown", hint


def template(apps: Mapping[tuple[str, str], Sequence[str]]) -> str:
    """A CSV of apps (provider, client id) whose secrets are to be filled in, to be loaded then.

    Each app comes with the names of the profiles that use it, and has to be one that `fits`.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    empty = [""] * (len(COLUMNS) - 2)
    writer.writerow([*COLUMNS, NOTE])
    writer.writerows(
        [*map(_marked, app), *empty, _marked(inline(listed(names, 3)))]
        for app, names in apps.items()
    )
    return text.getvalue().removesuffix("\n")


def is_for_secrets(head: bytes) -> bool:
    """Whether a file that begins so has a column, or as JSON a key, for client secrets."""
    text = head.decode("utf-8-sig", errors="replace").lstrip()
    if text[:1] in ("[", "{"):
        return re.search(r'"client[ _-]secret"\s*:', text, re.IGNORECASE) is not None
    header = re.split("[\r\n]", text, maxsplit=1)[0]
    cells = re.split(f"[{_SEPARATORS}]", header)
    return "client_secret" in [_plain(cell.strip('" ')) for cell in cells]


def unused(rows: Mapping[str, Entry], used: Collection[tuple[str, str | None]]) -> Sequence[str]:
    """A line for each row whose app is none of `used`, with what may be meant.

    It shows nothing of the row: in a wrong column, a secret may stand anywhere.
    """
    near = {_folded(app): app for app in used}
    ids = {client_id for _, client_id in near}
    lines = []
    for where, entry in rows.items():
        if entry.app in used:
            continue
        meant = ""
        if other := near.get(_folded(entry.app)):
            meant = f": profiles have {other[0]} {other[1]}"
        elif _unmarked(entry.client_secret.reveal()).casefold() in ids:
            meant = ": its client_secret is a profile's client id; are the two swapped?"
        lines.append(inline(where + meant))
    return lines


def _folded(app: tuple[str, str | None]) -> tuple[str, str]:
    return (app[0].casefold(), (app[1] or "").casefold())


def fits(app: tuple[str, str]) -> bool:
    """Whether provider and client id stand in a CSV as they are, and are seen as they are."""
    return all(inline(text) == text and text and not problem_of(text) for text in app)


def _marked(text: str) -> str:
    return text if _MEANS_TEXT.match(text) else f"{TEXT_MARK}{text}"


def _unmarked(text: str) -> str:
    rest = text.removeprefix(TEXT_MARK)
    return text if _MEANS_TEXT.match(rest) else rest
