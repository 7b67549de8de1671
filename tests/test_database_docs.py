"""What docs/database.md says about the database is so."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlite_utils import Database

from oauthsync.database import APPLICATION_ID, open_database
from oauthsync.snapshots import Snapshots
from tests.store import add, profile, replaced, some

PAGE = (Path(__file__).parent.parent / "docs" / "database.md").read_text(encoding="utf-8")
QUERIES = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
TABLES = dict(re.findall(r"^### (\w+)\n(.*?)(?=^#)", PAGE, re.DOTALL | re.MULTILINE))


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """Three exports and a safety snapshot, with all that the queries ask for."""
    shared = profile(4, provider="slack", data={"client_id": "client-000001", "scopes": ["a"]})
    with open_database(tmp_path_factory.mktemp("docs") / "oauthsync.db") as database:
        add(database, replaced(some(6), shared))
        add(database, some(3), workspace="prod")
        changed = replaced(some(6)[1:], shared, profile(2, data={"client_id": "another"}))
        add(database, changed, kind="safety")
        add(database, changed, day=1)
        yield database


def test_there_are_queries_to_try() -> None:
    assert len(QUERIES) >= 8


@pytest.mark.parametrize("query", QUERIES)
def test_every_query_finds_something(database: Database, query: str) -> None:
    assert database.conn.execute(query).fetchall()


def test_the_query_for_what_is_gone_names_the_last_export_that_had_it(database: Database) -> None:
    (query,) = [each for each in QUERIES if "last_export" in each]
    assert database.conn.execute(query).fetchall() == [("dev", 1, "slack", "Acme app 1", 1)]


def test_every_table_is_described_with_all_its_columns(database: Database) -> None:
    described = {
        name: {
            column
            for row in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
            for column in re.findall(r"`(\w+)`", row)
        }
        for name, text in TABLES.items()
    }
    assert described == {
        table.name: set(table.columns_dict)
        for table in database.tables
        if not table.name.startswith(("_", "sqlite_"))
    }


def test_the_digest_can_be_recomputed_by_other_tools(database: Database) -> None:
    (query,) = re.findall(r'sqlite3 oauthsync\.db "(.*?)" \| sha256sum', PAGE, re.DOTALL)
    for snapshot in Snapshots(database).all("dev"):
        rows = database.conn.execute(query.replace("3", str(snapshot.id)))
        output = "".join(f"{line}\n" for (line,) in rows)
        assert snapshot.digest == f"sha256:{hashlib.sha256(output.encode()).hexdigest()}"


def test_a_rebuilt_file_is_recognised_by_the_number_that_is_given() -> None:
    assert f"PRAGMA application_id = {APPLICATION_ID};" in PAGE


def test_the_latest_profiles_are_those_of_the_latest_exports(database: Database) -> None:
    rows = database.conn.execute("SELECT workspace, snapshot_id, profile_id FROM latest_profiles")
    assert sorted(rows) == sorted(
        [("dev", 4, number) for number in range(2, 7)] + [("prod", 2, n) for n in (1, 2, 3)]
    )
