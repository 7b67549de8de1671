"""Client secrets from CSV and JSON: all rows or none, and no value in any message."""

import contextlib
import csv
import io
import json
import re
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oauthsync.entries import Entry, Secrets, dump_document
from oauthsync.errors import UsageError
from oauthsync.secret import Secret
from oauthsync.secrets_file import (
    COLUMNS,
    MAX_SIZE,
    NOTE,
    TEXT_MARK,
    fits,
    is_for_secrets,
    parse_rows,
    problem_of,
    template,
    unused,
)
from tests.leaks import shown

NOW = "2026-11-23T10:00:00Z"
CANARY = "c4n4ry-of-a-secret"
HEADER = "provider,client_id,client_secret,token\n"


def rows(text: str | bytes) -> list[tuple[str, str, str, str | None]]:
    data = text.encode() if isinstance(text, str) else text
    entries = parse_rows(data, name="apps.csv", now=NOW).values()
    assert {entry.updated_at for entry in entries} <= {NOW}
    return [
        (*each.app, each.client_secret.reveal(), each.token.reveal() if each.token else None)
        for each in entries
    ]


def refused(text: str | bytes) -> UsageError:
    with pytest.raises(UsageError) as caught:
        rows(text)
    assert CANARY not in shown(caught.value)
    assert caught.value.hint
    return caught.value


def message(text: str | bytes) -> str:
    return str(refused(text))


def test_csv_rows_become_entries() -> None:
    assert rows(HEADER + "hubspot,A,one,\nslack,B,two,tok\n") == [
        ("hubspot", "A", "one", None),
        ("slack", "B", "two", "tok"),
    ]


def test_columns_stand_in_any_order_and_token_may_be_left_out() -> None:
    assert rows("client_secret,provider,client_id\none,hubspot,A") == [
        ("hubspot", "A", "one", None)
    ]


def test_json_rows_become_entries() -> None:
    items = [
        {"provider": "hubspot", "client_id": "A", "client_secret": "one"},
        {"provider": "slack", "client_id": "B", "client_secret": "two", "token": "tok"},
        {"provider": "zoom", "client_id": "C", "client_secret": "three", "token": None},
        {"provider": "zoom", "client_id": "D", "client_secret": "four", "token": ""},
    ]
    assert rows("\n " + json.dumps(items)) == [
        ("hubspot", "A", "one", None),
        ("slack", "B", "two", "tok"),
        ("zoom", "C", "three", None),
        ("zoom", "D", "four", None),
    ]


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r", "\n\n", "\r\n\r\n"])
def test_a_spreadsheets_byte_order_mark_line_ends_and_blank_lines_are_no_content(
    line_end: str,
) -> None:
    text = ("\ufeff" + HEADER + "slack,B,two,tok\n").replace("\n", line_end)
    assert rows(text) == [("slack", "B", "two", "tok")]


def test_the_column_for_people_is_ignored_whatever_it_holds() -> None:
    assert rows("profiles,provider,client_id,client_secret\n Acme ,slack,B,two\n") == [
        ("slack", "B", "two", None)
    ]
    assert rows(json.dumps([item(profiles=[{"id": 7, "name": "Acme"}])])) == [
        ("slack", "A", CANARY, None)
    ]


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (HEADER, True),
        ('\ufeff"Provider";"Client ID";"Client Secret"\r\nslack;A;x', True),
        ("client-secret\tprovider", True),
        ('[{"provider": "slack", "client_secret" : "x"}]', True),
        ("name,id\nclient_secret,7\n", False),
        ('{"missing": [{"fields": ["client_secret"]}]}', False),
        ('{"reason": "its client secret is missing"}', False),
        ("", False),
    ],
)
def test_a_file_for_secrets_is_known_by_its_column_or_key(head: str, expected: bool) -> None:
    assert is_for_secrets(head.encode()) == expected
    assert not is_for_secrets(b"\xff\xfe" + head.encode("utf-16-le"))


def test_a_row_that_nothing_uses_is_told_with_what_differs_in_case_alone() -> None:
    text = HEADER + f"Asana,a1,{CANARY},\nslack,a2,{CANARY},\nbox,1.23E+10\u202e,{CANARY}x,\n"
    found = parse_rows(text.replace("\u202e", "\u202ex").encode(), name="a", now=NOW)
    used = {("asana", "A1"), ("slack", "a2"), ("box", None)}
    assert unused(found, used) == [
        "line 2: profiles have asana A1",
        "line 4",
    ]


@pytest.mark.parametrize("row", ["slack,{},A2,", "slack,{},'77,", "{},a2,slack,", "slack,{},x,"])
def test_a_secret_in_the_wrong_column_is_not_told(row: str) -> None:
    text = HEADER + row.format(CANARY) + "\n"
    [line] = unused(parse_rows(text.encode(), name="a", now=NOW), {("slack", "a2"), ("box", "77")})
    swapped = ": its client_secret is a profile's client id; are the two swapped?"
    assert line == "line 2" + swapped * ("A2" in row or "77" in row)


def test_a_byte_order_mark_before_json_is_no_content() -> None:
    assert rows(b"\xef\xbb\xbf[]") == []


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("line_end", ["\n", "\r", "\r\n"])
@pytest.mark.parametrize("header", [COLUMNS, ("Provider", " Client ID", "CLIENT-SECRET", "token")])
def test_a_spreadsheets_separators_and_headings_are_understood(
    header: tuple[str, ...], separator: str, line_end: str
) -> None:
    lines = (header, ("slack", "A", '"a,b;c\td"', ""))
    text = line_end.join(separator.join(cells) for cells in lines)
    assert rows(text) == [("slack", "A", "a,b;c\td", None)]


def test_an_apostrophe_marks_text_in_a_csv_alone_and_not_in_a_secret() -> None:
    text = "provider,client_id,client_secret\n'+p,''=1+1,'s\n"
    assert rows(text) == [("+p", "'=1+1", "'s", None)]
    assert rows("provider,client_id,client_secret\n'p,'c,s\n") == [("'p", "'c", "s", None)]
    item = {"provider": "'p", "client_id": "'c", "client_secret": "'s"}
    assert rows(json.dumps([item])) == [("'p", "'c", "'s", None)]


def test_a_quoted_value_keeps_its_line_breaks_commas_and_quotes() -> None:
    text = HEADER + 'apple,A,"BEGIN\r\nkey, ""x""\nEND",\n'
    assert rows(text) == [("apple", "A", 'BEGIN\r\nkey, "x"\nEND', None)]


def test_a_file_without_rows_holds_no_entries() -> None:
    assert rows(HEADER) == rows("[]") == []


def test_the_same_row_twice_counts_once() -> None:
    assert rows(HEADER + "slack,B,two,tok\nslack,B,two,tok\n") == [("slack", "B", "two", "tok")]


VISIBLE = st.characters(exclude_categories=["C", "Z"])


def is_meant(value: str) -> bool:
    return problem_of(value) is None


def values(first: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Any text whose ends can be seen, and that stands in no other's place."""
    middle = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
    return (first | st.builds("{}{}{}".format, first, middle, VISIBLE)).filter(is_meant)


NAMES = values(st.characters(exclude_categories=["C", "Z"], exclude_characters=TEXT_MARK))
VALUES = values(VISIBLE)
ROWS = st.lists(
    st.tuples(NAMES, NAMES, VALUES, st.none() | VALUES), unique_by=lambda row: row[:2], max_size=6
)


@given(ROWS, st.sampled_from(["\n", "\r\n"]), st.sampled_from(",;\t"))
def test_what_a_csv_writer_writes_is_read_back(
    expected: list[tuple[str, str, str, str | None]], line_end: str, separator: str
) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=separator, quoting=csv.QUOTE_ALL, lineterminator=line_end)
    writer.writerows([COLUMNS, *expected])
    assert rows(text.getvalue()) == expected


SEEN = st.text(VISIBLE, min_size=1, max_size=12).filter(is_meant)
APPS = st.tuples(SEEN, SEEN)
HOSTILE = (
    "=cmd|'/c calc'!A1",
    "+1",
    "-1",
    "@x",
    "0012",
    "1234567890.1234567890",
    "'=x",
    'a,"b;',
    "ж",
)


@given(st.lists(APPS, unique=True))
@example([("slack", each) for each in HOSTILE] + [(each, "id") for each in HOSTILE])
def test_a_template_loads_under_the_same_apps_and_holds_nothing_that_a_spreadsheet_computes(
    apps: list[tuple[str, str]],
) -> None:
    assert all(map(fits, apps))
    names = {app: [app[1], " a\n"] for app in apps}
    [header, *lines] = csv.reader(io.StringIO(template(names)))
    assert header == [*COLUMNS, NOTE]
    for line in lines:
        assert all(re.match("[A-Za-z']", cell) for cell in [*line[:2], line[-1]])
        assert not any(line[2:-1])
        line[2] = "secret"
    text = io.StringIO()
    csv.writer(text, delimiter=";").writerows([header, *lines])
    assert rows(text.getvalue()) == [(*app, "secret", None) for app in apps]


@pytest.mark.parametrize("text", ["", " a", "a\u200b", "a\nb", "\x1b[2J", "a\u202eb", "1.2E+10"])
def test_an_app_that_cannot_be_seen_as_it_is_fits_in_no_template(text: str) -> None:
    assert fits(("hubspot", "app"))
    assert not fits((text, "app"))
    assert not fits(("hubspot", text))


def test_an_empty_file_is_told_with_the_columns_that_it_lacks() -> None:
    for text in ("", "\n\n", "\ufeff \r\n"):
        error = refused(text)
        assert str(error) == "apps.csv is empty"
        assert "provider,client_id,client_secret,token" in str(error.hint)


def test_many_rows_without_a_secret_are_counted() -> None:
    lines = "".join(f"slack,{number},,\n" for number in range(13))
    assert "line 2, line 3, " in message(HEADER + lines)
    assert "line 11 and 3 more: client_secret is empty" in message(HEADER + lines)


def test_several_bad_rows_are_told_at_once_with_their_problems() -> None:
    lines = f"slack,A,{CANARY},\n,B,{CANARY},\nslack,C,,\nslack,,{CANARY},\n,D,{CANARY},\n"
    error = refused(HEADER + lines + f"x,y\n x,E,{CANARY},\nslack,A,{CANARY}x,\nslack,F,,\n")
    assert str(error).splitlines() == [
        "apps.csv has 8 bad rows:",
        "  line 3, line 6: provider is empty",
        "  line 4, line 10: client_secret is empty",
        "  line 5: client_id is empty",
        "  line 7: it has 2 cells, and the header has 4",
        "  line 8: provider has white space or an invisible character at its start or end",
        "  and 1 more",
    ]
    assert error.hint == "nothing is stored: put them right, and load the file again"
    value = [item(client_id=""), CANARY, item(**{CANARY: "x"}), item()]
    assert message(json.dumps(value)).splitlines() == [
        "apps.csv has 3 bad rows:",
        "  row [0]: client_id is empty",
        "  row [1]: it is not an object",
        "  row [2]: column 4 is unknown",
    ]


@given(ROWS, st.booleans())
def test_what_a_json_writer_writes_is_read_back(
    expected: list[tuple[str, str, str, str | None]], ascii_only: bool
) -> None:
    items = [dict(zip(COLUMNS, row, strict=True)) for row in expected]
    assert rows(json.dumps(items, ensure_ascii=ascii_only)) == expected


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused_as_wrong_usage(data: bytes) -> None:
    for text in (data, HEADER.encode() + data, b"[" + data):
        with contextlib.suppress(UsageError):
            parse_rows(text, name="-", now=NOW)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (HEADER + f"slack,A,{CANARY},\n,B,{CANARY},\n", "line 3: provider is empty"),
        (HEADER + f"slack,,{CANARY},\n", "line 2: client_id is empty"),
        (HEADER + "slack,A,,\n", "line 2: client_secret is empty"),
        (
            HEADER + f"slack,A,,\nslack,B,{CANARY},\n,C,,\n",
            "line 2, line 4: client_secret is empty",
        ),
        (HEADER + f'slack,A,"{CANARY}\n\n",\nslack,B,{CANARY},', "line 2: client_secret has white"),
        (HEADER + f'slack,A,"a\n\nb",\nslack,,{CANARY},', "line 5: client_id is empty"),
        (HEADER + f"\n\nslack,A,{CANARY}\n", "line 4: it has 3 cells, and the header has 4"),
        (HEADER + f"slack,A,{CANARY},x,y\n", "line 2: it has 5 cells, and the header has 4"),
        (HEADER + f"slack,A,{CANARY} ,\n", "line 2: client_secret has white space"),
        (HEADER + f"slack, A,{CANARY},\n", "line 2: client_id has white space"),
        (HEADER + f"slack,A,x,{CANARY}\u200b\n", "line 2: token has white space or an invisible"),
        (HEADER + f"slack,A,\ufeff{CANARY},\n", "line 2: client_secret has white space"),
        (HEADER + f"slack,A,{CANARY}\u00a0,\n", "line 2: client_secret has white space"),
        (HEADER + f'slack,A,"{CANARY},\n', "line 2: it is not CSV"),
        (HEADER + f'slack,A,"{CANARY}"x,\n', "line 2: it is not CSV"),
        (HEADER + f"slack,A,{CANARY * 20_000},\n", "line 2: it is not CSV"),
        (
            HEADER + f"slack,A,{CANARY},\nzoom,A,x,\nslack,A,other,\n",
            "line 4: is for the same provider and client_id as line 2",
        ),
        (
            HEADER + f"slack,A,{CANARY},\nslack,A,{CANARY},tok\n",
            "line 3: is for the same provider and client_id as line 2",
        ),
        (f"slack,A,{CANARY}\n", "line 1: it names none of the columns"),
        ("provider,client_id\nslack,A\n", "line 1: column client_secret is missing"),
        ("client_id,client_secret\n", "line 1: column provider is missing"),
        ("provider,client_id,client_id,client_secret\n", "line 1: column client_id stands there"),
        (f"provider,A,{CANARY}\n", "line 1: column 2 ('A') is unknown"),
        (f"provider,client_id,{CANARY}\n", "line 1: column 3 is unknown"),
        (f'provider,client_id,"secret\nslack,A,{CANARY}"', "line 1: column 3 is unknown"),
    ],
)
def test_a_bad_csv_is_refused_by_line_and_column(text: str, expected: str) -> None:
    assert message(text).startswith(f"apps.csv, {expected}")


@pytest.mark.parametrize("column", ["client_id", "client_secret", "token"])
@pytest.mark.parametrize(
    "value",
    [
        *("1.23E+15", "1,23E+15", "-5e-07", "#NAME?", "#REF!", "#VALUE!", "#N/A", "#DIV/0!", "#NV"),
        *("Err:508", "********", "••••", "....", "----", "0000", "xxxx", "XXXXXX", "<secret>"),
    ],
)
def test_what_a_spreadsheet_or_a_form_leaves_in_place_of_a_value_is_refused(
    column: str, value: str
) -> None:
    row = {"provider": "slack", "client_id": "A", "client_secret": CANARY, "token": CANARY}
    row[column] = value
    for text in (HEADER.replace(",", ";") + ";".join(row.values()), json.dumps([row])):
        error = refused(text)
        assert f"{column} is what a spreadsheet or a form leaves in its place" in str(error)
        assert value not in str(error).partition(" (1.23E+15, #NAME?")[0]
        assert "secrets set" in str(error.hint)


@pytest.mark.parametrize("value", ["1E15", "12.5", "#a1b2", "***", "*a***", "xxxX", "<a", "a<b>"])
def test_a_value_that_is_only_like_one_is_taken(value: str) -> None:
    assert rows(HEADER + f"slack,A,{value},\n") == [("slack", "A", value, None)]


def item(**changes: object) -> dict[str, object]:
    return {"provider": "slack", "client_id": "A", "client_secret": CANARY, **changes}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([item(), item(client_id="")], "row [1]: client_id is empty"),
        ([item(client_secret=5)], "row [0]: client_secret is not a string"),
        ([item(client_id=None)], "row [0]: client_id is not a string"),
        ([item(token=False)], "row [0]: token is not a string"),
        ([item(token=[CANARY])], "row [0]: token is not a string"),
        ([item(token=f"{CANARY}\n")], "row [0]: token has white space"),
        ([item(), CANARY], "row [1]: it is not an object"),
        ([{CANARY: "x"}], "row [0]: it names none of the columns"),
        ([{}], "row [0]: it names none of the columns"),
        ([{"provider": "slack", "client_id": CANARY}], "row [0]: column client_secret is missing"),
        ([item(), item(token="x")], "row [1]: is for the same provider and client_id as row [0]"),
        ([item(updated_at=NOW)], "row [0]: column 4 ('updated_at') is unknown"),
        (item(), "as JSON: it is neither a list of objects nor what a sidecar seals: it does not"),
        (
            {"format": "oauthsync-secrets", "version": 2},
            "as JSON: it is neither a list of objects nor what a sidecar seals: it is not of",
        ),
        (
            {
                "format": "oauthsync-secrets",
                "version": 1,
                "recipients": [],
                "secrets": [item(updated_at=NOW, client_id="")],
            },
            "as JSON: it is neither a list of objects nor what a sidecar seals: secrets[0]: client",
        ),
    ],
)
def test_bad_json_is_refused_by_index_and_column(value: object, expected: str) -> None:
    assert message(json.dumps(value)).startswith(f"apps.csv, {expected}")


@pytest.mark.parametrize(
    "text",
    [
        f'[{{"provider": "{CANARY}"',
        f'[{{"provider": "slack", "provider": "{CANARY}"}}]',
        f'["{CANARY}\\ud800"]',
        f"[{CANARY}]",
        "[NaN]",
        "[" * 100_000,
    ],
)
def test_text_that_is_not_json_is_refused(text: str) -> None:
    assert message(text).startswith("apps.csv, as JSON: ")


@pytest.mark.parametrize(
    ("column", "meant"),
    [
        ("clientid", "client_id"),
        ("Secret", "client_secret"),
        ("tokens", "token"),
    ],
)
def test_an_unknown_column_is_named_with_the_nearest_known_one(column: str, meant: str) -> None:
    error = refused(f"provider,{column}\n")
    assert str(error) == f"apps.csv, line 1: column 2 ({column!r}) is unknown"
    assert error.hint == f"did you mean {meant!r}?"


def test_an_unknown_column_that_is_like_none_comes_with_the_list() -> None:
    error = refused("provider,client_id,client_secret,notes\n")
    assert "('notes')" in str(error)
    assert "provider,client_id,client_secret,token" in str(error.hint)


def test_a_column_s_name_without_end_is_refused_at_once() -> None:
    start = time.process_time()
    refused(json.dumps([{"provider": "x", "c" * 5_000_000: "y"}]))
    assert time.process_time() - start < 0.5


def test_what_a_sidecar_seals_is_taken_as_it_was_filed_and_is_filed_now() -> None:
    filed = [
        Entry("hubspot", "A", Secret(" one"), None, "2020-01-01T00:00:00Z"),
        Entry("slack", "B", Secret("****"), Secret("tok"), "2020-01-01T00:00:00Z"),
    ]
    document = dump_document(Secrets(("age1x",), tuple(filed)))
    assert rows(document) == [("hubspot", "A", " one", None), ("slack", "B", "****", "tok")]
    assert [*parse_rows(document, name="-", now=NOW)] == ["secrets[0]", "secrets[1]"]


def test_a_file_that_is_not_utf_8_is_refused_by_the_byte() -> None:
    error = refused(HEADER.encode() + f"slack,A,{CANARY}é,\n".encode("latin-1"))
    assert str(error).startswith("apps.csv is not UTF-8, first at byte 66")
    assert "UTF-8" in str(error.hint)


def test_a_utf_16_file_is_refused() -> None:
    refused((HEADER + f"slack,A,{CANARY},\n").encode("utf-16"))
    refused((HEADER + f"slack,A,{CANARY},\n").encode("utf-16-le"))


def test_a_file_over_16_mib_is_refused_and_one_of_16_mib_is_not() -> None:
    text = json.dumps([item()]).encode()
    assert "larger than 16 MiB" in message(text.rjust(MAX_SIZE + 1))
    assert len(rows(text.rjust(MAX_SIZE))) == 1
