"""Which profiles a workspace had when it was last looked at, or written to.

A list that lacks some of them is not believed at once. They are those of the newest snapshot, and
of the calls that were answered since: with what these created, and without what they deleted. The
time of day tells what came since, so where that was set back in between, a list may be believed too
soon, or is read once more.
"""

from collections.abc import Collection
from dataclasses import dataclass

from sqlite_utils import Database

from oauthsync.api import PER_PAGE
from oauthsync.database import reading
from oauthsync.journal import INTO, SAME_WORKSPACE

_NEWEST = f"""
SELECT id, workspace_id, taken_at, profiles FROM snapshots
WHERE workspace_id IN ({SAME_WORKSPACE}) ORDER BY id DESC LIMIT 1
"""  # noqa: S608 - constants

_IN_NEWEST = """
SELECT profile_id FROM profile_versions
WHERE workspace_id = :workspace AND first_snapshot <= :snapshot
    AND (end_snapshot IS NULL OR end_snapshot > :snapshot)
"""

_SINCE = f"""
SELECT action, steps.target_id, steps.target_id IN ({_IN_NEWEST} AND profile_id = steps.target_id)
FROM steps {INTO}
JOIN calls ON calls.step_id = steps.id AND calls.ended_at >= :taken_at
WHERE action IN ('create', 'delete') AND steps.state IN ('done', 'adopted')
"""  # noqa: S608 - constants


@dataclass(frozen=True)
class LastKnown:
    """How many profiles there were, and their ids where they are few: the others take pages."""

    count: int = 0
    ids: frozenset[int] = frozenset()

    def is_more_than(self, found: Collection[int]) -> bool:
        """Whether these ids are fewer, or not all of those that are known."""
        return len(found) < self.count or not self.ids.issubset(found)


def last_known(
    database: Database, workspace: str, url: str | None = None, user_id: int | None = None
) -> LastKnown:
    """The profiles that a workspace had, which is found as by `Journal.open_calls`."""
    same = {"target": workspace, "url": url, "user_id": user_id}
    with reading(database) as connection:
        newest: tuple[int, int, str, int] | None = connection.execute(_NEWEST, same).fetchone()
        if newest is None:
            return LastKnown()
        snapshot, workspace_id, taken_at, count = newest
        at = {"workspace": workspace_id, "snapshot": snapshot, "taken_at": taken_at}
        since = connection.execute(_SINCE, same | at).fetchall()
        there = connection.execute(_IN_NEWEST, at).fetchall() if count < PER_PAGE else []
    created = {target_id for action, target_id, is_in in since if action == "create" and not is_in}
    deleted = {target_id: is_in for action, target_id, is_in in since if action == "delete"}
    created -= deleted.keys()
    return LastKnown(
        count + len(created) - sum(map(bool, deleted.values())),
        frozenset(({each for (each,) in there} | created) - deleted.keys()),
    )
