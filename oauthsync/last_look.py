"""The last look at a profile before it is deleted, for what is deleted cannot be brought back.

In a long run, what it has listed at its beginning is minutes old. So a profile that has come into
use since then, or was changed, is seen at most `STALE` seconds before its deletion goes out: by its
id, or where the token may not do that, in a list that serves as many deletions as are soon enough.
What an undo puts back is seen so, too: it is not to undo what others have done since.
"""

from collections.abc import Container, Mapping

from oauthsync import settling
from oauthsync.errors import AuthenticationError, RefusedError, UnknownOutcomeError
from oauthsync.profiles import Profile
from oauthsync.runs import Action, Ending, Step
from oauthsync.steady import Moment
from oauthsync.target import Target, by_id

STALE = 20.0
"""Seconds after which what was seen no longer tells that a call may go out."""


class LastLooks:
    """What a run has seen of the profiles that it is about to change by one of these `actions`.

    `before` is the target as it began. `may_get` is whether the token has the privilege to get one
    profile, as far as that was tried.
    """

    def __init__(
        self, target: Target, before: Mapping[int, Profile], actions: Container[Action]
    ) -> None:
        self.may_get = True
        self._target = target
        self._actions = actions
        self._before = before
        self._seen_at: dict[int, Moment] = {}
        self._listed: tuple[Moment, Mapping[int, Profile]] | None = None

    def is_fresh(self, step: Step) -> bool:
        """Whether what was seen of a step's profile is young enough to go by."""
        if step.action not in self._actions or self._target.looked_within(STALE):
            return True
        if step.action == "update" and not self.may_get:
            return True  # it is no deletion, and to list a large workspace takes minutes
        return self._is_younger(self._seen_at.get(step.id), STALE)

    def take(self, step: Step) -> Ending | None:
        """Look at a step's profile; how a step ends whose call must not go out. Raises ApiError."""
        assert step.target_id is not None
        seen = self._target.steady()
        live: Mapping[int, Profile] | None = None
        try:
            if self.may_get:
                live = {step.target_id: self._target.api.get(step.target_id)}
        except (AuthenticationError, UnknownOutcomeError):
            self.may_get = False  # it takes a privilege of its own, or does not work
        except RefusedError as error:
            if error.status != 404:  # that it is gone is not believed without the list
                return Ending("failed", error=str(error))
        if live is None:
            seen, live = self._list()
        self._seen_at[step.id] = seen
        return settling.uncalled([step], live, self._before, self._before).get(step.id)

    def _list(self) -> tuple[Moment, Mapping[int, Profile]]:
        """When the profiles were listed, and these."""
        if self._listed is None or not self._is_younger(self._listed[0], STALE / 2):
            now = self._target.steady()
            listing = self._target.list()
            self._listed = now, by_id(listing.profiles)
        return self._listed

    def _is_younger(self, seen: Moment | None, seconds: float) -> bool:
        age = seen.until(self._target.steady()) if seen else None
        return age is not None and age <= seconds
