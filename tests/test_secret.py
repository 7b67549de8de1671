"""A secret shows itself to `reveal` only."""

import pickle
import traceback

import pytest

from oauthsync.secret import Secret


def test_a_secret_shows_nothing_of_itself() -> None:
    secret = Secret("hunter2")
    shown = [repr(secret), str(secret), f"{secret}", f"{[secret]}", "%s" % secret]  # noqa: UP031
    assert not any("hunter2" in text for text in shown)
    assert secret.reveal() == "hunter2"


def test_a_secret_cannot_be_pickled() -> None:
    secret = Secret("hunter2")
    with pytest.raises(TypeError) as caught:
        pickle.dumps(secret)
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


def test_secrets_compare_by_value_and_only_with_secrets() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert hash(Secret("a")) == hash(Secret("a"))
    assert bool(Secret("a"))
    assert not Secret("")


def test_a_value_that_is_not_unicode_still_compares() -> None:
    assert Secret("\udcff") == Secret("\udcff")
