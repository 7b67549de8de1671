"""The sidecar opens with the one source that is set."""

import sys
from pathlib import Path

import pytest

from oauthsync.config import Unlock, load
from oauthsync.errors import SidecarError, UsageError


def unlock(tmp_path: Path, secrets: str = "", **environ: str) -> Unlock | None:
    (tmp_path / "oauthsync.toml").write_text(f"[secrets]\n{secrets}\n")
    return load(tmp_path, environ, tmp_path / "home").unlock()


def passphrase(found: Unlock | None) -> str:
    assert found is not None
    assert found.kind == "passphrase"
    return found.passphrase().reveal()


def test_without_any_source_nothing_opens_it(tmp_path: Path) -> None:
    assert unlock(tmp_path) is None
    assert load(tmp_path / "missing", {}, tmp_path).unlock() is None


def test_an_empty_variable_counts_as_not_set(tmp_path: Path) -> None:
    (tmp_path / "pass").write_text("from file")
    found = unlock(tmp_path, "", OAUTHSYNC_PASSPHRASE="", OAUTHSYNC_IDENTITY="")
    assert found is None
    found = unlock(tmp_path, "passphrase_file = 'pass'", OAUTHSYNC_PASSPHRASE="")
    assert passphrase(found) == "from file"


def test_the_passphrase_comes_from_the_variable_itself(tmp_path: Path) -> None:
    found = unlock(tmp_path, OAUTHSYNC_PASSPHRASE=" kept as it is ")
    assert passphrase(found) == " kept as it is "
    assert found is not None
    assert found.source == "environment variable OAUTHSYNC_PASSPHRASE"
    assert "kept" not in repr(found)


def test_the_passphrase_comes_from_a_file_named_by_a_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Relative to the current folder, not to the backup folder; `~` is the given home."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "pass").write_text("at home\n")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "pass").write_text("from here\n")
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert passphrase(unlock(tmp_path, OAUTHSYNC_PASSPHRASE_FILE="pass")) == "from here"
    assert passphrase(unlock(tmp_path, OAUTHSYNC_PASSPHRASE_FILE="~/pass")) == "at home"


def test_the_passphrase_comes_from_a_command(tmp_path: Path) -> None:
    command = f"{sys.executable} -c 'print(1234)'"
    assert passphrase(unlock(tmp_path, OAUTHSYNC_PASSPHRASE_COMMAND=command)) == "1234"
    assert passphrase(unlock(tmp_path, f'passphrase_command = "{command}"')) == "1234"


def test_a_passphrase_command_sees_no_token(tmp_path: Path) -> None:
    (tmp_path / "oauthsync.toml").write_text(
        f"""
        [workspaces.dev]
        region = "us"
        token_env = "MY_TOKEN"
        [secrets]
        passphrase_command = "{sys.executable} -c 'import os; print(os.environ)'"
        """
    )
    environ = {"MY_TOKEN": "canary-1", "WORKATO_API_TOKEN": "canary-2", "OTHER": "visible"}
    seen = passphrase(load(tmp_path, environ, tmp_path).unlock())
    assert "visible" in seen
    assert "canary" not in seen


def test_files_of_the_configuration_start_from_its_folder(tmp_path: Path) -> None:
    (tmp_path / "pass").write_text("abc\r\n")
    assert passphrase(unlock(tmp_path, "passphrase_file = 'pass'")) == "abc"
    found = unlock(tmp_path, "identity = 'key.txt'")
    assert found is not None
    assert (found.kind, found.identity) == ("identity", tmp_path / "key.txt")


def test_an_identity_comes_with_its_recipients(tmp_path: Path) -> None:
    found = unlock(tmp_path, "identity = '~/key.txt'\nrecipients = ['age1abc', 'age1def']")
    assert found is not None
    assert found.identity == tmp_path / "home" / "key.txt"
    assert load(tmp_path, {}, tmp_path).recipients == ("age1abc", "age1def")


def test_recipients_alone_are_for_those_whose_identity_a_variable_names(tmp_path: Path) -> None:
    assert unlock(tmp_path, "recipients = ['age1abc']") is None
    found = unlock(tmp_path, "recipients = ['age1abc']", OAUTHSYNC_IDENTITY="/keys/mine")
    assert found is not None
    assert (found.kind, found.identity) == ("identity", Path("/keys/mine"))


@pytest.mark.parametrize("secrets", ["passphrase_file = 'nowhere'", "identity = 'nowhere'"])
def test_the_environment_overrides_the_configuration(tmp_path: Path, secrets: str) -> None:
    assert passphrase(unlock(tmp_path, secrets, OAUTHSYNC_PASSPHRASE="abc")) == "abc"
    found = unlock(tmp_path, secrets, OAUTHSYNC_IDENTITY="/keys/mine")
    assert found is not None
    assert found.kind == "identity"


def test_two_variables_are_an_error_that_names_them(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        unlock(tmp_path, OAUTHSYNC_PASSPHRASE="canary", OAUTHSYNC_IDENTITY="canary")
    assert str(caught.value) == "OAUTHSYNC_PASSPHRASE and OAUTHSYNC_IDENTITY are set together"


@pytest.mark.parametrize(
    ("secrets", "named"),
    [
        (
            "passphrase_file = 'a'\npassphrase_command = 'b'",
            "passphrase_command and passphrase_file",
        ),
        ("passphrase_file = 'a'\nidentity = 'b'", "passphrase_file and identity"),
        ("passphrase_file = 'a'\nrecipients = ['age1b']", "recipients and passphrase_file"),
        ("passphrase_command = 'a'\nrecipients = ['age1b']", "recipients and passphrase_command"),
    ],
)
def test_two_sources_in_the_configuration_are_an_error_that_names_them(
    tmp_path: Path, secrets: str, named: str
) -> None:
    with pytest.raises(UsageError, match=named):
        unlock(tmp_path, secrets)


@pytest.mark.parametrize("key", ["AGE-SECRET-KEY-1CANARY", "age-secret-key-pq-1canary"])
def test_an_identity_in_place_of_its_path_is_refused_unquoted(tmp_path: Path, key: str) -> None:
    for secrets, environ in ((f"identity = '{key}'", {}), ("", {"OAUTHSYNC_IDENTITY": key})):
        with pytest.raises(UsageError, match="path of its file") as caught:
            unlock(tmp_path, secrets, **environ)
        assert "canary" not in f"{caught.value} {caught.value.hint}".lower()


@pytest.mark.parametrize("item", ["AGE-SECRET-KEY-1CANARY", "ssh-ed25519 CANARY", "CANARY"])
def test_what_is_no_recipient_is_refused_unquoted(tmp_path: Path, item: str) -> None:
    with pytest.raises(UsageError, match=r"secrets\.recipients in .* is not an age recipient"):
        unlock(tmp_path, f"identity = 'x'\nrecipients = ['age1abc', '{item}']")


@pytest.mark.parametrize("key", ["passphrase", "identity_key", "password"])
def test_a_passphrase_in_the_configuration_is_refused_unquoted(tmp_path: Path, key: str) -> None:
    with pytest.raises(UsageError, match=rf"secrets\.{key} in ") as caught:
        unlock(tmp_path, f"{key} = 'canary'")
    assert caught.value.hint
    assert "passphrase_command" in caught.value.hint
    assert "canary" not in f"{caught.value} {caught.value.hint}"


def test_a_source_that_gives_nothing_is_an_error_of_the_sidecar(tmp_path: Path) -> None:
    found = unlock(tmp_path, OAUTHSYNC_PASSPHRASE_FILE="canary")
    assert found is not None
    with pytest.raises(SidecarError) as caught:
        found.passphrase()
    assert caught.value.exit_code == 7
    assert str(caught.value).startswith(
        "no passphrase: the file that OAUTHSYNC_PASSPHRASE_FILE names cannot be read"
    )
    assert "canary" not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize("text", ["canary\nline", "canary\n", "canary\r", "can\0ary"])
def test_a_passphrase_of_several_lines_is_refused_unquoted(tmp_path: Path, text: str) -> None:
    found = unlock(tmp_path, OAUTHSYNC_PASSPHRASE=text)
    assert found is not None
    with pytest.raises(SidecarError, match="one line") as caught:
        found.passphrase()
    assert "canary" not in f"{caught.value} {caught.value.hint}"
