"""Carrying out a run: each step exactly once, whatever happens in between.

1. The target is looked at, and open calls are settled by that (`target.py`).
2. The steps that are still to be done are done, several side by side. Steps that could be mistaken
   for each other (same provider, name and client id) form a chain, and a chain is done one call
   after the other, up to the first whose outcome is unknown: at most one of its calls is ever open.
3. As long as that left calls open, both again.
4. The target is listed once more, and compared with what the run did.

There is one way through a run, `carry_on`, for the first time and after any crash: it takes what a
look at the target has shown, and does what is still to be done.

A secret leaves the sidecar here and only here, for exactly the provider and client id of the step
that it is sent with, and only to the workspace that the run was planned for.
"""

import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from typing import assert_never

from oauthsync import settling
from oauthsync.answered import Answered
from oauthsync.api import WRITES_REPEAT, Payload
from oauthsync.clock import SleepInterruptedError
from oauthsync.entries import Entry
from oauthsync.errors import (
    ApiError,
    AuthenticationError,
    IncompleteError,
    NotSentError,
    OauthsyncError,
    RateLimitedError,
    RefusedError,
    StoreError,
    UnknownOutcomeError,
    UsageError,
)
from oauthsync.events import Listener, StepEnded
from oauthsync.interrupts import held, wait
from oauthsync.last_look import STALE, LastLooks
from oauthsync.profiles import Profile
from oauthsync.runs import Action, Ending, Outcome, Run, RunState, Step
from oauthsync.snapshots import Listing
from oauthsync.target import MAX_JOURNAL_DELAY, Target, by_id

WIDTH = 10
"""Steps that are done side by side."""

MAX_LOOKS = 5
"""Looks at a profile that are stale when its call may go out; then the run makes no more such."""

MAX_LISTS = 2
"""Looks by a list of all: in a large workspace each takes a good part of the quota."""

UNANSWERED = 8
"""Calls in a row without an answer that end the first round; four times as many the next one, where
the target shows that calls were carried out all the same."""

MAX_STALLED = 4
"""Rounds in a row in which no step came to its end; then those that are left are given up."""

NO_ANSWER = f"the API gave no usable answer in {MAX_STALLED} rounds, and did not do it"
"""How the error of a step that is given up begins."""

SecretLookup = Callable[[str, str], Entry | None]
"""The secrets filed under exactly this provider and client id."""


@dataclass(frozen=True)
class Report:
    """How a run stands after `carry_on`.

    `findings` say what the verification found amiss, and `seen` are the target's profiles, by id,
    as it saw them.
    """

    run: Run
    steps: tuple[Step, ...]
    findings: tuple[str, ...]
    seen: Mapping[int, Profile] = field(default_factory=dict)


class InterruptedRunError(OauthsyncError):
    """The user wanted to go; what was in flight is finished and recorded."""

    exit_code = 130


class _StaleError(Exception):
    """A call was about to go out on what is known of its profile no longer."""


class Importer:
    """Carries out runs of one target, for whoever holds its lock."""

    def __init__(self, target: Target, secrets: SecretLookup, *, width: int) -> None:
        self._target = target
        self._api = target.api
        self._clock = target.api.clock
        self._journal = target.journal
        self._secrets = secrets
        self._width = width
        self._stop = threading.Event()
        self._answered = Answered()
        self._before: Mapping[int, Profile] = {}
        self._looks = LastLooks(target, {}, ())
        self._looking = threading.Lock()
        self._is_too_slow = False

    def carry_on(self, run_id: int, listing: Listing) -> Report:
        """Bring a run to its end, from wherever it is; `listing` is what a look has just shown.

        Raises ApiError where the target cannot be reached or refuses the token, and
        InterruptedRunError on Ctrl-C; in each case the run can be carried on. A second Ctrl-C cuts
        off the calls in flight, and comes out as KeyboardInterrupt.
        """
        with held():
            return self._carry_on(self._journal.run(run_id), listing)

    def _carry_on(self, run: Run, listing: Listing) -> Report:
        try:
            self._before = self._target.before(run)
            looked_at: tuple[Action, ...] = ("delete",)
            if run.kind == "undo":
                looked_at += ("update",)
            self._looks = LastLooks(self._target, self._before, looked_at)
            self._review(run, listing)
            self._work(run)
            return self._verify(run, listing)
        except SleepInterruptedError:
            raise self._interrupted(run) from None
        except KeyboardInterrupt:
            if self._stop.is_set():
                raise
            raise self._interrupted(run) from None
        except OauthsyncError as error:
            error.hint = "; ".join(filter(None, (error.hint, _how_to_go_on(run))))
            with suppress(StoreError):  # the first error tells more than that of its record
                self._end(run, verified=None)
            raise

    def _interrupted(self, run: Run) -> InterruptedRunError:
        with suppress(StoreError):  # that the user wants to go tells more
            self._end(run, verified=None)
        return InterruptedRunError(
            f"interrupted; run {run.id} is not finished", hint=_how_to_go_on(run)
        )

    def _review(self, run: Run, listing: Listing) -> None:
        """End the steps that others have made superfluous or impossible since the run began."""
        steps = self._journal.steps(run.id)
        created = {step.target_id for step in steps if step.action == "create" and step.target_id}
        planned = [step for step in steps if step.state == "planned"]
        live = by_id(listing.profiles)
        known = self._before.keys() | created
        endings = settling.uncalled(planned, live, known, self._before, self._target.creators())
        for step in planned:
            if step.id in endings:
                self._journal.end_step(step, endings[step.id])

    # --- rounds ---------------------------------------------------------------------------------

    def _work(self, run: Run) -> None:
        """Do what is still to be done, in rounds; what a round leaves open is settled after it."""
        self._answered.known = self._before.keys() | self._target.claimed()
        stalled, patience = 0, UNANSWERED
        steps = self._planned(run)
        while steps:
            if stalled == MAX_STALLED:
                self._give_up(steps)
                return
            self._do_all(steps, patience, len(self._journal.steps(run.id)))
            if self._target.has_open_calls():
                self._review(run, self._target.look())
            before, steps = steps, self._planned(run)
            if len(steps) < len(before):
                stalled, patience = 0, patience * 4
            else:
                stalled, patience = stalled + 1, UNANSWERED

    def _planned(self, run: Run) -> list[Step]:
        return [step for step in self._journal.steps(run.id) if step.state == "planned"]

    def _give_up(self, steps: Sequence[Step]) -> None:
        for step in steps:
            last = self._journal.last_detail(step)
            error = f"{NO_ANSWER}{f'; at last: {last}' if last else ''}"
            self._journal.end_step(step, Ending("failed", error=error))

    def _do_all(self, steps: Sequence[Step], patience: int, total: int) -> None:
        """Do all chains side by side, each up to the first call whose outcome is unknown.

        The steps are the rest of the run's `total`.
        """
        chains = defaultdict(list)
        for step in steps:
            chains[step.key].append(step)
        progress = _Round(
            self._api.workspace, total - len(steps), total, patience, self._target.listener
        )
        pool = ThreadPoolExecutor(self._width, thread_name_prefix="step")
        futures: list[Future[None]] = []
        try:
            futures.extend(pool.submit(self._do_chain, each, progress) for each in chains.values())
            wait(futures)
        except KeyboardInterrupt:
            # What is in flight is finished and recorded; nothing more is begun.
            self._stop.set()
            self._clock.interrupt()
            wait(futures)
            raise SleepInterruptedError from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        _raise_first(futures)

    def _do_chain(self, chain: Sequence[Step], progress: "_Round") -> None:
        try:
            for step in chain:
                if self._stop.is_set() or progress.is_over:
                    return
                if not self._do(step):
                    progress.no_answer()
                    return
                progress.ended(step)
        except BaseException:
            self._stop.set()
            raise

    # --- one step -------------------------------------------------------------------------------

    def _do(self, step: Step) -> bool:
        """Do a step; False where the outcome of its call is unknown and has to be settled."""
        try:
            if self._looks.is_fresh(step):
                with suppress(_StaleError):  # it became so while it waited for the quota
                    self._call(step)
                    return True
            self._look_and_call(step)
        except UnknownOutcomeError:
            return False
        except (IncompleteError, UsageError) as error:  # it cannot be sent, and was not
            self._journal.end_step(step, Ending("failed", error=str(error)))
        return True

    def _call(self, step: Step) -> None:
        for attempt in self._api.repeating(WRITES_REPEAT):
            with attempt:
                self._attempt(step)

    def _look_and_call(self, step: Step) -> None:
        """Make a call right after a look at its profile: nobody has begun to use, or changed it."""
        for number in range(MAX_LOOKS):
            # With others in line for the quota between the two, each look would be stale when its
            # call's turn has come.
            in_line = self._api.throttled or not self._looks.may_get
            with self._looking if in_line else nullcontext():
                if self._stop.is_set():
                    raise SleepInterruptedError
                if self._is_too_slow or (number >= MAX_LISTS and not self._looks.may_get):
                    break
                if not self._looks.is_fresh(step) and (ending := self._looks.take(step)):
                    self._journal.end_step(step, ending)
                    return
                with suppress(_StaleError):
                    self._call(step)
                    return
        self._is_too_slow = True
        takes = "a higher quota" if self._looks.may_get else "the privilege to get a profile"
        raise IncompleteError(
            f"the quota left no time to {step.action} it within {STALE:.0f} s of a look at it: it"
            f" takes {takes}"
        )

    def _attempt(self, step: Step) -> None:
        """One call, between its intent and its outcome."""
        call = 0

        def intend() -> None:
            nonlocal call
            if self._stop.is_set():
                raise SleepInterruptedError
            # Here, behind all waiting for the quota.
            if not self._looks.is_fresh(step):
                raise _StaleError
            began = self._target.steady()
            call = self._journal.intend(step, self._clock.now(), began)
            # The call's age is what settling rests on: a journal that was held up for long makes
            # it wrong. Nothing has gone out yet.
            if (began.until(self._target.steady()) or 0.0) > MAX_JOURNAL_DELAY:
                raise NotSentError(
                    "the journal was busy for too long, so the call was not made",
                    hint="see what else writes to oauthsync.db, or put the folder on a faster disk",
                )

        def end(outcome: Outcome, detail: str | None = None, ending: Ending | None = None) -> None:
            if call:
                now = self._clock.now()
                self._journal.end_call(call, outcome, now, detail=detail, ending=ending)

        try:
            ending = self._send(step, intend)
        except (NotSentError, RateLimitedError) as error:
            end("not sent", str(error))
            raise
        except RefusedError as error:
            gone = step.action == "delete" and error.status == 404
            ending = Ending("done") if gone else Ending("failed", error=str(error))
            end("refused", str(error), ending)
        except AuthenticationError as error:
            # The token is wrong: the step is still to be done when that is mended.
            end("refused", str(error))
            raise
        except ApiError as error:
            end("unknown", str(error))
            raise
        else:
            end("done", ending=ending)

    def _send(self, step: Step, before: Callable[[], None]) -> Ending:
        match step.action:
            case "create":
                profile = self._api.create(self._payload(step), before=before)
                self._answered.created(step, profile)
                try:
                    self._target.remember(profile.user_id)
                except StoreError as error:
                    told = f"{error}; profile {profile.id} was created there"
                    raise StoreError(told, hint=error.hint) from error
            case "update":
                assert step.target_id is not None
                profile = self._api.update(step.target_id, self._payload(step), before=before)
                self._answered.updated(step, profile)
            case "delete":
                assert step.target_id is not None
                self._api.delete(step.target_id, before=before)
                self._answered.deleted(step)
                return Ending("done")
            case _:
                assert_never(step.action)
        return Ending("done", profile.id, settling.fingerprint(profile))

    def _payload(self, step: Step) -> Payload:
        secrets = self._secrets(step.provider, step.client_id) if step.client_id else None
        if not step.client_id or not secrets:
            raise IncompleteError(
                f"the sidecar has no secret for {step.provider} {step.client_id!r}: put it there"
                " with `oauthsync secrets set`"
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

    def _verify(self, run: Run, listing: Listing) -> Report:
        """Compare the target with what the run did."""
        steps = self._journal.steps(run.id)
        seen = self._seen(run, steps, listing)
        own = {step.target_id for step in steps if step.action == "create"}
        # What other runs have created since then is accounted for.
        known = self._before.keys() | (self._target.claimed() - own)
        findings = tuple(settling.findings(steps, seen, known, self._target.deleted()))
        self._end(run, verified=not findings)
        return Report(self._journal.run(run.id), tuple(steps), findings, seen)

    def _seen(self, run: Run, steps: Sequence[Step], listing: Listing) -> Mapping[int, Profile]:
        """The target after the run: listed, where the answers do not tell."""
        done = [step for step in steps if step.is_done]
        # A change of a single profile is not worth another listing where its answer was clear.
        if not steps or (run.kind == "profile" and self._answered.cover(done)):
            return self._answered.applied_to(by_id(listing.profiles), done)
        return by_id(self._target.list().profiles)

    def _end(self, run: Run, *, verified: bool | None) -> None:
        done = all(step.is_done for step in self._journal.steps(run.id))
        state: RunState = "complete" if done and verified else "incomplete"
        undone = run.kind == "undo" and state == "complete" and not run.report.get("left")
        self._journal.finish(run, state, self._clock.now(), verified=verified, undone=undone)


class _Round:
    """One pass over the steps: tells whoever watches, and ends when nothing is answered."""

    def __init__(
        self, workspace: str, ended: int, total: int, patience: int, listener: Listener
    ) -> None:
        self._workspace = workspace
        self._ended = ended
        self._total = total
        self._patience = patience
        self._listener = listener
        self._unanswered = 0
        self._lock = threading.Lock()

    @property
    def is_over(self) -> bool:
        """Whether so many calls in a row got no answer that more would only add to them."""
        return self._unanswered >= self._patience

    def ended(self, step: Step) -> None:
        with self._lock:
            self._unanswered = 0
            self._ended += 1
            self._listener(
                StepEnded(self._workspace, step.action, step.name, self._ended, self._total)
            )

    def no_answer(self) -> None:
        with self._lock:
            self._unanswered += 1


def _raise_first(futures: Sequence[Future[None]]) -> None:
    """Raise what stopped the work, rather than that the others were stopped by it."""
    errors = [error for future in futures if (error := future.exception())]
    errors.sort(key=lambda error: isinstance(error, SleepInterruptedError))
    if errors:
        raise errors[0]


def _how_to_go_on(run: Run) -> str:
    return f"go on with `oauthsync {run.way_on}`"
