"""Converts a table of pyarrow to a frame of pandas or polars, without loss.

Importing this imports pyarrow.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from dcipher._extras.libraries import library
from dcipher._results.parsing.parquet.cells import plain_cells
from dcipher._results.parsing.row_errors import ResultTypeError, shown_name

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["to_pandas", "to_polars"]

pa = library("pyarrow", "arrow")
pc = library("pyarrow.compute", "arrow")
types = pa.types


def to_pandas(table: Any) -> Any:
    """Converts to a `pandas.DataFrame`.

    A column has NumPy's type where that holds each of its values, else one of pandas' own that has
    nulls, else `ArrowDtype`; a column with maps in it has Python's values.

    Raises `ResultTypeError` for a map with a key twice, and for what pandas has no type for.
    """
    pd = library("pandas", "pandas")
    nullable = _nullable_types(pd)
    makers: dict[str, Callable[[Any], Any]] = {
        "numpy": lambda some: some.to_pandas(),
        "nullable": lambda some: some.to_pandas(types_mapper=nullable.get),
        "arrow": lambda some: some.to_pandas(types_mapper=pd.ArrowDtype),
        "python": lambda some: _python_frame(some, pd),
    }
    places: dict[str, list[int]] = {}
    for place, column in enumerate(table.columns):
        places.setdefault(_holder(column, nullable), []).append(place)
    if len(places) < 2:
        return _made(table, makers[next(iter(places), "numpy")])
    parts = [_made(table.select(some), makers[holder]) for holder, some in places.items()]
    ordered = [place for some in places.values() for place in some]
    order = sorted(range(len(ordered)), key=ordered.__getitem__)
    return pd.concat(parts, axis="columns").iloc[:, order]


def to_polars(table: Any) -> Any:
    """Converts to a `polars.DataFrame`.

    Raises `ResultTypeError` for two columns of one name, and for what polars has no type for.
    """
    pl = library("polars", "polars")
    names: list[str] = table.column_names
    if repeated := [name for name, times in Counter(names).items() if times > 1]:
        raise ResultTypeError(
            "header", f"more than one column is called {shown_name(repeated[0])!r}"
        )
    # It names columns without a name itself, but accepts them renamed.
    numbered = table.rename_columns([f"c{place}" for place in range(len(names))])
    frame = _made(numbered, pl.DataFrame, names)
    frame.columns = names
    return frame


def _made(table: Any, make: Callable[[Any], Any], names: list[str] | None = None) -> Any:
    try:
        return make(table)
    except (ResultTypeError, MemoryError, KeyboardInterrupt):
        raise
    except BaseException as error:
        # Those of Rust's panics are no Exception.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        for place, name in enumerate(names or table.column_names):
            try:
                _ = make(table.select([place]))
            except BaseException:  # noqa: BLE001
                where = f"column {shown_name(name)}"
                why = f"the dataframe has no type for {table.schema.field(place).type}"
                raise ResultTypeError(where, f"{why}: use to_arrow()") from None
        raise


def _nullable_types(pd: Any) -> dict[Any, Any]:
    # NumPy's integers and booleans have no null: they would become floats, which lose digits.
    found = {pa.bool_(): pd.BooleanDtype()}
    for bits in (8, 16, 32, 64):
        found[getattr(pa, f"int{bits}")()] = getattr(pd, f"Int{bits}Dtype")()
        found[getattr(pa, f"uint{bits}")()] = getattr(pd, f"UInt{bits}Dtype")()
    return found


def _holder(column: Any, nullable: dict[Any, Any]) -> str:
    type_ = column.type
    if _has_map(type_):
        return "python"
    if type_ in nullable:
        return "nullable" if column.null_count else "numpy"
    if types.is_nested(type_):
        return "numpy" if _is_simple(column) else "arrow"
    return "numpy" if _fits_numpy(column) else "arrow"


def _fits_numpy(column: Any) -> bool:
    type_ = column.type
    if types.is_floating(type_):  # both would be NaN
        return not (column.null_count and pc.any(pc.is_nan(column.cast(pa.float64()))).as_py())
    if types.is_date(type_):
        return _is_within(column.cast(pa.date32()).cast(pa.int32()), *_DAYS)
    if types.is_time64(type_) and type_.unit == "ns":
        return not pc.any(pc.not_equal(column, column.cast(pa.time64("us"), safe=False))).as_py()
    if types.is_dictionary(type_):
        return not types.is_nested(type_.value_type)
    return True


_DAYS = -719162, 2932896  # of the years 1 to 9999, from 1970


def _is_within(numbers: Any, low: int, high: int) -> bool:
    ends = pc.min_max(numbers).as_py()
    return ends["min"] is None or (ends["min"] >= low and ends["max"] <= high)


def _is_simple(column: Any) -> bool:
    """Returns whether NumPy's arrays and Python's dicts represent a nested column without changes."""
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    return all(map(_is_simple_array, chunks))


def _is_simple_array(array: Any) -> bool:
    type_ = array.type
    if types.is_struct(type_):
        # A field without values takes the type of NumPy that has nulls, whatever lies above it.
        return all(_is_simple_array(array.field(n)) for n in range(type_.num_fields))
    if types.is_list(type_) or types.is_large_list(type_):
        return _is_simple_array(array.values)
    if types.is_string(type_) or types.is_large_string(type_) or types.is_binary(type_):
        return True
    numeric = types.is_integer(type_) or types.is_floating(type_) or types.is_boolean(type_)
    return numeric and not array.null_count


def _has_map(type_: Any) -> bool:
    if types.is_map(type_):
        return True
    if not types.is_nested(type_) or types.is_union(type_):
        return False
    return any(_has_map(type_.field(n).type) for n in range(type_.num_fields))


def _python_frame(table: Any, pd: Any) -> Any:
    series: list[Any] = []
    for field, column in zip(table.schema, table.columns, strict=True):
        values: list[Any] = []
        for chunk in column.chunks:
            some, misfits = plain_cells(chunk, field)
            for place, message in misfits.items():
                where = f"row {len(values) + place}, column {shown_name(field.name)}"
                raise ResultTypeError(where, message)
            values += some
        series.append(pd.Series(values, dtype=object))
    frame = pd.concat(series, axis="columns")
    frame.columns = table.column_names
    return frame
