"""Sends a changed response: as HTTP if it is valid, else on the bare connection."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, cast, final

from dcipher.emulator.faults.messages import Stop
from dcipher.emulator.gate.gate import TRANSPORT, Disconnected, mark_sent

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dcipher.emulator.faults.messages import How, Part, Response
    from dcipher.emulator.gate.gate import Receive, Scope, Send

__all__ = ["Span", "Wait", "deliver", "schedule"]

_CHUNK = 256 * 1024
_TICK = 0.05  # seconds between two pieces of a slow response
_POLL = 0.002  # seconds between two checks of the unsent bytes
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")


@dataclass(frozen=True, slots=True)
class Span:
    """Sends the bytes from `start` to `stop`."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Pauses for some seconds; None: without end."""

    seconds: float | None


Step: TypeAlias = "Span | Wait"


async def deliver(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    """Sends a response. Returns when it is sent, or raises `Disconnected`."""
    peer = _Peer(receive)
    if response.is_plain:
        await _as_http(response, peer, scope, send)
        return
    wire = _Wire(cast("asyncio.Transport", scope[TRANSPORT]), peer)
    await _on_wire(response, peer, scope, wire)
    await _end(wire, peer, response.stop.how if response.stop else "close")


def schedule(
    size: int,
    *,
    end: int | None = None,
    pauses: Iterable[tuple[int, float | None]] = (),
    rate: float | None = None,
) -> Iterator[Step]:
    """Yields the steps for a part of `size` bytes, which is sent up to `end`.

    Negative positions count from the end of the part. Nothing follows a pause without an end.
    """
    limit = size if end is None else _place(end, size)
    at = 0
    for mark, seconds in sorted(((_place(p, size), s) for p, s in pauses), key=lambda x: x[0]):
        if mark > limit:
            break
        yield from _spans(at, mark, rate)
        yield Wait(seconds)
        if seconds is None:
            return
        at = mark
    yield from _spans(at, limit, rate)


def _place(position: int, size: int) -> int:
    return max(0, min(position if position >= 0 else size + position, size))


def _spans(start: int, stop: int, rate: float | None) -> Iterator[Step]:
    step = _CHUNK if rate is None else max(1, min(_CHUNK, int(rate * _TICK)))
    for begin in range(start, stop, step):
        end = min(begin + step, stop)
        yield Span(begin, end)
        if rate is not None:
            yield Wait((end - begin) / rate)


@final
class _Peer:
    """The client, as far as its disconnection is concerned."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive

    async def gone(self) -> None:
        """Returns when the client has disconnected."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def wait(self, seconds: float | None) -> None:
        """Waits. Raises `Disconnected` as soon as the client has disconnected."""
        try:
            await asyncio.wait_for(self.gone(), seconds)
        except asyncio.TimeoutError:
            return
        raise Disconnected


@final
class _Wire:
    """The connection itself, for bytes that a server would not send."""

    def __init__(self, transport: asyncio.Transport, peer: _Peer) -> None:
        self._transport = transport
        self._peer = peer
        self._socket = cast("socket.socket", transport.get_extra_info("socket"))

    async def write(self, data: bytes) -> None:
        """Sends bytes. Raises `Disconnected` if the client has disconnected."""
        await self._check()
        self._transport.write(data)
        while self._transport.get_write_buffer_size() > _CHUNK:
            await asyncio.sleep(_POLL)
            await self._check()
        # A write that does not block does not yield: one response must not block the others.
        await asyncio.sleep(0)

    def close(self) -> None:
        """Closes the connection by FIN, after the written bytes."""
        self._transport.close()

    async def reset(self) -> None:
        """Closes the connection by RST, when all written bytes have arrived."""
        while self._transport.get_write_buffer_size() or _unacknowledged(self._socket):
            await asyncio.sleep(_POLL)
            await self._check()
        # Without time to linger, a socket is closed by RST instead of FIN.
        form = "hh" if sys.platform == "win32" else "ii"
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack(form, 1, 0))
        self._transport.abort()

    async def _check(self) -> None:
        if self._transport.is_closing():
            # The transport knows it a turn of the event loop before uvicorn, which would log an error.
            await self._peer.gone()
            raise Disconnected


def _unacknowledged(connection: socket.socket) -> int:
    """Returns how many bytes the kernel has not sent yet: a reset discards them."""
    if sys.platform != "linux":
        return 0
    import fcntl
    import termios

    # TIOCOUTQ is another name of SIOCOUTQ (tcp(7)).
    found = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4))
    return int.from_bytes(found, sys.byteorder)


async def _as_http(response: Response, peer: _Peer, scope: Scope, send: Send) -> None:
    for step in schedule(0, pauses=_pauses(response, "head")):
        if isinstance(step, Wait):
            _silent(scope, step)
            await peer.wait(step.seconds)
    headers = response.framed_headers if response.framing == "length" else response.headers
    raw_headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    await send({"type": "http.response.start", "status": response.status, "headers": raw_headers})
    for step in _body_steps(response):
        if isinstance(step, Wait):
            await peer.wait(step.seconds)
            continue
        piece = bytes(response.body.between(step.start, step.stop))
        await send({"type": "http.response.body", "body": piece, "more_body": True})
        await asyncio.sleep(0)  # as in `_Wire.write`
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _on_wire(response: Response, peer: _Peer, scope: Scope, wire: _Wire) -> None:
    head = response.head if response.raw is None else response.raw
    end = None
    if response.stop is not None and response.stop.part == "head":
        end = len(head) if response.stop.at is None else response.stop.at
    steps = list(
        schedule(len(head), end=end, pauses=_pauses(response, "head"), rate=response.rate("head"))
    )
    sent = max((step.stop for step in steps if isinstance(step, Span)), default=0)
    # A client that has the first byte finds the request in the journal, with its status.
    status = _STATUS.match(head[:sent])
    if status is None:
        mark_sent(scope, None)
    for step in steps:
        if isinstance(step, Wait):
            await peer.wait(step.seconds)
            continue
        if status is not None:
            mark_sent(scope, int(status[1]))
        await wire.write(head[step.start : step.stop])
    if response.raw is None and end is None and response.has_body:
        await _body_on_wire(response, peer, wire)


async def _body_on_wire(response: Response, peer: _Peer, wire: _Wire) -> None:
    chunked = response.framing == "chunked"
    for step in _body_steps(response):
        if isinstance(step, Wait):
            await peer.wait(step.seconds)
            continue
        piece = bytes(response.body.between(step.start, step.stop))
        # RFC 9112 section 7.1
        await wire.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
    whole = response.stop is None or response.stop.at is None
    if chunked and whole and not response.unfinished:
        await wire.write(b"0\r\n\r\n")


async def _end(wire: _Wire, peer: _Peer, how: How) -> None:
    if how == "close":
        wire.close()
    elif how == "reset":
        await wire.reset()
    # The connection must not be reused: this waits for its end.
    await peer.gone()


def _body_steps(response: Response) -> Iterator[Step]:
    stop = response.stop or Stop("body", None, "close")
    return schedule(
        len(response.body),
        end=stop.at,
        pauses=_pauses(response, "body"),
        rate=response.rate("body"),
    )


def _pauses(response: Response, part: Part) -> list[tuple[int, float | None]]:
    return [(pause.at, pause.seconds) for pause in response.pauses if pause.part == part]


def _silent(scope: Scope, wait: Wait) -> None:
    """Records a request that never gets a response, while its client still waits."""
    if wait.seconds is None:
        mark_sent(scope, None)
