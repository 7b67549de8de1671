"""Durable writing and locking. POSIX only.

A file is replaced whole or not at all: whatever happens to the process or the machine, a reader
finds the old content or the new. Files are created with mode 0600, and a symbolic link in place of
a file is refused, never followed.
"""

import contextlib
import errno
import fcntl
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from oauthsync.errors import FileError

PRIVATE_MODE = 0o600


def read_file(path: Path, *, limit: int) -> bytes:
    """The content of a regular file of at most `limit` bytes.

    Raises FileNotFoundError where there is none, and FileError for anything else that is in the
    way: a symbolic link, a directory or device, a file over the limit, missing permission.
    """
    try:
        return read_regular(path, limit=limit, flags=os.O_NOFOLLOW)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _unusable(path, "read", error) from error


def read_regular(path: Path, *, limit: int, flags: int = 0) -> bytes:
    """As `read_file`, of a file that the user named; `flags` are further ones for open(2).

    Symbolic links are followed: secrets and settings that a cluster mounts into a container are
    links. Raises OSError, and `strerror` says why without the path, which may be a secret that was
    given in place of one.
    """
    # O_NONBLOCK: opening a FIFO must not wait for a writer; it has no effect on regular files.
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | flags)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        content = b""
        while chunk := os.read(fd, limit + 1 - len(content)):
            content += chunk
    finally:
        os.close(fd)
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"it is larger than {limit} bytes")
    return content


def is_there(path: Path) -> bool:
    """Whether anything, be it a broken link, is at `path`.

    True also where that cannot be seen: what may be there is not to be taken for missing.
    """
    try:
        path.lstat()
    except OSError as error:
        return not isinstance(error, FileNotFoundError)
    return True


def previous_of(path: Path) -> Path:
    """Where the content before the last change of a file is kept, if it is kept."""
    return path.with_name(f"{path.name}.prev")


def replace_file(path: Path, content: bytes, *, previous: Path | None = None) -> None:
    """Put `content` at `path`, whole or not at all, with mode 0600.

    With `previous`, the content that stood at `path` is kept there, and at no moment is there
    neither. Raises FileError, and leaves what was there; if the very last step is what fails, the
    fsync of the folder, the new content stands there, but may not survive a power cut.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        if path.is_symlink():
            raise _is_link(path)
        try:
            _write_new(temporary, content)
            if previous is not None:
                _keep_previous(path, previous)
            temporary.replace(path)
            sync_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise _unusable(path, "write", error) from error


def create_file(path: Path, content: bytes) -> None:
    """Create a file of mode 0600; FileError where there is one already, or it cannot be written."""
    try:
        _write_new(path, content)
        sync_folder(path.parent)
    except OSError as error:
        raise _unusable(path, "create", error) from error


def _write_new(path: Path, content: bytes) -> None:
    # O_EXCL never opens what is there, a link neither; the mode holds from the first byte on.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(path, flags, PRIVATE_MODE)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            file.flush()
            # The bytes must be on the disk before the name is: a rename may overtake the data.
            os.fsync(file.fileno())
    except BaseException:
        # Half a file is of no use, and would be in the way of the next try.
        path.unlink(missing_ok=True)
        raise


def _keep_previous(path: Path, previous: Path) -> None:
    # A copy, not a second name for the file: FAT and many network file systems have no hard links,
    # and Linux refuses one to a file of another user.
    with contextlib.suppress(FileNotFoundError):  # the first generation has none before it
        replace_file(previous, read_file(path, limit=path.lstat().st_size))


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable: fsync of a file covers its content, not its name."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        # So says a file system that has no fsync for folders: there is no more to be done.
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(fd)


@contextlib.contextmanager
def locked(
    path: Path,
    *,
    what: str,
    shared: bool = False,
    timeout: float = 0.0,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[None]:
    """Hold a lock on the lock file `path`, or raise FileError after `timeout` seconds.

    An exclusive lock excludes all others, a `shared` one the exclusive ones.
    `what` names what is locked, for the message. The kernel drops the lock with the process,
    however that dies. The file itself stays: removing it would let two processes hold two locks.
    On network file systems flock(2) needs a server that supports it (NFSv4 does).
    """
    fd = _open_lock(path)
    try:
        _wait_for_lock(fd, fcntl.LOCK_SH if shared else fcntl.LOCK_EX, what, timeout, sleep)
        yield
    finally:
        os.close(fd)


def _open_lock(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE_MODE)
    except OSError as error:
        raise _unusable(path, "open", error) from error


def _wait_for_lock(
    fd: int, kind: int, what: str, timeout: float, sleep: Callable[[float], None]
) -> None:
    step = 0.05
    waited = 0.0
    while True:
        try:
            fcntl.flock(fd, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if waited >= timeout:
                raise FileError(
                    f"{what} is in use by another oauthsync process",
                    hint="wait until it has finished, then try again",
                ) from None
        except OSError as error:
            raise FileError(
                f"{what} cannot be locked: {error.strerror or error}",
                hint="put it on a file system that has locks",
            ) from error
        else:
            return
        sleep(step)
        waited += step


def _unusable(path: Path, verb: str, error: OSError) -> FileError:
    if error.errno == errno.ELOOP:
        return _is_link(path)
    return FileError(
        f"cannot {verb} {path}: {error.strerror or error}",
        hint="see what stands there, whose it is, and whether the disk has room",
    )


def _is_link(path: Path) -> FileError:
    return FileError(
        f"{path} is a symbolic link, which oauthsync does not follow",
        hint="put the file itself there, or name the one that the link leads to",
    )
