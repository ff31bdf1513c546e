"""Distinguishes messages to a proxy from requests; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from dcipher._wire.proxies.choice import Origin

__all__ = ["layers", "raise_not_sent"]


def layers(origin: Origin, proxy: httpx.Proxy | None) -> int:
    """Returns the TLS layers around a request. Bytes written within fewer are messages to a proxy."""
    if origin.scheme != "https":
        return 0
    return 2 if proxy is not None and proxy.url.scheme == "https" else 1


def raise_not_sent(error: BaseException) -> None:
    """Raises an error for a lost connection to the proxy, which httpx reports as one to the server."""
    if isinstance(error, (httpx.ReadTimeout, httpx.WriteTimeout)):
        raise httpx.ConnectTimeout("the proxy opened no tunnel in time") from error
    lost = (httpx.ReadError, httpx.WriteError, httpx.CloseError, httpx.RemoteProtocolError, OSError)
    if isinstance(error, lost):
        raise httpx.ProxyError(f"the proxy opened no tunnel ({error})") from error
