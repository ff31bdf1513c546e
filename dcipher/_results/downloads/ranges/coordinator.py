"""Coordinates the workers of one parallel download: who fetches what, who failed, when it ends."""

from __future__ import annotations

import random
import threading
from contextlib import suppress
from contextvars import copy_context
from typing import TYPE_CHECKING, Protocol

from dcipher._concurrency.clock import monotonic
from dcipher._masking.urls import redact_query
from dcipher._results.downloads.transfers.sources import Problem, TransferError
from dcipher._wire.retries import Failure, next_delay
from dcipher.logs import logger

from .plan import Scheduler, most_severe, with_ranges

if TYPE_CHECKING:
    from dcipher._results.downloads.transfers.sources import Source
    from dcipher._results.downloads.transfers.transfer import Sink, Transfer
    from dcipher.resilience import Resilience

    from .plan import Claim

__all__ = ["TICK", "Coordinator"]

TICK = 0.05
"""Seconds between two progress reports."""
STOP_TIMEOUT = 0.5
"""Seconds that the threads have to end."""


class _Runs(Protocol):
    """A worker, for its coordinator."""

    @property
    def secrets(self) -> set[str]: ...

    def work(self, claim: Claim | None, /) -> None: ...

    def stop(self) -> None: ...


class Coordinator:
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
        self._workers: list[_Runs] = []
        self._threads: list[threading.Thread] = []
        self._at_work = 0
        self._changed = threading.Condition()
        self._retired: list[TransferError] = []
        self._fatal: BaseException | None = None

    def add(self, worker: _Runs) -> None:
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
        """Extends a fetched claim, because its response ends at `until`; returns whether it could.

        The response waits until the other connections have data, too.
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
        logger.info("one connection fewer for %s: %s", redact_query(self.source.url), error)
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
            with suppress(RuntimeError):  # interrupted before the thread was started
                thread.join(max(0.0, ends - monotonic()))
        self._workers[0].secrets.update(*(worker.secrets for worker in self._workers))
