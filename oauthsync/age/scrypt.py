"""Passphrases (specification: "The scrypt recipient type")."""

import contextlib
import os
import re

from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from oauthsync.age.errors import HOSTILE, HeaderLimitError, KeyFormatError, LimitError, malformed
from oauthsync.age.header import Stanza, decode64, encode64
from oauthsync.age.primitives import KEY_LENGTH, seal, unseal
from oauthsync.secret import Secret

DEFAULT_WORK_FACTOR = 18
"""The age command's: 256 MiB of memory, and about a second."""

MAX_WORK_FACTOR = 20
"""1 GiB of memory, and some seconds: what a file may ask for."""

_TYPE = "scrypt"
_SALT_PREFIX = b"age-encryption.org/v1/scrypt"
_SALT_LENGTH = 16


class Passphrase:
    """A passphrase, which is both an identity and a recipient.

    `work_factor` is what encryption takes, the base-2 logarithm of scrypt's N; decryption takes
    the file's own. Raises KeyFormatError for an empty text, LimitError for a work factor that
    decryption would refuse.
    """

    __slots__ = ("_text", "_work_factor")

    stanza_type = _TYPE

    def __init__(self, text: str | Secret, *, work_factor: int = DEFAULT_WORK_FACTOR) -> None:
        if not 1 <= work_factor <= MAX_WORK_FACTOR:
            raise LimitError(f"a work factor is from 1 to {MAX_WORK_FACTOR}")
        self._text = text if isinstance(text, Secret) else Secret(text)
        self._work_factor = work_factor
        if not self._bytes():
            raise KeyFormatError("the passphrase is empty", hint="give one")

    def __repr__(self) -> str:
        return "Passphrase(…)"

    def wrap(self, file_key: bytes) -> Stanza:
        """The file key, for this passphrase."""
        salt = os.urandom(_SALT_LENGTH)
        body = seal(self._key(salt, self._work_factor), file_key)
        return Stanza(_TYPE, (encode64(salt), str(self._work_factor)), body)

    def unwrap(self, stanza: Stanza) -> bytes | None:
        """The file key, or None where the passphrase is another. Raises HeaderError."""
        salt, work_factor = stanza.checked_arguments(2)
        key = self._key(
            decode64(salt, "a salt", length=_SALT_LENGTH), _parse_work_factor(work_factor)
        )
        return unseal(key, stanza.body)

    def _key(self, salt: bytes, work_factor: int) -> bytes:
        kdf = Scrypt(salt=_SALT_PREFIX + salt, length=KEY_LENGTH, n=1 << work_factor, r=8, p=1)
        try:
            return kdf.derive(self._bytes())
        except MemoryError:
            raise LimitError(
                f"a work factor of {work_factor} takes {1 << work_factor >> 10} MiB of memory, "
                "and so much is not free",
                hint="free some memory, or use another machine",
            ) from None

    def _bytes(self) -> bytes:
        with contextlib.suppress(UnicodeEncodeError):
            # An environment variable that is not UTF-8 reaches Python with its bytes escaped.
            return self._text.reveal().encode("utf-8", "surrogateescape")
        # Out here, that error is not the context of this one: it holds the passphrase.
        raise KeyFormatError("the passphrase is not Unicode text", hint="give another")


def _parse_work_factor(text: str) -> int:
    if not re.fullmatch("[1-9][0-9]*", text):
        raise malformed("a work factor is not a number")
    # The length first: to convert an endless number would take long.
    if len(text) > 2 or int(text) > MAX_WORK_FACTOR:
        raise HeaderLimitError(
            f"the age file asks for a work factor above {MAX_WORK_FACTOR}", hint=HOSTILE
        )
    return int(text)
