# Generated from dcipher/_wire/transport/streams_async.py by scripts/unasync.py: edit that, not this.
"""The network stream of one connection. It enforces the deadline of the request in progress."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import h11
import httpcore

from dcipher._concurrency.networks import connect
from dcipher._urls.hosts import resolvable

from .heads import next_event

if TYPE_CHECKING:
    import ssl
    from collections.abc import Generator, Mapping

    from dcipher._concurrency.networks import Socket

    from .deadlines import Deadline

__all__ = ["READ", "Stream", "opened"]

READ = 64 * 1024
"""Bytes of one read, as in httpcore."""
PIECE = 256 * 1024
"""Bytes of one write: the socket limits each send separately."""


class Stream(httpcore.NetworkStream):
    """The network stream of one connection, which serves one request at a time (HTTP/1.1)."""

    def __init__(self, opened: Socket, deadline: Deadline) -> None:
        self.opened = opened
        """The socket, plain or with TLS."""
        self.deadline = deadline
        """Of the request in progress."""
        self.rest = b""
        """Received bytes that are still to be read; after a response, nobody has requested them."""

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self.rest:
            data, self.rest = self.rest[:max_bytes], self.rest[max_bytes:]
            return data
        return self.opened.receive(max_bytes, self.deadline.to_read(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        deadline = self.deadline
        deadline.begin(self)
        for start in range(0, len(buffer), PIECE):
            piece = buffer[start : start + PIECE]
            self.opened.send(piece, deadline.bounded(timeout))

    def next_event(
        self, parser: h11.Connection, timeout: float | None, data: bytes | None = None
    ) -> Any:
        """Returns the next event of a parser that reads from it. `data`: what was read already."""
        while (event := next_event(parser, data)) is h11.NEED_DATA:
            data = self.read(READ, timeout)
        return event

    def follow(
        self, steps: Generator[bytes, bytes, None], timeouts: Mapping[str, float | None]
    ) -> None:
        """Sends what the steps yield, and passes them what is received in return."""
        with suppress(StopIteration):
            data = next(steps)
            while True:
                self.write(data, timeouts.get("write"))
                data = steps.send(self.read(READ, timeouts.get("read")))

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> Stream:
        timeout = self.deadline.to_connect(timeout)
        self.opened = self.opened.secure(ssl_context, server_hostname, timeout)
        return self

    def close(self) -> None:
        self.opened.close()

    def get_extra_info(self, info: str) -> Any:
        return self.opened.describe(info)


def opened(origin: httpcore.Origin, timeout: float | None, deadline: Deadline) -> Stream:
    """Returns a stream to an origin, without TLS."""
    # A name of this machine is not looked up in DNS.
    host = resolvable(origin.host.decode("ascii"))
    opened = connect(host, origin.port, deadline.to_connect(timeout))
    return Stream(opened, deadline)
