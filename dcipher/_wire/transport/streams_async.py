"""The network stream of one connection. It enforces the deadline of the request in progress."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import h11
import httpcore

from dcipher._concurrency.networks import async_connect
from dcipher._urls.hosts import resolvable

from .heads import next_event

if TYPE_CHECKING:
    import ssl
    from collections.abc import Generator, Mapping

    from dcipher._concurrency.networks import AsyncSocket

    from .deadlines import Deadline

__all__ = ["READ", "AsyncStream", "async_opened"]

READ = 64 * 1024
"""Bytes of one read, as in httpcore."""
PIECE = 256 * 1024
"""Bytes of one write: the socket limits each send separately."""


class AsyncStream(httpcore.AsyncNetworkStream):
    """The network stream of one connection, which serves one request at a time (HTTP/1.1)."""

    def __init__(self, opened: AsyncSocket, deadline: Deadline) -> None:
        self.opened = opened
        """The socket, plain or with TLS."""
        self.deadline = deadline
        """Of the request in progress."""
        self.rest = b""
        """Received bytes that are still to be read; after a response, nobody has requested them."""

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self.rest:
            data, self.rest = self.rest[:max_bytes], self.rest[max_bytes:]
            return data
        return await self.opened.receive(max_bytes, self.deadline.to_read(timeout))

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        deadline = self.deadline
        deadline.begin(self)
        for start in range(0, len(buffer), PIECE):
            piece = buffer[start : start + PIECE]
            await self.opened.send(piece, deadline.bounded(timeout))

    async def next_event(
        self, parser: h11.Connection, timeout: float | None, data: bytes | None = None
    ) -> Any:
        """Returns the next event of a parser that reads from it. `data`: what was read already."""
        while (event := next_event(parser, data)) is h11.NEED_DATA:
            data = await self.read(READ, timeout)
        return event

    async def follow(
        self, steps: Generator[bytes, bytes, None], timeouts: Mapping[str, float | None]
    ) -> None:
        """Sends what the steps yield, and passes them what is received in return."""
        with suppress(StopIteration):
            data = next(steps)
            while True:
                await self.write(data, timeouts.get("write"))
                data = steps.send(await self.read(READ, timeouts.get("read")))

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> AsyncStream:
        timeout = self.deadline.to_connect(timeout)
        self.opened = await self.opened.secure(ssl_context, server_hostname, timeout)
        return self

    async def aclose(self) -> None:
        await self.opened.aclose()

    def get_extra_info(self, info: str) -> Any:
        return self.opened.describe(info)


async def async_opened(
    origin: httpcore.Origin, timeout: float | None, deadline: Deadline
) -> AsyncStream:
    """Returns a stream to an origin, without TLS."""
    # A name of this machine is not looked up in DNS.
    host = resolvable(origin.host.decode("ascii"))
    opened = await async_connect(host, origin.port, deadline.to_connect(timeout))
    return AsyncStream(opened, deadline)
