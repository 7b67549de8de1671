"""`profiles`: each write of a single profile is journaled, restorable, and happens exactly once."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oauthsync import age, sidecar
from oauthsync.keys import parse_identity_file
from oauthsync.sandbox import Fault, Sandbox, SandboxWorkspace
from tests.clock import FakeClock
from tests.everyday import SECRET, TOKEN, call, configure, converse, file_secret, identity, isolate

Capsys = pytest.CaptureFixture[str]
ACME = ("--provider", "hubspot", "--name", "Acme", "--client-id", "app")


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A backup folder whose sidecar has the secret of hubspot's `app`, and opens."""
    folder = isolate(monkeypatch, tmp_path)
    file_secret(folder, identity(folder), ("hubspot", "app"))
    monkeypatch.setenv("OAUTHSYNC_IDENTITY", str(folder / "key.txt"))
    return folder


@pytest.fixture
def sandbox(folder: Path) -> Iterator[Sandbox]:
    with Sandbox([TOKEN], requests_per_minute=100_000, server_timeout=1) as running:
        configure(folder, running.url)
        yield running


@pytest.fixture
def workspace(sandbox: Sandbox) -> SandboxWorkspace:
    return sandbox.workspace(TOKEN)


def writes(sandbox: Sandbox) -> list[tuple[str, Any]]:
    return [(each.call, each.body) for each in sandbox.requests if each.method != "GET"]


def runs(capsys: Capsys) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = call(capsys, "runs", "--json").json["runs"]
    return found


# list and get


def test_list_and_get_show_profiles_as_the_api_returned_them(
    workspace: SandboxWorkspace, capsys: Capsys
) -> None:
    first = workspace.create("hubspot", "Acme", "app", data={"scope": 1.0}, extra=[1, None])
    second = workspace.create("slack", "Bee", "bee")
    called = call(capsys, "profiles", "list", "--json")
    assert called.json == {"profiles": [first.document, second.document]}
    assert '"scope":1.0' in called.out
    called = call(capsys, "profiles", "get", str(second.id), "--json")
    assert called.json == {"profile": second.document}
    people = call(capsys, "profiles", "list", "--workspace", "dev").out.splitlines()
    assert [line.split()[:3] for line in people[1:]] == [
        [str(first.id), "hubspot", "Acme"],
        [str(second.id), "slack", "Bee"],
    ]


@pytest.mark.parametrize("args", [("get",), ("update",), ("delete", "--yes")])
def test_an_id_that_is_not_there_is_a_clear_error(
    sandbox: Sandbox, capsys: Capsys, args: tuple[str, ...]
) -> None:
    called = call(capsys, "profiles", *args, "7", "--json")
    assert (called.code, called.json["error"]) == (1, "'dev' has no profile 7")
    assert not writes(sandbox)


def test_a_refused_get_is_no_missing_profile(folder: Path, capsys: Capsys) -> None:
    with Sandbox([TOKEN], profiles=1, privileges={TOKEN: ["list"]}) as sandbox:
        configure(folder, sandbox.url)
        called = call(capsys, "profiles", "get", "100001")
    assert called.code == 3


# create


def test_create_sends_the_sidecars_secret_once_and_journals_it(
    sandbox: Sandbox, workspace: SandboxWorkspace, capsys: Capsys
) -> None:
    called = call(capsys, "profiles", "create", *ACME, "--json")
    [created] = workspace.profiles.values()
    assert (called.code, called.json) == (0, {"profile": created.document, "run": 1})
    [(name, body)] = writes(sandbox)
    assert name == "create"
    assert body == {
        "name": "Acme",
        "provider": "hubspot",
        "data": {"client_id": "app", "client_secret": SECRET},
    }
    assert SECRET not in called.out + called.err
    [run] = runs(capsys)
    assert (run["kind"], run["state"], run["created"], run["target"]) == (
        "profile",
        "complete",
        1,
        "dev",
    )


def test_create_takes_one_listing_and_one_write(sandbox: Sandbox, capsys: Capsys) -> None:
    call(capsys, "profiles", "create", *ACME)
    assert [each.call for each in sandbox.requests] == ["list", "create"]


def test_create_warns_of_a_provider_that_is_nearly_another_one(
    workspace: SandboxWorkspace, capsys: Capsys
) -> None:
    workspace.create("hubspot", "Acme", "app")
    args = ("profiles", "create", "--name", "B", "--client-id", "app", "--provider")
    called = call(capsys, *args, "hubspott")
    assert "warning: no profile is of provider 'hubspott' yet: did you mean hubspot?" in called.err
    assert "warning" not in call(capsys, *args, "jira").err


def test_create_without_a_secret_writes_nothing_where_nobody_can_be_asked(
    sandbox: Sandbox, workspace: SandboxWorkspace, capsys: Capsys
) -> None:
    args = ("--provider", "hubspot", "--name", "B", "--client-id", "other")
    called = call(capsys, "profiles", "create", *args)
    assert called.code == 6
    assert "oauthsync secrets set" in called.err
    assert not workspace.profiles
    assert not runs(capsys)


def test_create_files_a_typed_secret_before_it_is_sent(
    folder: Path, sandbox: Sandbox, workspace: SandboxWorkspace, capsys: Capsys
) -> None:
    sandbox.faults = [Fault.parse("create:errors-list")]
    args = ["profiles", "create", "--provider", "slack", "--name", "B", "--client-id", "bee"]
    code, _, shown = converse(args, [("Client secret of slack bee", "")])
    assert (code, writes(sandbox)) == (1, []), shown
    code, _, shown = converse(
        args, [("Client secret of slack bee", "typed-secret"), ("Token", "typed-token")]
    )
    assert code == 1, shown
    assert f"to create B in dev ({sandbox.url}):" in shown
    assert not workspace.profiles
    key = sidecar.IdentityKey(parse_identity_file((folder / "key.txt").read_bytes()))
    entry = sidecar.load(folder / "secrets.age", key).get("slack", "bee")
    assert entry is not None
    assert entry.client_secret.reveal() == "typed-secret"
    assert entry.token is not None
    assert entry.token.reveal() == "typed-token"
    assert "typed" not in shown
    assert "warning" not in shown
    sandbox.faults = []
    assert call(capsys, *args).code == 0
    [(_, first), (_, second)] = writes(sandbox)
    assert first == second
    assert second["data"] == {
        "client_id": "bee",
        "client_secret": "typed-secret",
        "token": "typed-token",
    }


def test_create_says_what_the_api_kept_answering(
    sandbox: Sandbox, capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oauthsync.backup.SystemClock", FakeClock)
    sandbox.faults = [Fault.parse("create:500")]
    called = call(capsys, "profiles", "create", *ACME)
    assert called.code == 5
    assert "no usable answer" in called.err
    assert "was answered with 500" in called.err
    assert "oauthsync resume 1" in called.err


def test_create_warns_of_whom_a_typed_secret_is_sealed_to_beside_the_configured_ones(
    folder: Path, sandbox: Sandbox
) -> None:
    key = sidecar.IdentityKey(parse_identity_file((folder / "key.txt").read_bytes()))
    own, stranger = key.identities[0].recipient, age.generate_identity().recipient
    sidecar.rekey(folder / "secrets.age", key, [str(own), str(stranger)])
    secrets = f'[secrets]\nidentity = "key.txt"\nrecipients = ["{own}"]\n'
    configure(folder, sandbox.url, secrets)
    args = ["profiles", "create", "--provider", "jira", "--name", "B", "--client-id", "bee"]
    code, _, shown = converse(args, [("Client secret of jira bee", "typed-secret")], COLUMNS="400")
    assert (code, f"also sealed to {stranger}" in shown) == (0, True), shown


def test_a_profile_that_is_there_is_not_created_again(
    sandbox: Sandbox, workspace: SandboxWorkspace, capsys: Capsys
) -> None:
    there = workspace.create("hubspot", "Acme", "app")
    called = call(capsys, "profiles", "create", *ACME)
    assert called.code == 1
    assert f"already: id {there.id}" in called.err
    assert not writes(sandbox)


@pytest.mark.parametrize("option", ["--provider", "--name", "--client-id"])
@pytest.mark.parametrize("text", ["", "\udcff"])
def test_a_bad_text_is_refused_before_anything_is_sent(
    sandbox: Sandbox, capsys: Capsys, option: str, text: str
) -> None:
    args = list(ACME)
    args[args.index(option) + 1] = text
    called = call(capsys, "profiles", "create", *args)
    assert called.code == 2
    assert not writes(sandbox)


def test_what_the_api_refuses_is_told_in_its_words(
    sandbox: Sandbox, workspace: SandboxWorkspace, capsys: Capsys
) -> None:
    sandbox.faults = [Fault.parse("create:errors-list:x1")]
    called = call(capsys, "profiles", "create", *ACME, "--json")
    assert called.code == 1
    assert "422" in called.json["error"]
    assert "oauthsync resume 1" in called.json["hint"]
    assert call(capsys, "resume", "1").code == 0
    assert len(workspace.profiles) == 1


def test_creating_takes_no_privilege_to_get_what_was_created(folder: Path, capsys: Capsys) -> None:
    granted = {TOKEN: ["list", "create"]}
    with Sandbox([TOKEN], privileges=granted, requests_per_minute=100_000) as sandbox:
        configure(folder, sandbox.url)
        called = call(capsys, "profiles", "create", *ACME, "--json")
        [(created, stored)] = sandbox.workspace(TOKEN).profiles.items()
    assert (called.code, called.err) == (0, "")
    assert called.json["profile"] == stored.document
    assert called.json["profile"]["id"] == created


# update


def test_update_keeps_what_is_not_given_unknown_data_included(
    sandbox: Sandbox, workspace: SandboxWorkspace, capsys: Capsys
) -> None:
    there = workspace.create("hubspot", "Acme", "app", data={"scope": "all", "n": 2**70})
    called = call(capsys, "profiles", "update", str(there.id), "--name", "Acme 2", "--json")
    assert called.code == 0
    assert called.json == {"profile": workspace.profiles[there.id].document, "run": 1}
    [(name, body)] = writes(sandbox)
    assert (name, body["name"], body["provider"]) == ("update", "Acme 2", "hubspot")
    assert body["data"] == {
        "client_id": "app",
        "client_secret": SECRET,
        "scope": "all",
        "n": 2**70,
    }


def test_update_sends_the_secret_of_the_new_client_id(
    folder: Path, sandbox: Sandbox, workspace: SandboxWorkspace, capsys: Capsys
) -> None:
    there = workspace.create("hubspot", "Acme", "old")
    assert call(capsys, "profiles", "update", str(there.id), "--client-id", "app").code == 0
    [(_, body)] = writes(sandbox)
    assert body["data"] == {"client_id": "app", "client_secret": SECRET}
    called = call(capsys, "profiles", "update", str(there.id), "--client-id", "no-secret")
    assert called.code == 6
    assert len(writes(sandbox)) == 1


def test_update_of_a_profile_in_use_takes_a_yes(
    sandbox: Sandbox, workspace: SandboxWorkspace, capsys: Capsys
) -> None:
    there = workspace.create("hubspot", "Acme", "app", shared_accounts_count=2)
    args = ["profiles", "update", str(there.id), "--name", "B"]
    assert call(capsys, *args).code == 2
    assert not writes(sandbox)
    code, _, shown = converse(args, [(f"({sandbox.url})? [y/N]", "y")])
    assert (code, "used by 2 connections, in dev" in shown) == (0, True), shown
    assert "name: Acme → B" in shown
    assert "client id" not in shown
    assert workspace.profiles[there.id].document["name"] == "B"


# delete


def test_delete_takes_a_safety_snapshot_and_can_be_taken_back(
    sandbox: Sandbox, workspace: SandboxWorkspace, capsys: Capsys
) -> None:
    there = workspace.create("hubspot", "Acme", "app")
    called = call(capsys, "profiles", "delete", str(there.id), "--yes", "--json")
    assert (called.code, called.json) == (
        0,
        {"deleted": there.id, "run": 1, "safety_snapshot": 1},
    )
    assert not workspace.profiles
    shown = call(capsys, "show", "1", "--json").json
    assert shown["snapshot"]["kind"] == "safety"
    assert shown["profiles"] == [there.document]
    again = f"oauthsync import 1 --id {there.id}"
    left = call(capsys, "undo", "--yes")
    assert left.code == 6
    assert f"it was deleted: `{again}`" in left.out
    assert "--force" not in left.err
    assert call(capsys, *again.split()[1:], "--yes").code == 0
    [created] = workspace.profiles.values()
    assert created.document["name"] == "Acme"
    deleted = call(capsys, "profiles", "delete", str(created.id), "--yes").out
    assert f": id {created.id}, run 3; `oauthsync import 3 --id {created.id}` creates" in deleted


@pytest.mark.parametrize(
    ("uses", "words"), [(1, "is in use"), (None, "may be in use"), ("2", "may be in use")]
)
def test_delete_refuses_what_is_or_may_be_in_use(
    sandbox: Sandbox, workspace: SandboxWorkspace, capsys: Capsys, uses: object, words: str
) -> None:
    there = workspace.create("hubspot", "Acme", "app", oem_customers_count=uses)
    called = call(capsys, "profiles", "delete", str(there.id), "--yes")
    assert called.code == 1
    assert words in called.err
    assert not writes(sandbox)
    assert call(capsys, "profiles", "delete", str(there.id), "--yes", "--force").code == 0
    assert not workspace.profiles


def test_delete_asks_and_shows_what_and_where(
    sandbox: Sandbox, workspace: SandboxWorkspace
) -> None:
    there = workspace.create("hubspot", "Acme\x1b[2J", "app")
    args = ["profiles", "delete", str(there.id)]
    question = f"Delete Acme\\x1b[2J (hubspot, id {there.id}) in dev ({sandbox.url})? [y/N]"
    code, _, shown = converse(args, [(question, "n")])
    assert (code, writes(sandbox)) == (1, []), shown
    assert "\x1b[2J" not in shown


def test_delete_where_nobody_can_be_asked_writes_nothing(
    sandbox: Sandbox, workspace: SandboxWorkspace, capsys: Capsys
) -> None:
    there = workspace.create("hubspot", "Acme", "app")
    called = call(capsys, "profiles", "delete", str(there.id))
    assert called.code == 2
    assert "--yes" in called.err
    assert workspace.profiles
    assert not runs(capsys)
