"""Carrying out a run: each step exactly once, whatever happens in between.

There is one way through a run, `carry_on`, for the first time and after any crash:

1. Calls whose outcome is unknown are settled: when the server can no longer be working on them, the
   target is listed, and a new profile that matches a step is adopted. Where there is none, the step
   is still to be done; where there are several, it fails and says so.
2. The steps that are still to be done are done, several side by side. Steps that could be mistaken
   for each other (same provider, name and client id) form a chain, and a chain is done one call
   after the other: at most one of its calls is ever open.
3. As long as that left calls open, both again, a bounded number of times.
4. The target is listed again, and compared with what the run did.

A secret leaves the sidecar here and only here, for exactly the provider and client id of the step
that it is sent with, and only to the workspace that the run was planned for.
"""

import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Protocol, TypedDict, Unpack, assert_never

from oauthsync.api import READS_REPEAT, WRITES_REPEAT, Api, Payload
from oauthsync.clock import SleepInterruptedError
from oauthsync.errors import (
    ApiError,
    IncompleteError,
    NotSentError,
    OauthsyncError,
    RateLimitedError,
    RefusedError,
    UnknownOutcomeError,
    UsageError,
)
from oauthsync.events import Listener, StepEnded, Waiting, ignore
from oauthsync.exporter import read_listing
from oauthsync.journal import Journal, OpenCall, Outcome, Run, RunState, Step, StepState
from oauthsync.secret import Secret
from oauthsync.snapshots import Listing, Snapshots

WIDTH = 8
"""Steps that are done side by side."""

MAX_ROUNDS = 5
"""How often a step is begun again after it turned out that nothing had happened."""


class AppSecrets(Protocol):
    """The secrets of an OAuth app, as the sidecar holds them."""

    @property
    def client_secret(self) -> Secret:
        """The client secret."""
        ...

    @property
    def token(self) -> Secret | None:
        """The verification token, for Slack."""
        ...


SecretLookup = Callable[[str, str], AppSecrets | None]
"""The secrets filed under exactly this provider and client id."""


@dataclass(frozen=True)
class Report:
    """How a run stands after `carry_on`; `findings` say what the verification found amiss."""

    run: Run
    steps: tuple[Step, ...]
    findings: tuple[str, ...]


class InterruptedRunError(OauthsyncError):
    """The user wanted to go; what was in flight is finished and recorded."""

    exit_code = 130


class Importer:
    """Carries out the runs of one target workspace."""

    def __init__(
        self,
        api: Api,
        journal: Journal,
        snapshots: Snapshots,
        secrets: SecretLookup,
        *,
        listener: Listener = ignore,
        width: int = WIDTH,
    ) -> None:
        self._api = api
        self._clock = api.clock
        self._journal = journal
        self._snapshots = snapshots
        self._secrets = secrets
        self._listener = listener
        self._width = width
        self._stop = threading.Event()

    def carry_on(self, run_id: int) -> Report:
        """Bring a run to its end, from wherever it is.

        Raises ApiError where the target cannot be reached or refuses the token, IncompleteError
        where a secret is gone, and InterruptedRunError on Ctrl-C: the run can be carried on.
        """
        run = self._journal.run(run_id)
        self._check_target(run)
        try:
            self._work(run)
            return self._verify(run)
        except (KeyboardInterrupt, SleepInterruptedError):
            self._end(run, None)
            raise InterruptedRunError(
                f"interrupted; run {run.id} is not finished", hint=_how_to_go_on(run)
            ) from None
        except OauthsyncError as error:
            self._end(run, None)
            error.hint = "; ".join(filter(None, (error.hint, _how_to_go_on(run))))
            raise

    def settle(self) -> Listing | None:
        """Settle all open calls to the target, of whatever run; the listing that told, if any.

        Raises ApiError where the target cannot be listed.
        """
        calls = self._journal.open_calls(self._api.workspace)
        if not calls:
            return None
        self._wait_until(max(call.began for call in calls) + self._api.server_timeout)
        listing = read_listing(self._api, listener=self._listener)
        claimed = self._journal.claimed_ids(self._api.workspace)
        for call in calls:
            self._settle(call, listing, claimed)
        return listing

    # --- settling -------------------------------------------------------------------------------

    def _wait_until(self, moment: float) -> None:
        seconds = moment - self._clock.now()
        if seconds > 0:
            self._listener(Waiting(self._api.workspace, seconds, "unknown outcome"))
            self._clock.sleep(seconds)

    def _settle(self, call: OpenCall, listing: Listing, claimed: set[int]) -> None:
        """Adopt, fail, or leave the step to be done again; `claimed` grows with what is adopted."""
        now = self._clock.now()
        step = call.step
        if step.action != "create" or step.state != "planned":
            # Updating and deleting may be repeated; a step that has ended has nothing to settle.
            self._journal.end_call(call.id, "settled", now)
            return
        existed = claimed | self._snapshots.profile_ids(self._journal.run(step.run).safety_snapshot)
        new = [each for each in listing.profiles if each.key == step.key and each.id not in existed]
        match new:
            case []:
                self._journal.end_call(call.id, "settled", now, detail="not in the target")
            case [profile]:
                self._journal.end_call(
                    call.id, "settled", now, state="adopted", target_id=profile.id
                )
                claimed.add(profile.id)
            case _:
                ids = ", ".join(str(profile.id) for profile in new)
                detail = f"{len(new)} new profiles could be this one ({ids}): delete the others"
                self._journal.end_call(call.id, "settled", now, detail=detail, state="failed")

    # --- doing ----------------------------------------------------------------------------------

    def _work(self, run: Run) -> None:
        for _ in range(MAX_ROUNDS):
            self.settle()
            if not (steps := self._planned(run)):
                return
            self._do_all(steps)
        self.settle()
        for step in self._planned(run):
            self._journal.fail(step, f"no answer in {MAX_ROUNDS} tries, and not in the target")

    def _planned(self, run: Run) -> list[Step]:
        return [step for step in self._journal.steps(run.id) if step.state == "planned"]

    def _do_all(self, steps: Sequence[Step]) -> None:
        """Do all chains side by side, each up to the first call whose outcome is unknown."""
        chains = defaultdict(list)
        for step in steps:
            chains[step.key].append(step)
        ended = _Ended(self._api.workspace, len(steps), self._listener)
        pool = ThreadPoolExecutor(self._width, thread_name_prefix="step")
        try:
            futures = [pool.submit(self._do_chain, chain, ended) for chain in chains.values()]
            try:
                wait(futures)
            except KeyboardInterrupt:
                # What is in flight is finished and recorded; nothing more is begun.
                self._stop.set()
                self._clock.interrupt()
                wait(futures)
                raise
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        _raise_first(futures)

    def _do_chain(self, chain: Sequence[Step], ended: "_Ended") -> None:
        try:
            for step in chain:
                if self._stop.is_set() or not self._do(step):
                    return
                ended.tell(step)
        except BaseException:
            self._stop.set()
            raise

    def _do(self, step: Step) -> bool:
        """Do a step; False where the outcome of its call is unknown and has to be settled."""
        repeated = WRITES_REPEAT if step.action == "create" else READS_REPEAT
        try:
            for attempt in self._api.repeating(repeated):
                with attempt:
                    self._attempt(step)
        except UnknownOutcomeError:
            if step.action != "create":
                raise
            return False
        return True

    def _attempt(self, step: Step) -> None:
        """One call, between its intent and its outcome."""
        call = 0

        def intend() -> None:
            nonlocal call
            if self._stop.is_set():
                raise SleepInterruptedError
            call = self._journal.intend(step, self._clock.now())

        def end(outcome: Outcome, **changes: Unpack[_Changes]) -> None:
            if call:
                self._journal.end_call(call, outcome, self._clock.now(), **changes)

        try:
            target_id = self._send(step, intend)
        except UnknownOutcomeError as error:
            end("unknown", detail=str(error))
            raise
        except (NotSentError, RateLimitedError) as error:
            end("not sent", detail=str(error))
            raise
        except RefusedError as error:
            if step.action == "delete" and error.status == 404:
                end("done", state="done", detail="was gone already")
            else:
                end("refused", state="failed", detail=str(error))
        except ApiError as error:
            # The token or the URL is wrong: the step is still to be done when that is mended.
            end("refused", detail=str(error))
            raise
        else:
            end("done", state="done", target_id=target_id)

    def _send(self, step: Step, before: Callable[[], None]) -> int | None:
        match step.action:
            case "create":
                return self._api.create(self._payload(step), before=before).id
            case "update":
                assert step.target_id is not None
                return self._api.update(step.target_id, self._payload(step), before=before).id
            case "delete":
                assert step.target_id is not None
                self._api.delete(step.target_id, before=before)
                return None
            case _:
                assert_never(step.action)

    def _payload(self, step: Step) -> Payload:
        secrets = step.client_id and self._secrets(step.provider, step.client_id)
        if not step.client_id or not secrets:
            raise IncompleteError(
                f"the sidecar has no secret for {step.provider} {step.client_id!r} any more",
                hint="put it back with `oauthsync secrets set`",
            )
        return Payload(
            name=step.name,
            provider=step.provider,
            client_id=step.client_id,
            client_secret=secrets.client_secret,
            token=secrets.token,
            data=dict(step.data),
        )

    # --- the end --------------------------------------------------------------------------------

    def _verify(self, run: Run) -> Report:
        """List the target, and compare it with what the run did."""
        steps = self._journal.steps(run.id)
        listing = read_listing(self._api, listener=self._listener)
        findings = _findings(steps, listing, self._snapshots.profile_ids(run.safety_snapshot))
        self._end(run, not findings)
        return Report(self._journal.run(run.id), tuple(steps), findings)

    def _end(self, run: Run, verified: bool | None) -> None:
        done = all(step.is_done for step in self._journal.steps(run.id))
        state: RunState = "complete" if done and verified else "incomplete"
        self._journal.finish(run.id, state, self._clock.now(), verified=verified)

    def _check_target(self, run: Run) -> None:
        if (run.target, run.target_url) != (self._api.workspace, self._api.url):
            raise UsageError(
                f"run {run.id} is one of {run.target!r} at {run.target_url}, not of"
                f" {self._api.workspace!r} at {self._api.url}"
            )


class _Changes(TypedDict, total=False):
    detail: str
    state: StepState
    target_id: int | None


class _Ended:
    """Counts the steps that have ended, for whoever watches."""

    def __init__(self, workspace: str, total: int, listener: Listener) -> None:
        self._workspace = workspace
        self._total = total
        self._listener = listener
        self._done = 0
        self._lock = threading.Lock()

    def tell(self, step: Step) -> None:
        with self._lock:
            self._done += 1
            self._listener(
                StepEnded(self._workspace, step.action, step.name, self._done, self._total)
            )


def _raise_first(futures: Sequence[Future[None]]) -> None:
    """Raise what stopped the work, rather than that the others were stopped by it."""
    errors = [error for future in futures if (error := future.exception())]
    errors.sort(key=lambda error: isinstance(error, SleepInterruptedError))
    if errors:
        raise errors[0]


def _findings(steps: Sequence[Step], listing: Listing, existed: Collection[int]) -> tuple[str, ...]:
    """What in the target is not as the run's steps say."""
    there = {profile.id: profile for profile in listing.profiles}
    found = []
    for step in steps:
        profile = there.get(step.target_id or 0)
        if not step.is_done:
            continue
        if step.action == "delete":
            if profile is not None:
                found.append(f"profile {step.target_id} is still there")
        elif profile is None:
            found.append(f"profile {step.target_id} ({step.name!r}) is not in the list")
        elif profile.key != step.key:
            found.append(f"profile {step.target_id} is not as it was sent")
    created = Counter(step.key for step in steps if step.action == "create" and step.is_done)
    new = Counter(profile.key for profile in listing.profiles if profile.id not in existed)
    found += [
        f"{new[key]} new profiles named {key[1]!r} ({key[0]}) are there, {count} of them by this run"
        for key, count in created.items()
        if new[key] > count
    ]
    return tuple(found)


def _how_to_go_on(run: Run) -> str:
    return f"go on with `oauthsync resume {run.id}`"
