"""`init` and `doctor`: setting a backup folder up, and finding what is wrong with it."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import click

from oauthsync.cli import terminal
from oauthsync.cli.common import Session, common_options, complete_workspace
from oauthsync.errors import AuthenticationError, FileError, OauthsyncError, UsageError
from oauthsync.text import inline

if TYPE_CHECKING:
    from oauthsync.backup import Backup
    from oauthsync.config import Workspace
    from oauthsync.diagnosis import Check
    from oauthsync.init import Setting, Setup
    from oauthsync.sources import Source, SourceError

T = TypeVar("T")

_COLORS = {"ok": "green", "warning": "yellow", "failed": "red", "untested": "cyan"}


def _complete_region(_ctx: click.Context, _param: object, incomplete: str) -> list[str]:
    from oauthsync.urls import REGIONS

    return [region for region in REGIONS if region.startswith(incomplete)]


@click.command("init")
@click.option("--workspace", metavar="NAME", help="What to call the workspace here.")
@click.option(
    "--region",
    metavar="REGION",
    help="Its data center: us, eu, jp, sg, au, il, kr, …",
    shell_complete=_complete_region,
)
@click.option("--url", metavar="URL", help="The address of a private Workato, instead of a region.")
@click.option("--token-env", metavar="NAME", help="The environment variable with the API token.")
@click.option("--token-file", metavar="FILE", help="The file with the API token.")
@click.option("--token-command", metavar="COMMAND", help="The command that prints the API token.")
@click.option(
    "--passphrase-command", metavar="COMMAND", help="The command that prints the passphrase."
)
@click.option("--passphrase-file", metavar="FILE", help="The file with the passphrase.")
@click.option("--identity", metavar="FILE", help="The age identity that opens the sidecar.")
@click.option(
    "--recipient",
    "recipients",
    multiple=True,
    metavar="age1…",
    help="Whom to seal a new sidecar to; repeatable (default: the identity itself).",
)
@click.option("--no-check", is_flag=True, help="Do not try the token.")
@common_options
def init_command(session: Session, no_check: bool, **options: Any) -> None:
    """Write a first oauthsync.toml, by asking for what no option says.

    The token is tried by one request, and neither it nor a passphrase is stored: the file says
    where they come from. A file that is there already stays as it is; the lines that would add the
    workspace to it are shown.
    """
    from oauthsync import init

    session.interrupted = "nothing was written"
    with session.backup() as backup:
        if (file := backup.config.file).exists() or file.is_symlink():
            raise _there_already(backup, options)
        answers = _answers(session, backup, options)
        workspace = init.check(answers, backup.folder, backup.config.sources)
        _warn_of_no_key(session, backup, answers)
        tried = not no_check and _try(session, backup, workspace, answers)
        init.write(backup.folder, answers)
    session.report(
        lambda: {
            "file": str(file),
            "workspace": workspace.name,
            "url": workspace.url,
            "tried": tried,
        },
        lambda _: f"wrote {file}" + ("; the token works" if tried else "; the token is not tried"),
    )
    if tried:
        session.say("next: `oauthsync export` takes a first snapshot")
    else:
        session.say(f"next: `oauthsync doctor`, once {workspace.token_source} gives the token")


def _there_already(backup: "Backup", options: dict[str, Any]) -> FileError:
    """What a person can do where there is a file; UsageError where that does not parse."""
    from textwrap import indent

    from oauthsync import init
    from oauthsync.config import TOKEN_KEYS

    config = backup.config
    name = options["workspace"] or "prod"
    if config.defines_workspaces and name in config.workspaces:
        return FileError(
            f"{config.file} is there already, and has a workspace {name!r}",
            hint="edit it there; `oauthsync init --workspace NAME` shows the lines for another one",
        )
    token = _setting(backup, options, TOKEN_KEYS)
    if token is not None:  # a token in place of its variable's name is not to be shown
        init.check_token(token, backup.folder, config.sources)
    lines = init.block(name, options["region"] or options["url"] or "eu", token)
    return FileError(
        f"{config.file} is there already",
        hint=f"to add a workspace, put lines like these at its end:\n\n{indent(lines, '  ')}\n",
    )


def _answers(session: Session, backup: "Backup", options: dict[str, Any]) -> "Setup":
    """The options and, for what they leave open, the answers of a person."""
    from oauthsync import init
    from oauthsync.config import TOKEN_KEYS
    from oauthsync.unlock import UNLOCK_KEYS

    place = _only_one(options, ("region", "url"))
    token = _setting(backup, options, TOKEN_KEYS)
    unlock = _setting(backup, options, UNLOCK_KEYS)
    name = options["workspace"]
    # All that was given, before a person answers anything for nothing.
    if name is not None:
        init.check_name(name)
    if place is not None:
        init.find_url(options[place])
    if token is not None:
        init.check_token(token, backup.folder, backup.config.sources)
    init.check_unlock(unlock, options["recipients"], backup.folder, backup.config.sources)
    if not session.interactive:
        if name is None or place is None or token is None:
            wanted = {
                "--workspace": name,
                "--region or --url": place,
                "--token-env, --token-file or --token-command": token,
            }
            missing = [options for options, given in wanted.items() if given is None]
            raise UsageError(
                "nobody is there to be asked for what no option says",
                hint=f"give {', and '.join(missing)}",
            )
        return init.Setup(name, options[place], token, unlock, options["recipients"])
    name = name or _ask("What to call the workspace", "dev", init.check_name)
    where = options[place] if place else _ask_place()
    token = token or _ask_token(backup, name)
    _warn_where_unset(session, init.check_token(token, backup.folder, backup.config.sources))
    unlock = unlock or _ask_unlock(backup, options["recipients"])
    return init.Setup(name, where, token, unlock, options["recipients"])


def _only_one(options: dict[str, Any], keys: Iterable[str]) -> str | None:
    given = [key for key in keys if options[key] is not None]
    if len(given) > 1:
        names = " and ".join("--" + key.replace("_", "-") for key in given)
        raise UsageError(f"{names} were given together", hint="keep one of them")
    return given[0] if given else None


def _setting(backup: "Backup", options: dict[str, Any], keys: Iterable[str]) -> "Setting | None":
    from oauthsync import init

    key = _only_one(options, keys)
    return init.from_shell(key, options[key], backup.folder) if key else None


def _ask_place() -> str:
    from oauthsync import init
    from oauthsync.config import REGIONS

    def check(text: str) -> str:
        init.find_url(text)
        return text

    return _ask(f"Its region ({', '.join(REGIONS)}), or the URL of a private Workato", "us", check)


def _ask_token(backup: "Backup", name: str) -> "Setting":
    from oauthsync import init

    kind = _ask_choice("Where its API token comes from", ("env", "file", "command"))
    questions = {
        "env": ("The environment variable with the token", init.variable(name)),
        "file": ("The file with the token", None),
        "command": ("The command that prints the token", None),
    }

    def check(text: str) -> "Setting":
        setting = init.from_shell(f"token_{kind}", text, backup.folder)
        init.check_token(setting, backup.folder, backup.config.sources)
        return setting

    return _ask(*questions[kind], check)


def _warn_where_unset(session: Session, source: "Source") -> None:
    if problem := _unset(source):
        session.warn(f"{problem}, so the token cannot be tried: it can be set later, too")


def _warn_of_no_key(session: Session, backup: "Backup", answers: "Setup") -> None:
    from oauthsync import init

    sources = backup.config.sources
    unlock = init.check_unlock(answers.unlock, answers.recipients, backup.folder, sources)
    if unlock and unlock.reader and (problem := _unset(unlock.reader)):
        session.warn(f"{problem}: it can be written later, too")
    # os.path, as it never raises: somebody may have put a secret in place of the path.
    if unlock and unlock.identity and not os.path.exists(unlock.identity):  # noqa: PTH110
        session.warn(f"{unlock.source}: there is no such file: it can be written later, too")


def _unset(source: "Source") -> "SourceError | None":
    """Why a variable or a file gives no secret; a command runs only once that is needed."""
    from oauthsync.sources import FromCommand, SourceError

    if not isinstance(source, FromCommand):
        try:
            source.read()
        except SourceError as error:
            return error
    return None


def _ask_unlock(backup: "Backup", recipients: Sequence[str]) -> "Setting | None":
    from oauthsync import init

    kinds = ("identity",) if recipients else ("prompt", "command", "file", "identity")
    kind = _ask_choice("How the sidecar with the client secrets opens", kinds)
    if kind == "prompt":
        return None
    key = kind if kind == "identity" else f"passphrase_{kind}"
    questions = {
        "command": "The command that prints the passphrase",
        "file": "The file with the passphrase",
        "identity": "The file of the age identity (`oauthsync secrets keygen` makes one)",
    }

    def check(text: str) -> "Setting":
        setting = init.from_shell(key, text, backup.folder)
        init.check_unlock(setting, recipients, backup.folder, backup.config.sources)
        return setting

    return _ask(questions[kind], None, check)


def _ask_choice(question: str, known: Sequence[str]) -> str:
    def check(text: str) -> str:
        if text not in known:
            raise UsageError(f"choose one of {', '.join(known)}")
        return text

    return _ask(f"{question} ({', '.join(known)})", known[0], check)


def _ask(question: str, default: str | None, check: Callable[[str], T]) -> T:
    """What `check` makes of an answer that it accepts; Abort at the end of input."""
    while True:
        shown = f"{question} [{default}]:" if default else f"{question}:"
        answer = terminal.ask(shown)
        try:
            return check(answer or default or "")
        except OauthsyncError as error:
            terminal.tell_again(f"{error} ({error.hint})" if error.hint else str(error))


def _try(session: Session, backup: "Backup", workspace: "Workspace", answers: "Setup") -> bool:
    """Whether the token lists profiles; a person may go on without, others get the error."""
    from oauthsync import init

    if session.interactive and _unset(workspace.source):
        return False  # they were told, and went on
    session.say(f"trying the token at {workspace.url}")
    try:
        token = workspace.token()  # once: its command may ask a person
        init.check_holds_no(token, answers)
        with backup.api(workspace, token) as api:
            api.attempts = 1  # a mistyped address does not get better by being asked again
            api.page(1)
    except UsageError:
        raise  # no yes is to write the token
    except OauthsyncError as error:
        if not session.interactive:
            hint = "; ".join(filter(None, (error.hint, "--no-check writes the file all the same")))
            error.hint = hint
            raise
        is_refused = isinstance(error, AuthenticationError)
        what = "does not work yet" if is_refused else "could not be tried"
        session.warn(f"the token {what}: {error}")
        if error.hint:
            session.say(error.hint)
        if not session.confirm("Write the file all the same?"):
            raise OauthsyncError("not confirmed, so nothing was written") from None
        return False
    return True


@click.command("doctor")
@click.argument("workspace", required=False, shell_complete=complete_workspace)
@common_options
def doctor_command(session: Session, workspace: str | None) -> int:
    """Look for everything that can be wrong with the folder and a WORKSPACE, and say what to do.

    Nothing is written to the workspace. The exit code is that of the first check that failed;
    warnings and what could not be tested leave it at 0.

    \b
    --json: {"ok": BOOL, "checks": [{"name", "status", "message", "hint"}, ...]}
    status: ok, warning, failed or untested
    """
    from oauthsync import doctor

    session.warned_of_quota = True  # it is one of the checks
    with session.backup() as backup:
        checks = doctor.examine(backup, workspace, may_ask=session.interactive)
    code = doctor.exit_code(checks)
    session.answer(
        lambda: {"ok": code == 0, "checks": [check.to_json() for check in checks]},
        lambda _: "\n".join(line for check in _merged(checks) for line in _lines(check)),
    )
    return code


def _merged(checks: "Sequence[Check]") -> "Iterable[Check]":
    """The checks, with all that is untested for one reason as one."""
    found: dict[object, Check] = {}
    for number, check in enumerate(checks):
        key = check.message if check.status == "untested" else number
        first = found.get(key)
        found[key] = replace(check, name=f"{first.name}, {check.name}") if first else check
    return found.values()


def _lines(check: "Check") -> Iterator[str]:
    status = f"{check.status:<10}"
    if terminal.wants_color(sys.stdout):
        status = click.style(status, fg=_COLORS[check.status])
    told = f"{check.name}: {inline(check.message)}"
    yield status + terminal.wrapped(told, sys.stdout, used=10, indent=10)
    if check.hint:
        hint = terminal.wrapped(inline(check.hint), sys.stdout, used=12, indent=12)
        yield f"{'':10}→ {hint}"
