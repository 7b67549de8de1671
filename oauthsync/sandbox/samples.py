"""Sample profiles that look like a workspace's life, the same ones at every start.

Profile k depends on k alone: a workspace of 250 begins with the one of 100. There are names in
several scripts, providers that share one client id, names used twice (the 21st profile has the
first one's, then two more in every 40), exact duplicates of an earlier profile (the 151st, then
every 200th), members of `data` that no documentation mentions, and timestamps in both forms.
"""

import hashlib
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

PROVIDERS = (
    "hubspot",
    "salesforce",
    "slack",
    "google_sheets",
    "google_drive",
    "gmail",
    "google_calendar",
    "jira",
    "confluence",
    "zendesk",
    "netsuite",
    "shopify",
    "quickbooks",
    "xero",
    "docusign",
    "dropbox",
    "box",
    "asana",
    "github",
    "gitlab",
    "linkedin",
    "marketo",
    "microsoft_teams",
    "sharepoint",
    "outlook",
    "zoom",
    "intercom",
    "stripe",
    "servicenow",
    "workday",
)
ORGANISATIONS = (
    "Acme",
    "Café Zoë",
    "Łódź Logistyka",
    "Müller & Söhne",
    "株式会社さくら",
    "東京支社",
    "شركة النور",
    "ООО «Ромашка»",
    "Київ Софт",
    "🚀 Growth",
    "Smörgåsbord AB",
    'O\'Brien "Sons"',
    "Ελλάς Data",
    "서울 물류",
    "Initech, Inc.",
    "Peña Ibérica",
)
PURPOSES = (
    "OAuth app",
    "production",
    "staging",
    "(legacy)",
    "integration",
    "für den Vertrieb",
    "用",
)
UNDOCUMENTED = (
    '"scopes":["read","write"]',
    '"tenant_ref":900719925474099312345',
    '"rate":1.0',
    '"limits":{"burst":0.10,"window":{"seconds":60,"exact":0.123456789012345678901234567890}}',
    '"environment":"sandbox","beta":null',
    '"scaling":2.50E+3,"tags":[]',
)
_SHARED_APP_PREFIXES = ("google_", "gmail")


@dataclass(frozen=True, slots=True)
class Sample:
    """A profile's JSON document, and the secrets that the workspace keeps for it."""

    id: int
    document: bytes
    client_secret: str
    token: str | None


def samples(count: int, *, user_id: int, first_id: int) -> Iterator[Sample]:
    """`count` profiles with the ids `first_id`, `first_id + 1`, ….

    Their secrets follow from provider and client id: an app has one secret wherever it is used.
    """
    for index in range(count):
        twin = index - 100 if index % 200 == 150 else index
        yield _sample(first_id + index, user_id, index, twin)


def _sample(profile_id: int, user_id: int, index: int, twin: int) -> Sample:
    """Profile `index`; provider, name and client id are those of the profile `twin`."""
    provider, client_id = _provider(twin), _client_id(twin)
    extra = "," + UNDOCUMENTED[index // 4 % len(UNDOCUMENTED)] if index % 4 == 3 else ""
    shared = _dice(index)[4] % 12 if index % 2 else 0
    customers = _dice(index)[5] % 40 if index % 5 == 1 else 0
    created, updated = _timestamps(index)
    document = (
        f'{{"id":{profile_id},"user_id":{user_id},"name":{_name(twin)},'
        f'"provider":"{provider}","data":{{"client_id":"{client_id}"{extra}}},'
        f'"shared_accounts_count":{shared},"oem_customers_count":{customers},'
        f'"created_at":"{created}","updated_at":"{updated}"}}'
    )
    token = _hex(f"token:{client_id}")[:24] if provider == "slack" else None
    secret = _hex(f"secret:{provider}:{client_id}")
    return Sample(profile_id, document.encode(), secret, token)


def _provider(index: int) -> str:
    # Every 40th profile has name and provider of an earlier one, and another client id.
    return PROVIDERS[_dice(index - 20 if index % 40 == 20 else index)[0] % len(PROVIDERS)]


def _name(index: int) -> str:
    row = index - 20 if index % 40 in (20, 33) else index
    organisation = ORGANISATIONS[_dice(row)[1] % len(ORGANISATIONS)]
    purpose = PURPOSES[_dice(row)[2] % len(PURPOSES)]
    name = f"{organisation} {_provider(row).replace('_', ' ').title()} {purpose} {row + 1}"
    return json.dumps(name, ensure_ascii=False)


def _client_id(index: int) -> str:
    provider = _provider(index)
    if provider.startswith(_SHARED_APP_PREFIXES):
        project = index // 20
        number = _dice(project)[3]
        return f"{number:010d}-{_hex(f'project {project}')[:16]}.apps.googleusercontent.com"
    if provider == "slack":
        return f"{_dice(index)[3]:010d}.{_dice(index)[7]:010d}"
    return _hex(f"app {index}")[:32]


def _timestamps(index: int) -> tuple[str, str]:
    day, moment = index % 28 + 1, _dice(index)[6]
    zone = "Z" if index % 3 == 2 else "-07:00"
    clock = f"{moment % 24:02d}:50:{moment % 59:02d}.{moment % 997:03d}{zone}"
    created = f"2023-{index % 12 + 1:02d}-{day:02d}T{clock}"
    return created, f"2024-{index % 7 + 1:02d}-{day:02d}T{clock}"


@lru_cache(maxsize=128)
def _dice(index: int) -> tuple[int, ...]:
    """Eight 32-bit numbers; `random` promises the same sequence for no version of Python."""
    return struct.unpack(">8I", hashlib.sha256(b"%d" % index).digest())


def _hex(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
