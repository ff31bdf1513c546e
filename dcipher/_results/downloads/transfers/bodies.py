"""Reads the body of a large response at full speed.

A body of known length is read from the socket into one buffer, 512 KiB at a time. httpx and h11
return chunks of 64 KiB, each a new object, which costs more than the network (and several times as
much in a thread, where the C library frees the memory after each).
"""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import httpx

from dcipher._concurrency.clock import monotonic

if TYPE_CHECKING:
    from collections.abc import Generator

    from dcipher._wire.transport.deadlines import Deadline
    from dcipher._wire.transport.streams import Stream

__all__ = ["PATIENCE", "raw_body", "watched"]

BUFFER = 512 * 1024
"""Bytes of one read and of one write: those of 128 KiB took up to twice as long in measurements (ext4)."""
LEAST = 128 * 1024
"""Bytes of the smallest body that is read in this way."""
PATIENCE = 1.0
"""Seconds after which the received bytes are returned, however few they are."""


@contextmanager
def watched(response: httpx.Response, deadline: Deadline) -> Generator[None]:
    """Ends reads in the block at the deadline.

    Our own streams observe it. Those of an httpx client of the user read as long as data arrives:
    then a thread shuts down the connection.
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
                with suppress(OSError):  # it may be closed by now
                    own_socket.shutdown(socket.SHUT_RDWR)
                return

    threading.Thread(target=watch, name="dcipher stall", daemon=True).start()
    try:
        yield
        # For a body without a length, the shutdown looks like its end.
        deadline.check()
    finally:
        ended.set()


def raw_body(response: httpx.Response) -> Generator[bytes | memoryview]:
    """Yields the raw body. A `memoryview` is valid only until the next one."""
    if response.is_stream_consumed:  # it is complete, as that of httpx.MockTransport
        yield response.content
        return
    left, stream = _length(response), _own_stream(response)
    own_socket = None if stream is None else stream.opened.of_body
    if stream is None or own_socket is None or left < LEAST:
        yield from response.iter_raw()
        return
    # httpcore does not know of these reads: the connection is closed with the response.
    rest, stream.rest = stream.rest[:left], b""
    if rest:
        yield rest
    yield from _received(own_socket, left - len(rest), stream.deadline, response.request)


def _own_stream(response: httpx.Response) -> Stream | None:
    """Returns the stream of a response, if it is one of ours."""
    # Late: with a transport of the user, httpcore may never be imported.
    from dcipher._wire.transport.streams import Stream

    stream = response.extensions.get("network_stream")
    return stream if isinstance(stream, Stream) else None


def _length(response: httpx.Response) -> int:
    """Returns the length of the body; 0 if it is unknown."""
    length = response.headers.get("content-length", "")
    plain = response.http_version == "HTTP/1.1" and "transfer-encoding" not in response.headers
    return int(length) if plain and length.isascii() and length.isdigit() else 0


def _received(
    own_socket: socket.socket, left: int, deadline: Deadline, request: httpx.Request
) -> Generator[memoryview]:
    timeout = request.extensions.get("timeout", {}).get("read")
    buffer = memoryview(bytearray(min(left, BUFFER)))
    waited = 0.0
    while left:
        filled, since = 0, monotonic()
        failure: httpx.TransportError | None = None
        wanted = min(left, BUFFER)
        own_socket.settimeout(deadline.to_read(None if timeout is None else timeout - waited))
        waited = 0.0
        while filled < wanted and failure is None and monotonic() - since < PATIENCE:
            try:
                count = own_socket.recv_into(buffer[filled:wanted])
            except TimeoutError:
                if filled and (timeout is None or timeout > PATIENCE):
                    waited = PATIENCE  # what was received is written before the rest of the wait
                    break
                failure = httpx.ReadTimeout("the body stalled", request=request)
            except OSError as error:
                failure = httpx.ReadError(str(error), request=request)
            else:
                if filled == 0 and count < wanted:
                    own_socket.settimeout(deadline.bounded(min(timeout or PATIENCE, PATIENCE)))
                filled += count
                if count == 0:
                    failure = httpx.RemoteProtocolError("the body ended early", request=request)
        if filled:
            left -= filled
            yield buffer[:filled]
        if failure is not None:
            raise failure
