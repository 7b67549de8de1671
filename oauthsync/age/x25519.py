"""X25519 keys (specification: "The X25519 recipient type")."""

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from oauthsync.age import bech32
from oauthsync.age.errors import WRONG_KEY, KeyFormatError, malformed
from oauthsync.age.header import Stanza, decode64, encode64
from oauthsync.age.primitives import KEY_LENGTH, hkdf, seal, unseal, x25519_public
from oauthsync.secret import Secret

RECIPIENT_PREFIX = "age"
IDENTITY_PREFIX = "AGE-SECRET-KEY-"

_TYPE = "X25519"
_INFO = b"age-encryption.org/v1/X25519"


@dataclass(frozen=True, slots=True, repr=False)
class X25519Recipient:
    """A public key of 32 bytes; its text is `age1…`. Raises KeyFormatError."""

    key: bytes

    def __post_init__(self) -> None:
        try:
            x25519_public(self.key)
        except ValueError:
            raise KeyFormatError(
                "the recipient is not an X25519 public key", hint=WRONG_KEY
            ) from None

    def __str__(self) -> str:
        return bech32.encode(RECIPIENT_PREFIX, self.key)

    def __repr__(self) -> str:
        return f"X25519Recipient({self})"

    def wrap(self, file_key: bytes) -> Stanza:
        """The file key, for this recipient."""
        ephemeral = X25519PrivateKey.generate()
        share = ephemeral.public_key().public_bytes_raw()
        secret = ephemeral.exchange(x25519_public(self.key))
        key = hkdf(secret, salt=share + self.key, info=_INFO)
        return Stanza(_TYPE, (encode64(share),), seal(key, file_key))


class X25519Identity:
    """A private key of 32 bytes; its text is `AGE-SECRET-KEY-1…`. Raises KeyFormatError.

    `recipient` is its public half.
    """

    __slots__ = ("_private", "recipient")

    stanza_type = _TYPE

    def __init__(self, seed: bytes) -> None:
        if len(seed) != KEY_LENGTH:
            raise KeyFormatError(f"the identity is not {KEY_LENGTH} bytes long", hint=WRONG_KEY)
        self._private = X25519PrivateKey.from_private_bytes(seed)
        self.recipient = X25519Recipient(self._private.public_key().public_bytes_raw())

    def __repr__(self) -> str:
        return "X25519Identity(…)"

    @property
    def text(self) -> Secret:
        """`AGE-SECRET-KEY-1…`."""
        return Secret(bech32.encode(IDENTITY_PREFIX, self._private.private_bytes_raw()))

    def unwrap(self, stanza: Stanza) -> bytes | None:
        """The file key, or None where the stanza is for another key. Raises HeaderError."""
        (argument,) = stanza.checked_arguments(1)
        share = decode64(argument, "an X25519 share", length=KEY_LENGTH)
        try:
            secret = self._private.exchange(x25519_public(share))
        except ValueError:
            raise malformed("an X25519 share is a low-order point") from None
        return unseal(hkdf(secret, salt=share + self.recipient.key, info=_INFO), stanza.body)
