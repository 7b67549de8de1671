"""The workspaces of a sandbox: profiles as stored, the rules for payloads, and late writes.

A profile is kept as the JSON that a call returns, so its numbers stay as they were sent. Its
secrets are kept beside it and are in no JSON. An id is never given twice.
"""

import heapq
import itertools
import json
import threading
from bisect import bisect_left
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from oauthsync.clock import Clock
from oauthsync.sandbox import rawjson
from oauthsync.sandbox.database import Database, Row
from oauthsync.sandbox.samples import samples
from oauthsync.secret import Secret

FIRST_ID = 100_001
FIRST_USER_ID = 5001
_PACIFIC = timezone(timedelta(hours=-7))


class Refusal(Exception):
    """A request that the API refuses: the HTTP status and the answer's JSON."""

    def __init__(self, status: int, answer: Mapping[str, object]) -> None:
        super().__init__(f"{status}: {answer}")
        self.status = status
        self.answer = answer


@dataclass(frozen=True, slots=True)
class StoredProfile:
    """A profile as the sandbox keeps it: `body` is the JSON that calls return."""

    id: int
    body: bytes
    client_secret: Secret
    token: Secret | None = None

    @property
    def document(self) -> dict[str, Any]:
        """The profile, parsed into plain Python types."""
        document: dict[str, Any] = json.loads(self.body)
        return document


@dataclass(frozen=True, slots=True)
class Payload:
    """What POST and PUT take; `data` is without secrets, its numbers as sent."""

    name: str
    provider: str
    data: dict[str, object]
    client_secret: Secret
    token: Secret | None

    @classmethod
    def parse(cls, raw: bytes, providers: Collection[str] | None) -> "Payload":
        """A request's body; raises Refusal with 400 or 422 for a bad one."""
        try:
            payload = rawjson.parse(raw)
            rawjson.encode(payload)  # what is nested too deeply to be returned is refused now
        except (ValueError, RecursionError):
            raise Refusal(400, {"message": "The request's body is not valid JSON"}) from None
        if not isinstance(payload, dict):
            raise Refusal(400, {"message": "The request's body is not a JSON object"})
        data = payload.get("data", {})
        if not isinstance(data, dict):
            raise Refusal(422, {"message": "data is not an object"})
        fields = {
            "name": payload.get("name"),
            "provider": payload.get("provider"),
            "data.client_id": data.get("client_id"),
            "data.client_secret": data.get("client_secret"),
        }
        token = data.get("token")
        _require(fields, token, providers)
        public = {key: data[key] for key in data if key not in ("client_secret", "token")}
        return cls(
            str(fields["name"]),
            str(fields["provider"]),
            public,
            Secret(str(fields["data.client_secret"])),
            Secret(token) if isinstance(token, str) else None,
        )


def _require(
    fields: Mapping[str, object], token: object, providers: Collection[str] | None
) -> None:
    missing = [name for name, value in fields.items() if value is None or value == ""]
    if missing:
        raise Refusal(400, {"errors": {name: ["can't be blank"] for name in missing}})
    for name, value in {**fields, "data.token": token or ""}.items():
        if not isinstance(value, str):
            raise Refusal(422, {"message": f"{name} is not a string"})
    if providers is not None and fields["provider"] not in providers:
        raise Refusal(400, {"errors": {"provider": ["is not included in the list"]}})


class State:
    """What the workspaces of a sandbox share: the lock, the next id, the database, late writes."""

    def __init__(self, clock: Clock) -> None:
        self.lock = threading.RLock()
        self.clock = clock
        self.database: Database | None = None
        self.next_id = FIRST_ID
        self._late: list[tuple[float, int, Callable[[float], object]]] = []
        self._sequence = itertools.count()

    def postpone(self, due: float, write: Callable[[float], object]) -> None:
        """Carry out `write(due)` as soon as the clock has reached `due` and somebody looks."""
        with self.lock:
            heapq.heappush(self._late, (due, next(self._sequence), write))

    def settle(self) -> None:
        """Carry out the late writes that are due, in the order of their times."""
        with self.lock:
            while self._late and self._late[0][0] <= self.clock.now():
                due, _, write = heapq.heappop(self._late)
                write(due)

    def save(self, rows: Sequence[Row] = (), delete: Sequence[int] = ()) -> None:
        """Write a change through to the database, if there is one."""
        if self.database is not None:
            self.database.save(self.next_id, rows, delete)


class SandboxWorkspace:
    """One workspace; its methods are what somebody else does there by hand, past quota and log."""

    def __init__(self, number: int, state: State) -> None:
        self.number = number
        self.user_id = FIRST_USER_ID + number
        self.ids: list[int] = []
        self._profiles: dict[int, StoredProfile] = {}
        self._state = state

    @property
    def profiles(self) -> dict[int, StoredProfile]:
        """The profiles by id, as they are now."""
        with self._state.lock:
            self._state.settle()
            return dict(self._profiles)

    def create(
        self,
        provider: str,
        name: str,
        client_id: str,
        *,
        client_secret: str = "a secret typed by hand",  # noqa: S107
        token: str | None = None,
        data: Mapping[str, object] | None = None,
        **fields: object,
    ) -> StoredProfile:
        """Create a profile; `data` adds to its data, `fields` (counts, timestamps) replace its own."""
        payload = Payload(
            name,
            provider,
            {"client_id": client_id, **(data or {})},
            Secret(client_secret),
            None if token is None else Secret(token),
        )
        with self._state.lock:
            self._state.settle()
            created = self.add(payload, self._state.clock.now())
            return self.update(created.id, **fields) if fields else created

    def update(self, profile_id: int, **fields: object) -> StoredProfile:
        """Replace members of a profile's document; raises KeyError for an unknown id."""
        with self._state.lock:
            stored = self.profiles[profile_id]
            document = rawjson.parse(stored.body)
            assert isinstance(document, dict)
            body = rawjson.encode({**document, **fields})
            return self._put(StoredProfile(profile_id, body, stored.client_secret, stored.token))

    def set_document(self, profile_id: int, document: str) -> StoredProfile:
        """Make calls return exactly this JSON for a profile; raises KeyError for an unknown id."""
        with self._state.lock:
            stored = self.profiles[profile_id]
            body = document.encode()
            return self._put(StoredProfile(profile_id, body, stored.client_secret, stored.token))

    def delete(self, profile_id: int) -> None:
        """Delete a profile; raises KeyError for an unknown id."""
        with self._state.lock:
            self._state.settle()
            self.remove(profile_id)

    # What the API's calls do, under the state's lock, at a time of their own.

    def get(self, profile_id: int) -> StoredProfile:
        """A profile; raises KeyError for an unknown id."""
        return self._profiles[profile_id]

    def bodies(self, ids: Sequence[int]) -> bytes:
        """Some profiles' JSON documents, with commas between them."""
        profiles = self._profiles
        return b",".join([profiles[profile_id].body for profile_id in ids])

    def add(self, payload: Payload, at: float) -> StoredProfile:
        """POST."""
        profile_id, self._state.next_id = self._state.next_id, self._state.next_id + 1
        time = _timestamp(at)
        document = {
            "id": profile_id,
            "user_id": self.user_id,
            "name": payload.name,
            "provider": payload.provider,
            "data": payload.data,
            "shared_accounts_count": 0,
            "oem_customers_count": 0,
            "created_at": time,
            "updated_at": time,
        }
        return self._put(_stored(profile_id, document, payload))

    def replace(self, profile_id: int, payload: Payload, at: float) -> StoredProfile:
        """PUT; raises KeyError for an unknown id."""
        document = rawjson.parse(self._profiles[profile_id].body)
        assert isinstance(document, dict)
        document |= {
            "name": payload.name,
            "provider": payload.provider,
            "data": payload.data,
            "updated_at": _timestamp(at),
        }
        return self._put(_stored(profile_id, document, payload))

    def remove(self, profile_id: int) -> None:
        """DELETE; raises KeyError for an unknown id."""
        del self._profiles[profile_id]
        del self.ids[bisect_left(self.ids, profile_id)]
        self._state.save(delete=[profile_id])

    def _put(self, profile: StoredProfile) -> StoredProfile:
        self._keep(profile)
        self._state.save([self._row(profile)])
        return profile

    def _keep(self, profile: StoredProfile) -> None:
        if profile.id not in self._profiles:
            self.ids.append(profile.id)  # ids only grow, so they stay sorted
        self._profiles[profile.id] = profile

    def fill(self, count: int) -> None:
        """Create `count` sample profiles."""
        first_id, self._state.next_id = self._state.next_id, self._state.next_id + count
        for number, sample in enumerate(samples(count, user_id=self.user_id, first_id=first_id)):
            token = None if sample.token is None else Secret(sample.token)
            secret = Secret(sample.client_secret)
            self._keep(StoredProfile(first_id + number, sample.document, secret, token))

    def rows(self) -> list[Row]:
        """All profiles, for the database."""
        return [self._row(profile) for profile in self._profiles.values()]

    def load(self, rows: Sequence[Row]) -> None:
        """Replace all profiles by the database's, which are sorted by id."""
        self.ids.clear()
        self._profiles.clear()
        for profile_id, _, body, client_secret, token in rows:
            stored_token = None if token is None else Secret(token)
            self._keep(StoredProfile(profile_id, body, Secret(client_secret), stored_token))

    def _row(self, profile: StoredProfile) -> Row:
        token = None if profile.token is None else profile.token.reveal()
        return profile.id, self.number, profile.body, profile.client_secret.reveal(), token


def _stored(profile_id: int, document: object, payload: Payload) -> StoredProfile:
    body = rawjson.encode(document)
    return StoredProfile(profile_id, body, payload.client_secret, payload.token)


def _timestamp(at: float) -> str:
    moment = datetime.fromtimestamp(at, UTC).astimezone(_PACIFIC)
    return moment.isoformat(timespec="milliseconds")
