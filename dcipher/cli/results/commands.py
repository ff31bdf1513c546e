"""`dcipher results`: look into result files, validate and convert them; in constant memory, without the network."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from dcipher.cli.app.declaring import App, invocation

__all__ = ["app"]

app: App = App("Look into result files, validate and convert them. Nothing is sent anywhere.")


class _Choice(str, Enum):
    """A word of several."""

    def __str__(self) -> str:
        """As it is written."""
        return str(self.value)


class Kind(_Choice):
    """The formats."""

    JSON = "json"
    NDJSON = "ndjson"
    CSV = "csv"
    PARQUET = "parquet"


class OnInvalid(_Choice):
    """What becomes of rows that do not fit."""

    COLLECT = "collect"
    DROP = "drop"
    RAISE = "raise"


File = Annotated[
    str,
    typer.Argument(
        metavar="FILE",
        help="JSON, NDJSON, CSV or Parquet, also gzip or Zstandard; - is standard input.",
    ),
]
From = Annotated[
    Kind | None,
    typer.Option(
        "--from",
        metavar="json|ndjson|csv|parquet",
        help="The format of FILE. By default: what its name says, else its first bytes.",
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite/--no-overwrite", help="Whether a file that is there is replaced."),
]
_MODEL = typer.Option(
    "--model",
    metavar="MODULE:NAME",
    help="What each row is: a Pydantic model, a dataclass or another type. The module may lie in "
    "the current folder; it is imported, so that its code runs.",
)


@app.command()
def head(
    ctx: typer.Context,
    file: File,
    rows: Annotated[
        int, typer.Option("-n", "--rows", metavar="N", min=0, help="How many rows.")
    ] = 10,
    from_: From = None,
) -> None:
    """Show the first rows: a table on a terminal, JSON lines in a pipe.

    Only as much of the file is read as is shown. What its rows hold is escaped for the terminal.
    Exits with 5 where a row among them cannot be read as the others (a CSV record with another
    number of cells than the header, say).
    """
    from dcipher.cli.results.checking import head as show

    show(invocation(ctx), file, rows, from_ and from_.value)


@app.command()
def validate(
    ctx: typer.Context,
    file: File,
    model: Annotated[str, _MODEL],
    on_invalid: Annotated[
        OnInvalid,
        typer.Option(
            "--on-invalid",
            metavar="collect|drop|raise",
            help="collect: read all, count, and show the first places. drop: count alone. raise: "
            "stop at the first row that does not fit.",
        ),
    ] = OnInvalid.COLLECT,
    max_invalid: Annotated[
        str | None,
        typer.Option(
            "--max-invalid",
            metavar="N|N%",
            help="Permit so many rows that do not fit, or such a share of them: exit with 0 then, "
            "and stop as soon as there are more.",
        ),
    ] = None,
    rejects: Annotated[
        Path | None,
        typer.Option(
            "--rejects",
            metavar="FILE",
            help="Write each row that does not fit to this file, one JSON object a line: its "
            "number and the reasons, without values.",
        ),
    ] = None,
    keep_raw: Annotated[
        bool,
        typer.Option(
            "--keep-raw", help="Show values, too: the rows that do not fit, as they stand there."
        ),
    ] = False,
    overwrite: Overwrite = False,
    from_: From = None,
) -> None:
    """Check each row against a model; exit with 5 where rows do not fit, with 0 where all do.

    Prints how many rows there are, how many do not fit, the errors by type, and the first places,
    such as [17].score: the row's number, from 0, and where inside the row. No value of the file is
    shown, unless --keep-raw.
    """
    from dcipher.cli.results.checking import Checks
    from dcipher.cli.results.checking import validate as check

    checks = Checks(on_invalid.value, max_invalid, rejects, keep_raw, overwrite)
    raise typer.Exit(check(invocation(ctx), file, model, checks, from_ and from_.value))


@app.command()
def convert(
    ctx: typer.Context,
    file: File,
    out: Annotated[
        str,
        typer.Argument(
            metavar="OUT",
            help="The new file; its name says the format, and .gz that it is compressed. - is "
            "standard output.",
        ),
    ],
    to: Annotated[
        Kind | None,
        typer.Option(
            "--to", metavar="json|ndjson|csv|parquet", help="The format of OUT, whatever its name."
        ),
    ] = None,
    model: Annotated[str | None, _MODEL] = None,
    overwrite: Overwrite = False,
    from_: From = None,
) -> None:
    """Write the rows of a file in another format.

    OUT is written beside its place and renamed when it is whole. A file that is there is replaced
    only with --overwrite. Without --model, JSON stays JSON to the last digit, the values of CSV are text, and CSV
    has the columns of the first row (a later row with another one is an error). With --model, each
    row is validated, and dumped by the model: one that does not fit ends it with exit code 5.

    JSON has no NaN and no infinity, and no bytes: they become null, and base64. Parquet needs the
    extra arrow; its columns are those of runs.table.
    """
    from dcipher.cli.results.converting import Target
    from dcipher.cli.results.converting import convert as write

    target = Target.of(out, to and to.value, overwrite=overwrite)
    write(invocation(ctx), file, target, model, from_ and from_.value)
