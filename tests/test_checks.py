"""`check` tells what is whole, what is damaged, and what could be restored."""

import os
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlite_utils import Database

from oauthsync import database as module
from oauthsync.checks import SnapshotCheck, check, vanished
from oauthsync.database import writing
from oauthsync.errors import StoreError
from oauthsync.snapshots import Snapshots
from oauthsync.strictjson import Json
from tests.store import add, in_memory, profile, reopened, replaced, some


def execute(database: Database, *statements: str) -> None:
    """What somebody did to the rows, whatever the constraints say."""
    database.conn.execute("PRAGMA foreign_keys = OFF")
    database.conn.execute("PRAGMA ignore_check_constraints = ON")
    for statement in statements:
        assert database.conn.execute(statement).rowcount == 1
    database.conn.commit()


HISTORIES = st.lists(
    st.tuples(
        st.sampled_from(["dev", "prod"]), st.dictionaries(st.integers(1, 4), st.integers(0, 1))
    ),
    max_size=6,
)
"""Workspaces, and what they had when they were exported: the ids, and a version of each."""


class TestVanished:
    @settings(max_examples=30, deadline=None)
    @given(HISTORIES)
    def test_it_is_what_earlier_snapshots_have_and_the_newest_has_not(
        self, history: list[tuple[str, dict[int, int]]]
    ) -> None:
        with in_memory() as database:
            for workspace, held in history:
                found = [profile(each, use=version) for each, version in sorted(held.items())]
                add(database, found, workspace=workspace)
            result = {
                (each.workspace, each.id, number)
                for each in vanished(database)
                for number, (workspace, _) in enumerate(history, 1)
                if workspace == each.workspace and each.is_in(number)
            }
        newest = dict(history)
        assert result == {
            (workspace, each, number)
            for number, (workspace, held) in enumerate(history, 1)
            for each in held
            if each not in newest[workspace]
        }

    def test_it_is_called_what_it_was_called_last(self, database: Database) -> None:
        add(database, [profile(1, name="old", provider="slack")])
        add(database, [profile(1, name="new", provider="jira")])
        add(database, [])
        [found] = vanished(database)
        assert (found.provider, found.name) == ("jira", "new")

    def test_what_was_created_again_has_not_vanished(self, database: Database) -> None:
        same: dict[str, Json] = {"name": "Acme", "provider": "slack"}
        for fields in ({**same, "data": {"client_id": "app"}}, {**same, "data": None}):
            add(database, [profile(1, **fields)])
            add(database, [profile(2, **fields)])
            assert vanished(database) == []
        add(database, [profile(2, **fields)], workspace="prod")
        add(database, [])
        assert [(each.workspace, each.id) for each in vanished(database)] == [("dev", 2)]

    def test_of_twins_as_many_have_not_vanished_as_were_created_again(
        self, database: Database
    ) -> None:
        same: dict[str, Json] = {"name": "Acme", "provider": "slack", "data": None}
        twins = [profile(number, **same) for number in range(1, 7)]
        add(database, twins[:3])
        add(database, twins[:1])
        assert [each.id for each in vanished(database)] == [2, 3]
        add(database, [*twins[:1], twins[3]])
        assert [each.id for each in vanished(database)] == [3]
        add(database, twins[3:5])
        assert [each.id for each in vanished(database)] == [3]
        add(database, twins[3:])
        assert vanished(database) == []

    def test_a_namesake_that_was_there_before_does_not_stand_for_what_vanished(
        self, database: Database
    ) -> None:
        same: dict[str, Json] = {"name": "Acme", "provider": "slack", "data": None}
        add(database, [profile(1, **same), profile(2, **same)])
        add(database, [profile(2, **same)])
        add(database, [profile(2, use=1, **same)])
        assert [each.id for each in vanished(database)] == [1]


class TestWhole:
    def test_an_empty_database_is_whole(self, database: Database) -> None:
        found = check(database)
        assert found.ok
        assert found.snapshots == ()

    def test_what_could_be_restored_is_counted_for_each_snapshot(self, database: Database) -> None:
        without = profile(9, data=None)
        add(database, some(4))
        add(database, some(2), workspace="prod")
        add(database, [*replaced(some(4), profile(2, data={"client_id": "new"})), without])
        apps = {("slack", "client-000001"), ("slack", "client-000004"), ("jira", "new")}
        found = check(database, apps)
        assert found.ok
        assert found.snapshots == (
            SnapshotCheck(3, ok=True, restorable=3, missing=2),
            SnapshotCheck(2, ok=True, restorable=1, missing=1),
            SnapshotCheck(1, ok=True, restorable=2, missing=2),
        )

    @settings(max_examples=30, deadline=None)
    @given(HISTORIES)
    def test_any_history_is_whole_and_counted(
        self, history: list[tuple[str, dict[int, int]]]
    ) -> None:
        with in_memory() as database:
            for workspace, state in history:
                found = [profile(n, data={"client_id": f"{state[n]}"}) for n in sorted(state)]
                add(database, found, workspace=workspace)
            apps = {(profile(n).provider, "1") for n in range(1, 5)}
            checked = check(database, apps)
            assert checked.ok
            assert [(each.restorable, each.missing) for each in reversed(checked.snapshots)] == [
                (sum(state.values()), len(state) - sum(state.values())) for _, state in history
            ]


class TestDamage:
    @pytest.fixture(autouse=True)
    def _history(self, database: Database) -> None:
        """1: dev; 2: prod; 3: dev, with another name for profile 2."""
        add(database, some(4))
        add(database, some(5), workspace="prod")
        add(database, replaced(some(4), profile(2, name="New")))

    def damaged(self, database: Database) -> set[int]:
        found = check(database)
        assert not found.ok
        assert found.problems
        return {each.id for each in found.snapshots if not each.ok}

    @pytest.mark.parametrize(
        "change",
        [
            "profile_id = 99",
            "digest = ''",
            "provider = 'evil'",
            "name = 'evil'",
            "client_id = NULL",
            "shared_accounts_count = 0 WHERE id = 2 AND shared_accounts_count = 2 OR 0",
            "oem_customers_count = 7",
        ],
    )
    def test_a_column_that_does_not_match_its_document_is_found(
        self, database: Database, change: str
    ) -> None:
        where = "" if "WHERE" in change else " WHERE id = 2"
        execute(database, f"UPDATE profile_versions SET {change}{where}")
        assert self.damaged(database) == {1}
        (problem,) = [each for each in check(database).problems if each.startswith("profile")]
        assert "as of snapshot 1" in problem

    def test_a_version_with_the_same_columns_and_another_document_is_found(
        self, database: Database
    ) -> None:
        evil = profile(1, scopes=["all"])
        execute(
            database,
            f"UPDATE profile_versions SET document = '{evil.document.decode()}',"
            f" digest = '{evil.digest}' WHERE id = 1",
        )
        assert self.damaged(database) == {1, 3}
        found = check(database, {("slack", f"client-{n:06}") for n in range(10)})
        assert [(each.id, each.restorable > 0) for each in found.snapshots] == [
            (3, False),
            (2, True),
            (1, False),
        ]
        assert check(database).problems == (
            "snapshot 1: its profiles do not match its digest",
            "snapshot 3: its profiles do not match its digest",
        )

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE profile_versions SET name = CAST(x'ff' AS TEXT) WHERE id = 2",
            "UPDATE snapshots SET digest = CAST(x'ff' AS TEXT) WHERE id = 1",
        ],
    )
    def test_a_text_that_is_not_utf8_is_found(self, database: Database, statement: str) -> None:
        execute(database, statement)
        assert not check(database).ok
        assert any("decode" in each for each in check(database).problems)

    def test_two_versions_of_a_profile_in_one_snapshot_are_found(self, database: Database) -> None:
        execute(database, "UPDATE profile_versions SET end_snapshot = 4 WHERE id = 2")
        assert self.damaged(database) == {3}

    def test_a_row_that_refers_to_nothing_is_found(self, database: Database) -> None:
        execute(database, "UPDATE profile_versions SET end_snapshot = 99 WHERE id = 1")
        assert any("refers to a row of snapshots" in each for each in check(database).problems)

    def test_a_row_of_ones_own_that_refers_to_nothing_is_no_damage(
        self, database: Database
    ) -> None:
        database.conn.execute("CREATE TABLE mine (profile REFERENCES profile_versions(id))")
        database.conn.execute("CREATE TABLE wrong (name REFERENCES snapshots(taken_at))")
        execute(database, "INSERT INTO mine VALUES (99)", "INSERT INTO wrong VALUES ('x')")
        assert check(database).ok

    def test_values_of_other_types_are_found_and_do_no_harm(
        self, path: Path, database: Database
    ) -> None:
        """STRICT tables hold their types, unless somebody takes the word out for a moment."""
        database.close()
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA writable_schema = ON")
        (before,) = connection.execute("PRAGMA schema_version").fetchone()
        connection.execute("UPDATE sqlite_master SET sql = replace(sql, ') STRICT', ')')")
        connection.execute(f"PRAGMA schema_version = {before + 1}")
        connection.commit()
        connection.close()
        connection = sqlite3.connect(path)
        connection.execute(
            "UPDATE profile_versions SET profile_id = 'x', end_snapshot = 'y', name = x'00',"
            " digest = 7 WHERE id = 2"
        )
        connection.execute("UPDATE snapshots SET profiles = 'many', digest = x'ff' WHERE id = 2")
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(
            "UPDATE sqlite_master SET sql = sql || ' STRICT'"
            " WHERE type = 'table' AND name IN ('workspaces', 'snapshots', 'profile_versions',"
            " 'runs', 'steps', 'calls')"
        )
        connection.execute(f"PRAGMA schema_version = {before + 2}")
        connection.commit()
        connection.close()
        with reopened(path) as database:
            assert self.damaged(database) >= {1, 2}
            assert any(each.startswith("SQLite: ") for each in check(database).problems)
            for snapshot in Snapshots(database).all()[1:]:
                with pytest.raises(StoreError, match="altered or damaged"):
                    Snapshots(database).profiles(snapshot)

    def test_an_index_that_does_not_match_its_table_is_found(
        self, path: Path, database: Database
    ) -> None:
        (root,) = database.conn.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'versions_by_first_snapshot'"
        ).fetchone()
        database.close()
        with path.open("r+b") as file:
            # The number of cells on the index's only page, one less than it has.
            file.seek((root - 1) * 4096 + 3)
            (cells,) = file.read(2)[1:]
            file.seek((root - 1) * 4096 + 3)
            file.write(bytes([0, cells - 1]))
        with reopened(path) as database:
            found = check(database)
        assert not found.ok
        assert any(each.startswith("SQLite: ") for each in found.problems)

    def test_a_page_of_noise_costs_the_snapshots_that_are_on_it(
        self, path: Path, database: Database
    ) -> None:
        add(database, some(500), workspace="large")
        database.close()
        content = path.read_bytes()
        page = content.index(b"client-000500") // 4096
        with path.open("r+b") as file:
            file.seek(page * 4096)
            file.write(os.urandom(4096))
        with reopened(path) as database:
            found = check(database)
        assert not found.ok
        assert [each.ok for each in found.snapshots] == [False, True, True, True]

    def test_a_file_of_noise_is_damage_and_no_crash(self, path: Path, database: Database) -> None:
        schema = path.stat().st_size
        add(database, some(500), workspace="large")
        database.close()
        with path.open("r+b") as file:
            file.seek(schema)
            file.write(os.urandom(path.stat().st_size - schema))
        with reopened(path) as database:
            found = check(database)
        assert not found.ok
        assert len(found.snapshots) == 4


class TestTrouble:
    def test_a_busy_database_is_no_damage(
        self, path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        add(database, some(3))
        monkeypatch.setattr(module, "BUSY_SECONDS", 0.05)
        with reopened(path) as other:
            with writing(database) as connection:
                connection.execute("PRAGMA cache_size = 1")
                add_many = [
                    (1, 1, n, "", "", "", "x" * 3000) for n in range(10, 60)
                ]  # spilled to the file, which takes the exclusive lock
                connection.executemany(
                    "INSERT INTO profile_versions (workspace_id, first_snapshot, profile_id,"
                    " digest, provider, name, document) VALUES (?, ?, ?, ?, ?, ?, ?)",
                    add_many,
                )
                with pytest.raises(StoreError, match="locked"):
                    check(other)
                connection.execute("DELETE FROM profile_versions WHERE profile_id >= 10")
            assert check(other).ok

    def test_it_writes_nothing(self, path: Path, database: Database) -> None:
        add(database, some(3))
        before = path.read_bytes()
        assert check(database).ok
        assert not database.conn.in_transaction
        assert path.read_bytes() == before
