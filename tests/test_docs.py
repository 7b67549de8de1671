"""The documentation is true: its commands and options exist, and every command is in it."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from oauthsync.cli import cli
from oauthsync.config import REGIONS, load

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md"))]
MENTION = re.compile(r"(?:^|[`\s])oauthsync (?P<words>[a-z][^`\n]*)", re.MULTILINE)


def mentions() -> Iterator[tuple[str, str]]:
    """Everything in the documentation that looks like a call of the command."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        code = re.findall(r"```(?:console|cron|yaml)\n(.*?)```", text, re.DOTALL)
        inline = re.findall(r"`(oauthsync [^`]+)`", text)
        for part in [*code, *inline]:
            for found in MENTION.finditer(part):
                yield page.name, found["words"]


def commands(group: click.Group, path: str = "") -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield f"{path}{name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{path}{name} ")


@pytest.mark.parametrize(("page", "words"), sorted(set(mentions())))
def test_what_the_documentation_types_exists(page: str, words: str) -> None:
    arguments = shlex.split(re.split(r"\s#|[|;)]|&&|  ", words)[0].replace("…", "x"))
    command: click.Command = cli
    while isinstance(command, click.Group) and arguments:
        if arguments[0].startswith("-"):
            break
        found = command.get_command(click.Context(command), arguments[0])
        if found is None and command.invoke_without_command:
            break
        assert found is not None, f"{page}: there is no command `oauthsync {words}`"
        command = found
        arguments.pop(0)
    known = {option for parameter in command.params for option in parameter.opts}
    for argument in arguments:
        option = argument.partition("=")[0]
        if option.startswith("-") and option != "-":
            assert option in known | {"--help", "--version"}, f"{page}: {words}: no {option}"


@pytest.mark.parametrize("path", [path for path, _ in commands(cli)])
def test_the_reference_has_every_command_with_just_its_options(path: str) -> None:
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    common, *sections = re.split(r"^## ", page, flags=re.MULTILINE)
    [section] = [each for each in sections if re.match(rf"`oauthsync {path}(?: [^`a-z]*)?`", each)]
    documented = set(re.findall(r"`(-[-a-z]+)`", _options(common) + _options(section)))
    command = dict(commands(cli))[path]
    options = {option for each in command.params for option in each.opts if option[0] == "-"}
    if isinstance(command, click.Group) and not command.invoke_without_command:
        options |= set(re.findall(r"`(-[-a-z]+)`", _options(common)))
    assert documented == options | {"-h", "--help"}


def _options(text: str) -> str:
    return "".join(line for line in text.splitlines() if line.startswith("| `-"))


@pytest.mark.parametrize("path", [path for path, _ in commands(cli)])
def test_every_command_and_option_has_a_help_text(path: str) -> None:
    command = dict(commands(cli))[path]
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{path} {parameter.name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_page_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if not target.startswith("https://"):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_configuration_that_is_shown_parses(page: Path, tmp_path: Path) -> None:
    for example in re.findall(r"```toml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        if "[workspaces." in example:
            (tmp_path / "oauthsync.toml").write_text(example, encoding="utf-8")
            assert load(tmp_path, {}, tmp_path).default_workspace == "dev"


def test_the_vendors_files_that_are_shown_are_a_workspace(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    examples = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    (tmp_path / ".workato").mkdir()
    for name, example in zip(("profiles", "token_store.json"), examples, strict=True):
        (tmp_path / ".workato" / name).write_text(example, encoding="utf-8")
    environ = {"WORKATO_DISABLE_KEYRING": "true"}
    workspace = load(tmp_path, environ, tmp_path).workspace("prod")
    assert (workspace.url, workspace.source.read().reveal()) == (REGIONS["eu"], "the API token")
