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
from dcipher._concurrency.closing import async_abandon, async_close_transport
from dcipher._concurrency.limiting import AsyncLimiter, AsyncPermit
from dcipher._concurrency.scopes import AsyncScoped
from dcipher._wire.errors.causes import has_too_many_files
from dcipher._wire.proxies.environment import origin_of
from dcipher.errors import DcipherError

from .cookies import NoCookies

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from dcipher._wire.proxies.choice import Origin

__all__ = ["AsyncBorrowedTransport", "AsyncConnections", "AsyncGivenTransport", "AsyncShared"]

MAX_ORIGINS = 10
"""Origins of which connections are kept: results may come from a store with a name of its own each."""

SCARCE = 30.0
"""Seconds in which no connection is kept, after there were too many open files for another one."""


class _Idle(NamedTuple):
    transport: httpx.AsyncBaseTransport
    since: float


class _State:
    """What one process and one event loop have open."""

    def __init__(self, max_connections: int) -> None:
        self.limiter = AsyncLimiter(max_connections)
        self._lock = threading.Lock()
        self._idle: dict[Origin, deque[_Idle]] = {}
        """The origin that was used last is the last."""
        self._none_until = -math.inf
        self._is_closed = False

    def take(self, origin: Origin) -> httpx.AsyncBaseTransport | None:
        """The warmest connection that is free."""
        with self._lock:
            connections = self._idle.get(origin)
            return connections.pop().transport if connections else None

    def put(
        self, origin: Origin, transport: httpx.AsyncBaseTransport, expiry: float
    ) -> list[httpx.AsyncBaseTransport]:
        """One more that is free. Gives those that are not to be kept any longer."""
        with self._lock:
            now = monotonic()
            if self._is_closed or now < self._none_until:  # while the call was under way
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

    def keep_none(self) -> list[httpx.AsyncBaseTransport]:
        """Keep none for a while. Gives those that were free."""
        with self._lock:
            self._none_until = monotonic() + SCARCE
            idle, self._idle = self._idle, {}
        return [one.transport for connections in idle.values() for one in connections]

    def close(self) -> list[httpx.AsyncBaseTransport]:
        """Keep none, now and later. Gives those that were free."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, {}
        return [one.transport for connections in idle.values() for one in connections]


class AsyncShared(ABC):
    """A way to the network that several httpx clients share.

    Closed with the last of them, and with the client that it was made for: what was derived from
    that one in between finds the connections open.
    """

    def __init__(self) -> None:
        # Weak: a client that was dropped without being closed keeps nothing open.
        self._users: WeakSet[object] = WeakSet()
        self._was_left = False

    def hold(self, share: object) -> None:
        """Stay open as long as there is this share."""
        self._users.add(share)

    def transport(self, share: object) -> AsyncSharedTransport:
        """A transport for one more httpx client, with whose end the share is given up."""
        user = AsyncSharedTransport(self, share)
        self._users.add(user)
        return user

    @property
    def was_used(self) -> bool:
        """Whether there may be connections of ours."""
        return False

    async def leave(self, user: AsyncSharedTransport) -> None:
        """One httpx client less."""
        self._was_left = True
        self._users.discard(user)
        if user.share is not None:
            self._users.discard(user.share)
        if not self._users:
            await self.close_all()

    @abstractmethod
    async def send(self, request: httpx.Request) -> httpx.Response:
        """Send one request."""

    @abstractmethod
    async def close_all(self) -> None:
        """Close what is open. It may be used again after."""


class AsyncGivenTransport(AsyncShared):
    """A single transport, such as one of the user's, shared."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        super().__init__()
        self._transport = transport

    async def send(self, request: httpx.Request) -> httpx.Response:
        return await self._transport.handle_async_request(request)

    async def close_all(self) -> None:
        await self._transport.aclose()


class AsyncConnections(AsyncShared):
    """Connections that are opened as they are needed, and kept open for the next call."""

    def __init__(
        self,
        make: Callable[[Origin], httpx.AsyncBaseTransport],
        *,
        max_connections: int,
        keepalive_expiry: float,
        on_leave: Callable[[], None],
    ) -> None:
        super().__init__()
        self._make = make
        """A transport that holds one connection to this origin, by its proxy if it has one."""
        self._keepalive_expiry = keepalive_expiry
        self._max_connections = max_connections
        self._on_leave = on_leave
        self._state = AsyncScoped(lambda: _State(max_connections))

    def __del__(self) -> None:
        state = self._state.peek() if hasattr(self, "_state") else None
        if state is not None:
            async_abandon(state.close(), silently=self._was_left)

    @property
    def was_used(self) -> bool:
        return self._state.peek() is not None

    async def leave(self, user: AsyncSharedTransport) -> None:
        self._on_leave()
        await super().leave(user)

    async def close_all(self) -> None:
        state = self._state.forget()
        for transport in [] if state is None else state.close():
            await async_close_transport(transport)

    async def send(self, request: httpx.Request) -> httpx.Response:
        state = self._state.get()
        origin = origin_of(request.url)
        transport: httpx.AsyncBaseTransport | None = None
        permit = await self._permit(state, request)
        try:
            transport = state.take(origin) or self._make(origin)
            response = await transport.handle_async_request(request)
            response.stream = _Stream(
                cast("httpx.AsyncByteStream", response.stream),
                self,
                _Taken(state, origin, transport, permit),
            )
        except BaseException as error:
            permit.release()
            if transport is not None:
                await async_close_transport(transport)
            if has_too_many_files(error):  # what is idle makes room for it, and for the program
                for idle in state.keep_none():
                    await async_close_transport(idle)
            raise
        return response

    async def _permit(self, state: _State, request: httpx.Request) -> AsyncPermit:
        timeout = request.extensions.get("timeout", {}).get("pool")
        try:
            return await state.limiter.acquire(timeout)
        except TimeoutError:
            raise httpx.PoolTimeout(
                f"all {self._max_connections} connections were in use for {timeout:g} s",
                request=request,
            ) from None

    def keep(self, taken: _Taken) -> list[httpx.AsyncBaseTransport]:
        """A connection is free again. Gives those that are to be closed, such as were idle for long."""
        # The call began when the last client had been closed, or the server says what nobody asked for.
        if not self._users or getattr(taken.transport, "has_leftovers", False):
            return [taken.transport]
        return taken.state.put(taken.origin, taken.transport, self._keepalive_expiry)


class _Taken(NamedTuple):
    """A connection in use, and where it belongs."""

    state: _State
    origin: Origin
    transport: httpx.AsyncBaseTransport
    permit: AsyncPermit


class _Stream(httpx.AsyncByteStream):
    """A body; its connection is given back when it was read to its end, and closed otherwise."""

    def __init__(
        self, stream: httpx.AsyncByteStream, connections: AsyncConnections, taken: _Taken
    ) -> None:
        self._stream = stream
        self._connections = connections
        self._taken: _Taken | None = taken
        self._whole = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            yield chunk
        self._whole = True

    async def aclose(self) -> None:
        taken, self._taken = self._taken, None
        if taken is None:
            return
        stale = [taken.transport]
        try:
            if self._whole:
                await self._stream.aclose()
                stale = self._connections.keep(taken)
        finally:
            # After it was put back: whoever waits for a permit finds it there.
            taken.permit.release()
            for transport in stale:
                await async_close_transport(transport)


class AsyncSharedTransport(httpx.AsyncBaseTransport):
    """One httpx client's share: closing it leaves the others alone."""

    def __init__(self, shared: AsyncShared, share: object) -> None:
        self._shared: AsyncShared | None = shared
        self.share = share

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._shared is None:
            raise RuntimeError("The client has been closed.")
        response = await self._shared.send(request)
        if 300 <= response.status_code < 400:
            _forget_bad_location(request, response)
        return response

    async def aclose(self) -> None:
        shared, self._shared = self._shared, None
        if shared is not None:
            await shared.leave(self)


def _forget_bad_location(request: httpx.Request, response: httpx.Response) -> None:
    """What httpx cannot parse in a Location would hide the status, even where it is not followed."""
    try:
        url = httpx.URL(response.headers.get("location", ""))
        usable = bool(url.host) or not url.scheme
        if url.is_relative_url:  # it may be too long only with what stands before it
            request.url.join(url)
    except (httpx.InvalidURL, ValueError):
        usable = False
    if not usable:
        del response.headers["location"]


class AsyncBorrowedTransport(httpx.AsyncBaseTransport):
    """Sends by an httpx client of the user's, which stays theirs.

    It is not closed, its `auth` is not used, and its jar stores no cookie of an answer.

    Redirects are not followed here: httpx forwards every header but Authorization and Cookie to the
    other host (observed).
    """

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._client.is_closed:
            raise DcipherError("The httpx client that was passed as http_client is closed.")
        # httpx stores the cookies of each answer. The copy shares everything else with their client
        # as it is now: transports, hooks, what a class of theirs has.
        client = copy(self._client)
        client.cookies = httpx.Cookies(NoCookies())
        return await client.send(request, stream=True, auth=None, follow_redirects=False)
