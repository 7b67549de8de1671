"""Sample profiles that look like a workspace's life, the same ones at every start.

Profile k depends on k alone: a workspace of 250 begins with the one of 100. There are names in
several scripts, providers that share one client id, names used twice (from the 21st profile on),
exact duplicates of an earlier profile (the 151st, and every 200th after it), members of `data`
that no documentation mentions, and timestamps in both forms.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass

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

    document: bytes
    client_secret: str
    token: str | None


def samples(count: int, *, user_id: int, first_id: int) -> Iterator[Sample]:
    """`count` profiles with the ids `first_id`, `first_id + 1`, ….

    Their secrets follow from provider and client id, as an app has one secret wherever it is used.
    """
    for index in range(count):
        yield _sample(_original(index), index, user_id, first_id + index)


def _original(index: int) -> int:
    """The profile that this one has its provider, name and client id from: itself, or a twin."""
    return index - 100 if index % 200 == 150 else index


def _sample(source: int, index: int, user_id: int, profile_id: int) -> Sample:
    provider = PROVIDERS[_mix(source, 1) % len(PROVIDERS)]
    client_id = _client_id(provider, source)
    extra = "," + UNDOCUMENTED[index // 4 % len(UNDOCUMENTED)] if index % 4 == 3 else ""
    shared = _mix(index, 5) % 12 if index % 2 else 0
    customers = _mix(index, 6) % 40 if index % 5 == 1 else 0
    created, updated = _timestamps(index)
    document = (
        f'{{"id":{profile_id},"user_id":{user_id},"name":{json.dumps(_name(source, provider))},'
        f'"provider":"{provider}","data":{{"client_id":"{client_id}"{extra}}},'
        f'"shared_accounts_count":{shared},"oem_customers_count":{customers},'
        f'"created_at":"{created}","updated_at":"{updated}"}}'
    )
    token = _hex(f"token:{client_id}")[:24] if provider == "slack" else None
    return Sample(document.encode(), _hex(f"secret:{provider}:{client_id}"), token)


def _name(source: int, provider: str) -> str:
    # The remainders of a few rows are those of other rows: names come twice, mostly with
    # another provider, now and then with the same.
    row = source - 20 if source % 40 in (20, 33) and source >= 20 else source
    organisation = ORGANISATIONS[_mix(row, 2) % len(ORGANISATIONS)]
    purpose = PURPOSES[_mix(row, 3) % len(PURPOSES)]
    return f"{organisation} {provider.replace('_', ' ').title()} {purpose} {row + 1}"


def _client_id(provider: str, source: int) -> str:
    number = _mix(source, 4)
    if provider.startswith(_SHARED_APP_PREFIXES):
        project = _mix(source // 50, 7)
        return f"{project:010d}-{_hex(str(project))[:16]}.apps.googleusercontent.com"
    if provider == "slack":
        return f"{number:010d}.{_mix(source, 8):010d}"
    return _hex(str(number))[:32]


def _timestamps(index: int) -> tuple[str, str]:
    day, hour, second = index % 28 + 1, _mix(index, 9) % 24, _mix(index, 10) % 60
    zone = "Z" if index % 3 == 2 else "-07:00"
    clock = f"{hour:02d}:50:{second:02d}.{_mix(index, 11) % 1000:03d}{zone}"
    return (
        f"2023-{index % 12 + 1:02d}-{day:02d}T{clock}",
        f"2024-{index % 7 + 1:02d}-{day:02d}T{clock}",
    )


def _mix(index: int, salt: int) -> int:
    """32 bits that look random: `random` promises the same sequence for no Python version."""
    value = (index * 2654435761 + salt * 0x9E3779B9) & 0xFFFFFFFF
    value = ((value ^ (value >> 16)) * 0x45D9F3B) & 0xFFFFFFFF
    value = ((value ^ (value >> 16)) * 0x45D9F3B) & 0xFFFFFFFF
    return value ^ (value >> 16)


def _hex(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
