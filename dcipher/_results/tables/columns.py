"""Rows as columns of Arrow: what a column holds, and how it is built from the values of the rows.

Importing this imports pyarrow.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate, chain, count
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_json

from dcipher._libraries import library
from dcipher._results.parsing.parquet.cells import JSON_MARK, KEY_MARK, VALUE_MARK
from dcipher._results.parsing.row_errors import ResultSyntaxError, ResultTypeError, shown_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = [
    "JSON_TEXT",
    "VALUE",
    "Column",
    "Columns",
    "Shape",
    "check_batch",
    "each",
    "value_column",
]

pa = library("pyarrow", "arrow")

VALUE = "value"
"""The name of the one column of rows that have no names in them, such as numbers."""

_EXACT = 2**53
_WIDE = 2**63


@dataclass(frozen=True, slots=True)
class Shape:
    """What a value becomes in Arrow."""

    type: Any
    """A `pyarrow.DataType`."""
    convert: Callable[[Any], Any] | None = None
    """Makes of a value, which is not None, what pyarrow takes for the type; None where it is that."""
    nullable: bool = False
    mark: Mapping[bytes, bytes] | None = None
    """The metadata of its field."""
    build: Callable[[Sequence[Any]], Any] | None = None
    """Makes an array of values, none of which is None, faster than one by one."""

    def array(self, values: Sequence[Any]) -> Any:
        """Values, and None for nulls, as a `pyarrow.Array`."""
        if self.build is None:
            return pa.array(each(self.convert, values), type=self.type, from_pandas=False)
        present = [value for value in values if value is not None]
        if len(present) == len(values):
            return self.build(present)
        if not present:
            return pa.array(values, type=self.type)
        return _with_nulls(self.build(present), [value is None for value in values])

    def field(self, name: str) -> Any:
        """As a `pyarrow.Field`."""
        return pa.field(name, self.type, nullable=self.nullable, metadata=self.mark)


def _with_nulls(array: Any, missing: Sequence[bool]) -> Any:
    """An array with nulls between its values."""
    places = count()
    if not pa.types.is_struct(array.type):
        return array.take(pa.array([None if gap else next(places) for gap in missing], pa.int64()))
    # Where a struct is null, its fields are not looked at; but they may have to be no nulls.
    filled = array.take(pa.array([0 if gap else next(places) for gap in missing], pa.int64()))
    fields = [array.type.field(n) for n in range(array.type.num_fields)]
    parts = [filled.field(n) for n in range(len(fields))]
    return pa.StructArray.from_arrays(parts, fields=fields, mask=pa.array(missing))


def json_text(value: object) -> str:
    """A value as JSON."""
    return to_json(value, inf_nan_mode="null", bytes_mode="base64").decode()


JSON_TEXT = Shape(pa.string(), json_text, mark=JSON_MARK)
"""A string of JSON: what has no single type that Arrow knows."""


def each(convert: Callable[[Any], Any] | None, values: Sequence[Any]) -> Sequence[Any]:
    """Every value converted but for None."""
    if convert is None:
        return values
    return [None if value is None else convert(value) for value in values]


_SIZED = (list, tuple, set, frozenset)


def list_shape(item: Shape) -> Shape:
    """A list of values of a shape."""
    convert = None if item.convert is None else partial(each, item.convert)
    arrow = pa.list_(item.field("item"))

    def build(values: Sequence[Any]) -> Any:
        # Columns of all items at once: one by one, each would become a dict first.
        lists: list[Any] = [value if isinstance(value, _SIZED) else list(value) for value in values]
        offsets = pa.array(accumulate(map(len, lists), initial=0), pa.int32())
        items = item.array(list(chain.from_iterable(lists)))
        return pa.ListArray.from_arrays(offsets, items, type=arrow)

    return Shape(arrow, convert, build=None if item.build is None else build)


def struct_shape(parts: Sequence[Column]) -> Shape:
    """A struct with a field for each part of a value."""
    fields = [part.field() for part in parts]

    def convert(value: object) -> dict[str, object]:
        return {part.name: each(part.shape.convert, [part.get(value)])[0] for part in parts}

    def build(values: Sequence[Any]) -> Any:
        arrays = [part.shape.array(list(map(part.get, values))) for part in parts]
        return pa.StructArray.from_arrays(arrays, fields=fields)

    return Shape(pa.struct(fields), convert, build=build)


def map_shape(keys: Shape, values: Shape, *, nullable: bool = False) -> Shape:
    """A map from values of one shape to those of another one."""

    def pairs(mapping: Mapping[Any, Any]) -> list[tuple[Any, Any]]:
        if keys.convert is values.convert is None:
            return list(mapping.items())
        converted = each(values.convert, list(mapping.values()))
        return list(zip(each(keys.convert, list(mapping)), converted, strict=True))

    return Shape(pa.map_(keys.type, values.field("value")), pairs, nullable)


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name, where in a row its value is, and what that becomes."""

    name: str
    get: Callable[[Any], Any]
    shape: Shape
    key: str | None = None
    """What the type calls it when it reads, where that is another name."""

    def field(self) -> Any:
        """As a `pyarrow.Field`."""
        field = self.shape.field(self.name)
        if self.key in (None, self.name):
            return field
        return field.with_metadata({**(field.metadata or {}), KEY_MARK: self.key})

    def array(self, rows: Sequence[Any], first: int) -> Any:
        """As a `pyarrow.Array`; `first` is the number of the first row.

        Raises `ResultTypeError` for the first value that Arrow cannot hold.
        """
        try:
            return self._array(rows)
        except _REFUSALS:
            for number, row in enumerate(rows, first):
                self._check(row, number)
            raise

    def _array(self, rows: Sequence[Any]) -> Any:
        array = self.shape.array(list(map(self.get, rows)))
        if _has_forbidden_null(array, self.shape.nullable):
            raise _NullError
        return array

    def _check(self, row: object, number: int) -> None:
        try:
            _ = self._array([row])
        except _REFUSALS as error:
            raise ResultTypeError(
                f"row {number}, column {shown_name(self.name)}",
                self._refusal(self.get(row), error),
                row=number,
            ) from None

    def _refusal(self, value: object, error: Exception) -> str:
        # pyarrow's own words quote the value.
        if isinstance(error, _NullError):
            return "is null, or has a null in it, where its type has none"
        if _has_integer(value, _WIDE):
            return "is an integer beyond 64 bits: declare the column as Decimal, str or float"
        if _has_integer(value, _EXACT) and "double" in str(self.shape.type):
            return "is an integer that a float64 does not hold exactly: declare it as int or float"
        return f"does not fit a column of {self.shape.type}"


class _NullError(ValueError):
    """A null where the schema has none."""


def _has_forbidden_null(array: Any, nullable: bool) -> bool:
    """Whether there is a null that the type of the array, or of what is in it, does not allow."""
    if array.null_count:
        if not nullable:
            return True
        array = array.drop_null()
    type_ = array.type
    if pa.types.is_struct(type_):
        fields = [(array.field(n), type_.field(n).nullable) for n in range(type_.num_fields)]
    elif pa.types.is_list(type_):
        fields = [(array.flatten(), type_.value_field.nullable)]
    elif pa.types.is_map(type_):
        fields = [(array.items, type_.item_field.nullable)]
    else:
        return False
    return any(_has_forbidden_null(inner, allowed) for inner, allowed in fields)


# UnicodeEncodeError, of a lone surrogate, is a ValueError; ArrowInvalid is one, too.
_REFUSALS = (
    ValueError,
    TypeError,
    OverflowError,
    AttributeError,
    pa.ArrowException,
    PydanticSerializationError,
)


def _has_integer(value: object, bound: int) -> bool:
    if isinstance(value, int):
        return not -bound <= value < bound
    if isinstance(value, dict):
        parts = list(cast("dict[object, object]", value).values())
        return any(_has_integer(part, bound) for part in parts)
    if isinstance(value, (list, tuple, set, frozenset)):
        items = cast("Sequence[object]", value)
        return any(_has_integer(item, bound) for item in items)
    fielded = isinstance(value, BaseModel) or hasattr(value, "__dataclass_fields__")
    return fielded and _has_integer(vars(value), bound)


def value_column(shape: Shape) -> Column:
    """The one column of rows that have no names in them."""
    mark = {**(shape.mark or {}), **VALUE_MARK}
    return Column(VALUE, lambda row: row, replace(shape, mark=mark))


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a table."""

    columns: tuple[Column, ...]

    @property
    def schema(self) -> Any:
        """As a `pyarrow.Schema`."""
        return pa.schema([column.field() for column in self.columns])

    def batch(self, rows: Sequence[Any], first: int) -> Any:
        """Rows as a `pyarrow.RecordBatch`; `first` is the number of the first.

        Raises `ResultTypeError` for the first value that Arrow cannot hold.
        """
        if not self.columns:  # an array has a length, no column has none
            return pa.RecordBatch.from_struct_array(pa.array([{}] * len(rows), pa.struct([])))
        arrays = [column.array(rows, first) for column in self.columns]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)


def check_batch(batch: Any, first: int) -> None:
    """Raises `ResultTypeError` for the first cell that is none of its column's type.

    Such as text that is not UTF-8, or 25 o'clock; `first` is the number of the first row. pyarrow
    reads them from files, and its own text would quote them.
    """
    try:
        batch.validate(full=True)
    except pa.ArrowInvalid:
        for number in range(batch.num_rows):
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                try:
                    column.take(pa.array([number])).validate(full=True)
                except pa.ArrowInvalid:
                    where = f"row {first + number}, column {shown_name(name)}"
                    why = f"is no value of {column.type}"
                    raise ResultTypeError(where, why, row=first + number) from None
        raise ResultSyntaxError("document", "is damaged") from None
