# Generated from dcipher/_results/progress_async.py by scripts/unasync.py: edit that, not this.
"""What `on_progress` hears of several results: the sums over all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dcipher._concurrency.callables import call_back
from dcipher._concurrency.clock import monotonic

if TYPE_CHECKING:
    from dcipher._concurrency.callables import ProgressCallback

__all__ = ["Progress"]

BETWEEN_REPORTS = 0.1
"""Seconds between two calls of `on_progress`."""


class Progress:
    """How far each result is, for one function that is told of all."""

    def __init__(self, function: ProgressCallback | None, count: int) -> None:
        self._function = function
        self._of_each: list[tuple[int, int | None] | None] = [None] * count
        self._told: tuple[int, int | None] | None = None
        self._told_at = 0.0

    def noted(self, index: int) -> ProgressCallback | None:
        """What notes how far one of them is, from whichever thread; `None`: nobody wants to know."""

        def note(done: int, total: int | None) -> None:
            self._of_each[index] = (done, total)

        return None if self._function is None else note

    def told(self, index: int) -> ProgressCallback | None:
        """The same for one that comes after the others: it tells at once."""

        def note_and_tell(done: int, total: int | None) -> None:
            self._of_each[index] = (done, total)
            self.tell()

        return None if self._function is None else note_and_tell

    def tell(self, *, last: bool = False) -> None:
        """Call the function where there is something new, and where it is time: `last`, in any case."""
        sums, now = self._sums, monotonic()
        is_time = last or now - self._told_at >= BETWEEN_REPORTS
        if sums is None or sums == self._told or not is_time:
            return
        self._told, self._told_at = sums, now
        call_back(self._function, *sums)

    @property
    def _sums(self) -> tuple[int, int | None] | None:
        """The bytes that arrived, and those in all, where each result has said so; `None`: none has."""
        known = [one for one in self._of_each if one is not None]
        totals = [total for _, total in known if total is not None]
        if not known:
            return None
        all_known = len(totals) == len(self._of_each)
        return sum(done for done, _ in known), sum(totals) if all_known else None
