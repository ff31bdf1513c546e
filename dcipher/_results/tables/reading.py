"""Fetched results as batches of Arrow: which columns they have, and how they are read.

Importing this imports pyarrow.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, cast

from pydantic.errors import PydanticUserError

from dcipher._libraries import library
from dcipher._masking.text import clean
from dcipher._results.outputs.failures import parse_errors
from dcipher._results.parsing.adapters import adapter_for
from dcipher._results.parsing.csv.rows import csv_header
from dcipher._results.parsing.json.blocks import DoubtError
from dcipher._results.parsing.parquet.files import ParquetFile
from dcipher._results.parsing.row_errors import InvalidRow, ResultReadError, ResultSyntaxError
from dcipher._results.parsing.text_reader import TextReader
from dcipher._results.rows.reading import Format, iter_rows
from dcipher.errors import InvalidParamsError

from .columns import Block, UnfitError, check_batch
from .csv_reader import CellBlocks
from .inference import CellKinds, RowKinds
from .json_reader import StructBlocks
from .schemas import columns_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from dcipher._results.outputs.temporary_files import StoredFile
    from dcipher.models import Run

    from .columns import Columns

__all__ = ["Part", "Reading", "Source", "check_columns", "reading_of"]

pa = library("pyarrow", "arrow")

_LEARNED = 8192
"""Rows whose columns are learned at once."""
_AT_ONCE = 32
"""Rows that are objects at once: with more of them, Python begins to look for garbage among them."""
_ROWS = 4096
"""Rows of which the values are those of Python at once."""
_TEXT = 4 * 1024 * 1024
"""Bytes of a result, about, of which the same holds."""
_BYTES = 8 * 1024 * 1024
"""Bytes of a batch, about: long rows make batches of fewer."""

_BATCH = 65536
"""Rows of a batch of a whole table."""

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

    @property
    def schema(self) -> Any:
        """Their `pyarrow.Schema`."""
        ...

    @property
    def num_rows(self) -> int | None:
        """How many rows there are, where that is known before they are read."""
        ...

    def batches(self, size: int) -> Iterator[Any]:
        """From the first row to the last, as `pyarrow.RecordBatch`es of at most `size` rows."""
        ...

    def table(self) -> Any:
        """All rows as a `pyarrow.Table`."""
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
        return _Inferred(parts)
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
        num_rows: int | None = None,
    ) -> None:
        self.num_rows: int | None = num_rows
        self.schema: Any = columns.schema
        self._columns = columns
        self._parts = parts
        self._rows_of = rows_of

    def batches(self, size: int) -> Iterator[Any]:
        return _rebatched(self._portions(size), size)

    def table(self) -> Any:
        return pa.Table.from_batches(self._portions(_ROWS), schema=self.schema)

    def _portions(self, size: int) -> Iterator[Any]:
        for part in self._parts:
            with part.errors():
                yield from self._portions_of(part, size)

    def _portions_of(self, part: Source, size: int) -> Iterator[Any]:
        block, first, start = Block(self._columns), 0, 0
        try:
            for rows, place in _portions(part, self._rows_of, min(size, _AT_ONCE)):
                block.add(rows)
                if block.num_rows >= min(size, _ROWS) or place - start >= _TEXT:
                    yield (batch := block.batch())
                    first, start = first + batch.num_rows, place
            if block.num_rows:
                yield block.batch()
        except UnfitError:  # the rows are gone: they are read again, to see which it was
            again = chain.from_iterable(r for r, _ in _portions(part, self._rows_of, _AT_ONCE))
            _ = self._columns.batch([*islice(again, first, first + block.num_rows)], first)
            raise


def _rebatched(batches: Iterator[Any], size: int) -> Iterator[Any]:
    """The same rows in batches of `size`, or of fewer that are many bytes."""
    held, rows, nbytes = list[Any](), 0, 0
    for batch in batches:
        if batch.num_rows:
            held.append(batch)
            rows += batch.num_rows
            nbytes += batch.nbytes
        if rows >= size or nbytes >= _BYTES:
            whole = _joined(held)
            end = rows if nbytes >= _BYTES else rows - rows % size
            yield from (whole.slice(start, min(size, end - start)) for start in range(0, end, size))
            held = [whole.slice(end)] if end < rows else []
            rows, nbytes = rows - end, sum(one.nbytes for one in held)
    if held:
        yield _joined(held)


def _joined(batches: list[Any]) -> Any:
    if len(batches) == 1:
        return batches[0]
    if not batches[0].num_columns:
        rows = sum(batch.num_rows for batch in batches)
        return pa.RecordBatch.from_struct_array(pa.array([{}] * rows, pa.struct([])))
    (joined,) = pa.Table.from_batches(batches).combine_chunks().to_batches()
    return joined


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
    """Rows, and the place in the result after them; they end at so many rows, or bytes."""
    reader = part.reader()
    with part.errors():
        rows = rows_of(part, reader)
        while portion := _portion(rows, reader, size):
            yield portion, reader.tell()


def _portion(rows: Iterator[Any], reader: BinaryIO, size: int) -> list[Any]:
    start, portion = reader.tell(), list[Any]()
    while len(portion) < size and reader.tell() - start < _TEXT:
        some = list(islice(rows, min(_AT_ONCE, size - len(portion))))
        portion += some
        if not some:
            break
    for row in portion:
        if isinstance(row, InvalidRow):
            raise row.error()
    return portion


class _Inferred:
    """Reads all rows once to learn what their columns hold, and then again for what they are.

    By pyarrow's own readers; row by row where these may read something otherwise.
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
        except DoubtError:  # an integer of the first rows and a fraction of the last, say
            for batch in _inferred_rows(self._parts).batches(size):
                yield from _after(batch, done)
                done = max(0, done - batch.num_rows)

    def table(self) -> Any:
        try:
            if self._known is not None:
                return self._known.table()
            reading: Reading = _Blocks(self._parts)
            table = reading.table()
        except DoubtError:
            reading = _inferred_rows(self._parts)
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
            return _inferred_rows(self._parts)
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
            header = _common_header(parts)
            with parts[0].errors():
                self._blocks = CellBlocks(header)
        else:
            raise DoubtError
        self.schema: Any = None
        self.num_rows: int | None = None

    def learn(self) -> Iterator[Any]:
        """Reads all; each block as it was read, for whoever keeps them."""
        count = 0
        for part in self._parts:
            for block in self._read(part):
                count += self._blocks.num_rows(block)
                yield block
        self.schema, self.num_rows = self._blocks.schema(), count

    def _read(self, part: Source) -> Iterator[Any]:
        try:
            yield from self._blocks.read(part.reader(), part.format)
        except (ResultReadError, pa.ArrowException):  # which row it is, the other reader says
            raise DoubtError from None

    def batches(self, size: int) -> Iterator[Any]:
        blocks = chain.from_iterable(map(self._read, self._parts))
        return _rebatched((self._blocks.batch(block, self.schema) for block in blocks), size)

    def table(self) -> Any:
        if self.schema is not None:
            return pa.Table.from_batches(self.batches(_BATCH), schema=self.schema)
        blocks = list(self.learn())[::-1]
        batches: list[Any] = []
        while blocks:  # each goes as soon as it is a batch
            batches.append(self._blocks.batch(blocks.pop(), self.schema))
        return pa.Table.from_batches(batches, schema=self.schema)


def _inferred_rows(parts: tuple[Source, ...]) -> _Rows | _Cells:
    """Reads all rows once, to learn what the columns hold."""
    if all(part.format is Format.CSV for part in parts):
        return _Cells(parts)
    kinds, count = RowKinds(), 0
    for part in parts:
        first = count
        for rows, _ in _portions(part, _plain_rows, _LEARNED):
            with part.errors():
                kinds.add(rows, count - first)
            count += len(rows)
    return _Rows(parts, kinds.columns(), _plain_rows, count)


def _plain_rows(part: Source, reader: BinaryIO) -> Iterator[Any]:
    return iter_rows(reader, _ANY, part.format)


class _Cells:
    """Reads records of CSV one by one, and puts their cells into columns."""

    def __init__(self, parts: tuple[Source, ...]) -> None:
        self._parts = parts
        header = _common_header(parts)
        self._width = len(header)
        with parts[0].errors():
            self._kinds = CellKinds(header)
        self.num_rows: int | None = 0
        for columns in self._columns(_LEARNED):
            self._kinds.add(columns)
            self.num_rows += len(columns[0]) if columns else 0
        self.schema: Any = self._kinds.schema

    def _columns(self, size: int) -> Iterator[list[Any]]:
        for part in self._parts:
            for rows, _ in _portions(part, _cell_rows, size):
                cells = zip(*rows, strict=True)
                yield [pa.array([cell or None for cell in column], pa.string()) for column in cells]

    def batches(self, size: int) -> Iterator[Any]:
        columns = self._columns(min(size, _LEARNED))
        return _rebatched((self._kinds.batch(some, self.schema) for some in columns), size)

    def table(self) -> Any:
        return pa.Table.from_batches(self.batches(_BATCH), schema=self.schema)


def _cell_rows(part: Source, reader: BinaryIO) -> Iterator[Any]:
    return iter_rows(reader, cast("type[object]", list[str]), part.format)


def _common_header(parts: tuple[Source, ...]) -> list[str]:
    header = _header(parts[0])
    for part in parts[1:]:
        with part.errors():
            if _header(part) != header:
                raise ResultSyntaxError("header", "is not that of the result before")
    return header


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

    def table(self) -> Any:
        return pa.Table.from_batches(self.batches(_BATCH), schema=self.schema)
