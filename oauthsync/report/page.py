"""The facts as one HTML page, for people: on a screen in light and dark, on paper, read aloud.

The page needs nothing but itself, and its Content-Security-Policy allows it nothing else: no
script, no image, no request, and no style but its own, by hash. Long lists are folded and cut, with
the number of what is not shown and the command that shows it.
"""

import base64
import hashlib
from collections.abc import Iterator, Sequence
from importlib.resources import files

from oauthsync import __version__
from oauthsync.clock import timestamp
from oauthsync.report import ledger, workspaces
from oauthsync.report.facts import RECENT_DAYS, Facts, Sidecar, WorkspaceFacts
from oauthsync.report.markup import Content, Markup, element, raw
from oauthsync.report.parts import NONE, age, command, name, section, table, when
from oauthsync.runs import unfinished
from oauthsync.text import count_of

_MARK = b'<meta name="generator" content="oauthsync '


def is_page(head: bytes) -> bool:
    """Whether a file that begins like this holds a page of any version."""
    return _MARK in head


def render(report: Facts) -> str:
    """The page."""
    style = files("oauthsync.report").joinpath("style.css").read_text("utf-8")
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_policy(style)),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        element("meta", name="generator", content=f"oauthsync {__version__}"),
        element("title", f"Backup report, {timestamp(report.now)[:10]}"),
        element("style", raw(style)),
    )
    body = element("body", _header(report), element("main", *_sections(report)), _footer())
    return "<!DOCTYPE html>\n" + element("html", head, body, lang="en").html


def _policy(style: str) -> str:
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii")
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def _header(report: Facts) -> Markup:
    said = (
        "Custom OAuth profiles, as the backup folder knew them at ",
        when(timestamp(report.now)),
        ". All times are UTC.",
    )
    return element("header", element("h1", "Backup report"), element("p", *said))


def _footer() -> Markup:
    said = (
        f"Made by oauthsync {__version__} from the backup folder alone: no workspace was asked."
        " Redirect URIs and scopes live in each provider’s own console, and are in no backup."
    )
    return element("footer", element("p", said))


def _sections(report: Facts) -> Iterator[Markup]:
    yield _glance(report)
    span = workspaces.span(report)
    for number, workspace in enumerate(report.workspaces, start=1):
        yield workspaces.describe(_anchor(number), workspace, span, report)
    yield ledger.secrets(report.sidecar, report.now)
    yield ledger.runs(report)


def _anchor(number: int) -> str:
    return f"workspace-{number}"


# --- at a glance --------------------------------------------------------------------------------


def _glance(report: Facts) -> Markup:
    found = [element("li", *finding) for finding in _findings(report)]
    return section(
        "glance",
        "At a glance",
        element("ul", *found, class_="findings")
        if found
        else element("p", "Nothing needs attention."),
        _overview(report)
        if report.workspaces
        else element("p", "There is no snapshot yet: ", command("export")),
    )


def _findings(report: Facts) -> Iterator[Sequence[Content]]:
    """What needs somebody's attention."""
    match report.sidecar:
        case Sidecar("absent"):
            yield ("There is no sidecar, and without its secrets no profile can be restored.",)
        case Sidecar("closed"):
            yield ("The sidecar did not open, so what could be restored is not known.",)
    for number, workspace in enumerate(report.workspaces, start=1):
        link = element("a", name(workspace.name), href=f"#{_anchor(number)}")
        for finding in _workspace_findings(workspace):
            yield (link, *finding)
    for run in unfinished(each.run for each in report.runs):
        state = "incomplete" if run.state == "incomplete" else "under way, or was cut off"
        yield f"Run {run.id} is {state}: ", command(run.way_on)
    if due := sum(each.is_due for each in report.repoints):
        yield element("a", count_of(due, "profile"), href="#repoint"), " still to be re-pointed."


def _workspace_findings(workspace: WorkspaceFacts) -> Iterator[Sequence[Content]]:
    if workspace.latest is None:
        yield (" was never exported.",)
    if workspace.restorable and workspace.restorable.lacking:
        yield (f": {count_of(workspace.restorable.lacking, 'profile')} could not be restored.",)
    if lost := workspace.lost:
        snapshots = {each.snapshot for each in lost}
        gone = count_of(len(lost), "profile")
        yield (
            f" lost {gone} in the last {RECENT_DAYS} days, not back yet: ",
            workspaces.names([each.profile for each in lost]),
            ". ",
            command(f"plan {snapshots.pop()}" if len(snapshots) == 1 else "log"),
        )


def _overview(report: Facts) -> Markup:
    return table(
        "Workspaces, and what could be restored today",
        ("Workspace", "#Profiles", "Last export", "#Age", "#Restorable", "#Not restorable"),
        (_counts(*each, report.now) for each in enumerate(report.workspaces, start=1)),
        len(report.workspaces),
        "snapshots",
    )


def _counts(number: int, workspace: WorkspaceFacts, now: float) -> Sequence[Content]:
    latest, restorable = workspace.latest, workspace.restorable
    return (
        element("a", name(workspace.name), href=f"#{_anchor(number)}"),
        latest.profiles if latest else NONE,
        when(latest.taken_at) if latest else "never",
        age(latest.taken_at, now) if latest else NONE,
        len(restorable.ready) if restorable else NONE,
        restorable.lacking if restorable else NONE,
    )
