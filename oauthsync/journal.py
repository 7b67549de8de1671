"""Runs, their steps, and every call that they made: in the snapshots' database.

An intent is on the disk before its request goes out, and its outcome after. So whatever ends a run,
the journal tells of each step whether it was done, was not begun, or has a call whose outcome is
unknown and has to be settled by looking at the target.

A journal may be used by several threads: each write is one short transaction under a lock.
"""

import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from sqlite_utils import Database

from oauthsync import strictjson
from oauthsync.clock import timestamp
from oauthsync.database import unusable, writing
from oauthsync.errors import StoreError
from oauthsync.strictjson import Json

RunKind = Literal["import", "undo", "profile"]
RunState = Literal["running", "complete", "incomplete", "undone"]
Action = Literal["create", "update", "delete"]
StepState = Literal["planned", "done", "adopted", "failed"]
Outcome = Literal["done", "refused", "not sent", "unknown", "settled"]

METHODS: Mapping[Action, str] = {"create": "POST", "update": "PUT", "delete": "DELETE"}


@dataclass(frozen=True)
class NewStep:
    """A step to be journaled; `data` is what is sent as `data`, without the secrets."""

    action: Action
    source_id: int | None
    target_id: int | None
    provider: str
    name: str
    client_id: str | None
    reason: str
    data: Mapping[str, Json]


@dataclass(frozen=True)
class NewRun:
    """A run to be journaled.

    `plan_id` is unique: a plan is carried out once. `report` is what the run's own report says of
    the plan beside its steps (JSON).
    """

    kind: RunKind
    target: str
    source: str | None
    snapshot: int | None
    safety_snapshot: int
    undoes: int | None
    plan_id: str
    fingerprint: str
    report: Mapping[str, Json]
    steps: Sequence[NewStep]


@dataclass(frozen=True)
class Step:
    """A step of a run: `target_id` is its profile's id in the target, once that is known."""

    id: int
    run: int
    action: Action
    state: StepState
    source_id: int | None
    target_id: int | None
    provider: str
    name: str
    client_id: str | None
    data: Mapping[str, Json]
    reason: str
    error: str | None

    @property
    def key(self) -> tuple[str, str, str | None]:
        """What makes two profiles interchangeable (`Profile.key`)."""
        return (self.provider, self.name, self.client_id)

    @property
    def is_done(self) -> bool:
        """Whether the target has it now."""
        return self.state in ("done", "adopted")


@dataclass(frozen=True)
class Run:
    """A run as the journal knows it."""

    id: int
    kind: RunKind
    target: str
    target_url: str
    source: str | None
    snapshot: int | None
    safety_snapshot: int
    undoes: int | None
    started_at: str
    finished_at: str | None
    state: RunState
    verified: bool | None
    fingerprint: str
    report: Mapping[str, Json]


@dataclass(frozen=True)
class OpenCall:
    """A call whose outcome is unknown; `began` is in seconds since the epoch."""

    id: int
    step: Step
    began: float


_RUNS = """
SELECT r.id, r.kind, t.name, t.url, s.name, r.snapshot_id, r.safety_snapshot_id, r.undoes_run,
    r.started_at, r.finished_at, r.state, r.verified, r.fingerprint, r.report
FROM runs AS r JOIN workspaces AS t ON t.id = r.target_id
LEFT JOIN workspaces AS s ON s.id = r.source_id
"""

_STEPS = """
SELECT id, run_id, action, state, source_id, target_id, provider, name, client_id, data, reason,
    error
FROM steps
"""


class Journal:
    """The journal in one database. Every method raises StoreError where that fails."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()

    # --- writing --------------------------------------------------------------------------------

    def begin(self, run: NewRun, now: float) -> Run:
        """Record a run and all its steps; StoreError where its plan was carried out before."""
        with self._writing() as connection:
            if connection.execute(
                "SELECT 1 FROM runs WHERE plan_id = ?", (run.plan_id,)
            ).fetchone():
                raise StoreError(
                    "this plan has been carried out already",
                    hint="make a new one with `oauthsync plan`, or see `oauthsync runs`",
                )
            run_id = connection.execute(
                "INSERT INTO runs (kind, target_id, source_id, snapshot_id, safety_snapshot_id,"
                " undoes_run, started_at, state, plan_id, fingerprint, report) VALUES (?,"
                " (SELECT id FROM workspaces WHERE name = ?),"
                " (SELECT id FROM workspaces WHERE name = ?), ?, ?, ?, ?, 'running', ?, ?, ?)",
                (
                    run.kind,
                    run.target,
                    run.source,
                    run.snapshot,
                    run.safety_snapshot,
                    run.undoes,
                    timestamp(now),
                    run.plan_id,
                    run.fingerprint,
                    strictjson.write(dict(run.report)),
                ),
            ).lastrowid
            connection.executemany(
                "INSERT INTO steps (run_id, position, action, state, source_id, target_id,"
                " provider, name, client_id, data, reason)"
                " VALUES (?, ?, ?, 'planned', ?, ?, ?, ?, ?, ?, ?)",
                (
                    (
                        run_id,
                        position,
                        step.action,
                        step.source_id,
                        step.target_id,
                        step.provider,
                        step.name,
                        step.client_id,
                        strictjson.write(dict(step.data)),
                        step.reason,
                    )
                    for position, step in enumerate(run.steps)
                ),
            )
        assert run_id is not None
        return self.run(run_id)

    def intend(self, step: Step, now: float) -> int:
        """Record that a call is about to go out; the call's id."""
        with self._writing() as connection:
            call = connection.execute(
                "INSERT INTO calls (step_id, method, began, outcome) VALUES (?, ?, ?, 'intent')",
                (step.id, METHODS[step.action], now),
            ).lastrowid
        assert call is not None
        return call

    def end_call(
        self,
        call: int,
        outcome: Outcome,
        now: float,
        *,
        detail: str | None = None,
        state: StepState | None = None,
        target_id: int | None = None,
    ) -> None:
        """Record a call's outcome, and with it the state of its step where that is `state` now."""
        with self._writing() as connection:
            connection.execute(
                "UPDATE calls SET outcome = ?, ended = ?, detail = ? WHERE id = ?",
                (outcome, now, detail, call),
            )
            if state is not None:
                connection.execute(
                    "UPDATE steps SET state = ?, target_id = coalesce(?, target_id), error = ?"
                    " WHERE id = (SELECT step_id FROM calls WHERE id = ?)",
                    (state, target_id, detail if state == "failed" else None, call),
                )
            if state == "done":
                # What an earlier call of the step did or did not do is of no interest any more.
                connection.execute(
                    "UPDATE calls SET outcome = 'settled', ended = ?"
                    " WHERE outcome IN ('intent', 'unknown')"
                    " AND step_id = (SELECT step_id FROM calls WHERE id = ?)",
                    (now, call),
                )

    def fail(self, step: Step, error: str) -> None:
        """Record that a step is given up without a call."""
        with self._writing() as connection:
            connection.execute(
                "UPDATE steps SET state = 'failed', error = ? WHERE id = ?", (error, step.id)
            )

    def finish(self, run: int, state: RunState, now: float, *, verified: bool | None) -> None:
        """Record how a run ended."""
        with self._writing() as connection:
            connection.execute(
                "UPDATE runs SET state = ?, finished_at = ?, verified = ? WHERE id = ?",
                (state, timestamp(now), verified, run),
            )

    def mark_undone(self, run: int) -> None:
        """Record that everything which a run did has been undone."""
        with self._writing() as connection:
            connection.execute("UPDATE runs SET state = 'undone' WHERE id = ?", (run,))

    def reopen(self, run: int) -> None:
        """Record that a run goes on: its failed steps are to be tried again."""
        with self._writing() as connection:
            connection.execute("UPDATE runs SET state = 'running' WHERE id = ?", (run,))
            connection.execute(
                "UPDATE steps SET state = 'planned', error = NULL"
                " WHERE run_id = ? AND state = 'failed'",
                (run,),
            )

    # --- reading --------------------------------------------------------------------------------

    def run(self, run_id: int) -> Run:
        """The run with this id; StoreError where there is none."""
        found = self._runs("WHERE r.id = ?", run_id)
        if not found:
            raise StoreError(f"there is no run {run_id}", hint="`oauthsync runs` lists them")
        return found[0]

    def runs(self) -> list[Run]:
        """All runs, newest first."""
        return self._runs("ORDER BY r.id DESC")

    def steps(self, run_id: int) -> list[Step]:
        """A run's steps in their order."""
        return self._steps("WHERE run_id = ? ORDER BY position", run_id)

    def open_calls(self, target: str) -> list[OpenCall]:
        """The calls to a workspace whose outcome is unknown, oldest first."""
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT calls.id, calls.step_id, calls.began FROM calls"
                " JOIN steps ON steps.id = calls.step_id JOIN runs ON runs.id = steps.run_id"
                " JOIN workspaces ON workspaces.id = runs.target_id"
                " WHERE calls.outcome IN ('intent', 'unknown') AND workspaces.name = ?"
                " ORDER BY calls.id",
                (target,),
            ).fetchall()
        return [
            OpenCall(call, self._steps("WHERE id = ?", step)[0], began)
            for call, step, began in rows
        ]

    def claimed_ids(self, target: str) -> set[int]:
        """The ids in a workspace that steps of any run stand for."""
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT steps.target_id FROM steps JOIN runs ON runs.id = steps.run_id"
                " JOIN workspaces ON workspaces.id = runs.target_id"
                " WHERE steps.target_id IS NOT NULL AND workspaces.name = ?",
                (target,),
            ).fetchall()
        return {target_id for (target_id,) in rows}

    def id_map(self, source: str, target: str) -> dict[int, int]:
        """The target ids that imports gave to source ids, the newest for each."""
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT steps.source_id, steps.target_id FROM steps"
                " JOIN runs ON runs.id = steps.run_id"
                " JOIN workspaces AS t ON t.id = runs.target_id"
                " JOIN workspaces AS s ON s.id = runs.source_id"
                " WHERE runs.kind = 'import' AND steps.state IN ('done', 'adopted')"
                " AND steps.source_id IS NOT NULL AND s.name = ? AND t.name = ?"
                " ORDER BY steps.id",
                (source, target),
            ).fetchall()
        return dict(rows)

    def _runs(self, where: str, *parameters: object) -> list[Run]:
        with self._reading() as connection:
            rows = connection.execute(_RUNS + where, parameters).fetchall()
        return [_run(list(row)) for row in rows]

    def _steps(self, where: str, *parameters: object) -> list[Step]:
        with self._reading() as connection:
            rows = connection.execute(_STEPS + where, parameters).fetchall()
        return [Step(*row[:9], data=_object(row[9]), reason=row[10], error=row[11]) for row in rows]

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._reading() as connection, writing(self._database):
            yield connection

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._lock:
                yield self._database.conn
        except sqlite3.Error as error:
            raise unusable("the database", error) from error


def _run(columns: list[Any]) -> Run:
    *columns, verified, fingerprint, report = columns
    columns += [None if verified is None else bool(verified), fingerprint, _object(report)]
    return Run(*columns)


def _step(columns: list[Any]) -> Step:
    *columns, data, reason, error = columns
    columns += [_object(data), reason, error]
    return Step(*columns)


def _object(text: str) -> dict[str, Json]:
    try:
        value = strictjson.parse(text)
    except ValueError as error:
        raise StoreError(f"the journal holds what is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise StoreError("the journal holds what is no JSON object")
    return value
