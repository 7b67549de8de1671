"""What must hold after an import, whatever happened on the way."""

from collections import Counter
from collections.abc import Iterator

from oauthsync.checks import check
from oauthsync.runs import Run, Step
from tests.importing import CANARY, IDENTITY, TOKENS, Content, World, contents, secret_of

CANARIES = (CANARY, IDENTITY.text.reveal(), *TOKENS.values())


def check_invariants(world: World, wanted: Counter[Content], output: str = "") -> None:
    """Nothing twice, nothing lost, no secret anywhere but where it belongs, a consistent journal.

    `wanted` is what the target is to hold, each profile as often as it says; `output` is whatever
    else was shown to anybody.
    """
    problems = list(broken(world, wanted, output))
    assert not problems, "\n".join(problems)


def broken(world: World, wanted: Counter[Content], output: str = "") -> Iterator[str]:
    """What does not hold, each with its kind: `duplicate`, `loss`, `leak` or `journal`."""
    there = contents(world.target)
    yield from (f"duplicate: {each}" for each in there - wanted)
    yield from (f"loss: {each}" for each in wanted - there)
    yield from _leaks(world, output)
    yield from (f"journal: {each}" for each in _inconsistencies(world))


def _leaks(world: World, output: str) -> Iterator[str]:
    """Secrets and tokens in files or texts, and secrets that were sent beside another app's id."""
    for path in world.folder.parent.rglob("*"):
        if path.is_file() and path.name != "key.txt":
            content = path.read_bytes()
            yield from (f"leak: in {path}" for each in CANARIES if each.encode() in content)
    texts = f"{output}{world.events!r}{world.runs()!r}"
    yield from ("leak: in a text" for each in CANARIES if each in texts)
    for request in world.writes:
        if request.method != "DELETE":
            data = request.body["data"]
            app = (request.body["provider"], data["client_id"])
            if data["client_secret"] != secret_of(*app):
                yield f"leak: the secret of another app was sent with {app}"
            if ("token" in data) != (app[0] == "slack"):
                yield f"leak: a token was sent with {app}, or not"


def _inconsistencies(world: World) -> Iterator[str]:
    with world.backup() as backup:
        journal = backup.journal()
        runs = [(run, journal.steps(run.id)) for run in journal.runs()]
        open_calls = journal.open_calls("prod")
        yield from check(backup.database()).problems
    yield from (f"call {call.id} is open" for call in open_calls)
    for run, steps in runs:
        yield from _run_inconsistencies(world, run, steps)
    # Each profile that a POST created belongs to a step.
    claimed = {
        step.target_id
        for _, steps in runs
        for step in steps
        if step.action == "create" and step.is_done
    }
    if len(claimed) != world.created:
        yield f"{world.created} profiles were created, and steps stand for {len(claimed)}"


def _run_inconsistencies(world: World, run: Run, steps: list[Step]) -> Iterator[str]:
    done = [step for step in steps if step.is_done]
    created = [step.target_id for step in done if step.action == "create"]
    if len(set(created)) != len(created):
        yield f"two steps of run {run.id} stand for one profile"
    if any(step.target_id is None for step in done):
        yield f"a step of run {run.id} is done, and stands for no profile"
    if run.state == "complete":
        yield from (f"{step} is not done" for step in steps if not step.is_done)
        if not run.verified:
            yield f"run {run.id} is complete, and not verified"
