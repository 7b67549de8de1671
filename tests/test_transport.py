"""One HTTP exchange: what was sent, what is known about it, and what never gets out."""

import contextlib
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oauthsync import transport
from oauthsync.answers import Answer
from oauthsync.errors import NotSentError, UnknownOutcomeError
from oauthsync.secret import Secret
from oauthsync.transport import Transport
from tests import leaks
from tests.wire import Reaction, Wire, answer, reset

TOKEN = "wrkprod-canary-token"
SECRET = "canary-secret"
METHODS = ["GET", "POST", "PUT", "DELETE"]


def nothing() -> None:
    pass


def exchange(
    url: str,
    method: str = "GET",
    *,
    body: bytes | None = None,
    before: Callable[[], None] = nothing,
    timeout: float = 5.0,
) -> Answer:
    client = Transport(url, Secret(TOKEN), timeout=timeout)
    try:
        return client.exchange(method, "/api/x?page=1", body, before=before)
    finally:
        client.close()


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


# --- what is sent, and what comes back ----------------------------------------------------------


def test_a_request_carries_the_token_and_the_body_and_its_answer_comes_back_whole() -> None:
    with Wire(answer(201, b'{"a": 1}', {"X-Rate-Limit-Remaining": "7"})) as wire:
        found = exchange(wire.url, "POST", body=b'{"name": "x"}')
    assert (found.status, found.content) == (201, b'{"a": 1}')
    assert found.headers["x-rate-limit-remaining"] == "7"
    head, _, body = wire.requests[0].partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST /api/x?page=1 HTTP/1.1"
    assert b"Authorization: Bearer " + TOKEN.encode() in lines
    assert b"Content-Type: application/json" in lines
    assert any(line.startswith(b"User-Agent: oauthsync/") for line in lines)
    assert body == b'{"name": "x"}'


@pytest.mark.parametrize(("method", "is_said"), [("GET", False), ("DELETE", True)])
def test_a_write_without_a_body_says_so(method: str, is_said: bool) -> None:
    with Wire(answer()) as wire:
        exchange(wire.url, method)
    assert (b"Content-Length: 0\r\n" in wire.requests[0]) is is_said


@pytest.mark.parametrize("status", [100, 102, 103, 199])
def test_an_interim_answer_is_not_the_answer_and_shifts_none(status: int) -> None:
    interim = b"HTTP/1.1 %d Wait\r\nLink: </x>\r\n\r\n" % status
    with Wire(interim * 3 + answer(200, b"one"), answer(200, b"two")) as wire:
        client = Transport(wire.url, Secret(TOKEN), timeout=5)
        answers = [client.exchange("GET", "/", None, before=nothing) for _ in range(2)]
        client.close()
    assert [(each.status, each.content) for each in answers] == [(200, b"one"), (200, b"two")]
    assert "Link" not in answers[0].headers
    assert wire.connections == 1


@pytest.mark.parametrize("status", [204, 404, 429, 500, 503])
def test_any_status_is_an_answer(status: int) -> None:
    with Wire(answer(status, b"")) as wire:
        assert exchange(wire.url).status == status


def test_chunked_and_compressed_answers_are_read_whole() -> None:
    import gzip

    packed = gzip.compress(b"x" * 300_000)
    chunks = b"".join(
        b"%x\r\n%s\r\n" % (len(part), part)
        for part in (packed[i : i + 100] for i in range(0, len(packed), 100))
    )
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
    with Wire(head + chunks + b"0\r\n\r\n") as wire:
        assert exchange(wire.url).content == b"x" * 300_000


def test_a_connection_is_kept_for_the_next_request() -> None:
    with Wire(answer()) as wire:
        client = Transport(wire.url, Secret(TOKEN), timeout=5)
        for _ in range(3):
            client.exchange("GET", "/", None, before=nothing)
        assert wire.connections == 1
        client.close()


def test_requests_side_by_side_have_connections_of_their_own_which_later_ones_use_again() -> None:
    together = threading.Barrier(4)
    with Wire(answer()) as wire:
        client = Transport(wire.url, Secret(TOKEN), timeout=5)
        for _ in range(2):
            threads = [
                threading.Thread(
                    target=client.exchange,
                    args=("GET", "/", None),
                    kwargs={"before": lambda: together.wait(5) and None},
                )
                for _ in range(4)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert wire.connections == 4
        assert len(wire.requests) == 8
        client.close()


def test_close_closes_every_connection() -> None:
    with Wire(answer()) as wire:
        client = Transport(wire.url, Secret(TOKEN), timeout=5)
        client.exchange("GET", "/", None, before=nothing)
        assert wire.open_connections == 1
        client.close()
        deadline = time.monotonic() + 5
        while wire.open_connections and time.monotonic() < deadline:
            time.sleep(0.001)
        assert wire.open_connections == 0


@pytest.mark.parametrize("method", METHODS)
def test_a_redirect_is_an_answer_and_is_never_followed(method: str) -> None:
    with (
        Wire(answer()) as elsewhere,
        Wire(answer(307, b"", {"Location": f"{elsewhere.url}/x"})) as wire,
    ):
        found = exchange(wire.url, method)
        assert (found.status, found.headers["Location"]) == (307, f"{elsewhere.url}/x")
        assert elsewhere.requests == []
        assert len(wire.requests) == 1


@pytest.mark.parametrize("location", ["http://[", "//", "http://x:y:z@\\", "\xff", ""])
def test_a_redirect_to_what_is_no_address_is_an_answer_too(location: str) -> None:
    with Wire(answer(302, b"", {"Location": location})) as wire:
        assert exchange(wire.url).status == 302


def test_the_token_is_not_replaced_by_a_login_from_netrc(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    with Wire(answer()) as wire:
        exchange(wire.url)
    assert b"Authorization: Bearer " + TOKEN.encode() in wire.requests[0]
    assert b"Basic" not in wire.requests[0]


# --- `before` -----------------------------------------------------------------------------------


def test_before_runs_when_the_connection_stands_and_nothing_has_gone_out() -> None:
    seen: list[tuple[int, int]] = []
    with Wire(answer()) as wire:

        def before() -> None:
            deadline = time.monotonic() + 5
            while not wire.connections and time.monotonic() < deadline:
                time.sleep(0.001)
            seen.append((wire.connections, len(wire.requests)))

        client = Transport(wire.url, Secret(TOKEN), timeout=5)
        client.exchange("GET", "/", None, before=before)
        client.exchange("GET", "/", None, before=before)
        client.close()
    assert seen == [(1, 0), (1, 1)]


@pytest.mark.parametrize("error", [RuntimeError("stop"), KeyboardInterrupt()])
def test_what_before_raises_comes_out_and_nothing_is_sent(error: BaseException) -> None:
    def before() -> None:
        raise error

    with Wire(answer()) as wire:
        client = Transport(wire.url, Secret(TOKEN), timeout=5)
        with pytest.raises(type(error)) as caught:
            client.exchange("POST", "/", b"{}", before=before)
        assert caught.value is error
        assert client.exchange("GET", "/", None, before=nothing).status == 200
        client.close()
        assert [request[:3] for request in wire.requests] == [b"GET"]


@pytest.mark.parametrize("error", [BrokenPipeError("pipe"), OSError(28, "No space left")])
def test_a_system_error_in_before_means_that_nothing_was_sent(error: OSError) -> None:
    def before() -> None:
        raise error

    with Wire(answer()) as wire:
        with pytest.raises(NotSentError):
            exchange(wire.url, "POST", body=b"{}", before=before)
        assert wire.requests == []


# --- not sent -----------------------------------------------------------------------------------


def not_sent(url: str, match: str) -> NotSentError:
    called: list[bool] = []
    with pytest.raises(NotSentError, match=match) as caught:
        exchange(url, "POST", body=b"{}", before=lambda: called.append(True))
    assert not called
    assert "0x" not in str(caught.value)
    assert caught.value.hint is not None
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    return caught.value


def test_a_refused_connection_means_not_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    not_sent(
        f"http://127.0.0.1:{port}",
        rf"^cannot connect to http://127.0.0.1:{port}: Connection refused$",
    )


def test_a_second_request_whose_server_is_gone_is_not_sent() -> None:
    with Wire(answer()) as wire:
        client = Transport(wire.url, Secret(TOKEN), timeout=5)
        client.exchange("POST", "/", b"{}", before=nothing)
    with pytest.raises(NotSentError):
        client.exchange("POST", "/", b"{}", before=nothing)
    client.close()


def test_a_name_that_does_not_resolve_means_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_args: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    not_sent(
        "https://nowhere.invalid",
        "^cannot connect to https://nowhere.invalid: Name or service not known$",
    )


def test_an_address_that_does_not_answer_means_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "CONNECT_TIMEOUT", 0.05)
    with socket.socket() as silent:
        # A listener with a full backlog takes no connection, and refuses none.
        silent.bind(("127.0.0.1", 0))
        silent.listen(0)
        address = silent.getsockname()
        with socket.create_connection(address), socket.socket() as second:
            second.setblocking(False)
            second.connect_ex(address)
            not_sent(f"http://127.0.0.1:{address[1]}", "^cannot connect to .*: timed out$")


def certificate(tmp_path: Path, name: str) -> tuple[ssl.SSLContext, Path]:
    """A server's TLS with a self-signed certificate, and the file that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "certificate.pem"
    pem = signed.public_bytes(serialization.Encoding.PEM)
    path.write_bytes(pem)
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path, tmp_path / "key.pem")
    return context, path


def test_a_certificate_that_nobody_vouches_for_means_not_sent(tmp_path: Path) -> None:
    context, _ = certificate(tmp_path, "localhost")
    with Wire(answer(), tls=context) as wire:
        not_sent(f"https://localhost:{wire.port}", "its certificate is not valid: self-signed")
        assert wire.requests == []


def test_a_certificate_in_the_bundle_of_the_environment_is_trusted_for_its_own_name_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, bundle = certificate(tmp_path, "localhost")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    with Wire(answer(), tls=context) as wire:
        assert exchange(f"https://localhost:{wire.port}").status == 200
        assert len(wire.requests) == 1
        not_sent(f"https://127.0.0.1:{wire.port}", "its certificate is not valid: .*mismatch")
        assert len(wire.requests) == 1


def test_a_bundle_that_is_not_there_means_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/bundle.pem")
    not_sent("https://localhost:1", "cannot connect to .*: .*bundle.*/nowhere/bundle.pem")


def test_a_server_without_tls_behind_an_https_address_gets_no_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transport, "CONNECT_TIMEOUT", 0.1)  # it waits for the rest of a request
    with Wire(answer()) as wire:
        not_sent(f"https://127.0.0.1:{wire.port}", "cannot connect to https://127.0.0.1")
        assert wire.requests == []


def test_a_proxy_that_refuses_means_not_sent_and_sees_neither_token_nor_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Wire(answer(407, b"")) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        error = not_sent(
            "https://www.workato.com", "cannot connect to https://www.workato.com.*: .*407"
        )
        assert proxy.requests[0].startswith(b"CONNECT www.workato.com:443 ")
        assert TOKEN.encode() not in b"".join(proxy.requests)
        assert "proxy" in (error.hint or "")


def tunnel(port: int) -> Reaction:
    """What a proxy does after CONNECT: it carries bytes both ways, and understands none."""

    def carry(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with socket.create_connection(("127.0.0.1", port)) as server:
            back = threading.Thread(target=_pump, args=(server, connection))
            back.start()
            _pump(connection, server)
            back.join()

    return carry


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while received := source.recv(65536):
            target.sendall(received)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def test_the_environments_proxy_carries_what_it_cannot_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, bundle = certificate(tmp_path, "localhost")
    with Wire(answer(200, b"[]"), tls=context) as wire, Wire(tunnel(wire.port)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        not_sent(f"https://localhost:{wire.port}", "its certificate is not valid: self-signed")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
        assert exchange(f"https://localhost:{wire.port}").content == b"[]"
        assert len(wire.requests) == 1
        assert {request.split()[1] for request in proxy.requests} == {b"localhost:%d" % wire.port}
        assert TOKEN.encode() not in b"".join(proxy.requests)
        monkeypatch.setenv("NO_PROXY", "localhost")
        assert exchange(f"https://localhost:{wire.port}").status == 200
        assert len(proxy.requests) == 2


@pytest.mark.parametrize(
    ("proxy", "why"),
    [
        ("http://user:hunter2@[", ": its URL, or the one of a proxy, is not valid"),
        ("gopher://user:hunter2@x", ": its URL, or the one of a proxy, is not valid"),
        ("http://user:hunter2@127.0.0.1:1", " through a proxy: Connection refused"),
    ],
)
def test_a_proxy_that_cannot_be_used_means_not_sent_and_its_password_is_not_shown(
    proxy: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    error = not_sent("https://www.workato.com", f"^cannot connect to https://www.workato.com{why}$")
    assert "hunter2" not in leaks.shown(error)


def test_no_proxy_sees_a_request_to_a_loopback_address_without_tls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Wire(answer()) as proxy, Wire(answer()) as wire:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        assert exchange(wire.url).status == 200
        assert proxy.connections == 0


# --- unknown outcomes ---------------------------------------------------------------------------


def unknown(*reactions: Reaction, timeout: float = 5.0, match: str = ".") -> UnknownOutcomeError:
    with Wire(*reactions) as wire:
        with pytest.raises(UnknownOutcomeError, match=match) as caught:
            exchange(wire.url, "POST", body=SECRET.encode(), timeout=timeout)
        assert len(wire.requests) == 1, "a request is never repeated here"
    assert "0x" not in str(caught.value)
    shown = leaks.shown(caught.value)
    assert TOKEN not in shown
    assert SECRET not in shown
    return caught.value


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"


def send(raw: bytes, connection: socket.socket) -> None:
    connection.sendall(raw)


def half_then_reset(connection: socket.socket) -> None:
    connection.sendall(HEAD + b"x" * 50)
    reset(connection)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "reaction",
    [
        pytest.param(reset, id="reset"),
        pytest.param(lambda connection: None, id="closed without an answer"),
        pytest.param(partial(send, b"HTTP/1.1 20"), id="half a status"),
        pytest.param(partial(send, b"HTTP/1.1 200 OK\r\nContent-"), id="half a head"),
        pytest.param(partial(send, b"HTTP/1.1 102 Wait\r\n\r\n"), id="an interim answer alone"),
        pytest.param(b"HTTP/1.1 101 Switching Protocols\r\n\r\n", id="another protocol"),
        pytest.param(partial(send, HEAD + b"x" * 50), id="half a body"),
        pytest.param(half_then_reset, id="reset in the body"),
        pytest.param(CHUNKED + b"5\r\nab", id="half a chunk"),
        pytest.param(CHUNKED + b"5\r\nabcde\r\n", id="no last chunk"),
        pytest.param(CHUNKED + b"-5\r\nabcde\r\n0\r\n\r\n", id="a chunk of a negative size"),
        pytest.param(CHUNKED + b"1" * 70_000, id="an endless chunk size"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", id="a long header"),
        pytest.param(b"HTTP/1.1 200 OK\r\n" + b"X: x\r\n" * 200 + b"\r\n", id="many headers"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nxxxx",
            id="no gzip",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
            id="two lengths",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Encoding: " + b"gzip," * 500 + b"gzip\r\n\r\nx",
            id="many encodings",
        ),
    ],
)
def test_an_answer_that_is_not_whole_leaves_the_outcome_unknown(reaction: Reaction) -> None:
    unknown(reaction, match="^no usable answer from http://127.* to a POST request: ")


def test_words_for_what_is_no_answer_are_our_own() -> None:
    for reaction in (partial(send, b""), partial(send, b"SMTP at your service\r\n")):
        unknown(reaction, match="request: the answer broke off, or is not HTTP$")


def test_a_server_that_is_no_http_server_and_repeats_the_request_gives_nothing_away() -> None:
    echo = (
        f"Authorization: Bearer {TOKEN} {SECRET}\r\n\r\n".encode(),
        f"HTTP/1.1 200 OK\r\n{TOKEN} {SECRET}\r\nContent-Length: {TOKEN} {SECRET}\r\n"
        f"Content-Encoding: {TOKEN} {SECRET}\r\nTransfer-Encoding: chunked\r\n\r\n"
        f"{TOKEN} {SECRET}".encode(),
    )
    for raw in echo:
        unknown(partial(send, raw))


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(b"", id="nothing comes"),
        pytest.param(b"HTTP/1.1 200 OK\r\n", id="half a head comes"),
        pytest.param(HEAD, id="a head comes"),
    ],
)
def test_an_answer_that_does_not_come_in_time_leaves_the_outcome_unknown(first: bytes) -> None:
    def stall(connection: socket.socket) -> None:
        connection.sendall(first)
        connection.recv(1)  # until the client goes

    unknown(stall, timeout=0.1, match="timed out")


@pytest.mark.parametrize(
    ("head", "drop"),
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nX: ", b"x", id="head"),
        pytest.param(b"", b"HTTP/1.1 100 Continue\r\n\r\n", id="interim answers"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b"x", id="body"),
        pytest.param(CHUNKED, b"1\r\nx\r\n", id="chunks"),
        pytest.param(CHUNKED + b"0\r\n", b"X: x\r\n", id="trailer"),
    ],
)
def test_an_answer_that_drips_is_bounded_in_its_whole_time(head: bytes, drop: bytes) -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(drop)
            time.sleep(0.01)

    began = time.monotonic()
    unknown(drip, timeout=0.2, match="timed out")
    assert time.monotonic() - began < 10


def test_an_answer_over_the_limit_is_refused_before_it_is_read_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert transport.MAX_BODY == 64 * 1024 * 1024
    monkeypatch.setattr(transport, "MAX_BODY", 1000)
    with Wire(answer(200, b"x" * 1000)) as wire:
        assert len(exchange(wire.url).content) == 1000
    unknown(answer(200, b"x" * 1001), match="larger than 1000 bytes")

    def endless(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n")
        while True:
            connection.sendall(b"x" * 1000)

    unknown(endless, match="larger than 1000 bytes")


def test_a_compressed_answer_counts_as_what_it_becomes(monkeypatch: pytest.MonkeyPatch) -> None:
    import gzip

    monkeypatch.setattr(transport, "MAX_BODY", 100_000)
    bomb = gzip.compress(b"x" * 10_000_000)
    assert len(bomb) < 100_000
    unknown(answer(200, bomb, {"Content-Encoding": "gzip"}), match="larger than 100000 bytes")


# --- what the kernel still sends ----------------------------------------------------------------

user_timeout = getattr(socket, "TCP_USER_TIMEOUT", None)
on_linux = pytest.mark.skipif(user_timeout is None, reason="the system has no TCP_USER_TIMEOUT")


def user_timeouts(port: int) -> set[int]:
    """The option's values on this process's connections to that port of the loopback address."""
    found = set()
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(int(path.name))) as each:
            if each.getpeername()[1] == port:
                found.add(each.getsockopt(socket.IPPROTO_TCP, user_timeout or 0))
    return found


@on_linux
@pytest.mark.parametrize("way", ["http", "https", "through a proxy"])
def test_every_kind_of_connection_gives_up_what_the_server_does_not_take(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, bundle = certificate(tmp_path, "localhost")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    seen: set[int] = set()
    tls = None if way == "http" else context
    with Wire(answer(), tls=tls) as wire, Wire(tunnel(wire.port)) as proxy:
        end = proxy.port if way == "through a proxy" else wire.port
        if end == proxy.port:
            monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        exchange(
            f"{'https' if tls else 'http'}://localhost:{wire.port}",
            before=lambda: seen.update(user_timeouts(end)),
        )
    assert seen == {5000}


@on_linux
def test_what_a_server_does_not_take_is_not_sent_on_for_minutes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A full window and a dead network are one case to the kernel: nothing is acknowledged."""
    monkeypatch.setattr(transport, "UNACKNOWLEDGED", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        begun = time.monotonic()
        with pytest.raises(UnknownOutcomeError, match=r"a POST request: timed out$"):
            exchange(url, "POST", body=b"x" * 20_000_000)
    assert time.monotonic() - begun < transport.CONNECT_TIMEOUT / 2


STATUS_LINES = [b"HTTP/1.1 200 OK", b"HTTP/1.0 302", b"HTTP/1.1 -1 x", b"HTTP/9", b""]
NAMES = [b"Content-Length", b"Transfer-Encoding", b"Content-Encoding", b"Location", b"Set-Cookie"]
VALUES = [b"chunked", b"gzip", b"deflate", b"5", b"-1", b"close", b"text/html; charset=x"]


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(STATUS_LINES) | st.binary(max_size=50),
    st.lists(
        st.tuples(
            st.sampled_from([*NAMES, b"Connection", b"Content-Type", b"\xff"]),
            st.sampled_from(VALUES) | st.binary(max_size=20),
        ),
        max_size=4,
    ),
    st.binary(max_size=50),
)
def test_whatever_bytes_come_back_are_an_answer_or_an_unknown_outcome(
    line: bytes, headers: list[tuple[bytes, bytes]], body: bytes
) -> None:
    raw = b"\r\n".join([line, *(name + b": " + value for name, value in headers), b"", body])
    with Wire(partial(send, raw)) as wire:
        try:
            assert isinstance(exchange(wire.url, timeout=1.0), Answer)
        except UnknownOutcomeError:
            assert len(wire.requests) == 1
