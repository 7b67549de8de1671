"""Imports run one way, and a command imports what it uses and no more."""

import ast
import functools
import graphlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import oauthsync
from tests.desk import Desk

PAGE = Path(__file__).parent.parent / "docs" / "architecture.md"
"""The table of modules on this page is their order: a module imports only what stands before it.

`age/`, `report/` and `sandbox/` are packages, and count as one. The root package is everybody's: it
holds the version, and names that are imported when they are first used.
"""

CLI = """
cli.terminal
cli.session
cli.run
cli.common
cli.keys cli.plan
cli.secrets
cli.backup cli.care cli.profiles cli.report cli.restore cli.runs cli.sandbox cli.workspaces
cli
__main__
"""
"""The page has `cli/` last, as one: its modules import nothing below, and nothing beside."""

ROOT = Path(oauthsync.__file__).parent
ROWS = re.findall(r"^\| (`[^|]+) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
ON_THE_PAGE = re.findall(r"`(\w+)/?`", " ".join(ROWS))
PLACE = {
    module: number
    for number, line in enumerate([*ON_THE_PAGE, *CLI.split("\n")])
    for module in line.split()
}


@dataclass(frozen=True)
class Import:
    """`kind` is when it happens: at `load`, in a `call`, or for the `types` alone."""

    importer: str
    imported: str
    kind: str


def modules() -> dict[str, Path]:
    """All modules by their dotted names below the root package, which itself is the empty one."""
    found = {}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@functools.cache
def own_imports() -> list[Import]:
    """Every import of a module of ours by another, wherever it stands."""
    known = modules()
    return [
        Import(module, imported, kind)
        for module, path in known.items()
        for imported, kind in _imports(ast.parse(path.read_text(encoding="utf-8")), "load", known)
        if imported != module
    ]


def _imports(node: ast.AST, kind: str, known: dict[str, Path]) -> Iterator[tuple[str, str]]:
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.ImportFrom(module=str(base), level=level):
                assert level == 0, "imports are absolute"
                for alias in child.names:
                    yield from _ours([f"{base}.{alias.name}", base], kind, known)
            case ast.Import():
                for alias in child.names:
                    yield from _ours([alias.name], kind, known)
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                yield from _imports(child, "types", known)
            case ast.FunctionDef():
                yield from _imports(child, "call", known)
            case _:
                yield from _imports(child, kind, known)


def _ours(names: list[str], kind: str, known: dict[str, Path]) -> Iterator[tuple[str, str]]:
    for name in names:
        below = name.removeprefix("oauthsync").removeprefix(".")
        if name.split(".")[0] == "oauthsync" and below in known:
            yield below, kind
            return


def unit(module: str) -> str:
    """What a module counts as: itself, or its package, where that counts as one."""
    package = module.split(".")[0]
    return module if package == "cli" else package


def test_every_module_has_its_place() -> None:
    assert {unit(module) for module in modules()} - {""} == PLACE.keys()
    assert len(ON_THE_PAGE) == len(set(ON_THE_PAGE))


def test_imports_run_one_way() -> None:
    wrong = [
        each
        for each in own_imports()
        if "" not in (each.importer, each.imported)
        and unit(each.importer) != unit(each.imported)
        and PLACE[unit(each.imported)] >= PLACE[unit(each.importer)]
    ]
    assert wrong == []


def test_no_package_imports_itself_in_a_circle() -> None:
    graph: dict[str, set[str]] = {}
    for each in own_imports():
        if "" not in (each.importer, each.imported):
            graph.setdefault(each.importer, set()).add(each.imported)
    graphlib.TopologicalSorter(graph).prepare()


# what a command loads

HEAVY = {"cryptography", "requests", "urllib3", "tenacity", "rich", "sqlite_utils", "sqlite3"}
LOADS = (
    "import json, sys; from oauthsync.cli import cli; from oauthsync.cli.run import run;"
    " calls = json.loads(sys.argv[1]); codes = [run(cli, call) for call in calls];"
    " print(json.dumps([codes, sorted({name.split('.')[0] for name in sys.modules})]))"
)


def loaded(*calls: list[str]) -> set[str]:
    """The heavy packages that a process has loaded after these calls, which must succeed."""
    done = subprocess.run(
        [sys.executable, "-c", LOADS, json.dumps(calls)],
        capture_output=True,
        text=True,
        check=True,
        env=dict(os.environ),
        stdin=subprocess.DEVNULL,
    )
    codes, packages = json.loads(done.stdout.splitlines()[-1])
    assert set(codes) == {0}, done.stderr
    return HEAVY & set(packages)


def command_names() -> list[list[str]]:
    import click

    from oauthsync.cli import cli

    def names(command: click.Command, path: list[str]) -> Iterator[list[str]]:
        yield path
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                inner = command.get_command(context, name)
                assert inner is not None
                yield from names(inner, [*path, name])

    return list(names(cli, []))


def test_version_and_help_load_nothing_heavy() -> None:
    helps = [[*path, "--help"] for path in command_names()]
    assert len(helps) > 25
    assert loaded(["--version"], *helps) == set()


def test_the_help_of_all_commands_loads_none_of_them() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "oauthsync", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    names = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
    ours = {name for name in names if name.startswith("oauthsync")}
    light = ("errors", "interrupts", "text", "cli", "cli.run", "cli.terminal")
    assert ours <= {"oauthsync", *(f"oauthsync.{name}" for name in light)}
    assert not names & {
        "asyncio",
        "dataclasses",
        "json",
        "logging",
        "pathlib",
        "shutil",
        "subprocess",
        "urllib.request",
    }


@pytest.fixture
def desk(desk: Desk) -> Desk:
    desk.create("Acme")
    desk.done("export")
    (desk.folder / "s.csv").write_text("provider,client_id,client_secret\nhubspot,app,s\n")
    return desk


STORE = {"sqlite_utils", "sqlite3", "rich"}
HTTP = {"requests", "urllib3", "tenacity"}


@pytest.mark.parametrize(
    ("args", "allowed"),
    [
        (["snapshots"], STORE),
        (["show"], STORE),
        (["log"], STORE),
        (["diff", "1", "1"], STORE),
        (["runs"], STORE),
        (["show", "--json"], STORE - {"rich"}),
        (["secrets", "missing"], STORE),
        (["secrets", "load", "s.csv"], STORE | {"cryptography"}),
        (["export", "--json"], (STORE | HTTP) - {"rich"}),
        (["export", "--quiet"], (STORE | HTTP) - {"rich"}),
        (["diff"], STORE | HTTP),
    ],
)
def test_a_command_loads_what_it_uses(desk: Desk, args: list[str], allowed: set[str]) -> None:
    assert loaded(args) <= allowed


def test_the_sidecars_commands_load_neither_http_nor_the_database(desk: Desk) -> None:
    desk.file(("hubspot", "app"))
    assert loaded(
        ["secrets", "keygen", "-o", "../new.txt"],
        ["secrets", "list"],
        ["secrets", "remove", "--provider", "hubspot", "--client-id", "app"],
    ) <= {"cryptography", "rich"}


def test_the_sandbox_loads_next_to_nothing() -> None:
    code = (
        "import oauthsync.cli.sandbox, oauthsync.sandbox, sys;"
        " print(*{name.split('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert HEAVY & set(done.stdout.split()) <= {"sqlite3"}
