"""The sidecar `secrets.age`: client secrets and tokens, sealed, filed under (provider, client id).

- It is a standard armored age v1 file: `age -d secrets.age` prints the document of `entries.py`.
- What is sealed decides who opens the next generation. A passphrase file stays one; the recipients
  come from inside the payload, never from the header, which anybody can write, and never from a
  configuration, which counts only when the file is created and at `rekey`.
- A change is load, modify and save under one lock, so none is lost. Only ciphertext reaches the
  disk, and a file is replaced whole, with the generation before it kept as `secrets.age.prev`.
  Nothing is read from there silently: the hint of an error names it where it helps.
- What is about to replace a file is opened again first, where that costs nothing: with the
  identity at hand. A passphrase takes a second to open, so an update leaves that to the generation
  kept beside it; `rekey`, which keeps none, takes the second.

age does not tell who sealed a file to recipients: who can write the folder and knows a recipient
can put another sidecar there. `Secrets.recipients` shows to whom the next save will be sealed.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from oauthsync import age, files
from oauthsync.entries import Entry, Secrets, UnknownVersionError, dump_document, parse_document
from oauthsync.errors import FileError, SidecarError, UsageError
from oauthsync.keys import IdentityKey, Key, KeyPair, PassphraseKey, check_passphrase

__all__ = [
    "Entry",
    "IdentityKey",
    "Key",
    "PassphraseKey",
    "Saved",
    "Secrets",
    "load",
    "rekey",
    "sealed_with_passphrase",
    "update",
]

T = TypeVar("T")

MAX_SIZE = 16 << 20
"""Bytes of a sidecar: some 50,000 apps."""

LOCK_TIMEOUT = 60.0
"""Seconds to wait for other processes' changes, each of which takes two with a passphrase."""


@dataclass(frozen=True)
class Saved:
    """How many of the entries that were there an update replaced with others, or removed."""

    replaced: int
    removed: int


class _DamagedError(SidecarError):
    """A generation is missing, or does not open; the one before it might."""


def sealed_with_passphrase(path: Path) -> bool:
    """Whether the sidecar asks for a passphrase; otherwise it asks for an identity.

    It is only the header's claim: good for choosing what to ask a user for. Raises SidecarError,
    whose hint names the generation before it where that is an age file.
    """
    return _or_way_back(path, _asks_passphrase)


def load(path: Path, key: Key) -> Secrets:
    """Open the sidecar.

    Raises SidecarError: it is missing, unreadable or damaged, is not sealed to this key, or wants
    the other kind of key. A wrong passphrase and a damaged header cannot be told apart. Where the
    generation before it opens, the hint says so.
    """
    return _or_way_back(path, lambda generation: _open(generation, key))


def update(
    path: Path,
    key: Key,
    entries: Sequence[Entry],
    *,
    remove: Collection[tuple[str, str]] = (),
    recipients: Sequence[str] = (),
) -> Saved:
    """Take out what is filed under `remove`, then file `entries`; of two for one app the last wins.

    An entry without a token keeps the one that is filed. One whose secret and token are filed
    already keeps its time, and where nothing changes, the file is left as it is. With entries, a
    missing file is created: for a passphrase, or sealed to `recipients`, or where there are none,
    to the identities' own. Waits for other processes.

    Raises SidecarError as `load` does, and where the identity is not among the recipients;
    FileError where the file cannot be written, or stays locked; UsageError for a new file's weak
    passphrase.
    """
    with _locked(path):
        create = bool(entries) and not files.is_there(path)
        before = _new(path, key, recipients) if create else load(path, key)
        after = before.changed(entries, frozenset(remove))
        if after != before:
            files.replace_file(path, _reseal(after, key), previous=files.previous_of(path))
    return _compare(before, after, {entry.app for entry in entries})


def rekey(
    path: Path,
    key: Key,
    new: PassphraseKey | Sequence[str],
    *,
    at_hand: Sequence[KeyPair] = (),
) -> bool:
    """Seal the sidecar with a new passphrase, or to new recipients, and to nobody else.

    The generation before, which opens with the old key, is removed, and whatever interrupted saves
    left behind; copies elsewhere still open with the old key. Where no identity that is `at_hand`,
    or in the key, is among the recipients, nobody has seen the new file open: then the generation
    before stays, and the result is False. Raises as `update` does.
    """
    own: Sequence[age.Identity]
    with _locked(path):
        filed = load(path, key).entries
        if isinstance(new, PassphraseKey):
            check_passphrase(new.passphrase.reveal())
            own = passphrase = [_passphrase(new)]
            sealed = _seal(Secrets((), filed), passphrase, passphrase)
        else:
            secrets = Secrets(_canonical(new), filed)
            own = _own((*_identities(key), *at_hand), secrets.recipients)
            sealed = _seal(secrets, _parsed(secrets.recipients), own)
        if not own:
            files.replace_file(path, sealed, previous=files.previous_of(path))
            return False
        # Before the new file stands, for then no crash leaves an old generation beside it. The one
        # that was loaded just now is whole, so nothing is at risk meanwhile.
        _remove_old_generations(path)
        files.replace_file(path, sealed)
    return True


def _locked(path: Path) -> AbstractContextManager[None]:
    lock = path.with_name(f"{path.name}.lock")
    return files.locked(lock, what=f"the sidecar {path}", timeout=LOCK_TIMEOUT)


def _check_not_lost(path: Path) -> None:
    """Raise SidecarError where the sidecar is missing, and the generation before it is not."""
    previous = files.previous_of(path)
    if not files.is_there(path) and files.is_there(previous):
        raise SidecarError(
            f"there is no sidecar at {path}, but an earlier generation of it at {previous}",
            hint=f"copy it to {path} to go on from it, or move it away to begin anew",
        )


def _or_way_back(path: Path, read: Callable[[Path], T]) -> T:
    """What `read` makes of the sidecar; where it is damaged, the hint names what is not."""
    _check_not_lost(path)
    try:
        return read(path)
    except _DamagedError as error:
        hint = _way_back(path, read) or error.hint or "take it from a backup of the folder"
        raise SidecarError(str(error), hint=hint) from error


def _asks_passphrase(path: Path) -> bool:
    data = _read(path)
    try:
        return age.is_passphrase_file(data)
    except age.AgeError as error:
        raise _does_not_open(path, error) from error


def _open(path: Path, key: Key) -> Secrets:
    """As `load`, without a look at the generation before."""
    data = _read(path)
    try:
        document = age.decrypt(data, _openers(key))
    except age.NoMatchError as error:
        raise _no_match(path, key, data, error.hint) from error
    except age.AgeError as error:
        raise _does_not_open(path, error) from error
    try:
        secrets = parse_document(document)
        _check_recipients(secrets, key)
    except UnknownVersionError as error:
        # Not damaged: to go back to the generation before would throw away what is newer.
        raise SidecarError(f"{path} opens, but {error}", hint=error.hint) from error
    except SidecarError as error:
        raise _DamagedError(f"{path} opens, but {error}", hint=error.hint) from error
    return secrets


def _read(path: Path) -> bytes:
    try:
        return files.read_file(path, limit=MAX_SIZE)
    except FileNotFoundError as error:
        raise _DamagedError(
            f"there is no sidecar at {path}",
            hint="`oauthsync secrets set`, `fill` and `load` create it",
        ) from error
    except FileError as error:
        raise SidecarError(str(error), hint=error.hint) from error


def _no_match(path: Path, key: Key, data: bytes, hint: str | None) -> SidecarError:
    match key, age.is_passphrase_file(data):
        case IdentityKey(), True:
            return SidecarError(
                f"{path} is sealed with a passphrase, and an identity was given",
                hint="give the passphrase instead",
            )
        case PassphraseKey(), False:
            return SidecarError(
                f"{path} is sealed to age recipients, and a passphrase was given",
                hint="give the identity of one of them instead: a file with AGE-SECRET-KEY-1…",
            )
        case PassphraseKey(), _:
            return _DamagedError(
                f"the passphrase does not open {path}: "
                "it is wrong, or the file's header is damaged",
                hint=f"{hint or 'check it'}; where it is lost for good, move the file away and"
                " file the secrets anew: `oauthsync secrets missing --csv`",
            )
        case _:
            return _DamagedError(
                f"{path} is not sealed to the identity that was given, or its header is damaged",
                hint=hint,
            )


def _check_recipients(secrets: Secrets, key: Key) -> None:
    """That the next save can go by the recipients in the payload."""
    if bool(secrets.recipients) != isinstance(key, IdentityKey):
        raise SidecarError("its recipients are not the kind of key that it was sealed to")
    # Before they are parsed, which takes a millisecond each.
    if len(secrets.recipients) > age.MAX_STANZAS:
        raise SidecarError(f"it names more than {age.MAX_STANZAS} recipients")
    if _canonical(secrets.recipients) != secrets.recipients:
        raise SidecarError("one of its recipients is not in its one form, or stands there twice")


def _does_not_open(path: Path, error: age.AgeError) -> _DamagedError:
    return _DamagedError(f"{path} does not open: {error}", hint=error.hint)


def _way_back(path: Path, read: Callable[[Path], object]) -> str | None:
    """A hint at the generation before, where that can be read."""
    previous = files.previous_of(path)
    try:
        read(previous)
    except SidecarError:
        return None
    return (
        f"{previous}, which lacks the last change, does not have this fault: "
        f"copy it to {path} to go on from it"
    )


def _new(path: Path, key: Key, recipients: Sequence[str]) -> Secrets:
    """The empty sidecar that a new file starts from."""
    _check_not_lost(path)
    if isinstance(key, IdentityKey):
        return Secrets(_canonical(recipients or [str(one.recipient) for one in key.identities]), ())
    if recipients:
        raise UsageError(
            "a new sidecar is sealed with a passphrase or to recipients, and both were given",
            hint="give an identity instead of the passphrase, or no recipients",
        )
    check_passphrase(key.passphrase.reveal())
    return Secrets((), ())


def _compare(before: Secrets, after: Secrets, given: Collection[tuple[str, str]]) -> Saved:
    known = before.names().intersection(given)
    replaced = sum(before.get(*app) != after.get(*app) for app in known)
    return Saved(replaced, removed=len(before.names() - after.names()))


def _openers(key: Key) -> Sequence[age.Identity]:
    return [_passphrase(key)] if isinstance(key, PassphraseKey) else key.identities


def _passphrase(key: PassphraseKey) -> age.Passphrase:
    return age.Passphrase(key.passphrase, work_factor=key.work_factor)


def _identities(key: Key) -> Sequence[KeyPair]:
    return key.identities if isinstance(key, IdentityKey) else ()


def _own(identities: Iterable[KeyPair], recipients: Collection[str]) -> Sequence[age.Identity]:
    """Those of the identities that open what is sealed to `recipients`."""
    return [one for one in identities if str(one.recipient) in recipients]


def _canonical(recipients: Iterable[str]) -> tuple[str, ...]:
    """Recipients in their one form, each once. Raises KeyFormatError."""
    return tuple(dict.fromkeys(str(one) for one in _parsed(recipients)))


def _parsed(recipients: Iterable[str]) -> list[age.Recipient]:
    return [age.parse_recipient(text) for text in recipients]


def _reseal(secrets: Secrets, key: Key) -> bytes:
    """The next generation, sealed so that the same key opens it."""
    if isinstance(key, PassphraseKey):
        return _seal(secrets, [_passphrase(key)], ())
    own = _own(_identities(key), secrets.recipients)
    if not own:
        raise SidecarError(
            "the identity that was given is not among the sidecar's recipients, "
            "so it would not open what is saved",
            hint="add its own recipient (age1…) to them",
        )
    return _seal(secrets, _parsed(secrets.recipients), own)


def _seal(
    secrets: Secrets, recipients: Sequence[age.Recipient], openers: Sequence[age.Identity]
) -> bytes:
    """The armored file; where one of `openers` can, it has been opened again."""
    sealed = age.encrypt(dump_document(secrets), recipients)
    if len(sealed) > MAX_SIZE:
        raise SidecarError(
            f"the sidecar would be larger than {MAX_SIZE >> 20} MiB, so nothing was written",
            hint="remove what no profile needs, or keep a second backup folder",
        )
    if openers and parse_document(age.decrypt(sealed, openers)) != secrets:
        raise SidecarError(
            "what was sealed does not open to what it was, so nothing was written",
            hint="this is a defect of oauthsync or of this machine: please report it",
        )
    return sealed


def _remove_old_generations(path: Path) -> None:
    # Under the lock, whatever is named like a temporary file is left over from a killed save.
    try:
        for each in list(path.parent.iterdir()):
            left_over = each.name.startswith(f".{path.name}.") and each.name.endswith(".tmp")
            if left_over or each.name == files.previous_of(path).name:
                each.unlink()
        files.sync_folder(path.parent)
    except OSError as error:
        raise FileError(
            f"cannot remove an earlier generation of the sidecar, "
            f"{error.filename or path.parent}: {error.strerror or error}",
            hint="the sidecar still opens with the old key; remove what is named, then try again",
        ) from error
