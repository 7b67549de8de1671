"""A database from somebody else: what was altered in it is found, and what it says does no harm."""

import contextlib
import csv
import io
import json
import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from oauthsync.sandbox import Fault
from tests.clock import FakeClock
from tests.desk import DEV, PROD, Desk

UNSEEN = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
"""What a terminal obeys, and what makes text look like other text."""


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    monkeypatch.setattr("oauthsync.backup.SystemClock", lambda: clock)


def alter(desk: Desk, *statements: str, parameters: Sequence[object] = ()) -> None:
    """Change the database behind our back, whatever its own rules say."""
    with closing(sqlite3.connect(desk.folder / "oauthsync.db")) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        for statement in statements:
            connection.execute(statement, parameters)
        connection.commit()


# --- altered rows -------------------------------------------------------------------------------

THIRD = "WHERE profile_id = (SELECT max(profile_id) FROM profile_versions)"
CLIENT_ID = "replace(document, '\"app\"', '\"evil\"')"


@pytest.mark.parametrize(
    "statements",
    [
        pytest.param(
            [f"UPDATE profile_versions SET document = {CLIENT_ID} {THIRD}"], id="document"
        ),
        pytest.param(
            [f"UPDATE profile_versions SET document = {CLIENT_ID}, client_id = 'evil' {THIRD}"],
            id="document and column",
        ),
        pytest.param(
            ["UPDATE profile_versions SET document = replace(document, 'Gamma', 'Gamna')"],
            id="one letter",
        ),
        pytest.param([f"DELETE FROM profile_versions {THIRD}"], id="a profile that is gone"),
        pytest.param([f"UPDATE profile_versions SET first_snapshot = 2 {THIRD}"], id="a span"),
        pytest.param([f"UPDATE profile_versions SET profile_id = 7 {THIRD}"], id="an id"),
        pytest.param(["UPDATE profile_versions SET workspace_id = 2"], id="of another workspace"),
        pytest.param(["UPDATE snapshots SET workspace_id = 2 WHERE id = 1"], id="a workspace"),
        pytest.param(["UPDATE snapshots SET profiles = 2 WHERE id = 1"], id="a count"),
        pytest.param(["UPDATE snapshots SET digest = upper(digest) WHERE id = 1"], id="a digest"),
        pytest.param(["UPDATE snapshots SET taken_at = 'yesterday' WHERE id = 1"], id="a time"),
        pytest.param(["UPDATE profile_versions SET document = CAST(x'ff' AS TEXT)"], id="no text"),
        pytest.param(["UPDATE profile_versions SET document = '[]'"], id="no profile"),
    ],
)
def test_altered_rows_are_found_by_check_and_by_plan_before_any_write(
    statements: list[str], desk: Desk
) -> None:
    desk.file(("hubspot", "app"), ("hubspot", "evil"))
    for profile in desk.create("Acme", "Beta", "Gamma"):
        last = profile.id
    desk.done("export", "dev")
    desk.done("export", "prod")
    desk.sandbox.workspace(DEV).delete(last)
    assert desk.done("plan", "1", "-o", "plan.json")["summary"]["create"] == 1
    desk.sandbox.requests.clear()
    alter(desk, *statements)
    assert desk.call("check").code == 1
    for line in ("plan 1 --from dev", "import 1 --yes --from dev", "show 1", "diff 1 live"):
        called = desk.refused(*line.split())
        assert called.code == 1
        assert re.search("altered|damaged|one of 'prod'", called.err), called.err
    assert desk.refused("import", "--plan", "plan.json", "--yes").code == 1
    assert not desk.writes()


# --- hostile text -------------------------------------------------------------------------------

HOSTILE = (
    "\x1b[2J\x1b]0;owned\x07\r\b",
    "a\u202egpj.exe\u2066\u200b\ufeff",
    "'; DROP TABLE snapshots; --",
    "../../../escaped",
    "/tmp/escaped",
    "%s%n%x {0.__class__} {name} ${HOME} `id` $(id)",
    "=cmd|' /C calc'!A0",
    '@SUM(1,2)","+1"',
    "-1+1|cmd",
    '<script>alert(1)</script>&quot;"onload=x',
    "| [x](javascript:x) `` ` ** \\ \n\n# h",
    "[red]bold[/red] \\[",
    "a\x00b",
    "\U0001f600 x" * 40,
)


def test_names_do_no_harm_wherever_they_are_shown_and_come_back_as_they_were(desk: Desk) -> None:
    """The sandbox keeps text as JSON: what is compared at the end is every character."""
    rows = []
    for text in HOSTILE:
        app = {"provider": f"p{text}z", "client_id": f"c{text}z"}
        rows.append({**app, "client_secret": "s-canary"})
        desk.create(text, **app, note={text: [text]})
    (desk.folder.parent / "secrets.json").write_text(json.dumps(rows))
    desk.done("secrets", "load", "../secrets.json")
    workspace = desk.sandbox.workspace(DEV)
    before = sorted(profile.document["name"] for profile in workspace.profiles.values())
    said = ""

    def call(line: str) -> str:
        nonlocal said
        called = desk.call(*line.split())
        assert called.code in (0, 6), called.err
        said += called.out + called.err
        return called.out

    call("export")
    workspace.delete(workspace.ids[0])
    for profile_id in list(workspace.ids)[1:]:
        name = workspace.profiles[profile_id].document["name"]
        workspace.update(profile_id, name=f"{name} changed")
    for line in ("export", "snapshots", "show", "show 1", "log -v", "diff 1 2 -v", "diff 1 live"):
        call(line)
    for line in ("secrets list", "secrets missing", "plan 1 -v", "plan 1 --on-existing update -v"):
        call(line)
    for line in (
        "plan 1 --to prod --markdown",
        "plan 1 --to prod -o plan.json",
        "report -o r.html",
    ):
        call(line)
    for line in ("import --plan plan.json --yes", "import 1 --yes --on-existing update -v"):
        call(line)
    for line in ("runs", "runs show 1", "runs show 2 -v", "check", "doctor", "profiles list"):
        call(line)
    for line in ("show 1 --json", "runs show 1 --json", "plan 1 --to prod --json"):
        call(line)
    assert not UNSEEN.search(said)
    assert not UNSEEN.search((desk.folder / "plan.json").read_text("utf-8"))
    assert not UNSEEN.search((desk.folder / "r.html").read_text("utf-8"))
    header, *pairs = csv.reader(io.StringIO(call("runs show 1 --id-map")))
    assert header == ["source_id", "target_id"]
    assert len(pairs) == len(HOSTILE)
    assert all(number.isdecimal() for pair in pairs for number in pair)
    for token in (DEV, PROD):
        profiles = desk.sandbox.workspace(token).profiles.values()
        assert sorted(profile.document["name"] for profile in profiles) == before
    known = {"oauthsync.db", "oauthsync.toml", "secrets.age", "secrets.age.lock", "plan.json"}
    assert {each.name for each in desk.folder.iterdir()} <= known | {"r.html", ".oauthsync.lock"}
    assert not list(desk.folder.parent.rglob("escaped*"))
    assert not Path("/tmp/escaped").exists()


# --- hostile values in any column ---------------------------------------------------------------

ESCAPES = "\x1b[2J{0.__class__} %n ../../x'; DROP TABLE runs; --"
VALUES = {"TEXT": (ESCAPES, "", "null", "CAST(x'ff' AS TEXT)"), "INTEGER": (0, -1, 2**63 - 1)}
LOOKING = ("runs show 1", "report -o -", "resume")


def columns(path: Path) -> list[tuple[str, str, str]]:
    """Table, name and type of each column."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(
            "SELECT t.name, c.name, c.type FROM sqlite_master AS t, pragma_table_info(t.name) AS c"
            " WHERE t.type = 'table' AND t.name NOT LIKE '%sqlite%' AND c.type <> 'REAL'"
        ).fetchall()


def put(path: Path, content: bytes) -> None:
    """A new file: where an error is kept, so is the row that was read, with the old one's lock."""
    path.unlink()
    path.write_bytes(content)


def test_no_value_in_any_column_is_a_defect_or_reaches_the_terminal(desk: Desk) -> None:
    """Each column gets one of its type's values, the next column the next one."""
    desk.file(("hubspot", "app"))
    desk.create("Acme", "Beta")
    desk.done("export", "dev")
    desk.sandbox.faults = [Fault("refused", on="POST", times=1)]
    assert desk.call("import", "1", "--to", "prod", "--yes").code == 6
    path = desk.folder / "oauthsync.db"
    good = path.read_bytes()
    tried = 0
    for number, (table, column, kind) in enumerate(columns(path)):
        put(path, good)
        value = VALUES[kind][number % len(VALUES[kind])]
        shown = f"{ESCAPES}\u202e" if value == ESCAPES else value
        literal = value if str(value).startswith("CAST") else "?"
        with contextlib.suppress(sqlite3.IntegrityError):
            update = f"UPDATE {table} SET {column} = {literal} WHERE rowid = 1"
            alter(desk, update, parameters=() if literal == value else (shown,))
            tried += 1
        bad = path.read_bytes()
        for line in LOOKING:
            put(path, bad)
            called = desk.call(*line.split())
            said = called.out + called.err
            assert called.code in (0, 1, 2, 6), (table, column, value, line, said)
            assert "unexpected" not in said, (table, column, value, line, said)
            assert not UNSEEN.search(said), (table, column, value, line, said)
    assert tried > 40
