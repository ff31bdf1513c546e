"""Reports the progress of several results to `on_progress`, as sums over all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dcipher._concurrency.callables import async_call_back
from dcipher._concurrency.clock import monotonic

if TYPE_CHECKING:
    from dcipher._concurrency.callables import AsyncProgressCallback

__all__ = ["AsyncProgress"]

BETWEEN_REPORTS = 0.1
"""Seconds between two calls of `on_progress`."""


class AsyncProgress:
    """The progress of each result, reported to one callback."""

    def __init__(self, function: AsyncProgressCallback | None, count: int) -> None:
        self._function = function
        self._of_each: list[tuple[int, int | None] | None] = [None] * count
        self._reported: tuple[int, int | None] | None = None
        self._reported_at = 0.0

    def recorder(self, index: int) -> AsyncProgressCallback | None:
        """Returns a callback that records the progress of one result, thread-safe; `None`: not wanted."""

        def record(done: int, total: int | None) -> None:
            self._of_each[index] = (done, total)

        return None if self._function is None else record

    def reporter(self, index: int) -> AsyncProgressCallback | None:
        """Returns a callback that records the progress of one result and reports it."""

        async def record_and_report(done: int, total: int | None) -> None:
            self._of_each[index] = (done, total)
            await self.report()

        return None if self._function is None else record_and_report

    async def report(self, *, last: bool = False) -> None:
        """Calls the function after a change, at most every `BETWEEN_REPORTS`; with `last`, always."""
        sums, now = self._sums, monotonic()
        is_time = last or now - self._reported_at >= BETWEEN_REPORTS
        if sums is None or sums == self._reported or not is_time:
            return
        self._reported, self._reported_at = sums, now
        await async_call_back(self._function, *sums)

    @property
    def _sums(self) -> tuple[int, int | None] | None:
        """The received bytes, and the total if known of every result; `None`: nothing was recorded."""
        known = [one for one in self._of_each if one is not None]
        totals = [total for _, total in known if total is not None]
        if not known:
            return None
        all_known = len(totals) == len(self._of_each)
        return sum(done for done, _ in known), sum(totals) if all_known else None
