"""Fetches one large result by several connections at once, each in a thread of its own.

Blocking on purpose: an async download spends its life in a thread, too. The connection that a
download began with goes on; others help. One that fails leaves its part to the rest, and none of
that is an error as long as one goes on.
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
from dcipher._wire.transport.bounded import following
from dcipher._wire.transport.deadlines import BodyLimit
from dcipher._wire.transport.stalling import STALL
from dcipher.errors import DcipherError
from dcipher.logs import logger

from .plan import Shares, fetched, part_headers, part_of, worst

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from dcipher._concurrency.limiting import Permit
    from dcipher._results.downloads.transfers.sources import Source
    from dcipher._results.downloads.transfers.transfer import Sink, Transfer
    from dcipher._wire.http_client import HTTPClient
    from dcipher.resilience import Resilience

    from .plan import Claim

__all__ = ["Helpers"]

TICK = 0.05
"""Seconds between two looks at how far it is."""
PERMIT_TIMEOUT = 0.1
"""Seconds that a worker waits for a connection. It gives up after that."""
STOP_TIMEOUT = 0.5
"""Seconds that what was woken up has to end."""


class Helpers:
    """More connections for one result, as many as there are to be had."""

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
    def are_wanted(self) -> bool:
        """Whether there may be any."""
        return self._connections > 1

    def fetch(
        self,
        transfer: Transfer,
        sink: Sink,
        store: Store,
        chunks: Iterator[bytes | memoryview],
        started: float,
    ) -> Generator[tuple[Transfer, int]]:
        """The rest of it; from time to time, how far it is, and up to where nobody writes any more.

        `chunks`: the answer that there is, from where `transfer` is. `started`: when the transfer
        was, by the monotonic clock. Raises `TransferError` when no connection goes on, and the
        errors of the sink. Whoever closes it before its end finds nobody at work.
        """
        permits = self._http.spare_permits(self._connections - 1)
        team = _Team(transfer, sink, self._source, self._resilience, started, 1 + len(permits))
        team.hire(_Worker(team, store, answer=_Answer(chunks, transfer.gap_ends or 0)))
        for permit in permits:
            another = Store(self._http, self._source, self._patience(), self._total_timeout)
            team.hire(_Worker(team, another, permit=permit))
        logger.debug("%d bytes by %d connections", transfer.total, 1 + len(permits))
        try:
            team.begin()
            while not team.has_ended(TICK):
                yield team.progress()
            yield team.progress()
            team.check()
        finally:
            team.stop()
            if team.was_refused:  # not again, then: the store does not like it
                self._connections = 1

    def _patience(self) -> httpx.Timeout:
        limits = self._timeout.as_dict()
        return httpx.Timeout(
            **{**limits, "pool": min(limits["pool"] or PERMIT_TIMEOUT, PERMIT_TIMEOUT)}
        )


class _Answer(NamedTuple):
    """What comes by a connection, and where it ends."""

    chunks: Iterator[bytes | memoryview]
    until: int


class _Team:
    """Several connections at work on one file."""

    def __init__(
        self,
        transfer: Transfer,
        sink: Sink,
        source: Source,
        resilience: Resilience,
        started: float,
        connections: int,
    ) -> None:
        self.begun_as = transfer
        self.sink = sink
        self.source = source
        self.resilience = resilience
        self.stopped = threading.Event()
        self._started = started
        self._shares = Shares(transfer, connections)
        self._workers: list[_Worker] = []
        self._threads: list[threading.Thread] = []
        self._at_work = 0
        self._changed = threading.Condition()
        self._retired: list[TransferError] = []
        self._fatal: BaseException | None = None

    def hire(self, worker: _Worker) -> None:
        """One more, who begins with the others."""
        self._workers.append(worker)

    def begin(self) -> None:
        """Let them begin: the first one where its answer does."""
        first = self.next()
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

    def next(self) -> Claim | None:
        """What a worker fetches now; `None`: nothing, and nothing later."""
        with self._changed:
            while not self.stopped.is_set() and not self._shares.is_complete:
                claim = self._shares.claim(monotonic())
                if claim is not None:
                    return claim
                self._changed.wait(TICK)
        return None

    def extended(self, claim: Claim, until: int) -> bool:
        """Whether who has fetched a claim goes on with the same answer, which ends at `until`.

        An answer that goes on is held until it is known that the others are answered, too.
        """
        with self._changed:
            while not self.stopped.is_set() and not self._shares.is_complete:
                now, alone = monotonic(), self._at_work == 1 or bool(self._retired)
                if self._shares.extended(claim, until, now, alone=alone):
                    return True
                if claim.end >= until or self._shares.are_answered(now):
                    return False
                self._changed.wait(TICK)
        return False

    def release(self, claim: Claim) -> None:
        """A claim is fetched, or given up."""
        with self._changed:
            self._shares.release(claim)
            self._changed.notify_all()

    def delay_after(self, failure: Failure, attempts: int) -> float | None:
        """Seconds until a worker asks again; `None`: it does not."""
        return next_delay(
            failure,
            self.resilience,
            repeatable=True,
            attempts=attempts,
            elapsed=monotonic() - self._started,
            jitter=random.random(),  # noqa: S311 - spreads retries, guards nothing
        )

    def retire(self, error: TransferError) -> None:
        """A worker goes; the others go on."""
        logger.info("one connection less for %s: %s", redact_query(self.source.url), error)
        with self._changed:
            self._retired.append(error)
            self._changed.notify_all()

    def fail(self, error: BaseException) -> None:
        """Nobody can go on."""
        with self._changed:
            self._fatal = self._fatal or error

    def leave(self) -> None:
        """A worker is at work no longer."""
        with self._changed:
            self._at_work -= 1
            self._changed.notify_all()

    def has_ended(self, seconds: float) -> bool:
        """Whether there is nothing to wait for any more, after so many seconds at most."""
        with self._changed:
            if not self._is_over:
                self._changed.wait(seconds)
            return self._is_over

    @property
    def _is_over(self) -> bool:
        return self._fatal is not None or self._at_work == 0 or self._shares.is_complete

    def progress(self) -> tuple[Transfer, int]:
        """How far it is, and up to where nobody writes: bytes that were written, not that are being."""
        with self._changed:
            transfer = fetched(self.begun_as, self._shares.done)
            return transfer, min(transfer.received, self._shares.settled)

    def check(self) -> None:
        """Raises what the others could not go on after."""
        with self._changed:
            if self._shares.is_complete:
                return
            if self._fatal is not None:
                raise self._fatal
            raise worst(self._retired)

    @property
    def was_refused(self) -> bool:
        """Whether the store did not answer somebody with a part."""
        return any(error.problem is Problem.REFUSED for error in self._retired)

    def stop(self) -> None:
        """Nobody writes any more when this returns; who waits for the network is woken up."""
        self.stopped.set()
        with self._changed:
            self._changed.notify_all()
        for worker in self._workers:
            worker.stop()
        ends = monotonic() + STOP_TIMEOUT
        for thread in self._threads:
            with suppress(RuntimeError):  # Ctrl-C came before it was started
                thread.join(max(0.0, ends - monotonic()))
        self._workers[0].secrets.update(*(worker.secrets for worker in self._workers))


class _Worker:
    """One connection, or one after the other."""

    def __init__(
        self,
        team: _Team,
        store: Store,
        *,
        answer: _Answer | None = None,
        permit: Permit | None = None,
    ) -> None:
        self._team = team
        self._store = store
        self._answer = answer
        self._permit = permit
        self._has_brought = answer is not None
        self._failures = 0
        self._writing = threading.Lock()

    @property
    def secrets(self) -> set[str]:
        """Of the URLs that the store led to."""
        return self._store.secrets

    def stop(self) -> None:
        """It writes no more when this returns."""
        with self._writing:
            pass  # it looks whether it may, each time
        self._store.wake_up()

    def work(self, claim: Claim | None) -> None:
        """Fetch this claim, or what there is, and others after it."""
        try:
            claim = claim or self._team.next()
            while claim is not None and self._carries_out(claim):
                claim = self._team.next()
        except BaseException as error:  # noqa: BLE001 - raised again, where the download is
            self._team.fail(error)
        finally:
            if self._permit is not None:
                self._permit.release()
            self._team.leave()

    def _carries_out(self, claim: Claim) -> bool:
        """Whether it goes on after this claim."""
        try:
            error = self._fetched(claim)
            delay = 0.0 if error is None else self._delay_after(error)
            if error is not None and delay is None:
                self._team.retire(error)
        finally:
            self._team.release(claim)
        return delay is not None and not self._team.stopped.wait(delay)

    def _fetched(self, claim: Claim) -> TransferError | None:
        """What went wrong with it."""
        before = claim.place
        try:
            self._fetch(claim)
        except TransferError as error:
            return error
        except DcipherError:
            raise
        except (httpx.TransportError, httpx.InvalidURL, OSError, UnicodeError) as error:
            return self._store.lost(error)
        finally:
            if claim.place > before:
                self._has_brought, self._failures = True, 0
        return None

    def _delay_after(self, error: TransferError) -> float | None:
        """Seconds until it asks again; `None`: it does not."""
        if error.problem is Problem.BROKEN:
            raise error
        self._failures += 1
        # A store that does not let in one more is not asked again.
        return self._team.delay_after(error.failure, self._failures) if self._has_brought else None

    def _fetch(self, claim: Claim) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            self._pour(claim, answer)
            return
        team = self._team
        if team.source.is_hopeless(time.time()):
            raise TransferError(Problem.EXPIRED, "its URL has expired", Failure(Outcome.PERMANENT))
        wanted = (claim.place, claim.end)
        response = self._store.get(part_headers(team.begun_as, wanted))
        try:
            if response.status_code not in {200, 206}:
                raise self._refused(response)
            part_of(team.begun_as, wanted, response.status_code, response.headers)
            with closing(raw_body(response)) as chunks:
                self._pour(claim, _Answer(chunks, wanted[1]))
        finally:
            self._store.limit = None  # whatever comes by this connection now is another's
            response.close()

    def _refused(self, response: httpx.Response) -> TransferError:
        return refused(
            response.status_code,
            response.headers,
            self._store.excerpt(response),
            source=self._team.source,
            secrets=self._store.secrets,
            now=time.time(),
            resilience=self._team.resilience,
        )

    def _pour(self, claim: Claim, answer: _Answer) -> None:
        limit = BodyLimit(STALL)
        while (chunk := following(answer.chunks, limit)) is not None:
            if not self._write(claim, chunk, answer.until):
                return
            claim.since = monotonic()
            limit.arrived(len(chunk), None)
            while claim.place >= claim.end:
                if not self._team.extended(claim, answer.until):
                    return
                limit.restart()  # it has waited for the others
        raise _interrupted("the answer ended early")

    def _write(self, claim: Claim, chunk: bytes | memoryview, until: int) -> bool:
        """Whether it was written, and not too late."""
        if claim.place + len(chunk) > until:
            raise TransferError(
                Problem.BROKEN,
                "more bytes arrived than were promised",
                Failure(Outcome.AMBIGUOUS),
            )
        with self._writing:
            if self._team.stopped.is_set():
                return False
            there = max(0, claim.there_until - claim.place)
            if there < len(chunk):
                self._team.sink.write_at(claim.place + there, chunk[there:])
            claim.place += len(chunk)
        return True


def _interrupted(message: str) -> TransferError:
    return TransferError(Problem.INTERRUPTED, message, Failure(Outcome.AMBIGUOUS))
