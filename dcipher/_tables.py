"""Fetched results as batches of Arrow: which columns they have, and how they are read.

Importing this imports pyarrow.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, cast

from pydantic.errors import PydanticUserError

from ._core.adapters import adapter_for
from ._core.arrow_columns import check_batch
from ._core.arrow_inference import CellKinds, RowKinds
from ._core.arrow_schemas import columns_of
from ._core.csv_rows import csv_header
from ._core.libraries import library
from ._core.parquet_files import ParquetFile
from ._core.result_errors import InvalidRow, ResultSyntaxError
from ._core.result_text import TextReader
from ._core.rows import Format, iter_rows
from ._core.text import clean
from ._results import parse_errors
from .errors import InvalidParamsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from ._core.arrow_columns import Columns
    from ._stored import StoredFile
    from .models import Run

__all__ = ["Part", "Reading", "Source", "check_columns", "reading_of"]

pa = library("pyarrow", "arrow")

_LEARNED = 8192
"""Rows whose columns are learned at once."""
_STEP = 256
"""Rows between two looks at how many bytes they were."""
_BYTES = 64 * 1024 * 1024
"""Bytes of a result, about, that one batch is made of: long rows make batches of fewer."""

_ANY = cast("type[object]", Any)


class Source(Protocol):
    """A result that can be read more than once."""

    @property
    def format(self) -> Format:
        """How it is written."""
        ...

    def reader(self) -> BinaryIO:
        """What it holds, decompressed, from its beginning."""
        ...

    def errors(self) -> AbstractContextManager[None]:
        """Turns what is wrong with it into a `ResultParseError`."""
        ...


@dataclass(frozen=True)
class Part:
    """One result of a run, fetched."""

    run: Run
    index: int
    stored: StoredFile
    format: Format

    def reader(self) -> BinaryIO:
        """A file of its own, at its beginning."""
        return cast("BinaryIO", cast("object", self.stored.reader()))

    def errors(self) -> AbstractContextManager[None]:
        """Turns what is wrong with it into a `ResultParseError`."""
        return parse_errors(self.run, self.index)


class Reading(Protocol):
    """What reads the parts of a table."""

    schema: Any
    """Their `pyarrow.Schema`."""
    num_rows: int | None
    """How many rows there are, where that is known before they are read."""

    def batches(self, size: int) -> Iterator[Any]:
        """From the first row to the last, as `pyarrow.RecordBatch`es of at most `size` rows."""
        ...


def check_columns(type_: object) -> None:
    """Raises `InvalidParamsError` for a type that rows cannot be validated as, or be a table of."""
    if type_ is not None:
        _columns_for(type_)


def _columns_for(type_: object) -> Columns:
    """The columns of rows that are validated as a type.

    Raises `InvalidParamsError` where it cannot be validated, or not be a table.
    """
    try:
        adapter_for(cast("type[object]", type_))
        return columns_of(type_)
    except PydanticUserError as error:
        message = f"Pydantic knows no way to validate as that type: {clean(str(error))}"
        raise InvalidParamsError(message) from None
    except (NameError, ValueError) as error:
        raise InvalidParamsError(f"That type cannot be a table: {clean(str(error))}") from None


def reading_of(parts: tuple[Source, ...], type_: object) -> Reading:
    """How to read the parts, with rows of a type, or None to find out what they hold.

    Raises `ResultParseError` where that cannot be found out.
    """
    if type_ is not None:
        return _Validated(parts, type_)
    parquet = [part for part in parts if part.format is Format.PARQUET]
    if not parquet:
        return _inferred(parts)
    if len(parquet) < len(parts):
        raise InvalidParamsError(
            "Some of the results are Parquet and some are not: say which with output_index=…, "
            "or pass a model."
        )
    return _Parquet(parts)


class _Rows:
    """Reads rows, and puts them into columns."""

    def __init__(
        self,
        parts: tuple[Source, ...],
        columns: Columns,
        rows_of: Callable[[Source, BinaryIO], Iterator[Any]],
    ) -> None:
        self.num_rows: int | None = None
        self.schema: Any = columns.schema
        self._columns = columns
        self._parts = parts
        self._rows_of = rows_of

    def batches(self, size: int) -> Iterator[Any]:
        for part in self._parts:
            for rows, first in _portions(part, self._rows_of, size):
                with part.errors():
                    yield self._columns.batch(rows, first)


class _Validated(_Rows):
    def __init__(self, parts: tuple[Source, ...], type_: object) -> None:
        super().__init__(parts, _columns_for(type_), _validated_rows(type_))


def _validated_rows(type_: object) -> Callable[[Source, BinaryIO], Iterator[Any]]:
    known = cast("type[object]", type_)

    def rows_of(part: Source, reader: BinaryIO) -> Iterator[Any]:
        return iter_rows(reader, known, part.format)

    return rows_of


def _portions(
    part: Source, rows_of: Callable[[Source, BinaryIO], Iterator[Any]], size: int
) -> Iterator[tuple[list[Any], int]]:
    """Rows with the number of the first of them; they end at so many rows, or bytes."""
    reader = part.reader()
    with part.errors():
        rows = rows_of(part, reader)
    first = 0
    while True:
        with part.errors():
            portion = _portion(rows, reader, size)
        if not portion:
            return
        yield portion, first
        first += len(portion)


def _portion(rows: Iterator[Any], reader: BinaryIO, size: int) -> list[Any]:
    start, portion = reader.tell(), list[Any]()
    while len(portion) < size and reader.tell() - start < _BYTES:
        some = list(islice(rows, min(_STEP, size - len(portion))))
        portion += some
        if not some:
            break
    for row in portion:
        if isinstance(row, InvalidRow):
            raise row.error()
    return portion


def _inferred(parts: tuple[Source, ...]) -> _Rows:
    """Reads all rows once, to learn what the columns hold."""
    if all(part.format is Format.CSV for part in parts):
        return _inferred_cells(parts)
    kinds, count = RowKinds(), 0
    for part in parts:
        for rows, first in _portions(part, _plain_rows, _LEARNED):
            with part.errors():
                kinds.add(rows, first)
            count += len(rows)
    reading = _Rows(parts, kinds.columns(), _plain_rows)
    reading.num_rows = count
    return reading


def _plain_rows(part: Source, reader: BinaryIO) -> Iterator[Any]:
    return iter_rows(reader, _ANY, part.format)


def _inferred_cells(parts: tuple[Source, ...]) -> _Rows:
    header = _header(parts[0])
    with parts[0].errors():
        kinds, count = CellKinds(header), 0
    for part in parts:
        with part.errors():
            if _header(part) != header:
                raise ResultSyntaxError("header", "is not that of the result before")
        for rows, _ in _portions(part, _cell_rows, _LEARNED):
            kinds.add(rows)
            count += len(rows)
    reading = _Rows(parts, kinds.columns(), _cell_rows)
    reading.num_rows = count
    return reading


def _cell_rows(part: Source, reader: BinaryIO) -> Iterator[Any]:
    return iter_rows(reader, cast("type[object]", list[str]), part.format)


def _header(part: Source) -> list[str]:
    # Rows alone say no names where there are none of them.
    with part.errors():
        return csv_header(TextReader(part.reader()))


class _Parquet:
    """Reads columns as they are; no row becomes a value of Python."""

    def __init__(self, parts: tuple[Source, ...]) -> None:
        self._parts = parts
        self.num_rows: int | None = 0
        schemas: list[Any] = []
        for part in parts:
            with part.errors():
                file = ParquetFile(part.reader())
            schemas.append(file.schema)
            self.num_rows += file.num_rows
        self.schema: Any = schemas[0].remove_metadata()
        for part, schema in zip(parts, schemas, strict=True):
            with part.errors():
                if not schema.equals(schemas[0]):
                    raise ResultSyntaxError("schema", "is not that of the result before")

    def batches(self, size: int) -> Iterator[Any]:
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
