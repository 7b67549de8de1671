"""The keys that open a sidecar: a passphrase, or age identities. No error shows any of one."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from oauthsync import age
from oauthsync.errors import UsageError
from oauthsync.secret import Secret

MIN_PASSPHRASE = 12
"""Characters of a new passphrase."""

MAX_PASSPHRASE = 1000
"""Characters, too: a terminal takes no line of more than 4,095 bytes."""

MIN_DISTINCT = 6
"""Different characters of a new passphrase."""

_ENCRYPTED = (b"age-encryption.org/", b"-----BEGIN AGE")

KeyPair: TypeAlias = age.X25519Identity | age.HybridIdentity


@dataclass(frozen=True)
class PassphraseKey:
    """A passphrase; what it seals takes 2 ** `work_factor` steps of scrypt to open."""

    passphrase: Secret
    work_factor: int = age.DEFAULT_WORK_FACTOR


@dataclass(frozen=True)
class IdentityKey:
    """age identities, any one of which may open the file."""

    identities: tuple[KeyPair, ...]


Key: TypeAlias = PassphraseKey | IdentityKey


def is_encrypted(text: bytes) -> bool:
    """Whether an identity file is an age file itself, to be decrypted with a passphrase first."""
    return text.startswith(_ENCRYPTED)


def parse_identity_file(text: bytes) -> tuple[KeyPair, ...]:
    """The identities of an age identity file: one to a line, with `#` comments and blank lines.

    Raises KeyFormatError, which names the line and never its content.
    """
    if is_encrypted(text):
        raise age.KeyFormatError(
            "the identity file is itself encrypted", hint="give the content that `age -d` shows"
        )
    lines = [line.strip() for line in text.removeprefix(b"\xef\xbb\xbf").split(b"\n")]
    identities = [
        _identity(number, line)
        for number, line in enumerate(lines, start=1)
        if line and not line.startswith(b"#")
    ]
    if not identities:
        raise age.KeyFormatError(
            "the identity file holds no identity", hint="an identity is AGE-SECRET-KEY-1…"
        )
    return tuple(identities)


def _identity(number: int, line: bytes) -> KeyPair:
    try:
        # What is not ASCII is no identity; nothing of it may reach an error's attributes.
        return age.parse_identity(line.decode("ascii", "replace"))
    except age.KeyFormatError as error:
        raise age.KeyFormatError(
            f"line {number} of the identity file: {error}", hint=error.hint
        ) from None


def check_recipients(texts: Iterable[str]) -> None:
    """Raise UsageError where what somebody gave as a recipient is none."""
    for text in texts:
        try:
            age.parse_recipient(text)
        except age.KeyFormatError as error:
            raise UsageError(str(error), hint=error.hint) from None


def check_passphrase(text: str) -> None:
    """Refuse a new passphrase that is easily guessed, or cannot be typed into `age -d`.

    Raises UsageError with the reason.
    """
    if not text.isprintable() or text != text.strip():
        reason = "holds control characters, unusual spaces, or white space at its start or end"
    elif len(text) < MIN_PASSPHRASE:
        reason = f"is shorter than {MIN_PASSPHRASE} characters"
    elif len(text) > MAX_PASSPHRASE:
        reason = f"is longer than {MAX_PASSPHRASE} characters"
    elif len(set(text.casefold())) < MIN_DISTINCT or _is_run(text):
        reason = "repeats or counts through a few characters"
    else:
        return
    raise UsageError(
        f"the passphrase {reason}",
        hint="take several random words: who gets hold of the file can try passphrases at will",
    )


def _is_run(text: str) -> bool:
    return len({ord(after) - ord(before) for before, after in itertools.pairwise(text)}) == 1
