"""Waits for one or several runs, with progress, and updates the ledger."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from dcipher._concurrency.tasks.mailboxes import Mailbox
from dcipher.cli.app.explanations import explain
from dcipher.cli.terminal.errors import ExitCode, worst
from dcipher.cli.terminal.progress import progress
from dcipher.errors import DcipherError, RunError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from dcipher import Dcipher
    from dcipher.cli.app.invocation import Invocation
    from dcipher.models import Run

__all__ = ["changes_of", "code_of", "followed_at_once", "wait_for", "wait_for_all"]


def wait_for(call: Invocation, client: Dcipher, run: Run, timeout: float | None) -> Run:
    """Waits for one run. The errors of `runs.wait` are raised after the ledger is updated."""
    with progress(call.output) as display:

        def changed(update: Run) -> None:
            call.followed.record(update)
            display.status(update)

        try:
            return client.runs.wait(run, timeout=timeout, on_status=changed)
        except RunError as error:
            call.followed.record(error.run)
            raise


def wait_for_all(
    call: Invocation, client: Dcipher, runs: Sequence[Run], timeout: float | None
) -> tuple[list[Run], list[DcipherError]]:
    """Waits for several runs at once. Returns their last states, in order, and the errors."""

    def follow(run: Run, changed: Callable[[Run], None]) -> Run:
        return client.runs.wait(run, timeout=timeout, on_status=changed)

    failed: list[DcipherError] = []
    with progress(call.output) as display:
        for run in followed_at_once(call, runs, follow, failed):
            display.status(run)
    return [call.followed.runs[run.task_id] for run in runs], failed


def changes_of(
    call: Invocation,
    client: Dcipher,
    runs: Sequence[Run],
    timeout: float | None,
    failed: list[DcipherError],
) -> Iterator[Run]:
    """Yields the changes of several runs. Errors are added to `failed`."""

    def follow(run: Run, changed: Callable[[Run], None]) -> Run:
        for update in client.runs.watch(run, timeout=timeout):
            run = update
            changed(run)
        return run

    return followed_at_once(call, runs, follow, failed)


def followed_at_once(
    call: Invocation,
    runs: Sequence[Run],
    follow: Callable[[Run, Callable[[Run], None]], Run],
    failed: list[DcipherError],
) -> Iterator[Run]:
    """Follows each run in a thread, and yields their changes. Errors are printed, and added to `failed`.

    `follow(run, changed)` blocks: it calls `changed`, and returns the ended run, or raises.
    """
    found: Mailbox[tuple[Run, BaseException | None, bool]] = Mailbox()

    def one(run: Run) -> None:
        try:
            found.put((follow(run, lambda update: found.put((update, None, False))), None, True))
        except BaseException as error:  # noqa: BLE001 - raised in the main thread
            found.put((run, error, True))

    # Daemon threads do not keep the program alive after Ctrl-C.
    for run in runs:
        threading.Thread(target=one, args=(run,), daemon=True).start()
    left = len(runs)
    while left and (event := found.get()) is not None:
        run, error, is_last = event
        left -= is_last
        if error is not None and not isinstance(error, DcipherError):
            raise error
        if isinstance(error, RunError):
            run = error.run
        call.followed.record(run)
        if error is not None:
            failed.append(error)
            call.output.warn(f"error: {explain(error)}")
        if not is_last:
            yield run


def code_of(runs: Iterable[Run], failed: Iterable[DcipherError] = ()) -> ExitCode:
    """Returns the worst exit code of several runs."""
    codes: list[Any] = [explain(error).code for error in failed]
    ended_badly = any(run.is_terminal and not run.succeeded for run in runs)
    return worst([*codes, ExitCode.RUN_FAILED if ended_badly else ExitCode.OK])
