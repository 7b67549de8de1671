"""The vendor CLI's profiles are read as that CLI writes them, and never changed."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import keyring
import keyring.backend
import keyring.errors
import pytest

from oauthsync.errors import UsageError
from oauthsync.sources import SourceError
from oauthsync.vendor import FromProfile, find_profile, keyring_allowed, profile_names

EU = {"region": "eu", "region_url": "https://app.eu.workato.com", "workspace_id": 123}


class MemoryKeyring(keyring.backend.KeyringBackend):
    """A keyring backend that holds one token, or fails."""

    priority = 1

    def __init__(self, stored: dict[tuple[str, str], str], error: Exception | None = None) -> None:
        self.stored = stored
        self.error = error

    def get_password(self, service: str, username: str) -> str | None:
        if self.error is not None:
            raise self.error
        return self.stored.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        raise AssertionError("the vendor's keyring is not ours to write")


@pytest.fixture(autouse=True)
def _keyring() -> Iterator[None]:
    before = keyring.get_keyring()
    keyring.set_keyring(MemoryKeyring({}))
    yield
    keyring.set_keyring(before)


def write_profiles(home: Path, value: object) -> Path:
    path = home / ".workato" / "profiles"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(value))
    return path


def write_tokens(home: Path, value: object) -> None:
    (home / ".workato").mkdir(exist_ok=True)
    (home / ".workato" / "token_store.json").write_text(json.dumps(value))


def failure(source: FromProfile) -> str:
    with pytest.raises(SourceError) as caught:
        source.read()
    assert caught.value.hint
    assert "canary" not in f"{caught.value} {caught.value.hint}"
    return str(caught.value)


def test_profiles_are_found_by_name(tmp_path: Path) -> None:
    path = write_profiles(
        tmp_path, {"current_profile": "dev", "profiles": {"dev": {**EU, "new": 1}, "prod": EU}}
    )
    profile = find_profile(tmp_path, "prod")
    assert profile is not None
    assert (profile.name, profile.url, profile.file) == ("prod", EU["region_url"], path)
    assert profile_names(tmp_path) == ("dev", "prod")
    assert find_profile(tmp_path, "Prod") is None


def test_without_the_vendors_file_there_are_no_profiles(tmp_path: Path) -> None:
    assert profile_names(tmp_path) == ()
    assert find_profile(tmp_path, "dev") is None
    write_profiles(tmp_path, {})
    assert profile_names(tmp_path) == ()


@pytest.mark.parametrize("profile", [[], "canary", {}, {"region": "eu"}, {"region_url": 1}])
def test_a_broken_profile_does_not_harm_the_others(tmp_path: Path, profile: object) -> None:
    path = write_profiles(tmp_path, {"profiles": {"bad": profile, "good": EU}})
    assert find_profile(tmp_path, "good") is not None
    with pytest.raises(UsageError, match="profile 'bad' has no region_url") as caught:
        find_profile(tmp_path, "bad")
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("text", ["", "canary", "[]", '{"profiles": []}', '{"a": 1, "a": 2}'])
def test_a_broken_file_is_an_error_that_names_it(tmp_path: Path, text: str) -> None:
    path = write_profiles(tmp_path, {})
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        find_profile(tmp_path, "dev")
    assert str(path) in str(caught.value)
    assert "canary" not in str(caught.value)


def test_a_folder_in_place_of_the_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / ".workato" / "profiles").mkdir(parents=True)
    with pytest.raises(UsageError, match=r"cannot read .*profiles"):
        profile_names(tmp_path)


def test_the_token_comes_from_the_vendors_file(tmp_path: Path) -> None:
    write_tokens(tmp_path, {"workato-platform-cli": {"prod": "abc"}, "other": {"prod": "no"}})
    assert FromProfile("prod", tmp_path, use_keyring=False).read().reveal() == "abc"
    assert FromProfile("prod", tmp_path, use_keyring=True).read().reveal() == "abc"


def test_the_token_comes_from_the_keyring_before_the_file(tmp_path: Path) -> None:
    """The vendor's CLI leaves an old token in the file when the keyring becomes usable."""
    keyring.set_keyring(MemoryKeyring({("workato-platform-cli", "prod"): "current"}))
    write_tokens(tmp_path, {"workato-platform-cli": {"prod": "old"}})
    assert FromProfile("prod", tmp_path, use_keyring=True).read().reveal() == "current"
    assert FromProfile("prod", tmp_path, use_keyring=False).read().reveal() == "old"


@pytest.mark.parametrize(
    "error",
    [
        keyring.errors.NoKeyringError("canary"),
        keyring.errors.KeyringLocked("canary"),
        RuntimeError("canary"),
    ],
)
def test_a_keyring_that_fails_leaves_the_file(tmp_path: Path, error: Exception) -> None:
    keyring.set_keyring(MemoryKeyring({}, error))
    source = FromProfile("prod", tmp_path, use_keyring=True)
    assert f"the keyring cannot be used ({type(error).__name__})" in failure(source)
    write_tokens(tmp_path, {"workato-platform-cli": {"prod": "abc"}})
    assert source.read().reveal() == "abc"


def test_without_the_keyring_package_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert "oauthsync[keyring]" in failure(FromProfile("prod", tmp_path, use_keyring=True))


@pytest.mark.parametrize(
    "tokens",
    [
        {},
        {"workato-platform-cli": {"dev": "canary"}},
        {"workato-platform-cli": ["canary"]},
        {"workato-platform-cli": {"prod": 1}},
        {"workato-platform-cli": {"prod": ""}},
        ["canary"],
    ],
)
def test_a_profile_without_a_token_says_where_it_was_looked_for(
    tmp_path: Path, tokens: object
) -> None:
    write_tokens(tmp_path, tokens)
    text = failure(FromProfile("prod", tmp_path, use_keyring=True))
    assert str(tmp_path / ".workato" / "token_store.json") in text


def test_a_profile_without_a_token_shows_what_the_file_is_to_hold(tmp_path: Path) -> None:
    write_tokens(tmp_path, {"prod": "canary"})
    with pytest.raises(SourceError) as caught:
        FromProfile("prod", tmp_path, use_keyring=False).read()
    shown = '{"workato-platform-cli":{"prod":"TOKEN"}}'
    assert f"is to hold {shown}" in caught.value.hint
    write_tokens(tmp_path, json.loads(shown))
    assert FromProfile("prod", tmp_path, use_keyring=False).read().reveal() == "TOKEN"


def test_the_vendors_switch_keeps_the_keyring_out(tmp_path: Path) -> None:
    assert keyring_allowed({})
    assert keyring_allowed({"WORKATO_DISABLE_KEYRING": "0"})
    assert not keyring_allowed({"WORKATO_DISABLE_KEYRING": "True"})
    text = failure(FromProfile("prod", tmp_path, use_keyring=False))
    assert "WORKATO_DISABLE_KEYRING" in text
