"""One HTTP request to one workspace's server, and the whole answer: bytes out, bytes in.

Rules of this module:

- It is known exactly whether a request may have reached the server: an error before its first byte
  went out is a NotSentError, one after that an UnknownOutcomeError.
- A redirect is an answer like any other: nothing follows it. TLS is always verified; a proxy and
  `REQUESTS_CA_BUNDLE` of the environment are used, but no proxy ever sees a request without TLS.
- Nothing is without end: an answer has a limit of bytes, and one of time from its first byte asked
  for to its last byte read.
- What a server sends may repeat the token or a secret. So an error here quotes nothing that came
  after the request went out, and is chained to no exception of a library.
"""

import io
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from http.client import HTTPException, HTTPResponse
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import BaseHTTPResponse, Timeout
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.exceptions import HTTPError, ProxyError

from oauthsync import __version__
from oauthsync.answers import Answer
from oauthsync.errors import ApiError, NotSentError, UnknownOutcomeError
from oauthsync.secret import Secret

MAX_BODY = 64 * 1024 * 1024
"""Bytes of an answer's body, decompressed."""

CONNECT_TIMEOUT = 10.0
"""Seconds for each address of the server's name, and for TLS."""

UNACKNOWLEDGED = 5.0
"""Seconds after which what the server has not taken is not sent again: at most the patience that
settling adds to the server's own time."""

_CHUNK = 64 * 1024
_HEADERS = {
    "User-Agent": f"oauthsync/{__version__}",
    "Accept": "application/json",
    "Accept-Encoding": "gzip, deflate",
}


class Transport:
    """The connections to one server; usable by several threads at once. Close it after use.

    `timeout` is how many seconds an answer may take, from the request to its last byte.
    """

    def __init__(self, url: str, token: Secret, *, timeout: float) -> None:
        # What could end a header: `Workspace.token` has refused it, and named its source.
        assert all("!" <= character <= "~" for character in token.reveal())
        self._url = url
        self._token = token
        self._timeout = timeout
        self._idle: list[_Adapter] = []

    def close(self) -> None:
        """Close all connections; no request may be under way."""
        while self._idle:
            self._idle.pop().close()

    def exchange(
        self, method: str, path: str, body: bytes | None, *, before: Callable[[], None]
    ) -> Answer:
        """Send one request and read its whole answer, whatever it says.

        `before` runs when the connection stands, directly before the first byte goes out; what it
        raises comes out here, and nothing was sent. Raises NotSentError and UnknownOutcomeError.
        """
        with self._adapter(before) as adapter:
            try:
                return self._answer(adapter, method, path, body)
            except (requests.RequestException, HTTPError, HTTPException, OSError) as error:
                failure = self._failure(method, error, sent=adapter.sent)
        raise failure

    @contextmanager
    def _adapter(self, before: Callable[[], None]) -> Iterator["_Adapter"]:
        """An adapter that no other thread uses meanwhile; its connection is kept for the next."""
        try:
            adapter = self._idle.pop()
        except IndexError:
            adapter = _Adapter()
        adapter.before, adapter.sent = before, False
        try:
            yield adapter
        finally:
            self._idle.append(adapter)

    def _answer(self, adapter: "_Adapter", method: str, path: str, body: bytes | None) -> Answer:
        # Not by a Session: it takes a login from ~/.netrc in place of the token, and to find out
        # where a redirect leads it reads the body, without a limit. Nor by the adapter: preparing
        # the same request anew costs as much as sending it.
        headers = {**_HEADERS, "Authorization": f"Bearer {self._token.reveal()}"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        elif method != "GET":
            headers["Content-Length"] = "0"  # some gateways ask for it
        with adapter.pool(self._url, **self._environment).urlopen(
            method,
            path,
            body=body,
            headers=headers,
            retries=False,
            redirect=False,
            timeout=Timeout(connect=CONNECT_TIMEOUT, read=self._timeout),
            preload_content=False,
            decode_content=False,
        ) as response:
            return Answer(response.status, response.headers, _content(response))

    @cached_property
    def _environment(self) -> Any:
        """What requests takes from the environment: the proxies and the CA bundle."""
        with requests.Session() as session:
            found = session.merge_environment_settings(self._url, {}, True, None, None)
        if self._url.startswith("http:"):  # loopback: a proxy would read the token
            found["proxies"] = {}
        return found

    def _failure(self, method: str, error: Exception, *, sent: bool) -> ApiError:
        reason = _reason(error, sent=sent)
        if sent:
            return UnknownOutcomeError(
                f"no usable answer from {self._url} to a {method} request: {reason}",
                hint="try again; if it stays so, the API or something before it has trouble",
            )
        through = " through a proxy" if isinstance(error, ProxyError) else ""
        return NotSentError(
            f"cannot connect to {self._url}{through}: {reason}",
            hint="check the URL or region, the network, and the proxy settings",
        )


def _content(response: BaseHTTPResponse) -> bytes:
    content = bytearray()
    while chunk := response.read1(_CHUNK, decode_content=True):
        content += chunk
        if len(content) > MAX_BODY:
            raise UnknownOutcomeError(f"the API's answer is larger than {MAX_BODY} bytes")
    return bytes(content)


def _reason(error: BaseException, *, sent: bool) -> str:
    """The first cause outside the HTTP libraries, in words that no answer has a part in."""
    while isinstance(error, requests.RequestException | HTTPError) and error.__context__:
        error = error.__context__
    match error:
        case TimeoutError() | requests.Timeout():
            return "timed out"
        case ssl.SSLCertVerificationError():
            return f"its certificate is not valid: {error.verify_message}"
        case OSError(strerror=str(text)):
            return text
        case ValueError():
            return "its URL, or the one of a proxy, is not valid"
        case OSError() if not sent:
            return str(error)
        case _:
            return "the answer broke off, or is not HTTP"


class _Adapter(HTTPAdapter):
    """One connection; when a request goes out on it, `before` is called, and `sent` is true."""

    before: Callable[[], None]
    sent = False
    _pool: HTTPConnectionPool | None = None

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, socket_options=_socket_options(), **kwargs)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        return super().proxy_manager_for(proxy, socket_options=_socket_options(), **kwargs)

    def pool(self, url: str, verify: Any, proxies: Any, cert: Any, **_: Any) -> HTTPConnectionPool:
        """Where the connection to `url` is, set up as requests does it for its own."""
        if self._pool is None:
            request = requests.Request("GET", url).prepare()
            pool: Any = self.get_connection_with_tls_context(request, verify, proxies, cert)
            self.cert_verify(pool, url, verify, cert)  # type: ignore[no-untyped-call]
            pool.ConnectionCls = self._watched(pool.ConnectionCls)
            self._pool = pool
        return self._pool

    def close(self) -> None:
        super().close()
        if self._pool is not None:
            self._pool.close()

    def _watched(self, connection_class: Any) -> Any:
        adapter = self

        class Watched(connection_class):  # type: ignore[misc]
            response_class = _Response

            def request(self, *args: Any, **kwargs: Any) -> None:
                if self.sock is None:
                    self.connect()
                adapter.before()
                adapter.sent = True
                super().request(*args, **kwargs)

        return Watched


def _socket_options() -> list[tuple[int, int, int]]:
    """urllib3's own options, and that the kernel drops what the server has not taken in time.

    It goes on sending after we have given up, and after the process has died: a request that
    arrives a minute late would be carried out when everybody takes it for lost.
    """
    found = list(HTTPConnection.default_socket_options)
    if option := getattr(socket, "TCP_USER_TIMEOUT", None):  # Linux
        found.append((socket.IPPROTO_TCP, option, int(UNACKNOWLEDGED * 1000)))
    return found


class _Response(HTTPResponse):
    """Reads head and body within the socket's timeout, which else bounds each single read."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_Timed(sock, self.fp.detach()), _CHUNK)

    def begin(self, *args: Any, **kwargs: Any) -> None:
        super().begin(*args, **kwargs)
        # http.client skips a 100 only. Another interim answer (RFC 9110, 15.2) taken for the answer
        # would leave the real one on the connection, as the answer to the next request.
        while 101 < self.status < 200:
            self.headers = self.msg = None  # type: ignore[assignment]
            super().begin(*args, **kwargs)
        # A head that broke off, or no HTTP: urllib3 takes it, and logs what it could not parse.
        if self.status == 101 or self.msg.defects:
            raise HTTPException


class _Timed(io.RawIOBase):
    def __init__(self, sock: socket.socket, stream: io.RawIOBase) -> None:
        self._socket = sock
        self._stream = stream
        self._until = time.monotonic() + (sock.gettimeout() or 0.0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._socket.settimeout(left)
        return self._stream.readinto(buffer)

    def close(self) -> None:
        self._stream.close()
        super().close()
