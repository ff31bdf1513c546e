"""When a run is polled: learned from the runs that have ended; pure."""

from __future__ import annotations

from collections import deque
from typing import Final

__all__ = ["Durations"]

REMEMBERED: Final = 101
"""Runs that the median is taken of: the last ones."""
FIRST_POLL: Final = 0.8
"""The share of the median after which a run is polled first, at the earliest."""
EARLY: Final = 0.1
"""The share of the runs that may have ended before they are polled first, if most take equally long."""
STEP: Final = 0.05
"""The share of the median between two polls, until a run takes longer than usual."""
LATE_STEP: Final = 0.1
"""The share of its age between two polls of a run that takes longer than usual."""
UNKNOWN_GROWTH: Final = 0.5
"""The same, while no run has ended yet: a few polls are enough to learn the duration."""
SHORTEST: Final = 0.1
FIRST_UNKNOWN: Final = 0.5
LONGEST: Final = 60.0


class Durations:
    """How long the runs of one flow take."""

    def __init__(self, usual: float | None = None) -> None:
        self._known: deque[float] = deque(() if usual is None else (usual,), REMEMBERED)
        self.usual: float | None = usual
        """The median, in seconds; `None`: no run has ended."""
        self._early = 0.0
        self._since = 0

    def ended(self, seconds: float, *, seen_running: float) -> None:
        """Learns from a run that was seen ended at one age, and going on at another, both in seconds.

        A run that had ended when it was first polled may have ended long before: it is taken to have
        been shorter, so that the next ones are polled earlier.
        """
        self._known.append(max(seen_running, FIRST_POLL * seconds))
        self._since += 1
        # Sorting for each run would cost more than it tells.
        if len(self._known) < 10 or self._since >= 10:
            self._since = 0
            # Not by `statistics`: each program that makes a client would import that.
            ordered, middle = sorted(self._known), len(self._known) // 2
            self.usual = (ordered[middle] + ordered[~middle]) / 2
            self._early = ordered[int(EARLY * len(ordered))] if len(ordered) >= 10 else 0.0

    def first_poll(self) -> float:
        """Returns the age, in seconds, at which a run is polled first."""
        if self.usual is None:
            return FIRST_UNKNOWN
        return max(FIRST_POLL * self.usual, self._early, SHORTEST)

    def next_poll(self, age: float) -> float:
        """Returns the seconds until the next poll of a run of this age."""
        if self.usual is None:
            seconds = UNKNOWN_GROWTH * age
        elif age < self.usual * FIRST_POLL:
            seconds = self.usual * FIRST_POLL - age
        else:
            seconds = STEP * self.usual if age < self.usual else LATE_STEP * age
        return min(max(seconds, SHORTEST), LONGEST)
