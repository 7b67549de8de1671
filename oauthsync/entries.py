"""Client secrets by the OAuth app they belong to, and the document that a sidecar seals.

The document is JSON that a person can read, and anything else in it is refused:
`{"format": "oauthsync-secrets", "version": 1, "recipients": […], "secrets": [{"provider",
"client_id", "client_secret", "token", "updated_at"}]}`.

A secret is released only for exactly the provider and client id that it is filed under: equal code
point by code point, nothing is trimmed, folded or normalised. No error shows a value. Pure: no I/O.
"""

import json
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from functools import cached_property

from oauthsync import strictjson
from oauthsync.errors import SidecarError, UsageError
from oauthsync.secret import Secret
from oauthsync.strictjson import Json
from oauthsync.text import is_unicode

FORMAT = "oauthsync-secrets"
VERSION = 1

_ENVELOPE = frozenset({"format", "version", "recipients", "secrets"})
_FIELDS = ("provider", "client_id", "client_secret", "token", "updated_at")
_TIMESTAMP = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


@dataclass(frozen=True)
class Entry:
    """One OAuth app's secrets. `updated_at` is UTC, `2026-11-23T10:00:00Z`.

    Raises UsageError where a field is empty, not Unicode text, or no such time.
    """

    provider: str
    client_id: str
    client_secret: Secret
    token: Secret | None
    updated_at: str

    def __post_init__(self) -> None:
        _check_text("provider", self.provider)
        _check_text("client_id", self.client_id)
        _check_text("client_secret", self.client_secret.reveal())
        if self.token is not None:
            _check_text("token", self.token.reveal())
        if not _TIMESTAMP.fullmatch(self.updated_at):
            raise UsageError("updated_at is not a time like 2026-11-23T10:00:00Z")

    @property
    def app(self) -> tuple[str, str]:
        """What it is filed under: provider and client id."""
        return (self.provider, self.client_id)

    def same_secrets(self, other: "Entry") -> bool:
        """Whether secret and token are the same; when they were filed does not matter."""
        return (self.client_secret, self.token) == (other.client_secret, other.token)


def _check_text(name: str, value: str) -> None:
    if not value:
        raise UsageError(f"{name} is empty")
    if not is_unicode(value):
        raise UsageError(f"{name} is not Unicode text")


def entry_from_json(value: Json) -> Entry:
    """The entry that a JSON object with the fields of `Entry` describes; `token` may be left out.

    Raises UsageError, which names the field.
    """
    if not isinstance(value, dict):
        raise UsageError("it is not an object")
    if not value.keys() <= set(_FIELDS):
        raise UsageError(f"it has a field other than {', '.join(_FIELDS)}")
    return Entry(
        provider=_string(value, "provider"),
        client_id=_string(value, "client_id"),
        client_secret=Secret(_string(value, "client_secret")),
        token=None if value.get("token") is None else Secret(_string(value, "token")),
        updated_at=_string(value, "updated_at"),
    )


def _string(value: dict[str, Json], name: str) -> str:
    if name not in value:
        raise UsageError(f"{name} is missing")
    found = value[name]
    if not isinstance(found, str):
        raise UsageError(f"{name} is not a string")
    return found


@dataclass(frozen=True)
class Secrets:
    """What a sidecar seals. Empty `recipients`: it is sealed with a passphrase.

    `entries` are sorted by provider and client id, which are unique together.
    """

    recipients: tuple[str, ...]
    entries: tuple[Entry, ...]

    @cached_property
    def _filed(self) -> dict[tuple[str, str], Entry]:
        return {entry.app: entry for entry in self.entries}

    def get(self, provider: str, client_id: str) -> Entry | None:
        """The entry filed under exactly this provider and client id, and no other."""
        return self._filed.get((provider, client_id))

    def names(self) -> frozenset[tuple[str, str]]:
        """The (provider, client id) of every entry: all that planning may know."""
        return frozenset(self._filed)

    def changed(self, entries: Iterable[Entry], remove: Collection[tuple[str, str]]) -> "Secrets":
        """With `remove` taken out, then `entries` filed; of two for one app the last wins.

        An entry without a token keeps the one that is filed, and one whose secret and token are
        filed already keeps its time.
        """
        filed = {app: entry for app, entry in self._filed.items() if app not in remove}
        for entry in entries:
            old, last = self.get(*entry.app), filed.get(entry.app)
            if last and entry.token is None:
                entry = replace(entry, token=last.token)
            filed[entry.app] = old if old and old.same_secrets(entry) else entry
        return Secrets(self.recipients, _sorted(filed.values()))


def _sorted(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    return tuple(sorted(entries, key=lambda entry: entry.app))


def dump_document(secrets: Secrets) -> bytes:
    """The document to seal, in UTF-8."""
    document = {
        "format": FORMAT,
        "version": VERSION,
        "recipients": list(secrets.recipients),
        "secrets": [
            {
                "provider": entry.provider,
                "client_id": entry.client_id,
                "client_secret": entry.client_secret.reveal(),
                "token": entry.token.reveal() if entry.token else None,
                "updated_at": entry.updated_at,
            }
            for entry in secrets.entries
        ],
    }
    # Indented and unescaped: who opens it with `age -d` is to find their way without oauthsync.
    return json.dumps(document, indent=2, ensure_ascii=False, sort_keys=True).encode() + b"\n"


class UnknownVersionError(SidecarError):
    """The document is whole, for all that is known, but of another version."""


def parse_document(document: bytes) -> Secrets:
    """The secrets of a sealed document. Raises SidecarError, UnknownVersionError among them."""
    try:
        value = strictjson.parse(document)
    except ValueError as error:
        raise SidecarError(f"it is not JSON: {error}") from error
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise SidecarError(f'it does not say "format": "{FORMAT}"')
    version = value.get("version")
    if isinstance(version, bool) or version != VERSION:
        raise UnknownVersionError(
            f"it is not of version {VERSION}, the only one that this oauthsync knows",
            hint="a newer oauthsync may read it; `age -d` shows it",
        )
    if value.keys() != _ENVELOPE:
        raise SidecarError(f"its fields are not {', '.join(sorted(_ENVELOPE))}")
    entries = [_numbered(number, item) for number, item in enumerate(_list(value, "secrets"))]
    if len({entry.app for entry in entries}) != len(entries):
        raise SidecarError("two of its secrets are for the same provider and client_id")
    return Secrets(_recipients(value), _sorted(entries))


def _list(value: dict[str, Json], name: str) -> list[Json]:
    found = value[name]
    if not isinstance(found, list):
        raise SidecarError(f"{name} is not a list")
    return found


def _recipients(value: dict[str, Json]) -> tuple[str, ...]:
    items = _list(value, "recipients")
    recipients = tuple(item for item in items if isinstance(item, str))
    if len(recipients) != len(items):
        raise SidecarError("one of its recipients is not a string")
    return recipients


def _numbered(number: int, item: Json) -> Entry:
    try:
        return entry_from_json(item)
    except UsageError as error:
        raise SidecarError(f"secrets[{number}]: {error}") from error
