"""Counts outcomes, in constant memory."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from .outcomes import Outcome

__all__ = ["FailureGroup", "Tally"]

EXAMPLES: Final = 5
"""Rows that are named for each kind of failure."""
LONGEST_MESSAGE: Final = 500
SECONDS: Final = 100_000
"""Durations that are kept for the percentiles."""


@dataclass(frozen=True)
class FailureGroup:
    """The rows that failed for one reason."""

    status: str
    """The status of their outcomes."""
    type: str
    """The class of their errors."""
    count: int
    keys: tuple[str, ...]
    """The keys of the first of them."""
    message: str
    """The text of the first error."""


@dataclass
class Tally:
    """The outcomes so far."""

    counts: Counter[str] = field(default_factory=Counter)
    reused: int = 0
    new_failures: int = 0
    """Rows that are not `done`, without those from the journal."""
    seconds: array[float] = field(default_factory=lambda: array("d"))
    resent: list[str] = field(default_factory=list)
    """The keys of the first rows whose start was retried after a lost response."""
    resent_count: int = 0
    resent_late: int = 0
    _groups: dict[tuple[str, str], list[Any]] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Rows that have an outcome."""
        return sum(self.counts.values())

    def add(self, outcome: Outcome[Any]) -> None:
        """Counts an outcome."""
        self.counts[outcome.status] += 1
        self.reused += outcome.reused
        if outcome.status == "done":
            return
        self.new_failures += not outcome.reused
        kind = (outcome.status, type(outcome.error).__name__ if outcome.error else "")
        group = self._groups.setdefault(kind, [0, [], str(outcome.error or "")[:LONGEST_MESSAGE]])
        group[0] += 1
        if len(group[1]) < EXAMPLES:
            group[1].append(outcome.key)

    def took(self, seconds: float) -> None:
        """Counts the duration of a run."""
        if len(self.seconds) < SECONDS:
            self.seconds.append(seconds)

    def sent_again(self, key: str, *, late: bool) -> None:
        """Counts a row whose start may have been accepted before; `late`: its key may be forgotten."""
        self.resent_count += 1
        self.resent_late += late
        if len(self.resent) < 100:
            self.resent.append(key)

    def groups(self) -> tuple[FailureGroup, ...]:
        """Returns the failures by kind, the most frequent first."""
        found = [
            FailureGroup(status, type_, count, tuple(keys), message)
            for (status, type_), (count, keys, message) in self._groups.items()
        ]
        return tuple(sorted(found, key=lambda group: -group.count))

    def percentile(self, share: float) -> float | None:
        """Returns a percentile of the durations of the runs, in seconds; `None`: none has ended."""
        if not self.seconds:
            return None
        ranked = sorted(self.seconds)
        return ranked[min(int(share * len(ranked)), len(ranked) - 1)]
