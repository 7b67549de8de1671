"""Snapshots are whole or not there, share what did not change, and are compared when read."""

import hashlib
import os
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlite_utils import Database

from oauthsync import checks, profiles, strictjson
from oauthsync.database import open_database
from oauthsync.errors import StoreError, UsageError
from oauthsync.snapshots import Listing, Snapshots
from tests.store import (
    KILLED,
    add,
    dying_after,
    in_child,
    in_children,
    in_memory,
    listing,
    profile,
    reopened,
    replaced,
    some,
)


@pytest.fixture
def snapshots(database: Database) -> Snapshots:
    return Snapshots(database)


class TestStoring:
    def test_a_snapshot_gives_back_what_was_listed(self, snapshots: Snapshots) -> None:
        found = some(5)
        snapshot, difference = snapshots.add(listing(found), "export")
        assert snapshots.profiles(snapshot) == found
        assert snapshot.digest == profiles.digest(found)
        assert (snapshot.profiles, snapshot.requests, snapshot.listings) == (5, 2, 1)
        assert (snapshot.workspace, snapshot.kind) == ("dev", "export")
        assert (snapshot.user_id, snapshot.taken_at) == (123, "2026-11-23T10:00:00Z")
        assert not difference

    def test_what_is_known_already_is_taken_from_there_where_it_is_the_same(
        self, snapshots: Snapshots
    ) -> None:
        found = some(3)
        snapshot, _ = snapshots.add(listing(found), "export")
        known = (found[0], profile(2, name="changed since"), profile(9))
        first, second, third = snapshots.profiles(snapshot, known)
        assert first is found[0]
        assert (second, third) == found[1:]

    def test_an_empty_workspace_has_snapshots_too(self, snapshots: Snapshots) -> None:
        snapshot, _ = snapshots.add(listing(()), "export")
        assert snapshots.profiles(snapshot) == ()
        snapshot, difference = snapshots.add(listing(some(1)), "export")
        assert len(difference.added) == 1

    def test_what_nobody_documented_survives_byte_for_byte(
        self, database: Database, snapshots: Snapshots
    ) -> None:
        text = (
            '{"id":9223372036854775807,"name":"a\\u0000b \\u202e \\"\'; DROP TABLE snapshots; --",'
            '"provider":"\\ud83d\\ude80","data":{"client_id":"%s{}","n":1e400,"m":1.0},'
            '"big":900719925474099312345678901234567890,"deep":[[[{"x":[-0.0,1E+2,null]}]]],'
            '"shared_accounts_count":99999999999999999999,"created_at":17,"user_id":1e3}'
        )
        found = profiles.from_json(strictjson.parse(text))
        snapshot = add(database, [found])
        (again,) = snapshots.profiles(snapshot)
        assert again == found
        assert strictjson.canonical(strictjson.parse(text)).encode() == again.document
        for kept in ("1e400", "1.0", "900719925474099312345678901234567890", "1E+2"):
            assert kept.encode() in again.document
        assert checks.check(database).ok

    @settings(max_examples=30, deadline=None)
    @given(st.lists(st.dictionaries(st.integers(1, 5), st.integers(0, 2)), max_size=6))
    def test_every_snapshot_of_any_history_gives_back_what_was_listed(
        self, history: list[dict[int, int]]
    ) -> None:
        """Profiles come, change, change back, go, and come again."""
        with in_memory() as database:
            listed = [
                tuple(profile(number, name=f"v{state[number]}") for number in sorted(state))
                for state in history
            ]
            stored = [add(database, found, day=day) for day, found in enumerate(listed)]
            snapshots = Snapshots(database)
            for snapshot, found in zip(stored, listed, strict=True):
                assert snapshots.profiles(snapshot) == found
            for one, before in zip(stored, listed, strict=True):
                for other, after in zip(stored, listed, strict=True):
                    expected = profiles.difference(before, after)
                    assert snapshots.difference(one, other) == expected
            assert checks.check(database).ok

    def test_each_counts_against_the_last_export_before_it(self, snapshots: Snapshots) -> None:
        snapshots.add(listing(some(4)), "export")
        changed = replaced(some(5)[1:], profile(2, name="New"))
        safety, difference = snapshots.add(listing(changed), "safety")
        assert (safety.added, safety.changed, safety.removed) == (1, 1, 1)
        export, again = snapshots.add(listing(changed), "export")
        assert (export.added, export.changed, export.removed) == (1, 1, 1)
        assert again == difference
        assert [each.id for each in again.removed] == [1]
        export, nothing = snapshots.add(listing(changed), "export")
        assert (export.added, export.changed, export.removed) == (0, 0, 0)
        assert not nothing

    def test_counts_and_the_time_of_the_update_are_kept_and_are_no_change(
        self, snapshots: Snapshots
    ) -> None:
        first, _ = snapshots.add(listing(some(1)), "export")
        used = (profile(1, shared_accounts_count=7, updated_at="later"),)
        second, difference = snapshots.add(listing(used), "export")
        assert not difference
        assert snapshots.profiles(second) == used
        assert snapshots.profiles(first) == some(1)

    def test_workspaces_have_snapshots_of_their_own(
        self, database: Database, snapshots: Snapshots
    ) -> None:
        dev = add(database, some(3))
        prod = add(database, some(5), workspace="prod")
        assert snapshots.profiles(dev) == some(3)
        assert snapshots.profiles(prod) == some(5)
        assert prod.added == 0
        assert [each.id for each in snapshots.difference(dev, prod).added] == [4, 5]

    def test_a_listing_is_in_the_order_of_its_ids_and_each_comes_once(self) -> None:
        for wrong in ([profile(2), profile(1)], [profile(1), profile(1, name="twice")]):
            with pytest.raises(ValueError, match="each once"):
                listing(wrong)

    def test_a_time_that_is_none_is_not_stored(self, snapshots: Snapshots) -> None:
        for wrong in ("today", "2026-02-30T10:00:00Z", "2026-11-23 10:00:00"):
            with pytest.raises(StoreError, match="CHECK"):
                snapshots.add(Listing("dev", "https://x", wrong, some(1), 1, 1), "export")
        assert snapshots.all() == []


class TestIdentity:
    """A workspace's name stands for one workspace for good."""

    def test_another_url_is_another_workspace(self, snapshots: Snapshots) -> None:
        snapshots.add(listing(some(1)), "export")
        with pytest.raises(StoreError, match="another workspace") as raised:
            snapshots.add(listing(some(1), url="https://app.eu.workato.com"), "export")
        assert "app.eu.workato.com" in str(raised.value)
        assert "token" in str(raised.value.hint)
        assert len(snapshots.all()) == 1

    def test_another_workspace_id_is_another_workspace(self, snapshots: Snapshots) -> None:
        snapshots.add(listing(some(1)), "export")
        with pytest.raises(StoreError, match="workspace id 456"):
            snapshots.add(listing([profile(1, user_id=456)]), "safety")

    def test_an_id_that_is_unknown_at_first_is_learnt(self, snapshots: Snapshots) -> None:
        snapshots.add(listing(()), "export")
        assert snapshots.find("latest").user_id is None
        snapshots.add(listing(some(1)), "export")
        assert snapshots.find("latest").user_id == 123
        snapshots.add(listing(()), "export")
        assert snapshots.find("latest").user_id == 123

    def test_profiles_that_do_not_agree_on_one_tell_none(self) -> None:
        assert listing([profile(1), profile(2, user_id=None)]).user_id is None
        assert listing([profile(1), profile(2, user_id=456)]).user_id is None


class TestSize:
    def test_a_second_snapshot_of_an_unchanged_workspace_adds_next_to_nothing(
        self, path: Path, database: Database
    ) -> None:
        empty = path.stat().st_size
        add(database, some(1000))
        first = path.stat().st_size
        add(database, some(1000), day=1)
        assert path.stat().st_size - first < 0.05 * (first - empty)

    def test_a_year_of_daily_snapshots_with_a_change_a_day_stays_small(
        self, path: Path, database: Database
    ) -> None:
        found = some(250)
        add(database, found)
        first = path.stat().st_size
        for day in range(1, 365):
            found = replaced(found, profile(day % 250 + 1, name=f"changed on day {day}"))
            add(database, found, day=day)
        assert path.stat().st_size < 10 * first
        assert Snapshots(database).profiles(Snapshots(database).find("latest")) == found


class TestSelecting:
    @pytest.fixture(autouse=True)
    def _history(self, database: Database) -> None:
        """1: dev, 2: prod, 3: dev, 4: dev on the second day, 5: a safety snapshot of dev."""
        add(database, some(1), day=0)
        add(database, some(2), day=0, workspace="prod")
        add(database, some(3), day=0.5)
        add(database, some(4), day=1)
        add(database, some(5), day=1, kind="safety")

    @pytest.mark.parametrize(
        ("selector", "workspace", "snapshot_id"),
        [
            ("1", None, 1),
            ("5", None, 5),
            ("5", "dev", 5),
            ("latest", None, 4),
            ("latest", "dev", 4),
            ("latest", "prod", 2),
            ("latest~0", None, 4),
            ("latest~1", None, 3),
            ("latest~1", "dev", 3),
            ("latest~2", "dev", 1),
            ("latest~2", None, 2),
            ("2026-11-23", None, 3),
            ("2026-11-23", "prod", 2),
            ("2026-11-24", None, 4),
            ("2026-11-24", "prod", 2),
            ("9999-12-31", None, 4),
        ],
    )
    def test_a_selector_finds_its_snapshot(
        self, snapshots: Snapshots, selector: str, workspace: str | None, snapshot_id: int
    ) -> None:
        assert snapshots.find(selector, workspace).id == snapshot_id

    @pytest.mark.parametrize(
        ("selector", "workspace"),
        [
            ("6", None),
            ("0", None),
            ("999999999999999999", None),
            ("1", "prod"),
            ("latest~4", None),
            ("latest~1", "prod"),
            ("latest~999999999", None),
            ("latest", "nowhere"),
            ("2026-11-22", None),
            ("0001-01-01", None),
        ],
    )
    def test_what_is_not_there_is_said_to_be_not_there(
        self, snapshots: Snapshots, selector: str, workspace: str | None
    ) -> None:
        with pytest.raises(StoreError):
            snapshots.find(selector, workspace)

    @pytest.mark.parametrize(
        "selector",
        [
            *("", "first", "latest~", "latest~-1", "latest~1~1", "LATEST", "-1", "1.0", "1 ", "٣"),
            *("2026-02-30", "2026-11", "20261123T10", "2026-W47-1", "2026-11-23T10:00:00Z"),
            *("9" * 19, "２０２６-11-23", "1\n", "2026-11-23\n", "' OR 1=1 --", "\0", "\udc80"),
        ],
    )
    def test_what_is_no_selector_is_refused(self, snapshots: Snapshots, selector: str) -> None:
        with pytest.raises(UsageError, match="is no snapshot") as raised:
            snapshots.find(selector)
        assert "latest~1" in str(raised.value.hint)

    @given(st.text(max_size=12))
    @settings(max_examples=50)
    def test_any_text_finds_one_or_is_refused(self, selector: str) -> None:
        with in_memory() as database, pytest.raises((StoreError, UsageError)):
            Snapshots(database).find(selector)

    def test_they_are_listed_newest_first(self, snapshots: Snapshots) -> None:
        assert [each.id for each in snapshots.all()] == [5, 4, 3, 2, 1]
        assert [each.id for each in snapshots.all("prod")] == [2]
        assert snapshots.all("nowhere") == []


class TestLog:
    @pytest.fixture(autouse=True)
    def _history(self, database: Database) -> None:
        add(database, some(3), day=0)
        add(database, some(9), day=0, workspace="prod")
        add(database, some(2), day=1, kind="safety")
        add(database, some(2), day=2)
        add(database, some(2), day=3)
        add(database, [profile(1, name="New"), *some(6)[1:]], day=4)

    def test_it_tells_what_appeared_changed_and_vanished_newest_first(
        self, snapshots: Snapshots
    ) -> None:
        newer, older = snapshots.log(None)
        assert (newer.snapshot.id, older.snapshot.id) == (6, 4)
        assert [each.id for each in newer.difference.added] == [3, 4, 5, 6]
        assert [each.new.name for each in newer.difference.changed] == ["New"]
        assert [each.id for each in older.difference.removed] == [3]
        assert list(snapshots.log("prod")) == []

    def test_it_can_be_filtered(self, snapshots: Snapshots) -> None:
        (entry,) = snapshots.log("dev", provider="jira")
        assert [each.id for each in entry.difference.added] == [5]
        newer, older = snapshots.log("dev", provider="hubspot")
        assert [each.id for each in newer.difference.added] == [3, 6]
        assert [each.id for each in older.difference.removed] == [3]
        (entry,) = snapshots.log("dev", name="New*")
        assert entry.difference.changed[0].old.name == "Acme app 1"
        (entry,) = snapshots.log("dev", name="*app 1")
        assert entry.difference.changed[0].new.name == "New"


class TestWholeness:
    """A process dies while it stores a snapshot of 30 profiles upon one of 20."""

    before = some(20)
    after = replaced(some(30)[5:], profile(10, name="New"))

    @pytest.fixture
    def kept(self, path: Path) -> Path:
        with open_database(path) as database:
            add(database, self.before)
        return path

    def assert_whole(self, path: Path, *, stored: bool | None = None) -> None:
        with reopened(path) as database:
            snapshots = Snapshots(database)
            found = snapshots.all()
            assert checks.check(database).problems == ()
            assert snapshots.profiles(found[-1]) == self.before
            assert len(found) in ((1, 2) if stored is None else (1 + stored,))
            if len(found) == 2:
                assert snapshots.profiles(found[0]) == self.after

    def store(self, path: Path) -> None:
        with reopened(path) as database:
            add(database, self.after, day=1)

    def store_and_die(self, path: Path, statements: int) -> None:
        with reopened(path) as database:
            # A cache of one page: what is not committed is in the file long before it is.
            database.conn.execute("PRAGMA cache_size = 1")
            database.conn.set_trace_callback(dying_after(statements))
            add(database, self.after, day=1)

    def test_killed_at_any_statement(self, kept: Path) -> None:
        original = kept.read_bytes()
        for statements in range(1000):
            status = in_child(partial(self.store_and_die, kept, statements))
            if status == 0:
                break
            assert status == KILLED
            self.assert_whole(kept)
            kept.write_bytes(original)
        assert statements > 20
        self.assert_whole(kept, stored=True)

    @pytest.mark.parametrize("calls", [1, 2, 5, 10, 20, 50, 100, 150])
    def test_killed_within_a_statement(self, kept: Path, calls: int) -> None:
        left = calls

        def count_down() -> int:
            nonlocal left
            left -= 1
            if not left:
                os._exit(KILLED)
            return 0

        def store_and_die() -> None:
            with reopened(kept) as database:
                database.conn.execute("PRAGMA cache_size = 1")
                database.conn.set_progress_handler(count_down, 10)
                add(database, self.after, day=1)

        assert in_child(store_and_die) == KILLED
        self.assert_whole(kept, stored=False)
        self.store(kept)
        self.assert_whole(kept, stored=True)

    def test_an_exception_in_between_stores_nothing(self, kept: Path) -> None:
        with reopened(kept) as database:
            database.conn.set_progress_handler(lambda: 1, 100)
            with pytest.raises(StoreError, match="interrupted"):
                add(database, self.after, day=1)
            database.conn.set_progress_handler(None, 0)
            assert len(Snapshots(database).all()) == 1
            add(database, self.after, day=1)
        self.assert_whole(kept, stored=True)

    def test_two_processes_at_once_store_one_after_the_other(self, kept: Path) -> None:
        def store_some(first: int) -> None:
            with reopened(kept) as database:
                for number in range(first, first + 5):
                    add(database, some(number), day=number)

        assert in_children(partial(store_some, 20), partial(store_some, 40)) == [0, 0]
        with reopened(kept) as database:
            assert len(Snapshots(database).all()) == 11
            assert checks.check(database).ok


class TestAlteredRows:
    """Whoever reads a snapshot whose rows were altered is told, and gets nothing."""

    @pytest.fixture(autouse=True)
    def _history(self, database: Database) -> None:
        add(database, some(4))
        add(database, some(5), workspace="prod")
        add(database, replaced(some(4), profile(2, name="New")), day=1)

    @pytest.mark.parametrize(
        ("statement", "altered"),
        [
            ("UPDATE profile_versions SET document = replace(document, 'Acme', 'X') WHERE id = 1",
             {1, 3}),
            ("UPDATE profile_versions SET document = '{}' WHERE id = 1", {1, 3}),
            ("UPDATE profile_versions SET document = 'x' WHERE id = 2", {1}),
            ("UPDATE profile_versions SET document = CAST(x'ff' AS TEXT) WHERE id = 2", {1}),
            ("UPDATE profile_versions SET end_snapshot = 3 WHERE id = 1", {3}),
            ("UPDATE profile_versions SET first_snapshot = 2 WHERE id = 1", {1}),
            ("UPDATE profile_versions SET workspace_id = 1 WHERE id = 9", {2, 3}),
            ("UPDATE profile_versions SET profile_id = 99 WHERE id = 2", {1}),
            ("DELETE FROM profile_versions WHERE id = 10", {3}),
            ("INSERT INTO profile_versions (workspace_id, first_snapshot, profile_id, digest,"
             " provider, name, document) SELECT 1, 1, 99, digest, provider, name,"
             " replace(document, '\"id\":1', '\"id\":99') FROM profile_versions WHERE id = 1",
             {1, 3}),
            ("UPDATE snapshots SET digest = 'sha256:00' WHERE id = 1", {1}),
            ("UPDATE snapshots SET profiles = 3 WHERE id = 3", {3}),
            ("UPDATE snapshots SET workspace_id = 2 WHERE id = 1", {1}),
        ],
    )  # fmt: skip
    def test_they_are_found_and_the_other_snapshots_can_be_read(
        self, database: Database, snapshots: Snapshots, statement: str, altered: set[int]
    ) -> None:
        assert database.conn.execute(statement).rowcount == 1
        database.conn.commit()
        for snapshot in snapshots.all():
            reads = (
                partial(snapshots.profiles, snapshot),
                partial(snapshots.difference, snapshot, snapshot),
            )
            for read in reads:
                if snapshot.id in altered:
                    with pytest.raises(StoreError, match="altered or damaged") as raised:
                        read()
                    assert "oauthsync check" in str(raised.value.hint)
                else:
                    read()
        found = checks.check(database)
        assert {each.id for each in found.snapshots if not each.ok} == altered
        assert not found.ok

    def test_a_time_that_does_not_parse_is_found(
        self, database: Database, snapshots: Snapshots
    ) -> None:
        database.conn.execute("PRAGMA ignore_check_constraints = ON")
        database.conn.execute("UPDATE snapshots SET taken_at = 'soon' WHERE id = 2")
        database.conn.commit()
        with pytest.raises(StoreError, match="snapshot 2"):
            snapshots.find("2026-11-23")

    def test_an_altered_document_is_found_by_the_log(
        self, database: Database, snapshots: Snapshots
    ) -> None:
        database.conn.execute(
            "UPDATE profile_versions SET document = replace(document, 'Acme', 'Evil')"
            " WHERE end_snapshot IS NOT NULL"
        )
        database.conn.commit()
        with pytest.raises(StoreError, match=r"profile 2 .* altered"):
            list(snapshots.log("dev"))

    @pytest.mark.parametrize("document", ["{}", "x", None])
    def test_a_document_that_is_not_the_profiles_is_found_though_all_digests_were_made_anew(
        self, database: Database, snapshots: Snapshots, document: str | None
    ) -> None:
        """Who can write the file can make digests; then what is read must still be consistent."""
        evil = profile(3).document if document is None else document.encode()
        digest = hashlib.sha256(evil).hexdigest()
        database.conn.execute(
            "UPDATE profile_versions SET document = CAST(? AS TEXT), digest = ? WHERE id = 2",
            (evil, digest),
        )
        lines = [profiles.digest_line(each.id, each.digest) for each in some(4)]
        lines[1] = profiles.digest_line(2, digest)
        database.conn.execute(
            "UPDATE snapshots SET digest = ? WHERE id = 1", (profiles.combined_digest(lines),)
        )
        database.conn.commit()
        with pytest.raises(StoreError, match=r"profile 2 .* altered"):
            snapshots.profiles(snapshots.get(1))
        with pytest.raises(StoreError, match=r"profile 2 .* altered"):
            snapshots.difference(snapshots.get(1), snapshots.get(3))
        assert not checks.check(database).ok

    def test_a_new_snapshot_does_not_inherit_them_in_silence(
        self, database: Database, snapshots: Snapshots
    ) -> None:
        database.conn.execute(
            "UPDATE profile_versions SET document = replace(document, 'Acme', 'Evil') WHERE id = 1"
        )
        database.conn.commit()
        with pytest.raises(StoreError, match="altered"):
            add(database, some(4), day=2)
        assert len(snapshots.all()) == 3
