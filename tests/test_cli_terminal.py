"""On a terminal: colours that nobody needs, a moving line, lists that fit and are folded."""

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping
from pathlib import Path

import click
import pytest
from rich.cells import cell_len

from oauthsync.cli import terminal
from oauthsync.sandbox import Fault, Sandbox
from tests.desk import DEV, PASSPHRASE, QUOTA, Desk, workspace
from tests.everyday import converse

COLOR = re.compile("\x1b\\[[0-9;]*m")


@pytest.fixture(autouse=True)
def colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)


def on_terminal(*args: str, columns: int = 80, environ: Mapping[str, str] | None = None) -> str:
    """All that a call of the command shows on a terminal that many columns wide."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "oauthsync", *args],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        env={**os.environ, "TERM": "xterm", **(environ or {})},
    )
    os.close(theirs)
    shown = b""
    with process:
        while chunk := _read(ours):
            shown += chunk
    os.close(ours)
    assert process.returncode == 0, shown
    return shown.decode().replace("\r\n", "\n")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # nobody has the terminal open any more (EIO)
        return b""


def test_the_width_is_that_of_the_stream_that_is_written_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 200, 0, 0))
    with os.fdopen(ours), os.fdopen(theirs) as stream, Path(os.devnull).open() as none:
        assert [terminal.width(each) for each in (stream, none, None)] == [200, None, None]
        for told, columns in {"60": 60, "": 200, "0": 200, "-1": 200, "wide": 80}.items():
            monkeypatch.setenv("COLUMNS", told)
            assert terminal.columns(stream) == columns
        monkeypatch.delenv("COLUMNS")
        assert terminal.columns(none) == terminal.columns(None) == 80


@pytest.mark.parametrize("columns", [60, 200])
def test_a_table_fits_the_terminal_and_lines_up_in_any_script(desk: Desk, columns: int) -> None:
    desk.create(
        "株式会社さくら " * 4,
        "شركة النور",
        "Łódź 👩‍💻 e\u0301",
        "🚀 Growth " * 8,
        client_id="c" * 40,
    )
    desk.done("export")
    lines = COLOR.sub("", on_terminal("show", columns=columns)).splitlines()
    assert max(map(cell_len, lines)) <= columns
    starts = {cell_len(line[: line.index("cccccc")]) for line in lines[1:5]}
    assert len(starts) == 1
    assert ("…" in "".join(lines)) == (columns < 200)


def test_a_narrow_terminal_gets_whole_what_says_what_a_row_is_about(desk: Desk) -> None:
    desk.create("Acme Corporation Integration for the Sales department", client_id="c" * 40)
    desk.done("export")
    desk.file(("hubspot", "c" * 40))
    desk.done("import", "--to", "prod", "--yes")
    taken_at = desk.done("snapshots")["snapshots"][-1]["taken_at"]

    def shown(command: str) -> list[str]:
        lines = COLOR.sub("", on_terminal(command, columns=60)).splitlines()
        assert max(map(cell_len, lines)) <= 60
        return lines

    listed = shown("snapshots")
    assert listed[-2].split() == ["1", "dev", taken_at, "export", "1", "0"]
    assert listed[-1] == "… no room for changed, removed (-v shows all)"
    [_, row, _] = shown("runs")
    assert row.split()[:3] + row.split()[5:] == ["1", "import", "prod", "complete"]
    # What a person reads and what has to be typed elsewhere share the room.
    assert f"  Acme Corporation…  {'c' * 16}…  " in shown("show")[1]


def test_the_client_id_of_a_missing_secret_is_whole_and_the_names_give_way(desk: Desk) -> None:
    desk.file(("p", "c"))
    desk.create(*(f"Acme Corporation {number}" for number in range(5)), client_id="c" * 28)
    desk.done("export")
    shown = COLOR.sub("", on_terminal("secrets", "missing", columns=60))
    row = next(line for line in shown.splitlines() if "cc" in line)
    assert ("c" * 28 in row, "Acme Corpor" in row, "…" in row) == (True, True, True)
    shown = on_terminal("secrets", "missing", columns=45)
    assert "c" * 28 in shown
    assert "no room for profiles" in shown


def test_messages_are_wrapped_on_a_terminal_only_and_never_with_json(desk: Desk) -> None:
    for number in range(4):
        desk.create("Acme", client_id=f"app-{number}")
    desk.done("export")
    args = ("import", "--to", "prod")
    whole = desk.call(*args).err.splitlines()
    assert max(map(len, whole)) > 40
    _, _, shown = converse(args, [], COLUMNS="40")
    assert max(map(len, shown.splitlines())) <= 40
    assert " ".join(shown.split()) == " ".join(" ".join(whole).split())
    _, _, shown = converse([*args, "--json"], [], COLUMNS="40")
    assert max(map(len, shown.splitlines())) > 40


def test_questions_are_wrapped_and_why_they_are_asked_again(desk: Desk) -> None:
    desk.file(("hubspot", "app"))
    code, _, shown = converse(
        ["secrets", "rekey", "--passphrase"],
        [("words): ", "short"), ("words): ", PASSPHRASE), ("once more: ", PASSPHRASE)],
        COLUMNS="40",
    )
    assert (code, max(map(len, shown.splitlines())) <= 40) == (0, True), shown


def test_a_long_list_is_folded_on_a_terminal_unless_all_is_asked_for(desk: Desk) -> None:
    desk.create(*(f"Acme {number}" for number in range(30)))
    desk.done("export")
    lines = on_terminal("show").splitlines()
    assert len(lines) == 21
    assert lines[-1] == "… and 11 more (-v shows all)"
    assert len(on_terminal("show", "-v").splitlines()) == 31


def test_colours_say_nothing_that_symbols_do_not(desk: Desk) -> None:
    first, _ = desk.create("Acme", "Beta")
    desk.done("export")
    desk.sandbox.workspace(DEV).delete(first.id)
    desk.create("New")
    desk.done("export")
    shown = on_terminal("diff", "1", "2", "-v")
    assert "\x1b[32m  + New" in shown
    assert "\x1b[31m  - Acme" in shown
    for name, value in (("NO_COLOR", "1"), ("TERM", "dumb")):
        plain = on_terminal("diff", "1", "2", "-v", environ={name: value})
        assert "\x1b" not in plain
        assert plain == COLOR.sub("", shown)


def test_the_moving_line_shows_what_is_waited_for_and_is_gone_at_the_end(desk: Desk) -> None:
    desk.create("Acme")
    desk.sandbox.faults = [Fault("429", times=1, delay=1)]
    shown = on_terminal("export")
    assert "\r\x1b[Kdev: 0 read, waiting 1 s (quota)" in shown
    assert "\r\x1b[K\x1b[1mworkspace" in shown
    assert "waiting" not in on_terminal("export", "--quiet")


def test_the_moving_line_is_plain_lines_where_the_terminal_is_dumb(desk: Desk) -> None:
    desk.create("Acme")
    shown = on_terminal("export", "-v", environ={"TERM": "dumb"})
    assert "\ndev: 1 read\n" in f"\n{shown}"
    assert "\x1b" not in shown
    assert "\r" not in shown


def test_a_fleet_shares_one_line(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = [f"T{number}" for number in range(5)]
    for token in tokens:
        monkeypatch.setenv(token, token)
    with Sandbox(tokens, requests_per_minute=QUOTA, latency=0.2) as sandbox:
        for each in sandbox.workspaces:
            each.fill(250)
        desk.configure("".join(workspace(f"w{token}", sandbox.url, token) for token in tokens))
        shown = on_terminal("export", "--all")
    assert re.search("\r\x1b\\[K[0-4] of 5 workspaces done, [1-9][0-9]* profiles read", shown)


@pytest.mark.parametrize(
    ("typed", "answer"),
    [("y", True), ("YES ", True), ("n", False), ("No", False), ("", False), ("yep\n1\ny", True)],
)
def test_a_question_is_asked_again_until_the_answer_is_a_yes_or_a_no(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    typed: str,
    answer: bool,
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{typed}\n"))
    assert terminal.confirm("Go on?") is answer
    assert capsys.readouterr().err.count("Go on? [y/N] ") == len(typed.split("\n"))


def test_the_end_of_input_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    with pytest.raises(click.Abort):
        terminal.confirm("Go on?")


def test_what_is_typed_before_a_question_does_not_answer_it(desk: Desk) -> None:
    [profile] = desk.create("Acme")
    desk.file(("hubspot", "app"))
    desk.done("export")
    desk.sandbox.workspace(DEV).delete(profile.id)
    desk.sandbox.faults = [Fault("429", on="list", times=1, delay=1)]
    code, _, shown = converse(["import"], [("waiting 1 s", "y"), ("[y/N] ", "n")], TERM="xterm")
    assert (code, "not confirmed, so nothing was written" in shown) == (1, True), shown
    assert desk.writes() == []
