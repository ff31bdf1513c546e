# Generated from dcipher/_client/runs_async.py by scripts/unasync.py: edit that, not this.
"""`client.runs`: fetches a run, waits for it, reads its results."""

from __future__ import annotations

from collections.abc import Generator

from dcipher._concurrency.callables import (
    StatusCallback,
    call_back,
    check_callback,
)
from dcipher._progress.runs import RunProgress, check_progress, run_display
from dcipher._telemetry import spans
from dcipher._wire.messages import operations
from dcipher.models import Run

from .run_results import RunResults
from .waiting import run_errors
from .waiting.polls import check_run
from .waiting.wait import Wait

__all__ = ["Runs"]


class Runs(RunResults):
    """The runs of the service, and their results.

    Every method accepts a `Run` from anywhere: from `flows.start`, a database, or another process.
    """

    @property
    def recent(self) -> tuple[Run, ...]:
        """The last 100 runs that this client started, newest first, each as last reported.

        They have the URLs of their results, and are kept in memory only. An older run is kept while
        a call waits for it or reads its results. Clients that `with_options` derived share this
        list; a forked child process starts with an empty one. The list of a closed client remains
        readable, and another client can wait for its runs.
        """
        return self._recent()

    def get(self, flow_id: str, task_id: str) -> Run:
        """Fetches the status of a run once.

        Args:
            flow_id: The id of the flow.
            task_id: The id of the run.

        Returns:
            The run, without its outputs: only the response to the start has their URLs.

        Raises:
            InvalidParamsError: An id is malformed. Nothing was sent.
            NotFoundError: There is no such run.
            APIError: The request failed for another reason.
        """
        # It rejects a malformed id before Pydantic does.
        operation = operations.run_status(flow_id, task_id)
        return self._poll(Run(flow_id=flow_id, task_id=task_id), operation=operation)

    def refresh(self, run: Run) -> Run:
        """Fetches the status of `run` once, and keeps its other fields, such as `outputs`.

        Args:
            run: The run, from anywhere.

        Returns:
            The updated run.

        Raises:
            APIError: As `get` does.
        """
        return self._poll_new(run)

    def wait(
        self,
        run: Run,
        *,
        timeout: float | None = None,
        poll_interval: float | None = None,
        on_status: StatusCallback | None = None,
        progress: RunProgress = False,
    ) -> Run:
        """Polls until `run` has ended.

        A poll that fails does not end the wait, as long as a retry may succeed.

        Args:
            run: The run, from anywhere.
            timeout: Seconds to wait. `None`: no limit. 0: poll once.
            poll_interval: Seconds between two polls. `None`: a fifteenth of the age of the run, at most
                15 seconds. If the client waits for more than ten runs of a flow, the interval
                follows their usual duration.
            on_status: Called with the `Run` at the first poll and at each change of status.
            progress: "auto" or `True` displays the status: on a terminal, in a notebook as a card
                that is updated, elsewhere as lines on stderr. DCIPHER_PROGRESS=0 turns it off.

        Returns:
            The finished run. A run that has already ended is returned at once.

        Raises:
            RunFailedError: The run failed.
            RunCancelledError: The run was cancelled.
            WaitTimeoutError: The timeout has passed. The run continues.
            PollingInterruptedError: The API was unreachable for `Resilience.deadline` seconds
                (default: 15 minutes), and no `timeout` was given. The run may continue.
            APIError: A poll failed, and a retry cannot help, for example with `AuthenticationError`.
        """
        check_run(run)
        check_callback("on_status", on_status)
        check_progress(progress)
        wait = Wait(run, self._api.options.resilience, timeout, poll_interval)
        with spans.wait(run) as span:
            if not run.is_terminal:
                with self._recent.held(run), run_display(progress) as display:
                    try:
                        with self._waited(run, wait) as waited:
                            while not run.is_terminal:
                                run = self._next(waited)
                                span.status(run)
                                display.status(run)
                                call_back(on_status, run)
                    except BaseException as interruption:
                        self._recent.note(interruption, run)
                        raise
            error = run_errors.failure(run)
            if error is not None:
                raise error
            return run

    def watch(
        self, run: Run, *, timeout: float | None = None, poll_interval: float | None = None
    ) -> Generator[Run]:
        """Polls until `run` has ended, and yields it at the first poll and at each change of status.

        A run that fails or is cancelled is yielded; it raises no error.

        Args:
            run: The run, from anywhere.
            timeout: Seconds to wait. `None`: no limit. 0: poll once.
            poll_interval: Seconds between two polls. `None`: a fifteenth of the age of the run, at most
                15 seconds. If the client waits for more than ten runs of a flow, the interval
                follows their usual duration.

        Yields:
            The run. The last one has ended.

        Raises:
            WaitTimeoutError: The timeout has passed. The run continues.
            PollingInterruptedError: The API was unreachable, as for `wait`.
            APIError: A poll failed, and a retry cannot help.
        """
        check_run(run)
        wait = Wait(run, self._api.options.resilience, timeout, poll_interval)
        if run.is_terminal:
            yield run
            return
        waited = self._waited(run, wait)
        with spans.wait(run, is_current=False) as span, self._note_on_error(run), waited:
            while not run.is_terminal:
                run = self._next(waited)
                span.status(run)
                yield run
