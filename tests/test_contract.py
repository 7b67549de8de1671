"""The sandbox serves exactly the API that its openapi.yaml describes, over real sockets."""

from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from schemathesis.core.failures import FailureGroup

from oauthsync.sandbox import Fault, Sandbox
from tests.clock import FakeClock

AUTHORIZED = {"Authorization": "Bearer a"}
BOUNDED = settings(
    derandomize=True,
    database=None,
    deadline=None,
    # The sandbox serves all examples of a test; that one has changed its state does no harm.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

schema = schemathesis.openapi.from_path(
    str(files("oauthsync.sandbox") / "openapi.yaml"),
    # A query parameter that nobody knows is ignored.
    config=schemathesis.Config.from_dict({"generation": {"allow-extra-parameters": False}}),
)


def new_sandbox(*faults: Fault) -> Sandbox:
    return Sandbox(
        ["a"], profiles=3, requests_per_minute=1_000_000, clock=FakeClock(), faults=faults
    )


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with new_sandbox() as running:
        yield running
        assert any(request.status == 200 for request in running.requests)


def test_the_contract_has_the_calls_of_the_api_and_no_secret_in_an_answer() -> None:
    calls = schema.raw_schema["paths"]
    methods = ("get", "post", "put", "delete", "patch")
    assert {
        (method.upper(), path) for path in calls for method in calls[path] if method in methods
    } == {
        ("GET", "/api/custom_oauth_profiles"),
        ("POST", "/api/custom_oauth_profiles"),
        ("GET", "/api/custom_oauth_profiles/{id}"),
        ("PUT", "/api/custom_oauth_profiles/{id}"),
        ("DELETE", "/api/custom_oauth_profiles/{id}"),
        ("GET", "/api/users/me"),
    }
    data = schema.raw_schema["components"]["schemas"]["Profile"]["properties"]["data"]
    assert data["properties"]["client_secret"] is data["properties"]["token"] is False


@schema.parametrize()
@settings(BOUNDED, max_examples=20)
def test_a_call_answers_as_described(case: schemathesis.Case[Any], sandbox: Sandbox) -> None:
    case.call_and_validate(base_url=sandbox.url, headers=AUTHORIZED)


class Calls(schema.as_state_machine()):  # type: ignore[misc]
    """Calls that follow each other, on the ids that the ones before returned."""

    def setup(self) -> None:
        # One for each example: what a call returns leads to the next, and must repeat itself.
        self.sandbox = new_sandbox().__enter__()

    def teardown(self) -> None:
        self.sandbox.__exit__(None, None, None)

    def get_call_kwargs(self, case: schemathesis.Case[Any]) -> dict[str, Any]:
        return {"base_url": self.sandbox.url, "headers": AUTHORIZED}


def test_calls_that_follow_each_other_answer_as_described() -> None:
    run_state_machine_as_test(
        Calls, settings=settings(BOUNDED, max_examples=10, stateful_step_count=8)
    )


@pytest.mark.parametrize("kind", ["500", "html", "half-json", "429-bare", "refused"])
def test_an_answer_that_is_not_as_described_is_noticed(kind: str) -> None:
    with new_sandbox(Fault(kind)) as sandbox, pytest.raises(FailureGroup):
        schema["/api/custom_oauth_profiles"]["GET"].Case().call_and_validate(
            base_url=sandbox.url, headers=AUTHORIZED
        )
