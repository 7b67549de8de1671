"""Armor: one form for each file, with white space around it and nothing else."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauthsync import age
from oauthsync.age.armor import dearmor, enarmor
from tests.age_files import IDENTITY, PLAINTEXT, loosened, refuses, sealed


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
