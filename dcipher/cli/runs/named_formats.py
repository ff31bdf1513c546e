"""A result that is saved by `-o` has the format that the file's name says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dcipher._results.rows.documents import detect_format
from dcipher._results.rows.reading import Format
from dcipher.cli.terminal.failures import CommandError
from dcipher.errors import DcipherError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["as_named", "check_format"]

HEAD = 64 * 1024
"""Bytes that tell the format."""


def check_format(path: Path) -> None:
    """Raises, before anything is started, where the name says a format that cannot be written here."""
    if path.suffix.lower() == ".parquet":
        from dcipher.cli.results.converting import parquet_library

        parquet_library()


def as_named(file: Path) -> None:
    """Convert a result that was saved under the name of another format, as `results convert` does.

    Raises `CommandError` where it has no rows to convert; the result is kept beside, as it came.
    """
    with file.open("rb") as source:
        found = detect_format(None, None, source.read(HEAD))
    wanted = detect_format(None, file.name, b"")
    if not _differ(found, wanted):
        return
    from dcipher.cli.results.converting import Target, write_rows

    try:
        target = Target.of(str(file), None, overwrite=True)
    except CommandError:  # .json.zst, .parquet.gz: nothing here writes them
        return
    try:
        write_rows(str(file), target, None, found.value)
    except (
        BaseException
    ) as error:  # no file has another format than its name says, after Ctrl-C neither
        kept = file.with_name(f"{file.name}.{found.value}")
        file.replace(kept)
        if not isinstance(error, DcipherError):
            raise
        raise CommandError(
            f"The result is {found.value} and was not written as {wanted.value}; it is kept as "
            f"{kept}. {error}"
        ) from error


def _differ(found: Format, wanted: Format) -> bool:
    if Format.BINARY in {found, wanted}:  # no name of a format, or no rows
        return False
    # What looks like CSV may be prose: in a file of text it stays as it is.
    return found is not wanted and (found is not Format.CSV or wanted is Format.PARQUET)
