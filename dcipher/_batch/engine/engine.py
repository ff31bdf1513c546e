# Generated from dcipher/_batch/engine/engine_async.py by scripts/unasync.py: edit that, not this.
# ruff: noqa: UP028
"""Runs a batch: reads rows, lets workers execute the steps that are due, yields the outcomes.

There are a few workers, not one for each row: `pacing/schedule.py` decides which step is due.
"""

from __future__ import annotations

import os
import time
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

from dcipher._batch.inputs.identity import fingerprint
from dcipher._batch.journal.store import Journal
from dcipher._batch.pacing.durations import Durations
from dcipher._batch.pacing.gate import Gate, shared_gate
from dcipher._batch.pacing.in_flight import InFlight
from dcipher._batch.pacing.schedule import Job, Schedule
from dcipher._batch.reports.columns import JournalRows
from dcipher._batch.reports.outcomes import Outcome
from dcipher._batch.reports.progress import BatchProgress, snapshot
from dcipher._batch.reports.report import BatchReport, report_of
from dcipher._batch.reports.tally import Tally
from dcipher._batch.work.actions import Actions
from dcipher._batch.work.writer import Writer
from dcipher._concurrency.callables import Attempt, call_back
from dcipher._concurrency.clock import monotonic
from dcipher._concurrency.tasks.background import Background
from dcipher._concurrency.tasks.mailboxes import Mailbox
from dcipher._concurrency.tasks.signals import terminable
from dcipher._concurrency.tasks.threads import in_thread
from dcipher._concurrency.tasks.workers import each
from dcipher._progress.displays import display
from dcipher._telemetry.batches import BatchSpan
from dcipher.errors import BatchError, DcipherError
from dcipher.errors._hints import add_note

from .failures import how_to_go_on
from .feed import Feed
from .plan import too_many_failures
from .steps import Service, Steps

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from .plan import Plan

__all__ = ["Engine"]

T = TypeVar("T")

WORKERS: Final = 24
"""Concurrent requests, for any number of runs."""


class Engine(Generic[T]):
    """One batch, from its first row to its report."""

    def __init__(self, service: Service, plan: Plan) -> None:
        self._service = service
        # A client with resend_ambiguous=False does not retry ambiguous starts here, either.
        holds = plan.holds_unknown or not service.api.options.resilience.resend_ambiguous
        self._plan = replace(plan, holds_unknown=holds)
        self._outbox: Mailbox[Outcome[T] | None] = Mailbox()
        self._held: dict[int, Outcome[T]] = {}
        self._error: BaseException | None = None
        self._tally = Tally()
        self._display = display(plan.progress, snapshot)
        self._span = BatchSpan(plan.flow_id)
        self._began = monotonic()
        self._is_stopped = False
        self._steps: Steps | None = None
        self._schedule: Schedule | None = None
        self._actions: Actions | None = None
        self._writer: Writer | None = None
        self._gate: Gate | None = None
        self._durations = Durations()
        self._in_flight = InFlight(plan.in_flight)
        self._feed: Feed | None = None
        self.report: BatchReport | None = None

    def stop(self) -> None:
        """Starts nothing more, and ends the iteration. Started runs continue."""
        self._is_stopped = True
        if self._schedule is not None:
            self._schedule.is_stopped = True

    def outcomes(self) -> Generator[Outcome[T]]:
        """Yields the outcome of each row; the report is available at the end."""
        self._began = monotonic()
        with self._span:
            journal = in_thread(self._opened)
            try:
                with terminable(), closing(self._running(journal)) as running:
                    for outcome in running:
                        yield outcome
            except GeneratorExit:
                raise
            except BaseException as error:
                self._explain(error)
                raise
            finally:
                self._finish(journal)
            if self._error is not None:
                self._explain(self._error)
                raise self._error

    def _running(self, journal: Journal) -> Generator[Outcome[T]]:
        background = Background(partial(self._run, journal), "dcipher batch")
        process = os.getpid()
        try:
            with self._span.current():
                background.start()
            while (outcome := self._outbox.get()) is not None:
                self._due.delivered()
                yield outcome
                if os.getpid() != process:  # nothing runs there
                    raise BatchError("A batch belongs to the process that began it.")
        finally:
            self.stop()
            self._due.wake()
            background.wait()

    def _opened(self) -> Journal:
        api = self._service.api
        api.check_open()
        mark = fingerprint(api.http.secrets()[0])
        journal = Journal(self._plan.journal, base_url=api.base_url, fingerprint=mark)
        rate, usual = journal.recall("rate"), journal.recall("seconds")
        # The rate and the durations of the earlier call are known: a resume begins with them.
        self._gate = shared_gate(api.base_url, mark, None if rate is None else float(rate))
        self._durations = Durations(None if usual is None else float(usual))
        self._schedule = Schedule(
            self._gate,
            self._in_flight,
            self._durations,
            starts_per_second=self._plan.starts_per_second,
            ordered=self._plan.ordered,
        )
        self._schedule.is_stopped = self._is_stopped
        self._actions = Actions(self._schedule, WORKERS)
        self._writer = Writer(journal, self._schedule, self._actions, self._fail)
        return journal

    @property
    def _scheduled(self) -> Schedule:
        assert self._schedule is not None  # noqa: S101 - since `_opened`
        return self._schedule

    @property
    def _due(self) -> Actions:
        assert self._actions is not None  # noqa: S101 - since `_opened`
        return self._actions

    @property
    def _journal(self) -> Writer:
        assert self._writer is not None  # noqa: S101 - since `_opened`
        return self._writer

    def _run(self, journal: Journal) -> None:
        self._feed = Feed(journal, self._plan, self._service.api, self._accept, self)
        jobs: list[Attempt[object]] = [
            self._fed,
            self._journal.run,
            *([self._work] * WORKERS),
        ]
        try:
            each(jobs, len(jobs), self._on_tick)
        except _Over:
            pass  # the input had not ended
        except BaseException as error:  # noqa: BLE001 - raised again where the outcomes are read
            self._error = self._error or error
        finally:
            self._due.end()
            self._journal.end()
            self._outbox.put(None)

    # Rows in

    def _fed(self) -> None:
        assert self._feed is not None  # noqa: S101 - since `_run`
        try:
            self._feed.run()
        except Exception as error:  # noqa: BLE001 - raised again where the outcomes are read
            self._fail(error)
        with self._due.lock:
            self._scheduled.is_exhausted = True
        self._due.wake()

    def room(self) -> bool:
        """Waits until more rows are needed; returns False if none will be."""
        return self._due.room()

    def _accept(self, job: Job, known: Outcome[Any] | None) -> None:
        """Accepts a row of the journal: with its outcome, or with work to do."""
        if job.row.resent:  # by an earlier call: its doubt remains
            self.sent_again(job)
        if known is not None:
            self._give(known)
            return
        with self._due.lock:
            self._scheduled.add(job, monotonic())
        self._due.wake()

    def steps(self, flow_id: str, results: Any) -> None:
        """Creates the steps, once the flow is known."""
        self._span.found(flow_id)
        self._steps = Steps(
            self._service,
            flow_id,
            self,
            self._journal,
            self._scheduled,
            cast("Gate", self._gate),
            self._in_flight,
            results,
            holds_unknown=self._plan.holds_unknown,
        )

    # Work

    def _work(self) -> None:
        while (action := self._due.next()) is not None:
            steps = self._steps
            assert steps is not None  # noqa: S101 - the first row made them
            step = {"start": steps.start, "poll": steps.poll, "finish": steps.finish}[action.kind]
            try:
                step(action.job)
            except Exception as error:  # noqa: BLE001 - raised again where the outcomes are read
                self._fail(error)
                if action.kind == "start":
                    self._scheduled.drop(action.job)
            with self._due.lock:
                self._scheduled.done()
        if not self._scheduled.is_exhausted:
            raise _Over
        self._journal.end()

    def _fail(self, error: BaseException) -> None:
        self._error = self._error or error
        self.stop()
        self._due.wake()

    def sent_again(self, job: Job, /) -> None:
        """Counts a start that may have been accepted before."""
        self._tally.sent_again(job.row.key, late=job.row.was_resent_late(time.time()))

    def deliver(
        self,
        job: Job,
        status: Any,
        /,
        *,
        value: Any = None,
        files: tuple[Path, ...] = (),
        error: DcipherError | None = None,
    ) -> None:
        """Delivers the outcome of a row to its reader."""
        if not job.is_resumed and job.run is not None:
            self._tally.took(max(0.0, monotonic() - job.began))
        row = job.row
        self._span.item(status)
        self._give(Outcome(row.key, row.position, status, job.run, value, files, error))

    def _give(self, outcome: Outcome[Any]) -> None:
        with self._due.lock:
            self._tally.add(outcome)
            if self._plan.ordered:
                self._held[outcome.index] = outcome
                while (ready := self._held.pop(self._scheduled.head, None)) is not None:
                    self._scheduled.head += 1
                    self._hand_out(ready)
            else:
                self._hand_out(outcome)
        self._judge(at_end=False)

    def _hand_out(self, outcome: Outcome[Any]) -> None:
        self._scheduled.undelivered += 1
        self._outbox.put(outcome)

    def _judge(self, *, at_end: bool) -> None:
        error = too_many_failures(self._tally, self._plan.max_failures, at_end=at_end)
        if error is not None:
            self._fail(error)

    # End

    def _on_tick(self) -> None:
        now = monotonic()
        self._span.active(self._scheduled.in_flight)
        self._journal.flush()
        self._due.let_one_wait()
        if self._display.is_due(now) and self._error is None:
            try:
                call_back(self._display.report, self._progress())
            except Exception as error:  # noqa: BLE001 - of the user: requests in progress are completed
                self._fail(error)

    def _progress(self, *, is_last: bool = False) -> BatchProgress:
        feed, tally, schedule = self._feed, self._tally, self._scheduled
        elapsed = monotonic() - self._began
        rows = None if feed is None else feed.total
        fresh = tally.rows - tally.reused
        left = None if rows is None or fresh < 1 else (rows - tally.rows) * elapsed / fresh
        gate = self._gate
        return BatchProgress(
            rows=rows,
            counts=dict(tally.counts),
            reused=tally.reused,
            in_flight=schedule.in_flight,
            elapsed=elapsed,
            remaining=left,
            paused=None if gate is None else gate.paused_by,
            is_last=is_last,
        )

    def _finish(self, journal: Journal) -> None:
        steps, schedule, gate = self._steps, self._scheduled, cast("Gate", self._gate)
        is_whole = self._feed is not None and self._feed.total == self._tally.rows
        if is_whole:
            self._judge(at_end=True)
        self.report = report_of(
            self._tally,
            left_running=schedule.running,
            total=monotonic() - self._began,
            throttled=gate.throttled,
            starts=steps.starts if steps else 0,
            polls=steps.polls if steps else 0,
            stopped=self._error is not None or not is_whole,
            journal=None if journal.path is None else str(journal.path),
            rows=JournalRows(journal),
        )
        self._span.ended(self._tally.rows, self._tally.counts)
        try:
            self._close(journal)
        except Exception as error:  # noqa: BLE001 - raised again by `outcomes`, unless an earlier one says more
            self._error = self._error or error

    def _close(self, journal: Journal) -> None:
        try:
            call_back(self._display.close, self._progress(is_last=True))
            if journal.path is not None and self._error is None:
                journal.remember("rate", repr(cast("Gate", self._gate).rate))
                if self._durations.usual is not None:
                    journal.remember("seconds", repr(self._durations.usual))
        finally:
            if journal.path is not None:  # the report reads a temporary one
                journal.close()

    def _explain(self, error: BaseException) -> None:
        """Adds a note on how to resume to an error or an interruption."""
        if isinstance(error, BatchError):
            error.report = self.report
        running = self._schedule.running if self._schedule else 0
        add_note(error, how_to_go_on(self._plan.journal, self._tally.rows, running))


class _Over(Exception):  # noqa: N818 - it is no error
    """The batch was stopped before the end of its input."""
