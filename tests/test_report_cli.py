"""`oauthsync report`: where the page goes, and what is never overwritten."""

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oauthsync.cli import main
from tests.report_folder import Folder, environment, report_folder


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    with report_folder(tmp_path / "folder") as made:
        yield made


def oauthsync(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.fixture
def reported(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """A folder with an export and a secret, which the command's environment opens."""
    folder.dev.create("hubspot", "Acme", "app")
    folder.file_secret("hubspot", "app")
    folder.export()
    for name, value in environment(folder.path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OAUTHSYNC_DIR", str(folder.path))
    return folder


def test_the_command_writes_a_private_file_and_replaces_an_old_one(
    reported: Folder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "report.html"
    output.touch()
    for _ in "an empty file", "an earlier page":
        assert oauthsync("report", "-o", str(output)) == 0
        assert output.read_text("utf-8").startswith("<!DOCTYPE html>")
    assert stat.S_IMODE(output.stat().st_mode) == 0o600
    assert str(output) in capsys.readouterr().out


def test_the_command_says_in_json_what_the_page_says(
    reported: Folder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "report.html"
    assert oauthsync("report", "-o", str(output), "--json") == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert document == {
        "output": str(output),
        "sidecar": "open",
        "workspaces": [
            {"workspace": "dev", "snapshots": 1, "profiles": 1, "restorable": 1, "missing": 0},
            {
                "workspace": "prod",
                "snapshots": 0,
                "profiles": None,
                "restorable": None,
                "missing": None,
            },
        ],
        "to_repoint": 0,
    }


def test_a_dash_writes_the_page_to_stdout_alone(
    reported: Folder, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(reported.path)
    assert oauthsync("report", "-o", "-") == 0
    shown = capfdbinary.readouterr()
    assert shown.out.startswith(b"<!DOCTYPE html>")
    assert shown.out.endswith(b"</html>\n")
    assert shown.err == b""
    assert not (reported.path / "-").exists()


def test_a_sidecar_that_nobody_opens_is_a_warning_and_the_page_is_written(
    reported: Folder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("OAUTHSYNC_IDENTITY")
    output = tmp_path / "report.html"
    assert oauthsync("report", "-o", str(output)) == 0
    assert "warning: the page lacks what the sidecar knows" in capsys.readouterr().err
    assert "The sidecar did not open" in output.read_text("utf-8")


@pytest.mark.parametrize(
    "name",
    ["oauthsync.db", "oauthsync.db-wal", "oauthsync.toml", "secrets.age", "secrets.age.prev"],
)
def test_the_backup_s_own_files_are_never_overwritten(
    reported: Folder, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {each: each.read_bytes() for each in reported.path.iterdir() if each.is_file()}
    assert oauthsync("report", "-o", str(reported.path / "." / name)) == 1
    assert "is a file of the backup itself" in capsys.readouterr().err
    assert {each: each.read_bytes() for each in reported.path.iterdir() if each.is_file()} == before


def test_a_file_that_is_no_page_is_never_overwritten(
    reported: Folder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "key.txt"
    output.write_text("AGE-SECRET-KEY-1")
    assert oauthsync("report", "-o", str(output)) == 1
    assert f"{output} is there already, and is no page of oauthsync" in capsys.readouterr().err
    assert output.read_text() == "AGE-SECRET-KEY-1"


def test_what_is_no_regular_file_is_left_alone(reported: Folder, tmp_path: Path) -> None:
    folder, link = tmp_path / "a-folder", tmp_path / "link"
    folder.mkdir()
    link.symlink_to(tmp_path / "elsewhere")
    for path in (folder, link, Path("/dev/null")):
        assert oauthsync("report", "-o", str(path)) == 1
    assert folder.is_dir()
    assert link.is_symlink()
    assert not (tmp_path / "elsewhere").exists()
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_json_and_the_page_cannot_both_have_stdout(reported: Folder) -> None:
    assert oauthsync("report", "-o", "-", "--json") == 2


def test_the_output_has_to_be_named(reported: Folder) -> None:
    assert oauthsync("report") == 2
