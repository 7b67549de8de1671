"""`check` tells what could be restored and finds damage; `prune` removes what no rule keeps."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from oauthsync import files
from oauthsync.restore import FOLDER_LOCK
from oauthsync.sandbox import Sandbox, SandboxWorkspace, StoredProfile
from tests.everyday import SECRET, TOKEN, call, configure, converse, file_secret, identity, isolate

Capsys = pytest.CaptureFixture[str]


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    return isolate(monkeypatch, tmp_path)


@pytest.fixture
def sandbox(folder: Path) -> Iterator[Sandbox]:
    with Sandbox([TOKEN], requests_per_minute=100_000) as running:
        configure(folder, running.url)
        yield running


def unlocked(folder: Path, monkeypatch: pytest.MonkeyPatch, *apps: tuple[str, str]) -> None:
    """A sidecar with secrets for these apps, and the identity that opens it."""
    file_secret(folder, identity(folder), *apps)
    monkeypatch.setenv("OAUTHSYNC_IDENTITY", str(folder / "key.txt"))


def spoil(folder: Path, statement: str) -> None:
    with sqlite3.connect(folder / "oauthsync.db") as connection:
        connection.execute(statement)
    connection.close()


# check


def test_check_counts_what_could_be_restored_from_each_snapshot(
    folder: Path, sandbox: Sandbox, capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlocked(folder, monkeypatch, ("hubspot", "one"))
    sandbox.workspace(TOKEN).create("hubspot", "A", "one")
    sandbox.workspace(TOKEN).create("slack", "B", "one")
    call(capsys, "export")
    sandbox.workspace(TOKEN).create("hubspot", "C", "one")
    call(capsys, "export")
    sandbox.requests.clear()
    called = call(capsys, "check", "--json")
    assert (called.code, called.json) == (
        0,
        {
            "ok": True,
            "problems": [],
            "snapshots": [
                {"id": 2, "ok": True, "restorable": 2, "missing": 1},
                {"id": 1, "ok": True, "restorable": 1, "missing": 1},
            ],
        },
    )
    assert not sandbox.requests
    assert SECRET not in called.out + called.err
    people = call(capsys, "check")
    assert people.out.splitlines()[0].split() == [
        *("id", "workspace", "taken", "at", "state", "restorable", "missing")
    ]
    assert people.out.splitlines()[1].split()[3:] == ["whole", "2", "1"]
    assert people.out.splitlines()[-1] == (
        "1 profile without a secret in the newest exports: `oauthsync secrets missing 2` names them"
    )
    assert call(capsys, "secrets", "missing", "2", "--exit-code").code == 4


def test_check_counts_what_the_newest_exports_of_all_workspaces_lack(
    folder: Path, sandbox: Sandbox, capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlocked(folder, monkeypatch, ("hubspot", "filed"))
    for client_id in ("one", "two", "filed"):
        sandbox.workspace(TOKEN).create("hubspot", client_id, client_id)
    exported(capsys, 1)
    text = (folder / "oauthsync.toml").read_text()
    (folder / "oauthsync.toml").write_text(text.replace("workspaces.dev", "workspaces.prod"))
    exported(capsys, 1)
    told = call(capsys, "check").out.splitlines()[-1]
    assert told.startswith("4 profiles without a secret in the newest exports: `oauthsync")


def test_check_ends_with_a_verdict_where_all_is_well(
    folder: Path, sandbox: Sandbox, capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlocked(folder, monkeypatch, ("hubspot", "one"))
    sandbox.workspace(TOKEN).create("hubspot", "A", "one")
    call(capsys, "export")
    assert call(capsys, "check").out.splitlines()[-1] == (
        "the database is whole, and no secret is missing for the newest exports"
    )
    spoil(folder, "UPDATE profile_versions SET document = replace(document, 'one', 'two')")
    assert "is whole" not in call(capsys, "check").out


def test_check_without_a_sidecar_says_that_nothing_could_be_restored(
    folder: Path, sandbox: Sandbox, capsys: Capsys
) -> None:
    sandbox.workspace(TOKEN).create("hubspot", "A", "one")
    call(capsys, "export")
    called = call(capsys, "check", "--json")
    assert called.code == 0
    assert called.json["snapshots"] == [{"id": 1, "ok": True, "restorable": 0, "missing": 1}]
    assert "there is no sidecar" in called.err


def test_check_with_a_sidecar_that_does_not_open_still_checks_the_database(
    folder: Path, sandbox: Sandbox, capsys: Capsys
) -> None:
    sandbox.workspace(TOKEN).create("hubspot", "A", "one")
    call(capsys, "export")
    file_secret(folder, identity(folder), ("hubspot", "one"))
    called = call(capsys, "check", "--json")
    assert called.code == 7
    assert called.json["ok"] is False
    assert called.json["snapshots"] == [{"id": 1, "ok": True, "restorable": None, "missing": None}]
    assert "OAUTHSYNC_IDENTITY" in called.err
    [problem] = called.json["problems"]
    assert "no identity is given" in problem


def test_check_finds_a_profile_that_was_altered(
    folder: Path, sandbox: Sandbox, capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlocked(folder, monkeypatch, ("hubspot", "one"))
    sandbox.workspace(TOKEN).create("hubspot", "A", "one")
    call(capsys, "export")
    sandbox.workspace(TOKEN).create("hubspot", "B", "two")
    call(capsys, "export")
    spoil(folder, "UPDATE profile_versions SET document = replace(document, 'two', 'too')")
    called = call(capsys, "check", "--json")
    assert called.code == 1
    assert called.json["ok"] is False
    assert [(each["id"], each["ok"]) for each in called.json["snapshots"]] == [
        (2, False),
        (1, True),
    ]
    assert called.json["problems"]
    people = call(capsys, "check")
    assert people.code == 1
    assert "DAMAGED" in people.out
    assert "the database is damaged" in people.err


def test_check_finds_a_file_that_is_no_database(folder: Path, capsys: Capsys) -> None:
    (folder / "oauthsync.db").write_text("no database" * 100)
    called = call(capsys, "check", "--json")
    assert called.code == 1
    assert called.json["exit_code"] == 1


def test_check_asks_a_person_for_the_passphrase(folder: Path, sandbox: Sandbox) -> None:
    from oauthsync.secret import Secret
    from oauthsync.sidecar import PassphraseKey

    key = PassphraseKey(Secret("correct horse battery staple"), work_factor=2)
    file_secret(folder, key, ("hubspot", "one"))
    sandbox.workspace(TOKEN).create("hubspot", "A", "one")
    assert converse(["export"], [])[0] == 0
    answers = [("Passphrase", "correct horse battery staple")]
    code, out, shown = converse(["check"], answers)
    assert code == 0, shown
    assert out.splitlines()[1].split()[-3:] == ["whole", "1", "0"]


# prune


def exported(capsys: Capsys, times: int) -> None:
    for _ in range(times):
        assert call(capsys, "export").code == 0


def listed(capsys: Capsys) -> list[int]:
    return [each["id"] for each in call(capsys, "snapshots", "--json").json["snapshots"]]


def test_prune_removes_what_no_rule_keeps(folder: Path, sandbox: Sandbox, capsys: Capsys) -> None:
    exported(capsys, 4)
    called = call(capsys, "prune", "--keep-last", "2", "--json")
    assert called.code == 0
    assert called.json == {
        "kept": [4, 3],
        "removed": [2, 1],
        "dry_run": False,
        "reclaimed": called.json["reclaimed"],
        "lost": [],
    }
    assert listed(capsys) == [4, 3]
    assert call(capsys, "check").code == 0


def test_prune_warns_of_a_lost_profile_that_no_snapshot_has_any_more(
    folder: Path, sandbox: Sandbox, capsys: Capsys
) -> None:
    workspace = sandbox.workspace(TOKEN)
    workspace.create("slack", "Kept", "one")
    early = workspace.create("hubspot", "Early", "one")
    late = workspace.create("hubspot", "Old name", "one")
    exported(capsys, 1)
    workspace.delete(early.id)
    workspace.update(late.id, name="Late")
    exported(capsys, 1)
    workspace.delete(late.id)
    exported(capsys, 2)
    lost = {"workspace": "dev", "provider": "hubspot"}
    of_late = {**lost, "id": late.id, "name": "Late", "snapshot": 2}
    of_early = {**lost, "id": early.id, "name": "Early", "snapshot": 1}

    called = call(capsys, "prune", "--keep-last", "3", "--dry-run", "--json")
    assert called.json["lost"] == [of_early]
    called = call(capsys, "prune", "--keep-last", "1", "--dry-run", "--json")
    assert called.json["lost"] == [of_early, of_late]
    assert "is the last one that has 1 profile gone from the workspace since:\n" in called.err
    hint = "`oauthsync plan 2` shows what would bring it back\n"
    assert f"  Late (hubspot, id {late.id})\n{hint}" in called.err
    assert f"  Early (hubspot, id {early.id})\n`oauthsync plan 1` shows what" in called.err
    assert "Kept" not in called.err
    question = "Remove 3 snapshots, and with them 2 profiles for good? [y/N]"
    code, _, shown = converse(["prune", "--keep-last", "1"], [(question, "n")])
    assert (code, "not confirmed, so nothing was removed" in shown) == (1, True), shown
    assert "is the last one that has" in shown
    assert len(call(capsys, "snapshots", "--json").json["snapshots"]) == 4
    called = call(capsys, "prune", "--keep-last", "1")
    assert "snapshot 2 of dev (" in called.err
    assert "was the last one that had 1 profile gone from the workspace since:\n" in called.err
    assert call(capsys, "prune", "--keep-last", "1").err == ""
    assert converse(["prune", "--keep-last", "1"], [])[0] == 0  # nothing more is lost


def test_prune_says_nothing_of_what_was_created_again(
    folder: Path, sandbox: Sandbox, capsys: Capsys
) -> None:
    workspace = sandbox.workspace(TOKEN)
    lost = workspace.create("hubspot", "Acme", "one")
    exported(capsys, 1)
    workspace.delete(lost.id)
    exported(capsys, 1)
    workspace.create("hubspot", "Acme", "one")
    exported(capsys, 1)
    called = call(capsys, "prune", "--keep-last", "1", "--json")
    assert (called.json["removed"], called.json["lost"], called.err) == ([2, 1], [], "")


def a_loss(
    folder: Path, sandbox: Sandbox, capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> tuple[SandboxWorkspace, StoredProfile]:
    """The workspace, and a profile of it whose secret is filed: snapshot 1 has it, 2 has not."""
    unlocked(folder, monkeypatch, ("hubspot", "one"))
    workspace = sandbox.workspace(TOKEN)
    profile = workspace.create("hubspot", "Acme", "one")
    exported(capsys, 1)
    workspace.delete(profile.id)
    exported(capsys, 1)
    return workspace, profile


def lost(capsys: Capsys) -> list[int]:
    """What prune would say is lost, if it kept one export."""
    called = call(capsys, "prune", "--keep-last", "1", "--dry-run", "--json")
    return [each["id"] for each in called.json["lost"]]


@pytest.mark.parametrize("was_exported", [True, False])
def test_prune_says_nothing_of_what_a_run_has_created_again_unless_that_is_gone_too(
    folder: Path,
    sandbox: Sandbox,
    capsys: Capsys,
    monkeypatch: pytest.MonkeyPatch,
    was_exported: bool,
) -> None:
    workspace, profile = a_loss(folder, sandbox, capsys, monkeypatch)
    assert lost(capsys) == [profile.id]
    overrides = folder / "o.toml"
    overrides.write_text('[[override]]\nmatch = { provider = "hubspot" }\nname = "Other"\n')
    assert call(capsys, "import", "1", "--overrides", str(overrides), "--yes").code == 0
    assert lost(capsys) == []
    # Times are whole seconds: as if the exports came a second later.
    spoil(folder, "UPDATE runs SET finished_at = '2020-01-01T00:00:00Z'")
    if was_exported:
        exported(capsys, 1)
        assert lost(capsys) == []
    [again] = workspace.profiles
    workspace.delete(again)
    exported(capsys, 1)
    assert lost(capsys) == [again if was_exported else profile.id]


def test_what_a_run_has_created_again_does_not_stand_for_its_twin(
    folder: Path, sandbox: Sandbox, capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlocked(folder, monkeypatch, ("hubspot", "one"))
    workspace = sandbox.workspace(TOKEN)
    one, other = (workspace.create("hubspot", "Acme", "one") for _ in range(2))
    exported(capsys, 1)
    for profile in (one, other):
        workspace.delete(profile.id)
        exported(capsys, 1)
    for put_back in (one, other):
        assert call(capsys, "import", "1", "--id", str(put_back.id), "--yes").code == 0
        exported(capsys, 1)
        assert lost(capsys) == ([other.id] if put_back is one else [])


@pytest.mark.parametrize("by_hand", [True, False])
def test_prune_says_nothing_of_what_was_created_again_undone_and_created_once_more(
    folder: Path,
    sandbox: Sandbox,
    capsys: Capsys,
    monkeypatch: pytest.MonkeyPatch,
    by_hand: bool,
) -> None:
    workspace, _ = a_loss(folder, sandbox, capsys, monkeypatch)
    for command in (["import", "1"], ["undo"]):
        assert call(capsys, *command, "--yes").code == 0
        exported(capsys, 1)
    if by_hand:
        workspace.create("hubspot", "Acme", "one")
    else:
        assert call(capsys, "import", "1", "--yes").code == 0
    exported(capsys, 1)
    assert lost(capsys) == []
    [there] = workspace.profiles
    workspace.delete(there)
    exported(capsys, 1)
    assert lost(capsys) == [there]


def test_what_a_run_has_created_again_under_another_name_stands_for_nothing_of_that_name(
    folder: Path, sandbox: Sandbox, capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlocked(folder, monkeypatch, ("hubspot", "one"))
    workspace = sandbox.workspace(TOKEN)
    taken, renamed = (workspace.create("hubspot", name, "one") for name in ("Taken", "Acme"))
    exported(capsys, 1)
    workspace.delete(taken.id)
    workspace.delete(renamed.id)
    exported(capsys, 1)
    overrides = folder / "o.toml"
    overrides.write_text('[[override]]\nmatch = { provider = "hubspot" }\nname = "Taken"\n')
    args = ["--id", str(renamed.id), "--overrides", str(overrides), "--yes"]
    assert call(capsys, "import", "1", *args).code == 0
    exported(capsys, 1)
    assert lost(capsys) == [taken.id]


def test_prune_warns_of_what_a_run_has_created_again_and_was_undone(
    folder: Path, sandbox: Sandbox, capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, profile = a_loss(folder, sandbox, capsys, monkeypatch)
    assert call(capsys, "import", "1", "--yes").code == 0
    [again] = workspace.profiles
    workspace.delete(again)
    assert call(capsys, "undo", "--yes").code == 0
    assert lost(capsys) == [profile.id]


def test_prune_reclaims_the_space_of_what_it_removes(
    folder: Path, sandbox: Sandbox, capsys: Capsys
) -> None:
    profile = sandbox.workspace(TOKEN).create("hubspot", "A" * 100_000, "one")
    exported(capsys, 1)
    sandbox.workspace(TOKEN).update(profile.id, name="short")
    exported(capsys, 1)
    before = (folder / "oauthsync.db").stat().st_size
    called = call(capsys, "prune", "--keep-last", "1", "--json")
    assert called.json["reclaimed"] > 100_000
    assert (folder / "oauthsync.db").stat().st_size == before - called.json["reclaimed"]


def test_a_dry_run_says_the_same_and_removes_nothing(
    folder: Path, sandbox: Sandbox, capsys: Capsys
) -> None:
    exported(capsys, 3)
    tried = call(capsys, "prune", "--keep-last", "1", "--dry-run", "--json").json
    assert (tried["kept"], tried["removed"], tried["dry_run"]) == ([3], [2, 1], True)
    people = call(capsys, "prune", "--keep-last", "1", "--dry-run")
    assert "1 kept, 2 to be removed" in people.out
    assert listed(capsys) == [3, 2, 1]
    done = call(capsys, "prune", "--keep-last", "1")
    assert "1 kept, 2 removed" in done.out
    assert listed(capsys) == [3]


def test_a_day_a_week_and_a_month_keep_their_newest_export(
    folder: Path, sandbox: Sandbox, capsys: Capsys
) -> None:
    exported(capsys, 3)
    for rule in ("--keep-daily", "--keep-weekly", "--keep-monthly"):
        tried = call(capsys, "prune", rule, "1", "--dry-run", "--json").json
        assert tried["kept"] == [3]


@pytest.mark.parametrize("args", [("--dry-run",), ("--keep-last", "0"), ("--keep-last", "-1")])
def test_a_policy_that_would_keep_nothing_is_refused(
    folder: Path, sandbox: Sandbox, capsys: Capsys, args: tuple[str, ...]
) -> None:
    exported(capsys, 1)
    called = call(capsys, "prune", *args)
    assert called.code == 2
    assert "-1" in args or "no rule says what to keep\nhint: give --keep-last," in called.err
    assert listed(capsys) == [1]


def test_prune_is_refused_while_an_import_runs(
    folder: Path, sandbox: Sandbox, capsys: Capsys
) -> None:
    exported(capsys, 2)
    with files.locked(folder / FOLDER_LOCK, what="the folder", shared=True):
        called = call(capsys, "prune", "--keep-last", "1")
    assert called.code == 1
    assert "in use by another oauthsync process" in called.err
    assert listed(capsys) == [2, 1]


def test_prune_without_a_database_says_so(folder: Path, capsys: Capsys) -> None:
    called = call(capsys, "prune", "--keep-last", "1")
    assert called.code == 1
    assert "oauthsync export" in called.err
