"""What POST and PUT take, and how a bad payload is refused.

Both forms of the API's error body occur: `{"errors": {field: [text]}}` with 400 for a field that
is missing, `{"message": text}` with 400 for what is not a JSON object and 422 for a wrong type.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from oauthsync.sandbox import rawjson
from oauthsync.secret import Secret

_SECRETS = ("client_secret", "token")


class RefusalError(Exception):
    """A request that the API refuses: the HTTP status and the answer's JSON."""

    def __init__(self, status: int, answer: Mapping[str, object]) -> None:
        super().__init__(f"{status}: {answer}")
        self.status = status
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Payload:
    """A checked payload; `data` is without the secrets, its numbers as sent."""

    name: str
    provider: str
    data: dict[str, object]
    client_secret: Secret
    token: Secret | None


def parse_payload(raw: bytes, providers: Collection[str] | None = None) -> Payload:
    """The body of a POST or PUT; raises RefusalError.

    With `providers`, a provider that is not among them is refused.
    """
    payload = _parse_object(raw)
    data = payload.get("data", {})
    if not isinstance(data, dict):
        raise RefusalError(422, {"message": "data is not an object"})
    required = {
        "name": payload.get("name"),
        "provider": payload.get("provider"),
        "data.client_id": data.get("client_id"),
        "data.client_secret": data.get("client_secret"),
    }
    name, provider, _, client_secret = _required_texts(required)
    if providers is not None and provider not in providers:
        raise RefusalError(400, {"errors": {"provider": ["is not included in the list"]}})
    public = {key: value for key, value in data.items() if key not in _SECRETS}
    return Payload(name, provider, public, Secret(client_secret), _token(data.get("token")))


def _parse_object(raw: bytes) -> dict[str, object]:
    try:
        payload = rawjson.parse(raw)
        rawjson.encode(payload)  # what is nested too deeply to be returned is refused now
    except (ValueError, RecursionError):
        raise RefusalError(400, {"message": "The request's body is not valid JSON"}) from None
    if not isinstance(payload, dict):
        raise RefusalError(400, {"message": "The request's body is not a JSON object"})
    return payload


def _required_texts(fields: Mapping[str, object]) -> list[str]:
    missing = [name for name, value in fields.items() if value is None or value == ""]
    if missing:
        raise RefusalError(400, {"errors": {name: ["can't be blank"] for name in missing}})
    return [_text(name, value) for name, value in fields.items()]


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise RefusalError(422, {"message": f"{name} is not a string"})
    return value


def _token(value: object) -> Secret | None:
    if value is None or value == "":
        return None
    return Secret(_text("data.token", value))
