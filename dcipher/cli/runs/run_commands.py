"""`dcipher runs`: show runs, wait for them, download their results, list them."""

from __future__ import annotations

from functools import wraps
from shlex import quote
from typing import TYPE_CHECKING, Any

import click
from click.exceptions import Exit

from dcipher.cli.app.arguments import (
    FLOW_OPTION,
    NO_LEDGER,
    OUTPUT,
    OVERWRITE,
    REVEAL_URLS,
    RUN_FILE,
    TASKS,
    TIMEOUT,
)
from dcipher.cli.app.commands import Group
from dcipher.cli.app.options import option
from dcipher.cli.terminal.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from dcipher.cli.app.invocation import Invocation
    from dcipher.cli.terminal.errors import ExitCode
    from dcipher.errors import DcipherError
    from dcipher.models import Run

__all__ = ["app"]

app: Group = Group("runs", help="Show runs, wait for them, and download their results.")


def of_runs(command: Callable[..., None]) -> Callable[..., None]:
    """Decorates a command with the options that choose runs. It receives `runs` instead of them."""

    @wraps(command)
    def with_runs(
        call: Invocation,
        /,
        tasks: Sequence[str],
        flow: str | None,
        run_file: Path | None,
        no_ledger: bool,
        **options: Any,
    ) -> None:
        from dcipher.cli.runs.known_runs import known_runs

        call.set_ledger(off=no_ledger)
        command(call, known_runs(call, tasks, flow, run_file), **options)

    return TASKS(FLOW_OPTION(RUN_FILE(NO_LEDGER(with_runs))))


@app.command()
@of_runs
def status(call: Invocation, runs: Sequence[Run]) -> None:
    """Fetch the status of runs once.

    The exit code is 3 if one of them failed or was cancelled.
    """
    from dcipher.cli.runs.waiting import code_of

    updated: list[Run] = []
    with call.client() as client:
        for run in runs:
            updated.append(client.runs.refresh(run))
            call.followed.record(updated[-1])
    _show(call, updated)
    _end(code_of(updated))


@app.command()
@of_runs
@TIMEOUT
@REVEAL_URLS
def wait(call: Invocation, runs: Sequence[Run], timeout: int | None, reveal_urls: bool) -> None:
    """Wait until all given runs have ended.

    The exit code is 3 if one of them failed or was cancelled, and 124 if the timeout has passed.
    """
    from dcipher.cli.runs.waiting import code_of, wait_for, wait_for_all
    from dcipher.errors import RunError

    call.followed.add(runs)
    with call.client() as client:
        if len(runs) == 1:
            try:
                _show(call, [wait_for(call, client, runs[0], timeout)], reveal=reveal_urls)
            except RunError as error:
                _show(call, [error.run], reveal=reveal_urls, reported=True)
                raise
            return
        ended, failed = wait_for_all(call, client, runs, timeout)
    _show(call, ended, reveal=reveal_urls, reported=True)
    _end(code_of(ended, failed))


@app.command()
@of_runs
@TIMEOUT
def watch(call: Invocation, runs: Sequence[Run], timeout: int | None) -> None:
    """Print a line for each change of status, until all given runs have ended.

    The exit code is 3 if one of them failed or was cancelled, and 124 if the timeout has passed.
    """
    from dcipher.cli.runs.waiting import changes_of, code_of

    call.followed.add(runs)
    failed: list[DcipherError] = []
    with call.client() as client:
        changes = changes_of(call, client, runs, timeout, failed)
        records = (_change(run) for run in changes if run.is_terminal or not call.output.quiet)
        call.output.data(records, key="task_id", text=_line)
    _end(code_of(call.followed.runs.values(), failed))


@app.command()
@OUTPUT(required=True)
@of_runs
@OVERWRITE
def download(call: Invocation, runs: Sequence[Run], output: Path, overwrite: bool) -> None:
    """Save the results of runs that have succeeded.

    This needs their signed URLs, from --run or from the list of runs (`flows run --keep-urls`). The
    results of several runs are saved in the folder FILE, each under the id of its run
    (percent-encoded if necessary).
    """
    from dcipher.cli.runs.saving import download_all

    download_all(call, runs, output, overwrite=overwrite)


@app.command("list")
@option(
    "--limit N", "The number of runs, the newest first.", type=click.IntRange(min=1), default=20
)
@option("--status STATUS", "Only runs with this last known status.")
def list_runs(call: Invocation, limit: int, status: str | None) -> None:
    """List the runs that this machine started or fetched, with their last known status.

    The list is a local file; the service has no such list. DCIPHER_STATE_DIR sets its folder, and
    DCIPHER_NO_LEDGER=1 disables it.
    """
    from dcipher.cli.state.ledger import Ledger
    from dcipher.cli.terminal.tables import Layout

    ledger = Ledger()
    for start in ledger.starts():
        call.output.note(
            f"A start of flow {start['flow_id']} at {start['seen_at']} has no known response. To get "
            f"its run, repeat the command with --idempotency-key {quote(start['idempotency_key'])}."
        )
    found = ledger.runs()
    if status is not None:
        found = [entry for entry in found if str(entry.get("status")).lower() == status.lower()]
    names = (*_LISTED, "finished_at", "seen_at", "idempotency_key")
    records = [{name: entry.get(name) for name in names} for entry in found[:limit]]
    if not records:
        call.output.note("The list of runs is empty.")
    layout = Layout(unfolded=_IDS, optional=["created_at", "status"])
    call.output.data(records, columns=_LISTED, key="task_id", layout=layout)


_IDS = ("task_id", "flow_id")
_LISTED = ("task_id", "flow_id", "status", "created_at")
"""The columns for people: with the ids of the service, they fit in 80 columns."""


def _show(
    call: Invocation, runs: Sequence[Run], *, reveal: bool = False, reported: bool = False
) -> None:
    from dcipher.cli.runs.run_records import COLUMNS, run_record
    from dcipher.cli.terminal.tables import Layout

    reported = reported and not call.output.structured
    records = [run_record(run, reveal=reveal, reported=reported) for run in runs]
    layout = Layout(unfolded=_IDS, optional=["message", "finished_at", "created_at"])
    data: Any = records[0] if len(records) == 1 else records
    call.output.data(data, columns=COLUMNS[:-1], key="task_id", layout=layout)


def _change(run: Run) -> dict[str, Any]:
    from datetime import datetime, timezone

    from dcipher.cli.runs.run_records import run_record

    record = run_record(run)
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return {
        "at": now.replace("+00:00", "Z"),
        **{name: record[name] for name in ("task_id", "flow_id", "status", "message")},
    }


def _line(record: Mapping[str, Any]) -> str:
    values = (record[name] for name in ("at", "task_id", "status", "message"))
    return "  ".join(printable(value) for value in values if value)


def _end(code: ExitCode) -> None:
    if code:
        raise Exit(code)
