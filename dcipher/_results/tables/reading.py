"""Fetched results as batches of Arrow: which columns they have, and how they are read.

Importing this imports pyarrow.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, cast

from dcipher._extras.libraries import library
from dcipher._masking.text import clean
from dcipher._results.outputs.failures import parse_errors, type_errors
from dcipher._results.parsing.adapters import adapter_for
from dcipher._results.parsing.json.blocks import DoubtError
from dcipher._results.parsing.parquet.files import ParquetFile
from dcipher._results.parsing.row_errors import ResultReadError, ResultSyntaxError
from dcipher._results.rows.reading import Format
from dcipher.errors import InvalidParamsError

from .columns import check_batch
from .csv_reader import CellBlocks
from .json_reader import StructBlocks
from .row_reader import BATCH, Rows, Source, common_header, inferred_rows, rebatched, validated_rows
from .schemas import columns_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from dcipher._results.outputs.temporary_files import StoredFile
    from dcipher.models import Run

    from .columns import Columns

__all__ = ["Part", "Reading", "Source", "TablePart", "check_columns", "reading_of"]

pa = library("pyarrow", "arrow")


class TablePart(Source, Protocol):
    """A result that a table holds."""

    @property
    def name(self) -> str:
        """Its name in errors."""
        ...

    def close(self) -> None:
        """Closes it."""
        ...


@dataclass(frozen=True)
class Part:
    """One result of a run, fetched."""

    run: Run
    index: int
    stored: StoredFile
    format: Format

    @property
    def name(self) -> str:
        """Its name in errors."""
        return f"run {self.run.task_id}"

    def close(self) -> None:
        """Removes the temporary file."""
        self.stored.close()

    def reader(self) -> BinaryIO:
        """Opens it independently of other readers, at the beginning."""
        return cast("BinaryIO", cast("object", self.stored.reader()))

    def errors(self) -> AbstractContextManager[None]:
        """Turns errors of its content into a `ResultParseError`."""
        return parse_errors(self.run, self.index)


class Reading(Protocol):
    """Reads the parts of a table."""

    @property
    def schema(self) -> Any:
        """Their `pyarrow.Schema`."""
        ...

    @property
    def num_rows(self) -> int | None:
        """The number of rows, if known before they are read."""
        ...

    def batches(self, size: int) -> Iterator[Any]:
        """Yields all rows as `pyarrow.RecordBatch`es of at most `size` rows."""
        ...

    def table(self) -> Any:
        """Returns all rows as a `pyarrow.Table`."""
        ...


def check_columns(type_: object) -> None:
    """Raises `InvalidParamsError` for a type that rows cannot be validated as, or be a table of."""
    if type_ is not None:
        _columns_for(type_)


def _columns_for(type_: object) -> Columns:
    """Returns the columns of rows that are validated as a type.

    Raises `InvalidParamsError` where it cannot be validated, or not be a table.
    """
    with type_errors():
        adapter_for(cast("type[object]", type_))
        try:
            return columns_of(type_)
        except (NameError, ValueError) as error:
            message = f"Rows of this type cannot be a table: {clean(str(error))}"
            raise InvalidParamsError(message) from None


def reading_of(parts: tuple[Source, ...], type_: object) -> Reading:
    """Returns the reader of the parts, with rows of a type, or inferred columns for None.

    Raises `ResultParseError` if the columns cannot be inferred.
    """
    if type_ is not None:
        return Rows(parts, _columns_for(type_), validated_rows(type_))
    parquet = [part for part in parts if part.format is Format.PARQUET]
    if not parquet:
        return _Inferred(parts)
    if len(parquet) < len(parts):
        raise InvalidParamsError(
            "Some of the results are Parquet and some are not: choose one with output_index=…, "
            "or pass a model."
        )
    return _Parquet(parts)


class _Inferred:
    """Reads all rows twice: to infer the columns, and for the values.

    It uses pyarrow's own readers, or reads row by row if these may read something differently.
    """

    def __init__(self, parts: tuple[Source, ...]) -> None:
        self._parts = parts
        self._known: Reading | None = None

    @property
    def schema(self) -> Any:
        return self._learned().schema

    @property
    def num_rows(self) -> int | None:
        return self._learned().num_rows

    def batches(self, size: int) -> Iterator[Any]:
        reading, done = self._learned(), 0
        try:
            for batch in reading.batches(size):
                yield batch
                done += batch.num_rows
        except DoubtError:  # for example an integer in the first rows and a fraction in the last
            for batch in inferred_rows(self._parts).batches(size):
                yield from _after(batch, done)
                done = max(0, done - batch.num_rows)

    def table(self) -> Any:
        try:
            if self._known is not None:
                return self._known.table()
            reading: Reading = _Blocks(self._parts)
            table = reading.table()
        except DoubtError:
            reading = inferred_rows(self._parts)
            table = reading.table()
        self._known = reading
        return table

    def _learned(self) -> Reading:
        if self._known is None:
            self._known = self._learn()
        return self._known

    def _learn(self) -> Reading:
        try:
            reading = _Blocks(self._parts)
            for _ in reading.learn():
                pass
        except DoubtError:
            return inferred_rows(self._parts)
        return reading


def _after(batch: Any, rows: int) -> Iterator[Any]:
    if rows < batch.num_rows:
        yield batch.slice(rows)


class _Blocks:
    """Reads many rows at once by pyarrow's own readers. Raises `DoubtError`."""

    def __init__(self, parts: tuple[Source, ...]) -> None:
        self._parts = parts
        formats = {part.format for part in parts}
        if formats <= {Format.JSON, Format.NDJSON}:
            self._blocks: StructBlocks | CellBlocks = StructBlocks()
        elif formats == {Format.CSV}:
            header = common_header(parts)
            with parts[0].errors():
                self._blocks = CellBlocks(header)
        else:
            raise DoubtError
        self.schema: Any = None
        self.num_rows: int | None = None

    def learn(self) -> Iterator[Any]:
        """Reads all rows, and yields each block."""
        count = 0
        for part in self._parts:
            for block in self._read(part):
                count += self._blocks.num_rows(block)
                yield block
        self.schema, self.num_rows = self._blocks.schema(), count

    def _read(self, part: Source) -> Iterator[Any]:
        try:
            yield from self._blocks.read(part.reader(), part.format)
        except (ResultReadError, pa.ArrowException):  # the other reader identifies the row
            raise DoubtError from None

    def batches(self, size: int) -> Iterator[Any]:
        blocks = chain.from_iterable(map(self._read, self._parts))
        return rebatched((self._blocks.batch(block, self.schema) for block in blocks), size)

    def table(self) -> Any:
        if self.schema is not None:
            return pa.Table.from_batches(self.batches(BATCH), schema=self.schema)
        blocks = list(self.learn())[::-1]
        batches: list[Any] = []
        while blocks:  # each goes as soon as it is a batch
            batches.append(self._blocks.batch(blocks.pop(), self.schema))
        return pa.Table.from_batches(batches, schema=self.schema)


class _Parquet:
    """Reads columns directly; no row is converted to Python."""

    def __init__(self, parts: tuple[Source, ...]) -> None:
        self._parts = parts
        self.num_rows: int | None = 0
        schemas: list[Any] = []
        for part in parts:
            with part.errors():
                file = ParquetFile(part.reader())
            schemas.append(file.schema)
            self.num_rows += file.num_rows
            self._has_dictionary = file.has_dictionary
        self.schema: Any = schemas[0].remove_metadata()
        for part, schema in zip(parts, schemas, strict=True):
            with part.errors():
                if not schema.equals(schemas[0]):
                    raise ResultSyntaxError("schema", "differs from that of the previous result")

    def batches(self, size: int) -> Iterator[Any]:
        batches = self._read(size)
        return batches if self._has_dictionary else rebatched(batches, size)

    def _read(self, size: int) -> Iterator[Any]:
        for part in self._parts:
            with part.errors():
                found = ParquetFile(part.reader()).batches(size)
            first = 0
            while True:
                with part.errors():
                    batch = next(found, None)
                    if batch is None:
                        break
                    check_batch(batch, first)
                yield batch.replace_schema_metadata(None)
                first += batch.num_rows

    def table(self) -> Any:
        return pa.Table.from_batches(self.batches(BATCH), schema=self.schema)
