"""A small HTTP/1.1 server on loopback: one thread for each connection, kept alive.

It can break an answer in every way that `Delivery` names, and `stop` ends it at once, whatever
its threads wait for.
"""

import contextlib
import json
import selectors
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Literal

from oauthsync.errors import OauthsyncError

HOST = "127.0.0.1"
MAX_HEAD = 64 * 1024
MAX_BODY = 1024 * 1024
REJECTED_TIMEOUT = 1.0

Delivery = Literal["whole", "reset", "close", "truncate", "hang", "drip", "interim"]
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Message:
    """A request as it came: header names in lower case."""

    method: str
    target: str
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, and how it is delivered; `pause` is in seconds: a drip's, an interim's."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = "application/json; charset=utf-8"
    delivery: Delivery = "whole"
    pause: float = 0.0


class BadRequestError(Exception):
    """A request that is not HTTP, or larger than the server takes."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(slots=True)
class Server:
    """Answers each message with `respond(message)`, after `latency` seconds.

    `timeout` is after how many seconds an answer that hangs is given up; `now` gives the time for
    the Date header. `port` 0 takes a free one, which stays the server's own from then on.
    """

    port: int
    respond: Callable[[Message], Reply]
    now: Callable[[], float]
    latency: float
    timeout: float
    stopping: threading.Event = field(default_factory=threading.Event)
    _threads: set[threading.Thread] = field(default_factory=set)
    _connections: set[socket.socket] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _wake: socket.socket | None = None
    _acceptor: threading.Thread | None = None

    def start(self) -> None:
        """Listen, and accept connections in a thread; OauthsyncError if the port is taken."""
        self.stopping.clear()
        listener = _listen(self.port)
        self.port = listener.getsockname()[1]
        self._wake, woken = socket.socketpair()
        self._acceptor = threading.Thread(target=self._accept, args=(listener, woken), daemon=True)
        self._acceptor.start()

    def stop(self) -> None:
        """Close the port and every connection, and wait for the threads to end."""
        if self._wake is None or self._acceptor is None:
            return
        self.stopping.set()
        self._wake.close()
        self._wake = None
        self._acceptor.join()
        with self._lock:
            threads = list(self._threads)
            for connection in self._connections:
                with contextlib.suppress(OSError):  # its client may have closed it
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()

    def _accept(self, listener: socket.socket, woken: socket.socket) -> None:
        with listener, woken, selectors.DefaultSelector() as selector:
            selector.register(listener, selectors.EVENT_READ)
            selector.register(woken, selectors.EVENT_READ)
            while not self.stopping.is_set():
                selector.select()
                try:
                    self._begin(listener.accept()[0])
                except OSError:  # woken, a client that left at once, or no file descriptor left
                    self.stopping.wait(0.01)

    def _begin(self, connection: socket.socket) -> None:
        thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
        with self._lock:
            self._connections.add(connection)
            self._threads.add(thread)
        thread.start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, contextlib.suppress(OSError):  # the client went away, or stop()
                connection.setblocking(True)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._converse(connection)
        finally:
            with self._lock:
                self._connections.discard(connection)
                self._threads.discard(threading.current_thread())

    def _converse(self, connection: socket.socket) -> None:
        messages = _messages(connection)
        while not self.stopping.is_set():
            try:
                message = next(messages, None)
            except BadRequestError as error:
                self._reject(connection, error)
                return
            if message is None:
                return
            reply = self.respond(message)
            if self.latency:
                self.stopping.wait(self.latency)
            if not self._deliver(connection, message, reply):
                return

    def _reject(self, connection: socket.socket, error: BadRequestError) -> None:
        body = json.dumps({"message": str(error)}).encode()
        connection.sendall(self._head(Reply(error.status, body)) + body)
        # Closing a socket with unread input resets it, and the answer would be lost.
        connection.shutdown(socket.SHUT_WR)
        _drain(connection, REJECTED_TIMEOUT)

    def _deliver(self, connection: socket.socket, message: Message, reply: Reply) -> bool:
        """Send the answer; whether the connection can take another request."""
        head = self._head(reply)
        body = b"" if message.method == "HEAD" else reply.body
        match reply.delivery:
            case "whole" | "interim":
                if reply.delivery == "interim":
                    connection.sendall(b"HTTP/1.1 102 Processing\r\n\r\n")
                    self.stopping.wait(reply.pause)
                connection.sendall(head + body)
                return message.headers.get("connection", "").lower() != "close"
            case "reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            case "truncate":
                connection.sendall(head + body[: len(body) // 2])
            case "hang":
                _drain(connection, self.timeout)
            case "drip":
                connection.sendall(head)
                for byte in body:
                    if self.stopping.wait(reply.pause):
                        break
                    connection.sendall(bytes([byte]))
            case "close":
                pass
        return False

    def _head(self, reply: Reply) -> bytes:
        lines = [
            f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}",
            f"Date: {http_date(self.now())}",
            f"Content-Type: {reply.content_type}",
            f"Content-Length: {len(reply.body)}",
            *[f"{name}: {value}" for name, value in reply.headers],
            "\r\n",
        ]
        return "\r\n".join(lines).encode("latin-1")


def http_date(seconds: float) -> str:
    """Seconds since the epoch as in `Date` and `Retry-After` (RFC 9110, section 5.6.7)."""
    from email.utils import formatdate  # a slow import, and only a running sandbox needs it

    return formatdate(seconds, usegmt=True)


def _listen(port: int) -> socket.socket:
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(128)
        listener.setblocking(False)
    except (OSError, OverflowError) as error:
        listener.close()
        reason = error.strerror if isinstance(error, OSError) else error
        raise OauthsyncError(
            f"the sandbox cannot listen on {HOST}:{port}: {reason}",
            hint="choose another port, or none to get a free one",
        ) from error
    return listener


def _drain(connection: socket.socket, timeout: float) -> None:
    """Read until the client closes the connection, or sends nothing for `timeout` seconds."""
    connection.settimeout(timeout)
    while connection.recv(65536):
        pass


def _messages(connection: socket.socket) -> Iterator[Message]:
    """The requests on a connection, until the client closes it; raises BadRequestError."""
    buffer = b""
    while True:
        while (end := buffer.find(b"\r\n\r\n")) < 0:
            if len(buffer) > MAX_HEAD:
                raise BadRequestError(431, "the header is too large")
            received = connection.recv(65536)
            if not received:
                return
            buffer += received
        method, target, headers = _parse_head(buffer[:end])
        length = _body_length(headers)
        buffer = buffer[end + 4 :]
        if len(buffer) < length and headers.get("expect", "").lower() == "100-continue":
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        while len(buffer) < length:
            received = connection.recv(65536)
            if not received:
                return
            buffer += received
        yield Message(method, target, headers, buffer[:length])
        buffer = buffer[length:]


def _parse_head(head: bytes) -> tuple[str, str, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise BadRequestError(400, "this is not an HTTP/1.1 request")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    if parts[2] == "HTTP/1.0":
        headers.setdefault("connection", "close")
    return parts[0], parts[1], headers


def _body_length(headers: dict[str, str]) -> int:
    if "transfer-encoding" in headers:
        raise BadRequestError(411, "a body needs a Content-Length")
    text = headers.get("content-length", "0")
    if not (text.isascii() and text.isdigit()):
        raise BadRequestError(400, "the Content-Length is not a number")
    if len(text) > 9 or int(text) > MAX_BODY:
        raise BadRequestError(413, f"a body has at most {MAX_BODY} bytes")
    return int(text)
