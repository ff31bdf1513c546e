"""`dcipher runs`: show runs, wait for them, download their results, list them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from dcipher.cli.app.arguments import (
    FlowOption,
    NoLedger,
    Overwrite,
    RequiredOutput,
    Reveal,
    RunFile,
    Tasks,
    Timeout,
    as_seconds,
)
from dcipher.cli.app.declaring import App, invocation
from dcipher.cli.terminal.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dcipher.cli.app.invocation import Invocation
    from dcipher.models import Run

__all__ = ["app"]

app: App = App("Show runs, wait for them, and download their results.")


@app.command()
def status(
    ctx: typer.Context,
    tasks: Tasks = None,
    flow: FlowOption = None,
    run_file: RunFile = None,
    no_ledger: NoLedger = False,
) -> None:
    """Fetch the status of runs once.

    The exit code is 3 if one of them failed or was cancelled.
    """
    from dcipher.cli.runs.known_runs import known_runs
    from dcipher.cli.runs.waiting import code_of

    call = invocation(ctx)
    call.remember(off=no_ledger)
    runs = known_runs(call, tasks or [], flow, run_file)
    updated: list[Run] = []
    with call.client() as client:
        for run in runs:
            updated.append(client.runs.refresh(run))
            call.following.note(updated[-1])
    _show(call, updated)
    _end(code_of(updated))


@app.command()
def wait(
    ctx: typer.Context,
    tasks: Tasks = None,
    flow: FlowOption = None,
    run_file: RunFile = None,
    timeout: Timeout = None,
    reveal_urls: Reveal = False,
    no_ledger: NoLedger = False,
) -> None:
    """Wait until all given runs have ended.

    The exit code is 3 if one of them failed or was cancelled, and 124 if the timeout has passed.
    """
    from dcipher.cli.runs.known_runs import known_runs
    from dcipher.cli.runs.waiting import code_of, wait_for, wait_for_all
    from dcipher.errors import RunError

    call = invocation(ctx)
    call.remember(off=no_ledger)
    limit = as_seconds(timeout)
    runs = known_runs(call, tasks or [], flow, run_file)
    call.following.expect(runs)
    with call.client() as client:
        if len(runs) == 1:
            try:
                _show(call, [wait_for(call, client, runs[0], limit)], reveal=reveal_urls)
            except RunError as error:
                _show(call, [error.run], reveal=reveal_urls, reported=True)
                raise
            return
        ended, failed = wait_for_all(call, client, runs, limit)
    _show(call, ended, reveal=reveal_urls, reported=True)
    _end(code_of(ended, failed))


@app.command()
def watch(
    ctx: typer.Context,
    tasks: Tasks = None,
    flow: FlowOption = None,
    run_file: RunFile = None,
    timeout: Timeout = None,
    no_ledger: NoLedger = False,
) -> None:
    """Print a line for each change of status, until all given runs have ended.

    The exit code is 3 if one of them failed or was cancelled, and 124 if the timeout has passed.
    """
    from dcipher.cli.runs.known_runs import known_runs
    from dcipher.cli.runs.waiting import changes_of, code_of
    from dcipher.errors import DcipherError

    call = invocation(ctx)
    call.remember(off=no_ledger)
    limit = as_seconds(timeout)
    runs = known_runs(call, tasks or [], flow, run_file)
    call.following.expect(runs)
    failed: list[DcipherError] = []
    with call.client() as client:
        changes = changes_of(call, client, runs, limit, failed)
        records = (_change(run) for run in changes if run.is_terminal or not call.output.quiet)
        call.output.data(records, key="task_id", text=_line)
    _end(code_of(call.following.runs.values(), failed))


@app.command()
def download(
    ctx: typer.Context,
    output: RequiredOutput,
    tasks: Tasks = None,
    flow: FlowOption = None,
    run_file: RunFile = None,
    overwrite: Overwrite = True,
    no_ledger: NoLedger = False,
) -> None:
    """Save the results of runs that have succeeded.

    This needs their signed URLs, from --run or from the list of runs (`flows run --keep-urls`). The
    results of several runs are saved in the folder FILE, each under the id of its run
    (percent-encoded if necessary).
    """
    from dcipher.cli.runs.downloading import download_all
    from dcipher.cli.runs.known_runs import known_runs

    call = invocation(ctx)
    call.remember(off=no_ledger)
    runs = known_runs(call, tasks or [], flow, run_file)
    download_all(call, runs, output, overwrite=overwrite)


@app.command(name="list")
def list_runs(
    ctx: typer.Context,
    limit: Annotated[
        int,
        typer.Option("--limit", metavar="N", min=1, help="The number of runs, the newest first."),
    ] = 20,
    status: Annotated[
        str | None,
        typer.Option("--status", metavar="STATUS", help="Only runs with this last known status."),
    ] = None,
) -> None:
    """List the runs that this machine started or fetched, with their last known status.

    The list is a local file; the service has no such list. DCIPHER_STATE_DIR sets its folder, and
    DCIPHER_NO_LEDGER=1 disables it.
    """
    from dcipher.cli.state.ledger import Ledger
    from dcipher.cli.terminal.tables import Layout

    call = invocation(ctx)
    ledger = Ledger()
    found = ledger.runs()
    if ledger.foreign:
        call.output.warn(
            f"warning: {ledger.foreign} lines of {ledger.path} cannot be read, and are ignored."
        )
    if status is not None:
        found = [entry for entry in found if str(entry.get("status")).lower() == status.lower()]
    names = (*_LISTED, "finished_at", "seen_at", "idempotency_key")
    records = [{name: entry.get(name) for name in names} for entry in found[:limit]]
    if not records:
        call.output.note("The list of runs is empty.")
    layout = Layout(whole=_IDS, spare=["created_at", "status"])
    call.output.data(records, columns=_LISTED, key="task_id", layout=layout)


_IDS = ("task_id", "flow_id")
_LISTED = ("task_id", "flow_id", "status", "created_at")
"""What people see: with ids as long as the service's, as much as 80 columns hold."""


def _show(
    call: Invocation, runs: Sequence[Run], *, reveal: bool = False, reported: bool = False
) -> None:
    from dcipher.cli.runs.run_records import COLUMNS, run_record
    from dcipher.cli.terminal.tables import Layout

    reported = reported and not call.output.structured
    records = [run_record(run, reveal=reveal, reported=reported) for run in runs]
    if len(records) == 1:
        call.output.data(records[0], columns=COLUMNS[:-1], key="task_id")
    else:
        layout = Layout(whole=_IDS, spare=["message", "finished_at", "created_at"])
        call.output.data(records, columns=COLUMNS[:-1], key="task_id", layout=layout)


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
    from dcipher.cli.terminal.text import printable

    values = (record[name] for name in ("at", "task_id", "status", "message"))
    return "  ".join(printable(value) for value in values if value)


def _end(code: ExitCode) -> None:
    if code:
        raise typer.Exit(code)
