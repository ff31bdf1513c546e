"""The routes of an HTTP client and of its derived clients: direct, by proxy, or by custom transports."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast
from weakref import ref

import httpx

from dcipher._concurrency.limiting import Limiter
from dcipher._concurrency.scopes import ForkLock, Scoped
from dcipher._wire.proxies.choice import Origin, Proxies
from dcipher._wire.proxies.environment import (
    environment_proxies,
    origin_of,
    proxy_secrets,
    usable_proxy,
)

from .certificates import ssl_context
from .cookies import NoCookies

if TYPE_CHECKING:
    import ssl

    from dcipher._concurrency.limiting import Permit
    from dcipher._wire.httpx2_clients import AsyncHttpx2Client, Httpx2Client

__all__ = ["Reference", "Routes", "sync_side"]

MAX_CONNECTIONS = 100
NO_LIMIT = 1_000_000
"""For `httpx.Limits(max_connections=None)`: more than the number of ports."""
KEEPALIVE_EXPIRY = 30.0
"""Seconds for which an idle connection is kept: more than the longest polling interval."""

# These decide the routes, and are not passed to httpx.Client.
_ROUTE_ARGS = ("transport", "mounts", "proxy", "proxies", "app")

# These configure the transports; all others belong to a single httpx client.
_TRANSPORT_ARGS = ("verify", "cert", "trust_env", "http1", "http2", "limits", *_ROUTE_ARGS)

Pools: TypeAlias = "dict[str | None, Any]"
"""URL pattern of httpx (`None`: every other URL) → a pool, or `None`: no proxy."""


class _Side(NamedTuple):
    """The classes of one side: sync or async, imported when it is first used."""

    single: Callable[[Any], Any]
    routed: Callable[..., Any]
    pool: Callable[..., Any]
    connection: Callable[..., Any]
    shared: Callable[..., Any]
    """Connections that carry concurrent requests."""
    is_async: bool = False


def sync_side() -> _Side:
    """Returns the classes for sync requests, which are imported at the first call."""
    from dcipher._wire.proxies.routing import RoutedTransport
    from dcipher._wire.transport.connections import Connection

    from .pools import ConnectionPool, SingleTransportPool

    return _Side(
        SingleTransportPool, RoutedTransport, ConnectionPool, Connection, httpx.HTTPTransport
    )


def _async_side() -> _Side:
    from dcipher._wire.proxies.routing_async import AsyncRoutedTransport
    from dcipher._wire.transport.connections_async import AsyncConnection

    from .pools_async import AsyncConnectionPool, AsyncSingleTransportPool

    return _Side(
        AsyncSingleTransportPool,
        AsyncRoutedTransport,
        AsyncConnectionPool,
        AsyncConnection,
        httpx.AsyncHTTPTransport,
        is_async=True,
    )


class Reference:
    """A client's reference to its connections, released when the client is closed or collected."""


class Routes:
    """The routes of a client and of its derived clients. Nothing is opened before its first use."""

    def __init__(
        self,
        verify: ssl.SSLContext | str | bool,
        httpx_args: Mapping[str, Any],
        *,
        reference: Reference | None = None,
        pools: Pools | None = None,
        async_pools: Pools | None = None,
        above: Routes | None = None,
        secrets: tuple[str, ...] = (),
        spare_limiter: Scoped[Limiter] | None = None,
    ) -> None:
        """`above`: those whose pools are used, but for the pools that are passed."""
        self._reference = None if reference is None else ref(reference)
        self._verify = httpx_args.get("verify", verify)
        self._args = dict(httpx_args)
        self._sync = pools
        self._async = async_pools
        self._above = above
        self._lock = ForkLock()
        """Held while pools are created: several threads may use the clients that share them."""
        self._given_proxies = self._read_given_proxies()
        self._proxies = self._read_proxies() if above is None else Proxies()
        # In a closure: no repr or traceback with the fields of an object shows them.
        mounts: Mapping[str, Any] = httpx_args.get("mounts") or {}
        given = [httpx_args.get("transport"), *mounts.values()]
        proxies = [named.value for named in self._proxies.by_scheme.values()]
        known = secrets or proxy_secrets([*self._given_proxies.values(), *proxies], given)
        self.secrets: Callable[[], tuple[str, ...]] = lambda: known
        """Returns the secrets of its proxies, to be redacted."""
        most = (self._max_connections - 1) // 2
        self._spare_limiter = spare_limiter or Scoped(lambda: Limiter(most))

    def check(self, base_url: str) -> None:
        """Raises `ConfigurationError` if requests to `base_url` have an unusable proxy."""
        if not self._args.get("mounts"):  # a mount may be for these requests
            _proxy_for(self._proxies, origin_of(httpx.URL(base_url)))

    @property
    def client_args(self) -> dict[str, Any]:
        """Returns the `httpx_args` for the httpx client itself."""
        return {name: value for name, value in self._args.items() if name not in _ROUTE_ARGS}

    @property
    def is_custom(self) -> bool:
        """Whether requests use a custom transport instead of our connections."""
        return any(pool is not None and pool.is_custom for pool in self.pools().values())

    @property
    def is_custom_async(self) -> bool:
        """The same for async requests."""
        return any(pool is not None and pool.is_custom for pool in self.async_pools().values())

    def spare_permits(self, count: int) -> list[Permit]:
        """Returns permits for `count` more sync connections of a download, or as many as are available.

        All downloads together get less than half of the connections, so that other requests find
        one. A custom transport has none to spare: its limit is unknown, and it may not be thread-safe.
        """
        permits: list[Permit] = []
        with suppress(TimeoutError):
            while len(permits) < count and not self.is_custom:
                permits.append(self._spare_limiter.get().acquire(0.0))
        return permits

    @property
    def was_used(self) -> bool:
        """Whether a sync request used our connections."""
        if self._sync is None and self._above is not None:
            return self._above.was_used
        return any(pool is not None and pool.was_used for pool in (self._sync or {}).values())

    def transports_only(self) -> Routes:
        """Returns the same routes for a client without the auth, hooks and headers of this one."""
        args = {name: value for name, value in self._args.items() if name in _TRANSPORT_ARGS}
        args["cookies"] = NoCookies()
        return self._with(args)

    def via(self, client: httpx.Client | Httpx2Client) -> Routes:
        """Returns routes that send everything by the sync client of the user."""
        from .httpx2_transport import Httpx2Transport
        from .pools import ClientTransport, SingleTransportPool

        transport = (
            ClientTransport(client) if isinstance(client, httpx.Client) else Httpx2Transport(client)
        )
        pools: Pools = {None: SingleTransportPool(transport)}
        return self._with(self._args, pools=pools, secrets=_secrets_in(client))

    def async_via(self, client: httpx.AsyncClient | AsyncHttpx2Client) -> Routes:
        """Returns routes that send everything by the async client of the user."""
        from .httpx2_transport_async import AsyncHttpx2Transport
        from .pools_async import AsyncClientTransport, AsyncSingleTransportPool

        transport = (
            AsyncClientTransport(client)
            if isinstance(client, httpx.AsyncClient)
            else AsyncHttpx2Transport(client)
        )
        pools: Pools = {None: AsyncSingleTransportPool(transport)}
        return self._with(self._args, async_pools=pools, secrets=_secrets_in(client))

    def _with(
        self,
        args: Mapping[str, Any],
        *,
        pools: Pools | None = None,
        async_pools: Pools | None = None,
        secrets: tuple[str, ...] = (),
    ) -> Routes:
        return Routes(
            self._verify,
            args,
            pools=pools,
            async_pools=async_pools,
            above=self,
            secrets=(*self.secrets(), *secrets),
            spare_limiter=self._spare_limiter,
        )

    def transport_args(
        self,
        layered: Callable[[Any, Reference | None], httpx.BaseTransport],
        reference: Reference | None,
    ) -> dict[str, Any]:
        """Returns `transport` and `mounts` for an httpx.Client, which releases the reference when closed."""
        return _transport_args(self.pools(), layered, reference)

    def async_transport_args(
        self,
        layered: Callable[[Any, Reference | None], httpx.AsyncBaseTransport],
        reference: Reference | None,
    ) -> dict[str, Any]:
        """Returns the same for an httpx.AsyncClient."""
        return _transport_args(self.async_pools(), layered, reference)

    def release(self, reference: Reference | None) -> None:
        """Releases a reference to the sync connections that no httpx client was made for."""
        for pool in self.pools().values():
            if pool is not None and not pool.is_custom:
                pool.transport(reference).close()

    def pools(self) -> Pools:
        """Returns the sync pools, which are created at the first call."""
        with self._lock():
            if self._sync is None:
                above = self._above
                self._sync = self._make(sync_side()) if above is None else above.pools()
            return self._sync

    def async_pools(self) -> Pools:
        """Returns the async pools, which are created at the first call."""
        with self._lock():
            if self._async is None:
                above = self._above
                self._async = self._make(_async_side()) if above is None else above.async_pools()
            return self._async

    def _make(self, side: _Side) -> Pools:
        args = self._args
        pools: Pools = {}
        if args.get("transport") is not None:
            pools[None] = side.single(args["transport"])
        else:
            pools[None] = self._connections(side, partial(_proxy_for, self._proxies))
            for pattern, proxy in self._given_proxies.items():
                pools[pattern] = proxy and self._connections(side, partial(_always, proxy))
        mounts: Mapping[str, Any] = args.get("mounts") or {}
        for pattern, transport in mounts.items():
            pools[pattern] = None if transport is None else side.single(transport)
        reference = None if self._reference is None else self._reference()
        for pool in pools.values():
            if pool is not None and reference is not None:
                pool.acquire(reference)
        return pools

    def _read_proxies(self) -> Proxies:
        given = any(self._args.get(name) is not None for name in ("transport", "proxy", "proxies"))
        used = not given and self._args.get("trust_env", True)
        return environment_proxies() if used else Proxies()

    def _read_given_proxies(self) -> Mapping[str, Any]:
        if self._args.get("proxy") is not None:
            return {"all://": self._args["proxy"]}
        proxies = self._args.get("proxies")  # httpx 0.27 accepts them, deprecated
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
        # A sync pool does not reference this object: in a reference cycle, it would be collected late.
        # An async one does, so that it is not collected in the last step of an event loop, when trio
        # no longer accepts tasks (tests/client/test_concurrency.py).
        routes = self if side.is_async else None
        context = partial(_context, self._verify, self._args)
        args = self._args
        if args.get("http2"):
            # One connection carries concurrent requests: httpx's own pool does that.

            def direct_or_by(proxy: Any) -> Any:
                http1 = bool(args.get("http1", True))
                return side.shared(
                    verify=context("https"), http1=http1, http2=True, limits=limits, proxy=proxy
                )

            return side.single(side.routed(proxy_of, direct_or_by))

        def make(origin: Origin) -> Any:
            _ = routes
            return side.connection(origin, context(origin.scheme), _proxy(proxy_of(origin)))

        expiry = math.inf if limits.keepalive_expiry is None else limits.keepalive_expiry
        return side.pool(
            make,
            max_connections=self._max_connections,
            keepalive_expiry=-1.0 if limits.max_keepalive_connections == 0 else expiry,
        )


def _context(
    verify: ssl.SSLContext | str | bool, args: Mapping[str, Any], scheme: str
) -> ssl.SSLContext | None:
    return None if scheme == "http" else ssl_context(scheme, verify, args)


def _proxy_for(proxies: Proxies, origin: Origin) -> str | None:
    named = usable_proxy(proxies, origin)
    return None if named is None else named.value


def _proxy(proxy: Any) -> httpx.Proxy | None:
    return httpx.Proxy(proxy) if isinstance(proxy, (str, httpx.URL)) else proxy


def _always(proxy: Any, _: Origin) -> Any:
    return proxy


def _secrets_in(client: object) -> tuple[str, ...]:
    """Returns the secrets of the proxies of the user's client, as far as they are accessible."""
    mounts: Mapping[Any, Any] = getattr(client, "_mounts", {})
    return proxy_secrets((), (getattr(client, "_transport", None), *mounts.values()))


def _transport_args(
    pools: Pools, layered: Callable[[Any, Any], Any], reference: Reference | None
) -> dict[str, Any]:
    mounts = {
        pattern: None if pool is None else layered(pool, reference)
        for pattern, pool in pools.items()
    }
    return {"transport": mounts.pop(None), "mounts": mounts}
