"""`dcipher results`: show, validate and convert result files, in constant memory, without network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from click.exceptions import Exit

from dcipher.cli.app.commands import Group, argument
from dcipher.cli.app.options import PATH

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dcipher.cli.app.invocation import Invocation

__all__ = ["app"]

app: Group = Group(
    "results", help="Show, validate and convert result files. Nothing is sent anywhere."
)

_FORMATS = click.Choice(["json", "ndjson", "csv", "parquet"])
_FILE = argument(
    "file",
    metavar="FILE",
    help="JSON, NDJSON, CSV or Parquet, also compressed by gzip or Zstandard. - is standard input.",
)
_FROM = click.option(
    "--from",
    "format_",
    type=_FORMATS,
    help="The format of FILE. Default: detected from its name, else from its first bytes.",
)
_OVERWRITE = click.option(
    "--overwrite/--no-overwrite", default=False, help="Whether an existing file is replaced."
)
_MODEL = (
    "The type of a row: a Pydantic model, a dataclass or another type. The module can be in the "
    "current folder. It is imported, so its code is executed."
)


@app.command()
@_FILE
@click.option(
    "--rows", "-n", metavar="N", type=click.IntRange(min=0), default=10, help="The number of rows."
)
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
@click.option("--model", metavar="MODULE:NAME", required=True, help=_MODEL)
@click.option(
    "--on-invalid",
    type=click.Choice(["collect", "drop", "raise"]),
    default="collect",
    help="collect: read all rows, count the invalid ones, and show the first locations. "
    "drop: only count. raise: stop at the first invalid row.",
)
@click.option(
    "--max-invalid",
    metavar="N|N%",
    help="The permitted number or share of invalid rows. The exit code is then 0. The "
    "command stops as soon as there are more.",
)
@click.option(
    "--rejects",
    metavar="FILE",
    type=PATH,
    help="Write a JSON line for each invalid row to this file: its number and the reasons, "
    "without values.",
)
@click.option(
    "--keep-raw", is_flag=True, help="Include the invalid rows themselves, with their values."
)
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
    "files",
    metavar="FILE",
    nargs=-1,
    required=True,
    help="As for head. The rows of several files are written one after the other. Without -o, the "
    "last one is OUT.",
)
@click.option(
    "--output",
    "-o",
    metavar="OUT",
    help="The new file. Its name determines the format; .gz compresses it. - is standard output.",
)
@click.option("--to", type=_FORMATS, help="The format of OUT. Default: by its name.")
@click.option("--model", metavar="MODULE:NAME", help=_MODEL)
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
