"""Fetches the status of runs: once, or until they have ended."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from dcipher._concurrency.sleeping import async_sleep
from dcipher._results.outputs.missing_outputs import without_outputs
from dcipher._wire.api_async import AsyncAPI
from dcipher._wire.messages import operations
from dcipher._wire.messages.parsing import output_secrets, status_of
from dcipher.errors import APIError, InvalidParamsError
from dcipher.errors._hints import with_hint
from dcipher.models import Run

from . import outcomes
from .recent import RecentRuns
from .wait import Wait, for_a_new_run

if TYPE_CHECKING:
    from collections.abc import Generator

    from dcipher._wire.messages.operations import Operation
    from dcipher.resilience import Resilience

__all__ = ["AsyncRunPolls", "check_run"]


class AsyncRunPolls:
    """Polls runs, reports them to the list of recent runs, and adds notes on them to errors."""

    def __init__(self, api: AsyncAPI, recent: RecentRuns) -> None:
        self._api = api
        self._recent = recent

    async def _poll(
        self,
        run: Run,
        *,
        within: float | None = None,
        resilience: Resilience | None = None,
        operation: Operation | None = None,
    ) -> Run:
        # The parts of signed URLs are no variable of this frame: an error may leave with it.
        run = await self._api.call(
            operation
            or operations.run_status(run.flow_id, run.task_id, output_secrets(run.outputs)),
            lambda response: status_of(response, run, datetime.now(timezone.utc)),
            within=within,
            resilience=resilience,
        )
        self._recent.report(run)
        return run

    async def _poll_new(self, run: Run) -> Run:
        """Fetches the status of a run that may be so new that the API does not know it yet."""
        check_run(run)
        return await self._poll(run, resilience=for_a_new_run(self._api.options.resilience, run))

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

    async def _changes(self, run: Run, wait: Wait) -> AsyncGenerator[Run]:
        """Yields the run after the first poll and at each change of its status, until it has ended."""
        # The wait retries, not each poll: two layers of retries would multiply.
        once = replace(self._api.options.resilience, max_retries=0)
        delay, reported = wait.first(), None
        while True:
            left = wait.left()
            last = left is not None and delay >= left
            await async_sleep(max(0.0, left or 0.0) if last else delay)
            try:
                run = await self._poll(run, within=wait.poll_timeout(), resilience=once)
                delay = wait.after_poll(run)
            except APIError as error:
                delay = wait.after_failure(error, run)
            else:
                if run.status != reported:
                    reported = run.status
                    yield run
                if run.is_terminal:
                    return
            if last:
                raise outcomes.timed_out(
                    run, wait.timeout or 0.0, wait.last_error
                ) from wait.last_error

    async def _ended(self, run: Run) -> Run:
        """Returns `run`, which must have succeeded.

        Its status is fetched once if it is not known to have ended.
        """
        if not run.is_terminal:
            run = await self._poll_new(run)
        error = outcomes.failure(run)
        if error is not None:
            raise error
        if not run.succeeded:
            raise outcomes.not_ended(run)
        if not run.outputs:
            raise without_outputs(run)
        return run


def check_run(run: object) -> None:
    """Raises `InvalidParamsError` unless it is a `Run`."""
    if not isinstance(run, Run):
        raise with_hint(
            InvalidParamsError(f"run must be a Run, not {type(run).__name__}."),
            "Pass the Run that flows.start returned, or Run(flow_id=…, task_id=…).",
        )
