"""What an answer of the API means: done, or one of the ApiErrors. Pure.

A 2xx alone is no success. Of a write, only words of the API's own make it certain that nothing was
done: a page of HTML, or nothing at all, may come from anything in between, at any time. (A 429 is
certain in any words: whoever counts requests sends it in place of taking one.) Whatever leaves room
for doubt is an UnknownOutcomeError. Text from an answer gets into a message only with
the secrets masked and the control characters escaped.
"""

import html
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from itertools import groupby
from operator import itemgetter
from urllib.parse import quote, quote_plus

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

MAX_TEXT = 20 * MAX_WORDS
"""Characters of them that are looked at."""

PART, MIN_PART = 8, 4
"""Characters of a secret that are a leak by themselves, of a short one half of them: a server may
repeat it in part."""

_UNAUTHORIZED_HINT = (
    "check each of: the token (expired, mistyped, of another workspace), the region or URL (a "
    "token works in its own data center only), the API client's role (list, get, create, update "
    "and delete of custom OAuth profiles are separate privileges), its environment, its IP list"
)
_LATER = (408, 425)
"""Client errors that say nothing about the request: timeout, too early (RFC 9110, RFC 8470)."""

_BETWEEN_HINT = "check the URL or region; a proxy or a login page may have answered"


@dataclass(frozen=True)
class Answer:
    """What came back: the HTTP status, headers that are found in any case, the whole body.

    It may repeat the request, secrets included, so its representation shows the status alone.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    content: bytes = field(repr=False)


def check(answer: Answer, method: str, url: str, secrets: Sequence[Secret]) -> None:
    """Return where the answer says that the request was done; raise what it is otherwise.

    `secrets` are those that the request held: an answer may repeat them. Raises RefusedError,
    AuthenticationError, RateLimitedError, UnknownOutcomeError, and for a redirected read ApiError.
    """
    what = f"{method} request to {url}"
    status = answer.status
    if 200 <= status < 300:
        _check_success(answer, what, secrets)
        return
    words = _words_of(answer.content, secrets)
    said = f": {words}" if words else _kind(answer.content)
    if status == 429:
        pause = _retry_after(answer.headers)
        asked = "" if pause is None else f" (it asked for a pause of {pause:.0f} s)"
        raise RateLimitedError(
            f"the {what} was over the quota{asked}{said}",
            retry_after=pause,
            hint="something else uses this workspace's quota: try again when that has finished",
        )
    if 300 <= status < 400:
        _raise_redirect(answer, what, method, secrets)
    if 400 <= status < 500 and status not in _LATER and (words or method == "GET"):
        if status in (401, 403):
            raise AuthenticationError(
                f"the {what} was refused with {status}{said}", hint=_UNAUTHORIZED_HINT
            )
        raise RefusedError(
            f"the {what} was refused with {status}{said}",
            status=status,
            hint=None if words else _BETWEEN_HINT,
        )
    raise UnknownOutcomeError(
        f"the {what} was answered with {status}{said}",
        hint="try again; if it stays so, the API or something before it has trouble",
    )


def profile(content: bytes) -> Profile:
    """The profile in an answer `{"result": profile}`; raises UnknownOutcomeError."""
    try:
        return profiles.from_json(_result(content))
    except ValueError as error:
        raise UnknownOutcomeError(f"the API's answer is no profile: {error}") from error


def page(content: bytes, limit: int) -> tuple[Profile, ...]:
    """The at most `limit` profiles in an answer `{"result": [profile, …]}`.

    Raises UnknownOutcomeError.
    """
    rows = _result(content)
    if not isinstance(rows, list):
        raise UnknownOutcomeError("the API's list is no list")
    if len(rows) > limit:
        raise UnknownOutcomeError(f"the API sent a page of {len(rows)} profiles, over {limit}")
    try:
        return tuple(profiles.from_json(row) for row in rows)
    except ValueError as error:
        raise UnknownOutcomeError(f"the API's list holds what is no profile: {error}") from error


def deletion(answer: Answer, secrets: Sequence[Secret]) -> None:
    """Return where a 2xx that passed `check` follows a deletion: a JSON object, or nothing.

    Raises UnknownOutcomeError, and RefusedError where the object tells of errors.
    """
    # An answer that broke off in its head has no body either, but does not say so.
    if answer.status != 204 and answer.headers.get("Content-Length") != "0":
        value = _object(answer.content)
        if value.get("errors") or value.get("error"):
            words = _words_of(answer.content, secrets)
            raise RefusedError(f"the DELETE request was refused: {words}", status=answer.status)


def workspace(content: bytes) -> dict[str, Json]:
    """The object in an answer of `GET /api/users/me`; raises UnknownOutcomeError."""
    return _object(content)


def _check_success(answer: Answer, what: str, secrets: Sequence[Secret]) -> None:
    # A look at the text saves parsing a long list twice.
    if b'"success"' not in answer.content:
        return
    value = _object(answer.content)
    if any(
        isinstance(part, dict) and part.get("success") is False
        for part in (value, value.get("result"))
    ):
        words = _words_of(answer.content, secrets) or "no reason given"
        raise RefusedError(f"the {what} was refused: {words}", status=answer.status)


def _raise_redirect(answer: Answer, what: str, method: str, secrets: Sequence[Secret]) -> None:
    location = _shown(answer.headers.get("Location", "nowhere"), secrets)
    # A write may have been done before its answer sends the reader on to the result.
    error = ApiError if method == "GET" else UnknownOutcomeError
    raise error(
        f"the {what} was redirected to {location}, which oauthsync does not follow",
        hint=f"use the workspace's own address: {_BETWEEN_HINT}",
    )


def _object(content: bytes) -> dict[str, Json]:
    try:
        value = strictjson.parse(content)
    except ValueError as error:
        raise UnknownOutcomeError(
            f"the API's answer is not usable JSON: {error}{_kind(content)}", hint=_BETWEEN_HINT
        ) from error
    if not isinstance(value, dict):
        raise UnknownOutcomeError("the API's answer is no JSON object", hint=_BETWEEN_HINT)
    return value


def _result(content: bytes) -> Json:
    value = _object(content)
    if "result" not in value:
        raise UnknownOutcomeError("the API's answer has no `result`")
    return value["result"]


def _kind(content: bytes) -> str:
    return " (an HTML page)" if content.lstrip()[:1] == b"<" else ""


# --- the API's own words ------------------------------------------------------------------------


def _words_of(content: bytes, secrets: Sequence[Secret]) -> str:
    """The API's own words, in each of the forms it is known to use; empty where there are none."""
    try:
        value = strictjson.parse(content)
    except ValueError:
        return ""
    if not isinstance(value, dict):
        return ""
    words = [_words(value[name]) for name in ("message", "errors", "error") if value.get(name)]
    return _shown("; ".join(words), secrets)


def _words(value: Json) -> str:
    match value:
        case str():
            return value
        case list():
            return ", ".join(_words(item) for item in value)
        case {"title": title}:
            return _words(title)
        case dict():
            # Rails files under `base` what is about no field.
            return ", ".join(
                _words(item) if name == "base" else f"{name} {_words(item)}"
                for name, item in value.items()
            )
        case _:
            return strictjson.write(value)


def _shown(text: str, secrets: Sequence[Secret]) -> str:
    """Text from an answer, fit to be shown."""
    text = _masked(text[:MAX_TEXT], secrets)
    text = "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text[: MAX_WORDS + 1])
    return text if len(text) <= MAX_WORDS else text[:MAX_WORDS] + "…"


def _masked(text: str, secrets: Sequence[Secret]) -> str:
    """Text without the secrets, and without any part of them that is long enough to be told."""
    parts: dict[int, set[str]] = defaultdict(set)
    for form in {form.lower() for secret in secrets for form in _forms(secret)}:
        length = min(len(form), PART, max(len(form) // 2, MIN_PART))
        parts[length].update(form[at : at + length] for at in range(len(form) - length + 1))
    # Some characters are several in lower case.
    lower = [(at, each) for at, character in enumerate(text) for each in character.lower()]
    folded, is_secret = "".join(each for _, each in lower), bytearray(len(text))
    for length, known in parts.items():
        for at in range(len(folded) - length + 1):
            if folded[at : at + length] in known:
                for place, _ in lower[at : at + length]:
                    is_secret[place] = 1
    runs = groupby(zip(is_secret, text, strict=True), key=itemgetter(0))
    return "".join("[masked]" if hidden else "".join(c for _, c in run) for hidden, run in runs)


def _forms(secret: Secret) -> Iterator[str]:
    """How a server may repeat a secret: as it is, or escaped for a program, a URL or HTML."""
    text = secret.reveal().strip()
    if text:
        yield from (text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1])
        yield repr(text)[1:-1]
        yield from (quote(text, safe=""), quote(text), quote_plus(text), html.escape(text))


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """`Retry-After` as seconds or an HTTP date (RFC 9110, 10.2.3); None where it makes no sense."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        # The server's own clock says how far away its date is; ours may be wrong.
        until = parsedate_to_datetime(text)
        since = parsedate_to_datetime(headers["Date"])
        return max((until - since).total_seconds(), 0.0)
    except (ValueError, TypeError, KeyError, OverflowError):
        return None
