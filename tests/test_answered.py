"""An answer that cannot be true is none."""

import pytest

from oauthsync import profiles
from oauthsync.answered import Answered
from oauthsync.errors import UnknownOutcomeError
from oauthsync.profiles import Profile
from oauthsync.runs import Step


def step(client_id: str = "app") -> Step:
    return Step(
        id=1,
        run=1,
        action="create",
        state="planned",
        source_id=5,
        target_id=None,
        provider="hubspot",
        name="Acme",
        client_id=client_id,
        data={},
        reason="",
        error=None,
        result=None,
    )


def profile(provider: str = "hubspot", client_id: str = "app") -> Profile:
    return profiles.from_json(
        {"id": 7, "name": "Acme", "provider": provider, "data": {"client_id": client_id}}
    )


@pytest.mark.parametrize("other", [profile(provider="slack"), profile(client_id="another")])
def test_a_new_profile_of_another_app_is_no_answer(other: Profile) -> None:
    with pytest.raises(UnknownOutcomeError, match="another app"):
        Answered().created(step(), other)


def test_a_new_profile_as_it_was_sent_is_one() -> None:
    answered = Answered()
    answered.created(step(), profile())
    assert answered.cover([step()])
    with pytest.raises(UnknownOutcomeError, match="was there before"):
        answered.created(step(), profile())
