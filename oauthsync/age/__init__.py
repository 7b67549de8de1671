"""The age v1 file format (https://c2sp.org/age): bytes in, bytes out, no file and no terminal.

A file is a text header, and a binary payload. The header wraps a random 16-byte *file key*, once
per recipient, so that each of their identities unwraps it; the payload is encrypted with it.

    age-encryption.org/v1                                   version
    -> X25519 XEl0dJ6y3C7KZkgmgWUicg63EyXJiwBJW8PdYJ/cYBE   stanza: type, arguments,
    qRS0AMjdjPvZ/WT08U2KL4G+PIooA3hy38SvLpvaC1E             and a body of 64 columns
    --- HK2NmOBN9Dpq0Gw6xMCuhFcQlQLvZ/wQUi/2scLG75s         MAC of all above, up to the "---"
    (payload: 16 bytes of nonce, then chunks of 64 KiB, each with a tag of 16 bytes)

Three kinds of key wrap a file key:

    X25519            age1…     AGE-SECRET-KEY-1…       a key pair
    mlkem768x25519    age1pq1…  AGE-SECRET-KEY-PQ-1…    a key pair, safe from quantum computers
    scrypt            a passphrase, which is always a file's only recipient

Stanzas of other types are ignored, as the specification asks. Post-quantum recipients do not mix
with X25519 ones: the file would be no safer than the weakest of them. SSH keys, plugins and the
tagged recipients of hardware keys are not supported.

The package is our own, and `pyrage` (age's Rust implementation) is what the tests compare it with:
as of 1.4, that has no post-quantum key pairs, one error for all that can be wrong with a file, no
choice of the work factor that it seals with, and no fixed limit of the one that it opens with. The
ciphers, hashes and key exchanges are those of `cryptography`.

The armored form is the base64 of all that, in lines of 64 columns between a BEGIN and an END line.
Line ends are LF or CRLF, and up to 1 KiB of white space may stand before and after, on lines of its
own; apart from that, a file has one armored form, and any other is refused.

Decryption is all or nothing: a file that fails at its last byte releases no plaintext. What would
not open again is not written. Each failure is of its kind:

    AgeError
    ├── ArmorError              the armor is damaged, or not in its one form
    ├── HeaderError             not an age file, or its header is malformed
    │   └── HeaderLimitError    the header is over a limit: a LimitError too
    ├── NoMatchError            no identity opens the file; the passphrase is wrong
    ├── HeaderMacError          the file key was unwrapped, but the header was changed
    ├── PayloadError            the payload is damaged, cut off or extended
    ├── LimitError              over a limit of this package, which guards against hostile files
    │   └── HeaderLimitError
    ├── KeyFormatError          an identity, a recipient or a passphrase is malformed
    └── RecipientsError         these recipients do not go together
"""

import hmac
import os
from collections.abc import Iterable, Sequence

from oauthsync.age.armor import dearmor, enarmor
from oauthsync.age.errors import (
    DAMAGED,
    AgeError,
    ArmorError,
    HeaderError,
    HeaderLimitError,
    HeaderMacError,
    KeyFormatError,
    LimitError,
    NoMatchError,
    PayloadError,
    RecipientsError,
)
from oauthsync.age.header import MAX_STANZAS, PREFIX, Header, header_mac, parse_header, write_header
from oauthsync.age.hybrid import HybridIdentity, HybridRecipient
from oauthsync.age.keys import (
    Identity,
    Recipient,
    generate_identity,
    parse_identity,
    parse_recipient,
)
from oauthsync.age.payload import decrypt_payload, encrypt_payload
from oauthsync.age.scrypt import DEFAULT_WORK_FACTOR, MAX_WORK_FACTOR, Passphrase
from oauthsync.age.x25519 import X25519Identity, X25519Recipient

__all__ = [
    "DEFAULT_WORK_FACTOR",
    "MAX_FILE",
    "MAX_STANZAS",
    "MAX_WORK_FACTOR",
    "AgeError",
    "ArmorError",
    "HeaderError",
    "HeaderLimitError",
    "HeaderMacError",
    "HybridIdentity",
    "HybridRecipient",
    "Identity",
    "KeyFormatError",
    "LimitError",
    "NoMatchError",
    "Passphrase",
    "PayloadError",
    "Recipient",
    "RecipientsError",
    "X25519Identity",
    "X25519Recipient",
    "decrypt",
    "encrypt",
    "generate_identity",
    "is_passphrase_file",
    "parse_identity",
    "parse_recipient",
]

MAX_FILE = 17 << 20
"""Bytes of a file, armored or not: the public test vectors go a little beyond 16 MiB."""

_FILE_KEY_LENGTH = 16


def decrypt(data: bytes, identities: Iterable[Identity]) -> bytes:
    """The plaintext of an age file, binary or armored, that one of `identities` opens.

    Raises ArmorError, HeaderError, NoMatchError, HeaderMacError, PayloadError or LimitError.
    """
    binary = _binary(data)
    header = parse_header(binary)
    file_key = _unwrap(header, list(identities))
    if not hmac.compare_digest(header_mac(file_key, header.signed), header.mac):
        raise HeaderMacError("the header of the age file was changed", hint=DAMAGED)
    return decrypt_payload(file_key, binary[header.length :])


def encrypt(plaintext: bytes, recipients: Iterable[Recipient], *, armor: bool = True) -> bytes:
    """An age file that the identity of any one of `recipients` opens.

    Raises RecipientsError, or LimitError for what `decrypt` would refuse.
    """
    recipients = list(recipients)
    _check_recipients(recipients)
    file_key = os.urandom(_FILE_KEY_LENGTH)
    header = write_header(file_key, [recipient.wrap(file_key) for recipient in recipients])
    binary = header + encrypt_payload(file_key, plaintext)
    data = enarmor(binary) if armor else binary
    _check_size(data)
    return data


def is_passphrase_file(data: bytes) -> bool:
    """Whether an age file asks for a passphrase, rather than for an identity.

    Raises ArmorError, HeaderError or LimitError.
    """
    return parse_header(_binary(data)).asks_passphrase


def _binary(data: bytes) -> bytes:
    _check_size(data)
    # A BEGIN line with a wrong byte still has five dashes in a row; a header has three.
    if not data.startswith(PREFIX) and b"-----" in data:
        return dearmor(data)
    return data


def _check_size(data: bytes) -> None:
    if len(data) > MAX_FILE:
        raise LimitError(
            f"the age file is larger than {MAX_FILE >> 20} MiB",
            hint="the age command handles larger ones",
        )


def _unwrap(header: Header, identities: Sequence[Identity]) -> bytes:
    for identity in identities:
        for stanza in header.stanzas:
            if stanza.type != identity.stanza_type:
                continue
            if (file_key := identity.unwrap(stanza)) is not None:
                return file_key
    raise _no_match(header, identities)


def _no_match(header: Header, identities: Sequence[Identity]) -> NoMatchError:
    are_passphrases = [isinstance(identity, Passphrase) for identity in identities]
    if header.asks_passphrase and any(are_passphrases):
        return NoMatchError("the passphrase is wrong", hint="check it, and try again")
    if header.asks_passphrase:
        return NoMatchError("the age file asks for a passphrase", hint="give its passphrase")
    whose = "an identity" if all(are_passphrases) else "another identity"
    return NoMatchError(
        f"the age file asks for {whose}",
        hint="give the identity (AGE-SECRET-KEY-…) of one of its recipients",
    )


def _check_recipients(recipients: Sequence[Recipient]) -> None:
    if not recipients:
        raise RecipientsError("there is no recipient to encrypt to", hint="give at least one")
    if len(recipients) > MAX_STANZAS:
        raise LimitError(f"an age file has at most {MAX_STANZAS} recipients", hint="take fewer")
    if len(recipients) > 1 and any(isinstance(each, Passphrase) for each in recipients):
        raise RecipientsError(
            "a passphrase does not go together with other recipients",
            hint="take the passphrase alone, or recipients alone",
        )
    if len({isinstance(each, HybridRecipient) for each in recipients}) > 1:
        raise RecipientsError(
            "post-quantum recipients (age1pq1…) do not go together with others",
            hint="the file would be no safer than the weakest of them: take one kind for all",
        )
