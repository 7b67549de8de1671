"""A backup folder: its configuration, database and sidecar, and the workspaces that it is about.

Everything that the command line does goes through here and `restore.py`; other programs use the
same two modules.
"""

import hashlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from oauthsync import config
from oauthsync.clock import Clock, SystemClock
from oauthsync.config import Config, Unlock, Workspace
from oauthsync.errors import OauthsyncError, SidecarError, StoreError, UsageError
from oauthsync.events import Listener, ignore
from oauthsync.files import is_there, previous_of
from oauthsync.secret import Secret
from oauthsync.tables import suggestion

if TYPE_CHECKING:
    # A command imports what it uses: see "Speed" in docs/architecture.md.
    from sqlite_utils import Database

    from oauthsync.api import Api
    from oauthsync.journal import Journal
    from oauthsync.keys import KeyPair, PassphraseKey
    from oauthsync.profiles import Difference
    from oauthsync.sidecar import Key, Secrets
    from oauthsync.snapshots import Listing, Snapshot, Snapshots

FLEET_WIDTH = 100
"""Workspaces that are read side by side: nearly all of the time each waits, for its quota or an
answer. Against one, 100 of 300 profiles each cost the CPU time of their requests and 60 MB."""

TRIES = 3
"""How often a person may type the passphrase that is to open something."""

Ask = Callable[[str, bool], Secret]
"""Ask a person for a passphrase: the prompt, and whether it is a new one, to be typed twice."""

T = TypeVar("T")


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

    `ask` prompts for a passphrase; without it, nothing ever waits for a person. `expected` is how
    many profiles there probably are, by the names of the workspaces that were read so far.
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
        self.clock = clock or SystemClock()
        self.listener = listener
        self._environ = os.environ if environ is None else environ
        self._home = home or _home()
        self._ask = ask
        self._was_typed = False
        self._database: Database | None = None
        self._opening = threading.Lock()

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
        base = Path(self._environ.get("XDG_STATE_HOME", ""))
        # A relative path there is to be ignored (XDG Base Directory Specification).
        return (base if base.is_absolute() else self._home / ".local" / "state") / "oauthsync"

    def database(self, *, create: bool = False) -> "Database":
        """The open database; StoreError where there is none, unless it is to be created."""
        with self._opening:
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
        """As `Snapshots.find`, with a hint at the workspace that may be meant."""
        snapshots = self.snapshots()
        try:
            return snapshots.find(selector, workspace)
        except (StoreError, UsageError) as error:
            known = sorted({*self.config.workspaces, *(each.workspace for each in snapshots.all())})
            if selector in known:
                hint = (
                    f"{selector!r} is a workspace: name it by --workspace, and for a plan or an"
                    " import by --from, or by --to where it is the target"
                )
            elif workspace is not None and workspace not in known:
                hint = suggestion(workspace, known)
            else:
                raise
            raise type(error)(str(error), hint=hint) from error

    def journal(self) -> "Journal":
        """The journal in the database."""
        from oauthsync.journal import Journal

        return Journal(self.database())

    # --- the sidecar ----------------------------------------------------------------------------

    def secrets(self) -> "Secrets":
        """The opened sidecar; who mistypes its passphrase is asked again.

        Raises SidecarError as `sidecar.load` does.
        """
        path = self.config.sidecar
        if not self.has_sidecar:
            raise SidecarError(
                f"there is no sidecar at {path}",
                hint="`oauthsync secrets set`, `fill` and `load` create it",
            )
        from oauthsync import sidecar

        def open_with(passphrase: Secret) -> "Secrets":
            self.key = sidecar.PassphraseKey(passphrase)
            return sidecar.load(path, self.key)

        key = self.key
        if self._was_typed and isinstance(key, sidecar.PassphraseKey):
            return self._until_it_opens(path, key.passphrase, open_with)
        return sidecar.load(path, key)

    def apps(self) -> frozenset[tuple[str, str]]:
        """The apps (provider, client id) whose secrets are at hand; none without a sidecar."""
        return self.secrets().names() if self.has_sidecar else frozenset()

    def strangers(self) -> tuple[str, ...]:
        """Whom the sidecar is sealed to although [secrets] names recipients, and not them.

        age does not tell who sealed a file: who can write to the folder can put one of his own
        there, and what is filed next would be sealed to him, too.
        """
        from oauthsync import age

        named = {str(age.parse_recipient(text)) for text in self.config.recipients}
        return tuple(sorted(set(self.secrets().recipients) - named)) if named else ()

    @property
    def has_sidecar(self) -> bool:
        """Whether anything, be it a broken link, stands where the sidecar goes, or did before.

        Opening one of which only the generation before is left says so.
        """
        path = self.config.sidecar
        return is_there(path) or is_there(previous_of(path))

    @cached_property
    def key(self) -> "Key":
        """What opens the sidecar, or seals a new one: from its configured source, or a person.

        Raises SidecarError where neither gives it. A person is asked once, and also where the
        configuration's identity is to take over from the passphrase that still seals the file.
        """
        from oauthsync import sidecar

        unlock = self.config.unlock()
        if unlock is None or self._is_to_take_over(unlock):
            return self._typed_key()
        if unlock.kind == "passphrase":
            return sidecar.PassphraseKey(unlock.passphrase())
        assert unlock.identity is not None
        return sidecar.IdentityKey(self._identities(unlock.identity, unlock.source))

    def _is_to_take_over(self, unlock: Unlock) -> bool:
        from oauthsync import sidecar

        return (
            self._ask is not None
            and unlock is self.config.configured_unlock
            and unlock.kind == "identity"
            and self.has_sidecar
            and sidecar.sealed_with_passphrase(self.config.sidecar)
        )

    def _typed_key(self) -> "Key":
        from oauthsync import sidecar

        path = self.config.sidecar
        exists = self.has_sidecar
        by_passphrase = (
            sidecar.sealed_with_passphrase(path) if exists else not self.config.recipients
        )
        if not by_passphrase:
            raise SidecarError(
                f"{path} is sealed to age recipients, and no identity is given",
                hint="set OAUTHSYNC_IDENTITY, or [secrets] identity, to an identity's file",
            )
        if self._ask is None:
            raise SidecarError(
                f"{path} asks for a passphrase, and nobody is there to type it",
                hint="set one of OAUTHSYNC_PASSPHRASE, OAUTHSYNC_PASSPHRASE_FILE,"
                " OAUTHSYNC_PASSPHRASE_COMMAND or OAUTHSYNC_IDENTITY, or [secrets] in"
                f" {self.config.file}",
            )
        self._was_typed = True
        prompt = f"Passphrase for {path}" if exists else f"New passphrase for {path}"
        return sidecar.PassphraseKey(self._ask(prompt, not exists))

    def _until_it_opens(
        self, path: Path, passphrase: Secret, open_with: Callable[[Secret], T]
    ) -> T:
        """What `open_with` gives for a passphrase that was typed, maybe not at the first try."""
        assert self._ask is not None, "somebody has typed it"
        for number in range(2, TRIES + 1):
            try:
                return open_with(passphrase)
            except SidecarError as error:
                if not _is_mismatch(error):
                    raise
            prompt = f"That does not open it. Passphrase for {path} (try {number} of {TRIES})"
            passphrase = self._ask(prompt, False)
        return open_with(passphrase)

    def new_passphrase(self) -> "PassphraseKey":
        """A new passphrase for the sidecar, from a person; SidecarError where nobody is there."""
        from oauthsync import sidecar

        if self._ask is None:
            raise SidecarError(
                "nobody is there to type the new passphrase",
                hint="run this on a terminal, or seal to age recipients",
            )
        prompt = f"New passphrase for {self.config.sidecar}"
        return sidecar.PassphraseKey(self._ask(prompt, True))

    def _identities(self, path: Path, source: str) -> "tuple[KeyPair, ...]":
        from oauthsync import age, keys
        from oauthsync.tables import read_regular

        try:
            text = read_regular(path, limit=age.MAX_FILE)
        except OSError as error:
            reason = error.strerror
        else:
            if keys.is_encrypted(text):
                text = self._decrypted(path, text)
            return keys.parse_identity_file(text)
        # Without the path, and that error, which has it: people put a passphrase there by mistake.
        raise SidecarError(
            f"cannot read {source}: {reason}",
            hint="that setting is to be the path of a file that holds them",
        )

    def _decrypted(self, path: Path, text: bytes) -> bytes:
        """The content of an identity file that is itself encrypted with a passphrase."""
        from oauthsync import age

        if self._ask is None:
            raise SidecarError(
                f"the identity file {path} asks for a passphrase, and nobody is there to type it",
                hint="run this on a terminal, or name an identity file that is not encrypted",
            )
        typed = self._ask(f"Passphrase for {path}", False)
        try:
            return self._until_it_opens(
                path, typed, lambda passphrase: age.decrypt(text, [age.Passphrase(passphrase)])
            )
        except age.AgeError as error:
            raise SidecarError(
                f"the identity file {path} does not open: {error}", hint=error.hint
            ) from error

    # --- the workspaces -------------------------------------------------------------------------

    def workspace(self, name: str | None) -> Workspace:
        """The workspace of that name, or the default one; UsageError where there is none."""
        return self.config.workspace(name)

    def api(self, workspace: Workspace) -> "Api":
        """The API of a workspace, within the quota that all processes of this user share."""
        from oauthsync.api import PATIENCE, Api
        from oauthsync.quota import Quota
        from oauthsync.transport import CONNECT_TIMEOUT

        token = workspace.token()
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
        """A workspace's profiles as they are now."""
        with self.api(workspace) as api:
            return self.read(api)

    def live_of(self, snapshot: "Snapshot") -> "Listing":
        """As `live`, of the workspace that a snapshot was taken of.

        Raises StoreError where its name leads to another one now.
        """
        listing = self.live(self.workspace(snapshot.workspace))
        ids = {snapshot.user_id, listing.user_id} - {None}
        if snapshot.url != listing.url or len(ids) > 1:
            raise StoreError(
                f"{snapshot.workspace!r} at {listing.url} is not the workspace that snapshot"
                f" {snapshot.id} was taken of at {snapshot.url}",
                hint="check its URL and token",
            )
        return listing

    def read(self, api: "Api") -> "Listing":
        """As `live`, through an open API."""
        from oauthsync.exporter import read_listing

        expected = self.expected[api.workspace] = self._last_count(api.workspace)
        return read_listing(api, expected=expected, listener=self.listener)

    def _last_count(self, workspace: str) -> int:
        """How many profiles the workspace had when it was last looked at."""
        if self._database is None and not self.config.database.exists():
            return 0
        known = self.snapshots().all(workspace)
        return known[0].profiles if known else 0

    # --- export ---------------------------------------------------------------------------------

    def export(self, workspaces: Sequence[Workspace]) -> Iterator[Exported | Failed]:
        """Take one snapshot of each workspace, side by side; the results as they come in.

        An error of one workspace is its result. Whoever stops early stops the reading.
        """
        from concurrent.futures import ThreadPoolExecutor, as_completed

        if self.config.database.exists():
            self.database()  # one that cannot be used is told before anything is read
        pool = ThreadPoolExecutor(FLEET_WIDTH, thread_name_prefix="export")
        wait = True
        try:
            exports = [pool.submit(self._export, each) for each in workspaces]
            for export in as_completed(exports):
                yield export.result()
        except KeyboardInterrupt:
            # Who waits for a quota is woken, and who waits for an answer is not waited for.
            self.clock.interrupt()
            wait = False
            raise
        finally:
            pool.shutdown(wait=wait, cancel_futures=True)

    def _export(self, workspace: Workspace) -> Exported | Failed:
        from oauthsync.exporter import check_identity

        # Stored by the thread that read it: no more listings are in memory than there are threads.
        try:
            with self.api(workspace) as api:
                listing = self.read(api)
                snapshots = self.snapshots(create=True)
                check_identity(api, listing, snapshots)
            snapshot, difference = snapshots.add(listing, "export")
            earlier = (
                each
                for each in snapshots.all(workspace.name)
                if each.kind == "export" and each.id < snapshot.id
            )
            return Exported(snapshot, difference, next(earlier, None))
        except OauthsyncError as error:
            return Failed(workspace.name, error)


def _is_mismatch(error: BaseException | None) -> bool:
    """Whether a passphrase is empty, or a wrong one (or the header that tells is damaged)."""
    from oauthsync import age

    return error is not None and (
        isinstance(error, age.NoMatchError | age.KeyFormatError) or _is_mismatch(error.__cause__)
    )


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
