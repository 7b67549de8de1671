"""Which workspaces there are: `oauthsync.toml`, the environment, the vendor CLI's profiles.

**One name, one workspace.** A name is looked up in `oauthsync.toml`, then among the vendor CLI's
profiles (`vendor.py`), and no variable changes what it leads to: else one variable could make the
source of a migration its target too.

- `WORKATO_API_TOKEN` with `WORKATO_HOST` is a workspace called `default`, where the file defines
  none. Where the vendor CLI has a profile of that very name, `default` is refused as ambiguous.
- Without a name, the workspace is the file's `default_workspace`; else the file's only one; else
  that of the two variables; else the one that `WORKATO_PROFILE` names, looked up like any name.
- Unlike in the vendor's CLI, `WORKATO_API_TOKEN` is never the token of a profile, and the profile
  that was last switched to there is nobody's default here.

An empty environment variable counts as not set. `~` is the user's home. Relative paths and the
commands of the file start from its folder, those of a variable from the current one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from oauthsync import unlock
from oauthsync.errors import AuthenticationError, UsageError
from oauthsync.secret import Secret
from oauthsync.sources import FromVariable, Source, SourceError, Sources
from oauthsync.tables import Table, read_toml, suggestion
from oauthsync.unlock import Unlock
from oauthsync.urls import REGIONS, parse_url

__all__ = ["REGIONS", "Config", "Unlock", "Workspace", "load", "parse_url"]

_TOKEN_VARIABLE = "WORKATO_API_TOKEN"  # noqa: S105 - its name, not a token
_HOST_VARIABLE = "WORKATO_HOST"
_PROFILE_VARIABLE = "WORKATO_PROFILE"
_ENVIRONMENT_WORKSPACE = "default"

FILE = "oauthsync.toml"

TOKEN_KEYS = ("token_env", "token_command", "token_file")
"""Settings that say where a workspace's token comes from."""

_WORKSPACE_KEYS = ("region", "url", *TOKEN_KEYS, "requests_per_minute", "server_timeout")
_ADVICE = "no secret stands in this file: token_env, token_command or token_file say where it is"


@dataclass(frozen=True)
class Workspace:
    """A workspace: where it is, and where its API token comes from.

    `url` is the origin, without a trailing slash and without `/api`; `requests_per_minute` its
    quota; `server_timeout` the seconds after which the server has given up on a request.
    """

    name: str
    url: str
    requests_per_minute: int = 60
    server_timeout: float = 40.0
    source: Source = field(kw_only=True)

    @property
    def token_source(self) -> str:
        """Where the token comes from, in words: `environment variable WORKATO_DEV_TOKEN`."""
        return self.source.description

    def token(self) -> Secret:
        """The API token, read from its source now.

        Raises AuthenticationError where the source does not give it, or gives what no HTTP header
        can carry.
        """
        try:
            token = self.source.read()
        except SourceError as error:
            raise AuthenticationError(
                f"no token for workspace {self.name!r}: {error}", hint=error.hint
            ) from error
        if not all("!" <= character <= "~" for character in token.reveal()):
            raise AuthenticationError(
                f"the token of workspace {self.name!r} ({self.token_source}) holds white space, "
                "a control character or a letter outside ASCII",
                hint="give the bare token, without quotes, a label or a second line",
            )
        return token


@dataclass(frozen=True)
class Config:
    """The configuration of one backup folder.

    `workspaces` are those of the file or, where it has none, the environment's; the vendor CLI's
    profiles are looked up by `workspace` only. `recipients` is `[secrets] recipients`, which counts
    when a sidecar is created for an identity, and at a rekey. The last four fields are its own.
    """

    folder: Path
    default_workspace: str | None
    workspaces: Mapping[str, Workspace]
    recipients: tuple[str, ...]
    default_set_by: str
    defines_workspaces: bool
    configured_unlock: Unlock | None
    sources: Sources

    @property
    def file(self) -> Path:
        """Path of the configuration file, whether it is there or not."""
        return _file(self.folder)

    @property
    def database(self) -> Path:
        """Path of the snapshot database."""
        return self.folder / "oauthsync.db"

    @property
    def sidecar(self) -> Path:
        """Path of the sidecar."""
        return self.folder / "secrets.age"

    def unlock(self) -> Unlock | None:
        """How the sidecar opens, or None where nothing says so and a person is to be asked.

        Raises UsageError where several environment variables say so, or one says it wrong.
        """
        # Relative paths in variables are the shell user's: they start from the current folder.
        from_shell = unlock.from_environment(replace(self.sources, folder=None))
        return from_shell or self.configured_unlock

    def workspace(self, name: str | None) -> Workspace:
        """The workspace of that name; None stands for the default one.

        Raises UsageError where there is none, with the nearest name or all names as a hint.
        """
        wanted = self.default_workspace if name is None else name
        if wanted is None:
            raise self._nothing_named()
        found = self.workspaces.get(wanted)
        if found and self.defines_workspaces:
            return found
        profile = self._vendor_profile(wanted)
        if found and profile and name is not None:
            raise UsageError(
                f"{wanted!r} is both the workspace of {_TOKEN_VARIABLE} and {_HOST_VARIABLE} and a "
                "profile of the workato CLI",
                hint=f"unset the variables, or define [workspaces.{wanted}] in {self.file}",
            )
        workspace = found or profile
        if workspace is None:
            raise self._unknown(wanted, f" ({self.default_set_by})" if name is None else "")
        return workspace

    def _vendor_profile(self, name: str) -> Workspace | None:
        from oauthsync import vendor

        home, environ = self.sources.home, self.sources.environ
        profile = vendor.find_profile(home, name)
        if profile is None:
            return None
        url = parse_url(profile.url, where=f"region_url of profile {name!r} in {profile.file}")
        token = vendor.FromProfile(name, home, vendor.keyring_allowed(environ))
        return Workspace(name, url, source=token)

    def _unknown(self, name: str, set_by: str) -> UsageError:
        known = self.names()
        return UsageError(
            f"there is no workspace {name!r}{set_by}",
            hint=suggestion(name, known) if known else f"define it in {self.file}",
        )

    def _nothing_named(self) -> UsageError:
        hint = f"name one, or set default_workspace in {self.file}"
        if not self.file.exists():
            hint = f"`oauthsync init` writes {self.file}"
        if not self.defines_workspaces:
            hint += f", or set both {_TOKEN_VARIABLE} and {_HOST_VARIABLE}"
        if known := self.names():
            hint += f"; known are: {', '.join(known)}"
        return UsageError("no workspace is named, and none is the default", hint=hint)

    def names(self) -> tuple[str, ...]:
        """The names of all workspaces: those here, and the vendor CLI's profiles.

        Raises UsageError where the vendor's file is broken.
        """
        from oauthsync import vendor

        names = (*self.workspaces, *vendor.profile_names(self.sources.home))
        return tuple(dict.fromkeys(names))


def load(folder: Path, environ: Mapping[str, str], home: Path) -> Config:
    """The configuration of a backup folder, with or without an `oauthsync.toml` in it.

    No secret is read yet. Raises UsageError for a file that cannot be read or does not parse, for a
    setting that is unknown, wrong or missing, and for a bad address in `WORKATO_HOST`.
    """
    root = read_toml(_file(folder)) or Table(_file(folder), (), {})
    root.check_keys(("default_workspace", "workspaces", "secrets"), secret_advice=_ADVICE)
    tables = _workspace_tables(root.table("workspaces"))
    token_variables = {table.text("token_env") or "" for table in tables.values()}
    sources = Sources(environ, home, folder, frozenset({_TOKEN_VARIABLE, *token_variables}))
    workspaces = {name: _workspace(name, table, sources) for name, table in tables.items()}
    if not tables:
        workspaces = _environment_workspaces(environ)
    default, set_by = _default(root, workspaces, environ)
    configured_unlock, recipients = unlock.from_table(root.table("secrets"), sources)
    return Config(
        folder=folder,
        default_workspace=default,
        workspaces=workspaces,
        recipients=recipients,
        default_set_by=set_by,
        defines_workspaces=bool(tables),
        configured_unlock=configured_unlock,
        sources=sources,
    )


def _file(folder: Path) -> Path:
    return folder / FILE


def _workspace_tables(workspaces: Table) -> dict[str, Table]:
    for name in workspaces.values:
        if not name.isprintable() or name.strip() != name or name[:1] in ("", "-"):
            raise UsageError(
                f"{workspaces.place(name)} is not a name for a workspace",
                hint="a name is printable text without space around it, and without a dash first",
            )
    return {name: workspaces.table(name) for name in workspaces.values}


def _workspace(name: str, table: Table, sources: Sources) -> Workspace:
    table.check_keys(_WORKSPACE_KEYS, secret_advice=_ADVICE)
    key = table.only_one(*TOKEN_KEYS)
    if key is None:
        raise UsageError(
            f"{table.place()} has no token_env, token_command or token_file",
            hint="add one of them: it says where the API token comes from",
        )
    kind = key.removeprefix("token_")
    return Workspace(
        name=name,
        url=_url(table),
        requests_per_minute=table.whole_number("requests_per_minute", 60, limit=100_000),
        server_timeout=float(table.number("server_timeout", 40.0, limit=3600)),
        source=sources.source(kind, table.text(key) or "", table.place(key)),
    )


def _url(table: Table) -> str:
    table.only_one("region", "url")
    region = table.text("region")
    url = table.text("url")
    if url is not None:
        return parse_url(url, where=table.place("url"))
    if region is None:
        raise UsageError(
            f"{table.place()} has neither region nor url",
            hint=f"add region (one of {', '.join(REGIONS)}), or the url of a private Workato",
        )
    if region not in REGIONS:
        raise UsageError(
            f"{table.place('region')} is not a region that oauthsync knows",
            hint=f"known are: {', '.join(REGIONS)}; for any other, write its url instead",
        )
    return REGIONS[region]


def _environment_workspaces(environ: Mapping[str, str]) -> dict[str, Workspace]:
    host = environ.get(_HOST_VARIABLE)
    if not (host and environ.get(_TOKEN_VARIABLE)):
        return {}
    url = parse_url(host, where=_HOST_VARIABLE)
    source = FromVariable(_TOKEN_VARIABLE, environ)
    return {_ENVIRONMENT_WORKSPACE: Workspace(_ENVIRONMENT_WORKSPACE, url, source=source)}


def _default(
    root: Table, workspaces: Mapping[str, Workspace], environ: Mapping[str, str]
) -> tuple[str | None, str]:
    """The default workspace's name, and the setting that gives it."""
    if name := root.text("default_workspace"):
        return name, root.place("default_workspace")
    if len(workspaces) == 1:
        return next(iter(workspaces)), "the only one"
    return environ.get(_PROFILE_VARIABLE) or None, _PROFILE_VARIABLE
