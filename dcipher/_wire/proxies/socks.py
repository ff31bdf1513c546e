"""Converts errors of socksio for proxies that do not speak SOCKS."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["SOCKS_ERRORS"]


class _SocksErrors(AbstractContextManager[None]):
    """Raises an error of socksio as an `httpx.ProxyError`. httpcore lets it through (observed with 1.0.9)."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not None and kind.__module__.partition(".")[0] == "socksio":
            words = f"the proxy did not open a tunnel (not a response of SOCKS 5: {error})"
            raise httpx.ProxyError(words) from error


SOCKS_ERRORS = _SocksErrors()
