"""Holds blocking requests to a time limit as a whole.

httpx bounds each read and each write by itself: a server that sends a byte of its head now and then
would be waited for without end. An async request is cancelled when its time is over; a blocking one
asks, before each read and each write, how much is left.
"""

from __future__ import annotations

import math
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["BoundedTransport", "deadline", "has_leftovers", "whole"]

LEAST = 0.001
"""Seconds that a read gets when the time is over: it times out, and says so as every other does."""

PIECE = 256 * 1024
"""Bytes that are written at once."""


class _Current(threading.local):
    """When what this thread does must be over, by the monotonic clock."""

    ends: float | None = None


_current = _Current()


@contextmanager
def deadline(seconds: float | None) -> Generator[None]:
    """What this thread reads and writes in the block, it does within so many seconds; `None`: no limit."""
    before = _current.ends
    ends = None if seconds is None else time.monotonic() + seconds
    _current.ends = ends if before is None or (ends is not None and ends < before) else before
    try:
        yield
    finally:
        _current.ends = before


def _left(timeout: float | None) -> float | None:
    if _current.ends is None:
        return timeout
    left = max(_current.ends - time.monotonic(), LEAST)
    return left if timeout is None else min(timeout, left)


def whole(timeout: httpx.Timeout) -> float | None:
    """Seconds that one request may take in all where its phases have a timeout each.

    httpx starts each of them anew with every byte. `None`: one of them has none.
    """
    limits = [limit for limit in timeout.as_dict().values() if limit is not None]
    return math.fsum(limits) if len(limits) == len(timeout.as_dict()) else None


class BoundedTransport(httpx.HTTPTransport):
    """An httpx transport whose reads and writes know the deadline of their thread."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        # httpx lets nobody choose the backend of its pool. Where the attribute is not there, each
        # read is bounded by itself, as everywhere with httpx.
        pool: Any = self._pool
        backend = getattr(pool, "_network_backend", None)
        if backend is not None:
            pool._network_backend = _Backend(backend)  # noqa: SLF001

    @property
    def has_leftovers(self) -> bool:
        """Whether something came behind the answer, and was read with it."""
        return has_leftovers(self._pool)


def has_leftovers(pool: Any) -> bool:
    """Whether a connection of httpcore's pool has read more than its answer.

    Nobody asked for it, and it would be taken for the answer to the next request.
    """
    for connection in pool.connections:
        # As far as it can be known: these are httpcore's own affairs.
        state = getattr(getattr(connection, "_connection", None), "_h11_state", None)
        if state is not None and state.trailing_data[0]:
            return True
    return False


class _Backend:
    """A network backend of httpcore's."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend

    def connect_tcp(self, *args: Any, **kwargs: Any) -> _Stream:
        return _Stream(self._backend.connect_tcp(*args, **kwargs))

    def connect_unix_socket(self, *args: Any, **kwargs: Any) -> _Stream:
        return _Stream(self._backend.connect_unix_socket(*args, **kwargs))

    def sleep(self, seconds: float) -> None:
        self._backend.sleep(seconds)


class _Stream:
    """A network stream of httpcore's."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data: bytes = self._stream.read(max_bytes, _left(timeout))
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # In pieces: the stream below bounds each send by itself, of which a large body takes many.
        for start in range(0, len(buffer), PIECE):
            self._stream.write(buffer[start : start + PIECE], _left(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> _Stream:
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, _left(timeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
