"""Results read well without colour, are folded with counts, and hide nothing that matters."""

import re
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given

from oauthsync import markdown, plan, profiles
from oauthsync.cli.plan import how_to_carry_on
from oauthsync.config import Workspace
from oauthsync.importer import Report
from oauthsync.lines import Line, counted, describe, summary
from oauthsync.overrides import Override
from oauthsync.plan import Options
from oauthsync.preparing import Prepared
from oauthsync.profiles import Profile
from oauthsync.render import FOLD, Renderer
from oauthsync.runs import NewStep, Run, Step
from oauthsync.snapshots import Listing, Snapshot
from oauthsync.sources import FromVariable
from oauthsync.undo import Left, UndoPlan
from tests.plans import profile, situation, situations

HOSTILE = "\x1b]0;x\x07\u202e|`<b>@all"
SHOWN = "\\x1b]0;x\\x07\\u202e|`<b>@all"
COLOR = re.compile("\x1b\\[[0-9;]*m")
URL = "https://app.eu.workato.com"


def prepared(made: plan.Plan) -> Prepared:
    taken_at = "2026-11-23T10:00:00Z"
    return Prepared(
        plan=made,
        options=Options(),
        snapshot=Snapshot(3, "dev", URL, 1, taken_at, "export", 2, 0, 0, 0, 1, 1, "sha256:0"),
        source=(),
        target=Workspace("prod", URL, source=FromVariable("TOKEN", {})),
        listing=Listing("prod", URL, taken_at, (), 1, 1),
        same_workspace=False,
    )


def planned(
    source: Sequence[Profile],
    target: Sequence[Profile] = (),
    *,
    width: int | None = None,
    **options: object,
) -> str:
    made = plan.make(situation(source, target), Options(**options))  # type: ignore[arg-type]
    return Renderer(width=width).plan(prepared(made))


def step(action: str, state: str, **changes: object) -> Step:
    values: dict[str, object] = {
        "id": 1,
        "run": 7,
        "action": action,
        "state": state,
        "source_id": 1,
        "target_id": 9,
        "provider": "hubspot",
        "name": "Acme",
        "client_id": "app",
        "data": {},
        "reason": "",
        "result": None,
        "error": None,
    }
    return Step(**{**values, **changes})  # type: ignore[arg-type]


def report(*steps: Step, verified: bool = True) -> Report:
    run = Run(
        id=7,
        kind="import",
        target="prod",
        target_url=URL,
        source="dev",
        snapshot=3,
        safety_snapshot=4,
        undoes=None,
        started_at="2026-11-23T10:00:00Z",
        finished_at=None,
        state="complete",
        verified=verified,
        plan_id="0f" * 16,
        fingerprint="",
        report={},
    )
    return Report(run, steps, ())


# tables and lines


def test_numbers_stand_at_the_right_and_nothing_for_none() -> None:
    told = Renderer().table(("id", "name"), [(7, None), (123, "Acme")])
    assert told == " id  name\n  7\n123  Acme"
    assert Renderer().table(("id",), [], none="no runs") == "no runs"


def test_a_table_is_folded_on_a_terminal_only() -> None:
    rows = [(number,) for number in range(FOLD + 1)]
    folded = Renderer(width=80).table(("id",), rows).splitlines()
    assert len(folded) == FOLD + 1
    assert folded[-1] == "… and 2 more (-v shows all)"
    for renderer in (Renderer(), Renderer(width=80, verbose=True)):
        assert len(renderer.table(("id",), rows).splitlines()) == FOLD + 2
    assert len(Renderer(width=80).table(("id",), rows[:FOLD]).splitlines()) == FOLD + 1


def test_each_kind_of_line_is_folded_by_itself() -> None:
    lines = [Line("p", "create", (f"c{number}",)) for number in range(50)]
    lines += [Line("q", "blocked", (f"b{number}",), ("why",)) for number in range(3)]
    told = Renderer(width=80).lines(lines)
    assert len([each for each in told if each.startswith("  + c")]) == FOLD - 1
    assert [each for each in told if "b" in each] == ["  ! b0", "  ! b1", "  ! b2"]
    # It is about all the groups: it does not stand below the last one's heading.
    assert told[-1] == f"… and {51 - FOLD} more to create (-v shows all)"
    for renderer in (Renderer(), Renderer(width=80, verbose=True)):
        assert len(renderer.lines(lines)) == 50 + 3 * 2 + 2


def test_names_are_folded() -> None:
    assert Renderer().names(["a", "b"]) == "  a\n  b"
    told = Renderer(width=80).names(["a"] * 30).splitlines()
    assert (len(told), told[-1]) == (FOLD, "  … and 11 more (-v shows all)")
    for renderer in (Renderer(), Renderer(width=80, verbose=True)):
        assert renderer.names(["a"] * 30).splitlines() == ["  a"] * 30


def test_colours_add_nothing() -> None:
    lines = [Line("hubspot", kind, (kind,)) for kind in ("create", "removed", "skip")]
    plain = "\n".join(Renderer().lines(lines))
    colored = "\n".join(Renderer(color=True).lines(lines))
    assert "\x1b[32m" in colored
    assert COLOR.sub("", colored) == plain


def test_counts_leave_zeros_out() -> None:
    assert counted({"created": 2, "failed": 0, "updated": 1}) == "2 created, 1 updated"
    assert counted({}) == "nothing"
    assert summary({"create": 0, "unchanged": 3, "blocked": 1}) == "3 unchanged, 1 blocked"


# differences


def test_a_change_shows_old_and_new_values_and_shortens_long_ones() -> None:
    old = profile(1, "Old", more={"long": "x" * 500, "n": 1})
    new = profile(1, "New", more={"long": "y", "n": True})
    told = Renderer(width=80).difference(profiles.difference([old], [new]))
    assert '      name: "Old" → "New"\n' in told
    assert "      data.n: 1 → true\n" in told
    assert f'      data.long: "{"x" * 198}… → "y"\n' in told
    for renderer in (Renderer(), Renderer(width=80, verbose=True)):
        assert "x" * 500 in renderer.difference(profiles.difference([old], [new]))


def test_what_is_there_again_under_a_new_id_is_one_line_with_both() -> None:
    old = [profile(1, "Acme", more={"k": 1}), profile(2, "Beta"), profile(3, "Twin")]
    new = [
        profile(11, "Acme", more={"k": 2}, created_at="2026-11-23T10:00:00Z"),
        profile(12, "Beta", client_id="other"),
        *(profile(number, "Twin") for number in (13, 14)),
    ]
    assert Renderer().difference(profiles.difference(old, new)).splitlines() == [
        "hubspot",
        "  + Beta  id 12",
        "  + Twin  id 14",
        "  - Beta  id 2",
        "  ± Acme  id 1 → 11",
        "      data.k: 1 → 2",
        "  ± Twin  id 3 → 13",
        "2 added, 1 removed, 0 changed, 2 with a new id",
    ]


def test_hostile_names_are_escaped_wherever_they_stand() -> None:
    hostile = profile(1, HOSTILE, HOSTILE, HOSTILE, more={HOSTILE: HOSTILE})
    changed = profile(1, "x", HOSTILE, HOSTILE)
    for told in (
        describe(hostile),
        Renderer().difference(profiles.difference([hostile], [changed])),
        Renderer().difference(profiles.difference([hostile], [])),
        planned([hostile]),
        planned([hostile], [changed], on_existing="update"),
        Renderer().table(("a",), [(HOSTILE,)]),
        Renderer().run(report(step("create", "failed", name=HOSTILE, error=HOSTILE))),
    ):
        assert SHOWN in told
        assert not {"\x1b", "\x07", "\u202e"} & set(told)


# plans


@given(situations())
def test_every_step_of_a_plan_is_counted_and_shown(found: plan.Situation) -> None:
    made = plan.make(found, Options())
    told = Renderer(verbose=True).plan(prepared(made)).splitlines()
    marked = [line for line in told if re.match(r"  [+~=.!] ", line)]
    assert len(marked) == len(made.steps)
    [counted_line] = [line for line in told if line == summary(made.summary)]
    counts = [int(number) for number in re.findall(r"(\d+) [a-z]", counted_line)]
    assert sum(counts) == len(made.steps)


def test_a_plan_names_source_target_and_host() -> None:
    told = planned([profile(1)]).splitlines()
    assert told[0] == f"snapshot 3 of dev (2026-11-23T10:00:00Z) → prod ({URL})"


def test_what_an_override_changes_is_folded_last() -> None:
    source = [profile(number, f"A{number:02}") for number in range(1, 31)]
    changed = (Override(name_like="A3*", client_id="prod"),)
    told = planned(source, width=80, overrides=changed).splitlines()
    shown = [f"A{number:02}" for number in (*range(1, FOLD - 1), 30)]
    assert re.findall(r"^  \+ (\w+)", "\n".join(told), re.MULTILINE) == shown
    assert told[-3:] == [
        "      client id: app → prod",
        "… and 11 more to create (-v shows all)",
        "30 to create",
    ]


def test_an_update_shows_what_it_changes() -> None:
    told = planned([profile(1, "New", client_id="b")], [profile(1, "Old", client_id="b")])
    assert "~" not in told
    source = [profile(1, "Acme", client_id="b")]
    target = [profile(9, "Acme", client_id="a")]
    told = planned(source, target, on_existing="update")
    assert "  ~ Acme  id 1 → 9  differs in data.client_id" in told
    assert "      client id: a → b" in told


def test_an_update_shows_what_it_changes_in_data() -> None:
    source = [profile(1, more={"scopes": ["read"], "n": 1})]
    target = [profile(9, more={"scopes": None, "own": True})]
    told = planned(source, target, on_existing="update")
    assert "  ~ Acme  id 1 → 9  differs in data.n, data.own, data.scopes" in told
    for line in ("data.n: none → 1", "data.own: true → none", 'data.scopes: null → ["read"]'):
        assert f"      {line}\n" in told


def test_a_plan_says_that_an_update_replaces_a_secret() -> None:
    source = [profile(1, "New"), profile(2, "B")]
    target = [profile(1, "Old"), profile(2, "A")]
    for count, words in ((1, "the one to update will"), (2, "the 2 to update will")):
        found = situation(source[:count], target[:count], same_workspace=True)
        made = prepared(plan.make(found, Options(on_existing="update")))
        for told in (Renderer().plan(made), markdown.plan(made)):
            assert f"\n{words} have the sidecar's client secret" in told
    assert "secret" not in planned(source, target)
    assert "| `Old` → `New` | `app` | 1 |" in markdown.plan(made)


def test_the_reason_of_a_blocked_step_is_never_shortened() -> None:
    twins = [profile(number, "Acme") for number in (1, 2)]
    made = plan.make(situation(twins, [profile(8), profile(9)]), Options())
    told = Renderer(width=40).plan(prepared(made))
    assert made.blocked[0].reason in " ".join(told.split())
    assert max(map(len, told.splitlines())) <= 40


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        ([0], None),
        (
            [2],
            "1 of those to create is in use in {} by 2 connections and customers: the new one has",
        ),
        (
            [2, 0, 3],
            "2 of those to create are in use in {} by 5 connections and customers: the new",
        ),
        ([2, None], "2 of those to create are, or may be, in use in {} by 2 or more connections"),
        ([None], "1 of those to create may be in use in {}: the new one has"),
    ],
)
def test_a_plan_says_how_much_is_in_use_of_what_it_creates(
    counts: Sequence[int | None], told: str | None
) -> None:
    source = [
        profile(number, f"A{number}", shared_accounts_count=count)
        for number, count in enumerate(counts, 1)
    ]
    found = prepared(plan.make(situation(source, []), Options()))
    where = f", in what takes {'its' if len(counts) == 1 else 'their'} place in the target"
    for text, source_ in ((Renderer().plan(found), "dev"), (markdown.plan(found), "`dev`")):
        lines = [line for line in text.splitlines() if "in use" in line]
        expected = [] if told is None else [told.format(source_)]
        assert [line[: len(expected[0])] for line in lines] == expected
        assert all(line.endswith(where) for line in lines)
    restore = replace(found, same_workspace=True)
    assert Renderer().plan(restore).endswith("by hand afterwards") == (told is not None)


# runs and undo


def test_a_run_tells_what_was_done_adopted_and_left_undone() -> None:
    told = Renderer().run(
        report(
            step("create", "done"),
            step("create", "adopted"),
            step("create", "adopted", error="there already"),
            step("update", "failed", name="Beta", error="422: no"),
            step("create", "planned", name="Gamma", target_id=None),
            verified=False,
        )
    )
    assert told.splitlines() == [
        "run 7 in prod: 3 created (of them adopted: 1 whose call got no answer, but was carried"
        " out, 1 that somebody else, or another run, may have made), 2 not done, NOT verified",
        "  ! Beta   id 1",
        "      422: no",
        "  ! Gamma  id 1",
        "      not done",
    ]


def test_what_is_in_use_says_by_how_many_as_far_as_the_api_tells() -> None:
    used = [
        profile(1, shared_accounts_count=2, oem_customers_count=5),
        profile(2, shared_accounts_count=None, oem_customers_count=None),
        profile(3, shared_accounts_count=0, oem_customers_count="many"),
    ]
    steps = [(step("create", "done", source_id=each.id), each) for each in used]
    told = Renderer().in_use(report().run, steps).splitlines()
    assert "each connection of prod that takes the place of one in dev, and" in told[0]
    assert told[2:] == [
        "  > Acme  id 1 → 9  2 connections, 5 customers",
        "  > Acme  id 2 → 9  use unknown",
        '  > Acme  id 3 → 9  "many" customers',
    ]


@pytest.mark.parametrize("width", [60, 80])
def test_uses_that_a_line_has_no_room_for_stand_below_the_name(width: int) -> None:
    used = profile(100_003, shared_accounts_count=12, oem_customers_count=345)
    done = step("create", "done", name="Acme-" * 20, source_id=used.id, target_id=100_231)
    line, below = Renderer(width=width).in_use(report().run, [(done, used)]).splitlines()[-2:]
    assert line.startswith("  > Acme-Acme-Acme-Acme-Acme-")
    assert line.endswith("…  id 100003 → 100231")
    assert len(line) <= width
    assert below == "      12 connections, 345 customers"
    line = Renderer(width=200).in_use(report().run, [(done, used)]).splitlines()[-1]
    assert line.endswith("-  id 100003 → 100231  12 connections, 345 customers")


def test_the_ids_of_a_line_are_not_shortened() -> None:
    line = planned([profile(2**60, "Acme " * 20)], width=50).splitlines()[3]
    assert f"…  id {2**60}  " in line
    assert len(line) <= 50


def test_verified_is_what_was_done_and_nothing_else() -> None:
    def told(*steps: Step) -> str:
        return Renderer().run(report(*steps)).splitlines()[0]

    done, failed = step("create", "done"), step("create", "failed")
    assert told(done, failed) == "run 7 in prod: 1 created and verified, 1 not done"
    assert told(failed) == "run 7 in prod: nothing, 1 not done"


def test_runs_that_are_not_finished_are_named_with_the_way_on() -> None:
    complete = report().run
    running = replace(complete, id=6, state="running")
    assert how_to_carry_on([complete]) == ""
    undo = replace(complete, id=5, kind="undo", undoes=1, state="incomplete")
    older = [replace(complete, id=number, state="incomplete") for number in (4, 3, 2, 1)]
    assert how_to_carry_on([complete, running, undo, *older]).splitlines() == [
        "run 6 is not finished: `oauthsync resume 6` carries it on, unless it is still at work",
        "run 5 is not finished: `oauthsync undo 1` carries it on",
        "run 4 is not finished: `oauthsync resume 4` carries it on",
        "and 2 more: `oauthsync runs` lists them",
    ]


def test_an_undo_tells_what_it_deletes_puts_back_and_leaves() -> None:
    there = profile(9)
    steps = (
        NewStep.on(there, "delete", "created by the run"),
        NewStep.on(there, "update", "updated by the run", name="Earlier"),
    )
    run = report().run
    done = [step("create", "done", target_id=8, provider="slack", name="Once")]
    left = (Left(8, "Beta", "it is in use"), Left(7, "Once", "it was changed since"))
    told = Renderer().undo(run, done, UndoPlan(steps, left))
    assert told.splitlines() == [
        "undo of run 7, import into prod, 2026-11-23T10:00:00Z",
        "hubspot",
        "  - Acme     id 9",
        "  ~ Earlier  id 9",
        "slack",
        "  ! Beta     id 8",
        "      it is in use",
        "  ! Once     id 7",
        "      it was changed since",
        "what is put back gets the sidecar's client secret: the earlier one is not known",
    ]
    assert Renderer().undo(run, (), UndoPlan((), ())).splitlines()[1:] == ["nothing to undo"]


def test_an_undo_shows_what_an_update_gets_back() -> None:
    earlier = NewStep.on(profile(9), "update", "updated by the run", name="Old", client_id="old")
    sent = step("update", "done", target_id=9, name="New", client_id="new")
    told = Renderer().undo(report().run, [sent], UndoPlan((earlier,), ()))
    assert told.splitlines()[2:-1] == [
        "  ~ Old  id 9",
        "      name: New → Old",
        "      client id: new → old",
    ]


@pytest.mark.parametrize("allow_missing", [False, True])
def test_a_step_without_its_secret_shows_the_client_id_that_lacks_it(allow_missing: bool) -> None:
    override = Override(provider_is="hubspot", client_id="production")
    options = Options(overrides=(override,), allow_missing=allow_missing)
    made = plan.make(situation([profile(1)], [], apps=()), options)
    assert "client id: app → production" in Renderer().plan(prepared(made))


# Markdown


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("Acme", "`Acme`"),
        ("a`b", "``a`b``"),
        ("`a", "`` `a ``"),
        ("a``b`", "``` a``b` ```"),
        (" a", "`  a `"),
        ("", "`  `"),
        ("a|b", "`a\\|b`"),
        ("a\nb\u202e", "`a\\nb\\u202e`"),
        ("<img src=x> @me #1 [l](u)", "`<img src=x> @me #1 [l](u)`"),
    ],
)
def test_text_from_outside_stands_in_code_spans(text: str, span: str) -> None:
    assert markdown.code(text) == span


def test_a_plan_in_markdown_has_counts_rows_and_the_fingerprint() -> None:
    made = plan.make(situation([profile(1), profile(2, "B")], [profile(5, "B")]), Options())
    told = markdown.plan(prepared(made)).splitlines()
    assert told[0] == f"### Plan for `prod` at `{URL}`"
    assert told[2].endswith("**1 to create, 1 unchanged**")
    assert "| `+` create | `hubspot` | `Acme` | `app` | 1 | `not in target` |" in told
    assert not any("unchanged |" in line for line in told)
    assert told[-1] == f"Fingerprint: `{made.fingerprint}`"
    verbose = markdown.plan(prepared(made), verbose=True)
    assert "| `=` unchanged | `hubspot` | `B` | `app` | 2 → 5 | `same in target` |" in verbose


def test_a_long_plan_in_markdown_is_there_to_be_unfolded() -> None:
    made = plan.make(situation([profile(n, f"A{n}") for n in range(1, 40)], []), Options())
    told = markdown.plan(prepared(made))
    assert "<details><summary>39 steps</summary>" in told
    assert told.count("| `+` create |") == 39


def test_markdown_names_what_is_worth_a_second_look() -> None:
    there = profile(9, client_id="old", shared_accounts_count=3)
    made = plan.make(situation([profile(1)], [there]), Options(on_existing="update"))
    told = markdown.plan(prepared(made))
    assert "**Look twice:**\n\n- `it updates 'Acme' (id 9), which is in use`" in told


def test_many_reasons_for_a_second_look_are_there_to_be_unfolded() -> None:
    source = [profile(number, f"A{number}") for number in range(1, 31)]
    target = [
        profile(number, f"A{number}", client_id="old", shared_accounts_count=1)
        for number in range(1, 31)
    ]
    made = plan.make(situation(source, target), Options(on_existing="update"))
    told = markdown.plan(prepared(made))
    assert "**\n\n<details><summary>31 reasons</summary>\n\n- `it updates 30 of the" in told


def test_an_empty_plan_in_markdown_has_no_table() -> None:
    assert "|" not in markdown.plan(prepared(plan.make(situation([], []), Options())))
