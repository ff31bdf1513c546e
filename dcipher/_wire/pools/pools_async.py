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

from dcipher._concurrency.closing import AsyncOwner, async_abandon, async_close_transport
from dcipher._concurrency.limiting import AsyncLimiter, AsyncPermit
from dcipher._concurrency.scopes import AsyncScoped
from dcipher._concurrency.timing import async_within
from dcipher._wire.errors.causes import has_too_many_files
from dcipher._wire.proxies.environment import origin_of
from dcipher._wire.proxies.socks import SOCKS_ERRORS
from dcipher._wire.transport.deadlines import DEADLINE, Deadline
from dcipher.errors import DcipherError

from .cookies import NoCookies
from .idle import IdleConnections
from .locations import forget_bad_location

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from dcipher._wire.proxies.choice import Origin
    from dcipher._wire.transport.connections_async import AsyncConnection

    class _Home(Protocol):
        """Knows the origin that credentials belong to."""

        async def prepare(self, request: httpx.Request, /) -> httpx.Request:
            """Returns the request to send for a request of a client."""
            ...


__all__ = [
    "AsyncClientTransport",
    "AsyncConnectionPool",
    "AsyncPool",
    "AsyncSingleTransportPool",
]


class _State:
    """The idle connections and the limit of one process and one event loop."""

    def __init__(self, max_connections: int) -> None:
        self.limiter = AsyncLimiter(max_connections)
        self.idle: IdleConnections[AsyncConnection] = IdleConnections()


class AsyncPool(ABC):
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

    def transport(self, reference: object, home: _Home | None = None) -> AsyncPooledTransport:
        """Returns a transport for an httpx client; closing it releases the reference, too.

        `home` prepares its requests.
        """
        handle = AsyncPooledTransport(self, reference, home)
        self._references.add(handle)
        return handle

    @property
    def was_used(self) -> bool:
        """Whether it may have opened connections."""
        return False

    async def release(self, handle: AsyncPooledTransport) -> None:
        """Releases the references of an httpx client; closes the pool after the last one."""
        self._released.add(True)
        self._references.discard(handle)
        if handle.reference is not None:
            self._references.discard(handle.reference)
        if not self._references:
            await self.close_all()

    @abstractmethod
    async def send(self, request: httpx.Request) -> httpx.Response:
        """Sends one request."""

    @abstractmethod
    async def close_all(self) -> None:
        """Closes all connections. The pool can be used again."""


class AsyncSingleTransportPool(AsyncPool):
    """A pool of a single custom transport. Deadlines are enforced from outside."""

    is_custom = True

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        super().__init__()
        self._transport = transport

    async def send(self, request: httpx.Request) -> httpx.Response:
        deadline: Deadline = request.extensions.get(DEADLINE) or Deadline(None)
        deadline.begin()
        deadline.was_sent = True  # for a custom transport, that is not known
        try:
            response = await async_within(
                deadline.left, self._transport.handle_async_request, request
            )
        except TimeoutError as error:
            raise httpx.ReadTimeout("the response took longer than the timeout") from error
        response.extensions[DEADLINE] = deadline
        if (
            not response.is_stream_consumed
        ):  # otherwise it is complete, as that of httpx.MockTransport
            stream = cast("httpx.AsyncByteStream", response.stream)
            response.stream = _BoundedStream(stream, deadline)
        return response

    async def close_all(self) -> None:
        await self._transport.aclose()


class _BoundedStream(httpx.AsyncByteStream):
    """A body of a custom transport, with the deadline of its request."""

    def __init__(self, stream: httpx.AsyncByteStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    async def __aiter__(self) -> AsyncIterator[bytes]:
        chunks = self._stream.__aiter__()
        while True:
            self._deadline.check()
            try:
                yield await async_within(self._deadline.left, chunks.__anext__)
            except StopAsyncIteration:
                return
            except TimeoutError:
                self._deadline.check()
                raise httpx.ReadTimeout("the body took longer than the timeout") from None

    async def aclose(self) -> None:
        await self._stream.aclose()


class AsyncConnectionPool(AsyncPool):
    """A pool of connections, opened on demand and kept for the next request."""

    def __init__(
        self,
        make: Callable[[Origin], AsyncConnection],
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
        self._owner: AsyncOwner = AsyncOwner()
        self._state = AsyncScoped(lambda: _State(max_connections))

        # Not __del__: the garbage collector may finalize the sockets before the pool.
        finalize(self, _let_go, self._state, self._released).atexit = False

    @property
    def was_used(self) -> bool:
        return self._state.peek() is not None

    async def release(self, handle: AsyncPooledTransport) -> None:
        self._owner.end_silently()
        await super().release(handle)

    async def close_all(self) -> None:
        state = self._state.forget()
        for connection in [] if state is None else state.idle.drop(for_good=True):
            await self._close(connection)

    async def send(self, request: httpx.Request) -> httpx.Response:
        state = self._state.get()
        origin = origin_of(request.url)
        connection: AsyncConnection | None = None
        timeout = request.extensions.get("timeout", {}).get("pool")
        try:
            permit = await state.limiter.acquire(timeout)
        except TimeoutError:
            text = f"all {self._max_connections} connections were in use for {timeout:g} s"
            raise httpx.PoolTimeout(text, request=request) from None
        try:
            connection = state.idle.pop(origin)
            while connection is not None and not connection.is_usable:
                await self._close(connection)
                connection = state.idle.pop(origin)
            if connection is None:
                connection = self._make(origin)
                connection.siblings = self._owner.add(connection)
            connection.begin(request)
            response = await connection.handle_async_request(request)
            connection.received(response)
            lease = _Lease(state, origin, connection, permit)
            inner: Any = response.stream
            response.stream = stream = _Stream(inner, self, lease)
            if response.is_stream_consumed:  # it is complete, as those of test tools for httpx
                await stream.aclose()
        except BaseException as error:
            permit.release()
            known = error if connection is None else connection.explained(error)
            if connection is not None:
                await self._close(connection)
            if has_too_many_files(error):  # closing idle connections frees some
                for idle in state.idle.drop():
                    await self._close(idle)
            if known is error:
                raise
            raise known from error
        return response

    def give_back(self, lease: _Lease) -> list[AsyncConnection]:
        """Returns a connection to the pool. Returns those to be closed, such as expired ones."""
        # The last client may have been closed before the call.
        if not self._references or not lease.connection.is_idle or self._keepalive_expiry < 0:
            return [lease.connection]
        return lease.state.idle.push(lease.origin, lease.connection, self._keepalive_expiry)

    async def close(self, connections: list[AsyncConnection]) -> None:
        """Closes connections that are in nobody's use."""
        for connection in connections:
            await self._close(connection)

    async def _close(self, connection: AsyncConnection) -> None:
        try:
            await async_close_transport(connection)
        finally:
            await self._owner.discard(connection, connection.siblings)


def _let_go(scoped: AsyncScoped[_State], released: set[bool]) -> None:
    state = scoped.peek()
    if state is not None:
        async_abandon(state.idle.drop(for_good=True), silently=bool(released))


class _Lease(NamedTuple):
    """A connection in use."""

    state: _State
    origin: Origin
    connection: AsyncConnection
    permit: AsyncPermit


class _Stream(httpx.AsyncByteStream):
    """A body; its connection returns to the pool when it was read to its end, and is closed otherwise."""

    def __init__(
        self, stream: httpx.AsyncByteStream, pool: AsyncConnectionPool, lease: _Lease
    ) -> None:
        self._stream = stream
        self._pool = pool
        self._lease: _Lease | None = lease

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._stream.__aiter__()

    async def aclose(self) -> None:
        lease, self._lease = self._lease, None
        if lease is None:
            return
        stale = [lease.connection]
        try:
            await self._stream.aclose()  # of what was not read to its end, httpcore closes it
            stale = self._pool.give_back(lease)
        finally:
            # After the connection: the next holder of the permit finds it idle.
            lease.permit.release()
            if stale:
                await self._pool.close(stale)


class AsyncPooledTransport(httpx.AsyncBaseTransport):
    """The transport of one httpx client: closing it does not affect the other clients."""

    def __init__(self, pool: AsyncPool, reference: object, home: _Home | None) -> None:
        self._pool: AsyncPool | None = pool
        self._home = home
        self.reference = reference

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._pool is None:
            raise RuntimeError("The client has been closed.")
        if self._home is not None:
            request = await self._home.prepare(request)
        response = await self._pool.send(request)
        if 300 <= response.status_code < 400:
            forget_bad_location(request, response)
        return response

    async def aclose(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.release(self)


class AsyncClientTransport(httpx.AsyncBaseTransport):
    """Sends by an httpx client of the user's, which the user still owns.

    It is not closed, its `auth` is not used, and its jar stores no cookie of a response.

    Redirects are not followed here: httpx forwards every header but Authorization and Cookie to the
    other host (observed).
    """

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._client.is_closed:
            raise DcipherError("The httpx client that was passed as http_client is closed.")
        # httpx stores the cookies of each response. The copy shares everything else with the original
        # as it is now: transports, hooks, what a class of theirs has.
        client = copy(self._client)
        client.cookies = httpx.Cookies(NoCookies())
        with SOCKS_ERRORS:
            return await client.send(request, stream=True, auth=None, follow_redirects=False)
