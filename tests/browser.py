"""Chromium without a window, driven through its DevTools protocol over a pipe.

The protocol: https://chromedevtools.github.io/devtools-protocol/ (messages end with a NUL byte).
"""

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--headless",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--remote-debugging-pipe",
)
_EVENTS_OF_HARM = (
    "Runtime.consoleAPICalled",
    "Runtime.exceptionThrown",
    "Log.entryAdded",
    "Page.javascriptDialogOpening",
)

# Chromium reads from file descriptor 3 and writes to 4, which nothing in Python's own API sets.
_START = "import os, sys; os.dup2({}, 3); os.dup2({}, 4); os.execv(sys.argv[1], sys.argv[1:])"


class Browser:
    """One page of a browser; `events` are all that it told since the last `open`."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._to = to_browser
        self._from = os.fdopen(from_browser, "rb", buffering=0)
        self._received = b""
        self._last_id = 0
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """The result of one call of the protocol."""
        self._last_id += 1
        message: dict[str, Any] = {"id": self._last_id, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while (answer := self._receive()).get("id") != self._last_id:
            self.events.append(answer)
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def open(self, path: Path) -> None:
        """Load a file, and wait until it is loaded."""
        self.events.clear()
        self.call("Page.navigate", url=path.as_uri())
        while not self.told("Page.loadEventFired"):
            self.events.append(self._receive())
        self.evaluate("0")  # what was told before the answer has arrived with it

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def emulate(self, *, media: str = "", scheme: str = "light") -> None:
        """Show the page on another medium, or in another colour scheme."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", media=media, features=features)

    def told(self, *methods: str) -> list[dict[str, Any]]:
        """The parameters of the events of these kinds."""
        return [each["params"] for each in self.events if each.get("method") in methods]

    @property
    def complaints(self) -> list[dict[str, Any]]:
        """Everything on the console, and every dialog."""
        return self.told(*_EVENTS_OF_HARM)

    @property
    def requests(self) -> list[str]:
        """The URLs that the page asked for, its own first."""
        return [each["request"]["url"] for each in self.told("Network.requestWillBeSent")]

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._received:
            chunk = self._from.read(1 << 20)
            assert chunk, "the browser has ended"
            self._received += chunk
        message, _, self._received = self._received.partition(b"\0")
        parsed: dict[str, Any] = json.loads(message)
        return parsed

    def close(self) -> None:
        """End the pipe, and the browser with it."""
        self._from.close()
        os.close(self._to)


@contextlib.contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """A browser with an empty profile in `folder`."""
    assert CHROMIUM is not None, "Chromium is not installed"
    theirs, ours = _high_pipe()
    our_end, their_end = _high_pipe()
    # Chromium's sandbox refuses root, who runs the tests in a container.
    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    command = [CHROMIUM, *FLAGS, *root, f"--user-data-dir={folder}", "about:blank"]
    with subprocess.Popen(
        [sys.executable, "-c", _START.format(theirs, their_end), *command],
        pass_fds=(theirs, their_end),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        os.close(theirs)
        os.close(their_end)
        try:
            page = Browser(ours, our_end)
            yield page
            page.close()
            process.wait(timeout=10)
        finally:
            process.kill()


def _high_pipe() -> tuple[int, int]:
    """A pipe whose ends are not 3 or 4, where one would overwrite the other."""
    ends = os.pipe()
    high = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends]
    for end in ends:
        os.close(end)
    return high[0], high[1]
