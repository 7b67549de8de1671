"""What a listing of the target tells of steps whose outcome is not known. Pure.

A profile is new where it was not there when its run began, and no step stands for it yet.

- A POST went out, and nobody knows more: the one new profile with the step's provider, name and
  client id is its own. Where there is none, the call is repeated; where there are several, or one
  that differs in nothing but letter case, white space and how Unicode writes it, the step fails. A
  profile that is found long after the call may be somebody else's: that is noted.
- A PUT is repeated, unless the profile has become what was sent: then that is adopted. (It has not
  become so where it was so before: what was sent anew is its secret, which no list shows.)
- A DELETE is repeated, unless the profile is gone: then it is done.
- A step that was never begun, in a run that goes on after a pause, meets what others did meanwhile.
  What they created in its place is adopted, and what they changed is not touched.

An `Ending` says how a step ends; where there is none, it is still to be done.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from unicodedata import normalize

from oauthsync import profiles, strictjson
from oauthsync.profiles import Profile
from oauthsync.runs import Ending, Step
from oauthsync.strictjson import Json

Live = Mapping[int, Profile]
"""The target's profiles by id."""

_CHANGED = "a new profile may be this one, changed by the API"
_SEVERAL = "new profiles could be this one"
"""What the error of a create says of which nobody can tell what it made."""


def fingerprint(profile: Profile) -> str:
    """A name for a profile's state, but for what others' use of it moves."""
    return hashlib.sha256(profile.significant.encode("utf-8")).hexdigest()


def is_as_sent(step: Step, profile: Profile) -> bool:
    """Whether a profile has exactly what a step sends."""
    return profile.key == step.key and _data(profile.data) == _data(_sent(step))


def called(
    step: Step, live: Live, known: Collection[int], before: Live, *, late: bool = False
) -> Ending | None:
    """The end of a step whose call may have been carried out, and is over.

    `before` is the target when the step's run began; `known` are the profiles that are not new.
    `late` says that the call is over for so long that others may have made up for it.
    """
    profile, earlier = live.get(step.target_id or 0), before.get(step.target_id or 0)
    match step.action:
        case "create":
            new = list(_new(live, known))
            exact = [each for each in new if each.key == step.key]
            return _created(exact, late) or _changed(step, _by_folded_key(new))
        case "update" if profile and earlier and _differing(step, earlier):
            return None if _differing(step, profile) else _adopted(profile)
        case "delete" if profile is None:
            return Ending("done", step.target_id)
        case _:
            return None


def uncalled(
    steps: Sequence[Step],
    live: Live,
    known: Collection[int],
    before: Live,
    created: Container[int] = (),
) -> dict[int, Ending]:
    """The ends, by step id, of a run's steps that were never begun, or whose call did nothing.

    `before` is the target when the run began; `known` are its profiles, and those of the run's own
    steps. What calls of runs are known to have `created` is nothing that the API has changed.
    """
    found: dict[int, Ending] = {}
    creates: dict[object, list[Step]] = defaultdict(list)
    for step in steps:
        if step.action == "create":
            creates[step.key].append(step)
        elif ending := _moved_on(step, live, before):
            found[step.id] = ending
    new: dict[object, list[Profile]] = defaultdict(list)
    for profile in _new(live, known):
        new[profile.key].append(profile)
    others = _by_folded_key(
        profile
        for profile in _new(live, known)
        if profile.key not in creates and profile.id not in created
    )
    for key, group in creates.items():
        found.update((step.id, ending) for step in group if (ending := _changed(step, others)))
        # As many as there are steps, or fewer: all of them are interchangeable.
        if len(new[key]) > len(group):
            found.update((step.id, _ambiguous(new[key])) for step in group)
        else:
            found.update(
                (step.id, _adopted(profile, "no call of the run created it"))
                for step, profile in zip_longest(group, new[key])
                if profile is not None
            )
    return found


def findings(
    steps: Sequence[Step], live: Live, known: Collection[int], deleted: Container[int | None]
) -> Iterator[str]:
    """What in the target is not as a run's steps say.

    `known` are the profiles that are not new, and `deleted` those that runs have deleted: these are
    not missed.
    """
    for step in steps:
        profile = live.get(step.target_id or 0)
        if step.is_done and not (profile is None and step.target_id in deleted):
            yield from _finding(step, profile)
    created = Counter(step.key for step in steps if step.action == "create" and step.is_done)
    new = Counter(profile.key for profile in _new(live, known))
    for key, count in created.items():
        if new[key] > count:
            yield (
                f"{new[key]} new profiles are named {key[1]!r} ({key[0]}), and this run created"
                f" {count} of them"
            )


def may_be(step: Step, new: Iterable[Profile]) -> list[Profile]:
    """The new profiles that a create may have made which failed because nobody can tell."""
    if not any(words in (step.error or "") for words in (_CHANGED, _SEVERAL)):
        return []
    return [profile for profile in new if _folded(profile.key) == _folded(step.key)]


def _new(live: Live, known: Collection[int]) -> Iterator[Profile]:
    return (profile for profile in live.values() if profile.id not in known)


def _changed(step: Step, new: Mapping[object, Sequence[Profile]]) -> Ending | None:
    """How a create ends beside a new profile that the API may have made of what it was sent.

    To create it once more would make another one of these, each time. `new` are profiles of other
    keys, by these keys folded.
    """
    ids = ", ".join(str(each.id) for each in new.get(_folded(step.key), ()))
    if not ids:
        return None
    return Ending("failed", error=f"{_CHANGED}: {ids}; delete it, or leave this one out")


def _by_folded_key(profiles: Iterable[Profile]) -> Mapping[object, Sequence[Profile]]:
    found: dict[object, list[Profile]] = defaultdict(list)
    for profile in profiles:
        found[_folded(profile.key)].append(profile)
    return found


def _folded(key: Iterable[str | None]) -> tuple[str, ...]:
    texts = (normalize("NFKC", text or "").casefold() for text in key)
    return tuple(" ".join(text.split()) for text in texts)


def _created(candidates: Sequence[Profile], late: bool) -> Ending | None:
    if len(candidates) > 1:
        return _ambiguous(candidates)
    if not candidates:
        return None
    return _adopted(candidates[0], "somebody else may have created it" if late else None)


def _adopted(profile: Profile, doubt: str | None = None) -> Ending:
    return Ending("adopted", profile.id, fingerprint(profile), doubt)


def _ambiguous(candidates: Sequence[Profile]) -> Ending:
    ids = ", ".join(str(profile.id) for profile in candidates)
    error = f"{len(candidates)} {_SEVERAL} ({ids}): delete what is too many"
    return Ending("failed", error=error)


def _moved_on(step: Step, live: Live, before: Live) -> Ending | None:
    """How an update or a deletion ends that came too late."""
    profile, earlier = live.get(step.target_id or 0), before.get(step.target_id or 0)
    if profile is None:
        if step.action == "delete":
            return Ending("done", step.target_id)
        return Ending("failed", error="it was deleted since the run began")
    if earlier is None or (
        profiles.differs(earlier, profile)
        and (step.action == "delete" or _differing(step, profile))
    ):
        return Ending("failed", error="it was changed since the run began")
    if step.action == "delete" and profile.uses != 0 and earlier.uses == 0:
        return Ending("failed", error="it came into use since the run began")
    return None


def _finding(step: Step, profile: Profile | None) -> Iterator[str]:
    if step.action == "delete":
        if profile is not None:
            yield f"profile {step.target_id} ({step.name!r}) is still there"
    elif profile is None:
        yield f"profile {step.target_id} ({step.name!r}) is not in the list"
    elif differing := _differing(step, profile):
        yield (
            f"profile {step.target_id} ({step.name!r}) is not as it was sent:"
            f" {', '.join(differing)}"
        )


def _differing(step: Step, profile: Profile) -> list[str]:
    """The fields that were sent, and are not as they were; the API may add fields of its own."""
    found = ["provider"] if profile.provider != step.provider else []
    found += ["name"] if profile.name != step.name else []
    there = _data(profile.data)
    return found + [
        f"data.{name}" for name, text in _data(_sent(step)).items() if there.get(name) != text
    ]


def _sent(step: Step) -> dict[str, Json]:
    return {**step.data, "client_id": step.client_id}


def _data(data: Mapping[str, Json]) -> dict[str, str]:
    # As text: Python takes 1 and True for equal, and JSON does not.
    return {name: strictjson.canonical(value) for name, value in data.items()}
