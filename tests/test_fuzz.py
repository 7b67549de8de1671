"""A few hundred inputs for each target of `scripts/fuzz`; and that it finds what it looks for."""

import time
from collections.abc import Iterator, Mapping

import pytest
from hypothesis import strategies as st

from oauthsync.errors import UsageError
from tests.fuzz_targets import NAMES, open_targets
from tests.fuzzing import CANARY, UNIT, FindingError, Target, fuzz

EXAMPLES = 80


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Target]]:
    with open_targets(tmp_path_factory.mktemp("fuzz")) as found:
        yield found


@pytest.mark.parametrize("name", NAMES)
def test_hostile_input_gives_a_value_or_the_documented_error(
    name: str, targets: Mapping[str, Target]
) -> None:
    outcome = fuzz(targets[name], EXAMPLES)
    if outcome.finding:
        raise AssertionError(f"for {outcome.value!r}") from outcome.finding
    assert outcome.executions >= EXAMPLES


def test_every_target_is_tried(targets: Mapping[str, Target]) -> None:
    assert tuple(targets) == NAMES


def quotes(text: str) -> None:
    raise UsageError(f"cannot read {text}")


def fails_bare(text: str) -> None:
    raise KeyError(text)


def holds_the_input(text: str) -> None:
    raise UsageError("cannot read it") from ValueError(text)


def takes_long(_text: str) -> None:
    until = time.thread_time() + 0.02
    while time.thread_time() < until:
        pass


@pytest.mark.parametrize("read", [quotes, fails_bare, holds_the_input, takes_long])
def test_what_is_not_documented_is_a_finding(read: object) -> None:
    target = Target("bad", st.just(CANARY), read, UsageError, UNIT, 0.01)  # type: ignore[arg-type]
    outcome = fuzz(target, 1)
    assert isinstance(outcome.finding, FindingError | KeyError)
    assert outcome.value == CANARY


def test_the_smallest_input_that_fails_is_the_one_that_is_reported() -> None:
    def read(text: bytes) -> None:
        if b"x" in text:
            raise KeyError

    outcome = fuzz(Target("bad", st.binary(), read, UsageError), 10_000)
    assert isinstance(outcome.finding, KeyError)
    assert outcome.value == b"x"
