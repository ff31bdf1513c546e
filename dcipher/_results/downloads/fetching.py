"""Runs a download: in the calling thread, or for an async client in its own thread.

Writing a file blocks. So an async download runs in one thread from the first byte to the last,
instead of in a new one for each write. That costs half as much, and does not block the event loop.
Requests by an async transport of the user are sent on the event loop, by a bridge.
"""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

from dcipher._concurrency.callables import async_call_back
from dcipher._concurrency.limiting import Permit
from dcipher._concurrency.tasks.threads import async_in_own_thread, calling_back
from dcipher._concurrency.tasks.workers import abort_on_stop
from dcipher._wire.pools.routes import sync_side

from .download import Download
from .transfers.bridge import Bridge

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx
    from anyio.from_thread import BlockingPortal

    from dcipher._concurrency.callables import AsyncProgressCallback, ProgressCallback
    from dcipher._results.downloads.transfers.sources import Source
    from dcipher._results.downloads.transfers.transfer import Sink, Transfer
    from dcipher._wire.http_client import HTTPClient
    from dcipher.resilience import Resilience

__all__ = ["async_fetch", "async_spare_permits", "fetch", "spare_permits"]

# What is imported at the first request may fail to be: there may be no file descriptor left. That is what
# an async download sends by in its thread, and a codec of socket.getaddrinfo.
sync_side()
codecs.lookup("idna")


async def async_fetch(
    http: HTTPClient,
    source: Source,
    open_sink: Callable[[], Sink],
    *,
    resilience: Resilience,
    timeout: httpx.Timeout,
    total_timeout: float | None,
    on_progress: AsyncProgressCallback | None = None,
    connections: int = 1,
) -> Transfer:
    """Downloads one result into a sink, which it opens, commits and closes.

    It uses up to `connections` connections, but only one of a client or transport of the user.
    Raises `TransferError`, or errors of the sink.
    """
    bridge = Bridge(http) if http.is_custom_async_transport else None
    download = Download(
        http,
        source,
        open_sink,
        resilience=resilience,
        timeout=timeout,
        total_timeout=total_timeout,
        connections=connections if bridge is None else 1,
        send=None if bridge is None else bridge.send,
    )

    def run(portal: BlockingPortal) -> Transfer:
        if bridge is not None:
            bridge.portal = portal
        if on_progress is not None:
            # A callback of the user runs on the user's event loop.
            async def call_back(done: int, total: int | None) -> None:
                calling_back.set(True)  # in the context of this one call
                await async_call_back(on_progress, done, total)

            def report(done: int, total: int | None) -> None:
                portal.call(call_back, done, total)

            download.on_progress = report
        return download.run()

    def abort() -> None:
        download.abort()
        if bridge is not None:
            bridge.abort()

    return await async_in_own_thread(run, abort)


def fetch(
    http: HTTPClient,
    source: Source,
    open_sink: Callable[[], Sink],
    *,
    resilience: Resilience,
    timeout: httpx.Timeout,
    total_timeout: float | None,
    on_progress: ProgressCallback | None = None,
    connections: int = 1,
) -> Transfer:
    """Downloads one result into a sink, which it opens, commits and closes.

    It uses up to `connections` connections, but only one of a client or transport of the user.
    Raises `TransferError`, or errors of the sink.
    """
    download = Download(
        http,
        source,
        open_sink,
        resilience=resilience,
        timeout=timeout,
        total_timeout=total_timeout,
        on_progress=on_progress,
        connections=connections,
    )
    with abort_on_stop(download.abort):
        return download.run()


def async_spare_permits(http: HTTPClient, count: int) -> list[Permit]:
    """Returns permits for `count` more concurrent results, or as many as are available.

    An async transport of the user limits its connections itself.
    """
    if http.is_custom_async_transport:
        return [Permit(None) for _ in range(count)]
    return http.spare_permits(count)


def spare_permits(http: HTTPClient, count: int) -> list[Permit]:
    """Returns permits for `count` more concurrent results, or as many as are available.

    There are none for a transport of the user, which may not be thread-safe.
    """
    return http.spare_permits(count)
