"""`export`, `snapshots`, `show`, `diff` and `log` answer as documented, for people and for jobs."""

import json

import pytest

from oauthsync.sandbox import Fault
from tests.desk import DEV, PROD, Desk, workspace
from tests.everyday import installed

# export


def test_an_export_answers_with_its_snapshot(desk: Desk) -> None:
    desk.create("Acme", "Beta")
    answer = desk.done("export")
    [snapshot] = answer["snapshots"]
    assert answer.keys() == {"snapshots"}
    assert list(snapshot) == [
        *("id", "workspace", "taken_at", "profiles", "kind"),
        *("added", "changed", "removed", "requests", "listings"),
    ]
    assert snapshot | {"taken_at": ""} == {
        "id": 1,
        "workspace": "dev",
        "taken_at": "",
        "profiles": 2,
        "kind": "export",
        "added": 0,
        "changed": 0,
        "removed": 0,
        "requests": 1,
        "listings": 1,
    }


def test_export_takes_named_workspaces_each_once_and_in_their_order(desk: Desk) -> None:
    answer = desk.done("export", "prod", "dev", "prod")
    assert [each["workspace"] for each in answer["snapshots"]] == ["prod", "dev"]


def test_export_all_takes_every_configured_workspace(desk: Desk) -> None:
    answer = desk.done("export", "--all")
    assert [each["workspace"] for each in answer["snapshots"]] == ["dev", "prod"]
    assert "name workspaces, or give --all" in desk.refused("export", "--all", "dev").err
    desk.configure("")
    assert desk.refused("export", "--all").code == 2


def test_one_workspace_that_fails_costs_the_others_nothing(desk: Desk) -> None:
    desk.configure(
        workspace("dev", desk.sandbox.url, "DEV") + workspace("bad", desk.sandbox.url, "BAD")
    )
    called = desk.call("export", "--all", "--json")
    assert called.code == 6
    assert [each["workspace"] for each in called.json["snapshots"]] == ["dev"]
    [failed] = called.json["failed"]
    assert failed.keys() == {"workspace", "error", "hint", "exit_code"}
    assert (failed["workspace"], failed["hint"], failed["exit_code"]) == ("bad", "set BAD", 3)
    assert "environment variable BAD is not set" in failed["error"]
    assert "bad was not exported: " in called.err
    assert "set BAD" in called.err


def test_where_all_workspaces_fail_for_the_same_reason_its_code_is_theirs(desk: Desk) -> None:
    """A job that takes 6 for "in part" is not to take a lost token for that."""
    url = desk.sandbox.url
    desk.configure(workspace("bad", url, "BAD") + workspace("worse", url, "WORSE"))
    called = desk.call("export", "--all", "--json")
    assert (called.code, called.json["snapshots"]) == (3, [])
    assert len(called.json["failed"]) == 2


def test_a_single_workspace_that_fails_ends_with_its_own_code(desk: Desk) -> None:
    desk.configure(workspace("bad", desk.sandbox.url, "BAD"))
    assert desk.refused("export").code == 3


def test_an_empty_folder_is_told_to_begin_with_init(desk: Desk) -> None:
    (desk.folder / "oauthsync.toml").unlink()
    called = desk.refused("export")
    assert called.code == 2
    assert "`oauthsync init` writes oauthsync.toml, or set both WORKATO_API_TOKEN" in called.err
    desk.configure("")
    assert "init" not in desk.refused("export").err


def test_a_loss_is_a_warning_that_names_it_and_the_snapshot_that_still_has_it(desk: Desk) -> None:
    lost, *_ = desk.create("Acme \x1b[31m", "Beta")
    desk.done("export")
    desk.sandbox.workspace(DEV).delete(lost.id)
    called = desk.call("export", "--quiet")
    assert (called.code, called.out) == (0, "")
    assert "1 profile gone from dev since the last export; snapshot 1 (" in called.err
    assert f"  Acme \\x1b[31m (hubspot, id {lost.id})\n" in called.err
    assert "`oauthsync plan 1` shows what would bring it back" in called.err
    assert desk.call("export").err == ""


def test_what_was_created_again_has_a_new_id_and_is_named_with_both(desk: Desk) -> None:
    lost, *_ = desk.create("Acme", "Beta")
    desk.done("export")
    desk.sandbox.workspace(DEV).delete(lost.id)
    [again] = desk.create("Acme")
    assert f"  ± Acme  id {lost.id} → {again.id}\n" in desk.call("diff").out
    called = desk.call("export", "--json")
    assert "1 profile of dev created again since the last export; snapshot 1 (" in called.err
    assert f"  Acme (hubspot, id {lost.id}), now {again.id}\n" in called.err
    assert "gone" not in called.err
    assert [called.json["snapshots"][0][name] for name in ("added", "removed")] == [1, 1]
    assert [len(desk.done("diff", "1", "2")[name]) for name in ("added", "removed")] == [1, 1]


def test_of_twins_only_those_are_lost_that_none_was_created_in_place_of(desk: Desk) -> None:
    twins = desk.create("Acme", "Acme", "Acme")
    desk.done("export")
    for profile in twins:
        desk.sandbox.workspace(DEV).delete(profile.id)
    first, second = desk.create("Acme", "Acme")
    told = desk.call("export").err
    assert "1 profile gone from dev since the last export" in told
    assert f"\n  Acme (hubspot, id {twins[2].id})\n" in told
    assert "2 profiles of dev created again since the last export" in told
    for old, new in zip(twins, (first, second), strict=False):
        assert f"  Acme (hubspot, id {old.id}), now {new.id}\n" in told


def test_a_great_loss_is_told_as_a_whole_where_there_is_no_terminal(desk: Desk) -> None:
    lost = desk.create(*(f"Acme {number}" for number in range(30)))
    desk.done("export")
    for profile in lost:
        desk.sandbox.workspace(DEV).delete(profile.id)
    called = desk.call("export")
    assert called.err.count("(hubspot") == 30
    desk.create("Other")
    desk.done("export")
    assert "removed" in desk.call("diff", "1", "3", "-v").out


def test_an_export_that_fails_stores_nothing(desk: Desk) -> None:
    desk.sandbox.faults = [Fault("redirect")]
    assert desk.refused("export").code == 5
    assert not (desk.folder / "oauthsync.db").exists()


def test_a_database_that_cannot_be_used_is_told_before_anything_is_read(desk: Desk) -> None:
    (desk.folder / "oauthsync.db").write_text("not a database at all, but long enough to look")
    assert desk.refused("export").code == 1
    assert desk.sandbox.requests == []


def test_an_export_does_not_start_over_in_a_database_that_is_empty_now(desk: Desk) -> None:
    database = desk.folder / "oauthsync.db"
    desk.done("export")
    database.write_bytes(b"")
    for command in "export", "check", "doctor":
        called = desk.call(command)
        assert called.code == 1
        assert "oauthsync.db is empty: it has lost what it held" in called.out + called.err
    assert database.stat().st_size == 0


def test_side_by_side_workspaces_wait_for_each_other_only_in_memory(desk: Desk) -> None:
    """Both requests are under way at once: neither is answered before the other has come."""
    import threading

    both = threading.Barrier(2, timeout=10)

    def meet(_request: object) -> None:
        both.wait()

    desk.sandbox.hook = meet
    assert len(desk.done("export", "--all")["snapshots"]) == 2


# snapshots, show


def test_snapshots_are_listed_newest_first_and_by_workspace(desk: Desk) -> None:
    desk.done("export")
    desk.done("export", "prod")
    desk.done("export")
    found = desk.done("snapshots")["snapshots"]
    assert [each["id"] for each in found] == [3, 2, 1]
    assert [each["id"] for each in desk.done("snapshots", "--workspace", "prod")["snapshots"]] == [
        2
    ]
    lines = desk.call("snapshots").out.splitlines()
    assert lines[0].split() == [
        *("id", "workspace", "taken", "at", "kind", "profiles", "added", "changed", "removed")
    ]
    assert len(lines) == 4


def test_an_empty_list_says_so(desk: Desk) -> None:
    desk.done("export")
    assert desk.call("snapshots", "--workspace", "prod").out == "no snapshots\n"
    assert desk.call("show").out == "no profiles\n"
    assert desk.call("log").out.startswith("no changes from one export to the next\n")
    assert desk.call("runs").out == "no runs\n"


def test_show_gives_each_profile_exactly_as_the_api_returned_it(desk: Desk) -> None:
    [profile] = desk.create("Acme")
    document = (
        f'{{"id": {profile.id}, "name": "Acme", "provider": "hubspot", "user_id": 5001, "data":'
        ' {"client_id": "app", "n": 12345678901234567890123, "f": 1.0, "e": 1E+3, "x": null}}'
    )
    desk.sandbox.workspace(DEV).set_document(profile.id, document)
    desk.done("export")
    out = desk.call("show", "--json").out
    for text in ('"n":12345678901234567890123', '"f":1.0', '"e":1E+3', '"x":null'):
        assert text in out
    answer = json.loads(out)
    assert answer.keys() == {"snapshot", "profiles"}
    assert answer["snapshot"]["id"] == 1
    assert answer["profiles"] == [json.loads(document)]


def test_show_filters_by_provider_and_by_glob(desk: Desk) -> None:
    desk.create("Acme 1", "Beta 1")
    desk.create("Acme 2", provider="slack")
    desk.done("export")

    def names(*args: str) -> list[str]:
        return [each["name"] for each in desk.done("show", *args)["profiles"]]

    assert names("--provider", "slack") == ["Acme 2"]
    assert names("--name", "Acme *") == ["Acme 1", "Acme 2"]
    assert names("--name", "acme *") == []
    assert names("--name", "Acme *", "--provider", "hubspot") == ["Acme 1"]


def test_a_provider_is_matched_exactly_with_a_hint_at_the_nearest(desk: Desk) -> None:
    desk.create("Acme")
    desk.done("export")
    called = desk.call("show", "--provider", "HubSpot")
    assert (called.code, called.out) == (0, "no profiles\n")
    assert called.err == "warning: there is no provider 'HubSpot' here: did you mean hubspot?\n"
    assert desk.call("log", "--provider", "HubSpot").err == called.err
    assert desk.call("log", "--provider", "hubspot").err == ""


@pytest.mark.parametrize("command", ["show", "log"])
def test_where_a_name_fits_nothing_it_is_told_how_names_are_compared(
    desk: Desk, command: str
) -> None:
    desk.done("export")
    desk.create("Acme Box")
    desk.done("export")
    assert desk.call(command, "--name", "Acme*Box*").err == ""
    called = desk.call(command, "--provider", "hubspot", "--name", "acme*box*")
    assert (called.code, called.out[:3]) == (0, "no ")
    assert called.err.startswith(
        "--name 'acme*box*' fits no name: upper and lower case differ; * stands for"
    )
    assert desk.call(command, "--quiet", "--name", "acme*box*").err == ""
    desk.done("export")
    assert desk.call("log", "--name", "Acme*", "--provider", "slack").err.count("--name") == 0


def test_a_list_in_a_pipe_is_never_folded_or_shortened(desk: Desk) -> None:
    long = "A name of many words that goes on and on, well beyond any terminal's eighty columns"
    desk.create(*(f"{long} {number}" for number in range(30)))
    desk.done("export")
    out = desk.call("show").out
    assert len(out.splitlines()) == 31
    assert out.count(long) == 30


# selectors


def test_a_snapshot_is_selected_by_id_latest_or_date(desk: Desk) -> None:
    for name in ("one", "two", "three"):
        desk.create(name)
        desk.done("export")
    desk.done("export", "prod")
    today = desk.done("snapshots")["snapshots"][0]["taken_at"][:10]

    def selected(*args: str) -> int:
        found: int = desk.done("show", *args)["snapshot"]["id"]
        return found

    assert selected() == selected("latest") == selected("latest~0") == 4
    assert selected("latest", "--workspace", "dev") == selected("latest~1") == 3
    assert selected("latest~2", "--workspace", "dev") == 1
    assert selected("2") == 2
    assert selected(today) == 4
    assert selected(today, "--workspace", "dev") == 3


def test_the_latest_snapshot_of_another_workspace_than_the_default_is_a_warning(desk: Desk) -> None:
    desk.create("one")
    desk.done("export")
    assert desk.call("show").err == ""
    desk.done("export", "prod")
    warning = "latest is snapshot 2, of prod, and the default workspace is dev: name one by"
    for args in (("show",), ("diff", "latest", "1"), ("secrets", "missing")):
        assert warning in desk.call(*args).err
    assert desk.call("show", "2").err == desk.call("show", "--workspace", "prod").err == ""


def test_an_export_of_another_workspace_under_the_name_is_refused_also_where_that_is_empty(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.create("one")
    desk.done("export")
    monkeypatch.setenv("DEV", PROD)
    for args in (("export",), ("diff",), ("plan",), ("profiles", "list")):
        assert "another workspace now" in desk.refused(*args).err
    assert len(desk.done("snapshots")["snapshots"]) == 1


def test_two_names_of_one_workspace_are_a_warning(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Source and target of a migration may have got the same token by mistake."""
    desk.create("one")
    monkeypatch.setenv("PROD", DEV)
    told = "are one workspace (id 5001): if that is not meant so, check their URLs and tokens"
    assert desk.call("export", "--all").err.count(told) == 1
    assert f"dev and prod {told}" in desk.call("plan", "--from", "dev", "--to", "prod").out
    assert told in desk.call("plan", "--from", "dev", "--to", "prod", "--json").err
    assert told not in desk.call("plan", "--from", "dev").out
    assert "are one workspace (id 5001)" in desk.call("doctor").out


def test_a_workspace_under_a_new_name_is_known(desk: Desk) -> None:
    desk.create("one")
    desk.done("export")
    toml = desk.folder / "oauthsync.toml"
    desk.configure(toml.read_text().replace("dev", "development"))
    told = "development and dev are one workspace (id 5001): there are snapshots under both names"
    assert told in desk.call("export", "development").err
    assert told not in desk.call("export", "development").err


@pytest.mark.parametrize("args", [("diff",), ("secrets", "missing"), ("diff", "1", "latest")])
def test_an_exit_code_is_about_a_workspace_that_was_named(
    desk: Desk, args: tuple[str, ...]
) -> None:
    """A script reads no warning: it would take the empty one's for the one that it means."""
    desk.create("one")
    desk.done("export")
    assert desk.call(*args, "--exit-code", "--workspace", "dev").code in (0, 1, 4)
    desk.done("export", "prod")
    called = desk.refused(*args, "--exit-code")
    assert (called.code, "of any of dev, prod" in called.err) == (2, True)
    assert desk.call(*args, "--exit-code", "--workspace", "dev").code in (0, 4)


@pytest.mark.parametrize(
    ("selector", "code"),
    [
        ("latest~9", 1),
        ("99", 1),
        ("2001-01-01", 1),
        ("yesterday", 2),
        ("latest~", 2),
        ("2026-13-01", 2),
        ("-1", 2),
        ("", 2),
        ("٣", 2),
    ],
)
def test_a_selector_that_selects_nothing_is_an_error(desk: Desk, selector: str, code: int) -> None:
    desk.done("export")
    called = desk.refused("show", selector)
    assert called.code == code
    assert "hint: " in called.err


def test_without_a_database_the_hint_is_to_take_a_snapshot(desk: Desk) -> None:
    for command in ("snapshots", "show", "diff", "log", "plan", "runs", "resume", "undo"):
        called = desk.refused(command)
        assert called.code == 1
        assert "`oauthsync export`" in called.err
    assert not (desk.folder / "oauthsync.db").exists()


# diff


def test_diff_compares_the_latest_snapshot_with_the_workspace_as_it_is(desk: Desk) -> None:
    gone, renamed, *_ = desk.create("Acme", "Beta", "Same")
    desk.done("export")
    dev = desk.sandbox.workspace(DEV)
    dev.delete(gone.id)
    dev.update(renamed.id, name="Gamma", shared_accounts_count=7)
    [new] = desk.create("New", provider="slack")
    answer = desk.done("diff")
    assert list(answer) == ["from", "to", "added", "removed", "changed"]
    assert (answer["from"]["id"], answer["from"]["kind"]) == (1, "export")
    assert (answer["to"]["workspace"], answer["to"]["kind"]) == ("dev", "live")
    assert [each["id"] for each in answer["added"]] == [new.id]
    assert [each["name"] for each in answer["removed"]] == ["Acme"]
    assert answer["changed"] == [
        {
            "id": renamed.id,
            "provider": "hubspot",
            "name": "Gamma",
            "fields": {"name": ["Beta", "Gamma"]},
        }
    ]
    assert desk.call("diff").code == 0
    assert desk.call("diff", "--exit-code").code == 4


def test_a_difference_reads_like_a_good_diff(desk: Desk) -> None:
    gone, renamed = desk.create("Acme", "株式会社さくら")
    desk.create("Same", provider="slack")
    desk.done("export")
    desk.sandbox.workspace(DEV).delete(gone.id)
    desk.sandbox.workspace(DEV).update(renamed.id, name="さくら")
    [new] = desk.create("New", provider="asana")
    lines = desk.call("diff").out.splitlines()
    assert lines[0].startswith("--- dev, snapshot 1, 20")
    assert lines[1].startswith("+++ dev, now, 20")
    assert lines[2:] == [
        "asana",
        f"  + New     id {new.id}",
        "hubspot",
        f"  - Acme    id {gone.id}",
        f"  ~ さくら  id {renamed.id}",
        '      name: "株式会社さくら" → "さくら"',
        "1 added, 1 removed, 1 changed",
    ]


def test_counts_and_updated_at_alone_are_no_change(desk: Desk) -> None:
    [profile] = desk.create("Acme")
    desk.done("export")
    desk.sandbox.workspace(DEV).update(profile.id, shared_accounts_count=9, oem_customers_count=3)
    answer = desk.done("diff", "--exit-code")
    assert (answer["added"], answer["removed"], answer["changed"]) == ([], [], [])


def test_a_bad_side_of_diff_gets_a_hint_that_names_live(desk: Desk) -> None:
    desk.done("export")
    assert (
        "or a date like 2026-11-20; `live` is the workspace" in desk.refused("diff", "1", "liv").err
    )


def test_diff_compares_snapshots_in_either_direction(desk: Desk) -> None:
    [profile] = desk.create("Acme")
    desk.done("export")
    desk.sandbox.workspace(DEV).delete(profile.id)
    desk.done("export")
    requests = len(desk.sandbox.requests)
    assert len(desk.done("diff", "latest~1", "latest")["removed"]) == 1
    assert len(desk.done("diff", "latest", "1")["added"]) == 1
    assert len(desk.sandbox.requests) == requests
    assert len(desk.done("diff", "live", "1")["added"]) == 1
    assert desk.done("diff", "live", "2")["from"]["kind"] == "live"
    assert desk.refused("diff", "live", "live").code == 2


def test_a_difference_of_two_workspaces_is_told_as_one(desk: Desk) -> None:
    desk.create("Acme")
    desk.done("export", "--all")
    ids = {each["workspace"]: str(each["id"]) for each in desk.done("snapshots")["snapshots"]}
    called = desk.call("diff", ids["dev"], ids["prod"])
    assert "two workspaces" in called.err
    assert "0 added, 1 removed" in called.out
    desk.sandbox.workspace(PROD).create("hubspot", "Acme", "app")
    called = desk.call("diff", ids["dev"], str(desk.done("export", "prod")["snapshots"][0]["id"]))
    assert "by their ids and, where those differ, by provider, name and client id\n" in called.err
    assert "0 added, 0 removed, 0 changed, 1 with a new id" in called.out


def test_a_name_that_leads_elsewhere_now_is_no_loss(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.create("Acme")
    desk.sandbox.workspace(PROD).create("hubspot", "Other", "app")
    desk.done("export")
    monkeypatch.setenv("DEV", PROD)
    called = desk.refused("diff")
    assert called.code == 1
    assert "another workspace now" in called.err


def test_a_great_difference_is_whole_in_a_pipe(desk: Desk) -> None:
    desk.done("export")
    desk.create(*(f"Acme {number}" for number in range(30)))
    told = desk.call("diff").out
    assert told.count("  + Acme") == 30
    assert told.splitlines()[-1] == "30 added, 0 removed, 0 changed"


# log


def test_log_tells_what_came_and_went_newest_first(desk: Desk) -> None:
    desk.done("export")
    acme, beta = desk.create("Acme", "Beta")
    desk.done("export")
    desk.done("export")
    desk.sandbox.workspace(DEV).delete(acme.id)
    desk.done("export")
    log = desk.done("log")["log"]
    assert [each["snapshot"] for each in log] == [4, 2]
    assert list(log[0]) == ["snapshot", "workspace", "taken_at", "added", "removed", "changed"]
    assert [each["name"] for each in log[0]["removed"]] == ["Acme"]
    assert [each["name"] for each in log[1]["added"]] == ["Acme", "Beta"]
    assert [each["snapshot"] for each in desk.done("log", "--name", "B*")["log"]] == [2]
    assert desk.done("log", "--provider", "slack")["log"] == []
    assert desk.done("log", "--workspace", "prod")["log"] == []
    vanished, appeared = desk.call("log").out.split("\n\n")
    heading, *_, last = vanished.splitlines()
    assert heading == f"snapshot 4 of dev, {log[0]['taken_at']}, against snapshot 3"
    assert last == "snapshot 3 has what was removed"
    assert appeared.splitlines()[-1] == "2 added, 0 removed, 0 changed"
    desk.sandbox.workspace(DEV).delete(beta.id)
    desk.create("Beta")
    desk.done("export")
    newest = desk.call("log").out.split("\n\n")[0]
    assert newest.splitlines()[-1] == "0 added, 0 removed, 0 changed, 1 with a new id"


def test_log_says_up_to_when_it_knows_and_how_to_see_the_rest(desk: Desk) -> None:
    desk.create("Acme")
    desk.done("export")
    desk.done("export", "prod")
    [prod, dev] = desk.done("snapshots")["snapshots"]
    desk.sandbox.workspace(DEV).delete(next(iter(desk.sandbox.workspace(DEV).profiles)))
    requests = len(desk.sandbox.requests)
    shows = "shows what changed since"
    assert desk.call("log").out.splitlines() == [
        "no changes from one export to the next",
        "",
        "exports were compared, up to",
        f"snapshot 1 of dev, {dev['taken_at']}: `oauthsync diff 1` {shows}",
        f"snapshot 2 of prod, {prod['taken_at']}: `oauthsync diff 2` {shows}",
    ]
    assert len(desk.sandbox.requests) == requests
    assert "snapshot 1 of dev" not in desk.call("log", "--workspace", "prod").out


# through the installed command


def test_the_installed_command_exports_shows_and_fails_as_it_should(desk: Desk) -> None:
    desk.create("Acme", "Beta")
    done = installed("export")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1].split() == ["dev", "1", "2", "0", "0", "0", "1"]
    shown = json.loads(installed("show", "--json").stdout)
    assert [each["name"] for each in shown["profiles"]] == ["Acme", "Beta"]
    failed = installed("export", DEV="mistyped", PROD=PROD)
    assert (failed.returncode, failed.stdout) == (3, "")
