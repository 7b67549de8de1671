"""What an answer of the API means: done, or one of the ApiErrors. Pure.

A 2xx alone is no success, a 4xx counts as the API's refusal only in the API's own words (whatever
is in between may send one at any time), and everything that leaves room for doubt is an
UnknownOutcomeError. Text from an answer gets into a message only with the secrets masked.
"""

from collections.abc import Mapping, Sequence

from oauthsync import profiles, strictjson
from oauthsync.errors import (
    ApiError,
    AuthenticationError,
    RateLimitedError,
    RefusedError,
    UnknownOutcomeError,
)
from oauthsync.profiles import Profile
from oauthsync.secret import Secret
from oauthsync.strictjson import Json

MAX_WORDS = 500
"""Characters of the API's own words that get into a message."""

_UNAUTHORIZED_HINT = (
    "check each of: the token (expired, mistyped, of another workspace), the region or URL (a "
    "token works in its own data center only), the API client's role (list, get, create, update "
    "and delete of custom OAuth profiles are separate privileges), its environment, its IP list"
)


def judge(
    what: str,
    status: int,
    headers: Mapping[str, str],
    content: bytes,
    secrets: Sequence[Secret],
) -> None:
    """Return where the answer says that it was done; raise the ApiError that it is otherwise.

    `what` is the request in words; `headers` look up names in any case.
    """
    if 200 <= status < 300:
        _refuse_success_false(status, content, secrets)
        return
    said = _message(content, secrets)
    if 300 <= status < 400:
        location = _masked(headers.get("Location", "nowhere"), secrets)
        raise ApiError(
            f"the {what} was redirected to {location!r}, which oauthsync does not follow",
            hint="use the workspace's own region or URL; a proxy or a login page may be in between",
        )
    if status in (401, 403):
        raise AuthenticationError(
            f"the {what} was refused with {status}{said}", hint=_UNAUTHORIZED_HINT
        )
    if status == 429:
        raise RateLimitedError(
            f"the {what} was over the quota{said}", retry_after=_retry_after(headers)
        )
    # A client error without the API's own words may come from anything in between, at any time.
    if 400 <= status < 500 and status != 408 and said:
        raise RefusedError(f"the API refused the {what} with {status}{said}", status=status)
    raise UnknownOutcomeError(f"the {what} was answered with {status}{said or _kind(content)}")


def profile(content: bytes) -> Profile:
    """The profile in an answer `{"result": profile}`."""
    try:
        return profiles.from_json(_result(content))
    except ValueError as error:
        raise UnknownOutcomeError(f"the API's answer is no profile: {error}") from error


def page(content: bytes, limit: int) -> tuple[Profile, ...]:
    """The profiles in an answer `{"result": [profile, …]}` of at most `limit`."""
    rows = _result(content)
    if not isinstance(rows, list):
        raise UnknownOutcomeError("the API's list is no list")
    if len(rows) > limit:
        raise UnknownOutcomeError(f"the API sent a page of {len(rows)} profiles, over {limit}")
    try:
        return tuple(profiles.from_json(row) for row in rows)
    except ValueError as error:
        raise UnknownOutcomeError(f"the API's list holds what is no profile: {error}") from error


def workspace(content: bytes) -> dict[str, Json]:
    """The object in an answer of `GET /api/users/me`."""
    value = _json(content)
    if not isinstance(value, dict):
        raise UnknownOutcomeError("the API's answer about the workspace is no object")
    return value


def _refuse_success_false(status: int, content: bytes, secrets: Sequence[Secret]) -> None:
    # Only write calls are known to answer so; a look at the text saves parsing a long list twice.
    if b'"success"' not in content:
        return
    value = _json(content)
    results = [value, value.get("result")] if isinstance(value, dict) else []
    if any(isinstance(part, dict) and part.get("success") is False for part in results):
        said = _message(content, secrets) or ", without a reason"
        raise RefusedError(f"the API refused the request{said}", status=status)


def _json(content: bytes) -> Json:
    try:
        return strictjson.parse(content)
    except ValueError as error:
        raise UnknownOutcomeError(
            f"the API's answer is not usable JSON: {error}{_kind(content)}",
            hint="check the URL or region; a proxy or a login page may have answered",
        ) from error


def _kind(content: bytes) -> str:
    return " (an HTML page)" if content.lstrip()[:1] == b"<" else ""


def _result(content: bytes) -> Json:
    value = _json(content)
    if not isinstance(value, dict) or "result" not in value:
        raise UnknownOutcomeError("the API's answer has no `result`")
    return value["result"]


def _message(content: bytes, secrets: Sequence[Secret]) -> str:
    """The API's own words, as `: …`, in each of the forms it is known to use; or nothing."""
    try:
        value = strictjson.parse(content)
    except ValueError:
        return ""
    if not isinstance(value, dict):
        return ""
    words = [_words(value[name]) for name in ("message", "errors", "error") if value.get(name)]
    return _masked(": " + "; ".join(words)[:500], secrets) if words else ""


def _words(value: Json) -> str:
    match value:
        case str():
            return value
        case list():
            return ", ".join(_words(item) for item in value)
        case {"title": title}:
            return _words(title)
        case dict():
            return ", ".join(f"{name} {_words(item)}" for name, item in value.items())
        case _:
            return strictjson.write(value)


def _masked(text: str, secrets: Sequence[Secret]) -> str:
    for secret in secrets:
        if secret:
            text = text.replace(secret.reveal(), "[masked]")
    return text


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """`Retry-After` as seconds or an HTTP date (RFC 9110, 10.2.3); None where it makes no sense."""
    text = headers.get("Retry-After", "")
    if text.isascii() and text.isdigit():
        return float(text)
    from email.utils import parsedate_to_datetime

    try:
        # The server's own clock says how far away its date is; ours may be wrong.
        until = parsedate_to_datetime(text)
        since = parsedate_to_datetime(headers["Date"])
        return max((until - since).total_seconds(), 0.0)
    except (ValueError, TypeError, KeyError):
        return None
