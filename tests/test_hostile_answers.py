"""Answers that are none: each is a clear error, and nothing of it is stored.

`test_answers.py` and `test_exporter.py` have the single rules; here they are met by the command.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from oauthsync.transport import MAX_BODY
from tests.clock import FakeClock
from tests.everyday import Called, call, configure, isolate
from tests.wire import Wire, answer

Capsys = pytest.CaptureFixture[str]


def row(**fields: Any) -> dict[str, Any]:
    return {"id": 1, "name": "A", "provider": "hubspot", "data": {"client_id": "c"}, **fields}


def listed(*rows: object) -> bytes:
    return json.dumps({"result": rows}).encode()


def with_id(text: str) -> bytes:
    return listed(row(id=0)).replace(b'"id": 0', b'"id": ' + text.encode())


GOOD = listed(row())
BAD = {
    "larger than 64 MiB": GOOD + b" " * MAX_BODY,
    "10,000 rows": listed(*(row(id=number) for number in range(1, 10_001))),
    "101 rows": listed(*(row(id=number) for number in range(1, 102))),
    "deep lists": b'{"result": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep objects": listed(row()).replace(b'"c"', b'{"a":' * 200 + b"1" + b"}" * 200),
    "a key twice": GOOD.replace(b'"name"', b'"id": 1, "name"'),
    "a key twice where nobody looks": GOOD.replace(b'"client_id"', b'"x": 1, "x": 2, "client_id"'),
    "NaN": GOOD.replace(b'"c"', b"NaN"),
    "-Infinity": GOOD.replace(b'"c"', b"-Infinity"),
    "an integer of 5,000 digits": GOOD.replace(b'"c"', b"9" * 5000),
    "an id of 5,000 digits": with_id("9" * 5000),
    "an id beyond 64 bits": with_id("9223372036854775808"),
    "an id that is a string": with_id('"1"'),
    "an id that is negative": with_id("-1"),
    "an id that is zero": with_id("0"),
    "an id that is a fraction": with_id("1.0"),
    "an id that is an exponent": with_id("1e0"),
    "an id that is true": with_id("true"),
    "an id that is null": with_id("null"),
    "no id": GOOD.replace(b'"id"', b'"no"'),
    "a lone surrogate": GOOD.replace(b'"A"', b'"\\ud800"'),
    "a lone surrogate in a key": GOOD.replace(b'"client_id"', b'"\\udfff"'),
    "a lone surrogate in UTF-8": GOOD.replace(b'"A"', b'"\xed\xa0\x80"'),
    "Latin-1": GOOD.replace(b'"A"', b'"\xe4"'),
    "UTF-16": GOOD.decode().encode("utf-16"),
    "two ids with two contents": listed(row(), row(name="B")),
    "a name that is a number": listed(row(name=1)),
    "a provider that is a list": listed(row(provider=["hubspot"])),
    "rows that are none": listed(1, "2", None),
    "a result that is an object": b'{"result": {}}',
    "a result that is null": b'{"result": null}',
    "a result that is a string": b'{"result": "[]"}',
    "a result that is a number": b'{"result": 0}',
    "no result": b"{}",
    "a list": b"[]",
    "null": b"null",
    "nothing": b"",
    "half a document": GOOD[:-1],
    "two documents": GOOD + GOOD,
    "a page of HTML": b"<!DOCTYPE html><title>Sign in</title>",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    clock = FakeClock()
    monkeypatch.setattr("oauthsync.backup.SystemClock", lambda: clock)
    return isolate(monkeypatch, tmp_path)


def export(url: str, folder: Path, capsys: Capsys) -> Called:
    configure(folder, url)
    return call(capsys, "export", "--json")


@pytest.mark.parametrize("what", BAD)
def test_a_list_that_is_none_is_a_clear_error_and_stores_nothing(
    what: str, folder: Path, capsys: Capsys
) -> None:
    body = GOOD
    with Wire(respond=lambda _: answer(200, body)) as wire:
        assert export(wire.url, folder, capsys).code == 0
        before = (folder / "oauthsync.db").read_bytes()
        body = BAD[what]
        called = export(wire.url, folder, capsys)
    assert called.code == 5
    error = called.json["error"]
    assert 20 < len(error) < 300
    assert error.isprintable()
    assert "unexpected" not in error
    assert (folder / "oauthsync.db").read_bytes() == before
    assert {path.name for path in folder.iterdir()} == {"oauthsync.db", "oauthsync.toml"}
