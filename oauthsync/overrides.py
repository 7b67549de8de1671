"""What is different in the target: an overrides file renames and re-points profiles on their way.

    [[override]]
    match = { provider = "hubspot", name = "Acme *" }
    client_id = "the-production-app"
    name = "{name} (prod)"

`match` names a provider, a client id, a name (a glob), or several of them, which must all fit.
Every entry that fits is applied, in the order of the file; `{name}` is the name so far. Pure.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from oauthsync.errors import UsageError
from oauthsync.profiles import Profile

_MATCHES = ("provider", "name", "client_id")
_KEYS = ("match", "name", "client_id")


@dataclass(frozen=True)
class Override:
    """One entry: None is "any" in a match, and "as it was" in what it sets."""

    provider_is: str | None
    name_like: str | None
    client_id_is: str | None
    name: str | None
    client_id: str | None

    def fits(self, profile: Profile) -> bool:
        """Whether the entry is about this profile."""
        return (
            self.provider_is in (None, profile.provider)
            and self.client_id_is in (None, profile.client_id)
            and (self.name_like is None or fnmatchcase(profile.name, self.name_like))
        )


@dataclass(frozen=True)
class Wanted:
    """How a profile of the snapshot is to stand in the target."""

    source: Profile
    name: str
    client_id: str | None

    @property
    def provider(self) -> str:
        """The provider, which nothing overrides."""
        return self.source.provider

    @property
    def key(self) -> tuple[str, str, str | None]:
        """What makes two profiles interchangeable (`Profile.key`)."""
        return (self.provider, self.name, self.client_id)


def apply(overrides: Sequence[Override], source: Sequence[Profile]) -> tuple[Wanted, ...]:
    """The profiles with all overrides applied; UsageError for an entry that fits none."""
    for number, override in enumerate(overrides, 1):
        if not any(override.fits(profile) for profile in source):
            raise UsageError(
                f"override {number} matches no profile of the snapshot",
                hint="correct its `match`, or remove the entry",
            )
    return tuple(_wanted(overrides, profile) for profile in source)


def _wanted(overrides: Sequence[Override], profile: Profile) -> Wanted:
    wanted = Wanted(profile, profile.name, profile.client_id)
    for override in overrides:
        if override.fits(profile):
            if override.name is not None:
                wanted = replace(wanted, name=override.name.replace("{name}", wanted.name))
            if override.client_id is not None:
                wanted = replace(wanted, client_id=override.client_id)
    return wanted


def parse(text: bytes, *, where: str) -> tuple[Override, ...]:
    """The entries of an overrides file; UsageError names the entry and what is wrong with it."""
    try:
        document = tomllib.loads(text.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{where} is not TOML: {error}") from error
    entries = document.pop("override", [])
    if document or not isinstance(entries, list):
        raise UsageError(f"{where}: only [[override]] entries may stand in an overrides file")
    return tuple(
        _parse_entry(entry, f"{where}: override {number}")
        for number, entry in enumerate(entries, 1)
    )


def _parse_entry(entry: object, where: str) -> Override:
    if not isinstance(entry, Mapping):
        raise UsageError(f"{where} is not a table")
    _only(entry, _KEYS, where)
    match = entry.get("match")
    if not isinstance(match, Mapping) or not match:
        raise UsageError(
            f"{where} has no `match`", hint='for example match = { provider = "hubspot" }'
        )
    _only(match, _MATCHES, f"{where}, match")
    name, client_id = _text(entry, "name", where), _text(entry, "client_id", where)
    if name is None and client_id is None:
        raise UsageError(f"{where} sets neither `name` nor `client_id`")
    return Override(
        provider_is=_text(match, "provider", where),
        name_like=_text(match, "name", where),
        client_id_is=_text(match, "client_id", where),
        name=name,
        client_id=client_id,
    )


def _only(table: Mapping[str, object], known: Sequence[str], where: str) -> None:
    if unknown := sorted(table.keys() - set(known)):
        raise UsageError(f"{where}: unknown key {unknown[0]!r}", hint=f"known: {', '.join(known)}")


def _text(table: Mapping[str, object], key: str, where: str) -> str | None:
    value = table.get(key)
    if value is not None and (not isinstance(value, str) or not value):
        raise UsageError(f"{where}: `{key}` must be a text that is not empty")
    return value
