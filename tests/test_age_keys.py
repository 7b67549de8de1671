"""Keys: their text, what is no key, and that the secret ones stay hidden."""

import hashlib
import pickle
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauthsync import age
from oauthsync.age import bech32
from oauthsync.age.keys import MAX_TEXT
from oauthsync.age.x25519 import X25519Identity
from oauthsync.errors import SidecarError
from oauthsync.secret import Secret
from tests.age_files import HYBRID, IDENTITY, PASSPHRASE, PLAINTEXT, recipient_of, sealed
from tests.leaks import shown

# Both key pairs are the specification's examples; the post-quantum recipient is 1959 characters.
X25519_TEXT = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"
X25519_RECIPIENT = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"
HYBRID_TEXT = "AGE-SECRET-KEY-PQ-1XX76JRALNLXDMEW0CRK45QMCCH4X06SE84UN3VPM33W6HWDX0H3SK3ZQFR"
HYBRID_RECIPIENT_SHA256 = "a091dd7e0ee9d62b75173dcc98441a0424baa941e66a8776e570a4ae60ff61ea"

SECRET_KEYS = [IDENTITY, HYBRID]


def test_the_x25519_example_of_the_specification_has_its_recipient() -> None:
    identity = age.parse_identity(X25519_TEXT)
    assert str(identity.recipient) == X25519_RECIPIENT
    assert identity.text == Secret(X25519_TEXT)


def test_the_post_quantum_example_of_the_specification_has_its_recipient() -> None:
    identity = age.parse_identity(HYBRID_TEXT)
    digest = hashlib.sha256(str(identity.recipient).encode()).hexdigest()
    assert digest == HYBRID_RECIPIENT_SHA256
    assert identity.text == Secret(HYBRID_TEXT)


@pytest.mark.parametrize("pq", [False, True])
def test_a_generated_identity_is_new_and_survives_its_text(pq: bool) -> None:
    identity, other = age.generate_identity(pq=pq), age.generate_identity(pq=pq)
    assert identity.text != other.text
    assert identity.recipient != other.recipient
    assert identity.text.reveal().startswith("AGE-SECRET-KEY-PQ-1" if pq else "AGE-SECRET-KEY-1")
    again = age.parse_identity(identity.text.reveal())
    assert again.text == identity.text
    assert again.recipient == identity.recipient
    data = age.encrypt(PLAINTEXT, [age.parse_recipient(str(identity.recipient))])
    assert age.decrypt(data, [again]) == PLAINTEXT


@given(st.binary(min_size=32, max_size=32))
def test_any_32_bytes_are_an_identity_that_keeps_them(seed: bytes) -> None:
    identity = X25519Identity(seed)
    assert bech32.decode(identity.text.reveal()) == ("AGE-SECRET-KEY-", seed)


def test_recipients_are_equal_where_their_keys_are() -> None:
    assert age.parse_recipient(X25519_RECIPIENT) == IDENTITY.recipient
    assert len({IDENTITY.recipient, age.parse_recipient(X25519_RECIPIENT), HYBRID.recipient}) == 2


WRONG_IDENTITIES = {
    "": "too short",
    "AGE-SECRET-KEY-1": "too short",
    X25519_TEXT[:-1]: "checksum",
    X25519_TEXT[:-1] + "Q": "checksum",
    X25519_TEXT + "\n": "not ASCII",
    " " + X25519_TEXT: "not ASCII",
    X25519_TEXT.replace("K", "\u212a", 1): "not ASCII",
    X25519_TEXT[:-1] + X25519_TEXT[-1].lower(): "mixes",
    X25519_TEXT.lower(): "not supported",
    X25519_RECIPIENT: "public half",
    bech32.encode("AGE-SECRET-KEY-", bytes(31)): "not 32 bytes",
    bech32.encode("AGE-SECRET-KEY-", bytes(33)): "not 32 bytes",
    bech32.encode("AGE-SECRET-KEY-PQ-", bytes(33)): "not 32 bytes",
    bech32.encode("AGE-PLUGIN-YUBIKEY-", bytes(32)): "not supported",
    "-----BEGIN OPENSSH PRIVATE KEY-----": "not ASCII",
}


@pytest.mark.parametrize(("text", "message"), WRONG_IDENTITIES.items())
def test_what_is_no_identity_is_refused(text: str, message: str) -> None:
    with pytest.raises(age.KeyFormatError, match=message) as caught:
        age.parse_identity(text)
    assert caught.value.hint


WRONG_RECIPIENTS = {
    "": "too short",
    X25519_RECIPIENT[:-1]: "checksum",
    X25519_RECIPIENT.upper(): "not supported",
    X25519_RECIPIENT.capitalize(): "mixes",
    X25519_TEXT: "keep it to yourself",
    HYBRID_TEXT: "keep it to yourself",
    bech32.encode("age", bytes(range(31))): "not an X25519",
    bech32.encode("age", bytes(range(33))): "not an X25519",
    bech32.encode("age", bytes(32)): "not an X25519",
    bech32.encode("age1pq", bytes(range(32))): "not a post-quantum",
    bech32.encode("age1pq", HYBRID.recipient.key + b"\0"): "not a post-quantum",
    bech32.encode("age1pq", HYBRID.recipient.key[:-32] + bytes(32)): "not a post-quantum",
    bech32.encode("age1pq", b"\xff" * 1184 + bytes(range(32))): "not a post-quantum",
    bech32.encode("age1tag", bytes(range(33))): "not supported",
    bech32.encode("age1yubikey", bytes(range(33))): "not supported",
    "ssh-ed25519 AAAA": "not ASCII",
}


@pytest.mark.parametrize(("text", "message"), WRONG_RECIPIENTS.items())
def test_what_is_no_recipient_is_refused(text: str, message: str) -> None:
    with pytest.raises(age.KeyFormatError, match=message) as caught:
        age.parse_recipient(text)
    assert caught.value.hint


@pytest.mark.parametrize("parse", [age.parse_identity, age.parse_recipient])
def test_a_text_longer_than_any_key_is_refused_at_once(parse: Callable[[str], object]) -> None:
    assert len(str(HYBRID.recipient)) < MAX_TEXT
    start = time.process_time()
    with pytest.raises(age.KeyFormatError, match="too long"):
        parse("age1" + "q" * 15_000_000)
    assert time.process_time() - start < 0.5


@given(st.one_of(st.text(), st.text("AGE-SECRTKYPQ1", max_size=90)))
def test_arbitrary_text_is_no_key(text: str) -> None:
    for parse in (age.parse_identity, age.parse_recipient):
        with pytest.raises(age.KeyFormatError):
            parse(text)


def test_every_error_ends_a_command_as_a_sidecar_s_does() -> None:
    for name in age.__all__:
        kind = getattr(age, name)
        if name.endswith("Error"):
            assert issubclass(kind, age.AgeError)
    assert issubclass(age.AgeError, SidecarError)
    assert age.AgeError.exit_code == 7


# --- passphrases ---


def test_a_passphrase_is_text_or_a_secret() -> None:
    data = sealed(age.Passphrase("the passphrase", work_factor=1))
    assert age.decrypt(data, [age.Passphrase(Secret("the passphrase"))]) == PLAINTEXT


@pytest.mark.parametrize("other", ["passphras\u00e9 ", " passphras\u00e9", "passphrase\u0301"])
def test_a_passphrase_is_neither_trimmed_nor_normalised(other: str) -> None:
    data = sealed(age.Passphrase("passphras\u00e9", work_factor=1))
    assert age.decrypt(data, [age.Passphrase("passphras\u00e9")]) == PLAINTEXT
    with pytest.raises(age.NoMatchError):
        age.decrypt(data, [age.Passphrase(other)])


def test_a_byte_that_is_not_utf_8_stands_for_itself() -> None:
    """An environment variable comes with such bytes escaped; the passphrase is what it held."""
    data = sealed(age.Passphrase("\udcc3\udca9", work_factor=1))
    assert age.decrypt(data, [age.Passphrase(b"\xc3\xa9".decode())]) == PLAINTEXT


@pytest.mark.parametrize("text", ["", Secret(""), "secret \ud800"])
def test_a_passphrase_that_is_empty_or_no_text_is_refused(text: str | Secret) -> None:
    with pytest.raises(age.KeyFormatError) as caught:
        age.Passphrase(text)
    assert "secret" not in shown(caught.value)
    assert caught.value.hint


# --- what stays hidden ---


def test_a_key_does_not_show_itself() -> None:
    for key, hidden in [
        (IDENTITY, "GFPYYSJZ"),
        (HYBRID, "XX76JRAL"),
        (PASSPHRASE, "correct horse"),
    ]:
        for text in (repr(key), str(key), f"{key}", f"{[key]}", repr(recipient_of(key))):
            assert hidden not in text
        assert "(…)" in repr(key)
        assert not hasattr(key, "__dict__")
        with pytest.raises(TypeError):
            pickle.dumps(key)


def test_a_recipient_shows_its_text() -> None:
    assert repr(IDENTITY.recipient) == f"X25519Recipient({X25519_RECIPIENT})"
    assert repr(HYBRID.recipient) == f"HybridRecipient({HYBRID.recipient})"


@pytest.mark.parametrize("parse", [age.parse_identity, age.parse_recipient])
def test_no_error_quotes_what_may_be_a_secret(parse: Callable[[str], object]) -> None:
    for text in (
        X25519_TEXT[:-1],
        X25519_TEXT + "\u212a",
        X25519_TEXT + "\ud800",
        X25519_TEXT.capitalize(),
        X25519_TEXT.lower(),
        X25519_TEXT.replace("1", "B", 1),
        X25519_TEXT.removeprefix("AGE-SECRET-KEY-1"),
    ):
        with pytest.raises(age.KeyFormatError) as caught:
            parse(text)
        assert "gfpyysjz" not in shown(caught.value).lower()
