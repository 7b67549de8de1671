"""The report: what it tells of a backup folder, on a page that is whole, escaped and alone.

How it looks and behaves in a browser is in test_report_browser.py.
"""

import base64
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauthsync import sidecar
from oauthsync.backup import Backup
from oauthsync.cli import cli
from oauthsync.errors import StoreError
from oauthsync.pruning import prune
from oauthsync.report import Facts, gather, render
from oauthsync.report.markup import element
from oauthsync.retention import Policy
from oauthsync.secret import Secret
from oauthsync.sidecar import Entry
from oauthsync.text import inline
from tests.clock import FakeClock
from tests.html_page import Page
from tests.report_folder import (
    CANARIES,
    HOSTILE,
    SCRIPT,
    Folder,
    fill_with_hostile_names,
    report_folder,
)

ALLOWED = {
    *("a", "b", "bdi", "body", "caption", "code", "details", "div", "figcaption", "figure"),
    *("footer", "h1", "h2", "h3", "h4", "head", "header", "html", "li", "main", "meta", "p"),
    *("section", "span", "style", "summary", "table", "tbody", "td", "th", "thead", "time"),
    *("title", "tr", "ul", "svg", "g", "path", "line", "desc"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    with report_folder(tmp_path / "folder") as made:
        yield made


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of a folder with hostile names."""
    with report_folder(tmp_path_factory.mktemp("hostile") / "folder", profiles=30) as made:
        fill_with_hostile_names(made)
        return made.page()


def facts(folder: Folder) -> Facts:
    return gather(folder.backup, folder.clock.now())


# --- the page as such ---------------------------------------------------------------------------


def test_the_page_is_well_formed_and_made_of_nothing_but_harmless_elements(hostile: str) -> None:
    assert hostile.startswith("<!DOCTYPE html>\n<html lang=")
    assert {tag for tag, _, _ in Page(hostile).elements} <= ALLOWED


def test_the_page_refers_to_nothing_outside_and_runs_nothing(hostile: str) -> None:
    page = Page(hostile)
    ids = Counter(attrs["id"] for _, attrs, _ in page.elements if "id" in attrs)
    assert set(ids.values()) == {1}
    for tag, attrs, _ in page.elements:
        assert not any(name.startswith("on") for name in attrs), tag
        assert not {"src", "srcset", "action", "style", "xlink:href"} & attrs.keys(), tag
        if "href" in attrs:
            assert (attrs["href"] or "")[1:] in ids
            assert (attrs["href"] or "").startswith("#")
        for reference in ("aria-labelledby", "aria-describedby"):
            assert attrs.get(reference, next(iter(ids))) in ids


def test_the_policy_forbids_everything_but_the_page_s_own_style(hostile: str) -> None:
    page = Page(hostile)
    [(_, style)] = page.all("style")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    [policy] = [
        attrs["content"]
        for attrs, _ in page.all("meta")
        if attrs.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    tags = [tag for tag, _, _ in page.elements]
    assert tags.index("style") > tags.index("meta")
    assert "url(" not in style
    assert "@import" not in style


def test_every_table_has_a_caption_and_scopes_and_every_chart_a_title(hostile: str) -> None:
    page = Page(hostile)
    assert len(page.all("table")) == len(page.all("caption")) > 3
    assert {attrs.get("scope") for attrs, _ in page.all("th")} == {"col", "row"}
    charts = [attrs for attrs, _ in page.all("svg") if attrs.get("role") == "img"]
    assert len(charts) == 1
    others = [attrs for attrs, _ in page.all("svg") if attrs.get("role") != "img"]
    assert {attrs.get("aria-hidden") for attrs in others} == {"true"}


def test_headings_skip_no_level(hostile: str) -> None:
    levels = [int(tag[1]) for tag, _, _ in Page(hostile).elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_hostile_names_stand_on_the_page_as_text(hostile: str) -> None:
    names = Page(hostile).texts("bdi")
    for name in HOSTILE:
        assert inline(name) in names
    assert not any(ord(character) < 32 and character != "\n" for character in hostile)
    assert "\u202e" not in hostile


def test_no_secret_and_no_token_is_on_the_page(hostile: str) -> None:
    for canary in CANARIES:
        assert canary not in hostile


def commands(page: Page) -> set[str]:
    """The calls of oauthsync that the page names, all of which exist; numbers left out."""
    found = set()
    for call in (text for text in page.texts("code") if text.startswith("oauthsync ")):
        command: click.Command | None = cli
        words = [word for word in call.split()[1:] if word.islower()]
        for word in words:
            assert isinstance(command, click.Group), call
            command = command.get_command(click.Context(command), word)
        assert command is not None, call
        found.add(" ".join(words))
    return found


def test_the_same_facts_give_the_same_bytes_and_another_time_another_page(folder: Folder) -> None:
    folder.dev.create("hubspot", "Acme", "app")
    folder.export()
    first = folder.page()
    assert folder.page() == first
    folder.pass_days(3)
    assert folder.page() != first


@given(st.text(), st.text())
def test_any_text_comes_back_from_content_and_attribute_as_it_is_shown(
    content: str, value: str
) -> None:
    made = element("p", content, element("bdi", value), title=value)
    [(tag, attrs, text), (inner, _, shown)] = Page(made.html).elements
    assert (tag, inner, attrs) == ("p", "bdi", {"title": inline(value)})
    assert "".join(shown) == inline(value)
    assert "".join(text).rstrip("\n") == (inline(content) + inline(value)).rstrip("\n")


# --- the workspaces -----------------------------------------------------------------------------


def test_a_folder_without_a_snapshot_is_told_so(folder: Folder) -> None:
    folder.backup.database(create=True)
    page = Page(folder.page())
    said = " ".join(page.texts("li"))
    assert "dev was never exported" in said
    assert "prod was never exported" in said
    assert page.all("svg") == []


def test_an_empty_database_is_told_what_to_do_first(tmp_path: Path) -> None:
    with Backup(tmp_path, environ={}, home=tmp_path, clock=FakeClock()) as backup:
        backup.database(create=True)
        page = Page(render(gather(backup, backup.clock.now())))
    assert "There is no snapshot yet" in " ".join(page.texts("p"))
    assert commands(page) == {"export"}


def test_a_folder_without_a_database_is_an_error_that_says_what_to_do(folder: Folder) -> None:
    with pytest.raises(StoreError) as caught:
        facts(folder)
    assert "oauthsync export" in (caught.value.hint or "")


def test_one_snapshot_has_a_chart_of_one_point(folder: Folder) -> None:
    folder.dev.create("hubspot", "Acme", "app")
    folder.export()
    page = Page(folder.page())
    assert "1 profile at " in " ".join(page.texts("p"))
    assert [text for text in page.texts("desc") if text.startswith("1 export: 1 ")]
    assert "What changed" not in page.texts("h3")
    assert [text for text in page.texts("span") if text == "2026-11-23"] == ["2026-11-23"]


def test_what_changed_is_told_with_the_snapshot_that_still_has_it(folder: Folder) -> None:
    kept = folder.dev.create("hubspot", "Kept", "app-1")
    lost = folder.dev.create("hubspot", "Lost", "app-2")
    folder.export()
    folder.pass_days(1)
    folder.dev.delete(lost.id)
    folder.dev.update(kept.id, name="Renamed")
    folder.dev.create("slack", "New", "app-3")
    folder.export()
    page = Page(folder.page())
    [entry] = page.texts("details")
    assert "1 removed, 1 added, 1 changed" in entry
    assert f"Lost (hubspot, id {lost.id})" in entry
    assert "oauthsync plan 1" in entry
    assert commands(page) == {"plan", "secrets fill"}
    assert 'name: "Kept" → "Renamed"' in entry
    assert losses(page) == [
        "dev lost 1 profile in the last 30 days, not back yet: Lost. oauthsync plan 1"
    ]


def losses(page: Page) -> list[str]:
    """The findings that tell of lost profiles."""
    return [text for text in page.texts("li") if " lost " in text]


def test_a_loss_is_a_finding_for_30_days_whatever_is_exported_since(folder: Folder) -> None:
    names = ("First", "Second")
    first, second = (folder.dev.create("hubspot", each, "app").id for each in names)
    folder.export()
    folder.dev.delete(second)
    for _ in range(2):
        folder.export()
    told = "dev lost 1 profile in the last 30 days, not back yet: Second. oauthsync plan 1"
    assert losses(Page(folder.page())) == [told]
    folder.pass_days(1)
    folder.dev.delete(first)
    folder.export()
    told = "dev lost 2 profiles in the last 30 days, not back yet: First, Second. oauthsync log"
    assert losses(Page(folder.page())) == [told]
    folder.pass_days(29.5)
    told = "dev lost 1 profile in the last 30 days, not back yet: First. oauthsync plan 3"
    assert losses(Page(folder.page())) == [told]
    folder.pass_days(1)
    assert losses(Page(folder.page())) == []
    assert "1 removed" in " ".join(Page(folder.page()).texts("details"))


def test_what_is_back_is_no_finding_but_each_of_several_twins_has_to_be(folder: Folder) -> None:
    twins = [folder.dev.create("hubspot", "Twin", "app").id for _ in range(3)]
    folder.export()
    for each in twins[:2]:
        folder.dev.delete(each)
    folder.export()
    folder.dev.create("hubspot", "Twin", "app")
    folder.export()
    assert [each.profile.id for each in facts(folder).workspaces[0].lost] == [twins[1]]
    folder.dev.create("hubspot", "Twin", "app")
    folder.export()
    assert losses(Page(folder.page())) == []


def test_what_a_run_deleted_is_no_loss(folder: Folder) -> None:
    restored(folder)
    folder.export()
    folder.undo(1)
    folder.export()
    [dev, _prod] = facts(folder).workspaces
    before, after = dev.changes[1].difference, dev.changes[0].difference
    assert len(before.added) == len(after.removed) == 2
    assert [each.profile for each in dev.lost] == list(before.removed)
    assert {each.snapshot for each in dev.lost} == {1}


def test_thousands_of_profiles_are_counted_and_cut(folder: Folder) -> None:
    for number in range(3000):
        folder.dev.create("hubspot", f"Acme {number} {'x' * 500}", f"app-{number}")
        if number in (0, 1499):
            folder.export()
    folder.export()
    page = folder.page()
    assert len(page) < 200_000
    assert commands(Page(page)) == {"secrets fill", "secrets missing"}
    assert "0 of 3000 profiles could; 3000 lack their client secret." in page
    assert "… and 2900 more: " in page
    assert "… and 1480 more" in page
    assert "x" * 130 not in page


def test_a_workspace_that_never_changed_is_told_so(folder: Folder) -> None:
    folder.export()
    folder.export()
    assert "Nothing, from the first export to the last." in Page(folder.page()).texts("p")


def test_of_many_changes_the_newest_are_shown(folder: Folder) -> None:
    for number in range(25):
        folder.dev.create("hubspot", f"Acme {number}", "app")
        folder.export()
    page = Page(folder.page())
    entries = [text for text in page.texts("details") if "added" in text]
    assert len(entries) == 20
    assert "Acme 24" in entries[0]
    assert "… and 4 older changes: oauthsync log" in " ".join(page.texts("p"))
    assert "log" in commands(page)


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00Z", "2026-01-01 <b>", "9999-12-31T23:59:59Z"])
def test_a_time_that_nobody_expects_is_told_as_it_is(folder: Folder, time: str) -> None:
    folder.export()
    with folder.backup.database().conn as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute("UPDATE snapshots SET taken_at = ?", [time])
    page = Page(folder.page())
    [row, _prod] = page.rows("Workspaces, and what could be restored today")
    assert row[2].startswith(time[:10])
    assert len(page.all("figure")) == ("T" in time)


# --- what could be restored ---------------------------------------------------------------------


def test_profiles_with_and_without_their_secret_are_told_apart(folder: Folder) -> None:
    folder.dev.create("hubspot", "Ready", "app-1")
    folder.dev.create("hubspot", "Bare", "app-2")
    folder.dev.create("slack", "Other provider", "app-1")
    none = folder.dev.create("hubspot", "No client id", "app-3")
    folder.dev.set_document(
        none.id, json.dumps({"id": none.id, "name": "No client id", "provider": "hubspot"})
    )
    folder.file_secret("hubspot", "app-1")
    folder.export()
    [dev, _prod] = facts(folder).workspaces
    assert dev.restorable is not None
    assert [each.name for each in dev.restorable.ready] == ["Ready"]
    assert [app.client_id for app in dev.restorable.missing] == ["app-2", "app-1"]
    assert [each.name for each in dev.restorable.without_client_id] == ["No client id"]
    assert dev.restorable.lacking == 3
    page = Page(folder.page())
    assert (
        "1 of 4 profiles could; 2 lack their client secret; 1 have no client id in the backup."
        in (" ".join(page.texts("p")))
    )
    assert ["slack", "app-1", "Other provider"] in page.rows("Client secrets that are missing")


def test_without_a_sidecar_every_secret_is_missing_and_the_page_says_why(folder: Folder) -> None:
    folder.dev.create("hubspot", "Acme", "app")
    folder.export()
    page = Page(folder.page())
    assert "There is no sidecar." in page.texts("p")
    assert "0 of 1 profile could; 1 lacks its client secret." in " ".join(page.texts("p"))


def test_a_sidecar_that_does_not_open_leaves_open_what_could_be_restored(folder: Folder) -> None:
    folder.dev.create("hubspot", "Acme", "app")
    folder.file_secret("hubspot", "app")
    folder.export()
    file = folder.path / "secrets.age"
    file.write_bytes(file.read_bytes()[:-60])
    report = facts(folder)
    assert report.sidecar.state == "closed"
    assert "secrets.age" in report.sidecar.why
    assert report.workspaces[0].restorable is None
    page = Page(folder.page())
    assert any("The sidecar did not open" in each for each in page.texts("li"))
    [row, _prod] = page.rows("Workspaces, and what could be restored today")
    assert row[-2:] == ["–", "–"]


def test_a_secret_of_no_known_age_is_listed_all_the_same(folder: Folder) -> None:
    folder.file_secret("hubspot", "tomorrow", days_ago=-1)
    entry = Entry("hubspot", "never", Secret("x"), None, "2026-99-99T00:00:00Z")
    sidecar.update(folder.backup.config.sidecar, folder.backup.sidecar.key, [entry])
    folder.export()
    rows = Page(folder.page()).rows("Age of each secret")
    assert [(row[1], row[3]) for row in rows] == [("tomorrow", "–"), ("never", "–")]


def test_secrets_are_listed_by_age_with_the_profiles_that_use_them(folder: Folder) -> None:
    folder.dev.create("slack", "Acme", "app-1")
    folder.prod.create("slack", "Acme", "app-1")
    folder.file_secret("hubspot", "unused")
    folder.file_secret("slack", "app-1", days_ago=400)
    folder.export("dev")
    folder.export("prod")
    rows = Page(folder.page()).rows("Age of each secret")
    assert [[row[0], row[1], *row[3:]] for row in rows] == [
        ["slack", "app-1 and a token", "400 days", "2"],
        ["hubspot", "unused", "0 hours", "0"],
    ]


# --- the runs -----------------------------------------------------------------------------------


def restored(folder: Folder) -> int:
    """Lose a profile that is in use, and get it back; its new id."""
    lost = folder.dev.create("hubspot", SCRIPT, "app", shared_accounts_count=3)
    folder.dev.create("hubspot", "Never used", "app")
    folder.file_secret("hubspot", "app")
    folder.export()
    for profile_id in list(folder.dev.profiles):
        folder.dev.delete(profile_id)
    folder.restore()
    [new] = [each for each in folder.dev.profiles.values() if each.document["name"] == SCRIPT]
    assert new.id != lost.id
    folder.pass_days(1)
    return new.id


def test_a_run_is_listed_with_what_has_to_be_re_pointed(folder: Folder) -> None:
    new = restored(folder)
    [run] = facts(folder).runs
    assert (run.done, run.failed, run.planned) == (2, 0, 0)
    [each] = facts(folder).repoints
    assert (each.target_id, each.source.uses, each.state, each.is_due) == (new, 3, "unseen", True)
    rows = Page(folder.page()).rows("Connections and customers then and now")
    assert [[row[0], *row[4:]] for row in rows] == [[SCRIPT, str(new), "3", "no export since"]]


@pytest.mark.parametrize(("uses", "state"), [(0, "open"), (2, "open"), (3, "moved"), (4, "moved")])
def test_the_target_s_next_export_tells_how_far_re_pointing_is(
    folder: Folder, uses: int, state: str
) -> None:
    folder.dev.update(restored(folder), shared_accounts_count=uses)
    folder.export()
    [each] = facts(folder).repoints
    assert (each.state, each.uses, each.is_due) == (state, uses, state == "open")
    assert ("Used by as many as before already: 1." in folder.page()) == (state == "moved")


def test_what_has_to_be_re_pointed_is_known_when_its_snapshot_was_pruned(folder: Folder) -> None:
    new = restored(folder)
    folder.export()
    prune(folder.backup.database(), Policy(last=1))
    [each] = facts(folder).repoints
    assert (each.target_id, each.source.uses) == (new, 3)


def test_use_that_the_api_does_not_tell_stays_to_be_re_pointed(folder: Folder) -> None:
    folder.dev.update(restored(folder), shared_accounts_count=None)
    folder.export()
    [each] = facts(folder).repoints
    assert (each.state, each.uses) == ("open", None)


def test_what_is_gone_again_need_not_be_re_pointed(folder: Folder) -> None:
    folder.dev.delete(restored(folder))
    folder.export()
    [each] = facts(folder).repoints
    assert (each.state, each.is_due) == ("gone", False)
    assert "No longer in the target: 1." in folder.page()


def test_a_run_that_was_undone_leaves_nothing_to_re_point(folder: Folder) -> None:
    restored(folder)
    folder.undo(1)
    assert facts(folder).repoints == ()
    page = Page(folder.page())
    states = [
        (row[1], row[5]) for row in page.rows("What was written to a workspace, the newest first")
    ]
    assert [kind for kind, _ in states] == ["undo of run 1", "import"]
    assert states[1][1].startswith("undone")
    assert "Nothing that an import created has to be re-pointed." in page.texts("p")


def test_a_run_of_which_nothing_is_left_leaves_nothing_to_re_point(folder: Folder) -> None:
    restored(folder)
    for profile_id in list(folder.dev.profiles):
        folder.dev.delete(profile_id)
    folder.undo(1)
    [run] = facts(folder).runs
    assert run.run.state == "undone"
    assert facts(folder).repoints == ()


def test_what_an_undo_deleted_need_not_be_re_pointed_whatever_it_left(folder: Folder) -> None:
    new = restored(folder)
    [other] = folder.dev.profiles.keys() - {new}
    folder.dev.update(other, name="Changed since")
    folder.undo(1)
    assert list(folder.dev.profiles) == [other]
    assert facts(folder).runs[-1].run.state == "complete"
    assert facts(folder).repoints == ()


def test_of_two_restores_of_one_profile_the_newer_counts(folder: Folder) -> None:
    folder.dev.delete(restored(folder))
    folder.restore()
    newest = max(folder.dev.profiles)
    assert [each.target_id for each in facts(folder).repoints] == [newest]


def test_a_cut_off_run_is_a_finding_with_the_way_on(folder: Folder) -> None:
    restored(folder)
    with folder.backup.database().conn as connection:
        connection.execute("UPDATE runs SET state = 'running', finished_at = NULL")
    page = Page(folder.page())
    folder.export()
    assert any("oauthsync resume 1" in each for each in page.texts("li"))
    assert commands(page) == {"resume"}
    assert facts(folder).repoints[0].state == "unseen"
