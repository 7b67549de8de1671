"""A bare client for the sandbox's tests, which shows on the wire what a library would hide."""

import json
import socket
from dataclasses import dataclass
from typing import Any

from oauthsync.sandbox import Sandbox

PROFILES = "/api/custom_oauth_profiles"
TIMEOUT = 10.0


@dataclass(frozen=True)
class Answer:
    """A complete HTTP answer; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def result(self) -> Any:
        return self.json["result"]


def payload(name: str = "Acme HubSpot", provider: str = "hubspot", **data: object) -> bytes:
    """A payload as POST and PUT take it; `data` adds to, or replaces, what stands in its data."""
    content = {"client_id": "an-app", "client_secret": "s3cret-canary", **data}
    return json.dumps({"name": name, "provider": provider, "data": content}).encode()


def request_bytes(method: str, path: str, body: bytes = b"", token: str = "a") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: sandbox\r\nAuthorization: Bearer {token}\r\n"
    return f"{head}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def exchange(sandbox: Sandbox, sent: bytes) -> bytes:
    """All that comes back until the connection ends; raises ConnectionResetError for an RST."""
    with socket.create_connection(address(sandbox), TIMEOUT) as connection:
        connection.sendall(sent)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    return received


def call(
    sandbox: Sandbox, method: str, path: str, body: bytes = b"", *, token: str = "a"
) -> Answer:
    """One request on a connection of its own."""
    return parse(exchange(sandbox, request_bytes(method, path, body, token)))


def parse(received: bytes) -> Answer:
    """A complete answer; fails the test where it is cut short."""
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    assert len(body) == int(headers["content-length"])
    return Answer(int(first.split(" ")[1]), headers, body)


def address(sandbox: Sandbox) -> tuple[str, int]:
    host, port = sandbox.url.removeprefix("http://").split(":")
    return host, int(port)
