"""Every reader of what comes from outside, as a target for fuzzing."""

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from sqlite_utils import Database

from oauthsync import (
    age,
    answers,
    config,
    entries,
    overrides,
    plan,
    plan_file,
    profiles,
    secrets_file,
    strictjson,
)
from oauthsync.age.header import Stanza
from oauthsync.answers import Answer
from oauthsync.database import open_database
from oauthsync.errors import ApiError, OauthsyncError, SidecarError, UsageError
from oauthsync.overrides import Override
from oauthsync.profiles import Profile
from oauthsync.secret import Secret
from oauthsync.snapshots import Snapshots
from tests import plans, store
from tests.age_files import FILE_KEY, HYBRID, IDENTITY, PASSPHRASE, PLAINTEXT, forged, sealed
from tests.fuzzing import CANARY, UNIT, Target, as_json, as_toml, changed, mutated

NAMES = (
    *("age", "sidecar", "answers", "configuration", "overrides"),
    *("secrets file", "selector", "plan", "json"),
)
NOW = "2026-11-23T10:00:00Z"


@contextlib.contextmanager
def open_targets(folder: Path) -> Iterator[Mapping[str, Target]]:
    """The targets by their names; some keep files in `folder`, which is empty."""
    with contextlib.closing(_database(folder)) as found:
        targets = (
            *(_age(), _sidecar(), _answers(), _configuration(folder), _overrides()),
            *(_secrets_file(), _selector(found), _plan(), _json()),
        )
        yield {target.name: target for target in targets}


def _age() -> Target:
    """age files, also with a right MAC over a wrong header: the plaintext comes out, or nothing."""
    keys = (IDENTITY, HYBRID, PASSPHRASE)
    seeds = [sealed(key, armor=armor) for key in keys for armor in (False, True)]
    words = (b"-> ", b"\n---", b"-----END AGE ENCRYPTED FILE-----", b"\r\n", b"=", b"X25519 ")
    visible = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=50)
    stanzas = st.builds(
        Stanza,
        st.sampled_from(["X25519", "mlkem768x25519"]) | visible,
        st.lists(visible | st.sampled_from(["1", "01", "7"]), max_size=3).map(tuple),
        st.binary(max_size=100) | st.sampled_from([32, 48, 64]).map(bytes),
    )
    own = IDENTITY.recipient.wrap(FILE_KEY)
    files = st.builds(lambda first, last: forged(*first, own, *last), *[st.lists(stanzas)] * 2)

    def cheap(data: bytes) -> bool:  # a work factor of 20 is allowed, and takes seconds
        return not re.search(rb"-> scrypt [^ ]+ (1[0-9]|20)\n", data)

    def read(data: bytes) -> None:
        assert age.decrypt(data, keys) == PLAINTEXT

    inputs = (mutated(seeds, words) | files).filter(cheap)
    return Target("age", inputs, read, age.AgeError, PLAINTEXT.decode())


def _sidecar() -> Target:
    """What a sidecar seals; what is read is written and read again."""
    entry = {"provider": "slack", "client_id": "app", "client_secret": CANARY, "updated_at": NOW}
    document = {"format": entries.FORMAT, "version": 1, "recipients": ["age1x"]}
    seeds: list[Any] = [
        {**document, "secrets": [{**entry, "token": CANARY}, {**entry, "client_id": "b"}]},
        {**document, "recipients": [], "secrets": [entry]},
    ]

    def read(data: bytes) -> None:
        found = entries.parse_document(data)
        assert entries.parse_document(entries.dump_document(found)) == found

    inputs = _json_inputs(seeds, ("token", "client_secret", "version"))
    return Target("sidecar", inputs, read, SidecarError, UNIT)


def _secrets_file() -> Target:
    """CSV and JSON with secrets."""
    row = {"provider": "slack", "client_id": "app", "client_secret": CANARY, "token": CANARY}
    csv = f"provider,client_id,client_secret,token\nslack,app,{CANARY},\njira,b,{CANARY},{CANARY}\n"
    quoted = f'"client_id";"client_secret"\r\n"a","{CANARY}\n""{CANARY}"""\r\n'
    words = (b",", b'"', b"\r", b"\xef\xbb\xbf", CANARY.encode(), b"token", b" ", "\u200b".encode())

    def read(data: bytes) -> None:
        secrets_file.parse_rows(data, name="secrets.csv", now=NOW)

    inputs = mutated([csv.encode(), quoted.encode()], words) | _json_inputs([[row, row]])
    return Target("secrets file", inputs, read, UsageError, UNIT)


def _json_inputs(seeds: list[Any], names: tuple[str, ...] = ()) -> st.SearchStrategy[bytes]:
    words = (
        b'"',
        b"\\ud800",
        b"\\u",
        b"[",
        b"[" * 5000,
        b"{",
        b"}",
        b"-0",
        b"1e999",
        b"NaN",
        b",",
        b":",
    )
    texts = [json.dumps(each).encode() for each in seeds]
    return as_json(changed(seeds, names)) | mutated(texts, (*words, CANARY.encode()))


def _answers() -> Target:
    """Answers of the API, which may repeat the secret of their request."""
    profile = dict(plans.profile(1).fields)
    seeds: list[Any] = [
        {"result": [profile, {**profile, "id": 2}]},
        {"result": profile},
        {"result": {"success": False}, "errors": {"provider": [f"{CANARY} is not in the list"]}},
        {"message": f"no {CANARY}", "errors": [{"code": CANARY, "title": CANARY}]},
    ]
    html = b"<html>" + CANARY.encode()
    texts = st.text(max_size=12) | st.sampled_from(
        ["0", "7", "-1", "9" * 400, "Mon, 23 Nov 2026 10:00:00 GMT", f"https://x/{CANARY}", "²"]
    )
    answer = st.fixed_dictionaries(
        {
            "status": st.sampled_from([200, 201, 204, 302, 400, 401, 422, 429, 500, 599, 0]),
            "headers": st.dictionaries(
                st.sampled_from(["Retry-After", "Date", "Location", "Content-Length"]), texts
            ),
            "content": _json_inputs(seeds, ("result", "success", "error")) | st.just(html),
            "as": st.sampled_from(["GET", "POST", "page", "profile", "deletion", "workspace"]),
        }
    )
    return Target("answers", answer, _read_answer, ApiError, CANARY)


def _read_answer(value: dict[str, Any]) -> None:
    answer = Answer(value["status"], value["headers"], value["content"])
    match value["as"]:
        case "page":
            for profile in answers.page(answer.content, 100):
                _look_at(profile)
        case "profile":
            _look_at(answers.profile(answer.content))
        case "deletion":
            answers.deletion(answer, [Secret(CANARY)])
        case "workspace":
            answers.workspace(answer.content)
        case method:
            answers.check(answer, method, "https://x", [Secret(CANARY)])


def _look_at(profile: Profile) -> None:
    assert profiles.from_document(profile.document) == profile
    assert not profile.data.keys() & set(profiles.SECRET_FIELDS)
    assert profile.significant


def _configuration(folder: Path) -> Target:
    """`oauthsync.toml`, the environment, and the vendor CLI's profiles, each of them hostile."""
    workspace = {"region": "eu", "token_env": "PROD_TOKEN", "requests_per_minute": 60}
    own = {"url": "http://127.0.0.1:8080", "token_file": "~x/token", "server_timeout": 1.5}
    seeds: list[Any] = [
        {
            "default_workspace": "dev",
            "workspaces": {"dev": own, "prod": workspace},
            "secrets": {"identity": "~/key.txt", "recipients": ["age1x"]},
        },
        {
            "workspaces": {"dev": {"region": "us", "token_command": "op read 'x y'"}},
            "secrets": {"passphrase_command": "pass show x"},
        },
    ]
    names = ("region", "url", "token_env", "token_command", "token_file", "passphrase_file")
    texts = [b'[workspaces.dev]\nregion = "us"\ntoken_env = "A"\n[secrets]\nidentity = "k"\n']
    words = (b'"""', b"[[", b"=", b".", b"1979-05-27", b"inf", b"'", b"[" * 500)
    vendor: list[Any] = [{"profiles": {"dev": {"region_url": "https://app.eu.workato.com"}}}]
    variables = (
        *("WORKATO_API_TOKEN", "WORKATO_HOST", "OAUTHSYNC_PASSPHRASE"),
        *("OAUTHSYNC_PASSPHRASE_FILE", "OAUTHSYNC_PASSPHRASE_COMMAND", "OAUTHSYNC_IDENTITY"),
    )
    urls = (b"https://app.eu.workato.com/api", b"http://127.0.0.1:8080", b"HTTP://[::1]:80/")
    values = (
        st.text(st.characters(exclude_characters="\0"), max_size=12)
        | st.sampled_from([CANARY, "dev", f"https://u:{CANARY}@x", "~nobody/x", "'"])
        | mutated(urls, (b"@", b":", b"//", b"\\", b"?", b"0x7f", b"xn--", b"%")).map(_text)
    )
    # An error shows a name, or nobody could correct it.
    workspace_names = values.filter(lambda value: CANARY not in value)
    inputs = st.fixed_dictionaries(
        {
            "file": as_toml(changed(seeds, names)) | mutated(texts, words) | st.just(b""),
            "vendor": _json_inputs(vendor, ("region_url",)),
            "environ": st.builds(
                lambda variables, name: variables | ({"WORKATO_PROFILE": name} if name else {}),
                st.dictionaries(st.sampled_from(variables), values, max_size=3),
                st.none() | workspace_names,
            ),
            "workspace": st.none() | workspace_names,
        }
    )
    backup, home = folder / "backup", folder / "home"
    for each in (backup, home / ".workato"):
        each.mkdir(parents=True)

    def read(value: dict[str, Any]) -> None:
        (backup / "oauthsync.toml").write_bytes(value["file"])
        (home / ".workato" / "profiles").write_bytes(value["vendor"])
        found = config.load(backup, value["environ"], home)
        found.unlock()
        found.workspace(value["workspace"])

    return Target("configuration", inputs, read, UsageError, CANARY)


def _text(data: bytes) -> str:
    """As Python reads the environment and the command line."""
    return data.decode("utf-8", "surrogateescape").replace("\0", "")


def _overrides() -> Target:
    """An overrides file, carried out on profiles."""
    entry = {"match": {"provider": "hubspot", "name": "Acme *"}, "name": "{name}!"}
    seeds: list[Any] = [{"override": [entry, {"match": {"client_id": "app"}, "client_id": "b"}]}]
    texts = [b'[[override]]\nmatch = { name = "A*[!x]?" }\nclient_id = "b"\n']
    words = (b'"""', b"[[", b"=", b".", b"*", b"*a" * 50, b"[!", b"{name}", b"'")
    names = ("match", "name", "client_id", "provider", "client_secret")
    found = [plans.profile(1, "Acme " + "a" * 200), plans.profile(2, "B", client_id=None)]

    def read(data: bytes) -> None:
        parsed = overrides.parse(data, where="prod.toml")
        overrides.apply(parsed, found)
        overrides.check(parsed, found)

    inputs = as_toml(changed(seeds, names)) | mutated(texts, words)
    return Target("overrides", inputs, read, UsageError, CANARY)


def _selector(database: Database) -> Target:
    """What a user types to choose a snapshot."""
    snapshots = Snapshots(database)
    seeds = [b"1", b"latest", b"latest~1", b"2026-11-24", b"9999-12-31", b"999999999999999999"]
    texts = mutated(seeds, (b"~", b"-", "²".encode(), "１".encode(), b" ", b"9")).map(_text)
    inputs = st.tuples(texts | st.text(max_size=12), st.sampled_from([None, "dev", "prod"]) | texts)
    return Target("selector", inputs, lambda value: snapshots.find(*value), OauthsyncError)


def _database(folder: Path) -> Database:
    database = open_database(folder / "oauthsync.db")
    for day in range(3):
        store.add(database, store.some(day + 1), day=day)
    store.add(database, store.some(1), kind="safety", day=3)
    return database


def _plan() -> Target:
    """A saved plan."""
    made = plan.make(
        plans.situation([plans.profile(1, "A"), plans.profile(2, "B")], [plans.profile(11, "A")]),
        plan.Options(),
    )
    inputs = plan_file.Inputs(
        id="0f" * 16,
        source="dev",
        target="prod",
        target_url="https://app.eu.workato.com",
        snapshot=3,
        snapshot_digest="sha256:" + "ab" * 32,
        options=plan.Options(maps={1: 11}, overrides=(Override(name_like="A", name="B"),)),
    )
    seeds = [json.loads(plan_file.dump(made, inputs))]

    def read(data: bytes) -> None:
        saved = plan_file.parse(data, where="plan.json")
        assert all(line.isprintable() for line in plan_file.differences(saved, made))

    return Target("plan", _json_inputs(seeds, ("only", "map", "steps")), read, UsageError)


def _json() -> Target:
    """The parser below all of these; what it returns is written and parsed again."""
    seeds: list[Any] = [{"a": [1, -0.0, 1e300, None, True, {"b": CANARY}]}]

    def read(data: bytes) -> None:
        value = strictjson.parse(data)
        assert strictjson.parse(strictjson.encode(value)) == value
        text = strictjson.canonical(value)
        assert strictjson.canonical(strictjson.parse(text)) == text

    return Target("json", _json_inputs(seeds), read, ValueError, UNIT)
