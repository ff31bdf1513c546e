"""`dcipher results`: show, validate and convert result files, in constant memory, without network."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from dcipher.cli.app.declaring import App, invocation

__all__ = ["app"]

app: App = App("Show, validate and convert result files. Nothing is sent anywhere.")


class _Choice(str, Enum):
    """One of several words."""

    def __str__(self) -> str:
        """Returns the word."""
        return str(self.value)


class Kind(_Choice):
    """The formats."""

    JSON = "json"
    NDJSON = "ndjson"
    CSV = "csv"
    PARQUET = "parquet"


class OnInvalid(_Choice):
    """What to do with invalid rows."""

    COLLECT = "collect"
    DROP = "drop"
    RAISE = "raise"


File = Annotated[
    str,
    typer.Argument(
        metavar="FILE",
        help="JSON, NDJSON, CSV or Parquet, also compressed by gzip or Zstandard. - is standard input.",
    ),
]
From = Annotated[
    Kind | None,
    typer.Option(
        "--from",
        metavar="json|ndjson|csv|parquet",
        help="The format of FILE. Default: detected from its name, else from its first bytes.",
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite/--no-overwrite", help="Whether a file that is there is replaced."),
]
_MODEL = typer.Option(
    "--model",
    metavar="MODULE:NAME",
    help="The type of a row: a Pydantic model, a dataclass or another type. The module can be in "
    "the current folder. It is imported, so its code is executed.",
)


@app.command()
def head(
    ctx: typer.Context,
    file: File,
    rows: Annotated[
        int, typer.Option("-n", "--rows", metavar="N", min=0, help="The number of rows.")
    ] = 10,
    from_: From = None,
) -> None:
    """Show the first rows: a table on a terminal, JSON lines in a pipe.

    Only these rows are read. Their content is escaped for the terminal. The exit code is 5 if one of
    them is malformed, such as a CSV record with another number of cells than the header.
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
            help="collect: read all rows, count the invalid ones, and show the first locations. "
            "drop: only count. raise: stop at the first invalid row.",
        ),
    ] = OnInvalid.COLLECT,
    max_invalid: Annotated[
        str | None,
        typer.Option(
            "--max-invalid",
            metavar="N|N%",
            help="The permitted number or share of invalid rows. The exit code is then 0. The "
            "command stops as soon as there are more.",
        ),
    ] = None,
    rejects: Annotated[
        Path | None,
        typer.Option(
            "--rejects",
            metavar="FILE",
            help="Write a JSON line for each invalid row to this file: its number and the reasons, "
            "without values.",
        ),
    ] = None,
    keep_raw: Annotated[
        bool,
        typer.Option("--keep-raw", help="Include the invalid rows themselves, with their values."),
    ] = False,
    overwrite: Overwrite = False,
    from_: From = None,
) -> None:
    """Validate each row with a model. The exit code is 5 if a row is invalid, else 0.

    Prints the number of rows, the number of invalid rows, the errors by type, and the first
    locations, such as [17].score: the number of the row, from 0, and the location in it. Without
    --keep-raw, no value of the file is printed.
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
            help="The new file. Its name determines the format; .gz compresses it. - is standard "
            "output.",
        ),
    ],
    to: Annotated[
        Kind | None,
        typer.Option(
            "--to",
            metavar="json|ndjson|csv|parquet",
            help="The format of OUT. Default: by its name.",
        ),
    ] = None,
    model: Annotated[str | None, _MODEL] = None,
    overwrite: Overwrite = False,
    from_: From = None,
) -> None:
    """Write the rows of a file in another format.

    OUT is replaced atomically, and an existing file only with --overwrite. Without --model, JSON
    values are copied exactly, CSV values are text, and a CSV file has the columns of the first row
    (a later row with another column is an error). With --model, each row is validated and dumped by
    the model; the first invalid row ends the command with exit code 5.

    In JSON, NaN and infinity become null, and bytes become base64. Parquet needs the extra arrow;
    its columns are those of runs.table.
    """
    from dcipher.cli.results.converting import Target
    from dcipher.cli.results.converting import convert as write

    target = Target.of(out, to and to.value, overwrite=overwrite)
    write(invocation(ctx), file, target, model, from_ and from_.value)
