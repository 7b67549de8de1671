"""`init`, `doctor` and `profiles` do what they say, for people and for jobs, and leak nothing."""

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauthsync import init
from oauthsync.config import REGIONS, Config, load
from oauthsync.sandbox import Fault, Sandbox
from tests.everyday import TOKEN, Called, by_name, call, configure, converse, identity, isolate

Capsys = pytest.CaptureFixture[str]


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    return isolate(monkeypatch, tmp_path)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox([TOKEN], profiles=3, requests_per_minute=100_000) as running:
        yield running


def written(folder: Path, **environ: str) -> Config:
    return load(folder, environ, folder / "home")


# init


def test_init_writes_a_file_that_loads_and_tries_the_token_by_one_request(
    folder: Path, sandbox: Sandbox, capsys: Capsys
) -> None:
    args = ("--workspace", "dev", "--url", sandbox.url, "--token-env", "TOKEN", "--json")
    called = call(capsys, "init", *args)
    assert (called.code, called.json) == (
        0,
        {
            "file": str(Path("oauthsync.toml")),
            "workspace": "dev",
            "url": sandbox.url,
            "tried": True,
        },
    )
    assert [request.path for request in sandbox.requests] == [
        "/api/custom_oauth_profiles?page=1&per_page=100"
    ]
    file = folder / "oauthsync.toml"
    assert file.stat().st_mode & 0o777 == 0o600
    assert TOKEN not in file.read_text() + called.out + called.err
    workspace = written(folder, TOKEN=TOKEN).workspace(None)
    assert (workspace.name, workspace.url) == ("dev", sandbox.url)
    assert workspace.token().reveal() == TOKEN


def test_init_never_writes_over_a_file(folder: Path, sandbox: Sandbox, capsys: Capsys) -> None:
    args = ("--workspace", "dev", "--url", sandbox.url, "--token-env", "TOKEN")
    (folder / "oauthsync.toml").write_text("# mine")
    called = call(capsys, "init", *args)
    assert called.code == 1
    assert "oauthsync.toml is there already" in called.err
    assert (folder / "oauthsync.toml").read_text() == "# mine"
    (folder / "oauthsync.toml").write_text("[mine")
    called = call(capsys, "init", *args)
    assert (called.code, "oauthsync.toml is not valid TOML" in called.err) == (2, True)
    (folder / "oauthsync.toml").unlink()
    (folder / "oauthsync.toml").symlink_to(folder / "nowhere")
    called = call(capsys, "init", *args)
    assert (called.code, "oauthsync.toml is a symbolic link to nothing" in called.err) == (2, True)
    assert not (folder / "nowhere").exists()
    assert not sandbox.requests


def test_init_shows_the_lines_that_add_a_workspace_to_a_file(
    folder: Path, sandbox: Sandbox, capsys: Capsys
) -> None:
    args = ("--workspace", "dev", "--url", sandbox.url, "--token-env", "TOKEN")
    assert call(capsys, "init", *args).code == 0
    file = folder / "oauthsync.toml"
    for workspace, place in (
        ("prod", ()),
        ("my.prod", ("--region", "jp")),
        ("Ünï", ("--url", sandbox.url)),
    ):
        called = call(capsys, "init", "--workspace", workspace, *place)
        assert called.code == 1
        lines = called.err.partition("put lines like these at its end:\n\n")[2]
        # Indented lines are not wrapped: a value of TOML must not be torn apart.
        assert all(line.startswith("  ") for line in lines.strip("\n").splitlines())
        file.write_text(f"{file.read_text()}\n{lines}")
    config = written(folder, WORKATO_MY_PROD_TOKEN="t")
    assert [*config.workspaces] == ["dev", "prod", "my.prod", "Ünï"]
    assert config.workspace("prod").url == REGIONS["eu"]
    assert config.workspace("Ünï").url == sandbox.url
    assert config.workspace("my.prod").url == REGIONS["jp"]
    assert config.workspace("my.prod").token().reveal() == "t"
    assert config.default_workspace == "dev"


def test_init_shows_no_token_that_was_given_in_place_of_a_name(
    folder: Path, capsys: Capsys
) -> None:
    (folder / "oauthsync.toml").write_text("# mine")
    called = call(capsys, "init", "--token-env", "wrkaus-canary")
    assert called.code == 2
    assert "token_env is not the name of an environment variable" in called.err
    assert "canary" not in called.err


def test_init_shows_no_lines_for_a_workspace_that_the_file_has(
    folder: Path, sandbox: Sandbox, capsys: Capsys
) -> None:
    args = ("--workspace", "prod", "--url", sandbox.url, "--token-env", "TOKEN")
    assert call(capsys, "init", *args).code == 0
    for again in (args, ()):  # without a name, the lines would be those of `prod`
        called = call(capsys, "init", *again)
        assert called.code == 1
        assert "oauthsync.toml is there already, and has a workspace 'prod'" in called.err
        assert "[workspaces." not in called.err


def test_init_names_the_options_that_nobody_can_be_asked_for(folder: Path, capsys: Capsys) -> None:
    token = "--token-env, --token-file or --token-command"
    for args, missing in (
        ((), f"--workspace, and --region or --url, and {token}"),
        (("--workspace", "dev", "--region", "us"), token),
        (("--workspace", "dev", "--token-env", "A"), "--region or --url"),
    ):
        called = call(capsys, "init", *args, "--no-input")
        assert called.code == 2
        assert f"hint: give {missing}\n" in called.err
    assert not list(folder.iterdir())


def test_init_writes_nothing_where_the_token_does_not_work_unless_told_to(
    folder: Path, sandbox: Sandbox, capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "another-canary")
    args = ("--workspace", "dev", "--url", sandbox.url, "--token-env", "TOKEN")
    called = call(capsys, "init", *args)
    assert called.code == 3
    assert "401" in called.err
    assert "--no-check" in called.err
    assert "another-canary" not in called.err
    assert not (folder / "oauthsync.toml").exists()
    called = call(capsys, "init", *args, "--no-check", "--json")
    assert (called.code, called.json["tried"]) == (0, False)
    assert len(sandbox.requests) == 1
    assert written(folder).workspace("dev").url == sandbox.url


@pytest.mark.parametrize("token", [TOKEN, "another-canary"])
def test_init_refuses_a_command_that_holds_the_token(
    folder: Path, sandbox: Sandbox, capsys: Capsys, token: str
) -> None:
    args = ("--workspace", "dev", "--url", sandbox.url, "--token-command", f"echo {token}")
    called = call(capsys, "init", *args)
    assert called.code == 2
    assert "token_command holds the token itself" in called.err
    assert "canary" not in called.err
    answers = [("[prompt]", "")]
    code, _, shown = converse(["init", *args], answers, COLUMNS="400")
    assert (code, "token_command holds the token itself" in shown) == (2, True), shown
    assert not (folder / "oauthsync.toml").exists()
    assert not sandbox.requests


def test_init_asks_a_command_once_for_the_token(
    folder: Path, sandbox: Sandbox, capsys: Capsys, tmp_path: Path
) -> None:
    """It may ask a person in its turn."""
    script = tmp_path / "token"
    script.write_text(f"#!/bin/sh\necho asked >> {tmp_path}/log\necho {TOKEN}\n")
    script.chmod(0o700)
    args = ("--workspace", "dev", "--url", sandbox.url, "--token-command", str(script))
    assert call(capsys, "init", *args).code == 0
    assert (tmp_path / "log").read_text() == "asked\n"


def test_init_tries_a_token_once_and_says_where(
    folder: Path, sandbox: Sandbox, capsys: Capsys
) -> None:
    sandbox.faults = [Fault("500")]
    args = ("--workspace", "dev", "--url", sandbox.url, "--token-env", "TOKEN")
    called = call(capsys, "init", *args)
    assert (called.code, len(sandbox.requests)) == (5, 1)
    assert called.err.startswith(f"trying the token at {sandbox.url}\nerror: ")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--region", "us", "--token-env", "canary token"), "not the name of an environment"),
        (("--region", "us", "--token-env", "A", "--token-file", "b"), "given together"),
        (("--region", "us", "--url", "https://x.example", "--token-env", "A"), "given together"),
        (("--region", "canary", "--token-env", "A"), "not a region"),
        (("--url", "http://x.example", "--token-env", "A"), "https://"),
        (("--region", "us", "--token-command", "'canary"), "not a command"),
        (("--region", "us", "--token-file", "canary\n"), "control character"),
        (("--region", "us", "--token-file", ""), "nothing was given for token_file"),
        (("--region", "us", "--token-env", "A", "--identity", "AGE-SECRET-KEY-1C"), "path"),
        (("--region", "us", "--token-env", "A", "--recipient", "age1canary"), "recipient"),
        (
            ("--region", "us", "--token-env", "A", "--passphrase-file", "p", "--recipient", "age1"),
            "both recipients",
        ),
        (("--region", "us", "--token-env", "A", "--workspace", "-canary"), "cannot be called that"),
    ],
)
def test_init_refuses_a_bad_answer_and_shows_no_value_that_may_be_a_secret(
    folder: Path, capsys: Capsys, args: tuple[str, ...], said: str
) -> None:
    called = call(capsys, "init", "--workspace", "dev", "--no-check", *args)
    assert called.code == 2
    assert said in called.err
    assert "canary" not in called.err
    assert not list(folder.iterdir())


def test_init_takes_a_path_as_the_shell_means_it(
    folder: Path, capsys: Capsys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text(TOKEN)
    monkeypatch.chdir(tmp_path)
    args = ("--workspace", "dev", "--region", "eu", "--token-file", "token", "--no-check")
    assert call(capsys, "init", "--dir", "backup", *args).code == 0
    assert written(folder).workspace("dev").token().reveal() == TOKEN


NAMES = st.from_regex(r"\w[\w.-]{0,20}", fullmatch=True)
TEXTS = st.text(
    st.characters(exclude_categories=["Cc", "Cs"], codec="utf-8"), min_size=1, max_size=20
)
VARIABLES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True)
PLACES = st.sampled_from([*REGIONS, "https://workato.example", "https://w.example:8443"])
TOKENS = st.one_of(
    VARIABLES.map(lambda text: init.Setting("token_env", text)),
    TEXTS.map(lambda text: init.Setting("token_file", text)),
)
UNLOCKS = st.one_of(
    st.none(),
    TEXTS.map(lambda text: init.Setting("passphrase_file", text)),
    TEXTS.filter(lambda text: not text.upper().startswith("AGE-")).map(
        lambda text: init.Setting("identity", text)
    ),
)


@given(st.builds(init.Setup, NAMES, PLACES, TOKENS, UNLOCKS))
def test_whatever_the_answers_are_the_file_says_the_same(
    tmp_path_factory: pytest.TempPathFactory, answers: init.Setup
) -> None:
    folder = tmp_path_factory.mktemp("folder")
    before = load(folder, {}, folder)
    tried = init.check(answers, folder, before.sources)
    init.write(folder, answers)
    config = load(folder, {}, folder)
    workspace = config.workspace(None)
    assert (workspace.name, workspace.url) == (answers.workspace, tried.url)
    table = tomllib.loads((folder / "oauthsync.toml").read_text(encoding="utf-8"))
    assert table["workspaces"][answers.workspace][answers.token.key] == answers.token.text
    assert table.get("secrets", {}) == answers.secrets


def test_init_asks_a_person_again_until_an_answer_is_good(folder: Path, sandbox: Sandbox) -> None:
    code, out, shown = converse(
        ["init"],
        [
            ("call the workspace [dev]", ""),
            ("or the URL of a private Workato [us]", "mars"),
            ("or the URL of a private Workato [us]", sandbox.url),
            ("(env, file, command) [env]", ""),
            ("[WORKATO_DEV_TOKEN]", "TOKEN"),
            ("(prompt, command, file, identity) [prompt]", "file"),
            ("The file with the passphrase", ""),
            ("The file with the passphrase", "~/passphrase"),
        ],
        COLUMNS="400",
    )
    assert (code, "wrote oauthsync.toml" in out) == (0, True), shown
    assert "try again: that is not a region" in shown
    assert "try again: nothing was given for passphrase_file (a name, path or" in shown
    config = written(folder, TOKEN=TOKEN)
    assert config.workspace("dev").url == sandbox.url
    unlock = config.unlock()
    assert unlock is not None
    assert unlock.kind == "passphrase"
    [line] = [line for line in shown.splitlines() if "warning" in line]
    assert "passphrase_file in oauthsync.toml names cannot be read: No such file" in line


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("--workspace", "-dev"), "a workspace cannot be called that here"),
        (("--region", "mars"), "that is not a region"),
        (("--url", "http://workato.example"), "the URL must begin with https://"),
        (("--token-env", "a token"), "token_env is not the name of an environment variable"),
        (("--recipient", "age1bogus"), "the recipient is malformed"),
    ],
)
def test_init_asks_nothing_where_an_option_is_wrong(
    folder: Path, args: tuple[str, ...], told: str
) -> None:
    code, _, shown = converse(["init", *args], [], COLUMNS="400")
    assert (code == 2, shown.startswith("error: "), told in shown) == (True, True, True), shown


def test_ctrl_c_in_init_says_that_nothing_was_written(folder: Path) -> None:
    code, _, shown = converse(["init"], [("call the workspace [dev]", "\x03")])
    assert code == 130
    assert "hint: nothing was written" in shown
    assert not list(folder.iterdir())


@pytest.mark.parametrize("answer", ["y", "n"])
def test_init_lets_a_person_go_on_with_a_token_that_does_not_work_yet(
    folder: Path, sandbox: Sandbox, answer: str
) -> None:
    args = ["init", "--workspace", "dev", "--url", sandbox.url, "--token-env", "REFUSED"]
    code, _, shown = converse(
        args,
        [
            ("[prompt]", ""),
            ("Write the file all the same? [y/N]", "perhaps"),
            ("Write the file all the same? [y/N]", answer),
        ],
        REFUSED="other",
    )
    assert code == (0 if answer == "y" else 1), shown
    assert (folder / "oauthsync.toml").exists() == (answer == "y")


def test_init_warns_of_an_identity_that_is_not_there(
    folder: Path, sandbox: Sandbox, capsys: Capsys
) -> None:
    args = ("init", "--workspace", "dev", "--url", sandbox.url, "--token-env", "TOKEN")
    called = call(capsys, *args, "--identity", "canary.txt")
    assert called.code == 0
    assert "identity in oauthsync.toml names: there is no such file" in called.err
    assert "canary" not in called.err
    (folder / "oauthsync.toml").unlink()
    identity(folder.parent)
    assert "warning" not in call(capsys, *args, "--identity", "../key.txt").err


def test_init_says_once_that_a_token_is_not_there_yet_and_writes_the_file(
    folder: Path, sandbox: Sandbox
) -> None:
    args = ["init", "--workspace", "dev", "--url", sandbox.url, "--token-env", "UNSET"]
    code, out, shown = converse(args, [("[prompt]", "")])
    assert (code, "the token is not tried" in out) == (0, True), shown
    assert "UNSET is not set, so the token cannot be tried" in shown.split("[prompt]")[0]
    told = shown.split("[prompt]")[1]
    assert "next: `oauthsync doctor`, once environment variable UNSET gives the token" in told
    assert "warning" not in told
    assert written(folder).workspace("dev").url == sandbox.url


# doctor


def examine(capsys: Capsys, *args: str) -> Called:
    return call(capsys, "doctor", "--json", *args)


def test_doctor_finds_nothing_wrong_with_a_folder_that_works(
    folder: Path, sandbox: Sandbox, capsys: Capsys
) -> None:
    configure(folder, sandbox.url)
    assert call(capsys, "export").code == 0
    called = examine(capsys)
    assert (called.code, called.json["ok"]) == (0, True)
    statuses = {name: check["status"] for name, check in by_name(called.json).items()}
    assert "failed" not in statuses.values()
    assert statuses["exports"] == "ok"
    assert all(
        set(check) == {"name", "status", "message", "hint"} for check in called.json["checks"]
    )


def test_doctor_says_for_people_what_is_wrong_and_what_to_do(
    folder: Path, sandbox: Sandbox, capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(folder, sandbox.url)
    monkeypatch.setenv("TOKEN", "another-canary")
    called = call(capsys, "doctor")
    assert called.code == 3
    assert "failed    token: " in called.out
    assert "→ check each of: the token" in called.out
    assert "untested  region: " in called.out
    assert "canary" not in called.out + called.err


def test_doctor_says_once_why_several_things_are_untested(folder: Path, capsys: Capsys) -> None:
    called = call(capsys, "doctor")
    [line] = [line for line in called.out.splitlines() if "no workspace is known" in line]
    assert line.startswith("untested  token, network, region, privilege to list, ")
    named = by_name(examine(capsys).json)
    assert {named[name]["status"] for name in ("token", "network", "clock")} == {"untested"}


def test_doctor_suggests_nothing_that_takes_a_workspace_where_none_is_known(
    folder: Path, sandbox: Sandbox, capsys: Capsys
) -> None:
    def hints() -> str:
        checks = examine(capsys).json["checks"]
        return " ".join(check["hint"] for check in checks if check["status"] == "warning")

    assert hints().count("`oauthsync init`") == 2, "of the database and of the sidecar"
    assert not any(command in hints() for command in ("oauthsync export", "oauthsync secrets"))
    configure(folder, sandbox.url)
    assert all(command in hints() for command in ("oauthsync export", "oauthsync secrets fill"))


def test_doctor_ends_with_the_code_of_what_failed(
    folder: Path, sandbox: Sandbox, capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(folder, sandbox.url, "typo = 1\n")
    assert examine(capsys).code == 2
    configure(folder, sandbox.url)
    assert examine(capsys, "nobody").code == 2
    (folder / "secrets.age").write_text("no sidecar")
    assert examine(capsys).code == 7
    sandbox.faults = [Fault.parse("list:redirect")]
    assert examine(capsys).code == 5
    monkeypatch.delenv("TOKEN")
    called = examine(capsys)
    assert called.code == 3
    assert by_name(called.json)["sidecar"]["status"] == "failed"
