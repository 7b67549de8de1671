"""The right to write to a workspace: one process of this user on this machine at a time.

The kernel drops a lock with the process that holds it, but not what that process has asked of the
server. So whoever is going to write puts the name of its backup folder into the lock file, and
takes it out when no call is open any more. Who finds another folder's name there cannot see in its
own journal what may still happen in the workspace, and has to wait for that.
"""

import hashlib
import os
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from oauthsync import files
from oauthsync.errors import FileError

_MAX_NAME = 64 * 1024


class TargetLock:
    """The locks that make up the right to write to one workspace; a context manager.

    `folder` is where the lock files are, `owner` the backup folder, and `what` names the workspace
    in messages. `strangers` says that another folder's calls may be under way.
    """

    def __init__(self, folder: Path, owner: Path, *, what: str) -> None:
        self.strangers = False
        self._folder = folder
        self._owner = os.fsencode(owner.resolve())
        self._what = what
        self._held: dict[Path, bytes] = {}
        self._stack = ExitStack()

    def __enter__(self) -> "TargetLock":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def take(self, key: str) -> None:
        """Hold one more lock, of a key that stands for the workspace.

        Raises FileError where another process holds it.
        """
        name = hashlib.sha256(key.encode()).hexdigest()[:32]
        path = self._folder / f"{name}.lock"
        if path in self._held:
            return
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise FileError(f"cannot create {self._folder}: {error.strerror or error}") from error
        self._stack.enter_context(files.locked(path, what=self._what))
        self._held[path] = files.read_file(path, limit=_MAX_NAME)
        self.strangers = self.strangers or self._held[path] not in (b"", self._owner)

    def strangers_are_gone(self) -> None:
        """Say that whatever another folder had under way is over."""
        self.strangers = False
        for path, content in self._held.items():
            if content != self._owner:
                self._write(path, b"")

    def mark(self) -> None:
        """Say that calls of this folder may be under way from now on; strangers must be gone."""
        for path in self._held:
            self._write(path, self._owner)

    def unmark(self) -> None:
        """Say that none of this folder's calls is under way."""
        for path, content in self._held.items():
            if content == self._owner:
                self._write(path, b"")

    def _write(self, path: Path, content: bytes) -> None:
        try:
            path.write_bytes(content)
        except OSError as error:
            raise FileError(f"cannot write {path}: {error.strerror or error}") from error
        self._held[path] = content
