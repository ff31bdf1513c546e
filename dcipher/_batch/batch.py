# Generated from dcipher/_batch/batch_async.py by scripts/unasync.py: edit that, not this.
"""A batch: an iterator of outcomes, with a report and `stop`."""

from __future__ import annotations

import warnings
from collections.abc import Generator
from contextlib import closing
from typing import Generic, TypeVar

import dcipher
from dcipher._batch.engine.engine import Engine
from dcipher._batch.engine.plan import Plan
from dcipher._batch.engine.steps import Service
from dcipher._concurrency.iterables import is_streamed
from dcipher.errors import BatchError
from dcipher.errors._hints import with_hint

from .shards import Shards

__all__ = ["Batch"]

T = TypeVar("T")


class Batch(Generic[T]):
    """A batch of runs of one flow. `flows.map` returns it.

    Nothing is read or sent before you iterate over it or call `run`. Do one of them, once. To resume from the
    journal, call `flows.map` again.
    """

    def __init__(self, service: Service, plan: Plan, shards: Shards[T] | None = None) -> None:
        self._has_begun = True  # unless the constructor succeeds: a rejected batch cannot run
        is_streamed(plan.rows)
        self._engine: Engine[T] | Shards[T] = shards or Engine(service, plan)
        self._has_begun = False

    def __iter__(self) -> Generator[dcipher.Outcome[T]]:
        """Yields the outcome of each row, as soon as it is known.

        The failure of a row is an outcome, and does not end the batch. Raises `TooManyFailuresError`, `JournalError`,
        `InvalidParamsError` for a row that cannot be sent, and an `APIError` that every row would
        meet, such as `AuthenticationError`.
        """
        if self._has_begun:
            raise with_hint(
                BatchError("A batch runs once."),
                "Call flows.map again: it resumes from the journal.",
            )
        self._has_begun = True
        return self._engine.outcomes()

    def run(self) -> dcipher.BatchReport:
        """Runs the batch to its end, discards the outcomes, and returns the report.

        Raises the errors of the iteration.
        """
        with closing(self.__iter__()) as outcomes:
            for _ in outcomes:
                pass
        return self.report

    @property
    def report(self) -> dcipher.BatchReport:
        """The report. Raises `BatchError` before the end of the batch."""
        report = self._engine.report
        if report is None:
            raise BatchError("The batch has no report yet: it has not ended.")
        return report

    def stop(self) -> None:
        """Stops starting runs, and ends the iteration.

        Requests in progress are completed. Started runs continue, and the same call
        waits for them later.
        """
        self._engine.stop()

    def __del__(self) -> None:
        if not getattr(self, "_has_begun", True):
            warnings.warn(
                "A batch of flows.map was never run: nothing was sent. Iterate over it, or call run().",
                UserWarning,
                stacklevel=2,
            )

    def __repr__(self) -> str:
        state = "not begun" if not self._has_begun else str(self._engine.report or "running")
        return f"<{type(self).__name__}: {state}>"
