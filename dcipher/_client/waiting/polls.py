# Generated from dcipher/_client/waiting/polls_async.py by scripts/unasync.py: edit that, not this.
"""Fetches the status of runs: once, or until they have ended."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from dcipher._concurrency.scopes import Scoped
from dcipher._concurrency.sleeping import Alarm
from dcipher._results.outputs.missing_outputs import without_outputs
from dcipher._wire.api import API
from dcipher._wire.messages import operations
from dcipher._wire.messages.parsing import output_secrets, status_of
from dcipher.errors import APIError, InvalidParamsError
from dcipher.errors._hints import with_hint
from dcipher.models import Run

from . import run_errors
from .flow_pace import Pace, Paces
from .recent import RecentRuns
from .wait import Wait, for_a_new_run

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from typing_extensions import Self

    from dcipher._wire.messages.operations import Operation
    from dcipher._wire.messages.responses import APIResponse
    from dcipher.models import RunStatus
    from dcipher.resilience import Resilience

__all__ = ["RunPolls", "WaitedRun", "check_run"]


class RunPolls:
    """Polls runs, reports them to the list of recent runs, and adds notes on them to errors."""

    def __init__(self, api: API, recent: RecentRuns) -> None:
        self._api = api
        self._recent = recent
        self._paces = Scoped(Paces)
        # The wait retries, not each poll: two layers of retries would multiply.
        self._once = replace(api.options.resilience, max_retries=0)

    def _poll(
        self,
        run: Run,
        *,
        resilience: Resilience | None = None,
        operation: Operation | None = None,
    ) -> Run:
        # The parts of signed URLs are no variable of this frame: an error may leave with it.
        run = self._api.call(
            operation or _status(run),
            lambda response: status_of(response, run, datetime.now(timezone.utc)),
            resilience=resilience,
        )
        self._recent.report(run)
        return run

    def _poll_new(self, run: Run) -> Run:
        """Fetches the status of a run that may be so new that the API does not know it yet."""
        check_run(run)
        return self._poll(run, resilience=for_a_new_run(self._api.options.resilience, run))

    def _waited(self, run: Run, wait: Wait) -> WaitedRun:
        return WaitedRun(run, wait, self._paces.get().of(run.flow_id))

    @contextmanager
    def _note_on_error(self, run: Run) -> Generator[None]:
        """Adds a note on the run to an error of the block; the run is remembered until then."""
        check_run(run)
        with self._recent.held(run):
            try:
                yield
            except GeneratorExit:  # the caller stopped the iteration
                raise
            except BaseException as error:
                self._recent.note(error, self._recent.latest(run))
                raise

    def _next(self, waited: WaitedRun) -> Run:
        """Returns the run after its first poll, then at each change of its status. The last one has ended."""
        wait = waited.wait
        while not waited.is_over:
            left = wait.left()
            is_last = left is not None and waited.delay >= left
            if waited.alarm.sleep(max(0.0, left or 0.0) if is_last else waited.delay):
                waited.delay = wait.after_news()
                continue
            waited.is_over = is_last
            try:
                run = self._api.call(
                    waited.poll(),
                    waited.updated,
                    within=wait.poll_timeout(),
                    resilience=self._once,
                    is_poll=True,
                )
                waited.delay = wait.after_poll(run)
            except APIError as error:
                waited.delay = wait.after_failure(error, waited.run)
            else:
                if waited.is_changed:
                    self._recent.report(run)
                if run.status != waited.reported:
                    waited.reported = run.status
                    return run
        cause = wait.last_error
        raise run_errors.timed_out(waited.run, wait.timeout or 0.0, cause) from cause

    def _ended(self, run: Run) -> Run:
        """Returns `run`, which must have succeeded.

        Its status is fetched once if it is not known to have ended.
        """
        if not run.is_terminal:
            run = self._poll_new(run)
        error = run_errors.failure(run)
        if error is not None:
            raise error
        if not run.succeeded:
            raise run_errors.not_ended(run)
        if not run.outputs:
            raise without_outputs(run)
        return run


class WaitedRun:
    """A run that is waited for, in a `with` block; most responses are the same as the one before.

    One object with few fields, and no generator: ten thousand may be waited for at the same time.
    """

    __slots__ = ("_body", "_pace", "alarm", "delay", "is_changed", "is_over", "poll", "reported", "run",
                 "wait")  # fmt: skip

    def __init__(self, run: Run, wait: Wait, pace: Pace) -> None:
        self.run = run
        self.wait = wait
        self._pace = pace
        self.alarm = Alarm()
        # An error may leave with this object: the parts of signed URLs, which an operation has, are in
        # a closure, and a body, which may contain one, is not kept.
        operation = _status(run)
        self.poll: Callable[[], Operation] = lambda: operation
        self._body: int | None = None
        self.delay = 0.0
        """Seconds until the next poll."""
        self.is_over = False
        """Whether the last poll within the timeout was sent."""
        self.is_changed = False
        """Whether the last response changed the run."""
        self.reported: RunStatus | str | None = None
        """The status that was returned last."""

    def __enter__(self) -> Self:
        self.wait.keep_pace(self._pace, self.alarm.ring)
        self.delay = self.wait.first()
        return self

    def __exit__(self, *_: object) -> None:
        self.wait.end()

    def updated(self, response: APIResponse) -> Run:
        """Returns the run after a response."""
        body = hash(response.body)
        self.is_changed = body != self._body
        if self.is_changed:
            self.run = status_of(response, self.run, datetime.now(timezone.utc))
            self._body = body
        return self.run


def _status(run: Run) -> Operation:
    return operations.run_status(run.flow_id, run.task_id, output_secrets(run.outputs))


def check_run(run: object) -> None:
    """Raises `InvalidParamsError` unless it is a `Run`."""
    if not isinstance(run, Run):
        raise with_hint(
            InvalidParamsError(f"run must be a Run, not {type(run).__name__}."),
            "Pass the Run that flows.start returned, or Run(flow_id=…, task_id=…).",
        )
