"""What is wrong is told: what, where, what to do, and by the right exit code."""

import errno
import os
import sqlite3
from pathlib import Path

import pytest

from oauthsync.sandbox import Fault
from tests.desk import DEV, PASSPHRASE, Desk, workspace
from tests.everyday import call, isolate


def test_no_token(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEV")
    called = desk.refused("export")
    assert called.code == 3
    assert "no token for workspace 'dev': environment variable DEV is not set" in called.err


def test_a_wrong_token_names_every_cause(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEV", "mistyped-canary")
    called = desk.refused("export")
    assert called.code == 3
    for cause in ("token", "region", "role", "environment", "IP"):
        assert cause in called.err


def test_an_unknown_region_lists_the_known_ones(desk: Desk) -> None:
    desk.configure('[workspaces.dev]\nregion = "mars"\ntoken_env = "DEV"\n')
    called = desk.refused("export")
    assert called.code == 2
    for region in ("us", "eu", "jp", "sg", "au", "il", "cn", "trial"):
        assert region in called.err


def test_an_unknown_workspace_names_the_nearest(desk: Desk) -> None:
    desk.done("export")
    for args in (["export", "prd"], ["plan", "--to", "prd"], ["import", "--yes", "--to", "prd"]):
        called = desk.refused(*args)
        assert called.code == 2
        assert "there is no workspace 'prd'" in called.err
        assert "did you mean prod?" in called.err


@pytest.mark.parametrize(
    "args",
    [
        ("plan", "--from"),
        ("show", "--workspace"),
        ("show", "1", "--workspace"),
        ("diff", "--workspace"),
        ("secrets", "missing", "--workspace"),
        ("snapshots", "--workspace"),
        ("log", "--workspace"),
    ],
)
def test_snapshots_of_an_unknown_workspace_name_the_nearest(desk: Desk, args: list[str]) -> None:
    """A script with a typing error in it is not to take nothing for the answer."""
    desk.done("export")
    called = desk.refused(*args, "dve")
    assert called.code == 2
    assert called.err == "error: there is no workspace 'dve'\nhint: did you mean dev?\n"


def test_a_workspace_without_a_snapshot_gets_the_command_that_takes_one(desk: Desk) -> None:
    desk.done("export")
    assert "`oauthsync export prod` takes one" in desk.refused("plan", "--from", "prod").err
    for command in ("snapshots", "log"):
        called = desk.call(command, "--workspace", "prod")
        assert (called.code, called.err) == (0, "")


def test_a_workspace_in_place_of_a_snapshot_gets_a_hint_at_the_option(desk: Desk) -> None:
    desk.done("export")
    for command in ("show", "diff", "plan", "import"):
        called = desk.refused(command, "dev")
        assert called.code == 2
        assert "hint: 'dev' is a workspace: name it by --workspace, and for a plan" in called.err
    assert "workspace" not in desk.refused("show", "elsewhere").err


@pytest.mark.parametrize(
    ("args", "hint"),
    [
        (("runs", "5"), "`oauthsync runs show 5` shows"),
        (("snapshots", "3"), "`oauthsync show 3` shows"),
        (("profiles", "12"), "`oauthsync profiles get 12` shows"),
        (("log", "prod"), "named by an option: `oauthsync log --workspace prod`"),
        (("init", "my dev"), "named by an option: `oauthsync init --workspace 'my dev'`"),
        (("show", "1", "nobody"), "`oauthsync show --help` shows"),
        (("show", "1", "dev"), "named by an option: `oauthsync show --workspace dev`"),
        (("profiles", "list", "dev"), "`oauthsync profiles list --workspace dev`"),
        (("check", "dev"), "it is about the folder; `oauthsync doctor dev` is about"),
        (("doctor", "dev", "prod"), "`oauthsync doctor --help` shows"),
        (("runs", "five"), "`oauthsync runs --help` shows"),
        (("secrets", "5"), "`oauthsync secrets --help` shows"),
    ],
)
def test_a_word_too_many_gets_a_hint_at_where_it_belongs(
    desk: Desk, args: tuple[str, ...], hint: str
) -> None:
    called = desk.refused(*args)
    assert called.code == 2
    assert hint in called.err


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("prune", "--keep-last", "x"), "'--keep-last': 'x' is not a whole number"),
        (("prune", "--keep-last", "-1"), "'--keep-last': -1 is less than 0"),
        (("plan", "--id", "0"), "'--id': 0 is less than 1"),
        (("runs", "show", "x"), "'RUN': 'x' is not a whole number"),
        (("resume", "x"), "'RUN': 'x' is not a whole number"),
        (("sandbox", "--port", "65536"), "'--port': 65536 is not from 0 to 65535"),
        (("sandbox", "--latency", "x"), "'--latency': 'x' is not a number"),
        (("sandbox", "--latency", "nan"), "'--latency': 'nan' is not a number"),
        (("sandbox", "--latency", "inf"), "'--latency': inf is not from 0 to 3600"),
        (("plan", "-o", "."), "'-o' / '--output': '.' is a folder, and no file"),
        (("show", "--dir", "oauthsync.toml"), "'--dir': 'oauthsync.toml' is a file, and no folder"),
    ],
)
def test_a_value_that_is_not_taken_is_told_in_plain_words(
    desk: Desk, args: tuple[str, ...], told: str
) -> None:
    called = desk.refused(*args)
    assert called.code == 2
    assert f"error: invalid value for {told}\n" in called.err


def test_an_option_without_its_value_hints_at_the_help_of_the_command(desk: Desk) -> None:
    for words in (["plan", "--only"], ["secrets", "set", "--client-id"], ["runs", "--dir"]):
        command = " ".join(words[:-1])
        assert f"hint: `oauthsync {command} --help` shows" in desk.call(*words).err


def test_a_folder_that_is_a_file_is_told_with_the_variable_that_names_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OAUTHSYNC_DIR", "oauthsync.toml")
    called = desk.refused("show")
    assert called.code == 2
    told = "invalid value for OAUTHSYNC_DIR: 'oauthsync.toml' is a file, and no folder"
    assert told in called.err


def test_http_to_anything_but_loopback(desk: Desk) -> None:
    desk.configure(workspace("dev", "http://workato.internal.example", "DEV"))
    called = desk.refused("export")
    assert called.code == 2
    assert "https://" in called.err


def test_a_redirect_is_not_followed(desk: Desk) -> None:
    desk.sandbox.faults = [Fault("redirect")]
    called = desk.refused("export")
    assert called.code == 5
    assert "redirected" in called.err
    assert len(desk.sandbox.requests) == 2  # one for each of the calls


def test_a_page_of_html_in_place_of_json(desk: Desk, no_patience: None) -> None:
    desk.sandbox.faults = [Fault("html")]
    called = desk.refused("export")
    assert called.code == 5
    assert "HTML" in called.err


@pytest.mark.parametrize(
    "document",
    ['"text"', '{"id": "1"}', '{"id": 1, "name": null, "provider": "x"}', '{"id": 1, "id": 1}'],
)
def test_json_of_the_wrong_shape(desk: Desk, no_patience: None, document: str) -> None:
    [profile] = desk.create("Acme")
    desk.sandbox.workspace(DEV).set_document(profile.id, document)
    assert desk.refused("export").code == 5
    assert not (desk.folder / "oauthsync.db").exists()


@pytest.fixture
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries again are not waited for."""
    monkeypatch.setattr("oauthsync.api.ATTEMPTS", 1)


def test_nobody_listens(desk: Desk, no_patience: None) -> None:
    desk.configure(workspace("dev", "http://127.0.0.1:1", "DEV"))
    called = desk.refused("export")
    assert called.code == 5
    assert "cannot connect to http://127.0.0.1:1" in called.err


@pytest.mark.parametrize("command", ["export", "snapshots", "plan", "runs"])
def test_a_database_that_is_not_one_of_ours(desk: Desk, command: str) -> None:
    with sqlite3.connect(desk.folder / "oauthsync.db") as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
    connection.close()
    called = desk.refused(command)
    assert called.code == 1
    assert "not one of oauthsync's" in called.err


def test_a_csv_with_a_missing_column(desk: Desk) -> None:
    (desk.folder / "secrets.csv").write_text("provider,client_secret\nhubspot,secret-canary\n")
    called = desk.refused("secrets", "load", "secrets.csv")
    assert called.code == 2
    assert "column client_id is missing" in called.err
    assert not (desk.folder / "secrets.age").exists()


def test_a_wrong_passphrase(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OAUTHSYNC_IDENTITY")
    monkeypatch.setenv("OAUTHSYNC_PASSPHRASE", PASSPHRASE)
    (desk.folder / "s.json").write_text(
        '[{"provider": "p", "client_id": "c", "client_secret": "s-canary"}]'
    )
    assert desk.done("secrets", "load", "s.json") == {"loaded": 1, "replaced": 0}
    monkeypatch.setenv("OAUTHSYNC_PASSPHRASE", "another-canary passphrase")
    called = desk.call("secrets", "list", "--json")
    assert (called.code, called.json["exit_code"]) == (7, 7)
    assert "the passphrase does not open" in called.err
    assert "canary" not in called.out + called.err


def test_no_sidecar(desk: Desk) -> None:
    called = desk.refused("secrets", "list")
    assert called.code == 7
    assert "there is no sidecar" in called.err


def test_nobody_to_type_the_passphrase(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OAUTHSYNC_IDENTITY")
    (desk.folder / "s.json").write_text("[]")
    (desk.folder / "s.json").write_text(
        '[{"provider": "p", "client_id": "c", "client_secret": "s-canary"}]'
    )
    called = desk.refused("secrets", "load", "s.json")
    assert called.code == 7
    for name in ("PASSPHRASE", "PASSPHRASE_FILE", "PASSPHRASE_COMMAND", "IDENTITY"):
        assert f"OAUTHSYNC_{name}" in called.err


def test_several_sources_to_unlock_are_named(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OAUTHSYNC_PASSPHRASE", PASSPHRASE)
    desk.file(("hubspot", "app"))
    called = desk.refused("secrets", "list")
    assert called.code == 2
    assert "OAUTHSYNC_PASSPHRASE and OAUTHSYNC_IDENTITY are set together" in called.err


@pytest.mark.parametrize(
    "maps", [["5"], ["a=b"], ["5=6=7"], ["=6"], ["-5=6"], ["٥=6"], ["5=6", "5=7"], ["9" * 5000]]
)
def test_a_bad_map(desk: Desk, maps: list[str]) -> None:
    desk.done("export")
    called = desk.refused("plan", *(text for each in maps for text in ("--map", each)))
    assert called.code == 2
    assert "--map" in called.err


def test_a_folder_that_is_not_there(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for command in ("export", "snapshots", "plan", "runs"):
        called = desk.refused(command, "--dir", "nowhere")
        assert called.code == 2
        assert "there is no backup folder nowhere" in called.err
        assert "or check --dir\n" in called.err
    assert desk.refused("snapshots", "--dir", "oauthsync.toml").code == 2
    monkeypatch.setenv("OAUTHSYNC_DIR", "nowhere/")
    assert "or check OAUTHSYNC_DIR\n" in desk.refused("snapshots").err
    assert "or check --dir\n" in desk.refused("snapshots", "--dir", "elsewhere").err


def test_a_configuration_that_does_not_parse(desk: Desk) -> None:
    for text in ("[workspaces", "unknown = 1", '[workspaces.dev]\nregoin = "us"'):
        desk.configure(text)
        assert desk.refused("export").code == 2


@pytest.mark.parametrize(
    "args",
    [
        ["snapshots", "--unknown"],
        ["snapshots", "surplus"],
        ["exprot"],
        ["secrets"],
        ["secrets", "unknown"],
        ["secrets", "set"],
        ["plan", "--on-existing", "replace"],
        ["plan", "--id", "x"],
        ["plan", "--id", "0"],
        ["plan", "--markdown"],
        ["plan", "--overrides", "nowhere.toml"],
        ["import", "--plan", "nowhere.plan"],
        ["snapshots", "-q", "-v"],
        ["runs", "show"],
        ["runs", "show", "x"],
        ["sandbox", "--fault", "POST:unheard-of"],
        ["sandbox", "--port", "99999"],
    ],
)
def test_wrong_usage_ends_with_2(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    args: list[str],
) -> None:
    isolate(monkeypatch, tmp_path)
    called = call(capsys, *args, "--json")
    assert called.code == 2, called.err
    assert called.json["exit_code"] == 2
    assert called.json["hint"]
    assert called.err.splitlines()[0].startswith("error: ")
    assert called.err.splitlines()[1].startswith("hint: ")


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["exprot"], "error: no such command 'exprot'\nhint: did you mean export?\n"),
        (["runs", "shw"], "error: no such command 'shw'\nhint: did you mean show?\n"),
        (["export", "--al"], "error: no such option '--al'\nhint: did you mean --all?\n"),
    ],
)
def test_a_mistyped_word_gets_a_suggestion(desk: Desk, args: list[str], told: str) -> None:
    assert desk.refused(*args).err == told


@pytest.mark.parametrize(
    ("args", "instead"),
    [
        (["--json", "snapshots"], "`oauthsync COMMAND --json`"),
        (["-q", "export"], "`oauthsync COMMAND -q`"),
        (["secrets", "--json", "list"], "`oauthsync secrets COMMAND --json`"),
        (["runs", "--id-map", "show", "1"], "`oauthsync runs COMMAND --id-map`"),
    ],
)
def test_an_option_before_the_commands_name_is_told_where_it_belongs(
    desk: Desk, args: list[str], instead: str
) -> None:
    called = desk.call(*args)
    assert called.code == 2
    assert "before a command's name" in called.err
    assert f"hint: options come after it: {instead}\n" in called.err
    assert "did you mean" not in called.err.lower()


@pytest.mark.parametrize("group", [[], ["secrets"], ["profiles"]])
def test_without_a_command_help_is_shown_and_the_usage_is_wrong(
    desk: Desk, group: list[str]
) -> None:
    called = desk.call(*group)
    assert (called.code, called.out) == (2, "")
    assert called.err == desk.call(*group, "--help").out


@pytest.mark.parametrize(
    ("word", "command"), [("restore", "import"), ("migrate", "import"), ("backup", "export")]
)
def test_a_word_for_what_has_another_name_here_gets_that_suggested(
    desk: Desk, word: str, command: str
) -> None:
    assert f"hint: did you mean {command}?\n" in desk.refused(word, "3").err


# errors that nobody expected


def test_a_defect_shows_where_it_is_and_no_value(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_args: object, **_options: object) -> None:
        raise KeyError("secret-canary")

    desk.done("export")
    monkeypatch.setattr("oauthsync.snapshots.Snapshots.all", broken)
    for verbose in ([], ["-v"]):
        called = desk.refused("snapshots", *verbose)
        assert called.code == 1
        assert "unexpected KeyError in test_cli_errors.py, line " in called.err
        assert "please report it" in called.err


def test_an_error_of_the_system_is_told_in_its_words(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_args: object, **_options: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), "some/file")

    desk.done("export")
    monkeypatch.setattr("oauthsync.snapshots.Snapshots.all", broken)
    called = desk.refused("snapshots")
    assert (called.code, "Too many open files: some/file" in called.err) == (1, True)


def test_ctrl_c_ends_with_130_and_says_how_to_go_on(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_args: object, **_options: object) -> None:
        raise KeyboardInterrupt

    desk.done("export")
    monkeypatch.setattr("oauthsync.snapshots.Snapshots.all", interrupted)
    monkeypatch.setattr("oauthsync.api.Api.page", interrupted)
    unread = "no snapshot was taken of what was still being read: call it again"
    for args, hint in (
        (["snapshots"], None),
        (["export"], unread),
        (["export", "--all"], f"{unread}; `oauthsync snapshots` lists those that were taken"),
        (["import", "1"], "nothing was written"),
        (["profiles", "delete", "1"], "nothing was written"),
    ):
        called = desk.call(*args, "--json")
        assert (called.code, called.json["error"]) == (130, "interrupted")
        assert called.json["hint"] == hint


# what goes wrong beside a command


def test_a_quota_that_is_not_shared_is_a_warning_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/dev/null")
    warning = "warning: the budget of requests is not shared with your other processes: /dev/null/"
    for args in (["export", "--all"], ["export", "--all", "-q"], ["diff"], ["profiles", "list"]):
        called = desk.call(*args)
        assert (called.code, called.err.count(warning)) == (0, 1), args
    called = desk.call("doctor")
    assert (called.err, "warning   quota: " in called.out) == ("", True)


@pytest.mark.parametrize("args", [["export"], ["diff"], ["plan"], ["import", "--yes"]])
def test_the_command_that_gives_a_token_runs_once(desk: Desk, args: list[str]) -> None:
    [profile] = desk.create("Acme")
    desk.file(("hubspot", "app"))
    desk.done("export")
    desk.sandbox.workspace(DEV).delete(profile.id)
    config = desk.folder / "oauthsync.toml"
    script = "echo run >> runs.txt; echo " + DEV
    command = f"token_command = 'sh -c \"{script}\"'"
    desk.configure(config.read_text().replace('token_env = "DEV"', command))
    assert desk.call(*args).code == 0
    assert (desk.folder / "runs.txt").read_text() == "run\n"
