"""One call of a command, and how it talks to whoever called it."""

import os
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oauthsync.cli import terminal
from oauthsync.errors import UsageError
from oauthsync.text import listed, visible

if TYPE_CHECKING:
    from oauthsync.backup import Backup
    from oauthsync.events import Event, StepEnded
    from oauthsync.progress import Progress
    from oauthsync.render import Renderer
    from oauthsync.secret import Secret
    from oauthsync.snapshots import Snapshot
    from oauthsync.strictjson import Json


class Session:
    """The common options of a call, its answers, and its questions."""

    def __init__(
        self, folder: Path, *, json: bool, quiet: bool, verbose: bool, no_input: bool
    ) -> None:
        self.folder = folder
        self.json = json
        self.quiet = quiet
        self.verbose = verbose
        self.no_input = no_input
        self.interactive = not no_input and terminal.somebody_there()
        self.answered = False
        self.warned_of_quota = False
        self.interrupted: str | None = None
        self.last_step: StepEnded | None = None
        self._progress: Progress | None = None

    def backup(self) -> "Backup":
        """The backup folder; close it after use."""
        from oauthsync.backup import Backup
        from oauthsync.progress import Pace, progress_on

        def pace(name: str) -> Pace:
            return Pace(backup.requests_per_minute[name], backup.expected.get(name, 0))

        if not self.folder.is_dir():
            variable = os.environ.get("OAUTHSYNC_DIR")
            is_from_there = variable and Path(variable) == self.folder
            named_by = "OAUTHSYNC_DIR" if is_from_there else "--dir"
            raise UsageError(
                f"there is no backup folder {self.folder}", hint=f"create it, or check {named_by}"
            )
        self._progress = progress_on(
            sys.stderr, pace, terminal.columns, quiet=self.quiet, verbose=self.verbose
        )
        backup = Backup(
            self.folder,
            listener=self._listen,
            ask=self.ask_passphrase if self.interactive else None,
        )
        return backup

    def find(
        self, backup: "Backup", selector: str, workspace: str | None, *, for_exit_code: bool = False
    ) -> "Snapshot":
        """The snapshot that is asked for; a warning where it may not be the one that is meant.

        UsageError where an exit code would tell of any workspace's: nobody reads a warning then.
        """
        found = backup.select(selector, workspace)
        if for_exit_code and workspace is None and not selector.isdecimal():
            exports = (each for each in backup.snapshots().all() if each.kind == "export")
            if len(names := sorted({each.workspace for each in exports})) > 1:
                raise UsageError(
                    f"{selector} may be a snapshot of any of {listed(names)}",
                    hint="with --exit-code, name one by --workspace",
                )
        default = backup.config.default_workspace or found.workspace
        if workspace is None and not selector.isdecimal() and found.workspace != default:
            self.warn(
                f"{selector} is snapshot {found.id}, of {found.workspace}, and the default"
                f" workspace is {default}: name one by --workspace"
            )
        return found

    def check_workspace(self, backup: "Backup", name: str | None) -> None:
        """UsageError for a workspace that neither the configuration nor a snapshot has."""
        if name is not None and name not in (known := backup.known_names()):
            raise UsageError(f"there is no workspace {name!r}", hint=_suggestion(name, known))

    def check_provider(self, name: str | None, known: Iterable[str]) -> None:
        """Warn of a provider that none of these is: they are matched exactly."""
        if name is not None and name not in (found := set(known)):
            self.warn(f"there is no provider {name!r} here: {_suggestion(name, found)}")

    def warn_of_slip(self, provider: str, known: "Collection[str]") -> None:
        """Warn of a provider that is nearly one of those that are known; a new one is fine."""
        from difflib import get_close_matches

        if provider not in known and (near := get_close_matches(provider, known, n=1, cutoff=0.8)):
            self.warn(f"no profile is of provider {provider!r} yet: did you mean {near[0]}?")

    def _listen(self, event: "Event") -> None:
        """Show progress; the one event that something is wrong is a warning, once."""
        from oauthsync.events import QuotaNotShared, StepEnded

        assert self._progress is not None, "whoever tells events has the backup folder"
        if isinstance(event, StepEnded):
            self.last_step = event
        if not isinstance(event, QuotaNotShared):
            self._progress(event)
        elif not self.warned_of_quota:
            self.warned_of_quota = True
            self.warn(
                f"the budget of requests is not shared with your other processes: {event.problem}"
                " (`oauthsync doctor` says what to do)"
            )

    # --- telling --------------------------------------------------------------------------------

    def answer(
        self, document: "Callable[[], dict[str, Json]]", text: Callable[["Renderer"], str]
    ) -> None:
        """Print what was asked for: one JSON document, or text for people."""
        self.wipe_progress()
        self.answered = True
        if self.json:
            terminal.print_json(document())
        elif shown := text(self._renderer(sys.stdout)):
            terminal.print_text(shown)

    def report(
        self, document: "Callable[[], dict[str, Json]]", text: Callable[["Renderer"], str]
    ) -> None:
        """As `answer`, for what was done rather than asked for: --quiet keeps the text back."""
        if self.json or not self.quiet:
            self.answer(document, text)
        self.answered = True

    def show(self, text: Callable[["Renderer"], str]) -> None:
        """Show a person what is going to happen, beside the result."""
        if not self.quiet:
            self.wipe_progress()
            terminal.tell(text(self._renderer(sys.stderr)))

    def say(self, text: str) -> None:
        """Tell a person what happens."""
        if not self.quiet:
            self.wipe_progress()
            terminal.tell(terminal.wrapped(visible(text), sys.stderr))

    def warn(self, text: str) -> None:
        """Tell a person what is not as it should be, whatever they asked for."""
        self.wipe_progress()
        terminal.tell_labelled("warning:", "yellow", text, wrap=not self.json)

    def folded(self, names: "Sequence[str]") -> str:
        """Names for a message, one below the other."""
        return self._renderer(sys.stderr).names(names)

    def wipe_progress(self) -> None:
        """Take the moving line off the terminal, before something else is written there."""
        if self._progress is not None:
            self._progress.wipe()

    def _renderer(self, stream: Any) -> "Renderer":
        from oauthsync.render import Renderer

        return Renderer(
            color=terminal.wants_color(stream),
            verbose=self.verbose,
            width=terminal.width(stream),
        )

    # --- asking ---------------------------------------------------------------------------------

    def ask_passphrase(self, prompt: str, is_new: bool) -> "Secret":
        """Ask for a passphrase, hidden; a new one is checked, and typed twice."""
        from oauthsync.secret import Secret

        self.wipe_progress()
        if not is_new:
            return Secret(terminal.ask_hidden(prompt))
        from oauthsync.keys import MIN_PASSPHRASE

        prompt += f" ({MIN_PASSPHRASE} characters or more, best several random words)"
        while problem := _problem_of_new(typed := terminal.ask_hidden(prompt)):
            terminal.tell_again(problem)
        return Secret(typed)

    def ask_secret(self, prompt: str) -> "Secret":
        """Ask for a client secret or token, hidden; empty where the person gives none."""
        from oauthsync.secret import Secret

        self.wipe_progress()
        while (typed := terminal.ask_hidden(prompt)) != typed.strip():
            # It came along with a copied value far more often than it belongs to it.
            terminal.tell_again(
                "it begins or ends with white space (`oauthsync secrets set --stdin` takes it so)"
            )
        return Secret(typed)

    def confirm(self, question: str) -> bool:
        """Ask a yes-or-no question; UsageError where nobody can answer."""
        self.wipe_progress()
        if not self.interactive:
            raise UsageError(
                "nobody is there to be asked, so nothing was written", hint="add --yes to go ahead"
            )
        return terminal.confirm(question)


def _suggestion(word: str, known: Iterable[str]) -> str:
    from oauthsync.tables import suggestion

    return suggestion(word, sorted(known))


def _problem_of_new(passphrase: str) -> str | None:
    """Why a new passphrase is not taken, after it was typed a second time; None where it is."""
    from oauthsync.keys import check_passphrase

    try:
        check_passphrase(passphrase)
    except UsageError as error:
        return f"{error} ({error.hint})"
    if terminal.ask_hidden("Type it once more") != passphrase:
        return "the two are not the same"
    return None
