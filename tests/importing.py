"""Imports to try: two workspaces of a sandbox, a backup folder, and a time that both share.

    with World(tmp_path) as world:
        world.source.create(...)
        world.file_secrets()
        world.export()
        world.carry_out()
        check_invariants(world, ...)

Nothing is mocked: the requests go over loopback, the journal is on the disk. Only the clock is a
test's own, and a world can be stopped dead between any two of a run's steps (`Points`).
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from oauthsync import age, sidecar
from oauthsync.api import Api, Page, Payload
from oauthsync.backup import Backup, Exported
from oauthsync.clock import Clock, timestamp
from oauthsync.config import Workspace
from oauthsync.events import Event
from oauthsync.importer import WIDTH
from oauthsync.journal import Journal
from oauthsync.plan import Options
from oauthsync.profiles import Profile
from oauthsync.restore import Carried, Session, open_session, run_to_resume, run_to_undo
from oauthsync.runs import Ending, NewRun, Outcome, Run, RunState, Step
from oauthsync.sandbox import Fault, Request, Sandbox, SandboxWorkspace
from oauthsync.secret import Secret
from oauthsync.snapshots import Listing
from oauthsync.steady import Moment
from tests.clock import FakeClock

TOKENS = {"DEV_TOKEN": "canary-token-dev", "PROD_TOKEN": "canary-token-prod"}
NAMES = ("dev", "prod")
IDENTITY = age.generate_identity()
CANARY = "canary-secret"
SERVER_TIMEOUT = 40.0
WRITES = ("POST", "PUT", "DELETE")
PATIENCE = 20.0

Content = tuple[str, str, str]
"""Provider, name, and data as JSON."""


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder in memory, where there is such a place: fsync on a busy disk takes its time."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        yield Path(name)


class Crash(BaseException):
    """The process is dead."""


class Points:
    """The points at which a process can die: at point number `crash_at` (from 1), or at the first
    one that is called `crash_on`. From then on each of its threads stops at its next point.

    `meanwhile` is what others do while the process is at such a point for the first time.
    """

    def __init__(
        self,
        crash_at: int | None = None,
        crash_on: str | None = None,
        meanwhile: Mapping[str, Callable[[], object]] | None = None,
    ) -> None:
        self.passed: list[str] = []
        self.is_dead = False
        self._crash_at = crash_at
        self._crash_on = crash_on
        self._meanwhile = dict(meanwhile or {})
        self._lock = threading.Lock()

    def reach(self, what: str) -> None:
        with self._lock:
            self.passed.append(what)
            if self.is_dead or len(self.passed) == self._crash_at or what == self._crash_on:
                self.is_dead = True
                raise Crash(what)
            if act := self._meanwhile.pop(what, None):
                act()


class TappedJournal(Journal):
    """A journal with a point before and after each write.

    At each intent it checks that no call is open whose profile could be mistaken for this one.
    """

    points: Points

    def begin(self, run: NewRun, now: float) -> Run:
        with self._around("begin"):
            return super().begin(run, now)

    def intend(self, step: Step, now: float, began: Moment) -> int:
        with self._around("intend"):
            target = self.run(step.run).target
            assert all(call.step.key != step.key for call in self.open_calls(target))
            return super().intend(step, now, began)

    def end_call(
        self,
        call: int,
        outcome: Outcome,
        now: float,
        *,
        detail: str | None = None,
        ending: Ending | None = None,
    ) -> None:
        with self._around(f"end_call {outcome}"):
            super().end_call(call, outcome, now, detail=detail, ending=ending)

    def end_step(self, step: Step, ending: Ending) -> None:
        with self._around("end_step"):
            super().end_step(step, ending)

    def finish(
        self, run: Run, state: RunState, now: float, *, verified: bool | None, undone: bool = False
    ) -> None:
        with self._around("finish"):
            super().finish(run, state, now, verified=verified, undone=undone)

    def mark_undone(self, run: Run, now: float) -> None:
        with self._around("mark_undone"):
            super().mark_undone(run, now)

    def reopen(self, run: Run, now: float) -> None:
        with self._around("reopen"):
            super().reopen(run, now)

    @contextmanager
    def _around(self, what: str) -> Iterator[None]:
        self.points.reach(f"before {what}")
        yield
        self.points.reach(f"after {what}")


class TappedApi(Api):
    """An API with a point before each request goes out, and after its answer has come."""

    points: Points

    def page(self, number: int, *, known: Page | None = None) -> Page:
        self.points.reach("before GET")
        page = super().page(number, known=known)
        self.points.reach("after GET")
        return page

    def create(self, payload: Payload, *, before: Callable[[], None] = lambda: None) -> Profile:
        profile = super().create(payload, before=self._going_out(before, "POST"))
        self.points.reach("after POST")
        return profile

    def update(
        self, profile_id: int, payload: Payload, *, before: Callable[[], None] = lambda: None
    ) -> Profile:
        profile = super().update(profile_id, payload, before=self._going_out(before, "PUT"))
        self.points.reach("after PUT")
        return profile

    def delete(self, profile_id: int, *, before: Callable[[], None] = lambda: None) -> None:
        super().delete(profile_id, before=self._going_out(before, "DELETE"))
        self.points.reach("after DELETE")

    def _going_out(self, before: Callable[[], None], method: str) -> Callable[[], None]:
        def going_out() -> None:
            before()
            self.points.reach(f"before {method}")

        return going_out


class TappedBackup(Backup):
    """A backup folder whose journal and API have points."""

    def __init__(self, folder: Path, points: Points, **options: Any) -> None:
        super().__init__(folder, **options)
        self._points = points

    def journal(self) -> Journal:
        journal = TappedJournal(self.database())
        journal.points = self._points
        return journal

    def api(self, workspace: Workspace, token: Secret | None = None) -> Api:
        api = super().api(workspace, token)
        api.__class__ = TappedApi
        assert isinstance(api, TappedApi)
        api.points = self._points
        return api


class SetClock:
    """A clock that somebody has set: it is off by so many seconds."""

    def __init__(self, clock: Clock, off_by: float) -> None:
        self._clock = clock
        self._off_by = off_by
        self.sleep = clock.sleep
        self.interrupt = clock.interrupt

    def now(self) -> float:
        return self._clock.now() + self._off_by


class World:
    """A sandbox with the workspaces `dev` (the source) and `prod`, and a backup folder of theirs.

    `events` are all that library code has told; `points` those of the process that runs now. The
    machine's own clock is the sandbox's; `timeline` names its start, and the time of day that a
    process sees may be wrong.
    """

    def __init__(
        self, folder: Path, *, profiles: int = 0, clock: Clock | None = None, **options: Any
    ) -> None:
        self.folder = folder
        self.clock = clock or FakeClock()
        self.events: list[Event] = []
        self.points = Points()
        self.tokens = TOKENS
        self.width = WIDTH
        self._created_before = 0
        self.timeline = "this start of the machine"
        self.time_is_off_by = 0.0
        self.requests_per_minute = options.setdefault("requests_per_minute", 90_000)
        options.setdefault("server_timeout", SERVER_TIMEOUT)
        self.sandbox = Sandbox(
            list(TOKENS.values()), profiles=profiles, clock=self.clock, **options
        )

    def __enter__(self) -> "World":
        self.sandbox.__enter__()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.configure(self.folder)
        return self

    def __exit__(self, *exception: Any) -> None:
        self.sandbox.__exit__(None, None, None)

    def configure(self, folder: Path, server_timeout: float = SERVER_TIMEOUT) -> None:
        sections = [
            f'[workspaces.{name}]\nurl = "{self.sandbox.url}"\ntoken_env = "{name.upper()}_TOKEN"\n'
            f"requests_per_minute = {self.requests_per_minute}\nserver_timeout = {server_timeout}\n"
            for name in NAMES
        ]
        (folder / "oauthsync.toml").write_text('default_workspace = "dev"\n' + "".join(sections))
        key = folder.parent / "key.txt"
        key.write_text(IDENTITY.text.reveal())

    def give_quota(self, requests_per_minute: int) -> None:
        """Let the client send so many from now on; no earlier one counts any more."""
        self.clock.sleep(60.0)
        self.requests_per_minute = requests_per_minute
        self.configure(self.folder)

    # --- what is there --------------------------------------------------------------------------

    @property
    def source(self) -> SandboxWorkspace:
        return self.sandbox.workspaces[0]

    @property
    def target(self) -> SandboxWorkspace:
        return self.sandbox.workspaces[1]

    @property
    def created(self) -> int:
        """How many profiles were created by POST, before this world was set back and since."""
        return self._created_before + sum(
            each.applied and each.method == "POST" for each in self.writes
        )

    @property
    def writes(self) -> list[Request]:
        return [each for each in self.sandbox.requests if each.method in WRITES]

    @property
    def calls(self) -> list[str]:
        """The requests so far, as `POST create` and the like."""
        return [f"{each.method} {each.call}" for each in self.sandbox.requests]

    def steady(self) -> Moment:
        """Time as the machine's own clock has it; the test's clock stands still but for sleep."""
        return Moment(self.timeline, self.clock.now())

    # --- the folder -----------------------------------------------------------------------------

    @property
    def environ(self) -> Mapping[str, str]:
        return {
            **self.tokens,
            "OAUTHSYNC_IDENTITY": str(self.folder.parent / "key.txt"),
            "XDG_STATE_HOME": str(self.folder.parent / "state"),
            "HOME": str(self.folder.parent),
        }

    def backup(self) -> Backup:
        """The folder, as a new process opens it."""
        return TappedBackup(
            self.folder,
            self.points,
            environ=self.environ,
            home=self.folder.parent,
            clock=SetClock(self.clock, self.time_is_off_by),
            listener=self.events.append,
        )

    def restart(self, points: Points | None = None) -> None:
        """Wait for what a dead process has left, and begin a new one."""
        for thread in threading.enumerate():
            if thread.name.startswith(("step", "page")):
                thread.join()
        self.points = points or Points()

    def other_folder(self) -> "World":
        """The same workspaces, as another backup folder of the same user has them."""
        other = World.__new__(World)
        other.__dict__ |= {**self.__dict__, "folder": self.folder.with_name("other")}
        other.points = Points()
        other.folder.mkdir()
        other.configure(other.folder)
        other.file_secrets()
        other.export()
        return other

    def file_secrets(self, *workspaces: SandboxWorkspace) -> None:
        """File a secret for each app of these workspaces, or of all."""
        entries = {}
        for workspace in workspaces or self.sandbox.workspaces:
            for profile in workspace.profiles.values():
                document = profile.document
                app = (document["provider"], document["data"]["client_id"])
                token = Secret(f"{CANARY}-token") if app[0] == "slack" else None
                entries[app] = sidecar.Entry(
                    *app, Secret(secret_of(*app)), token, timestamp(self.clock.now())
                )
        if not entries:
            return
        sidecar.update(
            self.folder / "secrets.age", sidecar.IdentityKey((IDENTITY,)), list(entries.values())
        )

    def export(self, name: str = "dev") -> None:
        with self.backup() as backup:
            [result] = backup.export([backup.workspace(name)])
            assert isinstance(result, Exported), result

    # --- writing --------------------------------------------------------------------------------

    @contextmanager
    def session(self, target: str = "prod") -> Iterator[Session]:
        with (
            self.backup() as backup,
            open_session(
                backup, backup.workspace(target), width=self.width, steady=self.steady
            ) as session,
        ):
            yield session

    def carry_out(
        self, target: str = "prod", options: Options | None = None, snapshot: str = "latest"
    ) -> Carried:
        """Import a snapshot of dev."""
        with self.session(target) as session:
            chosen = session.backup.snapshots().find(snapshot, "dev")
            return session.carry_out(session.prepare(chosen, options or Options()))

    def resume(self, run: int | None = None, target: str = "prod") -> Carried:
        with self.session(target) as session:
            return session.resume(run_to_resume(session.backup, run))

    def undo(
        self, run: int | None = None, *, force: bool = False, target: str = "prod"
    ) -> Carried | None:
        """Undo a run; None where there is nothing to do."""
        with self.session(target) as session:
            found = run_to_undo(session.backup, run)
            return session.undo(found, force=force, confirm=lambda _plan: True)[1]

    def write_one(self, make: Callable[[Listing], Any], target: str = "prod") -> Carried:
        with self.session(target) as session:
            listing = session.look()
            return session.write_one(make(listing), listing)

    def runs(self) -> list[Run]:
        with self.backup() as backup:
            return backup.journal().runs()

    def steps(self, run: int) -> list[Step]:
        with self.backup() as backup:
            return backup.journal().steps(run)


class Template:
    """A world to begin with, many times: the folder is copied, the workspaces are set back."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._created = world.created
        self._rows = [workspace.rows() for workspace in world.sandbox.workspaces]

    def fresh(self, folder: Path) -> World:
        """The world as it was, with `folder` as its backup folder, and a day later."""
        world = self._world
        world.restart()
        world.sandbox.hook = None
        world.sandbox.faults = []
        assert isinstance(world.clock, FakeClock)
        world.clock.advance_to(world.clock.now() + 86_400)
        for workspace, rows in zip(world.sandbox.workspaces, self._rows, strict=True):
            assert workspace.profiles is not None  # late writes are carried out, and forgotten
            workspace.load(rows)
        world.sandbox.requests.clear()
        world.events.clear()
        shutil.copytree(world.folder, folder)
        copy = World.__new__(World)
        copy.__dict__ |= {**world.__dict__, "folder": folder, "_created_before": self._created}
        copy.configure(folder)
        return copy


def start_import(world: World) -> subprocess.Popen[bytes]:
    """The import from dev into prod, as a process of its own, in real time."""
    command = ["import", "--to", "prod", "--on-existing", "update", "--yes", "--dir"]
    return subprocess.Popen(
        [sys.executable, "-m", "oauthsync", *command, str(world.folder)],
        env={**os.environ, **world.environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def kill_in_write(world: World, number: int, fault: Fault | None = None) -> str | None:
    """Begin an import, and kill its process when write number so and so has reached the server.

    `fault` is what becomes of that write. Returns what the process has shown, or None where it
    ended before.
    """
    started, seen = threading.Event(), count(1)

    def kill(request: Request) -> Fault | None:
        if request.method not in WRITES or next(seen) != number:
            return None
        assert started.wait(PATIENCE)
        process.kill()
        process.wait(PATIENCE)
        return fault

    world.sandbox.hook = kill
    process = start_import(world)
    started.set()
    shown, _ = process.communicate(timeout=PATIENCE)
    world.sandbox.hook = None
    return shown.decode() if process.returncode == -signal.SIGKILL else None


def secret_of(provider: str, client_id: str) -> str:
    """The one secret of an app, wherever it is used."""
    return f"{CANARY}-{provider}-{client_id}"


def contents(workspace: SandboxWorkspace) -> Counter[Content]:
    """How often there is a profile of each provider, name and data."""
    return Counter(content_of(each.document) for each in workspace.profiles.values())


def content_of(document: Mapping[str, Any]) -> Content:
    return document["provider"], document["name"], json.dumps(document["data"], sort_keys=True)
