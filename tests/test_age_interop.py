"""Other implementations of age open what is sealed here, and the other way round."""

import re
import shutil
import subprocess
from pathlib import Path

import pyrage  # type: ignore[import-untyped]
import pytest

from oauthsync import age
from oauthsync.keys import KeyPair

PLAINTEXT = b"the client secret"
LONG = PLAINTEXT * 5000  # two chunks

# A file that is kept, as pyrage takes seconds over one: it finds out what work factor a second
# allows. The passphrase is that of the tests.
SEALED_BY_PYRAGE = b"""\
-----BEGIN AGE ENCRYPTED FILE-----
YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IHNjcnlwdCBqSGZxSzhQd0VOVE1HQUd3
LzVWSS9RIDE4CmNrR3FwWlZadXg1QjFtaWNxM0FSZDVCSFdRRVVHOTV4TnpXVjBj
b1VlWUEKLS0tIDJDbE12THcxZ3dDUnlvbnV6aHpnbEhkL2V3TjdTeDlnU1NWaUh1
dG5DY0UKPWPAlyV2w6ixo/74DyVVO1Pa68JxOHj/jGm8R3+W9wp2Fd9xJvoHqXBL
EP9GaJh+ZQ==
-----END AGE ENCRYPTED FILE-----
"""

needs_age = pytest.mark.skipif(shutil.which("age") is None, reason="age is not installed")


def run_age(*arguments: str, data: bytes) -> bytes:
    done = subprocess.run(["age", *arguments], input=data, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def age_version() -> tuple[int, ...]:
    """`(1, 1)` of `v1.1.1`; nothing of a build without a version."""
    text = subprocess.run(["age", "--version"], capture_output=True, text=True, check=True).stdout
    found = re.match(r"v?([0-9]+)\.([0-9]+)", text)
    return tuple(int(part) for part in found.groups()) if found else ()


@pytest.fixture(params=[False, True], ids=["x25519", "hybrid"])
def keys(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[KeyPair, Path]:
    """An identity, and the file that age reads it from."""
    if request.param and age_version() < (1, 3):
        pytest.skip("age has post-quantum keys since 1.3")
    identity = age.generate_identity(pq=request.param)
    path = tmp_path / "key.txt"
    path.write_text(identity.text.reveal() + "\n")
    return identity, path


@pytest.mark.parametrize("armor", [True, False])
def test_pyrage_and_we_open_each_other_s_files(armor: bool) -> None:
    ours, other = age.generate_identity(), age.generate_identity()
    theirs = pyrage.x25519.Identity.from_str(ours.text.reveal())
    assert str(theirs.to_public()) == str(ours.recipient)

    sealed_here = age.encrypt(LONG, [other.recipient, ours.recipient], armor=armor)
    assert pyrage.decrypt(sealed_here, [theirs]) == LONG

    recipients = [pyrage.x25519.Recipient.from_str(str(each.recipient)) for each in (other, ours)]
    sealed_there = pyrage.encrypt(LONG, recipients, armored=armor)
    assert age.decrypt(sealed_there, [ours]) == LONG


@pytest.mark.parametrize("armor", [True, False])
def test_pyrage_opens_a_file_sealed_with_a_passphrase(armor: bool) -> None:
    passphrase = age.Passphrase("pass\u00e9 phrase", work_factor=5)
    sealed = age.encrypt(LONG, [passphrase], armor=armor)
    assert pyrage.passphrase.decrypt(sealed, "pass\u00e9 phrase") == LONG


def test_a_file_that_pyrage_sealed_with_a_passphrase_opens() -> None:
    assert age.decrypt(SEALED_BY_PYRAGE, [age.Passphrase("pass\u00e9 phrase")]) == PLAINTEXT


@needs_age
@pytest.mark.parametrize("armor", [True, False])
def test_the_age_command_opens_what_is_sealed_here(keys: tuple[KeyPair, Path], armor: bool) -> None:
    identity, path = keys
    sealed = age.encrypt(LONG, [identity.recipient], armor=armor)
    assert run_age("-d", "-i", str(path), data=sealed) == LONG


@needs_age
@pytest.mark.parametrize("flags", [[], ["-a"]], ids=["binary", "armor"])
def test_what_the_age_command_seals_opens(keys: tuple[KeyPair, Path], flags: list[str]) -> None:
    identity, _ = keys
    sealed = run_age(*flags, "-r", str(identity.recipient), data=LONG)
    assert age.decrypt(sealed, [identity]) == LONG
