"""Closes transports, also while being cancelled."""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx
    from typing_extensions import ParamSpec

    P = ParamSpec("P")

__all__ = [
    "abandon",
    "async_abandon",
    "async_close_all",
    "async_close_transport",
    "close_transport",
]


async def async_close_transport(transport: httpx.AsyncBaseTransport) -> None:
    """Close it even where the call is being cancelled: the connection is given back, not lost."""
    from anyio import CancelScope

    with CancelScope(shield=True):
        await transport.aclose()


async def async_close_all(transports: set[httpx.AsyncBaseTransport]) -> None:
    """Close them, and empty the set."""
    while transports:
        await async_close_transport(transports.pop())


def close_transport(transport: httpx.BaseTransport) -> None:
    """Close it."""
    transport.close()


def async_abandon(_transports: list[httpx.AsyncBaseTransport], *, silently: bool) -> None:
    """Nothing, `silently` or not: the event loop closes what was left open, and warns of it itself."""
    _ = silently


def abandon(transports: list[httpx.BaseTransport], *, silently: bool) -> None:
    """Close what a client that was never closed left open, and say so once, unless `silently`."""
    if not transports or sys.is_finalizing():
        return
    for transport in transports:
        transport.close()
    if not silently:
        warnings.warn(
            "A dcipher client was never closed: use `with`, or call close().",
            ResourceWarning,
            stacklevel=3,
        )
