"""A table of pyarrow as a frame of pandas, with nothing lost on the way.

Importing this imports pandas and pyarrow.
"""

from __future__ import annotations

from typing import Any

from ._core.libraries import library

__all__ = ["to_pandas"]

pa = library("pyarrow", "pandas")
pd = library("pandas", "pandas")

# NumPy's integers and booleans have no null: they would become floats, which lose digits.
_NULLABLE = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}


def to_pandas(table: Any) -> Any:
    """As a `pandas.DataFrame`."""
    with_nulls = [
        place
        for place, column in enumerate(table.columns)
        if column.null_count and column.type in _NULLABLE
    ]
    if not with_nulls:
        return _frame(table)
    others = [place for place in range(table.num_columns) if place not in set(with_nulls)]
    parts = [
        _frame(table.select(others)),
        _frame(table.select(with_nulls), types_mapper=_NULLABLE.get),
    ]
    order = sorted(range(table.num_columns), key=[*others, *with_nulls].__getitem__)
    return pd.concat(parts, axis="columns").iloc[:, order]


def _frame(table: Any, **options: Any) -> Any:
    return table.to_pandas(maps_as_pydicts="strict", **options)
