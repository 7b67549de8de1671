"""The sidecar under kill -9, full disks and many writers: always a whole generation, always sealed.

The children are real processes, forked from this one, and the signals are real.
"""

import contextlib
import os
import resource
import shutil
import signal
import sys
import types
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from oauthsync import age, files, sidecar
from oauthsync.errors import FileError, SidecarError
from oauthsync.secret import Secret
from oauthsync.sidecar import Entry, IdentityKey, Key, PassphraseKey

NOW = "2026-11-23T10:00:00Z"
CANARY = "c4n4ry"

IDENTITY = age.generate_identity()
KEY = IdentityKey((IDENTITY,))
NEW_KEY = IdentityKey((age.generate_identity(),))
NEW_RECIPIENTS = [str(one.recipient) for one in NEW_KEY.identities]
PASSPHRASE = PassphraseKey(Secret("correct horse battery"), work_factor=4)

MODULES = (sys.modules["posix"], sys.modules["fcntl"])

DONE = 0
RAISED = 70


def entry(client_id: str, size: int = 1) -> Entry:
    return Entry("slack", client_id, Secret(f"{CANARY}-{client_id}" * size), None, NOW)


def apps(path: Path, key: Key = KEY) -> list[str]:
    return [each.client_id for each in sidecar.load(path, key).entries]


def opens(path: Path, key: Key) -> bool:
    with contextlib.suppress(SidecarError):
        sidecar.load(path, key)
        return True
    return False


def child(action: Callable[[], object]) -> int:
    """The process id of a child that carries out `action` and nothing else."""
    pid = os.fork()
    if pid:
        return pid
    code = RAISED
    try:
        action()
        code = DONE
    finally:
        # Not by way of pytest's own clean-up: this process is not the one that runs the tests.
        os._exit(code)


def ended(pid: int) -> int:
    """The child's exit code, or minus the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def killed_at(step: int, action: Callable[[], object]) -> bool:
    """Kill a child before or after a system call of `action`; whether it got that far.

    Each call of a function that may be one, in `posix`, `fcntl` or of an open file, is two steps:
    before it, and after it.
    """
    left = step

    def count(_frame: types.FrameType, event: str, function: object) -> None:
        nonlocal left
        owner = getattr(function, "__self__", None)
        if event.startswith("c_") and (owner in MODULES or hasattr(owner, "fileno")):
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def watched() -> None:
        sys.setprofile(count)
        action()
        sys.setprofile(None)

    code = ended(child(watched))
    assert code in (DONE, -signal.SIGKILL)
    return code != DONE


def kill_everywhere(
    template: Path, action: Callable[[Path], object], check: Callable[[Path], object]
) -> int:
    """Run `action` on copies of a folder, killed one step later each time, and count the steps."""
    step = 0
    while True:
        folder = template.with_name(f"step-{step}")
        shutil.copytree(template, folder)
        path = folder / "secrets.age"
        killed = killed_at(step, partial(action, path))
        assert_sealed(folder)
        check(path)
        if not killed:
            return step
        step += 1


def assert_sealed(folder: Path) -> None:
    for each in folder.iterdir():
        assert CANARY.encode() not in each.read_bytes()
        assert each.stat().st_mode & 0o077 == 0


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """A folder with two generations: a, and a and b."""
    folder = tmp_path / "template"
    folder.mkdir(mode=0o700)
    for name in ("a", "b"):
        sidecar.update(folder / "secrets.age", KEY, [entry(name)])
    return folder


def test_an_update_killed_at_any_step_leaves_a_whole_generation_and_a_free_lock(
    template: Path,
) -> None:
    seen = set()

    def check(path: Path) -> None:
        now = "".join(apps(path))
        before = "".join(apps(path.with_name("secrets.age.prev")))
        assert (now, before) in {("ab", "a"), ("ab", "ab"), ("abc", "ab")}
        seen.add((now, before))
        sidecar.update(path, KEY, [entry("d")])
        assert apps(path) == [*now, "d"]

    steps = kill_everywhere(template, lambda path: sidecar.update(path, KEY, [entry("c")]), check)
    assert steps > 20
    assert seen == {("ab", "a"), ("ab", "ab"), ("abc", "ab")}


def test_a_creation_killed_at_any_step_leaves_nothing_or_all(tmp_path: Path) -> None:
    template = tmp_path / "template"
    template.mkdir()
    seen = set()

    def check(path: Path) -> None:
        assert opens(path, KEY) == files.is_there(path)
        seen.add(files.is_there(path))
        sidecar.update(path, KEY, [entry("a")])
        assert apps(path) == ["a"]

    kill_everywhere(template, lambda path: sidecar.update(path, KEY, [entry("a")]), check)
    assert seen == {False, True}


def test_a_rekey_killed_at_any_step_is_not_done_or_leaves_nothing_for_the_old_key(
    template: Path,
) -> None:
    # What a killed save left behind counts too.
    assert killed_at(12, lambda: sidecar.update(template / "secrets.age", KEY, [entry("c")]))
    seen = set()

    def check(path: Path) -> None:
        done = opens(path, NEW_KEY)
        seen.add(done)
        assert apps(path, NEW_KEY if done else KEY) == ["a", "b"]
        if done:
            assert not any(opens(each, KEY) for each in path.parent.iterdir())
        else:
            sidecar.rekey(path, KEY, NEW_RECIPIENTS, at_hand=NEW_KEY.identities)
            assert {each.name for each in path.parent.iterdir()} == {
                "secrets.age",
                "secrets.age.lock",
            }

    kill_everywhere(
        template,
        lambda path: sidecar.rekey(path, KEY, NEW_RECIPIENTS, at_hand=NEW_KEY.identities),
        check,
    )
    assert seen == {False, True}


def limited(size: int, disposition: signal.Handlers, action: Callable[[], object]) -> int:
    """Carry out `action` in a child that may not write a file beyond `size` bytes."""

    def run() -> None:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        signal.signal(signal.SIGXFSZ, disposition)
        action()

    return ended(child(run))


@pytest.mark.parametrize("size", [0, 1, 1000, 5000])
def test_a_save_killed_in_the_middle_of_a_write_leaves_the_generation_before(
    template: Path, size: int
) -> None:
    path = template / "secrets.age"
    code = limited(size, signal.SIG_DFL, lambda: sidecar.update(path, KEY, [entry("c", size=1000)]))
    assert code == -signal.SIGXFSZ
    assert [each.stat().st_size for each in template.glob(".*.tmp")] == [size]
    assert_sealed(template)
    assert apps(path) == ["a", "b"]


@pytest.mark.parametrize("size", [0, 1000])
def test_a_save_that_the_disk_has_no_room_for_changes_nothing_and_cleans_up(
    template: Path, size: int
) -> None:
    path = template / "secrets.age"
    before = {each: each.read_bytes() for each in template.iterdir()}

    def save() -> None:
        with pytest.raises(FileError, match="cannot write"):
            sidecar.update(path, KEY, [entry("c", size=1000)])

    assert limited(size, signal.SIG_IGN, save) == DONE
    assert {each: each.read_bytes() for each in template.iterdir()} == before


def test_nothing_outside_the_folder_is_opened_for_writing(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    path = folder / "secrets.age"

    def audited() -> None:
        written: list[str] = []

        def note(event: str, arguments: tuple[object, ...]) -> None:
            if event == "open":
                name, _, flags = arguments
                if isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                    written.append(str(name))

        sys.addaudithook(note)
        sidecar.update(path, PASSPHRASE, [entry("a")])
        sidecar.update(path, PASSPHRASE, [entry("b")])
        sidecar.rekey(path, PASSPHRASE, NEW_RECIPIENTS, at_hand=NEW_KEY.identities)
        sidecar.load(path, NEW_KEY)
        # A file object around a descriptor that is open already is audited under its number.
        named = [each for each in written if not each.isdigit()]
        assert len(named) == 7, "a lock and a temporary file for each of three changes, one copy"
        assert all(Path(each).parent == folder for each in named)

    assert ended(child(audited)) == DONE


def test_processes_that_update_at_once_lose_nothing_and_readers_always_find_it_whole(
    tmp_path: Path,
) -> None:
    path = tmp_path / "secrets.age"
    sidecar.update(path, KEY, [entry("start")])
    names = [[f"{writer}-{number}" for number in range(8)] for writer in range(3)]
    start, release = os.pipe()

    def write(mine: list[str]) -> None:
        os.close(release)
        os.read(start, 1)  # returns when the parent lets all start at once
        for name in mine:
            sidecar.update(path, KEY, [entry(name)])

    writers = [child(partial(write, mine)) for mine in names]
    os.close(release)
    os.close(start)
    reader = child(lambda: [apps(path) for _ in range(50)])
    assert [ended(pid) for pid in (*writers, reader)] == [DONE] * 4
    assert set(apps(path)) == {"start"}.union(*names)


def test_processes_that_create_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "secrets.age"

    def create(name: str) -> None:
        sidecar.update(path, PASSPHRASE, [entry(name)])

    writers = [child(partial(create, name)) for name in "abcd"]
    assert [ended(pid) for pid in writers] == [DONE] * 4
    assert apps(path, PASSPHRASE) == ["a", "b", "c", "d"]
