"""The sidecar of a backup folder, and what opens it: its configured source, or a person.

Without a person, nothing ever waits for one. What a person typed wrong is asked for again.
"""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from oauthsync.config import Config, Unlock
from oauthsync.errors import SidecarError, UsageError
from oauthsync.files import is_there, previous_of, read_regular
from oauthsync.secret import Secret

if TYPE_CHECKING:
    # A command imports what it uses: see "Speed" in docs/architecture.md.
    from oauthsync.keys import KeyPair, PassphraseKey
    from oauthsync.sidecar import Key, Secrets

TRIES = 3
"""How often a person may type the passphrase that is to open something."""

Ask = Callable[[str, bool], Secret]
"""Ask a person for a passphrase: the prompt, and whether it is a new one, to be typed twice."""

T = TypeVar("T")


class Opener:
    """One sidecar; `ask` prompts for a passphrase, and is None where nobody is there."""

    def __init__(self, config: Config, ask: Ask | None) -> None:
        self._config = config
        self._path = config.sidecar
        self._ask = ask
        self._was_typed = False

    def secrets(self) -> "Secrets":
        """The opened sidecar; who mistypes its passphrase is asked again.

        Raises SidecarError as `sidecar.load` does.
        """
        path = self._path
        if not self.exists:
            raise SidecarError(
                f"there is no sidecar at {path}",
                hint="`oauthsync secrets set`, `fill` and `load` create it",
            )
        from oauthsync import sidecar

        def open_with(passphrase: Secret) -> "Secrets":
            self.key = sidecar.PassphraseKey(passphrase)
            return sidecar.load(path, self.key)

        key = self.key
        if self._was_typed and isinstance(key, sidecar.PassphraseKey):
            return self._until_it_opens(path, key.passphrase, open_with)
        return sidecar.load(path, key)

    def apps(self) -> frozenset[tuple[str, str]]:
        """The apps (provider, client id) whose secrets are at hand; none without a sidecar."""
        return self.secrets().names() if self.exists else frozenset()

    def strangers(self) -> tuple[str, ...]:
        """Whom the sidecar is sealed to although [secrets] names recipients, and not them.

        age does not tell who sealed a file: who can write to the folder can put one of his own
        there, and what is filed next would be sealed to him, too.
        """
        from oauthsync import age

        named = {str(age.parse_recipient(text)) for text in self._config.recipients}
        return tuple(sorted(set(self.secrets().recipients) - named)) if named else ()

    @property
    def exists(self) -> bool:
        """Whether anything, be it a broken link, stands where the sidecar goes, or did before.

        Opening one of which only the generation before is left says so.
        """
        path = self._path
        return is_there(path) or is_there(previous_of(path))

    @cached_property
    def key(self) -> "Key":
        """What opens the sidecar, or seals a new one: from its configured source, or a person.

        Raises SidecarError where neither gives it. A person is asked once, and also where the
        configuration's identity is to take over from the passphrase that still seals the file.
        """
        from oauthsync import sidecar

        unlock = self._config.unlock()
        if unlock is None or self._is_to_take_over(unlock):
            return self._typed_key()
        if unlock.kind == "passphrase":
            return sidecar.PassphraseKey(unlock.passphrase())
        assert unlock.identity is not None
        return sidecar.IdentityKey(self._identities(unlock.identity, unlock.source))

    def identities(self) -> "tuple[KeyPair, ...]":
        """The identities that the configuration names, if it names any. Raises SidecarError."""
        unlock = self._config.unlock()
        if unlock is None or unlock.identity is None:
            return ()
        return self._identities(unlock.identity, unlock.source)

    def _is_to_take_over(self, unlock: Unlock) -> bool:
        from oauthsync import sidecar

        return (
            self._ask is not None
            and unlock is self._config.configured_unlock
            and unlock.kind == "identity"
            and self.exists
            and sidecar.sealed_with_passphrase(self._path)
        )

    def _typed_key(self) -> "Key":
        from oauthsync import sidecar

        path = self._path
        exists = self.exists
        by_passphrase = (
            sidecar.sealed_with_passphrase(path) if exists else not self._config.recipients
        )
        if not by_passphrase:
            raise SidecarError(
                f"{path} is sealed to age recipients, and no identity is given",
                hint="set OAUTHSYNC_IDENTITY, or [secrets] identity, to an identity's file",
            )
        if self._ask is None:
            raise SidecarError(
                f"{path} asks for a passphrase, and nobody is there to type it",
                hint="set one of OAUTHSYNC_PASSPHRASE, OAUTHSYNC_PASSPHRASE_FILE,"
                " OAUTHSYNC_PASSPHRASE_COMMAND or OAUTHSYNC_IDENTITY, or [secrets] in"
                f" {self._config.file}",
            )
        self._was_typed = True
        prompt = f"Passphrase for {path}" if exists else f"New passphrase for {path}"
        return sidecar.PassphraseKey(self._ask(prompt, not exists))

    def _until_it_opens(
        self, path: Path, passphrase: Secret, open_with: Callable[[Secret], T]
    ) -> T:
        """What `open_with` gives for a passphrase that was typed, maybe not at the first try."""
        assert self._ask is not None, "somebody has typed it"
        for number in range(2, TRIES + 1):
            try:
                return open_with(passphrase)
            except SidecarError as error:
                if not _is_mismatch(error):
                    raise
            prompt = f"That does not open it. Passphrase for {path} (try {number} of {TRIES})"
            passphrase = self._ask(prompt, False)
        return open_with(passphrase)

    def new_passphrase(self) -> "PassphraseKey":
        """A new passphrase for the sidecar, from a person; UsageError where nobody is there."""
        from oauthsync import sidecar

        if self._ask is None:
            raise UsageError(
                "nobody is there to type the new passphrase",
                hint="run this on a terminal, or seal to age recipients",
            )
        prompt = f"New passphrase for {self._path}"
        return sidecar.PassphraseKey(self._ask(prompt, True))

    def _identities(self, path: Path, source: str) -> "tuple[KeyPair, ...]":
        from oauthsync import age, keys

        try:
            text = read_regular(path, limit=age.MAX_FILE)
        except OSError as error:
            reason = error.strerror
        else:
            if keys.is_encrypted(text):
                text = self._decrypted(path, text)
            return keys.parse_identity_file(text)
        # Without the path, and that error, which has it: people put a passphrase there by mistake.
        raise SidecarError(
            f"cannot read {source}: {reason}",
            hint="that setting is to be the path of a file that holds them",
        )

    def _decrypted(self, path: Path, text: bytes) -> bytes:
        """The content of an identity file that is itself encrypted with a passphrase."""
        from oauthsync import age

        if self._ask is None:
            raise SidecarError(
                f"the identity file {path} asks for a passphrase, and nobody is there to type it",
                hint="run this on a terminal, or name an identity file that is not encrypted",
            )
        typed = self._ask(f"Passphrase for {path}", False)
        try:
            return self._until_it_opens(
                path, typed, lambda passphrase: age.decrypt(text, [age.Passphrase(passphrase)])
            )
        except age.AgeError as error:
            raise SidecarError(
                f"the identity file {path} does not open: {error}", hint=error.hint
            ) from error


def _is_mismatch(error: BaseException | None) -> bool:
    """Whether a passphrase is empty, or a wrong one (or the header that tells is damaged)."""
    from oauthsync import age

    return error is not None and (
        isinstance(error, age.NoMatchError | age.KeyFormatError) or _is_mismatch(error.__cause__)
    )
