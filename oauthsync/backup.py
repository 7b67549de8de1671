"""A backup folder: its configuration, database and sidecar, and the workspaces that it is about.

Everything that the command line does goes through here and `restore.py`; other programs use the
same two modules.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from oauthsync import config
from oauthsync.clock import Clock, SystemClock
from oauthsync.config import Config, Workspace
from oauthsync.errors import OauthsyncError, SidecarError
from oauthsync.events import Listener, ignore
from oauthsync.secret import Secret

if TYPE_CHECKING:
    # A command imports what it uses: see "Speed" in docs/architecture.md.
    from sqlite_utils import Database

    from oauthsync.api import Api
    from oauthsync.journal import Journal
    from oauthsync.keys import KeyPair
    from oauthsync.profiles import Difference
    from oauthsync.sidecar import Key, Secrets
    from oauthsync.snapshots import Listing, Snapshot, Snapshots

FLEET_WIDTH = 32
"""Workspaces that are read side by side."""

Ask = Callable[[str, bool], Secret]
"""Ask a person for a passphrase: the prompt, and whether it is a new one, to be typed twice."""


@dataclass(frozen=True)
class Exported:
    """A workspace's new snapshot, and its difference to the export before."""

    snapshot: "Snapshot"
    difference: "Difference"
    before: "Snapshot | None"


@dataclass(frozen=True)
class Failed:
    """A workspace that could not be exported, and why."""

    workspace: str
    error: OauthsyncError


class Backup:
    """A backup folder. Close it after use; nothing is opened before it is needed.

    `ask` prompts for a passphrase; without it, nothing ever waits for a person.
    """

    def __init__(
        self,
        folder: Path,
        *,
        environ: Mapping[str, str] | None = None,
        home: Path | None = None,
        clock: Clock | None = None,
        listener: Listener = ignore,
        ask: Ask | None = None,
    ) -> None:
        self.folder = folder
        self.clock = clock or SystemClock()
        self.listener = listener
        self._environ = os.environ if environ is None else environ
        self._home = home or Path.home()
        self._ask = ask
        self._database: Database | None = None

    def __enter__(self) -> "Backup":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the database."""
        if self._database is not None:
            self._database.close()
            self._database = None

    # --- what is in the folder ------------------------------------------------------------------

    @cached_property
    def config(self) -> Config:
        """The configuration; raises UsageError where it does not parse."""
        return config.load(self.folder, self._environ, self._home)

    @property
    def state_folder(self) -> Path:
        """Where this user's processes share what is of no use to a backup: the quota, locks."""
        base = self._environ.get("XDG_STATE_HOME") or self._home / ".local" / "state"
        return Path(base) / "oauthsync"

    def database(self, *, create: bool = False) -> "Database":
        """The open database; StoreError where there is none, unless it is to be created."""
        if self._database is None:
            from oauthsync.database import open_database

            self._database = open_database(self.config.database, create=create)
        return self._database

    def snapshots(self, *, create: bool = False) -> "Snapshots":
        """The snapshots in the database."""
        from oauthsync.snapshots import Snapshots

        return Snapshots(self.database(create=create))

    def journal(self) -> "Journal":
        """The journal in the database."""
        from oauthsync.journal import Journal

        return Journal(self.database())

    # --- the sidecar ----------------------------------------------------------------------------

    def secrets(self) -> "Secrets":
        """The opened sidecar. Raises SidecarError as `sidecar.load` does."""
        from oauthsync import sidecar

        if not sidecar.exists(self.config.sidecar):
            raise SidecarError(
                f"there is no {self.config.sidecar}",
                hint="`oauthsync secrets set`, `fill` and `load` create it",
            )
        return sidecar.load(self.config.sidecar, self.key)

    def apps(self) -> frozenset[tuple[str, str]]:
        """The apps (provider, client id) whose secrets are at hand; none without a sidecar."""
        from oauthsync import sidecar

        return self.secrets().names() if sidecar.exists(self.config.sidecar) else frozenset()

    @cached_property
    def key(self) -> "Key":
        """What opens the sidecar, or seals a new one: from its configured source, or a person.

        Raises SidecarError where neither gives it. A person is asked once.
        """
        from oauthsync import sidecar

        path = self.config.sidecar
        unlock = self.config.unlock()
        if unlock is None:
            exists = sidecar.exists(path)
            for_identity = bool(self.config.recipients)
            if not sidecar.sealed_with_passphrase(path) if exists else for_identity:
                raise SidecarError(
                    f"{path.name} is sealed to age recipients, and no identity is given",
                    hint="set OAUTHSYNC_IDENTITY, or [secrets] identity, to an identity's file",
                )
            return sidecar.PassphraseKey(
                self._passphrase(f"Passphrase for {path}", is_new=not exists)
            )
        if unlock.kind == "passphrase":
            return sidecar.PassphraseKey(unlock.passphrase())
        assert unlock.identity is not None
        return sidecar.IdentityKey(self._identities(unlock.identity))

    def new_key(self) -> "Key":
        """A new passphrase, typed twice by a person."""
        from oauthsync import sidecar

        return sidecar.PassphraseKey(self._passphrase("New passphrase", is_new=True))

    def _passphrase(self, prompt: str, *, is_new: bool) -> Secret:
        if self._ask is None:
            raise SidecarError(
                f"{prompt}: nobody to ask",
                hint="set one of OAUTHSYNC_PASSPHRASE, OAUTHSYNC_PASSPHRASE_FILE,"
                " OAUTHSYNC_PASSPHRASE_COMMAND or OAUTHSYNC_IDENTITY, or [secrets] in"
                f" {self.config.file.name}",
            )
        return self._ask(prompt, is_new)

    def _identities(self, path: Path) -> "tuple[KeyPair, ...]":
        from oauthsync import age, keys
        from oauthsync.tables import read_regular

        try:
            text = read_regular(path, limit=age.MAX_FILE)
        except OSError as error:
            raise SidecarError(
                f"cannot read the identity file {path}: {error.strerror or error}"
            ) from error
        if keys.is_encrypted(text):
            passphrase = self._passphrase(f"Passphrase for {path}", is_new=False)
            text = age.decrypt(text, [age.Passphrase(passphrase)])
        return keys.parse_identity_file(text)

    # --- the workspaces -------------------------------------------------------------------------

    def workspace(self, name: str | None) -> Workspace:
        """The workspace of that name, or the default one; UsageError where there is none."""
        return self.config.workspace(name)

    def api(self, workspace: Workspace) -> "Api":
        """The API of a workspace, within the quota that all processes of this user share."""
        from oauthsync.api import CONNECT_TIMEOUT, PATIENCE, Api
        from oauthsync.quota import Quota

        token = workspace.token()
        lease = CONNECT_TIMEOUT + workspace.server_timeout + PATIENCE
        quota = Quota(
            self.state_folder / "quota.db",
            workspace_key(workspace.url, token),
            requests_per_minute=workspace.requests_per_minute,
            lease=lease,
            clock=self.clock,
        )
        return Api(
            workspace.name,
            workspace.url,
            token,
            quota,
            server_timeout=workspace.server_timeout,
            clock=self.clock,
            listener=self.listener,
        )

    def live(self, workspace: Workspace) -> "Listing":
        """A workspace's profiles as they are now."""
        with self.api(workspace) as api:
            return self.read(api)

    def read(self, api: "Api") -> "Listing":
        """As `live`, through an open API."""
        from oauthsync.exporter import read_listing

        return read_listing(api, expected=self._expected(api.workspace), listener=self.listener)

    def _expected(self, workspace: str) -> int:
        """How many profiles the workspace had when it was last looked at."""
        if self._database is None and not self.config.database.exists():
            return 0
        known = self.snapshots().all(workspace)
        return known[0].profiles if known else 0

    # --- export ---------------------------------------------------------------------------------

    def export(self, workspaces: Sequence[Workspace]) -> Iterator[Exported | Failed]:
        """Take one snapshot of each workspace, side by side; the results as they come in.

        An error of one workspace is its result; a StoreError of the database itself is raised.
        """
        snapshots = self.snapshots(create=True)
        with ThreadPoolExecutor(FLEET_WIDTH, thread_name_prefix="export") as pool:
            reading = {pool.submit(self.live, each): each for each in workspaces}
            for future in as_completed(reading):
                workspace = reading.pop(future)
                try:
                    listing = future.result()
                    exports = (each for each in snapshots.all(workspace.name))
                    before = next((each for each in exports if each.kind == "export"), None)
                    snapshot, difference = snapshots.add(listing, "export")
                except OauthsyncError as error:
                    yield Failed(workspace.name, error)
                else:
                    yield Exported(snapshot, difference, before)


def workspace_key(url: str, token: Secret) -> str:
    """A name for the workspace that a token opens, which tells nothing of the token."""
    return hashlib.sha256(f"{url}\0{token.reveal()}".encode()).hexdigest()[:32]
