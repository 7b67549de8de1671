"""`export`, `snapshots`, `show`, `diff`, `log`: taking snapshots, and looking at them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from oauthsync.cli.common import EXIT_DIFFERENT, Session, common_options

if TYPE_CHECKING:
    from oauthsync.backup import Backup, Exported, Failed
    from oauthsync.profiles import Profile
    from oauthsync.snapshots import Snapshot
    from oauthsync.strictjson import Json

EXIT_INCOMPLETE = 6


@click.command("export")
@click.argument("workspaces", nargs=-1, metavar="[WORKSPACE]...")
@click.option("--all", "every", is_flag=True, help="Every workspace of oauthsync.toml.")
@common_options
def export_command(session: Session, workspaces: tuple[str, ...], every: bool) -> int:
    """Take one complete snapshot of each WORKSPACE (default: the default one)."""
    from oauthsync.backup import Exported, Failed

    with session.backup() as backup:
        chosen = [backup.workspace(name) for name in _chosen(backup, workspaces, every)]
        results = sorted(backup.export(chosen), key=lambda each: _position(each, chosen))
        done = [each for each in results if isinstance(each, Exported)]
        failed = [each for each in results if isinstance(each, Failed)]
        if failed and len(chosen) == 1:
            raise failed[0].error
        for each in done:
            _warn_of_losses(session, each)
    document: dict[str, Json] = {"snapshots": [snapshot_to_json(each.snapshot) for each in done]}
    if failed:
        document["failed"] = [
            {"workspace": failure.workspace, "error": str(failure.error)} for failure in failed
        ]
    session.answer(
        document,
        lambda renderer: renderer.table(
            ("workspace", "snapshot", "profiles", "added", "changed", "removed", "requests"),
            [
                (s.workspace, s.id, s.profiles, s.added, s.changed, s.removed, s.requests)
                for s in (each.snapshot for each in done)
            ],
        ),
    )
    for failure in failed:
        hint = f" ({failure.error.hint})" if failure.error.hint else ""
        session.warn(f"{failure.workspace} was not exported: {failure.error}{hint}")
    return EXIT_INCOMPLETE if failed else 0


def _chosen(backup: "Backup", names: Sequence[str], every: bool) -> Sequence[str | None]:
    if every and names:
        raise click.UsageError("name workspaces, or give --all")
    if every:
        if not backup.config.workspaces:
            raise click.UsageError("--all: no workspace is configured")
        return list(backup.config.workspaces)
    return list(dict.fromkeys(names)) or [None]


def _position(result: "Exported | Failed", chosen: "Sequence[object]") -> int:
    from oauthsync.backup import Failed

    name = result.workspace if isinstance(result, Failed) else result.snapshot.workspace
    return [getattr(each, "name", None) for each in chosen].index(name)


def _warn_of_losses(session: Session, exported: "Exported") -> None:
    from oauthsync.render import describe, inline

    lost = exported.difference.removed
    if not lost or exported.before is None:
        return
    names = [describe(profile) for profile in lost]
    listed = "".join(f"\n  - {name}" for name in (names if session.verbose else names[:10]))
    more = f"\n  … and {len(names) - 10} more" if len(names) > 10 and not session.verbose else ""
    session.warn(
        f"{len(lost)} profiles of {inline(exported.snapshot.workspace)} are gone since snapshot"
        f" {exported.before.id}, which still has them:{listed}{more}\n"
        f"  to get them back: oauthsync import {exported.before.id}"
    )


@click.command("snapshots")
@click.option("--workspace", metavar="WORKSPACE", help="Only this workspace's.")
@common_options
def snapshots_command(session: Session, workspace: str | None) -> None:
    """List all snapshots, newest first."""
    with session.backup() as backup:
        found = backup.snapshots().all(workspace)
    session.answer(
        {"snapshots": [snapshot_to_json(each) for each in found]},
        lambda renderer: renderer.table(
            ("id", "workspace", "taken at", "kind", "profiles", "added", "changed", "removed"),
            [
                (s.id, s.workspace, s.taken_at, s.kind, s.profiles, s.added, s.changed, s.removed)
                for s in found
            ],
        ),
    )


@click.command("show")
@click.argument("snapshot", default="latest")
@click.option("--workspace", metavar="WORKSPACE", help="Select among this workspace's snapshots.")
@click.option("--provider", metavar="PROVIDER", help="Only this provider's profiles.")
@click.option("--name", metavar="GLOB", default="*", help="Only profiles with such a name.")
@common_options
def show_command(
    session: Session, snapshot: str, workspace: str | None, provider: str | None, name: str
) -> None:
    """Show the profiles of a SNAPSHOT: an id, `latest`, `latest~1`, or a date."""
    from fnmatch import fnmatchcase

    with session.backup() as backup:
        snapshots = backup.snapshots()
        found = snapshots.find(snapshot, workspace)
        profiles = [
            profile
            for profile in snapshots.profiles(found)
            if provider in (None, profile.provider) and fnmatchcase(profile.name, name)
        ]
    session.answer(
        {
            "snapshot": snapshot_to_json(found),
            "profiles": [profile.fields for profile in profiles],
        },
        lambda renderer: renderer.table(
            ("id", "provider", "name", "client id", "uses"),
            [
                (p.id, p.provider, p.name, p.client_id, "?" if p.uses is None else p.uses)
                for p in profiles
            ],
        ),
    )


@click.command("diff")
@click.argument("old", metavar="[FROM]", default="latest")
@click.argument("new", metavar="[TO]", default="live")
@click.option("--workspace", metavar="WORKSPACE", help="Select among this workspace's snapshots.")
@click.option("--exit-code", is_flag=True, help="Exit with 4 where there are differences.")
@common_options
def diff_command(
    session: Session, old: str, new: str, workspace: str | None, exit_code: bool
) -> int:
    """Compare a snapshot with another one, or with `live`: the workspace as it is now."""
    from oauthsync.profiles import difference
    from oauthsync.render import difference_to_json

    if old == new == "live":
        raise click.UsageError("live and live are the same")
    with session.backup() as backup:
        snapshots = backup.snapshots()
        stored = {text: snapshots.find(text, workspace) for text in (old, new) if text != "live"}
        of = workspace or next(iter(stored.values())).workspace

        def side(text: str) -> "tuple[dict[str, Json], Sequence[Profile]]":
            if text in stored:
                return snapshot_to_json(stored[text]), snapshots.profiles(stored[text])
            listing = backup.live(backup.workspace(of))
            return {"workspace": of, "kind": "live"}, listing.profiles

        (before, old_profiles), (after, new_profiles) = side(old), side(new)
    found = difference(old_profiles, new_profiles)
    session.answer(
        {"from": before, "to": after, **difference_to_json(found)},
        lambda renderer: renderer.difference(found),
    )
    return EXIT_DIFFERENT if exit_code and found else 0


@click.command("log")
@click.option("--workspace", metavar="WORKSPACE", help="Only this workspace's snapshots.")
@click.option("--provider", metavar="PROVIDER", help="Only this provider's profiles.")
@click.option("--name", metavar="GLOB", default="*", help="Only profiles with such a name.")
@common_options
def log_command(session: Session, workspace: str | None, provider: str | None, name: str) -> None:
    """Show what appeared, changed and vanished from one export to the next, newest first."""
    from oauthsync.render import difference_to_json, inline

    with session.backup() as backup:
        entries = list(backup.snapshots().log(workspace, provider, name))
    session.answer(
        {
            "log": [
                {
                    "snapshot": entry.snapshot.id,
                    "workspace": entry.snapshot.workspace,
                    "taken_at": entry.snapshot.taken_at,
                    **difference_to_json(entry.difference),
                }
                for entry in entries
            ]
        },
        lambda renderer: (
            "\n\n".join(
                f"snapshot {entry.snapshot.id}, {inline(entry.snapshot.workspace)},"
                f" {entry.snapshot.taken_at}\n{renderer.difference(entry.difference)}"
                for entry in entries
            )
            or "no changes"
        ),
    )


def snapshot_to_json(snapshot: "Snapshot") -> "dict[str, Json]":
    """A snapshot as users see it."""
    return {
        "id": snapshot.id,
        "workspace": snapshot.workspace,
        "taken_at": snapshot.taken_at,
        "profiles": snapshot.profiles,
        "kind": snapshot.kind,
        "added": snapshot.added,
        "changed": snapshot.changed,
        "removed": snapshot.removed,
        "requests": snapshot.requests,
        "listings": snapshot.listings,
    }
