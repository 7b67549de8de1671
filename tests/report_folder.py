"""Backup folders to report on: two workspaces of a sandbox, a sidecar, and time that passes."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from oauthsync import age, sidecar
from oauthsync.backup import Backup, Exported
from oauthsync.clock import timestamp
from oauthsync.plan import Options
from oauthsync.report import gather, render
from oauthsync.restore import open_session
from oauthsync.sandbox import Sandbox, SandboxWorkspace
from oauthsync.secret import Secret
from tests.clock import FakeClock

DAY = 86_400.0
TOKENS = {"DEV_TOKEN": "canary-token-dev", "PROD_TOKEN": "canary-token-prod"}
SECRET = "canary-client-secret"
SLACK_TOKEN = "canary-slack-token"
IDENTITY = age.generate_identity()
CANARIES = (*TOKENS.values(), SECRET, SLACK_TOKEN, IDENTITY.text.reveal())

SCRIPT = "<script>alert(1)</script>"
IMAGE = '"><img src=x onerror=alert(1)>'
ENDINGS = "</title></style></textarea>--><svg onload='alert(1)'>"
TURNING = "gnp\u202eexe.\x1b[31m\n\u2028"
HOSTILE = (SCRIPT, IMAGE, ENDINGS, TURNING)


@dataclass
class Folder:
    """A backup folder, the sandbox that its workspaces `dev` and `prod` live in, and the time."""

    path: Path
    backup: Backup
    sandbox: Sandbox
    clock: FakeClock

    @property
    def dev(self) -> SandboxWorkspace:
        return self.sandbox.workspaces[0]

    @property
    def prod(self) -> SandboxWorkspace:
        return self.sandbox.workspaces[1]

    def pass_days(self, days: float) -> None:
        self.clock.advance_to(self.clock.now() + days * DAY)

    def export(self, name: str = "dev") -> None:
        [result] = self.backup.export([self.backup.workspace(name)])
        assert isinstance(result, Exported), result

    def file_secret(self, provider: str, client_id: str, *, days_ago: float = 0.0) -> None:
        at = timestamp(self.clock.now() - days_ago * DAY)
        token = Secret(SLACK_TOKEN) if provider == "slack" else None
        entry = sidecar.Entry(provider, client_id, Secret(SECRET), token, at)
        sidecar.update(self.backup.config.sidecar, self.backup.sidecar.key, [entry])

    def restore(self, snapshot: str = "latest", *, to: str = "dev") -> None:
        """Import the snapshot of `dev`."""
        with open_session(self.backup, self.backup.workspace(to)) as session:
            chosen = self.backup.snapshots().find(snapshot, "dev")
            prepared = session.prepare(chosen, Options(allow_missing=True))
            session.carry_out(prepared)

    def undo(self, run: int) -> None:
        with open_session(self.backup, self.backup.workspace("dev")) as session:
            session.undo(self.backup.journal().run(run), force=False, confirm=lambda _plan: True)

    def page(self) -> str:
        return render(gather(self.backup, self.clock.now()))


@contextmanager
def report_folder(path: Path, *, profiles: int = 0) -> Iterator[Folder]:
    clock = FakeClock()
    with Sandbox(
        list(TOKENS.values()), profiles=profiles, clock=clock, requests_per_minute=90_000
    ) as sandbox:
        sections = [
            f'[workspaces.{name}]\nurl = "{sandbox.url}"\ntoken_env = "{name.upper()}_TOKEN"\n'
            "requests_per_minute = 90000\n"
            for name in ("dev", "prod")
        ]
        path.mkdir()
        (path / "oauthsync.toml").write_text('default_workspace = "dev"\n' + "".join(sections))
        (path / "key.txt").write_text(IDENTITY.text.reveal())
        with Backup(path, environ=environment(path), home=path, clock=clock) as backup:
            yield Folder(path, backup, sandbox, clock)


def environment(path: Path) -> dict[str, str]:
    """What a command needs to work on the folder; its state and its key lie in it, too."""
    return {
        **TOKENS,
        "OAUTHSYNC_IDENTITY": str(path / "key.txt"),
        "XDG_STATE_HOME": str(path / "state"),
        "HOME": str(path),
    }


def fill_with_hostile_names(folder: Folder) -> None:
    """Hostile names everywhere that a name can be: kept, missing, changed, lost, restored."""
    for number, name in enumerate(HOSTILE):
        folder.dev.create("slack", name, f"{name}-{number}", shared_accounts_count=3)
        folder.dev.create(name, f"of {name}", "app", data={name: name})
        folder.file_secret("slack", f"{name}-{number}", days_ago=100 * number)
    folder.export()
    folder.pass_days(1)
    for profile_id in list(folder.dev.profiles)[::2]:
        folder.dev.delete(profile_id)
    for profile_id in folder.dev.profiles:
        folder.dev.update(profile_id, name=f"now {SCRIPT}", data={"client_id": IMAGE})
    folder.export()
    folder.restore("latest~1")
    folder.restore("latest~1", to="prod")
    folder.pass_days(1)
    folder.export()
