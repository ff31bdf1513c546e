"""Writes the received bytes of one result: hashed, decoded, persisted for a later download."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from dcipher._concurrency.clock import monotonic
from dcipher._wire.messages.encodings import Inflater
from dcipher._wire.retries import Failure, Outcome
from dcipher.signing.digests import hasher

from .sources import MAX_EXPANSION, Problem, TransferError
from .transfer import KEPT, Transfer, check_whole, is_due, is_worth_keeping

if TYPE_CHECKING:
    from collections.abc import Callable

    from dcipher.signing.digests import Hasher

    from .transfer import Sink

__all__ = ["BATCH", "Writer"]

BATCH = 1024 * 1024
"""Bytes that are written at once."""
HASHED_AT_ONCE = 16 * 1024 * 1024
"""Bytes that are hashed between two checks of the other connections."""


class Writer:
    """Writes a transfer to its sink.

    Its methods block: an async download calls them in a thread. `check_aborted` raises an error if
    the download was aborted.
    """

    def __init__(self, sink: Sink, check_aborted: Callable[[], None]) -> None:
        self.sink = sink
        self.transfer = Transfer()
        """What was received so far."""
        self._check_aborted = check_aborted
        self._hashes: dict[str, Hasher] = {}
        self._hashed = 0
        self._inflater: Inflater | None = None
        self._persisted, self._persisted_at = 0, 0.0
        self._in_use = threading.Lock()
        """Held while the sink is used: a native cancellation does not end the thread that uses it."""

    def resume(self) -> bool:
        """Resumes an earlier download; returns whether there was one."""
        with self._in_use:
            self.transfer = self.sink.resume()
            self._hashes, self._hashed = _hashes(self.transfer), 0
        self.catch_up()
        self._persisted, self._persisted_at = self.transfer.arrived, monotonic()
        return self.transfer.received > 0

    def begin(self, transfer: Transfer) -> None:
        """Prepares for the body of a response, which continues or replaces the received bytes."""
        if transfer.received > 0:
            self.sink.seek(transfer.received)
        else:
            self.restart()
            self._hashes = _hashes(transfer)
            encoding = transfer.encoding
            if encoding is not None and encoding != KEPT:
                self._inflater = Inflater(encoding, lambda n: n * MAX_EXPANSION + BATCH)
        self.transfer = transfer

    def restart(self) -> None:
        """Discards the received bytes."""
        with self._in_use:
            self.sink.restart()
        self.transfer, self._inflater = Transfer(), None
        self._hashes, self._hashed = {}, 0
        self._persisted, self._persisted_at = 0, monotonic()

    def write(self, batch: list[bytes | memoryview], size: int) -> None:
        """Writes chunks of `size` bytes behind the received ones."""
        with self._in_use:
            self._append(batch, size)

    def _append(self, batch: list[bytes | memoryview], size: int) -> None:
        if self._hashed == self.transfer.received:
            for running in self._hashes.values():
                for chunk in batch:
                    running.update(chunk)
            self._hashed += size
        if self._inflater is None:
            self.sink.writelines(batch)
        else:
            self._inflate(self._inflater, batch)
        self.transfer = replace(self.transfer, received=self.transfer.received + size)
        self.persist_if_due()

    def _inflate(self, inflater: Inflater, batch: list[bytes | memoryview]) -> None:
        try:
            for chunk in batch:
                for piece in inflater.feed(bytes(chunk)):
                    self.sink.writelines([piece])
        except ValueError as error:
            raise TransferError(Problem.BROKEN, str(error), Failure(Outcome.AMBIGUOUS)) from None

    def persist_if_due(self) -> None:
        """Makes the received bytes durable, if there are enough new ones."""
        if is_due(self.transfer, self._persisted, monotonic() - self._persisted_at):
            self.sink.persist(self.transfer)
            self._persisted, self._persisted_at = self.transfer.arrived, monotonic()

    def close_gap(self) -> None:
        """Closes a gap that is filled: the received bytes extend to the next one."""
        (_, end), *parts = self.transfer.parts
        self.transfer = replace(self.transfer, received=end, parts=tuple(parts))
        self.catch_up()

    def catch_up(self, settled: int | None = None) -> None:
        """Hashes the bytes of the file that were not hashed when they were received.

        `settled`: hash some of them, up to this offset; other connections write behind it.
        """
        with self._in_use:
            end = self.transfer.received
            if settled is not None:
                end = min(end, settled, self._hashed + HASHED_AT_ONCE)
            for block in self.sink.read(self._hashed, end) if self._hashes else ():
                self._check_aborted()
                for running in self._hashes.values():
                    running.update(block)
                self._hashed += len(block)

    def check(self) -> None:
        """Checks the complete result. Raises `TransferError`."""
        try:
            check_whole(
                self.transfer, {name: running.digest() for name, running in self._hashes.items()}
            )
            if self._inflater is not None:
                self._inflater.finish(may_be_empty=self.transfer.total == 0)
        except TransferError as error:
            if error.problem is Problem.BROKEN:
                self.transfer = replace(self.transfer, etag=None)  # nothing of it can be resumed
            raise
        except ValueError as error:
            raise TransferError(Problem.BROKEN, str(error), Failure(Outcome.AMBIGUOUS)) from None

    def commit(self) -> None:
        """Makes the complete result durable, and visible."""
        with self._in_use:
            self.sink.prepare()
            # The disk may have been slow: the download may have been cancelled in the meantime.
            self._check_aborted()
            self.sink.commit()

    def end(self, error: BaseException) -> None:
        """Persists what another download can resume, and discards the rest."""
        with self._in_use:
            if not is_worth_keeping(self.transfer, error):
                self.sink.discard()
                return
            with suppress(OSError):  # what was synced before is kept
                kept = self.sink.persist(self.transfer)
                if kept and isinstance(error, TransferError):
                    error.kept = self.transfer.arrived

    def close(self) -> None:
        """Closes the sink."""
        with self._in_use:
            self.sink.close()


def _hashes(transfer: Transfer) -> dict[str, Hasher]:
    return {name: hasher(name) for name in transfer.digests}
