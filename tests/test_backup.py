"""A backup folder opens what is needed when it is needed, and reads workspaces side by side."""

import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from oauthsync import backup
from oauthsync.backup import Backup, Exported, Failed
from oauthsync.cli.session import Session
from oauthsync.clock import SleepInterruptedError
from oauthsync.database import reading
from oauthsync.errors import OauthsyncError, StoreError, UsageError
from oauthsync.events import Event, ExportEnded, PageRead, QuotaNotShared, Waiting
from oauthsync.sandbox import Fault, Request, Sandbox
from tests.clock import FakeClock
from tests.desk import QUOTA, workspace

TOKENS = [f"token-{number}" for number in range(8)]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(TOKENS, profiles=3, requests_per_minute=QUOTA) as running:
        yield running


def folder(tmp_path: Path, sandbox: Sandbox, count: int = 1, extra: str = "") -> Path:
    found = tmp_path / "backup"
    found.mkdir(exist_ok=True)
    text = "".join(workspace(f"w{n}", sandbox.url, f"T{n}") for n in range(count))
    (found / "oauthsync.toml").write_text(text + extra)
    return found


def opened(path: Path, *, environ: Mapping[str, str] | None = None, **options: Any) -> Backup:
    tokens = {f"T{number}": token for number, token in enumerate(TOKENS)}
    return Backup(path, environ={**tokens, **(environ or {})}, home=path.parent / "home", **options)


def exported(found: Backup) -> list[Exported | Failed]:
    return list(found.export(list(found.config.workspaces.values())))


# closing


def test_a_database_is_closed_when_no_thread_uses_it_and_for_good(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    found = opened(folder(tmp_path, sandbox))
    exported(found)
    is_closed = threading.Event()

    def close() -> None:
        found.close()
        is_closed.set()

    closing = threading.Thread(target=close)
    with reading(found.database()) as connection:
        closing.start()
        assert not is_closed.wait(0.05)
        assert connection.execute("SELECT count(*) FROM snapshots").fetchone() == (1,)
    assert is_closed.wait(10)
    closing.join()
    with pytest.raises(StoreError, match="is closed"):
        found.snapshots()


# export


def test_an_export_gives_the_snapshot_the_difference_and_the_export_before(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    with opened(folder(tmp_path, sandbox)) as found:
        [first] = exported(found)
        assert isinstance(first, Exported)
        assert (first.snapshot.profiles, first.before, bool(first.difference)) == (3, None, False)
        gone = next(iter(sandbox.workspace(TOKENS[0]).profiles))
        sandbox.workspace(TOKENS[0]).delete(gone)
        [second] = exported(found)
        assert isinstance(second, Exported)
        assert [profile.id for profile in second.difference.removed] == [gone]
        assert second.before is not None
        assert second.before.id == first.snapshot.id


def test_an_error_of_one_workspace_is_its_result(tmp_path: Path, sandbox: Sandbox) -> None:
    path = folder(tmp_path, sandbox, 3)
    with opened(path, environ={"T1": "mistyped"}) as found:
        results = exported(found)
        failed = [each for each in results if isinstance(each, Failed)]
        assert [each.workspace for each in failed] == ["w1"]
        assert failed[0].error.exit_code == 3
        assert {each.workspace for each in found.snapshots().all()} == {"w0", "w2"}


def test_no_more_workspaces_are_read_at_once_than_the_width(
    tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "FLEET_WIDTH", 2)
    busy, most, lock = set[int | None](), [0], threading.Lock()
    turn = threading.Barrier(2, timeout=10)

    def watch(request: Request) -> None:
        with lock:
            busy.add(request.workspace)
            most[0] = max(most[0], len(busy))
        turn.wait()  # two are under way at any time, and never a third
        with lock:
            busy.discard(request.workspace)

    sandbox.hook = watch
    with opened(folder(tmp_path, sandbox, 8)) as found:
        assert all(isinstance(each, Exported) for each in exported(found))
    assert most == [2]


def test_a_fleet_shares_the_threads_that_read_pages(
    tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "FLEET_READERS", 8)
    for each in sandbox.workspaces:
        each.fill(300)
    most = [0]

    def watch(_request: Request) -> None:
        most[0] = max(most[0], sum(each.name.startswith("page") for each in threading.enumerate()))

    with opened(folder(tmp_path, sandbox, 8)) as found:
        exported(found)  # the next one knows how many pages there are
        sandbox.hook = watch
        assert all(isinstance(each, Exported) for each in exported(found))
        assert most[0] <= 8
        assert isinstance(next(iter(found.export([found.workspace("w0")]))), Exported)
        assert most[0] >= 3


def test_ctrl_c_wakes_who_waits_and_stores_nothing_of_theirs(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    """One workspace is done, the other waits for a quota that never comes."""

    class Forever(FakeClock):
        def __init__(self) -> None:
            super().__init__()
            self.woken = threading.Event()
            self.waits = threading.Event()

        def sleep(self, seconds: float) -> None:
            self.waits.set()
            assert self.woken.wait(10)
            raise SleepInterruptedError

        def interrupt(self) -> None:
            self.woken.set()

    clock = Forever()
    sandbox.hook = lambda request: Fault("429", delay=300) if request.workspace == 1 else None
    with opened(folder(tmp_path, sandbox, 2), clock=clock) as found:
        results = found.export(list(found.config.workspaces.values()))
        assert isinstance(next(results), Exported)
        assert clock.waits.wait(10)
        with pytest.raises(KeyboardInterrupt):
            results.throw(KeyboardInterrupt)  # type: ignore[attr-defined]
        assert clock.woken.is_set()
        assert [each.workspace for each in found.snapshots().all()] == ["w0"]


def test_the_count_of_the_last_snapshot_is_what_is_expected(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    events: list[Event] = []
    with opened(folder(tmp_path, sandbox), listener=events.append) as found:
        exported(found)
        assert found.expected == {"w0": 0}
        exported(found)
        assert found.expected == {"w0": 3}
    assert events == [PageRead("w0", 1, 3), ExportEnded("w0")] * 2


def test_a_name_that_leads_elsewhere_now_is_refused(tmp_path: Path, sandbox: Sandbox) -> None:
    path = folder(tmp_path, sandbox)
    with opened(path) as found:
        exported(found)
    sandbox.workspace(TOKENS[1]).create("hubspot", "Other", "app")
    with opened(path, environ={"T0": TOKENS[1]}) as found:
        [failed] = exported(found)
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, StoreError)


# the folder and what belongs to it


def test_nothing_is_created_by_looking(tmp_path: Path, sandbox: Sandbox) -> None:
    path = folder(tmp_path, sandbox)
    with opened(path) as found:
        for look in (found.database, found.snapshots, found.journal, found.sidecar.secrets):
            with pytest.raises(OauthsyncError):
                look()
        assert found.sidecar.apps() == frozenset()
        assert found.live(found.workspace(None)).profiles
    assert [each.name for each in path.iterdir()] == ["oauthsync.toml"]


def test_the_quota_is_shared_by_who_has_the_same_token(tmp_path: Path, sandbox: Sandbox) -> None:
    """Two folders, one workspace under two names: the second one finds the budget used."""
    clock = FakeClock()
    quota = "requests_per_minute = 1\n"
    text = f'url = "{sandbox.url}"\ntoken_env = "T0"\n{quota}'
    state = {"XDG_STATE_HOME": str(tmp_path / "state")}
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "oauthsync.toml").write_text(f"[workspaces.{name}]\n{text}")
        with opened(tmp_path / name, clock=clock, environ=state) as found:
            found.live(found.workspace(None))
    assert sum(clock.slept) == pytest.approx(60, abs=1)


def test_who_listens_is_told_once_that_the_quota_is_not_shared(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    events: list[Event] = []
    environ = {"XDG_STATE_HOME": "/dev/null"}
    with (
        opened(folder(tmp_path, sandbox), environ=environ, listener=events.append) as found,
        found.api(found.workspace(None)) as api,
    ):
        api.page(1)
        api.page(1)
    [event] = events
    assert isinstance(event, QuotaNotShared)
    assert (event.workspace, "cannot be used" in event.problem) == ("w0", True)


@pytest.mark.parametrize(
    ("variable", "expected"),
    [("/state", "/state/oauthsync"), ("state", None), ("", None)],
)
def test_the_state_folder_follows_the_xdg_specification(
    tmp_path: Path, variable: str, expected: str | None
) -> None:
    found = Backup(tmp_path, environ={"XDG_STATE_HOME": variable}, home=tmp_path / "home")
    default = tmp_path / "home" / ".local" / "state" / "oauthsync"
    assert found.state_folder == (Path(expected) if expected else default)


def test_a_user_without_a_home_is_told_to_set_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(UsageError, match="no home folder"):
        Backup(tmp_path)


def test_progress_goes_on_while_the_vendors_profiles_are_being_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What shows it must not fail the work that it shows."""
    profiles = tmp_path / ".workato" / "profiles"
    profiles.parent.mkdir()
    profiles.write_text('{"profiles": {"staging": {"region_url": "http://127.0.0.1:9"}}}')
    tokens = '{"workato-platform-cli": {"staging": "token"}}'
    profiles.with_name("token_store.json").write_text(tokens)
    for name, value in (("HOME", str(tmp_path)), ("WORKATO_DISABLE_KEYRING", "true")):
        monkeypatch.setenv(name, value)
    session = Session(tmp_path, json=False, quiet=False, verbose=True, no_input=True)
    with session.backup() as found, found.api(found.workspace("staging")):
        profiles.write_text('{"profiles": {')
        found.listener(Waiting("staging", 5.0, "quota"))
    assert "staging: 0 read, waiting 5 s (quota)" in capsys.readouterr().err
