"""The errors and notes about a run, with the calls that resume it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from dcipher._masking.text import clean
from dcipher._masking.urls import redact_urls
from dcipher.errors import (
    APIError,
    DcipherError,
    PollingInterruptedError,
    ResultError,
    ResultExpiredError,
    RunCancelledError,
    RunError,
    RunFailedError,
    WaitTimeoutError,
)
from dcipher.errors._hints import with_hint
from dcipher.models import RunStatus

if TYPE_CHECKING:
    from dcipher._wire.messages.operations import Operation
    from dcipher.models import Run
from dcipher._wire.errors.run_names import anew, named, same_start

__all__ = [
    "closed",
    "failure",
    "how_to_reattach",
    "interrupted",
    "not_ended",
    "note_run",
    "note_start",
    "timed_out",
]


def failure(run: Run) -> RunError | None:
    """Returns the error for a run that failed or was cancelled; otherwise `None`."""
    message = clean(redact_urls(run.message or "")).rstrip(".!")
    reason = f": {message}" if message else " without a message"
    name = f"Run {named(run)}"
    if run.status is RunStatus.FAILED:
        error: RunError = RunFailedError(f"{name} failed{reason}.", run=run)
        advice = "Check its parameters, then start a new run, {new_key}."
        return with_hint(error, *anew(run, advice))
    if run.status is RunStatus.CANCELFAILED:
        error = RunFailedError(
            f"{name} counts as failed, because its cancellation was refused (CANCELFAILED){reason}.",
            run=run,
        )
        advice = "Do not rely on its result. Start a new run, {new_key}."
        return with_hint(error, *anew(run, advice))
    if run.status is RunStatus.CANCELLED:
        error = RunCancelledError(f"{name} was cancelled{reason}.", run=run)
        advice = "If you still need its result, start a new run, {new_key}."
        return with_hint(error, *anew(run, advice))
    return None


def not_ended(run: Run) -> ResultError:
    """Returns the error for a result of a run that has not ended."""
    error = ResultError(
        f"Run {named(run)} has no result yet: it is {clean(str(run.status))}.", run=run
    )
    return with_hint(error, "Wait for it: client.runs.wait(run).", cli="")


def how_to_reattach(run: Run) -> str:
    """Returns the call that waits for a run, from any process."""
    return f"client.runs.wait(Run(flow_id={run.flow_id!r}, task_id={run.task_id!r}))"


def note_run(
    error: BaseException, run: Run, index: int | None = None, *, is_closed: bool = False
) -> None:
    """Adds a note to an error, or an interruption, that names the run: Ctrl-C must not lose it.

    `index`: its position in `client.runs.recent`, or `None`. `is_closed`: the client is closed, and
    only that list can be read.
    """
    if isinstance(error, APIError):
        error.run = run
    if isinstance(error, DcipherError) and (index is None or isinstance(error, _FINAL)):
        return  # its message names the run
    name = f"Run {named(run)}"
    if any(note.startswith(name) for note in getattr(error, "__notes__", ())):
        return
    client = "another_client" if is_closed else "client"
    _note(error, f"{name} {_how_it_is(run, _finders(run, index), client)}")


_FINAL = (RunFailedError, RunCancelledError, ResultExpiredError)


def _finders(run: Run, index: int | None) -> tuple[str, ...]:
    """Returns the expressions that find the run in the list: now, and after other starts."""
    if index is None:
        return ()
    ids = f"run.flow_id == {run.flow_id!r} and run.task_id == {run.task_id!r}"
    return f"client.runs.recent[{index}]", f"next(run for run in client.runs.recent if {ids})"


def _how_it_is(run: Run, finders: tuple[str, ...], client: str) -> str:
    """Returns the last reported state of the run, and the calls of `client` that resume it."""
    if not run.is_terminal:
        return f"continues. To wait for it: {_waits(run, finders, client)}{same_start(run)}."
    if not run.succeeded:
        return f"has ended: its status is {clean(str(run.status))}."
    # A result is found by the ids of the run: its index may be that of another run now.
    it, whose = (finders[-1], "") if finders else ("run", ", with the run that on_status received")
    return (
        f"has succeeded. To get it: {_waits(run, finders, client)}. To download its result: "
        f"{client}.runs.download({it}, path){whose}{same_start(run)}."
    )


def _waits(run: Run, finders: tuple[str, ...], client: str) -> str:
    """Returns the calls that resume waiting for it."""
    if not finders:
        return how_to_reattach(run)
    lines = " or, if others have been started since, ".join(
        f"{client}.runs.wait({found})" for found in finders
    )
    # The `with` block around the call closes its client before anybody reads this.
    other = ", with another client if this one is closed" if client == "client" else ""
    return f"{lines}{other}; in another process, without the URLs of its results: {how_to_reattach(run)}"


def note_start(error: BaseException, operation: Operation) -> None:
    """Adds a note to an interrupted start: how to repeat it without starting a second run."""
    if isinstance(error, DcipherError):
        return
    _note(
        error,
        f"Flow {clean(operation.flow_id)} may have been started. To resume that run instead of "
        f"starting a second one, repeat the call with idempotency_key={operation.idempotency_key!r}.",
    )


def _note(error: BaseException, text: str) -> None:
    """Adds a note (PEP 678), as Python does from 3.11 on."""
    # A user's exception may be immutable, such as a frozen dataclass: it stays without a note.
    with suppress(Exception):
        vars(error)["__notes__"] = [*getattr(error, "__notes__", ()), text]


def closed(error: DcipherError, run: Run) -> PollingInterruptedError:
    """Returns the error for a run whose client was closed before the run ended."""
    text = f"{error} The call was for run {named(run)}."
    if not run.succeeded:
        text += " The run may continue."
    how = (
        f"To download its results: another_client.runs.download(error.run, path){same_start(run)}."
        if run.succeeded
        else f"{_resume(run, 'another_client')}."
    )
    return with_hint(PollingInterruptedError(text, run=run), how, cli="")


def timed_out(run: Run, timeout: float, last_error: APIError | None) -> WaitTimeoutError:
    """Returns the error for a wait whose timeout has passed."""
    text = (
        f"Run {named(run)} was {clean(str(run.status))} after {timeout:g} s of waiting"
        if last_error is None
        else f"The status of run {named(run)} could not be fetched at the end of {timeout:g} s of "
        f"waiting ({type(last_error).__name__})"
    )
    error = WaitTimeoutError(f"{text}. The run may continue.", run=run)
    return with_hint(error, f"{_resume(run)}.", cli="")


def _resume(run: Run, client: str = "client") -> str:
    return (
        f"To resume waiting: {client}.runs.wait(error.run); or, without the URLs of its results, "
        f"{how_to_reattach(run)}{same_start(run)}"
    )


def interrupted(run: Run, unreachable_for: float) -> PollingInterruptedError:
    """Returns the error for a wait during which the API was unreachable for too long."""
    error = PollingInterruptedError(
        f"The status of run {named(run)} could not be fetched for {unreachable_for:.0f} s. "
        "The run may continue.",
        run=run,
    )
    return with_hint(error, f"{_resume(run)}.", cli="")
