"""Hands the steps that are due to the workers of a batch."""

from __future__ import annotations

import math
from threading import RLock
from typing import Final

from dcipher._batch.pacing.schedule import Action, Schedule
from dcipher._concurrency.clock import monotonic
from dcipher._concurrency.sleeping import AsyncAlarm
from dcipher._concurrency.tasks.mailboxes import AsyncMailbox

__all__ = ["AsyncActions"]

IDLE: Final = 0.5
"""Seconds between two checks when nothing was reported: a thread may call `stop`."""
SOON: Final = 0.1
"""Seconds within which a worker, busy with a request, may not be back."""


class AsyncActions:
    """The steps that are due, for a few workers.

    A worker asks the schedule itself when its last step has ended. Of the idle ones, one waits for
    the time of the next step, the others until none does: waking a thread costs half as much as a request.
    """

    def __init__(self, schedule: Schedule, workers: int) -> None:
        self._schedule = schedule
        self._workers = workers
        self.lock: RLock = RLock()
        """For changes of the schedule."""
        self._alarm = AsyncAlarm()
        self._turns: AsyncMailbox[bool] = AsyncMailbox()
        self._room: AsyncMailbox[bool] = AsyncMailbox()
        self._waits_until: float | None = None
        """The time of the next step, if a worker waits for it."""
        self._wants_room = False
        self._idle = 0
        """Workers that wait until none waits for the next step."""
        self._is_over = False

    async def next(self) -> Action | None:
        """Waits for the next step; `None`: there are no more."""
        while not self._is_over:
            with self.lock:
                now = monotonic()
                due = self._schedule.next(now)
                if due is None:
                    break
                if isinstance(due, Action):
                    if self._schedule.earliest(now) < now + SOON:
                        self.let_one_wait()
                    self._make_room()
                    return due
                is_first = self._waits_until is None
                if is_first:
                    self._waits_until = due
                else:
                    self._idle += 1
                    self.wake(before=due)
            if is_first:
                await self._alarm.sleep(min(due - now, IDLE))
                self._waits_until = None
            else:
                await self._turns.get()
        self.end()
        return None

    def let_one_wait(self) -> None:
        """Wakes an idle worker if none waits for the next step: all others may be busy for long."""
        with self.lock:
            if self._waits_until is None and self._idle > 0:
                self._idle -= 1
                self._turns.put(True)

    def wake(self, before: float = -math.inf) -> None:
        """Has the schedule asked again, because something changed that was no step.

        `before`: not if a worker asks it by then anyhow.
        """
        with self.lock:
            until = self._waits_until
            if until is not None and before < until:
                self._waits_until = -math.inf  # once is enough
                self._alarm.ring()

    async def room(self) -> bool:
        """Waits until more rows are needed; returns False if none will be."""
        while not self._schedule.is_stopped:
            self._wants_room = True  # before the check: it may come true in between
            if self._schedule.wants_rows:
                return True
            await self._room.get(IDLE)
        return False

    def _make_room(self) -> None:
        if self._wants_room and self._schedule.wants_rows:
            self._wants_room = False
            self._room.put(True)

    def delivered(self) -> None:
        """Counts an outcome that its reader took."""
        with self.lock:
            if self._schedule.delivered():
                self.wake()
                self._make_room()

    def end(self) -> None:
        """Ends all workers after their step."""
        if not self._is_over:
            self._is_over = True
            self._alarm.ring()
            for _ in range(self._workers):
                self._turns.put(True)
