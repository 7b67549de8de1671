"""The right to write to a workspace: one at a time, and what an unfinished one left behind."""

from collections.abc import Collection
from pathlib import Path

import pytest

from oauthsync.errors import FileError
from oauthsync.locks import TargetLock

URL = "https://www.workato.com"


def lock(tmp_path: Path, own: Collection[str] = (), url: str = URL) -> TargetLock:
    """The lock, for a folder whose journal has the runs `own`."""
    return TargetLock(tmp_path / "locks", url, own.__contains__, what="workspace 'prod'")


def test_a_workspace_is_locked_once(tmp_path: Path) -> None:
    with lock(tmp_path) as first, lock(tmp_path) as second:
        first.take(1)
        first.take(1)
        with pytest.raises(FileError, match="'prod' is in use"):
            second.take(1)
        second.take(2)
    with lock(tmp_path) as second:
        second.take(1)


def test_a_workspace_without_an_id_locks_all_at_its_url_and_no_others(tmp_path: Path) -> None:
    with lock(tmp_path) as first:
        first.take(None)
        with pytest.raises(FileError, match=f"{URL}, .* is in use"), lock(tmp_path):
            pass
        with lock(tmp_path, url="https://app.eu.workato.com") as elsewhere:
            elsewhere.take(None)
    with lock(tmp_path) as first, lock(tmp_path) as second:
        first.take(1)
        with pytest.raises(FileError, match="is in use"):
            second.take(None)


def test_what_others_have_written_since_the_workspace_was_listed_is_told(tmp_path: Path) -> None:
    with lock(tmp_path, ["run"]) as first, lock(tmp_path) as second:
        for each in (first, second):
            each.watch()
        assert not first.take(1)
        first.mark("run")
        first.unmark()
        assert second.take(2)
        second.watch()
        assert not second.take(2)
        assert not second.take(3)


@pytest.mark.parametrize("user_id", [1, None])
def test_who_ends_in_order_leaves_no_mark(tmp_path: Path, user_id: int | None) -> None:
    with lock(tmp_path, ["run"]) as first:
        first.take(user_id)
        first.mark("run")
        first.unmark()
    with lock(tmp_path) as second:
        second.watch()
        assert not second.take(user_id)
        assert not second.strangers


@pytest.mark.parametrize("user_id", [1, None])
def test_anothers_mark_is_seen_until_it_is_over(tmp_path: Path, user_id: int | None) -> None:
    with lock(tmp_path, ["run"]) as first:
        first.take(user_id)
        first.mark("run")
    for _ in range(2):  # whoever does not wait for the end of it changes nothing
        with lock(tmp_path) as second:
            second.watch()
            assert second.take(user_id)
            assert second.strangers
            second.unmark()
    with lock(tmp_path) as second:
        second.take(user_id)
        second.strangers_are_gone()
    with lock(tmp_path) as third:
        third.take(user_id)
        assert not third.strangers


def test_a_mark_of_a_workspace_without_an_id_is_seen_from_all_at_its_url(tmp_path: Path) -> None:
    with lock(tmp_path, ["run"]) as first:
        first.take(None)
        first.mark("run")
    with lock(tmp_path) as second:
        assert second.strangers
        second.strangers_are_gone()
        second.take(7)
        second.mark("another")
        second.unmark()
    with lock(tmp_path) as third:
        assert not third.strangers


def test_ones_own_mark_is_no_strangers(tmp_path: Path) -> None:
    for _ in range(2):
        with lock(tmp_path, ["run"]) as first:
            first.take(1)
            assert not first.strangers
            first.mark("run")


def test_lock_files_tell_nothing_but_the_run(tmp_path: Path) -> None:
    with lock(tmp_path) as first:
        first.take(4711)
        first.mark("run")
    for path in (tmp_path / "locks").iterdir():
        assert "4711" not in path.name
        assert path.read_text()[32:].strip() in ("", "run")
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_cannot_hold_locks_is_named(tmp_path: Path) -> None:
    (tmp_path / "locks").write_text("a file")
    with pytest.raises(FileError, match="locks"), lock(tmp_path):
        pass


def test_a_lock_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with lock(tmp_path) as first:
        first.take(None)
        [path] = (tmp_path / "locks").iterdir()
        path.unlink()
        path.mkdir()
        with pytest.raises(FileError, match=path.name):
            first.mark("run")
