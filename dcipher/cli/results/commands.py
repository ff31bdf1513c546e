"""`dcipher results`: show, validate and convert result files, in constant memory, without network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from click.exceptions import Exit

from dcipher.cli.app.commands import Group, argument
from dcipher.cli.app.options import option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dcipher.cli.app.invocation import Invocation

__all__ = ["app"]

app: Group = Group(
    "results", help="Show, validate and convert result files. Nothing is sent anywhere."
)

_FORMATS = click.Choice(["json", "ndjson", "csv", "parquet"])
_FILE = argument(
    "file FILE",
    "JSON, NDJSON, CSV or Parquet, also compressed by gzip or Zstandard. - is standard input.",
)
_FROM = option(
    "--from format_",
    "The format of FILE. Default: detected from its name, else from its first bytes.",
    type=_FORMATS,
)
_OVERWRITE = option(
    "--overwrite/--no-overwrite", "Whether an existing file is replaced.", default=False
)
_MODEL = (
    "The type of a row: a Pydantic model, a dataclass or another type. The module can be in the "
    "current folder. It is imported, so its code is executed."
)


@app.command()
@_FILE
@option("--rows -n N", "The number of rows.", type=click.IntRange(min=0), default=10)
@_FROM
def head(call: Invocation, file: str, rows: int, format_: str | None) -> None:
    """Show the first rows: a table on a terminal, JSON lines in a pipe.

    Only these rows are read. Their content is escaped for the terminal. The exit code is 5 if one of
    them is malformed, such as a CSV record with another number of cells than the header.
    """
    from dcipher.cli.results.checking import head as show

    show(call, file, rows, format_)


@app.command()
@_FILE
@option("--model MODULE:NAME", _MODEL, required=True)
@option(
    "--on-invalid",
    "collect: read all rows, count the invalid ones, and show the first locations. "
    "drop: only count. raise: stop at the first invalid row.",
    type=click.Choice(["collect", "drop", "raise"]),
    default="collect",
)
@option(
    "--max-invalid N|N%",
    "The number or share of invalid rows up to which the exit code is 0. The command "
    "stops as soon as there are more.",
)
@option(
    "--rejects FILE",
    "Write a JSON line for each invalid row to this file: its number and the reasons, "
    "without values.",
)
@option("--keep-raw", "Include the invalid rows themselves, with their values.")
@_OVERWRITE
@_FROM
def validate(call: Invocation, file: str, model: str, format_: str | None, **options: Any) -> None:
    """Validate each row with a model. The exit code is 5 if a row is invalid, else 0.

    Prints the number of rows, the number of invalid rows, the errors by type, and the first
    locations, such as [17].score: the number of the row, from 0, and the location in it. Without
    --keep-raw, no value of the file is printed.
    """
    from dcipher.cli.results.checking import Checks
    from dcipher.cli.results.checking import validate as check

    raise Exit(check(call, file, model, Checks(**options), format_))


@app.command()
@argument(
    "files FILE",
    "As for head. The rows of several files are written one after the other. Without -o, the "
    "last one is OUT.",
    nargs=-1,
    required=True,
)
@option(
    "--output -o OUT",
    "The new file. Its name determines the format; .gz compresses it. - is standard output.",
)
@option("--to", "The format of OUT. Default: by its name.", type=_FORMATS)
@option("--model MODULE:NAME", _MODEL)
@_OVERWRITE
@_FROM
def convert(
    call: Invocation,
    files: Sequence[str],
    output: str | None,
    to: str | None,
    model: str | None,
    overwrite: bool,
    format_: str | None,
) -> None:
    """Write the rows of files in another format, one file after the other.

    OUT is replaced atomically, and an existing file only with --overwrite. Without --model, JSON
    values are copied exactly, CSV values are text, and a CSV file has the columns of the first row
    (a later row with another column is an error). With --model, each row is validated and dumped by
    the model; the first invalid row ends the command with exit code 5.

    Files with other columns than the first one are an error if OUT is CSV or Parquet.

    In JSON, NaN and infinity become null, and bytes become base64. Parquet needs the extra arrow;
    its columns are those of runs.table.

        dcipher results convert a.json b.json -o all.csv
    """
    from dcipher.cli.results.converting import Target
    from dcipher.cli.results.converting import convert as write

    if output is None:
        *files, output = files
        if len(files) != 1:
            raise click.UsageError("Several files need -o OUT; one file needs OUT.")
    write(call, files, Target.of(output, to, overwrite=overwrite), model, format_)
