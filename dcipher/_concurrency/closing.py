"""Closes transports, also while being cancelled."""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING

from .scopes import AsyncScoped

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    class _AsyncCloses(Protocol):
        async def aclose(self) -> None: ...

    class _Closes(Protocol):
        def close(self) -> None: ...


__all__ = [
    "AsyncOwner",
    "Owner",
    "abandon",
    "async_abandon",
    "async_close_transport",
    "close_transport",
]


async def async_close_transport(transport: _AsyncCloses) -> None:
    """Closes it even if the call is being cancelled: the connection is released, not lost."""
    from anyio import CancelScope

    with CancelScope(shield=True):
        await transport.aclose()


async def _close_all(transports: set[_AsyncCloses]) -> None:
    while transports:
        await async_close_transport(transports.pop())


class AsyncOwner:
    """The open connections of each event loop, which are closed with it at the latest."""

    def __init__(self) -> None:
        self._open: AsyncScoped[set[_AsyncCloses]] = AsyncScoped(set, _close_all)

    def add(self, transport: _AsyncCloses) -> set[_AsyncCloses]:
        """Adds a connection. Returns all open ones of this event loop."""
        transports = self._open.get()
        transports.add(transport)
        return transports

    async def discard(self, transport: _AsyncCloses, transports: set[_AsyncCloses]) -> None:
        """Removes a closed connection; `transports`: what `add` returned for it."""
        if transport in transports:
            transports.discard(transport)
            if not transports:
                await self._open.end()

    def end_silently(self) -> None:
        """Prevents the warning about connections that are open when nothing refers to it any more."""
        self._open.end_silently()


class Owner:
    """The same for connections that nothing closes but their client."""

    def add(self, transport: _Closes) -> set[_Closes]:
        """Does nothing: a connection that referenced itself would be collected late."""
        _ = transport
        return set()

    def discard(self, transport: _Closes, transports: set[_Closes]) -> None:
        """Removes a closed connection."""
        transports.discard(transport)

    def end_silently(self) -> None:
        """Prevents the warning about connections that are open when nothing refers to it any more."""


def close_transport(transport: _Closes) -> None:
    """Closes it."""
    transport.close()


def async_abandon(_transports: Sequence[_AsyncCloses], *, silently: bool) -> None:
    """Does nothing: the event loop closes what was left open, and warns itself."""
    _ = silently


def abandon(transports: Sequence[_Closes], *, silently: bool) -> None:
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
