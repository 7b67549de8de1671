"""The domain's records: a custom OAuth profile as the API returned it, and what counts as a change.

Strict about what everything rests on (the id, name and provider), and lenient about the rest: the
API's page promises little, and a backup keeps what it does not understand. A profile holds its JSON
as bytes and only a few values beside it, so that 100,000 of them fit into memory; what is asked for
rarely is parsed again. Pure: no I/O, no clock.
"""

import hashlib
import sys
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import attrgetter
from typing import TypeGuard

from oauthsync import strictjson
from oauthsync.strictjson import Json

COUNTS = ("shared_accounts_count", "oem_customers_count")
"""Fields that count who uses a profile."""

VOLATILE = ("updated_at", *COUNTS)
"""Fields that alone are no change: others' use of a profile moves them."""

SECRET_FIELDS = ("client_secret", "token")
"""Fields of `data` that only the sidecar may fill."""

MAX_ID = 2**63 - 1


class MalformedProfileError(ValueError):
    """A value that is not a profile; the message names the field, not its value."""


@dataclass(frozen=True, slots=True)
class Profile:
    """One custom OAuth profile.

    `client_id` is None where `data` holds none; `user_id` is the workspace it lives in;
    `connections` and `customers` are how many use it, None where the API does not tell. `document`
    is the canonical JSON of all that the API returned, in UTF-8.
    """

    id: int
    name: str
    provider: str
    client_id: str | None
    user_id: int | None
    connections: int | None
    customers: int | None
    document: bytes = field(repr=False)

    @property
    def key(self) -> tuple[str, str, str | None]:
        """What makes two profiles interchangeable: provider, name and client id."""
        return (self.provider, self.name, self.client_id)

    @property
    def app(self) -> tuple[str, str | None]:
        """The OAuth app that a secret belongs to: provider and client id."""
        return (self.provider, self.client_id)

    @property
    def uses(self) -> int | None:
        """How many connections and customers use it, as far as the API tells; None: unknown."""
        known = (self.connections or 0) + (self.customers or 0)
        return None if not known and None in (self.connections, self.customers) else known

    @property
    def digest(self) -> str:
        """SHA-256 of the document, in hexadecimal."""
        return document_digest(self.document)

    @property
    def fields(self) -> dict[str, Json]:
        """The document as an object, parsed anew at each call."""
        value = strictjson.parse(self.document)
        assert isinstance(value, dict)
        return value

    @property
    def data(self) -> dict[str, Json]:
        """`data` without its secret fields: what may be sent back to the API."""
        data = self.fields.get("data")
        return _without_secrets(data) if isinstance(data, dict) else {}

    @property
    def significant(self) -> str:
        """Canonical JSON of everything whose difference is a change."""
        return strictjson.canonical(_significant(self))


def from_json(value: Json) -> Profile:
    """A profile from the API's JSON.

    The API never returns a secret; should `data` hold one all the same, it is left out, because
    what a profile holds is stored in the clear.

    Raises MalformedProfileError where the id is no positive 64-bit integer, the name, provider or
    client id no string, or `data` no object; ValueError where it is nested too deeply.
    """
    if isinstance(value, dict):
        data = value.get("data")
        if isinstance(data, dict) and not data.keys().isdisjoint(SECRET_FIELDS):
            value = {**value, "data": _without_secrets(data)}
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
    profile_id = value.get("id")
    if not is_id(profile_id):
        raise MalformedProfileError("a profile's `id` is not a positive integer")
    data = value.get("data")
    if data is not None and not isinstance(data, dict):
        raise MalformedProfileError("a profile's `data` is not an object")
    client_id = data.get("client_id") if data else None
    if client_id is not None and not isinstance(client_id, str):
        raise MalformedProfileError("a profile's `data.client_id` is not a string")
    user_id = value.get("user_id")
    return Profile(
        id=profile_id,
        name=_string(value, "name"),
        # A workspace has thousands of profiles of a few providers.
        provider=sys.intern(_string(value, "provider")),
        client_id=client_id,
        user_id=user_id if is_id(user_id) else None,
        connections=_count(value.get(COUNTS[0])),
        customers=_count(value.get(COUNTS[1])),
        document=document,
    )


def is_id(value: Json) -> TypeGuard[int]:
    """Whether a value is an id: a positive integer of 64 bits, as the database can hold it."""
    return type(value) is int and 0 < value <= MAX_ID


def workspace_id(profiles: Iterable[Profile]) -> int | None:
    """The id of the workspace that all these profiles are of, where they agree on one."""
    ids = {profile.user_id for profile in profiles}
    return ids.pop() if len(ids) == 1 else None


def _without_secrets(data: dict[str, Json]) -> dict[str, Json]:
    return {name: value for name, value in data.items() if name not in SECRET_FIELDS}


def _string(value: dict[str, Json], name: str) -> str:
    found = value.get(name)
    if not isinstance(found, str):
        raise MalformedProfileError(f"a profile's `{name}` is not a string")
    return found


def _count(value: Json) -> int | None:
    return value if type(value) is int and 0 <= value <= MAX_ID else None


def document_digest(document: bytes) -> str:
    """SHA-256 of a profile's document, in hexadecimal."""
    return hashlib.sha256(document).hexdigest()


def digest(profiles: Iterable[Profile]) -> str:
    """The digest of a listing: SHA-256 over its profiles' lines in the order of their ids."""
    ordered = sorted(profiles, key=attrgetter("id"))
    return combined_digest(digest_line(profile.id, profile.digest) for profile in ordered)


def digest_line(profile_id: int, document_digest: str) -> bytes:
    """A profile's line in the digest of a listing: `id:digest` and a line feed."""
    return f"{profile_id}:{document_digest}\n".encode("ascii")


def combined_digest(lines: Iterable[bytes]) -> str:
    """The digest of a listing from its lines, as `sha256:` and hexadecimal."""
    combined = hashlib.sha256()
    for line in lines:
        combined.update(line)
    return f"sha256:{combined.hexdigest()}"


@dataclass(frozen=True)
class Change:
    """A profile that is there on both sides and differs."""

    old: Profile
    new: Profile

    @property
    def fields(self) -> dict[str, tuple[Json, Json]]:
        """The differing fields, as (old, new); `data`'s own are named `data.client_id` and so on.

        A field that is on one side only is None on the other.
        """
        old, new = _flat(self.old), _flat(self.new)
        return {
            name: (old.get(name), new.get(name))
            for name in sorted(old.keys() | new.keys())
            if (name in old) != (name in new) or not _same(old.get(name), new.get(name))
        }


@dataclass(frozen=True)
class Difference:
    """What changed from one listing to another, each list in the order of the ids."""

    added: tuple[Profile, ...] = ()
    removed: tuple[Profile, ...] = ()
    changed: tuple[Change, ...] = ()

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


def split_created_again(found: Difference) -> tuple[Difference, list[Change]]:
    """A difference, and apart from it what was removed and is there again under a new id.

    That has the same provider, name and client id. Of several twins nobody knows which stands for
    which: they are paired in the order of their ids.
    """
    added: dict[object, list[Profile]] = defaultdict(list)
    for profile in found.added:
        added[profile.key].append(profile)
    again = [
        Change(profile, added[profile.key].pop(0))
        for profile in found.removed
        if added[profile.key]
    ]
    ids = {profile.id for change in again for profile in (change.old, change.new)}
    rest = Difference(
        tuple(profile for profile in found.added if profile.id not in ids),
        tuple(profile for profile in found.removed if profile.id not in ids),
        found.changed,
    )
    return rest, again


def differs(old: Profile, new: Profile) -> bool:
    """Whether two states of a profile differ in anything but what others' use of it moves."""
    return old.document != new.document and old.significant != new.significant


def _significant(profile: Profile) -> dict[str, Json]:
    """A profile's fields but for the volatile ones, with the time in one of its notations."""
    fields = {name: value for name, value in profile.fields.items() if name not in VOLATILE}
    created = fields.get("created_at")
    if isinstance(created, str):
        with suppress(ValueError, OverflowError):
            if (moment := datetime.fromisoformat(created)).tzinfo is not None:
                fields["created_at"] = moment.astimezone(UTC).isoformat()
    return fields


def _flat(profile: Profile) -> dict[str, Json]:
    flat = _significant(profile)
    data = flat.get("data")
    if isinstance(data, dict) and data:
        del flat["data"]
        flat.update({f"data.{name}": value for name, value in data.items()})
    return flat


def _same(old: Json, new: Json) -> bool:
    # Python takes 1 and True for equal; JSON does not.
    return strictjson.canonical(old) == strictjson.canonical(new)
