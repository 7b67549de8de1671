"""Which secrets a snapshot's profiles need and the sidecar lacks. Pure."""

from collections.abc import Container, Iterable
from dataclasses import dataclass

from oauthsync.profiles import Profile


@dataclass(frozen=True)
class MissingApp:
    """An OAuth app without a secret, and the profiles that need it."""

    provider: str
    client_id: str
    profiles: tuple[Profile, ...]

    @property
    def key(self) -> tuple[str, str]:
        """What its secret would be filed under."""
        return (self.provider, self.client_id)


def missing_apps(
    profiles: Iterable[Profile], apps: Container[tuple[str, str]]
) -> tuple[MissingApp, ...]:
    """The apps that are missing, by provider and client id; profiles without a client id aside."""
    needed: dict[tuple[str, str], list[Profile]] = {}
    for profile in profiles:
        if profile.client_id is not None:
            needed.setdefault((profile.provider, profile.client_id), []).append(profile)
    return tuple(
        MissingApp(*app, tuple(found)) for app, found in sorted(needed.items()) if app not in apps
    )
