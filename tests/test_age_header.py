"""The header of an age file: a grammar with no slack, and limits on hostile ones."""

import re
import subprocess
import sys
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oauthsync import age
from oauthsync.age.header import MAX_HEADER, MAX_STANZAS, Stanza, encode64, write_header
from oauthsync.keys import PassphraseKey
from oauthsync.secret import Secret
from tests.age_files import (
    FILE_KEY,
    HYBRID,
    IDENTITY,
    KEYS,
    PASSPHRASE,
    PLAINTEXT,
    edited,
    forged,
    loosened,
    recipient_of,
    refuses,
    sealed,
)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(b"/v1\n", b"/v2\n", id="version v2"),
        pytest.param(b"/v1\n", b"/v1 \n", id="space after the version"),
        pytest.param(b"/v1\n", b"/v1\r\n", id="CRLF after the version"),
        pytest.param(b"age-e", b"\nage-e", id="line before the version"),
        pytest.param(b"age-e", b"\xef\xbb\xbfage-e", id="byte order mark"),
        pytest.param(b"\n--- ", b"\n---X", id="X for the space before the MAC"),
        pytest.param(b"\n--- ", b"\n----", id="dash for the space before the MAC"),
        pytest.param(b"\n--- ", b"\n---  ", id="two spaces before the MAC"),
        pytest.param(b"\n--- ", b"\n\n--- ", id="empty line before the MAC"),
        pytest.param(b"\n-> ", b"\n->", id="no space after the arrow"),
        pytest.param(b"\n-> ", b"\n->  ", id="empty argument"),
        pytest.param(b"\n-> ", b"\n->\t", id="tab after the arrow"),
        pytest.param(b"\n-> ", b"\n-> \x7f ", id="control character in an argument"),
        pytest.param(b"\n-> ", b"\n-> \xc3\xa9 ", id="letter beyond ASCII in an argument"),
        pytest.param(b"\n-> ", b"\n->\n\n-> ", id="stanza without a type"),
    ],
)
def test_a_header_that_departs_from_the_grammar_is_refused(old: bytes, new: bytes) -> None:
    data = sealed()
    assert data.count(old) == 1
    refuses(age.HeaderError, data.replace(old, new))


def test_a_header_without_a_stanza_is_refused() -> None:
    assert "no stanza" in refuses(age.HeaderError, forged())


@pytest.mark.parametrize(
    "separator", ["\r", "\r\n", "\v", "\f", "\x1c", "\u0085", "\u2028", "\u2029", "\0"]
)
def test_only_a_line_feed_ends_a_line_of_a_header(separator: str) -> None:
    encodings = {separator.encode(), separator.encode("latin-1", "ignore")} - {b""}
    data = sealed()
    ends = [match.start() for match in re.finditer(b"\n", data[: data.index(b"\n--- ") + 49])]
    assert len(ends) == 4
    for end in ends:
        for other in encodings:
            with pytest.raises(age.HeaderError):
                age.decrypt(data[:end] + other + data[end + 1 :], [IDENTITY])


@pytest.mark.parametrize("line", [1, 2, 3], ids=["share", "body", "MAC"])
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(loosened, id="spare bits"),
        pytest.param(lambda text: text + b"=", id="padding"),
        pytest.param(lambda text: text[:9] + b"\r" + text[9:], id="CR inside"),
        pytest.param(lambda text: text[:9] + b"\xff" + text[9:], id="foreign byte inside"),
        pytest.param(lambda text: text[:9] + b"-_" + text[11:], id="URL alphabet"),
        pytest.param(lambda text: text[:-1], id="cut off"),
        pytest.param(lambda text: text + b"AAA", id="too long"),
    ],
)
def test_base64_that_is_not_canonical_is_refused(
    line: int, change: Callable[[bytes], bytes]
) -> None:
    lines = sealed().split(b"\n")
    words = lines[line].split(b" ")
    lines[line] = b" ".join([*words[:-1], change(words[-1])])
    refuses(age.HeaderError, b"\n".join(lines))


@pytest.mark.parametrize("identity", KEYS)
def test_a_stanza_that_is_not_as_its_type_has_it_is_refused(identity: age.Identity) -> None:
    stanza = recipient_of(identity).wrap(FILE_KEY)
    assert age.decrypt(forged(stanza), [identity]) == PLAINTEXT
    first, *rest = stanza.arguments
    for arguments in [(), (first, *rest, "x"), ("", *rest), (first + "AAAA", *rest), ("x", *rest)]:
        data = edited(identity, arguments=tuple(arguments))
        refuses(age.HeaderError, data, identity)
    for length in (0, 16, 31, 33, 64):
        refuses(age.HeaderError, edited(identity, body=bytes(length)), identity)
    refuses(age.NoMatchError, edited(identity, body=bytes(32)), identity)


def test_a_low_order_point_is_a_malformed_stanza() -> None:
    for point in (bytes(32), b"\x01" + bytes(31), b"\xed" + b"\xff" * 30 + b"\x7f"):
        refuses(age.HeaderError, edited(IDENTITY, arguments=(encode64(point),)))
        enc = encode64(bytes(1088) + point)
        refuses(age.HeaderError, edited(HYBRID, arguments=(enc,)), HYBRID)


@pytest.mark.parametrize(
    "text",
    ["", "0", "01", "1x", "x1", "+1", "-1", "1_0", "1.0", "0x1", "1e1", "\u0661", " 1", "1 "],
)
def test_a_work_factor_is_a_plain_number(text: str) -> None:
    salt, _ = PASSPHRASE.wrap(FILE_KEY).arguments
    header = write_header(FILE_KEY, [PASSPHRASE.wrap(FILE_KEY)])
    line = re.sub(rb"scrypt .*", f"scrypt {salt} {text}".encode(), header)
    refuses(age.HeaderError, line + bytes(32), PASSPHRASE)


def test_a_passphrase_is_a_file_s_only_recipient() -> None:
    passphrase, other = PASSPHRASE.wrap(FILE_KEY), IDENTITY.recipient.wrap(FILE_KEY)
    for stanzas in [(passphrase, other), (other, passphrase), (passphrase, passphrase)]:
        refuses(age.HeaderError, forged(*stanzas), IDENTITY)
        refuses(age.HeaderError, forged(*stanzas), PASSPHRASE)


@pytest.mark.parametrize("data", [b"", b"\n", b"age", b"not an age file", b"\0" * 99])
def test_what_is_no_age_file_is_named_so(data: bytes) -> None:
    assert "not an age file" in refuses(age.HeaderError, data)


@given(
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1),
    st.lists(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1), max_size=3),
    st.binary(max_size=200),
)
@example("grease", [], bytes(48))
@example("grease", ["---"], bytes(96))
@example("x25519", [], b"")
def test_stanzas_of_unknown_types_are_ignored(kind: str, words: list[str], body: bytes) -> None:
    grease = Stanza(f"grease-{kind}", tuple(words), body)
    data = forged(grease, IDENTITY.recipient.wrap(FILE_KEY), grease)
    assert age.decrypt(data, [IDENTITY]) == PLAINTEXT


# --- limits ---


def test_the_limits_are_those_that_are_promised() -> None:
    assert (MAX_HEADER, MAX_STANZAS) == (256 * 1024, 128)
    assert (age.MAX_WORK_FACTOR, age.DEFAULT_WORK_FACTOR) == (20, 18)


def test_a_header_over_the_limit_is_refused() -> None:
    assert age.decrypt(forged_with_size(MAX_HEADER), [IDENTITY]) == PLAINTEXT
    refuses(age.HeaderLimitError, forged_with_size(MAX_HEADER + 1))
    refuses(age.HeaderLimitError, b"age-encryption.org/v1\n-> " + b"x" * MAX_HEADER)


def forged_with_size(size: int) -> bytes:
    stanza = IDENTITY.recipient.wrap(FILE_KEY)
    spare = size - len(write_header(FILE_KEY, [Stanza("x", (), b""), stanza]))
    return forged(Stanza("x" + "y" * spare, (), b""), stanza)


def test_a_header_of_too_many_stanzas_is_refused() -> None:
    grease, stanza = Stanza("grease", (), b""), IDENTITY.recipient.wrap(FILE_KEY)
    most = [grease] * (MAX_STANZAS - 1)
    assert age.decrypt(forged(*most, stanza), [IDENTITY]) == PLAINTEXT
    refuses(age.HeaderLimitError, forged(*most, grease, stanza))
    with pytest.raises(age.LimitError):
        age.encrypt(PLAINTEXT, [IDENTITY.recipient] * (MAX_STANZAS + 1))


@pytest.mark.parametrize("text", ["21", "22", "64", "99", "100", "9" * 5000])
def test_a_work_factor_over_the_limit_is_refused_at_once(text: str) -> None:
    salt, _ = PASSPHRASE.wrap(FILE_KEY).arguments
    refuses(age.HeaderLimitError, edited(PASSPHRASE, arguments=(salt, text)), PASSPHRASE)


@pytest.mark.parametrize("work_factor", [0, -1, age.MAX_WORK_FACTOR + 1])
def test_a_passphrase_takes_no_work_factor_that_would_be_refused(work_factor: int) -> None:
    with pytest.raises(age.LimitError):
        age.Passphrase("passphrase", work_factor=work_factor)


@pytest.mark.skipif(sys.platform != "linux", reason="limits the memory of a process as Linux does")
def test_the_highest_work_factor_is_accepted_as_far_as_there_is_memory() -> None:
    salt, _ = PASSPHRASE.wrap(FILE_KEY).arguments
    data = edited(PASSPHRASE, arguments=(salt, str(age.MAX_WORK_FACTOR)))
    script = (
        "import resource, sys; from oauthsync import age\n"
        "resource.setrlimit(resource.RLIMIT_AS, (512 << 20, 512 << 20))\n"
        "try: age.decrypt(bytes.fromhex(sys.argv[1]), [age.Passphrase('x')])\n"
        "except age.LimitError as error: sys.exit(f'{type(error).__name__}: {error}')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, data.hex()],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr.startswith("LimitError: a work factor of 20 takes 1024 MiB"), done.stderr


def test_the_default_work_factor_is_written() -> None:
    data = age.encrypt(PLAINTEXT, [age.Passphrase("passphrase")], armor=False)
    assert re.search(rb"\n-> scrypt [^ ]{22} 18\n", data)
    assert PassphraseKey(Secret("passphrase")).work_factor == 18
