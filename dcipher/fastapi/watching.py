"""Watches a run for all listeners to its status: one of them polls, all are notified.

The watcher lives in the request of a listener: no task outlives the responses. When that listener
leaves, another one continues.
"""

from __future__ import annotations

import sys
from collections import OrderedDict, deque
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from weakref import WeakKeyDictionary

import anyio
from anyio.lowlevel import RunVar

from dcipher.errors import DcipherError
from dcipher.fastapi.run_view import RunView

if TYPE_CHECKING:
    from collections.abc import Callable

    from dcipher import AsyncDcipher, Run

__all__ = ["Change", "Hub", "Watched", "hub_of"]

KEPT_CHANGES: Final = 100
"""Changes of a run that are kept for listeners who reconnect."""
KEPT_RUNS: Final = 1000
"""Runs without a listener whose changes are kept."""
TICK: Final = 0.2
"""Seconds after which the end of the process is noticed."""


class Change(NamedTuple):
    """A change of a run's status."""

    number: int
    """Counted from 1."""
    run: RunView


class Watched:
    """A run, and what was reported of it."""

    def __init__(self, hub: Hub, run: Run) -> None:
        self.key: tuple[str, str] = (run.flow_id, run.task_id)
        self.listeners = 0
        self.changes: deque[Change] = deque(maxlen=KEPT_CHANGES)
        self.ended: bool = False
        self.error: DcipherError | None = None
        self._hub = hub
        self._number = 0
        self._first_seen: datetime | None = None
        self._polling = anyio.Lock()
        self._changed = anyio.Event()

    @property
    def closing(self) -> bool:
        """Whether the process is about to end."""
        return self._hub.closing

    def after(self, last: int) -> tuple[Change, ...]:
        """Returns the changes that a listener who knows those up to `last` does not know."""
        return tuple(change for change in self.changes if change.number > last)

    def resume(self, last: int) -> int:
        """Returns the number of the last change that a new listener knows.

        `last` is the number that the listener sent. Another process, or this one before it forgot the
        run, may have counted differently: a number that is unknown here is ignored.
        """
        if not self.changes:
            self._number = max(self._number, last)  # the next change gets a new number
        return last if last <= self._number else self._number - 1

    async def changed(self) -> None:
        """Waits for the next change, an error, or the end of the process."""
        await self._changed.wait()

    async def poll(self, client: AsyncDcipher, run: Run) -> None:
        """Polls until the run has ended, as soon as no other listener polls."""
        async with self._polling:
            if self.ended or self.error is not None:
                return
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._notice_closing)
                await self._watch(client, run)
                tasks.cancel_scope.cancel()

    async def _watch(self, client: AsyncDcipher, run: Run) -> None:
        # A stream may outlast an outage that a request must not wait for.
        resilience = client._api.options.resilience  # noqa: SLF001 - of this package
        try:
            async with (
                client.with_options(resilience=replace(resilience, deadline=None)) as patient,
                aclosing(patient.runs.watch(self._aged(run))) as reports,
            ):
                async for report in reports:
                    self._report(report.model_copy(update={"created_at": run.created_at}))
        except DcipherError as error:
            self.error = error
            self._hub.forget(self)
        self._notify()

    def _aged(self, run: Run) -> Run:
        """Returns the run with an age, which the polling interval follows, once it is known to exist."""
        return run.model_copy(update={"created_at": run.created_at or self._first_seen})

    def _report(self, run: Run) -> None:
        self._first_seen = self._first_seen or datetime.now(timezone.utc)
        self.ended = run.is_terminal
        view = RunView.model_validate(run)
        # The listener that takes over the polling reports the current status again.
        if not self.changes or self.changes[-1].run.status != view.status:
            self._number += 1
            self.changes.append(Change(self._number, view))
        self._notify()

    async def _notice_closing(self) -> None:
        while not self.closing:  # noqa: ASYNC110 - set by a handler of a signal, outside the event loop
            await anyio.sleep(TICK)
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


class Hub:
    """The runs that are watched with one client, on one event loop."""

    def __init__(self) -> None:
        self._is_closed = False
        self._is_worker_ending = _worker_ending()
        self._watched: OrderedDict[tuple[str, str], Watched] = OrderedDict()

    @property
    def closing(self) -> bool:
        """Whether all streams end."""
        return self._is_closed or self._is_worker_ending()

    def close(self) -> None:
        """Ends all streams. A signal handler may call it."""
        self._is_closed = True

    def join(self, run: Run) -> Watched:
        """Returns a watched run for a listener, who must call `leave` at the end."""
        key = (run.flow_id, run.task_id)
        watched = self._watched.setdefault(key, Watched(self, run))
        self._watched.move_to_end(key)
        watched.listeners += 1
        idle = (old for old in self._watched.values() if not old.listeners)
        if len(self._watched) > KEPT_RUNS and (oldest := next(idle, None)):
            self.forget(oldest)
        return watched

    def leave(self, watched: Watched) -> None:
        """Ends what `join` began. A run without a reported status is forgotten."""
        watched.listeners -= 1
        if not watched.listeners and not watched.changes:
            self.forget(watched)

    def forget(self, watched: Watched) -> None:
        """Begins anew with the next listener."""
        if self._watched.get(watched.key) is watched:
            del self._watched[watched.key]


def _worker_ending() -> Callable[[], bool]:
    """Returns whether hypercorn ends this process, which is a worker of it, when it is called.

    Such a worker gets no signal, only an event, and waits for open streams: from Python 3.12 on, without
    a limit (`Server.wait_closed`). The event is an argument of the process, which has no public name
    (guarded by `test_hypercorn_stops_though_streams_are_open`).
    """
    module = sys.modules.get("multiprocessing.process")  # a worker has it
    process: Any = None if module is None else module.current_process()
    event: Any = getattr(process, "_kwargs", {}).get("shutdown_event")
    return event.is_set if hasattr(event, "is_set") else bool


_HUBS: RunVar[WeakKeyDictionary[AsyncDcipher, Hub]] = RunVar("dcipher_hubs")


def hub_of(client: AsyncDcipher) -> Hub:
    """Returns the watched runs of a client on this event loop."""
    found = _HUBS.get(None)
    hubs: WeakKeyDictionary[AsyncDcipher, Hub] = WeakKeyDictionary() if found is None else found
    _HUBS.set(hubs)
    return hubs.setdefault(client, Hub())
