"""How the sidecar opens, when nobody is asked: from the one source that is set.

The environment's source counts, else the one in `[secrets]`, as a whole. Two sources in one place
are an error: an order of precedence would seal secrets to what the user did not think of.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from oauthsync.errors import SidecarError, UsageError
from oauthsync.secret import Secret
from oauthsync.sources import FromFile, Source, SourceError, Sources
from oauthsync.tables import Table

_VARIABLES: Mapping[str, str] = {
    "OAUTHSYNC_PASSPHRASE": "env",
    "OAUTHSYNC_PASSPHRASE_FILE": "file",
    "OAUTHSYNC_PASSPHRASE_COMMAND": "command",
    "OAUTHSYNC_IDENTITY": "identity",
}
UNLOCK_KEYS: Mapping[str, str] = {
    "passphrase_command": "command",
    "passphrase_file": "file",
    "identity": "identity",
}
"""Settings that say how the sidecar opens, and the kind of each."""

_ADVICE = (
    "no secret stands in this file: passphrase_command, passphrase_file or identity say where it is"
)


@dataclass(frozen=True)
class Unlock:
    """How the sidecar opens: with a passphrase, or with the age identities in a file.

    `source` says in words where that comes from. `identity` is the path of the identities' file,
    which may be encrypted with a passphrase itself; `reader` gives the passphrase.
    """

    kind: Literal["passphrase", "identity"]
    source: str
    identity: Path | None = None
    reader: Source | None = None

    @property
    def file(self) -> Path | None:
        """The file that holds the passphrase or the identities; None where there is none."""
        return self.reader.path if isinstance(self.reader, FromFile) else self.identity

    def passphrase(self) -> Secret:
        """The passphrase, read from its source now; only for the kind `passphrase`.

        Raises SidecarError where the source does not give it, or gives several lines, which nobody
        could type at a prompt.
        """
        assert self.reader is not None, "only the kind `passphrase` has one"
        try:
            passphrase = self.reader.read()
        except SourceError as error:
            raise SidecarError(f"no passphrase: {error}", hint=error.hint) from error
        if any(character in passphrase.reveal() for character in "\n\r\0"):
            raise SidecarError(
                f"the passphrase ({self.source}) is more than one line of text",
                hint="give one line; its one trailing newline is not part of it",
            )
        return passphrase


def from_environment(sources: Sources) -> Unlock | None:
    """What the variables say; an empty one counts as not set. Raises UsageError for two of them."""
    given = [name for name in _VARIABLES if sources.environ.get(name)]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} are set together", hint="unset all but one")
    if not given:
        return None
    [name] = given
    # The passphrase itself is in the first variable; the others hold where it is.
    text = name if _VARIABLES[name] == "env" else sources.environ[name]
    return _unlock(_VARIABLES[name], text, name, sources)


def from_table(secrets: Table, sources: Sources) -> tuple[Unlock | None, tuple[str, ...]]:
    """What `[secrets]` says, and its recipients. Raises UsageError for anything wrong in it."""
    secrets.check_keys((*UNLOCK_KEYS, "recipients"), secret_advice=_ADVICE)
    key = secrets.only_one(*UNLOCK_KEYS)
    recipients = secrets.texts("recipients")
    if recipients and key not in (None, "identity"):
        raise UsageError(
            f"{secrets.place()} has both recipients and {key}",
            hint="a sidecar is sealed to recipients or to a passphrase: keep one of them",
        )
    if not all(recipient.startswith("age1") for recipient in recipients):
        raise UsageError(
            f"an item of {secrets.place('recipients')} is not an age recipient",
            hint="a recipient begins with age1; `oauthsync secrets keygen` prints it",
        )
    if key is None:
        return None, recipients
    unlock = _unlock(UNLOCK_KEYS[key], secrets.text(key) or "", secrets.place(key), sources)
    return unlock, recipients


def _unlock(kind: str, text: str, where: str, sources: Sources) -> Unlock:
    if kind != "identity":
        reader = sources.source(kind, text, where)
        return Unlock("passphrase", reader.description, reader=reader)
    if text.upper().startswith("AGE-"):
        raise UsageError(
            f"{where} holds an age identity, and is to be the path of its file",
            hint="write the identity into a file of mode 0600",
        )
    return Unlock("identity", f"the age identities that {where} names", identity=sources.path(text))
