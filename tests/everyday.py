"""A backup folder, a sandbox and the command line, as a person at a terminal or a job uses them."""

import json
import os
import pty
import select
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from oauthsync import age, sidecar
from oauthsync.cli import cli
from oauthsync.cli.run import run
from oauthsync.secret import Secret

TOKEN = "token-canary"
SECRET = "secret-canary"
CHEAP = (4,)
"""The defaults of `PassphraseKey` in tests: the real work factor takes 0.7 s each time."""
AT_A_TERMINAL = (
    "import fcntl, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    f" from oauthsync.keys import PassphraseKey; PassphraseKey.__init__.__defaults__ = {CHEAP};"
    " from oauthsync.cli import main; main(sys.argv[1:])"
)
COMMAND = str(Path(sys.executable).with_name("oauthsync"))
PATIENCE = 20.0


@dataclass(frozen=True)
class Called:
    """How a call of the command ended, and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def isolate(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A home of its own, with a backup folder, which is the current one."""
    folder = tmp_path / "backup"
    folder.mkdir(mode=0o700)
    for name in [each for each in os.environ if each.startswith(("WORKATO_", "OAUTHSYNC_"))]:
        monkeypatch.delenv(name)
    for name, value in {
        "HOME": str(tmp_path / "home"),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "WORKATO_DISABLE_KEYRING": "true",
        "TOKEN": TOKEN,
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(folder)
    return folder


def configure(folder: Path, url: str, extra: str = "") -> None:
    """Write an oauthsync.toml with the workspace `dev`; the token is in the variable TOKEN."""
    (folder / "oauthsync.toml").write_text(
        f'[workspaces.dev]\nurl = "{url}"\ntoken_env = "TOKEN"\nrequests_per_minute = 100000\n'
        f"server_timeout = 1\n{extra}"
    )
    (folder / "oauthsync.toml").chmod(0o600)


def identity(folder: Path) -> sidecar.IdentityKey:
    """An age identity in `key.txt`, which OAUTHSYNC_IDENTITY may name."""
    pair = age.generate_identity()
    (folder / "key.txt").write_text(f"{pair.text.reveal()}\n")
    (folder / "key.txt").chmod(0o600)
    return sidecar.IdentityKey((pair,))


def file_secret(folder: Path, key: sidecar.Key, *apps: tuple[str, str]) -> None:
    """File a secret for each of these apps."""
    entries = [
        sidecar.Entry(provider, client_id, Secret(SECRET), None, "2026-11-23T10:00:00Z")
        for provider, client_id in apps
    ]
    sidecar.update(folder / "secrets.age", key, entries)


def call(capsys: pytest.CaptureFixture[str], *args: str) -> Called:
    """Call the command where nobody is at a terminal."""
    capsys.readouterr()
    code = run(cli, args)
    out, err = capsys.readouterr()
    return Called(code, out, err)


def converse(
    args: Sequence[str], answers: Sequence[tuple[str, str]], **environ: str
) -> tuple[int, str, str]:
    """Call the command at a terminal: each answer is typed when its question was asked.

    Returns the exit code, what stdout got, and what the terminal has shown. What it
    seals with a passphrase is cheap to open.
    """
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", AT_A_TERMINAL, *args]
    process = subprocess.Popen(
        command,
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
        start_new_session=True,
        env={**os.environ, "TERM": "dumb", **environ},
    )
    os.close(theirs)
    with process, os.fdopen(ours, "r+b", buffering=0) as terminal:
        shown = ""
        for question, answer in answers:
            asked = _read_until(terminal.fileno(), question)
            shown += asked
            assert question in asked, f"waited for {question!r}: {shown}"
            terminal.write(f"{answer}\n".encode())
        shown += _read_until(terminal.fileno(), None)
        assert process.stdout is not None
        out = process.stdout.read().decode()
        return process.wait(PATIENCE), out, shown


def _read_until(terminal: int, text: str | None) -> str:
    shown = b""
    while text is None or text.encode() not in shown:
        if not select.select([terminal], [], [], PATIENCE)[0]:
            break
        try:
            chunk = os.read(terminal, 65536)
        except OSError:  # nobody has the terminal open any more (EIO)
            break
        if not chunk:
            break
        shown += chunk
    return shown.decode()


def by_name(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The checks of `doctor --json` by their names."""
    return {check["name"]: check for check in document["checks"]}


def installed(*args: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """A call of the command that the package installs, in a process of its own."""
    return subprocess.run(
        [COMMAND, *args],
        env={**os.environ, **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
