"""A policy keeps what restic's would, and never the last that there is."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauthsync.errors import UsageError
from oauthsync.retention import Policy, keep
from oauthsync.snapshots import Kind, Snapshot

SNAPSHOT = Snapshot(1, "dev", "https://x.test", 1, "", "export", 0, 0, 0, 0, 1, 1, "sha256:0")


def snapshot(number: int, taken_at: str, workspace: str = "dev", kind: Kind = "export") -> Snapshot:
    return replace(SNAPSHOT, id=number, taken_at=taken_at, workspace=workspace, kind=kind)


def taken(*times: str) -> list[Snapshot]:
    """Exports with the ids 1, 2, …; a time may be a date alone."""
    return [
        snapshot(i, time if "T" in time else f"{time}T10:00:00Z") for i, time in enumerate(times, 1)
    ]


POLICIES = st.builds(
    Policy,
    last=st.integers(0, 3),
    daily=st.integers(0, 3),
    weekly=st.integers(0, 3),
    monthly=st.integers(1, 3),
)


@st.composite
def histories(draw: st.DrawFn) -> list[Snapshot]:
    minutes = draw(st.lists(st.integers(0, 200 * 1440), max_size=12))
    start = datetime(2026, 11, 20, tzinfo=UTC)
    return [
        snapshot(
            number,
            (start + timedelta(minutes=minute)).strftime("%Y-%m-%dT%H:%M:%SZ"),
            draw(st.sampled_from(["dev", "prod"])),
            draw(st.sampled_from(["export", "export", "safety"])),
        )
        for number, minute in enumerate(sorted(minutes), 1)
    ]


class TestRules:
    def test_a_count_beyond_all_bounds_keeps_all(self) -> None:
        found = taken("2026-11-20", "2026-11-20", "2026-11-21")
        assert keep(Policy(last=10**30), found) == {1, 2, 3}

    def test_last_keeps_the_newest_ones(self) -> None:
        found = taken("2026-11-20", "2026-11-20", "2026-11-21", "2026-11-21")
        assert keep(Policy(last=3), found) == {2, 3, 4}

    def test_daily_keeps_the_newest_of_each_day(self) -> None:
        found = taken("2026-11-20T01:00:00Z", "2026-11-20T23:59:59Z", "2026-11-21T00:00:00Z")
        assert keep(Policy(daily=2), found) == {2, 3}

    def test_a_rule_that_is_not_used_up_keeps_the_oldest_too(self) -> None:
        """A history that is shorter than the policy is not made shorter still."""
        found = taken("2026-01-01", "2026-01-01", "2026-01-31", "2026-02-01", "2026-02-15")
        assert keep(Policy(monthly=12), found) == {1, 3, 5}
        assert keep(Policy(monthly=2), found) == {3, 5}
        assert keep(Policy(daily=30), found) == {1, 2, 3, 4, 5}

    def test_days_without_a_snapshot_do_not_count(self) -> None:
        found = taken("2026-01-01", "2026-06-01", "2026-11-20")
        assert keep(Policy(daily=3), found) == {1, 2, 3}
        assert keep(Policy(daily=2), found) == {2, 3}

    def test_a_week_is_an_iso_week_also_across_the_year(self) -> None:
        # 2026-12-28 to 2027-01-03 is week 53 of 2026; 2027-01-04 begins week 1 of 2027.
        found = taken("2026-12-27", "2026-12-28", "2027-01-03", "2027-01-04")
        assert keep(Policy(weekly=3), found) == {1, 3, 4}
        assert keep(Policy(weekly=2), found) == {3, 4}

    def test_a_month_is_one_of_its_year(self) -> None:
        found = taken("2025-11-30", "2026-10-31", "2026-11-01", "2026-11-30")
        assert keep(Policy(monthly=2), found) == {2, 4}
        assert keep(Policy(monthly=3), found) == {1, 2, 4}

    def test_what_one_rule_keeps_no_other_removes(self) -> None:
        found = taken("2026-10-31", "2026-11-20", "2026-11-21", "2026-11-21")
        assert keep(Policy(last=2, monthly=2), found) == {1, 3, 4}

    def test_the_newest_export_is_kept_even_where_its_clock_was_behind(self) -> None:
        found = taken("2026-11-20", "2026-11-21", "1999-01-01")
        assert keep(Policy(last=1), found) == {3}
        assert keep(Policy(last=2), found) == {2, 3}
        assert keep(Policy(daily=1), found) == {2, 3}

    def test_each_workspace_is_counted_on_its_own(self) -> None:
        found = [
            snapshot(1, "2026-01-01T00:00:00Z", "prod"),
            snapshot(2, "2026-11-20T00:00:00Z"),
            snapshot(3, "2026-11-21T00:00:00Z"),
        ]
        assert keep(Policy(last=1), found) == {1, 3}


class TestSafetySnapshots:
    def history(self, *kinds: Kind) -> list[Snapshot]:
        return [snapshot(i, "2026-11-20T00:00:00Z", kind=kind) for i, kind in enumerate(kinds, 1)]

    def test_they_are_kept_as_long_as_an_earlier_export_is(self) -> None:
        found = self.history("export", "safety", "export", "safety", "export", "safety", "safety")
        assert keep(Policy(last=2), found) == {3, 4, 5, 6, 7}

    def test_they_do_not_count(self) -> None:
        found = self.history("export", "safety", "export", "safety", "safety", "safety")
        assert keep(Policy(last=2), found) == {1, 2, 3, 4, 5, 6}

    def test_the_newest_one_is_always_kept(self) -> None:
        found = self.history("export", "safety", "safety", "export")
        assert keep(Policy(last=1), found) == {3, 4}

    def test_without_an_export_they_are_all_kept(self) -> None:
        assert keep(Policy(last=1), self.history("safety", "safety", "safety")) == {1, 2, 3}


class TestPolicies:
    def test_one_that_would_keep_nothing_is_refused(self) -> None:
        with pytest.raises(UsageError, match="no rule says what to keep") as raised:
            Policy()
        assert "--keep-last" in str(raised.value.hint)

    def test_a_negative_one_is_refused(self) -> None:
        with pytest.raises(UsageError, match="-1"):
            Policy(last=3, daily=-1)


class TestProperties:
    @given(POLICIES, histories())
    def test_nothing_is_kept_that_is_not_there_and_the_newest_always_are(
        self, policy: Policy, found: list[Snapshot]
    ) -> None:
        kept = keep(policy, found)
        assert kept <= {each.id for each in found}
        newest = {(each.workspace, each.kind): each.id for each in found}
        assert kept >= set(newest.values())

    @given(POLICIES, histories())
    def test_pruning_again_removes_nothing_more(
        self, policy: Policy, found: list[Snapshot]
    ) -> None:
        kept = keep(policy, found)
        assert keep(policy, [each for each in found if each.id in kept]) == kept

    @given(POLICIES, histories())
    def test_the_order_makes_no_difference(self, policy: Policy, found: list[Snapshot]) -> None:
        assert keep(policy, reversed(found)) == keep(policy, found)

    @given(histories(), st.integers(1, 4))
    def test_daily_is_what_its_definition_says(self, found: list[Snapshot], count: int) -> None:
        for workspace in ("dev", "prod"):
            exports = [e for e in found if (e.workspace, e.kind) == (workspace, "export")]
            days = sorted({each.taken_at[:10] for each in exports})[-count:]
            expected = {_newest(e for e in exports if e.taken_at[:10] == day) for day in days}
            if len(days) < count:
                expected |= {_oldest(exports)} if exports else set()
            assert keep(Policy(daily=count), exports) == expected


def _oldest(found: Iterable[Snapshot]) -> int:
    return min(found, key=lambda each: (each.taken_at, each.id)).id


def _newest(found: Iterable[Snapshot]) -> int:
    return max(found, key=lambda each: (each.taken_at, each.id)).id
