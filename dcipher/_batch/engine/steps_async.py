"""The steps of a row: starting its run, polling it, fetching its result."""

from __future__ import annotations

import random
import time
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from dcipher._batch.reports.outcomes import error_text
from dcipher._concurrency.clock import monotonic
from dcipher._telemetry.context import traceparent
from dcipher._wire.messages import operations
from dcipher._wire.messages.parsing import output_secrets, started_run, status_of
from dcipher.errors import (
    APIError,
    BatchError,
    DcipherError,
    InvalidParamsError,
    LocalStorageError,
    ResultError,
    ResultExpiredError,
    ResultParseError,
    RunError,
    SubmissionUnknownError,
)
from dcipher.models import Output, Run, RunStatus

from .failures import Verdict, advised, delay_of, patience, verdict_of
from .results_async import RejectedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dcipher._batch.pacing.gate import Gate
    from dcipher._batch.pacing.in_flight import InFlight
    from dcipher._batch.pacing.schedule import Job, Schedule
    from dcipher._batch.work.writer_async import AsyncWriter
    from dcipher._wire.api_async import AsyncAPI
    from dcipher._wire.messages.operations import Operation
    from dcipher._wire.retries import Failure

    from .results_async import AsyncRowResults

__all__ = ["AsyncBook", "AsyncService", "AsyncSteps"]


class AsyncService(NamedTuple):
    """The parts of the client that a batch needs."""

    api: AsyncAPI
    failure_of_run: Callable[[Run], RunError | None]
    on_started: Callable[[Run], None]


class AsyncBook(Protocol):
    """The receiver of the outcomes of steps."""

    def deliver(
        self,
        job: Job,
        status: str,
        /,
        *,
        value: Any = None,
        files: tuple[Path, ...] = (),
        error: DcipherError | None = None,
    ) -> None:
        """Delivers the outcome of a row to its reader."""

    def sent_again(self, job: Job, /) -> None:
        """Counts a start that may have been accepted before."""


class AsyncSteps:
    """The steps of all rows of one batch."""

    def __init__(
        self,
        service: AsyncService,
        flow_id: str,
        book: AsyncBook,
        journal: AsyncWriter,
        schedule: Schedule,
        gate: Gate,
        in_flight: InFlight,
        results: AsyncRowResults | None,
        *,
        holds_unknown: bool,
    ) -> None:
        self._api, self._failure_of_run, self._on_started = service
        self._flow_id = flow_id
        self._book = book
        self._journal = journal
        self._schedule = schedule
        self._gate = gate
        self._in_flight = in_flight
        self._results = results
        policy = service.api.options.resilience
        self._policy = replace(
            policy, resend_ambiguous=policy.resend_ambiguous and not holds_unknown
        )
        # The schedule retries, not each request: two layers of retries would multiply.
        self._once = replace(self._policy, max_retries=0)
        self.starts = 0
        self.polls = 0

    async def start(self, job: Job) -> None:
        """Starts the run of a row: the intent is on disk before it is sent, the id right after."""
        row, now = job.row, time.time()
        if (
            row.state == "sent"
        ):  # it may have been accepted: the age of its key counts from the first time
            await self._journal.commit(
                job, "sent", attempts=row.attempts + 1, resent=row.resent + 1
            )
            row.resent += 1
            if row.resent == 1:
                self._book.sent_again(job)
        else:
            await self._journal.commit(job, "sent", attempts=row.attempts + 1, sent_at=now)
            row.sent_at = now
        row.attempts += 1
        operation = self._operation(job)
        self.starts += 1
        try:
            run = await self._api.call(
                operation,
                lambda response: started_run(
                    response, operation, datetime.now(timezone.utc), traceparent()
                ),
                resilience=self._once,
            )
        except APIError as error:
            await self._start_failed(job, error)
            return
        self._on_started(run)
        job.run, job.failures, row.params = run, 0, ""
        self._gate.succeeded()
        self._in_flight.accepted(self._schedule.in_flight, first_attempt=row.attempts == 1)
        self._journal.record(
            job,
            "started",
            partial(self._schedule.started, job, monotonic()),
            task_id=run.task_id,
            run=run.to_json(reveal=True),
            started_at=time.time(),
        )

    def _operation(self, job: Job) -> Operation:
        # The same bytes that the idempotency key was computed from: a service may compare them.
        operation = operations.start_run(self._flow_id, None, job.row.idempotency_key)
        body = b'{"pipelineParams":' + job.row.params.encode() + b"}"
        return replace(operation, content=body, secrets=job.row.secrets)

    async def _start_failed(self, job: Job, error: APIError) -> None:
        verdict, failure = verdict_of(error, self._policy)
        if verdict is Verdict.BATCH:
            await self._withdraw(job)
            raise error
        if verdict is Verdict.REFUSED:
            await self._withdraw(job)
            self._refused(failure)
            self._schedule.start_again(job)
            return
        if verdict is Verdict.ROW:
            self._gate.succeeded()  # there was a response
            self._end(job, "failed", error)
            return
        try:
            self._failed(job, error, failure)
        except DcipherError:  # the batch ends
            if verdict is Verdict.NOT_SENT:
                await self._withdraw(job)
            raise
        if verdict is Verdict.UNKNOWN:
            self._end(job, "unknown", error)
        elif job.failures <= self._policy.max_retries:
            if verdict is Verdict.NOT_SENT:
                await self._withdraw(job)
            at = monotonic() + delay_of(failure, job.failures, self._policy, _jitter())
            self._schedule.start_again(job, at)
        elif verdict is Verdict.NOT_SENT and job.row.attempts == 1:
            self._end(job, "failed", error)
        else:
            self._end(job, "unknown", _unknown(job, self._flow_id, error))

    async def _withdraw(self, job: Job) -> None:
        """Records that the last attempt started nothing; an earlier one whose response was lost may have."""
        attempts = job.row.attempts - 1
        await self._journal.commit(job, "sent" if attempts else "planned", attempts=attempts)
        job.row.attempts = attempts

    def _refused(self, failure: Failure) -> None:
        now = monotonic()
        self._gate.refused(now, self._pause(failure))
        self._in_flight.refused(now)

    def _pause(self, failure: Failure) -> float:
        """Seconds for which the gate closes."""
        return delay_of(failure, self._gate.consecutive + 1, self._policy, _jitter())

    def _failed(self, job: Job, error: APIError, failure: Failure) -> None:
        """Counts a failure: of the service, and of the row if others succeeded since its last one."""
        now = monotonic()
        self._gate.failed(now, type(error).__name__, self._pause(failure))
        self._in_flight.failed()
        if self._gate.successes > job.successes_before:
            job.failures += 1
        job.successes_before = self._gate.successes
        ever = self._gate.successes > 0
        limit = patience(failure, self._policy, ever_succeeded=ever)
        since = self._gate.failing_for(now)
        if since <= limit:
            return
        if not ever:
            raise error
        raise BatchError(
            f"The service has not responded for {since:.0f} s ({error}). No further runs were started."
        ) from error

    async def poll(self, job: Job) -> None:
        """Polls a run."""
        run = job.run
        assert run is not None  # noqa: S101 - only runs are polled
        self.polls += 1
        secrets = (*output_secrets(run.outputs), *job.row.secrets)
        try:
            run = await self._api.call(
                operations.run_status(run.flow_id, run.task_id, secrets),
                partial(_status_of, run),
                resilience=self._once,
                is_poll=True,
            )
        except APIError as error:
            await self._poll_failed(job, error)
            return
        job.run, job.failures = run, 0
        self._gate.succeeded()
        now = monotonic()
        if not run.is_terminal:
            self._schedule.polled(job, now)
            return
        self._schedule.ended(job)
        if run.succeeded and self._results is not None:
            self._schedule.finish(job)
        elif run.succeeded:
            self._end(job, "done")
        else:
            cancelled = run.status is RunStatus.CANCELLED
            self._end(job, "cancelled" if cancelled else "failed", self._failure_of_run(run))

    async def _poll_failed(self, job: Job, error: APIError) -> None:
        now = monotonic()
        verdict, failure = verdict_of(error, self._policy, age=now - job.began)
        if verdict is Verdict.BATCH:
            raise error
        if verdict is Verdict.REFUSED:
            self._refused(failure)
            self._schedule.poll_at(job, now)
        elif verdict is Verdict.ROW:
            self._gate.succeeded()
            self._schedule.drop(job)
            self._end(job, "failed", error)
        else:
            # Failed polls do not affect the run: it is never given up because of them.
            self._failed(job, error, failure)
            self._schedule.poll_at(
                job, now + delay_of(failure, job.failures, self._policy, _jitter())
            )

    async def finish(self, job: Job) -> None:
        """Fetches the result of a run that has succeeded."""
        run, results = job.run, self._results
        assert run is not None and results is not None  # noqa: S101, PT018 - as above
        try:
            fetched = await results.fetch(run, job.row.key)
        except RejectedError as rejected:
            self._end(job, "rejected", rejected.error, rejected.columns, rejected.files)
        except ResultParseError as error:
            self._end(job, "rejected", error)
        except ResultExpiredError as error:
            self._end(job, "expired", error)
        except (InvalidParamsError, LocalStorageError):
            raise  # the type, or the disk: every row would fail
        except (APIError, ResultError) as error:
            # The run is paid for: it is kept, and the next call fetches its result.
            self._book.deliver(job, "failed", error=error)
        else:
            self._end(job, "done", None, fetched.columns, fetched.files, fetched.value)

    def _end(
        self,
        job: Job,
        status: str,
        error: DcipherError | None = None,
        columns: dict[str, Any] | None = None,
        files: tuple[Path, ...] = (),
        value: Any = None,
    ) -> None:
        """Records the outcome of a row, without URLs, and delivers it."""
        if job.run is not None:
            outputs = tuple(Output(expires_at=output.expires_at) for output in job.run.outputs)
            kept = job.run.model_copy(update={"outputs": outputs}).to_json()
        else:
            kept = None
            self._schedule.drop(job)
        error = advised(error)
        told = None if error is None else error_text(error)
        then = partial(self._book.deliver, job, status, value=value, files=files, error=error)
        self._journal.record(
            job, status, then, run=kept, ended_at=time.time(), error=told, **(columns or {})
        )


def _status_of(run: Run, response: Any) -> Run:
    return status_of(response, run, datetime.now(timezone.utc))


def _unknown(job: Job, flow_id: str, error: APIError) -> SubmissionUnknownError:
    return SubmissionUnknownError(
        f"It is not known whether the run of this row was started ({error.message}) Find out, and record the "
        "answer with `dcipher journal resolve`.",
        flow_id=flow_id,
        idempotency_key=job.row.idempotency_key,
        request=error.request,
        attempts=job.row.attempts,
        request_id=error.request_id,
    )


def _jitter() -> float:
    return random.random()  # noqa: S311 - spreads requests, guards nothing
