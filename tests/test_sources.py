"""A secret is read from its one source, whole, and shown by no error."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oauthsync.errors import UsageError
from oauthsync.sources import (
    MAX_SECRET_SIZE,
    FromCommand,
    FromFile,
    FromVariable,
    Source,
    SourceError,
    Sources,
)
from tests.leaks import shown

HOME = Path("/home/someone")


def sources(folder: Path | None = None, **environ: str) -> Sources:
    return Sources(environ, HOME, folder, frozenset({"WORKATO_API_TOKEN", "DEV_TOKEN"}))


def python(script: str, *, timeout: float = 30, **environ: str) -> FromCommand:
    return FromCommand((sys.executable, "-c", script), "key", environ, timeout=timeout)


def failure(source: Source) -> str:
    """The error of a read; it does not show the canary, nor does the source itself."""
    with pytest.raises(SourceError) as caught:
        source.read()
    text = str(caught.value)
    assert text.startswith(source.description)
    assert caught.value.hint
    assert "canary" not in shown(caught.value) + repr(source)
    return text


def test_a_variable_gives_its_value_as_it_is() -> None:
    assert FromVariable("X", {"X": " a\n"}).read().reveal() == " a\n"


def test_a_variable_is_read_when_its_secret_is_asked_for() -> None:
    environ = {"X": "old"}
    source = FromVariable("X", environ)
    environ["X"] = "new"
    assert source.read().reveal() == "new"


@pytest.mark.parametrize(
    ("environ", "why"),
    [({}, "not set"), ({"X": ""}, "empty"), ({"X": "canary\udcff"}, "not UTF-8")],
)
def test_a_variable_without_a_usable_value_says_so(environ: dict[str, str], why: str) -> None:
    assert failure(FromVariable("X", environ)) == f"environment variable X is {why}"


@pytest.mark.parametrize(
    ("content", "secret"),
    [
        (b"abc", "abc"),
        (b"abc\n", "abc"),
        (b"abc\r\n", "abc"),
        (b"abc\n\n", "abc\n"),
        (b"abc\r\n\r\n", "abc\r\n"),
        (b"abc\r", "abc\r"),
        (b" abc \n", " abc "),
        ("pä\n".encode(), "pä"),
    ],
)
def test_exactly_one_trailing_newline_is_no_part_of_a_file_or_an_output(
    tmp_path: Path, content: bytes, secret: str
) -> None:
    path = tmp_path / "secret"
    path.write_bytes(content)
    assert FromFile(path, "key").read().reveal() == secret
    script = f"import sys; sys.stdout.buffer.write({content!r})"
    assert python(script).read().reveal() == secret


@settings(deadline=None)  # how long a disk takes is not the matter
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40))
def test_a_secret_survives_its_file(tmp_path_factory: pytest.TempPathFactory, secret: str) -> None:
    path = tmp_path_factory.mktemp("s") / "secret"
    path.write_bytes(secret.encode() + b"\r\n")
    assert FromFile(path, "key").read().reveal() == secret


@pytest.mark.parametrize("content", [b"", b"\n", b"\r\n", b"\xff\xfe canary"])
def test_a_file_or_an_output_without_a_secret_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "secret"
    path.write_bytes(content)
    assert "gives" in failure(FromFile(path, "key"))
    assert "gives" in failure(python(f"import sys; sys.stdout.buffer.write({content!r})"))


def test_a_file_that_is_a_link_is_followed(tmp_path: Path) -> None:
    """Clusters mount secrets as links."""
    (tmp_path / "..data").mkdir()
    (tmp_path / "..data" / "token").write_text("abc")
    (tmp_path / "token").symlink_to("..data/token")
    assert FromFile(tmp_path / "token", "key").read().reveal() == "abc"


def test_a_file_that_cannot_be_read_says_why_and_not_its_path(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "canary.fifo")
    (tmp_path / "canary.large").write_bytes(b"x" * (MAX_SECRET_SIZE + 1))
    assert "No such file" in failure(FromFile(tmp_path / "canary", "key"))
    assert "name too long" in failure(FromFile(tmp_path / ("canary" * 60), "key"))
    assert "not a regular file" in failure(FromFile(tmp_path / "canary.fifo", "key"))
    assert "not a regular file" in failure(FromFile(tmp_path, "key"))
    assert "larger than" in failure(FromFile(tmp_path / "canary.large", "key"))


def test_a_file_that_cannot_be_read_says_which_folder_its_path_leads_into(tmp_path: Path) -> None:
    """That one is there, so it is no secret that stands in place of a path."""
    for path in ("canary", "canary/canary", "../" + tmp_path.name + "/canary"):
        with pytest.raises(SourceError) as caught:
            sources(tmp_path).source("file", path, "key").read()
        hint = str(caught.value.hint)
        assert Path(hint.rpartition(" into the folder ")[2]).samefile(tmp_path)
        assert "canary" not in hint


def test_a_command_that_fails_says_its_status_and_not_its_output() -> None:
    text = failure(python("print('canary'); raise SystemExit(3)"))
    assert text == "the command that key gives failed with exit status 3"


def test_a_command_that_a_signal_ends_says_the_signal() -> None:
    assert "signal 15" in failure(python("import os; os.kill(os.getpid(), 15)"))


def test_what_a_command_says_to_its_user_reaches_the_user(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert python("import sys; print('touch it', file=sys.stderr); print('abc')").read()
    assert capfd.readouterr().err == "touch it\n"


def test_a_command_that_is_not_there_is_not_quoted(tmp_path: Path) -> None:
    missing = FromCommand((str(tmp_path / "canary"),), "key", {})
    assert "cannot be started: No such file" in failure(missing)


def test_a_command_gets_no_input_and_no_shell() -> None:
    script = "import sys; print(repr(sys.stdin.read()), sys.argv[1])"
    command = FromCommand((sys.executable, "-c", script, "$HOME ~ | cat"), "key", {})
    assert command.read().reveal() == "'' $HOME ~ | cat"


def test_a_command_that_takes_too_long_is_ended() -> None:
    started = time.monotonic()
    assert "within 0.2 seconds" in failure(python("import time; time.sleep(50)", timeout=0.2))
    assert time.monotonic() - started < 20


def test_a_command_that_leaves_its_output_open_is_not_waited_for() -> None:
    """A grandchild that keeps the pipe must not keep oauthsync."""
    script = "import subprocess; subprocess.Popen(['sleep', '3'])"
    started = time.monotonic()
    assert "within 0.5 seconds" in failure(python(script, timeout=0.5, PATH=os.environ["PATH"]))
    assert time.monotonic() - started < 2.5


def test_a_command_that_closes_its_output_and_stays_is_ended() -> None:
    script = "import os, time; os.write(1, b'canary'); os.close(1); time.sleep(50)"
    assert "within 0.5 seconds" in failure(python(script, timeout=0.5))


def test_what_a_command_is_given_stays_out_of_the_error_that_it_took_too_long() -> None:
    script = "import os, time; os.close(1); time.sleep(50)"
    command = FromCommand((sys.executable, "-c", script, "canary"), "key", {}, timeout=0.5)
    assert "within 0.5 seconds" in failure(command)


def test_a_command_that_may_not_be_ended_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with `sudo`, which runs as another user and asks for its own password."""
    running: list[subprocess.Popen[bytes]] = []

    def refuse(process: subprocess.Popen[bytes]) -> None:
        running.append(process)
        raise PermissionError

    monkeypatch.setattr(subprocess.Popen, "kill", refuse)
    started = time.monotonic()
    assert "within 0.2 seconds" in failure(python("import time; time.sleep(3)", timeout=0.2))
    assert time.monotonic() - started < 2.5
    monkeypatch.undo()
    for process in running:
        process.kill()
        process.wait()


def test_a_command_that_never_stops_printing_is_ended() -> None:
    text = failure(python("while True: print('canary' * 1000)"))
    assert "printed more than" in text


def test_a_secret_of_the_greatest_size_passes_through() -> None:
    assert len(python(f"print('x' * {MAX_SECRET_SIZE - 1})").read().reveal()) == MAX_SECRET_SIZE - 1


def test_a_command_sees_neither_a_passphrase_nor_a_token() -> None:
    script = "import os; print(' '.join(sorted(name for name in os.environ if len(name) > 3)))"
    found = sources(
        OAUTHSYNC_PASSPHRASE="p",
        OAUTHSYNC_PASSPHRASE_FILE="f",
        OAUTHSYNC_DIR="d",
        WORKATO_API_TOKEN="t",
        DEV_TOKEN="t",
        OP_SERVICE_ACCOUNT_TOKEN="o",
    ).source("command", f'{sys.executable} -E -c "{script}"', "key")
    seen = set(found.read().reveal().split())
    assert {"OAUTHSYNC_DIR", "OP_SERVICE_ACCOUNT_TOKEN"} <= seen
    assert not {"OAUTHSYNC_PASSPHRASE", "OAUTHSYNC_PASSPHRASE_FILE"} & seen
    assert not {"WORKATO_API_TOKEN", "DEV_TOKEN"} & seen


def test_a_command_is_split_like_a_shell_does_and_runs_in_its_folder(tmp_path: Path) -> None:
    program = tmp_path / "print it"
    program.write_text('#!/bin/sh\necho "$1"\n')
    program.chmod(0o700)
    assert (
        sources(tmp_path).source("command", "'./print it' 'a b' c", "key").read().reveal() == "a b"
    )


@pytest.mark.parametrize("text", ["op read 'canary", "   ", "canary\\"])
def test_what_is_no_command_is_refused_unquoted(text: str) -> None:
    with pytest.raises(UsageError, match="key is not a command") as caught:
        sources().source("command", text, "key")
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("text", ["wrkaus-canary", "1canary", "A=canary", "a" * 64, "Ä", "A\n"])
def test_what_is_no_name_of_a_variable_is_refused_unquoted(text: str) -> None:
    """A token that was pasted where its variable's name belongs does not come out again."""
    with pytest.raises(UsageError, match="key is not the name of an environment variable"):
        sources().source("env", text, "key")


def test_paths_start_from_the_folder_or_the_home() -> None:
    assert sources(Path("/backup")).path("a/b") == Path("/backup/a/b")
    assert sources(Path("/backup")).path("/run/x") == Path("/run/x")
    assert sources(Path("/backup")).path("~/x") == HOME / "x"
    assert sources(Path("/backup")).path("~") == HOME
    assert sources(Path("/backup")).path("~x") == Path("/backup/~x")
    assert sources(None).path("a") == Path("a")
