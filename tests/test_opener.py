"""What opens the sidecar: its configured source, or a person, who may mistype."""

from pathlib import Path

import pytest

from oauthsync import age, config, files, sidecar
from oauthsync.errors import SidecarError, UsageError
from oauthsync.opener import Ask, Opener
from oauthsync.secret import Secret
from tests.desk import PASSPHRASE


def folder(tmp_path: Path, text: str = "") -> Path:
    found = tmp_path / "backup"
    found.mkdir()
    (found / "oauthsync.toml").write_text(text)
    return found


def opener(path: Path, ask: Ask | None = None) -> Opener:
    return Opener(config.load(path, {}, path.parent / "home"), ask)


class Person:
    """Types one passphrase after the other, and remembers what was asked."""

    def __init__(self, *passphrases: str) -> None:
        self.asked: list[tuple[str, bool]] = []
        self._passphrases = iter(passphrases or (PASSPHRASE,))

    def __call__(self, prompt: str, is_new: bool) -> Secret:
        self.asked.append((prompt, is_new))
        return Secret(next(self._passphrases))


def seal(path: Path, key: sidecar.Key) -> None:
    entry = sidecar.Entry("hubspot", "app", Secret("s"), None, "2026-11-23T10:00:00Z")
    sidecar.update(path / "secrets.age", key, [entry])


def test_a_person_is_asked_once(tmp_path: Path) -> None:
    path, person = folder(tmp_path), Person()
    seal(path, sidecar.PassphraseKey(Secret(PASSPHRASE), work_factor=1))
    found = opener(path, person)
    assert found.apps() == found.secrets().names() == {("hubspot", "app")}
    assert person.asked == [(f"Passphrase for {path / 'secrets.age'}", False)]


def test_a_new_sidecars_passphrase_is_asked_as_a_new_one(tmp_path: Path) -> None:
    path, person = folder(tmp_path), Person()
    found = opener(path, person)
    assert isinstance(found.key, sidecar.PassphraseKey)
    assert person.asked == [(f"New passphrase for {path / 'secrets.age'}", True)]


def test_nobody_is_asked_where_recipients_are_configured(tmp_path: Path) -> None:
    recipient = age.generate_identity().recipient
    path = folder(tmp_path, f'[secrets]\nrecipients = ["{recipient}"]\n')
    with pytest.raises(SidecarError, match="no identity is given"):
        opener(path, Person()).key  # noqa: B018


def test_a_sidecar_for_recipients_asks_for_no_passphrase(tmp_path: Path) -> None:
    path = folder(tmp_path)
    seal(path, sidecar.IdentityKey((age.generate_identity(),)))
    with pytest.raises(SidecarError, match="no identity is given"):
        opener(path, Person()).secrets()


def test_a_person_who_mistypes_a_passphrase_is_asked_three_times_in_all(tmp_path: Path) -> None:
    path, person = folder(tmp_path), Person("wrong", "", PASSPHRASE)
    file = path / "secrets.age"
    seal(path, sidecar.PassphraseKey(Secret(PASSPHRASE), work_factor=1))
    found = opener(path, person)
    assert found.apps() == found.secrets().names() == {("hubspot", "app")}
    again = "That does not open it. Passphrase for"
    assert person.asked == [
        (f"Passphrase for {file}", False),
        (f"{again} {file} (try 2 of 3)", False),
        (f"{again} {file} (try 3 of 3)", False),
    ]
    with pytest.raises(SidecarError, match="does not open"):
        opener(path, Person("wrong", "wrong", "wrong")).secrets()


def test_a_sidecar_that_cannot_be_looked_at_is_not_taken_for_missing(tmp_path: Path) -> None:
    path = folder(tmp_path)
    found = opener(path)
    assert not found.exists
    path.rename(tmp_path / "moved")
    path.write_text("no folder any more, so nobody can tell")
    assert found.exists
    assert files.is_there(path / "secrets.age")


def test_without_anybody_the_error_says_what_to_set(tmp_path: Path) -> None:
    path = folder(tmp_path)
    for look, error in (("key", SidecarError), ("new_passphrase", UsageError)):
        with pytest.raises(error, match="nobody is there") as caught:
            getattr(opener(path), look)()
        assert caught.value.hint
