"""`Table`: the results of a run as columns, for whatever reads Arrow."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast, final

from typing_extensions import Self

from dcipher._libraries import Lazy, library
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
"""Rows of a batch, where nothing else is said."""


@final
class Table:
    """The results of a run in columns: `client.runs.table(run, Model)` makes it.

    It exports the Arrow C stream (`__arrow_c_stream__`): `pl.DataFrame(table)`, `pa.table(table)`,
    `pandas.DataFrame.from_arrow(table)` (pandas 3) and `duckdb.sql("from table")` take it as it is.
    Each of them, and each call here, reads from the first row again, from a temporary copy of the
    results that is removed when the table is closed or forgotten; several may read at once.

    What reads the stream tells errors in its own classes; the calls here raise
    `ResultParseError`, which says which row.
    """

    def __init__(self, parts: tuple[_tables.Part, ...], type_: object = None) -> None:
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

        Of a model, they are known at once; without one, all rows are read once to find out.

        Raises `ResultParseError` where they cannot be found out.
        """
        schema: pa.Schema = self._reading.schema
        return schema

    @property
    def num_rows(self) -> int | None:
        """How many rows there are; None where that is known only after reading them.

        It is known without a model.
        """
        return self._reading.num_rows

    def batches(self, size: int = ROWS) -> Iterator[pa.RecordBatch]:
        """The rows in batches of at most `size`, in memory that does not grow with their number.

        Batches of long rows have fewer. Raises `ResultParseError`, which says which row.
        """
        check_size(size)
        return self._reading.batches(size)

    def to_arrow(self) -> pa.Table:
        """All of it as a `pyarrow.Table`. Raises `ResultParseError`."""
        library("pyarrow", "arrow")
        table: pa.Table = self._reading.table()
        return table

    def to_pandas(self) -> pd.DataFrame:
        """All of it as a `pandas.DataFrame`. Raises `ResultParseError`.

        Nothing is rounded: integers and booleans with nulls among them are pandas' `Int64`, `UInt8`,
        …, `boolean`; lists and structs with missing numbers, and times beyond Python's, `ArrowDtype`.
        Timestamps have the unit of the column, so that none is out of bounds; a map is a dict.
        """
        library("pandas", "pandas")
        from dcipher._results.tables.frames import to_pandas

        return cast("pd.DataFrame", self._framed(to_pandas))

    def to_polars(self) -> pl.DataFrame:
        """All of it as a `polars.DataFrame`. Raises `ResultParseError`."""
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
        """Remove the temporary copy. Closing again does nothing."""
        for part in self._parts:
            part.stored.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        run = self._parts[0].run
        return f"<Table of run {run.task_id}: {len(self._parts)} result(s)>"


def check_table(type_: object) -> None:
    """Raises `InvalidParamsError` for a type that cannot be a table, ImportError without pyarrow."""
    library("pyarrow", "arrow")
    from dcipher._results.tables.reading import check_columns

    check_columns(type_)


def check_size(size: Any) -> None:
    """Raises `InvalidParamsError` for what is no number of rows."""
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise InvalidParamsError(f"size must be a whole number of rows above 0, not {size!r}.")
