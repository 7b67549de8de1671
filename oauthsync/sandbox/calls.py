"""The API's calls: from a path to a call, and from a call to its answer."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

from oauthsync.sandbox import rawjson
from oauthsync.sandbox.faults import METHODS
from oauthsync.sandbox.http import Reply
from oauthsync.sandbox.payloads import RefusalError, parse_payload
from oauthsync.sandbox.workspaces import SandboxWorkspace

MAX_PER_PAGE = 100
_PROFILES = "/api/custom_oauth_profiles"
_ONE_PROFILE = re.compile(re.escape(_PROFILES) + r"/(\d{1,18})", re.ASCII)

PageOfIds = Callable[[Sequence[int], int, int], Sequence[int]]
"""From all ids, the page's number (from 1) and its size to the ids that it shows."""


@dataclass(frozen=True, slots=True)
class Call:
    """What a request asks for: `name` is one of `faults.CALLS`."""

    name: str
    profile_id: int = 0
    query: str = ""


def route(method: str, target: str) -> Call | Reply:
    """The call of a request, or 404 or 405 where it is none."""
    path, _, query = target.partition("?")
    calls, profile_id = _calls(path)
    if method in calls:
        return Call(calls[method], profile_id, query)
    if not calls:
        return error(404, "Not found")
    allow = ("Allow", ", ".join(known for known in METHODS if known in calls))
    return Reply(405, b'{"message":"Method not allowed"}', (allow,))


def _calls(path: str) -> tuple[Mapping[str, str], int]:
    if path == _PROFILES:
        return {"GET": "list", "POST": "create"}, 0
    if path == "/api/users/me":
        return {"GET": "me"}, 0
    if found := _ONE_PROFILE.fullmatch(path):
        return {"GET": "get", "PUT": "update", "DELETE": "delete"}, int(found[1])
    return {}, 0


def page_of_ids(ids: Sequence[int], page: int, per_page: int) -> Sequence[int]:
    """A listing's page as it should be."""
    return ids[(page - 1) * per_page : page * per_page]


def perform(
    call: Call,
    raw: bytes,
    workspace: SandboxWorkspace,
    at: float,
    *,
    providers: Collection[str] | None,
    page_of_ids: PageOfIds = page_of_ids,
) -> Reply:
    """Carry out a call with the body `raw` at the time `at`; a status of 200 says it is done."""
    try:
        match call.name:
            case "me":
                return answer(200, _me(workspace))
            case "list":
                page, per_page = _page(call.query)
                body = b"[%s]" % workspace.bodies(page_of_ids(workspace.ids, page, per_page))
            case "get":
                body = workspace.get(call.profile_id).body
            case "create":
                body = workspace.post(parse_payload(raw, providers), at).body
            case "update":
                workspace.get(call.profile_id)  # an unknown id is 404, whatever the payload
                payload = parse_payload(raw, providers)
                body = workspace.put(call.profile_id, payload, at).body
            case _:
                workspace.remove(call.profile_id)
                body = b'{"success":true}'
    except KeyError:
        return error(404, "Not found")
    except RefusalError as refusal:
        return answer(refusal.status, refusal.answer)
    return Reply(200, b'{"result":%s}' % body)


def _page(query: str) -> tuple[int, int]:
    parameters = dict(parse_qsl(query, keep_blank_values=True))
    page = _positive("page", parameters.get("page", "1"))
    per_page = _positive("per_page", parameters.get("per_page", str(MAX_PER_PAGE)))
    return page, min(per_page, MAX_PER_PAGE)


def _positive(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0):
        raise RefusalError(400, {"message": f"{name} is not a positive integer"})
    return int(text)


def _me(workspace: SandboxWorkspace) -> dict[str, object]:
    return {
        "id": workspace.user_id,
        "name": f"Sandbox workspace {workspace.number + 1}",
        "created_at": "2022-01-04T09:00:00.000-07:00",
        "plan_id": "sandbox",
        "company_name": "Sandbox",
    }


def answer(status: int, document: Mapping[str, object]) -> Reply:
    """A reply of plain JSON."""
    return Reply(status, rawjson.encode(document))


def error(status: int, message: str) -> Reply:
    """The API's plain form of an error."""
    return answer(status, {"message": message})
