"""The public test vectors of the age format (C2SP/CCTV age/testdata), each with one outcome."""

import hashlib
import zlib
from dataclasses import dataclass
from pathlib import Path

import pytest

from oauthsync import age

FOLDER = Path(__file__).parents[2] / "shared" / "age-testkit"
VECTORS = sorted(path for path in FOLDER.glob("*") if path.name != "README.md")

KINDS: dict[str, type[age.AgeError]] = {
    "no match": age.NoMatchError,
    "HMAC failure": age.HeaderMacError,
    "header failure": age.HeaderError,
    "armor failure": age.ArmorError,
    "payload failure": age.PayloadError,
}

# The grammar allows these work factors, and only the limit that the specification recommends stops
# them. The vectors count that as a header failure; we say which limit it is as well.
OVER_A_LIMIT = {"scrypt_work_factor_23", "scrypt_work_factor_overflow"}

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the age test vectors are not here")


@dataclass(frozen=True)
class Vector:
    expect: str
    payload: str | None
    identities: list[age.Identity]
    file: bytes


def read_vector(path: Path) -> Vector:
    head, _, file = path.read_bytes().partition(b"\n\n")
    pairs = [line.split(": ", 1) for line in head.decode().split("\n")]
    single = dict(pairs)
    identities: list[age.Identity] = [
        *(age.parse_identity(value) for key, value in pairs if key == "identity"),
        *(age.Passphrase(value) for key, value in pairs if key == "passphrase"),
    ]
    if single.get("compressed") == "zlib":
        file = zlib.decompress(file)
    return Vector(single["expect"], single.get("payload"), identities, file)


def test_the_collection_is_complete() -> None:
    assert len(VECTORS) == 110


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.name)
def test_a_vector_has_exactly_its_outcome(path: Path) -> None:
    vector = read_vector(path)
    if vector.expect == "success":
        plaintext = age.decrypt(vector.file, vector.identities)
        assert hashlib.sha256(plaintext).hexdigest() == vector.payload
        return
    kind = age.HeaderLimitError if path.name in OVER_A_LIMIT else KINDS[vector.expect]
    with pytest.raises(KINDS[vector.expect]) as caught:
        age.decrypt(vector.file, vector.identities)
    assert caught.type is kind
    assert caught.value.hint
