"""What is different in the target: an overrides file renames and re-points profiles on their way.

    [[override]]
    match = { provider = "hubspot", name = "Acme *" }
    client_id = "the-production-app"
    name = "{name} (prod)"

`match` names a provider, a client id, a name (a glob), or several of them, which must all fit the
profile as the snapshot has it. Every entry that fits is applied, in the order of the file; `{name}`
is the name so far, and a brace itself is written twice, `{{` or `}}`. Pure: no I/O.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from oauthsync import strictjson
from oauthsync.errors import UsageError
from oauthsync.profiles import Profile
from oauthsync.strictjson import Json
from oauthsync.tables import Table, parse_toml
from oauthsync.text import inline

_ADVICE = "no secret stands in this file: `oauthsync secrets set` puts it into the sidecar"


@dataclass(frozen=True)
class Override:
    """One entry: None is "any" in a match, and "as it was" in what it sets.

    `where` is the entry's place in its file, for messages.
    """

    provider_is: str | None = None
    name_like: str | None = None
    client_id_is: str | None = None
    name: str | None = None
    client_id: str | None = None
    where: str = field(default="an override", compare=False)

    def fits(self, profile: Profile) -> bool:
        """Whether the entry is about this profile."""
        return (
            self.provider_is in (None, profile.provider)
            and self.client_id_is in (None, profile.client_id)
            and (self.name_like is None or fnmatchcase(profile.name, self.name_like))
        )

    def to_json(self) -> dict[str, Json]:
        """The entry as it stands in a file; `from_entries` reads it."""
        match = {
            "provider": self.provider_is,
            "name": self.name_like,
            "client_id": self.client_id_is,
        }
        entry = {"match": _given(match), "name": self.name, "client_id": self.client_id}
        return _given(entry)


def _given(table: Mapping[str, Json]) -> dict[str, Json]:
    return {key: value for key, value in table.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a profile of the snapshot is to stand in the target; nothing overrides its provider."""

    source: Profile
    name: str
    client_id: str | None

    @property
    def provider(self) -> str:
        """The provider."""
        return self.source.provider

    @property
    def key(self) -> tuple[str, str, str | None]:
        """What makes two profiles interchangeable (`Profile.key`)."""
        return (self.source.provider, self.name, self.client_id)

    @property
    def is_as_it_was(self) -> bool:
        """Whether no override changed it."""
        return self.name == self.source.name and self.client_id == self.source.client_id

    def differing(self, profile: Profile) -> list[str]:
        """The fields in which a profile of the target is not as wanted: `name`, `data.client_id`.

        The secret fields of `data` do not count, and JSON values are the same where their canonical
        text is: 1, 1.0 and true differ.
        """
        if self.source.document == profile.document and self.is_as_it_was:
            return []
        found = ["name"] if profile.name != self.name else []
        if profile.client_id != self.client_id:
            found.append("data.client_id")
        return [*found, *(f"data.{inline(name)}" for name in self.differing_data(profile))]

    def differing_data(self, profile: Profile) -> dict[str, tuple[str | None, str | None]]:
        """What else of `data` differs, by name: as the profile has it, and as it is wanted."""
        wanted, there = more_data(self.source), more_data(profile)
        if wanted == there:
            return {}
        return {
            name: (there.get(name), wanted.get(name))
            for name in sorted(there.keys() | wanted.keys())
            if there.get(name) != wanted.get(name)
        }


def more_data(profile: Profile) -> dict[str, str]:
    """What `data` holds beside the client id and secrets: canonical JSON by name."""
    # As the API is documented there is nothing more, and to parse 100,000 documents takes seconds.
    if _NO_MORE_DATA.match(profile.document):
        return {}
    data = profile.data
    return {name: strictjson.canonical(data[name]) for name in data if name != "client_id"}


_NO_MORE_DATA = re.compile(
    rb'\{(?:"created_at":"[^"\\]*",)?"data":\{"client_id":"(?:[^"\\]|\\.)*"\}[,}]'
)


def apply(overrides: Sequence[Override], source: Sequence[Profile]) -> list[Wanted]:
    """The profiles with all overrides applied, in their order."""
    return [_wanted(overrides, profile) for profile in source]


def _wanted(overrides: Sequence[Override], profile: Profile) -> Wanted:
    name, client_id = profile.name, profile.client_id
    for override in overrides:
        if override.fits(profile):
            if override.name is not None:
                name = _filled(override.name, name)
            if override.client_id is not None:
                client_id = override.client_id
    return Wanted(profile, name, client_id)


_BRACES = re.compile(r"\{\{|\}\}|\{[^{}]*\}?|\}")
_LITERAL = {"{{": "{", "}}": "}"}


def _filled(template: str, name: str) -> str:
    values = {**_LITERAL, "{name}": name}
    return _BRACES.sub(lambda found: values.get(found[0], found[0]), template)


def _check_braces(template: str, place: str) -> None:
    for found in _BRACES.findall(template):
        if found not in (*_LITERAL, "{name}"):
            raise UsageError(
                f"{place} holds {found!r}, which is no placeholder",
                hint="the only one is {name}; a brace itself is written twice: {{ or }}",
            )


def check(overrides: Sequence[Override], source: Sequence[Profile]) -> None:
    """Raise UsageError for an entry that fits no profile."""
    for override in overrides:
        if not any(override.fits(profile) for profile in source):
            raise UsageError(
                f"{override.where} matches no profile of the snapshot",
                hint="correct its `match`, or remove the entry",
            )


def parse(text: bytes, *, where: str) -> tuple[Override, ...]:
    """The entries of an overrides file; `where` is its name.

    Raises UsageError, which names the file, the entry (the first is `override.1`) and the key.
    """
    root = Table(Path(where), (), parse_toml(Path(where), text))
    root.check_keys(("override",), secret_advice=_ADVICE)
    return from_entries(root.values.get("override", []), where=where)


def from_entries(entries: object, *, where: str) -> tuple[Override, ...]:
    """The overrides that a list of entries describes. UsageError as `parse`."""
    if not isinstance(entries, list):
        raise UsageError(
            f"override in {where} is not a list of entries",
            hint="begin each entry with [[override]], in double brackets",
        )
    return tuple(_entry(entry, str(number), where) for number, entry in enumerate(entries, 1))


def _entry(value: object, number: str, where: str) -> Override:
    entry = Table(Path(where), ("override",), {number: value}).table(number)
    entry.check_keys(("match", "name", "client_id"), secret_advice=_ADVICE)
    match = entry.table("match")
    match.check_keys(("provider", "name", "client_id"), secret_advice=_ADVICE)
    override = Override(
        provider_is=match.text("provider"),
        name_like=match.text("name"),
        client_id_is=match.text("client_id"),
        name=entry.text("name"),
        client_id=entry.text("client_id"),
        where=entry.place(),
    )
    if not match.values:
        raise UsageError(
            f"{entry.place('match')} is missing or empty",
            hint='write, for example, match = { provider = "hubspot" }',
        )
    _check_braces(override.name or "", entry.place("name"))
    if override.name is None and override.client_id is None:
        raise UsageError(
            f"{entry.place()} sets nothing", hint="give it a `name`, a `client_id`, or both"
        )
    return override
