"""Which profile of the target is which profile of the snapshot. Pure.

In this order, and each target profile for one source only: what the user said (`--map`), the same
id where the target is the snapshot's own workspace, the id that an earlier import gave it there,
provider, name and client id, and last provider and name where just one is left on either side.
Where several would do, none is taken: the match is ambiguous, and a person decides.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from oauthsync.errors import UsageError
from oauthsync.overrides import Wanted
from oauthsync.profiles import Profile


@dataclass(frozen=True)
class Matches:
    """Target profiles by source id, and why the match of a source id is ambiguous."""

    found: Mapping[int, Profile]
    ambiguous: Mapping[int, str]


def match(
    wanted: Sequence[Wanted],
    target: Sequence[Profile],
    *,
    maps: Mapping[int, int],
    same_workspace: bool,
    id_map: Mapping[int, int],
) -> Matches:
    """Match every wanted profile. UsageError for a `--map` that names what is not there."""
    matcher = _Matcher(wanted, target)
    matcher.by_user(maps)
    if same_workspace:
        matcher.by_id({each.source.id: each.source.id for each in wanted}, own=True)
    matcher.by_id(id_map, own=False)
    matcher.by_key()
    matcher.by_name()
    return Matches(matcher.found, matcher.ambiguous)


class _Matcher:
    def __init__(self, wanted: Sequence[Wanted], target: Sequence[Profile]) -> None:
        self.wanted = {each.source.id: each for each in wanted}
        self.target = {profile.id: profile for profile in target}
        self.found: dict[int, Profile] = {}
        self.ambiguous: dict[int, str] = {}
        self.taken: set[int] = set()

    def take(self, source_id: int, profile: Profile) -> None:
        self.found[source_id] = profile
        self.taken.add(profile.id)

    def by_user(self, maps: Mapping[int, int]) -> None:
        for source_id, target_id in maps.items():
            if source_id not in self.wanted:
                raise UsageError(f"--map: the snapshot has no profile {source_id}")
            if target_id not in self.target:
                raise UsageError(f"--map: the target has no profile {target_id}")
            if target_id in self.taken:
                raise UsageError(f"--map: two profiles are mapped to {target_id}")
            self.take(source_id, self.target[target_id])

    def by_id(self, ids: Mapping[int, int], *, own: bool) -> None:
        """`own`: the ids are the target's own, and not from an earlier import."""
        for source_id, target_id in ids.items():
            wanted, profile = self.wanted.get(source_id), self.target.get(target_id)
            if wanted is None or profile is None or source_id in self.found:
                continue
            if target_id not in self.taken:
                if own or profile.provider == wanted.provider:
                    self.take(source_id, profile)
            elif own:
                self.ambiguous[source_id] = f"profile {target_id} is mapped to another one"

    def by_key(self) -> None:
        for sources, profiles in self._open_groups(lambda each: each.key, lambda one: one.key):
            if len(sources) == 1 and len(profiles) == 1:
                self.take(sources[0].source.id, profiles[0])
            elif profiles:
                ids = ", ".join(str(profile.id) for profile in profiles)
                for each in sources:
                    self.ambiguous[each.source.id] = (
                        f"{len(sources)} of the snapshot could be {len(profiles)} in the target"
                        f" ({ids}): same provider, name and client id"
                    )

    def by_name(self) -> None:
        for sources, profiles in self._open_groups(
            lambda each: (each.provider, each.name), lambda one: (one.provider, one.name)
        ):
            if len(sources) == 1 and len(profiles) == 1:
                self.take(sources[0].source.id, profiles[0])

    def _open_groups(
        self, wanted_key: Callable[[Wanted], Hashable], target_key: Callable[[Profile], Hashable]
    ) -> Iterable[tuple[list[Wanted], list[Profile]]]:
        """What is not matched yet on both sides, grouped by a key."""
        profiles: dict[Hashable, list[Profile]] = defaultdict(list)
        for profile in self.target.values():
            if profile.id not in self.taken:
                profiles[target_key(profile)].append(profile)
        sources: dict[Hashable, list[Wanted]] = defaultdict(list)
        for source_id, each in self.wanted.items():
            if source_id not in self.found and source_id not in self.ambiguous:
                sources[wanted_key(each)].append(each)
        return [(group, profiles.get(key, [])) for key, group in sources.items()]
