"""A workspace's section: its profiles over time, what could be restored, and what changed."""

from collections.abc import Iterable, Sequence
from itertools import islice

from oauthsync.clock import moment
from oauthsync.missing import MissingApp
from oauthsync.profiles import Change, Difference, Profile
from oauthsync.report.chart import Point, Span, draw
from oauthsync.report.facts import Facts, Restorable, Sidecar, WorkspaceFacts
from oauthsync.report.markup import Content, Markup, element, join
from oauthsync.report.parts import (
    NONE,
    clipped,
    code,
    command,
    day,
    folded,
    name,
    section,
    when,
    word,
)
from oauthsync.snapshots import LogEntry, Snapshot
from oauthsync.strictjson import write
from oauthsync.text import count_of

ENTRIES = 20
"""Exports with changes that are shown, and names in one list."""


def span(report: Facts) -> Span:
    """The span of time that all charts show.

    It goes up to now, and not to the last export: a backup that stopped is to be seen.
    """
    known = [point.at for each in report.workspaces for point in _points(each)]
    return Span(min(known, default=report.now), max([report.now, *known]))


def describe(anchor: str, workspace: WorkspaceFacts, shown: Span, report: Facts) -> Markup:
    """The section of one workspace."""
    title, address = name(workspace.name), name(workspace.url or "")
    latest = workspace.latest
    if latest is None:
        said = element("p", "No export was taken yet.")
        return section(anchor, title, element("p", address, class_="address"), said)
    return section(
        anchor,
        title,
        element("p", address, class_="address"),
        element(
            "p",
            f"{count_of(latest.profiles, 'profile')} at ",
            when(latest.taken_at),
            f" (snapshot {latest.id}).",
        ),
        _figure(anchor, workspace, shown),
        element("h3", "Could it be restored today?"),
        _restorable(workspace.restorable, latest, report.sidecar),
        *_changes(workspace),
    )


# --- the chart ----------------------------------------------------------------------------------


def _points(workspace: WorkspaceFacts) -> list[Point]:
    """The exports whose time can be told; a database from elsewhere may hold anything."""
    changes = {entry.snapshot.id: entry.difference for entry in workspace.changes}
    found = []
    for export in workspace.exports:
        at = moment(export.taken_at)
        if at is not None:
            change = changes.get(export.id, Difference())
            found.append(Point(at, export.profiles, len(change.added), len(change.removed)))
    return sorted(found, key=lambda point: point.at)


def _figure(anchor: str, workspace: WorkspaceFacts, shown: Span) -> Content:
    points = _points(workspace)
    if not points:
        return ""
    counts = [point.profiles for point in points]
    exports = count_of(len(points), "export")
    about = (
        f"{exports}: {counts[0]} profiles at first ({day(points[0].at)}), {counts[-1]} at last"
        f" ({day(points[-1].at)}), at least {min(counts)}, at most {max(counts)}."
    )
    levels = [element("span", level) for level in sorted({*counts}, reverse=True)]
    ends = [element("span", end) for end in dict.fromkeys(map(day, (shown.start, shown.end)))]
    return element(
        "figure",
        element("div", *levels[:1], *levels[1:][-1:], class_="levels"),
        draw(points, shown, anchor, about),
        element("div", *ends, class_="days"),
        element(
            "figcaption",
            f"Profiles in {exports}; below the line, what was ",
            element("span", "added", class_="added"),
            " (up) and ",
            element("span", "removed", class_="removed"),
            " (down) since the export before.",
        ),
    )


# --- what could be restored ---------------------------------------------------------------------


def _restorable(found: Restorable | None, latest: Snapshot, sidecar: Sidecar) -> Markup:
    if found is None:
        return element("p", f"That is not known: {sidecar.why}.")
    without = len(found.without_client_id)
    lacking = found.lacking - without
    said = [f"{len(found.ready)} of {count_of(latest.profiles, 'profile')} could"]
    lack = "lacks its" if lacking == 1 else "lack their"
    said += [f"{lacking} {lack} client secret"] if lacking else []
    said += [f"{without} have no client id in the backup"] if without else []
    way = (command(f"secrets fill {latest.id}"), " asks for what is missing.") if lacking else ()
    return join(
        element("p", "; ".join(said), ". ", *way),
        folded(
            "Client secrets that are missing",
            ("Provider", "Client id", "Profiles"),
            map(_missing, found.missing),
            len(found.missing),
            f"secrets missing {latest.id}",
        ),
        folded(
            "Profiles without a client id",
            _PROFILE,
            map(_profile, found.without_client_id),
            without,
            f"show {latest.id}",
        ),
        folded(
            "Profiles that could be restored",
            _PROFILE,
            map(_profile, found.ready),
            len(found.ready),
            f"show {latest.id}",
            is_open=False,
        ),
    )


def _missing(app: MissingApp) -> Sequence[Content]:
    return word(app.provider), code(app.client_id), names(app.profiles)


def names(profiles: Sequence[Profile]) -> Markup:
    """The names of the first of some profiles, and how many more there are."""
    told: list[Content] = []
    for profile in profiles[:ENTRIES]:
        told += [", " if told else "", name(profile.name)]
    hidden = len(profiles) - ENTRIES
    return join(*told, f" and {hidden} more" if hidden > 0 else "")


def _profile(profile: Profile) -> tuple[Content, ...]:
    return name(profile.name), word(profile.provider), profile.id, code(profile.client_id or NONE)


_PROFILE = ("Name", "Provider", "#Id", "Client id")


# --- what changed -------------------------------------------------------------------------------


def _changes(workspace: WorkspaceFacts) -> Iterable[Content]:
    if len(workspace.exports) < 2:
        return
    yield element("h3", "What changed")
    if not workspace.changes:
        yield element("p", "Nothing, from the first export to the last.")
    for entry in workspace.changes[:ENTRIES]:
        yield _entry(workspace, entry)
    hidden = len(workspace.changes) - ENTRIES
    if hidden > 0:
        yield element("p", f"… and {count_of(hidden, 'older change')}: ", command("log"))


def _entry(workspace: WorkspaceFacts, entry: LogEntry) -> Markup:
    found, before = entry.difference, entry.before.id
    kinds = {"removed": found.removed, "added": found.added, "changed": found.changed}
    told = ", ".join(f"{len(each)} {kind}" for kind, each in kinds.items() if each)
    unfolded = {"open": ""} if entry.snapshot == workspace.latest else {}
    return element(
        "details",
        element("summary", when(entry.snapshot.taken_at), " ", element("b", told)),
        element("p", f"Snapshot {before} has what was removed: ", command(f"plan {before}"))
        if found.removed
        else "",
        _list("removed", map(_described, found.removed), len(found.removed)),
        _list("added", map(_described, found.added), len(found.added)),
        _list("changed", map(_changed, found.changed), len(found.changed)),
        **unfolded,
    )


def _list(kind: str, items: Iterable[Markup], count: int) -> Content:
    """A list of the first of `count` items, the only ones that are made."""
    if not count:
        return ""
    shown = [element("li", item) for item in islice(items, ENTRIES)]
    if count > len(shown):
        shown.append(element("li", f"… and {count - len(shown)} more"))
    return join(element("h4", kind.capitalize()), element("ul", *shown, class_=kind))


def _described(profile: Profile) -> Markup:
    return join(name(profile.name), " (", word(profile.provider), f", id {profile.id})")


def _changed(change: Change) -> Markup:
    fields = list(change.fields.items())
    told: list[Content] = []
    for field, (old, new) in fields[:ENTRIES]:
        told += ["; " if told else " ", clipped(field), ": ", code(write(old))]
        told += [" → ", code(write(new))]
    hidden = len(fields) - ENTRIES
    more = f" and {count_of(hidden, 'field')} more" if hidden > 0 else ""
    return join(_described(change.new), *told, more)
