"""Two small peers that `tests/faulty.py` lacks: a server of HTTP/2, and a SOCKS 5 proxy."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from tests.waiting import HANG

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    from typing_extensions import Self

__all__ = ["HTTP2Server", "SocksProxy"]


class _Peer:
    """Listens, and serves each connection in its own thread."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._open: list[socket.socket] = []
        self.connections = 0
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        # shutdown() wakes up a thread that accepts or reads; close() alone does not.
        for one in (self._listening, *self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(HANG)
        for one in (self._listening, *self._open):
            one.close()

    def _start(self, target: object, *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # it was closed
            while True:
                connection, _ = self._listening.accept()
                self.connections += 1
                self._open.append(connection)
                self._start(self._served, connection)

    def _served(self, connection: socket.socket) -> None:
        with contextlib.suppress(
            OSError
        ):  # the client went away: what it saw is for the test to say
            self.serve(connection)

    def serve(self, connection: socket.socket) -> None:
        raise NotImplementedError


class HTTP2Server(_Peer):
    """Responds to each path by HTTP/2 over TLS. `requests` are the received headers."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        super().__init__()
        tls.set_alpn_protocols(["h2"])
        self._tls = tls
        self.bodies: dict[str, bytes] = {}
        self.requests: list[Mapping[str, str]] = []

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def serve(self, connection: socket.socket) -> None:
        import h2.config
        import h2.connection
        import h2.events

        with self._tls.wrap_socket(connection, server_side=True) as secure:
            state = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
            state.initiate_connection()
            secure.sendall(state.data_to_send())
            while data := secure.recv(65536):
                for event in state.receive_data(data):
                    if isinstance(event, h2.events.RequestReceived):
                        headers = {name.decode(): value.decode() for name, value in event.headers}
                        self.requests.append(headers)
                        body = self.bodies.get(headers[":path"].partition("?")[0])
                        status = "404" if body is None else "200"
                        answer = [(":status", status), ("content-type", "application/json")]
                        state.send_headers(event.stream_id, answer)
                        state.send_data(event.stream_id, body or b"{}", end_stream=True)
                secure.sendall(state.data_to_send())


class Asked(NamedTuple):
    """A request to a SOCKS proxy."""

    host: str
    port: int
    kind: str
    """`name` or `address`."""
    user: str
    password: str


class SocksProxy(_Peer):
    """SOCKS 5 (RFC 1928), with an optional password (RFC 1929). It connects to one port of this machine.

    `asked` is what it was asked for, `carried` what it could read of that. `says`: what it answers
    instead, before it closes.
    """

    KINDS: ClassVar = {1: ("address", 4), 3: ("name", None), 4: ("address", 16)}

    def __init__(self, target: int, says: bytes | None = None) -> None:
        super().__init__()
        self._target = target
        self._says = says
        self.asked: list[Asked] = []
        self.carried = b""

    def serve(self, connection: socket.socket) -> None:
        def read(size: int) -> bytes:
            return connection.recv(size, socket.MSG_WAITALL)

        methods = read(read(2)[1])
        if self._says is not None:
            connection.sendall(self._says)
            connection.shutdown(socket.SHUT_RDWR)
            return
        user, password = "", ""
        if 2 in methods:
            connection.sendall(b"\x05\x02")
            user = read(read(2)[1]).decode()
            password = read(read(1)[0]).decode()
            connection.sendall(b"\x01\x00")
        else:
            connection.sendall(b"\x05\x00")
        kind, size = self.KINDS[read(4)[3]]
        host = read(read(1)[0] if size is None else size)
        shown = host.decode() if kind == "name" else host.hex()
        port = int.from_bytes(read(2), "big")
        self.asked.append(Asked(shown, port, kind, user, password))
        with socket.create_connection(("127.0.0.1", self._target)) as beyond:
            self._open.append(beyond)
            connection.sendall(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x00")
            self._start(self._carry, beyond, connection)
            while data := connection.recv(65536):
                self.carried += data
                beyond.sendall(data)
            beyond.shutdown(socket.SHUT_RDWR)

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_RDWR)
