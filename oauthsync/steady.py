"""A clock that nobody sets, for the age of a call whatever happens to the time of day.

A server may still be working on a request that was sent less than so many seconds ago. The time of
day cannot tell: it may be set between a crash and the next start. The seconds since the machine
started can, as long as it is the same start of the same machine.
"""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeAlias

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_OFFSETS = Path("/proc/self/timens_offsets")


@dataclass(frozen=True)
class Moment:
    """So many seconds on a time line; moments on different time lines cannot be compared."""

    timeline: str
    seconds: float

    def until(self, later: "Moment") -> float | None:
        """The seconds from this moment to a later one; None where nobody can tell."""
        passed = later.seconds - self.seconds
        return passed if self.timeline == later.timeline and passed >= 0 else None


Steady: TypeAlias = Callable[[], Moment]


def steady() -> Moment:
    """The moment now: since the machine's start, or where that has no name, the process's."""
    boot = _boot_id()
    if boot:
        return Moment(boot, time.clock_gettime(time.CLOCK_BOOTTIME))  # goes on in a suspended one
    return Moment(_PROCESS, time.monotonic())


_PROCESS = secrets.token_hex(16)


@cache
def _boot_id() -> str | None:
    """What Linux calls this start of the machine (random(4)); other systems have no such name.

    A container may count its seconds from elsewhere, and from where is named, too
    (time_namespaces(7)).
    """
    try:
        boot = _BOOT_ID.read_text("ascii").strip()
        offsets = _OFFSETS.read_text("ascii").split() if _OFFSETS.exists() else []
    except (OSError, UnicodeDecodeError):
        return None
    return "/".join([boot, *offsets]) if boot else None
