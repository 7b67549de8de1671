"""The cryptography that several parts of the format share."""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_LENGTH = 32
"""Bytes of an X25519 key, of a seed, and of whatever is derived."""

_ZERO_NONCE = bytes(12)


def hkdf(key: bytes, *, salt: bytes, info: bytes) -> bytes:
    """32 bytes of HKDF-SHA-256."""
    return HKDF(algorithm=SHA256(), length=KEY_LENGTH, salt=salt, info=info).derive(key)


def seal(key: bytes, file_key: bytes) -> bytes:
    """A file key under a key that is used this once, which is why the nonce may be fixed."""
    return ChaCha20Poly1305(key).encrypt(_ZERO_NONCE, file_key, None)


def unseal(key: bytes, body: bytes) -> bytes | None:
    """The file key, or None where `key` does not fit."""
    try:
        return ChaCha20Poly1305(key).decrypt(_ZERO_NONCE, body, None)
    except InvalidTag:
        return None


def x25519_public(raw: bytes) -> X25519PublicKey:
    """A public key; ValueError for a low-order point, with which every shared secret is zero."""
    public = X25519PublicKey.from_public_bytes(raw)
    # Every private key is a multiple of the cofactor, so any of them tells.
    X25519PrivateKey.generate().exchange(public)
    return public
