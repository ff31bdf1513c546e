"""What a run's state means to whoever waits for it.

The errors, with the words that say how to go on.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from dcipher._masking.text import clean, masked_urls
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
from dcipher.models import RunStatus

if TYPE_CHECKING:
    from dcipher._wire.messages.operations import Operation
    from dcipher.models import Run
from dcipher._wire.errors.run_names import named, new_key, same_start

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
    """The error that a run which has ended stands for; `None` where it went well, or goes on."""
    message = clean(masked_urls(run.message or "")).rstrip(".!")
    said = f": {message}" if message else " without saying why"
    name = f"Run {named(run)}"
    if run.status is RunStatus.FAILED:
        return RunFailedError(
            f"{name} failed{said}. Check its parameters, then start it anew, {new_key(run)}.",
            run=run,
        )
    if run.status is RunStatus.CANCELFAILED:
        return RunFailedError(
            f"{name} was to be cancelled, and that was refused (CANCELFAILED){said}. "
            f"Its result is not to be counted on: start it anew, {new_key(run)}.",
            run=run,
        )
    if run.status is RunStatus.CANCELLED:
        return RunCancelledError(
            f"{name} was cancelled{said}. If it is still wanted, start it anew, {new_key(run)}.",
            run=run,
        )
    return None


def not_ended(run: Run) -> ResultError:
    """The error for a result of a run that goes on."""
    return ResultError(
        f"Run {named(run)} is {clean(str(run.status))}: it has no result yet. "
        "Wait for it: client.runs.wait(run).",
        run=run,
    )


def how_to_reattach(run: Run) -> str:
    """The line that waits for a run again, from anywhere."""
    return f"client.runs.wait(Run(flow_id={run.flow_id!r}, task_id={run.task_id!r}))"


def note_run(
    error: BaseException, run: Run, index: int | None = None, *, is_closed: bool = False
) -> None:
    """Says on an error, or on an interruption, of which run it is: Ctrl-C must not lose it.

    `index`: its position in `client.runs.recent`; `None`: it is not there. `is_closed`: of a client
    that can be asked for no more than that.
    """
    if isinstance(error, APIError):
        error.run = run
    if isinstance(error, DcipherError) and (index is None or isinstance(error, _FINAL)):
        return  # it says itself what there is to be said
    name = f"Run {named(run)}"
    if any(note.startswith(name) for note in getattr(error, "__notes__", ())):
        return
    client = "another_client" if is_closed else "client"
    _note(error, f"{name} {_how_it_is(run, _finders(run, index), client)}")


_FINAL = (RunFailedError, RunCancelledError, ResultExpiredError)


def _finders(run: Run, index: int | None) -> tuple[str, ...]:
    """Returns what finds the run among the recent ones: now, and whatever is started later."""
    if index is None:
        return ()
    ids = f"run.flow_id == {run.flow_id!r} and run.task_id == {run.task_id!r}"
    return f"client.runs.recent[{index}]", f"next(run for run in client.runs.recent if {ids})"


def _how_it_is(run: Run, finders: tuple[str, ...], client: str) -> str:
    """Returns the run's state as it was last reported, and what to do next, by means of `client`."""
    if not run.is_terminal:
        return f"goes on; to wait for it: {_waits(run, finders, client)}{same_start(run)}."
    if not run.succeeded:
        return f"has ended: it is {clean(str(run.status))}."
    # A result is saved by the run's ids alone: at the place of the run there may be another one now.
    it, whose = (finders[-1], "") if finders else ("run", ", with the run that on_status got")
    return (
        f"has succeeded; to see it again: {_waits(run, finders, client)}. For its result: "
        f"{client}.runs.download({it}, path){whose}{same_start(run)}."
    )


def _waits(run: Run, finders: tuple[str, ...], client: str) -> str:
    """Returns the lines that wait for it again."""
    if not finders:
        return how_to_reattach(run)
    lines = " or, when others have been started since, ".join(
        f"{client}.runs.wait({found})" for found in finders
    )
    # The `with` block around the call closes its client before anybody reads this.
    other = ", by another client if this one is closed" if client == "client" else ""
    return f"{lines}{other}; in another process, without the URLs of its results: {how_to_reattach(run)}"


def note_start(error: BaseException, operation: Operation) -> None:
    """Says how to send a start that was interrupted again without starting a second run."""
    if isinstance(error, DcipherError):
        return
    _note(
        error,
        f"Flow {clean(operation.flow_id)} may have been started; the same call with "
        f"idempotency_key={operation.idempotency_key!r} goes on with that run, and starts no second one.",
    )


def _note(error: BaseException, text: str) -> None:
    """Adds a note (PEP 678), as Python does from 3.11 on."""
    # An error of the user's may refuse to be changed, as a frozen dataclass does: it comes out as it is.
    with suppress(Exception):
        vars(error)["__notes__"] = [*getattr(error, "__notes__", ()), text]


def closed(error: DcipherError, run: Run) -> PollingInterruptedError:
    """The error for a run whose client was closed before it was brought to its end."""
    how = (
        f"To have its results: another_client.runs.download(error.run, path){same_start(run)}."
        if run.succeeded
        else f"The run may go on; {_again(run, 'another_client')}."
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


def _again(run: Run, client: str = "client") -> str:
    return (
        f"to wait again: {client}.runs.wait(error.run); or, without the URLs of its results, "
        f"{how_to_reattach(run)}{same_start(run)}"
    )


def interrupted(run: Run, unreachable_for: float) -> PollingInterruptedError:
    """The error for a wait during which the API was not reached for too long."""
    return PollingInterruptedError(
        f"The status of run {named(run)} could not be seen for {unreachable_for:.0f} s. "
        f"The run may go on; {_again(run)}.",
        run=run,
    )
