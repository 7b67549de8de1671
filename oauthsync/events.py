"""What library code tells whoever watches it: small facts, without words or colours."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias


@dataclass(frozen=True)
class Waiting:
    """Nothing happens in `workspace` for `seconds`, because of `reason`."""

    workspace: str
    seconds: float
    reason: Literal["quota", "retry", "unknown outcome"]


@dataclass(frozen=True)
class PageRead:
    """`profiles` profiles of `workspace` are read so far, in reading number `reading`."""

    workspace: str
    reading: int
    profiles: int


@dataclass(frozen=True)
class ExportEnded:
    """The export of `workspace` has ended, one way or another."""

    workspace: str


@dataclass(frozen=True)
class StepEnded:
    """`done` of `total` steps of a run have ended; the last one was `action` `name`."""

    workspace: str
    action: str
    name: str
    done: int
    total: int


@dataclass(frozen=True)
class QuotaNotShared:
    """Other processes do not count the requests to `workspace`, because of `problem`."""

    workspace: str
    problem: str


Event: TypeAlias = Waiting | PageRead | ExportEnded | StepEnded | QuotaNotShared
Listener: TypeAlias = Callable[[Event], None]


def ignore(_event: Event) -> None:
    """The listener of whoever does not watch."""
