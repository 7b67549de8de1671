"""Listings of made-up profiles, and processes that die, for the tests of the snapshot database."""

import os
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from sqlite_utils import Database

from oauthsync import profiles
from oauthsync.clock import timestamp
from oauthsync.database import open_database
from oauthsync.profiles import Profile
from oauthsync.schema import migrations
from oauthsync.snapshots import Kind, Listing, Snapshot, Snapshots
from oauthsync.strictjson import Json

KILLED = 9
DAY = 86_400
START = 1_795_428_000


def profile(profile_id: int, **fields: Json) -> Profile:
    """A profile as documented, with `fields` in place of the documented ones or beside them."""
    value: dict[str, Json] = {
        "id": profile_id,
        "user_id": 123,
        "name": f"Acme app {profile_id}",
        "provider": ("hubspot", "slack", "jira")[profile_id % 3],
        "data": {"client_id": f"client-{profile_id:06}"},
        "shared_accounts_count": profile_id % 4,
        "oem_customers_count": 0,
        "created_at": "2023-01-15T11:50:32.986-07:00",
        "updated_at": "2023-01-15T11:50:32.986-07:00",
    }
    return profiles.from_json({**value, **fields})


def some(count: int) -> tuple[Profile, ...]:
    """The profiles 1 to `count`."""
    return tuple(profile(number) for number in range(1, count + 1))


def listing(
    found: Iterable[Profile],
    *,
    workspace: str = "dev",
    url: str = "https://www.workato.com",
    day: float = 0,
) -> Listing:
    """A listing, taken `day` days after the first day."""
    return Listing(workspace, url, timestamp(START + day * DAY), tuple(found), 2, 1)


def add(
    database: Database,
    found: Sequence[Profile],
    *,
    kind: Kind = "export",
    workspace: str = "dev",
    day: float = 0,
) -> Snapshot:
    """Store one snapshot."""
    snapshot, _ = Snapshots(database).add(listing(found, workspace=workspace, day=day), kind)
    return snapshot


def replaced(found: Sequence[Profile], *new: Profile) -> tuple[Profile, ...]:
    """The profiles, with those of the same ids replaced."""
    by_id = {each.id: each for each in (*found, *new)}
    return tuple(by_id[profile_id] for profile_id in sorted(by_id))


def in_child(action: Callable[[], object]) -> int:
    """The exit status of a process that does `action`: 0, or 1 for an exception, or its own."""
    (status,) = in_children(action)
    return status


def in_children(*actions: Callable[[], object]) -> list[int]:
    """As `in_child`, for several processes side by side."""
    children = [_start(action) for action in actions]
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def _start(action: Callable[[], object]) -> int:
    child = os.fork()
    if child == 0:
        status = 1
        try:
            action()
            status = 0
        except BaseException:  # noqa: BLE001 - nothing may return into the test runner
            traceback.print_exc()
        finally:
            os._exit(status)
    return child


def dying_after(statements: int) -> Callable[[str], None]:
    """A trace callback for SQLite that kills the process before one more statement is begun."""
    left = statements

    def trace(_statement: str) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            os._exit(KILLED)

    return trace


def wait_for(path: Path) -> None:
    """Return when another process has created `path`."""
    deadline = time.monotonic() + 10
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} does not appear"
        time.sleep(0.002)


def in_memory() -> Database:
    """An empty database with the tables that a file would have."""
    database = Database(memory=True)
    database.conn.execute("PRAGMA foreign_keys = ON")
    migrations.apply(database)
    return database


def reopened(path: Path) -> Database:
    """The database, as the next process finds it."""
    return open_database(path, create=False)
