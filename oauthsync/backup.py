"""A backup folder: its configuration, database and sidecar, and the workspaces that it is about.

Everything that the command line does goes through here and `restore.py`; other programs use the
same two modules.
"""

import hashlib
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from oauthsync import config
from oauthsync.clock import Clock, SystemClock
from oauthsync.config import Config, Workspace
from oauthsync.errors import OauthsyncError, StoreError, UsageError
from oauthsync.events import ExportEnded, Listener, ignore
from oauthsync.interrupts import as_completed, held, readers
from oauthsync.opener import Ask, Opener
from oauthsync.secret import Secret
from oauthsync.tables import suggestion

if TYPE_CHECKING:
    # A command imports what it uses: see "Speed" in docs/architecture.md.
    from sqlite_utils import Database

    from oauthsync.api import Api
    from oauthsync.journal import Journal
    from oauthsync.last_known import LastKnown
    from oauthsync.profiles import Difference
    from oauthsync.snapshots import Listing, Snapshot, Snapshots

FLEET_WIDTH = 100
"""Workspaces that are read side by side: nearly all of the time each waits, for its quota or an
answer. Against one, 100 of 300 profiles each cost the CPU time of their requests and 60 MB."""

FLEET_READERS = 300
"""Threads that they share for their pages: a container may allow no more than some hundreds."""


@dataclass(frozen=True)
class Exported:
    """A workspace's new snapshot, and its difference to the export before.

    `namesakes` are the other names under which there are snapshots of the same workspace.
    """

    snapshot: "Snapshot"
    difference: "Difference"
    before: "Snapshot | None"
    namesakes: Sequence[str] = ()


@dataclass(frozen=True)
class Failed:
    """A workspace that could not be exported, and why."""

    workspace: str
    error: OauthsyncError


class Backup:
    """A backup folder. Close it after use; nothing is opened before it is needed.

    `ask` prompts for a passphrase; without it, nothing ever waits for a person. By the names of the
    workspaces that were read so far, `expected` is how many profiles there probably are, and
    `requests_per_minute` the quota.
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
        self.expected: dict[str, int] = {}
        self.requests_per_minute: dict[str, int] = {}
        self.clock = clock or SystemClock()
        self.listener = listener
        self._environ = os.environ if environ is None else environ
        self._home = home or _home()
        self._ask = ask
        self._database: Database | None = None
        self._opening = threading.Lock()
        self._is_closed = False

    def __enter__(self) -> "Backup":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the database, for good: threads that were left behind find it closed."""
        with held(), self._opening:
            self._is_closed = True
            if self._database is not None:
                from oauthsync.database import close

                close(self._database)

    # --- what is in the folder ------------------------------------------------------------------

    @cached_property
    def config(self) -> Config:
        """The configuration; raises UsageError where it does not parse."""
        return config.load(self.folder, self._environ, self._home)

    @property
    def state_folder(self) -> Path:
        """Where this user's processes share what is of no use to a backup: the quota, locks."""
        base = Path(self._environ.get("XDG_STATE_HOME", ""))
        # A relative path there is to be ignored (XDG Base Directory Specification).
        return (base if base.is_absolute() else self._home / ".local" / "state") / "oauthsync"

    def database(self, *, create: bool = False) -> "Database":
        """The open database; StoreError where there is none, unless it is to be created."""
        with held(), self._opening:
            if self._is_closed:
                raise StoreError("the backup folder is closed", hint="open it anew")
            if self._database is None:
                from oauthsync.database import open_database

                self._database = open_database(self.config.database, create=create)
            return self._database

    def snapshots(self, *, create: bool = False) -> "Snapshots":
        """The snapshots in the database."""
        from oauthsync.snapshots import Snapshots

        return Snapshots(self.database(create=create))

    def find(self, selector: str, workspace: str | None) -> "Snapshot":
        """A plan's snapshot: of a workspace, or of the default one where there is one.

        Raises as `Snapshots.find`.
        """
        if workspace is None and not selector.isdecimal():
            workspace = self.config.default_workspace
        return self.select(selector, workspace)

    def select(self, selector: str, workspace: str | None) -> "Snapshot":
        """As `Snapshots.find`, and UsageError for a workspace that nobody knows."""
        try:
            return self.snapshots().find(selector, workspace)
        except (StoreError, UsageError) as error:
            known = self.known_names()
            if workspace is not None and workspace not in known:
                raise UsageError(
                    f"there is no workspace {workspace!r}", hint=suggestion(workspace, known)
                ) from error
            if selector in known:
                error.hint = (
                    f"{selector!r} is a workspace: name it by --workspace, and for a plan or an"
                    " import by --from, or by --to where it is the target"
                )
            raise

    def known_names(self) -> list[str]:
        """The names of all workspaces: those that are configured, and those with snapshots."""
        stored = (each.workspace for each in self.snapshots().all())
        return sorted({*self.config.names(), *stored})

    def journal(self) -> "Journal":
        """The journal in the database."""
        from oauthsync.journal import Journal

        return Journal(self.database())

    @cached_property
    def sidecar(self) -> Opener:
        """The sidecar; raises as `config`."""
        return Opener(self.config, self._ask)

    # --- the workspaces -------------------------------------------------------------------------

    def workspace(self, name: str | None) -> Workspace:
        """The workspace of that name, or the default one; UsageError where there is none."""
        return self.config.workspace(name)

    def api(self, workspace: Workspace, token: Secret | None = None) -> "Api":
        """The API of a workspace, within the quota that all processes of this user share.

        `token` is the workspace's, where that was read already.
        """
        from oauthsync.api import PATIENCE, Api
        from oauthsync.quota import Quota
        from oauthsync.transport import CONNECT_TIMEOUT

        self.requests_per_minute[workspace.name] = workspace.requests_per_minute
        token = token or workspace.token()
        key = workspace_key(workspace.url, token)
        # Connecting, sending, and waiting for the answer: the longest that a request can take.
        lease = 2 * CONNECT_TIMEOUT + workspace.server_timeout + PATIENCE
        quota = Quota(
            self.state_folder / "quota" / f"{key}.db",
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
        """A workspace's profiles as they are now.

        Raises StoreError where its name stood for another one.
        """
        from oauthsync.exporter import identify

        with self.api(workspace) as api:
            listing = self.read(api)
            if self.config.database.exists():
                api.attempts = 1  # nothing is written by what may be another workspace
                identify(api, listing, self.snapshots())
        return listing

    def read(self, api: "Api", *, share: int = 1) -> "Listing":
        """As `live`, through an open API; `share` workspaces are read side by side."""
        from oauthsync.exporter import WIDTH, read_listing

        last = self.last_known(api.workspace)
        return read_listing(
            api,
            expected=last.count,
            known=last.ids,
            listener=self.listener,
            width=min(WIDTH, max(FLEET_READERS // share, 1)),
        )

    def last_known(self, workspace: str) -> "LastKnown":
        """What the workspace had at last; how much that is, is noted as what is expected."""
        from oauthsync.last_known import LastKnown, last_known

        is_there = self._database is not None or self.config.database.exists()
        found = last_known(self.database(), workspace) if is_there else LastKnown()
        self.expected[workspace] = found.count
        return found

    # --- export ---------------------------------------------------------------------------------

    def export(self, workspaces: Sequence[Workspace]) -> Iterator[Exported | Failed]:
        """Take one snapshot of each workspace, side by side; the results as they come in.

        An error of one workspace is its result. Whoever stops early waits for those that are being
        read, and stops the others.
        """
        if self.config.database.exists():
            self.database()  # one that cannot be used is told before anything is read
        # Who waits for a quota is woken by Ctrl-C, and who waits for an answer is not waited for.
        with readers(FLEET_WIDTH, "export", self.clock.interrupt) as pool:
            share = min(len(workspaces), FLEET_WIDTH)
            with held():  # what interrupts a `submit` may leave the pool locked
                exports = [pool.submit(self._export, each, share) for each in workspaces]
            for export in as_completed(exports):
                yield export.result()

    def _export(self, workspace: Workspace, share: int) -> Exported | Failed:
        from oauthsync.exporter import identify

        # Stored by the thread that read it: no more listings are in memory than there are threads.
        try:
            with self.api(workspace) as api:
                listing = self.read(api, share=share)
                snapshots = self.snapshots(create=True)
                identify(api, listing, snapshots)
            snapshot, difference = snapshots.add(listing, "export")
            before = snapshots.export_before(snapshot)
            return Exported(snapshot, difference, before, snapshots.namesakes(workspace.name))
        except OauthsyncError as error:
            return Failed(workspace.name, error)
        finally:
            self.listener(ExportEnded(workspace.name))


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError as error:
        raise UsageError(
            "this user has no home folder", hint="set HOME to a folder of theirs"
        ) from error


def workspace_key(url: str, token: Secret) -> str:
    """A name for the workspace that a token opens, which tells nothing of the token."""
    return hashlib.sha256(f"{url}\0{token.reveal()}".encode()).hexdigest()[:32]
