"""What the API answered to the writes of a run, as far as that can be true.

An answer with another profile than was asked for is no answer: a cache or a proxy may have given
it. What became of the call is then as unknown as without one.
"""

import threading
from collections.abc import Mapping, Sequence

from oauthsync.errors import UnknownOutcomeError
from oauthsync.profiles import Profile
from oauthsync.runs import Step


class Answered:
    """The answers to one run's calls; usable by several threads.

    `known` are the ids in the target that are taken.
    """

    def __init__(self) -> None:
        self.known: set[int] = set()
        self._profiles: dict[int, Profile | None] = {}
        self._lock = threading.Lock()

    def created(self, step: Step, profile: Profile) -> None:
        """Note a new profile; UnknownOutcomeError where it is not new, or not what was sent."""
        if profile.app != (step.provider, step.client_id):
            raise UnknownOutcomeError(
                f"the API answered with profile {profile.id}, which is one of another app"
            )
        with self._lock:
            if profile.id in self.known:
                raise UnknownOutcomeError(
                    f"the API answered with profile {profile.id}, which was there before"
                )
            self.known.add(profile.id)
            self._profiles[step.id] = profile

    def updated(self, step: Step, profile: Profile) -> None:
        """Note an updated profile; UnknownOutcomeError where it is another one."""
        if profile.id != step.target_id:
            raise UnknownOutcomeError(
                f"the API answered with profile {profile.id} instead of {step.target_id}"
            )
        with self._lock:
            self._profiles[step.id] = profile

    def deleted(self, step: Step) -> None:
        """Note that a step's profile is gone."""
        with self._lock:
            self._profiles[step.id] = None

    def cover(self, steps: Sequence[Step]) -> bool:
        """Whether each of these steps was answered."""
        return all(step.id in self._profiles for step in steps)

    def applied_to(
        self, target: Mapping[int, Profile], steps: Sequence[Step]
    ) -> Mapping[int, Profile]:
        """The target's profiles by id, as they are after these steps."""
        found = dict(target)
        for step in steps:
            if (profile := self._profiles[step.id]) is not None:
                found[profile.id] = profile
            elif step.target_id is not None:
                found.pop(step.target_id, None)
        return found
