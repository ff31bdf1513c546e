"""Downloads a result: resumed, verified, atomic."""

from __future__ import annotations

import math
import random
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import httpx

from dcipher._concurrency.callables import call_back
from dcipher._concurrency.clock import monotonic
from dcipher._concurrency.sleeping import Pause
from dcipher._masking.redaction import redact
from dcipher._masking.urls import redact_query
from dcipher._results.downloads.ranges.parallel import ParallelDownload
from dcipher._results.downloads.ranges.plan import Pace, can_be_split
from dcipher._results.downloads.transfers.bodies import PATIENCE, raw_body, watched
from dcipher._results.downloads.transfers.sources import Problem, TransferError
from dcipher._results.downloads.transfers.store import Store
from dcipher._results.downloads.transfers.transfer import (
    KEPT,
    Transfer,
    begin,
    headers_for,
    may_refuse_ranges,
    refused,
)
from dcipher._results.downloads.transfers.writer import BATCH, Writer
from dcipher._wire.layers.retrying import send_again
from dcipher._wire.retries import Failure, Outcome, next_delay
from dcipher.errors import DcipherError
from dcipher.logs import downloading, logger, redacting

if TYPE_CHECKING:
    from collections.abc import Callable

    from dcipher._concurrency.callables import ProgressCallback
    from dcipher._results.downloads.transfers.sources import Source
    from dcipher._results.downloads.transfers.transfer import Sink
    from dcipher._wire.http_client import HTTPClient
    from dcipher.resilience import Resilience

__all__ = ["Download"]

PROGRESS = 1024 * 1024
"""Bytes of progress that reset the number of attempts."""
BETWEEN_REPORTS = 0.1
"""Seconds between two calls of `on_progress`."""


class Download:
    """The download of one result to a sink."""

    def __init__(
        self,
        http: HTTPClient,
        source: Source,
        open_sink: Callable[[], Sink],
        *,
        resilience: Resilience,
        timeout: httpx.Timeout,
        total_timeout: float | None,
        on_progress: ProgressCallback | None = None,
        connections: int = 1,
        send: Callable[[httpx.Request], httpx.Response] | None = None,
    ) -> None:
        """`connections`: for a large result, at most. `send`: sends its requests, instead of `http`."""
        self._source = source
        self._store = Store(http, source, timeout, total_timeout, math.inf, send)
        self._open_sink = open_sink
        self._resilience = resilience
        self.on_progress: ProgressCallback | None = on_progress
        self._parallel = ParallelDownload(
            http,
            source,
            resilience=resilience,
            timeout=timeout,
            total_timeout=total_timeout,
            connections=connections,
        )
        self._pace: Pace | None = None
        self._reported = 0.0
        self._pause = Pause()
        self._writer: Writer
        self._started = 0.0
        self._was_resumed = False

    def run(self) -> Transfer:
        """Downloads the result. Raises `TransferError`, or errors of the sink and the callback.

        The thread that runs it owns the sink, from its opening to its closing.
        """
        self._writer = Writer(self._open_sink(), self._check_aborted)
        self._started = monotonic()
        if self._resilience.deadline is not None:
            self._store.ends = self._started + self._resilience.deadline
        try:
            self._was_resumed = self._writer.resume()
            self._log_resumption()
            self._fetch_all()
            self._writer.commit()
        except _CallbackError as failed:
            self._end(failed.error)
            raise failed.error from None
        except BaseException as error:
            self._end(error)
            raise
        finally:
            self._writer.close()
        return self._transfer

    @property
    def _transfer(self) -> Transfer:
        return self._writer.transfer

    def _log_resumption(self) -> None:
        if self._was_resumed:
            logger.info(
                "download from %s: resuming after %d bytes",
                redact_query(self._source.url), self._transfer.arrived,
            )  # fmt: skip

    def _end(self, error: BaseException) -> None:
        if isinstance(error, TransferError):  # a store may repeat its URL in its error
            error.args = (redact(str(error), self._store.secrets),)
        self._writer.end(error)

    def _fetch_all(self) -> None:
        """Retries until the result is complete."""
        while True:
            before = self._transfer.arrived
            try:
                send_again(
                    self._attempt,
                    lambda error: error.failure if isinstance(error, TransferError) else None,
                    self._resilience,
                    repeatable=True,
                    what=f"download from {redact_query(self._source.url)}",
                    pause=self._pause.wait,
                    started=self._started,
                )
            except TransferError as error:
                # Attempts with progress earn as many more as a new transfer has.
                earned = self._transfer.can_resume and self._transfer.arrived - before >= PROGRESS
                delay = self._delay_after(error.failure) if earned else None
                if delay is None:
                    raise
                self._pause.wait(delay)
            else:
                self._report(last=True)
                return

    def _delay_after(self, failure: Failure) -> float | None:
        """Returns the seconds until the first attempt of another round."""
        return next_delay(
            failure,
            self._resilience,
            repeatable=True,
            attempts=1,
            elapsed=monotonic() - self._started,
            jitter=random.random(),  # noqa: S311 - spreads retries, guards nothing
        )

    def abort(self) -> None:
        """Ends the download soon, from another thread. A wait for the network is interrupted."""
        self._pause.end()
        self._store.wake_up()

    def _attempt(self) -> None:
        token, hidden = downloading.set(True), redacting.set(tuple(self._store.secrets))
        try:
            self._fetch_or_begin_anew()
        except DcipherError:
            raise
        # anyio does not convert an ssl.SSLError after the handshake; a name that IDNA cannot encode
        # is a UnicodeError.
        except (httpx.TransportError, httpx.InvalidURL, OSError, UnicodeError) as error:
            raise self._store.lost(error) from None
        finally:
            downloading.reset(token)
            redacting.reset(hidden)

    def _fetch_or_begin_anew(self) -> None:
        asks_for_the_rest = self._transfer.can_resume
        try:
            self._fetch(self._transfer)
        except _ParallelRefusedError:
            # A store that rejects several connections may accept one: this is not yet a failure.
            self._fetch_or_begin_anew()
        except TransferError as error:
            if self._was_resumed and error.problem in {Problem.CHANGED, Problem.BROKEN}:
                # The part of an earlier download is of another object, or damaged.
                self._restart()
            elif not (asks_for_the_rest and may_refuse_ranges(error)):
                raise
            self._was_resumed = False
            # A store that rejects a range may send the whole file; the part is kept until it does.
            self._fetch(Transfer())

    def _fetch(self, asked: Transfer) -> None:
        """Requests what `asked` does not have: one request for each gap."""
        self._fetch_gap(asked)
        while self._transfer.parts and self._transfer.received == self._transfer.gap_ends:
            self._writer.close_gap()
            self._fetch_gap(self._transfer)
        self._writer.catch_up()
        self._writer.check()

    def _fetch_gap(self, asked: Transfer) -> None:
        """Sends one request, and writes its body."""
        self._check_aborted()
        if self._source.is_hopeless(time.time()):
            raise TransferError(Problem.EXPIRED, "its URL has expired", Failure(Outcome.PERMANENT))
        response = self._store.get(headers_for(asked))
        try:
            if response.status_code not in {200, 203, 206}:
                raise self._refused(response)
            self._continue_from(response)
            self._copy(response)
        finally:
            self._store.deadline = None  # the connection may serve another request now
            response.close()

    def _check_aborted(self) -> None:
        if self._pause.ended:
            raise TransferError(Problem.INTERRUPTED, "it was aborted", Failure(Outcome.PERMANENT))

    def _refused(self, response: httpx.Response) -> TransferError:
        excerpt = self._store.excerpt(response)
        if response.status_code in {412, 416}:
            self._restart()
        return refused(
            response.status_code,
            response.headers,
            excerpt,
            source=self._source,
            secrets=self._store.secrets,
            now=time.time(),
            resilience=self._resilience,
        )

    def _continue_from(self, response: httpx.Response) -> None:
        try:
            transfer = begin(
                self._transfer,
                response.status_code,
                response.headers,
                keeps_encoded=self._source.keeps_encoded,
            )
        except TransferError:
            self._restart()
            raise
        self._writer.begin(transfer)
        if transfer.received == 0 and transfer.encoding == KEPT:
            logger.warning(
                "download from %s: its content encoding is unknown: the file is saved encoded",
                redact_query(self._source.url),
            )  # fmt: skip
        self._pace = None
        can_split = can_be_split(transfer, response.status_code, response.headers)
        if self._parallel.is_enabled and can_split:
            self._pace = Pace(monotonic())
        if not transfer.self_delimiting and not transfer.digests:
            self._accept_unverifiable()

    def _accept_unverifiable(self) -> None:
        words = (
            "the store sent neither a length nor a digest: a lost connection would not be detected"
        )
        if self._source.require_integrity:
            raise TransferError(Problem.BROKEN, words, Failure(Outcome.PERMANENT))
        logger.warning("download from %s: %s", redact_query(self._source.url), words)

    def _restart(self) -> None:
        self._writer.restart()

    def _copy(self, response: httpx.Response) -> None:
        """Writes the body to the sink, by the megabyte or the second. Bytes before a failure are written, too."""
        batch: list[bytes | memoryview] = []
        size, deadline, last = 0, self._store.watch_body(), monotonic()
        try:
            with closing(raw_body(response)) as chunks, watched(response, deadline):
                for chunk in chunks:
                    batch.append(chunk)
                    size += len(chunk)
                    deadline.arrived(len(chunk))
                    is_full = size >= BATCH or isinstance(chunk, memoryview)
                    if is_full or monotonic() - last > PATIENCE:
                        self._check_aborted()
                        # Released before it is written: Ctrl-C in between must not write it twice.
                        full, batch, length, size = batch, [], size, 0
                        self._write(full, length)
                        last = monotonic()
                        self._report()
                        if self._is_slow(length) and self._fetch_in_parallel(chunks):
                            return
        finally:
            if batch:
                self._write(batch, size)

    def _is_slow(self, size: int) -> bool:
        return self._pace is not None and self._pace.is_slow(size, monotonic())

    def _fetch_in_parallel(self, chunks: Any) -> bool:
        """Downloads the rest by several connections. Returns False if that is impossible."""
        total = self._transfer.total
        self._pace = None
        if total is None or not self._writer.sink.reserve(total):
            return False
        progress = self._parallel.fetch(
            self._transfer, self._writer.sink, self._store, chunks, self._started
        )
        try:
            for self._writer.transfer, settled in progress:
                self._check_aborted()
                self._writer.catch_up(settled)
                self._writer.persist_if_due()
                self._report()
        except TransferError as error:
            if error.problem is Problem.CHANGED:
                self._restart()
            if (error.problem, error.failure.outcome) != (Problem.REFUSED, Outcome.PERMANENT):
                raise
            raise _ParallelRefusedError from None
        finally:
            progress.close()
        return True

    def _write(self, batch: list[bytes | memoryview], size: int) -> None:
        self._writer.write(batch, size)

    def _report(self, *, last: bool = False) -> None:
        now = monotonic()
        if self.on_progress is None or not (last or now - self._reported >= BETWEEN_REPORTS):
            return
        self._reported = now
        token = downloading.set(False)  # records of the user's function are not redacted
        try:
            call_back(self.on_progress, self._transfer.arrived, self._transfer.total)
        except Exception as error:
            raise _CallbackError(error) from error
        finally:
            downloading.reset(token)


class _ParallelRefusedError(Exception):
    """The store rejected the other connections: the download continues by one."""


class _CallbackError(Exception):
    """Carries an exception of `on_progress` past the retries, which must not handle it."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error
