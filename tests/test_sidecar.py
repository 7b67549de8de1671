"""The sidecar file: who opens it, what an update does, and what is left when one fails."""

import json
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyrage  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oauthsync import age, files, sidecar
from oauthsync.entries import dump_document, parse_document
from oauthsync.errors import FileError, SidecarError, UsageError
from oauthsync.secret import Secret
from oauthsync.sidecar import Entry, IdentityKey, PassphraseKey, Saved, Secrets
from tests.leaks import shown

NOW = "2026-11-23T10:00:00Z"
CANARY = "c4n4ry-of-a-secret"

IDENTITY, OTHER = age.generate_identity(), age.generate_identity()
KEY, OTHER_KEY = IdentityKey((IDENTITY,)), IdentityKey((OTHER,))
RECIPIENT, OTHER_RECIPIENT = str(IDENTITY.recipient), str(OTHER.recipient)
# What takes a second with the default work factor takes no time with this one.
PASSPHRASE = PassphraseKey(Secret("correct horse battery"), work_factor=4)
OTHER_PASSPHRASE = PassphraseKey(Secret("staple another word"), work_factor=4)


def entry(client_id: str = "app", secret: str = CANARY, token: str | None = None) -> Entry:
    return Entry("slack", client_id, Secret(secret), Secret(token) if token else None, NOW)


def apps(secrets: Secrets) -> list[str]:
    return [each.client_id for each in secrets.entries]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "secrets.age"


@pytest.fixture(params=[KEY, PASSPHRASE], ids=["identity", "passphrase"])
def key(request: pytest.FixtureRequest) -> sidecar.Key:
    assert isinstance(request.param, IdentityKey | PassphraseKey)
    return request.param


def previous(path: Path) -> Path:
    return path.with_name("secrets.age.prev")


def refused(path: Path, key: sidecar.Key) -> SidecarError:
    """The error that loading ends in; it has a hint, and shows no secret."""
    with pytest.raises(SidecarError) as caught:
        sidecar.load(path, key)
    told = shown(caught.value)
    assert caught.value.hint
    for secret in (CANARY, IDENTITY.text.reveal(), PASSPHRASE.passphrase.reveal()):
        assert secret not in told
    return caught.value


# --- what is saved, and how ---


def test_what_is_filed_is_loaded(path: Path, key: sidecar.Key) -> None:
    assert not files.is_there(path)
    saved = sidecar.update(path, key, [entry("b", token="tok"), entry("a")])
    assert saved == Saved(replaced=0, removed=0)
    assert files.is_there(path)
    assert sidecar.load(path, key).entries == (entry("a"), entry("b", token="tok"))


def test_an_update_says_what_it_did(path: Path, key: sidecar.Key) -> None:
    sidecar.update(path, key, [entry("a"), entry("b"), entry("c")])
    changes = [entry("a"), entry("b", token="new"), entry("d")]
    saved = sidecar.update(path, key, changes, remove=[("slack", "c"), ("slack", "unknown")])
    assert saved == Saved(replaced=1, removed=1)
    assert apps(sidecar.load(path, key)) == ["a", "b", "d"]


def test_an_update_that_changes_nothing_leaves_the_file_as_it_is(path: Path) -> None:
    sidecar.update(path, KEY, [entry()])
    before = (path.read_bytes(), path.stat().st_ino)
    later = Entry("slack", "app", Secret(CANARY), None, "2027-01-01T00:00:00Z")
    assert sidecar.update(path, KEY, [later]) == Saved(0, 0)
    assert sidecar.update(path, KEY, [], remove=[("slack", "other")]) == Saved(0, 0)
    assert (path.read_bytes(), path.stat().st_ino) == before
    assert not previous(path).exists()


def test_the_generation_before_is_kept(path: Path) -> None:
    sidecar.update(path, KEY, [entry("a")])
    first = path.read_bytes()
    sidecar.update(path, KEY, [entry("b")])
    assert previous(path).read_bytes() == first


def test_all_that_is_written_is_private_and_sealed(path: Path, key: sidecar.Key) -> None:
    old_mask = os.umask(0)
    try:
        sidecar.update(path, key, [entry("a")])
        sidecar.update(path, key, [entry("b")])
    finally:
        os.umask(old_mask)
    found = {each.name: each for each in path.parent.iterdir()}
    assert found.keys() == {"secrets.age", "secrets.age.prev", "secrets.age.lock"}
    for each in found.values():
        assert stat.S_IMODE(each.stat().st_mode) == 0o600
        assert CANARY.encode() not in each.read_bytes()


def test_removing_from_a_sidecar_that_is_missing_creates_none(path: Path) -> None:
    with pytest.raises(SidecarError, match="there is no sidecar"):
        sidecar.update(path, KEY, [], remove=[("slack", "app")])
    assert not path.exists()


def test_what_the_file_system_refuses_is_a_file_error(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="No such file or directory"):
        sidecar.update(tmp_path / "no folder" / "secrets.age", KEY, [entry()])


def test_a_symbolic_link_is_neither_read_nor_written_through(path: Path) -> None:
    target = path.with_name("elsewhere")
    path.symlink_to(target)
    assert files.is_there(path)
    assert "symbolic link" in str(refused(path, KEY))
    with pytest.raises(SidecarError, match="symbolic link"):
        sidecar.update(path, KEY, [entry()])
    assert not target.exists()


def test_a_change_waits_for_the_lock_no_longer_than_its_time(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sidecar, "LOCK_TIMEOUT", 0.0)
    with (
        files.locked(path.with_name("secrets.age.lock"), what="the test's"),
        pytest.raises(FileError, match="in use by another oauthsync process"),
    ):
        sidecar.update(path, KEY, [entry()])


# --- other implementations of age ---


@pytest.mark.parametrize("pq", [False, True])
def test_another_age_opens_a_recipients_file(path: Path, pq: bool) -> None:
    identity = age.generate_identity(pq=pq)
    sidecar.update(path, IdentityKey((identity,)), [entry(token="tök")])
    assert path.read_bytes().startswith(b"-----BEGIN AGE ENCRYPTED FILE-----\n")
    if not pq:  # pyrage reads no post-quantum identity
        theirs = pyrage.x25519.Identity.from_str(identity.text.reveal())
        document = json.loads(pyrage.decrypt(path.read_bytes(), [theirs]))
        assert document["recipients"] == [str(identity.recipient)]
        assert document["secrets"][0]["token"] == "tök"


def test_another_age_opens_a_passphrase_file(path: Path) -> None:
    sidecar.update(path, PASSPHRASE, [entry()])
    plaintext = pyrage.passphrase.decrypt(path.read_bytes(), PASSPHRASE.passphrase.reveal())
    assert plaintext == dump_document(Secrets((), (entry(),)))


def test_a_file_that_another_age_sealed_is_loaded_and_saved(path: Path) -> None:
    theirs = pyrage.x25519.Recipient.from_str(RECIPIENT)
    document = dump_document(Secrets((RECIPIENT,), (entry("a"),)))
    path.write_bytes(pyrage.encrypt(document, [theirs]))  # not armored
    sidecar.update(path, KEY, [entry("b")])
    assert apps(sidecar.load(path, KEY)) == ["a", "b"]


# --- who opens it ---


def test_a_new_file_is_sealed_to_the_recipients_given(path: Path) -> None:
    sidecar.update(path, KEY, [entry()], recipients=[OTHER_RECIPIENT, RECIPIENT, OTHER_RECIPIENT])
    for either in (KEY, OTHER_KEY):
        assert sidecar.load(path, either).recipients == (OTHER_RECIPIENT, RECIPIENT)


def test_a_new_file_without_recipients_is_sealed_to_the_identities(path: Path) -> None:
    sidecar.update(path, IdentityKey((IDENTITY, OTHER)), [entry()])
    assert sidecar.load(path, OTHER_KEY).recipients == (RECIPIENT, OTHER_RECIPIENT)


def test_a_new_file_that_its_own_identity_would_not_open_is_refused(path: Path) -> None:
    with pytest.raises(SidecarError, match="not among the sidecar's recipients"):
        sidecar.update(path, KEY, [entry()], recipients=[OTHER_RECIPIENT])
    assert not path.exists()


def test_a_new_passphrase_file_with_recipients_is_refused(path: Path) -> None:
    with pytest.raises(UsageError, match="both were given"):
        sidecar.update(path, PASSPHRASE, [entry()], recipients=[RECIPIENT])
    assert not path.exists()


def test_a_recipient_that_does_not_parse_is_refused(path: Path) -> None:
    with pytest.raises(age.KeyFormatError):
        sidecar.update(path, KEY, [entry()], recipients=[RECIPIENT, RECIPIENT[:-1]])
    assert not path.exists()


def test_a_weak_passphrase_seals_no_new_file(path: Path) -> None:
    with pytest.raises(UsageError, match="shorter than"):
        sidecar.update(path, PassphraseKey(Secret("short")), [entry()])
    assert not path.exists()


def test_later_saves_go_by_the_recipients_inside_whatever_a_caller_says(path: Path) -> None:
    sidecar.update(path, KEY, [entry("a")])
    sidecar.update(path, KEY, [entry("b")], recipients=[OTHER_RECIPIENT])
    assert sidecar.load(path, KEY).recipients == (RECIPIENT,)
    refused(path, OTHER_KEY)


def test_later_saves_go_by_the_recipients_inside_whatever_the_header_says(path: Path) -> None:
    document = dump_document(Secrets((RECIPIENT,), (entry("a"),)))
    path.write_bytes(age.encrypt(document, [IDENTITY.recipient, OTHER.recipient]))
    assert apps(sidecar.load(path, OTHER_KEY)) == ["a"]
    sidecar.update(path, KEY, [entry("b")])
    assert apps(sidecar.load(path, KEY)) == ["a", "b"]
    assert "not sealed to the identity" in str(refused(path, OTHER_KEY))


def test_an_identity_is_kept_from_locking_itself_out(path: Path) -> None:
    document = dump_document(Secrets((RECIPIENT,), (entry("a"),)))
    path.write_bytes(age.encrypt(document, [IDENTITY.recipient, OTHER.recipient]))
    before = path.read_bytes()
    with pytest.raises(SidecarError, match="not among the sidecar's recipients"):
        sidecar.update(path, OTHER_KEY, [entry("b")])
    assert path.read_bytes() == before


def test_a_passphrase_file_stays_one(path: Path) -> None:
    for name in ("a", "b"):
        sidecar.update(path, PASSPHRASE, [entry(name)])
        assert sidecar.sealed_with_passphrase(path)
        assert sidecar.load(path, PASSPHRASE).recipients == ()


def test_a_recipients_file_stays_one(path: Path) -> None:
    for name in ("a", "b"):
        sidecar.update(path, KEY, [entry(name)])
        assert not sidecar.sealed_with_passphrase(path)


# --- rekey ---

KINDS = [
    (KEY, [OTHER_RECIPIENT], OTHER_KEY),
    (KEY, [RECIPIENT, OTHER_RECIPIENT], OTHER_KEY),
    (KEY, OTHER_PASSPHRASE, OTHER_PASSPHRASE),
    (PASSPHRASE, OTHER_PASSPHRASE, OTHER_PASSPHRASE),
    (PASSPHRASE, [OTHER_RECIPIENT], OTHER_KEY),
]


@pytest.mark.parametrize(("old", "new", "opens"), KINDS)
def test_a_rekeyed_sidecar_opens_with_the_new_key_and_nothing_in_the_folder_with_the_old_one(
    path: Path, old: sidecar.Key, new: PassphraseKey | list[str], opens: sidecar.Key
) -> None:
    sidecar.update(path, old, [entry("a")])
    sidecar.update(path, old, [entry("b")])
    left_over = path.with_name(".secrets.age.prev.0123456789abcdef.tmp")
    left_over.write_bytes(path.read_bytes())
    unrelated = path.with_name(".other.tmp")
    unrelated.touch()
    at_hand = opens.identities if isinstance(opens, sidecar.IdentityKey) else ()
    assert sidecar.rekey(path, old, new, at_hand=at_hand)
    assert apps(sidecar.load(path, opens)) == ["a", "b"]
    names = {each.name for each in path.parent.iterdir()}
    assert names == {"secrets.age", "secrets.age.lock", ".other.tmp"}
    if old != KEY or RECIPIENT not in sidecar.load(path, opens).recipients:
        refused(path, old)


def test_a_rekey_that_nobody_here_can_open_leaves_the_generation_before(path: Path) -> None:
    """Who meant to add a recipient, and has locked themselves out, can go back."""
    sidecar.update(path, KEY, [entry("a")])
    sidecar.update(path, KEY, [entry("b")])
    assert not sidecar.rekey(path, KEY, [OTHER_RECIPIENT])
    refused(path, KEY)
    assert apps(sidecar.load(path, OTHER_KEY)) == ["a", "b"]
    assert apps(sidecar.load(previous(path), KEY)) == ["a", "b"]


def test_a_rekeyed_sidecar_goes_on_with_its_new_recipients(path: Path) -> None:
    sidecar.update(path, PASSPHRASE, [entry("a")])
    sidecar.rekey(path, PASSPHRASE, [RECIPIENT])
    sidecar.update(path, KEY, [entry("b")])
    assert sidecar.load(path, KEY).recipients == (RECIPIENT,)


@pytest.mark.parametrize(
    ("new", "error"),
    [
        ([], age.RecipientsError),
        (["age1nonsense"], age.KeyFormatError),
        (PassphraseKey(Secret("short")), UsageError),
    ],
)
def test_a_rekey_that_is_refused_changes_nothing(
    path: Path, new: PassphraseKey | list[str], error: type[Exception]
) -> None:
    sidecar.update(path, KEY, [entry("a")])
    sidecar.update(path, KEY, [entry("b")])
    before = {each: each.read_bytes() for each in path.parent.iterdir()}
    with pytest.raises(error):
        sidecar.rekey(path, KEY, new)
    assert {each: each.read_bytes() for each in path.parent.iterdir()} == before


def test_a_rekey_that_cannot_remove_the_generation_before_changes_nothing(path: Path) -> None:
    sidecar.update(path, KEY, [entry()])
    before = path.read_bytes()
    (previous(path) / "folder").mkdir(parents=True)
    with pytest.raises(FileError, match=r"earlier generation .*/secrets\.age\.prev: "):
        sidecar.rekey(path, KEY, [RECIPIENT, OTHER_RECIPIENT])
    assert path.read_bytes() == before


# --- what does not open ---


def test_a_missing_sidecar_comes_with_the_way_to_create_one(path: Path) -> None:
    error = refused(path, KEY)
    assert str(error) == f"there is no sidecar at {path}"
    assert "secrets set" in str(error.hint)
    with pytest.raises(SidecarError, match="there is no sidecar"):
        sidecar.sealed_with_passphrase(path)


def test_a_wrong_passphrase_is_said_to_be_wrong(path: Path) -> None:
    sidecar.update(path, PASSPHRASE, [entry()])
    error = refused(path, OTHER_PASSPHRASE)
    assert "the passphrase does not open" in str(error)
    assert "it is wrong" in str(error)


def test_a_wrong_identity_is_said_not_to_be_the_one(path: Path) -> None:
    sidecar.update(path, KEY, [entry()])
    assert "is not sealed to the identity that was given" in str(refused(path, OTHER_KEY))


def test_the_other_kind_of_key_is_asked_for(path: Path) -> None:
    sidecar.update(path, KEY, [entry()])
    error = refused(path, PASSPHRASE)
    assert "sealed to age recipients, and a passphrase was given" in str(error)
    assert "identity" in str(error.hint)
    sidecar.rekey(path, KEY, PASSPHRASE)
    error = refused(path, KEY)
    assert "sealed with a passphrase, and an identity was given" in str(error)
    assert "give the passphrase" in str(error.hint)


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 100, b"age-encryption.org/v1\n", b"-----BEGIN AGE"]
)
def test_a_file_that_is_no_age_file_does_not_open(
    path: Path, key: sidecar.Key, content: bytes
) -> None:
    path.write_bytes(content)
    assert "does not open" in str(refused(path, key))


def test_a_folder_in_its_place_does_not_open(path: Path, key: sidecar.Key) -> None:
    path.mkdir()
    assert "not a regular file" in str(refused(path, key))


def test_what_cannot_be_looked_at_is_not_taken_for_missing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "secrets.age"
    assert files.is_there(path)
    with pytest.raises(SidecarError, match="Not a directory"):
        sidecar.load(path, KEY)


def sealed(document: bytes, key: sidecar.Key) -> bytes:
    if isinstance(key, PassphraseKey):
        return age.encrypt(document, [age.Passphrase(key.passphrase, work_factor=4)])
    return age.encrypt(document, [each.recipient for each in key.identities])


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (b'{"x": "' + CANARY.encode(), "it is not JSON"),
        (b'{"x": "' + CANARY.encode() + b'"}', 'it does not say "format"'),
        (dump_document(Secrets((), (entry(),))), "not the kind of key"),
        (dump_document(Secrets((RECIPIENT, RECIPIENT), (entry(),))), "stands there twice"),
        (dump_document(Secrets((CANARY,), (entry(),))), "recipient"),
    ],
)
def test_an_age_file_that_seals_no_sidecar_does_not_load(
    path: Path, document: bytes, reason: str
) -> None:
    path.write_bytes(sealed(document, KEY))
    error = refused(path, KEY)
    assert "opens, but" in str(error)
    assert reason in str(error)


def test_a_passphrase_file_that_names_recipients_does_not_load(path: Path) -> None:
    path.write_bytes(sealed(dump_document(Secrets((RECIPIENT,), (entry(),))), PASSPHRASE))
    assert "not the kind of key" in str(refused(path, PASSPHRASE))


def test_a_version_of_the_future_is_neither_read_nor_overwritten_nor_gone_back_from(
    path: Path,
) -> None:
    sidecar.update(path, KEY, [entry("a")])
    sidecar.update(path, KEY, [entry("b")])
    document = dump_document(Secrets((RECIPIENT,), ())).replace(b'"version": 1', b'"version": 2')
    path.write_bytes(sealed(document, KEY))
    before = path.read_bytes()
    with pytest.raises(SidecarError, match="not of version 1") as caught:
        sidecar.update(path, KEY, [entry()])
    assert str(caught.value.hint).startswith("a newer oauthsync may read it")
    assert path.read_bytes() == before


@pytest.mark.parametrize("size", [10_200_000, 14_000_000])
def test_no_sidecar_is_written_that_would_not_be_read(path: Path, size: int) -> None:
    sidecar.update(path, KEY, [entry("a", "x" * 2_500_000)])
    before = path.read_bytes()
    with pytest.raises(SidecarError, match="larger than") as caught:
        sidecar.update(path, KEY, [entry("b", "x" * size)])
    assert caught.value.hint
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "recipients",
    [(RECIPIENT,) * 200_000, ("age1" + "q" * 15_000_000,)],
    ids=["too many", "one too long"],
)
def test_recipients_without_end_are_refused_at_once(
    path: Path, recipients: tuple[str, ...]
) -> None:
    path.write_bytes(
        age.encrypt(dump_document(Secrets(recipients, ())), [IDENTITY.recipient], armor=False)
    )
    start = time.process_time()
    error = str(refused(path, KEY))
    assert "more than 128 recipients" in error or "too long" in error
    assert time.process_time() - start < 2


def test_a_file_over_ages_limit_is_not_read(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(sidecar.MAX_SIZE + 1)
    with pytest.raises(SidecarError, match="larger than"):
        sidecar.load(path, KEY)


# --- the generation before ---


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-60])


def test_the_hint_names_the_generation_before_where_it_opens(path: Path, key: sidecar.Key) -> None:
    sidecar.update(path, key, [entry("a")])
    sidecar.update(path, key, [entry("b")])
    damage(path)
    hint = str(refused(path, key).hint)
    assert f"copy it to {path}" in hint
    path.write_bytes(previous(path).read_bytes())
    assert apps(sidecar.load(path, key)) == ["a"]


def test_the_hint_is_silent_about_a_generation_before_that_does_not_open(path: Path) -> None:
    sidecar.update(path, KEY, [entry("a")])
    sidecar.update(path, KEY, [entry("b")])
    damage(path)
    damage(previous(path))
    assert "copy it to" not in str(refused(path, KEY).hint)


def test_the_generation_before_is_named_also_before_there_is_a_key(path: Path) -> None:
    sidecar.update(path, KEY, [entry("a")])
    sidecar.update(path, KEY, [entry("b")])
    path.write_bytes(b"")
    with pytest.raises(SidecarError, match="does not open") as caught:
        sidecar.sealed_with_passphrase(path)
    assert f"copy it to {path}" in str(caught.value.hint)
    previous(path).write_bytes(b"")
    with pytest.raises(SidecarError, match="does not open") as caught:
        sidecar.sealed_with_passphrase(path)
    assert "copy it to" not in str(caught.value.hint)


def test_a_damaged_sidecar_is_not_overwritten(path: Path) -> None:
    sidecar.update(path, KEY, [entry("a")])
    sidecar.update(path, KEY, [entry("b")])
    damage(path)
    before = {each: each.read_bytes() for each in path.parent.iterdir()}
    for change in (
        lambda: sidecar.update(path, KEY, [entry("c")]),
        lambda: sidecar.rekey(path, KEY, [OTHER_RECIPIENT]),
    ):
        with pytest.raises(SidecarError):
            change()
    assert {each: each.read_bytes() for each in path.parent.iterdir()} == before


def test_a_lost_sidecar_is_not_begun_anew_beside_its_earlier_generation(path: Path) -> None:
    sidecar.update(path, KEY, [entry("a")])
    sidecar.update(path, KEY, [entry("b")])
    path.unlink()
    assert f"copy it to {path}" in str(refused(path, KEY).hint)
    with pytest.raises(SidecarError, match="an earlier generation of it at"):
        sidecar.update(path, KEY, [entry("c")])
    assert not path.exists()


# --- properties ---


def damaged_forms(data: bytes) -> Iterator[bytes]:
    for index in range(len(data)):
        yield data[:index] + bytes([data[index] ^ 0x01]) + data[index + 1 :]
        yield data[:index] + data[index + 1 :]
        yield data[:index]


@pytest.mark.parametrize("armor", [True, False])
def test_no_damaged_byte_ever_yields_other_secrets(path: Path, armor: bool) -> None:
    secrets = Secrets((RECIPIENT,), (entry(),))
    data = age.encrypt(dump_document(secrets), [IDENTITY.recipient], armor=armor)
    opened = 0
    for damaged in damaged_forms(data):
        path.write_bytes(damaged)
        try:
            found = sidecar.load(path, KEY)
        except SidecarError:
            continue
        opened += 1
        assert found == secrets
    # Armor lets the white space around it change; every byte of the rest counts.
    assert opened <= (2 if armor else 0)


NAMES = st.sampled_from(["a", "b", "c"])
VALUES = st.sampled_from(["one", "two"])
CHANGES = st.lists(st.builds(entry, NAMES, VALUES, st.none() | VALUES), max_size=4)
REMOVALS = st.frozensets(NAMES.map(lambda name: ("slack", name)), max_size=2)


@settings(max_examples=40, deadline=None)  # how long a disk takes is not the matter
@given(st.lists(st.tuples(CHANGES, REMOVALS), max_size=5))
def test_updates_behave_like_a_dictionary(
    updates: list[tuple[list[Entry], frozenset[tuple[str, str]]]],
) -> None:
    filed = {("slack", "z"): entry("z")}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "secrets.age"
        sidecar.update(path, KEY, [entry("z")])
        for entries, remove in updates:
            old, data = filed, path.read_bytes()
            filed = {app: each for app, each in old.items() if app not in remove}
            for each in entries:
                last = filed.get(each.app, each)
                filed[each.app] = replace(each, token=each.token or last.token)
            given_apps = {each.app for each in entries}
            saved = sidecar.update(path, KEY, entries, remove=remove)
            assert saved == Saved(
                replaced=sum(filed[app] != old[app] for app in given_apps & old.keys()),
                removed=len(old.keys() - filed.keys()),
            )
            assert sidecar.load(path, KEY).entries == tuple(filed[app] for app in sorted(filed))
            assert (path.read_bytes() == data) == (filed == old)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@settings(max_examples=40, deadline=None)  # how long a disk takes is not the matter
@given(
    st.lists(
        st.builds(
            Entry, TEXTS, TEXTS, TEXTS.map(Secret), st.none() | TEXTS.map(Secret), st.just(NOW)
        ),
        min_size=1,
        max_size=5,
        unique_by=lambda each: each.app,
    ),
    st.sampled_from([KEY, PASSPHRASE]),
)
def test_whatever_is_filed_is_loaded(entries: list[Entry], key: sidecar.Key) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "secrets.age"
        sidecar.update(path, key, entries)
        secrets = sidecar.load(path, key)
    assert {each.app: each for each in secrets.entries} == {each.app: each for each in entries}
    assert parse_document(dump_document(secrets)) == secrets
