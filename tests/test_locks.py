"""The right to write to a workspace: one at a time, and what an unfinished one left behind."""

from pathlib import Path

import pytest

from oauthsync.errors import FileError
from oauthsync.locks import TargetLock


def lock(tmp_path: Path, owner: str = "here") -> TargetLock:
    return TargetLock(tmp_path / "locks", tmp_path / owner, what="workspace 'prod'")


def test_a_workspace_is_locked_once(tmp_path: Path) -> None:
    with lock(tmp_path) as first, lock(tmp_path, "there") as second:
        first.take("a token's key")
        first.take("a token's key")
        with pytest.raises(FileError, match="'prod' is in use"):
            second.take("a token's key")
        second.take("another")
    with lock(tmp_path, "there") as second:
        second.take("a token's key")


def test_a_workspace_is_locked_by_each_of_its_names(tmp_path: Path) -> None:
    with lock(tmp_path) as first, lock(tmp_path, "there") as second:
        first.take("one token's key")
        first.take("the workspace's id")
        second.take("another token's key")
        with pytest.raises(FileError):
            second.take("the workspace's id")


def test_who_ends_in_order_leaves_no_mark(tmp_path: Path) -> None:
    with lock(tmp_path) as first:
        first.take("key")
        first.mark()
        first.unmark()
    with lock(tmp_path, "there") as second:
        second.take("key")
        assert not second.strangers


def test_another_folders_mark_is_seen_until_it_is_over(tmp_path: Path) -> None:
    with lock(tmp_path) as first:
        first.take("key")
        first.mark()
    for _ in range(2):  # whoever does not wait for the end of it changes nothing
        with lock(tmp_path, "there") as second:
            second.take("key")
            assert second.strangers
            second.unmark()
    with lock(tmp_path, "there") as second:
        second.take("key")
        second.strangers_are_gone()
    with lock(tmp_path, "elsewhere") as third:
        third.take("key")
        assert not third.strangers


def test_ones_own_mark_is_no_strangers(tmp_path: Path) -> None:
    for _ in range(2):
        with lock(tmp_path) as first:
            first.take("key")
            assert not first.strangers
            first.mark()


def test_a_mark_stands_at_each_name_of_the_workspace(tmp_path: Path) -> None:
    with lock(tmp_path) as first:
        first.take("a token's key")
        first.take("the workspace's id")
        first.mark()
    with lock(tmp_path, "there") as second:
        second.take("another token's key")
        assert not second.strangers
        second.take("the workspace's id")
        assert second.strangers


def test_lock_files_tell_nothing_but_the_folder(tmp_path: Path) -> None:
    with lock(tmp_path) as first:
        first.take("canary")
        first.mark()
    [path] = (tmp_path / "locks").iterdir()
    assert "canary" not in path.name
    assert path.read_text() == str(tmp_path / "here")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_cannot_hold_locks_is_named(tmp_path: Path) -> None:
    (tmp_path / "locks").write_text("a file")
    with lock(tmp_path) as first, pytest.raises(FileError, match="locks"):
        first.take("key")


def test_a_lock_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with lock(tmp_path) as first:
        first.take("key")
        [path] = (tmp_path / "locks").iterdir()
        path.unlink()
        path.mkdir()
        with pytest.raises(FileError, match=path.name):
            first.mark()
