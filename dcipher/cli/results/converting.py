"""`dcipher results convert`: writes the rows of a file in another format."""

from __future__ import annotations

import gzip
import shutil
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar, cast

from dcipher._extras.installation import install
from dcipher._extras.libraries import library
from dcipher._files.paths import check_target
from dcipher._files.replacement import replacing
from dcipher._files.storage_errors import storage_errors
from dcipher._results.parsing.row_errors import InvalidRow, ResultReadError
from dcipher._results.rows.reading import Format, iter_rows
from dcipher.cli.results.checking import ANY, opened, type_named
from dcipher.cli.results.round_trips import RoundTrip
from dcipher.cli.results.row_bytes import (
    columns_of_type,
    csv_bytes,
    json_bytes,
    ndjson_bytes,
    no_column,
    plain_value,
)
from dcipher.cli.terminal.exit_codes import ExitCode
from dcipher.cli.terminal.failures import CommandError
from dcipher.cli.terminal.text import is_terminal
from dcipher.errors import ResultParseError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from dcipher._results.local_files import LocalResult
    from dcipher.cli.app.invocation import Invocation

__all__ = ["Target", "convert", "parquet_library", "write_rows"]

T = TypeVar("T")

_ROWS = 65536  # of a row group in Parquet, about
_BYTES = 16 << 20  # of a row group, about


def _usage(message: str) -> CommandError:
    return CommandError(message, ExitCode.USAGE)


@dataclass(frozen=True)
class Target:
    """The target of converted rows, and its format."""

    path: Path | None
    """`None`: standard output."""
    format: Format
    compressed: bool

    @classmethod
    def of(cls, out: str, to: str | None, *, overwrite: bool) -> Target:
        """Returns the target for a file name. Raises `CommandError` for an unknown or unsupported format."""
        suffixes = [suffix.lower() for suffix in Path(out).suffixes]
        packing = (
            suffixes.pop() if suffixes and suffixes[-1] in {".gz", ".gzip", ".zst", ".zstd"} else ""
        )
        known = to or _BY_SUFFIX.get(suffixes[-1] if suffixes else "")
        if known is None:
            raise _usage(f"{out} has no known format: add --to json, ndjson, csv or parquet.")
        if packing.startswith(".z") or (packing and known == "parquet"):
            raise _usage(
                f"{known} cannot be written as {packing}. Remove that suffix, or use .gz for text."
            )
        if out == "-":
            return cls(None, Format(known), compressed=False)
        path = Path(out)
        with storage_errors(path):
            check_target(path, overwrite=overwrite)
        return cls(path, Format(known), bool(packing))

    @contextmanager
    def opened(self) -> Generator[BinaryIO]:
        """Opens the target, which is replaced atomically at the end."""
        if self.path is None:
            yield sys.stdout.buffer
            return
        with storage_errors(self.path), replacing(self.path) as file:
            if not self.compressed:
                yield file
                return
            # Without name and time, so that the same rows give the same bytes.
            with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
                yield cast("BinaryIO", cast("object", packed))


_BY_SUFFIX = {
    ".json": "json",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".csv": "csv",
    ".parquet": "parquet",
}


def convert(
    call: Invocation, file: str, target: Target, model: str | None, format_: str | None
) -> None:
    """Writes the rows of a file in another format, and prints their number."""
    count = write_rows(file, target, model, format_)
    if target.path is not None:
        record = {"file": str(target.path), "format": target.format.value, "rows": count}
        call.output.data(record, key="file")


def write_rows(file: str, target: Target, model: str | None, format_: str | None) -> int:
    """Writes the rows of a file in another format. Returns their number."""
    type_ = None if model is None else type_named(model)
    rows = _Rows(file, model)
    with opened(file, format_) as source:
        if target.format is Format.PARQUET:
            _write_parquet(source, target, type_, rows)
        else:
            # With a model, nothing is written before all rows have passed the round trip.
            with target.opened() as sink, _seekable(sink, type_ is not None) as file_:
                file_.writelines(_encoded(source, target.format, type_, rows))
    return rows.count


class _Rows:
    """Counts rows, and raises at the first invalid one."""

    def __init__(self, file: str, model: str | None) -> None:
        self.count = 0
        self.file = file
        self._model = model

    def fitting(self, rows: Iterable[T | InvalidRow]) -> Iterator[T]:
        for row in rows:
            if isinstance(row, InvalidRow):
                raise self.refusal(row.error())
            self.count += 1
            yield row

    def refusal(self, error: ResultReadError | ResultParseError) -> CommandError:
        what = str(error) if isinstance(error, ResultReadError) else error.message.rstrip(".")
        model = None if self._model is None else quote(self._model)
        return CommandError(
            f"{self.file} was not converted: {what}.",
            ExitCode.INVALID_ROWS,
            next_step=model and f"dcipher results validate {quote(self.file)} --model {model}",
        )


def _encoded(source: LocalResult, format_: Format, type_: Any, rows: _Rows) -> Iterator[bytes]:
    columns: list[str] | None = None
    if type_ is not None:
        values, columns = _checked(source, format_, type_, rows)
    elif {source.format, format_} <= {Format.JSON, Format.NDJSON}:
        values = rows.fitting(source.texts())
    else:
        columns = source.header() if source.format is Format.CSV else None
        values = map(plain_value, rows.fitting(source.rows(ANY)))
    if format_ is Format.CSV:
        return csv_bytes(values, columns)
    return (json_bytes if format_ is Format.JSON else ndjson_bytes)(values)


def _checked(
    source: LocalResult, format_: Format, type_: Any, rows: _Rows
) -> tuple[Iterator[object], list[str] | None]:
    trip, columns = RoundTrip(type_, format_), None
    if format_ is Format.CSV:
        columns = columns_of_type(type_)
        if columns is None or _may_have_more(type_):
            _ = source.reader()  # a stream is copied, because it is read twice
            columns = trip.columns(_Rows(rows.file, None).fitting(source.rows(type_)), columns)
        else:
            columns = trip.columns((), columns)
    return trip.checked(rows.fitting(source.rows(type_)), columns or ()), columns


def _may_have_more(type_: Any) -> bool:
    configuration = getattr(type_, "model_config", None) or getattr(
        type_, "__pydantic_config__", {}
    )
    return configuration.get("extra") == "allow"


def parquet_library() -> Any:
    """Returns `pyarrow.parquet`. Raises `CommandError` if it is not installed."""
    try:
        return library("pyarrow.parquet", "arrow")
    except ImportError:
        raise CommandError(
            "Parquet needs pyarrow.", ExitCode.USAGE, next_step=install("arrow")
        ) from None


def _write_parquet(source: LocalResult, target: Target, type_: Any, rows: _Rows) -> None:
    parquet = parquet_library()
    if target.path is None and is_terminal(sys.stdout):
        raise _usage("Parquet cannot be printed to a terminal: pass a file.")
    from dcipher._results.tables.reading import check_columns, reading_of

    check_columns(type_)
    try:
        reading = reading_of((source,), type_)
        with target.opened() as sink, _seekable(sink, True) as file:
            with parquet.ParquetWriter(file, reading.schema) as writer:
                for batches in _row_groups(reading.batches(_ROWS)):
                    if not batches[0].num_columns:
                        raise no_column(0)
                    table = library("pyarrow", "arrow").Table.from_batches(batches)
                    writer.write_table(table)
                    rows.count += table.num_rows
            if type_ is not None:
                _ = file.seek(0)
                again = iter_rows(file, type_, Format.PARQUET)
                RoundTrip(type_, Format.PARQUET).check(source.rows(type_), again)
    except ResultParseError as error:
        raise (rows.refusal(error) if error.errors else error) from None


def _row_groups(batches: Iterator[Any]) -> Iterator[list[Any]]:
    group: list[Any] = []
    for batch in batches:
        group.append(batch)
        if (
            sum(one.nbytes for one in group) >= _BYTES
            or sum(one.num_rows for one in group) >= _ROWS
        ):
            yield group
            group = []
    if group:
        yield group


@contextmanager
def _seekable(sink: BinaryIO, whole: bool) -> Generator[BinaryIO]:
    # pyarrow needs a position, and a pipe cannot be undone.
    if not whole or sink is not getattr(sys.stdout, "buffer", None):
        yield sink
        return
    with tempfile.TemporaryFile() as file:
        yield file
        file.seek(0)
        shutil.copyfileobj(file, sink)
