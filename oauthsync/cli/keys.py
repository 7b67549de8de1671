"""`secrets rekey` and `secrets keygen`: what the sidecar is sealed to."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from oauthsync.cli.common import Session, common_options
from oauthsync.text import count_of

if TYPE_CHECKING:
    from oauthsync.strictjson import Json


@click.command("rekey")
@click.option("--passphrase", "by_passphrase", is_flag=True, help="Seal with a new passphrase.")
@click.option(
    "--recipient", "recipients", multiple=True, metavar="age1…", help="Seal to it; repeatable."
)
@common_options
def rekey_command(session: Session, by_passphrase: bool, recipients: tuple[str, ...]) -> None:
    """Seal the sidecar with a new passphrase, or to new recipients.

    Without an option, the recipients of oauthsync.toml are taken or, without those, a passphrase.
    """
    from oauthsync import files, keys, sidecar

    if by_passphrase and recipients:
        raise click.UsageError("give --passphrase or --recipient, not both")
    keys.check_recipients(recipients)
    with session.backup() as backup:
        chosen = () if by_passphrase else recipients or backup.config.recipients
        backup.sidecar.secrets()  # tried before a new passphrase is typed
        key = backup.sidecar.key
        takes_over = bool(chosen) and isinstance(key, sidecar.PassphraseKey)
        opens = sidecar.rekey(
            backup.config.sidecar,
            key,
            chosen or backup.sidecar.new_passphrase(),
            at_hand=backup.sidecar.identities() if takes_over else (),
        )
        configured = backup.config.unlock()
    how = (
        f"sealed to {count_of(len(chosen), 'recipient')}"
        if chosen
        else "sealed with the new passphrase"
    )
    document: dict[str, Json] = {"recipients": list(chosen), "verified": opens}
    session.report(lambda: document, lambda _: how)
    session.say("copies of the sidecar that were made earlier still open with the old key")
    if not opens:
        session.warn(
            "no identity at hand opens it now, so nobody has seen it open. Try `oauthsync secrets"
            " list` with one of the new ones; until you delete it, the generation before, which"
            f" opens with the old key, is {files.previous_of(backup.config.sidecar)}"
        )
    elif configured is not None and not chosen:
        session.warn(f"put the new passphrase in the place of the old one: {configured.source}")


@click.command("keygen")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    metavar="FILE",
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
    if output.parent.resolve() == session.folder.resolve() and _is_backup(session.folder):
        session.warn("keep the identity out of the backup folder: whoever has both has the secrets")
    session.answer(lambda: {"recipient": recipient, "file": str(output)}, lambda _: recipient)


def _is_backup(folder: Path) -> bool:
    return any(
        (folder / name).exists() for name in ("oauthsync.toml", "oauthsync.db", "secrets.age")
    )
