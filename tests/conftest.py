"""What the machine may have set that tests of a terminal and of Ctrl-C must not inherit."""

import os
import signal

from hypothesis import settings

# Half of Hypothesis' default: `scripts/fuzz` and `scripts/campaign` are where long searches belong.
settings.register_profile("suite", max_examples=20)
settings.load_profile("suite")


def pytest_configure() -> None:
    # A shell starts its background processes with Ctrl-C ignored, and children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # A terminal's real width counts, not the one that the test runner was started in.
    for name in ("COLUMNS", "LINES"):
        os.environ.pop(name, None)
