"""A name leads to one workspace whatever the environment says, and no error shows a secret."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauthsync.config import REGIONS, Config, Unlock, Workspace, load, parse_url
from oauthsync.errors import AuthenticationError, UsageError

TWO = """
default_workspace = "dev"

[workspaces.dev]
region = "us"
token_env = "DEV_TOKEN"

[workspaces.prod]
url = "https://Workato.internal.example/api"
token_command = "printf abc"
requests_per_minute = 300
server_timeout = 90
"""
PAIR = {"WORKATO_API_TOKEN": "env-token", "WORKATO_HOST": "https://app.jp.workato.com"}


def config(tmp_path: Path, text: str | None = None, **environ: str) -> Config:
    if text is not None:
        (tmp_path / "oauthsync.toml").write_text(text)
    return load(tmp_path, environ, tmp_path / "home")


def vendor_profile(tmp_path: Path, name: str, url: str = "https://app.sg.workato.com") -> None:
    folder = tmp_path / "home" / ".workato"
    folder.mkdir(parents=True, exist_ok=True)
    profile = {"region": "sg", "region_url": url, "workspace_id": 1}
    document = {"current_profile": name, "profiles": {name: profile}}
    (folder / "profiles").write_text(json.dumps(document))
    tokens = {"workato-platform-cli": {name: "vendor-token"}}
    (folder / "token_store.json").write_text(json.dumps(tokens))


def refusal(tmp_path: Path, text: str, **environ: str) -> UsageError:
    """The error of a bad file: exit code 2, names the file, has a hint, shows no canary."""
    with pytest.raises(UsageError) as caught:
        config(tmp_path, text, **environ)
    assert caught.value.exit_code == 2
    assert str(tmp_path / "oauthsync.toml") in str(caught.value)
    assert caught.value.hint
    assert "canary" not in f"{caught.value} {caught.value.hint}"
    return caught.value


def unknown(found: Config, name: str | None) -> UsageError:
    with pytest.raises(UsageError) as caught:
        found.workspace(name)
    assert caught.value.hint
    return caught.value


def test_the_face_is_complete() -> None:
    assert REGIONS["us"] == parse_url("https://www.workato.com/api", where="here")
    assert Unlock.__name__ == "Unlock"


def test_a_workspace_of_the_file_has_its_settings(tmp_path: Path) -> None:
    found = config(tmp_path, TWO, DEV_TOKEN="t").workspace("prod")
    assert found.url == "https://workato.internal.example"
    assert (found.requests_per_minute, found.server_timeout) == (300, 90.0)
    assert found.token().reveal() == "abc"
    assert f"workspaces.prod.token_command in {tmp_path}" in found.token_source
    dev = config(tmp_path, TWO, DEV_TOKEN="t").workspace("dev")
    assert (dev.url, dev.requests_per_minute, dev.server_timeout) == (REGIONS["us"], 60, 40.0)
    assert dev.token().reveal() == "t"
    assert dev.token_source == "environment variable DEV_TOKEN"


def test_the_folder_names_its_files(tmp_path: Path) -> None:
    found = config(tmp_path)
    assert found.folder == tmp_path
    assert found.file == tmp_path / "oauthsync.toml"
    assert found.database == tmp_path / "oauthsync.db"
    assert found.sidecar == tmp_path / "secrets.age"


def test_a_token_file_starts_from_the_folder_or_the_home(tmp_path: Path) -> None:
    text = "[workspaces.dev]\nregion = 'eu'\ntoken_file = '{}'"
    (tmp_path / "token").write_text("here\n")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "token").write_text("home\n")
    assert config(tmp_path, text.format("token")).workspace("dev").token().reveal() == "here"
    assert config(tmp_path, text.format("~/token")).workspace("dev").token().reveal() == "home"


def test_neither_a_token_nor_the_environment_shows_in_a_repr(tmp_path: Path) -> None:
    text = TWO.replace("printf abc", "printf canary") + "[secrets]\npassphrase_command = 'canary'"
    environ = {"DEV_TOKEN": "canary", "OAUTHSYNC_PASSPHRASE": "canary"}
    found = config(tmp_path, text, **environ)
    assert "canary" not in repr((found, found.workspaces, found.unlock(), found.configured_unlock))


# The default workspace


def test_the_files_default_is_the_default(tmp_path: Path) -> None:
    found = config(tmp_path, TWO, WORKATO_PROFILE="prod", **PAIR)
    assert found.default_workspace == "dev"
    assert found.workspace(None).name == "dev"


def test_the_only_workspace_of_the_file_is_the_default(tmp_path: Path) -> None:
    text = "[workspaces.only]\nregion = 'kr'\ntoken_env = 'X'"
    assert config(tmp_path, text, WORKATO_PROFILE="other").workspace(None).name == "only"


def test_the_vendors_variable_names_the_default_where_the_file_does_not(tmp_path: Path) -> None:
    vendor_profile(tmp_path, "theirs")
    text = TWO.replace('default_workspace = "dev"', "")
    assert config(tmp_path, text, WORKATO_PROFILE="prod").workspace(None).name == "prod"
    assert config(tmp_path, text, WORKATO_PROFILE="theirs").workspace(None).name == "theirs"
    assert config(tmp_path, text, WORKATO_PROFILE="theirs").workspace("prod").name == "prod"


def test_without_a_default_the_known_names_are_listed(tmp_path: Path) -> None:
    """The vendor CLI's current profile is nobody's default."""
    vendor_profile(tmp_path, "theirs")
    text = TWO.replace('default_workspace = "dev"', "")
    error = unknown(config(tmp_path, text, WORKATO_PROFILE=""), None)
    assert error.hint
    assert "dev, prod, theirs" in error.hint


def test_without_anything_the_ways_to_begin_are_named(tmp_path: Path) -> None:
    error = unknown(config(tmp_path), None)
    assert error.hint
    for way in ("oauthsync init", "WORKATO_API_TOKEN", "WORKATO_HOST"):
        assert way in error.hint


def test_a_default_that_is_not_there_names_its_setting(tmp_path: Path) -> None:
    error = unknown(config(tmp_path, TWO.replace('"dev"', '"dve"', 1)), None)
    assert str(error) == (
        f"there is no workspace 'dve' (default_workspace in {tmp_path}/oauthsync.toml)"
    )
    assert error.hint == "did you mean dev?"
    error = unknown(config(tmp_path, "", WORKATO_PROFILE="gone"), None)
    assert str(error) == "there is no workspace 'gone' (WORKATO_PROFILE)"


# Names


@pytest.mark.parametrize("name", ["prodd", "", "PROD", "nothing like it", "\x1b[31m"])
def test_an_unknown_name_is_refused_and_never_the_default(tmp_path: Path, name: str) -> None:
    error = unknown(config(tmp_path, TWO, **PAIR), name)
    assert str(error) == f"there is no workspace {name!r}"


def test_the_nearest_name_is_suggested(tmp_path: Path) -> None:
    assert unknown(config(tmp_path, TWO), "prodd").hint == "did you mean prod?"
    vendor_profile(tmp_path, "staging")
    assert unknown(config(tmp_path, TWO), "stagin").hint == "did you mean staging?"


def test_a_name_that_the_file_lacks_is_a_vendor_profile(tmp_path: Path) -> None:
    vendor_profile(tmp_path, "theirs")
    found = config(tmp_path, TWO, WORKATO_DISABLE_KEYRING="true", **PAIR).workspace("theirs")
    assert (found.name, found.url) == ("theirs", "https://app.sg.workato.com")
    assert found.token().reveal() == "vendor-token"
    assert found.token_source == "profile 'theirs' of the workato CLI"


def test_a_name_of_the_file_is_never_a_vendor_profile(tmp_path: Path) -> None:
    vendor_profile(tmp_path, "dev")
    assert config(tmp_path, TWO).workspace("dev").url == REGIONS["us"]
    assert config(tmp_path, TWO).names() == ("dev", "prod")


def test_a_vendor_profiles_address_is_validated_too(tmp_path: Path) -> None:
    vendor_profile(tmp_path, "theirs", "http://www.workato.com")
    error = unknown(config(tmp_path), "theirs")
    assert str(error).startswith("region_url of profile 'theirs' in ")
    assert "loopback" in str(error)


# The vendor CLI's two variables


def test_without_a_file_the_two_variables_are_the_workspace_default(tmp_path: Path) -> None:
    for text in (None, "[secrets]\nidentity = 'key.txt'"):
        found = config(tmp_path, text, **PAIR)
        for name in (None, "default"):
            workspace = found.workspace(name)
            assert (workspace.name, workspace.url) == ("default", PAIR["WORKATO_HOST"])
            assert workspace.token().reveal() == "env-token"
        assert list(found.workspaces) == ["default"]


@pytest.mark.parametrize("missing", ["WORKATO_API_TOKEN", "WORKATO_HOST"])
@pytest.mark.parametrize("state", ["unset", "empty"])
def test_one_of_the_two_variables_is_no_workspace(tmp_path: Path, missing: str, state: str) -> None:
    """A token without a host is never sent to some default data center."""
    environ = {**PAIR, missing: ""}
    if state == "unset":
        del environ[missing]
    found = config(tmp_path, **environ)
    assert not found.workspaces
    unknown(found, None)
    unknown(found, "default")


def test_a_bad_host_variable_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="WORKATO_HOST must begin with https://"):
        config(tmp_path, WORKATO_API_TOKEN="canary", WORKATO_HOST="http://www.workato.com")


def test_the_two_variables_do_not_touch_the_files_workspaces(tmp_path: Path) -> None:
    without = config(tmp_path, TWO, DEV_TOKEN="t")
    found = config(tmp_path, TWO, DEV_TOKEN="t", **PAIR)
    assert list(found.workspaces) == ["dev", "prod"]
    for name in found.workspaces:
        assert found.workspace(name).url == without.workspace(name).url
        assert found.workspace(name).token() == without.workspace(name).token()
    unknown(found, "default")


def test_the_two_variables_do_not_touch_a_vendor_profile(tmp_path: Path) -> None:
    vendor_profile(tmp_path, "theirs")
    found = config(tmp_path, WORKATO_DISABLE_KEYRING="true", **PAIR).workspace("theirs")
    assert (found.url, found.token().reveal()) == ("https://app.sg.workato.com", "vendor-token")


def test_default_by_name_is_ambiguous_where_the_variables_and_a_vendor_profile_are_called_so(
    tmp_path: Path,
) -> None:
    vendor_profile(tmp_path, "default")
    found = config(tmp_path, WORKATO_DISABLE_KEYRING="true", **PAIR)
    assert "'default' is both" in str(unknown(found, "default"))
    assert found.workspace(None).token().reveal() == PAIR["WORKATO_API_TOKEN"]
    alone = config(tmp_path, WORKATO_DISABLE_KEYRING="true")
    assert alone.workspace("default").token().reveal() == "vendor-token"


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "WORKATO_API_TOKEN": st.just("other"),
            "WORKATO_HOST": st.sampled_from(["https://app.au.workato.com", "nonsense"]),
            "WORKATO_PROFILE": st.sampled_from(["dev", "prod", "theirs", ""]),
        },
    )
)
def test_no_variable_changes_what_a_name_leads_to(
    tmp_path_factory: pytest.TempPathFactory, environ: dict[str, str]
) -> None:
    """A source and a target that are named apart are two workspaces in every environment."""
    tmp_path = tmp_path_factory.mktemp("folder")
    vendor_profile(tmp_path, "theirs")
    plain = {"DEV_TOKEN": "t", "WORKATO_DISABLE_KEYRING": "true"}
    without = config(tmp_path, TWO, **plain)
    found = config(tmp_path, TWO, **plain, **environ)
    for name in ("dev", "theirs"):
        assert found.workspace(name).url == without.workspace(name).url
        assert found.workspace(name).token() == without.workspace(name).token()


# What the file gets wrong


@pytest.mark.parametrize(
    ("text", "place", "hint"),
    [
        ("default_workspce = 'dev'", "default_workspce in ", "default_workspace"),
        ("[workspace.dev]", "workspace in ", "workspaces"),
        ("token = 'canary'", "token in ", "token_env"),
        ("workspaces = 'canary'", "workspaces in ", "a table"),
        ("[workspaces]\ndev = 'canary'", "workspaces.dev in ", "a table"),
        ("[[workspaces]]", "workspaces in ", "a table"),
        ("default_workspace = 1", "default_workspace in ", "a string"),
        ("[secrets]\npassphrase = 'canary'", "secrets.passphrase in ", "passphrase_command"),
        ("[secrets]\npasphrase_file = 'x'", "secrets.pasphrase_file in ", "passphrase_file"),
        ("[secrets]\nrecipients = 'age1canary'", "secrets.recipients in ", "an array"),
        ("[workspaces.'']", "workspaces.'' in ", "name"),
        ("[workspaces.-x]", "workspaces.-x in ", "name"),
        ("[workspaces.' x']", "workspaces.' x' in ", "name"),
        ('[workspaces."a\\u001bb"]', r"workspaces.'a\x1bb' in ", "name"),
        ("x = = canary", "line 1", "correct"),
    ],
)
def test_what_is_wrong_is_named_by_its_place(
    tmp_path: Path, text: str, place: str, hint: str
) -> None:
    error = refusal(tmp_path, text)
    assert place in str(error)
    assert error.hint
    assert hint in error.hint


@pytest.mark.parametrize(
    ("settings", "place", "hint"),
    [
        ("region = 'us'", "workspaces.dev in ", "API token"),
        ("token_env = 'X'", "workspaces.dev in ", "trial"),
        ("region = 'us'\ntoken_env = ''", "workspaces.dev.token_env in ", ""),
        ("region = 'us'\ntoken_env = 'wrkaus-canary'", "workspaces.dev.token_env in ", "name"),
        ("region = 'us'\ntoken_env = ['canary']", "workspaces.dev.token_env in ", "a string"),
        ("region = 'us'\ntoken_command = ['canary']", "workspaces.dev.token_command in ", "string"),
        ("region = 'us'\ntoken_command = \"x 'canary\"", "workspaces.dev.token_command in ", ""),
        ("region = 'us'\ntoken = 'canary'", "workspaces.dev.token in ", "token_file"),
        ("region = 'us'\napi_token = 'canary'", "workspaces.dev.api_token in ", "token_file"),
        ("region = 'us'\ntoken_cmd = 'canary'", "workspaces.dev.token_cmd in ", "token_command"),
        ("region = 'us'\ntoken_env = 'A'\ntoken_file = 'b'", "token_env and token_file", "keep"),
        ("region = 'us'\nurl = 'https://x.y'\ntoken_env = 'A'", "region and url", "keep"),
        ("region = 'use'\ntoken_env = 'A'", "workspaces.dev.region in ", "us, eu, jp"),
        ("region = 'US'\ntoken_env = 'A'", "workspaces.dev.region in ", "us, eu, jp"),
        ("url = 'https://canary@x.y'\ntoken_env = 'A'", "workspaces.dev.url in ", "origin"),
        ("url = 'http://x.y'\ntoken_env = 'A'", "loopback", "origin"),
        (
            "region = 'us'\ntoken_env = 'A'\nrequests_per_minute = 0",
            "workspaces.dev.requests_per_minute in ",
            "above 0",
        ),
        (
            "region = 'us'\ntoken_env = 'A'\nrequests_per_minute = true",
            "workspaces.dev.requests_per_minute in ",
            "a number",
        ),
        (
            "region = 'us'\ntoken_env = 'A'\nserver_timeout = nan",
            "workspaces.dev.server_timeout in ",
            "above 0",
        ),
    ],
)
def test_what_is_wrong_in_a_workspace_is_named_by_its_place(
    tmp_path: Path, settings: str, place: str, hint: str
) -> None:
    error = refusal(tmp_path, f"[workspaces.dev]\n{settings}")
    assert place in str(error)
    assert error.hint
    assert hint in error.hint


# Tokens


@pytest.mark.parametrize(
    "value", ["canary\n", "can ary", "canary\tx", "cänary", "canary\x7f", "“canary”", "canary\0"]
)
def test_a_token_that_no_header_can_carry_is_refused_unquoted(tmp_path: Path, value: str) -> None:
    found = config(tmp_path, TWO, DEV_TOKEN=value).workspace("dev")
    with pytest.raises(AuthenticationError) as caught:
        found.token()
    assert "environment variable DEV_TOKEN" in str(caught.value)
    text = f"{caught.value} {caught.value.hint}"
    assert not [word for word in ("canary", "cänary", "can ary", value) if word in text]


def test_a_token_that_is_not_there_names_its_source_and_exits_3(tmp_path: Path) -> None:
    with pytest.raises(AuthenticationError) as caught:
        config(tmp_path, TWO).workspace("dev").token()
    assert caught.value.exit_code == 3
    assert str(caught.value) == (
        "no token for workspace 'dev': environment variable DEV_TOKEN is not set"
    )
    assert caught.value.hint == "set DEV_TOKEN"


def test_a_broken_vendor_token_store_is_an_error_of_authentication(tmp_path: Path) -> None:
    vendor_profile(tmp_path, "theirs")
    (tmp_path / "home" / ".workato" / "token_store.json").write_text('{"canary')
    found = config(tmp_path, WORKATO_DISABLE_KEYRING="true").workspace("theirs")
    with pytest.raises(AuthenticationError, match=r"token_store\.json is not valid JSON") as caught:
        found.token()
    assert "canary" not in f"{caught.value} {caught.value.hint}"


def test_a_token_is_read_only_when_it_is_asked_for(tmp_path: Path) -> None:
    text = f"[workspaces.dev]\nregion = 'us'\ntoken_command = 'touch {tmp_path}/ran'"
    found = config(tmp_path, text).workspace("dev")
    assert not (tmp_path / "ran").exists()
    with pytest.raises(AuthenticationError, match="gives nothing"):
        found.token()
    assert (tmp_path / "ran").exists()


def test_a_workspace_is_made_with_a_name_an_address_and_a_source() -> None:
    source = load(Path("/nowhere"), PAIR, Path("/nowhere")).workspace(None).source
    made = Workspace("x", "http://127.0.0.1:1", source=source)
    assert made.token().reveal() == "env-token"


def test_loading_imports_nothing_heavy() -> None:
    script = (
        "import sys, oauthsync.config; "
        "heavy = {'subprocess', 'shlex', 'difflib', 'json', 'requests', 'keyring'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent.parent,
    )
    assert done.stdout.strip() == "[]", done.stderr
