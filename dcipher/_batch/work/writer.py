# Generated from dcipher/_batch/work/writer_async.py by scripts/unasync.py: edit that, not this.
"""Writes the transitions of rows to the journal, those of several rows in one commit."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from dcipher._batch.journal.states import ENDS, Change
from dcipher._concurrency.sleeping import sleep
from dcipher._concurrency.tasks.mailboxes import Mailbox, Reply
from dcipher._concurrency.tasks.threads import in_thread
from dcipher.errors import DcipherError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from dcipher._batch.journal.store import Journal
    from dcipher._batch.pacing.schedule import Job, Schedule

    from .actions import Actions

    _Write: TypeAlias = tuple[Change, Callable[[BaseException | None], None]]

__all__ = ["Writer"]

GROUP_DELAY: Final = 0.02
"""Seconds in which transitions of other rows join a commit, because each waits for the disk."""


class Writer:
    """The only writer of the journal while runs are in progress.

    Args:
        fail: Called with the error if the journal cannot be written.
    """

    def __init__(
        self,
        journal: Journal,
        schedule: Schedule,
        actions: Actions,
        fail: Callable[[BaseException], None],
    ) -> None:
        self._journal = journal
        self._schedule = schedule
        self._actions = actions
        self._fail = fail
        self._writes: Mailbox[_Write | None] = Mailbox()
        self._later: deque[_Write] = deque()

    def commit(self, job: Job, state: str, /, **values: Any) -> None:
        """Records a transition; it is on disk when this returns."""
        reply = Reply()
        self._writes.put((Change(job.row.id, job.row.state, state, values), reply.settle))
        reply.wait()
        job.row.state = state

    def record(self, job: Job, state: str, then: Callable[[], object], /, **values: Any) -> None:
        """Records a transition, and calls `then` when it is on disk; the row is in progress until then.

        The end of a row waits for the next commit, or for `flush`.
        """

        def settle(error: BaseException | None) -> None:
            with self._actions.lock:
                if error is None:
                    job.row.state = state
                    then()
                else:
                    self._fail(error)
                self._schedule.done()
            self._actions.wake(before=job.due if state == "started" else -math.inf)

        with self._actions.lock:
            self._schedule.begun()
        write = Change(job.row.id, job.row.state, state, values), settle
        if state in ENDS and self._schedule.in_flight > 0:
            self._later.append(write)
        else:
            self._writes.put(write)

    def flush(self) -> None:
        """Commits what waits for it."""
        with self._actions.lock:
            while self._later:
                self._writes.put(self._later.popleft())

    def run(self) -> None:
        """Writes until `end`."""
        delay = 0.0 if self._journal.path is None else GROUP_DELAY
        while (first := self._writes.get()) is not None:
            if delay and self._schedule.in_flight > 1:
                sleep(delay)
            self.flush()
            group = [first, *self._writes.drain()]
            changes = [item[0] for item in group if item is not None]
            error: BaseException | None = None
            try:
                in_thread(self._journal.apply, changes)
            except DcipherError as failure:
                error = failure
            for item in group:
                if item is not None:
                    item[1](error)
            if None in group:
                return

    def end(self) -> None:
        """Ends `run` when everything is written."""
        self.flush()
        self._writes.put(None)
