"""How a sandbox misbehaves: what goes wrong (`Fault.kind`), on which requests, and how often.

A fault is written `[ON:]KIND[:OPTION]…`, for example `POST:reset-after-apply:0.2`:

- ON: an HTTP method (`POST`), a call (`list`, `get`, `create`, `update`, `delete`, `me`), or `*`,
  which is every request and the default.
- KIND: see `KINDS`. Most come in three effects, so that a client can be tried with all of them:
  `reset` (the request was not carried out), `reset-after-apply` (it was, and its answer is lost)
  and `reset-late` (the connection breaks now, and the request is carried out later).
- options: `0.2`, the probability (default 1); `x3`, for the next three matching requests only
  (default: all); `+2`, after letting two matching requests pass; `30s`, the kind's delay.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Literal

from oauthsync.errors import UsageError

METHODS = ("GET", "POST", "PUT", "DELETE")
CALLS = ("list", "get", "create", "update", "delete", "me")

BROKEN = {
    "reset": "the connection is reset",
    "close": "the connection is closed without an answer",
    "truncate": "the body ends before its Content-Length",
    "half-json": "a complete answer with half a JSON document",
    "html": "200 with a page of HTML",
    "500": "500 with a message",
    "502": "502 with a page of HTML",
    "503": "503 with a page of HTML",
    "504": "504 with a page of HTML",
    "hang": "no answer until the client, or the server's own timeout, gives up",
}
NOT_APPLIED = {
    "429": "429 with Retry-After in seconds (the delay, 1s), not counted by the quota",
    "429-date": "429 with Retry-After as an HTTP date, not counted by the quota",
    "429-bare": "429 without Retry-After, not counted by the quota",
    "refused": '200 with {"success": false, "errors": …}',
    "errors-list": '422 with {"errors": [{"code", "title"}]}',
    "redirect": "302 to another path",
}
LISTING = {
    "repeat-page": "list: from page 2 on, the rows of the page before",
    "repeat-row": "list: from page 2 on, the rows begin with the last one of the page before",
    "skip-row": "list: from page 2 on, the page's first row is skipped",
    "empty-page": "list: the page has no rows",
    "stale": "list: as it was before the newest third was created",
    "endless": "list: after the last row comes the first one again, and every page is full",
    "reorder": "list: the page's rows in another order each time",
    "shuffle": "list: all rows in another order for each page",
}
APPLIED = {
    "drip": "the answer comes byte by byte, with the delay (0.05s) between them",
    "interim": "102 (Processing) comes first, and after the delay (0.05s) the answer",
}
KINDS: dict[str, str] = {
    **BROKEN,
    **{f"{kind}-after-apply": f"done, but {text}" for kind, text in BROKEN.items()},
    **{f"{kind}-late": f"done after the delay (30s), but {text}" for kind, text in BROKEN.items()},
    **NOT_APPLIED,
    **APPLIED,
    **LISTING,
}
"""Every kind of fault, with what happens."""

MAX_DELAY = 86_400.0
_ON = ("*", *METHODS, *CALLS)
_HINT_KINDS = "the kinds are: " + ", ".join(KINDS)
_NUMBER = r"\d{1,20}(\.\d{1,20})?(e[+-]\d{1,3})?"
_OPTION = re.compile(
    rf"x(?P<times>\d{{1,9}})|\+(?P<after>\d{{1,9}})|(?P<delay>{_NUMBER})s|(?P<probability>{_NUMBER})"
)

Effect = Literal["not-applied", "applied", "late"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to misbehave, and when; raises UsageError where the two do not fit.

    `times` is how many more matching requests it strikes (None: all), `after` how many matching
    requests pass before, `probability` its chance on each. `delay` is in seconds: for a `-late`
    kind until the request is carried out (never after the sandbox's `server_timeout`), for `drip`
    between two bytes, for `interim` before the answer, for `429` and `429-date` what the client is
    told to wait.
    """

    kind: str
    on: str = "*"
    probability: float = 1.0
    times: int | None = None
    after: int = 0
    delay: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UsageError(f"a sandbox has no fault {self.kind!r}", hint=_HINT_KINDS)
        if self.on not in _ON:
            raise UsageError(
                f"a fault cannot be limited to {self.on!r}", hint="use one of: " + ", ".join(_ON)
            )
        if self.kind in LISTING and self.on not in ("*", "GET", "list"):
            raise UsageError(f"the fault {self.kind} happens to lists only, not to {self.on}")
        if not 0 <= self.probability <= 1:
            raise UsageError(f"a fault's probability is between 0 and 1, not {self.probability}")
        if self.times is not None and self.times < 1:
            raise UsageError(f"a fault strikes at least once, not {self.times} times")
        if self.delay is not None and not 0 <= self.delay <= MAX_DELAY:
            raise UsageError(f"a fault's delay is 0 to {MAX_DELAY:.0f} seconds, not {self.delay}")

    @classmethod
    def parse(cls, spec: str) -> "Fault":
        """A fault from its text form (see the module); raises UsageError."""
        parts = spec.split(":")
        has_on = parts[0] in _ON or (len(parts) > 1 and parts[1] in KINDS)
        on = parts.pop(0) if has_on else "*"
        if not parts:
            raise UsageError(f"the fault {spec!r} says where, but not what", hint=_HINT_KINDS)
        fault = cls(parts.pop(0), on)
        for part in parts:
            fault = _with_option(fault, part, spec)
        return fault

    def __str__(self) -> str:
        """The text form, which `parse` reads back."""
        parts = [self.on, self.kind, repr(float(self.probability))]
        parts += [f"x{self.times}"] * (self.times is not None)
        parts += [f"+{self.after}"] * (self.after > 0)
        parts += [f"{float(self.delay or 0)!r}s"] * (self.delay is not None)
        return ":".join(parts)

    @property
    def shape(self) -> str:
        """The kind without its effect: what the client sees."""
        return self.kind.removesuffix("-after-apply").removesuffix("-late")

    @property
    def effect(self) -> Effect:
        """What becomes of the request."""
        if self.kind.endswith("-late"):
            return "late"
        if self.kind in BROKEN or self.kind in NOT_APPLIED:
            return "not-applied"
        return "applied"

    def matches(self, method: str, call: str) -> bool:
        """Whether it can strike this request."""
        if self.kind in LISTING and call != "list":
            return False
        return self.on in ("*", method, call)

    @property
    def seconds(self) -> float:
        """Its delay, or the kind's default."""
        if self.delay is not None:
            return self.delay
        return 30.0 if self.effect == "late" else 0.05 if self.kind in APPLIED else 1.0


def _with_option(fault: Fault, option: str, spec: str) -> Fault:
    found = _OPTION.fullmatch(option)
    if found is None:
        raise UsageError(
            f"the fault {spec!r} has an option that cannot be read: {option!r}",
            hint="options are a probability (0.2), times (x3), requests to let pass (+2), "
            "and a delay (30s)",
        )
    match found.lastgroup:
        case "times":
            return replace(fault, times=int(found["times"]))
        case "after":
            return replace(fault, after=int(found["after"]))
        case "delay":
            return replace(fault, delay=float(found["delay"]))
        case _:
            return replace(fault, probability=float(found["probability"]))


def choose(faults: list[Fault], method: str, call: str, rng: Random) -> Fault | None:
    """The first fault that strikes this request; `faults` keeps what is left of it afterwards."""
    for fault in list(faults):
        if not fault.matches(method, call):
            continue
        if fault.after > 0:
            _replace(faults, fault, replace(fault, after=fault.after - 1))
        elif rng.random() < fault.probability:
            if fault.times is not None:
                left = replace(fault, times=fault.times - 1) if fault.times > 1 else None
                _replace(faults, fault, left)
            return fault
    return None


def _replace(faults: list[Fault], old: Fault, new: Fault | None) -> None:
    for index, fault in enumerate(faults):
        if fault is old:
            faults[index : index + 1] = [] if new is None else [new]
            return


def false_page(
    kind: str, rng: Random, ids: Sequence[int], page: int, per_page: int
) -> Sequence[int]:
    """The ids that a listing's page shows under the fault `kind`, one of `LISTING`."""
    start = (page - 1) * per_page
    if kind == "empty-page":
        return []
    if kind == "stale":
        ids = ids[: len(ids) * 2 // 3]
    if kind == "endless":
        return [ids[row % len(ids)] for row in range(start, start + per_page)] if ids else []
    if kind == "shuffle":
        ids = rng.sample(ids, len(ids))
    if page > 1:
        start += {"repeat-page": -per_page, "repeat-row": -1, "skip-row": 1}.get(kind, 0)
    rows = list(ids[start : start + per_page])
    if kind == "reorder":
        rng.shuffle(rows)
    return rows
