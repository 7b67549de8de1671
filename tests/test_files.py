"""Durable writing and locks, with real files and processes."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from oauthsync import files
from oauthsync.errors import FileError


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_replaced_file_has_the_new_content_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o644)
    files.replace_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert mode(path) == 0o600
    assert names(tmp_path) == ["file"]


def test_the_previous_content_is_kept_where_asked(tmp_path: Path) -> None:
    path, previous = tmp_path / "file", tmp_path / "file.prev"
    for content in (b"one", b"two"):
        files.replace_file(path, content, previous=previous)
    second = path.stat().st_ino
    files.replace_file(path, b"three", previous=previous)
    assert (path.read_bytes(), previous.read_bytes()) == (b"three", b"two")
    assert previous.stat().st_ino != second  # a copy: not every file system has links
    assert names(tmp_path) == ["file", "file.prev"]


def test_what_stands_in_the_way_of_the_previous_content_is_named(tmp_path: Path) -> None:
    path, previous = tmp_path / "file", tmp_path / "file.prev"
    path.write_bytes(b"one")
    target = tmp_path / "target"
    target.write_text("precious")
    previous.symlink_to(target)
    with pytest.raises(FileError, match=r"file\.prev is a symbolic link"):
        files.replace_file(path, b"two", previous=previous)
    previous.unlink()
    previous.mkdir()
    with pytest.raises(FileError, match=r"file\.prev: Is a directory"):
        files.replace_file(path, b"two", previous=previous)
    assert (path.read_bytes(), target.read_text()) == (b"one", "precious")
    assert names(tmp_path) == ["file", "file.prev", "target"]


@pytest.mark.parametrize(
    "write",
    [
        lambda path: files.replace_file(path, b"new"),
        lambda path: files.replace_file(path, b"new", previous=path.with_name("target")),
        lambda path: files.create_file(path, b"new"),
        lambda path: files.read_file(path, limit=100),
    ],
)
def test_a_symbolic_link_is_refused_and_what_it_leads_to_untouched(
    tmp_path: Path, write: Callable[[Path], object]
) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("precious")
    link.symlink_to(target)
    with pytest.raises(FileError, match=r"symbolic link|File exists"):
        write(link)
    assert target.read_text() == "precious"
    assert link.is_symlink()


def test_a_link_that_leads_nowhere_is_not_written_through(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileError, match="symbolic link"):
        files.replace_file(link, b"new")
    assert names(tmp_path) == ["link"]


def test_a_folder_that_is_gone_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"cannot write .*gone/file: No such file") as caught:
        files.replace_file(tmp_path / "gone" / "file", b"new")
    assert "see what stands there, whose it is" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("replace_file(Path('file'), ", "cannot write file: File too large\n"),
        ("create_file(Path('new'), ", "cannot create new: File too large\n"),
    ],
)
def test_a_full_disk_leaves_what_was_there_and_nothing_else(
    tmp_path: Path, call: str, error: str
) -> None:
    (tmp_path / "file").write_text("old")
    script = (
        "import resource, signal; from pathlib import Path; from oauthsync import files\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))\n"
        f"try: files.{call} b'x' * 100)\n"
        "except files.FileError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == error
    assert (tmp_path / "file").read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_a_folder_that_cannot_be_looked_into_is_a_clear_error(tmp_path: Path) -> None:
    """The system's refusals are not all alike: this one comes before any file is opened."""
    for path in (tmp_path / ("x" * 300), tmp_path / "gone" / "file"):
        with pytest.raises(FileError, match="cannot write"):
            files.replace_file(path, b"new")


@pytest.mark.skipif(sys.platform != "linux", reason="has no folder without fsync at hand")
def test_a_file_system_without_fsync_for_folders_is_put_up_with() -> None:
    folder = Path("/proc/self")
    fd = os.open(folder, os.O_RDONLY)
    with pytest.raises(OSError, match="Invalid argument"):
        os.fsync(fd)
    os.close(fd)
    files.sync_folder(folder)


def test_a_file_is_created_private_and_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "key"
    files.create_file(path, b"one")
    assert mode(path) == 0o600
    with pytest.raises(FileError, match="File exists"):
        files.create_file(path, b"two")
    assert path.read_bytes() == b"one"


def test_reading_says_what_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * 11)
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(FileNotFoundError):
        files.read_file(tmp_path / "none", limit=10)
    with pytest.raises(FileError, match="larger than 10 bytes"):
        files.read_file(tmp_path / "large", limit=10)
    with pytest.raises(FileError, match="not a regular file"):
        files.read_file(tmp_path / "fifo", limit=10)
    with pytest.raises(FileError, match="not a regular file"):
        files.read_file(tmp_path, limit=10)
    assert files.read_file(tmp_path / "large", limit=11) == b"x" * 11


def test_a_second_lock_waits_and_gives_up(tmp_path: Path) -> None:
    slept: list[float] = []
    path = tmp_path / "lock"
    with (
        files.locked(path, what="the thing"),
        pytest.raises(FileError, match="the thing is in use by another"),
        files.locked(path, what="the thing", timeout=0.2, sleep=slept.append),
    ):
        pytest.fail("two held one lock")
    assert sum(slept) == pytest.approx(0.2)
    with files.locked(path, what="the thing"):
        assert mode(path) == 0o600


def test_shared_locks_go_together_and_exclude_an_exclusive_one(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with (
        files.locked(path, what="it", shared=True),
        files.locked(path, what="it", shared=True),
        pytest.raises(FileError),
        files.locked(path, what="it"),
    ):
        pytest.fail("an exclusive lock beside shared ones")


def test_a_lock_is_gone_with_its_process(tmp_path: Path) -> None:
    script = (
        "import time; from pathlib import Path; from oauthsync import files\n"
        "with files.locked(Path('lock'), what='it'): print(flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=tmp_path, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(FileError), files.locked(tmp_path / "lock", what="it"):
            pytest.fail("two processes held one lock")
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with files.locked(tmp_path / "lock", what="it"):
        pass


def test_a_file_system_without_locks_is_no_place_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with (
        pytest.raises(FileError, match="it cannot be locked: No locks available"),
        files.locked(tmp_path / "lock", what="it"),
    ):
        pytest.fail("went on without a lock")


def test_a_link_in_place_of_the_lock_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with (
        pytest.raises(FileError, match="symbolic link"),
        files.locked(tmp_path / "lock", what="it"),
    ):
        pytest.fail("a link was followed")
    assert names(tmp_path) == ["lock"]
