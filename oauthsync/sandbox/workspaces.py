"""The workspaces of a sandbox: profiles as stored, writes by hand and by calls, late writes.

A profile is kept as the JSON that calls return, so its numbers stay as they were sent. Its secrets
are kept beside it, in memory only, and are in no JSON. An id is never given twice.
"""

import heapq
import itertools
import json
import threading
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any

from oauthsync.clock import Clock
from oauthsync.sandbox import rawjson
from oauthsync.sandbox.database import Database, Row
from oauthsync.sandbox.payloads import Payload
from oauthsync.sandbox.samples import samples
from oauthsync.secret import Secret

FIRST_ID = 100_001
FIRST_USER_ID = 5001
_PACIFIC = timezone(timedelta(hours=-7))

_UNKNOWN = Secret("")  # after a restart: the database keeps none


@dataclass(frozen=True, slots=True)
class StoredProfile:
    """A profile as the sandbox keeps it: `body` is the JSON that calls return.

    Its secrets are those of the last write since the sandbox was started.
    """

    id: int
    body: bytes
    client_secret: Secret = _UNKNOWN
    token: Secret | None = None

    @property
    def document(self) -> dict[str, Any]:
        """The profile, parsed into plain Python types."""
        document: dict[str, Any] = json.loads(self.body)
        return document


class State:
    """What the workspaces of a sandbox share: the lock, the next id, the database, late writes."""

    def __init__(self, clock: Clock) -> None:
        self.lock = threading.RLock()
        self.clock = clock
        self.database: Database | None = None
        self._next_id = FIRST_ID
        self._late: list[tuple[float, int, Callable[[float], object]]] = []
        self._order = itertools.count()  # of late writes that are due at the same time

    def take_ids(self, count: int) -> int:
        """The first of `count` ids that nobody had before."""
        first_id = self._next_id
        self._next_id += count
        return first_id

    def postpone(self, due: float, write: Callable[[float], object]) -> None:
        """Carry out `write(due)` as soon as the clock has reached `due` and somebody looks."""
        with self.lock:
            heapq.heappush(self._late, (due, next(self._order), write))

    def settle(self) -> None:
        """Carry out the late writes that are due, in the order of their times."""
        with self.lock:
            while self._late and self._late[0][0] <= self.clock.now():
                due, _, write = heapq.heappop(self._late)
                write(due)

    def attach(self, database: Database, workspaces: "Sequence[SandboxWorkspace]") -> None:
        """Go on from what the database holds; a new one gets what the workspaces hold."""
        self.database = database
        content = database.load()
        if content is None:
            self.save([row for workspace in workspaces for row in workspace.rows()])
            return
        self._next_id, rows = content
        for workspace in workspaces:
            workspace.load([row for row in rows if row[1] == workspace.number])

    def save(self, rows: Sequence[Row] = (), delete: Sequence[int] = ()) -> None:
        """Write a change to the database, if there is one; raises StoreError."""
        if self.database is not None:
            self.database.save(self._next_id, rows, delete)

    def detach(self) -> None:
        """Close the database, if there is one."""
        if self.database is not None:
            self.database.close()
            self.database = None


class SandboxWorkspace:
    """One workspace: its state, and what somebody else does there by hand, past quota and log."""

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
        """Create a profile; `data` adds to its data, `fields` (counts, …) replace its own."""
        payload = Payload(
            name,
            provider,
            {"client_id": client_id, **(data or {})},
            Secret(client_secret),
            None if token is None else Secret(token),
        )
        with self._state.lock:
            self._state.settle()
            created = self.post(payload, self._state.clock.now())
            return self._amend(created, fields) if fields else created

    def update(self, profile_id: int, **fields: object) -> StoredProfile:
        """Replace members of a profile's document; raises KeyError for an unknown id."""
        with self._state.lock:
            self._state.settle()
            updated_at = _timestamp(self._state.clock.now())
            return self._amend(self._profiles[profile_id], {"updated_at": updated_at, **fields})

    def set_document(self, profile_id: int, document: str) -> StoredProfile:
        """Make calls return exactly this JSON for a profile; raises KeyError for an unknown id."""
        with self._state.lock:
            self._state.settle()
            return self._put(replace(self._profiles[profile_id], body=document.encode()))

    def delete(self, profile_id: int) -> None:
        """Delete a profile; raises KeyError for an unknown id."""
        with self._state.lock:
            self._state.settle()
            self.remove(profile_id)

    # What the API's calls do. They run under the state's lock; `at` is a call's own time.

    def get(self, profile_id: int) -> StoredProfile:
        """One profile; raises KeyError for an unknown id."""
        return self._profiles[profile_id]

    def bodies(self, ids: Sequence[int]) -> bytes:
        """The JSON documents of some profiles, with commas between them."""
        profiles = self._profiles
        return b",".join([profiles[profile_id].body for profile_id in ids])

    def post(self, payload: Payload, at: float) -> StoredProfile:
        """Create a profile."""
        profile_id = self._state.take_ids(1)
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
        body = rawjson.encode(document)
        return self._put(StoredProfile(profile_id, body, payload.client_secret, payload.token))

    def put(self, profile_id: int, payload: Payload, at: float) -> StoredProfile:
        """Replace all that a payload has, secrets included; raises KeyError for an unknown id."""
        stored = self._profiles[profile_id]
        fields = {
            "name": payload.name,
            "provider": payload.provider,
            "data": payload.data,
            "updated_at": _timestamp(at),
        }
        secrets = replace(stored, client_secret=payload.client_secret, token=payload.token)
        return self._amend(secrets, fields)

    def remove(self, profile_id: int) -> None:
        """Delete a profile; raises KeyError for an unknown id."""
        if profile_id not in self._profiles:
            raise KeyError(profile_id)
        self._state.save(delete=[profile_id])
        del self._profiles[profile_id]
        del self.ids[bisect_left(self.ids, profile_id)]

    def _amend(self, stored: StoredProfile, fields: Mapping[str, object]) -> StoredProfile:
        document = rawjson.parse(stored.body)
        assert isinstance(document, dict)
        return self._put(replace(stored, body=rawjson.encode({**document, **fields})))

    def _put(self, profile: StoredProfile) -> StoredProfile:
        self._state.save([self._row(profile)])
        self._keep(profile)
        return profile

    def _keep(self, profile: StoredProfile) -> None:
        if profile.id not in self._profiles:
            self.ids.append(profile.id)  # ids only grow, so the list stays sorted
        self._profiles[profile.id] = profile

    # Samples and the database.

    def fill(self, count: int) -> None:
        """Create `count` sample profiles, before there is a database."""
        first_id = self._state.take_ids(count)
        for sample in samples(count, user_id=self.user_id, first_id=first_id):
            token = None if sample.token is None else Secret(sample.token)
            secret = Secret(sample.client_secret)
            self._keep(StoredProfile(sample.id, sample.document, secret, token))

    def load(self, rows: Sequence[Row]) -> None:
        """Replace all profiles by the database's, which are sorted by id."""
        self.ids.clear()
        self._profiles.clear()
        for profile_id, _, body in rows:
            self._keep(StoredProfile(profile_id, body))

    def rows(self) -> list[Row]:
        """All profiles, for the database."""
        return [self._row(profile) for profile in self._profiles.values()]

    def _row(self, profile: StoredProfile) -> Row:
        return profile.id, self.number, profile.body


def _timestamp(at: float) -> str:
    return datetime.fromtimestamp(at, _PACIFIC).isoformat(timespec="milliseconds")
