"""The wheel holds the package and nothing else; development installs exactly what is pinned."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory"]
    subprocess.run([*command, str(folder)], cwd=ROOT, check=True, capture_output=True)
    [found] = folder.iterdir()
    return found


def test_the_wheel_holds_the_package_its_licence_and_nothing_else(wheel: Path) -> None:
    package = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "oauthsync").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {Path(name).suffix for name in package} == {".py", ".css", ".yaml", ".typed"}
    info = f"{wheel.name.removesuffix('-py3-none-any.whl')}.dist-info"
    about = ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE")
    with zipfile.ZipFile(wheel) as archive:
        assert set(archive.namelist()) == package | {f"{info}/{name}" for name in about}


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def pins() -> dict[str, str]:
    lines = (ROOT / "requirements" / "dev.txt").read_text(encoding="utf-8").splitlines()
    parts = [line.split("==") for line in lines if not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in parts}


def test_everything_that_development_asks_for_is_pinned_within_its_bounds() -> None:
    found = project()
    asked = [*found["project"]["dependencies"], *found["dependency-groups"]["dev"]]
    for requirement in map(Requirement, asked):
        version = pins()[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), requirement


@pytest.mark.skipif(not (ROOT / ".venv/bin/pip-audit").exists(), reason="scripts/setup was not run")
def test_an_audit_that_nobody_answers_is_no_clean_one(tmp_path: Path) -> None:
    nobody = "http://127.0.0.1:1"
    done = subprocess.run(
        [ROOT / "scripts" / "audit", "--cache-dir", tmp_path, "--timeout", "5"],
        env={**os.environ, "HTTPS_PROXY": nobody, "https_proxy": nobody, "NO_PROXY": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "scripts/audit: NOT CLEAN" in done.stderr
    assert "No known vulnerabilities" not in done.stdout + done.stderr


def test_pins_are_names_and_versions_without_the_address_of_a_registry() -> None:
    text = (ROOT / "requirements" / "dev.txt").read_text(encoding="utf-8")
    for line in text.splitlines():
        assert line.startswith("#") or re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9a-z.]*", line)
