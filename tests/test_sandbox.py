"""The sandbox answers as the API's documentation says, over real sockets."""

import hashlib
import json
import signal
import socket
import sqlite3
import stat
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
import requests
from hypothesis import example, given
from hypothesis import strategies as st

from oauthsync.errors import OauthsyncError, StoreError, UsageError
from oauthsync.sandbox import CALLS, Fault, Request, Sandbox, rawjson, server
from oauthsync.sandbox.http import MAX_BODY, MAX_HEAD
from oauthsync.sandbox.quota import WINDOW, SlidingWindow
from oauthsync.sandbox.samples import samples
from oauthsync.secret import Secret
from tests.clock import FakeClock
from tests.sandbox_client import (
    PROFILES,
    TIMEOUT,
    address,
    call,
    exchange,
    parse,
    payload,
    request_bytes,
)

ODD_NUMBERS = '{"a":1e400,"b":-0.0,"c":1.0,"d":123456789012345678901234567890,"e":2.50E+3,"f":[7]}'


# The five calls, and the workspace


def test_a_created_profile_is_returned_listed_and_got_the_same() -> None:
    with Sandbox(["a"], clock=FakeClock()) as sandbox:
        created = call(sandbox, "POST", PROFILES, payload()).result
        assert created == {
            "id": created["id"],
            "user_id": sandbox.workspace("a").user_id,
            "name": "Acme HubSpot",
            "provider": "hubspot",
            "data": {"client_id": "an-app"},
            "shared_accounts_count": 0,
            "oem_customers_count": 0,
            "created_at": "2026-11-23T03:00:00.000-07:00",
            "updated_at": "2026-11-23T03:00:00.000-07:00",
        }
        assert call(sandbox, "GET", f"{PROFILES}/{created['id']}").result == created
        assert call(sandbox, "GET", PROFILES).result == [created]


def test_an_update_replaces_name_provider_data_and_secrets() -> None:
    clock = FakeClock()
    with Sandbox(["a"], clock=clock) as sandbox:
        workspace = sandbox.workspace("a")
        before = workspace.create("slack", "old", "x", token="t", data={"k": 1}, oem=9)
        clock.sleep(60)
        body = payload("new", "hubspot", client_secret="rotated")
        updated = call(sandbox, "PUT", f"{PROFILES}/{before.id}", body).result
        assert updated == before.document | {
            "name": "new",
            "provider": "hubspot",
            "data": {"client_id": "an-app"},
            "updated_at": "2026-11-23T03:01:00.000-07:00",
        }
        stored = workspace.profiles[before.id]
        assert (stored.document, stored.client_secret) == (updated, Secret("rotated"))
        assert stored.token is None


def test_a_deleted_profile_is_gone_and_its_id_is_never_used_again() -> None:
    with Sandbox(["a", "b"]) as sandbox:
        first = call(sandbox, "POST", PROFILES, payload()).result["id"]
        answer = call(sandbox, "DELETE", f"{PROFILES}/{first}")
        assert (answer.status, answer.result) == (200, {"success": True})
        assert call(sandbox, "DELETE", f"{PROFILES}/{first}").status == 404
        assert call(sandbox, "GET", PROFILES).result == []
        ids = [call(sandbox, "POST", PROFILES, payload(), token=t).result["id"] for t in "aba"]
        assert len({first, *ids}) == 4


def test_every_token_is_a_workspace_of_its_own_and_only_the_first_has_samples() -> None:
    with Sandbox(["a", "b"], profiles=3) as sandbox:
        assert len(call(sandbox, "GET", PROFILES, token="a").result) == 3
        assert call(sandbox, "GET", PROFILES, token="b").result == []
        profile_id = next(iter(sandbox.workspace("a").profiles))
        assert call(sandbox, "GET", f"{PROFILES}/{profile_id}", token="b").status == 404
        me = [call(sandbox, "GET", "/api/users/me", token=token).json for token in "ab"]
        assert [answer["id"] for answer in me] == [
            sandbox.workspace("a").user_id,
            sandbox.workspace("b").user_id,
        ]
        assert me[0]["id"] != me[1]["id"]
        assert {"name", "created_at", "plan_id"} <= me[0].keys()


def test_pages_begin_at_1_and_hold_at_most_100_profiles() -> None:
    with Sandbox(["a"], profiles=230) as sandbox:
        ids = list(sandbox.workspace("a").profiles)

        def page(query: str) -> list[int]:
            return [row["id"] for row in call(sandbox, "GET", PROFILES + query).result]

        assert page("") == page("?page=1&per_page=100") == page("?per_page=1000") == ids[:100]
        assert page("?page=3") == ids[200:]
        assert page("?page=4") == []
        assert page("?page=2&per_page=7") == ids[7:14]


@pytest.mark.parametrize(
    "query", ["page=0", "page=-1", "page=x", "page=", "per_page=0", "page=" + "9" * 20]
)
def test_a_page_that_is_no_positive_integer_is_refused(query: str) -> None:
    with Sandbox(["a"], profiles=1) as sandbox:
        assert call(sandbox, "GET", f"{PROFILES}?{query}").status == 400


def test_secrets_are_stored_and_never_returned() -> None:
    with Sandbox(["a"], profiles=30) as sandbox:
        body = payload(provider="slack", token="token-canary")
        answers = [call(sandbox, "POST", PROFILES, body)]
        profile_id = answers[0].result["id"]
        answers.append(call(sandbox, "PUT", f"{PROFILES}/{profile_id}", body))
        answers.append(call(sandbox, "GET", f"{PROFILES}/{profile_id}"))
        answers.append(call(sandbox, "GET", PROFILES))
        answers.append(call(sandbox, "PUT", f"{PROFILES}/{profile_id}", body[:-1]))
        stored = sandbox.workspace("a").profiles
        assert stored[profile_id].client_secret == Secret("s3cret-canary")
        assert stored[profile_id].token == Secret("token-canary")
        seen = b"".join(answer.body for answer in answers)
        assert b"canary" not in seen
        assert b"client_secret" not in seen
        for profile in stored.values():
            assert profile.client_secret.reveal().encode() not in seen
        assert "canary" not in repr(sandbox.requests) + repr(stored)


def test_unknown_members_of_data_are_kept_with_their_numbers_as_sent() -> None:
    with Sandbox(["a"]) as sandbox:
        raw = f'{{"name":"n","provider":"p","data":{{"client_id":"c","client_secret":"s",\
               "odd":{ODD_NUMBERS},"text":"\\ud800 \\u00e9 日本 🚀"}}}}'
        created = call(sandbox, "POST", PROFILES, raw.encode())
        profile_id = sandbox.workspace("a").ids[0]
        expected = f'"data":{{"client_id":"c","odd":{ODD_NUMBERS},"text":"\\ud800 é 日本 🚀"}}'
        assert expected.encode() in created.body
        for path in (PROFILES, f"{PROFILES}/{profile_id}"):
            assert expected.encode() in call(sandbox, "GET", path).body
        sandbox.workspace("a").update(profile_id, name="by hand")
        assert expected.encode() in call(sandbox, "GET", PROFILES).body


@given(
    st.from_regex(r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,4})?", fullmatch=True)
)
def test_a_number_is_encoded_as_it_was_written(number: str) -> None:
    text = f'{{"a":[{number},{{"b":{number}}}]}}'.encode()
    assert rawjson.encode(rawjson.parse(text)) == text


# Refusals


@pytest.mark.parametrize(
    ("body", "status", "answer"),
    [
        (b"", 400, "message"),
        (b"{", 400, "message"),
        (b"\xff\xfe\xfd", 400, "message"),
        (b"[]", 400, "message"),
        (payload(extra=float("nan")), 400, "message"),
        (b'{"data":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400, "message"),
        (payload(name=""), 400, "errors"),
        (b'{"name":"n","provider":"p"}', 400, "errors"),
        (payload(client_id=""), 400, "errors"),
        (payload(client_secret=None), 400, "errors"),
        (b'{"name":"n","provider":"p","data":"client_id"}', 422, "message"),
        (payload(client_secret=12), 422, "message"),
        (payload(client_id=["x"]), 422, "message"),
        (payload(token=[]), 422, "message"),
    ],
)
def test_a_bad_payload_is_refused_and_changes_nothing(
    body: bytes, status: int, answer: str
) -> None:
    with Sandbox(["a"], profiles=1) as sandbox:
        before = sandbox.workspace("a").profiles
        for method, path in (("POST", PROFILES), ("PUT", f"{PROFILES}/{next(iter(before))}")):
            refused = call(sandbox, method, path, body)
            assert refused.status == status
            assert list(refused.json) == [answer]
        assert sandbox.workspace("a").profiles == before
        assert not any(request.applied for request in sandbox.requests)


def test_an_update_without_the_secret_names_what_is_missing() -> None:
    with Sandbox(["a"], profiles=1) as sandbox:
        path = f"{PROFILES}/{sandbox.workspace('a').ids[0]}"
        body = b'{"name":"n","provider":"p","data":{"client_id":"c"}}'
        answer = call(sandbox, "PUT", path, body)
        assert answer.json == {"errors": {"data.client_secret": ["can't be blank"]}}


def test_a_provider_outside_the_list_is_refused_where_there_is_a_list() -> None:
    with Sandbox(["a"], providers=["hubspot"]) as sandbox:
        answer = call(sandbox, "POST", PROFILES, payload(provider="nope"))
        assert answer.status == 400
        assert answer.json == {"errors": {"provider": ["is not included in the list"]}}
        assert call(sandbox, "POST", PROFILES, payload()).status == 200


@pytest.mark.parametrize(
    "header", ["", "Authorization: Bearer b\r\n", "Authorization: Basic a\r\n"]
)
def test_an_unknown_token_is_401(header: str) -> None:
    with Sandbox(["a"]) as sandbox:
        sent = f"GET {PROFILES} HTTP/1.1\r\n{header}Connection: close\r\n\r\n"
        answer = parse(exchange(sandbox, sent.encode()))
        assert (answer.status, list(answer.json)) == (401, ["message"])
        assert [request.workspace for request in sandbox.requests] == [None]


@pytest.mark.parametrize(
    "path",
    ["/", "/api", "/api/recipes", PROFILES + "/", PROFILES + "/x", PROFILES + "/1", "//[", "x"],
)
def test_an_unknown_id_or_path_is_404(path: str) -> None:
    with Sandbox(["a"]) as sandbox:
        answer = call(sandbox, "GET", path)
        assert (answer.status, answer.json) == (404, {"message": "Not found"})
        assert answer.headers["content-type"] == "application/json; charset=utf-8"


def test_a_method_that_a_path_does_not_take_is_405_with_those_it_takes() -> None:
    with Sandbox(["a"], profiles=1) as sandbox:
        allowed = {
            "/api/users/me": "GET",
            PROFILES: "GET, POST",
            f"{PROFILES}/{sandbox.workspace('a').ids[0]}": "GET, PUT, DELETE",
        }
        for path, methods in allowed.items():
            answer = call(sandbox, "PATCH", path)
            assert (answer.status, answer.headers["allow"]) == (405, methods)
        assert len(sandbox.workspace("a").profiles) == 1


@pytest.mark.parametrize("denied_status", [401, 403])
@pytest.mark.parametrize("granted", CALLS)
def test_a_token_can_do_only_what_it_is_granted(granted: str, denied_status: int) -> None:
    privileges = {"a": {granted}}
    with Sandbox(["a"], profiles=1, privileges=privileges, denied_status=denied_status) as sandbox:
        one = f"{PROFILES}/{sandbox.workspace('a').ids[0]}"
        answers = {
            "list": call(sandbox, "GET", PROFILES),
            "get": call(sandbox, "GET", one),
            "create": call(sandbox, "POST", PROFILES, payload()),
            "update": call(sandbox, "PUT", one, payload()),
            "delete": call(sandbox, "DELETE", one),
            "me": call(sandbox, "GET", "/api/users/me"),
        }
        assert {name for name, answer in answers.items() if answer.status == 200} == {granted}
        assert {answer.status for answer in answers.values()} == {200, denied_status}


# The quota


def test_the_61st_call_within_a_minute_is_429_and_not_done() -> None:
    clock = FakeClock()
    with Sandbox(["a"], clock=clock) as sandbox:
        for _ in range(60):
            assert call(sandbox, "POST", PROFILES, payload()).status == 200
        clock.sleep(17.5)
        refused = call(sandbox, "POST", PROFILES, payload())
        assert refused.status == 429
        assert refused.headers["retry-after"] == "43"
        assert refused.headers["x-rate-limit-remaining"] == "0"
        assert len(sandbox.workspace("a").profiles) == 60
        clock.sleep(42.5)
        assert call(sandbox, "GET", PROFILES).status == 200


def test_the_quota_is_a_sliding_window() -> None:
    clock = FakeClock()
    with Sandbox(["a"], requests_per_minute=4, clock=clock) as sandbox:
        statuses = []
        for second in (0, 0, 30, 30, 59, 60, 60, 60, 89, 90, 90, 90):
            clock.advance_to(1_795_428_000.0 + second)
            statuses.append(call(sandbox, "GET", PROFILES).status)
        assert statuses == [200] * 4 + [429] + [200] * 2 + [429] * 2 + [200] * 2 + [429]


def test_each_workspace_and_users_me_have_a_quota_of_their_own() -> None:
    with Sandbox(["a", "b"], requests_per_minute=1, clock=FakeClock()) as sandbox:
        for token in "ab":
            for path in (PROFILES, "/api/users/me"):
                assert call(sandbox, "GET", path, token=token).status == 200
                assert call(sandbox, "GET", path, token=token).status == 429


def test_refusals_before_the_quota_do_not_count() -> None:
    with Sandbox(["a"], requests_per_minute=1, clock=FakeClock()) as sandbox:
        assert call(sandbox, "GET", PROFILES, token="b").status == 401
        assert call(sandbox, "GET", "/api/recipes").status == 404
        assert call(sandbox, "GET", PROFILES).status == 200
        assert call(sandbox, "GET", PROFILES).status == 429


@example(1, [4.8395021261693145, 0.0])  # at + 60 - now is a little more than 60 here
@given(st.integers(1, 5), st.lists(st.floats(0, 30), max_size=40))
def test_no_window_ever_holds_more_than_the_quota(limit: int, gaps: list[float]) -> None:
    window, now = SlidingWindow(limit), 0.0
    passed: list[float] = []
    for gap in gaps:
        now += gap
        wait = window.wait(now)
        assert 0 <= wait <= WINDOW
        if wait == 0:
            window.count(now)
            passed.append(now)
    for start in passed:
        assert sum(start <= moment < start + WINDOW - 0.001 for moment in passed) <= limit


# What a test sees and does by hand


def test_the_log_tells_what_was_asked_and_what_became_of_it() -> None:
    clock = FakeClock()
    with Sandbox(["a", "b"], clock=clock) as sandbox:
        call(sandbox, "POST", PROFILES, payload("x"), token="b")
        clock.sleep(5)
        call(sandbox, "GET", f"{PROFILES}?page=2", token="b")
        call(sandbox, "POST", PROFILES, b"{", token="b")
        created, listed, refused = sandbox.requests
        assert (created.method, created.path, created.call) == ("POST", PROFILES, "create")
        assert (created.workspace, created.status, created.applied) == (1, 200, True)
        assert created.body["name"] == "x"
        assert (listed.path, listed.at - created.at) == (f"{PROFILES}?page=2", 5)
        assert (listed.applied, listed.body) == (False, None)
        assert (refused.status, refused.applied, refused.body) == (400, False, None)
        sandbox.requests.clear()
        assert sandbox.requests == []


def test_the_log_forgets_its_older_half_before_it_grows_too_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "MAX_LOG", 4)
    with Sandbox(["a"]) as sandbox:
        for page in range(1, 6):
            call(sandbox, "GET", f"{PROFILES}?page={page}")
        assert [request.path[-1] for request in sandbox.requests] == ["3", "4", "5"]


def test_somebody_else_can_work_by_hand_past_quota_and_log() -> None:
    with Sandbox(["a"], requests_per_minute=1) as sandbox:
        workspace = sandbox.workspace("a")
        first = workspace.create("p", "one", "c", data={"n": 1.0}, shared_accounts_count=None)
        second = workspace.create("p", "two", "c")
        odd = workspace.create("p", "three", "c")
        workspace.update(second.id, name="renamed", oem_customers_count=3)
        workspace.delete(first.id)
        workspace.set_document(odd.id, f'{{"id":{odd.id},"name":1e400}}')
        assert first.document["data"] == {"client_id": "c", "n": 1.0}
        assert first.document["shared_accounts_count"] is None
        answer = call(sandbox, "GET", PROFILES)
        assert [row["name"] for row in answer.result] == ["renamed", float("inf")]
        assert answer.result[0]["oem_customers_count"] == 3
        assert f'{{"id":{odd.id},"name":1e400}}'.encode() in answer.body
        assert len(sandbox.requests) == 1
        with pytest.raises(KeyError):
            workspace.delete(first.id)


def test_a_hook_sees_each_request_and_may_strike_it() -> None:
    with Sandbox(["a"]) as sandbox:
        seen: list[Request] = []

        def third(request: Request) -> Fault | None:
            seen.append(request)
            sandbox.workspace("a").create("p", "meanwhile", "c")
            return Fault("500") if len(seen) == 3 else None

        sandbox.hook = third
        assert [call(sandbox, "GET", PROFILES).status for _ in range(4)] == [200, 200, 500, 200]
        assert seen == sandbox.requests
        assert len(sandbox.workspace("a").profiles) == 4


# Samples


def test_samples_are_the_same_at_every_start_whatever_their_number() -> None:
    few, many = Sandbox(["a"], profiles=40), Sandbox(["x", "y"], profiles=250)
    expected = list(many.workspace("x").profiles.values())
    assert list(few.workspace("a").profiles.values()) == expected[:40]
    thousand = repr(list(samples(1000, user_id=1, first_id=1)))
    assert hashlib.sha256(thousand.encode()).hexdigest()[:16] == "c331f5b8c237a4fd"


def test_samples_look_like_a_workspaces_life() -> None:
    documents = [p.document for p in Sandbox(["a"], profiles=1000).workspace("a").profiles.values()]
    names = Counter(document["name"] for document in documents)
    apps = Counter((d["provider"], d["name"], d["data"]["client_id"]) for d in documents)
    assert 20 < sum(count > 1 for count in names.values()) < 100
    assert sum(count > 1 for count in apps.values()) == 5
    providers: dict[str, set[str]] = {}
    for document in documents:
        providers.setdefault(document["data"]["client_id"], set()).add(document["provider"])
    assert max(len(used_by) for used_by in providers.values()) >= 3
    text = "".join(names)
    for script in "é京شР🚀서λ":
        assert script in text
    for count in ("shared_accounts_count", "oem_customers_count"):
        assert {0, 5} <= {document[count] for document in documents}
    assert {document["created_at"][-1] for document in documents} == {"Z", "0"}
    assert {"tenant_ref", "rate", "limits"} <= {key for d in documents for key in d["data"]}
    assert len({document["id"] for document in documents}) == 1000


def test_small_sample_workspaces_have_no_exact_duplicates() -> None:
    documents = [p.document for p in Sandbox(["a"], profiles=150).workspace("a").profiles.values()]
    apps = {(d["provider"], d["name"], d["data"]["client_id"]) for d in documents}
    assert len(apps) == 150


# The database


def test_a_database_keeps_everything_but_secrets_across_restarts(tmp_path: Path) -> None:
    db = tmp_path / "sandbox.db"
    with Sandbox(["a", "b"], profiles=5, db=db) as sandbox:
        workspace = sandbox.workspace("a")
        odd = workspace.set_document(workspace.ids[0], f'{{"id":{workspace.ids[0]},"n":1e400}}')
        workspace.delete(workspace.ids[1])
        call(sandbox, "PUT", f"{PROFILES}/{workspace.ids[1]}", payload(client_secret="canary-1"))
        body = payload(client_secret="canary-2", token="canary-3")
        last = call(sandbox, "POST", PROFILES, body, token="b").result["id"]
        kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
        before = sandbox.workspace("a").profiles
        sandbox.workspace("b").delete(last)
    with Sandbox(["a", "b"], profiles=70, db=db) as again:
        found = again.workspace("a").profiles
        assert {each: found[each].body for each in found} == {
            each: before[each].body for each in before
        }
        assert again.workspace("a").profiles[odd.id].body == odd.body
        assert again.workspace("b").profiles == {}
        assert call(again, "POST", PROFILES, payload(), token="b").result["id"] > last
    assert b"canary" not in kept + db.read_bytes()
    assert stat.S_IMODE(db.stat().st_mode) == 0o600


def test_a_database_belongs_to_one_sandbox_at_a_time(tmp_path: Path) -> None:
    db = tmp_path / "sandbox.db"
    with (
        Sandbox(["a"], db=db),
        pytest.raises(StoreError, match=r"sandbox\.db"),
        Sandbox(["a"], db=db),
    ):
        pass
    with Sandbox(["a"], db=db) as sandbox:
        assert call(sandbox, "GET", PROFILES).status == 200


@pytest.mark.parametrize("content", [b"not a database at all, but text" * 100, None])
def test_a_file_that_is_no_database_is_an_error_that_names_it(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "odd"
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(StoreError, match="odd"), Sandbox(["a"], db=path):
        pass


def test_another_programs_database_is_an_error_and_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "oauthsync.db"
    with closing(sqlite3.connect(path)) as foreign:
        foreign.execute("CREATE TABLE snapshots (id INTEGER)")
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"oauthsync\.db .* another program"):
        Sandbox(["a"], db=path).__enter__()
    assert path.read_bytes() == before


def test_a_write_that_cannot_be_stored_is_500_and_not_done(tmp_path: Path) -> None:
    with Sandbox(["a"], profiles=1, db=tmp_path / "sandbox.db") as sandbox:
        before = sandbox.workspace("a").profiles
        database = sandbox._state.database
        assert database is not None
        database.close()
        one = f"{PROFILES}/{next(iter(before))}"
        assert call(sandbox, "POST", PROFILES, payload()).status == 500
        assert call(sandbox, "PUT", one, payload()).status == 500
        assert call(sandbox, "DELETE", one).status == 500
        assert sandbox.workspace("a").profiles == before


# HTTP


def test_a_connection_is_kept_alive_and_takes_pipelined_requests() -> None:
    with Sandbox(["a"]) as sandbox, socket.create_connection(address(sandbox), TIMEOUT) as sock:
        one = request_bytes("GET", "/api/users/me").replace(b"Connection: close\r\n", b"")
        for _ in range(2):
            sock.sendall(one + one)
            received = b""
            while received.count(b'"plan_id"') < 2 or not received.endswith(b"}"):
                received += sock.recv(65536)
        assert len(sandbox.requests) == 4


def test_a_request_may_arrive_in_small_pieces() -> None:
    with Sandbox(["a"]) as sandbox, socket.create_connection(address(sandbox), TIMEOUT) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in request_bytes("POST", PROFILES, payload("日本")):
            sock.sendall(bytes([byte]))
        received = b""
        while chunk := sock.recv(65536):
            received += chunk
        assert parse(received).result["name"] == "日本"


def test_a_client_that_expects_100_continue_gets_it() -> None:
    with Sandbox(["a"]) as sandbox, socket.create_connection(address(sandbox), TIMEOUT) as sock:
        head, end, body = request_bytes("POST", PROFILES, payload()).partition(b"\r\n\r\n")
        sock.sendall(head + b"\r\nExpect: 100-continue" + end)
        assert sock.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(body)
        assert sock.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")


def test_head_is_405_without_a_body() -> None:
    with Sandbox(["a"]) as sandbox:
        received = exchange(sandbox, request_bytes("HEAD", PROFILES))
        assert received.startswith(b"HTTP/1.1 405 ")
        assert received.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / SPDY/3\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411),
        (b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY + 1) + b"x" * MAX_BODY, 413),
        (b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", 413),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * (MAX_HEAD + 1), 431),
    ],
)
def test_what_is_not_http_or_too_large_is_refused_and_the_connection_ends(
    sent: bytes, status: int
) -> None:
    with (
        Sandbox(["a"]) as sandbox,
        socket.create_connection(address(sandbox), TIMEOUT) as connection,
    ):
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
        assert parse(received).status == status
        assert call(sandbox, "GET", PROFILES).status == 200


def test_http_1_0_ends_the_connection() -> None:
    with Sandbox(["a"]) as sandbox:
        sent = b"GET /api/users/me HTTP/1.0\r\nAuthorization: bearer a\r\n\r\n"
        assert parse(exchange(sandbox, sent)).status == 200


def test_a_library_can_use_it() -> None:
    with Sandbox(["a"], profiles=120) as sandbox, requests.Session() as session:
        session.headers["Authorization"] = "Bearer a"
        url = sandbox.url + PROFILES
        assert len(session.get(url, params={"page": "2"}, timeout=TIMEOUT).json()["result"]) == 20
        created = session.post(url, data=payload(), timeout=TIMEOUT).json()["result"]
        assert session.delete(f"{url}/{created['id']}", timeout=TIMEOUT).ok


# Life


def test_answers_with_latency_overlap() -> None:
    with Sandbox(["a"], latency=0.25) as sandbox:
        threads = [threading.Thread(target=call, args=(sandbox, "GET", PROFILES)) for _ in range(8)]
        begin = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert 0.25 <= time.monotonic() - begin < 8 * 0.25
        assert [request.status for request in sandbox.requests] == [200] * 8


def test_requests_are_served_side_by_side() -> None:
    with Sandbox(["a"]) as sandbox:
        barrier = threading.Barrier(3, timeout=TIMEOUT)

        def meet(_: Request) -> None:
            barrier.wait()

        sandbox.hook = meet
        threads = [
            threading.Thread(target=call, args=(sandbox, "POST", PROFILES, payload()))
            for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(sandbox.workspace("a").profiles) == 3


def test_many_clients_at_once_lose_nothing_and_share_no_id() -> None:
    with Sandbox(["a", "b"], requests_per_minute=1000) as sandbox:

        def work(token: str) -> None:
            for number in range(25):
                one = call(sandbox, "POST", PROFILES, payload(), token=token).result["id"]
                if number % 5 == 0:
                    assert call(sandbox, "DELETE", f"{PROFILES}/{one}", token=token).status == 200

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(work, "ababab"))
        ids = [list(sandbox.workspace(token).profiles) for token in "ab"]
        assert [len(own) for own in ids] == [60, 60]
        assert len({*ids[0], *ids[1]}) == 120
        assert [sandbox.workspace(token).ids for token in "ab"] == ids
        assert sum(request.applied for request in sandbox.requests) == 180


def test_stopping_ends_idle_connections_and_waiting_answers_at_once() -> None:
    arrived = threading.Event()

    def announce(request: Request) -> Fault | None:
        arrived.set()
        return Fault("hang") if request.method == "POST" else None

    with Sandbox(["a"], server_timeout=600, latency=600) as sandbox:
        sandbox.hook = announce
        idle = socket.create_connection(address(sandbox), TIMEOUT)
        hanging = socket.create_connection(address(sandbox), TIMEOUT)
        hanging.sendall(request_bytes("POST", PROFILES, payload()))
        assert arrived.wait(TIMEOUT)
        begin = time.monotonic()
    assert time.monotonic() - begin < TIMEOUT
    with idle, hanging:
        assert idle.recv(1) == b""
        assert hanging.recv(1) == b""


def test_a_stopped_sandbox_can_be_entered_again_on_its_port_with_its_state() -> None:
    sandbox = Sandbox(["a"], profiles=1)
    with sandbox:
        port = address(sandbox)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(port, TIMEOUT)
    with sandbox:
        assert address(sandbox) == port
        assert len(call(sandbox, "GET", PROFILES).result) == 1


def test_a_port_that_is_taken_is_an_error_that_names_it(tmp_path: Path) -> None:
    with Sandbox(["a"]) as sandbox:
        port = address(sandbox)[1]
        with (
            pytest.raises(OauthsyncError, match=f"127.0.0.1:{port}: Address already in use"),
            Sandbox(["a"], port=port, db=tmp_path / "x.db"),
        ):
            pass


def test_it_serves_until_it_is_interrupted() -> None:
    statuses = []
    with Sandbox(["probe"]) as probe:
        port = address(probe)[1]
    sandbox = Sandbox(["a"], port=port)
    main = threading.main_thread().ident
    assert main is not None

    def use_and_interrupt() -> None:
        statuses.append(call(sandbox, "GET", PROFILES).status)
        signal.pthread_kill(main, signal.SIGINT)

    user = threading.Thread(target=use_and_interrupt)
    urls: list[str] = []

    def on_ready(url: str) -> None:
        urls.append(url)
        user.start()

    sandbox.serve_forever(on_ready)
    user.join()
    assert urls == [f"http://127.0.0.1:{port}"]
    assert statuses == [200]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), TIMEOUT)


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    with Sandbox(["a"]) as sandbox:
        call(sandbox, "POST", PROFILES, payload())
        call(sandbox, "GET", "/nowhere")
        exchange(sandbox, b"nonsense\r\n\r\n")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("tokens", "options"),
    [
        ([], {}),
        (["a", "a"], {}),
        (["a b"], {}),
        ([""], {}),
        (["a"], {"profiles": -1}),
        (["a"], {"port": 65536}),
        (["a"], {"requests_per_minute": 0}),
        (["a"], {"privileges": {"b": {"list"}}}),
        (["a"], {"privileges": {"a": {"lists"}}}),
    ],
)
def test_a_bad_argument_is_a_usage_error(tokens: list[str], options: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        Sandbox(tokens, **options)  # type: ignore[arg-type]


def test_json_bodies_are_what_python_reads_too() -> None:
    for stored in Sandbox(["a"], profiles=100).workspace("a").profiles.values():
        assert json.loads(stored.body)["id"] == stored.id
        assert rawjson.encode(rawjson.parse(stored.body)) == stored.body
