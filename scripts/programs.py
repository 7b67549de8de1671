"""The programs that are measured: oauthsync and its peers, in new folders, beside a sandbox.

The peers are what else one would write or take: a plain loop of requests into sqlite3, the same
with curl and sqlite-utils, and dlt's rest_api source. They read the list once; oauthsync reads it
until two readings agree. A token goes through the environment: arguments are everybody's to see.
"""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from oauthsync import Backup, Secret
from scripts import measuring
from scripts.measuring import PYTHON, Run, Table

OAUTHSYNC = str(Path(PYTHON).with_name("oauthsync"))
ROOT = Path(__file__).parent.parent
DLT = ROOT / ".venv-dlt"
PLAIN = [PYTHON, str(ROOT / "scripts" / "peers" / "plain.py")]
PEERS = {
    "plain loop": [*PLAIN, "export"],
    "curl and sqlite-utils": [str(ROOT / "scripts" / "peers" / "curl.sh")],
    "dlt": [str(DLT / "bin" / "python"), str(ROOT / "scripts" / "peers" / "dlt_export.py")],
}
"""The commands that take an URL and a file's path, and the token from TOKEN_A."""

NO_QUOTA = 100_000
"""Requests per minute: the most that a configuration may say."""


@dataclass
class Bench:
    """What the measurements share: the table, and the folders and environment of the processes.

    In a sandbox a workspace's token is its name. `token` is the first one's, and is that of a real
    workspace where `is_real`: then it stands in no output, and its quota is kept where this user's
    other processes keep it.
    """

    scratch: Path
    runs: int
    largest: int
    peers: Sequence[str]
    token: Secret
    is_real: bool = False
    table: Table = field(default_factory=Table)

    @property
    def key(self) -> Path:
        """The identity that opens the sidecars."""
        return self.scratch / "key.txt"

    def folder(self, url: str, *, names: Sequence[str] = "AB", quota: int = NO_QUOTA) -> Path:
        """A new backup folder with these workspaces, the first of them the default."""
        folder = Path(tempfile.mkdtemp(dir=self.scratch))
        (folder / "oauthsync.toml").write_text(
            f'default_workspace = "{names[0]}"\n'
            + "".join(
                f'[workspaces.{name}]\nurl = "{url}"\ntoken_env = "TOKEN_{name}"\n'
                f"requests_per_minute = {quota}\n"
                for name in names
            )
        )
        return folder

    def environ(self, folder: Path, names: Sequence[str] = "AB") -> dict[str, str]:
        """The environment of a process that works in a folder, without the user's own settings."""
        settings = ("OAUTHSYNC_", "WORKATO_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(settings)}
        state = {} if self.is_real else {"XDG_STATE_HOME": str(folder / "state")}
        tokens = {f"TOKEN_{name}": name for name in names} | {"TOKEN_A": self.token.reveal()}
        return {
            **kept,
            **state,
            **tokens,
            "OAUTHSYNC_DIR": str(folder),
            "OAUTHSYNC_IDENTITY": str(self.key),
            "PATH": f"{Path(PYTHON).parent}:{os.environ['PATH']}",
            "RUNTIME__DLTHUB_TELEMETRY": "false",
        }

    def run(self, command: Sequence[str], folder: Path, names: Sequence[str] = "AB") -> Run:
        """One process; SystemExit with its output where it fails."""
        secret = self.token.reveal() if self.is_real else ""
        return measuring.run(command, self.environ(folder, names), secret=secret)

    def oauthsync(self, folder: Path, *arguments: str) -> Run:
        """One call of oauthsync."""
        return self.run([OAUTHSYNC, *arguments, "--quiet"], folder)

    def peer(self, name: str, url: str) -> Run:
        """One reading by a peer."""
        folder = self.folder(url)
        return self.run([*PEERS[name], url, str(folder / "peer.db")], folder)

    def backup(self, folder: Path) -> Backup:
        return Backup(folder, environ=self.environ(folder))


class Exports:
    """oauthsync's exports of one list: the first into a new folder, later ones into the same."""

    folder: Path

    def __init__(self, bench: Bench, url: str, *, quota: int = NO_QUOTA) -> None:
        self._bench = bench
        self._url = url
        self._quota = quota

    def first(self) -> Run:
        self.folder = self._bench.folder(self._url, quota=self._quota)
        return self.later()

    def later(self) -> Run:
        return self._bench.oauthsync(self.folder, "export")


@contextmanager
def sandbox(*, profiles: int = 0, latency: float = 0.0) -> Iterator[str]:
    """The URL of a sandbox in a process of its own, with the workspaces A and B."""
    command = [OAUTHSYNC, "sandbox", "--token", "A", "--token", "B", "--quiet"]
    command += ["--profiles", str(profiles), "--latency", str(latency)]
    command += ["--requests-per-minute", str(NO_QUOTA)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())["url"]
        finally:
            process.terminate()
