"""`dcipher results convert`: writes the rows of a file in another format."""

from __future__ import annotations

import gzip
import shutil
import sys
import tempfile
from contextlib import ExitStack, contextmanager
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
from dcipher._results.rows.documents import detect_format
from dcipher._results.rows.reading import Format, iter_rows
from dcipher.cli.app.imports import listed
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
from dcipher.cli.terminal.errors import CommandError, ExitCode, UsageError
from dcipher.cli.terminal.text import is_terminal
from dcipher.errors import ResultParseError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from dcipher._results.local_files import LocalResult
    from dcipher.cli.app.invocation import Invocation

__all__ = ["Target", "convert", "parquet_library", "write_rows"]

T = TypeVar("T")

_ROWS = 65536  # of a row group in Parquet, about
_BYTES = 16 << 20  # of a row group, about


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
        suffix = Path(out).suffix.lower()
        packing = suffix if suffix in {".gz", ".gzip", ".zst", ".zstd"} else ""
        known = detect_format(None, out, b"") if to is None else Format(to)
        if known is Format.BINARY:
            raise UsageError(f"{out} has no known format: add --to json, ndjson, csv or parquet.")
        if packing.startswith(".z") or (packing and known is Format.PARQUET):
            raise UsageError(
                f"{known.value} cannot be written as {packing}. Remove that suffix, or use .gz for text."
            )
        if out == "-":
            return cls(None, known, compressed=False)
        path = Path(out)
        with storage_errors(path):
            check_target(path, overwrite=overwrite)
        return cls(path, known, bool(packing))

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


def convert(
    call: Invocation, files: Sequence[str], target: Target, model: str | None, format_: str | None
) -> None:
    """Writes the rows of files in another format, and prints their number."""
    count = write_rows(files, target, model, format_)
    if target.path is not None:
        record = {"file": str(target.path), "format": target.format.value, "rows": count}
        call.output.data(record, key="file")


def write_rows(files: Sequence[str], target: Target, model: str | None, format_: str | None) -> int:
    """Writes the rows of files, one after the other, in another format. Returns their number."""
    if files.count("-") > 1:
        raise UsageError("Standard input can be read only once.")
    type_ = None if model is None else type_named(model)
    is_parquet = target.format is Format.PARQUET
    if is_parquet and target.path is None and is_terminal(sys.stdout):
        raise UsageError("Parquet cannot be printed to a terminal: pass a file.")
    with ExitStack() as stack:
        rows = _Rows([stack.enter_context(opened(file, format_)) for file in files], model)
        # With a model, all rows are read back before anything is written. pyarrow needs a position.
        is_buffered = type_ is not None or (is_parquet and target.path is None)
        sink = stack.enter_context(target.opened())
        file = stack.enter_context(tempfile.TemporaryFile()) if is_buffered else sink
        trip = None if type_ is None else RoundTrip(type_, target.format, rows.place)
        if is_parquet:
            _write_parquet(file, type_, rows)
        else:
            file.writelines(_encoded(target.format, rows, trip))
        count = rows.count
        if trip is not None:
            file.seek(0)
            trip.check(rows.typed(type_), iter_rows(file, trip.type, target.format))
        if is_buffered:
            file.seek(0)
            shutil.copyfileobj(file, sink)
    return count


class _Rows:
    """The rows of files. The first invalid one raises `CommandError`."""

    def __init__(self, sources: Sequence[LocalResult], model: str | None) -> None:
        self.sources = sources
        self.count = 0
        self._model = model
        self._place = "row 0"

    def place(self) -> str:
        """Returns the last row that was read, such as `row 3`, with its file if there are several."""
        return self._place

    def typed(self, type_: Any) -> Iterator[object]:
        """Yields validated rows."""
        return self.valid(lambda source: source.rows(type_))

    def valid(self, rows_of: Callable[[LocalResult], Iterator[T | InvalidRow]]) -> Iterator[T]:
        """Yields the rows of each file, and counts them."""
        self.count = 0
        for source in self.sources:
            if self._model is not None:
                _ = source.reader()  # a stream is copied, because it is read twice
            for number, row in enumerate(rows_of(source)):
                if isinstance(row, InvalidRow):
                    raise self.refusal(row.error(), source)
                self.count += 1
                self._place = f"row {number}{self._of(source)}"
                yield row

    def _of(self, source: LocalResult) -> str:
        return f" of {source.name}" if len(self.sources) > 1 else ""

    def refusal(
        self, error: ResultReadError | ResultParseError, source: LocalResult | None = None
    ) -> CommandError:
        """Returns the error for an invalid row."""
        what = str(error) if isinstance(error, ResultReadError) else error.message.rstrip(".")
        name = (source or self.sources[0]).name
        model = None if self._model is None else quote(self._model)
        return CommandError(
            f"{name} was not converted: {what}.",
            ExitCode.INVALID_ROWS,
            next_step=model and f"dcipher results validate {quote(name)} --model {model}",
        )


def _encoded(format_: Format, rows: _Rows, trip: RoundTrip | None) -> Iterator[bytes]:
    def original(source: LocalResult) -> Iterator[object]:
        if {source.format, format_} <= {Format.JSON, Format.NDJSON}:
            return source.texts()
        found = source.rows(ANY)
        return (row if isinstance(row, InvalidRow) else plain_value(row) for row in found)

    typed = None if trip is None else map(trip.plain, rows.typed(trip.type))
    values = rows.valid(original) if typed is None else typed
    if format_ is Format.CSV:
        return csv_bytes(values, _columns(rows, trip), rows.place)
    return (json_bytes if format_ is Format.JSON else ndjson_bytes)(values)


def _columns(rows: _Rows, trip: RoundTrip | None) -> list[str] | None:
    """Returns the columns of a CSV file, if they are known before its first row."""
    if trip is None:
        return _common_header(rows.sources)
    columns = columns_of_type(trip.type)
    unknown = columns is None or _may_have_more(trip.type)
    return trip.columns(rows.typed(trip.type) if unknown else (), columns)


def _common_header(sources: Sequence[LocalResult]) -> list[str] | None:
    """Returns the columns of the first file, if it is CSV. Raises `CommandError` if others differ."""
    headers = [(one.name, one.header()) for one in sources if one.format is Format.CSV]
    for name, header in headers:
        if differences := {*header} ^ {*headers[0][1]}:
            raise UsageError(
                f"{name} and {headers[0][0]} have different columns: {listed(sorted(differences))}."
            )
    return headers[0][1] if sources[0].format is Format.CSV else None


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
        raise UsageError("Parquet needs pyarrow.", next_step=install("arrow")) from None


def _write_parquet(file: BinaryIO, type_: Any, rows: _Rows) -> None:
    parquet = parquet_library()
    from dcipher._results.tables.reading import check_columns, reading_of

    check_columns(type_)
    if type_ is None:
        _ = _common_header(rows.sources)
        if 0 < [source.format for source in rows.sources].count(Format.PARQUET) < len(rows.sources):
            raise UsageError("Parquet and other files have no common columns: add --model.")
    try:
        reading = reading_of(tuple(rows.sources), type_)
        with parquet.ParquetWriter(file, reading.schema) as writer:
            for batches in _row_groups(reading.batches(_ROWS)):
                if not batches[0].num_columns:
                    raise no_column(rows.place())
                table = library("pyarrow", "arrow").Table.from_batches(batches)
                writer.write_table(table)
                rows.count += table.num_rows
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
