"""The age file format: what opens, what is refused, and with which kind of error."""

import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauthsync import age
from oauthsync.age.armor import enarmor
from oauthsync.age.header import MAX_STANZAS
from oauthsync.errors import SidecarError
from tests.age_files import (
    FILE_KEY,
    HYBRID,
    IDENTITY,
    KEYS,
    PASSPHRASE,
    PLAINTEXT,
    forged,
    recipient_of,
    refuses,
    sealed,
)


@pytest.mark.parametrize("identity", KEYS)
@pytest.mark.parametrize("armor", [True, False])
@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 131072])
def test_what_is_encrypted_decrypts(identity: age.Identity, armor: bool, size: int) -> None:
    plaintext = bytes(size)
    data = age.encrypt(plaintext, [recipient_of(identity)], armor=armor)
    assert data.startswith(b"-----BEGIN AGE" if armor else b"age-encryption.org/v1\n")
    assert age.decrypt(data, [identity]) == plaintext


@given(st.binary(), st.booleans(), st.sampled_from([IDENTITY, HYBRID, PASSPHRASE]))
def test_any_plaintext_makes_the_round_trip(
    plaintext: bytes, armor: bool, identity: age.Identity
) -> None:
    data = age.encrypt(plaintext, [recipient_of(identity)], armor=armor)
    assert age.decrypt(data, [identity]) == plaintext


def test_encryption_armors_unless_told_otherwise() -> None:
    data = age.encrypt(PLAINTEXT, [IDENTITY.recipient])
    assert data.isascii()
    assert data.endswith(b"\n-----END AGE ENCRYPTED FILE-----\n")


@pytest.mark.parametrize("pq", [False, True])
def test_each_recipient_of_a_file_opens_it(pq: bool) -> None:
    identities = [age.generate_identity(pq=pq) for _ in range(3)]
    data = age.encrypt(PLAINTEXT, [identity.recipient for identity in identities])
    for identity in identities:
        assert age.decrypt(data, [identity]) == PLAINTEXT
        assert age.decrypt(data, [age.generate_identity(pq=pq), PASSPHRASE, identity]) == PLAINTEXT


def test_a_file_is_never_encrypted_the_same_way_twice() -> None:
    assert len({sealed() for _ in range(10)}) == 10


def test_as_many_recipients_as_a_header_may_have_fit_into_one() -> None:
    data = age.encrypt(PLAINTEXT, [HYBRID.recipient] * MAX_STANZAS)
    assert age.decrypt(data, [HYBRID]) == PLAINTEXT


def test_a_thousand_secrets_are_sealed_and_opened_within_20_ms() -> None:
    plaintext = bytes(200_000)

    def both() -> float:
        start = time.perf_counter()
        age.decrypt(age.encrypt(plaintext, [IDENTITY.recipient]), [IDENTITY])
        return time.perf_counter() - start

    assert min(both() for _ in range(10)) < 0.020


def test_a_file_says_whether_it_asks_for_a_passphrase() -> None:
    for armor in (True, False):
        assert age.is_passphrase_file(sealed(PASSPHRASE, armor=armor))
        assert not age.is_passphrase_file(sealed(IDENTITY, armor=armor))
        assert not age.is_passphrase_file(sealed(HYBRID, armor=armor))
    with pytest.raises(age.HeaderError):
        age.is_passphrase_file(b"")


# --- who may not open it ---


@pytest.mark.parametrize(
    ("file", "identities", "message"),
    [
        (PASSPHRASE, [age.Passphrase("wrong")], "the passphrase is wrong"),
        (PASSPHRASE, [IDENTITY, HYBRID], "asks for a passphrase"),
        (PASSPHRASE, [], "asks for a passphrase"),
        (IDENTITY, [PASSPHRASE], "asks for an identity"),
        (IDENTITY, [], "asks for an identity"),
        (IDENTITY, [age.generate_identity(), HYBRID], "asks for another identity"),
        (HYBRID, [age.generate_identity(pq=True), IDENTITY], "asks for another identity"),
    ],
)
def test_a_key_that_does_not_fit_is_told_which_one_would(
    file: age.Identity, identities: list[age.Identity], message: str
) -> None:
    with pytest.raises(age.NoMatchError, match=message) as caught:
        age.decrypt(sealed(file), identities)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("recipients", "message"),
    [
        ([], "no recipient"),
        ([PASSPHRASE, IDENTITY.recipient], "passphrase does not go together"),
        ([PASSPHRASE, PASSPHRASE], "passphrase does not go together"),
        ([HYBRID.recipient, PASSPHRASE], "passphrase does not go together"),
        ([HYBRID.recipient, IDENTITY.recipient], "post-quantum recipients"),
        ([IDENTITY.recipient, HYBRID.recipient], "post-quantum recipients"),
    ],
)
def test_recipients_that_do_not_go_together_are_refused(
    recipients: list[age.Recipient], message: str
) -> None:
    with pytest.raises(age.RecipientsError, match=message) as caught:
        age.encrypt(PLAINTEXT, recipients)
    assert caught.value.hint


# --- damage ---


@pytest.mark.parametrize("identity", [IDENTITY, PASSPHRASE], ids=["x25519", "scrypt"])
@pytest.mark.parametrize("armor", [True, False])
def test_no_flipped_bit_goes_unnoticed(identity: age.Identity, armor: bool) -> None:
    data = sealed(identity, armor=armor)
    for at, byte in enumerate(data):
        for bit in range(8):
            damaged = data[:at] + bytes([byte ^ 1 << bit]) + data[at + 1 :]
            with pytest.raises(age.AgeError):
                age.decrypt(damaged, [identity])


def test_no_damaged_byte_of_a_post_quantum_file_goes_unnoticed() -> None:
    data = sealed(HYBRID)
    for at, byte in enumerate(data):
        with pytest.raises(age.AgeError):
            age.decrypt(data[:at] + bytes([byte ^ 1]) + data[at + 1 :], [HYBRID])


def test_a_damaged_byte_is_an_error_of_the_part_that_it_is_in() -> None:
    data = sealed()
    mac = data.index(b"\n--- ") + 1
    payload = data.index(b"\n", mac) + 1
    kinds = []
    for at, byte in enumerate(data):
        with pytest.raises(age.AgeError) as caught:
            age.decrypt(data[:at] + bytes([byte ^ 1]) + data[at + 1 :], [IDENTITY])
        kinds.append(caught.type)
    header = {age.HeaderError, age.NoMatchError}
    assert set(kinds[:mac]) == header
    assert set(kinds[mac:payload]) == {age.HeaderError, age.HeaderMacError}
    assert set(kinds[payload:]) == {age.PayloadError}
    armored = enarmor(data)
    refuses(age.ArmorError, armored[:7] + b"X" + armored[8:])


@pytest.mark.parametrize("armor", [True, False])
def test_no_truncation_goes_unnoticed(armor: bool) -> None:
    data = sealed(armor=armor)
    for length in range(len(data)):
        if armor and length == len(data) - 1:
            # All that is missing is the line feed after END, which is white space.
            assert age.decrypt(data[:length], [IDENTITY]) == PLAINTEXT
            continue
        with pytest.raises(age.AgeError):
            age.decrypt(data[:length], [IDENTITY])


def test_data_after_a_binary_file_is_noticed() -> None:
    for garbage in (b"\n", b"\0", bytes(16), sealed()):
        refuses(age.PayloadError, sealed() + garbage)


def test_a_header_is_bound_to_its_recipients() -> None:
    """A stanza that is taken out or put in changes nothing that could be unwrapped, but the MAC."""
    stanza = age.generate_identity().recipient.wrap(FILE_KEY)
    both = forged(stanza, IDENTITY.recipient.wrap(FILE_KEY))
    first, second = both.index(b"->"), both.rindex(b"->")
    refuses(age.HeaderMacError, both[:first] + both[second:])
    refuses(age.HeaderMacError, both[:first] + b"-> grease\n\n" + both[first:])


def test_chunks_cannot_be_dropped_or_reordered() -> None:
    plaintext = b"".join(bytes([number]) * 65536 for number in range(3))
    data = age.encrypt(plaintext, [IDENTITY.recipient], armor=False)
    start = len(data) - 3 * 65552
    head, chunks = data[:start], [data[start + 65552 * n :][:65552] for n in range(3)]
    assert age.decrypt(head + b"".join(chunks), [IDENTITY]) == plaintext
    for order in [(0, 1), (0, 2), (1, 2), (2,), (1, 0, 2), (0, 2, 1), (0, 0, 2), (0, 1, 2, 2)]:
        refuses(age.PayloadError, head + b"".join(chunks[number] for number in order))


def test_a_file_that_fails_at_its_last_byte_releases_nothing() -> None:
    data = age.encrypt(bytes(300_000), [IDENTITY.recipient], armor=False)
    result = None
    with pytest.raises(age.PayloadError):
        result = age.decrypt(data[:-1] + bytes([data[-1] ^ 1]), [IDENTITY])
    assert result is None


# --- hostile files ---


def test_a_file_over_the_limit_is_neither_read_nor_written() -> None:
    refuses(age.LimitError, sealed() + bytes(age.MAX_FILE))
    with pytest.raises(age.LimitError):
        age.encrypt(bytes(age.MAX_FILE), [IDENTITY.recipient], armor=False)


def hostile_files() -> Iterator[st.SearchStrategy[bytes]]:
    whole = sealed()
    yield st.binary(max_size=500)
    yield st.binary(max_size=200).map(lambda tail: b"age-encryption.org/v1\n" + tail)
    yield st.binary(max_size=200).map(lambda tail: b"age-encryption.org/v1\n-> X25519 " + tail)
    yield st.binary(max_size=200).map(enarmor)
    yield st.binary(max_size=200).map(lambda text: enarmor(b"").replace(b"\n", b"\n" + text, 1))
    yield st.tuples(
        st.integers(0, len(whole)), st.integers(0, len(whole)), st.binary(min_size=1, max_size=40)
    ).map(lambda cut: whole[: cut[0]] + cut[2] + whole[cut[1] :])


@given(st.one_of(*hostile_files()), st.sampled_from([IDENTITY, HYBRID, PASSPHRASE]))
def test_arbitrary_bytes_raise_nothing_but_an_age_error(
    data: bytes, identity: age.Identity
) -> None:
    error = failure(data, identity)
    assert error is None or (error.hint and error.exit_code == SidecarError.exit_code)


def failure(data: bytes, identity: age.Identity) -> age.AgeError | None:
    """The error of a file, or None where it opens, which it may do only as it was sealed."""
    try:
        assert age.decrypt(data, [identity]) == PLAINTEXT
    except age.AgeError as error:
        return error
    return None


def test_a_hostile_header_is_refused_quickly() -> None:
    version = b"age-encryption.org/v1\n"
    start = time.perf_counter()
    for hostile in (
        version + b"-> " + b"a " * 120_000 + b"\n",
        version + b"-> a" + b" a" * 120_000 + b"\x00\n",
        version + b"-> a\n" + (b"A" * 64 + b"\n") * 4000,
        version + b"-> a\n\n" * 100_000,
        version + b"-> a " * 100_000,
        b"-----" * 100_000,
        b"-----BEGIN AGE ENCRYPTED FILE-----" * 20_000,
        b" " * 500_000 + b"-----BEGIN AGE ENCRYPTED FILE-----\n-----END AGE ENCRYPTED FILE-----",
    ):
        with pytest.raises(age.AgeError):
            age.decrypt(hostile, [IDENTITY])
    assert time.perf_counter() - start < 1.0
