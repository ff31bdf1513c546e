# Generated from dcipher/_batch/shards_async.py by scripts/unasync.py: edit that, not this.
"""Runs a batch in the workers of an executor: its rows in shards, each a separate batch."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from dcipher._batch.engine.failures import add_note
from dcipher._batch.engine.plan import too_many_failures
from dcipher._concurrency.clock import monotonic
from dcipher._concurrency.iterables import is_streamed
from dcipher._concurrency.sleeping import sleep
from dcipher.calls import flow_id_of, is_call, result_type_of
from dcipher.errors import InvalidParamsError
from dcipher.errors._hints import with_hint

from .inputs.rows import rows_of
from .reports.report import BatchReport, report_of
from .reports.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from concurrent.futures import Executor, Future

    from dcipher._batch.engine.plan import Plan
    from dcipher._batch.reports.outcomes import Outcome

    from .partition import Partition

__all__ = ["Shards"]

T = TypeVar("T")

AT_ONCE: Final = 16
"""Shards that are submitted before the first of them has ended."""
INTERVAL: Final = 0.02
"""Seconds between two checks for ended shards."""


class Shards(Generic[T]):
    """Runs a plan in an executor, as the engine does in this process."""

    def __init__(self, partition: Partition, plan: Plan, executor: Executor, shard: object) -> None:
        if isinstance(shard, bool) or not isinstance(shard, int) or shard < 1:
            raise InvalidParamsError(f"shard must be 1 or more, not {shard!r}.")
        if is_streamed(plan.rows):
            raise with_hint(
                InvalidParamsError("rows is an async iterator, which an executor cannot read."),
                "Pass a plain iterator with executor=….",
            )
        self._partition = partition
        self._plan = plan
        self._executor = executor
        self._size = shard
        self._is_stopped = False
        self._submitted: deque[tuple[int, Future[list[Outcome[T]]]]] = deque()
        self.report: BatchReport | None = None

    def stop(self) -> None:
        """Submits nothing more; shards in progress are completed."""
        self._is_stopped = True

    def outcomes(self) -> Generator[Outcome[T]]:
        """Yields the outcome of each row, when its shard has ended; the report is available at the end."""
        began, tally, shards, is_whole = monotonic(), Tally(), self._shards(), False
        try:
            while self._submit(shards):
                first, future = self._next()
                for outcome in future.result():
                    tally.add(outcome)
                    yield replace(outcome, index=outcome.index + first)
                self._judge(tally, at_end=False)
            is_whole = not self._is_stopped
            if is_whole:
                self._judge(tally, at_end=True)
        except GeneratorExit:
            raise
        except BaseException as error:
            folder = self._partition.folder
            add_note(error, f"The same line again resumes from {folder}: nothing is started twice.")
            raise
        finally:
            for _, future in self._submitted:
                future.cancel()
            self.report = report_of(
                tally,
                left_running=0,
                total=monotonic() - began,
                throttled=0.0,
                starts=tally.rows - tally.reused,
                polls=0,
                stopped=not is_whole,
                journal=self._partition.folder,
            )

    def _submit(self, shards: Iterator[tuple[int, list[Any]]]) -> bool:
        """Submits as many shards as permitted; returns whether any is left."""
        while len(self._submitted) < AT_ONCE and not self._is_stopped:
            shard = next(shards, None)
            if shard is None:
                break
            first, rows = shard
            self._submitted.append((first, self._executor.submit(self._partition.rows, rows)))
        return bool(self._submitted)

    def _next(self) -> tuple[int, Future[list[Outcome[T]]]]:
        """Waits for an ended shard; with `ordered`, for the first one."""
        while True:
            looked_at = [self._submitted[0]] if self._plan.ordered else [*self._submitted]
            for shard in looked_at:
                if shard[1].done():
                    self._submitted.remove(shard)
                    return shard
            sleep(INTERVAL)

    def _shards(self) -> Iterator[tuple[int, list[Any]]]:
        rows, first = rows_of(self._plan.rows), 0
        while shard := [*islice(rows, self._size)]:
            if first == 0 and self._plan.flow_id is None:
                self._partition = _of_call(self._partition, shard[0])
            yield first, shard
            first += len(shard)

    def _judge(self, tally: Tally, *, at_end: bool) -> None:
        error = too_many_failures(tally, self._plan.max_failures, at_end=at_end)
        if error is not None:
            raise error


def _of_call(partition: Partition, first: object) -> Partition:
    """Returns the partition for calls, which name the flow and the type themselves."""
    if not is_call(first):
        raise InvalidParamsError(
            "Row 0 of the input is no FlowCall, and flow_id is missing: flows.map(flow_id, rows)."
        )
    read = result_type_of(type(first)) if partition.read is None else partition.read
    return replace(partition, flow_id=flow_id_of(type(first)), read=read)
