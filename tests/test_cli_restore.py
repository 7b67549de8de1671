"""`plan`, `import`, `runs`, `resume` and `undo` say what they will do, and what they did."""

import json
import shlex
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from oauthsync.sandbox import Fault, Request
from tests.desk import DEV, PROD, Desk, workspace
from tests.everyday import converse


@pytest.fixture
def loss(desk: Desk) -> int:
    """A profile that was exported, and then deleted; its id. Another one is still there."""
    lost, _ = desk.create("Acme", "Beta", shared_accounts_count=2)
    desk.file(("hubspot", "app"))
    desk.done("export")
    desk.sandbox.workspace(DEV).delete(lost.id)
    desk.sandbox.requests.clear()
    return lost.id


def names(desk: Desk, token: str) -> list[str]:
    found = desk.sandbox.workspace(token).profiles.values()
    return sorted(profile.document["name"] for profile in found)


# plan


def test_a_plan_answers_with_its_steps_and_writes_nothing(desk: Desk, loss: int) -> None:
    answer = desk.done("plan")
    assert list(answer) == ["target", "snapshot", "fingerprint", "summary", "steps"]
    assert (answer["target"], answer["snapshot"]) == ("dev", 1)
    assert answer["fingerprint"].startswith("sha256:")
    assert answer["summary"] == {
        "create": 1,
        "update": 0,
        "unchanged": 1,
        "skip": 0,
        "blocked": 0,
    }
    assert answer["steps"][0] == {
        "action": "create",
        "source_id": loss,
        "target_id": None,
        "provider": "hubspot",
        "name": "Acme",
        "client_id": "app",
        "reason": "not in target",
    }
    assert desk.writes() == []
    assert len(desk.done("snapshots")["snapshots"]) == 1


def test_a_plan_reads_like_a_good_diff(desk: Desk, loss: int) -> None:
    lines = desk.call("plan").out.splitlines()
    assert lines[0].startswith("snapshot 1 of dev (20")
    assert lines[0].endswith(f") → dev ({desk.sandbox.url})")
    assert lines[1:] == [
        "hubspot",
        f"  + Acme  id {loss}  not in target",
        "1 to create, 1 unchanged",
        "1 of those to create is in use by 2 connections and customers: the new one has to be"
        " chosen by hand afterwards",
    ]
    assert "  = Beta" in desk.call("plan", "-v").out


def test_a_great_plan_and_what_it_leaves_to_do_are_whole_in_a_pipe(desk: Desk) -> None:
    desk.create(*(f"Acme {number}" for number in range(30)), oem_customers_count=3)
    desk.file(("hubspot", "app"))
    desk.done("export")
    told = desk.call("plan", "--to", "prod").out
    assert told.count("  + Acme") == 30
    assert desk.call("import", "--to", "prod", "--yes").out.count("3 customers") == 30
    assert "more" not in told


def test_what_blocks_or_changes_is_never_folded_behind_what_is_created(desk: Desk) -> None:
    desk.create(*(f"A {number}" for number in range(100)))
    desk.create("Z", provider="zoom")
    desk.file(("hubspot", "app"))
    desk.done("export")
    out = desk.call("plan", "--to", "prod").out
    assert "\nzoom\n  ! Z" in out
    assert "      its client secret is missing\n" in out


def test_a_plan_with_nothing_to_do_says_so_and_names_a_snapshot_that_has_more(
    desk: Desk, loss: int
) -> None:
    assert "nothing to do" not in desk.call("plan").out
    desk.done("export")
    out = desk.call("plan").out
    assert "nothing to do: the target has what was selected of the snapshot" in out
    assert "snapshot 1 (20" in out
    assert "`oauthsync diff 1 2` shows them, and a plan from it" in out
    called = desk.call("plan", "--json")
    assert called.json["summary"]["unchanged"] == 1
    assert "`oauthsync diff 1 2` shows them, and a plan from it" in called.err
    assert "a plan from it" in desk.call("import", "--yes", "--json").err


def test_a_plan_for_another_workspace_names_the_snapshot_that_has_more_too(
    desk: Desk, loss: int
) -> None:
    desk.done("export")
    more = "has profiles that the target lacks: `oauthsync diff 1 2` shows them"
    called = desk.call("plan", "--to", "prod")
    assert "\n1 to create\n" in called.out
    assert "\nsnapshot 1 (20" in called.out
    assert more in called.out
    assert more in desk.call("import", "--to", "prod", "--yes").err
    assert more in desk.call("plan", "--to", "prod").out
    desk.call("import", "1", "--to", "prod", "--yes")
    assert "lacks" not in desk.call("plan", "--to", "prod").out


def test_a_plan_is_saved_in_a_file_and_not_on_stdout(desk: Desk, loss: int) -> None:
    called = desk.refused("plan", "-o", "-")
    assert (called.code, "-o takes a file's name" in called.err) == (2, True)
    assert not Path("-").exists()


def test_a_plan_shows_what_an_override_changes(desk: Desk, loss: int) -> None:
    (desk.folder / "o.toml").write_text(
        '[[override]]\nmatch = { name = "Acme" }\nname = "{name} (prod)"\nclient_id = "prod-app"\n'
    )
    desk.file(("hubspot", "prod-app"))
    out = desk.call("plan", "--to", "prod", "--overrides", "o.toml", "--only", "Acme").out
    assert "  + Acme (prod)  id" in out
    assert "      name: Acme → Acme (prod)\n      client id: app → prod-app\n" in out


def test_the_options_select_match_and_override(desk: Desk, loss: int) -> None:
    def actions(*args: str) -> list[tuple[str, int]]:
        steps = desk.done("plan", "--to", "prod", *args)["steps"]
        return [(step["action"], step["source_id"]) for step in steps]

    other = loss + 1
    [there] = [desk.sandbox.workspace(PROD).create("hubspot", "Other name", "app")]
    assert actions() == [("create", loss), ("create", other)]
    assert actions("--only", "A*", "--only", "Beta") == [("create", loss), ("create", other)]
    assert actions("--id", str(other)) == [("create", other)]
    assert actions("--provider", "hubspot", "--only", "B*") == [("create", other)]
    mapped = ("--map", f"{other}={there.id}")
    assert actions(*mapped) == [("create", loss), ("skip", other)]
    assert actions(*mapped, "--on-existing", "update") == [("create", loss), ("update", other)]
    assert actions(*mapped, "--on-existing", "fail") == [("create", loss), ("blocked", other)]
    assert [each["action"] for each in desk.done("plan", "--push-secrets")["steps"]] == [
        "create",
        "update",
    ]
    desk.call("secrets", "remove", "--provider", "hubspot", "--client-id", "app")
    assert actions() == [("blocked", loss), ("blocked", other)]
    assert actions("--allow-missing") == [("skip", loss), ("skip", other)]


def test_a_plan_is_of_the_default_workspaces_latest_snapshot(desk: Desk, loss: int) -> None:
    desk.done("export", "prod")
    assert desk.done("plan")["snapshot"] == 1
    assert desk.done("plan", "--from", "prod")["snapshot"] == 2
    assert desk.done("plan", "2")["target"] == "prod"
    assert desk.done("plan", "--from", "dev", "--to", "prod")["summary"]["create"] == 2


def test_another_data_center_brings_a_reminder_of_what_no_backup_holds(
    desk: Desk, loss: int
) -> None:
    elsewhere = desk.sandbox.url.replace("127.0.0.1", "localhost")
    text = (desk.folder / "oauthsync.toml").read_text()
    desk.configure(text + workspace("far", elsewhere, "PROD"))
    called = desk.call("plan", "--to", "far")
    assert f"add {elsewhere}/oauth/callback to the app's redirect URIs" in called.err
    assert "redirect" not in desk.call("plan").err


def test_markdown_is_fit_for_a_pull_request(desk: Desk) -> None:
    desk.create("@all | <b>`x`</b> #1", client_id="a|b")
    desk.done("export")
    out = desk.call("plan", "--to", "prod", "--markdown").out
    assert out.startswith(f"### Plan for `prod` at `{desk.sandbox.url}`\n")
    assert "**1 blocked**" in out
    assert "| ``@all \\| <b>`x`</b> #1`` |" in out
    assert "`a\\|b`" in out


def test_markdown_shows_what_the_overrides_make_of_a_profile(desk: Desk, tmp_path: Path) -> None:
    desk.create("Acme")
    desk.done("export")
    file = tmp_path / "prod.toml"
    file.write_text(
        '[[override]]\nmatch = {provider = "hubspot"}\nname = "{name} (prod)"\nclient_id = "new"\n'
    )
    out = desk.call("plan", "--to", "prod", "--overrides", str(file), "--markdown").out
    assert "| `Acme` → `Acme (prod)` | `app` → `new` |" in out


# import


def test_an_import_creates_what_is_missing_by_exactly_one_post(desk: Desk, loss: int) -> None:
    answer = desk.done("import", "--yes")
    assert list(answer) == [
        *("run", "target", "safety_snapshot", "verified", "created", "updated", "unchanged"),
        *("skipped", "blocked", "failed", "in_use", "id_map"),
    ]
    [created] = answer["created"]
    target_id = created["target_id"]
    assert created == {
        "source_id": loss,
        "target_id": target_id,
        "provider": "hubspot",
        "name": "Acme",
    }
    assert answer | {"created": []} == {
        "run": 1,
        "target": "dev",
        "safety_snapshot": 2,
        "verified": True,
        "created": [],
        "updated": [],
        "unchanged": 1,
        "skipped": [],
        "blocked": [],
        "failed": [],
        "in_use": [
            {
                "source_id": loss,
                "name": "Acme",
                "shared_accounts_count": 2,
                "oem_customers_count": 0,
            }
        ],
        "id_map": {str(loss): target_id},
    }
    assert desk.writes() == ["POST"]
    assert not [each for each in desk.sandbox.requests if each.call == "get"]
    assert names(desk, DEV) == ["Acme", "Beta"]


def test_an_import_tells_a_person_what_they_still_have_to_do(desk: Desk, loss: int) -> None:
    called = desk.call("import", "--yes")
    assert called.code == 0
    assert "run 1 in dev: 1 created and verified\n" in called.out
    assert "choose the new profile in each connection that used it" in called.out
    used = f"  > Acme  id {loss} → {loss + 2}  2 connections\n"
    assert f"{used}`oauthsync runs show 1 -v` shows all of this again\n" in called.out
    assert desk.call("runs", "show", "1").out.endswith(used)
    assert "  + Acme" in called.err  # the plan


def test_a_second_import_has_nothing_to_do_and_makes_no_run(desk: Desk, loss: int) -> None:
    desk.done("import", "--yes")
    answer = desk.done("import", "--yes")
    assert (answer["run"], answer["created"], answer["unchanged"]) == (None, [], 2)
    assert (answer["verified"], answer["safety_snapshot"]) == (True, None)
    assert "nothing to do" in desk.call("import", "--yes").out
    assert len(desk.done("runs")["runs"]) == 1


def test_a_blocked_step_keeps_everything_from_being_written(desk: Desk, loss: int) -> None:
    desk.call("secrets", "remove", "--provider", "hubspot", "--client-id", "app")
    called = desk.call("import", "--yes", "--json")
    assert called.code == 6
    assert called.json["run"] is None
    assert [each["source_id"] for each in called.json["blocked"]] == [loss]
    assert called.json["verified"] is False
    set_it = "`oauthsync secrets set --provider hubspot --client-id app`"
    assert f"{set_it} asks for the secret\n--allow-missing" in called.err
    assert "--map" not in called.err
    assert desk.writes() == []
    allowed = desk.done("import", "--yes", "--allow-missing")
    assert [each["source_id"] for each in allowed["skipped"]] == [loss]
    assert desk.done("runs")["runs"] == []


def test_where_many_are_missing_only_an_override_s_are_asked_for_by_their_own_command(
    desk: Desk, loss: int
) -> None:
    apps = [("hubspot", f"app-{number}") for number in range(2)]
    for _, client_id in apps:
        desk.create("Gamma", client_id=client_id)
    desk.create("Delta", provider="it's")
    desk.done("export")
    (desk.folder / "o.toml").write_text(
        '[[override]]\nmatch.client_id = "app"\nclient_id = "$a \'b\'"\n'
    )
    args = ("--to", "prod", "--overrides", "o.toml")
    hint = desk.call("import", *args, "--yes").err.split("hint: ")[1]
    fill, head, *commands, allow = hint.splitlines()
    assert fill == "`oauthsync secrets fill 2` asks for missing secrets"
    assert head == "each of these asks for a secret:"
    assert [shlex.split(command) for command in commands] == [
        ["oauthsync", "secrets", "set", "--provider", provider, "--client-id", "$a 'b'"]
        for provider in ("hubspot", "it's")
    ]
    assert allow == "--allow-missing leaves out what has no secret"
    assert hint in desk.call("plan", *args).err
    desk.file(*apps, ("hubspot", "$a 'b'"), ("it's", "$a 'b'"))
    assert desk.done("plan", *args)["summary"]["blocked"] == 0


def test_what_else_blocks_takes_a_map(desk: Desk, loss: int) -> None:
    desk.create("Beta")
    desk.done("export")
    for _ in "ab":
        desk.sandbox.workspace(PROD).create("hubspot", "Beta", "app")
    err = desk.call("import", "--to", "prod", "--yes").err
    assert "--map settles an ambiguous match: --map 100002=ID with an id of its reason\n" in err


def test_what_differs_is_settled_by_the_option_that_left_it(desk: Desk, loss: int) -> None:
    desk.sandbox.workspace(DEV).update(loss + 1, name="Renamed")
    skipped = "1 skipped because it differs: --on-existing update would update it"
    assert skipped in desk.call("plan").out
    err = desk.call("import", "--yes", "--on-existing", "fail").err
    assert err.split("hint: ")[1] == (
        "--on-existing update would update what differs, skip leaves it as it is\n"
    )


def test_what_no_option_settles_is_said_by_the_plan(desk: Desk) -> None:
    desk.create("Acme", client_id=None)  # type: ignore[arg-type]
    desk.done("export")
    err = desk.call("import", "--to", "prod", "--yes").err
    assert err.split("hint: ")[1] == "the plan says what blocks each step\n"


def test_without_a_terminal_nothing_is_written_unless_yes_is_said(desk: Desk, loss: int) -> None:
    for args in ([], ["--no-input"]):
        called = desk.refused("import", *args)
        assert called.code == 2
        assert "add --yes" in called.err
        assert "\n1 to create, 1 unchanged\n" in called.err
    assert desk.writes() == []
    assert len(desk.done("snapshots")["snapshots"]) == 1


def test_dry_run_is_plan(desk: Desk, loss: int) -> None:
    assert desk.done("import", "--dry-run") == desk.done("plan")
    assert desk.writes() == []


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 1), ("\x04", 130)])
def test_the_question_alone_shows_host_workspace_and_counts(
    desk: Desk, loss: int, answer: str, code: int
) -> None:
    question = f"1 to create, 1 unchanged. Write to dev ({desk.sandbox.url})? [y/N] "
    ended, out, shown = converse(["import"], [(question, answer)])
    assert ended == code, shown
    before = shown.split(question)[0]
    assert "  + Acme" in before
    assert "1 of those to create is in use by 2 connections and customers" in before
    assert shown.count("1 to create, 1 unchanged") == 1
    assert desk.writes() == ["POST"] * (code == 0)
    if code == 1:
        assert "not confirmed, so nothing was written" in shown
        assert out == ""


def test_what_is_in_use_is_named_before_it_is_updated(desk: Desk) -> None:
    [there] = [desk.sandbox.workspace(PROD).create("hubspot", "Acme", "old", oem_customers_count=1)]
    desk.create("Acme")
    desk.file(("hubspot", "app"))
    desk.done("export")
    args = ["import", "--to", "prod", "--on-existing", "update"]
    what = f"it updates 'Acme' (id {there.id}), which is in use"
    assert desk.call("plan", *args[1:]).out.endswith(f"\nlook twice: {what}\n")
    called = desk.call(*args)
    assert called.code == 2
    assert f"warning: look twice at this plan:\n  {what}\n" in called.err
    assert "add --yes" in called.err
    code, _, shown = converse(args, [(f"({desk.sandbox.url})? [y/N]", "n")])
    assert (code, "is in use" in shown.split("[y/N]")[0]) == (1, True)
    assert desk.writes() == []
    called = desk.call(*args, "--yes", "--json")
    assert "is in use" in called.err
    assert [each["target_id"] for each in called.json["updated"]] == [there.id]


def test_many_updates_of_what_is_in_use_are_folded_on_a_terminal(desk: Desk) -> None:
    prod = desk.sandbox.workspace(PROD)
    for each in desk.create(*(f"Acme {number}" for number in range(30))):
        prod.create("hubspot", each.document["name"], "old", oem_customers_count=1)
    desk.file(("hubspot", "app"))
    desk.done("export")
    args = ("import", "--to", "prod", "--on-existing", "update")
    _, _, shown = converse(args, [("[y/N]", "n")])
    head = "warning: look twice at this plan:\n"
    told = shown.replace("\r\n", "\n").split(head)[1]
    assert told.startswith("  it updates 30 of the target's 30 profiles\n")
    assert told.count("is in use") == 18
    assert "\n  … and 12 more (-v shows all)\n" in told
    assert desk.call(*args).err.count("is in use") == 30


def test_a_migration_creates_all_and_says_what_is_where(desk: Desk) -> None:
    profiles = desk.create(*(f"Acme {number}" for number in range(110)))
    desk.file(("hubspot", "app"))
    desk.done("export")
    desk.sandbox.requests.clear()
    answer = desk.done("import", "--to", "prod", "--yes")
    assert desk.writes() == ["POST"] * 110
    assert answer["id_map"].keys() == {str(profile.id) for profile in profiles}
    assert names(desk, PROD) == names(desk, DEV)
    assert desk.done("plan", "--to", "prod")["summary"]["unchanged"] == 110


# saved plans


def test_a_saved_plan_is_carried_out_exactly_and_once(desk: Desk, loss: int) -> None:
    called = desk.call("plan", "-o", "my.plan")
    assert called.code == 0
    assert "`oauthsync import --plan my.plan`" in called.err
    assert (desk.folder / "my.plan").stat().st_mode & 0o777 == 0o600
    assert desk.done("import", "--plan", "my.plan", "--dry-run")["summary"]["create"] == 1
    assert desk.writes() == []
    assert len(desk.done("import", "--plan", "my.plan", "--yes")["created"]) == 1
    called = desk.refused("import", "--plan", "my.plan", "--yes")
    assert called.code == 1
    assert "carried out already" in called.err
    assert desk.writes() == ["POST"]


def test_a_saved_plan_that_is_blocked_is_no_promise(desk: Desk, loss: int) -> None:
    desk.call("secrets", "remove", "--provider", "hubspot", "--client-id", "app")
    called = desk.call("plan", "-o", "my.plan")
    assert called.code == 0
    assert "1 blocked step: as it is, an import writes nothing\n`oauthsync secrets" in called.err
    assert "saved in my.plan, but it cannot be imported as it is" in called.err
    assert "carries out exactly" not in called.err
    called = desk.call("import", "--plan", "my.plan", "--yes")
    assert called.code == 6
    assert "with the options of then: `oauthsync plan 1 --to dev … -o FILE`" in called.err


def test_a_saved_plan_is_refused_when_the_target_has_changed(desk: Desk, loss: int) -> None:
    desk.call("plan", "-o", "my.plan")
    desk.sandbox.workspace(DEV).create("hubspot", "Acme", "app")
    called = desk.refused("import", "--plan", "my.plan", "--yes")
    assert called.code == 1
    assert "not what would be done now" in called.err
    assert "hubspot Acme" in called.err
    assert desk.writes() == []


@pytest.mark.parametrize(
    "args",
    [
        ["latest"],
        ["--from", "dev"],
        ["--to", "prod"],
        ["--only", "A*"],
        ["--provider", "p"],
        ["--id", "1"],
        ["--on-existing", "update"],
        ["--push-secrets"],
        ["--overrides", "o.toml"],
        ["--map", "1=2"],
        ["--allow-missing"],
    ],
)
def test_nothing_changes_a_saved_plan(desk: Desk, loss: int, args: list[str]) -> None:
    desk.call("plan", "-o", "my.plan")
    called = desk.refused("import", "--plan", "my.plan", "--yes", *args)
    assert called.code == 2
    assert "--plan carries out exactly that plan" in called.err


def test_a_plan_is_saved_over_a_plan_and_over_nothing_else(desk: Desk, loss: int) -> None:
    desk.call("plan", "-o", "my.plan")
    assert desk.call("plan", "-o", "my.plan", "--json").json["summary"]["create"] == 1
    for name in ("oauthsync.db", "secrets.age", "oauthsync.toml"):
        before = (desk.folder / name).read_bytes()
        called = desk.refused("plan", "-o", name)
        assert called.code == 1
        assert (desk.folder / name).read_bytes() == before
    (desk.folder / "not.plan").write_text('{"format": "something"}')
    assert desk.refused("import", "--plan", "not.plan", "--yes").code == 2


# runs and resume


def test_runs_are_listed_newest_first_and_shown_with_their_steps(desk: Desk, loss: int) -> None:
    imported = desk.done("import", "--yes")
    desk.done("import", "--to", "prod", "--yes")
    newest, oldest = desk.done("runs")["runs"]
    assert (newest["id"], newest["target"], newest["created"]) == (2, "prod", 2)
    assert oldest | {"started_at": "", "finished_at": ""} == {
        "id": 1,
        "kind": "import",
        "target": "dev",
        "snapshot": 1,
        "safety_snapshot": 2,
        "undoes": None,
        "started_at": "",
        "finished_at": "",
        "state": "complete",
        "verified": True,
        "created": 1,
        "updated": 0,
        "deleted": 0,
        "failed": 0,
        "by_others": 0,
        "planned": 0,
    }
    shown = desk.done("runs", "show", "1")
    assert shown["in_use"] == imported["in_use"]
    assert [each["source_id"] for each in shown["in_use"]] == [loss]
    [step] = shown["steps"]
    assert (step["action"], step["state"], step["source_id"]) == ("create", "done", loss)
    assert desk.done("runs", "show", "1", "--id-map") == {"id_map": {str(loss): loss + 2}}
    called = desk.call("runs", "show", "1", "--id-map")
    assert called.out == f"source_id,target_id\n{loss},{loss + 2}\n"
    assert "Acme" in desk.call("runs", "show", "1").out
    assert desk.call("runs").out.splitlines()[0].split()[:3] == ["id", "kind", "target"]
    assert "error" not in desk.call("runs", "show", "1").out
    assert desk.refused("runs", "show", "9").code == 1


def test_what_is_to_be_done_by_hand_is_said_also_where_all_else_is_quiet(
    desk: Desk, loss: int
) -> None:
    called = desk.call("import", "--yes", "--quiet")
    told = (
        "1 profile in use with a new id: `oauthsync runs show 1` lists what is to be done by hand"
    )
    assert (called.out, called.err) == ("", f"warning: {told}\n")


def test_a_run_knows_what_was_in_use_when_its_snapshot_is_pruned(desk: Desk, loss: int) -> None:
    used = desk.done("import", "--yes")["in_use"]
    desk.done("export")
    assert 1 in desk.done("prune", "--keep-last", "1")["removed"]
    assert desk.done("runs", "show", "1")["in_use"] == used != []
    assert desk.call("runs", "show", "1").out.endswith(f"id {loss} → {loss + 2}  2 connections\n")


def test_what_was_deleted_since_is_not_to_be_done_by_hand(desk: Desk, loss: int) -> None:
    imported = desk.done("import", "--to", "prod", "--yes")
    used, (_, other) = imported["in_use"], imported["id_map"].values()
    assert desk.done("runs", "show", "1")["in_use"] == used
    desk.sandbox.workspace(PROD).update(other, name="Changed since")
    assert desk.call("undo", "--yes").code == 6
    assert desk.done("runs", "show", "1")["in_use"] == used[1:] != []
    shown = desk.call("runs", "show", "1").out
    assert "state: complete\n" in shown
    assert "undone by run 2: 1 of 2 steps\n" in shown
    desk.done("profiles", "delete", str(other), "--workspace", "prod", "--yes")
    assert desk.done("runs", "show", "1")["in_use"] == []
    assert "by hand" not in desk.call("runs", "show", "1").out


@pytest.mark.parametrize("note", ["{}", "[1]", '[{"id": 1}]', "null"])
def test_notes_of_a_run_that_were_altered_are_an_error(desk: Desk, loss: int, note: str) -> None:
    desk.done("import", "--yes")
    with closing(sqlite3.connect(desk.folder / "oauthsync.db")) as connection:
        connection.execute("UPDATE runs SET report = json_set(report, '$.in_use', json(?))", [note])
        connection.commit()
    called = desk.refused("runs", "show", "1")
    assert called.code == 1
    assert "run 1 was altered or damaged" in called.err


def test_a_step_that_fails_leaves_a_run_that_resume_carries_on(desk: Desk, loss: int) -> None:
    desk.sandbox.faults = [Fault("refused", on="POST")]
    called = desk.call("import", "--yes", "--json")
    assert called.code == 6
    [failed] = called.json["failed"]
    assert failed.keys() == {"source_id", "error"}
    assert (failed["source_id"], called.json["verified"]) == (loss, True)
    assert "`oauthsync resume 1` tries again" in called.err
    carries_on = "run 1 is not finished: `oauthsync resume 1` carries it on"
    assert desk.call("runs").out.splitlines()[-1].startswith(carries_on)
    for command in ("plan", "import"):
        assert f"warning: {carries_on}" in desk.call(command).err
        assert "resume" not in desk.call(command, "--to", "prod").err
    assert "  ! Acme" in desk.call("resume").out
    ours = (desk.folder / "oauthsync.toml").read_text()
    desk.configure(ours.replace('default_workspace = "dev"', 'default_workspace = "prod"'))
    warning = "warning: run 1 is one in dev, and the default workspace is prod\n"
    assert [warning in desk.call("resume", *run).err for run in ([], ["1"])] == [True, False]
    desk.configure(ours)
    desk.sandbox.faults = []
    answer = desk.done("resume")
    assert (answer["run"], answer["failed"], len(answer["created"])) == (1, [], 1)
    assert names(desk, DEV) == ["Acme", "Beta"]
    assert "there is nothing to carry on" in desk.refused("resume", "1").err
    assert desk.refused("resume").code == 2


def test_what_was_adopted_with_other_data_is_mended_by_an_update(desk: Desk, loss: int) -> None:
    """No call of a run writes to what it has adopted, so `resume` alone would never end."""
    dev = desk.sandbox.workspace(DEV)
    [lost] = desk.create("Gamma")
    dev.set_document(lost.id, json.dumps(lost.document | {"data": {"client_id": "app", "k": 1}}))
    desk.done("export")
    dev.delete(lost.id)
    desk.sandbox.faults = [Fault("refused", on="POST")]
    desk.call("import", "--yes")
    desk.sandbox.faults = []
    [by_hand] = desk.create("Gamma")
    called = desk.call("resume")
    assert called.code == 6
    assert f"profile {by_hand.id} ('Gamma') is not as it was sent: data.k" in called.err
    command = "oauthsync import 2 --to dev --on-existing update"
    assert f"hint: `{command}`, with the options of then, writes what" in called.err
    assert "`oauthsync resume 1` looks again" in called.err
    assert len(desk.done(*command.split()[1:], "--yes")["updated"]) == 1
    assert desk.done("resume", "1")["verified"] is True


def test_an_adopted_profile_is_reported_as_one(
    desk: Desk, loss: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oauthsync.target.GRACE", 0.0)
    desk.sandbox.faults = [Fault("reset-after-apply", on="POST", times=1)]
    answer = desk.done("import", "--yes")
    assert answer["created"][0]["adopted"] is True
    assert desk.writes() == ["POST"]


def test_ctrl_c_finishes_what_is_in_flight_and_says_how_to_go_on(desk: Desk, loss: int) -> None:
    import os
    import signal
    import subprocess
    import sys

    waits, goes_on = threading.Event(), threading.Event()

    def hold(request: Request) -> None:
        if request.method == "POST":
            waits.set()
            goes_on.wait(20)

    desk.sandbox.hook = hold
    process = subprocess.Popen(
        [sys.executable, "-m", "oauthsync", "import", "--yes", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )
    with process:
        assert waits.wait(20)
        process.send_signal(signal.SIGINT)
        goes_on.set()
        out, err = process.communicate(timeout=20)
    desk.sandbox.hook = None
    assert process.returncode == 130, err
    assert json.loads(out)["exit_code"] == 130
    assert "`oauthsync resume 1`" in err
    answer = desk.done("resume", "1")
    assert len(answer["created"]) == 1
    assert names(desk, DEV) == ["Acme", "Beta"]


# undo


def test_undo_deletes_what_the_run_created_and_says_what_it_left(desk: Desk, loss: int) -> None:
    desk.done("import", "--to", "prod", "--yes")
    used, _ = desk.sandbox.workspace(PROD).profiles
    desk.sandbox.workspace(PROD).update(used, shared_accounts_count=1)
    called = desk.call("undo", "--yes", "--json")
    assert called.code == 6
    assert list(called.json) == [
        *("run", "target", "safety_snapshot", "verified"),
        *("undoes", "deleted", "updated", "failed", "left"),
    ]
    assert (called.json["run"], called.json["undoes"]) == (2, 1)
    assert [each["target_id"] for each in called.json["left"]] == [used]
    assert (
        "the list of what is left says why; `oauthsync undo 1 --force` also deletes" in called.err
    )
    assert desk.done("undo", "1", "--yes", "--force")["left"] == []
    assert names(desk, PROD) == []
    assert "nothing to undo" in desk.call("undo", "1", "--yes").out
    called = desk.refused("undo", "2", "--yes")
    assert called.code == 2
    assert "run 2 is itself the undo of run 1" in called.err
    listed = [line.split() for line in desk.call("runs").out.splitlines()]
    assert [line[-2:] for line in listed] == [
        ["state", "steps"],
        ["1", "deleted"],
        ["1", "deleted"],
        ["2", "created"],
    ]


def test_undo_asks_before_it_writes_and_shows_where(desk: Desk, loss: int) -> None:
    desk.done("import", "--to", "prod", "--yes")
    assert "add --yes" in desk.refused("undo").err
    question = f"2 to delete, 0 to put back. Undo run 1 in prod ({desk.sandbox.url})? [y/N] "
    code, _, shown = converse(["undo"], [(question, "n")])
    before = shown.split(question)[0]
    assert (code, "  - Acme" in before) == (1, True)
    warning = "warning: run 1 is one in prod, and the default workspace is dev\r\n"
    assert before.startswith(f"{warning}undo of run 1, import into prod, 20")
    assert converse(["undo", "1"], [(question, "n")])[2].startswith("undo of run 1")
    assert len(names(desk, PROD)) == 2
    assert converse(["undo"], [(question, "y")])[0] == 0
    assert names(desk, PROD) == []


def test_undo_says_how_to_put_back_what_lacks_its_secret(desk: Desk) -> None:
    desk.sandbox.workspace(PROD).create("hubspot", "Acme", "old")
    desk.create("Acme", "Beta")
    desk.file(("hubspot", "app"))
    desk.done("export")
    desk.done("import", "--to", "prod", "--on-existing", "update", "--yes")
    called = desk.call("undo", "1", "--yes")
    assert called.code == 6
    how = "`oauthsync secrets set` files a missing secret, and then `oauthsync undo 1` goes on"
    assert how in called.err
    desk.file(("hubspot", "old"))
    assert desk.done("undo", "1", "--yes")["left"] == []
    plan = desk.done("plan", "--to", "prod", "--on-existing", "update", "--allow-missing")
    assert plan["summary"]["create"] == plan["summary"]["update"] == 1


def test_undo_with_nothing_to_write_says_what_it_left(desk: Desk, loss: int) -> None:
    desk.done("import", "--yes")
    [created] = set(desk.sandbox.workspace(DEV).profiles) - {loss + 1}
    desk.sandbox.workspace(DEV).update(created, name="Renamed since")
    called = desk.call("undo", "--yes", "--json")
    assert called.code == 6
    assert (called.json["run"], called.json["undoes"]) == (None, 1)
    assert [each["target_id"] for each in called.json["left"]] == [created]
    called = desk.call("undo", "--yes")
    assert "  ! Renamed since" in called.out
