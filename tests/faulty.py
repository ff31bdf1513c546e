"""A small HTTP/1.1 server on raw sockets for invalid behaviour: it sends a script of replies.

Every request is recorded, with the number of the connection that it came by, so that a test can count both.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections import defaultdict, deque
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal, TypeAlias

from tests.waiting import HANG, has_become, until

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

    from typing_extensions import Self

__all__ = ["NOTHING", "RESET", "STALL", "FaultyServer", "Held", "Recorded", "Reply", "json_reply"]

After: TypeAlias = Literal["keep", "close", "reset", "stall"]


@dataclass(frozen=True)
class Recorded:
    """A received request."""

    method: str
    target: str
    """As it was sent: nothing is decoded."""
    pairs: tuple[tuple[str, str], ...]
    body: bytes
    connection: int
    at: float
    """By the monotonic clock."""

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def headers(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.pairs}


@dataclass(frozen=True)
class Reply:
    """A response, and what happens to the connection afterwards."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None
    """The promised Content-Length, where it is another than the body's."""
    framing: Literal["length", "chunked", "none"] = "length"
    cut: int | None = None
    """Bytes of the body after which `after` happens."""
    raw: bytes | None = None
    """What is sent instead of head and body."""
    head_cut: int | None = None
    """Bytes of the head after which `after` happens; 0: nothing is sent."""
    delay: float = 0.0
    """Seconds before the head."""
    held: threading.Event | None = None
    """What the head waits for, after those seconds."""
    trickle: float = 0.0
    """Seconds between two single bytes, of the head as of the body."""
    after: After = "keep"

    def head(self) -> bytes:
        try:
            phrase = HTTPStatus(self.status).phrase
        except ValueError:
            phrase = "Unknown"
        lines = [f"HTTP/1.1 {self.status} {phrase}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if self.framing == "chunked":
            lines.append("Transfer-Encoding: chunked")
        elif self.framing == "length":
            lines.append(
                f"Content-Length: {len(self.body) if self.length is None else self.length}"
            )
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def payload(self) -> bytes:
        body = self.body if self.cut is None else self.body[: self.cut]
        if self.framing != "chunked":
            return body
        chunk = f"{len(body):x}\r\n".encode() + body + b"\r\n" if body else b""
        return chunk if self.cut is not None else chunk + b"0\r\n\r\n"

    def data(self) -> bytes:
        """Everything that is sent."""
        if self.raw is not None:
            return self.raw
        if self.head_cut is not None:
            return self.head()[: self.head_cut]
        return self.head() + self.payload()


RESET = Reply(head_cut=0, after="reset")
NOTHING = Reply(head_cut=0, after="close")
STALL = Reply(head_cut=0, after="stall")

Step: TypeAlias = "Reply | Callable[[Recorded], Reply]"


def json_reply(text: str, status: int = 200, **headers: str) -> Reply:
    """A JSON answer; the names of headers are written with underscores."""
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(text.encode(), status, {"Content-Type": "application/json", **more})


class Held:
    """A reply that waits until it is released."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self.let_go = threading.Event()

    def __call__(self, _: Recorded) -> Reply:
        self.let_go.wait(HANG)
        return self._reply


class FaultyServer:
    """Plays the script of a path: one reply for each request, and the last one repeatedly."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._lock = threading.Lock()
        self._scripts: dict[str, deque[Step]] = defaultdict(deque)
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._stopped = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port: int = self._listening.getsockname()[1]
        self.connections = 0
        self.requests: list[Recorded] = []

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def on(self, path: str, *steps: Step) -> None:
        """Sets the script of a path. `*` is every path without one."""
        with self._lock:
            self._scripts[path] = deque(steps)

    def seen(self, path: str, method: str | None = None) -> list[Recorded]:
        """Returns the requests for a path."""
        with self._lock:
            return [
                request
                for request in self.requests
                if request.path == path and method in {None, request.method}
            ]

    def drop(self) -> None:
        """Close every connection, as an idle one is closed after its time."""
        with self._lock:
            connections, self._open = self._open, set()
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def arrived(self, path: str, number: int = 1) -> bool:
        """Waits for so many requests for a path. Returns whether they were received."""
        return until(lambda: len(self.seen(path)) >= number)

    def open_connections(self) -> int:
        """How many are open, after they had time to end."""
        has_become(lambda: not self._open)
        return len(self._open)

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        # shutdown() wakes up a thread that accepts; close() alone does not.
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.drop()
        for thread in self._threads:
            thread.join(5)

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._stopped.is_set():
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
                number = self.connections
                self._open.add(connection)
            self._start(self._serve, connection, number)

    def _serve(self, plain: socket.socket, number: int) -> None:
        connection = plain
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                connection = self._tls.wrap_socket(plain, server_side=True)
                with self._lock:
                    self._open.discard(plain)
                    self._open.add(connection)
            while (request := _read(connection, number)) is not None:
                reply = self._next(request)
                if not self._play(connection, reply):
                    break
        except OSError:
            pass  # the client went away, or refused the certificate: what it saw is for the test to say
        finally:
            with self._lock:
                self._open.discard(connection)
                self._open.discard(plain)
            connection.close()
            plain.close()

    def _next(self, request: Recorded) -> Reply:
        with self._lock:
            self.requests.append(request)
            script = self._scripts.get(request.path) or self._scripts.get("*") or deque()
            step = (script.popleft() if len(script) > 1 else script[0]) if script else None
        if step is None:
            return json_reply('{"message": "the script has nothing for this path"}', 404)
        return step if isinstance(step, Reply) else step(request)

    def _play(self, connection: socket.socket, reply: Reply) -> bool:
        """Sends a reply. Returns whether the connection stays open."""
        self._stopped.wait(reply.delay)
        while reply.held is not None and not (reply.held.wait(0.05) or self._stopped.is_set()):
            pass
        data = reply.data()
        if reply.trickle:
            for byte in data:
                connection.sendall(bytes([byte]))
                if self._stopped.wait(reply.trickle):
                    return False
        elif data:
            connection.sendall(data)
        if reply.after == "stall":
            self._stall(connection)
        elif reply.after == "reset":
            # With no time to linger, close() sends RST instead of FIN.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif reply.after == "close":
            # close() alone sends nothing while a process that was forked meanwhile has it open, too.
            connection.shutdown(socket.SHUT_WR)
        return reply.after == "keep"

    def _stall(self, connection: socket.socket) -> None:
        """Sends nothing until the client disconnects, or the test ends. A client that hangs fails, late."""
        connection.settimeout(0.05)
        ends = time.monotonic() + 2 * HANG
        while not self._stopped.is_set() and time.monotonic() < ends:
            try:
                if not connection.recv(65536):
                    return
            except TimeoutError:
                continue


def _read(connection: socket.socket, number: int) -> Recorded | None:
    """Returns the next request; `None` if the client has disconnected."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            return None
        data += more
    at = time.monotonic()
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    split = [line.partition(":") for line in lines]
    pairs = tuple((name, value.strip()) for name, _, value in split)
    length = int({name.lower(): value for name, value in pairs}.get("content-length", "0"))
    while len(body) < length:
        more = connection.recv(65536)
        if not more:
            return None
        body += more
    return Recorded(method, target, pairs, body, number, at)
