"""Which profile of the target is which profile of the snapshot. Pure: no I/O.

In this order, and each target profile for one source only:

1. what the user said (`--map`);
2. the same id, where the target is the snapshot's own workspace;
3. the id that an earlier import gave it there;
4. provider, name and client id;
5. provider and name, where just one is left on both sides.

A profile of another provider is never a match: an id that leads to one was given to something else
since. Where several would do, none is taken: the match is ambiguous, and a person decides. All of
the snapshot's profiles take part, also those that are not to be imported: what belongs to one of
them is not free for another.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

from oauthsync.errors import UsageError
from oauthsync.overrides import Wanted
from oauthsync.profiles import Profile
from oauthsync.text import listed


@dataclass(frozen=True)
class Matches:
    """Target profiles by source id, and for source ids without one, why that is ambiguous."""

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
    """Match every wanted profile.

    `maps` are the user's, `id_map` the earlier imports', both from source to target ids. Raises
    UsageError for a `--map` that names what is not there, or cannot be.
    """
    matcher = _Matcher(wanted, target)
    matcher.by_user(maps)
    if same_workspace:
        matcher.by_own_id()
        # What was restored twice has its newest id at the end of a chain.
        id_map = {source_id: matcher.last_id(id_map, source_id) for source_id in id_map}
    matcher.by_earlier_import(id_map)
    matcher.by_key()
    matcher.by_name()
    return Matches(matcher.found, matcher.ambiguous)


class _Matcher:
    """`open` and `free` are what is not matched yet, and not ambiguous, by source and target id."""

    def __init__(self, wanted: Sequence[Wanted], target: Sequence[Profile]) -> None:
        self.open = {each.source.id: each for each in wanted}
        self.free = {profile.id: profile for profile in target}
        self.target = dict(self.free)
        self.found: dict[int, Profile] = {}
        self.ambiguous: dict[int, str] = {}

    def take(self, wanted: Wanted, profile: Profile) -> None:
        self.found[wanted.source.id] = profile
        del self.open[wanted.source.id], self.free[profile.id]

    def give_up(self, sources: Sequence[Wanted], profiles: Sequence[Profile], why: str) -> None:
        """Leave it to a person which of these is which; they are not free for others."""
        for wanted in sources:
            self.ambiguous[wanted.source.id] = why
            del self.open[wanted.source.id]
        for profile in profiles:
            del self.free[profile.id]

    def by_user(self, maps: Mapping[int, int]) -> None:
        for source_id, target_id in sorted(maps.items()):
            option = f"--map {source_id}={target_id}"
            if source_id not in self.open:
                raise UsageError(f"{option}: the snapshot has no profile {source_id}")
            if target_id not in self.target:
                raise UsageError(f"{option}: the target has no profile {target_id}")
            if target_id not in self.free:
                raise UsageError(f"{option}: another profile is mapped to {target_id}, too")
            wanted, profile = self.open[source_id], self.free[target_id]
            if wanted.provider != profile.provider:
                raise UsageError(
                    f"{option}: one is of provider {wanted.provider!r}, the other of"
                    f" {profile.provider!r}",
                    hint="the provider of a profile cannot be changed; map it to another one",
                )
            self.take(wanted, profile)

    def by_own_id(self) -> None:
        for wanted in list(self.open.values()):
            profile = self.target.get(wanted.source.id)
            if profile is None or profile.provider != wanted.provider:
                continue
            if profile.id in self.free:
                self.take(wanted, profile)
            else:
                self.give_up([wanted], [], f"--map gives profile {profile.id} to another one")

    def last_id(self, id_map: Mapping[int, int], source_id: int) -> int:
        seen = {source_id}
        last = id_map[source_id]
        while last not in self.target and last in id_map and last not in seen:
            seen.add(last)
            last = id_map[last]
        return last

    def by_earlier_import(self, id_map: Mapping[int, int]) -> None:
        claims: dict[int, list[Wanted]] = defaultdict(list)
        for source_id, target_id in id_map.items():
            wanted, profile = self.open.get(source_id), self.free.get(target_id)
            if wanted and profile and wanted.provider == profile.provider:
                claims[target_id].append(wanted)
        for target_id, sources in claims.items():
            profile = self.free[target_id]
            alike = [each for each in sources if each.key == profile.key]
            if len(sources) == 1 or len(alike) == 1:
                self.take((alike or sources)[0], profile)
            else:
                ids = listed(sorted(each.source.id for each in sources))
                why = f"earlier imports gave the id {target_id} to each of {ids}"
                self.give_up(sources, [profile], why)

    def by_key(self) -> None:
        for sources, profiles in self._groups(attrgetter("key")):
            if len(sources) == len(profiles) == 1:
                self.take(sources[0], profiles[0])
            else:
                ours = listed(sorted(each.source.id for each in sources))
                theirs = listed(sorted(profile.id for profile in profiles))
                why = f"same provider, name and client id: {ours} here, {theirs} in the target"
                self.give_up(sources, profiles, why)

    def by_name(self) -> None:
        for sources, profiles in self._groups(attrgetter("provider", "name")):
            if len(sources) == len(profiles) == 1:
                self.take(sources[0], profiles[0])

    def _groups(
        self, key: Callable[[Wanted | Profile], object]
    ) -> Iterator[tuple[list[Wanted], list[Profile]]]:
        """What is open and what is free with the same key, where there is some of both."""
        if not self.free:
            return
        sources: dict[object, list[Wanted]] = defaultdict(list)
        for wanted in self.open.values():
            sources[key(wanted)].append(wanted)
        profiles: dict[object, list[Profile]] = defaultdict(list)
        for profile in self.free.values():
            if (its_key := key(profile)) in sources:
                profiles[its_key].append(profile)
        for each, found in profiles.items():
            yield sources[each], found
