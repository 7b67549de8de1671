"""What docs/json.md says that `--json` prints is what it prints: names, their order, and types."""

import io
import json
import re
import shlex
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oauthsync.cli import cli
from oauthsync.sandbox import Fault
from tests.desk import DEV, Desk
from tests.everyday import converse
from tests.test_docs import commands

PAGE = (Path(__file__).parent.parent / "docs" / "json.md").read_text(encoding="utf-8")

MAPS = ("fields", "id_map")
"""Objects whose names are data: what counts is what they hold, as with a list."""


def _maps_as_lists(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {
        name: list(value.values()) if name in MAPS and isinstance(value, dict) else value
        for name, value in pairs
    }


DECODER = json.JSONDecoder(object_pairs_hook=_maps_as_lists)


def documents(text: str) -> Iterator[Any]:
    """The documents that stand one below the other."""
    while text := text.strip():
        document, end = DECODER.raw_decode(text)
        yield document
        text = text[end:]


def _examples() -> Iterator[tuple[str, list[Any]]]:
    """Each command, or `Errors`, with its examples.

    In a section with as many examples as commands, each has its own; else they have all.
    """
    for section in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]:
        heading = section.partition("\n")[0]
        names = re.findall("`(.*?)`", heading) or [heading]
        found = list(documents("".join(re.findall(r"```json\n(.*?)```", section, re.DOTALL))))
        for number, name in enumerate(names):
            yield name, found[number : number + 1] if len(names) == len(found) else found


EXAMPLES = dict(_examples())
ALSO = {"resume": EXAMPLES["import"] + EXAMPLES["undo"]}
"""The examples of other sections that a command's own one refers to."""


def differences(example: Any, answer: Any, where: str) -> Iterator[str]:
    """How the shape of an answer is another than its example's; null agrees with anything."""
    if example is None or answer is None:
        return
    if type(example) is not type(answer):
        yield f"{where} is of type {type(answer).__name__}"
    elif isinstance(example, list):
        for each in answer if example else ():
            yield from differences(example[0], each, f"{where}[]")
    elif isinstance(example, dict) and list(example) != list(answer):
        yield f"{where} has {', '.join(answer)}"
    elif isinstance(example, dict):
        for name, value in example.items():
            yield from differences(value, answer[name], f"{where}.{name}")


def fields(document: Any, where: str = "") -> Iterator[str]:
    """The paths to all values that are neither objects nor lists."""
    match document:
        case dict():
            for name, value in document.items():
                yield from fields(value, f"{where}.{name}")
        case list():
            for value in document:
                yield from fields(value, f"{where}[]")
        case _:
            yield where


class Answers:
    """The answers of a desk's commands, by command; those that failed are under `Errors`."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.found: dict[str, list[Any]] = defaultdict(list)

    def call(self, line: str) -> None:
        self.add(line, self.desk.call(*shlex.split(line), "--json").out)

    def add(self, line: str, text: str) -> None:
        assert (text.count("\n"), text[-1:]) == (1, "\n"), line
        [document] = documents(text)
        words = line.split()
        name = " ".join(words[:2]) if " ".join(words[:2]) in EXAMPLES else words[0]
        self.found["Errors" if "error" in document else name].append(document)


@pytest.fixture
def answers(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Any]]:
    """What every command answers in a loss, its repair, and the work of other days."""
    told = Answers(desk)
    _keep_secrets(told, monkeypatch)
    _repair_a_loss(told, monkeypatch)
    _work_on_one_profile(told)
    _take_care(told)
    return told.found


def _keep_secrets(told: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = told.desk
    desk.create("Acme", "Beta", "Gamma", "Delta", shared_accounts_count=1)
    told.call("export")
    told.call("secrets missing")
    secret = b'{"client_secret": "secret-canary"}'
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(secret)))
    told.call("secrets set --provider hubspot --client-id app --stdin")
    (desk.folder / "rows.csv").write_text("provider,client_id,client_secret\njira,1,secret-canary")
    told.call("secrets load rows.csv")
    told.call("secrets remove --provider jira --client-id 1")
    told.call("secrets list")
    told.add("secrets fill", converse(["secrets", "fill", "--json"], [])[1])
    told.call("secrets keygen -o ../new.txt")
    own = desk.key.identities[0].recipient
    told.call(f"secrets rekey --recipient {own}")


def _repair_a_loss(told: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    desk, dev = told.desk, told.desk.sandbox.workspace(DEV)
    acme, beta, *others = sorted(dev.profiles)
    for lost in (acme, *others):
        dev.delete(lost)
    dev.update(beta, name="New name")
    told.call("diff")
    with monkeypatch.context() as patch:
        patch.setenv("PROD", "wrong")
        told.call("export dev prod")
    for line in ("snapshots", "show 1", "log", "plan 1", "prune --keep-last 1 --dry-run"):
        told.call(line)
    desk.sandbox.faults = [Fault("refused", on=method, times=1) for method in ("POST", "DELETE")]
    told.call("import 1 --yes")
    told.call("resume")
    for line in ("runs", "runs show 1", "runs show 1 --id-map"):
        told.call(line)
    dev.update(max(dev.profiles), name="Changed since")
    told.call("undo --yes")
    told.call("resume")


def _work_on_one_profile(told: Answers) -> None:
    told.desk.sandbox.faults = [Fault("refused", on="POST", times=1)]
    for name in ("One", "Another"):
        told.call(f"profiles create --provider hubspot --name {name} --client-id app")
    told.call("resume")
    told.call("profiles list")
    profile = max(told.desk.sandbox.workspace(DEV).profiles)
    for line in (f"get {profile}", f"update {profile} --name 'A third'", f"delete {profile} --yes"):
        told.call(f"profiles {line}")


def _take_care(told: Answers) -> None:
    (told.desk.folder / "other").mkdir()
    told.call(f"init --dir other --workspace dev --url {told.desk.sandbox.url} --token-env DEV")
    for line in ("check", "doctor", "report -o report.html"):
        told.call(line)
    command = [sys.executable, "-m", "oauthsync", "sandbox"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told.add("sandbox", process.stdout.readline())
        process.terminate()


def test_every_command_that_takes_json_has_its_section() -> None:
    takes_json = {path for path, each in commands(cli) if "json" in {p.name for p in each.params}}
    assert EXAMPLES.keys() == takes_json | {"Errors"}
    assert all(EXAMPLES.values())


def test_every_answer_has_the_shape_of_an_example_whose_fields_all_occur(
    answers: dict[str, list[Any]],
) -> None:
    for name, examples in EXAMPLES.items():
        for answer in answers[name]:
            shown = [*examples, *ALSO.get(name, ())]
            problems = [list(differences(each, answer, name)) for each in shown]
            assert [] in problems, problems
        assert set(fields(examples)) <= set(fields(answers[name])), name
