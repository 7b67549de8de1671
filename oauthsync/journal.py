"""The journal: runs, their steps, and every call that they made, in the snapshots' database.

An intent is on the disk before its request goes out, and its outcome after. So whatever ends a run,
the journal tells of each step whether it was done, was not begun, or has a call whose outcome is
unknown and has to be settled by looking at the target.

Each write is done whole or not at all, and several threads may write. Every method raises
StoreError where the database cannot be used.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from sqlite_utils import Database

from oauthsync import strictjson
from oauthsync.clock import timestamp
from oauthsync.database import inserted, reading, writing
from oauthsync.errors import StoreError
from oauthsync.group_commit import GroupCommit
from oauthsync.runs import (
    DROPPED,
    ENDED,
    UNFINISHED,
    Action,
    Ending,
    NewRun,
    NewStep,
    OpenCall,
    Outcome,
    Run,
    RunState,
    Step,
)
from oauthsync.steady import Moment
from oauthsync.strictjson import Json

_METHODS: Mapping[Action, str] = {"create": "POST", "update": "PUT", "delete": "DELETE"}

_RUNS = """
SELECT r.id, r.kind, t.name, t.url, s.name, r.snapshot_id, r.safety_snapshot_id, r.undoes_run,
    r.started_at, r.finished_at, r.state, r.verified, r.plan_id, r.fingerprint, r.report
FROM runs AS r JOIN workspaces AS t ON t.id = r.target_id
LEFT JOIN workspaces AS s ON s.id = r.source_id
"""

_STEPS = """
SELECT steps.id, run_id, action, steps.state, steps.source_id, steps.target_id, provider, name,
    client_id, data, reason, result, error
FROM steps
"""

SAME_WORKSPACE = """
    SELECT id FROM workspaces WHERE name = :target OR (url = :url AND user_id = :user_id)
    UNION SELECT other.id FROM workspaces AS this
        JOIN workspaces AS other ON other.url = this.url AND other.user_id = this.user_id
        WHERE this.name = :target
"""
"""A workspace, by whatever name it goes in this folder."""

INTO = f"""
JOIN runs ON runs.id = run_id AND runs.target_id IN ({SAME_WORKSPACE})
"""
"""Of the runs into it."""

_TARGETS = f"SELECT steps.target_id, run_id FROM steps {INTO}"  # noqa: S608 - constants

_ID_MAP = f"""
SELECT steps.source_id, steps.target_id FROM steps {INTO}
JOIN workspaces AS s ON s.id = runs.source_id AND s.name = :source
WHERE runs.kind = 'import' AND runs.state <> 'undone' AND steps.state IN ('done', 'adopted')
    AND steps.source_id IS NOT NULL AND steps.target_id IS NOT NULL
    AND (runs.id, steps.target_id) NOT IN (
        SELECT undo.undoes_run, back.target_id
        FROM runs AS undo JOIN steps AS back ON back.run_id = undo.id
        WHERE undo.undoes_run IS NOT NULL AND back.target_id IS NOT NULL
            AND back.state IN ('done', 'adopted'))
ORDER BY steps.id
"""  # noqa: S608 - constants

_POSSIBLY_OPEN = """
SELECT calls.id, calls.timeline, calls.began FROM calls JOIN steps ON steps.id = calls.step_id
JOIN runs ON runs.id = steps.run_id JOIN workspaces AS w ON w.id = runs.target_id
WHERE calls.outcome IN ('intent', 'unknown') AND (w.name = :target OR (w.url = :url
    AND NOT EXISTS (SELECT * FROM workspaces WHERE name = :target AND user_id <> w.user_id)))
"""
"""Calls of the runs into what may be the same workspace: an empty one does not tell which it is."""


_NOT_DATED = "when it was made is not known: the machine was restarted since"


class Journal:
    """The journal in one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._commits = GroupCommit(database)

    # --- writing --------------------------------------------------------------------------------

    def begin(self, run: NewRun, now: float) -> Run:
        """Record a run and all its steps; StoreError where its plan was carried out before."""
        with writing(self._database) as connection:
            _check_plan_id(connection, run.plan_id)
            run_id = _insert_run(connection, run, now)
            connection.executemany(
                "INSERT INTO steps (run_id, position, action, state, source_id, target_id,"
                " provider, name, client_id, data, reason)"
                " VALUES (?, ?, ?, 'planned', ?, ?, ?, ?, ?, ?, ?)",
                (_step_row(run_id, *each) for each in enumerate(run.steps)),
            )
            if run.undoes is not None:
                _end_undos(connection, run.undoes, now, but_for=run_id)
        return self.run(run_id)

    def intend(self, step: Step, now: float, began: Moment) -> int:
        """Record that a call is about to go out; the call's id."""

        def work(connection: sqlite3.Connection) -> int:
            row = (step.id, _METHODS[step.action], timestamp(now), began.timeline, began.seconds)
            return inserted(
                connection.execute(
                    "INSERT INTO calls (step_id, method, began_at, timeline, began, outcome)"
                    " VALUES (?, ?, ?, ?, ?, 'intent')",
                    row,
                )
            )

        return self._commits.write(work)

    def end_call(
        self,
        call: int,
        outcome: Outcome,
        now: float,
        *,
        detail: str | None = None,
        ending: Ending | None = None,
    ) -> None:
        """Record a call's outcome, and the end of its step where that is one."""

        def work(connection: sqlite3.Connection) -> None:
            (step,) = connection.execute(
                "UPDATE calls SET outcome = ?, ended_at = ?, detail = coalesce(?, detail)"
                " WHERE id = ? RETURNING step_id",
                (outcome, timestamp(now), detail, call),
            ).fetchone()
            if ending is not None:
                _end_step(connection, step, ending)

        self._commits.write(work)

    def end_step(self, step: Step, ending: Ending) -> None:
        """Record that a step ends without a call of its own."""
        with writing(self._database) as connection:
            _end_step(connection, step.id, ending)

    def finish(
        self, run: Run, state: RunState, now: float, *, verified: bool | None, undone: bool = False
    ) -> None:
        """Record how a run ended; `undone` says that it left nothing of the run that it undoes."""
        with writing(self._database) as connection:
            connection.execute(
                "UPDATE runs SET state = ?, finished_at = ?, verified = ? WHERE id = ?",
                (state, timestamp(now), verified, run.id),
            )
            if undone:
                _mark_undone(connection, run.undoes, now)

    def end_undos(self, run: Run, now: float) -> None:
        """Record that the undos of a run which did not come to their end are not carried on."""
        with writing(self._database) as connection:
            _end_undos(connection, run.id, now)

    def mark_undone(self, run: Run, now: float) -> None:
        """Record that nothing is left of what a run did."""
        with writing(self._database) as connection:
            _mark_undone(connection, run.id, now)

    def reopen(self, run: Run, now: float) -> None:
        """Record that a run goes on: its failed steps are to be tried again, its undos are not."""
        with writing(self._database) as connection:
            _end_undos(connection, run.id, now)
            connection.execute(
                f"UPDATE runs SET report = json_set(report, '$.{DROPPED}', json('true'))"  # noqa: S608
                " WHERE undoes_run = ?",
                (run.id,),
            )
            connection.execute(
                "UPDATE runs SET state = 'running', finished_at = NULL, verified = NULL"
                " WHERE id = ?",
                (run.id,),
            )
            connection.execute(
                "UPDATE steps SET state = 'planned', error = NULL"
                " WHERE run_id = ? AND state = 'failed'",
                (run.id,),
            )

    # --- reading --------------------------------------------------------------------------------

    def check_plan_id(self, plan_id: str) -> None:
        """Raise StoreError where a plan was carried out before."""
        with reading(self._database) as connection:
            _check_plan_id(connection, plan_id)

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
        with reading(self._database) as connection:
            rows = connection.execute(_STEPS + "WHERE run_id = ? ORDER BY position", (run_id,))
            return [_step(row) for row in rows]

    def last_detail(self, step: Step) -> str | None:
        """Why the last call of a step that says so did not do it, or may not have."""
        rows = self._found(
            "SELECT detail FROM calls WHERE step_id = :step AND detail IS NOT NULL"
            " ORDER BY id DESC LIMIT 1",
            step=step.id,
        )
        return str(rows[0][0]) if rows else None

    def open_calls(
        self, target: str, url: str | None = None, user_id: int | None = None
    ) -> list[OpenCall]:
        """The calls to a workspace whose outcome is unknown, oldest first.

        Its URL and own id find those that were made under another name, also where this one is new.
        """
        with reading(self._database) as connection:
            calls = connection.execute(
                "SELECT id, step_id, timeline, began, detail IS NOT ? FROM calls"
                " WHERE outcome IN ('intent', 'unknown') ORDER BY id",
                (_NOT_DATED,),
            ).fetchall()
            rows = connection.execute(
                _STEPS + INTO + "JOIN calls ON calls.step_id = steps.id"
                " AND calls.outcome IN ('intent', 'unknown')",
                {"target": target, "url": url, "user_id": user_id},
            )
            steps = {step.id: step for step in map(_step, rows)}
        return [
            OpenCall(call, steps[step], Moment(timeline, began), bool(is_dated))
            for call, step, timeline, began, is_dated in calls
            if step in steps
        ]

    def open_since(self, target: str | None, url: str) -> list[Moment]:
        """When the calls began whose outcome is unknown, to what may be this workspace.

        Or with no target, to any at this URL.
        """
        with reading(self._database) as connection:
            rows = connection.execute(_POSSIBLY_OPEN, {"target": target, "url": url})
            return [Moment(timeline, began) for _, timeline, began in rows]

    def redate(self, target: str, url: str, began: Moment) -> None:
        """Have the calls whose age nobody could tell begin then, in what may be this workspace.

        They count as not dated from then on: they may be far older.
        """
        with writing(self._database) as connection:
            rows = connection.execute(_POSSIBLY_OPEN, {"target": target, "url": url}).fetchall()
            connection.executemany(
                "UPDATE calls SET timeline = ?, began = ?, detail = ? WHERE id = ?",
                [
                    (began.timeline, began.seconds, _NOT_DATED, call)
                    for call, timeline, _ in rows
                    if timeline != began.timeline
                ],
            )

    def has_plan(self, plan_id: str) -> bool:
        """Whether a run that carries out this plan stands here."""
        with reading(self._database) as connection:
            return _run_of_plan(connection, plan_id) is not None

    def claimed_ids(
        self, target: str, url: str | None = None, user_id: int | None = None
    ) -> set[int]:
        """The ids in a workspace, found as by `open_calls`, that steps of any run stand for."""
        where = "WHERE steps.target_id IS NOT NULL"
        rows = self._found(_TARGETS + where, target=target, url=url, user_id=user_id)
        return {target_id for target_id, _ in rows}

    def deleted_ids(
        self, target: str, url: str | None = None, user_id: int | None = None
    ) -> set[int]:
        """The ids in a workspace, found as by `open_calls`, that steps of any run deleted."""
        where = "WHERE action = 'delete' AND steps.state = 'done'"
        rows = self._found(_TARGETS + where, target=target, url=url, user_id=user_id)
        return {target_id for target_id, _ in rows}

    def creators(
        self, target: str, url: str | None = None, user_id: int | None = None
    ) -> dict[int, int]:
        """The runs whose own calls created profiles in a workspace, found as by `open_calls`.

        By the ids of these profiles.
        """
        where = "WHERE action = 'create' AND error IS NULL AND steps.state IN ('done', 'adopted')"
        return dict(self._found(_TARGETS + where, target=target, url=url, user_id=user_id))

    def id_map(
        self, source: str, target: str, url: str | None = None, user_id: int | None = None
    ) -> dict[int, int]:
        """The ids in a target, found as by `open_calls`, that imports gave to a source's ids.

        The newest for each; what was undone was perhaps a mistake, and counts for nothing.
        """
        return dict(self._found(_ID_MAP, source=source, target=target, url=url, user_id=user_id))

    def _found(self, query: str, **parameters: object) -> list[tuple[Any, ...]]:
        with reading(self._database) as connection:
            return connection.execute(query, parameters).fetchall()

    def _runs(self, where: str, *parameters: object) -> list[Run]:
        with reading(self._database) as connection:
            return [_run(row) for row in connection.execute(_RUNS + where, parameters)]


def _check_plan_id(connection: sqlite3.Connection, plan_id: str) -> None:
    found = _run_of_plan(connection, plan_id)
    if found is not None:
        run, state = found
        is_open = state in UNFINISHED
        carry_on = f"; `oauthsync resume {run}` carries it on" if is_open else ""
        raise StoreError(
            f"this plan was {'begun' if is_open else 'carried out'} already, as run {run}, which is"
            f" {state}",
            hint=f"`oauthsync runs show {run}` says how far it came{carry_on};"
            " `oauthsync plan` makes a new one",
        )


def _run_of_plan(connection: sqlite3.Connection, plan_id: str) -> tuple[int, RunState] | None:
    found: tuple[int, RunState] | None = connection.execute(
        "SELECT id, state FROM runs WHERE plan_id = ?", (plan_id,)
    ).fetchone()
    return found


def _insert_run(connection: sqlite3.Connection, run: NewRun, now: float) -> int:
    return inserted(
        connection.execute(
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
        )
    )


def _step_row(run_id: int, position: int, step: NewStep) -> tuple[object, ...]:
    return (
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


def _end_step(connection: sqlite3.Connection, step: int, ending: Ending) -> None:
    connection.execute(
        "UPDATE steps SET state = ?, target_id = coalesce(?, target_id), result = ?, error = ?"
        " WHERE id = ?",
        (ending.state, ending.target_id, ending.result, ending.error, step),
    )


def _end_undos(
    connection: sqlite3.Connection, run: int, now: float, *, but_for: int | None = None
) -> None:
    connection.execute(
        "UPDATE runs SET state = 'incomplete', finished_at = coalesce(finished_at, ?),"  # noqa: S608
        f" report = json_set(report, '$.{ENDED}', json('true'))"
        " WHERE undoes_run = ? AND state IN ('running', 'incomplete') AND id IS NOT ?",
        (timestamp(now), run, but_for),
    )


def _mark_undone(connection: sqlite3.Connection, run: int | None, now: float) -> None:
    connection.execute("UPDATE runs SET state = 'undone' WHERE id = ?", (run,))
    # With it, the undos of it that did not come to their end have nothing left to do.
    found = connection.execute(
        "UPDATE runs SET state = 'complete', finished_at = ?, verified = 1"
        " WHERE undoes_run = ? AND state IN ('running', 'incomplete') RETURNING id",
        (timestamp(now), run),
    ).fetchall()
    connection.executemany(
        "UPDATE steps SET state = 'done', error = 'another undo did it'"
        " WHERE run_id = ? AND state IN ('planned', 'failed')",
        found,
    )


def _run(row: Sequence[Any]) -> Run:
    *first, verified, plan_id, fingerprint, report = row
    is_verified = None if verified is None else bool(verified)
    columns = (*first, is_verified, plan_id, fingerprint, _object(report, f"run {row[0]}"))
    return Run(*columns)


def _step(row: Sequence[Any]) -> Step:
    *first, data, reason, result, error = row
    columns = (*first, _object(data, f"step {row[0]}"), reason, result, error)
    step = Step(*columns)
    if step.action not in _METHODS:
        raise _altered(f"step {step.id} of run {step.run}", "its action is none")
    return step


def _object(text: str, what: str) -> dict[str, Json]:
    try:
        value = strictjson.parse(text)
    except ValueError as error:
        raise _altered(what, f"what it holds is not JSON, {error}") from error
    if not isinstance(value, dict):
        raise _altered(what, "what it holds is no JSON object")
    return value


def _altered(what: str, how: str) -> StoreError:
    return StoreError(
        f"{what} was altered or damaged: {how}", hint="restore the database from a copy"
    )
