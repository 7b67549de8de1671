"""A file that a person writes is read strictly, and never quoted."""

import os
from pathlib import Path

import pytest

from oauthsync.errors import UsageError
from oauthsync.files import read_regular
from oauthsync.strictjson import Fraction
from oauthsync.tables import MAX_FILE_SIZE, Table, read_toml, suggestion


def table(tmp_path: Path, text: str) -> Table:
    path = tmp_path / "x.toml"
    path.write_text(text)
    root = read_toml(path)
    assert root is not None
    return root


def test_a_file_that_is_not_there_is_none(tmp_path: Path) -> None:
    assert read_toml(tmp_path / "x.toml") is None


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real.toml").write_text("a = 'b'")
    (tmp_path / "x.toml").symlink_to("real.toml")
    root = read_toml(tmp_path / "x.toml")
    assert root is not None
    assert root.text("a") == "b"


def test_a_link_to_nothing_is_an_error_and_not_an_absent_file(tmp_path: Path) -> None:
    (tmp_path / "x.toml").symlink_to("missing.toml")
    with pytest.raises(UsageError, match=r"x\.toml is a symbolic link to nothing"):
        read_toml(tmp_path / "x.toml")


def test_a_folder_in_place_of_the_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.toml").mkdir()
    with pytest.raises(UsageError, match=r"cannot read .*x\.toml: it is not a regular file"):
        read_toml(tmp_path / "x.toml")


def test_a_file_in_place_of_the_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("")
    with pytest.raises(UsageError, match="Not a directory"):
        read_toml(tmp_path / "folder" / "x.toml")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"a = 'b'\nc = canary\n", "line 2"),
        (b"a = 1\na = 2\n", "line 2"),
        (b"a = '\xff canary'", "not UTF-8"),
        (b"a = " + b"9" * 5000, "beyond all bounds"),
        (b"a = " + b"[" * 50_000, "beyond all bounds"),
    ],
)
def test_what_is_not_toml_is_refused_by_place_and_never_quoted(
    tmp_path: Path, content: bytes, why: str
) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        read_toml(path)
    assert str(path) in str(caught.value)
    assert why in str(caught.value)
    assert "canary" not in f"{caught.value} {caught.value.hint}"


def test_a_file_over_the_limit_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text("#" * (MAX_FILE_SIZE + 1))
    with pytest.raises(UsageError, match="larger than"):
        read_toml(tmp_path / "x.toml")
    (tmp_path / "x.toml").write_text("#" * MAX_FILE_SIZE)
    assert read_toml(tmp_path / "x.toml") is not None


def test_an_error_of_a_read_does_not_hold_the_path(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="not a regular file") as caught:
        read_regular(tmp_path, limit=10)
    assert str(tmp_path) not in str(caught.value)


def test_a_file_of_the_kernel_that_has_nothing_to_give_yet_is_an_error() -> None:
    log = Path("/proc/kmsg")
    if not os.access(log, os.R_OK):
        pytest.skip("the kernel's log cannot be read here")
    with pytest.raises(OSError, match="Resource temporarily unavailable"):
        read_regular(log, limit=1 << 26)


def test_an_unknown_key_is_refused_with_the_nearest_known_one(tmp_path: Path) -> None:
    inner = table(tmp_path, "[workspaces.'a b']\ntokn_env = 'X'").table("workspaces").table("a b")
    with pytest.raises(UsageError) as caught:
        inner.check_keys(("url", "token_env"), secret_advice="no")
    expected = f"workspaces.'a b'.tokn_env in {tmp_path}/x.toml is not a key that oauthsync knows"
    assert str(caught.value) == expected
    assert caught.value.hint == "did you mean token_env?"


@pytest.mark.parametrize("key", ["token", "api-token", "Client_Secret", "password", "api_key"])
def test_a_key_that_looks_like_a_secret_gets_the_advice(tmp_path: Path, key: str) -> None:
    with pytest.raises(UsageError) as caught:
        table(tmp_path, f"{key} = 'canary'").check_keys(("token_env",), secret_advice="advice")
    assert caught.value.hint == "advice"
    assert "canary" not in str(caught.value)


def test_two_keys_that_exclude_each_other_are_refused(tmp_path: Path) -> None:
    inner = table(tmp_path, "[a]\nx = '1'\nz = '2'").table("a")
    assert inner.only_one("x", "y") == "x"
    assert inner.only_one("y") is None
    with pytest.raises(UsageError, match=r"^a in .*x\.toml has both x and z$"):
        inner.only_one("x", "y", "z")


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("1", "is a number"),
        ("1.5", "is a number"),
        ("true", "is a boolean"),
        ("['canary']", "is an array"),
        ("{canary = 1}", "is a table"),
        ("2026-11-23", "is a date or time"),
        ("''", "is empty"),
        ('"canary\\u0000"', "control character"),
        ('"canary\\u009b"', "control character"),
        ("'''canary\ncanary'''", "control character"),
    ],
)
def test_a_text_is_one_line_of_string(tmp_path: Path, value: str, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        table(tmp_path, f"key = {value}").text("key")
    assert f"key in {tmp_path}/x.toml" in str(caught.value)
    assert why in str(caught.value)
    assert "canary" not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize(("value", "why"), [(None, "is null"), (Fraction("1.5"), "is a number")])
def test_what_json_has_and_toml_has_not_is_named_too(value: object, why: str) -> None:
    with pytest.raises(UsageError, match=f"key in plan.json {why}"):
        Table(Path("plan.json"), (), {"key": value}).table("key")


@pytest.mark.parametrize("value", ["'age1canary'", "['age1', 2]", "['']", "{}"])
def test_texts_are_an_array_of_strings(tmp_path: Path, value: str) -> None:
    with pytest.raises(UsageError, match="key in ") as caught:
        table(tmp_path, f"key = {value}").texts("key")
    assert "canary" not in str(caught.value)


def test_what_is_absent_is_none_empty_or_the_default(tmp_path: Path) -> None:
    root = table(tmp_path, "")
    assert root.text("key") is None
    assert root.texts("key") == ()
    assert root.number("key", 40.0, limit=50) == 40
    assert root.whole_number("key", 60, limit=100) == 60
    assert not root.table("key").values


@pytest.mark.parametrize("value", ["0", "-1", "51", "nan", "inf", "-inf", "true", "'4'", "[4]"])
def test_a_number_is_above_zero_and_within_its_limit(tmp_path: Path, value: str) -> None:
    with pytest.raises(UsageError, match="key in "):
        table(tmp_path, f"key = {value}").number("key", 4, limit=50)


def test_a_whole_number_has_no_fraction(tmp_path: Path) -> None:
    assert table(tmp_path, "key = 50").whole_number("key", 4, limit=50) == 50
    with pytest.raises(UsageError, match="not whole"):
        table(tmp_path, "key = 4.5").whole_number("key", 4, limit=50)


@pytest.mark.parametrize("value", ["'x'", "[]", "[{}]", "1"])
def test_a_table_is_a_table(tmp_path: Path, value: str) -> None:
    with pytest.raises(UsageError, match="key in "):
        table(tmp_path, f"key = {value}").table("key")


def test_a_suggestion_is_the_nearest_word_or_all() -> None:
    assert suggestion("porod", ("dev", "prod")) == "did you mean prod?"
    assert suggestion("PROD", ("dev", "prod")) == "did you mean prod?"
    assert suggestion("x", ("dev", "prod")) == "known are: dev, prod"
