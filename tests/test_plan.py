"""What an import would do: every rule of the plan, and the properties that hold of every plan."""

import dataclasses
import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauthsync import plan, strictjson
from oauthsync.errors import UsageError
from oauthsync.overrides import Override
from oauthsync.plan import Options, Plan, Selection, Situation
from oauthsync.profiles import Profile
from tests.plans import TEXTS, carried_out, listings, profile, situation, situations

UPDATE = Options(on_existing="update")


def actions(made: Plan) -> dict[int, str]:
    """The steps' actions by source id."""
    return {step.source_id: step.action for step in made.steps}


def only_step(given_: Situation, options: Options | None = None) -> tuple[str, str]:
    """The action and the reason of a plan's one step."""
    [step] = plan.make(given_, options or Options()).steps
    return step.action, step.reason


def refusal(given_: Situation, options: Options) -> UsageError:
    with pytest.raises(UsageError) as caught:
        plan.make(given_, options)
    return caught.value


# --- what is done with a profile ----------------------------------------------------------------


def test_what_the_target_lacks_is_created() -> None:
    assert only_step(situation([profile(1)], [])) == ("create", "not in target")


def test_what_the_target_has_as_it_is_wanted_stays_unchanged() -> None:
    assert only_step(situation([profile(1)], [profile(11)])) == ("unchanged", "same in target")


def test_what_only_the_target_has_gets_no_step() -> None:
    assert plan.make(situation([], [profile(11)]), Options()).steps == ()


@pytest.mark.parametrize(
    ("on_existing", "action"), [("skip", "skip"), ("update", "update"), ("fail", "blocked")]
)
def test_what_differs_is_treated_as_the_user_says(on_existing: Any, action: str) -> None:
    differs = situation([profile(1, client_id="new")], [profile(11, client_id="old")])
    options = Options(on_existing=on_existing)
    assert only_step(differs, options) == (action, "differs in data.client_id")


def test_what_differs_is_skipped_by_default() -> None:
    assert Options().on_existing == "skip"


@pytest.mark.parametrize("on_existing", ["skip", "update", "fail"])
def test_push_secrets_updates_what_does_not_differ(on_existing: Any) -> None:
    options = Options(on_existing=on_existing, push_secrets=True)
    same = situation([profile(1)], [profile(11)])
    assert only_step(same, options) == ("update", "to give it the sidecar's secret")


def test_push_secrets_leaves_to_on_existing_what_differs() -> None:
    differs = situation([profile(1, client_id="new")], [profile(11, client_id="old")])
    assert only_step(differs, Options(push_secrets=True))[0] == "skip"


# --- what blocks --------------------------------------------------------------------------------

WRITES = [
    (situation([profile(1)], []), Options()),
    (situation([profile(1)], [profile(11, client_id="old")]), UPDATE),
    (situation([profile(1)], [profile(11)]), Options(push_secrets=True)),
]


@pytest.mark.parametrize(("given_", "options"), WRITES)
def test_a_write_without_its_secret_is_blocked_and_left_out_with_allow_missing(
    given_: Situation, options: Options
) -> None:
    others = frozenset({("slack", "app"), ("hubspot", "old"), ("hubspot", "APP")})
    missing = dataclasses.replace(given_, apps=others)
    reason = "its client secret is missing"
    assert only_step(missing, options) == ("blocked", reason)
    allowed = dataclasses.replace(options, allow_missing=True)
    assert only_step(missing, allowed) == ("skip", reason)
    at_hand = dataclasses.replace(given_, apps=frozenset({("hubspot", "app")}))
    assert only_step(at_hand, options)[0] in ("create", "update")


@pytest.mark.parametrize("client_id", [None, ""])
def test_a_write_without_a_client_id_is_blocked_even_with_allow_missing(
    client_id: str | None,
) -> None:
    given_ = situation([profile(1, client_id=client_id)], [])
    reason = "it has no client id; an override can give it one"
    assert only_step(given_, Options(allow_missing=True)) == ("blocked", reason)
    given_one = Override(provider_is="hubspot", client_id="app")
    assert only_step(given_, Options(overrides=(given_one,)))[0] == "create"


def test_what_writes_nothing_needs_no_secret() -> None:
    source = [profile(1), profile(2, "B", client_id="new"), profile(3, "C", client_id=None)]
    target = [profile(11), profile(12, "B", client_id="old"), profile(13, "C", client_id=None)]
    made = plan.make(situation(source, target, apps=[]), Options())
    assert actions(made) == {1: "unchanged", 2: "skip", 3: "unchanged"}


def test_secrets_are_asked_for_only_for_what_would_be_written() -> None:
    """So that whoever gives the apps may open the sidecar at the first question."""

    class Unopened:
        def __contains__(self, app: object) -> bool:
            raise AssertionError(app)

    source = [profile(1), profile(2, "B", client_id="new")]
    target = [profile(11), profile(12, "B", client_id="old")]
    given_ = dataclasses.replace(situation(source, target), apps=Unopened())
    assert not plan.make(given_, Options()).writes


def test_an_ambiguous_match_is_blocked_even_with_allow_missing_until_a_map_settles_it() -> None:
    given_ = situation([profile(1)], [profile(11), profile(12)], apps=[])
    options = Options(allow_missing=True)
    reason = "ambiguous: same provider, name and client id: 1 here, 11, 12 in the target"
    assert only_step(given_, options) == ("blocked", reason)
    settled = dataclasses.replace(options, maps={1: 12})
    assert only_step(given_, settled) == ("unchanged", "same in target")


# --- overrides ----------------------------------------------------------------------------------


def test_overrides_decide_what_is_created_and_sent() -> None:
    override = Override(name_like="Acme", name="{name} (prod)", client_id="prod-app")
    source = [profile(1, client_id="dev-app", more={"kept": [1, True]})]
    given_ = situation(source, [], apps=[("hubspot", "prod-app")])
    [step] = plan.make(given_, Options(overrides=(override,))).writes
    assert (step.name, step.client_id) == ("Acme (prod)", "prod-app")
    assert step.data == {"client_id": "prod-app", "kept": [1, True]}


def test_a_re_pointed_profile_needs_the_secret_of_its_new_client_id() -> None:
    override = Override(provider_is="hubspot", client_id="prod-app")
    given_ = situation([profile(1, client_id="dev-app")], [], apps=[("hubspot", "dev-app")])
    assert only_step(given_, Options(overrides=(override,)))[0] == "blocked"


def test_what_an_import_renamed_is_found_by_the_next_one_with_the_same_overrides() -> None:
    options = Options(overrides=(Override(name_like="*", name="{name} (prod)"),))
    source = [profile(1, "A"), profile(2, "B")]
    outcome = carried_out(plan.make(situation(source, []), options), [])
    assert [each.name for each in outcome.target] == ["A (prod)", "B (prod)"]
    again = plan.make(situation(source, outcome.target), options)
    assert again.summary["unchanged"] == 2


def test_an_override_that_matches_nothing_is_an_error() -> None:
    override = Override(provider_is="slack", name="x", where="override.1 in prod.toml")
    error = refusal(situation([profile(1)], []), Options(overrides=(override,)))
    assert str(error) == "override.1 in prod.toml matches no profile of the snapshot"


A_AND_B = [profile(1, "A", client_id="a"), profile(2, "B", client_id="b")]


@pytest.mark.parametrize(
    ("source", "override"),
    [
        (A_AND_B, Override(provider_is="hubspot", name="X")),
        (A_AND_B, Override(name_like="A", name="B")),
        (
            [profile(1, client_id="a"), profile(2, client_id="b")],
            Override(client_id_is="a", client_id="b"),
        ),
    ],
)
def test_profiles_that_the_overrides_make_alike_are_blocked(
    source: list[Profile], override: Override
) -> None:
    made = plan.make(situation(source, []), Options(overrides=(override,), allow_missing=True))
    assert [step.reason for step in made.blocked] == ["the overrides make 1, 2 alike"] * 2


@pytest.mark.parametrize(
    ("source", "override"),
    [
        # The same name or even key, before and after.
        ([profile(1, client_id="a"), profile(2, client_id="b")], Override(name_like="*", name="X")),
        ([profile(1), profile(2)], Override(name_like="*", name="X", client_id="new")),
        # One client id for several profiles is the rule.
        (A_AND_B, Override(name_like="*", client_id="new")),
        # Providers keep profiles apart.
        ([profile(1, "A"), profile(2, "B", "slack")], Override(name_like="*", name="X")),
        # Names that go in a circle.
        (A_AND_B, Override(name_like="B", name="C")),
    ],
)
def test_profiles_that_stay_apart_or_were_alike_before_are_no_collision(
    source: list[Profile], override: Override
) -> None:
    made = plan.make(situation(source, []), Options(overrides=(override,)))
    assert made.summary["create"] == 2


def test_names_that_the_overrides_swap_are_no_collision() -> None:
    swap = (Override(name_like="A", name="B"), Override(name_like="B", name="A"))
    made = plan.make(
        situation(A_AND_B, A_AND_B, same_workspace=True),
        Options(overrides=swap, on_existing="update"),
    )
    assert [(step.target_id, step.name) for step in made.writes] == [(2, "A"), (1, "B")]


def test_only_what_is_imported_can_collide() -> None:
    options = Options(
        selection=Selection(ids=(1,)), overrides=(Override(provider_is="hubspot", name="X"),)
    )
    assert only_step(situation(A_AND_B, []), options)[0] == "create"


def test_a_thousand_collisions_do_not_make_a_message_of_a_thousand_ids() -> None:
    source = [profile(number, f"{number}") for number in range(1, 1001)]
    made = plan.make(situation(source, []), Options(overrides=(Override(name="X"),)))
    assert {step.reason for step in made.steps} == {
        "the overrides make 1, 2, 3, 4, 5 and 995 more alike"
    }


# --- selection and maps -------------------------------------------------------------------------

SEVERAL = [
    profile(1, "Acme A"),
    profile(2, "Acme B", "slack"),
    profile(3, "Other", "slack"),
    profile(4, "Acme [x]", "jira"),
]


@pytest.mark.parametrize(
    ("selection", "selected"),
    [
        (Selection(), {1, 2, 3, 4}),
        (Selection(names=("Acme *",)), {1, 2, 4}),
        (Selection(names=("Acme A", "Oth?r")), {1, 3}),
        (Selection(names=("Acme [[]x]",)), {4}),
        (Selection(providers=("slack",)), {2, 3}),
        (Selection(providers=("slack", "jira")), {2, 3, 4}),
        (Selection(ids=(3, 1)), {1, 3}),
        (Selection(names=("Acme *",), providers=("slack",)), {2}),
        (Selection(names=("Acme *",), providers=("slack",), ids=(1, 2)), {2}),
    ],
)
def test_each_kind_of_condition_that_is_given_must_hold(
    selection: Selection, selected: set[int]
) -> None:
    made = plan.make(situation(SEVERAL, []), Options(selection=selection))
    assert set(actions(made)) == selected


@pytest.mark.parametrize(
    ("selection", "words", "hint"),
    [
        (Selection(ids=(1, 8, 9)), "--id: the snapshot has no profile 8", "oauthsync log"),
        (Selection(providers=("slak",)), "--provider: the snapshot has no profile of", "slack?"),
        (Selection(names=("Acme *", "acme *")), "--only: no profile of the snapshot is", "case"),
        (Selection(names=("Other",), ids=(1,)), "together select no profile", "None"),
    ],
)
def test_a_condition_that_holds_for_nothing_is_an_error(
    selection: Selection, words: str, hint: str
) -> None:
    error = refusal(situation(SEVERAL, []), Options(selection=selection))
    assert words in str(error)
    assert hint in str(error.hint)


def test_an_empty_snapshot_makes_an_empty_plan() -> None:
    assert plan.make(situation([], []), Options()).steps == ()


def test_names_are_selected_as_the_snapshot_has_them() -> None:
    options = Options(
        selection=Selection(names=("Acme A",)), overrides=(Override(name_like="*", name="X"),)
    )
    assert set(actions(plan.make(situation(SEVERAL[:1], []), options))) == {1}


def test_what_is_not_selected_keeps_its_match_in_the_target() -> None:
    """Else the selected one of two duplicates would be taken for the other one's."""
    given_ = situation([profile(1), profile(2)], [profile(11)], id_map={1: 11})
    assert only_step(given_, Options(selection=Selection(ids=(2,))))[0] == "create"


def test_a_map_for_another_provider_is_an_error() -> None:
    given_ = situation([profile(1)], [profile(11, provider="slack")])
    assert "--map 1=11" in str(refusal(given_, Options(maps={1: 11})))


def test_a_profile_that_has_another_provider_now_is_created_anew() -> None:
    given_ = situation([profile(1)], [profile(1, provider="slack")], same_workspace=True)
    assert only_step(given_, UPDATE) == ("create", "not in target")


# --- what a plan says ---------------------------------------------------------------------------


def test_a_plan_is_json_as_documented() -> None:
    source = [profile(321, "B"), profile(7, "A"), profile(8, "A", "adp")]
    made = plan.make(situation(source, [profile(11, "A")]), Options())
    document = made.to_json()
    fingerprint = document.pop("fingerprint")
    assert isinstance(fingerprint, str)
    assert len(fingerprint) == len("sha256:") + 64
    assert document == {
        "target": "prod",
        "snapshot": 3,
        "summary": {"create": 2, "update": 0, "unchanged": 1, "skip": 0, "blocked": 0},
        "steps": [
            {
                "action": action,
                "source_id": source_id,
                "target_id": target_id,
                "provider": provider,
                "name": name,
                "client_id": "app",
                "reason": reason,
            }
            for action, source_id, target_id, provider, name, reason in (
                ("create", 8, None, "adp", "A", "not in target"),
                ("unchanged", 7, 11, "hubspot", "A", "same in target"),
                ("create", 321, None, "hubspot", "B", "not in target"),
            )
        ],
    }
    assert list(made.to_json()) == ["target", "snapshot", "fingerprint", "summary", "steps"]


def test_a_write_sends_all_of_data_but_the_secret_fields() -> None:
    masked: dict[str, Any] = {"client_id": "app", "client_secret": "****", "token": "****", "k": 1}
    [step] = plan.make(situation([profile(1, data=masked)], []), Options()).writes
    assert step.data == {"client_id": "app", "k": 1}


def test_uses_are_those_of_the_target_and_of_the_snapshot() -> None:
    source = [profile(1, client_id="new", shared_accounts_count=2, oem_customers_count=3)]
    target = [profile(11, client_id="old", shared_accounts_count=None)]
    [update] = plan.make(situation(source, target), UPDATE).steps
    [create] = plan.make(situation(source, []), UPDATE).steps
    assert (update.uses, update.source_uses) == (None, 5)
    assert (create.uses, create.source_uses) == (0, 5)


# --- cautions -----------------------------------------------------------------------------------


def updating(count: int, of: int) -> Plan:
    source = [profile(n, f"{n}", client_id="new") for n in range(1, count + 1)]
    target = [profile(n, f"{n}", client_id="old") for n in range(1, of + 1)]
    return plan.make(situation(source, target), UPDATE)


@pytest.mark.parametrize(
    ("count", "of", "cautions"),
    [
        (10, 10, ()),  # a small target
        (3, 11, ()),
        (4, 11, ("it updates 4 of the target's 11 profiles",)),
        (6, 20, ()),  # exactly 30%
        (7, 20, ("it updates 7 of the target's 20 profiles",)),
        (0, 0, ()),
    ],
)
def test_updating_more_than_30_percent_of_more_than_10_profiles_takes_an_explicit_yes(
    count: int, of: int, cautions: tuple[str, ...]
) -> None:
    assert updating(count, of).cautions == cautions


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ({"shared_accounts_count": 1}, "is in use"),
        ({"oem_customers_count": 1}, "is in use"),
        ({"oem_customers_count": None}, "may be in use: the API does not say"),
        ({"shared_accounts_count": "many"}, "may be in use: the API does not say"),
    ],
)
def test_updating_what_is_or_may_be_in_use_takes_an_explicit_yes(counts: Any, words: str) -> None:
    target = [profile(11, client_id="old", **counts)]
    made = plan.make(situation([profile(1, client_id="new")], target), UPDATE)
    assert made.cautions == (f"it updates 'Acme' (id 11), which {words}",)
    skipped = plan.make(situation([profile(1, client_id="new")], target), Options())
    assert skipped.cautions == ()


def test_a_caution_shows_a_name_without_what_a_terminal_would_obey() -> None:
    target = [profile(11, "\x1b[2J\u202egpj.exe", shared_accounts_count=1)]
    source = [profile(1, "\x1b[2J\u202egpj.exe")]
    made = plan.make(situation(source, target), Options(push_secrets=True))
    assert "'\\x1b[2J\\u202egpj.exe'" in made.cautions[0]
    assert made.cautions[0].isprintable()


# --- the fingerprint ----------------------------------------------------------------------------

BASE = situation(
    [profile(1, "A"), profile(2, "B"), profile(3, "C", client_id="new")],
    [profile(11, "A"), profile(12, "C", client_id="old"), profile(13, "more")],
    id_map={1: 11},
)


def fingerprint(given_: Situation = BASE, options: Options = UPDATE) -> str:
    return plan.make(given_, options).fingerprint


def with_target(*changed: Profile) -> Situation:
    by_id = {each.id: each for each in (*BASE.target, *changed)}
    return dataclasses.replace(BASE, target=tuple(by_id.values()))


@pytest.mark.parametrize(
    "other",
    [
        dataclasses.replace(BASE, target=BASE.target[:2]),
        with_target(profile(14, "new")),
        with_target(profile(13, "renamed")),
        with_target(profile(13, "more", client_id="other")),
        with_target(profile(13, "more", more={"k": 1})),
        with_target(profile(13, "more", "slack")),
        with_target(profile(11, "A", more={"k": 1})),
        with_target(profile(12, "C", client_id="older")),
        with_target(profile(12, "C", client_id="old", shared_accounts_count=1)),
        dataclasses.replace(BASE, target=(*BASE.target[:2], profile(14, "more"))),
        dataclasses.replace(BASE, target_name="dev"),
        dataclasses.replace(BASE, source=BASE.source[:2]),
        dataclasses.replace(BASE, source=(*BASE.source[:2], profile(3, "C", client_id="newer"))),
        dataclasses.replace(BASE, source=(*BASE.source[:2], profile(4, "C", client_id="new"))),
        dataclasses.replace(BASE, apps=frozenset({("hubspot", "app")})),
        dataclasses.replace(BASE, id_map={2: 13}),
    ],
)
def test_a_fingerprint_covers_the_snapshot_the_target_and_every_step(other: Situation) -> None:
    assert fingerprint(other) != fingerprint()


@pytest.mark.parametrize(
    "options",
    [
        Options(on_existing="skip"),
        Options(on_existing="fail"),
        dataclasses.replace(UPDATE, push_secrets=True),
        dataclasses.replace(UPDATE, maps={2: 13}),
        dataclasses.replace(UPDATE, selection=Selection(ids=(1, 2))),
        dataclasses.replace(UPDATE, overrides=(Override(name_like="B", name="B2"),)),
        dataclasses.replace(UPDATE, overrides=(Override(name_like="B", client_id="b"),)),
    ],
)
def test_a_fingerprint_covers_what_the_options_change(options: Options) -> None:
    assert fingerprint(options=options) != fingerprint()


def test_a_fingerprint_does_not_cover_what_others_use_of_a_profile_moves() -> None:
    """But whether what is updated is in use is what a person said yes to."""
    used = with_target(
        profile(11, "A", shared_accounts_count=5, updated_at="2026-11-23T10:00:00Z"),
        profile(13, "more", oem_customers_count=None),
    )
    assert fingerprint(used) == fingerprint()
    once = with_target(profile(12, "C", client_id="old", shared_accounts_count=1))
    twice = with_target(profile(12, "C", client_id="old", shared_accounts_count=2))
    assert fingerprint(once) == fingerprint(twice)


def test_a_fingerprint_tells_apart_what_runs_together() -> None:
    one = situation([], [profile(1, "a", client_id="b")])
    two = situation([], [profile(1, "a', 'b", client_id="")])
    three = situation([], [profile(1, "a", client_id="None")])
    four = situation([], [profile(1, "a", client_id=None)])
    assert len({fingerprint(each) for each in (one, two, three, four)}) == 4


def test_a_fingerprint_is_the_same_in_every_release() -> None:
    """Saved plans hold it."""
    expected = "940e6c092599ee179ed3a1950422448b549a332f233f6bb9c089f50f4e41bafe"
    assert fingerprint() == f"sha256:{expected}"


# --- properties ---------------------------------------------------------------------------------


CHANGES = [
    Override(name_like="A", name="B"),
    Override(name_like="B", name="{name}2"),
    Override(provider_is="slack", name="{name} (prod)", client_id="x"),
    Override(client_id_is="y", client_id="z"),
]


def holds(target: Profile, step: plan.Step) -> bool:
    return target.key == step.key and not step.wanted.differing(target)


@given(situations(), st.lists(st.sampled_from(CHANGES)))
def test_carrying_out_a_plan_makes_the_target_hold_the_snapshot(
    given_: Situation, changes: list[Override]
) -> None:
    fitting = tuple(each for each in changes if any(map(each.fits, given_.source)))
    options = Options(on_existing="update", overrides=fitting)
    made = plan.make(given_, options)
    outcome = carried_out(made, given_.target)
    after = {each.id: each for each in outcome.target}
    for step in made.steps:
        if not isinstance(step, plan.Blocked):
            there = after[outcome.ids.get(step.source_id, step.target_id or 0)]
            assert holds(there, step)
    again = plan.make(
        dataclasses.replace(given_, target=outcome.target, id_map={**given_.id_map, **outcome.ids}),
        options,
    )
    assert again.writes == ()


@given(listings(), listings())
def test_without_the_ids_of_the_import_nothing_is_written_twice_either(
    source: tuple[Profile, ...], target: tuple[Profile, ...]
) -> None:
    """A backup folder that was lost, or an import by somebody else."""
    outcome = carried_out(plan.make(situation(source, target), UPDATE), target)
    assert plan.make(situation(source, outcome.target), UPDATE).writes == ()


@given(situations(), st.sampled_from([Options(), UPDATE, Options(push_secrets=True)]))
def test_nothing_in_the_target_is_deleted_and_what_no_step_updates_is_not_touched(
    given_: Situation, options: Options
) -> None:
    made = plan.make(given_, options)
    after = {each.id: each for each in carried_out(made, given_.target).target}
    updated = {step.target_id for step in made.writes}
    for each in given_.target:
        assert each.id in after
        assert each.id in updated or after[each.id] == each


@given(situations())
def test_a_target_is_written_to_by_one_step_at_most(given_: Situation) -> None:
    made = plan.make(given_, UPDATE)
    matched = [step.target_id for step in made.steps if step.target_id is not None]
    assert len(set(matched)) == len(matched)


@given(listings(), st.sampled_from([Options(), UPDATE, Options(on_existing="fail")]))
def test_the_plan_of_a_workspace_for_itself_is_empty(
    listing: tuple[Profile, ...], options: Options
) -> None:
    made = plan.make(situation(listing, listing, same_workspace=True, apps=[]), options)
    assert made.summary["unchanged"] == len(listing)


@given(situations(), st.randoms(use_true_random=False))
def test_the_order_of_what_a_plan_is_made_from_does_not_matter(
    given_: Situation, chance: random.Random
) -> None:
    def shuffled(items: Any) -> list[Any]:
        return chance.sample(list(items), len(items))

    other = dataclasses.replace(
        given_,
        source=shuffled(given_.source),
        target=shuffled(given_.target),
        id_map=dict(shuffled(given_.id_map.items())),
    )
    assert plan.make(other, UPDATE) == plan.make(given_, UPDATE)


@given(situations(), st.booleans())
def test_no_write_is_planned_without_its_secret_at_hand(
    given_: Situation, allow_missing: bool
) -> None:
    options = Options(on_existing="update", push_secrets=True, allow_missing=allow_missing)
    for step in plan.make(given_, options).writes:
        assert step.client_id
        assert (step.provider, step.client_id) in given_.apps


@given(TEXTS, TEXTS, TEXTS, TEXTS)
def test_whatever_the_texts_a_plan_is_made_and_can_be_written(
    name: str, provider: str, client_id: str, field: str
) -> None:
    found = profile(1, name, provider, client_id, more={field: name})
    override = Override(name_like="*", name="{name} {0} %s")
    made = plan.make(
        situation([found], [found], same_workspace=True),
        Options(on_existing="update", overrides=(override,)),
    )
    assert json.loads(strictjson.write(made.to_json()))["steps"][0]["name"] == f"{name} {{0}} %s"


@pytest.mark.parametrize(
    "name",
    [
        "'; DROP TABLE runs; --",
        "../../etc/passwd",
        "{0.__class__}%n",
        "\x1b]0;x\x07",
        "=1+1",
        "\x00",
    ],
)
def test_a_hostile_name_is_a_name(name: str) -> None:
    made = plan.make(situation([profile(1, name)], [profile(11, name)]), Options())
    assert [(step.name, step.action) for step in made.steps] == [(name, "unchanged")]


# --- other snapshots ----------------------------------------------------------------------------


def lacking(given_: Situation, options: Options | None = None) -> list[int]:
    return [each.id for each in plan.lacking(given_, options or Options())]


def test_what_an_earlier_snapshot_has_and_the_target_lacks_is_told() -> None:
    source = [profile(2, "B"), profile(1, "A"), profile(3, "C")]
    assert lacking(situation(source, [profile(11, "A")])) == [2, 3]
    assert lacking(situation(source, [profile(11, "X")], id_map={2: 11})) == [1, 3]


def test_what_is_ambiguous_or_not_selected_is_not_told_to_be_lacking() -> None:
    given_ = situation([profile(1), profile(2, "B")], [profile(11), profile(12)])
    assert lacking(given_) == [2]
    assert lacking(given_, Options(selection=Selection(ids=(1,)))) == []


def test_options_that_another_snapshot_does_not_fit_are_no_error() -> None:
    """They are for the plan's own snapshot; overrides count where they fit."""
    options = Options(
        selection=Selection(ids=(1, 99)),
        maps={99: 11},
        overrides=(Override(name_like="none", name="x"), Override(name_like="A", name="A2")),
    )
    assert lacking(situation([profile(1, "A")], [profile(11, "A2")]), options) == []


def test_documents_of_the_documented_shape_are_compared_without_being_parsed() -> None:
    """Parsing is what makes a plan over 100,000 profiles slow; these would not even parse."""

    def cut_off(found: Profile) -> Profile:
        return dataclasses.replace(found, document=found.document[:-1])

    source = [cut_off(profile(n, f"{n}")) for n in range(1, 4)]
    target = [cut_off(profile(n + 10, f"{n}", user_id=9)) for n in range(1, 4)]
    assert plan.make(situation(source, target), Options()).summary["unchanged"] == 3
