# Generated from dcipher/_batch/engine/feed_async.py by scripts/unasync.py: edit that, not this.
"""Reads the input, plans its rows in the journal, and feeds them to the engine."""

from __future__ import annotations

import json
import math
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final, Protocol

from dcipher._batch.inputs.identity import idempotency_key
from dcipher._batch.inputs.names import stem_of
from dcipher._batch.inputs.rows import is_known_whole, rows_of
from dcipher._batch.journal.schema import damaged
from dcipher._batch.journal.states import ENDS, Change, Entry
from dcipher._batch.pacing.schedule import Job
from dcipher._batch.reports.outcomes import Outcome, error_text, stored_error
from dcipher._concurrency.clock import monotonic
from dcipher._concurrency.iterables import is_streamed
from dcipher._concurrency.sleeping import sleep
from dcipher._concurrency.tasks.background import Background
from dcipher._concurrency.tasks.threads import in_thread
from dcipher._files.storage_errors import storage_errors
from dcipher.calls import FlowCall, flow_id_of, is_call, result_type_of
from dcipher.errors import (
    DcipherError,
    InvalidParamsError,
    ResultError,
    ResultParseError,
    SubmissionUnknownError,
)
from dcipher.errors._hints import add_note, with_hint
from dcipher.models import Run

from .results import RowResults

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from dcipher._batch.journal.states import Row
    from dcipher._batch.journal.store import Journal
    from dcipher._wire.api import API

    from .plan import Plan

__all__ = ["Feed"]

CHUNK: Final = 500
"""Rows of one transaction of the plan."""
PAGE: Final = 100
"""Rows that are read from the journal together."""
PAUSE: Final = 0.02


class Host(Protocol):
    """The receiver of the rows."""

    def room(self) -> bool:
        """Waits until more rows are needed; returns False if none will be."""
        ...

    def steps(self, flow_id: str, results: Any, /) -> None:
        """Creates the steps, once the flow is known."""


class Feed:
    """The rows of one batch, in their order.

    A list or a table is checked and planned completely before the first run is started.
    """

    def __init__(
        self,
        journal: Journal,
        plan: Plan,
        api: API,
        accept: Callable[[Job, Outcome[Any] | None], None],
        host: Host,
    ) -> None:
        self._journal = journal
        self._plan = plan
        self._api = api
        self._accept = accept
        self._host = host
        self._flow_id = plan.flow_id or ""
        self._call: type[FlowCall[Any]] | None = None
        self._results: RowResults | None = None
        self._taken = -1
        self._planned = 0
        self._was_stopped = False
        self.has_ended: bool = False
        """Whether all rows were read."""

    @property
    def total(self) -> int | None:
        """The number of rows; `None` while it is not known."""
        return self._planned if self.has_ended else None

    def run(self) -> None:
        """Reads all rows."""
        known_whole = is_known_whole(self._plan.rows)
        for chunk in self._chunks():
            if not self._host.room():
                self._was_stopped = True
                break
            if self._planned == 0:
                self._begin(chunk[0])
            entries = in_thread(self._entries, chunk)
            self._planned += len(entries)
            in_thread(self._plan_all, entries)
            if not known_whole:
                self._take()
        self.has_ended = not self._was_stopped
        if known_whole:
            self._take()

    def _chunks(self) -> Generator[list[object]]:
        if is_streamed(self._plan.rows):
            for row in self._plan.rows:
                yield [row]
            return
        reader = _Reader(self._plan)
        try:
            while (chunk := reader.take()) is not None:
                if chunk:
                    yield chunk
                elif not self._host.room():
                    self._was_stopped = True
                    return
                else:
                    sleep(PAUSE if reader.is_slow else 0.001)
        finally:
            reader.stop()

    def _begin(self, first: object) -> None:
        read = self._plan.read
        if self._plan.flow_id is None:
            if not is_call(first):
                raise InvalidParamsError(
                    "Row 0 of the input is not a FlowCall, so flow_id is required: flows.map(flow_id, rows)."
                )
            self._call = type(first)
            self._flow_id = flow_id_of(self._call)
            read = result_type_of(self._call) if read is None else read
        if self._plan.save is not None:
            with storage_errors(self._plan.save):
                self._plan.save.mkdir(parents=True, exist_ok=True)
        if read is not None or self._plan.save is not None:
            self._results = RowResults(self._api, self._plan, read)
        self._host.steps(self._flow_id, self._results)

    def _entries(self, chunk: list[object]) -> list[Entry]:
        entries: list[Entry] = []
        for position, row in enumerate(chunk, self._planned):
            if self._call is not None and type(row) is not self._call:
                raise with_hint(
                    InvalidParamsError(
                        f"Row {position} of the input is a {type(row).__name__}, but the first row is "
                        f"a {self._call.__name__}."
                    ),
                    "Call flows.map once for each class.",
                )
            entries.append(self._plan.identity.entry(row, position))
        return entries

    def _plan_all(self, entries: list[Entry]) -> None:
        self._journal.plan(
            self._flow_id,
            entries,
            lambda entry, n: idempotency_key(self._flow_id, entry, n, self._plan.nonce),
            targets=self._plan.target(stem_of),
            retry_failed=self._plan.retry_failed,
        )

    def _take(self) -> None:
        while self._host.room():
            page = in_thread(self._journal.page, self._taken, PAGE)
            for row in page:
                self._accept(*self._job(row))
            if len(page) < PAGE:
                self._taken = page[-1].position if page else self._taken
                return
            self._taken = page[-1].position

    def _job(self, row: Row) -> tuple[Job, Outcome[Any] | None]:
        try:
            run = None if row.run is None else Run.from_json(row.run)
            _ = json.loads(row.files or "[]"), json.loads(row.error or "{}")
        except ValueError as error:  # SQLite does not notice that bytes of a text have changed
            raise damaged(self._journal.path, f"row {row.key}") from error
        if row.state == "sent" and self._plan.holds_unknown:
            self._hold(row)
        if row.state in ENDS:
            return Job(row, run), self._known(row, run)
        # By the wall clock. If that was set back in the meantime, the run counts as new.
        age = max(0.0, time.time() - (row.started_at or math.inf))
        return Job(row, run, began=monotonic() - age, is_resumed=run is not None), None

    def _hold(self, row: Row) -> None:
        """Records a start whose outcome is unknown, and which must not be repeated."""
        error = with_hint(
            SubmissionUnknownError(
                "The process ended while this start was being sent: it is not known whether the run "
                "was started.",
                flow_id=self._flow_id,
                idempotency_key=row.idempotency_key,
            ),
            "Find out, and record the answer with `dcipher journal resolve`.",
        )
        row.error = error_text(error)
        change = Change(row.id, "sent", "unknown", {"error": row.error})
        in_thread(self._journal.apply, [change])
        row.state = "unknown"

    def _known(self, row: Row, run: Run | None) -> Outcome[Any]:
        """Returns the outcome of a row that ended in an earlier call."""
        status: Any = row.state
        error: DcipherError | None = stored_error(row, run)
        value: Any = None
        files: tuple[Path, ...] = ()
        has_result = row.state == "done" or (row.state == "rejected" and row.result is not None)
        if has_result and run is not None and self._results is not None:
            try:
                fetched = self._results.again(row, run)
                value, files, status, error = fetched.value, fetched.files, "done", None
            except ResultError as failure:
                error = failure
                status = "rejected" if isinstance(failure, ResultParseError) else "expired"
            if status != row.state:
                told = None if error is None else error_text(error)
                change = Change(row.id, row.state, status, {"error": told})
                in_thread(self._journal.apply, [change])
        return Outcome(row.key, row.position, status, run, value, files, error, reused=True)


class _Reader:
    """Reads an iterator in its own thread: it may wait for hours for its next row."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._read: deque[object] = deque()
        self._space = threading.Semaphore(2 * CHUNK)
        self._error: list[BaseException] = []
        self._has_ended = False
        self._is_stopped = False
        self._empty = 0
        self.is_slow: bool = False
        """Whether the iterator has not returned a row for a while."""
        Background(self._work, "dcipher rows").start()

    def _work(self) -> None:
        try:
            for row in rows_of(self._plan.rows):
                self._space.acquire()
                if self._is_stopped:
                    break
                self._read.append(row)
        except BaseException as error:  # noqa: BLE001 - raised again, where the rows are taken
            self._error.append(error)
        self._has_ended = True

    def take(self) -> list[object] | None:
        """Returns the rows that were read since; `None` at the end."""
        has_ended = (
            self._has_ended
        )  # read before the rows, because the last ones may arrive in between
        count = min(len(self._read), CHUNK)
        if count:
            self._space.release(count)
            self._empty, self.is_slow = 0, False
            return [self._read.popleft() for _ in range(count)]
        if not has_ended:
            self._empty += 1
            self.is_slow = self._empty > 20
            return []
        for error in self._error:
            if type(error).__module__ == "sqlite3":
                add_note(error, "The rows are read in another thread. Pass a list of them.")
            raise error
        return None

    def stop(self) -> None:
        """Stops reading."""
        self._is_stopped = True
        self._space.release()
