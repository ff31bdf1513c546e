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
    """Closes it even if the call is being cancelled: the connection is released, not lost."""
    from anyio import CancelScope

    with CancelScope(shield=True):
        await transport.aclose()


async def async_close_all(transports: set[httpx.AsyncBaseTransport]) -> None:
    """Closes them, and empties the set."""
    while transports:
        await async_close_transport(transports.pop())


def close_transport(transport: httpx.BaseTransport) -> None:
    """Closes it."""
    transport.close()


def async_abandon(_transports: list[httpx.AsyncBaseTransport], *, silently: bool) -> None:
    """Does nothing: the event loop closes what was left open, and warns itself."""
    _ = silently


def abandon(transports: list[httpx.BaseTransport], *, silently: bool) -> None:
    """Closes the connections of a client that was never closed, with one warning unless `silently`."""
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
