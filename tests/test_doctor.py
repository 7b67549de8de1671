"""The doctor finds each thing that can be wrong, names the remedy, and asks as little as it can."""

import os
import socket
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from oauthsync import doctor, sidecar, single
from oauthsync.backup import Backup
from oauthsync.clock import Clock
from oauthsync.diagnosis import Check, check_clock
from oauthsync.errors import AuthenticationError
from oauthsync.restore import open_session
from oauthsync.sandbox import Fault, Sandbox
from oauthsync.secret import Secret
from tests.clock import FakeClock
from tests.everyday import TOKEN, configure, file_secret, identity

PASSPHRASE = Secret("correct horse battery staple")

Checks = Mapping[str, Check]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "backup"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def sandbox(folder: Path) -> Iterator[Sandbox]:
    with Sandbox([TOKEN, "other"], profiles=3, requests_per_minute=100_000) as running:
        configure(folder, running.url)
        yield running


def open_backup(folder: Path, clock: Clock | None, **environ: str) -> Backup:
    home = folder.parent / "home"
    return Backup(folder, environ={"TOKEN": TOKEN, **environ}, home=home, clock=clock)


def checks(
    folder: Path, name: str | None = None, *, clock: Clock | None = None, **environ: str
) -> Checks:
    with open_backup(folder, clock, **environ) as backup:
        found = doctor.examine(backup, name, may_ask=False)
    for check in found:
        assert (check.status == "failed") == (check.exit_code != 0)
        assert check.hint or check.status in ("ok", "untested")
        assert "canary" not in f"{check.message} {check.hint}"
    return {check.name: check for check in found}


def export(folder: Path, clock: Clock | None = None) -> None:
    with open_backup(folder, clock) as backup:
        list(backup.export([backup.workspace(None)]))


def failing(found: Checks) -> dict[str, int]:
    return {name: check.exit_code for name, check in found.items() if check.status == "failed"}


def calls(sandbox: Sandbox) -> list[tuple[str, int]]:
    return [(request.call, request.status) for request in sandbox.requests]


# The workspace


def test_a_healthy_folder_takes_three_requests(folder: Path, sandbox: Sandbox) -> None:
    export(folder)
    key = identity(folder.parent)
    file_secret(folder, key, ("hubspot", "app"))
    sandbox.requests.clear()
    found = checks(folder, OAUTHSYNC_IDENTITY=str(folder.parent / "key.txt"))
    assert calls(sandbox) == [("list", 200), ("get", 200), ("me", 200)]
    untested = {name for name, check in found.items() if check.status == "untested"}
    assert untested == {"privileges to write"}
    assert {check.status for check in found.values()} <= {"ok", "untested"}
    assert "1 secret, sealed to 1 recipient" in found["sidecar"].message


@pytest.mark.parametrize("status", [401, 403])
def test_a_role_that_may_not_list_is_told_from_a_bad_token(folder: Path, status: int) -> None:
    with Sandbox([TOKEN], privileges={TOKEN: {"me"}}, denied_status=status) as sandbox:
        configure(folder, sandbox.url)
        found = checks(folder)
    assert failing(found) == {"privilege to list": 3}
    assert found["token"].status == found["region"].status == "ok"
    assert "privilege to list" in (found["privilege to list"].hint or "")


def test_an_identity_that_may_not_be_asked_is_fine(folder: Path) -> None:
    granted = {TOKEN: {"list", "get"}}
    with Sandbox([TOKEN], profiles=1, privileges=granted) as sandbox:
        configure(folder, sandbox.url)
        found = checks(folder)
    assert not failing(found)
    assert found["identity"].status == "ok"
    assert "which is fine; its profiles are of workspace id 5001" in found["identity"].message


def test_a_role_that_may_not_get_is_a_warning(folder: Path) -> None:
    granted = {TOKEN: {"list", "me"}}
    with Sandbox([TOKEN], profiles=1, privileges=granted) as sandbox:
        configure(folder, sandbox.url)
        found = checks(folder)
    assert not failing(found)
    assert found["privilege to get"].status == "warning"


def test_an_empty_workspace_leaves_the_privilege_to_get_untested(folder: Path) -> None:
    with Sandbox([TOKEN]) as sandbox:
        configure(folder, sandbox.url)
        found = checks(folder)
        assert [request.call for request in sandbox.requests] == ["list", "me"]
    assert found["privilege to get"].status == "untested"
    assert found["privilege to get"].message == "there was no profile to read"


def test_a_refused_token_is_not_tried_in_other_regions(folder: Path, sandbox: Sandbox) -> None:
    found = checks(folder, TOKEN="another-canary")
    assert failing(found) == {"token": 3}
    assert calls(sandbox) == [("list", 401), ("me", 401)]
    assert found["network"].status == "ok"
    assert found["region"].status == "untested"
    assert "other regions are us, eu" in (found["region"].hint or "")
    for name in ("identity", "privilege to get"):
        assert found[name].status == "untested"
        assert found[name].message == "the API did not get as far as that"


def test_no_token_leaves_the_rest_untested_and_sends_nothing(
    folder: Path, sandbox: Sandbox
) -> None:
    found = checks(folder, TOKEN="")
    assert failing(found) == {"token": 3}
    assert not sandbox.requests
    assert found["network"].status == found["clock"].status == "untested"
    assert found["quota"].status == "ok"


def test_a_host_that_is_not_there_is_the_network_and_not_the_token(folder: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        configure(folder, f"http://127.0.0.1:{unused.getsockname()[1]}")
        found = checks(folder, clock=FakeClock())
    assert failing(found) == {"network": 5}
    assert found["token"].status == found["region"].status == "untested"


@pytest.mark.parametrize(("fault", "name"), [("html", "network"), ("redirect", "region")])
def test_what_answers_in_place_of_the_api_is_found(
    folder: Path, sandbox: Sandbox, fault: str, name: str
) -> None:
    sandbox.faults = [Fault.parse(f"*:{fault}")]
    found = checks(folder, clock=FakeClock())
    assert failing(found) == {name: 5}
    assert "me" not in [request.call for request in sandbox.requests]


def test_an_api_that_refuses_the_list_in_its_own_words_is_quoted(
    folder: Path, sandbox: Sandbox
) -> None:
    sandbox.faults = [Fault.parse("list:errors-list")]
    found = checks(folder)
    assert failing(found) == {"privilege to list": 1}
    assert found["token"].status == "ok"


def test_trouble_with_the_identity_alone_is_a_warning(folder: Path, sandbox: Sandbox) -> None:
    sandbox.faults = [Fault.parse("me:500")]
    found = checks(folder, clock=FakeClock())
    assert not failing(found)
    assert found["identity"].status == "warning"


@pytest.mark.parametrize("profiles", [0, 1])
def test_a_token_of_another_workspace_than_the_snapshots_is_found(
    folder: Path, sandbox: Sandbox, profiles: int
) -> None:
    export(folder)
    for _ in range(profiles):
        sandbox.workspace("other").create("hubspot", "Acme", "app")
    found = checks(folder, TOKEN="other")
    assert failing(found) == {"identity": 1}
    assert "5002" in found["identity"].message
    assert "5001" in found["identity"].message


@pytest.mark.parametrize(
    ("off", "status", "words"),
    [
        (0.0, "ok", "within"),
        (59.0, "ok", "within"),
        (-59.0, "ok", "within"),
        (3600.0, "warning", "3600 seconds ahead of"),
        (-86400.0, "warning", "86400 seconds behind"),
    ],
)
def test_the_clock_is_compared_with_the_servers(off: float, status: str, words: str) -> None:
    found = check_clock("Mon, 23 Nov 2026 10:00:00 GMT", 1_795_428_000.0 + off)
    assert (found.status, words in found.message) == (status, True), found.message


def test_a_clock_that_is_off_is_found_by_the_answers_that_come_anyway(folder: Path) -> None:
    ours, theirs = FakeClock(), FakeClock()
    theirs.advance_to(ours.now() + 7200)
    with Sandbox([TOKEN], clock=theirs) as sandbox:
        configure(folder, sandbox.url)
        found = checks(folder, clock=ours)["clock"]
        assert calls(sandbox) == [("list", 200), ("me", 200)]
    assert (found.status, "7200 seconds behind" in found.message) == ("warning", True)


@pytest.mark.parametrize("date", [None, "", "yesterday"])
def test_a_server_that_does_not_tell_the_time_leaves_the_clock_untested(date: str | None) -> None:
    assert check_clock(date, 0.0).status == "untested"


def test_a_budget_that_is_not_shared_is_a_warning(folder: Path, sandbox: Sandbox) -> None:
    (folder.parent / "state").write_text("in the way")
    found = checks(folder, XDG_STATE_HOME=str(folder.parent / "state"))
    assert found["quota"].status == "warning"
    assert "XDG_STATE_HOME" in (found["quota"].hint or "")
    assert not failing(found)


# The configuration


def test_a_broken_configuration_is_found_and_nothing_is_guessed(
    folder: Path, sandbox: Sandbox
) -> None:
    (folder / "oauthsync.toml").write_text("[workspaces.dev")
    found = checks(folder)
    assert failing(found) == {"configuration": 2}
    assert not sandbox.requests
    assert {found[name].status for name in ("token", "database", "sidecar")} == {"untested"}


def test_an_unknown_workspace_keeps_the_folder_from_nothing(folder: Path, sandbox: Sandbox) -> None:
    export(folder)
    found = checks(folder, "prud uction")
    assert failing(found) == {"configuration": 2}
    assert found["configuration"].hint == (
        "known are: dev (`oauthsync init --workspace 'prud uction'` shows how to define it)"
    )
    assert found["database"].status == found["exports"].status == "ok"
    assert found["sidecar"].status == "warning"


# The database


def test_a_folder_without_a_backup_is_a_warning(folder: Path, sandbox: Sandbox) -> None:
    found = checks(folder)
    assert found["database"].status == "warning"
    assert "oauthsync export" in (found["database"].hint or "")


def test_a_file_that_is_no_database_is_found(folder: Path, sandbox: Sandbox) -> None:
    (folder / "oauthsync.db").write_text("no database" * 100)
    (folder / "oauthsync.db").chmod(0o600)
    assert failing(checks(folder)) == {"database": 1}


def test_a_damaged_page_is_found(folder: Path, sandbox: Sandbox) -> None:
    export(folder)
    database = folder / "oauthsync.db"
    with sqlite3.connect(database) as connection:
        (root,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'versions_by_first_snapshot'"
        ).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    connection.close()
    with database.open("r+b") as file:
        file.seek((root - 1) * size + 3)
        file.write(b"\xff\xff")
    assert failing(checks(folder)) == {"database": 1}


def test_an_export_that_is_long_ago_is_a_warning(folder: Path, sandbox: Sandbox) -> None:
    clock = FakeClock()
    export(folder, clock)
    found = checks(folder, clock=clock)["exports"]
    assert (found.status, found.message) == ("ok", "the last one is less than 1 hour old")
    clock.advance_to(clock.now() + 2 * 3600)
    assert "less than 3 hours old" in checks(folder, clock=clock)["exports"].message
    clock.advance_to(clock.now() + 8 * 86400)
    found = checks(folder, clock=clock)["exports"]
    assert (found.status, "'dev' (8 days ago)" in found.message) == ("warning", True)
    assert found.hint == "run `oauthsync export dev`, best by a schedule"


def test_a_workspace_that_was_never_exported_is_a_warning(folder: Path, sandbox: Sandbox) -> None:
    export(folder)
    configure(
        folder,
        sandbox.url,
        "".join(
            f'[workspaces.{name}]\nurl = "{sandbox.url}"\ntoken_env = "TOKEN"\n'
            for name in ("prod", '"my test"')
        ),
    )
    hint = checks(folder)["exports"].hint
    assert hint == "run `oauthsync export prod 'my test'`, best by a schedule"
    found = checks(folder, "dev")["exports"]
    assert found.status == "ok"
    found = checks(folder, "prod")["exports"]
    assert (found.status, "'prod' (never)" in found.message) == ("warning", True)


def test_a_run_that_is_not_finished_is_a_warning(folder: Path) -> None:
    key = identity(folder)
    file_secret(folder, key, ("hubspot", "app"))
    with Sandbox([TOKEN], privileges={TOKEN: {"list"}}) as sandbox:
        configure(folder, sandbox.url)
        with (
            open_backup(folder, None, OAUTHSYNC_IDENTITY=str(folder / "key.txt")) as backup,
            open_session(backup, backup.workspace("dev")) as session,
        ):
            listing = session.look()
            step = single.create(listing, provider="hubspot", name="Acme", client_id="app")
            with pytest.raises(AuthenticationError):
                session.write_one(step, listing)
        found = checks(folder)["runs"]
    assert (found.status, "run 1 into 'dev'" in found.message) == ("warning", True)
    assert "oauthsync resume" in (found.hint or "")


# The sidecar


def test_a_sidecar_that_nobody_opens_here_is_untested(folder: Path, sandbox: Sandbox) -> None:
    file_secret(folder, identity(folder), ("hubspot", "app"))
    found = checks(folder)["sidecar"]
    assert found.status == "untested"
    assert "OAUTHSYNC_IDENTITY" in (found.hint or "")


def test_a_sidecar_under_a_passphrase_opens_with_it(folder: Path, sandbox: Sandbox) -> None:
    key = sidecar.PassphraseKey(PASSPHRASE, work_factor=2)
    file_secret(folder, key, ("hubspot", "app"))
    found = checks(folder, OAUTHSYNC_PASSPHRASE=PASSPHRASE.reveal())["sidecar"]
    assert (found.status, found.message) == ("ok", "opens; 1 secret, sealed with a passphrase")
    assert failing(checks(folder, OAUTHSYNC_PASSPHRASE="canary")) == {"sidecar": 7}
    assert checks(folder)["sidecar"].status == "untested"


def test_a_damaged_sidecar_is_found_without_a_key(folder: Path, sandbox: Sandbox) -> None:
    (folder / "secrets.age").write_text("no sidecar")
    (folder / "secrets.age").chmod(0o600)
    assert failing(checks(folder)) == {"sidecar": 7}


@pytest.mark.parametrize("setting", ["OAUTHSYNC_IDENTITY", "OAUTHSYNC_PASSPHRASE_FILE"])
def test_a_key_that_is_missing_or_beside_what_it_opens_is_a_warning(
    folder: Path, sandbox: Sandbox, setting: str
) -> None:
    def key(path: Path) -> Check | None:
        return checks(folder, clock=None, **{setting: str(path)}).get("key")

    found = key(folder.parent / "canary")
    assert found is not None
    assert (found.status, f"{setting} names: there is no such file" in found.message) == (
        "warning",
        True,
    )
    for place in (folder.parent, folder):
        identity(place)
    assert key(folder.parent / "key.txt") is None
    found = key(folder / "key.txt")
    assert found is not None
    assert (found.status, "is in the backup folder" in found.message) == ("warning", True)
    (folder / "key.txt").write_bytes(b"age-encryption.org/v1\n")
    assert key(folder / "key.txt") is None


def test_two_ways_to_open_the_sidecar_are_found(folder: Path, sandbox: Sandbox) -> None:
    file_secret(folder, identity(folder), ("hubspot", "app"))
    found = checks(folder, OAUTHSYNC_PASSPHRASE="a", OAUTHSYNC_IDENTITY="b")
    assert failing(found) == {"sidecar": 2}


def test_a_sidecar_that_is_sealed_to_others_than_configured_is_a_warning(
    folder: Path, sandbox: Sandbox
) -> None:
    file_secret(folder, identity(folder), ("hubspot", "app"))
    (folder / "key.txt").rename(folder / "old.txt")
    recipient = identity(folder).identities[0].recipient
    configure(
        folder, sandbox.url, f'[secrets]\nrecipients = ["{recipient}"]\nidentity = "old.txt"\n'
    )
    found = checks(folder)["sidecar"]
    assert (found.status, "rekey" in (found.hint or "")) == ("warning", True)


def test_a_sidecar_that_is_gone_but_for_its_earlier_generation_is_found(
    folder: Path, sandbox: Sandbox
) -> None:
    key = identity(folder)
    file_secret(folder, key, ("hubspot", "app"))
    file_secret(folder, key, ("hubspot", "other"))
    (folder / "secrets.age").unlink()
    found = checks(folder)
    assert failing(found) == {"sidecar": 7}
    assert "secrets.age.prev" in found["sidecar"].message


# The files


def warnings(folder: Path, **environ: str) -> list[str]:
    with open_backup(folder, None, **environ) as backup:
        found = doctor.examine(backup, None, may_ask=False)
    return [f"{each.message} → {each.hint}" for each in found if each.name == "files"]


def test_a_file_of_secrets_that_was_left_in_the_folder_is_named(
    folder: Path, sandbox: Sandbox
) -> None:
    (folder / "plan.json").write_text('{"steps": []}')
    (folder / "folder.csv").mkdir()
    (folder / "unreadable.csv").write_text("name")
    (folder / "unreadable.csv").chmod(0)
    assert "secrets in the clear" not in checks(folder)
    (folder / "S.CSV").write_text("provider,client_id,client_secret\nhubspot,a,s-canary\n")
    found = checks(folder)["secrets in the clear"]
    assert (found.status, str(folder / "S.CSV") in found.message) == ("warning", True)


def test_an_identity_in_the_folder_is_named_whatever_it_opens(
    folder: Path, sandbox: Sandbox
) -> None:
    identity(folder)
    (folder / "notes.txt").write_text("age1… is ours; its AGE-SECRET-KEY- is in the safe")
    found = checks(folder)["secrets in the clear"]
    assert (found.status, str(folder / "key.txt") in found.message) == ("warning", True)
    named_by_setting = checks(folder, OAUTHSYNC_IDENTITY=str(folder / "key.txt"))
    assert "secrets in the clear" not in named_by_setting


def test_files_that_others_can_use_are_named(folder: Path, sandbox: Sandbox) -> None:
    export(folder)
    file_secret(folder, identity(folder), ("hubspot", "app"))
    for name in ("oauthsync.db", "secrets.age", "key.txt"):
        (folder / name).chmod(0o640)
        [found] = warnings(folder, OAUTHSYNC_IDENTITY=str(folder / "key.txt"))
        assert f"{folder / name} (mode 0640)" in found
        assert f"chmod 600 {folder / name}" in found
        (folder / name).chmod(0o600)
    assert warnings(folder) == ["private, and the folder can be written → None"]


def test_files_with_a_token_or_a_passphrase_that_others_can_use_are_named(
    folder: Path, sandbox: Sandbox
) -> None:
    def mode_of(name: str, mode: int, **environ: str) -> list[str]:
        (folder / name).write_text(TOKEN)
        (folder / name).chmod(mode)
        return warnings(folder, **environ)

    toml = folder / "oauthsync.toml"
    toml.write_text(toml.read_text().replace('token_env = "TOKEN"', 'token_file = "token"'))
    with toml.open("a") as file:
        file.write('[secrets]\npassphrase_file = "passphrase"\n')
    (folder / "link").symlink_to(folder / "linked")
    linked = {"OAUTHSYNC_PASSPHRASE_FILE": str(folder / "link")}
    for name, environ in (("token", {}), ("passphrase", {}), ("linked", linked)):
        [found] = mode_of(name, 0o644, **environ)
        assert f"others can use {folder / name} (mode 0644) → chmod 600" in found
        assert mode_of(name, 0o600, **environ) == ["private, and the folder can be written → None"]


def test_tokens_of_the_vendors_tool_that_others_can_read_are_named(
    folder: Path, sandbox: Sandbox
) -> None:
    store = folder.parent / "home" / ".workato" / "token_store.json"
    store.parent.mkdir(parents=True)
    store.write_text("{}")
    store.chmod(0o644)
    [found] = warnings(folder)
    assert f"others can use {store} (mode 0644)" in found


def test_a_setting_that_leads_to_no_file_is_no_defect(folder: Path, sandbox: Sandbox) -> None:
    for path in ("canary" * 1000, str(folder / "oauthsync.toml" / "below")):
        assert checks(folder, OAUTHSYNC_PASSPHRASE_FILE=path)["files"].status == "ok"
    (folder / "loop").symlink_to("loop")
    [found] = warnings(folder, OAUTHSYNC_PASSPHRASE_FILE=str(folder / "loop"))
    assert f"{folder / 'loop'} is a symbolic link" in found


def test_a_configuration_that_others_can_change_is_named(folder: Path, sandbox: Sandbox) -> None:
    (folder / "oauthsync.toml").chmod(0o644)
    assert warnings(folder) == ["private, and the folder can be written → None"]
    (folder / "oauthsync.toml").chmod(0o664)
    [found] = warnings(folder)
    assert "commands oauthsync runs" in found


def test_a_folder_that_others_can_change_is_named(folder: Path, sandbox: Sandbox) -> None:
    folder.chmod(0o770)
    [found] = warnings(folder)
    assert f"chmod go-w {folder}" in found


def test_a_link_in_place_of_a_file_is_named(folder: Path, sandbox: Sandbox) -> None:
    export(folder)
    (folder / "oauthsync.db").rename(folder / "elsewhere.db")
    (folder / "oauthsync.db").symlink_to(folder / "elsewhere.db")
    [found] = warnings(folder)
    assert f"{folder / 'oauthsync.db'} is a symbolic link" in found
    assert failing(checks(folder)) == {"database": 1}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_named(folder: Path, sandbox: Sandbox) -> None:
    export(folder)
    os.chown(folder / "oauthsync.db", 12345, -1)
    [found] = warnings(folder)
    assert "another user (id 12345)" in found


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_found(folder: Path, sandbox: Sandbox) -> None:
    folder.chmod(0o500)
    assert failing(checks(folder)) == {"files": 1}
    folder.chmod(0o700)
