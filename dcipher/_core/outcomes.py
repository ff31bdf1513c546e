"""What a run's state means to whoever waits for it.

The errors, with the words that say how to go on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import (
    APIError,
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
    from .operations import Operation

__all__ = [
    "closed",
    "failure",
    "how_to_reattach",
    "interrupted",
    "named",
    "not_ended",
    "note_run",
    "note_start",
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
        "Wait for it: client.runs.wait(run).",
        run=run,
    )


def without_outputs(run: Run, index: int | None = None) -> ResultError:
    """The error for a result whose URL is not known."""
    return ResultError(_why_no_url(run), run=run, output_index=index)


def _why_no_url(run: Run) -> str:
    # Only a start says when a run was created; JSON and pickles keep that, and the place of each URL.
    if run.created_at is not None and not run.outputs:
        return (
            f"The service gave no URL for the results of run {named(run)}, neither in its answer to "
            "the start nor with its status: there is nothing to be fetched. Check that the flow gives "
            "a result; if it does, tell the service's support the ids of the run."
        )
    text = (
        f"The URLs of the results of run {named(run)} are not known: the service says them only in "
        "the answer to the start, and JSON and pickles leave them out. Keep the run with "
        "run.to_json(reveal=True), and read it with Run.from_json."
    )
    if any(output.url is None for output in run.outputs):
        text += " If it never was JSON or a pickle, the service gave none: tell its support."
    return text


def how_to_reattach(run: Run) -> str:
    """The line that waits for a run again, from anywhere."""
    return f"client.runs.wait(Run(flow_id={run.flow_id!r}, task_id={run.task_id!r}))"


def note_run(error: BaseException, run: Run) -> None:
    """Say of which run an error is, or an interruption: Ctrl-C must not lose it."""
    if isinstance(error, APIError):
        error.run = run
    _note(error, f"Run {named(run)} {_how_it_is(run)}")


def _how_it_is(run: Run) -> str:
    """What is true of it as it was seen last, and what to do next."""
    if run.succeeded:
        return (
            f"has succeeded; to see it again: {how_to_reattach(run)}. For its result: "
            "client.runs.download(run, path), with the run that on_status got, or the same start "
            f"again, with idempotency_key={run.idempotency_key!r}."
        )
    if run.is_terminal:
        return f"has ended: it is {clean(str(run.status))}."
    return f"goes on; to wait for it: {how_to_reattach(run)}."


def note_start(error: BaseException, operation: Operation) -> None:
    """Say how to send a start that was interrupted again without starting a second run."""
    _note(
        error,
        f"Flow {clean(operation.flow_id)} may have been started; to send the same start again: "
        f"idempotency_key={operation.idempotency_key!r}.",
    )


def _note(error: BaseException, text: str) -> None:
    """From Python 3.11; before, there are no notes. Errors of this package say it themselves."""
    if hasattr(error, "add_note") and not isinstance(error, DcipherError):
        note: Callable[[str], None] = getattr(error, "add_note")  # noqa: B009 - not in 3.10
        note(text)


def closed(error: DcipherError, run: Run) -> PollingInterruptedError:
    """The error for a run whose client was closed before it was brought to its end."""
    how = (
        "To have its results: client.runs.download(error.run, path)."
        if run.succeeded
        else f"The run may go on; {_again(run)}."
    )
    return PollingInterruptedError(f"{error} It was with run {named(run)}. {how}", run=run)


def timed_out(run: Run, timeout: float, last_error: APIError | None) -> WaitTimeoutError:
    """The error for a wait whose time is over."""
    seen = (
        f"was {clean(str(run.status))} after {timeout:g} s of waiting"
        if last_error is None
        else f"could not be seen at the end of {timeout:g} s of waiting ({type(last_error).__name__})"
    )
    return WaitTimeoutError(f"Run {named(run)} {seen}. It may go on; {_again(run)}.", run=run)


def _again(run: Run) -> str:
    return (
        "to wait again: client.runs.wait(error.run); or, without the URLs of its results, "
        f"{how_to_reattach(run)}"
    )


def interrupted(run: Run, unreachable_for: float) -> PollingInterruptedError:
    """The error for a wait during which the API was not reached for too long."""
    return PollingInterruptedError(
        f"The status of run {named(run)} could not be seen for {unreachable_for:.0f} s. "
        f"The run may go on; {_again(run)}.",
        run=run,
    )
