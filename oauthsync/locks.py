"""The right to write to a workspace: one process of this user on this machine at a time.

A workspace is locked by its own id, which it has whatever token and folder it is reached from. An
empty one does not tell its id: whoever writes to that keeps all others out of the workspaces at its
URL, as one of them may be the same.

The kernel drops a lock with the process that holds it, but not what that process has asked of the
server. So whoever is going to write puts the name of its run into the lock file, and takes it out
when no call is open any more. Who finds a run there that its own journal does not know cannot tell
what may still happen in the workspace, and has to wait for that.

The id is known only when the workspace was listed, and by then others may have written to it. The
lock file of the URL tells: its content changes when somebody begins to write, and ends.
"""

import hashlib
import secrets
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from oauthsync import files
from oauthsync.errors import FileError

_MAX_FILE = 64 * 1024


class TargetLock:
    """The locks that make up the right to write to one workspace; a context manager.

    `folder` is where the lock files are, `what` names the workspace in messages, and `knows` says
    whether a run is one of this folder's. `strangers` says that calls of others may be under way.
    A run's name has up to 32 characters. Every method raises FileError where another process holds
    a lock, or a file cannot be used.
    """

    def __init__(self, folder: Path, url: str, knows: Callable[[str], bool], *, what: str) -> None:
        self.strangers = False
        self._folder = folder
        self._url = url
        self._knows = knows
        self._what = what
        self._site = self._path(url)
        self._site_stack = ExitStack()
        self._stack = ExitStack()
        self._alone: set[Path] = set()
        self._marks: dict[Path, str] = {}
        self._seen = b""

    def __enter__(self) -> "TargetLock":
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise _unusable("create", self._folder, error) from error
        self._lock_site(shared=True)
        self._read_mark(self._site)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()
        self._site_stack.close()

    def watch(self) -> None:
        """Say that the workspace is going to be listed: see `take`."""
        self._seen = _content(self._site)

    def take(self, user_id: int | None) -> bool:
        """Hold the lock of the workspace with this id, or of all at its URL where that is None.

        Whether it was not held before, and others may have written since `watch`.
        """
        path = self._site if user_id is None else self._path(f"{self._url}\0{user_id}")
        if path in self._alone:
            return False
        if user_id is None:
            self._site_stack.close()
            self._lock_site(shared=False)
        else:
            self._stack.enter_context(files.locked(path, what=self._what))
        self._alone.add(path)
        return bool(self._read_mark(path)) or _content(self._site) != self._seen

    def strangers_are_gone(self) -> None:
        """Say that whatever others had under way is over."""
        self.strangers = False
        for path, run in self._marks.items():
            if run and not self._knows(run):
                self._write(path, "")

    def mark(self, run: str) -> None:
        """Say that calls of this run may be under way from now on; strangers must be gone."""
        for path in self._alone:
            self._write(path, run)
        self._write(self._site, self._marks[self._site])

    def unmark(self) -> None:
        """Say that none of this folder's calls at this URL is under way."""
        if not any(run and self._knows(run) for run in self._marks.values()):
            return
        # The URL's file first: whoever listed meanwhile is to see that somebody has written.
        for path in sorted(self._marks, key=lambda path: path != self._site):
            run = self._marks[path]
            self._write(path, "" if self._knows(run) else run)

    def _lock_site(self, *, shared: bool) -> None:
        what = f"{self._url}, whose empty workspaces cannot be told from the others,"
        self._site_stack.enter_context(files.locked(self._site, what=what, shared=shared))

    def _path(self, key: str) -> Path:
        return self._folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.lock"

    def _read_mark(self, path: Path) -> str:
        run = _content(path).partition(b" ")[2].decode("ascii", "replace").strip()
        self._marks[path] = run
        self.strangers = self.strangers or bool(run and not self._knows(run))
        return run

    def _write(self, path: Path, run: str) -> None:
        try:
            # In one go and of one length: others, who share the URL's lock, never read a part.
            with path.open("r+b") as file:
                file.write(f"{secrets.token_hex(16)} {run:32}".encode("ascii", "replace"))
                file.truncate()
        except OSError as error:
            raise _unusable("write", path, error) from error
        self._marks[path] = run


def _unusable(verb: str, path: Path, error: OSError) -> FileError:
    return FileError(
        f"cannot {verb} {path}: {error.strerror or error}",
        hint="make it writable, or set XDG_STATE_HOME to a folder that is",
    )


def _content(path: Path) -> bytes:
    try:
        return files.read_file(path, limit=_MAX_FILE)
    except FileNotFoundError as error:
        raise FileError(f"{path} is gone: somebody removed it", hint="try again") from error
