"""A listing is complete, or it is an error; and it costs as few requests as that allows."""

import contextlib
import itertools
import json
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oauthsync import exporter
from oauthsync.api import Api
from oauthsync.clock import SleepInterruptedError, timestamp
from oauthsync.errors import ApiError, AuthenticationError, UnknownOutcomeError
from oauthsync.events import Event, PageRead
from oauthsync.exporter import MAX_READINGS, WIDTH, read_listing
from oauthsync.quota import Quota
from oauthsync.sandbox import Fault, Request, Sandbox
from oauthsync.secret import Secret
from oauthsync.snapshots import Listing
from tests.clock import FakeClock
from tests.wire import Wire, answer

TOKEN = "token"
PLENTY = 1_000_000


@contextlib.contextmanager
def connected(url: str, folder: Path, clock: FakeClock, *, limit: int = PLENTY) -> Iterator[Api]:
    quota = Quota(folder / "quota", requests_per_minute=limit, clock=clock)
    with contextlib.closing(quota), Api("dev", url, Secret(TOKEN), quota, clock=clock) as api:
        yield api


@contextlib.contextmanager
def workspace(
    profiles: int, folder: Path, *, limit: int = PLENTY, **options: Any
) -> Iterator[tuple[Sandbox, Api]]:
    clock = FakeClock()
    sandbox = Sandbox([TOKEN], profiles=profiles, clock=clock, requests_per_minute=limit, **options)
    with sandbox, connected(sandbox.url, folder, clock, limit=limit) as api:
        yield sandbox, api


def pages(sandbox: Sandbox) -> list[int]:
    """The numbers of the pages that were asked for, in the order of their requests."""
    return [
        int(match[1]) for r in sandbox.requests if (match := re.search(r"[?]page=(\d+)", r.path))
    ]


def ids(listing: Listing) -> list[int]:
    return [profile.id for profile in listing.profiles]


def is_complete(listing: Listing, sandbox: Sandbox) -> bool:
    stored = sandbox.workspace(TOKEN).profiles
    return ids(listing) == sorted(stored) and all(
        json.loads(profile.document) == stored[profile.id].document for profile in listing.profiles
    )


# --- how many requests --------------------------------------------------------------------------

COSTS = [(0, 1), (1, 1), (99, 1), (100, 3), (101, 4), (199, 4), (200, 5), (250, 6), (399, 8)]


@pytest.mark.parametrize(("profiles", "requests"), [*COSTS, (950, 20), (1000, 21), (1050, 22)])
def test_a_list_that_nobody_knows_costs_no_request_too_many(
    profiles: int, requests: int, tmp_path: Path
) -> None:
    with workspace(profiles, tmp_path) as (sandbox, api):
        listing = read_listing(api)
        assert is_complete(listing, sandbox)
        assert listing.requests == len(sandbox.requests) == requests
        assert listing.listings == (1 if profiles < 100 else 2)


@pytest.mark.parametrize(("profiles", "requests"), [*COSTS, (1800, 37), (2750, 56)])
def test_a_list_as_long_as_expected_costs_no_request_too_many(
    profiles: int, requests: int, tmp_path: Path
) -> None:
    with workspace(profiles, tmp_path) as (sandbox, api):
        listing = read_listing(api, expected=profiles)
        assert is_complete(listing, sandbox)
        assert listing.requests == len(sandbox.requests) == requests


@pytest.mark.parametrize("expected", [0, 100, 1600])
@pytest.mark.parametrize("profiles", [2400, 2999])
def test_a_longer_list_than_expected_costs_few_requests_too_many(
    expected: int, profiles: int, tmp_path: Path
) -> None:
    with workspace(profiles, tmp_path) as (sandbox, api):
        listing = read_listing(api, expected=expected)
        assert is_complete(listing, sandbox)
        assert listing.requests <= 2 * -(-profiles // 100) + 1 + WIDTH
        assert listing.requests == len(sandbox.requests)


def test_a_shorter_list_than_expected_costs_few_requests_too_many(tmp_path: Path) -> None:
    with workspace(50, tmp_path) as (sandbox, api):
        listing = read_listing(api, expected=10_000)
        assert is_complete(listing, sandbox)
        assert (listing.requests, listing.listings) == (WIDTH + 1, 2)


def test_a_page_of_fewer_profiles_than_were_there_is_read_once_more(tmp_path: Path) -> None:
    """An API that answers once with an empty list would else cost all of it."""
    with workspace(50, tmp_path) as (sandbox, api):
        for each in list(sandbox.workspaces[0].profiles)[:3]:
            sandbox.workspaces[0].delete(each)
        listing = read_listing(api, expected=50)
        assert (len(listing.profiles), listing.requests) == (47, 2)
        assert read_listing(api, expected=47).requests == 1


def test_a_page_without_one_that_was_there_is_read_once_more(tmp_path: Path) -> None:
    """Also where others have come since then, and it has as many, or more."""
    with workspace(50, tmp_path) as (sandbox, api):
        known = set(sandbox.workspaces[0].profiles)
        assert read_listing(api, expected=3, known=known).requests == 1
        assert read_listing(api, expected=3, known={*known, 1}).requests == 2


def test_a_listing_is_of_the_time_before_it_was_read(tmp_path: Path) -> None:
    """What is created while it is read may be missing in it, and counts as later."""
    with workspace(3, tmp_path) as (sandbox, api):
        began = timestamp(api.clock.now())
        sandbox.hook = lambda _: api.clock.sleep(5.0)
        assert read_listing(api).taken_at == began != timestamp(api.clock.now())


def test_nothing_is_fetched_ahead_while_requests_wait_for_the_quota(tmp_path: Path) -> None:
    # The quota is used up before page 21, and the end is beyond what is asked for until then.
    with workspace(4950, tmp_path, limit=20) as (sandbox, api):
        listing = read_listing(api)
        assert is_complete(listing, sandbox)
        assert listing.requests == 100
        assert {request.status for request in sandbox.requests} == {200}


def test_only_the_requests_of_the_listing_count(tmp_path: Path) -> None:
    with workspace(5, tmp_path) as (_, api):
        api.identity()
        assert read_listing(api).requests == 1
        assert read_listing(api).requests == 1


def test_expected_pages_are_fetched_side_by_side_and_the_second_reading_after_the_first(
    tmp_path: Path,
) -> None:
    together = threading.Barrier(WIDTH)

    def hook(_request: Request) -> None:
        together.wait(30)

    with workspace(WIDTH * 100 - 1, tmp_path) as (sandbox, api):
        sandbox.hook = hook
        listing = read_listing(api, expected=WIDTH * 100 - 1)
        assert is_complete(listing, sandbox)
        asked = pages(sandbox)
        assert sorted(asked[:WIDTH]) == sorted(asked[WIDTH:]) == list(range(1, WIDTH + 1))


def test_an_unknown_list_is_fetched_ever_further_ahead(tmp_path: Path) -> None:
    """The pages after the tenth wait until as many are under way as threads there are."""
    together = threading.Barrier(WIDTH)

    def hook(request: Request) -> None:
        if any(f"?page={number}&" in request.path for number in range(17, 17 + WIDTH)):
            together.wait(30)

    with workspace(3250, tmp_path) as (sandbox, api):
        sandbox.hook = hook
        assert is_complete(read_listing(api), sandbox)
        assert pages(sandbox)[:11] == list(range(1, 12))


# --- what is listed -----------------------------------------------------------------------------


def test_a_listing_says_what_it_is_and_is_in_the_order_of_the_ids(tmp_path: Path) -> None:
    with workspace(120, tmp_path, faults=[Fault("reorder")]) as (sandbox, api):
        listing = read_listing(api)
        assert ids(listing) == sorted(sandbox.workspace(TOKEN).profiles)
        assert (listing.workspace, listing.url) == ("dev", sandbox.url)
        assert listing.taken_at == timestamp(api.clock.now())
        assert listing.listings == 2


def test_progress_is_told_page_by_page(tmp_path: Path) -> None:
    events: list[Event] = []
    with workspace(250, tmp_path) as (_, api):
        read_listing(api, expected=250, listener=events.append)
    assert events == [
        PageRead("dev", reading, profiles) for reading in (1, 2) for profiles in (100, 200, 250)
    ]


# --- a list that lies ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["repeat-page", "repeat-row", "endless", "shuffle"])
@pytest.mark.parametrize("expected", [0, 1250])
def test_a_list_that_never_agrees_with_itself_is_an_error(
    kind: str, expected: int, tmp_path: Path
) -> None:
    with workspace(1250, tmp_path, faults=[Fault(kind)]) as (sandbox, api):
        with pytest.raises(ApiError, match="'dev' could not be read: 5 times in a row") as caught:
            read_listing(api, expected=expected)
        assert caught.value.exit_code == 5
        assert len(sandbox.requests) <= MAX_READINGS * (13 + WIDTH)


@pytest.mark.parametrize(
    "kind", ["repeat-page", "repeat-row", "skip-row", "empty-page", "stale", "endless", "shuffle"]
)
@pytest.mark.parametrize("passing", range(6))
def test_a_list_that_lies_once_is_read_until_it_is_complete(
    kind: str, passing: int, tmp_path: Path
) -> None:
    faults = [Fault(kind, after=passing, times=1)]
    with workspace(250, tmp_path, faults=faults) as (sandbox, api):
        listing = read_listing(api, expected=250)
        assert is_complete(listing, sandbox)


def test_a_worthless_reading_ends_early(tmp_path: Path) -> None:
    with workspace(950, tmp_path, faults=[Fault("repeat-page", after=1, times=1)]) as (
        sandbox,
        api,
    ):
        assert is_complete(read_listing(api), sandbox)
        assert pages(sandbox)[:12] == [1, 2, *range(1, 11)]
        assert sorted(pages(sandbox)[12:]) == list(range(1, 11))


def changing(changes: dict[int, Callable[[], object]]) -> Callable[[Request], None]:
    """A hook that makes a change before the request with that number is answered."""
    numbers = itertools.count(1)

    def hook(_request: Request) -> None:
        if change := changes.get(next(numbers)):
            change()

    return hook


def test_a_profile_that_changes_between_the_readings_makes_for_a_third(tmp_path: Path) -> None:
    with workspace(150, tmp_path) as (sandbox, api):
        space = sandbox.workspace(TOKEN)
        sandbox.hook = changing({3: lambda: space.update(space.ids[5], name="New")})
        listing = read_listing(api)
        assert listing.profiles[5].name == "New"
        assert (listing.listings, listing.requests) == (3, 6)
        assert is_complete(listing, sandbox)


def test_counts_that_change_between_the_readings_are_no_change_and_the_newer_are_kept(
    tmp_path: Path,
) -> None:
    with workspace(150, tmp_path) as (sandbox, api):
        space = sandbox.workspace(TOKEN)
        sandbox.hook = changing({3: lambda: space.update(space.ids[5], shared_accounts_count=77)})
        listing = read_listing(api)
        assert listing.profiles[5].fields["shared_accounts_count"] == 77
        assert (listing.listings, listing.requests) == (2, 4)


def test_a_row_that_slips_across_a_border_is_not_lost(tmp_path: Path) -> None:
    with workspace(250, tmp_path) as (sandbox, api):
        space = sandbox.workspace(TOKEN)
        # After the first page was read: the second one begins a row too late.
        sandbox.hook = changing({2: lambda: space.delete(space.ids[0])})
        listing = read_listing(api)
        assert is_complete(listing, sandbox)
        assert len(listing.profiles) == 249
        assert listing.listings == 3


def test_a_list_that_changes_and_grows_beyond_its_full_last_page_is_not_cut_off(
    tmp_path: Path,
) -> None:
    with workspace(200, tmp_path) as (sandbox, api):
        space = sandbox.workspace(TOKEN)

        def change() -> None:
            space.delete(space.ids[0])
            space.create("hubspot", "New", "c")
            space.create("hubspot", "New", "c")

        sandbox.hook = changing({4: change})  # the first request of the second reading
        listing = read_listing(api)
        assert is_complete(listing, sandbox)
        assert len(listing.profiles) == 201


def test_a_list_that_shrinks_to_one_page_is_believed_the_second_time(tmp_path: Path) -> None:
    with workspace(150, tmp_path) as (sandbox, api):
        space = sandbox.workspace(TOKEN)

        def shrink() -> None:
            for profile_id in list(space.ids)[:-3]:
                space.delete(profile_id)

        sandbox.hook = changing({3: shrink})
        listing = read_listing(api)
        assert is_complete(listing, sandbox)
        assert len(listing.profiles) == 3
        assert listing.listings == 3


def test_a_list_that_grows_with_every_reading_is_an_error(tmp_path: Path) -> None:
    with workspace(150, tmp_path) as (sandbox, api):
        space = sandbox.workspace(TOKEN)

        def grow(_request: Request) -> None:
            space.create("hubspot", "New", "c")

        sandbox.hook = grow
        with pytest.raises(ApiError, match="5 times in a row"):
            read_listing(api)


def row(profile_id: int, name: str = "a") -> dict[str, object]:
    return {"id": profile_id, "name": name, "provider": "b", "data": {"client_id": "c"}}


def served(page_of: Callable[[int], list[dict[str, object]]]) -> Wire:
    def respond(request: bytes) -> bytes:
        match = re.search(rb"[?]page=(\d+)&", request)
        assert match is not None
        return answer(200, json.dumps({"result": page_of(int(match[1]))}).encode())

    return Wire(respond=respond)


def test_one_id_with_two_contents_is_an_error(tmp_path: Path) -> None:
    rows = [row(number) for number in range(1, 101)]
    with served(lambda page: rows if page == 1 else [row(100, "another")]) as wire:
        with (
            connected(wire.url, tmp_path, FakeClock()) as api,
            pytest.raises(ApiError, match="5 times in a row"),
        ):
            read_listing(api)
        assert len(wire.requests) == 2 * MAX_READINGS


def test_an_id_twice_on_the_only_page_is_an_error(tmp_path: Path) -> None:
    with (
        served(lambda _page: [row(1), row(1)]) as wire,
        connected(wire.url, tmp_path, FakeClock()) as api,
        pytest.raises(ApiError, match="5 times in a row"),
    ):
        read_listing(api)


def test_rows_behind_a_page_that_is_not_full_are_an_error(tmp_path: Path) -> None:
    def page_of(page: int) -> list[dict[str, object]]:
        return [row(page * 50 + number) for number in range(50)] if page < 6 else []

    with (
        served(page_of) as wire,
        connected(wire.url, tmp_path, FakeClock()) as api,
        pytest.raises(ApiError, match="5 times in a row"),
    ):
        read_listing(api, expected=300)


def test_a_list_without_end_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporter, "MAX_PAGES", 20)
    with served(lambda page: [row(page * 100 + number) for number in range(100)]) as wire:
        with (
            connected(wire.url, tmp_path, FakeClock()) as api,
            pytest.raises(ApiError, match="the list of 'dev' does not end after 20 pages"),
        ):
            read_listing(api)
        assert len(wire.requests) <= 21 + WIDTH


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    profiles=st.integers(90, 320),
    expected=st.sampled_from([0, 100, 300]),
    changes=st.lists(
        st.tuples(st.integers(0, 6), st.booleans(), st.integers(0, 10_000)), max_size=6
    ),
)
def test_a_listing_is_what_was_there_at_one_moment(
    profiles: int,
    expected: int,
    changes: list[tuple[int, bool, int]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Others create and delete while the list is read, some requests after their last change."""
    with workspace(profiles, tmp_path_factory.mktemp("x")) as (sandbox, api):
        space = sandbox.workspace(TOKEN)
        moments = [list(space.ids)]
        lock = threading.Lock()
        left = list(changes)
        pause = [left[0][0] if left else 0]

        def hook(_request: Request) -> None:
            with lock:
                if not left or pause[0] > 0:
                    pause[0] -= 1
                    return
                _, deletes, index = left.pop(0)
                if deletes and space.ids:
                    space.delete(space.ids[index % len(space.ids)])
                else:
                    space.create("hubspot", "New", "c")
                moments.append(list(space.ids))
                pause[0] = left[0][0] if left else 0

        sandbox.hook = hook
        with contextlib.suppress(ApiError):
            assert ids(read_listing(api, expected=expected)) in moments


# --- when the API fails -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["429", "429-date", "429-bare"])
@pytest.mark.parametrize("expected", [0, 250])
def test_a_429_in_the_middle_costs_nothing_but_time(
    kind: str, expected: int, tmp_path: Path
) -> None:
    faults = [Fault(kind, after=2, times=5)]
    with workspace(250, tmp_path, faults=faults) as (sandbox, api):
        listing = read_listing(api, expected=expected)
        assert is_complete(listing, sandbox)
        assert listing.requests == 6 + 5


@pytest.mark.parametrize("kind", ["reset", "truncate", "html", "500", "half-json"])
def test_failures_in_the_middle_are_overcome(kind: str, tmp_path: Path) -> None:
    faults = [Fault(kind, after=1, times=4)]
    with workspace(250, tmp_path, faults=faults) as (sandbox, api):
        assert is_complete(read_listing(api), sandbox)


@pytest.mark.parametrize("expected", [0, 250])
def test_an_api_that_keeps_failing_is_its_own_error(expected: int, tmp_path: Path) -> None:
    with (
        workspace(250, tmp_path, faults=[Fault("503", after=1)]) as (_, api),
        pytest.raises(UnknownOutcomeError, match="503"),
    ):
        read_listing(api, expected=expected)


def test_a_token_that_is_revoked_meanwhile_is_its_own_error(tmp_path: Path) -> None:
    with workspace(250, tmp_path, privileges={TOKEN: []}, denied_status=401) as (sandbox, api):
        with pytest.raises(AuthenticationError):
            read_listing(api)
        assert len(sandbox.requests) == 1


def test_ctrl_c_wakes_what_sleeps(tmp_path: Path) -> None:
    def interrupted(_event: Event) -> None:
        raise KeyboardInterrupt

    with workspace(250, tmp_path) as (_, api):
        with pytest.raises(KeyboardInterrupt):
            read_listing(api, listener=interrupted)
        with pytest.raises(SleepInterruptedError):
            api.clock.sleep(1)


def test_an_interrupted_clock_ends_a_reading_that_waits(tmp_path: Path) -> None:
    with workspace(250, tmp_path, limit=2) as (sandbox, api):
        api.clock.interrupt()
        with pytest.raises(SleepInterruptedError):
            read_listing(api)
        assert len(sandbox.requests) == 2
