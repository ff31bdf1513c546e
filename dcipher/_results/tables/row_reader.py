"""Results as batches of Arrow row by row: each row becomes values of Python first.

Importing this imports pyarrow.
"""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, cast

from dcipher._extras.libraries import library
from dcipher._results.parsing.csv.rows import csv_header
from dcipher._results.parsing.row_errors import InvalidRow, ResultSyntaxError
from dcipher._results.parsing.text_reader import TextReader
from dcipher._results.rows.reading import Format, iter_rows

from .columns import Block, UnfitError
from .inference import CellKinds, RowKinds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from .columns import Columns

__all__ = [
    "BATCH",
    "Rows",
    "Source",
    "common_header",
    "inferred_rows",
    "rebatched",
    "validated_rows",
]

pa = library("pyarrow", "arrow")

_LEARNED = 8192
"""Rows whose columns are inferred at once."""
_AT_ONCE = 32
"""Rows that are objects at once: more of them trigger the garbage collection of Python."""
_FEW = 4
"""Rows that are read without asking for their bytes."""
_ROWS = 8192
"""Rows whose values are in a block."""
_TEXT = 1024 * 1024
"""Bytes of a result, about, whose rows are in a block."""
_BYTES = 2 * 1024 * 1024
"""Bytes of a batch, about: batches of long rows have fewer rows."""

BATCH = 65536
"""Rows of a batch of a whole table."""

_ANY = cast("type[object]", Any)


class Source(Protocol):
    """A result that can be read more than once."""

    @property
    def format(self) -> Format:
        """Its format."""
        ...

    def reader(self) -> BinaryIO:
        """Opens its decompressed content, at the beginning."""
        ...

    def errors(self) -> AbstractContextManager[None]:
        """Turns errors of its content into a `ResultParseError`."""
        ...


class Rows:
    """Reads rows into columns."""

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
        return rebatched(self._portions(size), size)

    def table(self) -> Any:
        return pa.Table.from_batches(self._portions(_ROWS), schema=self.schema)

    def _portions(self, size: int) -> Iterator[Any]:
        for part in self._parts:
            with part.errors():
                yield from self._portions_of(part, size)

    def _portions_of(self, part: Source, size: int) -> Iterator[Any]:
        block, first, start, limit = Block(self._columns), 0, 0, _Limit(min(size, _ROWS))
        try:
            for rows, place in _portions(part, self._rows_of, limit.at_once):
                block.add(rows)
                if block.num_rows >= limit.rows or place - start >= _TEXT:
                    yield (batch := block.batch())
                    first, start = first + batch.num_rows, place
                    limit.adapt(batch)
            if block.num_rows:
                yield block.batch()
        except (
            UnfitError
        ):  # the rows are not in memory: they are read again to find the invalid one
            again = chain.from_iterable(r for r, _ in _portions(part, self._rows_of, lambda: 1))
            _ = self._columns.batch([*islice(again, first, first + block.num_rows)], first)
            raise


class _Limit:
    """The number of rows of the next block, from the size of the last one."""

    def __init__(self, most: int) -> None:
        self.rows: int = 1
        self._most = most

    def at_once(self) -> int:
        """Returns how many rows may be objects at the same time."""
        return min(self.rows, _AT_ONCE)

    def adapt(self, batch: Any) -> None:
        """Takes the size of a batch into account."""
        fitting = _TEXT * batch.num_rows // max(batch.nbytes, 1)
        self.rows = max(1, min(self._most, fitting, 4 * self.rows))


def rebatched(batches: Iterator[Any], size: int) -> Iterator[Any]:
    """Yields the same rows in batches of `size`, or of fewer if they are long."""
    held, rows, nbytes = list[Any](), 0, 0
    for batch in batches:
        if batch.num_rows:
            held.append(batch)
            rows += batch.num_rows
            nbytes += batch.nbytes
        if rows >= size or nbytes >= _BYTES:
            whole = _joined(held)
            end = rows if nbytes >= _BYTES else rows - rows % size
            held = [whole.slice(end)] if end < rows else []
            yield from (whole.slice(start, min(size, end - start)) for start in range(0, end, size))
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


def validated_rows(type_: object) -> Callable[[Source, BinaryIO], Iterator[Any]]:
    known = cast("type[object]", type_)

    def rows_of(part: Source, reader: BinaryIO) -> Iterator[Any]:
        return iter_rows(reader, known, part.format)

    return rows_of


def _portions(
    part: Source, rows_of: Callable[[Source, BinaryIO], Iterator[Any]], size: Callable[[], int]
) -> Iterator[tuple[list[Any], int]]:
    """Yields portions of rows, limited in rows and bytes, each with the offset after it."""
    reader = part.reader()
    with part.errors():
        rows = rows_of(part, reader)
        while portion := _portion(rows, reader, size()):
            yield portion, reader.tell()


def _portion(rows: Iterator[Any], reader: BinaryIO, size: int) -> list[Any]:
    start, portion = reader.tell(), list[Any]()
    while len(portion) < size and reader.tell() - start < _TEXT:
        some = list(islice(rows, min(_FEW, size - len(portion))))
        if not some:
            break
        portion += some
    for row in portion:
        if isinstance(row, InvalidRow):
            raise row.error()
    return portion


def inferred_rows(parts: tuple[Source, ...]) -> Rows | _Cells:
    """Reads all rows once to infer the columns."""
    if all(part.format is Format.CSV for part in parts):
        return _Cells(parts)
    kinds, count = RowKinds(), 0
    for part in parts:
        first = count
        for rows, _ in _portions(part, _plain_rows, lambda: _LEARNED):
            with part.errors():
                kinds.add(rows, count - first)
            count += len(rows)
    return Rows(parts, kinds.columns(), _plain_rows, count)


def _plain_rows(part: Source, reader: BinaryIO) -> Iterator[Any]:
    return iter_rows(reader, _ANY, part.format)


class _Cells:
    """Reads records of CSV one by one into columns."""

    def __init__(self, parts: tuple[Source, ...]) -> None:
        self._parts = parts
        header = common_header(parts)
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
            for rows, _ in _portions(part, _cell_rows, lambda: size):
                cells = zip(*(row.values() for row in rows), strict=True)
                yield [pa.array([cell or None for cell in column], pa.string()) for column in cells]

    def batches(self, size: int) -> Iterator[Any]:
        columns = self._columns(min(size, _LEARNED))
        return rebatched((self._kinds.batch(some, self.schema) for some in columns), size)

    def table(self) -> Any:
        return pa.Table.from_batches(self.batches(BATCH), schema=self.schema)


def _cell_rows(part: Source, reader: BinaryIO) -> Iterator[Any]:
    return iter_rows(reader, cast("type[object]", dict[str, str]), part.format)


def common_header(parts: tuple[Source, ...]) -> list[str]:
    header = _header(parts[0])
    for part in parts[1:]:
        with part.errors():
            if _header(part) != header:
                raise ResultSyntaxError("header", "differs from that of the previous result")
    return header


def _header(part: Source) -> list[str]:
    # Without rows, only the header has the names.
    with part.errors():
        return csv_header(TextReader(part.reader()))
