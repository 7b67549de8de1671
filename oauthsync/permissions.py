"""Who else can read or change the files of a backup folder. Nothing here opens a file."""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from oauthsync.config import Config
from oauthsync.diagnosis import Check
from oauthsync.errors import UsageError
from oauthsync.files import previous_of
from oauthsync.sources import FromFile
from oauthsync.vendor import token_file

NAME = "files"
OTHERS = stat.S_IRWXG | stat.S_IRWXO
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def check_files(config: Config) -> Iterator[Check]:
    """One check for each thing that is not as it should be, or one that says that all is well."""
    found = [*_folder(config.folder), *_configuration(config.file)]
    for path in _private(config):
        found += _private_file(path)
    yield from found or [Check(NAME, "ok", "private, and the folder can be written")]


def _private(config: Config) -> Iterator[Path]:
    yield config.database
    yield config.sidecar
    yield previous_of(config.sidecar)
    # A link to what is kept elsewhere is fine; of one that leads nowhere, `resolve` is an error.
    yield from sorted({Path(os.path.realpath(path)) for path in _named(config)})


def key_file(config: Config) -> Path | None:
    """The file that opens the sidecar, where a setting names one."""
    with suppress(UsageError):  # the sidecar's own check says so
        if unlock := config.unlock():
            return unlock.file
    return None


def _named(config: Config) -> Iterator[Path]:
    """The files that settings name, and that hold a token, a passphrase or an identity."""
    if file := key_file(config):
        yield file
    sources = [workspace.source for workspace in config.workspaces.values()]
    yield from (source.path for source in sources if isinstance(source, FromFile))
    yield token_file(config.sources.home)  # of the vendor's tool, where it is there


def _folder(folder: Path) -> Iterator[Check]:
    if not os.access(folder, os.W_OK | os.X_OK):
        yield Check(
            NAME,
            "failed",
            f"the folder {folder} cannot be written: no export and no import can be kept",
            hint="check its owner and mode, and whether its file system is mounted read-only",
            exit_code=1,
        )
    mode = folder.stat().st_mode
    if mode & OTHERS_WRITE and not mode & stat.S_ISVTX:
        yield Check(
            NAME,
            "warning",
            f"others can put files into the folder {folder} ({_octal(mode)})",
            hint=f"chmod go-w {folder}",
        )


def _configuration(path: Path) -> Iterator[Check]:
    # It holds no secret, but commands: a link to it is fine, another's pen is not.
    if path.exists() and (mode := path.stat().st_mode) & OTHERS_WRITE:
        yield Check(
            NAME,
            "warning",
            f"others can change {path} ({_octal(mode)}), and with it which commands oauthsync runs",
            hint=f"chmod go-w {path}",
        )


def _private_file(path: Path) -> Iterator[Check]:
    try:
        status = path.lstat()
    except OSError:
        return  # missing, out of reach, or no path at all: whoever needs it will say so
    if not stat.S_ISREG(status.st_mode):
        yield Check(
            NAME,
            "warning",
            f"{path} is a symbolic link, a folder or a device, and not a file",
            hint="put the file itself there",
        )
        return
    if status.st_uid != os.geteuid():
        yield Check(
            NAME,
            "warning",
            f"{path} belongs to another user (id {status.st_uid})",
            hint=f"chown it to the user who runs oauthsync (id {os.geteuid()})",
        )
    if status.st_mode & OTHERS:
        yield Check(
            NAME,
            "warning",
            f"others can use {path} ({_octal(status.st_mode)})",
            hint=f"chmod 600 {path}",
        )


def _octal(mode: int) -> str:
    return f"mode {stat.S_IMODE(mode):04o}"
