"""Looking at the workspace that is written to: what is there, and what became of open calls.

Whoever writes looks first. A call whose outcome is unknown, of whatever run, is settled by that:
when the server can no longer be working on it the target is listed, and the list tells
(`settling.py`). So a plan is never made from a list that a call may still change.
"""

from collections.abc import Mapping, Sequence

from sqlite_utils import Database

from oauthsync import settling
from oauthsync.api import Api
from oauthsync.errors import StoreError
from oauthsync.events import Listener, Waiting
from oauthsync.exporter import identify, read_listing
from oauthsync.journal import Journal
from oauthsync.last_known import LastKnown, last_known
from oauthsync.profiles import Profile
from oauthsync.runs import Ending, OpenCall, Run
from oauthsync.snapshots import Listing, Snapshots, check_identity
from oauthsync.steady import Moment, Steady
from oauthsync.transport import UNACKNOWLEDGED

MAX_JOURNAL_DELAY = 1.0
"""Seconds between a call's recorded beginning and its request."""

GRACE = MAX_JOURNAL_DELAY + UNACKNOWLEDGED + 1.0
"""Seconds beyond the server's own timeout until a call is over: for its way to the server."""

LATE = 60.0
"""Seconds after a call is over from which on what looks like its work may be somebody else's."""


class Target:
    """A workspace that is written to, and what the journal and the snapshots know of it.

    `user_id` is its own id, once anything has told it.
    """

    def __init__(
        self,
        api: Api,
        database: Database,
        journal: Journal,
        snapshots: Snapshots,
        *,
        listener: Listener,
        steady: Steady,
    ) -> None:
        self.api = api
        self.journal = journal
        self.listener = listener
        self.steady = steady
        self._database = database
        self._snapshots = snapshots
        self._looked: Moment | None = None
        self._shown: Listing | None = None
        self.user_id: int | None = None

    def look(self) -> Listing:
        """The profiles, after all open calls are over, and settled by this list.

        Raises ApiError where they cannot be listed, and StoreError where it is another workspace
        than it was. An empty list does not tell that, so the API is asked, by one request, where
        the workspace is known.
        """
        self._looked = self._shown = None
        self._wait_for_open_calls()
        looked = self.steady()
        # That an open call created nothing is not believed at once.
        creates = sum(call.step.action == "create" for call in self._open_calls())
        known = self._last_known()
        listing = self.list(more=creates)
        self.remember(identify(self.api, listing, self._snapshots))
        # Under a name that is new here, it takes the list to tell what there should be.
        if (last := self._last_known()) != known and last.is_more_than(by_id(listing.profiles)):
            listing = self.list(more=creates)
        self._settle(listing, looked)
        self._looked, self._shown = looked, listing
        return listing

    def remember(self, user_id: int | None) -> None:
        """Note the workspace's own id as soon as anything tells it; it is compared ever after.

        Raises StoreError where it is another one.
        """
        check_identity(self.api.workspace, (self.api.url, self.user_id), (self.api.url, user_id))
        if user_id is not None and self.user_id is None:
            self.user_id = user_id
            self._snapshots.identify(self.api.workspace, user_id)

    def list(self, *, more: int = 0) -> Listing:
        """The profiles as they are now, probably so many `more` than at last. Raises ApiError."""
        last = self._last_known()
        return read_listing(
            self.api, expected=last.count + more, known=last.ids, listener=self.listener
        )

    def _last_known(self) -> LastKnown:
        return last_known(self._database, self.api.workspace, self.api.url, self.user_id)

    def is_quiet(self) -> bool:
        """Whether all calls of this journal are over, in whichever workspace at this URL."""
        now = self.steady()
        ages = [began.until(now) for began in self.journal.open_since(None, self.api.url)]
        return all(age is not None and age >= self._over for age in ages)

    def shows(self, listing: Listing, seconds: float) -> bool:
        """Whether a listing is what the last look has shown, not older than that."""
        return listing is self._shown and self.looked_within(seconds)

    def forget(self) -> None:
        """What the last look has shown is written to, and holds no longer."""
        self._shown = None

    def looked_within(self, seconds: float) -> bool:
        """Whether what the last look has shown is not older than that."""
        age = self._looked.until(self.steady()) if self._looked else None
        return age is not None and age <= seconds

    def has_open_calls(self) -> bool:
        """Whether there are calls whose outcome is unknown."""
        return bool(self._open_calls())

    def claimed(self) -> set[int]:
        """The ids that steps of any run stand for."""
        return self.journal.claimed_ids(self.api.workspace, self.api.url, self.user_id)

    def deleted(self) -> set[int]:
        """The ids of the profiles that steps of any run deleted."""
        return self.journal.deleted_ids(self.api.workspace, self.api.url, self.user_id)

    def creators(self) -> dict[int, int]:
        """The runs that created profiles, by these profiles' ids."""
        return self.journal.creators(self.api.workspace, self.api.url, self.user_id)

    def before(self, run: Run) -> Mapping[int, Profile]:
        """The profiles by id when a run began; StoreError where nobody knows any more."""
        if run.safety_snapshot is None:
            raise StoreError(
                f"the safety snapshot of run {run.id} was pruned, so it cannot be carried on",
                hint="a new `oauthsync import` does what is left to do",
            )
        return by_id(self._snapshots.profiles(self._snapshots.get(run.safety_snapshot)))

    def wait_for_strangers(self) -> None:
        """Wait until all calls that are not in this journal are over."""
        self._wait(self._over)

    @property
    def _over(self) -> float:
        """Seconds after which the server can no longer be working on a call."""
        return self.api.server_timeout + GRACE

    def _wait_for_open_calls(self) -> None:
        began = self.journal.open_since(self.api.workspace, self.api.url)
        now = self.steady()
        # A call from before the machine was started may, for all we know, have begun just now.
        self._wait(max((self._over - (each.until(now) or 0.0) for each in began), default=0.0))
        if any(each.until(now) is None for each in began):
            # Or each session would wait for the calls of others that it does not settle.
            now = self.steady()
            over = Moment(now.timeline, now.seconds - self._over)
            self.journal.redate(self.api.workspace, self.api.url, over)

    def _wait(self, seconds: float) -> None:
        if seconds > 0:
            self.listener(Waiting(self.api.workspace, seconds, "unknown outcome"))
            self.api.clock.sleep(seconds)

    def _open_calls(self) -> Sequence[OpenCall]:
        return self.journal.open_calls(self.api.workspace, self.api.url, self.user_id)

    def _settle(self, listing: Listing, looked: Moment) -> None:
        live = by_id(listing.profiles)
        claimed = self.claimed()
        before: dict[int, Mapping[int, Profile]] = {}
        # Those first whose very work is there: it is not to be taken for that of one much like it.
        new = {each.key for each in listing.profiles if each.id not in claimed}
        for call in sorted(self._open_calls(), key=lambda call: call.step.key not in new):
            run = self.journal.run(call.step.run)
            if run.safety_snapshot is None:
                ending: Ending | None = Ending("failed", error="what was there before is not known")
            else:
                if run.id not in before:
                    before[run.id] = self.before(run)
                known = before[run.id].keys() | claimed
                late = self._is_late(call, looked)
                ending = settling.called(call.step, live, known, before[run.id], late=late)
            self.journal.end_call(call.id, "settled", self.api.clock.now(), ending=ending)
            if ending and ending.target_id:
                claimed.add(ending.target_id)

    def _is_late(self, call: OpenCall, looked: Moment) -> bool:
        age = call.began.until(looked) if call.is_dated else None
        return age is None or age > self._over + LATE


def by_id(profiles: Sequence[Profile]) -> dict[int, Profile]:
    """Profiles by their id."""
    return {profile.id: profile for profile in profiles}
