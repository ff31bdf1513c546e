"""Arguments and options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from dcipher.cli.terminal.durations import seconds

__all__ = [
    "FlowArgument",
    "FlowOption",
    "KeepURLs",
    "NoLedger",
    "OutputOption",
    "Overwrite",
    "RequiredOutput",
    "Reveal",
    "RunFile",
    "Tasks",
    "Timeout",
    "as_seconds",
]

FlowArgument: TypeAlias = Annotated[str, typer.Argument(metavar="FLOW", help="The id of the flow.")]
Tasks: TypeAlias = Annotated[
    list[str] | None, typer.Argument(metavar="TASK", help="The id of a run; several may be given.")
]
FlowOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--flow",
        metavar="FLOW",
        help="The flow of the runs; not needed for runs that were started from here.",
    ),
]
RunFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--run",
        metavar="FILE|-",
        help="The run as --save-run or run.to_json() wrote it, from a file or standard input.",
    ),
]
Timeout: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--timeout",
        metavar="DURATION",
        help="How long to wait for the end: 90, 90s, 30m, 2h, 1h30m. Without it, until it comes.",
    ),
]
_OUTPUT = typer.Option(
    "--output",
    "-o",
    metavar="FILE|-",
    help="Save the result as FILE; several as FILE_0, FILE_1, … before the suffix. Rows are written "
    "in the format that the suffix says: .json, .ndjson, .csv or .parquet. - writes the bytes of "
    "the one result to stdout, and nothing else.",
)
OutputOption: TypeAlias = Annotated[Path | None, _OUTPUT]
RequiredOutput: TypeAlias = Annotated[Path, _OUTPUT]
Overwrite: TypeAlias = Annotated[
    bool, typer.Option("--overwrite/--no-overwrite", help="Whether a file may be replaced.")
]
KeepURLs: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--keep-urls",
        help="Keep the signed URLs of the results in the list of runs (0600), for `dcipher runs "
        "download TASK`. Whoever reads them can read the results.",
    ),
]
Reveal: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--reveal-urls", help="Print signed URLs in --json and --jsonl; they are null otherwise."
    ),
]
NoLedger: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--no-ledger", help="Do not remember the run in `dcipher runs list` (DCIPHER_NO_LEDGER)."
    ),
]


def as_seconds(timeout: str | None) -> int | None:
    """The seconds of `--timeout`."""
    return None if timeout is None else seconds(timeout, "--timeout")
