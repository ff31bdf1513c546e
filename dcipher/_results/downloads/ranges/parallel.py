"""Downloads one large result by several connections, each in its own thread.

This is blocking on purpose: an async download runs in a thread, too. The first connection of the
download continues, and others join it. When one fails, the rest take over its range; the download
fails only when the last one does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

from dcipher._results.downloads.transfers.store import Store
from dcipher.logs import logger

from .coordinator import TICK, Coordinator
from .worker import Response, Worker

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from dcipher._results.downloads.transfers.sources import Source
    from dcipher._results.downloads.transfers.transfer import Sink, Transfer
    from dcipher._wire.http_client import HTTPClient
    from dcipher.resilience import Resilience


__all__ = ["ParallelDownload"]

PERMIT_TIMEOUT = 0.1
"""Seconds that a worker waits for a connection. It gives up after that."""


class ParallelDownload:
    """Downloads one result by up to `connections` connections, as many as are available."""

    def __init__(
        self,
        http: HTTPClient,
        source: Source,
        *,
        resilience: Resilience,
        timeout: httpx.Timeout,
        total_timeout: float | None,
        connections: int,
    ) -> None:
        self._http = http
        self._source = source
        self._resilience = resilience
        self._timeout = timeout
        self._total_timeout = total_timeout
        self._connections = connections

    @property
    def is_enabled(self) -> bool:
        """Whether more than one connection may be used."""
        return self._connections > 1

    def fetch(
        self,
        transfer: Transfer,
        sink: Sink,
        store: Store,
        chunks: Iterator[bytes | memoryview],
        started: float,
    ) -> Generator[tuple[Transfer, int]]:
        """Downloads the rest; yields progress, and the offset up to which nothing is being written.

        `chunks`: the body of the existing response, from where `transfer` is. `started`: when the
        transfer was, by the monotonic clock. Raises `TransferError` when all connections have
        failed, and the errors of the sink. Closing the generator early stops all workers.
        """
        permits = self._http.spare_permits(self._connections - 1)
        coordinator = Coordinator(
            transfer, sink, self._source, self._resilience, started, 1 + len(permits)
        )
        coordinator.add(
            Worker(coordinator, store, response=Response(chunks, transfer.gap_ends or 0))
        )
        for permit in permits:
            another = Store(
                self._http,
                self._source,
                self._limited_timeout(),
                self._total_timeout,
                store.ends,
            )
            coordinator.add(Worker(coordinator, another, permit=permit))
        logger.debug("%d bytes by %d connections", transfer.total, 1 + len(permits))
        try:
            coordinator.start()
            while not coordinator.has_ended(TICK):
                yield coordinator.progress()
            yield coordinator.progress()
            coordinator.check()
        finally:
            coordinator.stop()
            if coordinator.was_refused:  # the store limits connections: do not try again
                self._connections = 1

    def _limited_timeout(self) -> httpx.Timeout:
        limits = self._timeout.as_dict()
        return httpx.Timeout(
            **{**limits, "pool": min(limits["pool"] or PERMIT_TIMEOUT, PERMIT_TIMEOUT)}
        )
