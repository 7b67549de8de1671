"""What a client gets to see of an answer under a fault."""

from dataclasses import replace
from math import ceil

from oauthsync.sandbox.calls import answer, error
from oauthsync.sandbox.faults import Fault
from oauthsync.sandbox.http import Reply, http_date

_HTML = b"<!DOCTYPE html>\n<html><body><h1>This page is not from Workato</h1></body></html>\n"


def spoil(reply: Reply, fault: Fault, *, now: float, url: str) -> Reply:
    """The answer under a fault, given the one without it; `url` is the sandbox's own."""
    match fault.shape:
        case "reset" | "close" | "truncate" | "hang" as delivery:
            return replace(reply, delivery=delivery)
        case "drip" | "interim" as delivery:
            return replace(reply, delivery=delivery, pause=fault.seconds)
        case "half-json":
            return Reply(200, reply.body[: len(reply.body) // 2])
        case "html" | "502" | "503" | "504" as kind:
            return Reply(200 if kind == "html" else int(kind), _HTML, content_type="text/html")
        case "500":
            return error(500, "Internal server error")
        case "429":
            return too_many_requests(str(ceil(fault.seconds)))
        case "429-date":
            return too_many_requests(http_date(ceil(now + fault.seconds)))
        case "429-bare":
            return error(429, "Too many requests")
        case "refused":
            return answer(200, {"success": False, "errors": {"base": ["Not done"]}})
        case "errors-list":
            return answer(422, {"errors": [{"code": "invalid", "title": "Not done"}]})
        case "redirect":
            return Reply(302, b"{}", (("Location", f"{url}/redirected"),))
        case _:  # a listing that lies looks like any other
            return reply


def too_many_requests(retry_after: str) -> Reply:
    """429 with its two headers."""
    headers = (("Retry-After", retry_after), ("X-Rate-Limit-Remaining", "0"))
    return Reply(429, b'{"message":"Too many requests"}', headers)
