"""Made-up profiles and situations for the tests of plans, and what carrying out a plan does."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

from oauthsync import profiles
from oauthsync.overrides import Override
from oauthsync.plan import Create, Options, Plan, Selection, Situation
from oauthsync.profiles import Profile
from oauthsync.strictjson import Fraction, Json

FIRST_NEW_ID = 1000


class Everything:
    """The secrets of all apps are at hand."""

    def __contains__(self, _app: object) -> bool:
        return True


def profile(
    profile_id: int,
    name: str = "Acme",
    provider: str = "hubspot",
    client_id: str | None = "app",
    *,
    more: Mapping[str, Json] | None = None,
    **fields: Json,
) -> Profile:
    """A profile; `more` stands beside the client id in `data`, `fields` beside `data`."""
    data: dict[str, Json] = {} if client_id is None else {"client_id": client_id}
    value: dict[str, Json] = {
        "id": profile_id,
        "user_id": 123,
        "name": name,
        "provider": provider,
        "data": {**data, **(more or {})},
        "shared_accounts_count": 0,
        "oem_customers_count": 0,
        "created_at": "2023-01-15T11:50:32.986-07:00",
        "updated_at": "2023-01-15T11:50:32.986-07:00",
    }
    return profiles.from_json({**value, **fields})


def situation(
    source: Sequence[Profile],
    target: Sequence[Profile],
    *,
    same_workspace: bool = False,
    apps: Iterable[tuple[str, str]] | None = None,
    id_map: Mapping[int, int] | None = None,
) -> Situation:
    """A situation; without `apps`, all secrets are at hand."""
    return Situation(
        snapshot=3,
        source=source,
        source_digest=profiles.digest(source),
        target_name="prod",
        target=target,
        same_workspace=same_workspace,
        apps=Everything() if apps is None else frozenset(apps),
        id_map=id_map or {},
    )


@dataclass(frozen=True)
class Outcome:
    """A target after a plan was carried out; `ids` are those of what was written, by source id."""

    target: tuple[Profile, ...]
    ids: dict[int, int]


def carried_out(plan: Plan, target: Sequence[Profile]) -> Outcome:
    """What the API makes of a plan's writes: PUT replaces `data`, a new profile has a new id."""
    there = {each.id: each for each in target}
    ids: dict[int, int] = {}
    for step in plan.writes:
        new_id = max([FIRST_NEW_ID, *there]) + 1
        target_id = new_id if isinstance(step, Create) else step.target_id
        assert target_id is not None
        fields = {} if isinstance(step, Create) else there[target_id].fields
        written: dict[str, Json] = {
            "id": target_id,
            "name": step.name,
            "provider": step.provider,
            "data": step.data,
        }
        there[target_id] = profiles.from_json({**fields, **written})
        ids[step.source_id] = target_id
    return Outcome(tuple(there.values()), ids)


# --- strategies ---------------------------------------------------------------------------------

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
LINES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)
MORE: list[dict[str, Json]] = [
    {},
    {"k": 1},
    {"k": True},
    {"k": Fraction("1.0")},
    {"k": None, "l": [{}]},
]


COUNTS: list[Json] = [0, 1, None]
KINDS = list(itertools.product("AB", ("hubspot", "slack"), ("x", "y", "z", "", None), MORE, COUNTS))


def listings(*, max_size: int = 7) -> st.SearchStrategy[tuple[Profile, ...]]:
    """Profiles of which many are alike: so that matching has to tell them apart."""
    kinds = st.dictionaries(st.integers(1, 9), st.sampled_from(KINDS), max_size=max_size)
    return kinds.map(
        lambda found: tuple(
            profile(profile_id, name, provider, client_id, more=more, shared_accounts_count=count)
            for profile_id, (name, provider, client_id, more, count) in found.items()
        )
    )


ID_MAPS = st.dictionaries(st.integers(1, 9), st.integers(1, 12), max_size=5)


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    """Any situation."""
    apps = [(provider, client_id) for provider in ("hubspot", "slack") for client_id in "xyz"]
    return situation(
        draw(listings()),
        draw(listings()),
        same_workspace=draw(st.booleans()),
        apps=draw(st.none() | st.sets(st.sampled_from(apps))),
        id_map=draw(ID_MAPS),
    )


_OVERRIDE_MATCHES = st.fixed_dictionaries(
    {}, optional={"provider_is": LINES, "name_like": LINES, "client_id_is": LINES}
).filter(bool)
_TEMPLATES = LINES.map(lambda text: text.replace("{", "{{").replace("}", "}}") + "{name}")
_OVERRIDE_SETS = st.fixed_dictionaries(
    {}, optional={"name": _TEMPLATES, "client_id": LINES}
).filter(bool)
OVERRIDES = st.builds(
    lambda match, sets: Override(**match, **sets), _OVERRIDE_MATCHES, _OVERRIDE_SETS
)
IDS = st.integers(1, profiles.MAX_ID)
OPTIONS = st.builds(
    Options,
    selection=st.builds(
        Selection,
        names=st.lists(TEXTS).map(tuple),
        providers=st.lists(TEXTS).map(tuple),
        ids=st.lists(IDS).map(tuple),
    ),
    on_existing=st.sampled_from(["update", "skip", "fail"]),
    push_secrets=st.booleans(),
    allow_missing=st.booleans(),
    maps=st.dictionaries(IDS, IDS),
    overrides=st.lists(OVERRIDES).map(tuple),
)
