"""The keys that open a sidecar: identity files, and which new passphrases are refused."""

import pytest

from oauthsync import age
from oauthsync.errors import UsageError
from oauthsync.keys import IdentityKey, PassphraseKey, check_passphrase, parse_identity_file
from oauthsync.secret import Secret
from tests.leaks import shown

FIRST, SECOND = age.generate_identity(), age.generate_identity(pq=True)


def text(identity: age.X25519Identity | age.HybridIdentity) -> bytes:
    return identity.text.reveal().encode()


def test_an_identity_file_has_one_identity_to_a_line() -> None:
    content = b"# created: \xfc today\n#\n\n" + text(FIRST) + b"\n  # more\n" + text(SECOND)
    found = parse_identity_file(content)
    assert [each.recipient for each in found] == [FIRST.recipient, SECOND.recipient]


@pytest.mark.parametrize("line_end", [b"\r\n", b" \n", b"\n\n"])
def test_an_identity_file_may_come_from_any_editor(line_end: bytes) -> None:
    content = b"\xef\xbb\xbf" + text(FIRST) + line_end
    assert [each.recipient for each in parse_identity_file(content)] == [FIRST.recipient]


@pytest.mark.parametrize(
    "line",
    [
        text(FIRST)[:-1] + (b"Q" if text(FIRST)[-1:] != b"Q" else b"P"),
        text(FIRST)[:-5],
        text(FIRST) + b" " + text(FIRST),
        text(FIRST) + b"\xff",
        text(FIRST).replace(b"1", b"1\xe2\x80\x8b", 1),
        b"-----BEGIN OPENSSH PRIVATE KEY-----",
        b"\0" * 40,
        b"AGE-PLUGIN-YUBIKEY-1QQPQQQQQ",
    ],
    ids=["checksum", "cut", "two", "not ASCII", "invisible", "ssh", "NUL", "plugin"],
)
def test_a_line_that_is_no_identity_is_named_by_its_number_and_never_shown(line: bytes) -> None:
    content = b"# a comment\n" + text(SECOND) + b"\n\n" + line + b"\n"
    with pytest.raises(age.KeyFormatError, match=r"^line 4 of the identity file: ") as caught:
        parse_identity_file(content)
    assert line.decode("ascii", "replace")[16:32] not in shown(caught.value)


def test_a_recipient_in_place_of_the_identity_is_told_apart() -> None:
    with pytest.raises(age.KeyFormatError, match="public half"):
        parse_identity_file(str(FIRST.recipient).encode())


@pytest.mark.parametrize("content", [b"", b"\n\n", b"# nothing\n", b"\xef\xbb\xbf"])
def test_a_file_without_an_identity_is_refused(content: bytes) -> None:
    with pytest.raises(age.KeyFormatError, match="holds no identity"):
        parse_identity_file(content)


@pytest.mark.parametrize("armor", [True, False])
def test_an_encrypted_identity_file_is_refused_as_such(armor: bool) -> None:
    sealed = age.encrypt(text(FIRST), [SECOND.recipient], armor=armor)
    with pytest.raises(age.KeyFormatError, match="itself encrypted"):
        parse_identity_file(sealed)


def test_no_representation_shows_a_key() -> None:
    key = IdentityKey((FIRST, SECOND))
    assert FIRST.text.reveal()[16:] not in repr(key)
    assert SECOND.text.reveal()[18:] not in repr(key)
    assert "hunter2" not in repr(PassphraseKey(Secret("hunter2")))


@pytest.mark.parametrize(
    "passphrase",
    [
        "correct horse battery",
        "Aa1!" * 249 + "Bb2?",
        "Grüße an die Nachbarn",
        "7Qx!9v#Lk2@p",
        "звезда полночь река",
    ],
)
def test_a_passphrase_of_some_length_and_variety_is_taken(passphrase: str) -> None:
    check_passphrase(passphrase)


@pytest.mark.parametrize(
    ("passphrase", "reason"),
    [
        ("", "shorter than 12"),
        ("7Qx!9v#Lk2@", "shorter than 12"),
        ("aaaaaaaaaaaaaaaa", "repeats or counts"),
        ("AbcabcaBcabcabc", "repeats or counts"),
        ("abcdefghijklmno", "repeats or counts"),
        ("ponmlkjihgfedcba", "repeats or counts"),
        ("correct horse battery ", "white space at its start or end"),
        ("\tcorrect horse battery", "control characters"),
        ("correct horse\nbattery", "control characters"),
        ("correct horse\x00battery", "control characters"),
        ("correct horse\udc80battery", "control characters"),
        ("correct\u00a0horse battery", "unusual spaces"),
        ("correct horse battery" * 50, "longer than 1000"),
    ],
)
def test_a_passphrase_is_refused_with_the_reason(passphrase: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason) as caught:
        check_passphrase(passphrase)
    assert not passphrase or passphrase not in f"{caught.value}{caught.value.hint}"
