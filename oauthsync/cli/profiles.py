"""`profiles …`: the day-to-day work on one profile, by the way that an import takes."""

from typing import TYPE_CHECKING

import click

from oauthsync.cli.common import Session, common_options, complete_workspace, yes_option
from oauthsync.errors import ApiError, IncompleteError, OauthsyncError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from oauthsync.backup import Backup
    from oauthsync.config import Workspace
    from oauthsync.profiles import Profile
    from oauthsync.render import Renderer
    from oauthsync.runs import NewStep, Run, Step
    from oauthsync.snapshots import Listing
    from oauthsync.strictjson import Json

of_workspace = click.option(
    "--workspace",
    metavar="WORKSPACE",
    help="Whose profiles (default: the default workspace's).",
    shell_complete=complete_workspace,
)
profile_id = click.argument("profile_id", metavar="ID", type=click.IntRange(1, 2**63 - 1))


@click.group("profiles")
def profiles_command() -> None:
    """Look at, create, update or delete one profile of a workspace."""


@profiles_command.command("list")
@of_workspace
@common_options
def list_command(session: Session, workspace: str | None) -> None:
    """List a workspace's profiles as they are now."""
    with session.backup() as backup:
        profiles = backup.live(backup.workspace(workspace)).profiles
    session.answer(
        lambda: {"profiles": [profile.fields for profile in profiles]},
        lambda renderer: renderer.profiles(profiles),
    )


@profiles_command.command("get")
@profile_id
@of_workspace
@common_options
def get_command(session: Session, workspace: str | None, profile_id: int) -> None:
    """Show one profile as it is now."""
    with session.backup() as backup:
        profile = _get(backup, backup.workspace(workspace), profile_id)
    session.answer(
        lambda: {"profile": profile.fields}, lambda renderer: renderer.profiles([profile])
    )


@profiles_command.command("create")
@click.option("--provider", required=True, metavar="P", help="The app's provider.")
@click.option("--name", required=True, metavar="NAME", help="The profile's name.")
@click.option("--client-id", required=True, metavar="C", help="The app's client id.")
@of_workspace
@common_options
def create_command(session: Session, workspace: str | None, **fields: str) -> None:
    """Create a profile, with the sidecar's secret.

    A secret that the sidecar lacks is asked for, and filed there first: what is created here can
    be restored.
    """
    from oauthsync import single

    def plan(listing: "Listing") -> "NewStep":
        step = single.create(listing, **fields)
        session.warn_of_slip(step.provider, {each.provider for each in listing.profiles})
        return step

    _write(session, workspace, plan, yes=True)


@profiles_command.command("update", short_help="Update a profile, with the sidecar's secret.")
@profile_id
@click.option("--provider", metavar="P", help="The app's provider.")
@click.option("--name", metavar="NAME", help="The profile's name.")
@click.option("--client-id", metavar="C", help="The app's client id.")
@of_workspace
@yes_option
@common_options
def update_command(
    session: Session, workspace: str | None, profile_id: int, yes: bool, **fields: str | None
) -> None:
    """Update a profile, and give it the sidecar's secret; what is not given stays as it is.

    A secret that the sidecar lacks is asked for, and filed there first. A profile that is in use
    takes a yes.
    """
    from oauthsync import single

    _write(
        session, workspace, lambda listing: single.update(listing, profile_id, **fields), yes=yes
    )


@profiles_command.command("delete")
@profile_id
@of_workspace
@click.option("--force", is_flag=True, help="Delete it even where it is in use.")
@yes_option
@common_options
def delete_command(
    session: Session, workspace: str | None, profile_id: int, force: bool, yes: bool
) -> None:
    """Delete a profile, after a safety snapshot of its workspace.

    `oauthsync import SNAPSHOT --id ID` creates it again, with another id.
    """
    from oauthsync import single

    _write(
        session,
        workspace,
        lambda listing: single.delete(listing, profile_id, force=force),
        yes=yes,
    )


def _write(
    session: Session, name: str | None, plan: "Callable[[Listing], NewStep]", *, yes: bool
) -> None:
    """Plan a step on what the workspace has, ask, carry it out, and tell how it ended."""
    from oauthsync.importer import NO_ANSWER
    from oauthsync.restore import open_session

    with session.backup() as backup:
        workspace = backup.workspace(name)
        with open_session(backup, workspace) as writing:
            once_begun, session.interrupted = session.interrupted, "nothing was written"
            listing = writing.look()
            step = plan(listing)
            if step.action != "create" and not yes:
                _confirm(session, workspace, step, listing)
            if step.action != "delete":
                _ensure_secret(session, backup, workspace, step)
            session.interrupted = once_begun
            report = writing.write_one(step, listing).report
        [done] = report.steps
        if not done.is_done:
            kept_failing = (done.error or "").startswith(NO_ANSWER)
            raise (ApiError if kept_failing else OauthsyncError)(
                f"not {_DONE[done.action]}: {done.error}",
                hint=f"`oauthsync resume {report.run.id}` tries it again",
            )
    profile = report.seen.get(done.target_id or 0)
    document = _document(report.run, done, profile)
    session.report(lambda: document, lambda renderer: _told(renderer, report.run, done, profile))
    for finding in report.findings:
        session.warn(finding)
    if report.findings:
        raise IncompleteError(
            f"run {report.run.id} is done, but the workspace is not as it says",
            hint=f"see what is there: `oauthsync profiles list`, `oauthsync runs show"
            f" {report.run.id}`",
        )


def _confirm(session: Session, workspace: "Workspace", step: "NewStep", listing: "Listing") -> None:
    """Ask before a profile is deleted, or updated while it is in use."""
    from oauthsync.lines import changes, describe, used_by
    from oauthsync.single import find

    assert step.target_id is not None
    profile = find(listing, step.target_id)
    if step.action == "update" and profile.uses == 0:
        return
    users = " and ".join(used_by(profile))
    used = f", used by {users}," if users else ", which may be in use," if profile.uses != 0 else ""
    question = (
        f"{step.action.capitalize()} {describe(profile)}{used} in {workspace.name}"
        f" ({workspace.url})?"
    )
    if step.action == "update":
        session.say("\n".join([*changes(profile, step), "client secret: the sidecar's"]))
    if not session.confirm(question):
        raise OauthsyncError("not confirmed, so nothing was written")


def _ensure_secret(
    session: Session, backup: "Backup", workspace: "Workspace", step: "NewStep"
) -> None:
    """Have the sidecar hold the step's secret before anything is sent."""
    from oauthsync.cli.secrets import ask_for, entry_of, save

    assert step.client_id is not None
    if (step.provider, step.client_id) in backup.sidecar.apps():
        return
    if not session.interactive:
        raise IncompleteError(
            f"the sidecar has no secret for {step.provider} {step.client_id!r}, so nothing was"
            " written",
            hint="file it with `oauthsync secrets set` or `oauthsync secrets load`",
        )
    _ = backup.sidecar.key  # asked for before anything is typed that could be lost
    session.say(f"to {step.action} {step.name} in {workspace.name} ({workspace.url}):")
    secret, token = ask_for(session, step.provider, step.client_id)
    if not secret:
        raise OauthsyncError("no secret was given, so nothing was written")
    save(session, backup, [entry_of(backup, step.provider, step.client_id, secret, token)])


_DONE = {"create": "created", "update": "updated", "delete": "deleted"}


def _document(run: "Run", done: "Step", profile: "Profile | None") -> "dict[str, Json]":
    """What `--json` tells of a step that is done; `profile` is as it is now."""
    if done.action == "delete":
        return {
            "deleted": done.target_id,
            "run": run.id,
            "safety_snapshot": run.safety_snapshot,
        }
    return {"profile": profile.fields if profile else None, "run": run.id}


def _told(renderer: "Renderer", run: "Run", done: "Step", profile: "Profile | None") -> str:
    head = f"{_DONE[done.action]}: id {done.target_id}, run {run.id}"
    if done.action == "delete":
        again = f"`oauthsync import {run.safety_snapshot} --id {done.target_id}`"
        return renderer.prose(
            f"{head}; {again} creates it anew, with a new id, where its secret is filed"
        )
    return f"{head}\n{renderer.profiles([profile])}" if profile else head


def _get(backup: "Backup", workspace: "Workspace", profile_id: int) -> "Profile":
    from oauthsync.single import not_there

    try:
        with backup.api(workspace) as api:
            return api.get(profile_id)
    except RefusedError as error:
        if error.status != 404:
            raise
        raise not_there(workspace.name, profile_id) from error
