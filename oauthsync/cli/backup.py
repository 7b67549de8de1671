"""`export`, `snapshots`, `show`, `diff`, `log`: taking snapshots, and looking at them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import click

from oauthsync.cli.common import (
    EXIT_DIFFERENT,
    EXIT_INCOMPLETE,
    Session,
    common_options,
    complete_snapshot,
    complete_workspace,
)
from oauthsync.errors import UsageError

if TYPE_CHECKING:
    from oauthsync.backup import Backup, Exported, Failed
    from oauthsync.config import Workspace
    from oauthsync.profiles import Difference
    from oauthsync.snapshots import Snapshot
    from oauthsync.strictjson import Json

LIVE = "live"

of_workspace = click.option(
    "--workspace",
    metavar="WORKSPACE",
    help="Only this workspace's.",
    shell_complete=complete_workspace,
)
of_provider = click.option("--provider", metavar="P", help="Only this provider's profiles.")
of_name = click.option("--name", metavar="GLOB", default="*", help="Only profiles named so.")


@click.command("export")
@click.argument("workspaces", nargs=-1, metavar="[WORKSPACE]...", shell_complete=complete_workspace)
@click.option("--all", "every", is_flag=True, help="Every workspace of oauthsync.toml.")
@common_options
def export_command(session: Session, workspaces: tuple[str, ...], every: bool) -> int:
    """Take one complete snapshot of each WORKSPACE (default: the default one)."""
    from oauthsync.backup import Failed

    session.interrupted = "no snapshot was taken of what was still being read: call it again"
    with session.backup() as backup:
        chosen = _chosen(backup, workspaces, every=every)
        if len(chosen) > 1:
            session.interrupted += "; `oauthsync snapshots` lists those that were taken"
        results = {_name(each): each for each in backup.export(chosen)}
    done: list[Exported] = []
    failed: list[Failed] = []
    for workspace in chosen:
        match results[workspace.name]:
            case Failed() as failure:
                failed.append(failure)
            case exported:
                done.append(exported)
    if failed and len(chosen) == 1:
        raise failed[0].error
    _report_export(session, done, failed)
    _warn_of_namesakes(session, done, {each.name for each in chosen})
    if failed and not done and len(codes := {each.error.exit_code for each in failed}) == 1:
        return codes.pop()
    return EXIT_INCOMPLETE if failed else 0


def _chosen(backup: "Backup", names: Sequence[str], *, every: bool) -> "Sequence[Workspace]":
    if every and names:
        raise click.UsageError("name workspaces, or give --all")
    if every:
        if not backup.config.workspaces:
            raise click.UsageError(f"--all: {backup.config.file} defines no workspace")
        return list(backup.config.workspaces.values())
    return [backup.workspace(name) for name in dict.fromkeys(names) or (None,)]


def _name(result: "Exported | Failed") -> str:
    from oauthsync.backup import Failed

    return result.workspace if isinstance(result, Failed) else result.snapshot.workspace


def _report_export(
    session: Session, done: "Sequence[Exported]", failed: "Sequence[Failed]"
) -> None:
    from oauthsync import documents

    snapshots = [each.snapshot for each in done]
    document: dict[str, Json] = {"snapshots": [documents.snapshot(each) for each in snapshots]}
    if failed:
        document["failed"] = [
            {
                "workspace": each.workspace,
                "error": str(each.error),
                "hint": each.error.hint,
                "exit_code": each.error.exit_code,
            }
            for each in failed
        ]
    headers = ("workspace", "snapshot", "profiles", "added", "changed", "removed", "requests")
    session.report(
        lambda: document,
        lambda renderer: renderer.table(
            headers,
            [
                (s.workspace, s.id, s.profiles, s.added, s.changed, s.removed, s.requests)
                for s in snapshots
            ],
            none="nothing was exported",
            spare=("added", "changed", "removed", "requests"),
        ),
    )
    for exported in done:
        _warn_of_losses(session, exported)
    for failure in failed:
        hint = f"\n  {failure.error.hint}" if failure.error.hint else ""
        session.warn(f"{failure.workspace} was not exported: {failure.error}{hint}")


def _warn_of_namesakes(
    session: Session, done: "Sequence[Exported]", chosen: "Collection[str]"
) -> None:
    """Of workspaces that are one, be it that tokens were mixed up or that one was given a name."""
    told: set[str] = set()
    for each, namesake in ((exported, name) for exported in done for name in exported.namesakes):
        snapshot, name = each.snapshot, each.snapshot.workspace
        if namesake in told:
            continue
        told.add(name)
        which = f"{name} and {namesake} are one workspace (id {snapshot.user_id})"
        if namesake in chosen:
            session.warn(f"{which}: if that is not meant so, check their URLs and tokens")
        elif each.before is None:
            session.say(f"{which}: there are snapshots under both names")


def _warn_of_losses(session: Session, exported: "Exported") -> None:
    before, now = exported.before, exported.snapshot
    if not exported.difference.removed or before is None:
        return
    from oauthsync.lines import describe
    from oauthsync.profiles import split_created_again
    from oauthsync.text import count_of

    left, moved = split_created_again(exported.difference)
    had = f"since the last export; snapshot {before.id} ({before.taken_at})"
    if left.removed:
        it = "it" if len(left.removed) == 1 else "them"
        session.warn(
            f"{count_of(len(left.removed), 'profile')} gone from {now.workspace} {had} still has:\n"
            f"{session.folded([describe(profile) for profile in left.removed])}\n"
            f"`oauthsync plan {before.id}` shows what would bring {it} back"
        )
    if moved:
        again = [f"{describe(change.old)}, now {change.new.id}" for change in moved]
        session.warn(
            f"{count_of(len(moved), 'profile')} of {now.workspace} created again {had} has the old"
            f" ones:\n{session.folded(again)}\n"
            "connections that used them have to be pointed at the new ones"
        )


@click.command("snapshots")
@of_workspace
@common_options
def snapshots_command(session: Session, workspace: str | None) -> None:
    """List all snapshots, newest first."""
    from oauthsync import documents

    with session.backup() as backup:
        found = backup.snapshots().all(workspace)
        if not found:
            session.check_workspace(backup, workspace)
    headers = ("id", "workspace", "taken at", "kind", "profiles", "added", "changed", "removed")
    session.answer(
        lambda: {"snapshots": [documents.snapshot(each) for each in found]},
        lambda renderer: renderer.table(
            headers,
            [
                (s.id, s.workspace, s.taken_at, s.kind, s.profiles, s.added, s.changed, s.removed)
                for s in found
            ],
            none="no snapshots",
            spare=("profiles", "kind", "added", "changed", "removed"),
        ),
    )


@click.command("show")
@click.argument("snapshot", default="latest", shell_complete=complete_snapshot)
@of_workspace
@of_provider
@of_name
@common_options
def show_command(
    session: Session, snapshot: str, workspace: str | None, provider: str | None, name: str
) -> None:
    """Show the profiles of a SNAPSHOT: an id, `latest`, `latest~1`, or a date."""
    from fnmatch import fnmatchcase

    from oauthsync import documents

    with session.backup() as backup:
        snapshots = backup.snapshots()
        found = session.find(backup, snapshot, workspace)
        held = snapshots.profiles(found)
        session.check_provider(provider, (profile.provider for profile in held))
        profiles = [
            profile
            for profile in held
            if provider in (None, profile.provider) and fnmatchcase(profile.name, name)
        ]
    session.answer(
        lambda: {
            "snapshot": documents.snapshot(found),
            "profiles": [profile.fields for profile in profiles],
        },
        lambda renderer: renderer.profiles(profiles),
    )
    _remind_of_case(session, name, (profile.name for profile in held))


def _remind_of_case(session: Session, glob: str, names: "Iterable[str]") -> None:
    """Of what may be why a glob fits none of these names."""
    from fnmatch import fnmatchcase

    from oauthsync.text import GLOBS

    if glob != "*" and not any(fnmatchcase(name, glob) for name in names):
        session.say(f"--name {glob!r} fits no name: {GLOBS}")


def _complete_side(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    return complete_snapshot(ctx, param, incomplete) + [LIVE] * LIVE.startswith(incomplete)


@click.command("diff")
@click.argument("old", metavar="[FROM]", default="latest", shell_complete=_complete_side)
@click.argument("new", metavar="[TO]", default=LIVE, shell_complete=_complete_side)
@of_workspace
@click.option("--exit-code", is_flag=True, help="Exit with 4 where there are differences.")
@common_options
def diff_command(
    session: Session, old: str, new: str, workspace: str | None, exit_code: bool
) -> int:
    """Compare a snapshot with another one, or with `live`: the workspace as it is now.

    FROM is `latest` and TO is `live` where they are not given.
    """
    from oauthsync import documents

    if old == new == LIVE:
        raise click.UsageError("live and live are the same: name a snapshot to compare with")
    with session.backup() as backup:
        stored = {
            text: _stored(session, backup, text, workspace, for_exit_code=exit_code)
            for text in (old, new)
            if text != LIVE
        }
        before, after, found = _compare(backup, old, new, stored)
    if before["workspace"] != after["workspace"]:
        session.warn(
            "these are two workspaces: profiles are compared by their ids and, where those differ,"
            " by provider, name and client id"
        )
    session.answer(
        lambda: {"from": before, "to": after, **documents.difference(found)},
        lambda renderer: renderer.comparison(before, after, found),
    )
    return EXIT_DIFFERENT if exit_code and found else 0


def _stored(
    session: Session, backup: "Backup", text: str, workspace: str | None, *, for_exit_code: bool
) -> "Snapshot":
    session.check_workspace(backup, workspace)
    try:
        return session.find(backup, text, workspace, for_exit_code=for_exit_code)
    except UsageError as error:
        error.hint = f"{error.hint}; `{LIVE}` is the workspace as it is now"
        raise


def _compare(
    backup: "Backup", old: str, new: str, stored: "Mapping[str, Snapshot]"
) -> "tuple[dict[str, Json], dict[str, Json], Difference]":
    """Both sides as documents, and their difference."""
    from oauthsync import documents, profiles

    snapshots = backup.snapshots()
    if LIVE not in (old, new):
        found = snapshots.difference(stored[old], stored[new])
        return documents.snapshot(stored[old]), documents.snapshot(stored[new]), found
    [snapshot] = stored.values()
    listing = backup.live(backup.workspace(snapshot.workspace))
    then = (documents.snapshot(snapshot), snapshots.profiles(snapshot, listing.profiles))
    now = (documents.live(listing), listing.profiles)
    (before, ours), (after, theirs) = (now, then) if old == LIVE else (then, now)
    return before, after, profiles.difference(ours, theirs)


@click.command("log")
@of_workspace
@of_provider
@of_name
@common_options
def log_command(session: Session, workspace: str | None, provider: str | None, name: str) -> None:
    """Show what appeared, changed and vanished from one export to the next, newest first."""
    from oauthsync import documents

    with session.backup() as backup:
        snapshots = backup.snapshots()
        entries = list(snapshots.log(workspace, provider, name))
        exports = [each for each in snapshots.all(workspace) if each.kind == "export"]
        if not exports:
            session.check_workspace(backup, workspace)
        elif provider and not entries:
            session.check_provider(provider, (each for each, _ in snapshots.apps()))
        names = snapshots.names()
    newest = {each.workspace: each for each in reversed(exports)}
    session.answer(
        lambda: {"log": [documents.log_entry(entry) for entry in entries]},
        lambda renderer: renderer.log(entries, list(newest.values())),
    )
    _remind_of_case(session, name, names)
