"""One connection: an httpx transport whose pool is a single connection of httpcore."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import httpcore
import httpx

from dcipher._wire.proxies.socks import SOCKS_ERRORS

from .deadlines import DEADLINE, Deadline, head_deadline
from .exchanges_async import AsyncExchanges
from .streams_async import AsyncNetwork
from .tunnels import layers, raise_not_sent

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

    from httpcore import AsyncConnectionPool

    from dcipher._wire.proxies.choice import Origin

__all__ = ["AsyncConnection"]

_logger = logging.getLogger(f"{httpcore.__name__}.http11")


class AsyncConnection(httpx.AsyncHTTPTransport):
    """One connection to one origin, for one request at a time.

    Two private attributes are used: `_pool`, by which a transport of httpx sends, and `_connection`, by
    which a connection of httpcore does. Whatever patches httpx's or httpcore's classes (respx,
    pytest-httpx, vcrpy, OpenTelemetry) sees each request. tests/wire/transport/test_private.py guards
    them.
    """

    def __init__(
        self, origin: Origin, ssl_context: ssl.SSLContext | None, proxy: httpx.Proxy | None
    ) -> None:
        self.siblings: set[Any] = set()
        # Not httpx's own, which creates an unnecessary pool and context.
        self._is_tunnel = proxy is not None and origin.scheme == "https"
        self._network = AsyncNetwork(layers(origin, proxy))
        self._one: Any = None
        """The connection, where it goes by no proxy."""
        self._has_exchanges = proxy is None
        self._pool: Any
        if proxy is None:
            url = _url(httpx.URL(scheme=origin.scheme, host=origin.host, port=origin.port))
            self._pool = self._one = httpcore.AsyncHTTPConnection(
                url.origin, ssl_context, network_backend=self._network
            )
            self._one._connection = AsyncExchanges(url.origin, ssl_context, self._network)  # noqa: SLF001
        else:
            self._pool = _by_proxy(proxy, ssl_context, self._network)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        deadline: Deadline | None = request.extensions.get(DEADLINE)
        own = head_deadline(request.extensions.get("timeout") or {}) if deadline is None else None
        used = deadline or own or Deadline(None)
        if self._has_exchanges and ("trace" in request.extensions or _is_traced()):
            self._has_exchanges = False
            await self._network.aclose()
            self._one._connection = None  # noqa: SLF001 - httpcore opens it, and reports each step
        self._network.begin(used)
        try:
            response = await super().handle_async_request(request)
        except BaseException as error:
            if self._one is None:
                SOCKS_ERRORS.__exit__(type(error), error, None)
            if self._is_tunnel and not used.was_sent:
                raise_not_sent(error)
            raise
        response.extensions[DEADLINE] = used
        if not self._has_exchanges:
            self._network.expect_body(request.method, response)
        if own is not None:
            own.restart(None)  # the body may take as long as it comes
        return response

    @property
    def is_idle(self) -> bool:
        """Whether its request is complete, and it stays open."""
        if self._one is not None:
            return bool(self._one.is_idle())
        return any(one.is_idle() for one in self._by_proxy())

    @property
    def is_usable(self) -> bool:
        """Whether it is still open, and has received no unexpected bytes."""
        if self._one is not None:
            return bool(self._one.is_idle() and not self._one.has_expired())
        return any(one.is_idle() and not one.has_expired() for one in self._by_proxy())

    def _by_proxy(self) -> Sequence[httpcore.AsyncConnectionInterface]:
        connections: Sequence[httpcore.AsyncConnectionInterface] = ()
        return connections if self._pool is None else self._pool.connections

    async def aclose(self) -> None:
        pool, self._pool, self._one = self._pool, None, None  # they know their event loop
        if pool is None:
            return
        try:
            await pool.aclose()
        finally:
            await self._network.aclose()


def _is_traced() -> bool:
    """Whether the program logs what httpcore does."""
    return _logger.isEnabledFor(logging.DEBUG)


def _by_proxy(
    proxy: httpx.Proxy, ssl_context: ssl.SSLContext | None, network: AsyncNetwork
) -> AsyncConnectionPool:
    """A pool of one connection by a proxy, as httpx makes it."""
    options: dict[str, Any] = {
        "proxy_url": _url(proxy.url),
        "proxy_auth": proxy.raw_auth,
        "ssl_context": ssl_context,
        "max_connections": 1,
        "network_backend": network,
    }
    if proxy.url.scheme not in {"http", "https"}:
        return httpcore.AsyncSOCKSProxy(**options)
    return httpcore.AsyncHTTPProxy(
        proxy_headers=proxy.headers.raw, proxy_ssl_context=proxy.ssl_context, **options
    )


def _url(url: httpx.URL) -> httpcore.URL:
    return httpcore.URL(
        scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
    )
