"""A first `oauthsync.toml`: from a few answers to a file that explains itself to its reader.

No token and no passphrase ever gets into it, only where each comes from. What is written here is
checked with the functions that `config.py` reads it with.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from oauthsync import files, unlock
from oauthsync.config import FILE, REGIONS, Workspace, parse_url
from oauthsync.errors import UsageError
from oauthsync.secret import Secret
from oauthsync.sources import Source, Sources
from oauthsync.tables import BARE_KEY, Table, suggestion
from oauthsync.text import is_unicode

_PATHS = ("token_file", "passphrase_file", "identity")
_NAME = re.compile(r"\w[\w.-]*")

_MIN_TOKEN = 8
"""Characters of a token that is looked for: a shorter one, as the sandbox's, is in any text."""


@dataclass(frozen=True)
class Setting:
    """A setting of the file. Its text may be a secret that was given in place of its source."""

    key: str
    text: str = field(repr=False)


@dataclass(frozen=True)
class Setup:
    """What a first configuration says.

    `place` is a region or the URL of a private Workato, `token` one of `TOKEN_KEYS`, `unlock` one
    of `UNLOCK_KEYS`, or None where somebody is to type the passphrase.
    """

    workspace: str
    place: str
    token: Setting
    unlock: Setting | None = None
    recipients: tuple[str, ...] = ()

    @property
    def secrets(self) -> dict[str, object]:
        """What `[secrets]` says."""
        found: dict[str, object] = {}
        if self.recipients:
            found["recipients"] = list(self.recipients)
        if self.unlock is not None:
            found[self.unlock.key] = self.unlock.text
        return found


def check_name(name: str) -> str:
    """A name for a workspace that needs no care anywhere. Raises UsageError."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            "a workspace cannot be called that here",
            hint="begin with a letter, a digit or _, and go on with those, dots and dashes",
        )
    return name


def find_url(place: str) -> str:
    """The origin of a region, or of a URL. Raises UsageError."""
    if "/" in place:
        return parse_url(place, where="the URL")
    if place not in REGIONS:
        raise UsageError(
            "that is not a region that oauthsync knows",
            hint=f"{suggestion(place, REGIONS)}; for a private Workato, give its URL (https://…)",
        )
    return REGIONS[place]


def check(setup: Setup, folder: Path, sources: Sources) -> Workspace:
    """The workspace that the answers describe, to be tried. Raises UsageError for a bad answer."""
    check_name(setup.workspace)
    url = find_url(setup.place)
    token = check_token(setup.token, folder, sources)
    check_unlock(setup.unlock, setup.recipients, folder, sources)
    return Workspace(setup.workspace, url, source=token)


def check_token(token: Setting, folder: Path, sources: Sources) -> Source:
    """Where the token comes from. Raises UsageError."""
    text = Table(folder / FILE, (), {token.key: _utf8(token)}).text(token.key)
    return sources.source(token.key.removeprefix("token_"), text or "", token.key)


def check_holds_no(token: Secret, setup: Setup) -> None:
    """That no setting holds the token, once that is known. Raises UsageError, which shows none."""
    text = token.reveal()
    for setting in (setup.token, setup.unlock):
        if setting and len(text) >= _MIN_TOKEN and text in setting.text:
            raise UsageError(
                f"{setting.key} holds the token itself, and {FILE} is never to hold one",
                hint="keep the token in a password manager, a file or a variable, and name that",
            )


def check_unlock(
    setting: Setting | None, recipients: Sequence[str], folder: Path, sources: Sources
) -> unlock.Unlock | None:
    """The way to open the sidecar, if any. Raises UsageError."""
    values: dict[str, object] = {"recipients": list(recipients)}
    if setting is not None:
        values[setting.key] = _utf8(setting)
    found, _ = unlock.from_table(Table(folder / FILE, ("secrets",), values), sources)
    if recipients:
        from oauthsync.keys import check_recipients

        check_recipients(recipients)
    return found


def _utf8(setting: Setting) -> str:
    if not is_unicode(setting.text):
        raise UsageError(
            f"{setting.key} is not UTF-8, as TOML has to be", hint="use another name for it"
        )
    return setting.text


def from_shell(key: str, text: str, folder: Path) -> Setting:
    """A setting as a person in the current folder means it, for a file in the backup folder.

    Raises UsageError where nothing was given.
    """
    if not text:
        raise UsageError(f"nothing was given for {key}", hint="a name, path or command is needed")
    is_relative = key in _PATHS and text != "~" and not text.startswith(("~/", "/"))
    if is_relative and folder.resolve() != Path.cwd():
        text = str(Path.cwd() / text)
    return Setting(key, text)


def write(folder: Path, setup: Setup) -> Path:
    """Write the file. Raises FileError where there is one already, or it cannot be written."""
    file = folder / FILE
    files.create_file(file, render(setup).encode("utf-8"))
    return file


def variable(name: str) -> str:
    """The environment variable that a workspace's token is probably in."""
    plain = "".join(char if char.isascii() and char.isalnum() else "_" for char in name.upper())
    return f"WORKATO_{plain}_TOKEN"


def block(name: str, place: str, token: Setting | None) -> str:
    """What adds a workspace to a file, at its end. Raises UsageError for a bad name or place."""
    token = token or Setting("token_env", variable(name))
    key, value = ("region", place) if place in REGIONS else ("url", find_url(place))
    lines = (
        _header(check_name(name)),
        f"{key} = {_quoted(value)}",
        f"{token.key} = {_quoted(_utf8(token))}",
    )
    return "\n".join(lines)


def render(setup: Setup) -> str:
    """The file's text."""
    return "\n".join((*_head(setup), *_workspace(setup), *_secrets(setup))) + "\n"


def _head(setup: Setup) -> Iterator[str]:
    yield "# The configuration of oauthsync for this backup folder."
    yield "# No token, client secret or passphrase stands here: only where each one comes from."
    yield ""
    yield "# The workspace of commands that name none."
    yield f"default_workspace = {_quoted(setup.workspace)}"
    yield ""


def _workspace(setup: Setup) -> Iterator[str]:
    yield _header(setup.workspace)
    if setup.place in REGIONS:
        yield '# The data center. For a private Workato instead: url = "https://…"'
        yield f"region = {_quoted(setup.place)}"
    else:
        yield f"# Or a data center of Workato's own: region = one of {', '.join(REGIONS)}"
        yield f"url = {_quoted(find_url(setup.place))}"
    yield "# Where the API token comes from: token_env, token_file or token_command."
    yield f"{setup.token.key} = {_quoted(setup.token.text)}"
    yield "# requests_per_minute = 60  # raise it where Workato has raised yours"
    yield "# server_timeout = 40       # seconds after which the server has given up on a request"
    yield ""
    yield "# A second workspace, to migrate to:"
    yield "# [workspaces.prod]"
    yield '# region = "eu"'
    yield '# token_env = "WORKATO_PROD_TOKEN"'
    yield ""


def _header(name: str) -> str:
    return f"[workspaces.{name if BARE_KEY.fullmatch(name) else _quoted(name)}]"


def _secrets(setup: Setup) -> Iterator[str]:
    yield "# How the sidecar, secrets.age, opens: passphrase_command, passphrase_file, or identity,"
    yield "# which is the file of an age identity. Without one, the variables say it (such as"
    yield "# OAUTHSYNC_PASSPHRASE), or oauthsync asks."
    if not setup.secrets:
        yield "# [secrets]"
        yield '# passphrase_command = "op read op://ops/oauthsync/passphrase"'
        return
    yield "[secrets]"
    for key, value in setup.secrets.items():
        yield f"{key} = {_quoted(value)}"


def _quoted(value: object) -> str:
    """A TOML string, or array of strings: for text without control characters, as in JSON."""
    return json.dumps(value, ensure_ascii=False)
