"""Whatever the disk does to a command, it says so, and the earlier backup is as it was.

And a profile is created exactly once, whatever the journal could not take.
"""

import contextlib
import io
import itertools
import json
import os
import resource
import shutil
import sqlite3
import subprocess
import sys

import pytest

from oauthsync import database
from oauthsync.cli import cli
from oauthsync.cli.run import run
from oauthsync.sandbox import Request
from tests.desk import DEV, Desk
from tests.store import in_child

NAMES = ("Acme", "Beta", "Gamma")


@pytest.fixture
def desk(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """With snapshot 1 of three profiles in the database, and their secret in the sidecar."""
    monkeypatch.setattr("oauthsync.target.GRACE", 0.0)
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)
    desk.create(*NAMES)
    desk.file(("hubspot", "app"))
    (desk.folder / "more.csv").write_text("provider,client_id,client_secret\np,c,s-canary\n")
    desk.done("export")
    return desk


def lose(desk: Desk) -> None:
    """Somebody deletes all of the three in the workspace."""
    workspace = desk.sandbox.workspace(DEV)
    for profile_id in list(workspace.profiles):
        workspace.delete(profile_id)


def assert_as_before(desk: Desk) -> None:
    """Snapshot 1 is whole, and could be restored with the sidecar as it is."""
    [*_, snapshot] = desk.done("check")["snapshots"]
    assert snapshot == {"id": 1, "ok": True, "restorable": 3, "missing": 0}
    assert [each["name"] for each in desk.done("show", "1")["profiles"]] == [*NAMES]


def assert_restored_once(desk: Desk) -> None:
    """Whatever was cut off can be carried on, and each profile is there once in the end."""
    if any(each["state"] in ("running", "incomplete") for each in desk.done("runs")["runs"]):
        assert desk.done("resume")["verified"]
    desk.done("import", "1", "--yes")
    found = desk.sandbox.workspace(DEV).profiles.values()
    assert sorted(each.document["name"] for each in found) == [*NAMES]
    assert_as_before(desk)


def assert_told(code: int, err: str) -> None:
    """A failure is told in words of ours, and one that is none is told as none."""
    assert code in (0, 1, 6, 7), err
    assert (code == 0) == ("error: " not in err)
    assert "unexpected" not in err
    assert "Traceback" not in err


# --- no space -----------------------------------------------------------------------------------

WRITING = (
    "export",
    "import 1 --yes",
    "secrets load more.csv",
    "secrets rekey --recipient RECIPIENT",
    "plan 1 -o plan.json",
    "report -o report.html",
    "profiles create --provider hubspot --name Acme --client-id app",
    "secrets keygen -o new.txt",
)


def limited(size: int, line: str) -> tuple[int, str]:
    """Call a command in a process whose files have at most `size` bytes: its code, and stderr."""
    ours, theirs = os.pipe()

    def call() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        with contextlib.redirect_stderr(io.StringIO()) as err:
            code = run(cli, line.split())
        os.write(theirs, err.getvalue().encode())
        os._exit(code)

    code = in_child(call)
    os.close(theirs)
    with os.fdopen(ours) as told:
        return code, told.read()


@pytest.mark.parametrize("line", WRITING)
def test_files_that_cannot_grow(line: str, desk: Desk) -> None:
    lose(desk)
    whole = (desk.folder / "oauthsync.db").stat().st_size
    line = line.replace("RECIPIENT", str(desk.key.identities[0].recipient))
    codes = []
    for size in (0, 600, 5000, whole, whole + 4096, whole + 40_000):
        code, err = limited(size, line)
        assert_told(code, err)
        codes.append(code)
        assert not list(desk.folder.glob(".*.tmp"))
        assert_as_before(desk)
        if code == 0:
            break
    assert codes[0] != 0
    assert codes[-1] == 0
    assert_restored_once(desk)


FULL = """
set -eu
mount -t tmpfs -o size=$((KEPT + 4 * LEFT))k tmpfs "$FOLDER"
cp -a "$COPY/." "$FOLDER"
cd "$FOLDER"
head -c 100M /dev/zero >ballast 2>/dev/null || true
truncate -s -"$LEFT"k ballast
set +e
"$PYTHON" -m oauthsync "$@" 2>"$COPY/err"
echo $? >"$COPY/code"
rm ballast
cp -a "$FOLDER/." "$COPY"
"""


def in_a_small_file_system(desk: Desk, left: int, *args: str) -> tuple[int, str]:
    """Call a command where `left` KiB are free: its code, and stderr."""
    copy = desk.folder.parent / "copy"
    shutil.copytree(desk.folder, copy)
    kept = sum(path.stat().st_size // 1024 + 8 for path in copy.iterdir())
    more = {"FOLDER": desk.folder, "COPY": copy, "PYTHON": sys.executable}
    subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", FULL, "sh", *args],
        env={
            **os.environ,
            **{name: str(path) for name, path in more.items()},
            "LEFT": str(left),
            "KEPT": str(kept),
        },
        check=True,
    )
    for path in copy.iterdir():
        if path.name not in ("err", "code", "ballast"):
            shutil.copy2(path, desk.folder)
    return int((copy / "code").read_text()), (copy / "err").read_text()


def may_mount() -> bool:
    probe = ["unshare", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    with contextlib.suppress(FileNotFoundError):
        return subprocess.run(probe, capture_output=True, check=False).returncode == 0
    return False


@pytest.mark.parametrize(("left", "line"), [(0, "export"), (0, "import 1 --yes"), (8, "export")])
def test_a_full_file_system(left: int, line: str, desk: Desk) -> None:
    if not may_mount():
        pytest.skip("this user may not mount a file system")
    lose(desk)
    code, err = in_a_small_file_system(desk, left, *line.split())
    assert code == 1
    assert "full" in err or "No space left" in err or "disk I/O error" in err, err
    assert_told(code, err)
    assert_as_before(desk)
    assert_restored_once(desk)


# --- a folder that cannot be written, or is gone ------------------------------------------------

SEVERAL = """
import contextlib, io, json, sys
from oauthsync.cli import cli
from oauthsync.cli.run import run
told = []
sys.stdout = io.StringIO()
for line in sys.argv[1:]:
    with contextlib.redirect_stderr(io.StringIO()) as err:
        code = run(cli, line.split())
    told.append([code, err.getvalue()])
print(json.dumps(told), file=sys.__stdout__)
"""
READ_ONLY = """
set -eu
mount --bind "$FOLDER" "$FOLDER"
mount -o remount,bind,ro "$FOLDER"
cd "$FOLDER"
exec "$PYTHON" -c "$@"
"""
READING = ("snapshots", "show 1", "check", "diff 1 live", "log", "plan 1", "secrets list", "runs")


def test_a_read_only_file_system(desk: Desk) -> None:
    """What only reads works there; what writes says so, and has sent nothing."""
    if not may_mount():
        pytest.skip("this user may not mount a file system")
    lose(desk)
    lines = [*READING, *WRITING[:3]]
    done = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", READ_ONLY, "sh", SEVERAL, *lines],
        env={**os.environ, "FOLDER": str(desk.folder), "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=True,
    )
    for line, (code, err) in zip(lines, json.loads(done.stdout), strict=True):
        assert code == (0 if line in READING else 1), (line, err)
        assert_told(code, err)
    assert desk.writes() == []
    assert_as_before(desk)
    assert_restored_once(desk)


@pytest.mark.parametrize("line", ["export", "import 1 --yes"])
def test_a_folder_that_vanishes_while_a_request_is_under_way(line: str, desk: Desk) -> None:
    lose(desk)
    away = desk.folder.with_name("away")
    method = "POST" if line.startswith("import") else "GET"
    numbers = itertools.count()  # creates come side by side

    def vanish(request: Request) -> None:
        if request.method == method and next(numbers) == 0:
            desk.folder.rename(away)

    desk.sandbox.hook = vanish
    called = desk.call(*line.split(), "--dir", str(desk.folder))
    assert called.code in (1, 6)
    assert_told(called.code, called.err)
    assert not desk.folder.exists()
    desk.sandbox.hook = None
    away.rename(desk.folder)
    assert_restored_once(desk)


def test_a_database_that_somebody_locks_while_a_request_is_under_way(desk: Desk) -> None:
    lose(desk)
    other = sqlite3.connect("oauthsync.db", isolation_level=None, check_same_thread=False)
    numbers = itertools.count()  # creates come side by side

    def lock(request: Request) -> None:
        if request.method == "POST" and next(numbers) == 0:
            other.execute("BEGIN IMMEDIATE")

    desk.sandbox.hook = lock
    called = desk.call("import", "1", "--yes")
    assert (called.code, "another process holds it" in called.err) == (1, True), called.err
    assert_told(called.code, called.err)
    other.close()
    assert_restored_once(desk)
