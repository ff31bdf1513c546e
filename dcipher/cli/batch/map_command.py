"""`dcipher flows map`: a run for each row of a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dcipher.cli.app.arguments import FlowArgument
from dcipher.cli.app.declaring import invocation
from dcipher.cli.terminal.exit_codes import ExitCode
from dcipher.cli.terminal.failures import CommandError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dcipher import BatchReport, Outcome
    from dcipher.cli.app.invocation import Invocation

__all__ = ["map_rows"]

COLUMNS = ["key", "index", "status", "task_id", "files", "error"]


def map_rows(
    ctx: typer.Context,
    flow: FlowArgument,
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help="The rows: JSON, NDJSON, CSV or Parquet; - is standard input."
        ),
    ],
    key: Annotated[
        str | None,
        typer.Option(
            "--key", metavar="COLUMN", help="What names a row. By default the hash of its params."
        ),
    ] = None,
    params: Annotated[
        str | None,
        typer.Option(
            "--params",
            metavar="COLUMN,…",
            help="The columns that are sent. By default all, without that of the key.",
        ),
    ] = None,
    journal: Annotated[
        Path | None,
        typer.Option(
            "--journal",
            metavar="FILE",
            help="Record what becomes of each row there; the same command again resumes.",
        ),
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option("--save", metavar="DIR", help="Save each result there, as <key><suffix>."),
    ] = None,
    in_flight: Annotated[
        int | None,
        typer.Option("--in-flight", metavar="N", help="Runs at once. By default found out."),
    ] = None,
    starts_per_second: Annotated[
        float | None,
        typer.Option("--starts-per-second", metavar="X", help="By default found out."),
    ] = None,
    max_failures: Annotated[
        str | None,
        typer.Option(
            "--max-failures",
            metavar="N|SHARE",
            help="End when more rows fail: a count such as 10, or a share such as 0.05.",
        ),
    ] = None,
    retry_failed: Annotated[
        bool,
        typer.Option(
            "--retry-failed", help="Run rows again that the journal knows as failed or expired."
        ),
    ] = False,
    hold_unknown: Annotated[
        bool,
        typer.Option(
            "--hold-unknown",
            help="Do not send a start again whose answer was lost: `dcipher journal resolve`.",
        ),
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="FILE", help="Write the report there, as HTML."),
    ] = None,
) -> None:
    """Run a flow for each row of a file.

    With --journal, the same command again resumes: what is done is not run again. Prints the report,
    with --jsonl the outcome of each row as soon as it is known, with -q the keys of the rows that are
    not done. The exit code is 3 where there are any.

        dcipher flows map 65cf2f3e texts.csv --key id --journal texts.db --save results
    """
    call = invocation(ctx)
    options: dict[str, Any] = {
        "key": key,
        "params": params.split(",") if params else None,
        "journal": journal,
        "save": save,
        "in_flight": in_flight,
        "starts_per_second": starts_per_second,
        "max_failures": _limit(max_failures),
        "retry_failed": retry_failed,
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
    if found.rows > found.done:
        raise typer.Exit(ExitCode.RUN_FAILED)


def _rows(file: str) -> Iterator[Any]:
    from dcipher._results.parsing.row_errors import InvalidRow
    from dcipher.cli.results.checking import opened

    with opened(file, None) as source:
        for number, row in enumerate(source.rows(dict[str, Any])):
            if isinstance(row, InvalidRow):
                raise CommandError(
                    f"Row {number} of {file} is no object of columns: {row.error()}.",
                    ExitCode.USAGE,
                )
            yield row


def _limit(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return int(text) if text.isdecimal() else float(text)
    except ValueError:
        raise CommandError(
            f"--max-failures {text}: write a count such as 10, or a share such as 0.05.",
            ExitCode.USAGE,
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
             "left_running": report.left_running, "resent": list(report.resent), "starts": report.starts,
             "polls": report.polls, "seconds": vars(seconds), "failures": failures}
        )  # fmt: skip
        return
    call.output.data(str(report))
    if failures:
        call.output.data(failures, columns=["status", "error", "rows", "keys", "message"])
