"""The body of a large answer, as fast as it comes: async and sync side by side, for they differ.

A body of known length is read from its own socket into one buffer, in pieces of 128 KiB: httpx and
h11 hand it over in pieces of 64 KiB, each a new object, which costs more than the network (and
several times as much in a thread, where the C library gives the memory back after each).
"""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import httpx

from dcipher._concurrency.clock import monotonic
from dcipher._wire.transport.deadlines import is_bounded

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from dcipher._wire.transport.deadlines import Limit

__all__ = ["async_raw_body", "async_watched", "raw_body", "watched"]

BUFFER = 128 * 1024
"""Bytes that are read, and written, at once: larger writes were measured to take longer (ext4)."""
PATIENCE = 1.0
"""Seconds after which what has arrived is handed over, however little it is."""


async def async_raw_body(response: httpx.Response) -> AsyncGenerator[bytes | memoryview]:
    """The raw body. A `memoryview` is good until the next one only."""
    if response.is_stream_consumed:  # it came whole, as from httpx.MockTransport
        yield response.content
        return
    async for chunk in response.aiter_raw():
        yield chunk


@contextmanager
def async_watched(_response: httpx.Response, _limit: Limit, /) -> Generator[None]:
    """Nothing is to be watched in the block: what is awaited there can be cancelled."""
    yield


@contextmanager
def watched(response: httpx.Response, limit: Limit) -> Generator[None]:
    """What is read in the block ends with the limit.

    Our own streams ask for it. By those of an httpx client of the user's, a read goes on for as long
    as something arrives: then the connection is shut down, by a thread.
    """
    stream = response.extensions.get("network_stream")
    own_socket = None if stream is None or is_bounded(stream) else stream.get_extra_info("socket")
    if not isinstance(own_socket, socket.socket):
        yield
        return
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(max(limit.left, 0.01)):
            if limit.is_over:
                with suppress(OSError):  # it may have been closed meanwhile
                    own_socket.shutdown(socket.SHUT_RDWR)
                return

    threading.Thread(target=watch, name="dcipher stall", daemon=True).start()
    try:
        yield
        # To a body without a length, the shutdown looks like its end.
        limit.check(response.request)
    finally:
        ended.set()


def raw_body(response: httpx.Response) -> Generator[bytes | memoryview]:
    """The raw body. A `memoryview` is good until the next one only."""
    if response.is_stream_consumed:  # it came whole, as from httpx.MockTransport
        yield response.content
        return
    left, own_socket = _length(response), _own_socket(response)
    chunks = response.iter_raw()  # held: its end is the connection's
    for chunk in chunks:
        yield chunk
        left -= len(chunk)
        # What h11 had read of the body is in the first piece: the rest is still in the socket.
        if own_socket is not None and left >= BUFFER:
            break
    else:
        return
    own_socket.settimeout(response.request.extensions.get("timeout", {}).get("read"))
    yield from _received(own_socket, left, response.request)


def _length(response: httpx.Response) -> int:
    """The length of the body; 0 where it is not known."""
    length = response.headers.get("content-length", "")
    plain = response.http_version == "HTTP/1.1" and "transfer-encoding" not in response.headers
    return int(length) if plain and length.isascii() and length.isdigit() else 0


def _own_socket(response: httpx.Response) -> socket.socket | None:
    """The socket whose bytes are the body's; `None` where another layer lies between."""
    stream = response.extensions.get("network_stream")
    if stream is None:
        return None
    own_socket = stream.get_extra_info("socket")
    # TLS through a TLS proxy, in memory: the socket carries the outer one's bytes.
    if isinstance(stream.get_extra_info("ssl_object"), ssl.SSLObject):
        return None
    return own_socket if isinstance(own_socket, socket.socket) else None


def _received(
    own_socket: socket.socket, left: int, request: httpx.Request
) -> Generator[memoryview]:
    buffer = memoryview(bytearray(BUFFER))
    while left:
        filled, since = 0, monotonic()
        failure: httpx.TransportError | None = None
        wanted = min(left, BUFFER)
        while filled < wanted and failure is None and monotonic() - since < PATIENCE:
            try:
                count = own_socket.recv_into(buffer[filled:wanted])
            except TimeoutError:
                failure = httpx.ReadTimeout("the body stalled", request=request)
            except OSError as error:
                failure = httpx.ReadError(str(error), request=request)
            else:
                filled += count
                if count == 0:
                    failure = httpx.RemoteProtocolError("the body ended early", request=request)
        if filled:
            left -= filled
            yield buffer[:filled]
        if failure is not None:
            raise failure
