"""One workspace's API: five calls on custom OAuth profiles, and the workspace's identity.

Rules of this module:

- A call is one request. Reads are repeated here, by `repeating`, the project's one retry policy;
  writes are not: whoever writes keeps a journal, and decides with the same policy.
- What an answer means is decided in `answers`. A request without an answer is a NotSentError where
  it certainly did not reach the server, and an UnknownOutcomeError otherwise.
- A redirect is never followed, TLS is always verified, and an answer is read up to a limit of bytes
  and of time.
- The token and a profile's secrets go into the request and nowhere else; an answer that repeats one
  of them is masked before it gets into a message.

Source: https://docs.workato.com/workato-api/custom-oauth-profiles.html
"""

import hashlib
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import requests
import tenacity
import urllib3

from oauthsync import __version__, answers, strictjson
from oauthsync.clock import Clock, SystemClock
from oauthsync.errors import (
    ApiError,
    NotSentError,
    OauthsyncError,
    RateLimitedError,
    UnknownOutcomeError,
)
from oauthsync.events import Listener, Waiting, ignore
from oauthsync.profiles import Profile
from oauthsync.quota import Quota
from oauthsync.secret import Secret
from oauthsync.strictjson import Json

PER_PAGE = 100
"""Profiles in a full page: the API's default and maximum."""

MAX_BODY = 64 * 1024 * 1024
CONNECT_TIMEOUT = 10.0
PATIENCE = 5.0
"""Seconds that we wait longer than the server works on a request."""

ATTEMPTS = 6
RETRY_SECONDS = 600.0

READS_REPEAT = (NotSentError, RateLimitedError, UnknownOutcomeError)
"""Errors after which a read, or a write that may be done twice, is repeated."""

WRITES_REPEAT = (NotSentError, RateLimitedError)
"""Errors after which even a POST is repeated: it is certain that nothing happened."""

_PROFILES = "/api/custom_oauth_profiles"
_ME = "/api/users/me"


@dataclass(frozen=True)
class Payload:
    """What POST and PUT send: all of it is needed each time, the secret included (api.md).

    `data` is sent as it is, with `client_id` and the secrets put in.
    """

    name: str
    provider: str
    client_id: str
    client_secret: Secret
    token: Secret | None = None
    data: dict[str, Json] = field(default_factory=dict)

    def body(self) -> bytes:
        """The request's body."""
        data = {
            **self.data,
            "client_id": self.client_id,
            "client_secret": self.client_secret.reveal(),
        }
        if self.token is not None:
            data["token"] = self.token.reveal()
        value: Json = {"name": self.name, "provider": self.provider, "data": data}
        return strictjson.write(value).encode("utf-8")

    def secrets(self) -> tuple[Secret, ...]:
        """The secrets that the body holds."""
        return tuple(secret for secret in (self.client_secret, self.token) if secret)


@dataclass(frozen=True)
class Page:
    """One page of the list: its profiles in the order sent, and a digest of its bytes."""

    profiles: tuple[Profile, ...]
    fingerprint: bytes

    @property
    def is_last(self) -> bool:
        """Whether no page follows: only a full page can have a successor."""
        return len(self.profiles) < PER_PAGE


class Api:
    """The API of one workspace; usable by several threads at once. Close it after use."""

    def __init__(
        self,
        workspace: str,
        url: str,
        token: Secret,
        quota: Quota,
        *,
        server_timeout: float = 40.0,
        clock: Clock | None = None,
        listener: Listener = ignore,
    ) -> None:
        self.workspace = workspace
        self.url = url
        self.server_timeout = server_timeout
        self.clock = clock or SystemClock()
        self.requests = 0
        self._token = token
        self._quota = quota
        self._listener = listener
        self._local = threading.local()
        self._sessions: list[requests.Session] = []
        self._lock = threading.Lock()

    def __enter__(self) -> "Api":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections of all threads."""
        with self._lock:
            for session in self._sessions:
                session.close()

    # --- the calls ------------------------------------------------------------------------------

    def page(self, number: int, *, known: Page | None = None) -> Page:
        """Page `number` (from 1) of the list; `known` itself where the same bytes come again."""
        path = f"{_PROFILES}?page={number}&per_page={PER_PAGE}"
        for attempt in self.repeating(READS_REPEAT):
            with attempt:
                content = self._exchange("GET", path)
                fingerprint = hashlib.sha256(content).digest()
                if known is not None and known.fingerprint == fingerprint:
                    return known
                return Page(answers.page(content, PER_PAGE), fingerprint)
        raise AssertionError("repeating() returns or raises")

    def get(self, profile_id: int) -> Profile:
        """One profile; RefusedError with status 404 where there is none."""
        for attempt in self.repeating(READS_REPEAT):
            with attempt:
                return answers.profile(self._exchange("GET", f"{_PROFILES}/{profile_id}"))
        raise AssertionError("repeating() returns or raises")

    def identity(self) -> dict[str, Json]:
        """The workspace as `GET /api/users/me` describes it: `id`, `name` and more.

        AuthenticationError is common here: the call needs a privilege of its own.
        """
        for attempt in self.repeating(READS_REPEAT):
            with attempt:
                return answers.workspace(self._exchange("GET", _ME))
        raise AssertionError("repeating() returns or raises")

    def create(self, payload: Payload, *, before: Callable[[], None] = lambda: None) -> Profile:
        """POST once: the new profile. `before` runs just before the request goes out."""
        return answers.profile(self._exchange("POST", _PROFILES, payload=payload, before=before))

    def update(
        self, profile_id: int, payload: Payload, *, before: Callable[[], None] = lambda: None
    ) -> Profile:
        """PUT once: the profile as it is now. `before` as for `create`."""
        path = f"{_PROFILES}/{profile_id}"
        return answers.profile(self._exchange("PUT", path, payload=payload, before=before))

    def delete(self, profile_id: int, *, before: Callable[[], None] = lambda: None) -> None:
        """DELETE once; any 2xx but `"success": false` is done. `before` as for `create`."""
        self._exchange("DELETE", f"{_PROFILES}/{profile_id}", before=before)

    # --- the retry policy -----------------------------------------------------------------------

    def repeating(self, errors: tuple[type[ApiError], ...]) -> tenacity.Retrying:
        """The one retry policy: attempts that are repeated after `errors`, then the last one's.

        At most 6 attempts within 10 minutes, 0.5 s, 1 s, 2 s … apart with some jitter; after a 429
        the quota's gate decides how long.
        """
        started = self.clock.now()
        failures = 0

        def given_up(state: tenacity.RetryCallState) -> bool:
            nonlocal failures
            wait = 0.0
            match _error(state):
                case RateLimitedError(retry_after=float(seconds)):
                    wait = seconds
                case error if not isinstance(error, RateLimitedError):
                    failures += 1
            return failures >= ATTEMPTS or self.clock.now() + wait - started > RETRY_SECONDS

        return tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(errors),
            wait=_pause,
            stop=given_up,
            sleep=self._pause_for,
            reraise=True,
        )

    def _pause_for(self, seconds: float) -> None:
        if seconds > 0:
            self._listener(Waiting(self.workspace, seconds, "retry"))
            self.clock.sleep(seconds)

    # --- one request ----------------------------------------------------------------------------

    def _exchange(
        self,
        method: str,
        path: str,
        *,
        payload: Payload | None = None,
        before: Callable[[], None] = lambda: None,
    ) -> bytes:
        """Send one request within the quota; the body of an answer that says it was done."""
        slot = self._quota.acquire(
            lambda seconds: self._listener(Waiting(self.workspace, seconds, "quota"))
        )
        try:
            before()
            with self._lock:
                self.requests += 1
            with _transport_errors(method, self.url):
                response, content = self._transfer(method, path, payload)
        except UnknownOutcomeError:
            raise  # the request may still arrive, and count: the slot ends by itself
        except BaseException:
            slot.release()
            raise
        secrets = (self._token, *(payload.secrets() if payload else ()))
        try:
            answers.judge(
                f"{method} request to {self.url}",
                response.status_code,
                response.headers,
                content,
                secrets,
            )
        except RateLimitedError as error:
            slot.rejected(error.retry_after)
            raise
        except ApiError:
            slot.release()
            raise
        slot.release()
        return content

    def _transfer(
        self, method: str, path: str, payload: Payload | None
    ) -> tuple[requests.Response, bytes]:
        patience = self.server_timeout + PATIENCE
        deadline = self.clock.now() + CONNECT_TIMEOUT + patience
        with self._session().request(
            method,
            self.url + path,
            data=payload.body() if payload else None,
            headers={"Content-Type": "application/json"} if payload else None,
            allow_redirects=False,
            stream=True,
            timeout=(CONNECT_TIMEOUT, patience),
        ) as response:
            return response, self._read(response, deadline)

    def _read(self, response: requests.Response, deadline: float) -> bytes:
        content = bytearray()
        while chunk := response.raw.read1(64 * 1024, decode_content=True):
            content += chunk
            if len(content) > MAX_BODY:
                raise UnknownOutcomeError(f"the API's answer is larger than {MAX_BODY} bytes")
            if self.clock.now() > deadline:
                raise UnknownOutcomeError("the API's answer did not arrive whole in time")
        return bytes(content)

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = requests.Session()
            session.headers["User-Agent"] = f"oauthsync/{__version__}"
            session.headers["Accept"] = "application/json"
            # An auth of our own: without one, requests takes a login from ~/.netrc in its place.
            session.auth = _Bearer(self._token)
            self._local.session = session
            with self._lock:
                self._sessions.append(session)
        return session


class _Bearer(requests.auth.AuthBase):
    def __init__(self, token: Secret) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token.reveal()}"
        return request


@contextmanager
def _transport_errors(method: str, url: str) -> Iterator[None]:
    try:
        yield
    except OauthsyncError:
        raise
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        if isinstance(error, requests.RequestException):
            # The request holds the token and the secrets, and an error may travel far.
            error.request = None
        if _never_sent(error):
            raise NotSentError(
                f"cannot connect to {url}: {_reason(error)}",
                hint="check the URL or region, the network, and the proxy settings",
            ) from error
        raise UnknownOutcomeError(
            f"no answer from {url} to a {method} request: {_reason(error)}"
        ) from error


def _never_sent(error: Exception) -> bool:
    """Whether the request cannot have reached the server: certain, or False."""
    if isinstance(error, requests.exceptions.ConnectTimeout | requests.exceptions.InvalidURL):
        return True
    reason = getattr(error.args[0], "reason", None) if error.args else None
    if isinstance(reason, urllib3.exceptions.SSLError):
        # A certificate that fails is seen in the handshake, before anything is sent.
        return any(isinstance(arg, ssl.SSLCertVerificationError) for arg in reason.args)
    return isinstance(
        reason, urllib3.exceptions.NewConnectionError | urllib3.exceptions.ConnectTimeoutError
    ) or isinstance(error, requests.exceptions.ProxyError)


def _reason(error: Exception) -> str:
    """The innermost cause in words: the outer ones repeat it between object addresses."""
    seen: BaseException = error
    while (inner := getattr(seen, "reason", None) or seen.__cause__) is not None:
        if not isinstance(inner, BaseException):
            break
        seen = inner
    if isinstance(seen, urllib3.exceptions.TimeoutError | requests.exceptions.Timeout):
        return "timed out"
    text = str(seen.args[-1]) if seen.args else type(seen).__name__
    return text.rsplit(": ", 1)[-1] or type(seen).__name__


_backoff = tenacity.wait_exponential_jitter(initial=0.5, max=30.0, jitter=0.5)


def _pause(state: tenacity.RetryCallState) -> float:
    return 0.0 if isinstance(_error(state), RateLimitedError) else _backoff(state)


def _error(state: tenacity.RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None
