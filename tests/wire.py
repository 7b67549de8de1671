"""A server that answers with exactly the bytes, or does exactly what, a test says."""

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from itertools import chain, repeat
from types import TracebackType

Reaction = bytes | Callable[[socket.socket], None]
"""What is sent for a request, or what is done with its connection; behind anything but a whole
answer of `answer()` the connection is closed."""


def answer(
    status: int = 200, body: bytes = b"{}", headers: Mapping[str, str] | None = None
) -> bytes:
    """A whole HTTP answer; the connection stays open behind it."""
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def reset(connection: socket.socket) -> None:
    """Break the connection with a TCP reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Wire:
    """Answers each request with the next of `reactions`, and with the last one from then on.

    Or with what `respond` makes of it.

    `requests` are the raw requests, `connections` counts them, `open_connections` those that the
    client has not closed.
    """

    def __init__(
        self,
        *reactions: Reaction,
        respond: Callable[[bytes], Reaction] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self.open_connections = 0
        self.closed = threading.Event()
        self._reactions: Iterator[Reaction] = chain(reactions, *map(repeat, reactions[-1:]))
        self._respond = respond or (lambda _request: next(self._reactions))
        self._tls = tls
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> "Wire":
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'http' if self._tls is None else 'https'}://127.0.0.1:{self.port}"
        self._start(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.closed.set()
        # Closing a listening socket does not wake the thread that waits at it.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for connection in self._sockets:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while not self.closed.is_set():
                connection, _ = self._listener.accept()
                with self._lock:
                    self.connections += 1
                    self.open_connections += 1
                    self._sockets.append(connection)
                self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        try:
            with contextlib.suppress(OSError), connection:
                if self._tls is None:
                    self._converse(connection)
                else:
                    with self._tls.wrap_socket(connection, server_side=True) as secure:
                        self._converse(secure)
        finally:
            with self._lock:
                self.open_connections -= 1

    def _converse(self, connection: socket.socket) -> None:
        while request := _read_request(connection):
            with self._lock:
                self.requests.append(request)
                reaction = self._respond(request)
            if not isinstance(reaction, bytes):
                reaction(connection)
                return
            connection.sendall(reaction)
            if b"Content-Length" not in reaction:
                return


def _read_request(connection: socket.socket) -> bytes:
    request = b""
    while b"\r\n\r\n" not in request:
        if not (received := connection.recv(65536)):
            return b""
        request += received
    head, _, body = request.partition(b"\r\n\r\n")
    length = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    while len(body) < length:
        if not (received := connection.recv(65536)):
            return b""
        request += received
        body += received
    return request
