"""The clock that nobody sets."""

import subprocess
import sys
from pathlib import Path

import pytest

from oauthsync import steady
from oauthsync.steady import Moment


def test_time_passes_and_never_goes_back() -> None:
    first, second = steady.steady(), steady.steady()
    assert first.until(second) is not None
    assert (first.until(second) or 0.0) >= 0.0


def test_a_later_moment_tells_the_age_of_an_earlier_one() -> None:
    assert Moment("boot", 10.0).until(Moment("boot", 52.5)) == 42.5


def test_moments_of_two_starts_of_a_machine_tell_nothing() -> None:
    assert Moment("boot", 10.0).until(Moment("next boot", 52.5)) is None


def test_a_moment_in_the_future_tells_nothing() -> None:
    assert Moment("boot", 10.0).until(Moment("boot", 9.0)) is None


@pytest.mark.skipif(not steady._BOOT_ID.exists(), reason="only Linux names a machine's start")
def test_all_processes_of_a_machine_share_the_time_line() -> None:
    code = "from oauthsync.steady import steady; m = steady(); print(m.timeline, m.seconds)"
    timeline, seconds = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    age = Moment(timeline, float(seconds)).until(steady.steady())
    assert age is not None
    assert age < 60


def test_a_system_that_does_not_name_its_start_has_no_name_for_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(steady, "_BOOT_ID", tmp_path / "missing")
    assert steady._boot_id.__wrapped__() is None


def test_without_a_name_for_the_start_a_process_has_a_time_line_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(steady, "_boot_id", lambda: None)
    first, second = steady.steady(), steady.steady()
    assert first.until(second) is not None
    assert first.timeline == steady._PROCESS
