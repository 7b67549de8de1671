"""A workspace's list, read until it can be trusted to be complete.

The list has no total and no stable order, and it can shift under the reader while others create and
delete (a row that moves across a page's border is then read twice or not at all). So a list of more
than one page is read until two readings in a row agree, profile by profile. A reading in which an
id comes twice agrees with nothing. The empty page behind a full last one is read once.
"""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from oauthsync.api import PER_PAGE, Api, Page
from oauthsync.clock import timestamp
from oauthsync.errors import ApiError
from oauthsync.events import Listener, PageRead, ignore
from oauthsync.profiles import Profile
from oauthsync.snapshots import Listing

MAX_READINGS = 5
MAX_PAGES = 10_000
"""A million profiles; a list that goes on is taken for one that never ends."""

WIDTH = 8
"""Pages that are fetched side by side."""


@dataclass(frozen=True)
class _Reading:
    """One pass: the pages in order, and the profiles by id, or None where an id came twice."""

    pages: tuple[Page, ...]
    profiles: dict[int, Profile] | None


def read_listing(api: Api, *, expected: int = 0, listener: Listener = ignore) -> Listing:
    """All profiles of a workspace.

    `expected` is how many there probably are, so that that many are fetched side by side from the
    start. Raises ApiError where the API fails, or five readings did not agree.
    """
    requests = api.requests
    before = _Reading((), None)
    with ThreadPoolExecutor(WIDTH, thread_name_prefix="page") as pool:
        for number in range(1, MAX_READINGS + 1):
            if number > 1:
                expected = sum(len(page.profiles) for page in before.pages)
            reading = _read(
                api,
                pool,
                before,
                math.ceil(expected / PER_PAGE),
                lambda read, number=number: listener(PageRead(api.workspace, number, read)),
            )
            found = reading.profiles
            if found is not None and (len(reading.pages) == 1 or found == before.profiles):
                return Listing(
                    workspace=api.workspace,
                    url=api.url,
                    taken_at=timestamp(api.clock.now()),
                    profiles=tuple(found[profile_id] for profile_id in sorted(found)),
                    requests=api.requests - requests,
                    listings=number,
                )
            before = reading
    raise ApiError(
        f"the list of {api.workspace!r} changed each of the {MAX_READINGS} times it was read",
        hint="try again when nobody creates or deletes profiles there",
    )


def _read(
    api: Api,
    pool: ThreadPoolExecutor,
    before: _Reading,
    reach: int,
    progress: Callable[[int], None],
) -> _Reading:
    """One pass over the pages, the first `reach` of them side by side."""
    pages: list[Page] = []
    found: dict[int, Profile] = {}
    known = before.pages
    while len(pages) < MAX_PAGES:
        first, last = len(pages) + 1, max(len(pages) + 1, reach)
        for page in pool.map(
            lambda index: api.page(index, known=known[index - 1] if index <= len(known) else None),
            range(first, last + 1),
        ):
            pages.append(page)
            found.update((profile.id, profile) for profile in page.profiles)
            progress(len(found))
        if len(found) < sum(len(page.profiles) for page in pages):
            return _Reading(tuple(pages), None)
        # The pass before has seen the empty page behind a full last one: the same pages end there.
        if pages[-1].is_last or found == before.profiles:
            return _Reading(tuple(pages), found)
    raise ApiError(f"the list of {api.workspace!r} does not end after {MAX_PAGES} pages")
