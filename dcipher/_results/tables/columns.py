"""Columns of Arrow: their shapes, and how they are built from rows.

Importing this imports pyarrow.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel
from pydantic_core import to_json

from dcipher._extras.libraries import library
from dcipher._results.parsing.parquet.cells import JSON_MARK, KEY_MARK, VALUE_MARK
from dcipher._results.parsing.row_errors import (
    ResultReadError,
    ResultSyntaxError,
    ResultTypeError,
    shown_name,
)

from .builders import REFUSALS, Builder, Leaves, Lists, Maps, NullError, Parts, Structs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = [
    "JSON_TEXT",
    "VALUE",
    "Block",
    "Column",
    "Columns",
    "Shape",
    "UnfitError",
    "check_batch",
    "list_shape",
    "map_shape",
    "struct_shape",
    "value_column",
]

pa = library("pyarrow", "arrow")

VALUE = "value"
"""The name of the one column of rows that have no names in them, such as numbers."""

_EXACT = 2**53
_WIDE = 2**63


@dataclass(frozen=True, slots=True)
class Shape:
    """The representation of a value in Arrow."""

    type: Any
    """A `pyarrow.DataType`."""
    convert: Callable[[Any], Any] | None = None
    """Converts a value that is not None for its builder; None if no conversion is needed."""
    nullable: bool = False
    mark: Mapping[bytes, bytes] | None = None
    """The metadata of its field."""
    builds: type[Builder] = Leaves
    parts: tuple[Shape, ...] = ()
    """The shape of a list's items, or those of a map's keys and values."""
    columns: tuple[Column, ...] = ()
    """The fields of a struct."""

    def builder(self) -> Builder:
        """Returns a builder of its arrays."""
        builder: Builder = self.builds(self)
        return builder

    def field(self, name: str) -> Any:
        """Returns a `pyarrow.Field`."""
        return pa.field(name, self.type, nullable=self.nullable, metadata=self.mark)


def json_text(value: object) -> str:
    """Encodes a value as JSON."""
    return to_json(value, inf_nan_mode="null", bytes_mode="base64").decode()


JSON_TEXT = Shape(pa.string(), json_text, mark=JSON_MARK)
"""A string of JSON, for values without a single type in Arrow."""


def list_shape(item: Shape) -> Shape:
    """Returns a list of values of a shape."""
    return Shape(pa.list_(item.field("item")), builds=Lists, parts=(item,))


def struct_shape(columns: Sequence[Column]) -> Shape:
    """Returns a struct with a field for each part of a value."""
    arrow = pa.struct([column.field() for column in columns])
    return Shape(arrow, builds=Structs, columns=tuple(columns))


def map_shape(keys: Shape, values: Shape) -> Shape:
    """Returns a map from values of one shape to those of another one."""
    return Shape(pa.map_(keys.type, values.field("value")), builds=Maps, parts=(keys, values))


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name, the getter of its value from a row, and its shape."""

    name: str
    get: Callable[[Any], Any]
    shape: Shape
    key: str | None = None
    """The name by which the type reads it, if that is another one."""

    def field(self) -> Any:
        """Returns a `pyarrow.Field`."""
        field = self.shape.field(self.name)
        if self.key in (None, self.name):
            return field
        return field.with_metadata({**(field.metadata or {}), KEY_MARK: self.key})

    def check(self, row: object, number: int) -> None:
        """Raises `ResultTypeError` where Arrow cannot hold its value in a row of that number."""
        parts = Parts([self])
        try:
            parts.add([row])
            _ = parts.arrays()
        except REFUSALS as error:
            where = f"row {number}, column {shown_name(self.name)}"
            raise ResultTypeError(where, self._refusal(row, error), row=number) from None

    def _refusal(self, row: object, error: Exception) -> str:
        # pyarrow's own words quote the value.
        try:
            value: object = self.get(row)
        except AttributeError:  # as of a validator that constructs the model itself
            return "is missing"
        if value is None or isinstance(error, NullError):
            return "is null, or contains a null, which its type does not permit"
        if _has_integer(value, _WIDE):
            return "is an integer beyond 64 bits: declare the column as Decimal, str or float"
        if _has_integer(value, _EXACT) and "double" in str(self.shape.type):
            return "is an integer that a float64 does not hold exactly: declare it as int or float"
        return f"does not fit a column of {self.shape.type}"


def _has_integer(value: object, bound: int) -> bool:
    if isinstance(value, int):
        return not -bound <= value < bound
    if isinstance(value, dict):
        found = cast("dict[object, object]", value)
        parts = [*found, *found.values()]
        return any(_has_integer(part, bound) for part in parts)
    if isinstance(value, (list, tuple, set, frozenset)):
        items = cast("Sequence[object]", value)
        return any(_has_integer(item, bound) for item in items)
    fielded = isinstance(value, BaseModel) or hasattr(value, "__dataclass_fields__")
    return fielded and _has_integer(vars(value), bound)


def value_column(shape: Shape) -> Column:
    """Returns the only column of rows without names."""
    mark = {**(shape.mark or {}), **VALUE_MARK}
    return Column(VALUE, lambda row: row, replace(shape, mark=mark))


class UnfitError(ResultReadError):
    """Arrow cannot hold a value of the rows: `Columns.batch` identifies it."""

    def __init__(self) -> None:
        super().__init__("rows", "contain a value that Arrow cannot hold")


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
        block = Block(self)
        try:
            block.add(rows)
            return block.batch()
        except UnfitError:
            for number, row in enumerate(rows, first):
                for column in self.columns:
                    column.check(row, number)
            raise


class Block:
    """Collects rows for batches: only their values are held, by column.

    Raises `UnfitError` for a value that Arrow cannot hold, when it is added or later.
    """

    def __init__(self, columns: Columns) -> None:
        self._parts = Parts(columns.columns)
        self._schema: Any = columns.schema
        self.num_rows: int = 0
        """How many were added."""

    def add(self, rows: Sequence[Any]) -> None:
        """Takes more rows."""
        self.num_rows += len(rows)
        try:
            self._parts.add(rows)
        except REFUSALS:
            raise UnfitError from None

    def batch(self) -> Any:
        """Returns the added rows as a `pyarrow.RecordBatch`, and clears the block."""
        try:
            arrays = self._parts.arrays()
        except REFUSALS:
            raise UnfitError from None
        rows, self.num_rows = self.num_rows, 0
        if not arrays:  # an array has a length, no column has none
            return pa.RecordBatch.from_struct_array(pa.array([{}] * rows, pa.struct([])))
        return pa.RecordBatch.from_arrays(arrays, schema=self._schema)


def check_batch(batch: Any, first: int) -> None:
    """Raises `ResultTypeError` for the first cell that is invalid for the type of its column.

    Such as text that is not UTF-8, or 25 o'clock; `first` is the number of the first row. pyarrow
    reads them from files, and its own text would quote them.
    """
    try:
        batch.validate(full=True)
    except pa.ArrowInvalid:
        for number in range(batch.num_rows):
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                try:
                    one = column.take(pa.array([number]))
                    if pa.types.is_dictionary(column.type):  # not with the values of others
                        one = one.dictionary_decode()
                    one.validate(full=True)
                except pa.ArrowInvalid:
                    where = f"row {first + number}, column {shown_name(name)}"
                    why = f"is not a valid {column.type}"
                    raise ResultTypeError(where, why, row=first + number) from None
        raise ResultSyntaxError("document", "is damaged") from None
