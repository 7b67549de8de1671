"""The sandbox itself: who asks, whether they may, what goes wrong, and what is answered."""

import json
import re
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from oauthsync.clock import Clock, SystemClock
from oauthsync.errors import UsageError
from oauthsync.sandbox.database import Database
from oauthsync.sandbox.faults import CALLS, DEFAULT_DELAYS, LISTING, Fault, choose, false_page
from oauthsync.sandbox.http import HOST, Message, Reply, Server
from oauthsync.sandbox.workspaces import Payload, Refusal, SandboxWorkspace, State

MAX_PAGE = 100
MAX_LOG = 100_000
WINDOW = 60.0
_PROFILES = "/api/custom_oauth_profiles"
_ONE_PROFILE = re.compile(re.escape(_PROFILES) + r"/(\d{1,18})", re.ASCII)
_CALLS_OF_LIST = {"GET": "list", "POST": "create"}
_CALLS_OF_ONE = {"GET": "get", "PUT": "update", "DELETE": "delete"}
_HTML = b"<!DOCTYPE html>\n<html><body><h1>This page is not from Workato</h1></body></html>\n"
_NOTHING_DONE = b'{"result": {"success": true}}'


@dataclass(slots=True)
class Request:
    """A request in the log; `status` and `applied` are filled in when they are known.

    `path` includes the query. `call` is one of `CALLS`, or "" for a path or method that is none.
    `workspace` counts the tokens from 0, None is an unknown token. `at` is the clock's time.
    `status` is what was answered, 0 where nothing was. `applied` says that a write has changed
    the workspace, be it later and whatever was answered.
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


class _Quota:
    """Requests in a sliding window of one minute."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._times: deque[float] = deque()

    def wait(self, now: float) -> float:
        """0 where a request is within the quota now, else the seconds until one is."""
        # A client that waits to the very end of the window is right, for all that its sum and
        # ours may round differently.
        while self._times and self._times[0] <= now - WINDOW + 0.001:
            self._times.popleft()
        return 0.0 if len(self._times) < self._limit else self._times[0] + WINDOW - now

    def count(self, now: float) -> None:
        self._times.append(now)

    def forget(self, at: float) -> None:
        """Take back a count that may have left the window already."""
        if at in self._times:
            self._times.remove(at)


class Sandbox:
    """A local Workato; see the package's documentation.

    `tokens` are the workspaces, the first one with `profiles` samples. `privileges` limits a token
    to some of `CALLS`; others are answered with `denied_status`. With `providers`, any other
    provider in a payload is refused. `latency` is real seconds, `server_timeout` how long after
    its request a write may still be carried out, and how long an answer hangs. `seed` steers the
    faults' chances. Raises UsageError for a bad argument.
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
        self.clock = clock or SystemClock()
        self.faults = list(faults)
        self.hook: Callable[[Request], Fault | None] | None = None
        self.providers = providers
        self._tokens = _checked_tokens(tokens)
        self._granted = _checked_privileges(privileges or {}, self._tokens)
        self._denied_status = denied_status
        self._db = db
        self._server_timeout = server_timeout
        self._rng = Random(seed)  # noqa: S311 - chances of faults, to be repeated by the seed
        self._requests: list[Request] = []
        self._state = State(self.clock)
        self.workspaces = [SandboxWorkspace(number, self._state) for number in range(len(tokens))]
        self._quotas = [
            (_Quota(requests_per_minute), _Quota(requests_per_minute)) for _ in self.workspaces
        ]
        self.workspaces[0].fill(profiles)
        self._server = Server(port, self._respond, self.clock.now, latency, server_timeout)

    # Life

    def __enter__(self) -> "Sandbox":
        if self._db is not None:
            self._open_database(self._db)
        try:
            self._server.start()
        except BaseException:
            self._close_database()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.stop()
        self._close_database()

    def serve_forever(self, on_ready: Callable[[str], None]) -> None:
        """Serve until KeyboardInterrupt; `on_ready` gets the URL as soon as requests can come."""
        with self:
            on_ready(self.url)
            try:
                self._server.stopping.wait()
            except KeyboardInterrupt:
                return

    def _open_database(self, path: Path) -> None:
        database = Database(path)
        content = database.load()
        if content is None:
            database.save(
                self._state.next_id, [row for space in self.workspaces for row in space.rows()]
            )
        else:
            self._state.next_id, rows = content
            for workspace in self.workspaces:
                workspace.load([row for row in rows if row[1] == workspace.number])
        self._state.database = database

    def _close_database(self) -> None:
        if self._state.database is not None:
            self._state.database.close()
            self._state.database = None

    # What a test or a person sees

    @property
    def url(self) -> str:
        """Where it listens, without `/api`; known once it is entered, unless a port was given."""
        return f"http://{HOST}:{self._server.port}"

    @property
    def requests(self) -> list[Request]:
        """The log, oldest first; the list itself, so it can be cleared."""
        self._state.settle()
        return self._requests

    def workspace(self, token: str) -> SandboxWorkspace:
        """The workspace of a token; raises KeyError for an unknown one."""
        return self.workspaces[self._tokens[token]]

    # A request

    def _respond(self, message: Message) -> Reply:
        parts = urlsplit(message.target)
        call, profile_id = _route(message.method, parts.path)
        number = self._tokens.get(_bearer(message))
        request = Request(
            message.method, message.target, call, number, self.clock.now(), message.body
        )
        with self._state.lock:
            self._state.settle()
            self._log(request)
            reply = self._refusal(request, parts.path)
        if reply is None:
            reply = self._carry_out(request, profile_id, dict(parse_qsl(parts.query)))
        request.status = 0 if reply.delivery in ("reset", "close", "hang") else reply.status
        return reply

    def _log(self, request: Request) -> None:
        if len(self._requests) >= MAX_LOG:
            del self._requests[: MAX_LOG // 2]
        self._requests.append(request)

    def _refusal(self, request: Request, path: str) -> Reply | None:
        """The answer to a request that is not even looked at; None if it is, and is counted."""
        if request.workspace is None:
            return _message(401, "Unauthorized")
        if not request.call:
            return _wrong_method(path) or _message(404, "Not found")
        quota = self._quota(request)
        wait = quota.wait(request.at)
        if wait > 0:
            return _too_many(str(ceil(wait)))
        quota.count(request.at)
        if request.call not in self._granted[request.workspace]:
            return _message(self._denied_status, f"No privilege to {request.call}")
        return None

    def _quota(self, request: Request) -> _Quota:
        assert request.workspace is not None
        return self._quotas[request.workspace][request.call == "me"]

    def _carry_out(self, request: Request, profile_id: int, query: dict[str, str]) -> Reply:
        # Outside the lock: a hook may wait for another request.
        fault = self.hook(request) if self.hook is not None else None
        with self._state.lock:
            self._state.settle()
            fault = fault or choose(self.faults, request.method, request.call, self._rng)
            request.fault = fault
            if fault is None:
                return self._perform(request, profile_id, query, request.at, None)
            if fault.shape.startswith("429"):
                self._quota(request).forget(request.at)
            reply = Reply(200, _NOTHING_DONE)
            if fault.effect == "applied" or request.method == "GET":
                reply = self._perform(request, profile_id, query, request.at, fault)
            elif fault.effect == "late":
                delay = min(fault.seconds(DEFAULT_DELAYS["late"]), self._server_timeout)
                self._state.postpone(
                    request.at + delay,
                    lambda due: self._perform(request, profile_id, query, due, None),
                )
            return self._spoil(reply, fault)

    def _perform(
        self,
        request: Request,
        profile_id: int,
        query: dict[str, str],
        at: float,
        fault: Fault | None,
    ) -> Reply:
        assert request.workspace is not None
        workspace = self.workspaces[request.workspace]
        try:
            match request.call:
                case "me":
                    body = json.dumps(_me(workspace)).encode()
                case "list":
                    body = b"[%s]" % workspace.bodies(self._page(workspace.ids, query, fault))
                case "get":
                    body = workspace.get(profile_id).body
                case "create":
                    body = workspace.add(Payload.parse(request.raw, self.providers), at).body
                case "update":
                    workspace.get(profile_id)  # an unknown id is 404, whatever the payload
                    payload = Payload.parse(request.raw, self.providers)
                    body = workspace.replace(profile_id, payload, at).body
                case _:
                    workspace.remove(profile_id)
                    body = b'{"success":true}'
        except KeyError:
            return _message(404, "Not found")
        except Refusal as refusal:
            return _json(refusal.status, refusal.answer)
        request.applied = request.method != "GET"
        return Reply(200, body if request.call == "me" else b'{"result":%s}' % body)

    def _page(self, ids: list[int], query: dict[str, str], fault: Fault | None) -> list[int]:
        page = _positive(query, "page", 1)
        per_page = min(_positive(query, "per_page", MAX_PAGE), MAX_PAGE)
        if fault is not None and fault.kind in LISTING:
            return false_page(fault.kind, ids, page, per_page, self._rng)
        return ids[(page - 1) * per_page : page * per_page]

    def _spoil(self, reply: Reply, fault: Fault) -> Reply:
        """The answer under a fault, given what would have been answered without one."""
        match fault.shape:
            case "reset" | "close" | "truncate" | "hang" as delivery:
                return Reply(reply.status, reply.body, delivery=delivery)
            case "drip":
                pause = fault.seconds(DEFAULT_DELAYS["drip"])
                return Reply(reply.status, reply.body, delivery="drip", pause=pause)
            case "half-json":
                return Reply(200, reply.body[: len(reply.body) // 2])
            case "html":
                return Reply(200, _HTML, content_type="text/html")
            case "502" | "503" | "504" as status:
                return Reply(int(status), _HTML, content_type="text/html")
            case "500":
                return _message(500, "Internal server error")
            case "429":
                return _too_many(str(ceil(fault.seconds(1))))
            case "429-date":
                from email.utils import formatdate

                at = ceil(self.clock.now() + fault.seconds(1))
                return _too_many(formatdate(at, usegmt=True))
            case "429-bare":
                return _message(429, "Too many requests")
            case "refused":
                return _json(200, {"success": False, "errors": {"base": ["Not done"]}})
            case "errors-list":
                return _json(422, {"errors": [{"code": "invalid", "title": "Not done"}]})
            case "redirect":
                location = ("Location", f"{self.url}/redirected")
                return Reply(302, b"{}", (location,))
            case _:
                return reply


def _checked_tokens(tokens: Sequence[str]) -> dict[str, int]:
    numbers = {token: number for number, token in enumerate(tokens)}
    if not tokens or len(numbers) < len(tokens):
        raise UsageError("a sandbox needs at least one token, and each of them once")
    if not all(token.isascii() and token.isprintable() and token.strip() for token in tokens):
        raise UsageError("a sandbox's tokens consist of visible ASCII characters")
    return numbers


def _checked_privileges(
    privileges: Mapping[str, Collection[str]], tokens: Mapping[str, int]
) -> list[frozenset[str]]:
    granted = [frozenset(CALLS)] * len(tokens)
    for token, calls in privileges.items():
        if token not in tokens or not set(calls) <= set(CALLS):
            raise UsageError("privileges name a token of the sandbox and some of its calls")
        granted[tokens[token]] = frozenset(calls)
    return granted


def _bearer(message: Message) -> str:
    scheme, _, token = message.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _route(method: str, path: str) -> tuple[str, int]:
    """The call, "" for none, and the profile's id where the path has one."""
    if path == "/api/users/me":
        return ("me" if method == "GET" else ""), 0
    if path == _PROFILES:
        return _CALLS_OF_LIST.get(method, ""), 0
    if match := _ONE_PROFILE.fullmatch(path):
        return _CALLS_OF_ONE.get(method, ""), int(match[1])
    return "", 0


def _wrong_method(path: str) -> Reply | None:
    allowed = [method for method in ("GET", "POST", "PUT", "DELETE") if _route(method, path)[0]]
    if not allowed:
        return None
    reply = _message(405, "Method not allowed")
    return Reply(405, reply.body, (("Allow", ", ".join(allowed)),))


def _positive(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0):
        raise Refusal(400, {"message": f"{name} is not a positive integer"})
    return int(text)


def _me(workspace: SandboxWorkspace) -> dict[str, object]:
    return {
        "id": workspace.user_id,
        "name": f"Sandbox workspace {workspace.number + 1}",
        "created_at": "2022-01-04T09:00:00.000-07:00",
        "plan_id": "sandbox",
        "current_billing_period_start": "2026-11-01T00:00:00.000-07:00",
        "recipes_count": 0,
        "company_name": "Sandbox",
    }


def _json(status: int, answer: Mapping[str, object]) -> Reply:
    return Reply(status, json.dumps(answer, ensure_ascii=False).encode())


def _message(status: int, text: str) -> Reply:
    return _json(status, {"message": text})


def _too_many(retry_after: str) -> Reply:
    headers = (("Retry-After", retry_after), ("X-Rate-Limit-Remaining", "0"))
    return Reply(429, b'{"message": "Too many requests"}', headers)
