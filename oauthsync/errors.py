"""Every error that oauthsync raises on purpose, with the exit code it ends a command with.

    OauthsyncError                1   failed; base of all
    ├── UsageError                2   wrong usage, or input that does not parse
    ├── StoreError                1   the snapshot database cannot be used, or is damaged
    ├── FileError                 1   a file cannot be read or written, or another process holds it
    ├── ApiError                  5   the API could not be reached, or kept failing
    │   ├── AuthenticationError   3   401, 403, or no token at all
    │   ├── RefusedError          1   the API answered, and did not do it
    │   ├── NotSentError          5   no connection: the request never reached the API
    │   ├── RateLimitedError      5   429: not done, to be repeated later
    │   └── UnknownOutcomeError   5   no usable answer: a write may or may not have been done
    ├── IncompleteError           6   something was left undone, and the message says what
    ├── InterruptedRunError     130   Ctrl-C during a run, in `importer`
    └── SidecarError              7   the sidecar is missing, or does not open
        └── age.AgeError              the age file format's own kinds, drawn in `age/`

A message says what happened and to what; the hint says what the user can do. Neither ever holds a
secret or a token.
"""


class OauthsyncError(Exception):
    """Base of all errors: `str()` is what happened, `hint` what to do about it."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        assert message, "an error without a message helps nobody"
        super().__init__(message)
        self.hint = hint


class UsageError(OauthsyncError):
    """Wrong usage, or input that does not parse."""

    exit_code = 2


class StoreError(OauthsyncError):
    """The snapshot database cannot be used, or is damaged."""


class FileError(OauthsyncError):
    """A file cannot be read or written, or another process holds it."""


class ApiError(OauthsyncError):
    """The API could not be reached, or kept failing."""

    exit_code = 5


class AuthenticationError(ApiError):
    """401, 403, or no token at all."""

    exit_code = 3


class RefusedError(ApiError):
    """The API answered that it did not do it: a 4xx, or `200` with `"success": false`.

    `status` is the HTTP status.
    """

    exit_code = 1

    def __init__(self, message: str, *, status: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class NotSentError(ApiError):
    """No connection could be made: the request never reached the API."""


class RateLimitedError(ApiError):
    """429: the API did not do it, and will after `retry_after` seconds (None: it did not say)."""

    def __init__(self, message: str, *, retry_after: float | None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class UnknownOutcomeError(ApiError):
    """A timeout, a broken connection, a 5xx, or an answer that does not parse.

    Whether a write was done is unknown; a read may be repeated.
    """


class IncompleteError(OauthsyncError):
    """Something was left undone; the message says what, the hint how to go on."""

    exit_code = 6


class SidecarError(OauthsyncError):
    """The sidecar is missing, or does not open."""

    exit_code = 7
