"""A workspace's list, read until it can be trusted to be complete.

The list has no total and no stable order, and it can shift under the reader while others create and
delete: a row that moves across a page's border is then read twice or not at all. So:

- A list of more than one page, or without some that were there when it was last looked at, is
  read until two readings in a row agree: the same profiles, with no difference that counts as a
  change. The second begins when the first has ended, so what they agree on was there in between.
- A reading agrees with nothing where an id comes twice, or where rows stand behind a page that is
  not full. It ends there.
- Pages are fetched side by side as far as they are known to exist, then one at a time, and after
  some more full ones ever further ahead: a short list costs no request too many, and a long one
  that nobody has read before does not take all day. While requests wait for the quota, fetching
  ahead would gain nothing.
- The empty page behind a full last one is fetched once, unless profiles are gone.
"""

import math
from collections import deque
from collections.abc import Collection, Set
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from oauthsync.api import PER_PAGE, Api, Page
from oauthsync.clock import timestamp
from oauthsync.errors import ApiError
from oauthsync.events import Listener, PageRead, ignore
from oauthsync.interrupts import held, readers, result
from oauthsync.profiles import Profile, differs, is_id
from oauthsync.snapshots import Listing, Snapshots, check_identity

MAX_READINGS = 5
MAX_PAGES = 10_000
"""A million profiles; a list that goes on is taken for one that never ends."""

WIDTH = 16
"""Pages that are fetched side by side."""

ONE_BY_ONE = 10
"""Pages of an unknown list that are fetched before any is fetched ahead."""


@dataclass(frozen=True)
class _Reading:
    """One pass: the pages in order, and the profiles by id; None where it agrees with nothing."""

    pages: tuple[Page, ...]
    profiles: dict[int, Profile] | None

    def agrees(self, found: dict[int, Profile]) -> bool:
        """Whether `found` are the same profiles, unchanged."""
        known = self.profiles
        # What came again in the same bytes is the same object: those are compared in no time.
        return known == found or (
            known is not None
            and known.keys() == found.keys()
            and not any(differs(known[profile_id], found[profile_id]) for profile_id in found)
        )


def read_listing(
    api: Api,
    *,
    expected: int = 0,
    known: Collection[int] = (),
    listener: Listener = ignore,
    width: int = WIDTH,
) -> Listing:
    """All profiles of a workspace, by at most `width` threads.

    `expected` is how many there probably are: that many are fetched side by side from the start.
    `known` are ids that are probably among them. Raises ApiError where the API fails or five
    readings did not agree, and SleepInterruptedError where the API's clock was interrupted; Ctrl-C
    interrupts it.
    """
    with readers(width, "page", api.clock.interrupt) as pool, held():
        return _read_until_agreed(api, pool, expected, frozenset(known), listener)


def identify(api: Api, listing: Listing, snapshots: Snapshots) -> int | None:
    """The workspace's own id, as the listing tells it, or else as it is known.

    Raises StoreError where it is another workspace than its snapshots are of: a token may be in the
    wrong place. An empty list does not tell that, so the API is asked, by one request, where the
    workspace is known.
    """
    known = snapshots.newest(listing.workspace)
    found = listing.user_id
    if known is None:
        return found
    if found is None and known.user_id is not None:
        with suppress(ApiError):  # it takes a privilege of its own
            answer = api.identity().get("id")
            found = answer if is_id(answer) else None
    check_identity(listing.workspace, known.identity, (listing.url, found))
    return found or known.user_id


def _read_until_agreed(
    api: Api, pool: ThreadPoolExecutor, expected: int, ids: Set[int], listener: Listener
) -> Listing:
    requests = api.requests
    before, known = _Reading((), None), expected
    for number in range(1, MAX_READINGS + 1):
        # What is created from now on may be missing, and is to count as later.
        taken_at = timestamp(api.clock.now())
        reading = _read(api, pool, before, expected, known, number, listener)
        found = reading.profiles
        if found is not None:
            expected = len(found)
            is_one_page = number == 1 and len(reading.pages) == 1
            is_as_known = len(found) >= known and found.keys() >= ids
            if (is_one_page and is_as_known) or before.agrees(found):
                return Listing(
                    workspace=api.workspace,
                    url=api.url,
                    taken_at=taken_at,
                    profiles=tuple(found[profile_id] for profile_id in sorted(found)),
                    requests=api.requests - requests,
                    listings=number,
                )
        before = reading
    raise ApiError(
        f"the list of {api.workspace!r} could not be read: {MAX_READINGS} times in a row it had"
        " changed, or showed a profile twice",
        hint="try again when nobody creates or deletes profiles there",
    )


def _read(
    api: Api,
    pool: ThreadPoolExecutor,
    before: _Reading,
    expected: int,
    known: int,
    number: int,
    listener: Listener,
) -> _Reading:
    """The pass with this number over the list, which probably has `expected` profiles.

    When it was last looked at, it had `known`.
    """
    pages: list[Page] = []
    found: dict[int, Profile] = {}
    under_way: deque[Future[Page]] = deque()

    def fetch(index: int) -> Page:
        return api.page(index + 1, known=before.pages[index] if index < len(before.pages) else None)

    is_whole, is_over = True, False
    while not is_over:
        reach = _reach(len(pages), math.ceil(expected / PER_PAGE), throttled=api.throttled)
        while (asked := len(pages) + len(under_way)) < reach:
            under_way.append(pool.submit(fetch, asked))
        page = result(under_way.popleft())
        pages.append(page)
        rows = len(found) + len(page.profiles)
        found.update((profile.id, profile) for profile in page.profiles)
        listener(PageRead(api.workspace, number, len(found)))
        is_whole = len(found) == rows
        # What the reading before found has come again: it has seen the empty page behind, too.
        is_known = len(found) == len(before.profiles or ()) and before.agrees(found)
        is_over = not is_whole or not page.is_full or (is_known and len(found) >= known)
        if len(pages) > MAX_PAGES:
            raise ApiError(f"the list of {api.workspace!r} does not end after {MAX_PAGES} pages")
    behind = [result(future) for future in under_way]
    is_whole = is_whole and not any(page.profiles for page in behind)
    return _Reading(tuple(pages), found if is_whole else None)


def _reach(read: int, expected: int, *, throttled: bool) -> int:
    """How many pages to have asked for, when `read` have come and were full."""
    certain = max(expected, ONE_BY_ONE)
    ahead = 1 if read < certain or throttled else 1 + 4 * (read - certain)
    return min(max(expected, read + ahead), read + WIDTH)
