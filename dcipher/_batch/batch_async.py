"""A batch, as its user holds it: the outcomes to iterate over, the report, and `stop`."""

from __future__ import annotations

import warnings
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Generic, TypeVar

import dcipher
from dcipher._concurrency.iterables import async_is_streamed
from dcipher.errors import BatchError

from .engine_async import AsyncEngine, AsyncService
from .plan import Plan
from .shards_async import AsyncShards

__all__ = ["AsyncBatch"]

T = TypeVar("T")


class AsyncBatch(Generic[T]):
    """Many runs of one flow: what `flows.map` returns.

    Nothing is read or sent until it is iterated over, or `run` is called. Either once: the same line
    again makes another batch, which resumes from the journal.
    """

    def __init__(
        self, service: AsyncService, plan: Plan, shards: AsyncShards[T] | None = None
    ) -> None:
        self._has_begun = True  # unless it gets further: what was refused is not to be run
        async_is_streamed(plan.rows)
        self._engine: AsyncEngine[T] | AsyncShards[T] = shards or AsyncEngine(service, plan)
        self._has_begun = False

    def __aiter__(self) -> AsyncGenerator[dcipher.Outcome[T]]:
        """Yields the outcome of each row, as soon as it is known.

        One failure ends nothing: it is an outcome. Raises `TooManyFailuresError`, `JournalError`,
        `InvalidParamsError` for a row that cannot be sent, and the `APIError`s that would be the same
        for every row.
        """
        if self._has_begun:
            raise BatchError(
                "A batch runs once. Call flows.map again: it resumes from the journal."
            )
        self._has_begun = True
        return self._engine.outcomes()

    async def run(self) -> dcipher.BatchReport:
        """Runs to the end, lets go of the outcomes, and returns the report.

        Raises what iterating raises.
        """
        async with aclosing(self.__aiter__()) as outcomes:
            async for _ in outcomes:
                pass
        return self.report

    @property
    def report(self) -> dcipher.BatchReport:
        """What became of the rows. Raises `BatchError` before the end."""
        report = self._engine.report
        if report is None:
            raise BatchError("The batch has no report yet: it has not ended.")
        return report

    def stop(self) -> None:
        """Starts nothing more, and ends the iteration.

        What is being sent is brought to its end; runs that were started go on, and the same line
        again waits for them.
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
