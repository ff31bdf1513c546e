"""The last runs that a client started, in memory only."""

from __future__ import annotations

import os
from collections import Counter, OrderedDict
from threading import RLock
from typing import TYPE_CHECKING, Any, Final

from dcipher._results.outputs.saved_results import SavedResults
from dcipher.errors import DcipherError

from . import run_errors

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from dcipher.errors import PollingInterruptedError
    from dcipher.models import Run

__all__ = ["RecentRuns"]

LIMIT: Final = 100
"""The number of runs in the list, not counting those that are held."""


class RecentRuns:
    """The last runs that a client and its derived clients started, each as last reported.

    An older run is held in the list while a call waits for it or fetches its results. A forked child
    process starts with an empty list.
    """

    def __init__(self) -> None:
        self._processes: dict[int, _Runs] = {}
        self.saved: SavedResults = SavedResults()

    def _here(self) -> _Runs:
        pid = os.getpid()
        # Atomic: the first thread creates the list of this process.
        return self._processes.get(pid) or self._processes.setdefault(pid, _Runs())

    def __call__(self) -> tuple[Run, ...]:
        """Returns the runs, newest first."""
        here = self._here()
        with here.lock:
            return tuple(reversed(here.runs.values()))

    def add(self, run: Run) -> None:
        """Adds a run that was just started. Above the limit, it removes the oldest that are not held."""
        here, ids = self._here(), (run.flow_id, run.task_id)
        with here.lock:
            # A start that was repeated with its key returns the same run.
            known = here.runs.pop(ids, None)
            here.started += 1
            here.numbers[ids] = here.started
            here.runs[ids] = run if known is None else _merged(known, run)
            here.spare.pop(ids, None)
            if not here.held[ids]:
                here.spare[ids] = None
            here.drop_oldest()

    def held(self, run: Run) -> AbstractContextManager[None]:
        """Returns a context in which a run of the list is not removed."""
        return _Held(self._hold, run)

    def _hold(self, run: Run, more: int) -> None:
        here, ids = self._here(), (run.flow_id, run.task_id)
        with here.lock:
            here.held[ids] += more
            if here.held[ids] > 0:
                here.spare.pop(ids, None)
                return
            del here.held[ids]  # below 0: a forked child ends a block of its parent
            if ids in here.runs:
                here.spare[ids] = None
                here.is_sorted = False

    def report(self, run: Run) -> None:
        """Updates a run, if it is in the list."""
        here, ids = self._here(), (run.flow_id, run.task_id)
        with here.lock:
            known = here.runs.get(ids)
            if known is not None:
                here.runs[ids] = _merged(known, run)

    def latest(self, run: Run) -> Run:
        """Returns the run as last reported, or `run` itself if it is not in the list."""
        here = self._here()
        with here.lock:
            return here.runs.get((run.flow_id, run.task_id), run)

    def index(self, run: Run) -> int | None:
        """Returns the position of a run, counted from the newest."""
        ids = (run.flow_id, run.task_id)
        for index, known in enumerate(self()):
            if (known.flow_id, known.task_id) == ids:
                return index
        return None

    def note(self, error: BaseException, run: Run) -> None:
        """Adds a note to an error, or an interruption, with the calls that resume the run."""
        # The only error without a class of its own: the client is closed.
        is_closed = type(error) is DcipherError
        run_errors.note_run(error, run, self.index(run), is_closed=is_closed)

    def closed(self, error: DcipherError, run: Run) -> PollingInterruptedError:
        """Returns the error for a run whose client was closed before it ended."""
        final = run_errors.closed(error, run)
        run_errors.note_run(final, run, self.index(run), is_closed=True)
        return final

    def started_with(self, flow_id: str, key: str) -> Run | None:
        """Returns the run that was started with this idempotency key."""
        for known in self():
            if (known.flow_id, known.idempotency_key) == (flow_id, key):
                return known
        return None


class _Held:
    """A context in which a run is held. It is a class: the block of a generator changes tracebacks."""

    __slots__ = ("_hold", "_run")

    def __init__(self, hold: Callable[[Run, int], None], run: Run) -> None:
        self._hold, self._run = hold, run

    def __enter__(self) -> None:
        self._hold(self._run, 1)

    def __exit__(self, *_: object) -> None:
        self._hold(self._run, -1)


class _Runs:
    """The runs of one process, oldest first."""

    def __init__(self) -> None:
        # Reentrant: a signal handler interrupts its thread at any point.
        self.lock = RLock()
        self.runs: dict[tuple[str, str], Run] = {}
        self.numbers: dict[tuple[str, str], int] = {}
        """Their order: how many had been started then."""
        self.started = 0
        self.held: Counter[tuple[str, str]] = Counter()
        self.spare: OrderedDict[tuple[str, str], None] = OrderedDict()
        """Those that are not held, the oldest first if `is_sorted`."""
        self.is_sorted = True

    def drop_oldest(self) -> None:
        """Removes runs above the limit, without a search of all runs: ten thousand may be held."""
        if len(self.spare) > LIMIT and not self.is_sorted:
            self.spare = OrderedDict.fromkeys(sorted(self.spare, key=self.numbers.__getitem__))
            self.is_sorted = True
        while len(self.spare) > LIMIT:
            old, _ = self.spare.popitem(last=False)
            del self.runs[old], self.numbers[old]


def _merged(known: Run, run: Run) -> Run:
    """Returns `run` with the values that only `known` has: a run made from its ids has no URLs."""
    kept: dict[str, Any] = {
        name: getattr(known, name)
        for name in ("idempotency_key", "created_at", "files", "traceparent")
        if getattr(known, name) and not getattr(run, name)
    }
    if known.outputs and all(output.url is None for output in run.outputs):
        kept["outputs"] = known.outputs
    return run.model_copy(update=kept) if kept else run
