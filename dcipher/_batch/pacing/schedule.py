"""Schedules starts, polls and results of all rows, by their due times; pure."""

from __future__ import annotations

import heapq
import math
from collections import deque
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from dcipher._batch.journal.states import Row
    from dcipher.models import Run

    from .durations import Durations
    from .gate import Gate
    from .in_flight import InFlight

__all__ = ["Action", "Job", "Kind", "Schedule"]

Kind: TypeAlias = Literal["start", "poll", "finish"]

LOOKAHEAD: Final = 200
"""Rows that are read before they can be started."""
UNDELIVERED: Final = 50
"""Outcomes that may wait for their reader; beyond that, no result is fetched and no run is started."""
WINDOW: Final = 400
"""Rows after the first one without an outcome, if outcomes are returned in the order of the rows."""


@dataclass(eq=False)
class Job:
    """A row that is being worked on."""

    row: Row
    run: Run | None = None
    began: float = 0.0
    """When its run was started, by the clock of the schedule."""
    due: float = 0.0
    """When its next poll is due, or its last one was."""
    seen_running: float = 0.0
    """Its age in seconds when it was last reported as unfinished."""
    is_resumed: bool = False
    failures: int = 0
    """Failed attempts of the row itself: others succeeded since the previous one."""
    successes_before: int = -1
    """The number of successes of all rows when its last attempt failed."""
    is_counted: bool = field(default=False, repr=False)
    """Whether it is in flight."""


class Action(NamedTuple):
    """One request, or one result."""

    kind: Kind
    job: Job


class Schedule:
    """The rows in progress, by due time.

    `now` is in seconds of a monotonic clock. Its methods are called by one thread at a time.
    """

    def __init__(
        self,
        gate: Gate,
        in_flight: InFlight,
        durations: Durations,
        *,
        starts_per_second: float | None = None,
        ordered: bool = False,
    ) -> None:
        self._gate = gate
        self._limit = in_flight
        self._durations = durations
        self._start_interval = None if starts_per_second is None else 1 / starts_per_second
        self._next_start = 0.0
        self._ordered = ordered
        self._ready: deque[Job] = deque()
        self._due: list[tuple[float, int, Action]] = []
        self._ended: deque[Job] = deque()
        self._numbers = count()
        self._busy = 0
        self.in_flight: int = 0
        self.undelivered: int = 0
        """Outcomes that wait for their reader."""
        self.head: int = 0
        """The position of the first row without an outcome."""
        self.is_exhausted: bool = False
        """Whether there are no further rows."""
        self.is_stopped: bool = False

    @property
    def running(self) -> int:
        """Runs that have not ended: those in flight, without failed starts."""
        return self.in_flight - sum(action.kind == "start" for _, _, action in self._due)

    @property
    def wants_rows(self) -> bool:
        """Whether the next rows should be read."""
        return len(self._ready) < LOOKAHEAD and self.undelivered < UNDELIVERED

    def add(self, job: Job, now: float) -> None:
        """Adds a row: to be started, or to be polled."""
        if job.run is None:
            self._ready.append(job)
            return
        self._count(job, 1)
        self.poll_at(job, now)

    def next(self, now: float) -> Action | float | None:
        """Returns the next action; or the time of the next call; or `None` if there is nothing left to do."""
        if self.is_stopped:
            return None if self._busy == 0 else math.inf
        if self._ended and self.undelivered < UNDELIVERED:
            return self._taken(Action("finish", self._ended.popleft()))
        due = self._due[0][0] if self._due else math.inf
        if due <= now:
            due = self._gate_at(self._due[0][2].kind, now)
            if due <= now:
                return self._sent(heapq.heappop(self._due)[2], now)
        start = self._gate_at("start", now) if self._may_start() else math.inf
        if start <= now:
            return self._sent(Action("start", self._ready.popleft()), now)
        at = min(due, start)
        return None if at == math.inf and self._is_done() else at

    def earliest(self, now: float) -> float:
        """Returns the time of the next action at the earliest."""
        if self._ended and self.undelivered < UNDELIVERED:
            return now
        due = self._due[0][0] if self._due else math.inf
        return min(due, self._gate_at("start", now)) if self._may_start() else due

    def _gate_at(self, kind: Kind, now: float) -> float:
        if kind == "start" and self._start_interval is not None:
            return max(self._gate.open_at(now), self._next_start)
        return self._gate.ready_at(now, poll=kind == "poll")

    def _may_start(self) -> bool:
        if not self._ready or self.in_flight >= self._limit.limit:
            return False
        if self._ordered and self._ready[0].row.position >= self.head + WINDOW:
            return False
        return self.undelivered + len(self._ended) < UNDELIVERED

    def _sent(self, action: Action, now: float) -> Action:
        self._gate.sent(now, poll=action.kind == "poll")
        if action.kind == "start" and self._start_interval is not None:
            self._next_start = max(self._next_start + self._start_interval, now)
        self._count(action.job, 1)
        return self._taken(action)

    def _taken(self, action: Action) -> Action:
        self._busy += 1
        return action

    def begun(self) -> None:
        """Counts what an action left to be done after it."""
        self._busy += 1

    def done(self) -> None:
        """Counts an action that has been carried out, or what it left to be done."""
        self._busy -= 1

    def delivered(self) -> bool:
        """Counts an outcome that its reader took; returns whether the schedule waited for that."""
        self.undelivered -= 1
        return self.undelivered + len(self._ended) >= UNDELIVERED - 1

    def _is_done(self) -> bool:
        return (
            self.is_exhausted and self._busy == 0 and not (self._ready or self._due or self._ended)
        )

    def _count(self, job: Job, more: int) -> None:
        if job.is_counted is (more < 0):
            job.is_counted = more > 0
            self.in_flight += more

    # Outcomes of actions

    def start_again(self, job: Job, at: float | None = None) -> None:
        """Starts a row again: next, or at a given time."""
        if at is None:
            self._count(job, -1)
            self._ready.appendleft(job)
        else:
            self._push(at, Action("start", job))

    def started(self, job: Job, now: float) -> None:
        """Polls a run that was just started, when most others of its flow have nearly ended."""
        job.began = now
        self.poll_at(job, now + self._durations.first_poll())

    def polled(self, job: Job, now: float) -> None:
        """Polls an unfinished run again."""
        job.seen_running = now - job.began
        self.poll_at(job, now + self._durations.next_poll(job.seen_running))

    def poll_at(self, job: Job, at: float) -> None:
        """Polls a run at a given time."""
        job.due = at
        self._push(at, Action("poll", job))

    def _push(self, at: float, action: Action) -> None:
        heapq.heappush(self._due, (at, next(self._numbers), action))

    def ended(self, job: Job) -> None:
        """Counts a run that has ended."""
        self._count(job, -1)
        if not job.is_resumed:
            # Not by `now`: late polls must not delay the next ones further.
            self._durations.ended(job.due - job.began, seen_running=job.seen_running)

    def finish(self, job: Job) -> None:
        """Fetches the result of a run, as soon as the limit permits."""
        self._ended.append(job)

    def drop(self, job: Job) -> None:
        """Forgets a row that has its outcome."""
        self._count(job, -1)
