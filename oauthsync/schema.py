"""The tables of the database, as versioned migrations; `docs/database.md` explains them.

A migration that was released is never changed: a database's schema is compared with what its
migrations create, and a later one adds to it.
"""

from sqlite_utils import Database, Migrations

migrations = Migrations("oauthsync")


@migrations()
def m001_snapshots_and_runs(db: Database) -> None:
    """The first schema."""
    for statement in _FIRST_SCHEMA.split(";\n\n"):
        db.conn.execute(statement)


_FIRST_SCHEMA = """
CREATE TABLE workspaces (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    url TEXT NOT NULL,
    user_id INTEGER
) STRICT;

CREATE TABLE snapshots (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    workspace_id INTEGER NOT NULL REFERENCES workspaces(id),
    taken_at TEXT NOT NULL
        CHECK (taken_at IS strftime('%Y-%m-%dT%H:%M:%SZ', taken_at, '+0 days')),
    kind TEXT NOT NULL CHECK (kind IN ('export', 'safety')),
    profiles INTEGER NOT NULL,
    added INTEGER NOT NULL,
    changed INTEGER NOT NULL,
    removed INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    listings INTEGER NOT NULL,
    digest TEXT NOT NULL
) STRICT;

CREATE INDEX snapshots_of_workspace ON snapshots(workspace_id, id);

CREATE TABLE profile_versions (
    id INTEGER PRIMARY KEY,
    workspace_id INTEGER NOT NULL REFERENCES workspaces(id),
    first_snapshot INTEGER NOT NULL REFERENCES snapshots(id),
    end_snapshot INTEGER REFERENCES snapshots(id) CHECK (end_snapshot > first_snapshot),
    profile_id INTEGER NOT NULL,
    digest TEXT NOT NULL,
    provider TEXT NOT NULL,
    name TEXT NOT NULL,
    client_id TEXT,
    shared_accounts_count INTEGER,
    oem_customers_count INTEGER,
    document TEXT NOT NULL,
    UNIQUE (workspace_id, profile_id, first_snapshot)
) STRICT;

CREATE UNIQUE INDEX lasting_versions ON profile_versions(workspace_id, profile_id)
    WHERE end_snapshot IS NULL;

CREATE INDEX versions_by_first_snapshot ON profile_versions(first_snapshot);

CREATE INDEX versions_by_end_snapshot ON profile_versions(end_snapshot)
    WHERE end_snapshot IS NOT NULL;

CREATE VIEW snapshot_profiles AS
SELECT s.id AS snapshot_id, w.name AS workspace, s.taken_at, s.kind, v.profile_id, v.provider,
    v.name, v.client_id, v.shared_accounts_count, v.oem_customers_count, v.document
FROM snapshots AS s
JOIN workspaces AS w ON w.id = s.workspace_id
JOIN profile_versions AS v ON v.workspace_id = s.workspace_id AND v.first_snapshot <= s.id
    AND (v.end_snapshot IS NULL OR v.end_snapshot > s.id);

CREATE VIEW latest_profiles AS
SELECT * FROM snapshot_profiles WHERE snapshot_id IN (
    SELECT max(id) FROM snapshots WHERE kind = 'export' GROUP BY workspace_id);

CREATE TABLE runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL CHECK (kind IN ('import', 'undo', 'profile')),
    target_id INTEGER NOT NULL REFERENCES workspaces(id),
    source_id INTEGER REFERENCES workspaces(id),
    snapshot_id INTEGER REFERENCES snapshots(id) ON DELETE SET NULL,
    safety_snapshot_id INTEGER REFERENCES snapshots(id) ON DELETE SET NULL,
    undoes_run INTEGER REFERENCES runs(id),
    started_at TEXT NOT NULL,
    finished_at TEXT,
    state TEXT NOT NULL CHECK (state IN ('running', 'complete', 'incomplete', 'undone')),
    verified INTEGER,
    plan_id TEXT NOT NULL UNIQUE,
    fingerprint TEXT NOT NULL,
    report TEXT NOT NULL
) STRICT;

CREATE INDEX runs_of_target ON runs(target_id);

CREATE INDEX runs_of_source ON runs(source_id);

CREATE INDEX runs_of_snapshot ON runs(snapshot_id);

CREATE INDEX runs_of_safety_snapshot ON runs(safety_snapshot_id);

CREATE INDEX runs_undoing ON runs(undoes_run);

CREATE TABLE steps (
    id INTEGER PRIMARY KEY,
    run_id INTEGER NOT NULL REFERENCES runs(id),
    position INTEGER NOT NULL,
    action TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('planned', 'done', 'adopted', 'failed')),
    source_id INTEGER,
    target_id INTEGER,
    provider TEXT NOT NULL,
    name TEXT NOT NULL,
    client_id TEXT,
    data TEXT NOT NULL,
    reason TEXT NOT NULL,
    result TEXT,
    error TEXT,
    UNIQUE (run_id, position)
) STRICT;

CREATE INDEX steps_of_source ON steps(source_id, target_id);

CREATE TABLE calls (
    id INTEGER PRIMARY KEY,
    step_id INTEGER NOT NULL REFERENCES steps(id),
    method TEXT NOT NULL,
    began_at TEXT NOT NULL,
    ended_at TEXT,
    timeline TEXT NOT NULL,
    began REAL NOT NULL,
    outcome TEXT NOT NULL
        CHECK (outcome IN ('intent', 'done', 'refused', 'not sent', 'unknown', 'settled')),
    detail TEXT
) STRICT;

CREATE INDEX calls_of_step ON calls(step_id)
"""
