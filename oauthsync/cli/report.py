"""`report`: a page about the backup folder."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from oauthsync.cli.common import Session, common_options
from oauthsync.errors import FileError, UsageError

if TYPE_CHECKING:
    from oauthsync.backup import Backup
    from oauthsync.report import Facts
    from oauthsync.strictjson import Json

STDOUT = Path("-")


@click.command("report")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="The page's file; only an earlier page is replaced. - for stdout.",
)
@common_options
def report_command(session: Session, output: Path) -> None:
    """Write one HTML page about the backup folder: its workspaces, secrets and runs.

    No workspace is asked. Where the sidecar does not open, the page says so; --no-input keeps the
    passphrase from being asked for.
    """
    from oauthsync import files
    from oauthsync.report import gather, render
    from oauthsync.text import inline

    if session.json and output == STDOUT:
        raise UsageError("--json and -o - both want stdout", hint="name a file with -o")
    with session.backup() as backup:
        if output != STDOUT:
            _check_output(output, backup)
        facts = gather(backup, backup.clock.now())
    page = render(facts).encode("utf-8")
    if facts.sidecar.state == "closed":
        session.warn(f"the page lacks what the sidecar knows: {facts.sidecar.why}")
    if output == STDOUT:
        click.echo(page, nl=False)
        return
    files.replace_file(output, page)
    session.report(lambda: _summary(facts, output), lambda _: f"wrote {inline(str(output))}")


def _check_output(path: Path, backup: "Backup") -> None:
    """FileError where the page would take the place of what must not be lost."""
    own = (backup.config.database, backup.config.sidecar, backup.config.file)
    in_folder = os.path.realpath(path.parent) == os.path.realpath(backup.folder)
    if in_folder and path.name.startswith((*(each.name for each in own), ".oauthsync")):
        raise FileError(
            f"{path} is a file of the backup itself", hint="name another one, such as report.html"
        )
    # A device or a pipe would be replaced by the page, like any file.
    if os.path.lexists(path) and not path.is_file():
        raise FileError(f"{path} is not a regular file", hint="use -o - to write to stdout")
    if path.exists() and not _is_replaceable(path):
        raise FileError(
            f"{path} is there already, and is no page of oauthsync", hint="name another file"
        )


def _is_replaceable(path: Path) -> bool:
    """Whether a file is an earlier page, or empty, as mktemp(1) makes one."""
    from oauthsync.report import is_page

    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError:
        return False
    return not head or is_page(head)


def _summary(facts: "Facts", output: Path) -> "dict[str, Json]":
    return {
        "output": str(output),
        "sidecar": facts.sidecar.state,
        "workspaces": [
            {
                "workspace": each.name,
                "snapshots": len(each.exports),
                "profiles": each.latest.profiles if each.latest else None,
                "restorable": len(each.restorable.ready) if each.restorable else None,
                "missing": each.restorable.lacking if each.restorable else None,
            }
            for each in facts.workspaces
        ],
        "to_repoint": sum(each.is_due for each in facts.repoints),
    }
