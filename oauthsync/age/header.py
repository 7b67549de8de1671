"""The header (specification: "Header"): a version, stanzas that wrap the file key, and a MAC.

Lines end in LF and nothing else, base64 is canonical and without padding, and whatever departs from
the specification's grammar is refused.
"""

import hmac
import re
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from oauthsync.age.errors import HOSTILE, HeaderError, HeaderLimitError, malformed
from oauthsync.age.primitives import hkdf

MAX_HEADER = 256 << 10
"""Bytes of a header."""

MAX_STANZAS = 128
"""Stanzas in a header."""

PREFIX = b"age-encryption.org/"
"""What every binary age file starts with, of whichever version."""

_VERSION_LINE = PREFIX + b"v1\n"
_STANZA_LINE = re.compile(rb"->( [!-~]+)+")
_COLUMNS = 64
_MAC_LENGTH = 32
_WRAPPED_LENGTH = 16 + 16  # a file key and its tag


@dataclass(frozen=True, slots=True)
class Stanza:
    """A file key, wrapped for one recipient: what follows `->`, and the body in bytes."""

    type: str
    arguments: tuple[str, ...]
    body: bytes

    def checked_arguments(self, count: int) -> tuple[str, ...]:
        """The arguments of a stanza of a known type. Raises HeaderError.

        To be called before the body is decrypted: if its length were free, one body could open
        under several keys, and tell an attacker which of them is used (a partitioning oracle).
        """
        if len(self.arguments) != count:
            raise malformed(f"a stanza of type {self.type} has too few or too many arguments")
        if len(self.body) != _WRAPPED_LENGTH:
            raise malformed(f"the body of a stanza of type {self.type} is of the wrong length")
        return self.arguments


@dataclass(frozen=True, slots=True)
class Header:
    """A parsed header: `signed` is what its MAC covers, `length` its size in bytes."""

    stanzas: tuple[Stanza, ...]
    signed: bytes
    mac: bytes
    length: int

    @property
    def asks_passphrase(self) -> bool:
        """Whether the file is encrypted with a passphrase."""
        return self.stanzas[0].type == "scrypt"


def write_header(file_key: bytes, stanzas: Sequence[Stanza]) -> bytes:
    """The header, with its MAC."""
    signed = _VERSION_LINE + b"".join(_write_stanza(stanza) for stanza in stanzas) + b"---"
    return signed + b" " + encode64(header_mac(file_key, signed)).encode("ascii") + b"\n"


def _write_stanza(stanza: Stanza) -> bytes:
    text = encode64(stanza.body)
    # One step beyond the end: the last line is shorter than the others, and if need be empty.
    lines = [text[start : start + _COLUMNS] for start in range(0, len(text) + 1, _COLUMNS)]
    first = " ".join(["->", stanza.type, *stanza.arguments])
    return "\n".join([first, *lines, ""]).encode("ascii")


def header_mac(file_key: bytes, signed: bytes) -> bytes:
    """The MAC of a header up to its `---` (specification: "Header MAC")."""
    return hmac.digest(hkdf(file_key, salt=b"", info=b"header"), signed, "sha256")


def parse_header(data: bytes) -> Header:
    """The header at the start of a binary age file. Raises HeaderError."""
    if not data.startswith(_VERSION_LINE):
        raise _foreign(data)
    lines = _lines(data)
    stanzas: list[Stanza] = []
    for start, line in lines:
        if line.startswith(b"--- "):
            _check_stanzas(stanzas)
            mac = decode64(line[4:].decode("latin-1"), "the MAC", length=_MAC_LENGTH)
            return Header(tuple(stanzas), data[: start + 3], mac, start + len(line) + 1)
        stanzas.append(_parse_stanza(line, lines))
        if len(stanzas) > MAX_STANZAS:
            raise HeaderLimitError(
                f"the age file has more than {MAX_STANZAS} recipients", hint=HOSTILE
            )
    raise malformed("it is cut off")


def _foreign(data: bytes) -> HeaderError:
    if data.startswith(PREFIX):
        return HeaderError(
            "the age file is not of version v1, the only one supported",
            hint="open it with the program that wrote it",
        )
    return HeaderError("this is not an age file", hint="check that it is the right file")


def _lines(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The lines after the first, each with its offset and without its LF."""
    start = len(_VERSION_LINE)
    while (end := data.find(b"\n", start, MAX_HEADER)) >= 0:
        yield start, data[start:end]
        start = end + 1
    if len(data) > MAX_HEADER:
        raise HeaderLimitError(
            f"the header of the age file is over {MAX_HEADER >> 10} KiB", hint=HOSTILE
        )


def _parse_stanza(line: bytes, lines: Iterator[tuple[int, bytes]]) -> Stanza:
    if not _STANZA_LINE.fullmatch(line):
        raise malformed("a line is neither a stanza nor the MAC")
    _, kind, *arguments = line.decode("ascii").split(" ")
    body = []
    for _, text in lines:
        if len(text) > _COLUMNS:
            raise malformed("a line is too long")
        body.append(text.decode("latin-1"))
        if len(text) < _COLUMNS:
            return Stanza(kind, tuple(arguments), decode64("".join(body), "a stanza"))
    raise malformed("it is cut off")


def _check_stanzas(stanzas: Sequence[Stanza]) -> None:
    if not stanzas:
        raise malformed("it has no stanza")
    if len(stanzas) > 1 and any(stanza.type == "scrypt" for stanza in stanzas):
        raise malformed("a passphrase is not its only recipient")


def encode64(data: bytes) -> str:
    """Base64 without padding."""
    return b2a_base64(data, newline=False).rstrip(b"=").decode("ascii")


def decode64(text: str, what: str, *, length: int | None = None) -> bytes:
    """The bytes of canonical base64 without padding, `length` of them. Raises HeaderError."""
    try:
        data = a2b_base64(text + "=" * (-len(text) % 4))
    except ValueError:
        raise malformed(f"{what} is not base64") from None
    # The decoder skips foreign characters and drops spare bits; the encoder writes neither.
    if encode64(data) != text:
        raise malformed(f"{what} is not canonical base64")
    if length not in (None, len(data)):
        raise malformed(f"{what} is of the wrong length")
    return data
