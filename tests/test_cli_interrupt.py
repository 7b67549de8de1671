"""Ctrl-C and SIGTERM end a real process: what is done is kept, and nothing is half done."""

import os
import select
import signal
import subprocess
import sys
import threading

import pytest

from oauthsync.sandbox import Request
from tests.desk import DEV, Desk
from tests.everyday import PATIENCE

COMMAND = [sys.executable, "-m", "oauthsync"]


class Slow:
    """A server that works on one kind of request until it is let go on."""

    def __init__(self, desk: Desk, call: str, path: str = "") -> None:
        self._call, self._path = call, path
        self._asked, self.go_on = threading.Event(), threading.Event()
        desk.sandbox.hook = self._hook

    def _hook(self, request: Request) -> None:
        if request.call == self._call and self._path in request.path:
            self._asked.set()
            assert self.go_on.wait(PATIENCE)

    def wait(self) -> None:
        """Wait until such a request has come."""
        assert self._asked.wait(PATIENCE)


def start(*args: str, command: list[str] = COMMAND) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*command, *args],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def ended(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    """How a process ended, and what it still had to say."""
    _, told = process.communicate(timeout=PATIENCE)
    return process.returncode, told.decode()


def read_until(process: subprocess.Popen[bytes], text: str) -> str:
    told = b""
    assert process.stderr is not None
    while text.encode() not in told:
        assert select.select([process.stderr], [], [], PATIENCE)[0], told
        chunk = os.read(process.stderr.fileno(), 4096)
        assert chunk, told
        told += chunk
    return told.decode()


def test_sigterm_in_the_middle_of_an_export_ends_like_ctrl_c_and_stores_nothing_of_it(
    desk: Desk,
) -> None:
    desk.create(*(f"Acme {number}" for number in range(150)))
    desk.done("export")
    slow = Slow(desk, "list", "page=2")
    process = start("export", "dev")
    slow.wait()
    process.send_signal(signal.SIGTERM)
    code, told = ended(process)
    slow.go_on.set()
    assert code == 130
    assert "error: interrupted\nhint: no snapshot was taken of what was still being read" in told
    assert [each["id"] for each in desk.done("snapshots")["snapshots"]] == [1]
    assert desk.done("check")["ok"]


@pytest.mark.parametrize("again", [False, True])
def test_who_interrupts_a_write_is_told_to_wait_for_it_and_what_once_more_does(
    desk: Desk, again: bool
) -> None:
    lost = desk.create(*(f"Acme {number}" for number in range(40)))
    desk.file(("hubspot", "app"))
    desk.done("export")
    for profile in lost:
        desk.sandbox.workspace(DEV).delete(profile.id)
    slow = Slow(desk, "create")
    process = start("import", "--yes")
    slow.wait()
    process.send_signal(signal.SIGINT)
    read_until(process, "finishing what is under way; press Ctrl-C once more to cut it off")
    if again:
        process.send_signal(signal.SIGINT)
        code, told = ended(process)
        slow.go_on.set()
    else:
        slow.go_on.set()
        code, told = ended(process)
        created = len(desk.sandbox.workspace(DEV).profiles)
        assert f"run 1 is not finished: {created} of 40 steps have ended\n" in told
    assert code == 130
    assert "`oauthsync resume" in told
    assert [run["state"] for run in desk.done("runs")["runs"]] in (["incomplete"], ["running"])


def test_a_third_interruption_ends_the_process_whatever_it_does() -> None:
    script = (
        "import os, signal\n"
        "from oauthsync.cli.run import end_on_signals\n"
        "end_on_signals()\n"
        "for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT):\n"
        "    try: os.kill(os.getpid(), number)\n"
        "    except KeyboardInterrupt: pass\n"
    )
    done = subprocess.run([sys.executable, "-c", script], check=False)
    assert done.returncode == 130


def test_ctrl_c_is_not_for_a_process_in_the_background_of_a_shell(desk: Desk) -> None:
    slow = Slow(desk, "list")
    process = start("export", command=["sh", "-c", "trap '' INT; exec \"$@\"", "sh", *COMMAND])
    slow.wait()
    process.send_signal(signal.SIGINT)
    slow.go_on.set()
    assert ended(process) == (0, "")
