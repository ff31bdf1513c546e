"""Waits for one or several runs, with progress, and updates the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dcipher.cli.app.explanations import explain
from dcipher.cli.state.followed import each_at_once
from dcipher.cli.terminal.exit_codes import ExitCode, worst
from dcipher.cli.terminal.progress import progress
from dcipher.errors import DcipherError, RunError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from dcipher import Dcipher
    from dcipher.cli.app.invocation import Invocation
    from dcipher.cli.state.followed import Event
    from dcipher.models import Run

__all__ = ["changes_of", "code_of", "wait_for", "wait_for_all"]


def wait_for(call: Invocation, client: Dcipher, run: Run, timeout: float | None) -> Run:
    """Waits for one run. The errors of `runs.wait` are raised after the ledger is updated."""
    with progress(call.output) as shown:

        def changed(seen: Run) -> None:
            call.following.note(seen)
            shown.status(seen)

        try:
            return client.runs.wait(run, timeout=timeout, on_status=changed)
        except RunError as error:
            call.following.note(error.run)
            raise


def wait_for_all(
    call: Invocation, client: Dcipher, runs: Sequence[Run], timeout: float | None
) -> tuple[list[Run], list[DcipherError]]:
    """Waits for several runs at once. Returns their last states, in order, and the errors."""

    def follow(run: Run, changed: Callable[[Run], None]) -> Run:
        return client.runs.wait(run, timeout=timeout, on_status=changed)

    seen = {run.task_id: run for run in runs}
    failed: list[DcipherError] = []
    with progress(call.output) as shown:
        for event in each_at_once(runs, follow):
            run = _noted(call, event, failed)
            seen[run.task_id] = run
            if not event.ended:
                shown.status(run)
    return [seen[run.task_id] for run in runs], failed


def changes_of(
    call: Invocation,
    client: Dcipher,
    runs: Sequence[Run],
    timeout: float | None,
    failed: list[DcipherError],
) -> Iterator[Run]:
    """Yields the changes of several runs. Errors are added to `failed`."""

    def follow(run: Run, changed: Callable[[Run], None]) -> Run:
        for seen in client.runs.watch(run, timeout=timeout):
            run = seen
            changed(run)
        return run

    for event in each_at_once(runs, follow):
        run = _noted(call, event, failed)
        if not event.ended:
            yield run


def _noted(call: Invocation, event: Event, failed: list[DcipherError]) -> Run:
    error = event.error
    if error is not None and not isinstance(error, DcipherError):
        raise error
    run = error.run if isinstance(error, RunError) else event.run
    call.following.note(run)
    if error is not None:
        failed.append(error)
        call.output.warn(f"error: {explain(error)}")
    return run


def code_of(runs: Iterable[Run], failed: Iterable[DcipherError] = ()) -> ExitCode:
    """Returns the worst exit code of several runs."""
    codes: list[Any] = [explain(error).code for error in failed]
    ended_badly = any(run.is_terminal and not run.succeeded for run in runs)
    return worst([*codes, ExitCode.RUN_FAILED if ended_badly else ExitCode.OK])
