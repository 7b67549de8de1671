"""The five calls and the identity, within the quota, against a sandbox and against worse."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from oauthsync import api as api_module
from oauthsync.api import ATTEMPTS, READS_REPEAT, WRITES_REPEAT, Api, Payload
from oauthsync.clock import SleepInterruptedError
from oauthsync.errors import (
    ApiError,
    AuthenticationError,
    NotSentError,
    RateLimitedError,
    RefusedError,
    UnknownOutcomeError,
    UsageError,
)
from oauthsync.events import Event, Waiting
from oauthsync.quota import Quota
from oauthsync.sandbox import Fault, Sandbox
from oauthsync.secret import Secret
from oauthsync.strictjson import Fraction
from tests import leaks
from tests.clock import FakeClock
from tests.wire import Wire, answer, reset

TOKEN = "canary-token"
SECRET = 'canary-"secret"'
PAYLOAD = Payload(
    name="Acme",
    provider="slack",
    client_id="client",
    client_secret=Secret(SECRET),
    token=Secret("canary-verification"),
    data={"client_id": "another", "scopes": ["a"], "version": Fraction("1.0")},
)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def sandbox(clock: FakeClock) -> Iterator[Sandbox]:
    with Sandbox([TOKEN, "other"], profiles=250, clock=clock) as sandbox:
        yield sandbox


Connect = Callable[..., Api]


@pytest.fixture
def connect(clock: FakeClock, events: list[Event], tmp_path: Path) -> Iterator[Connect]:
    with contextlib.ExitStack() as stack:

        def connect(url: str, token: str = TOKEN, limit: int = 60, **options: Any) -> Api:
            quota = Quota(tmp_path / f"quota-{token}", requests_per_minute=limit, clock=clock)
            stack.callback(quota.close)
            api = Api(
                "dev", url, Secret(token), quota, clock=clock, listener=events.append, **options
            )
            return stack.enter_context(api)

        yield connect


@pytest.fixture
def api(sandbox: Sandbox, connect: Connect) -> Api:
    return connect(sandbox.url)


def waited(events: list[Event], reason: str) -> list[float]:
    return [e.seconds for e in events if isinstance(e, Waiting) and e.reason == reason]


# --- the calls ----------------------------------------------------------------------------------


def test_a_page_holds_the_profiles_as_the_api_sent_them(api: Api, sandbox: Sandbox) -> None:
    pages = [api.page(number) for number in (1, 2, 3, 4)]
    assert [len(page.profiles) for page in pages] == [100, 100, 50, 0]
    assert [page.is_full for page in pages] == [True, True, False, False]
    found = [profile for page in pages for profile in page.profiles]
    stored = sandbox.workspace(TOKEN).profiles
    assert [profile.id for profile in found] == sorted(stored)
    assert [profile.name for profile in found] == [
        stored[profile.id].document["name"] for profile in found
    ]
    assert [request.path for request in sandbox.requests][:2] == [
        "/api/custom_oauth_profiles?page=1&per_page=100",
        "/api/custom_oauth_profiles?page=2&per_page=100",
    ]


def test_a_page_with_the_same_bytes_is_the_page_that_was_known(api: Api, sandbox: Sandbox) -> None:
    known = api.page(1)
    assert api.page(1, known=known) is known
    changed = known.profiles[7].id
    sandbox.workspace(TOKEN).update(changed, name="Changed")
    again = api.page(1, known=known)
    assert [p.name for p in again.profiles if p.id == changed] == ["Changed"]
    assert again.fingerprint != known.fingerprint


def test_get_gives_one_profile_or_a_404(api: Api) -> None:
    first = api.page(1).profiles[0]
    assert api.get(first.id) == first
    with pytest.raises(RefusedError, match="404: Not found") as caught:
        api.get(1)
    assert caught.value.status == 404


def test_an_answer_about_another_profile_is_no_answer(api: Api, sandbox: Sandbox) -> None:
    """What is looked at before it is deleted is to be the same."""
    first, second = api.page(1).profiles[:2]
    sandbox.workspaces[0].set_document(first.id, second.document.decode())
    with pytest.raises(UnknownOutcomeError, match=f"asked for profile {first.id}"):
        api.get(first.id)


def test_identity_gives_the_workspace(api: Api) -> None:
    assert api.identity()["name"] == "Sandbox workspace 1"


def test_create_sends_the_payload_with_the_secrets_and_gives_the_new_profile(
    api: Api, sandbox: Sandbox
) -> None:
    created = api.create(PAYLOAD)
    assert created.key == ("slack", "Acme", "client")
    assert created.data == {"client_id": "client", "scopes": ["a"], "version": Fraction("1.0")}
    stored = sandbox.workspace(TOKEN).profiles[created.id]
    assert stored.client_secret == Secret(SECRET)
    assert stored.token == Secret("canary-verification")
    assert sandbox.requests[-1].body["data"] == {
        "client_id": "client",
        "client_secret": SECRET,
        "token": "canary-verification",
        "scopes": ["a"],
        "version": 1.0,
    }
    assert b'"version":1.0' in sandbox.requests[-1].raw


def test_update_replaces_a_profile(api: Api, sandbox: Sandbox) -> None:
    profile_id = api.page(1).profiles[0].id
    updated = api.update(profile_id, PAYLOAD)
    assert (updated.id, updated.key) == (profile_id, ("slack", "Acme", "client"))
    assert sandbox.workspace(TOKEN).profiles[profile_id].client_secret == Secret(SECRET)


def test_delete_deletes_a_profile(api: Api, sandbox: Sandbox) -> None:
    profile_id = api.page(1).profiles[0].id
    api.delete(profile_id)
    assert profile_id not in sandbox.workspace(TOKEN).profiles
    with pytest.raises(RefusedError) as caught:
        api.delete(profile_id)
    assert caught.value.status == 404


CALLS: dict[str, Callable[[Api], object]] = {
    "list": lambda api: api.page(1),
    "get": lambda api: api.get(100_001),
    "me": lambda api: api.identity(),
    "create": lambda api: api.create(PAYLOAD),
    "update": lambda api: api.update(100_001, PAYLOAD),
    "delete": lambda api: api.delete(100_001),
}
READS = ["list", "get", "me"]
WRITES = ["create", "update", "delete"]


@pytest.mark.parametrize("call", CALLS)
def test_each_call_is_one_request_and_counted(call: str, api: Api, sandbox: Sandbox) -> None:
    CALLS[call](api)
    assert [request.call for request in sandbox.requests] == [call]
    assert api.requests == 1
    assert api.server_date is not None


@pytest.mark.parametrize("call", CALLS)
def test_a_wrong_token_names_every_cause(call: str, sandbox: Sandbox, connect: Connect) -> None:
    wrong = "wrong-canary"
    with pytest.raises(AuthenticationError, match="401: Unauthorized") as caught:
        CALLS[call](connect(sandbox.url, wrong))
    for cause in ("token", "region", "role", "environment", "IP list"):
        assert cause in (caught.value.hint or "")
    assert wrong not in leaks.shown(caught.value)
    assert len(sandbox.requests) == 1


def test_a_missing_privilege_is_an_authentication_error(clock: FakeClock, connect: Connect) -> None:
    with Sandbox([TOKEN], profiles=1, privileges={TOKEN: ["list"]}, clock=clock) as sandbox:
        api = connect(sandbox.url)
        assert len(api.page(1).profiles) == 1
        with pytest.raises(AuthenticationError, match=r"403: .*privilege.* create"):
            api.create(PAYLOAD)
        with pytest.raises(AuthenticationError, match="403"):
            api.identity()


def test_a_payload_that_is_refused_says_why(clock: FakeClock, connect: Connect) -> None:
    with Sandbox([TOKEN], providers=["hubspot"], clock=clock) as sandbox:
        with pytest.raises(RefusedError, match="400: provider is not included in the list"):
            connect(sandbox.url).create(PAYLOAD)
        assert sandbox.workspace(TOKEN).profiles == {}


@pytest.mark.parametrize("call", WRITES)
def test_success_false_is_a_refusal(call: str, api: Api, sandbox: Sandbox) -> None:
    sandbox.faults = [Fault("refused")]
    with pytest.raises(RefusedError, match="Not done") as caught:
        CALLS[call](api)
    assert caught.value.status == 200
    assert len(sandbox.workspace(TOKEN).profiles) == 250


@pytest.mark.parametrize("call", CALLS)
def test_a_redirect_is_refused_and_shown(call: str, api: Api, sandbox: Sandbox) -> None:
    sandbox.faults = [Fault("redirect")]
    with pytest.raises(ApiError, match=f"redirected to {sandbox.url}/redirected"):
        CALLS[call](api)
    assert [request.call for request in sandbox.requests] == [call]


# --- writes whose outcome is unknown ------------------------------------------------------------

BROKEN = ["reset", "close", "truncate", "half-json", "html", "500", "502", "503", "504"]


@pytest.mark.parametrize("call", WRITES)
@pytest.mark.parametrize("kind", [*BROKEN, *(f"{kind}-after-apply" for kind in BROKEN)])
def test_a_write_without_a_usable_answer_is_unknown_and_not_repeated(
    call: str, kind: str, api: Api, sandbox: Sandbox
) -> None:
    sandbox.faults = [Fault(kind)]
    with pytest.raises(UnknownOutcomeError) as caught:
        CALLS[call](api)
    assert [request.call for request in sandbox.requests] == [call]
    assert sandbox.requests[0].applied == kind.endswith("-after-apply")
    shown = leaks.shown(caught.value)
    assert TOKEN not in shown
    assert SECRET not in shown
    assert "0x" not in str(caught.value)


def test_our_own_timeout_is_longer_than_the_servers(
    clock: FakeClock, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_module, "PATIENCE", 0.1)
    silent = threading.Event()

    def hang(connection: socket.socket) -> None:
        connection.recv(1)
        silent.set()

    with Wire(hang) as wire:
        api = connect(wire.url, server_timeout=0.1)
        with pytest.raises(UnknownOutcomeError, match="to a POST request: timed out"):
            api.create(PAYLOAD)
        assert silent.wait(5)


# --- reads are repeated -------------------------------------------------------------------------


@pytest.mark.parametrize("call", READS)
@pytest.mark.parametrize("kind", [*BROKEN, "429", "429-date", "429-bare"])
def test_a_read_is_repeated_until_it_is_answered(
    call: str, kind: str, api: Api, sandbox: Sandbox
) -> None:
    wanted = CALLS[call](api)
    sandbox.requests.clear()
    sandbox.faults = [Fault(kind, times=3)]
    assert CALLS[call](api) == wanted
    assert len(sandbox.requests) == 4


@pytest.mark.parametrize("call", READS)
def test_a_read_is_given_up_after_six_attempts_with_growing_pauses(
    call: str, api: Api, sandbox: Sandbox, clock: FakeClock, events: list[Event]
) -> None:
    sandbox.faults = [Fault("500")]
    with pytest.raises(UnknownOutcomeError, match="500: Internal server error"):
        CALLS[call](api)
    assert len(sandbox.requests) == ATTEMPTS == 6
    pauses = waited(events, "retry")
    assert pauses == clock.slept
    for pause, least in zip(pauses, (0.5, 1, 2, 4, 8), strict=True):
        assert least <= pause <= least + 0.5


@pytest.mark.parametrize("call", READS)
def test_a_refused_connection_is_tried_again(call: str, connect: Connect, clock: FakeClock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    api = connect(url)
    with pytest.raises(NotSentError, match=f"^cannot connect to {url}: Connection refused$"):
        CALLS[call](api)
    assert len(clock.slept) == ATTEMPTS - 1
    assert api.requests == 0


def test_a_refused_read_is_not_repeated(api: Api, sandbox: Sandbox) -> None:
    with pytest.raises(RefusedError):
        api.get(1)
    assert len(sandbox.requests) == 1


def test_nothing_sleeps_on_after_an_interruption(
    api: Api, sandbox: Sandbox, clock: FakeClock
) -> None:
    sandbox.faults = [Fault("500", times=1)]
    clock.interrupt()
    with pytest.raises(SleepInterruptedError):
        api.page(1)
    assert len(sandbox.requests) == 1
    assert api.page(1).is_full


def test_a_policy_without_its_errors_does_not_repeat(api: Api) -> None:
    tries = []
    with pytest.raises(UnknownOutcomeError):  # noqa: PT012 - the loop is what is tested
        for attempt in api.repeating(WRITES_REPEAT):
            with attempt:
                tries.append(1)
                raise UnknownOutcomeError("x")
    assert len(tries) == 1


def test_attempts_are_bounded_in_time(api: Api, clock: FakeClock) -> None:
    tries = []
    with pytest.raises(NotSentError):  # noqa: PT012 - the loop is what is tested
        for attempt in api.repeating(READS_REPEAT):
            with attempt:
                tries.append(1)
                clock.sleep(400)
                raise NotSentError("x")
    assert len(tries) == 2


# --- the quota ----------------------------------------------------------------------------------


def test_the_budget_is_kept_and_waiting_for_it_is_told(
    sandbox: Sandbox, connect: Connect, clock: FakeClock, events: list[Event]
) -> None:
    api = connect(sandbox.url)
    began = clock.now()
    for _ in range(60):
        api.page(3)
    assert (clock.now(), api.throttled) == (began, False)
    api.page(3)
    assert clock.now() == pytest.approx(began + 60)
    assert api.throttled
    assert sum(waited(events, "quota")) == pytest.approx(60)
    assert {request.status for request in sandbox.requests} == {200}


@pytest.mark.parametrize("kind", ["429", "429-date", "429-bare"])
@pytest.mark.parametrize("call", WRITES)
def test_a_429_of_a_write_is_told_and_closes_the_quota(
    call: str, kind: str, api: Api, sandbox: Sandbox, clock: FakeClock
) -> None:
    sandbox.faults = [Fault(kind, times=1, delay=7.0)]
    began = clock.now()
    with pytest.raises(RateLimitedError, match="over the quota") as caught:
        CALLS[call](api)
    assert caught.value.retry_after == (None if kind == "429-bare" else 7.0)
    assert len(sandbox.requests) == 1
    CALLS[call](api)
    assert clock.now() - began == pytest.approx(2.0 if kind == "429-bare" else 7.0, abs=1)


def test_many_429s_cost_time_and_no_failure(api: Api, sandbox: Sandbox, clock: FakeClock) -> None:
    sandbox.faults = [Fault("429-bare", times=12)]
    began = clock.now()
    assert api.page(1).is_full
    assert len(sandbox.requests) == 13
    assert 120 < clock.now() - began < 600


def test_429s_without_end_are_given_up(api: Api, sandbox: Sandbox, clock: FakeClock) -> None:
    sandbox.faults = [Fault("429-bare")]
    began = clock.now()
    with pytest.raises(RateLimitedError, match="over the quota"):
        api.page(1)
    assert 600 <= clock.now() - began <= 700


def test_a_429_among_failures_is_no_failure(api: Api, sandbox: Sandbox) -> None:
    sandbox.faults = [Fault("500", times=3), Fault("429", times=3), Fault("500", times=2)]
    assert api.page(1).is_full
    assert len(sandbox.requests) == 9


@pytest.mark.parametrize("seconds", ["601", "86400", "9" * 400])
def test_a_pause_beyond_all_patience_is_not_waited_for(
    seconds: str, connect: Connect, clock: FakeClock
) -> None:
    began = clock.now()
    with Wire(answer(429, b"", {"Retry-After": seconds})) as wire:
        api = connect(wire.url)
        with pytest.raises(RateLimitedError, match="asked for a pause of"):
            api.page(1)
        # Nor by whoever comes next, in this process or in another.
        for call in CALLS.values():
            with pytest.raises(RateLimitedError, match="asked for a pause of its quota"):
                call(connect(wire.url))
        assert len(wire.requests) == 1
    assert clock.now() == began


def test_what_was_not_sent_takes_nothing_from_the_budget(
    sandbox: Sandbox, connect: Connect, clock: FakeClock
) -> None:
    def refuse() -> None:
        raise RuntimeError("the journal is full")

    api = connect(sandbox.url, limit=3)
    for _ in range(3):
        with pytest.raises(RuntimeError, match="the journal is full"):
            api.create(PAYLOAD, before=refuse)
    assert (api.requests, sandbox.requests) == (0, [])
    began = clock.now()
    api.page(1)
    assert clock.now() == began


def test_what_may_still_arrive_keeps_its_slot_for_its_lease(
    sandbox: Sandbox, connect: Connect, clock: FakeClock
) -> None:
    api = connect(sandbox.url, limit=1)
    sandbox.faults = [Fault("close", times=1)]
    began = clock.now()
    with pytest.raises(UnknownOutcomeError):
        api.create(PAYLOAD)
    api.page(1)
    assert clock.now() - began == pytest.approx(120)


# --- `before` -----------------------------------------------------------------------------------


@pytest.mark.parametrize("call", WRITES)
def test_before_runs_after_the_quotas_wait_and_before_the_request(
    call: str, sandbox: Sandbox, connect: Connect, clock: FakeClock
) -> None:
    api = connect(sandbox.url, limit=1)
    api.page(1)
    began = clock.now()
    seen: list[tuple[float, int]] = []

    def before() -> None:
        seen.append((clock.now() - began, len(sandbox.requests)))

    match call:
        case "create":
            api.create(PAYLOAD, before=before)
        case "update":
            api.update(100_001, PAYLOAD, before=before)
        case _:
            api.delete(100_001, before=before)
    [(at, sent)] = seen
    assert at == pytest.approx(60)
    assert sent == 1


def test_before_does_not_run_where_no_connection_stands(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    called: list[bool] = []
    with pytest.raises(NotSentError):
        connect(url).create(PAYLOAD, before=lambda: called.append(True))
    assert not called


def test_a_payload_that_cannot_be_sent_is_refused_before_anything_else(
    api: Api, sandbox: Sandbox
) -> None:
    called: list[bool] = []
    bad = Payload("Acme \udcff", "slack", "c", Secret(SECRET))
    with pytest.raises(UsageError, match="a lone surrogate") as caught:
        api.create(bad, before=lambda: called.append(True))
    assert not called
    assert sandbox.requests == []
    assert SECRET not in leaks.shown(caught.value)


# --- leaks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 422, 429, 500])
@pytest.mark.parametrize("call", WRITES)
def test_a_server_that_repeats_token_and_secrets_is_not_quoted(
    call: str, status: int, connect: Connect
) -> None:
    echo = (
        '{"success": false, "message": "bad canary-token", "errors": ["canary-\\"secret\\"",'
        ' "canary-\\\\\\"secret\\\\\\"", {"canary-verification": "canary-token"}]}'
    )
    wire = Wire(answer(status, echo.encode(), {"Location": "http://x/canary-token"}))
    with wire, pytest.raises(ApiError) as caught:
        CALLS[call](connect(wire.url))
    shown = leaks.shown(caught.value)
    assert "[masked]" in str(caught.value)
    for part in ("canary-token", "verification" * (call != "delete") or "-token"):
        assert part not in shown
    if call != "delete":
        assert 'secret"' not in shown
        assert 'secret\\"' not in shown


def test_no_object_shows_its_secrets(api: Api) -> None:
    shown = repr((api, vars(api), vars(api._transport), PAYLOAD, PAYLOAD.secrets()))
    assert "canary" not in shown.replace("canary-token@", "")


# --- hostile answers, end to end ----------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"<!DOCTYPE html><p>Sign in",
        b'{"result": [{"id": 1',
        b'{"result": {}}',
        b'{"result": [{"id": "1", "name": "a", "provider": "b"}]}',
        b'{"result": [{"id": 1, "id": 2, "name": "a", "provider": "b"}]}',
        b'{"result": [NaN]}',
        b'{"result": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"result": [{"id": 1, "name": "\\ud800", "provider": "b"}]}',
        b'{"result": [{"id": ' + b"9" * 5000 + b', "name": "a", "provider": "b"}]}',
        b'{"result": [' + b",".join([b'{"id":1,"name":"","provider":""}'] * 10_000) + b"]}",
    ],
)
def test_what_is_no_list_is_an_error_and_no_page(body: bytes, connect: Connect) -> None:
    with Wire(answer(200, body)) as wire:
        with pytest.raises(UnknownOutcomeError, match=r"^the API"):
            connect(wire.url).page(1)
        assert len(wire.requests) == ATTEMPTS


@pytest.mark.parametrize("call", WRITES)
def test_a_reset_write_says_so(call: str, connect: Connect) -> None:
    with Wire(reset) as wire:
        with pytest.raises(UnknownOutcomeError, match="Connection reset by peer"):
            CALLS[call](connect(wire.url))
        assert len(wire.requests) == 1
