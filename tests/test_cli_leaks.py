"""No secret, token or passphrase is in any output, or in any file but the sidecar."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from oauthsync.sandbox import Fault
from tests.desk import DEV, PROD, Desk, at_desk
from tests.everyday import converse

SECRETS = ("client-secret-canary-1", "client-secret-canary-2", "slack-token-canary")
CANARIES = (*SECRETS, DEV, PROD)


@pytest.fixture
def desk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Desk]:
    with at_desk(tmp_path, monkeypatch, capsys) as found:
        yield found


def check_files(desk: Desk) -> None:
    """Search all that the command has written: the backup folder, the home, the state folder."""
    found = [path for path in desk.folder.parent.rglob("*") if path.is_file()]
    assert {"oauthsync.db", "secrets.age", "plan.json"} <= {path.name for path in found}
    for path in found:
        content = path.read_bytes()
        for canary in CANARIES:
            assert canary.encode() not in content, path


def test_no_command_leaks_whatever_it_says(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oauthsync.target.PATIENCE", 0.0)
    dev = desk.sandbox.workspace(DEV)
    profiles = desk.create("Acme", "Beta", "Gamma", client_id="a1", client_secret=SECRETS[0])
    dev.create("slack", "Delta", "a2", client_secret=SECRETS[1], token=SECRETS[2])
    rows = [
        {"provider": "hubspot", "client_id": "a1", "client_secret": SECRETS[0]},
        {"provider": "slack", "client_id": "a2", "client_secret": SECRETS[1], "token": SECRETS[2]},
    ]
    said = ""

    def call(*args: str) -> None:
        nonlocal said
        for more in (["-v"], ["-v", "--json"]):
            called = desk.call(*args, *more)
            said += called.out + called.err

    call("export", "dev")  # snapshot 1, whichever of all is first
    call("export", "--all")
    (desk.folder.parent / "secrets.json").write_text(json.dumps(rows))
    call("secrets", "load", "../secrets.json")
    (desk.folder.parent / "secrets.json").unlink()
    code, out, shown = converse(
        ["secrets", "set", "--provider", "slack", "--client-id", "a2", "-v"],
        [("Client secret", SECRETS[1]), ("Token", SECRETS[2])],
    )
    assert code == 0
    said += out + shown
    for profile in profiles[:2]:
        dev.delete(profile.id)
    dev.update(profiles[2].id, name="Changed")
    call("export")
    for args in (
        ["snapshots"],
        ["show", "1"],
        ["diff", "1", "live"],
        ["diff", "1", "2"],
        ["log"],
        ["secrets", "list"],
        ["secrets", "missing"],
        ["plan", "1", "-o", "plan.json"],
        ["plan", "1", "--to", "prod", "--push-secrets"],
        ["import", "1"],
        ["import", "1", "--yes", "--on-existing", "update"],
        ["import", "1", "--to", "prod", "--yes"],
        ["runs"],
        ["runs", "show", "1"],
        ["undo", "1", "--yes", "--force"],
        ["check"],
        ["doctor"],
        ["profiles", "list"],
    ):
        call(*args)
    for kind in ("refused", "errors-list", "html", "half-json", "reset-after-apply", "500"):
        desk.sandbox.faults = [Fault(kind, on="POST", times=1)]
        call("import", "1", "--yes")
        call("resume")
    desk.sandbox.faults = [Fault("redirect")]
    call("export")
    assert len(desk.writes()) > 8
    for canary in CANARIES:
        assert canary not in said
    assert "Traceback" not in said
    check_files(desk)
