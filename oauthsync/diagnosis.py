"""What the API's answers say about a workspace's token, region and privileges. Pure.

A refusal (401 or 403) has many causes, and no answer names its own. Two calls with one token tell
some of them apart: where one of them is answered, the token and the region are right, and the other
lacks a privilege. Where both are refused, it is left open, and all causes are named.

Reported, and not documented: a 401 also where the token is of another data center, or its role
lacks the privilege; and `GET /api/users/me` refused to tokens that work elsewhere.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from oauthsync.api import Page
from oauthsync.config import REGIONS, Workspace
from oauthsync.errors import (
    ApiError,
    AuthenticationError,
    NotSentError,
    OauthsyncError,
    RateLimitedError,
    RefusedError,
    UnknownOutcomeError,
)
from oauthsync.profiles import Profile, is_id, workspace_id
from oauthsync.snapshots import Snapshot
from oauthsync.strictjson import Json

Status = Literal["ok", "warning", "failed", "untested"]

CLOCK_TOLERANCE = 60.0
"""Seconds that our clock may be off: a date of HTTP is whole seconds, and as old as its answer."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at, and what to do about it; `exit_code` is 0 unless it failed."""

    name: str
    status: Status
    message: str
    hint: str | None = None
    exit_code: int = 0

    def to_json(self) -> dict[str, Json]:
        """The check as users see it."""
        return {
            "name": self.name,
            "status": self.status,
            "message": self.message,
            "hint": self.hint,
        }


_NO_HINT = "mend what it names, and try again"


def failed(name: str, error: OauthsyncError) -> Check:
    """The check that ended in an error."""
    return Check(name, "failed", str(error), error.hint or _NO_HINT, error.exit_code)


Identity: TypeAlias = Mapping[str, Json]


@dataclass(frozen=True)
class Answers:
    """What came back: of the list's first page, of `users/me`, of one profile by its id.

    None stands for what was not asked, because an answer before made it pointless.
    """

    listed: Page | ApiError
    me: Identity | ApiError | None
    got: Profile | ApiError | None

    @property
    def is_known(self) -> bool:
        """Whether an answer shows that the server knows the token."""
        return isinstance(self.listed, Page) or isinstance(self.me, Mapping)

    @property
    def is_reached(self) -> bool:
        """Whether the API itself has answered."""
        return self.is_known or isinstance(
            self.listed, AuthenticationError | RefusedError | RateLimitedError
        )


def judge(workspace: Workspace, answers: Answers, known: Snapshot | None) -> Iterator[Check]:
    """The checks of token, network, region, privileges and identity.

    `known` is the newest snapshot of that name: the workspace should be the same.
    """
    yield _token(workspace, answers)
    yield _network(workspace, answers)
    yield _region(workspace, answers)
    yield _list(answers)
    yield _get(answers)
    yield _writes()
    yield _identity(answers, known)


def unasked(why: str) -> Iterator[Check]:
    """The checks of `judge`, but for the token's, and of the clock, where nothing was asked."""
    for name in ("network", "region", "privilege to list", "privilege to get"):
        yield Check(name, "untested", why)
    yield _writes()
    for name in ("identity", "clock"):
        yield Check(name, "untested", why)


def _writes() -> Check:
    """The privileges that nobody can try without writing."""
    return Check(
        "privileges to write",
        "untested",
        "create, update and delete are privileges of their own, and to try one is to write",
        hint="see that the API client's role has them before you need an import",
    )


def _token(workspace: Workspace, answers: Answers) -> Check:
    source = workspace.token_source
    if answers.is_known:
        return Check("token", "ok", f"from {source}; the API knows it")
    if isinstance(answers.listed, AuthenticationError):
        error = answers.listed
        return Check(
            "token", "failed", f"from {source}; {error}", error.hint, AuthenticationError.exit_code
        )
    return Check("token", "untested", f"from {source}; the API could not be asked about it")


def _network(workspace: Workspace, answers: Answers) -> Check:
    if isinstance(answers.listed, NotSentError | UnknownOutcomeError):
        return failed("network", answers.listed)
    return Check("network", "ok", f"{workspace.url} answers")


def _region(workspace: Workspace, answers: Answers) -> Check:
    region = next((name for name, url in REGIONS.items() if url == workspace.url), None)
    place = f"data center {region}" if region else f"a private Workato at {workspace.url}"
    if answers.is_known:
        return Check("region", "ok", place)
    if answers.is_reached:
        return Check(
            "region",
            "untested",
            f"{place}: a refusal does not tell whether the token belongs there",
            hint="compare it with the address in your browser when you are logged in to Workato;"
            f" other regions are {', '.join(name for name in REGIONS if name != region)}."
            " The token was not tried there: it is for you to say where it is sent",
        )
    if isinstance(answers.listed, NotSentError | UnknownOutcomeError):
        return Check("region", "untested", f"{place}: it could not be asked")
    assert isinstance(answers.listed, ApiError), "a page would have told"
    return failed("region", answers.listed)  # a redirect


def _list(answers: Answers) -> Check:
    name = "privilege to list"
    listed = answers.listed
    if isinstance(listed, Page):
        return Check(name, "ok", "the list of custom OAuth profiles can be read")
    if isinstance(listed, AuthenticationError) and answers.is_known:
        return Check(
            name,
            "failed",
            f"the token is right, but {listed}",
            hint="give the API client's role the privilege to list custom OAuth profiles, and see"
            " that the client is of this environment and has no IP list in the way",
            exit_code=listed.exit_code,
        )
    if isinstance(listed, RefusedError | RateLimitedError):
        return failed(name, listed)
    return Check(name, "untested", "the API did not get as far as that")


def _get(answers: Answers) -> Check:
    name = "privilege to get"
    match answers.got:
        case Profile():
            return Check(name, "ok", "a profile can be read by its id")
        case AuthenticationError() as error:
            return Check(
                name,
                "warning",
                str(error),
                hint="grant it, or do without: `oauthsync profiles get` needs it, and a long undo"
                " lists the workspace again and again in its place",
            )
        case ApiError() as error:
            return Check(name, "warning", str(error), error.hint or _NO_HINT)
        case None if isinstance(answers.listed, Page):
            return Check(name, "untested", "there was no profile to read")
        case None:
            return Check(name, "untested", "the API did not get as far as that")


def _identity(answers: Answers, known: Snapshot | None) -> Check:
    name = "identity"
    theirs = _user_id(answers)
    if known and theirs and known.user_id and known.user_id != theirs:
        return Check(
            name,
            "failed",
            f"the token opens workspace id {theirs}, and snapshot {known.id} of"
            f" {known.workspace!r} is of workspace id {known.user_id}",
            hint="check URL and token, or give the other workspace a name of its own",
            exit_code=1,
        )
    match answers.me:
        case AuthenticationError() if answers.is_known:
            said = f"; its profiles are of workspace id {theirs}" if theirs else ""
            return Check(name, "ok", f"/api/users/me is refused, which is fine{said}")
        case ApiError() as error if answers.is_known:
            return Check(name, "warning", f"/api/users/me: {error}", error.hint or _NO_HINT)
        case None | ApiError():
            return Check(name, "untested", "the API did not get as far as that")
        case me:
            return Check(name, "ok", f"workspace {me.get('name')!r}, id {me.get('id')}")


def _user_id(answers: Answers) -> int | None:
    """The id of the workspace, where its profiles agree on one, or `users/me` tells it."""
    profiles = answers.listed.profiles if isinstance(answers.listed, Page) else ()
    if (agreed := workspace_id(profiles)) is not None:
        return agreed
    told = answers.me.get("id") if isinstance(answers.me, Mapping) else None
    return told if is_id(told) else None


def check_clock(server_date: str | None, now: float) -> Check:
    """Compare our clock with the `Date` of an answer (RFC 9110, 6.6.1); None: there was none."""
    from email.utils import parsedate_to_datetime

    try:
        theirs = parsedate_to_datetime(server_date or "").timestamp()
    except ValueError:
        return Check("clock", "untested", "no answer has told the server's time")
    off = now - theirs
    if abs(off) <= CLOCK_TOLERANCE:
        return Check("clock", "ok", f"within {CLOCK_TOLERANCE:.0f} seconds of the server's")
    return Check(
        "clock",
        "warning",
        f"{abs(off):.0f} seconds {'ahead of' if off > 0 else 'behind'} the server's",
        hint="set this machine's clock: snapshots are dated by it, and found by their dates",
    )
