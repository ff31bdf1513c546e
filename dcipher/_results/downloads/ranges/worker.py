"""One worker of a parallel download: fetches claims, by one connection at a time."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

import httpx

from dcipher._concurrency.clock import monotonic
from dcipher._results.downloads.transfers.bodies import raw_body
from dcipher._results.downloads.transfers.sources import Problem, TransferError
from dcipher._results.downloads.transfers.transfer import refused
from dcipher._wire.retries import Failure, Outcome
from dcipher.errors import DcipherError

from .plan import check_range, range_headers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dcipher._concurrency.limiting import Permit
    from dcipher._results.downloads.transfers.store import Store

    from .coordinator import Coordinator
    from .plan import Claim

__all__ = ["Response", "Worker"]


class Response(NamedTuple):
    """The body of a response, and the offset where it ends."""

    chunks: Iterator[bytes | memoryview]
    until: int


class Worker:
    """Fetches claims, by one connection at a time."""

    def __init__(
        self,
        coordinator: Coordinator,
        store: Store,
        *,
        response: Response | None = None,
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
        # A store that rejects one more connection gets no further request for it.
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
                self._write_body(claim, Response(chunks, wanted[1]))
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

    def _write_body(self, claim: Claim, response: Response) -> None:
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
        raise _interrupted("the response ended early")

    def _write(self, claim: Claim, chunk: bytes | memoryview, until: int) -> bool:
        """Writes a chunk; returns False if the worker was stopped before."""
        if claim.position + len(chunk) > until:
            raise TransferError(
                Problem.BROKEN,
                "more bytes arrived than were announced",
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
