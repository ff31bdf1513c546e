"""`Table`: the results of a run in columns, for any library that reads Arrow."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast, final

from typing_extensions import Self

from dcipher._extras.libraries import library
from dcipher._typing.lazy import Lazy
from dcipher.errors import InvalidParamsError

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd  # type: ignore[import-not-found, import-untyped, unused-ignore]
    import polars as pl  # type: ignore[import-not-found, unused-ignore]
    import pyarrow as pa  # type: ignore[import-not-found, import-untyped, unused-ignore]

    from dcipher._results.tables import reading as _tables
    from dcipher._results.tables.reading import Reading
else:
    pa, pd, pl = Lazy("pyarrow"), Lazy("pandas"), Lazy("polars")
    _tables = Lazy("dcipher._results.tables.reading")

__all__ = ["ROWS", "Table", "check_size", "check_table"]


ROWS = 65536
"""Rows of a batch by default."""


@final
class Table:
    """The results of a run in columns.

    `client.runs.table(run, Model)` returns it, and `dcipher.table_file` for a file.

    It exports the Arrow C stream (`__arrow_c_stream__`), so other libraries accept it:
    `pl.DataFrame(table)`, `pa.table(table)`, `pandas.DataFrame.from_arrow(table)` (pandas 3) and
    `duckdb.sql("from table")`. Such a library raises errors of its own classes for an invalid row.
    The methods of the table raise `ResultParseError`, which has the number of the row.

    Every read begins at the first row, and several reads can happen at the same time. They use the
    file, or a temporary copy of the results, which is closed or removed when the table is closed or garbage-collected.
    """

    def __init__(self, parts: tuple[_tables.TablePart, ...], type_: object = None) -> None:
        self._parts = parts
        self._type = type_
        self._known: Reading | None = None

    @property
    def _reading(self) -> Reading:
        # No cached_property: before Python 3.12, one table would wait for all others there.
        if self._known is None:
            from dcipher._results.tables.reading import reading_of

            self._known = reading_of(self._parts, self._type)
        return self._known

    @property
    def schema(self) -> pa.Schema:
        """The names and types of the columns.

        With a model, they are known at once. Without one, all rows are read once.

        Raises:
            ResultParseError: The columns cannot be determined.
        """
        schema: pa.Schema = self._reading.schema
        return schema

    @property
    def num_rows(self) -> int | None:
        """The number of rows. `None` with a model: it is known only after reading the rows."""
        return self._reading.num_rows

    def batches(self, size: int = ROWS) -> Iterator[pa.RecordBatch]:
        """Reads the rows in batches, in constant memory.

        Args:
            size: Rows of a batch, at most. Batches of long rows have fewer.

        Returns:
            An iterator of `pyarrow.RecordBatch`.

        Raises:
            InvalidParamsError: `size` is not a positive integer.
            ResultParseError: During iteration: a row is invalid. The message has its number.
        """
        check_size(size)
        return self._reading.batches(size)

    def to_arrow(self) -> pa.Table:
        """Reads all rows into a `pyarrow.Table`.

        Raises:
            ResultParseError: A row is invalid. The message has its number.
        """
        library("pyarrow", "arrow")
        table: pa.Table = self._reading.table()
        return table

    def to_pandas(self) -> pd.DataFrame:
        """Reads all rows into a `pandas.DataFrame`. Needs the extra `pandas`.

        No value is rounded. Integers and booleans with nulls have pandas' nullable types (`Int64`,
        `UInt8`, …, `boolean`). Lists and structs with missing numbers, and times outside Python's
        range, have an `ArrowDtype`. Timestamps keep the unit of the column. A map is a dict.

        Raises:
            ImportError: pandas or pyarrow is not installed.
            ResultParseError: A row is invalid. The message has its number.
        """
        library("pandas", "pandas")
        from dcipher._results.tables.frames import to_pandas

        return cast("pd.DataFrame", self._framed(to_pandas))

    def to_polars(self) -> pl.DataFrame:
        """Reads all rows into a `polars.DataFrame`. Needs the extra `polars`.

        Raises:
            ImportError: polars or pyarrow is not installed.
            ResultParseError: A row is invalid. The message has its number.
        """
        library("polars", "polars")
        from dcipher._results.tables.frames import to_polars

        return cast("pl.DataFrame", self._framed(to_polars))

    def _framed(self, make: Callable[[Any], Any]) -> Any:
        table = self.to_arrow()
        with self._parts[0].errors():
            return make(table)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        reader = library("pyarrow", "arrow").RecordBatchReader
        return reader.from_batches(self.schema, self.batches()).__arrow_c_stream__(requested_schema)

    def close(self) -> None:
        """Removes the temporary copy of the results. Closing twice does nothing."""
        for part in self._parts:
            part.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _repr_html_(self) -> str:  # pyright: ignore[reportUnusedFunction] - notebooks call it
        from dcipher._html.cards import table_card

        # It reads no rows: without a type, the columns are not known before.
        known = self._type is not None
        fields: list[Any] = list(self.schema) if known else []
        columns = [(field.name, str(field.type)) for field in fields] if known else None
        return table_card(self._parts[0].name, columns)

    def __repr__(self) -> str:
        return f"<Table of {self._parts[0].name}: {len(self._parts)} result(s)>"


def check_table(type_: object) -> None:
    """Raises `InvalidParamsError` for a type that cannot be a table, ImportError without pyarrow."""
    library("pyarrow", "arrow")
    from dcipher._results.tables.reading import check_columns

    check_columns(type_)


def check_size(size: Any) -> None:
    """Raises `InvalidParamsError` for what is no number of rows."""
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise InvalidParamsError(f"size must be a whole number of rows above 0, not {size!r}.")
