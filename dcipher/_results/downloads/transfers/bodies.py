"""The body of a large answer, as fast as it comes: async and sync side by side, for they differ.

A body of known length is read from its own socket into one buffer, in pieces of 128 KiB: httpx and
h11 hand it over in pieces of 64 KiB, each a new object, which costs more than the network (and
several times as much in a thread, where the C library gives the memory back after each).
"""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import httpx

from dcipher._concurrency.clock import monotonic

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from dcipher._wire.transport.deadlines import Deadline
    from dcipher._wire.transport.streams import Stream

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
def async_watched(_response: httpx.Response, _deadline: Deadline, /) -> Generator[None]:
    """Nothing is to be watched in the block: what is awaited there can be cancelled."""
    yield


@contextmanager
def watched(response: httpx.Response, deadline: Deadline) -> Generator[None]:
    """What is read in the block ends with the deadline.

    Our own streams ask for it. By those of an httpx client of the user's, a read goes on for as long
    as something arrives: then the connection is shut down, by a thread.
    """
    stream = response.extensions.get("network_stream")
    is_foreign = stream is not None and _own_stream(response) is None
    own_socket = stream.get_extra_info("socket") if stream is not None and is_foreign else None
    if not isinstance(own_socket, socket.socket):
        yield
        return
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(max(deadline.left, 0.01)):
            if deadline.is_over:
                with suppress(OSError):  # it may have been closed meanwhile
                    own_socket.shutdown(socket.SHUT_RDWR)
                return

    threading.Thread(target=watch, name="dcipher stall", daemon=True).start()
    try:
        yield
        # To a body without a length, the shutdown looks like its end.
        deadline.check()
    finally:
        ended.set()


def raw_body(response: httpx.Response) -> Generator[bytes | memoryview]:
    """The raw body. A `memoryview` is good until the next one only."""
    if response.is_stream_consumed:  # it came whole, as from httpx.MockTransport
        yield response.content
        return
    left, stream = _length(response), _own_stream(response)
    own_socket = None if stream is None else stream.own_socket
    if stream is None or own_socket is None or left < BUFFER:
        yield from response.iter_raw()
        return
    # httpcore knows of none of it: the connection is closed with the response.
    rest = stream.framing.take_rest()[:left]
    if rest:
        yield rest
    yield from _received(own_socket, left - len(rest), stream.deadline, response.request)


def _own_stream(response: httpx.Response) -> Stream | None:
    """The stream that a response comes by, where it is one of ours."""
    # Late: there may be no module of httpcore's, where a transport of the user's brings everything.
    from dcipher._wire.transport.streams import Stream

    stream = response.extensions.get("network_stream")
    return stream if isinstance(stream, Stream) else None


def _length(response: httpx.Response) -> int:
    """The length of the body; 0 where it is not known."""
    length = response.headers.get("content-length", "")
    plain = response.http_version == "HTTP/1.1" and "transfer-encoding" not in response.headers
    return int(length) if plain and length.isascii() and length.isdigit() else 0


def _received(
    own_socket: socket.socket, left: int, deadline: Deadline, request: httpx.Request
) -> Generator[memoryview]:
    timeout = request.extensions.get("timeout", {}).get("read")
    buffer = memoryview(bytearray(BUFFER))
    while left:
        filled, since = 0, monotonic()
        failure: httpx.TransportError | None = None
        wanted = min(left, BUFFER)
        own_socket.settimeout(deadline.to_read(timeout))
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
