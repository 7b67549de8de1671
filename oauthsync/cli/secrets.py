"""`secrets …`: the sidecar's entries, and its keys."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from oauthsync.cli.common import EXIT_DIFFERENT, Session, common_options
from oauthsync.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oauthsync.backup import Backup
    from oauthsync.secret import Secret
    from oauthsync.sidecar import Entry, Saved

TOKEN_PROVIDERS = ("slack",)
"""Providers whose profiles have a token beside the client secret (the API's page)."""


@click.group("secrets")
def secrets_command() -> None:
    """Keep the client secrets and tokens in the sidecar, secrets.age."""


@secrets_command.command("set")
@click.option("--provider", required=True, help="The app's provider, as the API spells it.")
@click.option("--client-id", required=True, help="The app's client id.")
@click.option("--token", "with_token", is_flag=True, help="Ask for a token, too.")
@click.option("--stdin", is_flag=True, help='Read {"client_secret": …, "token": …} from stdin.')
@common_options
def set_command(
    session: Session, provider: str, client_id: str, with_token: bool, stdin: bool
) -> None:
    """File the client secret of one app; it is asked for, hidden."""
    if stdin:
        secret, token = _from_stdin()
    else:
        _needs_a_person(session, "use --stdin, or `oauthsync secrets load`")
        secret, token = _asked(session, provider, client_id, with_token=with_token)
    with session.backup() as backup:
        saved = _save(backup, [_entry(backup, provider, client_id, secret, token)])
    session.answer(
        {"provider": provider, "client_id": client_id, "replaced": bool(saved.replaced)},
        lambda _: "replaced" if saved.replaced else "stored",
    )


@secrets_command.command("fill")
@click.argument("snapshot", default="latest")
@click.option("--workspace", metavar="WORKSPACE", help="Select among this workspace's snapshots.")
@common_options
def fill_command(session: Session, snapshot: str, workspace: str | None) -> None:
    """Ask for every secret that the SNAPSHOT's profiles need and the sidecar lacks."""
    from oauthsync.missing import missing_apps
    from oauthsync.render import inline

    _needs_a_person(session, "use `oauthsync secrets load`")
    stored = 0
    with session.backup() as backup:
        snapshots = backup.snapshots()
        profiles = snapshots.profiles(snapshots.find(snapshot, workspace))
        _ = backup.key  # asked for before anything is typed that could be lost
        missing = missing_apps(profiles, backup.apps())
        done: set[tuple[str, str]] = set()
        for number, app in enumerate(missing, 1):
            if app.key in done:
                continue
            names = ", ".join(inline(profile.name) for profile in app.profiles[:3])
            session.say(f"{number}/{len(missing)}: {inline(app.provider)}, used by {names}")
            secret, token = _asked(session, app.provider, app.client_id, with_token=False)
            if not secret:
                session.say("  skipped")
                continue
            entries = [_entry(backup, app.provider, app.client_id, secret, token)]
            for other in missing:
                if other.client_id == app.client_id and other.key not in done | {app.key}:
                    question = f"{other.provider} uses the same client id: store it there, too?"
                    if session.confirm(question):
                        entries.append(_entry(backup, other.provider, app.client_id, secret, token))
            # Each answer is kept at once: whoever stops half way loses nothing.
            _save(backup, entries)
            done.update(entry.app for entry in entries)
            stored += len(entries)
    session.answer(
        {"stored": stored, "missing": len(missing) - stored},
        lambda _: f"{stored} stored, {len(missing) - stored} still missing",
    )


@secrets_command.command("load")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@common_options
def load_command(session: Session, file: Path) -> None:
    """File the secrets of a CSV or JSON FILE (`-` is stdin), all of them or none.

    Columns: provider, client_id, client_secret and, optionally, token.
    """
    from oauthsync.clock import timestamp
    from oauthsync.secrets_file import MAX_SIZE, parse_rows

    text = sys.stdin.buffer.read(MAX_SIZE + 1) if str(file) == "-" else _read(file, MAX_SIZE)
    with session.backup() as backup:
        name = "stdin" if str(file) == "-" else str(file)
        entries = parse_rows(text, name=name, now=timestamp(backup.clock.now()))
        saved = _save(backup, entries)
    loaded = saved.added + saved.replaced + saved.unchanged
    session.answer(
        {"loaded": loaded, "replaced": saved.replaced},
        lambda _: f"{loaded} loaded, {saved.replaced} of them replaced",
    )


@secrets_command.command("list")
@common_options
def list_command(session: Session) -> None:
    """List the apps whose secrets are filed; never a secret."""
    with session.backup() as backup:
        entries = backup.secrets().entries
    session.answer(
        {
            "secrets": [
                {
                    "provider": entry.provider,
                    "client_id": entry.client_id,
                    "has_token": entry.token is not None,
                    "updated_at": entry.updated_at,
                }
                for entry in entries
            ]
        },
        lambda renderer: renderer.table(
            ("provider", "client id", "token", "updated at"),
            [(e.provider, e.client_id, "yes" if e.token else "", e.updated_at) for e in entries],
        ),
    )


@secrets_command.command("missing")
@click.argument("snapshot", default="latest")
@click.option("--workspace", metavar="WORKSPACE", help="Select among this workspace's snapshots.")
@click.option("--exit-code", is_flag=True, help="Exit with 4 where a secret is missing.")
@common_options
def missing_command(session: Session, snapshot: str, workspace: str | None, exit_code: bool) -> int:
    """List the secrets that the SNAPSHOT's profiles need and the sidecar lacks."""
    from oauthsync.missing import missing_apps

    with session.backup() as backup:
        snapshots = backup.snapshots()
        profiles = snapshots.profiles(snapshots.find(snapshot, workspace))
        missing = missing_apps(profiles, backup.apps())
    session.answer(
        {
            "missing": [
                {
                    "provider": app.provider,
                    "client_id": app.client_id,
                    "fields": ["client_secret"],
                    "profiles": [{"id": p.id, "name": p.name} for p in app.profiles],
                }
                for app in missing
            ]
        },
        lambda renderer: (
            renderer.table(
                ("provider", "client id", "profiles"),
                [(a.provider, a.client_id, ", ".join(p.name for p in a.profiles)) for a in missing],
            )
            if missing
            else "nothing is missing"
        ),
    )
    return EXIT_DIFFERENT if exit_code and missing else 0


@secrets_command.command("remove")
@click.option("--provider", required=True, help="The app's provider.")
@click.option("--client-id", required=True, help="The app's client id.")
@common_options
def remove_command(session: Session, provider: str, client_id: str) -> None:
    """Remove the secrets of one app."""
    from oauthsync import sidecar

    with session.backup() as backup:
        saved = sidecar.update(
            backup.config.sidecar, backup.key, [], remove=[(provider, client_id)]
        )
    if not saved.removed:
        raise UsageError(
            f"the sidecar has no secret for {provider} {client_id!r}",
            hint="`oauthsync secrets list` shows what it has",
        )
    session.answer({"removed": saved.removed}, lambda _: "removed")


@secrets_command.command("rekey")
@click.option("--passphrase", "passphrase", is_flag=True, help="Seal with a new passphrase.")
@click.option(
    "--recipient", "recipients", multiple=True, metavar="age1…", help="Seal to this recipient."
)
@common_options
def rekey_command(session: Session, passphrase: bool, recipients: tuple[str, ...]) -> None:
    """Seal the sidecar with a new passphrase, or to new recipients.

    Without an option, the recipients of oauthsync.toml are taken or, without those, a passphrase.
    """
    from oauthsync import sidecar

    if passphrase and recipients:
        raise click.UsageError("give --passphrase or --recipient, not both")
    with session.backup() as backup:
        chosen = recipients or (() if passphrase else backup.config.recipients)
        old = backup.key
        new = list(chosen) or backup.new_key()
        assert not isinstance(new, sidecar.IdentityKey)
        sidecar.rekey(backup.config.sidecar, old, new)
    session.answer(
        {"recipients": list(chosen)},
        lambda _: f"sealed to {len(chosen)} recipients" if chosen else "sealed with a passphrase",
    )
    session.say("copies of the sidecar made earlier still open with the old key")


@secrets_command.command("keygen")
@click.option(
    "-o",
    "output",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="The file to write the identity to; it must not exist.",
)
@click.option("--pq", is_flag=True, help="A post-quantum key pair.")
@common_options
def keygen_command(session: Session, output: Path, pq: bool) -> None:
    """Generate an age identity, and print its recipient."""
    from oauthsync import age, files

    identity = age.generate_identity(pq=pq)
    recipient = str(identity.recipient)
    text = f"# public key: {recipient}\n{identity.text.reveal()}\n"
    files.create_file(output, text.encode("ascii"))
    session.answer({"recipient": recipient, "file": str(output)}, lambda _: recipient)


def _needs_a_person(session: Session, instead: str) -> None:
    if not session.interactive:
        raise UsageError("nobody is there to type a secret", hint=instead)


def _asked(
    session: Session, provider: str, client_id: str, *, with_token: bool
) -> "tuple[Secret, Secret | None]":
    secret = session.ask_secret(f"Client secret of {provider} {client_id}")
    if not secret or not (with_token or provider in TOKEN_PROVIDERS):
        return secret, None
    token = session.ask_secret("Token (empty for none)")
    return secret, token or None


def _from_stdin() -> "tuple[Secret, Secret | None]":
    from oauthsync import strictjson
    from oauthsync.secret import Secret

    try:
        value = strictjson.parse(sys.stdin.buffer.read(1 << 20))
    except ValueError as error:
        raise UsageError(f"stdin is not JSON: {error}") from error
    known = {"client_secret", "token"}
    if not isinstance(value, dict) or value.keys() - known or "client_secret" not in value:
        raise UsageError('stdin is not an object {"client_secret": …, "token": …}')
    secret, token = value["client_secret"], value.get("token")
    if not isinstance(secret, str) or not secret or not isinstance(token, str | None):
        raise UsageError("client_secret and token are to be texts")
    return Secret(secret), Secret(token) if token else None


def _entry(
    backup: "Backup", provider: str, client_id: str, secret: "Secret", token: "Secret | None"
) -> "Entry":
    from oauthsync.clock import timestamp
    from oauthsync.sidecar import Entry

    return Entry(provider, client_id, secret, token, timestamp(backup.clock.now()))


def _save(backup: "Backup", entries: "Sequence[Entry]") -> "Saved":
    from oauthsync import sidecar

    return sidecar.update(
        backup.config.sidecar, backup.key, entries, recipients=backup.config.recipients
    )


def _read(file: Path, limit: int) -> bytes:
    from oauthsync.tables import read_regular

    try:
        return read_regular(file, limit=limit)
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror or error}") from error
