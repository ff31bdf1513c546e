# Generated from dcipher/_results/records_async.py by scripts/unasync.py: edit that, not this.
"""The rows of a run's results, one by one."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from threading import Lock
from types import TracebackType
from typing import Any, BinaryIO, Generic, TypeVar, cast
from weakref import finalize

from typing_extensions import Self, override

from dcipher._concurrency.callables import Attempt
from dcipher._concurrency.tasks.threads import in_thread
from dcipher._results.outputs.failures import Rewindable, parse_errors, take
from dcipher._results.outputs.row_policy import RowPolicy
from dcipher._results.parsing.row_errors import InvalidRow, ResultReadError
from dcipher.logs import logger
from dcipher.models import Run
from dcipher.rejects import Rejects

from .results import Results

__all__ = ["Records"]

T = TypeVar("T")

SPOOLED = 8 * 1024 * 1024
"""Bytes of a result that are kept in memory while its rows are read.

What is larger goes to a temporary file.
"""


class Records(Iterator[T], Generic[T]):
    """The validated rows of a run's results: an iterator and a context manager.

    `client.runs.records` returns it. It can be iterated once, by one task or thread at a time. To
    stop early, call `close` or leave the context; this removes the temporary file. After an error,
    there are no more rows.
    """

    # Not a generator: trio warns of one that is not exhausted.

    def __init__(
        self,
        results: Results,
        begin: Attempt[tuple[Run, Sequence[int]]],
        run: Run,
        type_: Any,
        policy: RowPolicy,
    ) -> None:
        self._results = results
        self._begin = begin
        self._run = run
        self._type = type_
        self._policy = policy
        self._indexes: Iterator[int] | None = None
        self._index: int | None = None
        self._dropped = 0
        self._rows: Iterator[Any] | None = None
        self._batch: Iterator[T | InvalidRow | ResultReadError] = iter(())
        self._taken = 0
        self._closed = False
        self._spool: finalize[[], Records[T]] | None = None
        self._turn = Lock()

    @property
    def rejects(self) -> Rejects:
        """The invalid rows so far: each row with `on_invalid="collect"`, otherwise their counts."""
        return self._policy.rejects

    def close(self) -> None:
        """Removes the temporary file and ends the iteration. Closing twice does nothing.

        Raises:
            RuntimeError: Another task or thread is reading the rows.
        """
        if not self._turn.acquire(blocking=False):
            raise RuntimeError("These rows are still being read. Close them after the iteration.")
        try:
            self._close()
        finally:
            self._turn.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        self.close()

    @override
    def __iter__(self) -> Self:
        return self

    @override
    def __next__(self) -> T:
        while True:
            for row in self._batch:
                if not isinstance(row, (InvalidRow, ResultReadError)):
                    return row
                self._refuse(row)
            if not self._read_on():
                raise StopIteration

    @override
    def __repr__(self) -> str:
        return f"<{type(self).__name__} of run {self._run.task_id}: {self.rejects.read} rows read>"

    def _refuse(self, row: InvalidRow | ResultReadError) -> None:
        index = cast("int", self._index)
        try:
            with parse_errors(self._run, index):
                self._policy.raise_if_fatal(row)
            if isinstance(row, InvalidRow):
                self._dropped += 1
                self._policy.reject(row, index)
                self._policy.check(self._run, index)
        except BaseException:
            self._close()
            raise

    def _read_on(self) -> bool:
        """Reads the next batch of rows. Returns whether there are any."""
        if not self._turn.acquire(blocking=False):
            raise RuntimeError("These rows are being read by another task or thread.")
        try:
            while not self._closed:
                if self._rows is None and not self._open_next():
                    self._close()
                    self._policy.check(self._run, None, at_end=True)
                elif self._take():
                    return True
        except BaseException:
            self._close()
            raise
        finally:
            self._turn.release()
        return False

    def _take(self) -> bool:
        # Checked once all earlier rows have been returned.
        self._policy.count(self._taken)
        self._policy.check(self._run, self._index)
        rows = cast("Iterator[Any]", self._rows)
        batch = in_thread(take, rows, self._policy.batch_size())
        self._taken += len(batch)
        self._batch = iter(batch)
        if not batch:
            self._end_result()
        return bool(batch)

    def _open_next(self) -> bool:
        if self._indexes is None:
            self._run, indexes = self._begin()
            self._indexes = iter(indexes)
        self._index = next(self._indexes, None)
        if self._index is None:
            return False
        spool = tempfile.SpooledTemporaryFile(SPOOLED)  # noqa: SIM115 - it outlives this call
        # Also closed, without a warning, if nobody closes these rows.
        self._spool = finalize(self, spool.close)
        file = cast("BinaryIO", cast("object", spool))
        sink = Rewindable(file, self._run, self._index)
        self._rows = self._results.rows(self._run, self._index, self._type, file, sink)
        self._policy.next_result()
        return True

    def _end_result(self) -> None:
        if self._dropped and self._policy.on_invalid == "drop":
            logger.warning(
                "run %s: dropped %d invalid rows of result %d",
                self._run.task_id, self._dropped, self._index,
            )  # fmt: skip
        self._dropped = 0
        self._let_go()

    def _let_go(self) -> None:
        self._rows = None
        if self._spool is not None:
            self._spool()

    def _close(self) -> None:
        self._closed = True
        self._batch = iter(())
        self._let_go()
