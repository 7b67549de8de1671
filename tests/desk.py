"""A desk to work at: a backup folder, two workspaces of a sandbox, an age identity, and the CLI."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from oauthsync.keys import IdentityKey, parse_identity_file
from oauthsync.sandbox import Sandbox, StoredProfile
from tests.everyday import Called, call, file_secret

DEV, PROD = "dev-token-canary", "prod-token-canary"
PASSPHRASE = "a passphrase-canary of several words"
QUOTA = 100_000


@dataclass(frozen=True)
class Desk:
    """Everything that a call of the command needs; the calls go through its real entry."""

    folder: Path
    sandbox: Sandbox
    capsys: pytest.CaptureFixture[str]

    def call(self, *args: str) -> Called:
        """Call the command where nobody is at a terminal."""
        return call(self.capsys, *args)

    def done(self, *args: str) -> Any:
        """The document that a call with --json answers, which must succeed."""
        called = self.call(*args, "--json")
        assert called.code == 0, called.err
        return called.json

    def refused(self, *args: str) -> Called:
        """A call that fails: once for a person, and once with --json, which must agree."""
        called, as_json = self.call(*args), self.call(*args, "--json")
        assert called.code == as_json.code != 0
        [line] = as_json.out.splitlines()
        document = json.loads(line)
        assert document.keys() == {"error", "hint", "exit_code"}
        assert document["exit_code"] == called.code
        assert called.out == ""
        for text in (called.err, as_json.err):
            assert f"error: {document['error']}\n" in text
            assert document["hint"] is None or f"hint: {document['hint']}\n" in text
            assert "Traceback" not in text
        assert "canary" not in called.err + as_json.err + as_json.out
        return called

    def create(
        self, *names: str, provider: str = "hubspot", client_id: str = "app", **fields: object
    ) -> list[StoredProfile]:
        """Create profiles in dev by hand."""
        dev = self.sandbox.workspace(DEV)
        return [dev.create(provider, name, client_id, **fields) for name in names]  # type: ignore[arg-type]

    def file(self, *apps: tuple[str, str]) -> None:
        """File the secrets of these apps, under the identity that OAUTHSYNC_IDENTITY names."""
        file_secret(self.folder, self.key, *apps)

    @property
    def key(self) -> IdentityKey:
        """The identity that OAUTHSYNC_IDENTITY names."""
        text = (self.folder.parent / "key.txt").read_bytes()
        return IdentityKey(parse_identity_file(text))

    def writes(self) -> list[str]:
        """The methods of the requests that wrote, in their order."""
        return [each.method for each in self.sandbox.requests if each.method != "GET"]

    def configure(self, text: str) -> None:
        """Replace oauthsync.toml."""
        (self.folder / "oauthsync.toml").write_text(text)
        (self.folder / "oauthsync.toml").chmod(0o600)


def workspace(name: str, url: str, token_env: str, extra: str = "") -> str:
    """A workspace of oauthsync.toml."""
    return (
        f'[workspaces.{name}]\nurl = "{url}"\ntoken_env = "{token_env}"\n'
        f"requests_per_minute = {QUOTA}\nserver_timeout = 0.2\n{extra}"
    )
