"""A change of one profile happens exactly once, whatever becomes of its call."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from oauthsync import single
from oauthsync.backup import Backup
from oauthsync.errors import OauthsyncError
from oauthsync.importer import Report
from oauthsync.restore import Session, open_session, run_to_resume
from oauthsync.runs import NewRun, NewStep
from oauthsync.sandbox import Fault, Sandbox, SandboxWorkspace
from oauthsync.steady import Moment
from tests.clock import FakeClock
from tests.everyday import TOKEN, configure, file_secret, identity

EFFECTS = ("", "-after-apply", "-late")
RESET = [f"reset{effect}" for effect in EFFECTS]
LOST = [*RESET, *(f"500{effect}" for effect in EFFECTS)]


class Place:
    """A backup folder and its workspace, where time passes only by waiting."""

    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        self.folder = folder
        self.sandbox = Sandbox(
            [TOKEN], requests_per_minute=100_000, clock=self.clock, server_timeout=1
        )
        file_secret(folder, identity(folder), ("hubspot", "app"))

    @property
    def workspace(self) -> SandboxWorkspace:
        return self.sandbox.workspace(TOKEN)

    @contextmanager
    def writing(self) -> Iterator[Session]:
        environ = {
            "TOKEN": TOKEN,
            "OAUTHSYNC_IDENTITY": str(self.folder / "key.txt"),
            "XDG_STATE_HOME": str(self.folder / "state"),
        }
        with (
            Backup(self.folder, environ=environ, home=self.folder, clock=self.clock) as backup,
            open_session(backup, backup.workspace("dev"), steady=self.steady) as session,
        ):
            yield session

    def steady(self) -> Moment:
        return Moment("this test's", self.clock.now())

    def create(self) -> Report:
        with self.writing() as session:
            listing = session.look()
            step = single.create(listing, provider="hubspot", name="Acme", client_id="app")
            return session.write_one(step, listing).report

    def names(self) -> list[str]:
        return [profile.document["name"] for profile in self.workspace.profiles.values()]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    with place.sandbox as running:
        configure(tmp_path, running.url)
        yield place


@pytest.mark.parametrize("fault", LOST)
def test_a_lost_answer_to_a_creation_makes_one_profile(place: Place, fault: str) -> None:
    place.sandbox.faults = [Fault.parse(f"create:{fault}:x1")]
    report = place.create()
    assert (report.run.state, report.findings) == ("complete", ())
    assert place.names() == ["Acme"]
    assert [step.target_id for step in report.steps] == list(place.workspace.profiles)


@pytest.mark.parametrize("fault", RESET)
def test_a_lost_answer_to_a_deletion_deletes_that_profile_and_no_other(
    place: Place, fault: str
) -> None:
    place.workspace.create("hubspot", "stays", "app")
    there = place.workspace.create("hubspot", "Acme", "app")
    place.sandbox.faults = [Fault.parse(f"delete:{fault}:x1")]
    with place.writing() as session:
        listing = session.look()
        step = single.delete(listing, there.id, force=False)
        report = session.write_one(step, listing).report
    assert report.run.state == "complete"
    assert place.names() == ["stays"]


@pytest.mark.parametrize("fault", RESET)
def test_a_lost_answer_to_an_update_ends_with_what_was_wanted(place: Place, fault: str) -> None:
    there = place.workspace.create("hubspot", "Acme", "app")
    place.sandbox.faults = [Fault.parse(f"update:{fault}:x1")]
    with place.writing() as session:
        listing = session.look()
        step = single.update(listing, there.id, name="Acme 2")
        report = session.write_one(step, listing).report
    assert report.run.state == "complete"
    assert place.names() == ["Acme 2"]


def cut_off(place: Place, step: NewStep) -> None:
    """Leave what a process leaves that was killed while its call was under way."""
    with place.writing() as session:
        backup = session.backup
        safety, _ = backup.snapshots().add(session.look(), "safety")
        run = backup.journal().begin(
            NewRun(kind="profile", target="dev", steps=[step], safety_snapshot=safety.id),
            place.clock.now(),
        )
        [planned] = backup.journal().steps(run.id)
        backup.journal().intend(planned, place.clock.now(), place.steady())


NEW = NewStep("create", None, None, "hubspot", "Acme", "app", "by hand", {"client_id": "app"})


def test_a_creation_that_was_cut_off_after_it_was_done_is_found_and_not_repeated(
    place: Place,
) -> None:
    cut_off(place, NEW)
    there = place.workspace.create("hubspot", "Acme", "app")
    with pytest.raises(OauthsyncError, match=f"already: id {there.id}"):
        place.create()
    assert place.names() == ["Acme"]
    with place.writing() as session:
        run = run_to_resume(session.backup, 1)
        [step] = session.resume(run).report.steps
    assert (step.state, step.target_id) == ("adopted", there.id)
    assert place.names() == ["Acme"]


def test_a_creation_that_was_cut_off_and_then_called_again_is_done_once(place: Place) -> None:
    cut_off(place, NEW)
    assert place.create().run.state == "complete"
    with place.writing() as session:
        run = run_to_resume(session.backup, 1)
        assert session.resume(run).report.run.state == "complete"
    assert place.names() == ["Acme"]


def test_a_creation_can_be_undone(place: Place) -> None:
    report = place.create()
    with place.writing() as session:
        session.undo(report.run, force=False, confirm=lambda _: True)
    assert place.names() == []


def test_no_write_is_repeated_where_all_goes_well(place: Place) -> None:
    place.create()
    assert [each.call for each in place.sandbox.requests] == ["list", "create"]
