"""`dcipher flows map`: a run for each row of a file."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import click
from click.exceptions import Exit

from dcipher.cli.app.arguments import FLOW
from dcipher.cli.app.commands import Command, argument
from dcipher.cli.app.options import option
from dcipher.cli.terminal.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dcipher import BatchReport, Outcome
    from dcipher.cli.app.invocation import Invocation

__all__ = ["map_rows"]

REJECTED = "UnprocessableEntityError"
COLUMNS = ["key", "index", "status", "task_id", "files", "error"]


@click.command("map", cls=Command)
@FLOW
@argument("file FILE", "The rows: JSON, NDJSON, CSV or Parquet; - is standard input.")
@option("--key COLUMN", "The column that identifies a row. Default: a hash of its params.")
@option("--params COLUMN,…", "The columns that are sent as params. Default: all but that of --key.")
@option(
    "--journal FILE", "Record the state of each row in this file; the same command then resumes."
)
@option("--save DIR", "Save each result in this folder, as <key><suffix>.")
@option("--in-flight N", "The number of concurrent runs. Default: adaptive.")
@option("--starts-per-second X", "The rate of starts. Default: adaptive.")
@option(
    "--max-failures N|SHARE",
    "Stop when more rows fail: a count such as 10, or a share such as 0.05.",
)
@option("--retry-failed", "Retry rows that are failed or expired in the journal.")
@option(
    "--hold-unknown", "Do not retry a start whose response was lost: see `dcipher journal resolve`."
)
@option("--report FILE", "Write the report to this file, as HTML.")
def map_rows(
    call: Invocation,
    /,
    flow: str,
    file: str,
    params: str | None,
    max_failures: str | None,
    hold_unknown: bool,
    report: Path | None,
    **options: Any,
) -> None:
    """Run a flow for each row of a file.

    With --journal, the same command resumes: rows that are done are not run again. It prints the
    report, with --jsonl the outcome of each row as soon as it is available, and with -q the keys of
    the rows that are not done. The exit code is 3 if there are any.

        dcipher flows map 65cf2f3e texts.csv --key id --journal texts.db --save results
    """
    options |= {
        "params": params.split(",") if params else None,
        "max_failures": _limit(max_failures),
        "on_unknown": "hold" if hold_unknown else "resend",
        "progress": False if call.output.quiet or call.output.structured else "auto",
    }
    with call.client() as client:
        batch = client.flows.map(flow, _rows(file), **options)
        if call.options.jsonl:
            call.output.data(_record(outcome) for outcome in batch)
        elif call.output.quiet:
            missed = ({"id": outcome.key} for outcome in batch if outcome.status != "done")
            call.output.data(missed)
        else:
            _show(call, batch.run())
        found = batch.report
    if report is not None:
        found.save(report)
    if any(group.type == REJECTED and group.count == found.rows for group in found.failures):
        call.output.warn(
            "The service rejected the params of every row: --params COLUMN,… names the columns to "
            f"send. Next: dcipher flows get {shlex.quote(flow)}"
        )
    if found.rows > found.done:
        raise Exit(ExitCode.RUN_FAILED)


def _rows(file: str) -> Iterator[Any]:
    from dcipher._results.parsing.row_errors import InvalidRow
    from dcipher.cli.results.checking import opened

    with opened(file, None) as source:
        for number, row in enumerate(source.rows(dict[str, Any])):
            if isinstance(row, InvalidRow):
                raise UsageError(
                    f"Row {number} of {file} is not an object with columns: {row.error()}."
                )
            yield row


def _limit(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return int(text) if text.isdecimal() else float(text)
    except ValueError:
        raise UsageError(
            f"--max-failures {text}: write a count such as 10, or a share such as 0.05."
        ) from None


def _record(outcome: Outcome[Any]) -> dict[str, Any]:
    values = (
        *(outcome.key, outcome.index, outcome.status),
        None if outcome.run is None else outcome.run.task_id,
        [str(file) for file in outcome.files],
        None if outcome.error is None else str(outcome.error),
    )
    return dict(zip(COLUMNS, values, strict=True))


def _show(call: Invocation, report: BatchReport) -> None:
    failures = [
        {"status": group.status, "error": group.type, "rows": group.count, "keys": list(group.keys),
         "message": group.message}
        for group in report.failures
    ]  # fmt: skip
    if call.output.structured:
        seconds = report.seconds
        call.output.data(
            {"rows": report.rows, "counts": dict(report.counts), "reused": report.reused,
             "left_running": report.left_running, "resent": list(report.resent), "resent_late": report.resent_late,
             "starts": report.starts, "polls": report.polls, "seconds": vars(seconds), "failures": failures}
        )  # fmt: skip
        return
    call.output.data(str(report))
    if failures:
        call.output.data(failures, columns=["status", "error", "rows", "keys", "message"])
