"""`dcipher journal`: shows the journal of a batch, and resolves rows that wait for a decision."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from dcipher.cli.app.commands import Group, argument
from dcipher.cli.app.options import PATH, option
from dcipher.cli.terminal.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dcipher._batch.journal.states import State
    from dcipher.cli.app.invocation import Invocation

__all__ = ["app"]

app: Group = Group(
    "journal", help="Show the journal of a batch (dcipher flows map). Nothing is sent anywhere."
)

_JOURNAL = argument(
    "journal JOURNAL", "The file of --journal, or of journal=… in Python.", type=PATH
)
COLUMNS = ["key", "status", "task_id", "seconds", "error"]


@app.command()
@_JOURNAL
def show(call: Invocation, journal: Path) -> None:
    """Count the rows of a journal by flow and status, even while a batch uses it."""
    from dcipher._batch.journal.reading import summary_of

    found = summary_of(journal)
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
@_JOURNAL
def failures(call: Invocation, journal: Path) -> None:
    """List the rows that have ended and are not done, with the reason."""
    others = {"done", "planned", "sent", "started"}
    call.output.data(
        (row for row in _records(journal) if row["status"] not in others),
        columns=COLUMNS,
        key="key",
    )


@app.command()
@_JOURNAL
def export(call: Invocation, journal: Path) -> None:
    """Print every row: as a table, or with --jsonl as JSON lines."""
    call.output.data(_records(journal), columns=COLUMNS, key="key")


def _records(journal: Path) -> Iterator[dict[str, Any]]:
    from dcipher._batch.journal.reading import read_rows

    return (asdict(row) for row in read_rows(journal))


@app.command()
@_JOURNAL
@argument("key KEY", "The key of the row.")
@option("--task TASK", "The row was started: the id of its run.")
@option("--again", "The row was not started: the next call starts it.")
@option("--failed", "Mark the row as failed: `flows map --retry-failed` then starts another run.")
@option("--flow FLOW", "The flow of the row, if the journal has several flows.")
def resolve(
    call: Invocation,
    journal: Path,
    key: str,
    task: str | None,
    again: bool,
    failed: bool,
    flow: str | None,
) -> None:
    """Set the state of a row whose start is unknown, or whose run was cancelled.

    The next call with the journal resumes from there. With --task, the next call waits for the run,
    but cannot download its result, because the URLs are not known.

        dcipher journal resolve texts.db row-17 --again
    """
    if [task is not None, again, failed].count(True) != 1:
        raise UsageError("Give one of --task, --again and --failed.")
    from dcipher._batch.journal.states import Change
    from dcipher._batch.journal.store import Journal
    from dcipher.models import Run

    if not journal.is_file():
        raise UsageError(f"There is no journal {journal}.")
    opened = Journal(journal)
    try:
        id_, its_flow, known = _row(opened.find(key, flow), key)
        if known != "unknown" and not (known == "cancelled" and failed):
            raise UsageError(
                f"Row {key} is {known}. An unknown row can be resolved, and a cancelled one by --failed."
            )
        values: dict[str, Any] = {"error": None}
        if task is not None:
            values |= {"task_id": task, "run": Run(flow_id=its_flow, task_id=task).to_json()}
        state: State = "planned" if again else "failed" if failed else "started"
        opened.apply([Change(id_, known, state, values)])
    finally:
        opened.close()
    call.output.data({"key": key, "status": state}, key="key")


def _row(found: list[tuple[int, str, State]], key: str) -> tuple[int, str, State]:
    if not found:
        raise UsageError(f"The journal has no row with the key {key}.")
    if len(found) > 1:
        flows = ", ".join(flow for _, flow, _ in found)
        raise UsageError(f"Several flows have a row {key}: add --flow ({flows}).")
    return found[0]
