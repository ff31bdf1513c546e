"""Sockets, async and sync side by side: connect, TLS, read and write, each with a timeout.

They raise httpcore's exceptions, as httpcore's own streams do. Those are slower: they enter a context
manager or two for each read and each write.
"""

from __future__ import annotations

import select
import socket
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import httpcore

from .groups import ungrouped

if TYPE_CHECKING:
    from collections.abc import Callable

    from anyio.abc import ByteStream

__all__ = ["AsyncSocket", "Socket", "async_connect", "connect"]

CLOSED: Final = "the connection was closed"
"""Where anyio does not say more: before 4.10 it drops the cause in a TLS handshake."""


class _Connected:
    """The common part of both sockets, which does not wait."""

    def __init__(
        self,
        raw: Any,
        tls: ssl.SSLObject | ssl.SSLSocket | None = None,
        below: _Connected | None = None,
    ) -> None:
        self.raw = raw
        """The socket of the operating system, with TLS where that is not in memory."""
        self.tls = tls
        """Its TLS, if it has one."""
        self._below = below
        """The stream below this TLS, such as that of a proxy."""

    @property
    def is_readable(self) -> bool:
        """Whether there is something to read, or the connection is closed."""
        if self.tls is not None and self.has_decrypted():
            return True
        number: int = self.raw.fileno()
        if number < 0:
            return True
        if not hasattr(select, "poll"):
            return bool(select.select([number], [], [], 0)[0])
        poll = select.poll()  # numbers may be higher than select can take
        poll.register(number, select.POLLIN)
        return bool(poll.poll(0))

    @property
    def of_body(self) -> socket.socket | None:
        """The socket whose bytes are those of a body; `None` if another layer is in between.

        TLS in memory, such as that through a TLS proxy: the socket carries the outer one's bytes.
        """
        is_in_memory = isinstance(self.tls, ssl.SSLObject)
        return self.raw if isinstance(self.raw, socket.socket) and not is_in_memory else None

    def has_decrypted(self) -> bool:
        """Returns whether TLS has decrypted data that was not read yet: records arrive together."""
        tls = self.tls
        if tls is None:
            return False
        own = tls.pending() > 0 if isinstance(tls, ssl.SSLSocket) else _gives_something(tls)
        return own or (self._below is not None and self._below.has_decrypted())

    def describe(self, info: str) -> Any:
        """Returns the information that httpcore requests from a network stream."""
        if info == "is_readable":
            return self.is_readable
        if info == "ssl_object":
            return self.tls
        if info == "socket":
            return self.raw
        if info == "client_addr":
            return self.raw.getsockname()
        return self.raw.getpeername() if info == "server_addr" else None

    def abort(self) -> None:
        """Ends pending operations, from another thread."""
        with suppress(OSError):  # it may be closed by now
            self.raw.shutdown(socket.SHUT_RDWR)


def _gives_something(tls: ssl.SSLObject) -> bool:
    try:
        tls.read(1)
    except ssl.SSLWantReadError:
        return False
    except (OSError, ValueError):
        return True
    return True


async def async_connect(host: str, port: int, seconds: float | None) -> AsyncSocket:
    """Returns a socket that is connected to a port of a host, under asyncio or trio."""
    import anyio
    from anyio.abc import SocketAttribute

    try:
        with ungrouped(), anyio.fail_after(seconds):
            stream = await anyio.connect_tcp(host, port)
    except TimeoutError as error:
        raise httpcore.ConnectTimeout(str(error)) from error
    except (OSError, anyio.BrokenResourceError) as error:
        raise httpcore.ConnectError(str(error)) from error
    raw: Any = stream.extra(SocketAttribute.raw_socket)  # noqa: S610 - not that of Django
    return AsyncSocket(stream, raw)


class AsyncSocket(_Connected):
    """A socket, plain or with TLS."""

    def __init__(
        self,
        stream: ByteStream,
        raw: Any,
        tls: ssl.SSLObject | None = None,
        below: AsyncSocket | None = None,
    ) -> None:
        from anyio import (
            BrokenResourceError,
            CancelScope,
            ClosedResourceError,
            EndOfStream,
            current_time,
        )

        super().__init__(raw, tls, below)
        self._stream = stream
        self._scope, self._now = CancelScope, current_time
        self._ends, self._breaks = EndOfStream, (BrokenResourceError, ClosedResourceError)

    async def receive(self, max_bytes: int, seconds: float | None) -> bytes:
        """Returns the next bytes; nothing at the end."""
        try:
            if seconds is None:
                return await self._stream.receive(max_bytes)
            with self._scope(deadline=self._now() + seconds):
                return await self._stream.receive(max_bytes)
        except self._ends:
            return b""
        except self._breaks as error:
            raise httpcore.ReadError(str(error) or CLOSED) from error
        raise httpcore.ReadTimeout("nothing was received in time")

    async def send(self, data: bytes, seconds: float | None) -> None:
        """Sends all of it."""
        try:
            if seconds is None:
                return await self._stream.send(data)
            with self._scope(deadline=self._now() + seconds):
                return await self._stream.send(data)
        except (*self._breaks, self._ends) as error:
            raise httpcore.WriteError(str(error) or CLOSED) from error
        raise httpcore.WriteTimeout("it was not sent in time")

    async def secure(
        self, context: ssl.SSLContext, host: str | None, seconds: float | None
    ) -> AsyncSocket:
        """Returns the same socket with TLS."""
        import anyio
        from anyio.streams.tls import TLSAttribute, TLSStream

        try:
            with anyio.fail_after(seconds):
                stream = await TLSStream.wrap(
                    self._stream,
                    ssl_context=context,
                    hostname=host,
                    standard_compatible=False,
                    server_side=False,
                )
        except TimeoutError as error:
            await self.aclose()
            raise httpcore.ConnectTimeout(str(error)) from error
        except (anyio.BrokenResourceError, anyio.EndOfStream, OSError) as error:
            await self.aclose()
            raise httpcore.ConnectError(str(error) or CLOSED) from error
        tls: Any = stream.extra(TLSAttribute.ssl_object)  # noqa: S610 - not that of Django
        return AsyncSocket(stream, self.raw, tls, self)

    async def aclose(self) -> None:
        """Closes it."""
        await self._stream.aclose()


def connect(host: str, port: int, seconds: float | None) -> Socket:
    """Returns a socket that is connected to a port of a host."""
    try:
        raw = socket.create_connection((host, port), seconds)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except TimeoutError as error:
        raise httpcore.ConnectTimeout(str(error)) from error
    except OSError as error:
        raise httpcore.ConnectError(str(error)) from error
    return Socket(raw)


class Socket(_Connected):
    """A socket, plain or with TLS."""

    def __init__(
        self,
        raw: socket.socket,
        inner: _InnerTLS | None = None,
        below: Socket | None = None,
    ) -> None:
        outer = raw if isinstance(raw, ssl.SSLSocket) else None
        super().__init__(raw, outer if inner is None else inner.tls, below)
        self._io: socket.socket | _InnerTLS = raw if inner is None else inner

    def receive(self, max_bytes: int, seconds: float | None) -> bytes:
        """Returns the next bytes; nothing at the end."""
        try:
            self.raw.settimeout(seconds)
            return self._io.recv(max_bytes)
        except TimeoutError as error:
            raise httpcore.ReadTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.ReadError(str(error)) from error

    def send(self, data: bytes, seconds: float | None) -> None:
        """Sends all of it."""
        left = memoryview(data)
        try:
            self.raw.settimeout(seconds)
            while left:
                left = left[self._io.send(left) :]
        except TimeoutError as error:
            raise httpcore.WriteTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.WriteError(str(error)) from error

    def secure(self, context: ssl.SSLContext, host: str | None, seconds: float | None) -> Socket:
        """Returns the same socket with TLS."""
        try:
            self.raw.settimeout(seconds)
            if isinstance(self.raw, ssl.SSLSocket):
                return Socket(self.raw, _InnerTLS(self.raw, context, host), self)
            return Socket(context.wrap_socket(self.raw, server_hostname=host))
        except TimeoutError as error:
            self.close()
            raise httpcore.ConnectTimeout(str(error)) from error
        except OSError as error:
            self.close()
            raise httpcore.ConnectError(str(error)) from error

    def close(self) -> None:
        """Closes it."""
        self.raw.close()


class _InnerTLS:
    """TLS within TLS, through a proxy that has its own: `SSLContext.wrap_socket` does not take one."""

    def __init__(self, outer: ssl.SSLSocket, context: ssl.SSLContext, host: str | None) -> None:
        self._outer = outer
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._until_done(self.tls.do_handshake)

    def recv(self, max_bytes: int) -> bytes:
        received: bytes = self._until_done(self.tls.read, max_bytes)
        return received

    def send(self, data: memoryview) -> int:
        sent: int = self._until_done(self.tls.write, data)
        return sent

    def _until_done(self, step: Callable[..., Any], *arguments: Any) -> Any:
        while True:
            try:
                result, is_done = step(*arguments), True
            except ssl.SSLWantReadError:
                result, is_done = None, False
            self._outer.sendall(self._outgoing.read())
            if is_done:
                return result
            data = self._outer.recv(65536)
            if data:
                self._incoming.write(data)
            else:
                self._incoming.write_eof()
