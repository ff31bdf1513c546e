"""Downloads one large result by several connections, each in a thread of its own.

This is blocking on purpose: an async download runs in a thread, too. The first connection of the
download continues, and others join it. When one fails, the rest take over its range; the download
fails only when the last one does.
"""

from __future__ import annotations

import random
import threading
import time
from contextlib import closing, suppress
from contextvars import copy_context
from typing import TYPE_CHECKING, NamedTuple

import httpx

from dcipher._concurrency.clock import monotonic
from dcipher._masking.text import redact_query
from dcipher._results.downloads.transfers.bodies import raw_body
from dcipher._results.downloads.transfers.sources import Problem, TransferError
from dcipher._results.downloads.transfers.store import Store
from dcipher._results.downloads.transfers.transfer import refused
from dcipher._wire.errors.retries import Failure, Outcome, next_delay
from dcipher.errors import DcipherError
from dcipher.logs import logger

from .plan import Scheduler, check_range, most_severe, range_headers, with_ranges

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from dcipher._concurrency.limiting import Permit
    from dcipher._results.downloads.transfers.sources import Source
    from dcipher._results.downloads.transfers.transfer import Sink, Transfer
    from dcipher._wire.http_client import HTTPClient
    from dcipher.resilience import Resilience

    from .plan import Claim

__all__ = ["ParallelDownload"]

TICK = 0.05
"""Seconds between two progress reports."""
PERMIT_TIMEOUT = 0.1
"""Seconds that a worker waits for a connection. It gives up after that."""
STOP_TIMEOUT = 0.5
"""Seconds that the threads have to end."""


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
        coordinator = _Coordinator(
            transfer, sink, self._source, self._resilience, started, 1 + len(permits)
        )
        coordinator.add(
            _Worker(coordinator, store, response=_Response(chunks, transfer.gap_ends or 0))
        )
        for permit in permits:
            another = Store(
                self._http,
                self._source,
                self._limited_timeout(),
                self._total_timeout,
                store.ends,
            )
            coordinator.add(_Worker(coordinator, another, permit=permit))
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


class _Response(NamedTuple):
    """The body of a response, and the offset where it ends."""

    chunks: Iterator[bytes | memoryview]
    until: int


class _Coordinator:
    """Coordinates the workers of one file."""

    def __init__(
        self,
        transfer: Transfer,
        sink: Sink,
        source: Source,
        resilience: Resilience,
        started: float,
        connections: int,
    ) -> None:
        self.initial = transfer
        self.sink = sink
        self.source = source
        self.resilience = resilience
        self.stopped = threading.Event()
        self._started = started
        self._scheduler = Scheduler(transfer, connections)
        self._workers: list[_Worker] = []
        self._threads: list[threading.Thread] = []
        self._at_work = 0
        self._changed = threading.Condition()
        self._retired: list[TransferError] = []
        self._fatal: BaseException | None = None

    def add(self, worker: _Worker) -> None:
        """Adds a worker; it starts with the others."""
        self._workers.append(worker)

    def start(self) -> None:
        """Starts all workers, the first one at the start of its response."""
        first = self.next_claim()
        with self._changed:
            self._at_work = len(self._workers)
        for worker in self._workers:
            thread = threading.Thread(
                target=copy_context().run,
                args=(worker.work, first if worker is self._workers[0] else None),
                name="dcipher range",
                daemon=True,  # one that waits for the network does not keep a program from ending
            )
            self._threads.append(thread)
            thread.start()

    def next_claim(self) -> Claim | None:
        """Returns the next claim of a worker, waiting for one; `None`: there will be none."""
        with self._changed:
            while not self.stopped.is_set() and not self._scheduler.is_complete:
                claim = self._scheduler.claim(monotonic())
                if claim is not None:
                    return claim
                self._changed.wait(TICK)
        return None

    def extend(self, claim: Claim, until: int) -> bool:
        """Extends a fetched claim, for the same response ends at `until`; whether it could.

        A response that goes on waits until the other connections have data, too.
        """
        with self._changed:
            while not self.stopped.is_set() and not self._scheduler.is_complete:
                now, is_last = monotonic(), self._at_work == 1 or bool(self._retired)
                if self._scheduler.extend(claim, until, now, is_last=is_last):
                    return True
                if claim.end >= until or self._scheduler.all_have_data(now):
                    return False
                self._changed.wait(TICK)
        return False

    def release(self, claim: Claim) -> None:
        """Ends a claim that is fetched or abandoned."""
        with self._changed:
            self._scheduler.release(claim)
            self._changed.notify_all()

    def delay_after(self, failure: Failure, attempts: int) -> float | None:
        """Returns the seconds until a worker retries; `None`: it does not."""
        return next_delay(
            failure,
            self.resilience,
            repeatable=True,
            attempts=attempts,
            elapsed=monotonic() - self._started,
            jitter=random.random(),  # noqa: S311 - spreads retries, guards nothing
        )

    def retire(self, error: TransferError) -> None:
        """Records that a worker gave up; the others continue."""
        logger.info("one connection less for %s: %s", redact_query(self.source.url), error)
        with self._changed:
            self._retired.append(error)
            self._changed.notify_all()

    def fail(self, error: BaseException) -> None:
        """Records an error that ends all workers."""
        with self._changed:
            self._fatal = self._fatal or error

    def ended(self) -> None:
        """Records that a worker has ended."""
        with self._changed:
            self._at_work -= 1
            self._changed.notify_all()

    def has_ended(self, seconds: float) -> bool:
        """Waits at most so many seconds; returns whether the download is over."""
        with self._changed:
            if not self._is_over:
                self._changed.wait(seconds)
            return self._is_over

    @property
    def _is_over(self) -> bool:
        return self._fatal is not None or self._at_work == 0 or self._scheduler.is_complete

    def progress(self) -> tuple[Transfer, int]:
        """Returns the progress in written bytes, and the offset up to which nothing is being written."""
        with self._changed:
            transfer = with_ranges(self.initial, self._scheduler.done)
            return transfer, min(transfer.received, self._scheduler.settled)

    def check(self) -> None:
        """Raises the error that ended the download, if any."""
        with self._changed:
            if self._scheduler.is_complete:
                return
            if self._fatal is not None:
                raise self._fatal
            raise most_severe(self._retired)

    @property
    def was_refused(self) -> bool:
        """Whether the store refused a range to one of the workers."""
        return any(error.problem is Problem.REFUSED for error in self._retired)

    def stop(self) -> None:
        """Stops all workers. Nothing is written after it returns; waiting threads are woken up."""
        self.stopped.set()
        with self._changed:
            self._changed.notify_all()
        for worker in self._workers:
            worker.stop()
        ends = monotonic() + STOP_TIMEOUT
        for thread in self._threads:
            with suppress(RuntimeError):  # Ctrl-C came before the thread was started
                thread.join(max(0.0, ends - monotonic()))
        self._workers[0].secrets.update(*(worker.secrets for worker in self._workers))


class _Worker:
    """Fetches claims, by one connection at a time."""

    def __init__(
        self,
        coordinator: _Coordinator,
        store: Store,
        *,
        response: _Response | None = None,
        permit: Permit | None = None,
    ) -> None:
        self._coordinator = coordinator
        self._store = store
        self._response = response
        self._permit = permit
        self._has_received = response is not None
        self._failures = 0
        self._writing = threading.Lock()

    @property
    def secrets(self) -> set[str]:
        """The secrets of the URLs that the store redirected to."""
        return self._store.secrets

    def stop(self) -> None:
        """Stops the worker. It writes nothing after this returns."""
        with self._writing:
            pass  # each write checks `stopped` under this lock
        self._store.wake_up()

    def work(self, claim: Claim | None) -> None:
        """Fetches this claim, or the next one, and all that follow."""
        try:
            claim = claim or self._coordinator.next_claim()
            while claim is not None and self._process(claim):
                claim = self._coordinator.next_claim()
        except BaseException as error:  # noqa: BLE001 - raised again, where the download is
            self._coordinator.fail(error)
        finally:
            if self._permit is not None:
                self._permit.release()
            self._coordinator.ended()

    def _process(self, claim: Claim) -> bool:
        """Fetches a claim; returns whether the worker continues after it."""
        try:
            error = self._try_fetch(claim)
            delay = 0.0 if error is None else self._delay_after(error)
            if error is not None and delay is None:
                self._coordinator.retire(error)
        finally:
            self._coordinator.release(claim)
        return delay is not None and not self._coordinator.stopped.wait(delay)

    def _try_fetch(self, claim: Claim) -> TransferError | None:
        """Fetches a claim; returns the error, if any."""
        before = claim.position
        try:
            self._fetch(claim)
        except TransferError as error:
            return error
        except DcipherError:
            raise
        except (httpx.TransportError, httpx.InvalidURL, OSError, UnicodeError) as error:
            return self._store.lost(error)
        finally:
            if claim.position > before:
                self._has_received, self._failures = True, 0
        return None

    def _delay_after(self, error: TransferError) -> float | None:
        """Returns the seconds until it retries; `None`: it does not."""
        if error.problem is Problem.BROKEN:
            raise error
        self._failures += 1
        # A store that refuses one more connection is not asked again.
        return (
            self._coordinator.delay_after(error.failure, self._failures)
            if self._has_received
            else None
        )

    def _fetch(self, claim: Claim) -> None:
        begun, self._response = self._response, None
        if begun is not None:
            self._write_body(claim, begun)
            return
        coordinator = self._coordinator
        if coordinator.source.is_hopeless(time.time()):
            raise TransferError(Problem.EXPIRED, "its URL has expired", Failure(Outcome.PERMANENT))
        wanted = (claim.position, claim.end)
        response = self._store.get(range_headers(coordinator.initial, wanted))
        try:
            if response.status_code not in {200, 206}:
                raise self._refused(response)
            check_range(coordinator.initial, wanted, response.status_code, response.headers)
            with closing(raw_body(response)) as chunks:
                self._write_body(claim, _Response(chunks, wanted[1]))
        finally:
            self._store.deadline = None  # the connection now serves other requests
            response.close()

    def _refused(self, response: httpx.Response) -> TransferError:
        return refused(
            response.status_code,
            response.headers,
            self._store.excerpt(response),
            source=self._coordinator.source,
            secrets=self._store.secrets,
            now=time.time(),
            resilience=self._coordinator.resilience,
        )

    def _write_body(self, claim: Claim, response: _Response) -> None:
        deadline = self._store.watch_body()
        for chunk in response.chunks:
            if not self._write(claim, chunk, response.until):
                return
            claim.since = monotonic()
            deadline.arrived(len(chunk))
            while claim.position >= claim.end:
                if not self._coordinator.extend(claim, response.until):
                    return
                deadline.count_anew()  # after waiting for the others
        raise _interrupted("the answer ended early")

    def _write(self, claim: Claim, chunk: bytes | memoryview, until: int) -> bool:
        """Writes a chunk; returns False where the worker was stopped before."""
        if claim.position + len(chunk) > until:
            raise TransferError(
                Problem.BROKEN,
                "more bytes arrived than were promised",
                Failure(Outcome.AMBIGUOUS),
            )
        with self._writing:
            if self._coordinator.stopped.is_set():
                return False
            existing = max(0, claim.existing_until - claim.position)
            if existing < len(chunk):
                self._coordinator.sink.write_at(claim.position + existing, chunk[existing:])
            claim.position += len(chunk)
        return True


def _interrupted(message: str) -> TransferError:
    return TransferError(Problem.INTERRUPTED, message, Failure(Outcome.AMBIGUOUS))
