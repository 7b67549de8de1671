"""What a backup folder is worth today: its database, its exports, its runs and its sidecar."""

import os
import shlex
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from oauthsync import age, files, keys, sidecar
from oauthsync.backup import Backup
from oauthsync.clock import moment
from oauthsync.database import reading
from oauthsync.diagnosis import Check
from oauthsync.errors import StoreError
from oauthsync.runs import unfinished
from oauthsync.snapshots import Identity, Snapshot
from oauthsync.text import count_of
from oauthsync.unlock import Unlock

DAY = 24 * 3600.0
STALE_DAYS = 7
"""A last export that is older is a warning: even a weekly backup is younger."""


def check_database(backup: Backup, names: Sequence[str]) -> Iterator[Check]:
    """Checks of the database, the exports of these workspaces, and the runs. Raises StoreError."""
    path = backup.config.database
    if not files.is_there(path):
        yield Check(
            "database",
            "warning",
            f"there is no {path} yet",
            hint=_once_configured(backup, "take a first snapshot with `oauthsync export`"),
        )
        return
    with reading(backup.database()) as connection:
        said = [row for (row,) in connection.execute("PRAGMA quick_check")]
    if said != ["ok"]:
        raise StoreError(
            f"{path} is damaged: {said[0]}",
            hint="`oauthsync check` shows what is whole; restore the file from a copy",
        )
    snapshots = backup.snapshots().all()
    yield Check(
        "database", "ok", f"SQLite finds it whole; it has {count_of(len(snapshots), 'snapshot')}"
    )
    yield from _check_namesakes(backup.config.names(), snapshots)
    yield _check_exports(names, snapshots, backup.clock.now())
    yield _check_runs(backup)


def _check_namesakes(names: Sequence[str], snapshots: Sequence[Snapshot]) -> Iterator[Check]:
    """A warning of names that lead to one workspace: tokens may have been mixed up."""
    found: dict[Identity, set[str]] = defaultdict(set)
    for snapshot in snapshots:
        if snapshot.workspace in names and snapshot.user_id is not None:
            found[snapshot.identity].add(snapshot.workspace)
    for (_, user_id), same in found.items():
        if len(same) > 1:
            yield Check(
                "workspaces",
                "warning",
                f"{' and '.join(sorted(same))} are one workspace (id {user_id})",
                hint="if that is not meant so, check their URLs and tokens",
            )


def _check_exports(names: Sequence[str], snapshots: Sequence[Snapshot], now: float) -> Check:
    newest: dict[str, Snapshot] = {}
    for snapshot in snapshots:  # newest first
        if snapshot.kind == "export":
            newest.setdefault(snapshot.workspace, snapshot)
    ages = {name: now - _seconds(newest[name]) for name in names or newest if name in newest}
    stale = {name: "never" for name in names if name not in newest}
    stale |= {
        name: f"{age / DAY:.0f} days ago" for name, age in ages.items() if age > STALE_DAYS * DAY
    }
    if stale or not ages:
        told = ", ".join(f"{name!r} ({when})" for name, when in stale.items()) or "anything"
        return Check(
            "exports",
            "warning",
            f"not exported in the last {STALE_DAYS} days: {told}",
            hint=f"run `{shlex.join(['oauthsync', 'export', *stale])}`, best by a schedule",
        )
    which = "the last one of each is" if len(ages) > 1 else "the last one is"
    hours = int(max(ages.values()) * 24 / DAY) + 1
    return Check("exports", "ok", f"{which} less than {count_of(hours, 'hour')} old")


def _seconds(snapshot: Snapshot) -> float:
    if (seconds := moment(snapshot.taken_at)) is None:
        raise StoreError(
            f"snapshot {snapshot.id} was altered or damaged: its time does not parse",
            hint="restore the database from a copy",
        )
    return seconds


def _check_runs(backup: Backup) -> Check:
    open_runs = unfinished(backup.journal().runs())
    if not open_runs:
        return Check("runs", "ok", "none is unfinished")
    listed = ", ".join(f"{run.id} into {run.target!r}" for run in open_runs)
    newest = open_runs[0]
    return Check(
        "runs",
        "warning",
        f"not finished: run {listed}",
        hint=f"`oauthsync runs show {newest.id}` says why; `oauthsync {newest.way_on}` carries it"
        " on",
    )


def check_sidecar(backup: Backup, *, may_ask: bool) -> Iterator[Check]:
    """The sidecar's check: it opens, and to whom it is sealed. Raises SidecarError, UsageError.

    What takes a person to open it is left untested where nobody is there (`may_ask`).
    """
    path = backup.config.sidecar
    unlock = backup.config.unlock()
    if unlock is not None:
        yield from _check_key_file(backup, unlock)
    if not backup.sidecar.exists:
        yield _no_sidecar(backup)
        return
    if not _can_open(path, unlock, may_ask=may_ask):
        kind = "with a passphrase" if sidecar.sealed_with_passphrase(path) else "to age recipients"
        yield Check(
            "sidecar",
            "untested",
            f"{path} is sealed {kind}, and nothing here opens it",
            hint="set OAUTHSYNC_PASSPHRASE, OAUTHSYNC_IDENTITY or their like, or run this at a"
            " terminal; to export, it need not open",
        )
        return
    secrets = backup.sidecar.secrets()
    wanted = {str(age.parse_recipient(text)) for text in backup.config.recipients}
    if strangers := sorted(set(secrets.recipients) - wanted) if wanted else ():
        yield Check(
            "sidecar",
            "warning",
            f"{path} is also sealed to {', '.join(strangers)}, not named by [secrets]",
            hint="if you know them, name them, or leave them out by `oauthsync secrets rekey`;"
            " if nobody added them, the file was replaced: take a copy that you trust",
        )
        return
    if wanted and wanted != set(secrets.recipients):
        yield Check(
            "sidecar",
            "warning",
            f"{path} opens, but is not sealed to the recipients that [secrets] names",
            hint="`oauthsync secrets rekey` seals it to them",
        )
        return
    sealed = (
        f"to {count_of(len(secrets.recipients), 'recipient')}"
        if secrets.recipients
        else "with a passphrase"
    )
    yield Check(
        "sidecar", "ok", f"opens; {count_of(len(secrets.entries), 'secret')}, sealed {sealed}"
    )


def _check_key_file(backup: Backup, unlock: Unlock) -> Iterator[Check]:
    """Warnings of a key's file that is not there, or is copied with what it opens.

    One that is not there is not named: people put the secret itself in its place.
    """
    if (file := unlock.file) is None:
        return
    if not os.path.exists(file):  # noqa: PTH110 - never raises
        # A sidecar that is there and cannot be opened is told by its own check.
        if not backup.sidecar.exists:
            yield Check(
                "key",
                "warning",
                f"{unlock.source}: there is no such file, so no secret can be filed",
                hint="write it, or correct the setting, before you need it",
            )
    elif backup.folder.resolve() in file.resolve().parents and not _is_encrypted(file):
        yield Check(
            "key",
            "warning",
            f"{file} opens the sidecar, and is in the backup folder: whoever has a copy of that"
            " has the secrets",
            hint="keep it out of the folder",
        )


def _no_sidecar(backup: Backup) -> Check:
    hint = "`oauthsync secrets fill` asks for them, `oauthsync secrets load` reads them"
    return Check(
        "sidecar",
        "warning",
        f"there is no {backup.config.sidecar} yet: without secrets, no profile can be restored",
        hint=_once_configured(backup, hint),
    )


def _once_configured(backup: Backup, hint: str) -> str:
    """A hint that takes a workspace, or the one that has to be followed before."""
    return hint if backup.config.names() else "define a workspace first: `oauthsync init`"


def _can_open(path: Path, unlock: Unlock | None, *, may_ask: bool) -> bool:
    """Whether there is a key, or somebody to type it. Raises SidecarError."""
    if unlock is None:
        return may_ask and sidecar.sealed_with_passphrase(path)
    return may_ask or unlock.identity is None or not _is_encrypted(unlock.identity)


def _is_encrypted(identity: Path) -> bool:
    try:
        return keys.is_encrypted(files.read_regular(identity, limit=age.MAX_FILE))
    except OSError:
        return False  # whoever opens it will say what is wrong
