"""`oauthsync`, and `python -m oauthsync`."""

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line. Who goes while it is still being loaded gets no traceback either."""
    try:
        from oauthsync.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
