"""The database opens where it is ours and unaltered, and is refused with a reason otherwise."""

import os
import sqlite3
import stat
import struct
import tempfile
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlite_utils import Database, Migrations

from oauthsync import database as module
from oauthsync import schema
from oauthsync.database import APPLICATION_ID, open_database, reading, writing
from oauthsync.errors import StoreError, UsageError
from oauthsync.snapshots import Snapshots
from tests.store import KILLED, add, dying_after, in_child, in_children, reopened, some, wait_for

NOBODY = 65534


@pytest.fixture
def kept(path: Path) -> Path:
    """A database with one snapshot of three profiles, closed again."""
    with open_database(path) as database:
        add(database, some(3))
    return path


def assert_kept(path: Path) -> None:
    """The snapshot of `kept` is there, whole, and the only one."""
    with reopened(path) as database:
        assert database.conn.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        (snapshot,) = Snapshots(database).all()
        assert Snapshots(database).profiles(snapshot) == some(3)


def alter(path: Path, *statements: str) -> None:
    """What somebody else did to the file."""
    connection = sqlite3.connect(path)
    with connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


class TestOpening:
    def test_a_new_database_is_ours_alone(self, path: Path) -> None:
        with open_database(path) as database:
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            (found,) = database.conn.execute("PRAGMA application_id").fetchone()
            assert found == APPLICATION_ID

    def test_so_is_the_journal_beside_it(self, path: Path) -> None:
        with open_database(path) as database, writing(database) as connection:
            connection.execute("INSERT INTO workspaces (name, url) VALUES ('a', 'b')")
            journal = path.with_name("oauthsync.db-journal")
            assert stat.S_IMODE(journal.stat().st_mode) == 0o600
        assert not journal.exists()

    def test_what_was_written_is_on_the_disk_when_a_transaction_has_ended(self, path: Path) -> None:
        with open_database(path) as database:
            (synchronous,) = database.conn.execute("PRAGMA synchronous").fetchone()
            (foreign_keys,) = database.conn.execute("PRAGMA foreign_keys").fetchone()
        assert (synchronous, foreign_keys) == (3, 1)  # 3: EXTRA

    def test_it_needs_no_memory_that_processes_share(self, path: Path) -> None:
        """Which a write-ahead log does, and a network file system does not give."""
        with open_database(path) as database:
            assert database.conn.execute("PRAGMA journal_mode").fetchone() == ("delete",)

    def test_one_that_is_not_there_is_created_only_where_that_is_wanted(self, path: Path) -> None:
        with pytest.raises(StoreError, match=r"no oauthsync\.db in") as raised:
            open_database(path, create=False)
        assert "oauthsync export" in str(raised.value.hint)
        assert not path.exists()

    def test_a_folder_that_is_not_there_is_no_folder_for_a_database(self, path: Path) -> None:
        with pytest.raises(StoreError, match=r"no oauthsync\.db in"):
            open_database(path.parent / "gone" / path.name)

    def test_a_folder_called_like_a_uri_is_a_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        folder = Path("file:a?mode=memory")
        folder.mkdir()
        open_database(folder / "oauthsync.db").close()
        assert (tmp_path / folder / "oauthsync.db").stat().st_size > 0

    def test_an_empty_file_has_lost_what_it_held(self, path: Path) -> None:
        """Not where it is to be created: another process may be about to fill it."""
        path.touch()
        with pytest.raises(StoreError, match=r"oauthsync\.db is empty"):
            open_database(path, create=False)
        with open_database(path) as database:
            assert Snapshots(database).all() == []

    def test_processes_that_create_it_at_once_get_the_same(self, path: Path) -> None:
        def take_one() -> None:
            with open_database(path) as database:
                add(database, some(3))

        assert in_children(*[take_one] * 6) == [0] * 6
        with reopened(path) as database:
            assert len(Snapshots(database).all()) == 6

    def test_an_old_sqlite_is_named(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "OLDEST_SQLITE", (99,))
        with pytest.raises(StoreError, match=sqlite3.sqlite_version):
            open_database(path)


class TestForeignFiles:
    def test_a_file_that_is_no_database_is_refused(self, path: Path) -> None:
        path.write_text("this is a letter, and no database\n" * 100)
        with pytest.raises(StoreError, match=r"oauthsync\.db: file is not a database") as raised:
            open_database(path)
        assert "copy" in str(raised.value.hint)
        assert path.read_text().startswith("this is a letter")

    def test_another_applications_database_is_refused_and_left_alone(self, path: Path) -> None:
        alter(path, "CREATE TABLE recipes (id INTEGER PRIMARY KEY)")
        before = path.read_bytes()
        with pytest.raises(StoreError, match="not one of oauthsync's"):
            open_database(path)
        assert path.read_bytes() == before

    def test_an_empty_database_of_another_application_is_refused(self, path: Path) -> None:
        alter(path, "PRAGMA application_id = 7")
        with pytest.raises(StoreError, match="not one of oauthsync's"):
            open_database(path)

    def test_a_database_in_another_encoding_is_none_of_ours(self, path: Path) -> None:
        alter(path, "PRAGMA encoding = 'UTF-16'", "CREATE TABLE t (id)", "DROP TABLE t")
        with pytest.raises(StoreError, match="not one of oauthsync's"):
            open_database(path)

    def test_a_symbolic_link_is_not_followed(self, kept: Path, tmp_path: Path) -> None:
        link = tmp_path / "link.db"
        link.symlink_to(kept)
        with pytest.raises(StoreError, match="symbolic link"):
            open_database(link)

    def test_a_dangling_link_is_not_followed(self, path: Path) -> None:
        path.symlink_to(path.parent / "elsewhere.db")
        with pytest.raises(StoreError, match="symbolic link"):
            open_database(path)
        assert not (path.parent / "elsewhere.db").exists()

    def test_a_folder_or_a_pipe_is_no_database(self, path: Path) -> None:
        path.mkdir()
        with pytest.raises(StoreError, match="not a file"):
            open_database(path)
        path.rmdir()
        os.mkfifo(path)
        with pytest.raises(StoreError, match="not a file"):
            open_database(path)

    def test_a_torn_file_is_refused_or_found_damaged(self, kept: Path) -> None:
        kept.write_bytes(kept.read_bytes()[:5000])
        with pytest.raises(StoreError), reopened(kept) as database:
            Snapshots(database).profiles(Snapshots(database).find("latest"))


class TestRebuiltFiles:
    """What people do to a database of theirs with other tools."""

    def test_vacuum_does_no_harm(self, kept: Path) -> None:
        connection = sqlite3.connect(kept)
        connection.execute("VACUUM")
        connection.close()
        assert_kept(kept)

    def test_a_dump_is_the_same_database_once_it_has_the_application_id(
        self, kept: Path, tmp_path: Path
    ) -> None:
        rebuilt = tmp_path / "rebuilt.db"
        source, target = sqlite3.connect(kept), sqlite3.connect(rebuilt)
        target.executescript("\n".join(source.iterdump()))
        source.close()
        with pytest.raises(StoreError, match="not one of oauthsync's"):
            reopened(rebuilt)
        target.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        target.close()
        assert_kept(rebuilt)


class TestVersions:
    def test_a_newer_versions_database_is_refused_before_it_is_changed(self, kept: Path) -> None:
        alter(
            kept,
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at)"
            " VALUES ('oauthsync', 'm999_of_the_future', 'then')",
        )
        before = kept.read_bytes()
        with pytest.raises(StoreError, match=r"newer oauthsync.*m999") as raised:
            open_database(kept)
        assert "upgrade" in str(raised.value.hint)
        assert kept.read_bytes() == before

    def test_an_older_versions_database_is_migrated(
        self, kept: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "migrations", _with_a_second_migration())
        with reopened(kept) as database:
            assert database["added_later"].exists()
        assert_kept(kept)

    def test_an_altered_one_is_not_migrated(
        self, kept: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        alter(kept, "ALTER TABLE workspaces ADD COLUMN note TEXT")
        before = kept.read_bytes()
        monkeypatch.setattr(module, "migrations", _with_a_second_migration())
        with pytest.raises(StoreError, match="altered: 'workspaces'"):
            reopened(kept)
        assert kept.read_bytes() == before

    def test_other_applications_migrations_are_their_own(self, kept: Path) -> None:
        alter(
            kept,
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at)"
            " VALUES ('my own', 'm001', 'then')",
        )
        assert_kept(kept)

    def test_killed_at_any_time_of_its_creation_it_is_created_the_next_time(
        self, path: Path
    ) -> None:
        for statements in range(0, 200, 4):
            status = in_child(partial(_open_and_die, path, statements))
            open_database(path).close()
            path.unlink()
            if status == 0:
                break
            assert status == KILLED
        assert status == 0
        assert statements > 20

    def test_killed_at_any_time_of_a_migration_the_earlier_backup_stands(
        self, kept: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(module, "migrations", _with_a_second_migration())
            for statements in range(200):
                status = in_child(partial(_open_and_die, kept, statements))
                if status == 0:
                    break
                assert status == KILLED
                with patch.context() as back:
                    back.setattr(module, "migrations", schema.migrations)
                    assert_kept(kept)
            assert status == 0
            assert_kept(kept)


def _with_a_second_migration() -> Migrations:
    migrations = Migrations("oauthsync")
    migrations()(schema.m001_snapshots_and_runs)

    @migrations()
    def m002_later(db: Database) -> None:
        db.conn.execute("CREATE TABLE added_later (id INTEGER PRIMARY KEY) STRICT")
        db.conn.execute("UPDATE workspaces SET url = url || '/'")

    return migrations


def _open_and_die(path: Path, statements: int) -> None:
    connect = sqlite3.connect

    def connect_and_die(*arguments: object, **options: object) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **options)  # type: ignore[call-overload]
        if arguments != (":memory:",):
            connection.set_trace_callback(dying_after(statements))
        return connection

    sqlite3.connect = connect_and_die  # type: ignore[assignment]
    open_database(path).close()


class TestHostileSchemas:
    """Who opens a database from somebody else runs nothing of theirs."""

    @pytest.mark.parametrize(
        "table", ["snapshots", "profile_versions", "runs", "calls", "_sqlite_migrations", "mine"]
    )
    def test_a_trigger_is_refused_on_any_table(self, kept: Path, table: str) -> None:
        alter(
            kept,
            "CREATE TABLE mine (id INTEGER)",
            f"CREATE TRIGGER evil AFTER INSERT ON {table} BEGIN DELETE FROM snapshots; END",
        )
        with pytest.raises(StoreError, match="altered: 'evil'"):
            open_database(kept)

    def test_a_trigger_does_not_run_in_the_migration_that_it_waits_for(self, path: Path) -> None:
        alter(
            path,
            f"PRAGMA application_id = {APPLICATION_ID}",
            "CREATE TABLE _sqlite_migrations (id INTEGER PRIMARY KEY, migration_set TEXT,"
            " name TEXT, applied_at TEXT)",
            "CREATE TABLE ran (id INTEGER)",
            "CREATE TRIGGER evil AFTER INSERT ON _sqlite_migrations"
            " BEGIN INSERT INTO ran VALUES (1); END",
        )
        with pytest.raises(StoreError, match="altered: 'evil'"):
            open_database(path)
        connection = sqlite3.connect(path)
        assert connection.execute("SELECT count(*) FROM ran").fetchone() == (0,)
        connection.close()

    @pytest.mark.parametrize(
        ("statements", "named"),
        [
            (["DROP VIEW latest_profiles", "CREATE VIEW latest_profiles AS SELECT 1"], "latest"),
            (["DROP INDEX lasting_versions"], "lasting_versions"),
            (
                ["DROP TABLE calls", "CREATE VIEW calls AS SELECT 1 AS id, 2 AS step_id"],
                "calls",
            ),
            (
                [
                    "ALTER TABLE profile_versions RENAME TO hidden",
                    "CREATE VIEW profile_versions AS SELECT * FROM hidden",
                ],
                "profile_versions",
            ),
            (["ALTER TABLE snapshots RENAME COLUMN digest TO digset"], "snapshots"),
            (["ALTER TABLE runs ADD COLUMN evil TEXT DEFAULT (load_extension('x'))"], "runs"),
            (["ALTER TABLE runs ADD COLUMN evil TEXT AS (report || state)"], "runs"),
        ],
    )
    def test_a_redefined_table_or_view_is_refused(
        self, kept: Path, statements: list[str], named: str
    ) -> None:
        alter(kept, *statements)
        with pytest.raises(StoreError, match=f"altered: .*{named}"):
            open_database(kept)

    def test_a_view_in_place_of_the_record_of_migrations_is_refused(self, kept: Path) -> None:
        alter(
            kept,
            "DROP TABLE _sqlite_migrations",
            "CREATE VIEW _sqlite_migrations AS SELECT 1 AS id, 'oauthsync' AS migration_set,"
            " 'm001_snapshots_and_runs' AS name, 'then' AS applied_at",
        )
        with pytest.raises(StoreError, match="altered: '_sqlite_migrations'"):
            open_database(kept)

    def test_a_name_with_terminal_escapes_is_shown_escaped(self, kept: Path) -> None:
        alter(
            kept,
            'CREATE TRIGGER "\x1b[2J\u202eevil" AFTER INSERT ON runs BEGIN SELECT 1; END',
        )
        with pytest.raises(StoreError) as raised:
            open_database(kept)
        assert "\x1b" not in str(raised.value)
        assert "\u202e" not in str(raised.value)

    def test_tables_indexes_and_views_of_ones_own_are_fine_and_never_read(self, kept: Path) -> None:
        alter(
            kept,
            "CREATE TABLE notes (profile_id INTEGER, note TEXT)",
            "CREATE INDEX names ON profile_versions(name)",
            "CREATE VIEW broken AS SELECT no_such_column FROM no_such_table",
            "CREATE VIEW evil AS SELECT load_extension('/tmp/evil.so') FROM profile_versions",
        )
        read: set[str | None] = set()

        def authorize(action: int, one: str | None, *_: object) -> int:
            if action == sqlite3.SQLITE_READ:
                read.add(one)
            return sqlite3.SQLITE_OK

        with reopened(kept) as database:
            database.conn.set_authorizer(authorize)
            add(database, some(4))
            snapshots = Snapshots(database)
            assert snapshots.profiles(snapshots.find("latest")) == some(4)
        assert read == {"workspaces", "snapshots", "profile_versions"}

    @pytest.mark.parametrize(
        "statement",
        [
            "CREATE TABLE _sqlite_migrations (id, migration_set, name AS (hex(id)), applied_at)",
            "CREATE VIRTUAL TABLE _sqlite_migrations USING fts4(id, migration_set, name)",
        ],
    )
    def test_a_record_of_migrations_that_computes_something_is_refused(
        self, kept: Path, statement: str
    ) -> None:
        alter(kept, "DROP TABLE _sqlite_migrations", statement)
        with pytest.raises(StoreError, match="altered: '_sqlite_migrations'"):
            open_database(kept)

    @pytest.mark.parametrize(
        ("statement", "use"),
        [
            ("CREATE VIEW evil AS SELECT act() AS a", "SELECT a FROM evil"),
            ("CREATE TABLE evil (id, a AS (act()))", "SELECT a FROM evil"),
            ("CREATE TABLE evil (id, a DEFAULT (act()))", "INSERT INTO evil (id) VALUES (1)"),
            ("CREATE TABLE evil (id CHECK (act()))", "INSERT INTO evil VALUES (1)"),
            ("CREATE INDEX evil ON workspaces(act())", "UPDATE workspaces SET name = 'x'"),
        ],
    )
    def test_the_schema_is_not_trusted_with_functions_that_do_something(
        self, kept: Path, monkeypatch: pytest.MonkeyPatch, statement: str, use: str
    ) -> None:
        """Be they SQLite's own, a plug-in's or, as here, those of this process."""
        connect = sqlite3.connect
        calls: list[int] = []

        def connect_with_function(*args: Any, **options: Any) -> sqlite3.Connection:
            connection: sqlite3.Connection = connect(*args, **options)
            connection.create_function("act", 0, lambda: calls.append(1), deterministic=True)
            return connection

        monkeypatch.setattr(sqlite3, "connect", connect_with_function)
        alter(kept, statement)
        calls.clear()
        with (
            pytest.raises((StoreError, sqlite3.Error), match="unsafe use of act"),
            reopened(kept) as database,
        ):
            database.conn.execute(use).fetchall()
        assert not calls

    def test_no_extension_can_be_loaded(self, kept: Path) -> None:
        with (
            reopened(kept) as database,
            pytest.raises(sqlite3.OperationalError, match="not authorized"),
        ):
            database.conn.execute("SELECT load_extension('/tmp/evil.so')")

    def test_a_row_beyond_all_reason_is_not_read(
        self, kept: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "MAX_ROW", 100_000)
        alter(kept, "UPDATE profile_versions SET document = zeroblob(100001) || document")
        with reopened(kept) as database, pytest.raises(StoreError, match="too big"):
            Snapshots(database).profiles(Snapshots(database).get(1))

    def test_cells_are_checked_when_a_page_is_read(self, kept: Path) -> None:
        with reopened(kept) as database:
            assert database.conn.execute("PRAGMA cell_size_check").fetchone() == (1,)

    def test_a_journal_that_names_another_file_does_not_delete_it(
        self, kept: Path, tmp_path: Path
    ) -> None:
        """Somebody else's folder can hold a journal, too, and SQLite does what that says."""
        precious = tmp_path / "precious"
        precious.write_text("not to be lost")
        journal = kept.with_name("oauthsync.db-journal")
        journal.write_bytes(_journal_naming(precious, pages=kept.stat().st_size // 4096))
        with pytest.raises(StoreError, match="names another file, which would be deleted"):
            open_database(kept)
        assert precious.exists()
        connection = sqlite3.connect(kept)
        connection.execute("SELECT * FROM snapshots").fetchall()
        connection.close()
        assert not precious.exists(), "no danger at all, or this is no journal"
        assert_kept(kept)

    @pytest.mark.parametrize("suffix", ["-journal", "-wal", "-shm"])
    def test_a_link_in_place_of_a_file_beside_the_database_is_not_written_through(
        self, kept: Path, tmp_path: Path, suffix: str
    ) -> None:
        if suffix == "-shm":
            alter(kept, "PRAGMA journal_mode = WAL")
        precious = tmp_path / "precious"
        precious.write_text("not to be lost")
        link = tmp_path / f"oauthsync.db{suffix}"
        link.symlink_to(precious)
        with pytest.raises(StoreError, match="unable to open"):
            reopened(kept)
        assert precious.read_text() == "not to be lost"
        link.unlink()
        assert_kept(kept)

    def test_nothing_can_be_attached(self, kept: Path, tmp_path: Path) -> None:
        with reopened(kept) as database:
            with pytest.raises(sqlite3.OperationalError, match="attached databases"):
                database.conn.execute(f"ATTACH '{tmp_path}/other.db' AS other")
            assert not (tmp_path / "other.db").exists()


def _journal_naming(other: Path, pages: int) -> bytes:
    """A rollback journal that restores nothing, and belongs to another one."""
    start, end = bytes.fromhex("d9d505f920a163d7"), bytes.fromhex("d9d505f920a163d7")
    header = (start + struct.pack(">IIIII", 0, 0, pages, 512, 4096)).ljust(512, b"\0")
    name = str(other).encode()
    page_of_locks = struct.pack(">I", 0x40000000 // 4096 + 1)
    return header + page_of_locks + name + struct.pack(">II", len(name), sum(name)) + end


class TestTransactions:
    def test_an_error_undoes_all_of_it(self, kept: Path) -> None:
        with reopened(kept) as database:
            with pytest.raises(ZeroDivisionError):
                _rename_and_fail(database)
            assert not database.conn.in_transaction
        assert_kept(kept)

    def test_a_rehearsal_undoes_all_of_it(self, kept: Path) -> None:
        with reopened(kept) as database, writing(database, keep=False) as connection:
            connection.execute("UPDATE workspaces SET name = 'other'")
        assert_kept(kept)

    def test_a_name_that_is_not_utf8_is_a_usage_error(self, kept: Path) -> None:
        with reopened(kept) as database, pytest.raises(UsageError, match="not UTF-8"):
            Snapshots(database).find("latest", "caf\udce9")

    def test_a_number_of_more_than_64_bits_is_a_usage_error(self, kept: Path) -> None:
        with reopened(kept) as database, pytest.raises(UsageError, match="64 bits"):
            Snapshots(database).get(10**20)

    def test_sqlites_own_errors_leave_as_ours(self, kept: Path) -> None:
        with (
            reopened(kept) as database,
            pytest.raises(StoreError, match="no such table"),
            reading(database) as connection,
        ):
            connection.execute("SELECT * FROM no_such_table")

    def test_threads_take_turns(self, path: Path) -> None:
        with open_database(path) as database:

            def add_some(workspace: str) -> None:
                for day in range(5):
                    add(database, some(day + 1), workspace=workspace, day=day)
                    Snapshots(database).all()

            threads = [threading.Thread(target=add_some, args=(name,)) for name in "abcd"]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert len(Snapshots(database).all()) == 20


def _rename_and_fail(database: Database) -> None:
    with writing(database) as connection:
        connection.execute("UPDATE workspaces SET name = 'other'")
        raise ZeroDivisionError


class TestTrouble:
    """After each of these the earlier backup still opens."""

    @pytest.fixture(autouse=True)
    def _impatience(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "BUSY_SECONDS", 0.05)

    def test_a_database_that_another_process_writes_to_is_busy(self, kept: Path) -> None:
        ready, done = kept.with_name("ready"), kept.with_name("done")

        def hold() -> None:
            with reopened(kept) as database, writing(database) as connection:
                connection.execute("UPDATE workspaces SET name = 'other'")
                ready.touch()
                wait_for(done)
                raise SystemExit

        child = threading.Thread(target=in_child, args=(hold,))
        child.start()
        wait_for(ready)
        try:
            with reopened(kept) as database, pytest.raises(StoreError, match="locked") as raised:
                add(database, some(4))
            assert "another process" in str(raised.value.hint)
            with reopened(kept) as database:
                assert [each.workspace for each in Snapshots(database).all()] == ["dev"]
        finally:
            done.touch()
            child.join()
        assert_kept(kept)

    def test_opening_it_again_does_not_drop_the_lock_of_this_process(self, kept: Path) -> None:
        """Closing any descriptor of a file drops a process's locks on it (fcntl(2))."""

        def fail_to_write() -> None:
            with reopened(kept) as database, pytest.raises(StoreError, match="locked"):
                add(database, some(4))

        with reopened(kept) as database, writing(database) as connection:
            connection.execute("UPDATE workspaces SET name = 'other'")
            reopened(kept).close()
            assert in_child(fail_to_write) == 0

    def test_a_full_disk_costs_the_new_snapshot_only(self, kept: Path) -> None:
        with reopened(kept) as database:
            (pages,) = database.conn.execute("PRAGMA page_count").fetchone()
            database.conn.execute(f"PRAGMA max_page_count = {pages + 2}")
            with pytest.raises(StoreError, match="full") as raised:
                add(database, some(500))
            assert "free some space" in str(raised.value.hint)
            assert len(Snapshots(database).all()) == 1
        assert_kept(kept)

    def test_a_file_that_may_not_grow_costs_the_new_snapshot_only(self, kept: Path) -> None:
        import resource

        def add_within_limit() -> None:
            limit = kept.stat().st_size + 8192
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            with reopened(kept) as database, pytest.raises(StoreError) as raised:
                add(database, some(2000))
            assert raised.value.hint

        assert in_child(add_within_limit) == 0
        assert_kept(kept)

    def test_a_write_ahead_log_that_was_left_behind_is_read(self, kept: Path) -> None:
        """Somebody switched to WAL, and a process died with its last snapshot in the log."""
        alter(kept, "PRAGMA journal_mode = WAL")

        def add_and_die() -> None:
            database = reopened(kept)
            add(database, some(4))
            os._exit(KILLED)

        assert in_child(add_and_die) == KILLED
        assert kept.with_name("oauthsync.db-wal").stat().st_size > 0
        with reopened(kept) as database:
            newest, oldest = Snapshots(database).all()
            assert Snapshots(database).profiles(newest) == some(4)
            assert Snapshots(database).profiles(oldest) == some(3)

    @pytest.mark.parametrize("mode", [0o444, 0o666])
    def test_a_read_only_folder_can_be_read(self, open_folder: Path, mode: int) -> None:
        path = open_folder / "oauthsync.db"
        with open_database(path) as database:
            add(database, some(3))
        path.chmod(mode)
        open_folder.chmod(0o555)

        def read_and_fail_to_write() -> None:
            _become_nobody()
            assert_kept(path)
            with reopened(path) as database, pytest.raises(StoreError) as raised:
                add(database, some(4))
            assert "owner and mode" in str(raised.value.hint)

        assert in_child(read_and_fail_to_write) == 0
        assert_kept(path)

    def test_a_read_only_folder_gets_no_database(self, open_folder: Path) -> None:
        open_folder.chmod(0o555)

        def fail_to_create() -> None:
            _become_nobody()
            with pytest.raises(StoreError, match="Permission denied"):
                open_database(open_folder / "oauthsync.db")

        assert in_child(fail_to_create) == 0

    def test_a_file_of_somebody_else_is_refused(self, open_folder: Path) -> None:
        path = open_folder / "oauthsync.db"
        open_database(path).close()
        path.chmod(0o000)

        def fail_to_open() -> None:
            _become_nobody()
            with pytest.raises(StoreError, match="unable to open") as raised:
                reopened(path)
            assert "owner and mode" in str(raised.value.hint)

        assert in_child(fail_to_open) == 0

    def test_a_folder_that_vanishes_is_no_crash(self, tmp_path: Path) -> None:
        folder = tmp_path / "backup"
        folder.mkdir()
        with open_database(folder / "oauthsync.db") as database:
            add(database, some(3))
            (folder / "oauthsync.db").unlink()
            folder.rmdir()
            with pytest.raises(StoreError):
                add(database, some(4))


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users can reach, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
        folder.chmod(0o755)


def _become_nobody() -> None:
    """Root may write anywhere, whatever the mode says."""
    if os.geteuid() == 0:
        os.setresuid(NOBODY, NOBODY, NOBODY)


def test_every_foreign_key_has_an_index(path: Path) -> None:
    with open_database(path) as database:
        for table in database.tables:
            for key in table.foreign_keys:
                assert any(index.columns[0] == key.column for index in table.indexes), key


def test_every_table_is_strict(path: Path) -> None:
    with open_database(path) as database:
        ours = [table for table in database.tables if not table.name.startswith(("_", "sqlite_"))]
        assert len(ours) == 6
        assert all(table.strict for table in ours)
