"""ASCII armor (specification: "ASCII armor"; RFC 7468, Section 3): strict, and so not malleable.

What is accepted is what `enarmor` writes for the same bytes. Only line ends may be CRLF, and white
space may stand around it, on lines of its own.
"""

import re
from binascii import Error, a2b_base64, b2a_base64

from oauthsync.age.errors import ArmorError

_BEGIN = b"-----BEGIN AGE ENCRYPTED FILE-----"
_END = b"-----END AGE ENCRYPTED FILE-----"
_COLUMNS = 64

# White space is W of RFC 7468; as much of it as the age command takes.
_BEFORE = re.compile(rb"([ \t\r\n\x0b\x0c]{0,1023}\n)?")
_AFTER = re.compile(rb"(\r?\n[ \t\r\n\x0b\x0c]{0,1023})?")

_HINT = "copy it again, from its BEGIN line to its END line, or take it from a backup"


def enarmor(binary: bytes) -> bytes:
    """The armored form of an age file."""
    text = b2a_base64(binary, newline=False)
    lines = [text[start : start + _COLUMNS] for start in range(0, len(text), _COLUMNS)]
    return b"\n".join([_BEGIN, *lines, _END, b""])


def dearmor(data: bytes) -> bytes:
    """The binary form of an armored age file. Raises ArmorError."""
    before, begin, rest = data.partition(_BEGIN)
    body, end, after = rest.partition(_END)
    if not (begin and end):
        raise ArmorError("the armored age file lacks its BEGIN or END line", hint=_HINT)
    if not (_BEFORE.fullmatch(before) and _AFTER.fullmatch(after)):
        raise ArmorError(
            "before or after the armored age file is text, or over 1 KiB of white space",
            hint="leave only the lines from BEGIN to END",
        )
    try:
        binary = a2b_base64(body)
    except Error:
        raise ArmorError("the base64 of the armored age file is damaged", hint=_HINT) from None
    # The decoder skips what it does not know; what it skipped is missing from the encoder's text.
    if begin + body.replace(b"\r\n", b"\n") + end + b"\n" != enarmor(binary):
        raise ArmorError("the base64 of the armored age file is not canonical", hint=_HINT)
    return binary
