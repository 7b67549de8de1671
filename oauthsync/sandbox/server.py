"""The sandbox itself: who asks, whether they may, what goes wrong, and what is answered."""

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import ceil
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any

from oauthsync.clock import Clock, SystemClock
from oauthsync.errors import StoreError, UsageError
from oauthsync.sandbox.calls import Call, PageOfIds, error, page_of_ids, perform, route
from oauthsync.sandbox.database import Database
from oauthsync.sandbox.faults import CALLS, LISTING, Fault, choose, false_page
from oauthsync.sandbox.http import HOST, Message, Reply, Server
from oauthsync.sandbox.quota import SlidingWindow
from oauthsync.sandbox.spoiling import spoil, too_many_requests
from oauthsync.sandbox.workspaces import SandboxWorkspace, State

MAX_LOG = 100_000
_UNANSWERED = ("reset", "close", "hang")


@dataclass(slots=True)
class Request:
    """A request in the log; `status` and `applied` are filled in when they are known.

    `path` includes the query. `call` is one of `CALLS`, or "" for a path or method that is none.
    `workspace` counts the tokens from 0, None is an unknown token. `at` is the clock's time.
    `status` is what was answered, 0 where nothing was. `applied` says that a write has changed
    the workspace, be it later, and whatever was answered. `fault` is what struck it.
    """

    method: str
    path: str
    call: str
    workspace: int | None
    at: float
    raw: bytes = field(repr=False)
    status: int = 0
    applied: bool = False
    fault: Fault | None = None

    @property
    def body(self) -> Any:
        """The parsed body, None where there is none or it is not JSON. It may hold secrets."""
        try:
            return json.loads(self.raw)
        except ValueError:
            return None


class Sandbox:
    """A local Workato; the package's documentation says how it behaves.

    `tokens` are the workspaces, the first one with `profiles` samples. `port` 0 takes a free one.
    `latency` (real seconds) delays every answer. `server_timeout` (seconds) is how long after its
    request a late write may still be carried out, and how long an answer hangs. `privileges`
    limits a token to some of `CALLS`; the others are answered with `denied_status`. With
    `providers`, a payload's provider has to be one of them. `seed` steers the faults' chances.

    Raises UsageError for a bad argument; entering it raises OauthsyncError for a port that is
    taken, and StoreError for a `db` that is no database, or another process's.
    """

    def __init__(
        self,
        tokens: Sequence[str],
        *,
        profiles: int = 0,
        port: int = 0,
        db: Path | None = None,
        requests_per_minute: int = 60,
        latency: float = 0.0,
        server_timeout: float = 40.0,
        faults: Sequence[Fault] = (),
        clock: Clock | None = None,
        privileges: Mapping[str, Collection[str]] | None = None,
        denied_status: int = 403,
        providers: Collection[str] | None = None,
        seed: int = 0,
    ) -> None:
        if profiles < 0 or not 0 <= port <= 65535 or requests_per_minute < 1:
            raise UsageError(
                "a sandbox takes 0 or more profiles, a port from 0 to 65535, "
                "and 1 or more requests per minute"
            )
        self.faults = list(faults)
        self.hook: Callable[[Request], Fault | None] | None = None
        self._clock = clock or SystemClock()
        self._numbers = _numbered(tokens)
        self._granted = _granted(privileges or {}, self._numbers)
        self._denied_status = denied_status
        self._providers = providers
        self._server_timeout = server_timeout
        self._rng = Random(seed)  # noqa: S311 - the faults' chances, to be repeated by the seed
        self._db = db
        self._log: list[Request] = []
        self._state = State(self._clock)
        self.workspaces = [SandboxWorkspace(number, self._state) for number in range(len(tokens))]
        self._quotas = [
            {me: SlidingWindow(requests_per_minute) for me in (False, True)} for _ in tokens
        ]
        self.workspaces[0].fill(profiles)
        self._server = Server(port, self._respond, self._clock.now, latency, server_timeout)

    def __enter__(self) -> "Sandbox":
        try:
            if self._db is not None:
                self._state.attach(Database(self._db), self.workspaces)
            self._server.start()
        except BaseException:
            self._state.detach()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.stop()
        self._state.detach()

    def serve_forever(self, on_ready: Callable[[str], None]) -> None:
        """Serve until KeyboardInterrupt; `on_ready` gets the URL as soon as requests can come."""
        with self:
            try:
                on_ready(self.url)
                self._server.stopping.wait()
            except KeyboardInterrupt:
                return

    @property
    def url(self) -> str:
        """Where it listens, without `/api`; known once it is entered, unless a port was given."""
        return f"http://{HOST}:{self._server.port}"

    @property
    def requests(self) -> list[Request]:
        """The log, oldest first: the list itself, so it can be cleared."""
        self._state.settle()
        return self._log

    def workspace(self, token: str) -> SandboxWorkspace:
        """The workspace of a token; raises KeyError for an unknown one."""
        return self.workspaces[self._numbers[token]]

    # One request: refused, or struck by a fault, or performed.

    def _respond(self, message: Message) -> Reply:
        call = route(message.method, message.target)
        name = call.name if isinstance(call, Call) else ""
        number = self._numbers.get(_bearer(message))
        with self._state.lock:
            now = self._clock.now()
            request = Request(message.method, message.target, name, number, now, message.body)
            self._append(request)
            reply = self._refusal(request, call)
        if reply is None:
            assert isinstance(call, Call)
            reply = self._carry_out(request, call)
        request.status = 0 if reply.delivery in _UNANSWERED else reply.status
        return reply

    def _append(self, request: Request) -> None:
        if len(self._log) >= MAX_LOG:
            del self._log[: MAX_LOG // 2]
        self._log.append(request)

    def _refusal(self, request: Request, call: Call | Reply) -> Reply | None:
        """Why a request is not carried out; where it may be, None, and the quota has counted it."""
        if request.workspace is None:
            return error(401, "Unauthorized")
        if isinstance(call, Reply):
            return call
        quota = self._quota(request)
        wait = quota.wait(request.at)
        if wait > 0:
            return too_many_requests(str(ceil(wait)))
        quota.count(request.at)
        if request.call not in self._granted[request.workspace]:
            return error(self._denied_status, f"The token's role lacks the privilege: {call.name}")
        return None

    def _quota(self, request: Request) -> SlidingWindow:
        assert request.workspace is not None
        return self._quotas[request.workspace][request.call == "me"]

    def _carry_out(self, request: Request, call: Call) -> Reply:
        # Outside the lock: a hook may wait for what another request does.
        fault = self.hook(request) if self.hook is not None else None
        with self._state.lock:
            self._state.settle()
            request.fault = fault or choose(self.faults, request.method, request.call, self._rng)
            if request.fault is None:
                return self._perform(request, call, request.at)
            return self._misbehave(request, call, request.fault)

    def _misbehave(self, request: Request, call: Call, fault: Fault) -> Reply:
        reply = Reply(200, b'{"result":{"success":true}}')  # of which a client sees half at most
        if fault.shape.startswith("429"):
            self._quota(request).forget(request.at)
        if fault.effect == "applied" or request.method == "GET":
            reply = self._perform(request, call, request.at)
        elif fault.effect == "late":
            due = request.at + min(fault.seconds, self._server_timeout)
            self._state.postpone(due, partial(self._perform, request, call))
        return spoil(reply, fault, now=self._clock.now(), url=self.url)

    def _perform(self, request: Request, call: Call, at: float) -> Reply:
        assert request.workspace is not None
        workspace = self.workspaces[request.workspace]
        try:
            reply = perform(
                call,
                request.raw,
                workspace,
                at,
                providers=self._providers,
                page_of_ids=self._page_of_ids(request.fault),
            )
        except StoreError as store_error:
            return error(500, str(store_error))
        request.applied = request.method != "GET" and reply.status == 200
        return reply

    def _page_of_ids(self, fault: Fault | None) -> PageOfIds:
        if fault is None or fault.kind not in LISTING:
            return page_of_ids
        return partial(false_page, fault.kind, self._rng)


def _numbered(tokens: Sequence[str]) -> dict[str, int]:
    numbers = {token: number for number, token in enumerate(tokens)}
    if not tokens or len(numbers) < len(tokens):
        raise UsageError("a sandbox needs at least one token, and each of them once")
    if not all(re.fullmatch("[!-~]+", token) for token in tokens):
        raise UsageError("a sandbox's tokens consist of visible ASCII characters")
    return numbers


def _granted(
    privileges: Mapping[str, Collection[str]], numbers: Mapping[str, int]
) -> list[frozenset[str]]:
    granted = [frozenset(CALLS)] * len(numbers)
    for token, calls in privileges.items():
        if token not in numbers or not set(calls) <= set(CALLS):
            raise UsageError("privileges name a token of the sandbox, and some of its calls")
        granted[numbers[token]] = frozenset(calls)
    return granted


def _bearer(message: Message) -> str:
    scheme, _, token = message.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
