"""Back up the custom OAuth profiles of a Workato workspace, and put them back.

The names below are the library's face; `docs/library.md` shows them at work. They are imported when
they are first used, so that `import oauthsync` costs nothing.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oauthsync.backup import Backup, Exported, Failed
    from oauthsync.errors import OauthsyncError
    from oauthsync.plan import Options, Plan, Selection
    from oauthsync.preparing import Prepared, prepare
    from oauthsync.profiles import Profile
    from oauthsync.restore import Carried, open_session
    from oauthsync.secret import Secret
    from oauthsync.snapshots import Snapshot

__version__ = "0.1.0"

__all__ = [
    "Backup",
    "Carried",
    "Exported",
    "Failed",
    "OauthsyncError",
    "Options",
    "Plan",
    "Prepared",
    "Profile",
    "Secret",
    "Selection",
    "Snapshot",
    "__version__",
    "open_session",
    "prepare",
]

_HOMES = {
    "backup": ("Backup", "Exported", "Failed"),
    "errors": ("OauthsyncError",),
    "plan": ("Options", "Plan", "Selection"),
    "preparing": ("Prepared", "prepare"),
    "profiles": ("Profile",),
    "restore": ("Carried", "open_session"),
    "secret": ("Secret",),
    "snapshots": ("Snapshot",),
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"oauthsync.{module}"), name)
    raise AttributeError(f"module 'oauthsync' has no attribute {name!r}")
