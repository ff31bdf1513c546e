"""What a run's state means to whoever waits for it.

The errors, with the words that say how to go on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import (
    DcipherError,
    PollingInterruptedError,
    ResultError,
    RunCancelledError,
    RunError,
    RunFailedError,
    WaitTimeoutError,
)
from ..models import RunStatus
from .text import clean, masked_urls

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..models import Run

__all__ = [
    "add_note",
    "failure",
    "how_to_reattach",
    "interrupted",
    "named",
    "not_ended",
    "timed_out",
    "without_outputs",
]


def failure(run: Run) -> RunError | None:
    """The error that a run which has ended stands for; `None` where it went well, or goes on."""
    message = clean(masked_urls(run.message or "")).rstrip(".!")
    said = f": {message}" if message else " without saying why"
    name = f"Run {named(run)}"
    if run.status is RunStatus.FAILED:
        return RunFailedError(
            f"{name} failed{said}. Check its parameters, then start it anew.", run=run
        )
    if run.status is RunStatus.CANCELFAILED:
        return RunFailedError(
            f"{name} was to be cancelled, and that was refused (CANCELFAILED){said}. "
            "Its result is not to be counted on: start it anew.",
            run=run,
        )
    if run.status is RunStatus.CANCELLED:
        return RunCancelledError(
            f"{name} was cancelled{said}. Start it anew if it is still wanted.", run=run
        )
    return None


def named(run: Run) -> str:
    """The run's ids, fit to be shown."""
    return f"{clean(run.task_id)} of flow {clean(run.flow_id)}"


def not_ended(run: Run) -> ResultError:
    """The error for a result of a run that goes on."""
    return ResultError(
        f"Run {named(run)} is {clean(str(run.status))}: it has no result yet. "
        f"Wait for it: {how_to_reattach(run)}.",
        run=run,
    )


def without_outputs(run: Run, index: int | None = None) -> ResultError:
    """The error for a result whose URL is not known."""
    return ResultError(
        f"The URLs of the results of run {named(run)} are not known: the service says them only in "
        "the answer to the start, and JSON and pickles leave them out. Keep the run with "
        "run.to_json(reveal=True), and read it with Run.from_json.",
        run=run,
        output_index=index,
    )


def how_to_reattach(run: Run) -> str:
    """The line that waits for a run again, from anywhere."""
    return f"client.runs.wait(Run(flow_id={run.flow_id!r}, task_id={run.task_id!r}))"


def add_note(error: BaseException, run: Run) -> None:
    """Say of which run an interruption is: Ctrl-C or a cancellation must not lose its id.

    From Python 3.11; before, there are no notes. Errors of this package say it themselves.
    """
    note: Callable[[str], None] | None = getattr(error, "add_note", None)
    if note is not None and not isinstance(error, DcipherError):
        note(f"Run {named(run)} goes on; to wait for it: {how_to_reattach(run)}.")


def timed_out(run: Run, timeout: float) -> WaitTimeoutError:
    """The error for a wait whose time is over."""
    return WaitTimeoutError(
        f"Run {named(run)} was {clean(str(run.status))} after {timeout:g} s of waiting. "
        f"It goes on; to wait again: {how_to_reattach(run)}, or error.run.",
        run=run,
    )


def interrupted(run: Run, unreachable_for: float) -> PollingInterruptedError:
    """The error for a wait during which the API was not reached for too long."""
    return PollingInterruptedError(
        f"The status of run {named(run)} could not be seen for {unreachable_for:.0f} s. "
        f"The run may go on; to wait again: {how_to_reattach(run)}, or error.run.",
        run=run,
    )
