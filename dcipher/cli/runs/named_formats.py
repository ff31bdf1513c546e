"""Converts a result that was saved with `-o` to the format of the file name."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from dcipher._results.outputs.failures import HEAD
from dcipher._results.rows.documents import detect_format
from dcipher._results.rows.reading import Format
from dcipher.cli.terminal.failures import CommandError
from dcipher.errors import DcipherError

if TYPE_CHECKING:
    from pathlib import Path

    from dcipher.cli.terminal.output import Output

__all__ = ["as_named", "check_format"]

PACKED = {".gz": b"\x1f\x8b", ".gzip": b"\x1f\x8b", ".zst": b"\x28\xb5", ".zstd": b"\x28\xb5"}
"""The first bytes of what such a name says."""
FOREIGN = frozenset(
    {".arrow", ".avro", ".feather", ".orc", ".tsv", ".xls", ".xlsx", ".xml", ".zip"}
)
"""Names of formats that a result may have, and that rows are not written in."""


def check_format(path: Path) -> None:
    """Checks whether the format of a name can be written here. Raises `CommandError`."""
    if path.suffix.lower() == ".parquet":
        from dcipher.cli.results.converting import parquet_library

        parquet_library()


def as_named(file: Path, output: Output) -> None:
    """Converts a result whose file has the name of another format, as `results convert` does.

    Raises `CommandError` if it has no rows to convert. The original file then remains beside it. What
    nothing here writes stays as it came, with a warning.
    """
    with file.open("rb") as source:
        head = source.read(HEAD)
    found, wanted = detect_format(None, None, head), detect_format(None, file.name, b"")
    is_to_pack = file.suffix.lower() in PACKED and not head.startswith(PACKED[file.suffix.lower()])
    if not (is_to_pack or _differ(found, wanted)):
        if found is not Format.BINARY and file.suffix.lower() in FOREIGN:
            _warn(file, found, output)
        return
    from dcipher.cli.results.converting import Target, write_rows

    try:
        target = Target.of(str(file), None, overwrite=True)
    except CommandError:  # .json.zst, .parquet.gz
        _warn(file, found, output)
        return
    if not _differ(found, wanted):
        with file.open("rb") as source, target.opened() as packed:
            shutil.copyfileobj(source, packed)
        return
    try:
        if found is Format.BINARY:
            raise CommandError("It has no rows.")  # noqa: TRY301 - as if they were not readable
        write_rows([str(file)], target, None, found.value)
    except BaseException as error:  # the format matches the name, also after Ctrl-C
        kept = file.with_name(f"{file.name}.{found.value}")
        file.replace(kept)
        if not isinstance(error, DcipherError):
            raise
        raise CommandError(
            f"The result is {_words(found)} and was not written as {wanted.value}; it is kept as "
            f"{kept}. {error}"
        ) from error


def _warn(file: Path, found: Format, output: Output) -> None:
    output.warn(
        f"warning: {file} is {_words(found)}, despite its name: -o writes .json, .ndjson, .csv, each also "
        "with .gz, and .parquet"
    )


def _words(found: Format) -> str:
    return "text or bytes" if found is Format.BINARY else found.value


def _differ(found: Format, wanted: Format) -> bool:
    if found is Format.BINARY and wanted is Format.PARQUET:  # its own first bytes are certain
        return True
    if Format.BINARY in {found, wanted}:  # no format in the name, or no rows
        return False
    # Text that looks like CSV may be prose: it remains unchanged.
    return found is not wanted and (found is not Format.CSV or wanted is Format.PARQUET)
