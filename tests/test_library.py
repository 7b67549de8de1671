"""The library's face: docs/library.md does what it says."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

import oauthsync
from oauthsync.sandbox import Sandbox

PASSPHRASE = "a passphrase of several words"
PAGE = Path(__file__).parent.parent / "docs" / "library.md"


def test_every_public_name_is_there_and_documented() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for name in oauthsync.__all__:
        assert getattr(oauthsync, name) is not None
        assert f"`{name}" in page or name == "__version__"


def test_every_field_of_the_options_is_documented() -> None:
    named = re.findall(r"^\| `(\w+\.\w+)`", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    classes = (oauthsync.Selection, oauthsync.Options)
    assert named == [f"{each.__name__}.{field.name}" for each in classes for field in fields(each)]


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        oauthsync.nothing  # noqa: B018


def test_the_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    [example] = re.findall("```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    folder = tmp_path / "workato-backup"
    folder.mkdir()
    with Sandbox(["A", "B"], profiles=3) as sandbox:
        sandbox.workspace("A").create("hubspot", "Acme", "app-1")
        sections = [
            f'[workspaces.{name}]\nurl = "{sandbox.url}"\ntoken_env = "{name}"\n'
            for name in ("dev", "prod")
        ]
        (folder / "oauthsync.toml").write_text("".join(sections))
        monkeypatch.chdir(tmp_path)
        for name, value in {
            "dev": "A",
            "prod": "B",
            "OAUTHSYNC_PASSPHRASE": PASSPHRASE,
            "XDG_STATE_HOME": str(tmp_path / "state"),
            "HOME": str(tmp_path),
        }.items():
            monkeypatch.setenv(name, value)
        _file_secret(folder)
        exec(compile(example, str(PAGE), "exec"), {})
        created = sandbox.workspace("B").profiles.values()
        assert [profile.document["name"] for profile in created] == ["Acme"]
    assert "create hubspot Acme not in target\ncomplete 0\n" in capsys.readouterr().out


def _file_secret(folder: Path) -> None:
    from oauthsync import sidecar

    key = sidecar.PassphraseKey(oauthsync.Secret(PASSPHRASE), work_factor=1)
    entry = sidecar.Entry("hubspot", "app-1", oauthsync.Secret("s"), None, "2026-11-23T10:00:00Z")
    sidecar.update(folder / "secrets.age", key, [entry])
