"""A secret, a token and a passphrase are where they belong, and nowhere else.

Each of them has the word `canary` in it: what shows but a part of one is found by that word.
"""

import gc
import http.client
import io
import json
import os
import shlex
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import click
import pytest
from click.shell_completion import shell_complete

from oauthsync.cli import cli, run
from oauthsync.keys import PassphraseKey
from oauthsync.sandbox import Fault, Request, Sandbox
from oauthsync.sandbox.faults import APPLIED, BROKEN, LISTING, NOT_APPLIED
from tests import leaks
from tests.clock import FakeClock
from tests.desk import DEV, PASSPHRASE, PROD, Desk, workspace
from tests.everyday import CHEAP, converse
from tests.test_docs import commands
from tests.wire import Reaction, Wire, answer

SECRETS = ("client-secret-canary-1", "client-secret-canary-2", "slack-token-canary")
NEW_PASSPHRASE = "another passphrase-canary of several words"
WHOLE = (*SECRETS, DEV, PROD, PASSPHRASE)
CSV = (
    "provider,client_id,client_secret,token\n"
    f"hubspot,a1,{SECRETS[0]},\nslack,a2,{SECRETS[1]},{SECRETS[2]}\njira,spare,{SECRETS[0]},\n"
)


@dataclass
class Watched:
    """A desk under a passphrase, all that its commands said, and which commands there were."""

    desk: Desk
    monkeypatch: pytest.MonkeyPatch
    said: list[str] = field(default_factory=list)
    called: set[str] = field(default_factory=set)

    def call(self, command: str, *args: str) -> None:
        """Call a command at its most talkative, for a person and for a program."""
        assert self.once(command, *args, "-v") in (0, 6), self.said[-3:]
        self.once(command, *args, "-v", "--json")  # or refuses what is done already

    def once(self, command: str, *args: str) -> int:
        called = self.desk.call(*command.split(), *args)
        self.said += [called.out, called.err]
        self.called.add(command)
        return called.code

    def typed(self, command: str, *args: str, answers: list[tuple[str, str]]) -> None:
        """Call a command at a terminal, and answer its questions."""
        code, out, shown = converse([*command.split(), *args, "-v"], answers)
        assert code == 0, shown
        self.said += [out, shown]
        self.called.add(command)

    def stdin(self, text: str) -> None:
        self.monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    def load(self) -> None:
        """File the secrets of CSV, from a file that is removed again."""
        file = self.desk.folder.parent / "secrets.csv"
        file.write_text(CSV)
        assert self.once("secrets load", str(file), "-v") == 0
        file.unlink()

    def check(self) -> None:
        """Nothing was said, and nothing is in any file."""
        assert not [each for each in self.said if "canary" in each]
        assert not [each for each in self.said if "Traceback" in each]
        assert not spilt(self.desk.folder.parent)


def spilt(root: Path) -> list[Path]:
    """The files below `root` that hold a part of a secret."""
    return [path for path in root.rglob("*") if b"canary" in content(path)]


def content(path: Path) -> bytes:
    try:
        return path.read_bytes() if path.is_file() else b""
    except FileNotFoundError:  # a temporary file that is gone meanwhile
        return b""


@pytest.fixture
def watched(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    """With a word more than any user sees: of each error that is told, all that it holds."""
    clock = FakeClock()
    monkeypatch.setattr("oauthsync.backup.SystemClock", lambda: clock)
    monkeypatch.setattr("oauthsync.api.PATIENCE", 0.0)
    monkeypatch.setattr(PassphraseKey.__init__, "__defaults__", CHEAP)
    watched = Watched(desk, monkeypatch)
    told = run._told

    def and_shown(error: BaseException) -> tuple[str, str | None, int]:
        watched.said.append(leaks.shown(error).replace("Traceback (most recent", "("))
        return told(error)

    monkeypatch.setattr(run, "_told", and_shown)
    (tmp_path / "key.txt").unlink()
    monkeypatch.delenv("OAUTHSYNC_IDENTITY")
    monkeypatch.setenv("OAUTHSYNC_PASSPHRASE", PASSPHRASE)
    point_at(desk, desk.sandbox.url)
    return watched


def point_at(desk: Desk, url: str, server_timeout: float = 0.1) -> None:
    workspaces = workspace("dev", url, "DEV") + workspace("prod", url, "PROD")
    timeout = f"server_timeout = {server_timeout}"
    desk.configure(
        'default_workspace = "dev"\n' + workspaces.replace("server_timeout = 0.2", timeout)
    )


def fill(sandbox: Sandbox) -> list[int]:
    """Profiles in dev; their ids."""
    dev = sandbox.workspace(DEV)
    found = [dev.create("hubspot", name, "a1") for name in ("Acme", "Beta", "Gamma")]
    return [each.id for each in (*found, dev.create("slack", "Delta", "a2"))]


def test_no_command_says_or_writes_one(watched: Watched) -> None:
    desk, call = watched.desk, watched.call
    dev, ids = desk.sandbox.workspace(DEV), fill(desk.sandbox)
    call("export", "dev")
    call("export", "--all")
    watched.load()
    watched.stdin(json.dumps({"client_secret": SECRETS[0]}))
    watched.once("secrets set", "--provider", "jira", "--client-id", "b", "--stdin", "-v")
    for profile_id in (ids[0], ids[3]):
        dev.delete(profile_id)
    dev.update(ids[2], name="Changed")
    call("export")
    for line in (
        *("snapshots", "show 1", "diff 1 live", "diff 1 2", "log", "check", "doctor"),
        *("secrets list", "secrets missing 1", "plan 1 -o plan.json", "plan 1 --markdown"),
        *("plan 1 --to prod --push-secrets", "import 1 --yes --on-existing update"),
        *("import 1 --to prod --yes", "runs", "runs show 1", "runs show 1 --id-map"),
        *("undo 1 --yes --force", "report -o report.html", "report -o -", "prune --keep-last 30"),
        *("profiles list", f"profiles get {ids[1]}", f"profiles delete {ids[1]} --yes --force"),
        "profiles create --provider slack --name New --client-id a2",
        f"profiles update {ids[2]} --client-id a1 --yes",
        f"init --dir .. --workspace dev --url {desk.sandbox.url} --token-env DEV",
        "secrets keygen -o ../key.txt",
    ):
        command = " ".join(line.split()[: 2 if line.split()[0] in ("secrets", "profiles") else 1])
        command = "runs show" if line.startswith("runs show") else command
        call(command, *line.removeprefix(command).split())
    watched.once("resume", "-v")  # nothing is left to carry on: see the faults
    slack = ("--provider", "slack", "--client-id", "a2")
    call("secrets remove", *slack)
    asked = [("Client secret", SECRETS[1]), ("Token", SECRETS[2])]
    watched.typed("secrets fill", "1", answers=asked)
    new = ("New passphrase", NEW_PASSPHRASE)
    watched.typed("secrets rekey", "--passphrase", answers=[new, ("once more", NEW_PASSPHRASE)])
    assert not [each for each in watched.said if "AGE-SECRET-KEY" in each]
    assert {"POST", "PUT", "DELETE"} == set(desk.writes())
    names = {path.name for path in desk.folder.iterdir()}
    assert {"oauthsync.db", "secrets.age", "plan.json", "report.html"} <= names
    watched.check()
    # A sandbox serves until it is interrupted, and its tokens are made up on its command line.
    every = {path for path, command in commands(cli) if not is_mere_group(command)}
    assert every - watched.called == {"sandbox"}


def is_mere_group(command: click.Command) -> bool:
    return isinstance(command, click.Group) and not command.invoke_without_command


def test_no_option_takes_one() -> None:
    """So none is in the list of processes, or in a shell's history."""
    words = ("secret", "token", "passphrase", "password")
    taking = {
        option
        for path, command in commands(cli)
        for parameter in command.params
        for option in parameter.opts
        if path != "sandbox" and not getattr(parameter, "is_flag", False)
        if any(word in option for word in words)
    }
    # Each names where the thing is.
    where = {"--token-env", "--token-file", "--token-command"}
    assert taking == where | {"--passphrase-file", "--passphrase-command"}


def test_bad_input_gives_none_away(watched: Watched) -> None:
    file = watched.desk.folder.parent / "secrets.json"
    for text in (
        *('[{"provider": "p", "client_id": "canary", "client_secret": ["canary"]}]', "canary"),
        *('[{"canary": "canary"}]', "provider,client_id,client_secret\np,canary\n", '{"canary'),
        *("p,c,canary\n", '[{"provider": "p", "client_secret": "\\ud800canary"}]'),
    ):
        file.write_text(text)
        assert watched.once("secrets load", str(file)) == 2
        watched.stdin(text)
        assert watched.once("secrets set", "--provider=p", "--client-id=c", "--stdin") == 2
    file.unlink()
    watched.load()
    for wrong in ("a wrong canary", "canary\ncanary", "canary\udcff"):
        watched.monkeypatch.setenv("OAUTHSYNC_PASSPHRASE", wrong)
        assert watched.once("secrets list") == 7
    for wrong in ("canary canary", "canary\n", "canary\udcff"):
        watched.monkeypatch.setenv("DEV", wrong)
        assert watched.once("export") == 3
    watched.check()
    toml = watched.desk.folder / "oauthsync.toml"
    text = toml.read_text()
    for line in ('token = "canary"', 'token_command = "canary', 'token_env = "canary canary"'):
        toml.write_text(text.replace('token_env = "DEV"', line))
        assert watched.once("export") == 2
    toml.write_text(text)
    watched.check()


# One fault of each shape, and of those that break the connection or the answer each effect in turn.
FAULTS = [kind + ("", "-after-apply", "-late")[number % 3] for number, kind in enumerate(BROKEN)]
FAULTS += [*NOT_APPLIED, *APPLIED, *LISTING]


def test_no_fault_of_the_api_gives_one_away(watched: Watched) -> None:
    desk = watched.desk
    fill(desk.sandbox)
    watched.load()
    watched.once("export", "dev")
    for number, kind in enumerate(FAULTS):
        more = ["-v"] if number % 2 else ["-v", "--json"]
        reads, writes = ("list", "list") if kind in LISTING else ("GET", "POST")
        desk.sandbox.faults = [Fault(kind, reads, times=2, delay=0.0)]
        watched.once("export", "dev", *more)
        dev = desk.sandbox.workspace(DEV)
        dev.delete(next(iter(dev.profiles)))
        desk.sandbox.faults = [Fault(kind, writes, times=1, delay=0.0)]
        code = watched.once("import", "1", "--yes", *more)
        assert not desk.sandbox.faults
        assert code in (0, 5, 6), kind
        if code:
            watched.once("resume", *more)
    assert desk.writes().count("POST") > len(FAULTS)
    watched.check()


# --- a server that repeats what it was sent -----------------------------------------------------


def echoes(request: bytes) -> Iterator[Reaction]:
    """Answers with the request itself, its token and its secrets in it: one of each kind.

    `test_answers.py`, `test_api.py` and `test_transport.py` have every form.
    """
    line = " ".join(request.decode("latin-1").split())
    message = json.dumps({"message": line}).encode()
    yield answer(422, message)
    yield answer(200, message[:-2])
    yield answer(302, request, {"Location": f"https://elsewhere/{quote(line)}"})
    yield partial(send, f"{line}\r\n\r\n".encode())


def send(raw: bytes, connection: Any) -> None:
    connection.sendall(raw)


class Mirror:
    """Answers by the sandbox, but the next request of one method by one of its echoes."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.host = urlsplit(sandbox.url).netloc
        self.method = b""
        self.number = 0
        self.repeated = 0

    def __call__(self, request: bytes) -> Reaction:
        if not request.startswith(self.method or b"-"):
            return self._passed_on(request)
        assert DEV.encode() in request
        self.repeated += 1
        self.method = b""
        return list(echoes(request))[self.number]

    def _passed_on(self, request: bytes) -> bytes:
        head, _, body = request.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        method, path, _ = first.split()
        headers = dict(line.split(": ", 1) for line in lines)
        connection = http.client.HTTPConnection(self.host)
        connection.request(method, path, body or None, headers)
        with connection.getresponse() as response:
            found = answer(response.status, response.read())
        connection.close()
        return found


def test_a_server_that_repeats_its_requests_is_not_quoted(watched: Watched) -> None:
    desk = watched.desk
    watched.monkeypatch.setattr("oauthsync.api.ATTEMPTS", 1)
    ids = fill(desk.sandbox)
    mirror = Mirror(desk.sandbox)
    with Wire(respond=mirror) as wire:
        point_at(desk, wire.url, server_timeout=5)
        watched.load()
        assert watched.once("export", "dev") == 0
        count = len(list(echoes(b"")))
        for number in range(count):
            mirror.number = number
            more = ["-v"] if number % 2 else ["-v", "--json"]
            dev = desk.sandbox.workspace(DEV)
            dev.delete(next(each for each in dev.profiles if each != ids[2]))
            lines = {b"GET": "export dev", b"POST": "import 1 --yes"}
            if number % 2:
                lines[b"PUT"] = f"profiles update {ids[2]} --name N{number} --yes"
            else:
                lines[b"DELETE"] = f"profiles delete {ids[2]} --yes --force"
            for method, line in lines.items():
                mirror.method = method
                command = " ".join(line.split()[: 2 if line.startswith("profiles") else 1])
                watched.once(command, *line.removeprefix(command).split(), *more)
                if method != b"GET":
                    watched.once("resume", *more)
            if ids[2] not in dev.profiles:
                watched.once("import", "1", "--yes")
                ids[2] = max(dev.profiles)
    assert mirror.repeated == 3 * count
    assert [each for each in watched.said if "[masked]" in each]
    watched.check()


# --- while a request is under way ---------------------------------------------------------------


@pytest.mark.parametrize("mode", ["PERSIST", "WAL"])
def test_while_a_request_carries_them_they_are_in_no_file_and_no_object_shows_them(
    mode: str, watched: Watched
) -> None:
    """SQLite's journal stays where it is for once, with all that was ever written to it."""
    desk, connect = watched.desk, sqlite3.connect

    def keeping_the_journal(*args: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*args, **options)
        connection.execute(f"PRAGMA journal_mode = {mode}")
        return connection

    watched.monkeypatch.setattr(sqlite3, "connect", keeping_the_journal)
    beside = desk.folder / f"oauthsync.db-{'wal' if mode == 'WAL' else 'journal'}"
    sizes, files, types, showing = [], [], set(), []

    def look(request: Request) -> None:
        if request.method in ("GET", "DELETE"):
            return
        assert request.body["data"]["client_secret"] in SECRETS
        sizes.append(len(content(beside)))
        files.extend(spilt(desk.folder.parent))
        for each in gc.get_objects():
            if str(type(each).__module__).startswith("oauthsync"):
                types.add(type(each).__name__)
                if any(secret in repr(each) for secret in WHOLE):
                    showing.append(type(each))

    fill(desk.sandbox)
    watched.load()
    watched.once("export", "dev")
    desk.sandbox.hook = look
    point_at(desk, desk.sandbox.url, server_timeout=30)  # to look around takes its time
    watched.once("import", "1", "--to", "prod", "--yes", "-v")
    watched.once("import", "1", "--push-secrets", "--yes")
    watched.once("profiles create", "--provider=slack", "--name=New", "--client-id=a2")
    assert len(sizes) == 9
    assert min(sizes) > 4096
    assert not files
    assert not showing
    expected = {"Transport", "Payload", "Entry", "Secrets", "Backup", "Session", "FromVariable"}
    assert expected | {"PassphraseKey", "Message", "Sandbox", "StoredProfile"} <= types
    watched.check()


# --- processes ----------------------------------------------------------------------------------

TELL = """
import os, pathlib, sys
for name, pid in (("own", os.getpid()), ("parent", os.getppid())):
    line = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    (pathlib.Path(sys.argv[1]) / f"{name}-line").write_bytes(line)
(pathlib.Path(sys.argv[1]) / "environment").write_text(repr(dict(os.environ)))
print(pathlib.Path(sys.argv[2]).read_text())
"""


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="needs Linux' /proc")
def test_no_process_has_another_ones_in_its_arguments_or_environment(
    watched: Watched, tmp_path_factory: pytest.TempPathFactory
) -> None:
    desk, outside = watched.desk, tmp_path_factory.mktemp("outside")
    fill(desk.sandbox)
    watched.load()
    (outside / "tell.py").write_text(TELL)
    seen = {}
    for name, secret in (("token", DEV), ("passphrase", PASSPHRASE)):
        (outside / name).write_text(secret)
        seen[name] = desk.folder / f"seen-by-{name}-command"
        seen[name].mkdir()
        arguments = [sys.executable, *map(str, (outside / "tell.py", seen[name], outside / name))]
        watched.monkeypatch.setenv(f"{name.upper()}_COMMAND", shlex.join(arguments))
    toml = (desk.folder / "oauthsync.toml").read_text()
    for name in ("TOKEN", "DEV"):  # nobody said that these are tokens
        watched.monkeypatch.delenv(name)
    by_command = f"token_command = {json.dumps(os.environ['TOKEN_COMMAND'])}"
    desk.configure(toml.replace('token_env = "DEV"', by_command))
    assert watched.once("export", "dev") == 0
    watched.monkeypatch.delenv("OAUTHSYNC_PASSPHRASE")
    watched.monkeypatch.setenv("DEV", DEV)
    watched.monkeypatch.setenv("WORKATO_API_TOKEN", "vendor-token-canary")
    watched.monkeypatch.setenv("OAUTHSYNC_PASSPHRASE_COMMAND", os.environ["PASSPHRASE_COMMAND"])
    desk.configure(toml)
    lines: list[bytes] = []
    process: subprocess.Popen[bytes]
    desk.sandbox.hook = lambda _: lines.append(content(Path(f"/proc/{process.pid}/cmdline")))
    command = [sys.executable, "-m", "oauthsync", "import", "1", "--to", "prod", "--yes"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    assert process.wait(30) == 0
    assert len(lines) > 4
    assert lines[0].split(b"\0")[1:3] == [b"-m", b"oauthsync"]
    assert b"canary" not in b"".join(lines)
    told = [path for folder in seen.values() for path in folder.iterdir()]
    assert len(told) == 6
    (outside / "tell.py").unlink()
    watched.check()


CRASHING = """
import os, resource, sys
hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
from oauthsync.cli import main
try:
    main(["--version"])
except SystemExit:
    print(hard, *resource.getrlimit(resource.RLIMIT_CORE), flush=True)
    os.abort()
"""


def test_a_process_that_crashes_leaves_no_core_dump_where_the_user_allows_one(
    tmp_path: Path,
) -> None:
    command = [sys.executable, "-c", CRASHING]
    crashed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert crashed.returncode == -signal.SIGABRT
    hard, *limits = map(int, crashed.stdout.splitlines()[-1].split())
    assert limits == [0, hard]
    assert list(tmp_path.iterdir()) == []


# --- completion ---------------------------------------------------------------------------------


def test_completion_completes_none(watched: Watched) -> None:
    fill(watched.desk.sandbox)
    watched.load()
    watched.once("export", "dev")
    answered = 0
    for path, command in commands(cli):
        options = (option for each in command.params for option in each.opts if option[0] == "-")
        for before in ("", *options):
            for begun in ("", "-", "cli", "a", "s"):
                words = f"oauthsync {path} {before}".rstrip()
                watched.monkeypatch.setenv("COMP_WORDS", f"{words} {begun}")
                watched.monkeypatch.setenv("COMP_CWORD", str(len(words.split())))
                watched.desk.capsys.readouterr()
                shell_complete(cli, {}, "oauthsync", "_OAUTHSYNC_COMPLETE", "zsh_complete")
                watched.said.append(watched.desk.capsys.readouterr().out)
                answered += bool(watched.said[-1])
    assert answered > 100
    watched.check()
