"""What the tests share, and what they must not inherit from the machine."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from sqlite_utils import Database

from oauthsync.database import open_database
from oauthsync.sandbox import Sandbox
from tests.desk import DEV, PROD, QUOTA, Desk, workspace
from tests.everyday import identity, isolate
from tests.importing import World, scratch

# Half of Hypothesis' default: `scripts/fuzz` and `scripts/campaign` are where long searches belong.
settings.register_profile("suite", max_examples=20)
settings.load_profile("suite")


def pytest_configure() -> None:
    # A shell starts its background processes with Ctrl-C ignored, and children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # A terminal's real width counts, not the one that the test runner was started in.
    for name in ("COLUMNS", "LINES"):
        os.environ.pop(name, None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a backup folder has its database."""
    return tmp_path / "oauthsync.db"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    """A new database; what is written outlives a process that is killed, and not the machine."""
    with open_database(path) as database:
        database.conn.execute("PRAGMA synchronous = OFF")
        yield database


@pytest.fixture
def desk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Desk]:
    """A desk in a home of its own, with a sandbox's two workspaces, and `dev` the default."""
    folder = isolate(monkeypatch, tmp_path)
    identity(tmp_path)
    monkeypatch.setenv("DEV", DEV)
    monkeypatch.setenv("PROD", PROD)
    monkeypatch.setenv("OAUTHSYNC_IDENTITY", str(tmp_path / "key.txt"))
    with Sandbox([DEV, PROD], requests_per_minute=QUOTA) as sandbox:
        desk = Desk(folder, sandbox, capsys)
        desk.configure(
            'default_workspace = "dev"\n'
            + workspace("dev", sandbox.url, "DEV")
            + workspace("prod", sandbox.url, "PROD")
        )
        yield desk


@pytest.fixture
def world() -> Iterator[World]:
    with scratch() as folder, World(folder / "backup") as world:
        yield world
