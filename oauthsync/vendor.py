"""The profiles of the vendor's own CLI, `workato` (package `workato-platform-cli`), read-only.

- `~/.workato/profiles` is JSON: `{"current_profile": name, "profiles": {name: {"region",
  "region_url", "workspace_id"}}}`. Its `current_profile` is not used here: another program's switch
  must not decide which workspace a restore writes to.
- The token is in the keyring, service `workato-platform-cli`, user name = the profile's name; where
  there is no usable keyring, in `~/.workato/token_store.json`: `{service: {profile: token}}`. The
  vendor's CLI asks the keyring first, and so does this module.
- `WORKATO_DISABLE_KEYRING=true` keeps the keyring out, as it does there.

Source: `cli/utils/config/profiles.py` and `models.py` of workato-devs/workato-platform-cli.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from oauthsync import strictjson
from oauthsync.errors import UsageError
from oauthsync.files import read_regular
from oauthsync.secret import Secret
from oauthsync.sources import SourceError
from oauthsync.strictjson import Json
from oauthsync.tables import MAX_FILE_SIZE

KEYRING_SERVICE = "workato-platform-cli"


@dataclass(frozen=True)
class VendorProfile:
    """One profile: its name, the address it has, unchecked, and the file that says so."""

    name: str
    url: str
    file: Path


def profile_names(home: Path) -> tuple[str, ...]:
    """The names of all profiles, in the file's order. Raises UsageError for a broken file."""
    return tuple(_profiles(home))


def find_profile(home: Path, name: str) -> VendorProfile | None:
    """The profile of that name, or None. Raises UsageError for a broken file or profile."""
    profiles = _profiles(home)
    if name not in profiles:
        return None
    profile = profiles[name]
    url = profile.get("region_url") if isinstance(profile, dict) else None
    if not isinstance(url, str):
        raise _broken(home, f"profile {name!r} has no region_url")
    return VendorProfile(name, url, _profiles_file(home))


@dataclass(frozen=True)
class FromProfile:
    """The token of a profile, as a source of secrets."""

    profile: str
    home: Path
    use_keyring: bool

    @property
    def description(self) -> str:
        """`profile 'prod' of the workato CLI`."""
        return f"profile {self.profile!r} of the workato CLI"

    def read(self) -> Secret:
        """The token. Raises SourceError where neither place has it, and says why."""
        token, keyring_state = self._from_keyring()
        token = token or self._from_file()
        if not token:
            shape = strictjson.write({KEYRING_SERVICE: {self.profile: "TOKEN"}})
            raise SourceError(
                f"{self.description} has no token in {token_file(self.home)}, and {keyring_state}",
                hint=f"that file is to hold {shape}: create the profile anew with `workato profiles"
                " create`, or give the workspace a token_env, token_file or token_command in"
                " oauthsync.toml; WORKATO_API_TOKEN counts only with WORKATO_HOST",
            )
        return Secret(token)

    def _from_keyring(self) -> tuple[str | None, str]:
        """The keyring's token, and how the keyring is, for the message."""
        if not self.use_keyring:
            return None, "WORKATO_DISABLE_KEYRING keeps the keyring out"
        try:
            import keyring
        except ImportError:
            return None, "the keyring needs the extra oauthsync[keyring]"
        try:
            return keyring.get_password(
                KEYRING_SERVICE, self.profile
            ), "the keyring has none either"
        except Exception as error:  # noqa: BLE001 - backends are plug-ins, and raise what they like
            return None, f"the keyring cannot be used ({type(error).__name__})"

    def _from_file(self) -> str | None:
        store = _read_object(token_file(self.home)).get(KEYRING_SERVICE)
        token = store.get(self.profile) if isinstance(store, dict) else None
        return token if isinstance(token, str) else None


def keyring_allowed(environ: Mapping[str, str]) -> bool:
    """Whether the vendor CLI's own switch leaves the keyring in use."""
    return environ.get("WORKATO_DISABLE_KEYRING", "").lower() != "true"


def _profiles_file(home: Path) -> Path:
    return home / ".workato" / "profiles"


def token_file(home: Path) -> Path:
    """Where the vendor's CLI keeps tokens that are in no keyring."""
    return home / ".workato" / "token_store.json"


def _profiles(home: Path) -> dict[str, Json]:
    try:
        profiles = _read_object(_profiles_file(home)).get("profiles", {})
    except SourceError as error:
        raise UsageError(str(error), hint=error.hint) from error
    if not isinstance(profiles, dict):
        raise _broken(home, '"profiles" is not an object')
    return profiles


def _read_object(path: Path) -> dict[str, Json]:
    """A file's JSON object; empty where there is no file. Raises SourceError, without content."""
    try:
        value = strictjson.parse(read_regular(path, limit=MAX_FILE_SIZE))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}", hint=_HINT) from error
    except ValueError as error:
        raise SourceError(f"{path} is not valid JSON: {error}", hint=_HINT) from None
    if not isinstance(value, dict):
        raise SourceError(f"{path} is not a JSON object", hint=_HINT)
    return value


_HINT = (
    "the file belongs to the workato CLI: mend it there, or name the workspace in oauthsync.toml"
)


def _broken(home: Path, why: str) -> UsageError:
    return UsageError(f"{_profiles_file(home)}: {why}", hint=_HINT)
