"""How inputs for fuzzing are made from good ones, and what counts as a finding."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from oauthsync.errors import OauthsyncError
from tests.leaks import shown

UNIT = "k3Y9"
CANARY = UNIT * 6
"""A secret of which any part is still to be recognised, however it was cut."""

MAX_REPEATS = 3000


class FindingError(AssertionError):
    """An input was not treated as documented."""


@dataclass(frozen=True)
class Target:
    """A reader of what comes from outside.

    `read` returns for an input, or raises `documented`; nothing that is reachable from what it
    raises contains `secret`.
    """

    name: str
    inputs: st.SearchStrategy[Any]
    read: Callable[[Any], object]
    documented: type[Exception]
    secret: str | None = None
    seconds: float = 2.0


@dataclass
class Outcome:
    """What a round of fuzzing came to; `finding` is the error for `value`, if there is one."""

    executions: int = 0
    finding: BaseException | None = None
    value: Any = None


def execute(target: Target, value: Any) -> None:
    """Try one input; whatever is not documented comes out as it is, or as FindingError."""
    begun = time.thread_time()
    try:
        target.read(value)
    except target.documented as error:
        _check(target, error)
    seconds = time.thread_time() - begun
    if seconds > target.seconds:
        raise FindingError(f"it took {seconds:.1f} s")


def _check(target: Target, error: Exception) -> None:
    # A subclass of the standard library's may hold the whole input.
    if not isinstance(error, OauthsyncError) and type(error) is not target.documented:
        raise FindingError(f"a bare {type(error).__name__}") from error
    if not str(error):
        raise FindingError("an error without a message") from error
    if target.secret is not None and target.secret in shown(error):
        raise FindingError("the error holds a part of a secret") from error


def fuzz(target: Target, examples: int, *, start: int | None = None) -> Outcome:
    """Try up to `examples` inputs; the same ones each time, or those of `start`."""
    outcome = Outcome()

    def one(value: Any) -> None:
        outcome.executions += 1
        outcome.value = value  # where one fails, the smallest that does comes last
        execute(target, value)

    test = settings(
        max_examples=examples,
        derandomize=start is None,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        print_blob=False,
    )(given(target.inputs)(one))
    try:
        (test if start is None else seed(start)(test))()
    except Exception as error:  # noqa: BLE001 - whatever comes out is the finding
        outcome.finding = error
    return outcome


# --- inputs -------------------------------------------------------------------------------------


def mutated(seeds: Sequence[bytes], words: Sequence[bytes] = ()) -> st.SearchStrategy[bytes]:
    """Any bytes; the seeds themselves; the seeds with parts cut, repeated, replaced, exchanged."""
    edited = _edited(list(seeds), [*words, *_WORDS])
    return edited | edited | edited | st.binary(max_size=80)


_WORDS = (b"", b"", b"\0", b"\n", b" ", "é".encode(), b"\xff")


@st.composite
def _edited(draw: st.DrawFn, seeds: list[bytes], words: list[bytes]) -> bytes:
    content = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(content)))
        end = min(start + draw(st.integers(0, 1) | st.integers(0, 40)), len(content))
        part = _part(draw, content[start:end], words, draw(st.sampled_from(seeds))[start:])
        content = content[:start] + part + content[end:]
    return content


def _part(draw: st.DrawFn, old: bytes, words: list[bytes], end_of_another: bytes) -> bytes:
    repeated = st.integers(0, MAX_REPEATS).map(lambda times: old * times)
    others = st.sampled_from([*words, end_of_another])
    return draw(others | st.integers(0, 127).map(lambda byte: bytes([byte])) | repeated)


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["", CANARY, f" {CANARY}", f"AGE-{CANARY}", "\ud800", "1e400", 2**63, -1, 0])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=6,
)


@st.composite
def changed(draw: st.DrawFn, seeds: Sequence[Any], names: Sequence[str] = ()) -> Any:
    """One of the plain values, with some of its parts removed, added or replaced by others."""
    value = json.loads(json.dumps(draw(st.sampled_from(list(seeds)))))
    for _ in range(draw(st.integers(0, 3))):
        value = _replaced(draw, value, names)
    return value


def _replaced(draw: st.DrawFn, value: Any, names: Sequence[str]) -> Any:
    inside = isinstance(value, dict | list) and draw(st.integers(0, 3)) > 0
    if not inside:
        return draw(VALUES)
    if isinstance(value, list):
        return _replaced_item(draw, value, names)
    key = draw(st.sampled_from([*value, *names]) | st.text(max_size=6)) if value or names else ""
    if key in value and draw(st.booleans()):
        return {**value, key: _replaced(draw, value[key], names)}
    if key in value:
        return {name: each for name, each in value.items() if name != key}
    return {**value, key: draw(VALUES)}


def _replaced_item(draw: st.DrawFn, value: list[Any], names: Sequence[str]) -> list[Any]:
    if not value:
        return [draw(VALUES)]
    index = draw(st.integers(0, len(value) - 1))
    rest = draw(st.sampled_from([value[index:], value[index + 1 :], []]))
    return [*value[:index], _replaced(draw, value[index], names), *rest]


def as_json(values: st.SearchStrategy[Any]) -> st.SearchStrategy[bytes]:
    """The values as JSON; a lone surrogate stays one, escaped or not."""
    return st.builds(
        lambda value, escaped: json.dumps(value, ensure_ascii=escaped).encode(
            "utf-8", "surrogatepass"
        ),
        values,
        st.booleans(),
    )


def as_toml(tables: st.SearchStrategy[Any]) -> st.SearchStrategy[bytes]:
    """The values as TOML, most of which parses."""
    return tables.map(lambda value: _toml(value).encode("utf-8", "surrogatepass"))


def _toml(value: Any) -> str:
    members = value if isinstance(value, dict) else {"override": value}
    return "".join(f"{json.dumps(key)} = {_toml_value(each)}\n" for key, each in members.items())


def _toml_value(value: Any) -> str:
    if isinstance(value, dict):
        members = (f"{json.dumps(key)} = {_toml_value(each)}" for key, each in value.items())
        return "{" + ", ".join(members) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml_value, value)) + "]"
    if value is None:
        return "1979-05-27"  # a kind of value that JSON lacks, for one that TOML lacks
    return json.dumps(value).lower() if isinstance(value, float) else json.dumps(value)
