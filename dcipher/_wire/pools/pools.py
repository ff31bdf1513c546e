# Generated from dcipher/_wire/pools/pools_async.py by scripts/unasync.py: edit that, not this.
"""The connections of a client and of its derived clients.

The last used connection is used first, behind our own limiter. httpcore's pool iterates over all of its
connections and waiting requests twice for each call, and closes every idle connection above 20 open
ones. After an error or a cancellation, a connection is closed, and never reused.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from copy import copy
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast
from weakref import WeakSet, finalize

import httpx

from dcipher._concurrency.closing import Owner, abandon, close_transport
from dcipher._concurrency.limiting import Limiter, Permit
from dcipher._concurrency.scopes import Scoped
from dcipher._concurrency.timing import within
from dcipher._wire.errors.causes import has_too_many_files
from dcipher._wire.proxies.environment import origin_of
from dcipher._wire.proxies.socks import SOCKS_ERRORS
from dcipher._wire.transport.deadlines import DEADLINE, Deadline
from dcipher.errors import DcipherError

from .cookies import NoCookies
from .idle import IdleConnections
from .locations import forget_bad_location

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dcipher._wire.proxies.choice import Origin
    from dcipher._wire.transport.connections import Connection

    class _Home(Protocol):
        """Knows the origin that credentials belong to."""

        def prepare(self, request: httpx.Request, /) -> httpx.Request:
            """Returns the request to send for a request of a client."""
            ...


__all__ = [
    "ClientTransport",
    "ConnectionPool",
    "Pool",
    "SingleTransportPool",
]


class _State:
    """The idle connections and the limit of one process and one event loop."""

    def __init__(self, max_connections: int) -> None:
        self.limiter = Limiter(max_connections)
        self.idle: IdleConnections[Connection] = IdleConnections()


class Pool(ABC):
    """A transport that several httpx clients reference, with a count of references.

    It is closed when the last reference is released. The client that it was made for has one of
    its own, so that clients derived from it later find the connections open.
    """

    is_custom = False
    """Whether it is a custom transport."""

    def __init__(self) -> None:
        # Weak: a client that was dropped without being closed keeps nothing open.
        self._references: WeakSet[object] = WeakSet()
        self._released: set[bool] = set()

    def acquire(self, reference: object) -> None:
        """Adds a reference: the pool stays open until it is released or collected."""
        self._references.add(reference)

    def transport(self, reference: object, home: _Home | None = None) -> PooledTransport:
        """Returns a transport for an httpx client; closing it releases the reference, too.

        `home` prepares its requests.
        """
        handle = PooledTransport(self, reference, home)
        self._references.add(handle)
        return handle

    @property
    def was_used(self) -> bool:
        """Whether it may have opened connections."""
        return False

    def release(self, handle: PooledTransport) -> None:
        """Releases the references of an httpx client; closes the pool after the last one."""
        self._released.add(True)
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
    """A pool of a single custom transport. Deadlines are enforced from outside."""

    is_custom = True

    def __init__(self, transport: httpx.BaseTransport) -> None:
        super().__init__()
        self._transport = transport

    def send(self, request: httpx.Request) -> httpx.Response:
        deadline: Deadline = request.extensions.get(DEADLINE) or Deadline(None)
        deadline.begin()
        deadline.was_sent = True  # for a custom transport, that is not known
        try:
            response = within(deadline.left, self._transport.handle_request, request)
        except TimeoutError as error:
            raise httpx.ReadTimeout("the response took longer than the timeout") from error
        response.extensions[DEADLINE] = deadline
        if (
            not response.is_stream_consumed
        ):  # otherwise it is complete, as that of httpx.MockTransport
            stream = cast("httpx.SyncByteStream", response.stream)
            response.stream = _BoundedStream(stream, deadline)
        return response

    def close_all(self) -> None:
        self._transport.close()


class _BoundedStream(httpx.SyncByteStream):
    """A body of a custom transport, with the deadline of its request."""

    def __init__(self, stream: httpx.SyncByteStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def __iter__(self) -> Iterator[bytes]:
        chunks = self._stream.__iter__()
        while True:
            self._deadline.check()
            try:
                yield within(self._deadline.left, chunks.__next__)
            except StopIteration:
                return
            except TimeoutError:
                self._deadline.check()
                raise httpx.ReadTimeout("the body took longer than the timeout") from None

    def close(self) -> None:
        self._stream.close()


class ConnectionPool(Pool):
    """A pool of connections, opened on demand and kept for the next request."""

    def __init__(
        self,
        make: Callable[[Origin], Connection],
        *,
        max_connections: int,
        keepalive_expiry: float,
    ) -> None:
        super().__init__()
        self._make = make
        """Opens a connection to an origin, by its proxy if it has one."""
        self._keepalive_expiry = keepalive_expiry
        """Seconds that an idle one is kept; below 0: none is."""
        self._max_connections = max_connections
        self._owner: Owner = Owner()
        self._state = Scoped(lambda: _State(max_connections))

        # Not __del__: the garbage collector may finalize the sockets before the pool.
        finalize(self, _let_go, self._state, self._released).atexit = False

    @property
    def was_used(self) -> bool:
        return self._state.peek() is not None

    def release(self, handle: PooledTransport) -> None:
        self._owner.end_silently()
        super().release(handle)

    def close_all(self) -> None:
        state = self._state.forget()
        for connection in [] if state is None else state.idle.drop(for_good=True):
            self._close(connection)

    def send(self, request: httpx.Request) -> httpx.Response:
        state = self._state.get()
        origin = origin_of(request.url)
        connection: Connection | None = None
        timeout = request.extensions.get("timeout", {}).get("pool")
        try:
            permit = state.limiter.acquire(timeout)
        except TimeoutError:
            text = f"all {self._max_connections} connections were in use for {timeout:g} s"
            raise httpx.PoolTimeout(text, request=request) from None
        try:
            connection = state.idle.pop(origin)
            while connection is not None and not connection.is_usable:
                self._close(connection)
                connection = state.idle.pop(origin)
            if connection is None:
                connection = self._make(origin)
                connection.siblings = self._owner.add(connection)
            connection.begin(request)
            response = connection.handle_request(request)
            connection.received(response)
            lease = _Lease(state, origin, connection, permit)
            inner: Any = response.stream
            response.stream = stream = _Stream(inner, self, lease)
            if response.is_stream_consumed:  # it is complete, as those of test tools for httpx
                stream.close()
        except BaseException as error:
            permit.release()
            known = error if connection is None else connection.explained(error)
            if connection is not None:
                self._close(connection)
            if has_too_many_files(error):  # closing idle connections frees some
                for idle in state.idle.drop():
                    self._close(idle)
            if known is error:
                raise
            raise known from error
        return response

    def give_back(self, lease: _Lease) -> list[Connection]:
        """Returns a connection to the pool. Returns those to be closed, such as expired ones."""
        # The last client may have been closed before the call.
        if not self._references or not lease.connection.is_idle or self._keepalive_expiry < 0:
            return [lease.connection]
        return lease.state.idle.push(lease.origin, lease.connection, self._keepalive_expiry)

    def close(self, connections: list[Connection]) -> None:
        """Closes connections that are in nobody's use."""
        for connection in connections:
            self._close(connection)

    def _close(self, connection: Connection) -> None:
        try:
            close_transport(connection)
        finally:
            self._owner.discard(connection, connection.siblings)


def _let_go(scoped: Scoped[_State], released: set[bool]) -> None:
    state = scoped.peek()
    if state is not None:
        abandon(state.idle.drop(for_good=True), silently=bool(released))


class _Lease(NamedTuple):
    """A connection in use."""

    state: _State
    origin: Origin
    connection: Connection
    permit: Permit


class _Stream(httpx.SyncByteStream):
    """A body; its connection returns to the pool when it was read to its end, and is closed otherwise."""

    def __init__(self, stream: httpx.SyncByteStream, pool: ConnectionPool, lease: _Lease) -> None:
        self._stream = stream
        self._pool = pool
        self._lease: _Lease | None = lease

    def __iter__(self) -> Iterator[bytes]:
        return self._stream.__iter__()

    def close(self) -> None:
        lease, self._lease = self._lease, None
        if lease is None:
            return
        stale = [lease.connection]
        try:
            self._stream.close()  # of what was not read to its end, httpcore closes it
            stale = self._pool.give_back(lease)
        finally:
            # After the connection: the next holder of the permit finds it idle.
            lease.permit.release()
            if stale:
                self._pool.close(stale)


class PooledTransport(httpx.BaseTransport):
    """The transport of one httpx client: closing it does not affect the other clients."""

    def __init__(self, pool: Pool, reference: object, home: _Home | None) -> None:
        self._pool: Pool | None = pool
        self._home = home
        self.reference = reference

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self._pool is None:
            raise RuntimeError("The client has been closed.")
        if self._home is not None:
            request = self._home.prepare(request)
        response = self._pool.send(request)
        if 300 <= response.status_code < 400:
            forget_bad_location(request, response)
        return response

    def close(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.release(self)


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
