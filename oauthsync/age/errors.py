"""The kinds of failure; the package's docstring draws the tree. No message quotes a key."""

from oauthsync.errors import SidecarError

DAMAGED = "the file is damaged: take it from a backup"
WRONG_KEY = "copy the key again from where it was generated"
HOSTILE = "if you trust where it comes from, open it with the age command"


class AgeError(SidecarError):
    """Base of every failure of the package."""


class ArmorError(AgeError):
    """The armor is damaged, or not in its one form."""


class HeaderError(AgeError):
    """Not an age file, or its header is malformed."""


class NoMatchError(AgeError):
    """No identity opens the file; the passphrase is wrong."""


class HeaderMacError(AgeError):
    """The file key was unwrapped, but the header was changed."""


class PayloadError(AgeError):
    """The payload is damaged, cut off or extended."""


class LimitError(AgeError):
    """Over a limit of this package, which guards against hostile files."""


class HeaderLimitError(HeaderError, LimitError):
    """The header is over a limit."""


class KeyFormatError(AgeError):
    """An identity, a recipient or a passphrase is malformed."""


class RecipientsError(AgeError):
    """These recipients do not go together."""


def malformed(reason: str) -> HeaderError:
    """The error for a header that does not parse."""
    return HeaderError(f"the header of the age file is malformed: {reason}", hint=DAMAGED)
