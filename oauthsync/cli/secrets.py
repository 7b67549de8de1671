"""`secrets …`: the sidecar's entries, and its keys."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from oauthsync.cli.common import (
    EXIT_DIFFERENT,
    Session,
    common_options,
    complete_snapshot,
    complete_workspace,
    read_input,
)
from oauthsync.cli.keys import keygen_command, rekey_command
from oauthsync.errors import StoreError, UsageError
from oauthsync.text import count_of, inline, listed

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from oauthsync.backup import Backup
    from oauthsync.entries import Entry
    from oauthsync.missing import MissingApp
    from oauthsync.secret import Secret
    from oauthsync.sidecar import Saved
    from oauthsync.snapshots import Snapshot

TOKEN_PROVIDERS = ("slack",)
"""Providers whose profiles have a token beside the client secret (the API's page)."""

STDIN = Path("-")
MAX_STDIN = 1 << 20

of_provider = click.option("--provider", required=True, metavar="P", help="The app's provider.")
of_client_id = click.option("--client-id", required=True, metavar="C", help="The app's client id.")
of_workspace = click.option(
    "--workspace",
    metavar="WORKSPACE",
    help="Whose SNAPSHOT (default: any workspace's).",
    shell_complete=complete_workspace,
)


@click.group("secrets")
def secrets_command() -> None:
    """Keep the client secrets and tokens in the sidecar, secrets.age."""


secrets_command.add_command(rekey_command)
secrets_command.add_command(keygen_command)


@secrets_command.command("set")
@of_provider
@of_client_id
@click.option(
    "--token", "with_token", is_flag=True, help="Ask for a token, too; for slack, always."
)
@click.option("--stdin", is_flag=True, help='Read {"client_secret": …, "token": …} from stdin.')
@common_options
def set_command(
    session: Session, provider: str, client_id: str, with_token: bool, stdin: bool
) -> None:
    """File the client secret of one app; it is asked for, hidden.

    A token that is filed already stays where none is given.
    """
    if not stdin:
        _needs_a_person(session, "use --stdin, or `oauthsync secrets load`")
    with session.backup() as backup:
        if stdin:
            secret, token = _from_stdin()
        else:
            _open_first(backup)
            secret, token = ask_for(session, provider, client_id, with_token=with_token)
        entry = entry_of(backup, provider, client_id, secret, token)
        replaced = bool(save(session, backup, [entry]).replaced)
        session.report(
            lambda: {"provider": provider, "client_id": client_id, "replaced": replaced},
            lambda _: "replaced" if replaced else "stored",
        )
        _warn_of_doubts(session, backup, entry)


def _warn_of_doubts(session: Session, backup: "Backup", entry: "Entry") -> None:
    """Tell what is hardly meant as it was filed, and never a secret."""
    from oauthsync.secrets_file import doubts, unused

    for doubt in doubts(entry):
        session.warn(f"{doubt}, and is stored so: file it again if that is not meant")
    used = _used(session, backup)
    session.warn_of_slip(entry.provider, {provider for provider, _ in used})
    if used and entry.app not in used:
        [line] = unused({"this app": entry}, used)
        session.warn(
            f"no profile of any snapshot uses {line}\n"
            "unless it is for an overrides file, compare provider and client id with"
            " `oauthsync secrets missing`, letter by letter"
        )
    if entry.provider in TOKEN_PROVIDERS and not entry.token:
        filed = backup.sidecar.secrets().get(*entry.app)
        if filed and not filed.token:
            session.warn(
                f"profiles of {entry.provider} have a token, too, and none is filed for this app:"
                " file it with the client secret"
            )


@secrets_command.command(
    "fill", short_help="Ask for the secrets that a snapshot needs and the sidecar lacks."
)
@click.argument("snapshot", default="latest", shell_complete=complete_snapshot)
@of_workspace
@common_options
def fill_command(session: Session, snapshot: str, workspace: str | None) -> None:
    """Ask for every secret that a SNAPSHOT (default: latest) needs and the sidecar lacks.

    An empty answer leaves one out. Each answer is kept at once.
    """
    _needs_a_person(session, "use `oauthsync secrets load`")
    with session.backup() as backup:
        found = session.find(backup, snapshot, workspace)
        missing = _missing(session, backup, found)
        if missing:
            _ = backup.sidecar.key  # of a new sidecar: asked for before anything that it is to seal
        stored = _fill(session, backup, missing)
    left = len(missing) - stored
    session.report(
        lambda: {"stored": stored, "missing": left},
        lambda _: f"{stored} stored, {left} still missing" if missing else _nothing(found),
    )


def _fill(session: Session, backup: "Backup", missing: "Sequence[MissingApp]") -> int:
    """Ask for each secret and store it; how many were stored."""
    done: set[tuple[str, str]] = set()
    for number, app in enumerate(missing, 1):
        if app.key in done:
            continue
        session.interrupted = f"{len(done)} stored; call the same command again to go on"
        names = listed([profile.name for profile in app.profiles], 3)
        session.say(f"{number} of {len(missing)}, used by {names}")
        secret, token = ask_for(session, app.provider, app.client_id)
        if not secret:
            session.say("left out")
            continue
        apps = [app, *_also(session, app, [other for other in missing if other.key not in done])]
        entries = [entry_of(backup, each.provider, each.client_id, secret, token) for each in apps]
        save(session, backup, entries)
        done.update(entry.app for entry in entries)
    return len(done)


def _also(
    session: Session, app: "MissingApp", missing: "Sequence[MissingApp]"
) -> "list[MissingApp]":
    """The other providers with the same client id for which the secret is to be stored, too."""
    others = [each for each in missing if each.client_id == app.client_id and each.key != app.key]
    providers = ", ".join(other.provider for other in others)
    if others and session.confirm(
        f"The same client id is used by {providers}: store it there, too?"
    ):
        return others
    return []


@secrets_command.command(
    "load", short_help="File the secrets of a CSV or JSON file, all of them or none."
)
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@common_options
def load_command(session: Session, file: Path) -> None:
    """File the secrets of a CSV or JSON FILE (`-` is stdin), all of them or none.

    Columns: provider, client_id, client_secret and, optionally, token; `oauthsync secrets missing
    --csv` writes a file to fill in, with a column profiles, which is ignored here. In a CSV, an
    apostrophe before a client id that starts with no letter is not part of it, but keeps
    spreadsheets from taking it for a number or a formula. A token that is filed already stays where
    none is given. What `age -d` prints of another sidecar is taken, too.
    """
    from oauthsync.clock import timestamp
    from oauthsync.secrets_file import MAX_SIZE, parse_rows

    name = "stdin" if file == STDIN else str(file)
    text = _read_stdin(MAX_SIZE) if file == STDIN else read_input(file, MAX_SIZE, or_stdin=True)
    replaced = 0
    with session.backup() as backup:
        if rows := parse_rows(text, name=name, now=timestamp(backup.clock.now())):
            if session.interactive:
                _open_first(backup)
            replaced = save(session, backup, list(rows.values())).replaced
        session.report(
            lambda: {"loaded": len(rows), "replaced": replaced},
            lambda _: f"{len(rows)} loaded, {replaced} of them replaced",
        )
        _warn_of_unused(session, backup, rows)
    if rows and file != STDIN:
        session.say(f"{file} still holds these secrets, and nothing protects it: delete it")


def _warn_of_unused(session: Session, backup: "Backup", rows: "Mapping[str, Entry]") -> None:
    """Name the rows for apps that no snapshot knows: a secret is found by its exact app alone."""
    from oauthsync.secrets_file import unused

    used = _used(session, backup)
    if used and (lines := unused(rows, used)):
        session.warn(
            f"{count_of(len(lines), 'row')} stored for apps that no profile of any snapshot uses:\n"
            f"{session.folded(lines)}\n"
            "compare them with `oauthsync secrets missing`, letter by letter;"
            " `oauthsync secrets remove` takes one out"
        )


def _used(session: Session, backup: "Backup") -> "Collection[tuple[str, str | None]]":
    """The apps of all profiles of all snapshots; a warning where they cannot be read."""
    if not backup.config.database.exists():
        return ()
    try:
        return backup.snapshots().apps()
    except StoreError as error:
        session.warn(f"stored, but whether any profile uses it is not known: {error}")
        return ()


@secrets_command.command("list")
@common_options
def list_command(session: Session) -> None:
    """List the apps whose secrets are filed; never a secret."""
    from oauthsync import documents

    with session.backup() as backup:
        entries = backup.sidecar.secrets().entries
    session.answer(
        lambda: {"secrets": [documents.secret(entry) for entry in entries]},
        lambda renderer: renderer.table(
            ("provider", "client id", "token", "updated at"),
            [(e.provider, e.client_id, "yes" if e.token else "", e.updated_at) for e in entries],
            none="no secrets",
            spare=("token", "updated at"),
        ),
    )


@secrets_command.command(
    "missing", short_help="List the secrets that a snapshot needs and the sidecar lacks."
)
@click.argument("snapshot", default="latest", shell_complete=complete_snapshot)
@of_workspace
@click.option("--exit-code", is_flag=True, help="Exit with 4 where a secret is missing.")
@click.option("--csv", "as_csv", is_flag=True, help="Print a CSV to fill in, and to load then.")
@common_options
def missing_command(
    session: Session, snapshot: str, workspace: str | None, exit_code: bool, as_csv: bool
) -> int:
    """List the secrets that a SNAPSHOT (default: latest) needs and the sidecar lacks."""
    from oauthsync import documents

    if as_csv and session.json:
        raise UsageError("--csv and --json both want stdout", hint="keep one of them")
    with session.backup() as backup:
        found = session.find(backup, snapshot, workspace, for_exit_code=exit_code)
        missing = _missing(session, backup, found)
    if as_csv:
        _print_template(session, missing)
        if not missing:
            session.say(_nothing(found))
        return EXIT_DIFFERENT if exit_code and missing else 0
    session.answer(
        lambda: {"missing": [documents.missing(app) for app in missing]},
        lambda renderer: renderer.table(
            ("provider", "client id", "profiles"),
            [(a.provider, a.client_id, ", ".join(p.name for p in a.profiles)) for a in missing],
            none=_nothing(found),
            spare=("profiles",),
        ),
    )
    return EXIT_DIFFERENT if exit_code and missing else 0


def _print_template(session: Session, missing: "Sequence[MissingApp]") -> None:
    """Print a CSV with a row for each app whose secrets are to be filled in."""
    from oauthsync import secrets_file

    apps = {app.key: [profile.name for profile in app.profiles] for app in missing}
    fitting = {app: names for app, names in apps.items() if secrets_file.fits(app)}
    session.answer(dict, lambda _: secrets_file.template(fitting))
    for provider, client_id in sorted(apps.keys() - fitting.keys()):
        session.warn(
            f"{provider!r} {client_id!r} does not fit into a CSV as it is:"
            " `oauthsync secrets set` files its secret"
        )


def _nothing(found: "Snapshot") -> str:
    return inline(f"nothing is missing for snapshot {found.id} of {found.workspace}")


@secrets_command.command("remove")
@of_provider
@of_client_id
@common_options
def remove_command(session: Session, provider: str, client_id: str) -> None:
    """Remove the secrets of one app."""
    app = (provider, client_id)
    with session.backup() as backup:
        if app not in backup.sidecar.secrets().names():
            raise UsageError(
                f"the sidecar has no secret for {provider} {client_id!r}",
                hint="`oauthsync secrets list` shows what it has",
            )
        saved = save(session, backup, [], remove=[app])
    session.report(lambda: {"removed": saved.removed}, lambda _: "removed")


def _needs_a_person(session: Session, instead: str) -> None:
    if not session.interactive:
        raise UsageError("nobody is there to type a secret", hint=instead)


def _open_first(backup: "Backup") -> None:
    """Have the key asked for, and tried, before anything is typed that a wrong one would lose."""
    _ = backup.sidecar.key
    backup.sidecar.apps()


def _missing(session: Session, backup: "Backup", snapshot: "Snapshot") -> "tuple[MissingApp, ...]":
    from oauthsync.missing import missing_apps

    profiles = backup.snapshots().profiles(snapshot)
    if without := [profile.name for profile in profiles if profile.client_id is None]:
        session.warn(
            f"{count_of(len(without), 'profile')} without a client id, for which no secret can be"
            f" filed, and which cannot be restored:\n{session.folded(without)}"
        )
    return missing_apps(profiles, backup.sidecar.apps())


def ask_for(
    session: Session, provider: str, client_id: str, *, with_token: bool = False
) -> "tuple[Secret, Secret | None]":
    """Ask for an app's client secret and, where there may be one, its token."""
    secret = session.ask_secret(f"Client secret of {provider} {client_id}")
    if not secret or not (with_token or provider in TOKEN_PROVIDERS):
        return secret, None
    token = session.ask_secret(
        f"Token of {provider} {client_id} (empty: none, or the one that is filed)"
    )
    return secret, token or None


def _from_stdin() -> "tuple[Secret, Secret | None]":
    from oauthsync import strictjson
    from oauthsync.secret import Secret
    from oauthsync.tables import suggestion

    try:
        value = strictjson.parse(_read_stdin(MAX_STDIN))
    except ValueError as error:
        raise UsageError(f"stdin is not JSON: {error}") from error
    known = ("client_secret", "token")
    if not isinstance(value, dict) or "client_secret" not in value:
        raise UsageError('stdin is not an object {"client_secret": …, "token": …}')
    if unknown := sorted(value.keys() - known):
        raise UsageError(
            f"stdin has an unknown key {unknown[0]!r}", hint=suggestion(unknown[0], known)
        )
    secret, token = value["client_secret"], value.get("token")
    if not isinstance(secret, str) or not isinstance(token, str | None):
        raise UsageError("client_secret and token are to be strings")
    return Secret(secret), Secret(token) if token else None


def entry_of(
    backup: "Backup", provider: str, client_id: str, secret: "Secret", token: "Secret | None"
) -> "Entry":
    """What is filed for an app now."""
    from oauthsync.clock import timestamp
    from oauthsync.entries import Entry

    return Entry(provider, client_id, secret, token, timestamp(backup.clock.now()))


def save(
    session: Session,
    backup: "Backup",
    entries: "Sequence[Entry]",
    remove: "Collection[tuple[str, str]]" = (),
) -> "Saved":
    """Update the sidecar; a warning where it is sealed to whom [secrets] does not name."""
    from oauthsync import sidecar

    if backup.config.recipients and backup.sidecar.exists:
        for stranger in backup.sidecar.strangers():
            session.warn(
                f"the sidecar is also sealed to {stranger}, whom [secrets] does not name:"
                " if nobody of you added it, somebody has replaced the file"
            )
    return sidecar.update(
        backup.config.sidecar,
        backup.sidecar.key,
        entries,
        remove=remove,
        recipients=backup.config.recipients,
    )


def _read_stdin(limit: int) -> bytes:
    if sys.stdin is None:
        raise UsageError("there is no stdin to read from")
    text = sys.stdin.buffer.read(limit + 1)
    if len(text) > limit:
        raise UsageError(f"stdin holds more than {limit} bytes")
    return text
