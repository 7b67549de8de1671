"""`check` and `prune`: whether the backup is whole, and which of its snapshots are kept."""

from typing import TYPE_CHECKING

import click

from oauthsync.cli.common import F, Session, common_options, yes_option
from oauthsync.errors import OauthsyncError, SidecarError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from oauthsync.backup import Backup
    from oauthsync.checks import Checked, SnapshotCheck, Vanished
    from oauthsync.pruning import Pruned
    from oauthsync.render import Renderer
    from oauthsync.snapshots import Snapshot
    from oauthsync.strictjson import Json


@click.command("check")
@common_options
def check_command(session: Session) -> None:
    """See that database and sidecar are whole, and which snapshots could be restored completely.

    No workspace is asked. Exits with 1 where the database is damaged, with 7 where there is a
    sidecar that does not open: then nobody knows what could be restored.
    """
    from oauthsync import checks

    with session.backup() as backup:
        snapshots = {each.id: each for each in backup.snapshots().all()}
        apps, closed = _apps(session, backup)
        found = checks.check(backup.database(), apps or ())
    knows = apps is not None
    session.answer(
        lambda: {
            "ok": found.ok and knows,
            "problems": [*found.problems, *([str(closed)] if closed else [])],
            "snapshots": [_to_json(each, knows=knows) for each in found.snapshots],
        },
        lambda renderer: (
            _table(renderer, found, snapshots, knows=knows)
            + (renderer.prose(_told(found, snapshots)) if knows else "")
        ),
    )
    if not found.ok:
        raise _damaged(session, found)
    if closed is not None:
        raise closed


def _apps(
    session: Session, backup: "Backup"
) -> "tuple[frozenset[tuple[str, str]] | None, SidecarError | None]":
    """The apps whose secrets are filed; or None, and why that is not known."""
    if not backup.sidecar.exists:
        session.warn(
            "there is no sidecar, so nothing could be restored:"
            " `oauthsync secrets fill` asks for the secrets"
        )
    try:
        return backup.sidecar.apps(), None
    except SidecarError as error:
        return None, error


def _to_json(found: "SnapshotCheck", *, knows: bool) -> "dict[str, Json]":
    return {
        "id": found.id,
        "ok": found.ok,
        "restorable": found.restorable if knows else None,
        "missing": found.missing if knows else None,
    }


def _table(
    renderer: "Renderer", found: "Checked", snapshots: "dict[int, Snapshot]", *, knows: bool
) -> str:
    rows = [
        (
            each.id,
            snapshots[each.id].workspace,
            snapshots[each.id].taken_at,
            "whole" if each.ok else "DAMAGED",
            each.restorable if knows else "?",
            each.missing if knows else "?",
        )
        for each in found.snapshots
        if each.id in snapshots
    ]
    headers = ("id", "workspace", "taken at", "state", "restorable", "missing")
    return renderer.table(
        headers, rows, none="there is no snapshot", spare=("restorable", "taken at")
    )


def _told(found: "Checked", snapshots: "dict[int, Snapshot]") -> str:
    """What the newest exports lack, in a line, or that all is well; nothing of damage."""
    from oauthsync.text import count_of

    exports = [each for each in snapshots.values() if each.kind == "export"]
    newest = {each.workspace: each.id for each in reversed(exports)}
    lacking = {each.id: each.missing for each in found.snapshots if each.id in newest.values()}
    incomplete = [snapshot for snapshot, missing in lacking.items() if missing]
    if not incomplete:
        lacks = ", and no secret is missing for the newest exports" if newest else ""
        return f"\nthe database is whole{lacks}" if found.ok else ""
    which = incomplete[0] if len(incomplete) == 1 else "SNAPSHOT"
    return (
        f"\n{count_of(sum(lacking.values()), 'profile')} without a secret in the newest exports:"
        f" `oauthsync secrets missing {which}` names them"
    )


def _damaged(session: Session, found: "Checked") -> StoreError:
    shown = found.problems if session.verbose else found.problems[:10]
    for problem in shown:
        session.warn(problem)
    if more := len(found.problems) - len(shown):
        session.warn(f"and {more} more (-v shows all)")
    return StoreError(
        "the database is damaged",
        hint="take it from a copy of the folder; what is listed as whole can still be restored",
    )


def _keep(what: str, text: str) -> "Callable[[F], F]":
    return click.option(f"--keep-{what}", type=click.IntRange(0), default=0, metavar="N", help=text)


@click.command("prune")
@_keep("last", "The last N exports (default: 0).")
@_keep("daily", "The newest of N days (default: 0).")
@_keep("weekly", "The newest of N weeks (default: 0).")
@_keep("monthly", "The newest of N months (default: 0).")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@yes_option
@common_options
def prune_command(
    session: Session,
    keep_last: int,
    keep_daily: int,
    keep_weekly: int,
    keep_monthly: int,
    dry_run: bool,
    yes: bool,
) -> None:
    """Remove the snapshots that no rule keeps, in each workspace, and give their space back.

    Days, ISO weeks and months are UTC, and count where they have an export; where there are fewer
    of them than a rule would keep, it keeps the oldest export, too. Always kept are a workspace's
    newest export and newest safety snapshot, what an unfinished run needs, and the safety snapshots
    that are newer than the oldest export that is kept. Refused while an import runs.

    A lost profile that no snapshot has any more then is a warning, and at a terminal a question.

    \b
    --json: {"kept": [ID, ...], "removed": [ID, ...], "reclaimed": BYTES, "dry_run": BOOL,
             "lost": [{"workspace", "id", "provider", "name", "snapshot": ID}, ...]}
    """
    from oauthsync import files
    from oauthsync.pruning import prune
    from oauthsync.restore import FOLDER_LOCK
    from oauthsync.retention import Policy

    policy = Policy(keep_last, keep_daily, keep_weekly, keep_monthly)
    with session.backup() as backup:
        database = backup.database()
        asks = session.interactive and not (dry_run or yes)
        if asks:
            _confirm_loss(session, prune(database, policy, dry_run=True))
        with files.locked(backup.folder / FOLDER_LOCK, what=f"the folder {backup.folder}"):
            pruned = prune(database, policy, dry_run=dry_run)
    if not asks:
        _warn_of_losses(session, pruned, dry_run=dry_run)
    session.answer(
        lambda: {
            "kept": [each.id for each in pruned.kept],
            "removed": [each.id for each in pruned.removed],
            "reclaimed": pruned.bytes,
            "dry_run": dry_run,
            "lost": [
                {
                    "workspace": profile.workspace,
                    "id": profile.id,
                    "provider": profile.provider,
                    "name": profile.name,
                    "snapshot": last,
                }
                for profile, last in pruned.lost
            ],
        },
        lambda renderer: _pruned(renderer, pruned, dry_run=dry_run),
    )


def _confirm_loss(session: Session, pruned: "Pruned") -> None:
    """Ask where profiles would be lost for good."""
    from oauthsync.text import count_of

    _warn_of_losses(session, pruned, dry_run=True)
    removed = count_of(len(pruned.removed), "snapshot")
    lost = count_of(len(pruned.lost), "profile")
    if pruned.lost and not session.confirm(f"Remove {removed}, and with them {lost} for good?"):
        raise OauthsyncError("not confirmed, so nothing was removed")


def _warn_of_losses(session: Session, pruned: "Pruned", *, dry_run: bool) -> None:
    for snapshot in pruned.removed:
        if profiles := [profile for profile, last in pruned.lost if last == snapshot.id]:
            _warn_of_loss(session, snapshot, profiles, dry_run=dry_run)


def _warn_of_loss(
    session: Session, snapshot: "Snapshot", profiles: "Sequence[Vanished]", *, dry_run: bool
) -> None:
    from oauthsync.lines import describe
    from oauthsync.text import count_of

    what = f"snapshot {snapshot.id} of {snapshot.workspace} ({snapshot.taken_at})"
    goes = "is the last one that has" if dry_run else "was the last one that had"
    told = session.folded([describe(profile) for profile in profiles])
    it = "it" if len(profiles) == 1 else "them"
    hint = f"\n`oauthsync plan {snapshot.id}` shows what would bring {it} back" if dry_run else ""
    session.warn(
        f"{what} {goes} {count_of(len(profiles), 'profile')} gone from the workspace since:\n"
        f"{told}{hint}"
    )


def _pruned(renderer: "Renderer", pruned: "Pruned", *, dry_run: bool) -> str:
    words = ("kept", "to be removed" if dry_run else "removed")
    rows = [
        (each.id, each.workspace, each.taken_at, each.kind, each.profiles, word)
        for word, group in zip(words, (pruned.kept, pruned.removed), strict=True)
        for each in group
    ]
    headers = ("id", "workspace", "taken at", "kind", "profiles", "")
    table = renderer.table(headers, rows, spare=("kind", "profiles"))
    counts = f"{len(pruned.kept)} {words[0]}, {len(pruned.removed)} {words[1]}"
    return f"{table}\n{counts}; {_size(pruned.bytes)} {'to be ' if dry_run else ''}reclaimed"


def _size(count: int) -> str:
    return f"{count} bytes" if count < 10_000 else f"{count / 1_000_000:.2f} MB"
