"""Holds requests to a time limit as a whole, and knows the streams that they go by.

httpx bounds each read and each write by itself: a server that sends a byte of its head now and then
would be waited for without end. An async request is cancelled when its time is over; a blocking one
asks, before each read and each write, how much is left. The time begins with the first byte that is
sent: waiting for a connection, and opening one, have timeouts of their own.
"""

from __future__ import annotations

import math
import ssl
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import httpx

from dcipher._concurrency.clock import monotonic
from dcipher._concurrency.groups import ungrouped
from dcipher._urls.hosts import resolvable
from dcipher._wire.proxies.socks import SOCKS_ERRORS

from .stalling import stalled, stalled_after

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

__all__ = [
    "AsyncBoundedTransport",
    "BodyLimit",
    "BoundedTransport",
    "Limit",
    "is_bounded",
    "limit_of",
    "whole",
]

LEAST = 0.001
"""Seconds that the last step gets, which times out then, and says so as every other does."""
PIECE = 256 * 1024
"""Bytes that are written at once."""


class Limit:
    """The time that one request may take, from its first byte to its last."""

    def __init__(
        self,
        seconds: float | None,
        *,
        before: float | None = 0.0,
        within: float | None = None,
        ours: bool = True,
    ) -> None:
        """`seconds` from the first byte, and `before` it until there is a connection. `None`: no end.

        `within`: seconds from now on, whenever it begins. `ours`: whether it goes by streams of
        ours, which say when something is sent.
        """
        now = monotonic()
        self._seconds = math.inf if seconds is None else seconds
        self._last = math.inf if within is None else now + within
        self.stream: Any = None
        """Where it is sent and read; `None` until then."""
        self.on_begin: Callable[[], None] | None = None
        self._ours = ours
        self._ends = min(now + self._seconds + (math.inf if before is None else before), self._last)

    @property
    def may_have_begun(self) -> bool:
        """Whether something may have been sent."""
        return self.stream is not None or not self._ours

    @property
    def is_over(self) -> bool:
        """Whether the time is over."""
        return self.left < 0

    def check(self, request: httpx.Request | None = None) -> None:
        """Raises `httpx.ReadTimeout` when the time is over."""
        if self.is_over:
            raise httpx.ReadTimeout("the answer took longer than the timeout", request=request)

    def take_back(self) -> None:
        """What was sent was none of the request."""
        self.stream = None

    def begin(self, stream: Any) -> None:
        """Something is sent by `stream`."""
        if self.stream is not None:
            return
        self.stream = stream
        self._ends = min(monotonic() + self._seconds, self._last)
        if self.on_begin is not None:
            self.on_begin()

    @property
    def left(self) -> float:
        """Seconds until the time is over; below 0 after that."""
        return self._ends - monotonic()

    def bounded(self, timeout: float | None) -> float | None:
        """Seconds for what comes next, which has a timeout of its own."""
        left = max(self.left, LEAST)
        if left == math.inf:
            return timeout
        return left if timeout is None else min(timeout, left)

    @contextmanager
    def __call__(self) -> Generator[None]:
        """What is sent and read in the block is held to it."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)


class BodyLimit(Limit):
    """The time that a body may take until more of it has arrived: below a rate, it counts as stalled.

    What is counted is the body. Its framing may trickle in for as long (RFC 9112 section 7.1: the
    extensions of chunks, the trailer), and brings none of it.
    """

    def __init__(self, window: float) -> None:
        """`window`: seconds after which enough bytes let it count anew."""
        super().__init__(None)
        self._window = window
        self.restart()

    def restart(self) -> None:
        """Count from now on."""
        self._since, self._received = monotonic(), 0

    def arrived(self, size: int, request: httpx.Request | None) -> None:
        """So many bytes arrived. Raises `httpx.ReadTimeout` where they are too few."""
        self._received += size
        self.check(request)
        if monotonic() - self._since >= self._window:
            self.restart()

    def check(self, request: httpx.Request | None = None) -> None:
        """Raises `httpx.ReadTimeout` where too few bytes arrived."""
        if self.is_over:
            seconds = monotonic() - self._since
            words = f"stalled: {self._received} bytes in {seconds:.0f} s"
            raise httpx.ReadTimeout(words, request=request)

    @property
    def is_over(self) -> bool:
        return stalled(self._received, monotonic() - self._since)

    @property
    def left(self) -> float:
        return self._since + stalled_after(self._received) - monotonic()

    def bounded(self, timeout: float | None) -> float | None:
        return (
            timeout  # a silent connection has its own time; each read that ends asks for the rest
        )


_current: ContextVar[Limit | None] = ContextVar("dcipher_limit", default=None)


class _Tunnel:
    """The way of one https request through a proxy, which has to open a tunnel for it first.

    What is written before the tunnel's own TLS is between the proxy and us.
    """

    def __init__(self, layers: int) -> None:
        self.layers = layers
        """Layers of TLS around the request."""
        self.is_passed = False
        """Whether something of the request may have been sent."""

    def write(self, layers: int) -> None:
        """Something is sent within so many layers of TLS."""
        self.is_passed = self.is_passed or layers >= self.layers

    @contextmanager
    def __call__(self) -> Generator[None]:
        """An exception that ends the block says whether the request was sent."""
        token = _tunnel.set(self)
        try:
            yield
        except BaseException as error:
            if not self.is_passed:
                _take_back()
                _raise_not_sent(error)
            raise
        finally:
            _tunnel.reset(token)


_tunnel: ContextVar[_Tunnel | None] = ContextVar("dcipher_tunnel", default=None)


def _take_back() -> None:
    limit = _current.get()
    if limit is not None:
        limit.take_back()


def _raise_not_sent(error: BaseException) -> None:
    """A connection to the proxy that is lost is for httpx the same as one to the server."""
    if isinstance(error, (httpx.ReadTimeout, httpx.WriteTimeout)):
        raise httpx.ConnectTimeout("the proxy opened no tunnel in time") from error
    lost = (httpx.ReadError, httpx.WriteError, httpx.CloseError, httpx.RemoteProtocolError, OSError)
    if isinstance(error, lost):
        raise httpx.ProxyError(f"the proxy opened no tunnel ({error})") from error


def is_bounded(stream: object) -> bool:
    """Whether the reads of a network stream are held to the current limit."""
    return isinstance(stream, _Stream)


def limit_of(
    timeouts: Mapping[str, float | None],
    total: float | None,
    *,
    within: float | None = None,
    ours: bool = True,
) -> Limit:
    """The limit of one request, or of the head of a download.

    `timeouts`: of its phases, as httpx has them. `total`: seconds that it may take in all.
    """
    if not ours:
        least = min((known for known in (total, within) if known is not None), default=None)
        return Limit(least, ours=False)
    # Waiting for a connection, and opening it by TCP and TLS, have timeouts of their own.
    waiting = [timeouts["pool"], timeouts["connect"], timeouts["connect"]]
    known = [seconds for seconds in waiting if seconds is not None]
    before = math.fsum(known) if len(known) == len(waiting) else None
    return Limit(total, before=before, within=within)


def whole(timeout: httpx.Timeout) -> float | None:
    """Seconds that one request may take in all where its phases have a timeout each.

    httpx starts each of them anew with every byte. `None`: one of them has none.
    """
    limits = [limit for limit in timeout.as_dict().values() if limit is not None]
    return math.fsum(limits) if len(limits) == len(timeout.as_dict()) else None


class BoundedTransport(httpx.HTTPTransport):
    """An httpx transport of one connection, whose reads and writes know their limit."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        _replace_backend(self._pool, _Backend)
        # One call at a time uses it: there is nothing to lock. A signal that interrupts a thread in
        # that lock's own code would leave it locked, and the closing would wait for ever.
        vars(self._pool)["_optional_thread_lock"] = nullcontext()
        self._layers = _layers(**arguments)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if not self._layers or request.url.scheme != "https":
            with SOCKS_ERRORS:
                return super().handle_request(request)
        with _Tunnel(self._layers)(), SOCKS_ERRORS:
            return super().handle_request(request)

    @property
    def has_leftovers(self) -> bool:
        """Whether something came behind the answer, and was read with it."""
        return _has_leftovers(self._pool)


class AsyncBoundedTransport(httpx.AsyncHTTPTransport):
    """The same for async requests. It closes a connection that never came about, too.

    httpcore forgets a stream whose TLS handshake is cancelled (observed with 1.0.9).
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._backend = _replace_backend(self._pool, _AsyncBackend)
        self._layers = _layers(**arguments)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if not self._layers or request.url.scheme != "https":
            with SOCKS_ERRORS:
                return await super().handle_async_request(request)
        with _Tunnel(self._layers)(), SOCKS_ERRORS:
            return await super().handle_async_request(request)

    @property
    def has_leftovers(self) -> bool:
        """Whether something came behind the answer, and was read with it."""
        return _has_leftovers(self._pool)

    async def aclose(self) -> None:
        try:
            await super().aclose()
        finally:
            if self._backend is not None:
                await self._backend.aclose()


def _layers(*, proxy: httpx.Proxy | str | None = None, http2: bool = False, **_: Any) -> int:
    """Layers of TLS around an https request by way of `proxy`; 0: there is no telling, or no proxy.

    By HTTP/2, one request may write what belongs to another.
    """
    if proxy is None or http2:
        return 0
    url = proxy.url if isinstance(proxy, httpx.Proxy) else httpx.URL(proxy)
    return 2 if url.scheme == "https" else 1


def _replace_backend(pool: Any, ours: Callable[[Any], Any]) -> Any:
    # httpx lets nobody choose the backend of its pool. Where the attribute is not there, each read
    # is bounded by itself, as everywhere with httpx.
    backend = getattr(pool, "_network_backend", None)
    if backend is None:
        return None
    pool._network_backend = ours(backend)  # noqa: SLF001
    return pool._network_backend  # noqa: SLF001


def _has_leftovers(pool: Any) -> bool:
    """Whether a connection of httpcore's pool has read more than its answer.

    Nobody asked for it, and it would be taken for the answer to the next request.
    """
    for connection in pool.connections:
        # As far as it can be known: these are httpcore's own affairs.
        within = getattr(connection, "_connection", None)
        state = getattr(within, "_h11_state", None)
        if state is not None and state.trailing_data[0]:
            return True
        if _waits_below(getattr(within, "_network_stream", None)):
            return True
    return False


def _waits_below(stream: Any) -> bool:
    """Whether a stream has read from its socket what nobody has read from it.

    TLS arrives in records, of which a read gives one and may take several: httpcore's own TLS over
    TLS and trio's keep them in `_incoming`, anyio's in `_read_bio`, and a socket has `pending`.
    """
    while stream is not None:
        for name in ("_incoming", "_read_bio"):
            if getattr(getattr(stream, name, None), "pending", 0):
                return True
        if isinstance(stream, ssl.SSLSocket):
            return stream.pending() > 0
        stream = getattr(stream, "_stream", None) or getattr(stream, "_sock", None)
    return False


class _Backend:
    """A network backend of httpcore's."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend

    def connect_tcp(
        self, host: str, *args: Any, timeout: float | None = None, **kwargs: Any
    ) -> _Stream:
        limit = _to_connect(timeout)
        return _Stream(self._backend.connect_tcp(resolvable(host), *args, timeout=limit, **kwargs))

    def connect_unix_socket(self, *args: Any, **kwargs: Any) -> _Stream:
        return _Stream(self._backend.connect_unix_socket(*args, **kwargs))

    def sleep(self, seconds: float) -> None:
        self._backend.sleep(seconds)


class _Stream:
    """A network stream of httpcore's."""

    def __init__(self, stream: Any, layers: int = 0) -> None:
        self._stream = stream
        self._layers = layers

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        limit = _current.get()
        if limit is not None:
            # Where data is there, a read does not time out, however short its time.
            limit.check()
            timeout = limit.bounded(timeout)
        data: bytes = self._stream.read(max_bytes, timeout)
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        tunnel = _tunnel.get()
        if tunnel is not None:
            tunnel.write(self._layers)
        limit = _current.get()
        if limit is None:
            self._stream.write(buffer, timeout)
            return
        limit.begin(self)
        # In pieces: the stream below bounds each send by itself, of which a large body takes many.
        for start in range(0, len(buffer), PIECE):
            self._stream.write(buffer[start : start + PIECE], limit.bounded(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> _Stream:
        stream = self._stream.start_tls(ssl_context, server_hostname, _to_connect(timeout))
        return _Stream(stream, self._layers + 1)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _to_connect(timeout: float | None) -> float | None:
    """Seconds for a step on the way to a connection."""
    limit = _current.get()
    if limit is None:
        return timeout
    if limit.is_over:
        raise httpx.ConnectTimeout("the connection took longer than the timeout")
    return limit.bounded(timeout)


class _AsyncBackend:
    """A network backend of httpcore's that knows the stream that it opened last."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self.opened: Any = None

    async def connect_tcp(self, host: str, *args: Any, **kwargs: Any) -> _AsyncStream:
        with ungrouped():
            self.opened = await self._backend.connect_tcp(resolvable(host), *args, **kwargs)
        return _AsyncStream(self.opened)

    async def connect_unix_socket(self, *args: Any, **kwargs: Any) -> _AsyncStream:
        self.opened = await self._backend.connect_unix_socket(*args, **kwargs)
        return _AsyncStream(self.opened)

    async def sleep(self, seconds: float) -> None:
        await self._backend.sleep(seconds)

    async def aclose(self) -> None:
        # It knows its event loop, which is not to be kept.
        opened, self.opened = self.opened, None
        if opened is not None:
            await opened.aclose()


class _AsyncStream:
    """A network stream of httpcore's."""

    def __init__(self, stream: Any, layers: int = 0) -> None:
        self._stream = stream
        self._layers = layers
        self.read = stream.read
        self.aclose = stream.aclose
        self.get_extra_info = stream.get_extra_info

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        tunnel = _tunnel.get()
        if tunnel is not None:
            tunnel.write(self._layers)
        limit = _current.get()
        if limit is not None:
            limit.begin(self)
        await self._stream.write(buffer, timeout)

    async def start_tls(self, *args: Any, **kwargs: Any) -> _AsyncStream:
        return _AsyncStream(await self._stream.start_tls(*args, **kwargs), self._layers + 1)
