"""Post-quantum keys (specification: "The MLKEM768-X25519 hybrid post-quantum recipient type").

A file key is sealed by HPKE (RFC 9180) to an ML-KEM-768 key and an X25519 key together, so it is
safe as long as one of the two is.
"""

import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from oauthsync.age import bech32
from oauthsync.age.errors import WRONG_KEY, AgeError, KeyFormatError, malformed
from oauthsync.age.header import Stanza, decode64, encode64
from oauthsync.age.primitives import KEY_LENGTH, x25519_public
from oauthsync.secret import Secret

RECIPIENT_PREFIX = "age1pq"
IDENTITY_PREFIX = "AGE-SECRET-KEY-PQ-"

_TYPE = "mlkem768x25519"
_INFO = b"age-encryption.org/mlkem768x25519"

# X25519's 32 bytes come last: in the seeds, in the encapsulated key, and in the public key.
_SEEDS_LENGTH = 64 + KEY_LENGTH
_ENC_LENGTH = 1088 + KEY_LENGTH


@dataclass(frozen=True, slots=True, repr=False)
class HybridRecipient:
    """A public key of 1216 bytes; its text is `age1pq1…`. Raises KeyFormatError."""

    key: bytes

    def __post_init__(self) -> None:
        try:
            self._public()
        except ValueError:
            raise KeyFormatError(
                "the recipient is not a post-quantum public key", hint=WRONG_KEY
            ) from None
        except UnsupportedAlgorithm as error:
            raise _unsupported() from error

    def __str__(self) -> str:
        return bech32.encode(RECIPIENT_PREFIX, self.key)

    def __repr__(self) -> str:
        return f"HybridRecipient({self})"

    def wrap(self, file_key: bytes) -> Stanza:
        """The file key, for this recipient."""
        sealed = _suite().encrypt(file_key, self._public(), _INFO)
        return Stanza(_TYPE, (encode64(sealed[:_ENC_LENGTH]),), sealed[_ENC_LENGTH:])

    def _public(self) -> MLKEM768X25519PublicKey:
        mlkem = MLKEM768PublicKey.from_public_bytes(self.key[:-KEY_LENGTH])
        return MLKEM768X25519PublicKey(mlkem, x25519_public(self.key[-KEY_LENGTH:]))


class HybridIdentity:
    """A private key of 32 bytes; its text is `AGE-SECRET-KEY-PQ-1…`. Raises KeyFormatError.

    `recipient` is its public half.
    """

    __slots__ = ("_private", "_seed", "recipient")

    stanza_type = _TYPE

    def __init__(self, seed: bytes) -> None:
        if len(seed) != KEY_LENGTH:
            raise KeyFormatError(f"the identity is not {KEY_LENGTH} bytes long", hint=WRONG_KEY)
        self._seed = seed
        # draft-ietf-hpke-pq: both keys come out of one seed.
        seeds = hashlib.shake_256(seed).digest(_SEEDS_LENGTH)
        try:
            mlkem = MLKEM768PrivateKey.from_seed_bytes(seeds[:-KEY_LENGTH])
        except UnsupportedAlgorithm as error:
            raise _unsupported() from error
        x25519 = X25519PrivateKey.from_private_bytes(seeds[-KEY_LENGTH:])
        self._private = MLKEM768X25519PrivateKey(mlkem, x25519)
        self.recipient = HybridRecipient(
            mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()
        )

    def __repr__(self) -> str:
        return "HybridIdentity(…)"

    @property
    def text(self) -> Secret:
        """`AGE-SECRET-KEY-PQ-1…`."""
        return Secret(bech32.encode(IDENTITY_PREFIX, self._seed))

    def unwrap(self, stanza: Stanza) -> bytes | None:
        """The file key, or None where the stanza is for another key. Raises HeaderError."""
        (argument,) = stanza.checked_arguments(1)
        enc = decode64(argument, "an encapsulated key", length=_ENC_LENGTH)
        try:
            # HPKE reports a low-order point as it does a key that does not fit.
            x25519_public(enc[-KEY_LENGTH:])
            return _suite().decrypt(enc + stanza.body, self._private, _INFO)
        except ValueError:
            raise malformed("an encapsulated key has a low-order point") from None
        except InvalidTag:
            return None


def _suite() -> Suite:
    # Made where it is used: a build without ML-KEM is to import this module all the same.
    return Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)


def _unsupported() -> AgeError:
    return AgeError(
        "post-quantum keys need ML-KEM, which this build of cryptography lacks",
        hint="install cryptography from its wheels, or use an X25519 key (age1…)",
    )
