"""When to poll runs of one flow, if many of them are waited for: learned from those that ended; pure.

Each on its own would be polled every fifteenth of its age: a thousand runs of 20 s, 42,000 times. Together,
their first ends tell when the others are worth polling.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dcipher._batch.pacing.durations import FIRST_POLL, Durations

from .poll_intervals import LONGEST_INTERVAL, SHORTEST_INTERVAL

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Pace", "Paces"]

FEW: Final = 10
"""Waits for one flow up to which each run is polled as if it were the only one."""
EXPLORING: Final = 20.0
"""Polls per second of all runs of a flow, until the first of them has ended."""
LONGEST_UNKNOWN: Final = 30.0
"""Seconds between two polls of a run, until the first of them has ended."""
FASTEST: Final = 2000.0
"""Polls per second of those that have probably ended, when that becomes known."""
ON_TIME: Final = 1.01
"""The share of the usual duration at which a run that should have ended is polled."""
NEWS: Final = 0.9
"""The share of the usual duration below which a new one changes the polls that are planned."""
FLOWS: Final = 100
"""Flows whose durations are remembered."""


class Pace:
    """The runs of one flow that are waited for at the same time, and how long they usually take.

    Ages and intervals are in seconds. Each operation on a set or a dict is atomic: there is no lock.
    """

    def __init__(self) -> None:
        self._waits: dict[object, Callable[[], object]] = {}
        self._durations = Durations()
        self._announced = float("inf")
        self._overdue = 0
        """Runs that should have ended when that became known, so far. A count that a thread loses does no harm."""
        self._oldest = 0.0
        """The highest age at which a run was not finished."""

    @property
    def waits(self) -> int:
        """The number of waits."""
        return len(self._waits)

    def enter(self, wait: object, ring: Callable[[], object]) -> None:
        """Adds a wait; `ring` is called when its next poll may be due earlier than planned."""
        self._waits[wait] = ring

    def leave(self, wait: object) -> None:
        """Removes a wait."""
        self._waits.pop(wait, None)

    def interval(self, age: float, own: float, jitter: float) -> float:
        """Returns the seconds until the next poll of a run that was just started or polled.

        `own`: what they are for a single run; `jitter`: a random number from [0, 1).
        """
        count, usual = len(self._waits), self._durations.usual
        if count <= FEW:
            return own
        if usual is None:
            # A few polls see the first end, which tells when to poll the others.
            return min(max(own, count / EXPLORING * (0.5 + 0.5 * jitter)), LONGEST_UNKNOWN)
        own = max(own, FIRST_POLL * usual - age)
        if age < usual < age + 1.5 * own:
            own = max(ON_TIME * usual - age, SHORTEST_INTERVAL)
        return min(own, LONGEST_INTERVAL)

    def after_news(self, age: float) -> float:
        """Returns the seconds until the next poll of any other run, after `ring`."""
        usual = self._durations.usual or 0.0
        if age >= usual:  # all of those at once would be a burst; the oldest was called first
            self._overdue += 1
            return self._overdue / FASTEST
        return (FIRST_POLL if age < FIRST_POLL * usual else ON_TIME) * usual - age

    def running(self, age: float) -> None:
        """Counts a run that has not ended at this age."""
        self._oldest = max(self._oldest, age)

    def ended(self, age: float, seen_running: float) -> None:
        """Learns from a run that had ended at one age, and had not at another."""
        likely = self._oldest if self._oldest < age else (seen_running + age) / 2
        self._durations.ended(age, seen_running=max(likely, seen_running))
        usual = self._durations.usual or age
        if usual < NEWS * self._announced:
            self._announced, self._overdue = usual, 0
            for ring in self._waits.copy().values():
                ring()


class Paces:
    """The paces of all flows of a client."""

    def __init__(self) -> None:
        self._flows: dict[str, Pace] = {}

    def of(self, flow_id: str) -> Pace:
        """Returns the pace of a flow."""
        pace = self._flows.get(flow_id)
        if pace is None:
            if len(self._flows) >= FLOWS:
                self._flows = {name: kept for name, kept in self._flows.items() if kept.waits}
            pace = self._flows.setdefault(flow_id, Pace())
        return pace
