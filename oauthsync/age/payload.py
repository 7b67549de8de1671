"""The payload (specification: "Payload"): a nonce, then chunks that know whether they are the last.

Chunks cannot be reordered, dropped or added. A payload is decrypted whole or not at all.
"""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from oauthsync.age.errors import DAMAGED, PayloadError, malformed
from oauthsync.age.primitives import hkdf

_NONCE_LENGTH = 16
_CHUNK = 64 << 10
_SEALED_CHUNK = _CHUNK + 16  # with its tag


def encrypt_payload(file_key: bytes, plaintext: bytes) -> bytes:
    """The payload of an age file."""
    nonce = os.urandom(_NONCE_LENGTH)
    cipher = _cipher(file_key, nonce)
    sealed = (cipher.encrypt(*each, None) for each in _chunks(plaintext, _CHUNK))
    return b"".join([nonce, *sealed])


def decrypt_payload(file_key: bytes, payload: bytes) -> bytes:
    """The plaintext, all of it verified. Raises PayloadError, or HeaderError without a nonce."""
    nonce, sealed = payload[:_NONCE_LENGTH], payload[_NONCE_LENGTH:]
    if len(nonce) < _NONCE_LENGTH:
        raise malformed("it is cut off")
    cipher = _cipher(file_key, nonce)
    try:
        chunks = [cipher.decrypt(*each, None) for each in _chunks(sealed, _SEALED_CHUNK)]
    except InvalidTag:
        raise PayloadError("the content of the age file was changed", hint=DAMAGED) from None
    if len(chunks) > 1 and not chunks[-1]:
        raise PayloadError("the content of the age file ends in an empty chunk", hint=DAMAGED)
    return b"".join(chunks)


def _cipher(file_key: bytes, nonce: bytes) -> ChaCha20Poly1305:
    return ChaCha20Poly1305(hkdf(file_key, salt=nonce, info=b"payload"))


def _chunks(data: bytes, size: int) -> list[tuple[bytes, bytes]]:
    """The nonce and the content of each chunk; of no data, there is one that is empty."""
    parts = [data[start : start + size] for start in range(0, len(data), size)] or [b""]
    last = len(parts) - 1
    return [
        (number.to_bytes(11, "big") + (b"\x01" if number == last else b"\x00"), part)
        for number, part in enumerate(parts)
    ]
