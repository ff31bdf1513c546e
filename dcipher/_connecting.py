"""The ways to the network of an HTTP client and of all that are derived from it: direct, by proxy, or through what it was given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import httpx

from ._async.connections import AsyncBorrowedTransport, AsyncConnections, AsyncGivenTransport
from ._network import environment_proxies, ssl_context
from ._sync.connections import BorrowedTransport, Connections, GivenTransport

if TYPE_CHECKING:
    import ssl

    from typing_extensions import Self

__all__ = ["Network"]

MAX_CONNECTIONS = 100
KEEPALIVE_EXPIRY = 30.0
"""Seconds that an idle connection is kept: longer than the longest step between two looks at a run."""

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
    connections: Callable[..., Any]
    transport: Callable[..., Any]


_SYNC = _Side(GivenTransport, Connections, httpx.HTTPTransport)
_ASYNC = _Side(AsyncGivenTransport, AsyncConnections, httpx.AsyncHTTPTransport)


class Network:
    """Shared by a client and all that are derived from it. Nothing is opened before it is used."""

    def __init__(self, verify: ssl.SSLContext | str | bool, httpx_args: Mapping[str, Any]) -> None:
        self._verify = httpx_args.get("verify", verify)
        self._args = dict(httpx_args)
        self._sync: Ways | None = None
        self._async: Ways | None = None

    @property
    def client_args(self) -> dict[str, Any]:
        """What of `httpx_args` is for the httpx client itself."""
        return {name: value for name, value in self._args.items() if name not in _OURS}

    def alone(self) -> Self:
        """The same ways, for a client that takes nothing else over: no auth, hooks, headers or parameters."""
        copy = self._copy()
        copy._args = {name: value for name, value in self._args.items() if name in _OF_THE_WAY}
        return copy

    def through(self, client: httpx.Client) -> Self:
        """Everything through a sync httpx client of the user's."""
        copy = self._copy()
        copy._sync = {None: GivenTransport(BorrowedTransport(client))}
        return copy

    def async_through(self, client: httpx.AsyncClient) -> Self:
        """Everything through an async httpx client of the user's."""
        copy = self._copy()
        copy._async = {None: AsyncGivenTransport(AsyncBorrowedTransport(client))}
        return copy

    def _copy(self) -> Self:
        copy = type(self)(self._verify, self._args)
        copy._sync, copy._async = self._ways(), self._async_ways()
        return copy

    def roads(self, layered: Callable[[httpx.BaseTransport], httpx.BaseTransport]) -> dict[str, Any]:
        """`transport` and `mounts` for one more httpx.Client."""
        return _roads(self._ways(), layered)

    def async_roads(
        self, layered: Callable[[httpx.AsyncBaseTransport], httpx.AsyncBaseTransport]
    ) -> dict[str, Any]:
        """`transport` and `mounts` for one more httpx.AsyncClient."""
        return _roads(self._async_ways(), layered)

    def _ways(self) -> Ways:
        if self._sync is None:
            self._sync = self._make(_SYNC)
        return self._sync

    def _async_ways(self) -> Ways:
        if self._async is None:
            self._async = self._make(_ASYNC)
        return self._async

    def _make(self, side: _Side) -> Ways:
        args = self._args
        ways: Ways = {}
        if args.get("transport") is not None:
            ways[None] = side.given(args["transport"])
        else:
            ways[None] = self._connections(side, None)
            for pattern, proxy in self._proxies().items():
                ways[pattern] = None if proxy is None else self._connections(side, proxy)
        for pattern, transport in (args.get("mounts") or {}).items():
            ways[pattern] = None if transport is None else side.given(transport)
        return ways

    def _proxies(self) -> Mapping[str, Any]:
        if self._args.get("proxy") is not None:
            return {"all://": self._args["proxy"]}
        if self._args.get("proxies") is not None:  # httpx 0.27 took it, deprecated
            given = self._args["proxies"]
            return given if isinstance(given, Mapping) else {"all://": given}
        return environment_proxies() if self._args.get("trust_env", True) else {}

    def _connections(self, side: _Side, proxy: Any) -> Any:
        limits = self._args.get("limits") or httpx.Limits(
            max_connections=MAX_CONNECTIONS, keepalive_expiry=KEEPALIVE_EXPIRY
        )
        if self._args.get("http2"):  # one connection carries many requests: httpx's own pool does that
            return side.given(self._transport(side, "https", proxy, limits))
        one = httpx.Limits(
            max_connections=1,
            max_keepalive_connections=min(1, limits.max_keepalive_connections)
            if limits.max_keepalive_connections is not None
            else 1,
            keepalive_expiry=limits.keepalive_expiry,
        )
        return side.connections(
            lambda scheme: self._transport(side, scheme, proxy, one),
            max_connections=limits.max_connections or 1_000_000,
            keepalive_expiry=limits.keepalive_expiry
            if limits.keepalive_expiry is not None
            else float("inf"),
        )

    def _transport(self, side: _Side, scheme: str, proxy: Any, limits: httpx.Limits) -> Any:
        return side.transport(
            verify=ssl_context(scheme, self._verify, self._args),
            http1=self._args.get("http1", True),
            http2=self._args.get("http2", False),
            limits=limits,
            proxy=proxy,
        )


def _roads(ways: Ways, layered: Callable[[Any], Any]) -> dict[str, Any]:
    roads = {
        pattern: None if shared is None else layered(shared.transport())
        for pattern, shared in ways.items()
    }
    return {"transport": roads.pop(None), "mounts": roads}
