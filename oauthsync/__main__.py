"""`python -m oauthsync`."""

from oauthsync.cli import main

main()
