"""Every way in which the sandbox misbehaves, in pairs: not done, and done but nobody was told."""

import json
import queue
import socket
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauthsync.errors import UsageError
from oauthsync.sandbox import CALLS, KINDS, Fault, Request, Sandbox
from oauthsync.sandbox.faults import BROKEN, LISTING, MAX_DELAY, METHODS
from tests.clock import FakeClock
from tests.sandbox_client import (
    PROFILES,
    TIMEOUT,
    Answer,
    address,
    call,
    exchange,
    parse,
    payload,
    request_bytes,
)


def post(sandbox: Sandbox, name: str = "x") -> bytes:
    return exchange(sandbox, request_bytes("POST", PROFILES, payload(name)))


def names(sandbox: Sandbox) -> list[str]:
    return [profile.document["name"] for profile in sandbox.workspace("a").profiles.values()]


# What a client sees


def is_reset(sandbox: Sandbox) -> None:
    with pytest.raises(ConnectionResetError):
        post(sandbox)


def is_silent(sandbox: Sandbox) -> None:
    assert post(sandbox) == b""


def is_cut_short(sandbox: Sandbox) -> None:
    head, _, body = post(sandbox).partition(b"\r\n\r\n")
    length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert 0 < len(body) < length


def is_half_json(sandbox: Sandbox) -> None:
    answer = parse(post(sandbox))
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("application/json")
    with pytest.raises(ValueError, match=r"."):
        json.loads(answer.body)


def is_html(status: int) -> Callable[[Sandbox], None]:
    def check(sandbox: Sandbox) -> None:
        answer = parse(post(sandbox))
        assert (answer.status, answer.headers["content-type"]) == (status, "text/html")
        assert answer.body.startswith(b"<!DOCTYPE html>")

    return check


def is_500(sandbox: Sandbox) -> None:
    answer = parse(post(sandbox))
    assert (answer.status, list(answer.json)) == (500, ["message"])


SEEN: dict[str, Callable[[Sandbox], None]] = {
    "reset": is_reset,
    "close": is_silent,
    "truncate": is_cut_short,
    "half-json": is_half_json,
    "html": is_html(200),
    "500": is_500,
    "502": is_html(502),
    "503": is_html(503),
    "504": is_html(504),
    "hang": is_silent,
}


@pytest.fixture(params=sorted(BROKEN))
def kind(request: pytest.FixtureRequest) -> str:
    """Every kind that comes in three effects."""
    return str(request.param)


@pytest.fixture
def sandbox() -> "Sandbox":
    # What hangs is given up in real time: the least that still is a wait.
    return Sandbox(["a"], clock=FakeClock(), server_timeout=0.05)


def test_a_broken_request_is_not_done(kind: str, sandbox: Sandbox) -> None:
    with sandbox:
        sandbox.faults = [Fault(kind, "POST")]
        SEEN[kind](sandbox)
        assert names(sandbox) == []
        assert not sandbox.requests[0].applied


def test_a_broken_answer_hides_what_is_done(kind: str, sandbox: Sandbox) -> None:
    with sandbox:
        sandbox.faults = [Fault(f"{kind}-after-apply", "POST")]
        SEEN[kind](sandbox)
        assert names(sandbox) == ["x"]
        assert sandbox.requests[0].applied


def test_a_late_write_is_done_when_its_time_has_come(kind: str) -> None:
    clock = FakeClock()
    timeout = 0.05 if kind == "hang" else 40.0
    with Sandbox(["a"], clock=clock, server_timeout=timeout) as sandbox:
        sandbox.faults = [Fault(f"{kind}-late", "POST", delay=20)]
        SEEN[kind](sandbox)
        assert names(sandbox) == []
        clock.sleep(min(20, timeout) - 0.01)
        assert names(sandbox) == []
        assert not sandbox.requests[0].applied
        clock.sleep(0.011)
        assert names(sandbox) == ["x"]
        assert sandbox.requests[0].applied


def test_the_log_says_0_where_nothing_was_answered(sandbox: Sandbox) -> None:
    with sandbox:
        for kind, status in {
            "reset": 0,
            "close": 0,
            "hang": 0,
            "truncate": 200,
            "502": 502,
        }.items():
            sandbox.faults = [Fault(kind, "POST")]
            SEEN[kind](sandbox)
            assert sandbox.requests[-1].status == status
            assert sandbox.requests[-1].fault == Fault(kind, "POST")


@pytest.mark.parametrize("effect", ["", "-after-apply", "-late"])
def test_updates_and_deletions_have_the_same_three_effects(effect: str) -> None:
    clock = FakeClock()
    with Sandbox(["a"], clock=clock) as sandbox:
        one, two = (sandbox.workspace("a").create("p", name, "c").id for name in ("one", "two"))
        sandbox.faults = [Fault(f"close{effect}", delay=10 if effect == "-late" else None)]
        exchange(sandbox, request_bytes("PUT", f"{PROFILES}/{one}", payload("changed")))
        exchange(sandbox, request_bytes("DELETE", f"{PROFILES}/{two}"))
        assert names(sandbox) == (["changed"] if effect == "-after-apply" else ["one", "two"])
        clock.sleep(10)
        assert names(sandbox) == (["one", "two"] if effect == "" else ["changed"])


@pytest.mark.parametrize("kind", ["truncate", "truncate-after-apply", "half-json"])
def test_a_read_is_cut_from_its_true_answer(kind: str) -> None:
    with Sandbox(["a"], profiles=3) as sandbox:
        whole = call(sandbox, "GET", PROFILES).body
        sandbox.faults = [Fault(kind)]
        body = exchange(sandbox, request_bytes("GET", PROFILES)).partition(b"\r\n\r\n")[2]
        assert body == whole[: len(whole) // 2]


# Late writes


def test_late_writes_are_done_in_the_order_of_their_times_with_those_times() -> None:
    clock = FakeClock()
    with Sandbox(["a"], clock=clock) as sandbox:
        for name, delay in (("third", 30), ("first", 10), ("second", 20)):
            sandbox.faults = [Fault("close-late", times=1, delay=delay)]
            post(sandbox, name)
        clock.sleep(25)
        rows = call(sandbox, "GET", PROFILES).result
        assert [row["name"] for row in rows] == ["first", "second"]
        assert [row["created_at"][11:19] for row in rows] == ["03:00:10", "03:00:20"]
        clock.sleep(5)
        assert names(sandbox) == ["first", "second", "third"]


def test_a_late_write_comes_30_seconds_later_and_never_after_the_servers_timeout() -> None:
    for delay, timeout, due in ((None, 40.0, 30.0), (500, 40.0, 40.0), (None, 7.0, 7.0)):
        clock = FakeClock()
        with Sandbox(["a"], clock=clock, server_timeout=timeout) as sandbox:
            sandbox.faults = [Fault("close-late", delay=delay)]
            post(sandbox)
            clock.sleep(due - 0.01)
            assert names(sandbox) == []
            clock.sleep(0.01)
            assert names(sandbox) == ["x"]


def test_a_late_write_meets_the_state_of_its_own_time() -> None:
    clock = FakeClock()
    with Sandbox(["a"], clock=clock) as sandbox:
        one = sandbox.workspace("a").create("p", "one", "c").id
        sandbox.faults = [Fault("close-late", "PUT", times=1)]
        exchange(sandbox, request_bytes("PUT", f"{PROFILES}/{one}", payload("late")))
        sandbox.workspace("a").delete(one)
        clock.sleep(40)
        assert names(sandbox) == []
        assert not sandbox.requests[0].applied


def test_a_bad_payload_is_not_done_late_either() -> None:
    clock = FakeClock()
    with Sandbox(["a"], clock=clock, faults=[Fault("close-late")]) as sandbox:
        exchange(sandbox, request_bytes("POST", PROFILES, b"{}"))
        clock.sleep(40)
        assert names(sandbox) == []


# Answers that say that nothing was done


def test_429_says_how_long_to_wait_in_every_form_and_costs_no_quota() -> None:
    clock = FakeClock()
    with Sandbox(["a"], requests_per_minute=1, clock=clock) as sandbox:
        answers: dict[str, Answer] = {}
        for kind in ("429", "429-date", "429-bare"):
            sandbox.faults = [Fault(kind, times=1, delay=90)]
            answers[kind] = parse(post(sandbox))
        assert {answer.status for answer in answers.values()} == {429}
        assert answers["429"].headers["retry-after"] == "90"
        assert answers["429"].headers["x-rate-limit-remaining"] == "0"
        date = parsedate_to_datetime(answers["429-date"].headers["retry-after"])
        assert date == datetime.fromtimestamp(clock.now() + 90, UTC)
        assert "retry-after" not in answers["429-bare"].headers
        assert names(sandbox) == []
        assert parse(post(sandbox)).status == 200


def test_a_broken_request_costs_quota_and_one_over_the_quota_is_not_broken() -> None:
    with Sandbox(["a"], requests_per_minute=1, clock=FakeClock()) as sandbox:
        sandbox.faults = [Fault("close")]
        assert post(sandbox) == b""
        assert parse(post(sandbox)).status == 429


def test_200_can_say_that_nothing_was_done(sandbox: Sandbox) -> None:
    with sandbox:
        sandbox.faults = [Fault("refused", "POST")]
        answer = parse(post(sandbox))
        assert (answer.status, answer.json["success"]) == (200, False)
        assert answer.json["errors"]
        assert names(sandbox) == []


def test_errors_can_be_a_list_of_codes_and_titles(sandbox: Sandbox) -> None:
    with sandbox:
        sandbox.faults = [Fault("errors-list", "POST")]
        answer = parse(post(sandbox))
        assert answer.status == 422
        assert answer.json["errors"][0].keys() == {"code", "title"}
        assert names(sandbox) == []


def test_a_redirect_leads_to_a_path_that_the_log_would_show(sandbox: Sandbox) -> None:
    with sandbox:
        sandbox.faults = [Fault("redirect", "POST")]
        answer = parse(post(sandbox))
        assert answer.status == 302
        assert answer.headers["location"] == f"{sandbox.url}/redirected"
        assert names(sandbox) == []


# Slow answers


def test_a_drip_is_the_whole_answer_byte_by_byte(sandbox: Sandbox) -> None:
    with sandbox:
        sandbox.faults = [Fault("drip", "POST", delay=0)]
        assert parse(post(sandbox)).result["name"] == "x"
        assert names(sandbox) == ["x"]


def test_an_interim_answer_comes_before_the_answer(sandbox: Sandbox) -> None:
    with sandbox:
        sandbox.faults = [Fault("interim", "POST", delay=0)]
        interim, _, received = post(sandbox).partition(b"\r\n\r\n")
    assert interim == b"HTTP/1.1 102 Processing"
    assert parse(received).result["name"] == "x"


def test_a_drip_and_a_hang_end_with_the_sandbox() -> None:
    with Sandbox(["a"], server_timeout=600) as sandbox:
        sandbox.faults = [Fault("drip", "GET", delay=500), Fault("hang", "POST")]
        arrived = threading.Barrier(3, timeout=TIMEOUT)

        def announce(_: Request) -> None:
            arrived.wait()

        sandbox.hook = announce
        dripping, hanging = (socket.create_connection(address(sandbox), TIMEOUT) for _ in range(2))
        dripping.sendall(request_bytes("GET", PROFILES))
        hanging.sendall(request_bytes("POST", PROFILES, payload()))
        arrived.wait()
    with dripping, hanging:
        assert hanging.recv(1) == b""
        while dripping.recv(65536):
            pass


def test_a_hang_ends_when_the_client_gives_up() -> None:
    with Sandbox(["a"], server_timeout=600, faults=[Fault("hang-after-apply")]) as sandbox:
        threads: queue.SimpleQueue[threading.Thread] = queue.SimpleQueue()

        def announce(_: Request) -> None:
            threads.put(threading.current_thread())

        sandbox.hook = announce
        with socket.create_connection(address(sandbox), TIMEOUT) as connection:
            connection.sendall(request_bytes("POST", PROFILES, payload("x")))
            thread = threads.get(timeout=TIMEOUT)
            assert thread.is_alive()
        thread.join(TIMEOUT)
        assert not thread.is_alive()
        assert names(sandbox) == ["x"]


# Listings that lie


def listing(sandbox: Sandbox, pages: int = 3) -> list[list[int]]:
    ids = sandbox.workspace("a").ids
    return [
        [ids.index(row["id"]) for row in call(sandbox, "GET", f"{PROFILES}?page={page}").result]
        for page in range(1, pages + 1)
    ]


def lying(kind: str, profiles: int = 250) -> Sandbox:
    return Sandbox(["a"], profiles=profiles, requests_per_minute=1000, faults=[Fault(kind)])


def test_a_page_can_repeat_the_page_before() -> None:
    with lying("repeat-page") as sandbox:
        first, second, third = listing(sandbox)
        assert first == second == list(range(100))
        assert third == list(range(100, 200))


def test_a_page_can_repeat_the_last_row_of_the_page_before() -> None:
    with lying("repeat-row") as sandbox:
        first, second, _ = listing(sandbox)
        assert (first[-1], second[0], second[-1]) == (99, 99, 198)


def test_a_row_between_two_pages_can_be_skipped() -> None:
    with lying("skip-row") as sandbox:
        first, second, third = listing(sandbox)
        assert (first[-1], second[0], second[-1], third[0]) == (99, 101, 200, 201)


def test_a_page_can_be_empty() -> None:
    with lying("empty-page") as sandbox:
        assert listing(sandbox) == [[], [], []]


def test_a_list_can_lack_the_newest() -> None:
    with lying("stale") as sandbox:
        assert list(chain(*listing(sandbox))) == list(range(166))


@pytest.mark.parametrize("profiles", [1, 250])
def test_pages_can_go_on_for_ever(profiles: int) -> None:
    with lying("endless", profiles) as sandbox:
        pages = listing(sandbox, 6)
        assert [len(page) for page in pages] == [100] * 6
        assert list(chain(*pages))[:500] == list(range(profiles)) * (500 // profiles)


def test_an_endless_list_of_nothing_is_empty() -> None:
    with lying("endless", 0) as sandbox:
        assert listing(sandbox, 1) == [[]]


def test_the_rows_of_a_page_can_come_in_another_order_each_time() -> None:
    with lying("reorder") as sandbox:
        once, again = listing(sandbox), listing(sandbox)
        assert once != again
        assert [sorted(page) for page in once] == [sorted(page) for page in again]
        assert sorted(chain(*once)) == list(range(250))


def test_all_rows_can_come_in_another_order_for_each_page() -> None:
    with lying("shuffle") as sandbox:
        rows = list(chain(*listing(sandbox)))
        assert len(rows) == 250
        assert len(set(rows)) < 250


def test_a_listing_that_lies_leaves_other_calls_alone() -> None:
    with Sandbox(["a"], profiles=1) as sandbox:
        sandbox.faults = [Fault(kind, times=1) for kind in LISTING]
        one = f"{PROFILES}/{sandbox.workspace('a').ids[0]}"
        assert call(sandbox, "GET", one).status == 200
        assert call(sandbox, "GET", "/api/users/me").status == 200
        assert parse(post(sandbox)).status == 200
        assert len(sandbox.faults) == len(LISTING)


# When a fault strikes


def statuses(sandbox: Sandbox, count: int, method: str = "GET", path: str = PROFILES) -> list[int]:
    return [call(sandbox, method, path, payload()).status for _ in range(count)]


def test_a_fault_strikes_so_many_times_after_so_many_requests(sandbox: Sandbox) -> None:
    with sandbox:
        sandbox.faults = [Fault("500", "list", times=2, after=1)]
        assert statuses(sandbox, 5) == [200, 500, 500, 200, 200]
        assert sandbox.faults == []


def test_a_fault_strikes_only_what_it_is_limited_to(sandbox: Sandbox) -> None:
    with sandbox:
        sandbox.faults = [Fault("500", "POST"), Fault("502", "me"), Fault("503", "get")]
        assert statuses(sandbox, 1, "POST") == [500]
        assert statuses(sandbox, 1, "GET", "/api/users/me") == [502]
        assert statuses(sandbox, 1, "GET", f"{PROFILES}/1") == [503]
        assert statuses(sandbox, 1) == [200]


def test_the_first_fault_that_matches_strikes_and_the_next_waits(sandbox: Sandbox) -> None:
    with sandbox:
        same = Fault("500", times=1)
        sandbox.faults = [same, same, Fault("502", times=1)]
        assert statuses(sandbox, 4) == [500, 500, 502, 200]


def test_chances_are_the_same_for_the_same_seed_only() -> None:
    def run(seed: int) -> list[int]:
        faults = [Fault("500", probability=0.3)]
        with Sandbox(["a"], requests_per_minute=999, faults=faults, seed=seed) as sandbox:
            return statuses(sandbox, 60)

    first = run(1)
    assert first == run(1)
    assert first != run(2)
    assert 5 < first.count(500) < 35


# The text form


@pytest.mark.parametrize(
    ("spec", "fault"),
    [
        ("reset", Fault("reset")),
        ("POST:reset-after-apply:0.2", Fault("reset-after-apply", "POST", probability=0.2)),
        ("*:500:x3", Fault("500", times=3)),
        ("list:skip-row:x1:+2", Fault("skip-row", "list", times=1, after=2)),
        ("create:hang-late:12.5s:1", Fault("hang-late", "create", delay=12.5)),
        ("429:120s", Fault("429", delay=120)),
    ],
)
def test_a_fault_is_read_from_its_text(spec: str, fault: Fault) -> None:
    assert Fault.parse(spec) == fault


@given(
    st.builds(
        Fault,
        st.sampled_from(sorted(KINDS.keys() - LISTING.keys())),
        st.sampled_from(["*", *METHODS, *CALLS]),
        st.floats(0, 1),
        st.none() | st.integers(1, 10**8),
        st.integers(0, 10**8),
        st.none() | st.floats(0, MAX_DELAY),
    )
)
def test_the_text_of_a_fault_is_read_back_as_that_fault(fault: Fault) -> None:
    assert Fault.parse(str(fault)) == fault


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("", "no fault ''"),
        ("POST", "not what"),
        ("reste", "no fault 'reste'"),
        ("POST:reste", "no fault 'reste'"),
        ("PATCH:reset", "'PATCH'"),
        ("post:reset", "'post'"),
        ("POST:skip-row", "lists only"),
        ("reset:often", "'often'"),
        ("reset:1.5", "between 0 and 1"),
        ("reset:-1", "'-1'"),
        ("reset:nan", "'nan'"),
        ("reset:x0", "at least once"),
        ("reset-late:100000s", "delay"),
    ],
)
def test_a_bad_text_is_a_usage_error(spec: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Fault.parse(spec)


@pytest.mark.parametrize("spec", ["", "POST", "reste"])
def test_an_unknown_kind_is_told_all_kinds(spec: str) -> None:
    with pytest.raises(UsageError) as caught:
        Fault.parse(spec)
    assert caught.value.hint is not None
    for kind in KINDS:
        assert kind in caught.value.hint
