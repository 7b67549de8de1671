"""Which profile of the target is which profile of the snapshot."""

import itertools
import random
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauthsync import matching
from oauthsync.errors import UsageError
from oauthsync.matching import Matches
from oauthsync.overrides import apply
from oauthsync.profiles import Profile
from tests.plans import ID_MAPS, listings, profile


def match(
    source: Sequence[Profile],
    target: Sequence[Profile],
    *,
    maps: Mapping[int, int] | None = None,
    same_workspace: bool = False,
    id_map: Mapping[int, int] | None = None,
) -> Matches:
    return matching.match(
        apply((), source),
        target,
        maps=maps or {},
        same_workspace=same_workspace,
        id_map=id_map or {},
    )


def ids(matches: Matches) -> dict[int, int]:
    """Target ids by source id."""
    return {source_id: found.id for source_id, found in matches.found.items()}


# Source 1 has a candidate for each rule, so that the first rule that applies shows itself.
CANDIDATES = [
    profile(21, "renamed for --map", client_id="another"),
    profile(1, "renamed in place", client_id="another"),
    profile(31, "renamed after an import", client_id="another"),
    profile(41, "Acme", client_id="app"),
    profile(51, "Acme", client_id="another"),
]


@pytest.mark.parametrize(
    ("rules", "found"),
    [
        ({"maps": {1: 21}, "same_workspace": True, "id_map": {1: 31}}, 21),
        ({"same_workspace": True, "id_map": {1: 31}}, 1),
        ({"id_map": {1: 31}}, 31),
        ({}, 41),
    ],
)
def test_a_match_is_found_by_the_first_rule_that_applies(rules: Any, found: int) -> None:
    assert ids(match([profile(1)], CANDIDATES, **rules)) == {1: found}


def test_the_last_rule_is_provider_and_name_where_just_one_is_left_on_both_sides() -> None:
    assert ids(match([profile(1)], CANDIDATES[4:])) == {1: 51}


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("xy", "z"),  # two of the snapshot, one of the target
        ("x", "yz"),
        ("wx", "yz"),
    ],
)
def test_a_name_that_several_have_left_matches_nothing(source: str, target: str) -> None:
    matches = match(
        [profile(number, client_id=each) for number, each in enumerate(source, 1)],
        [profile(number, client_id=each) for number, each in enumerate(target, 11)],
    )
    assert (matches.found, matches.ambiguous) == ({}, {})


def test_a_name_is_left_to_one_when_the_others_are_matched_by_client_id() -> None:
    source = [profile(1, client_id="x"), profile(2, client_id="old")]
    target = [profile(11, client_id="new"), profile(12, client_id="x")]
    assert ids(match(source, target)) == {1: 12, 2: 11}


@pytest.mark.parametrize("rules", [{"same_workspace": True}, {"id_map": {1: 1}}, {}])
def test_a_profile_of_another_provider_is_never_a_match(rules: Any) -> None:
    matches = match([profile(1, provider="hubspot")], [profile(1, provider="slack")], **rules)
    assert (matches.found, matches.ambiguous) == ({}, {})


# --- --map --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("maps", "words"),
    [
        ({7: 11}, "--map 7=11: the snapshot has no profile 7"),
        ({1: 7}, "--map 1=7: the target has no profile 7"),
        ({1: 11, 2: 11}, "--map 2=11: another profile is mapped to 11, too"),
        ({1: 12}, "--map 1=12: one is of provider 'hubspot', the other of 'slack'"),
    ],
)
def test_a_map_that_cannot_be_is_an_error_that_names_it(maps: dict[int, int], words: str) -> None:
    source = [profile(1), profile(2)]
    target = [profile(11), profile(12, provider="slack")]
    with pytest.raises(UsageError) as caught:
        match(source, target, maps=maps)
    assert str(caught.value) == words


def test_a_profile_whose_own_place_the_user_gave_away_is_ambiguous() -> None:
    listing = [profile(1, "A"), profile(2, "B")]
    matches = match(listing, listing, maps={1: 2}, same_workspace=True)
    assert ids(matches) == {1: 2}
    assert matches.ambiguous == {2: "--map gives profile 2 to another one"}


def test_what_the_user_mapped_is_not_free_for_another() -> None:
    matches = match([profile(1), profile(2)], [profile(11)], maps={2: 11}, id_map={1: 11})
    assert ids(matches) == {2: 11}
    assert matches.ambiguous == {}


# --- the ids of earlier imports -----------------------------------------------------------------


def test_an_earlier_imports_id_leads_to_a_profile_that_was_renamed_and_re_pointed_since() -> None:
    source, target = [profile(1)], [profile(11, "new name", client_id="new"), profile(12)]
    assert ids(match(source, target, id_map={1: 11})) == {1: 11}


@pytest.mark.parametrize("there", [[], [profile(11, provider="slack")]])
def test_an_earlier_imports_id_that_is_gone_or_something_else_does_not_count(
    there: list[Profile],
) -> None:
    assert ids(match([profile(1)], [*there, profile(12)], id_map={1: 11})) == {1: 12}


def test_what_was_restored_twice_is_found_by_its_newest_id() -> None:
    """Profile 1 was restored as 11, and 11 as 21: a snapshot with 1 means 21."""
    target = [profile(21, "renamed", client_id="new")]
    ids_given = {1: 11, 11: 21}
    assert ids(match([profile(1)], target, same_workspace=True, id_map=ids_given)) == {1: 21}


def test_an_id_that_is_still_there_is_not_followed_any_further() -> None:
    """Profile 11 may have been mapped to 21 once, by hand."""
    target = [profile(11, "renamed", client_id="new"), profile(21, "another", client_id="other")]
    ids_given = {1: 11, 11: 21}
    assert ids(match([profile(1)], target, same_workspace=True, id_map=ids_given)) == {1: 11}


def test_in_another_workspace_the_ids_that_were_given_are_no_chain() -> None:
    target = [profile(21, "renamed", client_id="new")]
    assert ids(match([profile(1)], target, id_map={1: 11, 11: 21})) == {}


def test_ids_given_in_a_circle_lead_nowhere() -> None:
    matches = match([profile(1)], [], same_workspace=True, id_map={1: 2, 2: 3, 3: 2})
    assert (matches.found, matches.ambiguous) == ({}, {})


def test_an_id_that_was_given_to_two_belongs_to_the_one_that_it_is_like() -> None:
    source = [profile(1, "A"), profile(2, "B")]
    matches = match(source, [profile(11, "B")], id_map={1: 11, 2: 11})
    assert ids(matches) == {2: 11}
    assert matches.ambiguous == {}


def test_an_id_that_was_given_to_two_and_is_like_neither_is_ambiguous() -> None:
    source = [profile(2, "B"), profile(1, "A")]
    matches = match(source, [profile(11, "C")], id_map={2: 11, 1: 11})
    why = "earlier imports gave the id 11 to each of 1, 2"
    assert matches.ambiguous == {1: why, 2: why}
    settled = match(source, [profile(11, "C")], id_map={2: 11, 1: 11}, maps={1: 11})
    assert ids(settled) == {1: 11}
    assert settled.ambiguous == {}


# --- exact duplicates ---------------------------------------------------------------------------


def test_of_duplicates_in_their_own_workspace_just_the_deleted_one_has_no_match() -> None:
    matches = match([profile(1), profile(2)], [profile(2)], same_workspace=True)
    assert ids(matches) == {2: 2}
    assert matches.ambiguous == {}


def test_duplicates_that_an_earlier_import_created_are_told_apart_by_their_ids() -> None:
    source, target = [profile(1), profile(2)], [profile(11), profile(12)]
    assert ids(match(source, target, id_map={1: 12, 2: 11})) == {1: 12, 2: 11}


@pytest.mark.parametrize(
    ("source_ids", "target_ids", "words"),
    [
        ([2, 1], [11], "same provider, name and client id: 1, 2 here, 11 in the target"),
        ([1], [12, 11], "same provider, name and client id: 1 here, 11, 12 in the target"),
        ([1, 2], [11, 12], "same provider, name and client id: 1, 2 here, 11, 12 in the target"),
    ],
)
def test_duplicates_that_nothing_tells_apart_are_ambiguous_with_the_ids_of_all(
    source_ids: list[int], target_ids: list[int], words: str
) -> None:
    matches = match(list(map(profile, source_ids)), list(map(profile, target_ids)))
    assert matches.found == {}
    assert matches.ambiguous == dict.fromkeys(source_ids, words)


def test_a_map_settles_duplicates_and_the_last_pair_finds_itself() -> None:
    matches = match([profile(1), profile(2)], [profile(11), profile(12)], maps={1: 12})
    assert ids(matches) == {1: 12, 2: 11}


def test_duplicates_that_the_target_lacks_altogether_are_not_ambiguous() -> None:
    matches = match([profile(1), profile(2)], [])
    assert (matches.found, matches.ambiguous) == ({}, {})


def test_what_belongs_to_one_of_two_duplicates_is_not_free_for_a_third_of_their_name() -> None:
    source = [profile(1), profile(2), profile(3, client_id="other")]
    matches = match(source, [profile(11)])
    assert matches.found == {}
    assert set(matches.ambiguous) == {1, 2}
    with_its_own = match(source, [profile(11), profile(12, client_id="another")])
    assert ids(with_its_own) == {3: 12}


def test_an_id_that_was_given_to_two_is_not_free_for_a_third() -> None:
    source = [profile(1, "A"), profile(2, "B"), profile(3, "C")]
    matches = match(source, [profile(11, "C")], id_map={1: 11, 2: 11})
    assert matches.found == {}
    assert set(matches.ambiguous) == {1, 2}


def test_a_thousand_duplicates_do_not_make_a_message_of_a_thousand_ids() -> None:
    matches = match([profile(n) for n in range(1, 1001)], [profile(n) for n in range(2001, 3001)])
    assert set(matches.ambiguous.values()) == {
        "same provider, name and client id: 1, 2, 3, 4, 5 and 995 more here,"
        " 2001, 2002, 2003, 2004, 2005 and 995 more in the target"
    }


# --- whatever the listings ----------------------------------------------------------------------


@given(listings(), listings(), st.booleans(), ID_MAPS)
def test_a_target_is_matched_by_one_source_at_most_and_has_its_provider(
    source: tuple[Profile, ...],
    target: tuple[Profile, ...],
    same_workspace: bool,
    id_map: dict[int, int],
) -> None:
    matches = match(source, target, same_workspace=same_workspace, id_map=id_map)
    found = ids(matches)
    assert len(set(found.values())) == len(found)
    assert not found.keys() & matches.ambiguous.keys()
    providers = {each.id: each.provider for each in source}
    assert all(each.provider == providers[i] for i, each in matches.found.items())


@given(listings(), listings(), st.booleans(), ID_MAPS, st.randoms(use_true_random=False))
def test_the_order_of_the_listings_and_maps_does_not_matter(
    source: tuple[Profile, ...],
    target: tuple[Profile, ...],
    same_workspace: bool,
    id_map: dict[int, int],
    chance: random.Random,
) -> None:
    def shuffled(items: Any) -> list[Any]:
        return chance.sample(list(items), len(items))

    once = match(source, target, same_workspace=same_workspace, id_map=id_map)
    again = match(
        shuffled(source),
        shuffled(target),
        same_workspace=same_workspace,
        id_map=dict(shuffled(id_map.items())),
    )
    assert once == again


@given(listings(), st.booleans(), ID_MAPS)
def test_every_profile_of_a_workspace_is_itself(
    listing: tuple[Profile, ...], mapped: bool, id_map: dict[int, int]
) -> None:
    matches = match(listing, listing, same_workspace=True, id_map=id_map if mapped else {})
    assert ids(matches) == {each.id: each.id for each in listing}


@given(listings(), listings())
def test_what_has_a_double_in_the_target_is_matched_or_ambiguous_but_not_new(
    source: tuple[Profile, ...], target: tuple[Profile, ...]
) -> None:
    matches = match(source, target)
    keys = {each.key for each in target}
    known = set(itertools.chain(matches.found, matches.ambiguous))
    assert {each.id for each in source if each.key in keys} <= known
