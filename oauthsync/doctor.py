"""What can be wrong with a backup folder and a workspace, and what to do about each.

Every check is made, whatever the ones before it found; what depends on a thing that failed is
untested. Nothing is written to a workspace, so the privileges to write stay untested. The token
goes to the workspace's own address only. Where all is well, three requests are sent: the first page
of the list, the workspace's identity, and one profile by its id.
"""

import os
import re
import shlex
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from oauthsync.api import Api, Page
from oauthsync.backup import Backup
from oauthsync.config import Config, Workspace
from oauthsync.diagnosis import Answers, Check, check_clock, failed, judge, unasked
from oauthsync.errors import ApiError, OauthsyncError, StoreError
from oauthsync.permissions import check_files, key_file
from oauthsync.quota import Quota, Slot
from oauthsync.secrets_file import is_for_secrets
from oauthsync.snapshots import Snapshot
from oauthsync.upkeep import check_database, check_sidecar

T = TypeVar("T")

_TABLES = (".csv", ".tsv", ".txt", ".json")
"""How the files are called that `secrets load` may have been given."""

_IN_THE_CLEAR = "secrets in the clear"

_IDENTITY = re.compile(b"^AGE-SECRET-KEY-", re.MULTILINE)


def examine(backup: Backup, name: str | None, *, may_ask: bool) -> tuple[Check, ...]:
    """All checks of a folder and of one workspace, the default one where `name` is None.

    `may_ask` says that somebody is there to type what opens the sidecar. An error of ours is a
    finding, and not raised.
    """
    return tuple(_examine(backup, name, may_ask=may_ask))


def exit_code(checks: Sequence[Check]) -> int:
    """0, or the code of the first check that failed."""
    return next((check.exit_code for check in checks if check.status == "failed"), 0)


def _examine(backup: Backup, name: str | None, *, may_ask: bool) -> Iterator[Check]:
    config, workspace = yield from _check_configuration(backup, name)
    yield from _check_workspace(backup, workspace)
    yield _check_quota(backup, workspace)
    if config is None:
        for untested in ("database", "exports", "runs", "sidecar", "files"):
            yield Check(untested, "untested", "the configuration comes first")
        return
    names = _names(config, name if workspace else None)
    yield from _caught("database", lambda: check_database(backup, names))
    yield from _caught("sidecar", lambda: check_sidecar(backup, may_ask=may_ask))
    yield from check_files(config)
    yield from _check_plain_secrets(config)


def _caught(name: str, check: Callable[[], Iterator[Check]]) -> Iterator[Check]:
    try:
        yield from check()
    except OauthsyncError as error:
        yield failed(name, error)


def _check_configuration(
    backup: Backup, name: str | None
) -> Generator[Check, None, tuple[Config | None, Workspace | None]]:
    config = None
    try:
        config = backup.config
        workspace = config.workspace(name)
    except OauthsyncError as error:
        if config is not None and name is not None:
            how = f"(`oauthsync init --workspace {shlex.quote(name)}` shows how to define it)"
            error.hint = " ".join(filter(None, (error.hint, how)))
        yield failed("configuration", error)
        return config, None
    in_file = config.defines_workspaces and workspace.name in config.workspaces
    where = config.file if in_file else "the environment, or the workato CLI's profiles"
    yield Check("configuration", "ok", f"workspace {workspace.name!r} is defined by {where}")
    return config, workspace


def _names(config: Config, name: str | None) -> Sequence[str]:
    """The workspaces whose exports are to be looked at."""
    if name is not None:
        return [name]
    return list(config.workspaces) or [n for n in [config.default_workspace] if n is not None]


def _check_plain_secrets(config: Config) -> Iterator[Check]:
    """A check for each file that lies in the folder and gets copied with it, in the clear."""
    # It has a check of its own.
    key = os.path.realpath(file) if (file := key_file(config)) else None
    for path in sorted(each for each in config.folder.glob("*") if each.is_file()):
        head = _head(path)
        if path.suffix.lower() in _TABLES and is_for_secrets(head):
            yield Check(
                _IN_THE_CLEAR,
                "warning",
                f"{path} is made for client secrets, and nothing protects what it holds",
                hint="once `oauthsync secrets load` has stored them, delete it, and its copies",
            )
        elif os.path.realpath(path) != key and _IDENTITY.search(head):
            yield Check(
                _IN_THE_CLEAR,
                "warning",
                f"{path} holds an age identity: whoever has a copy of the folder can open what is"
                " sealed to it",
                hint="keep it out of the folder, and out of its copies",
            )


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(4096)
    except OSError:
        return b""  # another user's, or gone by now: nothing is known of it


# --- the workspace ------------------------------------------------------------------------------


def _check_workspace(backup: Backup, workspace: Workspace | None) -> Iterator[Check]:
    if workspace is None:
        yield Check("token", "untested", "no workspace is known")
        yield from unasked("no workspace is known")
        return
    try:
        api = backup.api(workspace)
    except OauthsyncError as error:
        yield failed("token", error)
        yield from unasked("without a token, nothing was sent")
        return
    with api:
        answers = _ask(api)
        checked_clock = check_clock(api.server_date, backup.clock.now())
    yield from judge(workspace, answers, _known(backup, workspace))
    yield checked_clock


def _ask(api: Api) -> Answers:
    listed = _answer(lambda: api.page(1))
    answers = Answers(listed, None, None)
    if not answers.is_reached:
        return answers
    got = None
    if isinstance(listed, Page) and listed.profiles:
        profile_id = listed.profiles[0].id
        got = _answer(lambda: api.get(profile_id))
    return Answers(listed, _answer(api.identity), got)


def _answer(call: Callable[[], T]) -> T | ApiError:
    try:
        return call()
    except ApiError as error:
        return error


def _known(backup: Backup, workspace: Workspace) -> Snapshot | None:
    """The workspace's newest snapshot; None also where the database's own check will fail."""
    try:
        return backup.snapshots().newest(workspace.name)
    except StoreError:
        return None


def _check_quota(backup: Backup, workspace: Workspace | None) -> Check:
    # A budget of its own beside the workspaces': it takes nothing from any of them.
    quota = Quota(backup.state_folder / "quota" / "doctor.db", requests_per_minute=1000)
    if isinstance(slot := quota.try_acquire(), Slot):
        slot.release()
    quota.close()
    if quota.problem is None:
        limit = f"{workspace.requests_per_minute} requests a minute, " if workspace else ""
        return Check("quota", "ok", f"{limit}shared by all your processes")
    return Check(
        "quota",
        "warning",
        f"the budget of requests is not shared with your other processes: {quota.problem}",
        hint="make that file writable, or set XDG_STATE_HOME to a folder that is",
    )
