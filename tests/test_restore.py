"""Sessions on a real folder and a real target: who may write, and how a run is carried on."""

from collections import Counter

import pytest

from oauthsync import single
from oauthsync.errors import ApiError, FileError, OauthsyncError, StoreError, UsageError
from oauthsync.plan import Options
from oauthsync.preparing import prepare
from oauthsync.restore import run_to_resume, run_to_undo
from oauthsync.runs import NewStep
from oauthsync.sandbox import Fault
from tests.importing import TOKENS, Content, Crash, Points, World, content_of, contents, scratch
from tests.invariants import check_invariants
from tests.test_importer import OVER, UPDATE, fill, states, waits


def file_sample_secrets(world: World) -> None:
    """The samples' secrets are their own; here it is enough that each app has one."""
    world.file_secrets(world.source)


# How many requests that takes


def test_a_restore_of_3_of_250_sends_3_posts_and_no_get_by_id() -> None:
    with scratch() as folder, World(folder / "backup", profiles=250) as world:
        file_sample_secrets(world)
        world.export()
        lost = sorted(world.source.profiles)[10:13]
        for profile_id in lost:
            world.source.delete(profile_id)
        world.sandbox.requests.clear()
        carried = world.carry_out("dev")
        assert carried.report.run.state == "complete"
        # Three pages, read twice, before and after.
        assert world.calls == [*["GET list"] * 6, *["POST create"] * 3, *["GET list"] * 6]
        assert {step.source_id for step in carried.report.steps} == set(lost)


def test_a_migration_of_250_into_an_empty_workspace_sends_250_posts() -> None:
    with scratch() as folder, World(folder / "backup", profiles=250) as world:
        file_sample_secrets(world)
        world.export()
        world.sandbox.requests.clear()
        carried = world.carry_out("prod")
        assert carried.report.run.state == "complete"
        assert Counter(world.calls) == {"GET list": 1 + 6, "POST create": 250}
        assert contents(world.target) == contents(world.source)
        in_use = [each for _, each in carried.in_use]
        assert {each.id for each in in_use} == {
            profile_id
            for profile_id, each in world.source.profiles.items()
            if each.document["shared_accounts_count"] or each.document["oem_customers_count"]
        }


# Who may write, and to what


def test_a_second_import_into_the_same_target_is_refused(world: World) -> None:
    fill(world)
    with world.session() as session:
        session.look()
        with pytest.raises(FileError, match="'prod' is in use by another"):
            world.carry_out()
        world.carry_out("dev")  # another target is free


def test_a_second_import_is_refused_whatever_token_and_folder_it_comes_with(world: World) -> None:
    wanted = fill(world)
    other = with_a_second_token(world)
    with world.session() as session:
        session.look()
        with pytest.raises(FileError, match="is in use"):
            other.carry_out()
    other.carry_out()
    check_invariants(other, wanted)


def fill_without_twins(world: World) -> Counter[Content]:
    """Profiles to import that can be told apart, by whoever looks; all of the target."""
    for number in range(3):
        world.source.create("hubspot", f"app {number}", "app")
    world.target.create("jira", "another", "app")
    world.file_secrets()
    world.export()
    return contents(world.source) + contents(world.target)


def with_a_second_token(world: World) -> World:
    """Another folder of the same user, and another token of the target."""
    other = world.other_folder()
    world.sandbox._numbers["canary-token-second"] = 1
    other.tokens = {**world.tokens, "PROD_TOKEN": "canary-token-second"}
    return other


def test_an_empty_workspace_does_not_tell_its_id_so_all_others_are_kept_out(world: World) -> None:
    world.source.create("hubspot", "app", "app")
    world.file_secrets()
    world.export()
    other = with_a_second_token(world)
    for first, second in ((world, other), (other, world)):
        with first.session() as session:
            assert session.look().profiles == ()
            with pytest.raises(FileError, match=r"empty workspaces cannot be told .* is in use"):
                second.carry_out()
    other.carry_out()
    assert states(world.carry_out()) == {}
    assert contents(world.target) == contents(world.source)


@pytest.mark.parametrize("crashes", [False, True])
def test_what_another_wrote_before_the_workspaces_id_was_known_is_seen(
    world: World, crashes: bool
) -> None:
    """Here the target is listed, then there it is written to, then here it is locked."""
    wanted = fill_without_twins(world)
    other = with_a_second_token(world)

    def write() -> None:
        if crashes:
            other.points = Points(crash_on="after POST")
            with pytest.raises(Crash):
                other.carry_out()
        else:
            other.carry_out()

    world.points = Points(meanwhile={"after GET": write})
    carried = world.carry_out()
    assert contents(world.target) == wanted
    assert waits(world) == ([OVER] if crashes else [])
    assert carried.report.run.state == "complete"


def test_an_open_call_is_waited_for_under_whatever_name(world: World) -> None:
    """While the target is empty, only its URL tells that it may be the same."""
    world.source.create("hubspot", "app", "app")
    world.file_secrets()
    world.export()
    stopped_after_an_unanswered_post(world)
    with (world.folder / "oauthsync.toml").open("a") as file:
        file.write(f'[workspaces.again]\nurl = "{world.sandbox.url}"\ntoken_env = "PROD_TOKEN"\n')
    assert states(world.carry_out("again")) == {}
    assert waits(world) == [OVER]
    assert states(world.resume()) == {"adopted": 1}
    assert contents(world.target) == contents(world.source)


def test_an_open_call_that_a_restored_database_does_not_know_is_waited_for(world: World) -> None:
    world.source.create("hubspot", "app", "app")
    world.file_secrets()
    world.export()
    copy = (world.folder / "oauthsync.db").read_bytes()
    stopped_after_an_unanswered_post(world)
    (world.folder / "oauthsync.db").write_bytes(copy)
    assert states(world.carry_out()) == {}
    assert waits(world) == [OVER]
    assert contents(world.target) == contents(world.source)


def test_another_folder_waits_for_what_an_unfinished_import_may_still_do(world: World) -> None:
    """Its journal knows nothing of the open call; the mark in the lock file does."""
    world.source.create("hubspot", "app", "app")
    world.file_secrets()
    world.export()
    wanted = contents(world.source)
    other = world.other_folder()
    stopped_after_an_unanswered_post(world)
    assert other.carry_out().report.run.state == "complete"
    assert waits(world) == [OVER]
    assert contents(world.target) == wanted
    # And the other way round: what that has created is adopted, not created again.
    assert world.resume().report.run.state == "complete"
    assert contents(world.target) == wanted


def test_a_name_that_leads_to_another_workspace_is_refused(world: World) -> None:
    fill(world)
    world.export("prod")
    world.tokens = {**world.tokens, "PROD_TOKEN": world.tokens["DEV_TOKEN"]}
    with pytest.raises(StoreError, match="another workspace now"):
        world.carry_out()
    assert (world.writes, world.runs()) == ([], [])


def test_a_plan_for_a_name_that_leads_to_another_workspace_is_refused(world: World) -> None:
    fill(world)
    world.export("prod")
    world.tokens = {**world.tokens, "DEV_TOKEN": world.tokens["PROD_TOKEN"]}
    with world.backup() as backup, pytest.raises(StoreError, match="another workspace now"):
        prepare(backup, "latest", Options(), source="dev")


def test_a_run_whose_safety_snapshot_is_gone_is_not_carried_on(world: World) -> None:
    fill(world)
    world.sandbox.faults = [Fault("refused", "POST")]
    world.carry_out()
    with world.backup() as backup:
        backup.database().execute("UPDATE runs SET safety_snapshot_id = NULL")
    with pytest.raises(StoreError, match="was pruned") as caught:
        world.resume()
    assert "new `oauthsync import`" in (caught.value.hint or "")


def test_an_open_call_of_a_run_whose_safety_snapshot_is_gone_does_not_bar_the_target(
    world: World,
) -> None:
    """What became of it cannot be told; a new plan is made from what is there."""
    wanted = fill_without_twins(world)
    stopped_after_an_unanswered_post(world)
    with world.backup() as backup:
        backup.database().execute("UPDATE runs SET safety_snapshot_id = NULL")
    assert world.carry_out().report.run.state == "complete"
    assert contents(world.target) == wanted
    assert "what was there before is not known" in {step.error for step in world.steps(1)}


def test_a_list_that_lacks_once_what_an_import_has_created_is_not_believed(world: World) -> None:
    """No export has seen it, but the journal knows how many there are."""
    fill_without_twins(world)
    for profile_id in world.target.profiles:
        world.target.delete(profile_id)
    world.carry_out()
    wanted = contents(world.target)
    world.sandbox.faults = [Fault("empty-page", "list", times=1)]
    assert not world.carry_out().report.steps
    assert contents(world.target) == wanted


def test_an_import_into_another_workspace_ends_with_the_first_answer_that_tells_so() -> None:
    """It is empty, and the token may not ask whose it is."""
    granted = {token: ["list", "create"] for token in TOKENS.values()}
    with scratch() as folder, World(folder / "backup", privileges=granted) as world:
        fill(world)
        world.export("prod")
        for profile_id in world.source.profiles:
            world.source.delete(profile_id)
        world.tokens = {**world.tokens, "PROD_TOKEN": world.tokens["DEV_TOKEN"]}
        world.width = 1
        with pytest.raises(StoreError, match="another workspace now") as caught:
            world.carry_out()
        [created] = world.source.profiles
        assert f"profile {created} was created there" in str(caught.value)


def test_resuming_in_another_workspace_that_is_empty_is_refused(world: World) -> None:
    """Its list does not tell whose it is; so the API is asked."""
    fill(world)
    world.export("prod")
    world.sandbox.faults = [Fault("refused", "POST")]
    world.carry_out()
    world.sandbox.faults = []
    world.sandbox.requests.clear()
    for profile_id in world.source.profiles:
        world.source.delete(profile_id)
    world.tokens = {**world.tokens, "PROD_TOKEN": world.tokens["DEV_TOKEN"]}
    with pytest.raises(StoreError, match="another workspace now"):
        world.resume()
    assert world.calls == ["GET list", "GET list", "GET me"]


def test_a_run_of_another_target_is_refused(world: World) -> None:
    """Nothing is done to either workspace, and the run stays what it was."""
    fill(world)
    world.sandbox.faults = [Fault("refused", "POST", times=1)]
    world.carry_out()
    world.sandbox.requests.clear()
    with world.session("dev") as session:
        run = run_to_resume(session.backup, 1)
        with pytest.raises(UsageError, match=r"one for 'prod' at .*, not for 'dev'"):
            session.resume(run)
        with pytest.raises(UsageError, match=r"one for 'prod' at .*, not for 'dev'"):
            session.undo(run, force=True, confirm=lambda _: True)
    assert world.runs() == [run]
    assert world.calls == []


def test_a_plan_for_another_target_is_refused(world: World) -> None:
    """Its secrets are not sent to where it was not made for."""
    fill(world)
    with world.session() as session:
        chosen = session.backup.snapshots().find("latest", "dev")
        prepared = session.prepare(chosen, Options())
    with world.session("dev") as session, pytest.raises(UsageError, match="one for 'prod' at"):
        session.carry_out(prepared)
    assert world.writes == []
    assert world.runs() == []


def test_a_plan_that_is_carried_out_twice_in_one_session_creates_nothing_twice(
    world: World,
) -> None:
    """As a program may do after a run that was not complete."""
    wanted = fill(world)
    world.sandbox.faults = [Fault("refused", "POST", times=1)]
    with world.session() as session:
        chosen = session.backup.snapshots().find("latest", "dev")
        prepared = session.prepare(chosen, Options())
        first, second = session.carry_out(prepared), session.carry_out(prepared)
    assert (first.report.run.state, second.report.run.state) == ("incomplete", "complete")
    check_invariants(world, wanted)


def test_what_was_shown_hours_ago_is_not_fresh_because_a_look_since_then_has_failed(
    world: World,
) -> None:
    """The API is down when the change is to be made, and up when it is tried again at once."""
    world.target.create("jira", "another", "app")
    world.file_secrets()
    world.export()
    with world.session() as session:
        listing = session.look()
        step = single.create(listing, provider="jira", name="new", client_id="app")
        world.clock.sleep(3 * 3600.0)
        world.target.create("jira", "new", "app")
        world.sandbox.faults = [Fault("500", "list")]
        with pytest.raises(ApiError):
            session.write_one(step, listing)
        world.sandbox.faults = []
        session.write_one(step, listing)
    assert len(world.target.profiles) == 2


def test_a_plan_made_of_another_workspace_than_the_token_opens_now_is_refused(world: World) -> None:
    fill(world)
    with world.session() as session:
        chosen = session.backup.snapshots().find("latest", "dev")
        prepared = session.prepare(chosen, Options())
    world.tokens = {**world.tokens, "PROD_TOKEN": world.tokens["DEV_TOKEN"]}
    with world.session() as session, pytest.raises(StoreError, match="another workspace now"):
        session.carry_out(prepared)
    assert world.writes == []


def test_an_open_call_is_settled_by_a_look_under_a_name_that_is_new(world: World) -> None:
    """Or what another run creates under that name would be taken for the work of the call."""
    fill(world, count=1)
    world.points = Points(crash_on="before POST")
    with pytest.raises(Crash):
        world.carry_out()
    world.restart()
    toml = world.folder / "oauthsync.toml"
    toml.write_text(toml.read_text().replace("[workspaces.prod]", "[workspaces.alias]"))
    world.sandbox.faults = [Fault("reset-after-apply", "POST", times=1)]
    assert states(world.carry_out("alias")) == {"done": 2, "adopted": 1}
    assert {step.state for step in world.steps(1)} == {"planned"}


def test_what_another_run_created_is_not_taken_for_what_the_api_has_changed(world: World) -> None:
    world.source.create("hubspot", "AAA", "app")
    world.source.create("hubspot", "Acme²", "app")
    world.target.create("jira", "another", "app")
    world.file_secrets()
    world.export()
    world.width = 1
    world.points = Points(crash_on="after POST")
    with pytest.raises(Crash):
        world.carry_out()
    world.restart()
    world.write_one(
        lambda listing: single.create(listing, provider="hubspot", name="Acme2", client_id="app")
    )
    assert world.resume(1).report.run.state == "complete"
    assert len(world.target.profiles) == 4


def test_a_run_that_was_undone_meanwhile_is_not_resumed(world: World) -> None:
    fill(world)
    world.sandbox.faults = [Fault("refused", "POST", times=1)]
    run = world.carry_out().report.run
    with world.session() as session:
        session.undo(run, force=True, confirm=lambda _: True)
        with pytest.raises(UsageError, match="undone: there is nothing to carry on"):
            session.resume(run)


# Open calls, and the time


def stopped_after_an_unanswered_post(world: World) -> None:
    """A process that has died with open calls, which the server will carry out in 39 s."""
    world.sandbox.faults = [Fault("reset-late", "POST", delay=39.0)]
    world.points = Points(crash_on="after end_call unknown")
    with pytest.raises(Crash):
        world.carry_out()
    world.restart()
    world.sandbox.faults = []
    world.events.clear()


@pytest.mark.parametrize("way", ["resume", "import"])
def test_what_may_still_happen_is_waited_for_before_the_target_is_listed(
    world: World, way: str
) -> None:
    wanted = fill(world, count=1)
    stopped_after_an_unanswered_post(world)
    carried = world.resume() if way == "resume" else world.carry_out()
    check_invariants(world, wanted)
    assert carried.report.run.state == "complete"
    assert waits(world)[:1] == [OVER]


def test_a_call_that_is_over_is_not_waited_for(world: World) -> None:
    wanted = fill(world, count=1)
    stopped_after_an_unanswered_post(world)
    world.clock.sleep(50.0)
    world.resume()
    check_invariants(world, wanted)
    assert waits(world) == []


@pytest.mark.parametrize("hours", [-24, 24])
def test_a_time_of_day_that_was_set_meanwhile_changes_nothing(world: World, hours: int) -> None:
    """The machine's own clock tells that 10 seconds have passed."""
    wanted = fill(world, count=1)
    stopped_after_an_unanswered_post(world)
    world.time_is_off_by = hours * 3600.0
    world.clock.sleep(10.0)
    world.resume()
    check_invariants(world, wanted)
    assert waits(world) == [OVER - 10.0]


def test_after_a_restart_of_the_machine_an_open_call_is_waited_for_in_full(world: World) -> None:
    wanted = fill(world, count=1)
    stopped_after_an_unanswered_post(world)
    world.clock.sleep(10.0)
    world.timeline = "the next start of the machine"
    world.resume()
    check_invariants(world, wanted)
    assert waits(world) == [OVER]


def test_a_call_that_was_waited_for_after_a_restart_is_no_older_than_that() -> None:
    """The server takes longer than was thought, and that is set right before the next try."""
    with scratch() as folder, World(folder / "backup", server_timeout=120.0) as world:
        wanted = fill(world, count=1)
        world.sandbox.faults = [Fault("reset-late", "POST", delay=115.0)]
        world.points = Points(crash_on="before end_call unknown")
        with pytest.raises(Crash):
            world.carry_out()
        world.restart()
        world.timeline = "the next start of the machine"
        world.sandbox.faults = [Fault("500", "list")]
        with pytest.raises(ApiError):
            world.resume()
        world.sandbox.faults = []
        world.configure(world.folder, server_timeout=120.0)
        world.resume()
        world.clock.sleep(300.0)
        check_invariants(world, wanted)


# Resuming


def test_resume_of_an_older_run_adopts_what_a_newer_one_created(world: World) -> None:
    """The same import again instead of `resume`, and then `resume` all the same."""
    wanted = fill(world)
    world.sandbox.faults = [Fault("refused", "POST", times=3)]
    world.carry_out()
    world.carry_out()
    check_invariants(world, wanted)
    carried = world.resume(1)
    assert carried.report.run.state == "complete"
    assert contents(world.target) == wanted
    assert len([request for request in world.writes if request.applied]) == 5


def test_a_twin_that_another_run_has_created_since_is_no_finding(world: World) -> None:
    fill(world)
    world.sandbox.faults = [Fault("refused", "POST", times=1)]
    world.carry_out()
    world.sandbox.faults = []
    there = world.steps(1)[-1]
    twin = NewStep(
        action="create",
        source_id=None,
        target_id=None,
        provider=there.provider,
        name=there.name,
        client_id=there.client_id,
        reason="asked for",
        data=there.data,
    )
    assert world.write_one(lambda _listing: twin).report.run.state == "complete"
    assert world.resume(1).report.run.state == "complete"


def test_resume_does_not_touch_what_others_changed_meanwhile(world: World) -> None:
    world.source.create("hubspot", "app", "new")
    world.source.create("hubspot", "second", "new")
    one = world.target.create("hubspot", "app", "old").id
    world.target.create("hubspot", "second", "old")
    world.file_secrets()
    world.export()
    world.sandbox.faults = [Fault("refused", "PUT")]
    world.carry_out(options=UPDATE)
    world.sandbox.faults = []
    world.target.update(one, name="renamed by a colleague")
    carried = world.resume()
    assert states(carried) == {"failed": 1, "done": 1}
    assert world.target.profiles[one].document["name"] == "renamed by a colleague"


def test_who_takes_their_time_to_answer_has_the_target_listed_once_more(world: World) -> None:
    """What others have done meanwhile is dealt with as after a crash."""
    wanted = fill(world)
    world.source.create("hubspot", "shared", "new")
    shared = world.target.create("hubspot", "shared", "old").id
    world.file_secrets()
    world.export()
    with world.session() as session:
        chosen = session.backup.snapshots().find("latest", "dev")
        prepared = session.prepare(chosen, UPDATE)
        world.clock.sleep(61.0)
        world.target.create("slack", "with a token", "app")
        world.target.update(shared, name="renamed by a colleague")
        carried = session.carry_out(prepared)
    assert states(carried) == {"adopted": 1, "done": 4, "failed": 1}
    renamed = content_of(world.target.profiles[shared].document)
    assert contents(world.target) == wanted + Counter([renamed])


def test_a_run_that_is_complete_is_not_resumed(world: World) -> None:
    fill(world)
    world.carry_out()
    with pytest.raises(UsageError, match="run 1 is complete"):
        world.resume(1)


def test_a_run_that_only_lacks_its_verification_is_verified_by_resume(world: World) -> None:
    wanted = fill(world)
    world.sandbox.faults = [Fault("500", "list", after=1)]
    with pytest.raises(OauthsyncError) as caught:
        world.carry_out()
    assert "resume 1" in (caught.value.hint or "")
    world.sandbox.faults = []
    writes = len(world.writes)
    carried = world.resume()
    assert (carried.report.run.state, len(world.writes)) == ("complete", writes)
    check_invariants(world, wanted)


def test_the_run_that_is_meant(world: World) -> None:
    fill(world)
    with world.backup() as backup, pytest.raises(UsageError, match="no run"):
        run_to_undo(backup, None)
    world.sandbox.faults = [Fault("refused", "POST", times=1)]
    world.carry_out()
    world.carry_out("dev")
    with world.backup() as backup:
        assert run_to_undo(backup, None).id == 2
        assert run_to_resume(backup, None).id == 1
        assert run_to_resume(backup, 2).id == 2
    world.resume()
    with world.backup() as backup, pytest.raises(UsageError, match="no unfinished run"):
        run_to_resume(backup, None)


def test_a_workspace_is_known_from_the_first_profile_that_it_answers_with(world: World) -> None:
    """A token that leads elsewhere is refused, also where the target was empty before."""
    fill(world)
    for profile_id in list(world.target.profiles):
        world.target.delete(profile_id)
    world.width = 1
    world.points = Points(crash_on="after end_call done")
    with pytest.raises(Crash):
        world.carry_out()
    world.restart()
    world.tokens = {**world.tokens, "PROD_TOKEN": world.tokens["DEV_TOKEN"]}
    writes = len(world.writes)
    with pytest.raises(StoreError, match="another workspace now"):
        world.resume()
    assert len(world.writes) == writes


def test_after_a_restart_of_the_machine_others_wait_once_for_an_open_call(world: World) -> None:
    """Into another workspace at the same URL, which may be the same."""
    world.source.create("hubspot", "app", "app")
    world.file_secrets()
    world.export()
    stopped_after_an_unanswered_post(world)
    world.timeline = "the next start of the machine"
    for _ in range(2):
        with world.session("dev") as session:
            session.look()
    assert waits(world) == [OVER]
    other = world.other_folder()
    world.events.clear()
    other.carry_out("dev")
    assert waits(world) == []
