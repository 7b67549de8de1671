"""The domain's records: a custom OAuth profile as the API returned it, and what counts as a change.

Strict about what everything rests on (the id, name and provider), and lenient about the rest: the
API's page promises little, and a backup keeps what it does not understand. Pure: no I/O, no clock.
"""

import hashlib
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from oauthsync import strictjson
from oauthsync.strictjson import Json

VOLATILE = ("updated_at", "shared_accounts_count", "oem_customers_count")
"""Fields that alone are no change: others' use of a profile moves them."""

SECRET_FIELDS = ("client_secret", "token")
"""Fields of `data` that only the sidecar may fill."""

MAX_ID = 2**63 - 1


class MalformedProfileError(ValueError):
    """A value that is not a profile; the message names the field, not its value."""


@dataclass(frozen=True)
class Profile:
    """One custom OAuth profile.

    `document` is the canonical JSON of all that the API returned, in UTF-8. `client_id` is None
    where `data` holds none; `user_id` is the workspace it lives in, where the API said so.
    """

    id: int
    name: str
    provider: str
    client_id: str | None
    document: bytes

    @property
    def key(self) -> tuple[str, str, str | None]:
        """What makes two profiles interchangeable: provider, name and client id."""
        return (self.provider, self.name, self.client_id)

    @property
    def app(self) -> tuple[str, str | None]:
        """The OAuth app that a secret belongs to: provider and client id."""
        return (self.provider, self.client_id)

    @property
    def digest(self) -> str:
        """SHA-256 of the document, in hexadecimal."""
        return hashlib.sha256(self.document).hexdigest()

    @cached_property
    def fields(self) -> dict[str, Json]:
        """The document as an object."""
        value = strictjson.parse(self.document)
        assert isinstance(value, dict)
        return value

    @property
    def data(self) -> dict[str, Json]:
        """`data` without its secret fields: what may be sent back to the API."""
        data = self.fields.get("data")
        known = data if isinstance(data, dict) else {}
        return {name: value for name, value in known.items() if name not in SECRET_FIELDS}

    @property
    def user_id(self) -> int | None:
        """The workspace's id, where the API gave one."""
        value = self.fields.get("user_id")
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    @property
    def uses(self) -> int | None:
        """How many connections and customers use it; None where the API does not tell."""
        counts = [self.fields.get(name) for name in VOLATILE[1:]]
        total = 0
        for count in counts:
            if not isinstance(count, int):
                return None
            total += count
        return total

    @cached_property
    def significant(self) -> str:
        """Canonical JSON of everything whose difference is a change."""
        fields = {name: value for name, value in self.fields.items() if name not in VOLATILE}
        return strictjson.canonical(fields)


def from_json(value: Json) -> Profile:
    """A profile from the API's JSON.

    Raises MalformedProfileError where the id is no positive 64-bit integer, the name, provider or
    client id no string, or `data` no object; ValueError where it is nested too deeply.
    """
    return _profile(value, strictjson.canonical(value).encode("utf-8"))


def from_document(document: bytes) -> Profile:
    """A profile from its canonical JSON, as `Profile.document` gives it.

    Raises MalformedProfileError as `from_json` does, and where the document is no JSON.
    """
    try:
        value = strictjson.parse(document)
    except ValueError as error:
        raise MalformedProfileError(f"a profile's document is not JSON: {error}") from error
    return _profile(value, document)


def _profile(value: Json, document: bytes) -> Profile:
    if not isinstance(value, dict):
        raise MalformedProfileError("a profile is not an object")
    data = value.get("data")
    if data is not None and not isinstance(data, dict):
        raise MalformedProfileError("a profile's `data` is not an object")
    client_id = data.get("client_id") if data else None
    if client_id is not None and not isinstance(client_id, str):
        raise MalformedProfileError("a profile's `data.client_id` is not a string")
    return Profile(
        id=_id(value),
        name=_string(value, "name"),
        # A workspace has thousands of profiles of a few providers.
        provider=sys.intern(_string(value, "provider")),
        client_id=client_id,
        document=document,
    )


def _id(value: dict[str, Json]) -> int:
    found = value.get("id")
    if not isinstance(found, int) or isinstance(found, bool) or not 0 < found <= MAX_ID:
        raise MalformedProfileError("a profile's `id` is not a positive integer")
    return found


def _string(value: dict[str, Json], field: str) -> str:
    found = value.get(field)
    if not isinstance(found, str):
        raise MalformedProfileError(f"a profile's `{field}` is not a string")
    return found


def digest(profiles: Iterable[Profile]) -> str:
    """The digest of a listing: SHA-256 over `id:digest` lines in the order of the ids."""
    return combined_digest((profile.id, profile.digest) for profile in profiles)


def combined_digest(entries: Iterable[tuple[int, str]]) -> str:
    """As `digest`, from the ids and the documents' digests alone."""
    lines = hashlib.sha256()
    for profile_id, document_digest in sorted(entries):
        lines.update(f"{profile_id}:{document_digest}\n".encode())
    return f"sha256:{lines.hexdigest()}"


@dataclass(frozen=True)
class Change:
    """A profile that is there on both sides and differs; `fields` maps a field to (old, new)."""

    old: Profile
    new: Profile

    @property
    def fields(self) -> dict[str, tuple[Json, Json]]:
        """The differing fields; `data`'s own are named `data.client_id` and so on."""
        old, new = _flat(self.old), _flat(self.new)
        names = sorted(old.keys() | new.keys())
        return {
            name: (old.get(name), new.get(name))
            for name in names
            if name not in VOLATILE and (name in old, old.get(name)) != (name in new, new.get(name))
        }


@dataclass(frozen=True)
class Difference:
    """What changed from one listing to another, each list in the order of the ids."""

    added: tuple[Profile, ...]
    removed: tuple[Profile, ...]
    changed: tuple[Change, ...]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


def difference(old: Iterable[Profile], new: Iterable[Profile]) -> Difference:
    """Compare two listings by id. Counts and `updated_at` alone are no change."""
    before = {profile.id: profile for profile in old}
    after = {profile.id: profile for profile in new}
    return Difference(
        added=tuple(after[i] for i in sorted(after.keys() - before.keys())),
        removed=tuple(before[i] for i in sorted(before.keys() - after.keys())),
        changed=tuple(
            Change(before[i], after[i])
            for i in sorted(before.keys() & after.keys())
            if differs(before[i], after[i])
        ),
    )


def differs(old: Profile, new: Profile) -> bool:
    """Whether two states of a profile differ in anything but what others' use of it moves."""
    return old.document != new.document and old.significant != new.significant


def _flat(profile: Profile) -> dict[str, Json]:
    flat = {name: value for name, value in profile.fields.items() if name != "data"}
    data = profile.fields.get("data")
    if isinstance(data, dict):
        flat.update({f"data.{name}": value for name, value in data.items()})
    elif "data" in profile.fields:
        flat["data"] = data
    return flat
