"""Whatever a program does with its sessions, and in whatever order, nothing is there twice."""

from contextlib import suppress
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oauthsync import single
from oauthsync.errors import OauthsyncError
from oauthsync.plan import Options
from oauthsync.preparing import Prepared
from oauthsync.restore import Session
from oauthsync.sandbox import Fault
from oauthsync.snapshots import Listing
from tests.importing import Crash, Points, World, contents, scratch

NAMES = ("A", "B", "C")
FAULTS = ("reset", "reset-after-apply", "reset-late", "500", "500-after-apply", "429", "refused")
OPERATIONS = (
    *("look", "prepare", "carry out", "carry out", "create", "create", "delete"),
    *("resume", "undo", "wait"),
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(chance=st.randoms(use_true_random=False))
def test_no_order_of_a_sessions_operations_creates_anything_twice(chance: Random) -> None:
    with scratch() as folder, World(folder / "backup") as world:
        world.width = 1  # so that what fails can be played again
        for name in NAMES:
            world.source.create("hubspot", name, "app")
        world.target.create("jira", "another", "app")
        world.file_secrets()
        world.export()
        for number in range(chance.randint(1, 5)):
            world.restart(Points(chance.choice((None, None, chance.randint(1, 30)))))
            if chance.random() < 0.2:
                world.timeline = f"start {number}"
            world.sandbox.faults = [
                Fault(chance.choice(FAULTS), chance.choice(("POST", "list", "*")), times=4)
                for _ in range(chance.randint(0, 2))
            ]
            with suppress(Crash, OauthsyncError), world.session() as session:
                use(session, world, chance)
        world.restart()
        world.clock.sleep(300.0)  # what is late has happened by then
        assert set(contents(world.target).values()) <= {1}


def use(session: Session, world: World, chance: Random) -> None:
    """Do some operations, each on what an earlier one has shown, be it long ago."""
    listings: list[Listing] = [session.look()]
    prepared: list[Prepared] = []
    for _ in range(chance.randint(1, 6)):
        listing = chance.choice(listings)
        runs = session.backup.journal().runs()
        with suppress(OauthsyncError):
            match chance.choice(OPERATIONS):
                case "look":
                    listings.append(session.look())
                case "prepare":
                    chosen = session.backup.snapshots().find("latest", "dev")
                    prepared.append(session.prepare(chosen, Options()))
                    listings.append(prepared[-1].listing)
                case "carry out" if prepared:
                    session.carry_out(chance.choice(prepared))
                case "create":
                    name = chance.choice(NAMES)
                    step = single.create(listing, provider="hubspot", name=name, client_id="app")
                    session.write_one(step, listing)
                case "delete" if listing.profiles:
                    there = chance.choice(listing.profiles)
                    session.write_one(single.delete(listing, there.id, force=True), listing)
                case "resume" if runs:
                    session.resume(chance.choice(runs))
                case "undo" if runs:
                    session.undo(chance.choice(runs), force=True, confirm=lambda _: True)
                case "wait":
                    world.clock.sleep(chance.choice((5.0, 90.0, 4000.0)))
