"""The ways to the network of an HTTP client and of all that are derived from it.

Direct, by proxy, or through what it was given.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, cast
from weakref import ref

import httpx

from dcipher._concurrency.closing import async_close_all
from dcipher._concurrency.limiting import Limiter
from dcipher._concurrency.scopes import AsyncScoped, ForkLock, Scoped
from dcipher._wire.proxies.choice import Origin, Proxies
from dcipher._wire.proxies.environment import (
    environment_proxies,
    origin_of,
    proxy_secrets,
    usable_proxy,
)
from dcipher._wire.proxies.routing import RoutedTransport
from dcipher._wire.proxies.routing_async import AsyncRoutedTransport

from .certificates import ssl_context
from .connections import BorrowedTransport, Connections, GivenTransport
from .connections_async import AsyncBorrowedTransport, AsyncConnections, AsyncGivenTransport
from .cookies import NoCookies
from .deadlines import AsyncBoundedTransport, BoundedTransport

if TYPE_CHECKING:
    import ssl

    from dcipher._concurrency.limiting import Permit

__all__ = ["Network", "Share"]

MAX_CONNECTIONS = 100
NO_LIMIT = 1_000_000
"""For `httpx.Limits(max_connections=None)`: more than there are ports."""
KEEPALIVE_EXPIRY = 30.0
"""Seconds that an idle connection is kept.

Longer than the longest step between two looks at a run.
"""

# These decide the ways, and are not for httpx.Client then.
_OURS = ("transport", "mounts", "proxy", "proxies", "app")

# These make the ways; everything else belongs to one httpx client alone.
_OF_THE_WAY = ("verify", "cert", "trust_env", "http1", "http2", "limits", *_OURS)

Ways: TypeAlias = "dict[str | None, Any]"
"""URL pattern of httpx (`None`: every other URL) → what is shared, or `None`: no proxy."""


@dataclass(frozen=True)
class _Side:
    """The classes of one side: sync or async."""

    given: Callable[[Any], Any]
    routed: Callable[..., Any]
    connections: Callable[..., Any]
    transport: Callable[..., Any]
    owner: Callable[[], tuple[Callable[[Any], Any], Callable[[], None]]]
    """What makes each connection's transport one of those that end with their event loop; and what
    is called when the first of their clients is closed."""


class _AsyncOwned(httpx.AsyncBaseTransport):
    """A transport of one connection, which is closed with its event loop at the latest."""

    def __init__(
        self,
        transport: AsyncBoundedTransport,
        scope: AsyncScoped[set[httpx.AsyncBaseTransport]],
    ) -> None:
        self._transport = transport
        self._scope = scope
        self._opened = scope.get()
        self._opened.add(transport)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._transport.handle_async_request(request)

    @property
    def has_leftovers(self) -> bool:
        """Whether something came behind the answer, and was read with it."""
        return self._transport.has_leftovers

    async def aclose(self) -> None:
        try:
            await self._transport.aclose()
        finally:
            self._opened.discard(self._transport)
            if not self._opened:
                await self._scope.end()


def _async_owner() -> tuple[
    Callable[[AsyncBoundedTransport], httpx.AsyncBaseTransport], Callable[[], None]
]:
    scope: AsyncScoped[set[httpx.AsyncBaseTransport]] = AsyncScoped(set, async_close_all)
    return lambda transport: _AsyncOwned(transport, scope), scope.end_silently


def _owner() -> tuple[Callable[[httpx.BaseTransport], httpx.BaseTransport], Callable[[], None]]:
    return lambda transport: transport, lambda: None


_SYNC = _Side(GivenTransport, RoutedTransport, Connections, BoundedTransport, _owner)
_ASYNC = _Side(
    AsyncGivenTransport, AsyncRoutedTransport, AsyncConnections, AsyncBoundedTransport, _async_owner
)


class Share:
    """A client's share of the connections that were made for it, given up when it is closed, or is no more."""


class Network:
    """Shared by a client and all that are derived from it. Nothing is opened before it is used."""

    def __init__(
        self,
        verify: ssl.SSLContext | str | bool,
        httpx_args: Mapping[str, Any],
        *,
        share: Share | None = None,
        ways: Ways | None = None,
        async_ways: Ways | None = None,
        secrets: tuple[str, ...] = (),
        helping: Scoped[Limiter] | None = None,
    ) -> None:
        self._share = None if share is None else ref(share)
        self._verify = httpx_args.get("verify", verify)
        self._args = dict(httpx_args)
        self._sync = ways
        self._async = async_ways
        self._lock = ForkLock()
        """Held while ways are made: the clients that share them may be used by several threads."""
        self._given_proxies = self._read_given_proxies()
        self._proxies = self._read_proxies() if ways is None else Proxies()
        # In a closure: nothing that shows an object's fields shows them.
        mounts: Mapping[str, Any] = httpx_args.get("mounts") or {}
        given = [httpx_args.get("transport"), *mounts.values()]
        proxies = [named.value for named in self._proxies.by_scheme.values()]
        known = secrets or proxy_secrets([*self._given_proxies.values(), *proxies], given)
        self.secrets: Callable[[], tuple[str, ...]] = lambda: known
        """What must not be shown of its proxies."""
        most = (self._max_connections - 1) // 2
        self._helping = helping or Scoped(lambda: Limiter(most))

    def check(self, base_url: str) -> None:
        """Raises `ConfigurationError` where requests to `base_url` have a proxy that cannot be used."""
        if not self._args.get("mounts"):  # which may be for just these requests
            self._proxy_of(origin_of(httpx.URL(base_url)))

    @property
    def client_args(self) -> dict[str, Any]:
        """What of `httpx_args` is for the httpx client itself."""
        return {name: value for name, value in self._args.items() if name not in _OURS}

    @property
    def is_given(self) -> bool:
        """Whether requests go through what the user gave, and not through our connections."""
        return any(isinstance(way, GivenTransport) for way in self._ways().values())

    @property
    def is_given_async(self) -> bool:
        """The same for async requests."""
        return any(isinstance(way, AsyncGivenTransport) for way in self._async_ways().values())

    def spare_permits(self, count: int) -> list[Permit]:
        """Returns permits for `count` more sync connections of a download, or as many as are available.

        All downloads together get less than half of the connections, so that other requests find
        one. A transport of the user's has none to spare: its limit is unknown, and it may not be
        thread-safe.
        """
        permits: list[Permit] = []
        with suppress(TimeoutError):
            while len(permits) < count and not self.is_given:
                permits.append(self._helping.get().acquire(0.0))
        return permits

    @property
    def was_used(self) -> bool:
        """Whether a sync request went through connections of ours."""
        return any(way is not None and way.was_used for way in (self._sync or {}).values())

    def alone(self) -> Network:
        """The same ways for a client that takes nothing else over: no auth, hooks, headers."""
        args = {name: value for name, value in self._args.items() if name in _OF_THE_WAY}
        args["cookies"] = NoCookies()
        return self._with(args, self._ways(), self._async_ways())

    def through(self, client: httpx.Client) -> Network:
        """Everything through a sync httpx client of the user's."""
        ways: Ways = {None: GivenTransport(BorrowedTransport(client))}
        return self._with(self._args, ways, self._async_ways(), _secrets_in(client))

    def async_through(self, client: httpx.AsyncClient) -> Network:
        """Everything through an async httpx client of the user's."""
        ways: Ways = {None: AsyncGivenTransport(AsyncBorrowedTransport(client))}
        return self._with(self._args, self._ways(), ways, _secrets_in(client))

    def _with(
        self,
        args: Mapping[str, Any],
        ways: Ways,
        async_ways: Ways,
        secrets: tuple[str, ...] = (),
    ) -> Network:
        return Network(
            self._verify,
            args,
            ways=ways,
            async_ways=async_ways,
            secrets=(*self.secrets(), *secrets),
            helping=self._helping,
        )

    def roads(
        self,
        layered: Callable[[httpx.BaseTransport], httpx.BaseTransport],
        share: Share | None,
    ) -> dict[str, Any]:
        """`transport` and `mounts` for one more httpx.Client, which gives up the share when it is closed."""
        return _roads(self._ways(), layered, share)

    def async_roads(
        self,
        layered: Callable[[httpx.AsyncBaseTransport], httpx.AsyncBaseTransport],
        share: Share | None,
    ) -> dict[str, Any]:
        """The same for one more httpx.AsyncClient."""
        return _roads(self._async_ways(), layered, share)

    def give_up(self, share: Share | None) -> None:
        """A share of the sync connections that no httpx client was made for."""
        for way in self._ways().values():
            if isinstance(way, Connections):
                way.transport(share).close()

    def _ways(self) -> Ways:
        with self._lock():
            if self._sync is None:
                self._sync = self._make(_SYNC)
            return self._sync

    def _async_ways(self) -> Ways:
        with self._lock():
            if self._async is None:
                self._async = self._make(_ASYNC)
            return self._async

    def _make(self, side: _Side) -> Ways:
        args = self._args
        ways: Ways = {}
        if args.get("transport") is not None:
            ways[None] = side.given(args["transport"])
        else:
            ways[None] = self._connections(side, self._proxy_of)
            for pattern, proxy in self._given_proxies.items():
                ways[pattern] = proxy and self._connections(side, partial(_always, proxy))
        mounts: Mapping[str, Any] = args.get("mounts") or {}
        for pattern, transport in mounts.items():
            ways[pattern] = None if transport is None else side.given(transport)
        share = None if self._share is None else self._share()
        for way in ways.values():
            if way is not None and share is not None:
                way.hold(share)
        return ways

    def _proxy_of(self, origin: Origin) -> str | None:
        named = usable_proxy(self._proxies, origin)
        return None if named is None else named.value

    def _read_proxies(self) -> Proxies:
        given = any(self._args.get(name) is not None for name in ("transport", "proxy", "proxies"))
        used = not given and self._args.get("trust_env", True)
        return environment_proxies() if used else Proxies()

    def _read_given_proxies(self) -> Mapping[str, Any]:
        if self._args.get("proxy") is not None:
            return {"all://": self._args["proxy"]}
        proxies = self._args.get("proxies")  # httpx 0.27 took them, deprecated
        if isinstance(proxies, Mapping):
            return cast("Mapping[str, Any]", proxies)
        return {} if proxies is None else {"all://": proxies}

    @property
    def _limits(self) -> httpx.Limits:
        limits: httpx.Limits | None = self._args.get("limits")
        return limits or httpx.Limits(
            max_connections=MAX_CONNECTIONS, keepalive_expiry=KEEPALIVE_EXPIRY
        )

    @property
    def _max_connections(self) -> int:
        return self._limits.max_connections or NO_LIMIT

    def _connections(self, side: _Side, proxy_of: Callable[[Origin], Any]) -> Any:
        limits = self._limits
        if self._args.get("http2"):
            # One connection carries many requests: httpx's own pool does that.
            return side.given(
                side.routed(proxy_of, lambda proxy: self._transport(side, "https", proxy, limits))
            )
        kept = 0 if limits.max_keepalive_connections == 0 else 1
        expiry = math.inf if limits.keepalive_expiry is None else limits.keepalive_expiry
        one = httpx.Limits(
            max_connections=1,
            max_keepalive_connections=kept,
            keepalive_expiry=limits.keepalive_expiry,
        )

        own, on_leave = side.owner()

        def make(origin: Origin) -> Any:
            return own(self._transport(side, origin.scheme, proxy_of(origin), one))

        return side.connections(
            make,
            max_connections=self._max_connections,
            keepalive_expiry=expiry,
            on_leave=on_leave,
        )

    def _transport(self, side: _Side, scheme: str, proxy: Any, limits: httpx.Limits) -> Any:
        return side.transport(
            verify=ssl_context(scheme, self._verify, self._args),
            http1=self._args.get("http1", True),
            http2=self._args.get("http2", False),
            limits=limits,
            proxy=proxy,
        )


def _always(proxy: Any, _: Origin) -> Any:
    return proxy


def _secrets_in(client: httpx.Client | httpx.AsyncClient) -> tuple[str, ...]:
    """What must not be shown of the proxies of a client of the user's, as far as it can be known."""
    mounts: Mapping[Any, Any] = getattr(client, "_mounts", {})
    return proxy_secrets((), (getattr(client, "_transport", None), *mounts.values()))


def _roads(ways: Ways, layered: Callable[[Any], Any], share: Share | None) -> dict[str, Any]:
    roads = {
        pattern: None if shared is None else layered(shared.transport(share))
        for pattern, shared in ways.items()
    }
    return {"transport": roads.pop(None), "mounts": roads}
