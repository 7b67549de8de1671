"""Age files for the tests: sealed, forged with a right MAC, edited."""

import base64

import pytest

from oauthsync import age
from oauthsync.age.header import Stanza, write_header
from oauthsync.age.payload import encrypt_payload

IDENTITY = age.parse_identity(
    "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"
)
HYBRID = age.parse_identity(
    "AGE-SECRET-KEY-PQ-1XX76JRALNLXDMEW0CRK45QMCCH4X06SE84UN3VPM33W6HWDX0H3SK3ZQFR"
)
PASSPHRASE = age.Passphrase("correct horse battery staple", work_factor=1)
KEYS = [
    pytest.param(IDENTITY, id="x25519"),
    pytest.param(HYBRID, id="hybrid"),
    pytest.param(PASSPHRASE, id="scrypt"),
]

PLAINTEXT = b"the client secret"
FILE_KEY = bytes(range(16))


def recipient_of(identity: age.Identity) -> age.Recipient:
    """What seals for an identity; a passphrase does it itself."""
    return identity if isinstance(identity, age.Passphrase) else identity.recipient


def sealed(identity: age.Identity = IDENTITY, *, armor: bool = False) -> bytes:
    return age.encrypt(PLAINTEXT, [recipient_of(identity)], armor=armor)


def forged(*stanzas: Stanza) -> bytes:
    """A binary file of these stanzas, with a right MAC."""
    return write_header(FILE_KEY, stanzas) + encrypt_payload(FILE_KEY, PLAINTEXT)


def edited(identity: age.Identity, **changes: object) -> bytes:
    """A file whose one stanza is not as its recipient wrote it."""
    stanza = recipient_of(identity).wrap(FILE_KEY)
    parts = {"type": stanza.type, "arguments": stanza.arguments, "body": stanza.body}
    return forged(Stanza(**{**parts, **changes}))  # type: ignore[arg-type]


def refuses(kind: type[age.AgeError], data: bytes, identity: age.Identity = IDENTITY) -> str:
    """The message of the error of exactly this kind."""
    with pytest.raises(age.AgeError) as caught:
        age.decrypt(data, [identity])
    assert caught.type is kind, caught.value
    return str(caught.value)


def loosened(text: bytes) -> bytes:
    """The same base64 with a spare bit set, which Python's decoder accepts."""
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    bare = text.rstrip(b"=")
    assert len(bare) % 4, "there are no spare bits to set"
    last = alphabet[alphabet.index(bare[-1:]) + 1]
    other = bare[:-1] + bytes([last]) + text[len(bare) :]
    padding = b"=" * (-len(other) % 4)
    assert base64.b64decode(other + padding, validate=True) == base64.b64decode(text + padding)
    return other
