# Generated from dcipher/_wire/transport/connections_async.py by scripts/unasync.py: edit that, not this.
# ruff: noqa: UP028
"""The connections of a client and of all that were derived from it.

One httpcore pool for each connection, the warmest first, behind a limiter of our own. One pool of
httpcore walks all of its connections and all of its waiting requests twice for each call, and above
20 open connections closes every idle one; a hundred small ones do neither. A connection that an
error or a cancellation went through is closed, never given to the next.
"""

from __future__ import annotations

import math
import threading
from abc import ABC, abstractmethod
from collections import deque
from copy import copy
from typing import TYPE_CHECKING, NamedTuple, cast
from weakref import WeakSet

import httpx

from dcipher._concurrency.clock import monotonic
from dcipher._concurrency.closing import abandon, close_transport
from dcipher._concurrency.limiting import Limiter, Permit
from dcipher._concurrency.scopes import Scoped
from dcipher._wire.errors.causes import has_too_many_files
from dcipher._wire.proxies.environment import origin_of
from dcipher._wire.proxies.socks import SOCKS_ERRORS
from dcipher.errors import DcipherError

from .cookies import NoCookies

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dcipher._wire.proxies.choice import Origin

__all__ = ["ClientTransport", "ConnectionPool", "Pool", "SingleTransportPool"]

MAX_ORIGINS = 10
"""Origins of which connections are kept: results may come from a store with a name of its own each."""

SCARCE = 30.0
"""Seconds in which no connection is kept, after there were too many open files for another one."""


class _Idle(NamedTuple):
    transport: httpx.BaseTransport
    since: float


class _State:
    """The idle connections and the limit of one process and one event loop."""

    def __init__(self, max_connections: int) -> None:
        self.limiter = Limiter(max_connections)
        self._lock = threading.Lock()
        self._idle: dict[Origin, deque[_Idle]] = {}
        """The most recently used origin is the last."""
        self._no_idle_until = -math.inf
        self._is_closed = False

    def pop_idle(self, origin: Origin) -> httpx.BaseTransport | None:
        """Returns the idle connection that was used last, if any."""
        with self._lock:
            connections = self._idle.get(origin)
            return connections.pop().transport if connections else None

    def push_idle(
        self, origin: Origin, transport: httpx.BaseTransport, expiry: float
    ) -> list[httpx.BaseTransport]:
        """Adds an idle connection. Returns those to be closed."""
        with self._lock:
            now = monotonic()
            if self._is_closed or now < self._no_idle_until:  # while the call was under way
                return [transport]
            connections = self._idle.pop(origin, None) or deque()
            connections.append(_Idle(transport, now))
            self._idle[origin] = connections
            if now - connections[0].since > expiry:
                return [connections.popleft().transport]
            unused, others = next(iter(self._idle.items()))
            if others is connections:
                return []
            if others and len(self._idle) <= MAX_ORIGINS and now - others[-1].since <= expiry:
                return []
            del self._idle[unused]
            return [one.transport for one in others]

    def drop_idle(self) -> list[httpx.BaseTransport]:
        """Keeps no idle connection for `SCARCE` seconds. Returns those to be closed."""
        with self._lock:
            self._no_idle_until = monotonic() + SCARCE
            idle, self._idle = self._idle, {}
        return [one.transport for connections in idle.values() for one in connections]

    def close(self) -> list[httpx.BaseTransport]:
        """Keeps no idle connection from now on. Returns those to be closed."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, {}
        return [one.transport for connections in idle.values() for one in connections]


class Pool(ABC):
    """A transport that several httpx clients reference, with a count of references.

    It is closed when the last reference is released. The client that it was made for has one of
    its own, so that clients derived from it later find the connections open.
    """

    def __init__(self) -> None:
        # Weak: a client that was dropped without being closed keeps nothing open.
        self._references: WeakSet[object] = WeakSet()
        self._was_released = False

    def acquire(self, reference: object) -> None:
        """Adds a reference: the pool stays open until it is released or collected."""
        self._references.add(reference)

    def transport(self, reference: object) -> PooledTransport:
        """Returns a transport for an httpx client; closing it releases the reference, too."""
        handle = PooledTransport(self, reference)
        self._references.add(handle)
        return handle

    @property
    def was_used(self) -> bool:
        """Whether it may have opened connections."""
        return False

    def release(self, handle: PooledTransport) -> None:
        """Releases the references of an httpx client; closes the pool after the last one."""
        self._was_released = True
        self._references.discard(handle)
        if handle.reference is not None:
            self._references.discard(handle.reference)
        if not self._references:
            self.close_all()

    @abstractmethod
    def send(self, request: httpx.Request) -> httpx.Response:
        """Sends one request."""

    @abstractmethod
    def close_all(self) -> None:
        """Closes all connections. The pool can be used again."""


class SingleTransportPool(Pool):
    """A pool of a single transport, such as one of the user's."""

    def __init__(self, transport: httpx.BaseTransport) -> None:
        super().__init__()
        self._transport = transport

    def send(self, request: httpx.Request) -> httpx.Response:
        return self._transport.handle_request(request)

    def close_all(self) -> None:
        self._transport.close()


class ConnectionPool(Pool):
    """A pool of connections, opened on demand and kept for the next request."""

    def __init__(
        self,
        make: Callable[[Origin], httpx.BaseTransport],
        *,
        max_connections: int,
        keepalive_expiry: float,
        on_release: Callable[[], None],
    ) -> None:
        super().__init__()
        self._make = make
        """Makes a transport of one connection to an origin, by its proxy if it has one."""
        self._keepalive_expiry = keepalive_expiry
        self._max_connections = max_connections
        self._on_release = on_release
        self._state = Scoped(lambda: _State(max_connections))

    def __del__(self) -> None:
        state = self._state.peek() if hasattr(self, "_state") else None
        if state is not None:
            abandon(state.close(), silently=self._was_released)

    @property
    def was_used(self) -> bool:
        return self._state.peek() is not None

    def release(self, handle: PooledTransport) -> None:
        self._on_release()
        super().release(handle)

    def close_all(self) -> None:
        state = self._state.forget()
        for transport in [] if state is None else state.close():
            close_transport(transport)

    def send(self, request: httpx.Request) -> httpx.Response:
        state = self._state.get()
        origin = origin_of(request.url)
        transport: httpx.BaseTransport | None = None
        permit = self._permit(state, request)
        try:
            transport = state.pop_idle(origin) or self._make(origin)
            response = transport.handle_request(request)
            response.stream = _Stream(
                cast("httpx.SyncByteStream", response.stream),
                self,
                _Lease(state, origin, transport, permit),
            )
        except BaseException as error:
            permit.release()
            if transport is not None:
                close_transport(transport)
            if has_too_many_files(error):  # closing idle connections frees some
                for idle in state.drop_idle():
                    close_transport(idle)
            raise
        return response

    def _permit(self, state: _State, request: httpx.Request) -> Permit:
        timeout = request.extensions.get("timeout", {}).get("pool")
        try:
            return state.limiter.acquire(timeout)
        except TimeoutError:
            raise httpx.PoolTimeout(
                f"all {self._max_connections} connections were in use for {timeout:g} s",
                request=request,
            ) from None

    def give_back(self, lease: _Lease) -> list[httpx.BaseTransport]:
        """Returns a connection to the pool. Returns those to be closed, such as expired ones."""
        # The last client was closed before the call, or the server sent unsolicited bytes.
        if not self._references or getattr(lease.transport, "has_leftovers", False):
            return [lease.transport]
        return lease.state.push_idle(lease.origin, lease.transport, self._keepalive_expiry)


class _Lease(NamedTuple):
    """A connection in use."""

    state: _State
    origin: Origin
    transport: httpx.BaseTransport
    permit: Permit


class _Stream(httpx.SyncByteStream):
    """A body; its connection returns to the pool when it was read to its end, and is closed otherwise."""

    def __init__(
        self, stream: httpx.SyncByteStream, connections: ConnectionPool, lease: _Lease
    ) -> None:
        self._stream = stream
        self._connections = connections
        self._lease: _Lease | None = lease
        self._whole = False

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._stream:
            yield chunk
        self._whole = True

    def close(self) -> None:
        lease, self._lease = self._lease, None
        if lease is None:
            return
        stale = [lease.transport]
        try:
            if self._whole:
                self._stream.close()
                stale = self._connections.give_back(lease)
        finally:
            # After the connection: whoever waits for the permit finds it idle.
            lease.permit.release()
            for transport in stale:
                close_transport(transport)


class PooledTransport(httpx.BaseTransport):
    """The transport of one httpx client: closing it does not affect the other clients."""

    def __init__(self, pool: Pool, reference: object) -> None:
        self._pool: Pool | None = pool
        self.reference = reference

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self._pool is None:
            raise RuntimeError("The client has been closed.")
        response = self._pool.send(request)
        if 300 <= response.status_code < 400:
            _forget_bad_location(request, response)
        return response

    def close(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.release(self)


def _forget_bad_location(request: httpx.Request, response: httpx.Response) -> None:
    """Removes a Location that httpx cannot parse: its error would hide the status, followed or not."""
    try:
        url = httpx.URL(response.headers.get("location", ""))
        usable = bool(url.host) or not url.scheme
        if url.is_relative_url:  # it may be too long only when joined to the base
            request.url.join(url)
    except (httpx.InvalidURL, ValueError):
        usable = False
    if not usable:
        del response.headers["location"]


class ClientTransport(httpx.BaseTransport):
    """Sends by an httpx client of the user's, which the user still owns.

    It is not closed, its `auth` is not used, and its jar stores no cookie of a response.

    Redirects are not followed here: httpx forwards every header but Authorization and Cookie to the
    other host (observed).
    """

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self._client.is_closed:
            raise DcipherError("The httpx client that was passed as http_client is closed.")
        # httpx stores the cookies of each response. The copy shares everything else with the original
        # as it is now: transports, hooks, what a class of theirs has.
        client = copy(self._client)
        client.cookies = httpx.Cookies(NoCookies())
        with SOCKS_ERRORS:
            return client.send(request, stream=True, auth=None, follow_redirects=False)
