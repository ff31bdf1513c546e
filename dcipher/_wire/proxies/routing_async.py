"""Sends each request directly or by its proxy, with httpx transports that carry concurrent requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

from .environment import origin_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from .choice import Origin

__all__ = ["AsyncRoutedTransport"]


class AsyncRoutedTransport(httpx.AsyncBaseTransport):
    """One transport for direct requests, and one for each proxy, created at its first use."""

    def __init__(
        self,
        proxy_of: Callable[[Origin], str | None],
        make: Callable[[str | None], httpx.AsyncBaseTransport],
    ) -> None:
        self._proxy_of = proxy_of
        self._make = make
        self._transports: dict[str | None, httpx.AsyncBaseTransport] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        proxy = self._proxy_of(origin_of(request.url))
        transport = self._transports.get(proxy)
        if transport is None:
            # If another thread was faster, its transport is used.
            transport = self._transports.setdefault(proxy, self._make(proxy))
        return await transport.handle_async_request(request)

    async def aclose(self) -> None:
        transports, self._transports = self._transports, {}
        for transport in transports.values():
            await transport.aclose()
