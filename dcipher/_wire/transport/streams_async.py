"""The network of one connection, below httpcore. It enforces the deadline of the request in progress."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING, Any

import httpcore

from dcipher._concurrency.networks import AsyncSocket, async_connect
from dcipher._concurrency.sleeping import async_sleep
from dcipher._urls.hosts import resolvable

from .deadlines import Deadline
from .framing import Framing

if TYPE_CHECKING:
    from collections.abc import Iterable

    import httpx

__all__ = ["AsyncNetwork", "AsyncStream"]

PIECE = 256 * 1024
"""Bytes of one write: the stream below limits each send separately."""


class AsyncNetwork(httpcore.AsyncNetworkBackend):
    """The network of one connection, which serves one request at a time (HTTP/1.1)."""

    def __init__(self, layers: int) -> None:
        """`layers`: those of TLS around a request, in contrast to messages to a proxy."""
        self.layers = layers
        self.opened: AsyncStream | None = None
        self.deadline = Deadline(None)
        """Of the request in progress."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> AsyncStream:
        _ = socket_options  # there are none: httpx.Client accepts none
        # A name of this machine is not looked up in DNS.
        timeout = self.deadline.to_connect(timeout)
        opened = await async_connect(resolvable(host), port, timeout, local_address)
        self.opened = AsyncStream(opened, self)
        return self.opened

    async def sleep(self, seconds: float) -> None:
        await async_sleep(seconds)

    def begin(self, deadline: Deadline) -> None:
        """A request follows."""
        self.deadline = deadline
        if self.opened is not None:
            self.opened.framing.expect_head()

    def expect_body(self, method: str, response: httpx.Response) -> None:
        """The body of a response follows."""
        if self.opened is not None:
            headers = () if method == "HEAD" else response.headers.raw
            self.opened.framing.expect_body(response.status_code, headers)

    async def aclose(self) -> None:
        """Closes the socket, even if httpcore has lost it.

        It loses that of a cancelled handshake (observed with httpcore 1.0.9).
        """
        opened, self.opened = self.opened, None
        self.deadline = Deadline(None)
        if opened is not None:
            await opened.aclose()


class AsyncStream(httpcore.AsyncNetworkStream):
    """A network stream of one connection."""

    def __init__(
        self, opened: AsyncSocket, network: AsyncNetwork, below: AsyncStream | None = None
    ) -> None:
        self._socket = opened
        self._network = network
        self._below = below
        self.layers: int = 0 if below is None else below.layers + 1
        """Of TLS."""
        self._carries_requests = self.layers >= network.layers
        self.framing = Framing()

    @property
    def deadline(self) -> Deadline:
        """Of the request in progress."""
        return self._network.deadline

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        framing = self.framing
        data, framing.rest = framing.rest, b""
        if not data:
            timeout = self._network.deadline.to_read(timeout)
            data = await self._socket.receive(max_bytes, timeout)
        return framing.up_to_the_end(data)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if not buffer:
            return
        deadline = self._network.deadline
        if not deadline.has_begun:
            deadline.begin(self)
        if self._carries_requests:
            deadline.was_sent = True
        for start in range(0, len(buffer), PIECE):
            piece = buffer[start : start + PIECE]
            await self._socket.send(piece, deadline.bounded(timeout))

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> AsyncStream:
        timeout = self._network.deadline.to_connect(timeout)
        secure = await self._socket.secure(ssl_context, server_hostname, timeout)
        self._network.opened = AsyncStream(secure, self._network, below=self)
        return self._network.opened

    async def aclose(self) -> None:
        await self._socket.aclose()

    def abort(self) -> None:
        """Interrupts waiting for it, from another thread."""
        self._socket.abort()

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":  # httpcore requests that before it reuses a connection
            return not self.framing.has_ended or self.has_decrypted() or self._socket.is_readable
        return self._socket.describe(info)

    def has_decrypted(self) -> bool:
        """Whether TLS has read from below what nobody has read from it: records arrive together."""
        tls = self._socket.tls
        if tls is None:
            return False
        own = tls.pending() > 0 if isinstance(tls, ssl.SSLSocket) else _gives_something(tls)
        return own or (self._below is not None and self._below.has_decrypted())

    @property
    def own_socket(self) -> socket.socket | None:
        """The socket whose bytes are those of the body; `None` if another layer is in between.

        TLS in memory, such as that through a TLS proxy: the socket carries the outer one's bytes.
        """
        raw, is_in_memory = self._socket.raw, isinstance(self._socket.tls, ssl.SSLObject)
        return raw if isinstance(raw, socket.socket) and not is_in_memory else None


def _gives_something(tls: ssl.SSLObject) -> bool:
    try:
        tls.read(1)
    except ssl.SSLWantReadError:
        return False
    except (OSError, ValueError):
        return True
    return True
