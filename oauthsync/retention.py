"""Which snapshots to keep. Pure.

As restic's: a policy keeps the last N exports, and the newest export of each of the last N days,
ISO weeks and months (UTC) that have one, or where there are fewer, the oldest export beside them;
what one rule keeps, no other removes. It holds for each workspace on its own, and the newest export
of a workspace is always kept. (restic-forget(1) of restic 0.17.)

Safety snapshots are what `undo` goes back to, and no rule counts them. They are kept as long as an
export from before them is: who cannot see the state before a run any more cannot undo it either.
The newest one is kept in any case, so that the last run can be undone.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import astuple, dataclass
from datetime import date

from oauthsync.errors import UsageError
from oauthsync.snapshots import Snapshot


@dataclass(frozen=True)
class Policy:
    """How many to keep of each kind; UsageError where that is none at all, or negative."""

    last: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0

    def __post_init__(self) -> None:
        counts = astuple(self)
        if min(counts) < 0:
            raise UsageError(f"a policy cannot keep {min(counts)} snapshots")
        if not any(counts):
            raise UsageError(
                "no rule says what to keep",
                hint="give --keep-last, --keep-daily, --keep-weekly, --keep-monthly or several,"
                " as in `oauthsync prune --keep-daily 30 --keep-monthly 12 --dry-run`",
            )


def keep(policy: Policy, snapshots: Iterable[Snapshot]) -> set[int]:
    """The ids of the snapshots to keep."""
    workspaces: dict[str, list[Snapshot]] = defaultdict(list)
    for snapshot in snapshots:
        workspaces[snapshot.workspace].append(snapshot)
    kept: set[int] = set()
    for group in workspaces.values():
        exports = _exports(policy, [each for each in group if each.kind == "export"])
        safety = [each.id for each in group if each.kind != "export"]
        kept |= exports
        kept |= {each for each in safety if each > min(exports, default=0)}
        kept |= {max(safety)} if safety else set()
    return kept


def _exports(policy: Policy, exports: Sequence[Snapshot]) -> set[int]:
    newest_first = sorted(exports, key=lambda each: (each.taken_at, each.id), reverse=True)
    # `latest` goes by the id: a clock that was wrong for a while must not cost the newest ones.
    last_first = sorted(exports, key=lambda each: each.id, reverse=True)
    kept = {each.id for each in last_first[:1]}
    kept |= _newest_of_each(lambda each: each.id, last_first, policy.last)
    kept |= _newest_of_each(_day, newest_first, policy.daily)
    kept |= _newest_of_each(lambda each: _day(each).isocalendar()[:2], newest_first, policy.weekly)
    kept |= _newest_of_each(
        lambda each: (_day(each).year, _day(each).month), newest_first, policy.monthly
    )
    return kept


def _newest_of_each(
    period: Callable[[Snapshot], Hashable], newest_first: Sequence[Snapshot], count: int
) -> set[int]:
    newest: dict[Hashable, int] = {}
    for snapshot in newest_first:
        newest.setdefault(period(snapshot), snapshot.id)
    kept = set(list(newest.values())[:count])
    if len(newest) < count:  # so the history reaches back as far as it can
        kept |= {each.id for each in newest_first[-1:]}
    return kept


def _day(snapshot: Snapshot) -> date:
    return date.fromisoformat(snapshot.taken_at[:10])
