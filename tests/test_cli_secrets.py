"""`secrets …`: what goes into the sidecar, what comes out (never a secret), and its keys."""

import io
import json
import os
import re
import stat
from pathlib import Path

import pytest

from oauthsync import age, sidecar
from oauthsync.keys import parse_identity_file
from oauthsync.secret import Secret
from tests.desk import DEV, PASSPHRASE, Desk
from tests.everyday import SECRET, converse


@pytest.fixture
def at_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """The identity stays unknown, so that a passphrase is asked for."""
    monkeypatch.delenv("OAUTHSYNC_IDENTITY")


def filed(desk: Desk, provider: str, client_id: str) -> tuple[str, str | None]:
    """The secret and the token that the sidecar holds for an app."""
    entry = sidecar.load(desk.folder / "secrets.age", desk.key).get(provider, client_id)
    assert entry is not None
    return entry.client_secret.reveal(), entry.token.reveal() if entry.token else None


def stdin(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))


# set


def test_set_reads_json_from_stdin(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    args = ("secrets", "set", "--provider", "slack", "--client-id", "a1", "--stdin")
    stdin(monkeypatch, '{"client_secret": "s-canary", "token": "t-canary"}')
    answer = desk.done(*args)
    assert answer == {"provider": "slack", "client_id": "a1", "replaced": False}
    assert filed(desk, "slack", "a1") == ("s-canary", "t-canary")
    stdin(monkeypatch, '{"client_secret": " new "}')
    called = desk.call(*args)
    assert (called.code, called.out) == (0, "replaced\n")
    assert filed(desk, "slack", "a1") == (" new ", "t-canary"), "what was not given stays"
    desk.done("secrets", "remove", "--provider", "slack", "--client-id", "a1")
    stdin(monkeypatch, '{"client_secret": "s-canary"}')
    assert desk.done(*args)["replaced"] is False
    assert filed(desk, "slack", "a1") == ("s-canary", None)


def test_set_warns_of_what_is_hardly_meant_and_stores_it_all_the_same(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def warnings(provider: str, client_id: str, **values: str) -> str:
        stdin(monkeypatch, json.dumps(values))
        args = ("--provider", provider, "--client-id", client_id, "--stdin", "--json")
        called = desk.call("secrets", "set", *args)
        assert called.code == 0
        assert filed(desk, provider, client_id)[0] == values["client_secret"]
        assert "canary" not in called.err
        return called.err

    assert warnings("hubspt", "a1", client_secret="s-canary") == "", "there is no snapshot yet"
    desk.create("Acme", client_id="A1")
    desk.create("Talk", provider="slack", client_id="a2")
    desk.done("export")
    assert warnings("hubspot", "A1", client_secret="s-canary") == ""
    told = warnings("hubspot", "a1", client_secret="s-canary")
    assert "no profile of any snapshot uses this app: profiles have hubspot A1\n" in told
    told = warnings("hubspt", "A1", client_secret="s-canary")
    assert "did you mean hubspot?" in told
    assert "no profile of any snapshot uses this app\n" in told
    told = warnings("slack", "a2", client_secret="s-canary\u200b")
    assert "client_secret has white space or an invisible character at its start or end" in told
    assert "profiles of slack have a token, too, and none is filed for this app" in told
    told = warnings("slack", "a2", client_secret="s-canary", token="t\ncanary")
    assert told.startswith("warning: token has a line break in it, and is stored so")
    assert "profiles of slack" not in told
    assert warnings("slack", "a2", client_secret="s-canary") == "", "the token is filed"


def test_set_names_a_key_that_it_does_not_know(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    stdin(monkeypatch, '{"client_secret": "s-canary", "tken": "t-canary"}')
    called = desk.call("secrets", "set", "--provider", "p", "--client-id", "c", "--stdin")
    assert called.code == 2
    assert called.err == "error: stdin has an unknown key 'tken'\nhint: did you mean token?\n"


@pytest.mark.parametrize(
    "text",
    [
        "s-canary",
        "[]",
        "{}",
        '{"token": "t-canary"}',
        '{"client_secret": 5}',
        '{"client_secret": ""}',
        '{"client_secret": "s-canary", "other": "x"}',
        '{"client_secret": "s-canary", "client_secret": "t-canary"}',
        '{"client_secret": "s-canary", "token": 7}',
        '{"client_secret": "\\ud800"}',
        " " * (1 << 20) + '{"client_secret": "s-canary"}',
    ],
)
def test_set_refuses_other_input_and_shows_none_of_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    stdin(monkeypatch, text)
    called = desk.call("secrets", "set", "--provider", "p", "--client-id", "c", "--stdin")
    assert called.code == 2
    assert "canary" not in called.err
    assert not (desk.folder / "secrets.age").exists()


def test_set_without_a_terminal_says_what_to_use(desk: Desk) -> None:
    for args in (
        ["set", "--provider", "p", "--client-id", "c"],
        ["set", "--provider", "p", "--client-id", "c", "--no-input"],
        ["fill"],
    ):
        called = desk.refused("secrets", *args)
        assert called.code == 2
        assert "secrets load" in called.err


def test_set_asks_hidden_and_for_slack_for_the_token_too(desk: Desk) -> None:
    code, out, shown = converse(
        ["secrets", "set", "--provider", "slack", "--client-id", "a1", "--json"],
        [("Client secret of slack a1: ", "s-canary"), ("Token of slack a1", "t-canary")],
    )
    assert code == 0, shown
    assert json.loads(out) == {"provider": "slack", "client_id": "a1", "replaced": False}
    assert "canary" not in out + shown
    assert filed(desk, "slack", "a1") == ("s-canary", "t-canary")
    answers = [("Client secret of slack a2: ", "s-canary"), ("Token of slack a2", "")]
    code, _, shown = converse(
        ["secrets", "set", "--provider", "slack", "--client-id", "a2"], answers
    )
    assert (code, "profiles of slack have a token, too" in shown) == (0, True)


def test_set_asks_for_a_token_only_where_there_may_be_one(desk: Desk) -> None:
    args = ["secrets", "set", "--provider", "hubspot", "--client-id", "a1"]
    secret = ("Client secret of hubspot a1: ", "s-canary")
    assert converse(args, [secret])[0] == 0
    assert filed(desk, "hubspot", "a1") == ("s-canary", None)
    code, *_ = converse([*args, "--token"], [secret, ("Token of hubspot a1", "t-canary")])
    assert code == 0
    assert filed(desk, "hubspot", "a1") == ("s-canary", "t-canary")
    code, _, shown = converse([*args, "--token"], [("Client secret", "")])
    assert (code, "client_secret is empty" in shown) == (2, True)


def test_a_new_sidecars_passphrase_is_checked_and_typed_twice(
    desk: Desk, at_terminal: None
) -> None:
    prompt = "New passphrase for secrets.age (12 characters or more, best several random words): "
    code, _, shown = converse(
        ["secrets", "set", "--provider", "hubspot", "--client-id", "a1"],
        [
            (prompt, "short"),
            (f"at will)\r\n{prompt}", "one-canary and another"),
            ("once more: ", "one-canary and a typo"),
            (f"try again: the two are not the same\r\n{prompt}", PASSPHRASE),
            ("once more: ", PASSPHRASE),
            ("Client secret of hubspot a1: ", "s-canary"),
        ],
        COLUMNS="400",
    )
    assert code == 0, shown
    assert "try again: the passphrase is shorter than 12 characters" in shown
    assert "warning" not in shown
    assert "canary" not in shown
    assert age.is_passphrase_file((desk.folder / "secrets.age").read_bytes())


WRONG = [
    ("Passphrase for secrets.age: ", "a wrong-canary one"),
    ("does not open it. Passphrase for secrets.age (try 2 of 3): ", "a wrong-canary one"),
    ("does not open it. Passphrase for secrets.age (try 3 of 3): ", "a wrong-canary one"),
]


def seal_with_passphrase(desk: Desk) -> None:
    key = sidecar.PassphraseKey(Secret(PASSPHRASE), work_factor=1)
    entry = sidecar.Entry("p", "c", Secret("s-canary"), None, "2026-11-23T10:00:00Z")
    sidecar.update(desk.folder / "secrets.age", key, [entry])


def test_a_wrong_passphrase_is_told_before_the_secret_is_typed(
    desk: Desk, at_terminal: None
) -> None:
    seal_with_passphrase(desk)
    code, _, shown = converse(
        ["secrets", "set", "--provider", "hubspot", "--client-id", "a1"], WRONG
    )
    assert code == 7
    assert "the passphrase does not open" in shown
    assert "Client secret" not in shown
    assert "canary" not in shown


def test_a_mistyped_passphrase_is_asked_for_again(desk: Desk, at_terminal: None) -> None:
    seal_with_passphrase(desk)
    (desk.folder / "s.csv").write_text("provider,client_id,client_secret\nhubspot,a1,s-canary\n")
    right = [*WRONG[:1], (WRONG[1][0], PASSPHRASE)]
    code, out, shown = converse(["secrets", "load", "s.csv", "--json"], right)
    assert (code, json.loads(out)) == (0, {"loaded": 1, "replaced": 0}), shown
    assert "canary" not in shown


def test_only_what_was_typed_is_asked_for_again(desk: Desk, at_terminal: None) -> None:
    seal_with_passphrase(desk)
    code, _, shown = converse(["secrets", "list"], [], OAUTHSYNC_PASSPHRASE="a wrong-canary one")
    assert (code, "Passphrase for" in shown) == (7, False)
    damage(desk.folder / "secrets.age")
    code, _, shown = converse(["secrets", "list"], [(WRONG[0][0], PASSPHRASE)])
    assert (code, "try 2 of 3" in shown) == (7, False)


def test_a_lost_sidecar_is_told_before_anything_is_typed_and_is_not_taken_for_none(
    desk: Desk, at_terminal: None
) -> None:
    (desk.folder / "secrets.age.prev").write_text("the generation before")
    desk.create("Acme")
    desk.done("export")
    set_secret = ["secrets", "set", "--provider", "p", "--client-id", "c"]
    others = (["secrets", "list"], ["secrets", "missing"], ["plan", "--to", "prod"], ["check"])
    for args in (set_secret, ["secrets", "fill"], *others):
        code, _, shown = converse(args, [], COLUMNS="400")
        assert (code, "earlier generation of it at secrets.age.prev" in shown) == (7, True), shown


def damage(path: Path) -> None:
    """Change the content of an age file, and leave its header as it is."""
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:-3], "AAAA" + lines[-3][4:], *lines[-2:]]))


def test_ctrl_d_and_ctrl_c_at_a_question_interrupt(desk: Desk) -> None:
    args = ["secrets", "set", "--provider", "hubspot", "--client-id", "a1"]
    for key in ("\x04", "\x03"):
        code, _, shown = converse(args, [("Client secret of hubspot a1: ", key)])
        assert (code, "error: interrupted" in shown) == (130, True)
    assert not (desk.folder / "secrets.age").exists()


# fill


def test_fill_asks_for_each_missing_secret_and_keeps_each_at_once(desk: Desk) -> None:
    desk.create("Acme", client_id="a1")
    desk.create("Beta", "Gamma", "Delta", "Epsilon", provider="jira", client_id="a2")
    desk.create("Known", client_id="a3")
    desk.done("export")
    desk.file(("hubspot", "a3"))
    code, _, shown = converse(
        ["secrets", "fill"],
        [
            ("Client secret of hubspot a1: ", " s1-canary "),
            ("Client secret of hubspot a1: ", "s1-canary"),
            ("Client secret of jira a2: ", "\x03"),
        ],
    )
    assert code == 130
    assert "hint: 1 stored; call the same command again to go on" in shown
    assert "1 of 2, used by Acme" in shown
    assert "try again: it begins or ends with white space (`oauthsync secrets set --stdin`" in shown
    assert "2 of 2, used by Beta, Gamma, Delta and 1 more" in shown
    assert filed(desk, "hubspot", "a1") == ("s1-canary", None)
    code, _, shown = converse(["secrets", "fill"], [("Client secret of jira a2: ", "")])
    assert (code, "0 stored, 1 still missing" in shown) == (0, False)
    assert "left out" in shown
    assert desk.done("secrets", "missing")["missing"][0]["client_id"] == "a2"


@pytest.mark.parametrize(("answer", "stored"), [("y", 2), ("n", 1)])
def test_fill_offers_to_store_for_others_with_the_same_client_id(
    desk: Desk, answer: str, stored: int
) -> None:
    desk.create("Mail", provider="gmail", client_id="shared")
    desk.create("Drive", provider="google_drive", client_id="shared")
    desk.done("export")
    question = "The same client id is used by google_drive: store it there, too? [y/N] "
    answers = [("Client secret of gmail shared: ", "s-canary"), (question, answer)]
    if stored == 1:
        answers.append(("Client secret of google_drive shared: ", ""))
    code, out, shown = converse(["secrets", "fill", "--json"], answers)
    assert code == 0, shown
    assert json.loads(out) == {"stored": stored, "missing": 2 - stored}
    assert "canary" not in out + shown


def test_fill_has_nothing_to_ask_where_nothing_is_missing(desk: Desk) -> None:
    desk.create("Acme", client_id="a1")
    desk.done("export")
    desk.file(("hubspot", "a1"))
    code, out, _ = converse(["secrets", "fill"], [])
    assert (code, out) == (0, "nothing is missing for snapshot 1 of dev\n")


# load


def test_load_takes_csv_and_json_and_counts_what_it_replaced(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    (desk.folder / "s.csv").write_text(
        "provider,client_id,client_secret,token\nhubspot,a1,s1,\nslack,a2,s2,t2\n"
    )
    assert desk.done("secrets", "load", "s.csv") == {"loaded": 2, "replaced": 0}
    assert filed(desk, "slack", "a2") == ("s2", "t2")
    rows = [{"provider": "hubspot", "client_id": "a1", "client_secret": "s1-new"}]
    stdin(monkeypatch, json.dumps(rows))
    assert desk.done("secrets", "load", "-") == {"loaded": 1, "replaced": 1}
    assert filed(desk, "hubspot", "a1") == ("s1-new", None)
    assert stat.S_IMODE((desk.folder / "secrets.age").stat().st_mode) == 0o600


def test_load_is_all_or_nothing_and_names_the_row_never_a_value(desk: Desk) -> None:
    (desk.folder / "s.csv").write_text(
        "provider,client_id,client_secret\nhubspot,a1,s1-canary\nslack,,s2-canary\n"
    )
    called = desk.refused("secrets", "load", "s.csv")
    assert called.code == 2
    assert "s.csv, line 3: client_id is empty" in called.err
    assert not (desk.folder / "secrets.age").exists()


def test_load_names_what_no_profile_of_any_snapshot_uses_and_stores_it_all_the_same(
    desk: Desk,
) -> None:
    csv = "provider,client_id,client_secret\n"
    lines = ("hubspot,a1,s-canary", "Asana,a2,s-canary", "slack,1234,s-canary")
    (desk.folder / "s.csv").write_text("\n".join([csv.strip(), *lines]))
    called = desk.call("secrets", "load", "s.csv")
    assert (called.code, "no profile" in called.err) == (0, False)  # there is no snapshot yet
    [earlier] = desk.create("Earlier", provider="asana", client_id="a2")
    desk.create("Acme", client_id="a1")
    desk.done("export")
    desk.sandbox.workspace(DEV).delete(earlier.id)
    desk.done("export")
    called = desk.call("secrets", "load", "s.csv", "--json")
    assert (called.code, called.json) == (0, {"loaded": 3, "replaced": 0})
    assert (
        "warning: 2 rows stored for apps that no profile of any snapshot uses:\n"
        "  line 3: profiles have asana a2\n"
        "  line 4\n"
    ) in called.err
    assert "canary" not in called.err
    (desk.folder / "s.csv").write_text(f"{csv}asana,a2,s-canary\n")
    assert "no profile" not in desk.call("secrets", "load", "s.csv").err
    (desk.folder / "oauthsync.db").write_text("damaged")
    called = desk.call("secrets", "load", "s.csv")
    assert (called.code, "stored, but whether any profile uses it" in called.err) == (0, True)


def test_load_merges_what_is_in_another_sidecar(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = desk.folder / "secrets.age"
    desk.file(("hubspot", "a1"), ("slack", "a2"))
    printed = age.decrypt(path.read_bytes(), desk.key.identities).decode()
    path.unlink()
    desk.file(("jira", "a3"))
    stdin(monkeypatch, printed)
    assert desk.done("secrets", "load", "-") == {"loaded": 2, "replaced": 0}
    assert len(desk.done("secrets", "list")["secrets"]) == 3
    assert filed(desk, "slack", "a2") == (SECRET, None)


def test_load_says_that_the_file_still_holds_the_secrets(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "provider,client_id,client_secret\nhubspot,a1,s-canary\n"
    (desk.folder / "s.csv").write_text(text)
    assert "s.csv still holds these secrets" in desk.call("secrets", "load", "s.csv").err
    stdin(monkeypatch, text)
    assert desk.call("secrets", "load", "-").err == ""


def test_load_names_all_rows_that_still_lack_a_secret(desk: Desk) -> None:
    (desk.folder / "s.csv").write_text(
        "provider,client_id,client_secret\nhubspot,a1,\nhubspot,a2,s-canary\nslack,a3,\n"
    )
    called = desk.refused("secrets", "load", "s.csv")
    assert called.code == 2
    assert "s.csv, line 2, line 4: client_secret is empty" in called.err
    assert "nothing is stored" in called.err
    assert not (desk.folder / "secrets.age").exists()


def test_load_of_a_file_without_rows_loads_nothing(desk: Desk) -> None:
    (desk.folder / "s.csv").write_text("provider,client_id,client_secret\n")
    assert desk.done("secrets", "load", "s.csv") == {"loaded": 0, "replaced": 0}
    (desk.folder / "s.csv").write_text("")
    called = desk.refused("secrets", "load", "s.csv")
    assert (called.code, "s.csv is empty" in called.err) == (2, True)


def test_load_says_what_is_wrong_with_the_file_itself(desk: Desk) -> None:
    assert desk.refused("secrets", "load", "nowhere.csv").code == 2
    assert desk.refused("secrets", "load", ".").code == 2
    os.mkfifo("pipe")  # as a shell's <(…) is one
    called = desk.refused("secrets", "load", "pipe")
    assert (called.code, "pipe: it is not a regular file\n" in called.err) == (2, True)
    assert "hint: pipe it in, and name `-` in its place" in called.err


# list, missing, remove


def test_list_never_shows_a_secret(desk: Desk) -> None:
    desk.file(("slack", "a2"), ("hubspot", "a1"))
    assert desk.done("secrets", "list") == {
        "secrets": [
            {
                "provider": provider,
                "client_id": client_id,
                "has_token": False,
                "updated_at": "2026-11-23T10:00:00Z",
            }
            for provider, client_id in (("hubspot", "a1"), ("slack", "a2"))
        ]
    }
    called = desk.call("secrets", "list", "-v")
    assert SECRET not in called.out + called.err


def test_missing_lists_each_app_once_with_its_profiles(desk: Desk) -> None:
    first, second = desk.create("Acme", "Beta", client_id="a1")
    desk.create("Known", provider="jira", client_id="a2")
    desk.done("export")
    assert len(desk.done("secrets", "missing")["missing"]) == 2  # there is no sidecar yet
    desk.file(("jira", "a2"))
    assert desk.done("secrets", "missing") == {
        "missing": [
            {
                "provider": "hubspot",
                "client_id": "a1",
                "fields": ["client_secret"],
                "profiles": [
                    {"id": first.id, "name": "Acme"},
                    {"id": second.id, "name": "Beta"},
                ],
            }
        ]
    }
    assert desk.call("secrets", "missing", "--exit-code").code == 4
    desk.file(("hubspot", "a1"))
    called = desk.call("secrets", "missing", "--exit-code")
    assert (called.code, called.out) == (0, "nothing is missing for snapshot 1 of dev\n")
    assert desk.done("secrets", "missing", "latest", "--workspace", "dev") == {"missing": []}


def test_missing_as_csv_is_filled_in_and_loaded_for_exactly_the_same_apps(desk: Desk) -> None:
    apps = [
        ("hubspot", "=HYPERLINK(1)"),
        ("hubspot", "'12345678901234567890.1"),
        ("=cmd", "a,b"),
        ("slack", "0012"),
    ]
    for provider, client_id in apps:
        desk.create("Acme", provider=provider, client_id=client_id)
    desk.create("Odd", client_id="odd\x1b[2J")
    desk.done("export")
    called = desk.call("secrets", "missing", "--csv", "--exit-code")
    assert called.code == 4
    assert called.out.splitlines()[0] == "provider,client_id,client_secret,token,profiles"
    assert called.out.splitlines()[-1].endswith(",,,Acme")
    assert "'odd\\x1b[2J' does not fit into a CSV" in called.err
    (desk.folder / "s.csv").write_text(called.out)
    assert "line 2, line 3, line 4, line 5: client_secret is empty" in (
        desk.refused("secrets", "load", "s.csv").err
    )
    (desk.folder / "s.csv").write_text(called.out.replace(",,", ",s-canary,"))
    assert desk.done("secrets", "load", "s.csv") == {"loaded": 4, "replaced": 0}
    [odd] = desk.done("secrets", "missing")["missing"]
    assert odd["client_id"] == "odd\x1b[2J"
    assert all(filed(desk, *app) == ("s-canary", None) for app in apps)


def test_missing_as_csv_is_a_header_where_nothing_is_missing(desk: Desk) -> None:
    desk.done("export")
    called = desk.call("secrets", "missing", "--csv", "--exit-code")
    assert (called.code, called.out) == (0, "provider,client_id,client_secret,token,profiles\n")
    assert called.err == "nothing is missing for snapshot 1 of dev\n"
    assert desk.call("secrets", "missing", "--csv", "--json").code == 2


def test_profiles_for_which_no_secret_can_be_filed_are_named(desk: Desk) -> None:
    desk.create("Acme", client_id=None)  # type: ignore[arg-type]
    desk.done("export")
    called = desk.call("secrets", "missing")
    assert called.out == "nothing is missing for snapshot 1 of dev\n"
    assert "warning: 1 profile without a client id" in called.err
    assert "\n  Acme\n" in called.err


def test_a_secret_counts_only_under_its_own_provider(desk: Desk) -> None:
    desk.create("Acme", client_id="a1")
    desk.done("export")
    desk.file(("jira", "a1"), ("hubspot", "A1"))
    [missing] = desk.done("secrets", "missing")["missing"]
    assert (missing["provider"], missing["client_id"]) == ("hubspot", "a1")


def test_remove_takes_one_app_out(desk: Desk) -> None:
    desk.file(("hubspot", "a1"), ("slack", "a2"))
    args = ("secrets", "remove", "--provider", "hubspot", "--client-id", "a1")
    assert desk.done(*args) == {"removed": 1}
    assert [each["client_id"] for each in desk.done("secrets", "list")["secrets"]] == ["a2"]
    called = desk.refused(*args)
    assert called.code == 2
    assert "the sidecar has no secret for hubspot 'a1'" in called.err


# keys


@pytest.mark.parametrize("pq", [False, True])
def test_keygen_writes_an_identity_and_prints_its_recipient(desk: Desk, pq: bool) -> None:
    file = desk.folder.parent / "new.txt"
    called = desk.call("secrets", "keygen", "-o", str(file), *["--pq"] * pq)
    assert called.code == 0
    recipient = called.out.strip()
    assert recipient.startswith("age1pq1" if pq else "age1")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    [identity] = parse_identity_file(file.read_bytes())
    assert str(identity.recipient) == recipient
    assert identity.text.reveal() not in called.out + called.err
    called = desk.refused("secrets", "keygen", "-o", str(file))
    assert called.code == 1
    assert "File exists" in called.err


def test_keygen_warns_of_an_identity_beside_what_it_opens(desk: Desk) -> None:
    assert "whoever has both" in desk.call("secrets", "keygen", "-o", "new.txt").err


def test_rekey_to_recipients_says_whether_that_was_verified(desk: Desk) -> None:
    desk.file(("hubspot", "a1"))
    own = str(desk.key.identities[0].recipient)
    other = age.generate_identity()
    called = desk.call(
        "secrets", "rekey", "--recipient", own, "--recipient", str(other.recipient), "--json"
    )
    assert called.json == {"recipients": [own, str(other.recipient)], "verified": True}
    assert "made earlier still open with the old key" in called.err
    assert "warning" not in called.err
    called = desk.call("secrets", "rekey", "--recipient", str(other.recipient), "--json")
    assert called.json == {"recipients": [str(other.recipient)], "verified": False}
    assert "no identity at hand opens it now" in called.err
    assert sidecar.load(desk.folder / "secrets.age.prev", desk.key).names()
    assert sidecar.load(desk.folder / "secrets.age", sidecar.IdentityKey((other,))).names()
    called = desk.refused("secrets", "list")
    assert called.code == 7
    assert "not sealed to the identity that was given" in called.err


def test_a_recipient_that_the_configuration_does_not_name_is_warned_of_before_saving(
    desk: Desk,
) -> None:
    own = str(desk.key.identities[0].recipient)
    stranger = str(age.generate_identity().recipient)
    desk.file(("hubspot", "a1"))
    sidecar.rekey(desk.folder / "secrets.age", desk.key, [own, stranger])
    (desk.folder / "more.csv").write_text("provider,client_id,client_secret\nhubspot,a2,s\n")
    load = ("secrets", "load", str(desk.folder / "more.csv"))
    assert "warning" not in desk.call(*load).err
    text = (desk.folder / "oauthsync.toml").read_text()
    secrets = f'[secrets]\nidentity = "../key.txt"\nrecipients = ["{own}"]\n'
    desk.configure(f"{text}{secrets}")
    remove = ("secrets", "remove", "--provider", "hubspot", "--client-id", "a1")
    for args in (load, remove):
        err = desk.call(*args).err
        assert f"also sealed to {stranger}" in err
        assert own not in err
    doctor = desk.call("doctor", "--json").json["checks"]
    [found] = [each for each in doctor if each["name"] == "sidecar"]
    assert found["status"] == "warning"
    assert stranger in found["message"]


def test_rekey_goes_from_a_passphrase_to_an_identity_as_the_documentation_says(
    desk: Desk, at_terminal: None
) -> None:
    page = (Path(__file__).parent.parent / "docs" / "sidecar.md").read_text(encoding="utf-8")
    [keygen] = re.findall(r"^\$ oauthsync (secrets keygen -o .*?) +#", page, re.MULTILINE)
    [section] = re.findall(r"```toml\n(\[secrets\]\n.*?)```", page, re.DOTALL)
    seal_with_passphrase(desk)
    key = Path("~/.config/oauthsync/key.txt").expanduser()
    key.parent.mkdir(parents=True)
    recipient = desk.done(*keygen.replace("~", os.environ["HOME"]).split())["recipient"]
    other = str(age.generate_identity().recipient)
    text = (desk.folder / "oauthsync.toml").read_text()
    desk.configure(text + section.replace("age1…", recipient, 1).replace("age1…", other))
    called = desk.refused("secrets", "list")
    assert called.code == 7
    assert "sealed with a passphrase" in called.err
    code, out, shown = converse(
        ["secrets", "rekey", "--json"], [("Passphrase for secrets.age: ", PASSPHRASE)]
    )
    assert code == 0, shown
    assert json.loads(out) == {"recipients": [recipient, other], "verified": True}
    assert desk.done("secrets", "list")["secrets"]


def test_rekey_to_a_passphrase_asks_for_it_twice_after_the_old_key_has_opened(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert desk.refused("secrets", "rekey", "--passphrase").code == 7
    desk.file(("hubspot", "a1"))
    called = desk.refused("secrets", "rekey", "--passphrase")
    assert called.code == 2
    assert "nobody is there to type the new passphrase" in called.err
    code, _, shown = converse(
        ["secrets", "rekey", "--passphrase"],
        [("New passphrase for secrets.age (", PASSPHRASE), ("once more: ", PASSPHRASE)],
    )
    assert code == 0, shown
    assert "the place of the old one" in shown
    assert not (desk.folder / "secrets.age.prev").exists()
    assert age.is_passphrase_file((desk.folder / "secrets.age").read_bytes())


def test_rekey_takes_a_passphrase_or_recipients_and_only_good_ones(desk: Desk) -> None:
    desk.file(("hubspot", "a1"))
    own = str(desk.key.identities[0].recipient)
    assert desk.refused("secrets", "rekey", "--passphrase", "--recipient", own).code == 2
    assert desk.refused("secrets", "rekey", "--recipient", "age1mistyped").code == 2
    assert desk.done("secrets", "list")["secrets"]


def test_an_encrypted_identity_file_is_opened_with_its_passphrase(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.file(("hubspot", "a1"))
    key = desk.folder.parent / "key.txt"
    phrase = age.Passphrase(Secret(PASSPHRASE), work_factor=1)
    encrypted = key.with_name("key.age")
    encrypted.write_bytes(age.encrypt(key.read_bytes(), [phrase]))
    monkeypatch.setenv("OAUTHSYNC_IDENTITY", str(encrypted))
    monkeypatch.setenv("COLUMNS", "400")
    called = desk.refused("secrets", "list")
    assert called.code == 7
    assert "asks for a passphrase, and nobody is there" in called.err
    prompt = f"Passphrase for {encrypted}: "
    code, out, _ = converse(["secrets", "list", "--json"], [(prompt, PASSPHRASE)])
    assert (code, len(json.loads(out)["secrets"])) == (0, 1)
    again = [(f"{encrypted} (try {number} of 3): ", "a wrong-canary one") for number in (2, 3)]
    code, out, _ = converse(["secrets", "list"], [(prompt, ""), (again[0][0], PASSPHRASE)])
    assert (code, "hubspot" in out) == (0, True)
    code, _, shown = converse(["secrets", "list"], [(prompt, "a wrong-canary one"), *again])
    assert (code, f"{encrypted} does not open" in " ".join(shown.split())) == (7, True)


def test_an_identity_that_cannot_be_read_is_named_by_its_setting_as_it_may_be_a_passphrase(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.file(("hubspot", "a1"))
    monkeypatch.setenv("OAUTHSYNC_IDENTITY", PASSPHRASE)
    called = desk.refused("secrets", "list")
    assert called.code == 7
    assert "the age identities that OAUTHSYNC_IDENTITY names: No such file" in called.err


def test_a_damaged_sidecar_is_told_from_a_wrong_key(desk: Desk) -> None:
    desk.file(("hubspot", "a1"))
    path = desk.folder / "secrets.age"
    damage(path)
    called = desk.refused("secrets", "list")
    assert called.code == 7
    assert "the content of the age file was changed" in called.err
    path.write_text("no age file")
    assert desk.refused("secrets", "list").code == 7
    path.unlink()
    path.symlink_to("nowhere")
    assert desk.refused("secrets", "list").code == 7
    assert DEV not in desk.call("secrets", "list", "-v").err
