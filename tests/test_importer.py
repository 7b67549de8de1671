"""Each step exactly once, whatever the server does: every fault, in pairs, and every bound."""

import threading
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest

from oauthsync import importer, sidecar
from oauthsync.entries import Entry
from oauthsync.errors import (
    AuthenticationError,
    IncompleteError,
    NotSentError,
    OauthsyncError,
    RateLimitedError,
)
from oauthsync.events import StepEnded, Waiting
from oauthsync.plan import Options
from oauthsync.restore import Carried
from oauthsync.runs import NewStep
from oauthsync.sandbox import Fault, Request
from oauthsync.sandbox.faults import BROKEN
from oauthsync.secret import Secret
from oauthsync.snapshots import Listing
from tests.importing import (
    IDENTITY,
    Content,
    Points,
    World,
    content_of,
    contents,
    scratch,
    secret_of,
)
from tests.invariants import check_invariants

OVER = 47.0
"""Seconds until a call without an answer is over: the server's 40, and some for its way there."""

REAL_SECONDS = 0.15
"""What a client waits for an answer that hangs, where it really has to wait."""
UPDATE = Options(on_existing="update")


def fill(world: World, count: int = 3) -> Counter[Content]:
    """Profiles to import, among them one with a token and two that are alike; all of the target."""
    world.source.create("slack", "with a token", "app")
    for number in range(count):
        world.source.create("hubspot", f"app {number}", f"app-{number}", data={"n": 1.0})
    world.source.create("hubspot", "app 0", "app-0", data={"n": 1.0})
    world.target.create("jira", "another", "app")
    world.file_secrets()
    world.export()
    return contents(world.source) + contents(world.target)


def waits(world: World, reason: str = "unknown outcome") -> list[float]:
    return [e.seconds for e in world.events if isinstance(e, Waiting) and e.reason == reason]


def states(carried: Carried) -> Counter[str]:
    return Counter(step.state for step in carried.report.steps)


# Undisturbed


def test_progress_counts_the_whole_run_also_where_that_takes_several_rounds(world: World) -> None:
    fill(world)
    world.sandbox.faults = [Fault("reset", "POST", times=2)]
    world.carry_out()
    ended = [each for each in world.events if isinstance(each, StepEnded)]
    assert [each.done for each in ended] == list(range(1, 6))
    assert {each.total for each in ended} == {5}


def test_an_import_sends_each_write_once_and_lists_before_and_after(world: World) -> None:
    wanted = fill(world)
    carried = world.carry_out()
    check_invariants(world, wanted)
    assert (carried.report.run.state, carried.report.findings) == ("complete", ())
    assert [request.method for request in world.sandbox.requests if request.workspace == 1] == [
        "GET",
        *["POST"] * 5,
        "GET",
    ]
    assert waits(world) == []


def test_each_step_that_ends_is_told(world: World) -> None:
    fill(world)
    world.carry_out()
    told = [event for event in world.events if isinstance(event, StepEnded)]
    assert [(each.workspace, each.done, each.total) for each in told] == [
        ("prod", number, 5) for number in range(1, 6)
    ]


def test_an_import_with_nothing_to_do_writes_nothing_and_lists_once(world: World) -> None:
    wanted = fill(world)
    world.carry_out()
    world.sandbox.requests.clear()
    carried = world.carry_out()
    assert [request.method for request in world.sandbox.requests] == ["GET"]
    assert (carried.report.run.state, carried.report.run.verified) == ("complete", True)
    assert contents(world.target) == wanted


def test_secrets_go_to_their_own_profiles_and_nowhere_else(world: World) -> None:
    wanted = fill(world)
    carried = world.carry_out()
    check_invariants(world, wanted, output=repr(carried))
    for step in carried.report.steps:
        assert step.target_id is not None
        assert step.client_id is not None
        stored = world.target.profiles[step.target_id]
        assert stored.client_secret.reveal() == secret_of(step.provider, step.client_id)
        assert (stored.token is not None) == (step.provider == "slack")


# Faults in pairs, for each kind of write


def strike(world: World, fault: Fault, method: str, count: int = 1) -> None:
    """Let `fault` strike the first `count` requests of this method."""
    world.sandbox.faults = [Fault(fault.kind, method, times=count, delay=fault.delay)]


@pytest.mark.parametrize("effect", ["", "-after-apply", "-late"])
@pytest.mark.parametrize("shape", sorted(BROKEN.keys() - {"hang"}))
def test_a_post_without_an_answer_is_settled_by_looking(
    world: World, shape: str, effect: str
) -> None:
    """Not applied: repeated. Applied, at once or late: adopted. In each case once, after a wait."""
    wanted = fill(world)
    strike(world, Fault(shape + effect), "POST", count=2)
    carried = world.carry_out()
    check_invariants(world, wanted)
    posts = sum(request.method == "POST" for request in world.writes)
    adopted = states(carried)["adopted"]
    assert (posts, adopted) == ((7, 0) if effect == "" else (5, 2))
    assert waits(world) == [OVER]


@pytest.mark.parametrize("effect", ["", "-after-apply", "-late"])
@pytest.mark.parametrize("shape", ["reset", "truncate", "half-json", "html", "500", "503"])
def test_a_put_without_an_answer_is_settled_by_looking(
    world: World, shape: str, effect: str
) -> None:
    world.source.create("hubspot", "app", "new", data={"n": 1.0})
    existing = world.target.create("hubspot", "app", "old").id
    world.file_secrets()
    world.export()
    strike(world, Fault(shape + effect), "PUT")
    carried = world.carry_out(options=UPDATE)
    check_invariants(world, contents(world.source))
    assert len(world.writes) == (2 if effect == "" else 1)
    assert states(carried) == {"done" if effect == "" else "adopted": 1}
    assert waits(world) == [OVER]
    assert world.target.profiles[existing].client_secret.reveal() == secret_of("hubspot", "new")


def test_a_secret_that_is_filed_while_a_person_is_asked_is_the_one_that_is_sent(
    world: World,
) -> None:
    world.source.create("hubspot", "app", "app")
    existing = world.target.create("hubspot", "app", "app").id
    world.file_secrets()
    world.export()
    new = Entry("hubspot", "app", Secret("the new secret"), None, "2026-11-23T10:00:00Z")
    with world.session() as session:
        chosen = session.backup.snapshots().find("latest", "dev")
        prepared = session.prepare(chosen, Options(push_secrets=True))
        key = sidecar.IdentityKey((IDENTITY,))
        sidecar.update(session.backup.config.sidecar, key, [new])
        session.carry_out(prepared)
    assert world.target.profiles[existing].client_secret.reveal() == "the new secret"


def test_a_secret_that_may_not_have_arrived_is_sent_again_when_its_call_is_over(
    world: World,
) -> None:
    """Nothing shows whether it has; and a late PUT must not overwrite what a later one says."""
    world.source.create("hubspot", "app", "app")
    existing = world.target.create("hubspot", "app", "app").id
    world.file_secrets()
    world.export()
    strike(world, Fault("reset-late"), "PUT")
    carried = world.carry_out(options=Options(push_secrets=True))
    assert states(carried) == {"done": 1}
    assert world.writes[1].at - world.writes[0].at == OVER
    assert world.target.profiles[existing].client_secret.reveal() == secret_of("hubspot", "app")


@pytest.mark.parametrize("effect", ["", "-after-apply", "-late"])
@pytest.mark.parametrize("shape", ["reset", "truncate", "half-json", "html", "500", "503"])
def test_a_delete_without_an_answer_is_settled_by_looking(
    world: World, shape: str, effect: str
) -> None:
    fill(world)
    before = contents(world.target)
    world.carry_out()
    world.sandbox.requests.clear()
    strike(world, Fault(shape + effect), "DELETE", count=2)
    carried = world.undo()
    assert contents(world.target) == before
    assert carried is not None
    assert (carried.report.run.state, states(carried)) == ("complete", {"done": 5})
    assert len(world.writes) == (7 if effect == "" else 5)


@pytest.mark.parametrize("kind", ["hang", "hang-after-apply", "hang-late"])
def test_a_call_that_hangs_is_given_up_and_settled(kind: str) -> None:
    """The client waits longer than the server; here the server gives up in a moment."""
    with scratch() as folder, World(folder / "backup", server_timeout=REAL_SECONDS) as world:
        wanted = fill(world)
        world.configure(world.folder, server_timeout=REAL_SECONDS)
        strike(world, Fault(kind), "POST")
        carried = world.carry_out()
        check_invariants(world, wanted)
        assert states(carried)["adopted"] == (0 if kind == "hang" else 1)


@pytest.mark.parametrize(("kind", "delay"), [("drip", 0.0), ("interim", 0.02)])
def test_a_slow_answer_is_an_answer(world: World, kind: str, delay: float) -> None:
    wanted = fill(world)
    world.sandbox.faults = [Fault(kind, "POST", delay=delay)]
    carried = world.carry_out()
    check_invariants(world, wanted)
    assert (states(carried), waits(world)) == ({"done": 5}, [])


def test_a_call_whose_journal_was_held_up_is_not_sent_but_begun_anew(world: World) -> None:
    """Its recorded age would be wrong by then, and settling rests on that."""
    wanted = fill(world)
    world.width = 1  # on the one clock of all, another's pause would hold up a call as well
    world.points = Points(meanwhile={"after intend": lambda: world.clock.sleep(1.5)})
    world.carry_out()
    check_invariants(world, wanted)
    with world.backup() as backup:
        outcomes = Counter(
            outcome
            for (outcome,) in backup.database().execute("SELECT outcome FROM calls").fetchall()
        )
    assert outcomes["not sent"] >= 1
    assert outcomes["done"] == len(world.writes) == 5


def test_what_others_create_while_a_call_is_settled_is_not_created_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look that settles it shows that, too."""
    wanted = fill(world)
    monkeypatch.setattr(importer, "UNANSWERED", 1)
    world.width = 1
    world.sandbox.faults = [Fault("reset", "POST", times=1)]
    world.points = Points(
        meanwhile={
            "after end_call unknown": lambda: world.target.create("hubspot", "app 2", "app-2")
        }
    )
    carried = world.carry_out()
    assert states(carried) == {"done": 4, "adopted": 1}
    assert len([request for request in world.writes if request.applied]) == 4
    assert sum(contents(world.target).values()) == sum(wanted.values())


def test_a_late_write_just_before_the_server_gives_up_is_found(world: World) -> None:
    wanted = fill(world)
    world.sandbox.faults = [Fault("reset-late", "POST", delay=40.0)]
    carried = world.carry_out()
    check_invariants(world, wanted)
    # Two are alike: the second of them goes out when the first one is settled.
    assert states(carried) == {"adopted": 5}


@pytest.mark.parametrize("kind", ["refused", "errors-list"])
def test_what_the_api_refuses_fails_and_is_tried_again_by_resume(world: World, kind: str) -> None:
    wanted = fill(world)
    strike(world, Fault(kind), "POST", count=2)
    carried = world.carry_out()
    assert (carried.report.run.state, states(carried)) == ("incomplete", {"failed": 2, "done": 3})
    assert all(
        "Not done" in (step.error or "") for step in carried.report.steps if not step.is_done
    )
    assert waits(world) == []
    assert world.resume().report.run.state == "complete"
    check_invariants(world, wanted)


def test_a_redirected_write_is_not_followed_and_counts_as_unanswered(world: World) -> None:
    wanted = fill(world)
    strike(world, Fault("redirect"), "POST")
    world.carry_out()
    check_invariants(world, wanted)
    assert {request.call for request in world.writes} == {"create"}


def test_faults_while_listing_do_not_settle_anything_wrongly(world: World) -> None:
    wanted = fill(world)
    world.sandbox.faults = [
        Fault("reset-after-apply", "POST", times=2),
        Fault("truncate", "list", times=2, after=1),
        Fault("half-json", "list", times=1),
    ]
    carried = world.carry_out()
    check_invariants(world, wanted)
    assert states(carried)["adopted"] == 2


# The quota, and no connection


@pytest.mark.parametrize("kind", ["429", "429-date", "429-bare"])
def test_a_429_is_obeyed_and_costs_no_step(world: World, kind: str) -> None:
    wanted = fill(world)
    strike(world, Fault(kind, delay=30.0), "POST", count=1)
    carried = world.carry_out()
    check_invariants(world, wanted)
    assert states(carried) == {"done": 5}
    rejected = next(request for request in world.writes if request.status == 429)
    later = [request.at - rejected.at for request in world.writes if request.at > rejected.at]
    assert min(later) >= (2.0 if kind == "429-bare" else 30.0)
    assert waits(world, "quota") != []


def test_a_pause_that_no_run_waits_for_ends_it_and_resume_goes_on(world: World) -> None:
    wanted = fill(world)
    strike(world, Fault("429", delay=3000.0), "POST", count=1)
    with pytest.raises(RateLimitedError) as caught:
        world.carry_out()
    assert "resume 1" in (caught.value.hint or "")
    assert world.runs()[0].state == "incomplete"
    world.clock.sleep(3000.0)
    assert world.resume().report.run.state == "complete"
    check_invariants(world, wanted)


def test_a_server_that_cannot_be_reached_ends_the_run_and_resume_goes_on(world: World) -> None:
    wanted = fill(world)

    with world.session() as session:
        chosen = session.backup.snapshots().find("latest", "dev")
        prepared = session.prepare(chosen, Options())
        world.sandbox._server.stop()
        with pytest.raises(NotSentError, match="cannot connect") as caught:
            session.carry_out(prepared)
        world.sandbox._server.start()
    assert "resume 1" in (caught.value.hint or "")
    assert max(waits(world, "retry")) < 10
    assert world.writes == []
    assert world.resume().report.run.state == "complete"
    check_invariants(world, wanted)


# Bounds


def test_a_call_that_is_never_answered_fails_after_some_rounds(world: World) -> None:
    wanted = fill(world)
    world.sandbox.hook = lambda request: (
        Fault("500") if request.call == "create" and request.body["provider"] == "slack" else None
    )
    carried = world.carry_out()
    [failed] = [step for step in carried.report.steps if not step.is_done]
    assert failed.provider == "slack"
    assert "no usable answer" in (failed.error or "")
    assert "was answered with 500" in (failed.error or "")
    assert carried.report.run.state == "incomplete"
    tries = [request for request in world.writes if request.status == 500]
    assert len(tries) == importer.MAX_STALLED + 1
    world.sandbox.hook = None
    assert world.resume().report.run.state == "complete"
    check_invariants(world, wanted)


def test_a_server_that_answers_nothing_is_not_hammered(world: World) -> None:
    for number in range(100):
        world.source.create("hubspot", f"app {number}", "app")
    world.file_secrets()
    world.export()
    world.sandbox.faults = [Fault("502", "POST")]
    carried = world.carry_out()
    assert states(carried) == {"failed": 100}
    # Some are under way already when it is seen that nothing is answered.
    assert len(world.writes) <= (importer.UNANSWERED + importer.WIDTH) * importer.MAX_STALLED
    world.sandbox.faults = []
    assert world.resume().report.run.state == "complete"
    check_invariants(world, contents(world.source))


def test_a_server_that_does_everything_and_says_nothing_is_done_with_soon(world: World) -> None:
    """It is enough to look a few times what it has done."""
    for number in range(100):
        world.source.create("hubspot", f"app {number}", "app")
    world.file_secrets()
    world.export()
    world.sandbox.faults = [Fault("502-after-apply", "POST")]
    carried = world.carry_out()
    check_invariants(world, contents(world.source))
    assert states(carried) == {"adopted": 100}
    assert len(waits(world)) <= 4


def test_a_wrong_token_stops_the_run_at_once(world: World) -> None:
    wanted = fill(world)
    granted = world.sandbox._granted
    world.sandbox._granted = [granted[0], granted[1] - {"create"}]
    with pytest.raises(AuthenticationError) as caught:
        world.carry_out()
    assert "resume 1" in (caught.value.hint or "")
    assert len(world.writes) <= importer.WIDTH
    assert {step.state for step in world.steps(1)} == {"planned"}
    world.sandbox._granted = granted
    assert world.resume().report.run.state == "complete"
    check_invariants(world, wanted)


# Steps that could be mistaken for each other


def test_steps_that_are_alike_are_done_one_after_the_other(world: World) -> None:
    """That no two of them are open at a time is checked at each intent (`TappedJournal`)."""
    for _ in range(4):
        world.source.create("hubspot", "alike", "app")
    world.source.create("hubspot", "another", "app")
    world.file_secrets()
    world.export()
    world.sandbox.faults = [Fault("reset-late", "POST", probability=0.5)]
    world.carry_out()
    check_invariants(world, contents(world.source))
    alike = [each for each in world.writes if each.body["name"] == "alike"]
    for earlier, later in pairwise(alike):
        assert earlier.status == 200 or later.at - earlier.at >= OVER


def somebody_creates_it_too(world: World, fault: str | None) -> None:
    """When the slack profile is on its way, and meets that fault."""

    def overtake(request: Request) -> Fault | None:
        if request.call == "create" and request.body["provider"] == "slack":
            world.sandbox.hook = None
            world.target.create("slack", "with a token", "app")
            return Fault(fault) if fault else None
        return None

    world.sandbox.hook = overtake


def test_what_somebody_else_created_in_its_place_is_adopted(world: World) -> None:
    wanted = fill(world)
    somebody_creates_it_too(world, "reset")
    carried = world.carry_out()
    assert contents(world.target) == wanted
    assert states(carried) == {"adopted": 1, "done": 4}
    assert carried.report.run.state == "complete"


def test_two_steps_that_differ_in_case_are_not_taken_for_each_other(world: World) -> None:
    """Both calls are open, and only the one that was recorded last was carried out."""
    for name in ("acme", "Acme"):
        world.source.create("hubspot", name, "app")
    world.target.create("jira", "another", "app")
    world.file_secrets()
    world.export()
    both = threading.Barrier(2)
    wanted = contents(world.source) + contents(world.target)

    def decide(request: Request) -> Fault | None:
        if request.method != "POST" or world.calls.count("POST create") > 2:
            return None
        both.wait(10)
        with world.backup() as backup:
            first = backup.journal().open_calls("prod")[0].step.name
        assert isinstance(request.body, dict)
        return Fault("reset" if request.body["name"] == first else "reset-after-apply")

    world.sandbox.hook = decide
    carried = world.carry_out()
    assert carried.report.run.state == "complete"
    check_invariants(world, wanted)


def test_where_somebody_else_created_one_too_the_step_fails_and_says_so(world: World) -> None:
    wanted = fill(world)
    somebody_creates_it_too(world, "reset-after-apply")
    carried = world.carry_out()
    [failed] = [step for step in carried.report.steps if not step.is_done]
    assert "2 new profiles could be this one" in (failed.error or "")
    ids = [i for i, each in world.target.profiles.items() if each.document["provider"] == "slack"]
    assert all(str(each) in (failed.error or "") for each in ids)
    # Once a person has removed one of them, it is clear.
    world.target.delete(ids[0])
    assert world.resume().report.run.state == "complete"
    assert contents(world.target) == wanted


def test_a_twin_that_somebody_else_created_is_found_by_the_verification(world: World) -> None:
    fill(world)
    somebody_creates_it_too(world, None)
    carried = world.carry_out()
    [finding] = carried.report.findings
    assert "2 new profiles are named 'with a token'" in finding
    assert (carried.report.run.state, carried.report.run.verified) == ("incomplete", False)


# Answers that cannot be true


class Lie:
    """The answer to the first POST is another profile than the one that was created."""

    def __init__(self, world: World, answer: Any) -> None:
        self._world = world
        self._answer = answer
        self._post = world.target.post

    def __call__(self, payload: Any, at: float) -> Any:
        created = self._post(payload, at)
        self._world.target.post = self._post  # type: ignore[method-assign]
        return self._answer(created)


def test_an_answer_with_a_profile_that_was_there_before_is_no_answer(world: World) -> None:
    wanted = fill(world)
    [there] = world.target.profiles.values()
    world.target.post = Lie(world, lambda _created: there)  # type: ignore[method-assign]
    carried = world.carry_out()
    check_invariants(world, wanted)
    assert states(carried) == {"adopted": 1, "done": 4}


def test_an_answer_with_another_profile_than_was_updated_is_no_answer(world: World) -> None:
    world.source.create("hubspot", "app", "new")
    world.target.create("hubspot", "app", "old")
    other = world.target.create("jira", "other", "app")
    world.file_secrets()
    world.export()
    put = world.target.put

    def lie(profile_id: int, payload: Any, at: float) -> Any:
        put(profile_id, payload, at)
        world.target.put = put  # type: ignore[method-assign]
        return other

    world.target.put = lie  # type: ignore[method-assign]
    carried = world.carry_out(options=UPDATE)
    [step] = carried.report.steps
    assert (step.state, carried.report.run.state) == ("adopted", "complete")
    assert step.target_id != other.id


def test_a_profile_that_the_api_stored_otherwise_than_it_was_sent_is_a_finding(
    world: World,
) -> None:
    fill(world)

    def rename(created: Any) -> Any:
        return world.target.update(created.id, name=f"{created.document['name']} (renamed)")

    world.target.post = Lie(world, rename)  # type: ignore[method-assign]
    carried = world.carry_out()
    [finding] = carried.report.findings
    assert "is not as it was sent: name" in finding
    assert states(carried) == {"done": 5}
    assert carried.report.run.state == "incomplete"


# Secrets that are not there any more, and single profiles


def test_a_secret_that_was_removed_meanwhile_fails_its_steps_only(world: World) -> None:
    wanted = fill(world)
    strike(world, Fault("refused"), "POST", count=5)
    world.carry_out()
    (world.folder / "secrets.age").unlink()
    world.file_secrets(world.target)
    carried = world.resume()
    assert states(carried) == {"failed": 5}
    assert all("no secret" in (step.error or "") for step in carried.report.steps)
    world.file_secrets()
    assert world.resume().report.run.state == "complete"
    check_invariants(world, wanted)


def new_profile(_listing: Listing) -> NewStep:
    return NewStep(
        action="create",
        source_id=None,
        target_id=None,
        provider="hubspot",
        name="single",
        client_id="app-0",
        reason="asked for",
        data={"client_id": "app-0"},
    )


@pytest.mark.parametrize("kind", [None, "reset", "reset-after-apply", "reset-late"])
def test_a_single_profile_is_created_exactly_once(world: World, kind: str | None) -> None:
    """One listing before; another one only where the answer leaves room for doubt."""
    fill(world)
    before = contents(world.target)
    if kind:
        strike(world, Fault(kind), "POST")
    world.sandbox.requests.clear()
    carried = world.write_one(new_profile)
    new = content_of({"provider": "hubspot", "name": "single", "data": {"client_id": "app-0"}})
    check_invariants(world, before + Counter([new]))
    assert (carried.report.run.kind, carried.report.run.state) == ("profile", "complete")
    if kind is None:
        assert [request.method for request in world.sandbox.requests] == ["GET", "POST"]


def test_a_single_profile_is_updated_deleted_and_brought_back(world: World) -> None:
    fill(world)
    before = contents(world.target)
    [profile_id] = world.target.profiles
    world.sandbox.requests.clear()

    def rename(listing: Listing) -> NewStep:
        return NewStep.on(listing.profiles[0], "update", "asked for", name="renamed")

    carried = world.write_one(rename)
    assert world.target.profiles[profile_id].document["name"] == "renamed"
    assert carried.report.run.verified
    assert [request.method for request in world.sandbox.requests] == ["GET", "PUT"]
    assert world.undo() is not None
    assert contents(world.target) == before

    world.sandbox.requests.clear()
    world.write_one(lambda listing: NewStep.on(listing.profiles[0], "delete", "asked for"))
    assert world.target.profiles == {}
    assert [request.method for request in world.sandbox.requests] == ["GET", "DELETE"]


def test_a_single_profile_without_a_secret_is_not_sent(world: World) -> None:
    fill(world)
    (world.folder / "secrets.age").unlink()
    with pytest.raises(OauthsyncError):
        world.write_one(new_profile)
    assert world.runs() == []
    world.file_secrets(world.target)
    carried = world.write_one(new_profile)
    assert states(carried) == {"failed": 1}
    assert world.writes == []


def test_a_blocked_plan_writes_nothing(world: World) -> None:
    fill(world)
    (world.folder / "secrets.age").unlink()
    world.file_secrets(world.target)
    with pytest.raises(IncompleteError, match="5 of the plan's steps are blocked"):
        world.carry_out()
    assert (world.writes, world.runs()) == ([], [])
