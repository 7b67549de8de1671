"""The sections about the folder as a whole: its secrets, its runs, and what those left to do."""

from collections.abc import Sequence

from oauthsync.clock import moment
from oauthsync.report.facts import Facts, FiledSecret, Repoint, RunFacts, Sidecar
from oauthsync.report.markup import Content, Markup, element, join
from oauthsync.report.parts import (
    NONE,
    age,
    code,
    folded,
    name,
    section,
    when,
    word,
)
from oauthsync.text import count_of

BAR = 60
"""Units that the oldest secret's age is drawn with."""


def secrets(sidecar: Sidecar, now: float) -> Markup:
    """How old each secret is."""
    said = {
        "open": f"{count_of(len(sidecar.secrets), 'secret')} in the sidecar, the oldest first.",
        "closed": f"The sidecar did not open: {sidecar.why}.",
        "absent": "There is no sidecar.",
    }
    oldest = max((_seconds(secret, now) for secret in sidecar.secrets), default=0.0)
    return section(
        "secrets",
        "Secrets",
        element("p", said[sidecar.state]),
        folded(
            "Age of each secret",
            ("Provider", "Client id", "Filed", "#Age", "#Profiles"),
            (_secret(each, now, oldest) for each in sidecar.secrets),
            len(sidecar.secrets),
            "secrets list",
        ),
    )


def _secret(secret: FiledSecret, now: float, oldest: float) -> Sequence[Content]:
    length = round(BAR * _seconds(secret, now) / oldest) if oldest else 0
    bar = element(
        "svg",
        element("path", d=f"M0 4h{max(1, length)}"),
        class_="age",
        viewBox=f"0 0 {BAR} 8",
        aria_hidden="true",
    )
    return (
        word(secret.provider),
        join(code(secret.client_id), " and a token" if secret.has_token else ""),
        when(secret.updated_at),
        join(bar, age(secret.updated_at, now)),
        secret.profiles,
    )


def _seconds(secret: FiledSecret, now: float) -> float:
    at = moment(secret.updated_at)
    return 0.0 if at is None else max(0.0, now - at)


def runs(report: Facts) -> Markup:
    """What was written to workspaces, and what is left to do by hand."""
    return section(
        "runs",
        "Runs",
        "" if report.runs else element("p", "There were none."),
        folded(
            "What was written to a workspace, the newest first",
            ("#Run", "Kind", "Target", "Snapshot", "Began", "State", "#Done", "#Failed", "#Open"),
            map(_run, report.runs),
            len(report.runs),
            "runs",
        ),
        element("h3", "Still to be re-pointed", id="repoint"),
        *_repoints(report.repoints),
    )


def _run(facts: RunFacts) -> Sequence[Content]:
    run = facts.run
    verified = {True: ", verified", False: ", not verified", None: ""}[run.verified]
    return (
        run.id,
        f"{run.kind} of run {run.undoes}" if run.undoes is not None else run.kind,
        name(run.target),
        NONE if run.snapshot is None else join(run.snapshot, " of ", name(run.source or "")),
        when(run.started_at),
        f"{run.state}{verified}",
        facts.done,
        facts.failed,
        facts.planned,
    )


def _repoints(repoints: Sequence[Repoint]) -> Sequence[Content]:
    due = [each for each in repoints if each.is_due]
    moved = sum(each.state == "moved" for each in repoints)
    gone = sum(each.state == "gone" for each in repoints)
    said = ["Nothing that an import created has to be re-pointed."]
    if due:
        said = [
            "These were in use, and have a new id since an import. Choose each in the connections"
            " and for the customers of the target that used the old one, or take the place of"
            " those that did, and authorise the connections again."
        ]
    said += [f"Used by as many as before already: {moved}."] if moved else []
    said += [f"No longer in the target: {gone}."] if gone else []
    return (
        element("p", " ".join(said)),
        folded(
            "Connections and customers then and now",
            ("Name", "Provider", "Target", "#Old id", "#New id", "#Then", "#Now"),
            map(_repoint, due),
            len(due),
            "runs show RUN",
        ),
    )


def _repoint(each: Repoint) -> Sequence[Content]:
    return (
        name(each.source.name),
        word(each.source.provider),
        name(each.target),
        each.source.id,
        each.target_id,
        _uses(each.source.uses),
        "no export since" if each.state == "unseen" else _uses(each.uses),
    )


def _uses(uses: int | None) -> Content:
    return "not told" if uses is None else uses
