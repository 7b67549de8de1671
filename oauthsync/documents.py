"""Results as JSON documents: the shapes that scripts depend on. Pure.

Keys stand in the order in which they are read. `adopted` alone is left out where it is not true: it
marks the rare profile whose call got no answer.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from oauthsync.strictjson import Json

if TYPE_CHECKING:
    from oauthsync.entries import Entry
    from oauthsync.missing import MissingApp
    from oauthsync.plan import Plan
    from oauthsync.profiles import Difference, Profile
    from oauthsync.restore import Carried
    from oauthsync.runs import Run, Step
    from oauthsync.snapshots import Listing, LogEntry, Snapshot
    from oauthsync.undo import UndoPlan


def snapshot(found: "Snapshot") -> dict[str, Json]:
    """One of `snapshots`."""
    return {
        "id": found.id,
        "workspace": found.workspace,
        "taken_at": found.taken_at,
        "profiles": found.profiles,
        "kind": found.kind,
        "added": found.added,
        "changed": found.changed,
        "removed": found.removed,
        "requests": found.requests,
        "listings": found.listings,
    }


def live(listing: "Listing") -> dict[str, Json]:
    """What stands for a snapshot where a workspace as it is now is compared."""
    return {
        "id": None,
        "workspace": listing.workspace,
        "taken_at": listing.taken_at,
        "profiles": len(listing.profiles),
        "kind": "live",
    }


def difference(found: "Difference") -> dict[str, Json]:
    """What `diff` found, without the two sides."""
    return {
        "added": [profile.fields for profile in found.added],
        "removed": [profile.fields for profile in found.removed],
        "changed": [
            {
                "id": change.new.id,
                "provider": change.new.provider,
                "name": change.new.name,
                "fields": {name: list(values) for name, values in change.fields.items()},
            }
            for change in found.changed
        ],
    }


def log_entry(entry: "LogEntry") -> dict[str, Json]:
    """One of `log`."""
    return {
        "snapshot": entry.snapshot.id,
        "workspace": entry.snapshot.workspace,
        "taken_at": entry.snapshot.taken_at,
        **difference(entry.difference),
    }


def secret(entry: "Entry") -> dict[str, Json]:
    """One of `secrets list`."""
    return {
        "provider": entry.provider,
        "client_id": entry.client_id,
        "has_token": entry.token is not None,
        "updated_at": entry.updated_at,
    }


def missing(app: "MissingApp") -> dict[str, Json]:
    """One of `secrets missing`. A token is optional (the API's page), so none is ever missing."""
    return {
        "provider": app.provider,
        "client_id": app.client_id,
        "fields": ["client_secret"],
        "profiles": [{"id": profile.id, "name": profile.name} for profile in app.profiles],
    }


def carried(done: "Carried") -> dict[str, Json]:
    """What a run did: of `import`, of `undo`, or of a change of one profile; or its `resume`."""
    run, steps = done.report.run, done.report.steps
    head: dict[str, Json] = {
        "run": run.id,
        "target": run.target,
        "safety_snapshot": run.safety_snapshot,
        "verified": bool(run.verified),
    }
    match run.kind:
        case "import":
            return {
                **head,
                "created": _done(steps, "create"),
                "updated": _done(steps, "update"),
                "unchanged": run.report.get("unchanged", 0),
                "skipped": run.report.get("skipped", []),
                "blocked": [],
                "failed": _failed(steps, "source_id"),
                "in_use": in_use(done.in_use),
                "id_map": id_map(steps),
            }
        case "undo":
            return {
                **head,
                "undoes": run.undoes,
                "deleted": _done(steps, "delete"),
                "updated": _done(steps, "update"),
                "failed": _failed(steps, "target_id"),
                "left": run.report.get("left", []),
            }
        case "profile":
            return {
                **head,
                "created": _done(steps, "create"),
                "updated": _done(steps, "update"),
                "deleted": _done(steps, "delete"),
                "failed": _failed(steps, "target_id"),
            }


def not_imported(plan: "Plan") -> dict[str, Json]:
    """What `import` did where it wrote nothing: a step is blocked, or all is as it is wanted."""
    return {
        "run": None,
        "target": plan.target,
        "safety_snapshot": None,
        "verified": not plan.blocked,
        "created": [],
        "updated": [],
        "unchanged": plan.summary["unchanged"],
        "skipped": _planned(plan, "skip"),
        "blocked": _planned(plan, "blocked"),
        "failed": [],
        "in_use": [],
        "id_map": {},
    }


def _planned(plan: "Plan", action: str) -> list[Json]:
    return [step.to_json() for step in plan.steps if step.action == action]


def not_undone(run: "Run", plan: "UndoPlan") -> dict[str, Json]:
    """What `undo` did where there was nothing to write."""
    return {
        "run": None,
        "target": run.target,
        "safety_snapshot": None,
        "verified": not plan.left,
        "undoes": run.id,
        "deleted": [],
        "updated": [],
        "failed": [],
        "left": [each.to_json() for each in plan.left],
    }


def _done(steps: "Sequence[Step]", action: str) -> list[Json]:
    return [
        {
            "source_id": step.source_id,
            "target_id": step.target_id,
            "provider": step.provider,
            "name": step.name,
            **({"adopted": True} if step.state == "adopted" else {}),
        }
        for step in steps
        if step.action == action and step.is_done
    ]


def _failed(steps: "Sequence[Step]", key: Literal["source_id", "target_id"]) -> list[Json]:
    return [
        {key: getattr(step, key), "error": step.error or "not done"}
        for step in steps
        if not step.is_done
    ]


def in_use(found: "Sequence[tuple[Step, Profile]]") -> list[Json]:
    """What a person still has to re-point after a run."""
    return [
        {
            "source_id": profile.id,
            "name": profile.name,
            "shared_accounts_count": profile.fields.get("shared_accounts_count"),
            "oem_customers_count": profile.fields.get("oem_customers_count"),
        }
        for _, profile in found
    ]


def id_map(steps: "Sequence[Step]") -> dict[str, Json]:
    """Target ids by source ids, which JSON's keys have as text."""
    return {
        str(step.source_id): step.target_id
        for step in steps
        if step.is_done and step.source_id is not None
    }


def run(found: "Run", steps: "Sequence[Step]") -> dict[str, Json]:
    """One of `runs`."""

    def done(action: str) -> int:
        return sum(step.action == action and step.is_own for step in steps)

    return {
        "id": found.id,
        "kind": found.kind,
        "target": found.target,
        "snapshot": found.snapshot,
        "safety_snapshot": found.safety_snapshot,
        "undoes": found.undoes,
        "started_at": found.started_at,
        "finished_at": found.finished_at,
        "state": found.state,
        "verified": found.verified,
        "created": done("create"),
        "updated": done("update"),
        "deleted": done("delete"),
        "by_others": sum(step.is_done and not step.is_own for step in steps),
        "failed": sum(step.state == "failed" for step in steps),
        "planned": sum(step.state == "planned" for step in steps),
    }


def run_step(step: "Step") -> dict[str, Json]:
    """One of a run's steps in `runs show`."""
    return {
        "action": step.action,
        "state": step.state,
        "source_id": step.source_id,
        "target_id": step.target_id,
        "provider": step.provider,
        "name": step.name,
        "client_id": step.client_id,
        "reason": step.reason,
        "error": step.error,
    }
