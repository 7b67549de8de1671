"""Keys as text: which kind a text is of, and why another is refused.

No error quotes the text. It is a private key, or may be one by mistake.
"""

import os
from typing import TypeAlias

from oauthsync.age import bech32, hybrid, x25519
from oauthsync.age.errors import KeyFormatError
from oauthsync.age.hybrid import HybridIdentity, HybridRecipient
from oauthsync.age.primitives import KEY_LENGTH
from oauthsync.age.scrypt import Passphrase
from oauthsync.age.x25519 import X25519Identity, X25519Recipient

Identity: TypeAlias = X25519Identity | HybridIdentity | Passphrase
Recipient: TypeAlias = X25519Recipient | HybridRecipient | Passphrase

MAX_TEXT = 4096
"""Characters of a key that is looked at: the longest, a post-quantum recipient, has 1,959."""

_IDENTITY = "an identity is one word that starts with AGE-SECRET-KEY-"
_RECIPIENT = "a recipient is one word that starts with age1"


def generate_identity(*, pq: bool = False) -> X25519Identity | HybridIdentity:
    """A new private key; with `pq`, a post-quantum one."""
    seed = os.urandom(KEY_LENGTH)
    return HybridIdentity(seed) if pq else X25519Identity(seed)


def parse_identity(text: str) -> X25519Identity | HybridIdentity:
    """A private key from `AGE-SECRET-KEY-1…` or `AGE-SECRET-KEY-PQ-1…`. Raises KeyFormatError."""
    prefix, seed = _decode(text, "identity", _IDENTITY)
    if prefix == x25519.IDENTITY_PREFIX:
        return X25519Identity(seed)
    if prefix == hybrid.IDENTITY_PREFIX:
        return HybridIdentity(seed)
    if prefix in (x25519.RECIPIENT_PREFIX, hybrid.RECIPIENT_PREFIX):
        raise KeyFormatError("this is a recipient, the public half of an identity", hint=_IDENTITY)
    raise KeyFormatError("the identity is of a kind that is not supported", hint=_IDENTITY)


def parse_recipient(text: str) -> X25519Recipient | HybridRecipient:
    """A public key from `age1…` or `age1pq1…`. Raises KeyFormatError."""
    prefix, key = _decode(text, "recipient", _RECIPIENT)
    if prefix == x25519.RECIPIENT_PREFIX:
        return X25519Recipient(key)
    if prefix == hybrid.RECIPIENT_PREFIX:
        return HybridRecipient(key)
    if prefix in (x25519.IDENTITY_PREFIX, hybrid.IDENTITY_PREFIX):
        raise KeyFormatError(
            "this is an identity, the secret half of a recipient: keep it to yourself",
            hint=_RECIPIENT,
        )
    raise KeyFormatError("the recipient is of a kind that is not supported", hint=_RECIPIENT)


def _decode(text: str, what: str, hint: str) -> tuple[str, bytes]:
    if len(text) > MAX_TEXT:
        raise KeyFormatError(f"the {what} is malformed: it is too long", hint=hint)
    try:
        return bech32.decode(text)
    except bech32.Bech32Error as error:
        raise KeyFormatError(f"the {what} is malformed: {error}", hint=hint) from None
