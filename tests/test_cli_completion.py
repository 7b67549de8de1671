"""A shell completes commands, options, workspaces and snapshots."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.desk import Desk
from tests.everyday import COMMAND, installed

SHELLS = {
    "bash": (
        ["--norc", "-c"],
        "",
        "COMP_WORDS=(oauthsync secrets re); COMP_CWORD=2; _oauthsync_completion oauthsync;"
        ' printf "%s\\n" "${COMPREPLY[@]}"',
        ["rekey", "remove"],
    ),
    # What zsh completes shows in its line editor alone; that it would ask us is in its table.
    "zsh": (
        ["-f", "-c"],
        "autoload -Uz compinit && compinit -u -D",
        "print $_comps[oauthsync]",
        ["_oauthsync_completion"],
    ),
    "fish": (
        ["--no-config", "-c"],
        "",
        "complete -C 'oauthsync secrets re' | string replace -r '\\t.*' ''",
        ["rekey", "remove"],
    ),
}


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_completes_after_the_line_that_the_documentation_gives(shell: str) -> None:
    options, before, after, completed = SHELLS[shell]
    page = Path(__file__).parent.parent / "docs" / "configuration.md"
    [line] = re.findall(rf"^\$ (.*{shell}_source.*?) +#", page.read_text("utf-8"), re.MULTILINE)
    assert line.replace("zsh_", "bash_") in installed("--help").stdout
    source = installed(_OAUTHSYNC_COMPLETE=f"{shell}_source")
    assert (source.returncode, "_OAUTHSYNC_COMPLETE" in source.stdout) == (0, True)
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} here")
    path = f"{Path(COMMAND).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [shell, *options, "\n".join([before, line, after])],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout.split(), done.stderr) == (completed, "")


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("oauthsync ex", {"export"}),
        ("oauthsync s", {"snapshots", "show", "secrets", "sandbox"}),
        ("oauthsync secrets re", {"remove", "rekey"}),
        ("oauthsync plan --on-existing s", {"skip"}),
        ("oauthsync plan --pu", {"--push-secrets"}),
    ],
)
def test_commands_options_and_choices_are_completed(words: str, completed: set[str]) -> None:
    done = installed(
        _OAUTHSYNC_COMPLETE="zsh_complete",
        COMP_WORDS=words,
        COMP_CWORD=str(len(words.split()) - 1),
    )
    lines = done.stdout.splitlines()
    assert set(lines[1::3]) == completed


@pytest.mark.parametrize(
    ("words", "described"),
    [
        ("oauthsync lo", "log\tShow what changed from export to export."),
        ("oauthsync prof", "profiles\tWork on one profile of a workspace."),
        ("oauthsync secrets li", "list\tList the apps whose secrets are filed; never a secret."),
        (
            "oauthsync runs sh",
            "show\tShow one run, its steps, and what has to be re-pointed after it.",
        ),
    ],
)
def test_a_command_is_described_by_a_whole_sentence(words: str, described: str) -> None:
    *before, incomplete = words.split()
    done = installed(
        _OAUTHSYNC_COMPLETE="fish_complete",
        COMP_WORDS=" ".join(before),
        COMP_CWORD=incomplete,
    )
    assert done.stdout == f"plain,{described}\n"


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("oauthsync export ", {"plain,dev", "plain,prod"}),
        ("oauthsync export p", {"plain,prod"}),
        ("oauthsync export dev ", {"plain,prod"}),
        ("oauthsync init --region k", {"plain,kr"}),
        ("oauthsync show --workspace d", {"plain,dev"}),
        ("oauthsync profiles list --workspace d", {"plain,dev"}),
        ("oauthsync secrets fill --workspace d", {"plain,dev"}),
        ("oauthsync doctor d", {"plain,dev"}),
        ("oauthsync import l", {"plain,latest", "plain,latest~1"}),
        ("oauthsync import --plan plan.json l", set()),
        ("oauthsync plan latest --from d", {"plain,dev"}),
        ("oauthsync plan latest --to ", {"plain,dev", "plain,prod"}),
        ("oauthsync show l", {"plain,latest", "plain,latest~1"}),
        ("oauthsync diff latest li", {"plain,live"}),
        ("oauthsync plan -o p", {"file,p"}),
        ("oauthsync show --dir p", {"dir,p"}),
        ("oauthsync export --dir nowhere ", set()),
    ],
)
def test_bash_completes_workspaces_snapshots_and_files(
    desk: Desk, words: str, completed: set[str]
) -> None:
    assert completions(words) == completed
    assert desk.sandbox.requests == []


def test_completion_finds_the_folder_and_the_vendors_profiles(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vendors = Path(os.environ["HOME"], ".workato", "profiles")
    vendors.parent.mkdir(parents=True)
    vendors.write_text('{"profiles": {"staging": {"region_url": "https://www.workato.com"}}}')
    monkeypatch.chdir(tmp_path)
    named = {"plain,dev", "plain,prod", "plain,staging"}
    assert completions(f"oauthsync export --dir {desk.folder} ") == named
    assert completions("oauthsync export ", OAUTHSYNC_DIR=str(desk.folder)) == named
    desk.configure("not TOML")
    assert completions(f"oauthsync export --dir {desk.folder} ") == set()


def completions(words: str, **environ: str) -> set[str]:
    """What bash is told of the word at the end."""
    done = installed(
        _OAUTHSYNC_COMPLETE="bash_complete",
        COMP_WORDS=words,
        COMP_CWORD=str(words.count(" ")),
        **environ,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return {line for line in done.stdout.splitlines() if line}
