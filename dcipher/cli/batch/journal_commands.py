"""`dcipher journal`: look into the journal of a batch, and settle what only a person can."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dcipher.cli.app.declaring import App, invocation
from dcipher.cli.terminal.exit_codes import ExitCode
from dcipher.cli.terminal.failures import CommandError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["app"]

app: App = App("Look into the journal of a batch (dcipher flows map). Nothing is sent anywhere.")

JournalArgument = Annotated[
    Path, typer.Argument(metavar="JOURNAL", help="The file of --journal, or journal=….")
]
FlowName = Annotated[
    str | None, typer.Option("--flow", metavar="FLOW", help="Where the journal has several flows.")
]
COLUMNS = ["key", "status", "task_id", "seconds", "error"]


@app.command()
def show(ctx: typer.Context, journal: JournalArgument) -> None:
    """Count the rows of a journal by flow and status, also while a batch runs with it."""
    from dcipher._batch.journal.reading import summary_of

    call, found = invocation(ctx), summary_of(journal)
    rows = [
        {"flow": flow, "status": status, "rows": count}
        for flow, counts in found.rows.items()
        for status, count in counts.items()
    ]
    if call.output.structured:
        call.output.data({"base_url": found.base_url, "rows": rows})
    else:
        call.output.note(f"A journal of {found.base_url}.")
        call.output.data(rows, columns=["flow", "status", "rows"], key="flow")


@app.command()
def failures(ctx: typer.Context, journal: JournalArgument) -> None:
    """List the rows that have ended and are not done, with the reason."""
    going_on = {"done", "planned", "sent", "started"}
    invocation(ctx).output.data(
        (row for row in _records(journal) if row["status"] not in going_on),
        columns=COLUMNS,
        key="key",
    )


@app.command()
def export(ctx: typer.Context, journal: JournalArgument) -> None:
    """Print every row: as a table, with --jsonl as JSON lines."""
    invocation(ctx).output.data(_records(journal), columns=COLUMNS, key="key")


def _records(journal: Path) -> Iterator[dict[str, Any]]:
    from dcipher._batch.journal.reading import read_rows

    return (asdict(row) for row in read_rows(journal))


@app.command()
def resolve(
    ctx: typer.Context,
    journal: JournalArgument,
    key: Annotated[str, typer.Argument(metavar="KEY", help="The key of the row.")],
    task: Annotated[
        str | None, typer.Option("--task", metavar="TASK", help="It was started: this is its run.")
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="It was not started: the next call starts it.")
    ] = False,
    failed: Annotated[bool, typer.Option("--failed", help="Let it be: it has failed.")] = False,
    flow: FlowName = None,
) -> None:
    """Say what became of a row whose start is unknown.

    The next call with the journal goes on from there. Of a run that is named by --task the URLs of the
    results are not known: it is waited for, and its result cannot be fetched.

        dcipher journal resolve texts.db row-17 --again
    """
    if [task is not None, again, failed].count(True) != 1:
        raise CommandError("Give one of --task, --again and --failed.", ExitCode.USAGE)
    from dcipher._batch.journal.states import Change
    from dcipher._batch.journal.store import Journal
    from dcipher.models import Run

    if not journal.is_file():
        raise CommandError(f"There is no journal {journal}.", ExitCode.USAGE)
    opened = Journal(journal)
    try:
        id_, its_flow = _unknown_row(opened.find(key, flow), key)
        values: dict[str, Any] = {"error": None}
        if task is not None:
            values |= {"task_id": task, "run": Run(flow_id=its_flow, task_id=task).to_json()}
        state = "planned" if again else "failed" if failed else "started"
        opened.apply([Change(id_, "unknown", state, values)])
    finally:
        opened.close()
    invocation(ctx).output.data({"key": key, "status": state}, key="key")


def _unknown_row(found: list[tuple[int, str, str]], key: str) -> tuple[int, str]:
    if not found:
        raise CommandError(f"The journal has no row with the key {key}.", ExitCode.USAGE)
    if len(found) > 1:
        flows = ", ".join(flow for _, flow, _ in found)
        raise CommandError(f"Several flows have a row {key}: add --flow ({flows}).", ExitCode.USAGE)
    [(id_, flow, state)] = found
    if state != "unknown":
        raise CommandError(
            f"Row {key} is {state}: only an unknown one is resolved.", ExitCode.USAGE
        )
    return id_, flow
