"""The age file format: what opens, what is refused, and with which kind of error."""

import base64
import hmac
import re
import resource
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oauthsync import age
from oauthsync.age.armor import dearmor, enarmor
from oauthsync.age.header import MAX_HEADER, MAX_STANZAS, Stanza, encode64, write_header
from oauthsync.age.payload import encrypt_payload
from oauthsync.errors import SidecarError
from oauthsync.secret import Secret

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


def sealed(identity: age.Identity = IDENTITY, *, armor: bool = False) -> bytes:
    return age.encrypt(PLAINTEXT, [identity.recipient], armor=armor)


def forged(*stanzas: Stanza) -> bytes:
    """A binary file of these stanzas, with a right MAC."""
    return write_header(FILE_KEY, stanzas) + encrypt_payload(FILE_KEY, PLAINTEXT)


def edited(identity: age.Identity, **changes: object) -> bytes:
    """A file whose one stanza is not as its recipient wrote it."""
    stanza = identity.recipient.wrap(FILE_KEY)
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


# --- what is sealed opens ---


@pytest.mark.parametrize("identity", KEYS)
@pytest.mark.parametrize("armor", [True, False])
@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 131072])
def test_what_is_encrypted_decrypts(identity: age.Identity, armor: bool, size: int) -> None:
    plaintext = bytes(size)
    data = age.encrypt(plaintext, [identity.recipient], armor=armor)
    assert data.startswith(b"-----BEGIN AGE" if armor else b"age-encryption.org/v1\n")
    assert age.decrypt(data, [identity]) == plaintext


@given(st.binary(), st.booleans(), st.sampled_from([IDENTITY, HYBRID, PASSPHRASE]))
def test_any_plaintext_makes_the_round_trip(
    plaintext: bytes, armor: bool, identity: age.Identity
) -> None:
    data = age.encrypt(plaintext, [identity.recipient], armor=armor)
    assert age.decrypt(data, [identity]) == plaintext
    assert plaintext not in data or len(plaintext) < 4


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


@pytest.mark.parametrize("identity", KEYS[::2])
@pytest.mark.parametrize("armor", [True, False])
def test_no_flipped_bit_goes_unnoticed(identity: age.Identity, armor: bool) -> None:
    data = sealed(identity, armor=armor)
    for at, byte in enumerate(data):
        for bit in range(8):
            damaged = data[:at] + bytes([byte ^ 1 << bit]) + data[at + 1 :]
            with pytest.raises(age.AgeError):
                age.decrypt(damaged, [identity])


@pytest.mark.parametrize("at", range(0, 1900, 61))
def test_no_damaged_byte_of_a_post_quantum_file_goes_unnoticed(at: int) -> None:
    data = sealed(HYBRID)
    at %= len(data)
    with pytest.raises(age.AgeError):
        age.decrypt(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :], [HYBRID])


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


# --- the header's grammar ---


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
    "separator", ["\r", "\r\n", "\v", "\f", "\x1c", "\x85", "\u0085", "\u2028", "\u2029", "\0"]
)
def test_only_a_line_feed_ends_a_line_of_a_header(separator: str) -> None:
    encodings = {separator.encode(), separator.encode("latin-1", "ignore")} - {b""}
    data = sealed()
    ends = [match.start() for match in re.finditer(b"\n", data[: data.index(b"\n--- ") + 50])]
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
    stanza = identity.recipient.wrap(FILE_KEY)
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


# --- armor ---


def test_white_space_may_stand_around_an_armored_file() -> None:
    data = sealed(armor=True)
    for around in (b"\n", b"\r\n", b" \t\x0b\x0c\r\n", b" " * 1023 + b"\n", b"\n" * 1024):
        assert age.decrypt(around + data, [IDENTITY]) == PLAINTEXT
    for around in (b"", b"\n", b" \t\x0b\x0c\r\n", b"\r\n \r\n", b" " * 1023, b"\n" * 1023):
        assert age.decrypt(data + around, [IDENTITY]) == PLAINTEXT
    assert age.decrypt(data.replace(b"\n", b"\r\n"), [IDENTITY]) == PLAINTEXT
    assert age.decrypt(data.removesuffix(b"\n"), [IDENTITY]) == PLAINTEXT


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(b" ", b"", id="indented BEGIN"),
        pytest.param(b"\n\t", b"", id="indented BEGIN on a later line"),
        pytest.param(b"\r", b"", id="BEGIN after CR"),
        pytest.param(b"x\n", b"", id="text before"),
        pytest.param(b"\0\n", b"", id="null before"),
        pytest.param(b"\xc2\xa0\n", b"", id="no-break space before"),
        pytest.param(b"\xef\xbb\xbf", b"", id="byte order mark"),
        pytest.param(b"", b"x", id="text after END"),
        pytest.param(b"", b"\n\n\nx\n", id="text on a later line"),
        pytest.param(b"", b"\0", id="null after"),
        pytest.param(b"", b"\xc2\x85", id="next line character after"),
        pytest.param(b"\n" * 1025, b"", id="too much white space before"),
        pytest.param(b" " * 1024 + b"\n", b"", id="one space too many before"),
        pytest.param(b"", b" " * 1024, id="one space too many after"),
        pytest.param(b"\n" * 100_000, b"", id="far too much white space before"),
        pytest.param(b"", b"\n" * 100_000, id="far too much white space after"),
    ],
)
def test_anything_else_around_an_armored_file_is_refused(before: bytes, after: bytes) -> None:
    refuses(age.ArmorError, before + sealed(armor=True) + after)


@pytest.mark.parametrize("space", [b" ", b"\t", b"\r", b"\x0b"])
def test_white_space_at_the_end_of_the_end_line_is_refused(space: bytes) -> None:
    data = sealed(armor=True)
    refuses(age.ArmorError, data.removesuffix(b"\n") + space)
    refuses(age.ArmorError, data.removesuffix(b"\n") + space + b"x\n")


def test_a_second_armored_file_is_refused() -> None:
    data = sealed(armor=True)
    refuses(age.ArmorError, data + data)


@pytest.mark.parametrize(
    "separator",
    [b"\r", b"\r\r\n", b"\n\r", b"\n\n", b"\v", b"\f", b"\x1c", b"\xc2\x85", b"\xe2\x80\xa8"],
)
def test_only_lf_and_crlf_end_a_line_of_armor(separator: bytes) -> None:
    data = sealed(armor=True)
    ends = [match.start() for match in re.finditer(b"\n", data[:-1])]
    assert len(ends) > 3
    for end in ends:
        refuses(age.ArmorError, data[:end] + separator + data[end + 1 :])


def test_base64_of_armor_that_is_not_canonical_is_refused() -> None:
    plaintext = next(
        text for text in (b"a", b"aa", b"aaa") if b"=" in age.encrypt(text, [IDENTITY.recipient])
    )
    begin, *lines, last, end, _ = age.encrypt(plaintext, [IDENTITY.recipient]).split(b"\n")

    def file(*body: bytes) -> bytes:
        return b"\n".join([begin, *body, end, b""])

    assert age.decrypt(file(*lines, last), [IDENTITY]) == plaintext
    refuses(age.ArmorError, file(*lines, loosened(last)))
    refuses(age.ArmorError, file(*lines, last.rstrip(b"=")))
    refuses(age.ArmorError, file(*lines, last + b"="))
    refuses(age.ArmorError, file(*lines, last + b"AAAA"))
    refuses(age.ArmorError, file(*lines[:-1], lines[-1] + last))
    refuses(age.ArmorError, file(*lines, last[:4], last[4:]))


@given(st.binary(max_size=300))
def test_armor_has_one_form_for_each_content(binary: bytes) -> None:
    data = enarmor(binary)
    assert dearmor(data) == binary
    assert max(len(line) for line in data.split(b"\n")) <= 64


# --- limits ---


def test_a_file_over_the_limit_is_neither_read_nor_written() -> None:
    refuses(age.LimitError, sealed() + bytes(age.MAX_FILE))
    with pytest.raises(age.LimitError):
        age.encrypt(bytes(age.MAX_FILE), [IDENTITY.recipient], armor=False)


def test_a_header_over_the_limit_is_refused() -> None:
    header, mac, rest = sealed().partition(b"--- ")
    room = MAX_HEADER - len(header) - len(mac) - rest.index(b"\n") - 1
    assert age.decrypt(forged_with_size(MAX_HEADER), [IDENTITY]) == PLAINTEXT
    refuses(age.HeaderLimitError, forged_with_size(MAX_HEADER + 1))
    refuses(age.HeaderLimitError, header + b"-> " + b"x" * room + b"\n\n" + mac + rest)


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
        "import sys; from oauthsync import age\n"
        "try: age.decrypt(bytes.fromhex(sys.argv[1]), [age.Passphrase('x')])\n"
        "except age.LimitError as error: sys.exit(f'{type(error).__name__}: {error}')\n"
    )
    limit = 512 << 20
    done = subprocess.run(
        [sys.executable, "-c", script, data.hex()],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr.startswith("LimitError: a work factor of 20 takes 1024 MiB"), done.stderr


def test_the_default_work_factor_is_written() -> None:
    data = age.encrypt(PLAINTEXT, [age.Passphrase("passphrase")], armor=False)
    assert re.search(rb"\n-> scrypt [^ ]{22} 18\n", data)
    assert age.decrypt(data, [age.Passphrase("passphrase")]) == PLAINTEXT


# --- anything at all ---


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
    try:
        assert age.decrypt(data, [identity]) == PLAINTEXT
    except age.AgeError as error:
        assert error.hint or isinstance(error, age.LimitError)
        assert error.exit_code == SidecarError.exit_code


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


def test_no_error_shows_a_key() -> None:
    for identity, data in [
        (PASSPHRASE, sealed(age.Passphrase("x", work_factor=1))),
        (IDENTITY, b""),
    ]:
        with pytest.raises(age.AgeError) as caught:
            age.decrypt(data, [identity])
        shown = "".join(traceback.format_exception(caught.value)) + str(caught.value.hint)
        assert "correct horse" not in shown
        assert "GFPYYSJZ" not in shown
    assert "GFPYYSJZ" in Secret("GFPYYSJZ").reveal()
    assert hmac.compare_digest(PLAINTEXT, age.decrypt(sealed(), [IDENTITY]))
