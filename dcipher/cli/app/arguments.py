"""Arguments and options that several commands share."""

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
    list[str] | None, typer.Argument(metavar="TASK", help="The ids of one or more runs.")
]
FlowOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--flow",
        metavar="FLOW",
        help="The flow of the runs. Not needed for runs that were started on this machine.",
    ),
]
RunFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--run",
        metavar="FILE|-",
        help="A run written by --save-run or run.to_json(), from a file or standard input.",
    ),
]
Timeout: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--timeout",
        metavar="DURATION",
        help="How long to wait: 90, 90s, 30m, 2h, 1h30m. Default: until the run has ended.",
    ),
]
_OUTPUT = typer.Option(
    "--output",
    "-o",
    metavar="FILE|-",
    help="Save the result to FILE. Several results are saved as FILE_0, FILE_1, … before the suffix. "
    "The suffix determines the format of rows: .json, .ndjson, .csv or .parquet. With -, only the "
    "bytes of a single result are written to stdout.",
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
        help="Store the signed URLs of the results in the list of runs (mode 0600), for `dcipher "
        "runs download TASK`. Whoever reads them can read the results.",
    ),
]
Reveal: TypeAlias = Annotated[
    bool,
    typer.Option("--reveal-urls", help="Print signed URLs in --json and --jsonl, instead of null."),
]
NoLedger: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--no-ledger", help="Do not store the run in `dcipher runs list` (DCIPHER_NO_LEDGER)."
    ),
]


def as_seconds(timeout: str | None) -> int | None:
    """Returns the seconds of `--timeout`."""
    return None if timeout is None else seconds(timeout, "--timeout")
