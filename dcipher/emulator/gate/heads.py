"""A connection with a timeout for request heads, without which connections would be exhausted."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast, final

from typing_extensions import override

from dcipher.emulator.gate.gate import TRANSPORT

if TYPE_CHECKING:
    import logging

    from dcipher.emulator.gate.gate import ASGIApp, Receive, Scope, Send

__all__ = ["HEAD_TIME", "Connection", "ServerProtocol"]

HEAD_TIME: Final = 10.0
"""Seconds between the first byte of a request, or the connection, and the end of its head."""
_TOO_LATE: Final = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class ServerProtocol(asyncio.Protocol):
    """The common interface of uvicorn's protocols, one per connection; a type only."""

    # uvicorn sets them.
    access_log: bool  # pyright: ignore[reportUninitializedInstanceVariable]
    app: ASGIApp  # pyright: ignore[reportUninitializedInstanceVariable]
    logger: logging.Logger  # pyright: ignore[reportUninitializedInstanceVariable]


@final
class Connection(asyncio.Protocol):
    """Passes everything to uvicorn's protocol, and closes connections without a complete head in time.

    uvicorn itself has a limit only between a response and the next request.
    """

    def __init__(self, inner: ServerProtocol, *, head_time: float) -> None:
        self._inner = inner
        self._head_time = head_time
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._requests = 0
        self._has_data = False
        self._app = inner.app
        inner.app = self._serve

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._wait()
        self._inner.connection_made(transport)

    @override
    def data_received(self, data: bytes) -> None:
        self._has_data = True
        if self._requests == 0 and self._timer is None:
            self._wait()
        self._inner.data_received(data)

    @override
    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self._inner.connection_lost(exc)

    @override
    def pause_writing(self) -> None:
        self._inner.pause_writing()

    @override
    def resume_writing(self) -> None:
        self._inner.resume_writing()

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Calls the application with a complete head, and the connection in the scope."""
        self._stop_waiting()
        self._requests += 1
        scope[TRANSPORT] = self._transport
        try:
            await self._app(scope, receive, send)
        finally:
            self._requests -= 1
            self._has_data = False

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._head_time, self._end)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end(self) -> None:
        self._timer = None
        if self._requests == 0 and self._transport is not None:
            if self._has_data:  # RFC 9110 section 15.5.9
                self._transport.write(_TOO_LATE)
            self._transport.close()
