"""One workspace's API: five calls on custom OAuth profiles, and the workspace's identity.

Rules of this module:

- A call is one request. Reads are repeated here, by `repeating`, the project's one retry policy;
  writes are not: whoever writes keeps a journal, and decides with the same policy.
- What an answer means is decided in `answers`; how it is fetched, in `transport`.
- The token and a profile's secrets go into the request and nowhere else.

Source: https://docs.workato.com/workato-api/custom-oauth-profiles.html
"""

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import tenacity

from oauthsync import answers, strictjson
from oauthsync.answers import Answer
from oauthsync.clock import Clock, SystemClock
from oauthsync.errors import (
    ApiError,
    NotSentError,
    RateLimitedError,
    UnknownOutcomeError,
    UsageError,
)
from oauthsync.events import Listener, QuotaNotShared, Waiting, ignore
from oauthsync.profiles import Profile
from oauthsync.quota import Quota
from oauthsync.secret import Secret
from oauthsync.strictjson import Json
from oauthsync.transport import Transport

PER_PAGE = 100
"""Profiles in a full page: the API's default and maximum."""

PATIENCE = 5.0
"""Seconds that we wait longer than the server works on a request."""

ATTEMPTS = 6
RETRY_SECONDS = 600.0

READS_REPEAT = (NotSentError, RateLimitedError, UnknownOutcomeError)
"""Errors after which a read is repeated."""

WRITES_REPEAT = (NotSentError, RateLimitedError)
"""Errors after which even a POST is repeated: it is certain that nothing happened."""

_PROFILES = "/api/custom_oauth_profiles"
_ME = "/api/users/me"

T = TypeVar("T")


@dataclass(frozen=True)
class Payload:
    """What POST and PUT send: all of it is needed each time, the secret included.

    `data` is sent as it is, with `client_id` and the secrets put in.
    """

    name: str
    provider: str
    client_id: str
    client_secret: Secret
    token: Secret | None = None
    data: dict[str, Json] = field(default_factory=dict)

    def body(self) -> bytes:
        """The request's body. Raises UsageError for text that is not Unicode."""
        data = {
            **self.data,
            "client_id": self.client_id,
            "client_secret": self.client_secret.reveal(),
        }
        if self.token is not None:
            data["token"] = self.token.reveal()
        value: Json = {"name": self.name, "provider": self.provider, "data": data}
        try:
            return strictjson.encode(value)
        except ValueError as error:
            raise UsageError(f"the profile {self.name!a} cannot be sent: {error}") from error

    def secrets(self) -> tuple[Secret, ...]:
        """The secrets that the body holds."""
        return tuple(secret for secret in (self.client_secret, self.token) if secret)


@dataclass(frozen=True)
class Page:
    """One page of the list: its profiles in the order sent, and a digest of its bytes."""

    profiles: tuple[Profile, ...]
    fingerprint: bytes

    @property
    def is_full(self) -> bool:
        """Whether another page may follow: only a full one can have a successor."""
        return len(self.profiles) >= PER_PAGE


def _nothing() -> None:
    pass


class Api:
    """The API of one workspace; usable by several threads at once. Close it after use.

    `server_timeout` is after how many seconds the server has given up on a request. `requests`
    counts those that went out; `attempts` is how often the retry policy sends one at most;
    `throttled` is whether one has had to wait for the quota; `server_date` is the `Date` of the
    last answer that had one.

    Every call raises an ApiError: AuthenticationError, RefusedError where the API says no,
    RateLimitedError, NotSentError, UnknownOutcomeError. A clock that is interrupted raises
    SleepInterruptedError out of any wait.
    """

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
        self.attempts = ATTEMPTS
        self.throttled = False
        self.server_date: str | None = None
        self._token = token
        self._quota = quota
        self._listener = listener
        self._transport = Transport(url, token, timeout=server_timeout + PATIENCE)
        self._lock = threading.Lock()
        self._told_of_quota = False

    def __enter__(self) -> "Api":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections, and the quota's file; no call may be under way."""
        self._transport.close()
        self._quota.close()

    # --- the calls ------------------------------------------------------------------------------

    def page(self, number: int, *, known: Page | None = None) -> Page:
        """Page `number` (from 1) of the list; `known` itself where the same bytes come again."""

        def understand(content: bytes) -> Page:
            fingerprint = hashlib.sha256(content).digest()
            if known is not None and known.fingerprint == fingerprint:
                return known
            return Page(answers.page(content, PER_PAGE), fingerprint)

        return self._read(f"{_PROFILES}?page={number}&per_page={PER_PAGE}", understand)

    def get(self, profile_id: int) -> Profile:
        """One profile; RefusedError with status 404 where there is none."""

        def understand(content: bytes) -> Profile:
            profile = answers.profile(content)
            if profile.id != profile_id:
                raise UnknownOutcomeError(
                    f"the API was asked for profile {profile_id}, and answered with another one",
                    hint="try again; if it stays so, something between mixes up answers",
                )
            return profile

        return self._read(f"{_PROFILES}/{profile_id}", understand)

    def identity(self) -> dict[str, Json]:
        """The workspace as `GET /api/users/me` describes it: `id`, `name` and more.

        AuthenticationError is common here: the call needs a privilege of its own.
        """
        return self._read(_ME, answers.workspace)

    def create(self, payload: Payload, *, before: Callable[[], None] = _nothing) -> Profile:
        """POST once: the new profile.

        `before` runs when the request has its slot in the quota and its connection, directly before
        it goes out. What it raises comes out here, and then nothing was sent.
        """
        return answers.profile(self._exchange("POST", _PROFILES, payload, before).content)

    def update(
        self, profile_id: int, payload: Payload, *, before: Callable[[], None] = _nothing
    ) -> Profile:
        """PUT once: the profile as it is now. `before` as for `create`."""
        path = f"{_PROFILES}/{profile_id}"
        return answers.profile(self._exchange("PUT", path, payload, before).content)

    def delete(self, profile_id: int, *, before: Callable[[], None] = _nothing) -> None:
        """DELETE once. `before` as for `create`."""
        answer = self._exchange("DELETE", f"{_PROFILES}/{profile_id}", None, before)
        answers.deletion(answer, (self._token,))

    # --- the retry policy -----------------------------------------------------------------------

    def repeating(self, errors: tuple[type[ApiError], ...]) -> tenacity.Retrying:
        """The one retry policy: attempts that are repeated after `errors`, then the last one's.

        At most `attempts` within 10 minutes, 0.5 s, 1 s, 2 s … apart with some jitter. A 429 is no
        failed attempt, it only takes time: the quota's gate decides how long.
        """
        until = self.clock.now() + RETRY_SECONDS
        failures = 0

        def given_up(state: tenacity.RetryCallState) -> bool:
            nonlocal failures
            error = _error(state)
            if isinstance(error, RateLimitedError):
                return self.clock.now() + (error.retry_after or 0.0) > until
            failures += 1
            return failures >= self.attempts or self.clock.now() > until

        return tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(errors),
            wait=lambda state: (
                0 if isinstance(_error(state), RateLimitedError) else _BACKOFF(state)
            ),
            stop=given_up,
            sleep=self._pause,
            reraise=True,
        )

    def _pause(self, seconds: float) -> None:
        if seconds > 0:
            self._listener(Waiting(self.workspace, seconds, "retry"))
            self.clock.sleep(seconds)

    # --- one request ----------------------------------------------------------------------------

    def _read(self, path: str, understand: Callable[[bytes], T]) -> T:
        return self.repeating(READS_REPEAT)(
            lambda: understand(self._exchange("GET", path, None, _nothing).content)
        )

    def _exchange(
        self, method: str, path: str, payload: Payload | None, before: Callable[[], None]
    ) -> Answer:
        """Send one request within the quota; the answer, which says that it was done."""
        body = payload.body() if payload else None
        secrets = (self._token, *(payload.secrets() if payload else ()))
        slot = self._quota.acquire(self._wait_for_quota)
        if self._quota.problem and not self._told_of_quota:
            self._told_of_quota = True
            self._listener(QuotaNotShared(self.workspace, self._quota.problem))
        sent = False

        def going_out() -> None:
            nonlocal sent
            before()
            sent = True
            with self._lock:
                self.requests += 1

        try:
            answer = self._transport.exchange(method, path, body, before=going_out)
        except BaseException:
            # What was sent may still arrive, and count.
            if sent:
                slot.abandon()
            else:
                slot.release(answered=False)
            raise
        self.server_date = answer.headers.get("Date", self.server_date)
        try:
            answers.check(answer, method, self.url, secrets)
        except RateLimitedError as error:
            slot.rejected(error.retry_after)
            raise
        finally:
            slot.release()  # does nothing after `rejected`
        return answer

    def _wait_for_quota(self, seconds: float) -> None:
        # No wait for the window is that long: a server asked for it, and others wait in line.
        if seconds > RETRY_SECONDS:
            raise RateLimitedError(
                f"{self.url} asked for a pause of its quota of {seconds:.0f} s more",
                retry_after=seconds,
                hint="try again when it is over",
            )
        self.throttled = True
        self._listener(Waiting(self.workspace, seconds, "quota"))


_BACKOFF = tenacity.wait_exponential(multiplier=0.5, max=30) + tenacity.wait_random(0, 0.5)


def _error(state: tenacity.RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None
