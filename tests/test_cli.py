"""What all commands share: their output, quiet and verbose, help and version."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from oauthsync import __version__
from oauthsync.cli import _COMMANDS, cli
from oauthsync.sandbox import Fault
from oauthsync.sandbox.faults import KINDS
from tests.desk import DEV, Desk
from tests.everyday import COMMAND, call, installed

# output


def test_names_from_outside_never_reach_the_terminal_as_they_are(desk: Desk) -> None:
    name = "a\x1b]0;owned\x07b\u202ec\u200bd\x9be\u2028f\x7f\ng"
    shown = "a\\x1b]0;owned\\x07b\\u202ec\\u200bd\\x9be\\u2028f\\x7f\\ng"
    [profile] = desk.create(name, provider="\x1b[2J")
    desk.done("export")
    desk.sandbox.workspace(DEV).delete(profile.id)
    hostile = set(name) - set("abcdefg]0;owned\n")
    for args in (
        ["show"],
        ["diff"],
        ["plan"],
        ["plan", "--markdown"],
        ["secrets", "missing"],
        ["export"],
        ["log"],
        ["import"],
        ["import", "--only", name],
        ["show", "--json"],
        ["plan", "--json"],
        ["show", name],
        ["export", name],
        [name],
        ["snapshots", f"--{name}"],
        ["plan", "--map", name],
        ["snapshots", "--dir", name],
    ):
        called = desk.call(*args)
        assert not hostile & set(called.out + called.err), args
    assert shown in desk.call("show", "1").out
    assert shown in desk.call("plan", "1").out
    assert desk.done("show", "1")["profiles"][0]["name"] == name


def test_json_is_one_line_of_utf_8_whatever_the_locale(desk: Desk) -> None:
    desk.create("株式会社さくら \udc80".replace("\udc80", "\u202e"))
    desk.done("export")
    for environ in ({"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "latin-1:strict"}):
        done = subprocess.run(
            [COMMAND, "show", "--json"],
            env={**os.environ, **environ},
            capture_output=True,
            check=True,
        )
        assert done.stdout.count(b"\n") == 1
        [profile] = json.loads(done.stdout.decode("utf-8"))["profiles"]
        assert profile["name"] == "株式会社さくら \u202e"
        text = installed("show", **environ)
        assert (text.returncode, text.stderr) == (0, "")


def test_a_reader_that_goes_away_is_no_noise(desk: Desk) -> None:
    desk.create(*(f"Acme {number}" for number in range(2000)))
    desk.done("export")
    process = subprocess.Popen(
        [COMMAND, "show"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ)
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    with process:
        assert process.stderr.read() == b""
        assert process.wait() == 1


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("args", [["snapshots"], ["snapshots", "--json"], ["--help"], ["show"]])
def test_a_full_disk_under_stdout_is_told_once(
    desk: Desk, args: list[str], unbuffered: str
) -> None:
    desk.create(*(f"Acme {number}" for number in range(200)))  # more than a buffer holds
    desk.done("export")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [COMMAND, *args],
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    told = "error: stdout cannot be written: No space left on device\n"
    assert (done.returncode, done.stderr) == (1, told)


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_missing_streams_are_no_obstacle(desk: Desk, closed: str) -> None:
    desk.create("Acme")
    done = subprocess.run(
        ["sh", "-c", f'"$0" export {closed}', COMMAND], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert desk.done("show")["profiles"]


def test_quiet_tells_nothing_but_what_was_asked_for_and_what_is_wrong(desk: Desk) -> None:
    [profile] = desk.create("Acme")
    desk.file(("hubspot", "app"))
    called = desk.call("export", "-q")
    assert (called.code, called.out, called.err) == (0, "", "")
    desk.sandbox.workspace(DEV).delete(profile.id)
    called = desk.call("import", "--yes", "-q")
    assert (called.code, called.out, called.err) == (0, "", "")
    assert "Acme" in desk.call("show", "-q").out
    assert "unchanged" in desk.call("plan", "-q").out
    assert desk.done("export", "-q")["snapshots"]
    assert desk.call("show", "99", "-q").err.startswith("error: ")


def test_verbose_tells_each_page_and_each_step(desk: Desk) -> None:
    profiles = desk.create(*(f"Acme {number}" for number in range(101)))
    desk.file(("hubspot", "app"))
    err = desk.call("export", "-v").err
    assert "dev: 100 read\ndev: 101 read\n" in err
    assert "dev: 101 read again\n" in err
    for profile in profiles[:2]:
        desk.sandbox.workspace(DEV).delete(profile.id)
    err = desk.call("import", "--yes", "-v").err
    assert "dev: 1 of 2 done, create Acme" in err
    assert "dev: 2 of 2 done, create Acme" in err


def test_options_of_a_group_count_for_its_commands(desk: Desk, tmp_path: Path) -> None:
    [profile] = desk.create("Acme")
    desk.file(("hubspot", "app"))
    desk.done("export")
    desk.sandbox.workspace(DEV).delete(profile.id)
    run = desk.done("import", "--yes")["run"]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert desk.call("runs", "--json", "show", str(run)).json["id"] == run
    assert desk.call("runs", "--dir", str(elsewhere), "show", str(run)).code == 1
    both = desk.call("runs", "--dir", str(elsewhere), "show", str(run), "--dir", ".")
    assert both.code == 0


def test_the_folder_comes_from_the_variable_unless_an_option_names_it(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.done("export")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OAUTHSYNC_DIR", str(desk.folder))
    assert len(desk.done("snapshots")["snapshots"]) == 1
    (tmp_path / "empty").mkdir()
    assert desk.call("snapshots", "--dir", "empty").code == 1
    monkeypatch.setenv("OAUTHSYNC_DIR", "")
    assert desk.call("snapshots").code == 1


# help, version


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(capsys, "--version").out == f"oauthsync {__version__}\n"
    called = call(capsys, "--help")
    assert called.code == 0
    for name, (_, line) in _COMMANDS.items():
        assert name in called.out
        assert line in called.out


@pytest.mark.parametrize("group", ["secrets", "profiles", "runs"])
def test_the_help_of_a_group_has_the_whole_line_of_each_command(desk: Desk, group: str) -> None:
    lines = desk.call(group, "--help").out.partition("\nCommands:\n")[2].splitlines()
    assert lines
    assert all(line.endswith(".") and not line.endswith("..") for line in lines)
    assert max(map(len, lines)) < 80


def test_every_command_has_help_and_the_common_options(capsys: pytest.CaptureFixture[str]) -> None:
    import click

    def check(command: click.Command, *path: str) -> None:
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                inner = command.get_command(context, name)
                assert inner is not None
                check(inner, *path, name)
            if not command.invoke_without_command or not path:
                return
        called = call(capsys, *path, "--help")
        assert called.code == 0
        assert command.help
        for option in ("--dir", "--json", "--quiet", "--verbose", "--no-input", "--help"):
            assert option in called.out, path
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, (path, parameter.name)

    check(cli)


def test_help_tells_what_holds_where_an_option_is_not_given(
    capsys: pytest.CaptureFixture[str],
) -> None:
    import click

    def check(command: click.Command, *path: str) -> None:
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.is_flag:
                default = parameter.to_info_dict()["default"]
                if default not in (None, "*"):  # which stands for everything
                    assert "default:" in str(parameter.help), (path, parameter.name)
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                inner = command.get_command(context, name)
                assert inner is not None
                check(inner, *path, name)

    check(cli)
    called = call(capsys, "sandbox", "--help")
    for default in ("0)", "60)", "sandbox)", "a free one)", "in memory;", "not at all)"):
        assert f"(default: {default}" in " ".join(called.out.split())


def test_the_help_of_the_sandbox_names_every_kind_of_fault(desk: Desk) -> None:
    words = re.split(r"[\s;,]+", desk.call("sandbox", "--help").out)
    assert {Fault(kind).shape for kind in KINDS} <= set(words)


def test_python_m_oauthsync_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "oauthsync", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"oauthsync {__version__}\n"
    assert installed("--version").stdout == done.stdout
