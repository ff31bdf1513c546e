"""The columns that a type of rows has in Arrow: a Pydantic model, a dataclass, a TypedDict.

The columns depend on the type alone, never on the rows: a table without rows has the same columns, and
so have two results of one flow. A value without a single type in Arrow is a string of JSON. The type of
a column is derived from the annotation of the field, since Pydantic's core schemas differ from version
to version. Whether it is nullable is derived from the core schema, which has validators and defaults.
Importing this imports pyarrow.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import (
    Callable,
    Collection,
    Iterable,
    Mapping,
    MutableMapping,
    MutableSequence,
    Sequence,
)
from collections.abc import (
    Set as AbstractSet,
)
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import partial
from operator import attrgetter
from typing import (
    Any,
    Literal,
    TypeAlias,
    cast,
    get_args,
    get_origin,
)
from uuid import UUID

import pydantic
from pydantic import AwareDatetime, BaseModel, NaiveDatetime, RootModel
from typing_extensions import is_typeddict

from dcipher._extras.libraries import library
from dcipher._results.parsing.adapters import adapter_for
from dcipher._results.parsing.parquet.cells import OPTIONAL_MARK
from dcipher._typing.annotations import (
    attributes_of,
    bare,
    hints_of,
    is_class,
    known_fields,
    names_of,
)

from .builders import Leaves, Lists
from .columns import (
    JSON_TEXT,
    Column,
    Columns,
    Shape,
    list_shape,
    map_shape,
    struct_shape,
    value_column,
)
from .nulls import may_return_none, never_null

__all__ = ["columns_of"]

pa = library("pyarrow", "arrow")

_NONE = type(None)
_UTC_TIMESTAMP = pa.timestamp("us", tz="UTC")
_TEXT = pa.string()

# The particular before the general: a bool is an int, a datetime is a date.
_SCALARS: tuple[tuple[type, Any], ...] = (
    (bool, pa.bool_()),
    (int, pa.int64()),
    (float, pa.float64()),
    (str, _TEXT),
    (bytes, pa.binary()),
    (datetime, _UTC_TIMESTAMP),
    (date, pa.date32()),
    (timedelta, pa.duration("us")),
)
# To a type checker they are datetime, to Python classes of their own.
_DATETIMES: dict[object, Any] = {
    AwareDatetime: _UTC_TIMESTAMP,
    NaiveDatetime: pa.timestamp("us"),
    pydantic.PastDatetime: _UTC_TIMESTAMP,
    pydantic.FutureDatetime: _UTC_TIMESTAMP,
    pydantic.PastDate: pa.date32(),
    pydantic.FutureDate: pa.date32(),
}
_SEQUENCES = (list, set, frozenset, Sequence, MutableSequence, AbstractSet, Collection, Iterable)
_MAPPINGS = (dict, Mapping, MutableMapping)
_UNIONS = (typing.Union, types.UnionType)  # pyright: ignore[reportDeprecated] - what Optional[X] is


def columns_of(type_: object) -> Columns:
    """Returns the columns of rows that are validated as `type_`.

    A type without fields, such as int or a union, is one column, `value`.

    Raises:
        PydanticUserError: Pydantic knows no way to validate as a type in it.
        ValueError: two fields have the same name in the table.
    """
    parts = _fields(bare(type_)[0], ())
    if parts is None:
        return Columns((value_column(_shape(type_)),))
    return Columns(tuple(parts))


def _shape(
    type_: object, metadata: Sequence[object] = (), within: tuple[object, ...] = ()
) -> Shape:
    type_, metadata = bare(type_, metadata)
    shape = _bare_shape(type_, metadata, within)
    if may_return_none(metadata) and not shape.nullable:
        return dataclasses.replace(shape, nullable=True)
    return shape


def _bare_shape(type_: Any, metadata: Sequence[object], within: tuple[object, ...]) -> Shape:
    if type_ in within:  # it holds itself: Arrow's types are finite
        return JSON_TEXT
    origin, arguments = get_origin(type_), get_args(type_)
    if origin in _UNIONS:
        return _union(arguments, metadata, within)
    if type_ is _NONE or type_ is None:
        return Shape(pa.null(), nullable=True)
    if origin is Literal:
        return _values(arguments)
    if origin is tuple or type_ is tuple:
        return _tuple(arguments, within)
    if origin in _SEQUENCES:
        return _list(_shape(arguments[0], (), within), is_list=origin is list)
    if origin in _MAPPINGS:
        return _map(*arguments, within=within)
    return _class(type_, metadata, within)


def _class(type_: Any, metadata: Sequence[object], within: tuple[object, ...]) -> Shape:
    if type_ is Any or type_ is object:
        return dataclasses.replace(JSON_TEXT, nullable=True)
    if type_ in _DATETIMES:
        return Shape(_DATETIMES[type_])
    parts = _fields(type_, within)
    if parts is not None:
        return _struct(parts)
    if not is_class(type_):
        return JSON_TEXT
    if issubclass(type_, RootModel):
        root = cast("type[BaseModel]", type_).model_fields["root"]
        inner = _shape(root.annotation, root.metadata, (*within, cast("object", type_)))
        nullable = inner.nullable or root.default is None
        return _through(dataclasses.replace(inner, nullable=nullable), attrgetter("root"))
    if issubclass(type_, Enum):
        return _values([member.value for member in type_])
    if issubclass(type_, Decimal):
        return _decimal(metadata)
    if issubclass(type_, UUID):
        return Shape(_TEXT, plain)
    if issubclass(type_, time):
        return Shape(pa.time64("us"), _without_zone)
    for base, arrow in _SCALARS:
        if issubclass(type_, base):
            return Shape(arrow)
    return _other(cast("Any", type_))


def plain(value: object) -> object:
    """Converts an enum to its value, and a UUID or Decimal to its text."""
    if isinstance(value, Enum):
        return plain(value.value)
    return str(value) if isinstance(value, (UUID, Decimal)) else value


def _without_zone(value: time) -> time:
    if value.tzinfo is not None:
        raise ValueError("Arrow's times have no zone")
    return value


def _through(shape: Shape, get: Callable[[Any], Any]) -> Shape:
    convert = shape.convert

    def converted(value: object) -> object:
        inner: object = get(value)
        return inner if inner is None or convert is None else convert(inner)

    return dataclasses.replace(shape, convert=converted)


def _values(values: Iterable[object]) -> Shape:
    """Returns the shape of a choice of values: their type, if they have one in common."""
    values = list(map(plain, values))
    shapes = {_shape(type(value)) for value in values if value is not None}
    nullable = None in values
    if len(shapes) == 1 and (only := shapes.pop()).type in _PLAIN:
        return Shape(only.type, plain, nullable)
    return dataclasses.replace(JSON_TEXT, nullable=nullable)


_PLAIN = (pa.bool_(), pa.int64(), pa.float64(), _TEXT)


def _decimal(metadata: Sequence[object]) -> Shape:
    # Without a scale, no decimal type of Arrow holds every Decimal as it is.
    digits, places = (
        next((n for m in metadata if (n := getattr(m, name, None)) is not None), None)
        for name in ("max_digits", "decimal_places")
    )
    if places is None or (digits or 0) > 38:
        return Shape(_TEXT, plain)
    return Shape(pa.decimal128(digits or 38, places))


def _union(
    members: Sequence[object], metadata: Sequence[object], within: tuple[object, ...]
) -> Shape:
    shapes = [_shape(m, metadata, within) for m in members if m is not _NONE]
    nullable = _NONE in members or any(shape.nullable for shape in shapes)
    kinds = {shape.type for shape in shapes}
    simple = all(_is_simple(shape) and shape.convert in (None, plain) for shape in shapes)
    if len(shapes) == 1:
        return dataclasses.replace(shapes[0], nullable=nullable)
    if kinds == {pa.int64(), pa.float64()}:
        return Shape(pa.float64(), plain, nullable)
    if len(kinds) == 1 and simple:
        return dataclasses.replace(shapes[0], convert=plain, nullable=nullable)
    return dataclasses.replace(JSON_TEXT, nullable=nullable)


def _list(item: Shape, *, is_list: bool = False) -> Shape:
    shape = list_shape(item)
    if is_list or not _is_simple(shape):
        return shape
    return dataclasses.replace(shape, convert=list)  # of a set, of any collection


def _is_simple(shape: Shape) -> bool:
    """Returns whether it has no fields, no keys, and no items to convert."""
    if shape.builds is Lists:
        (item,) = shape.parts
        return item.convert is None and _is_simple(item)
    return shape.builds is Leaves


def _tuple(items: Sequence[object], within: tuple[object, ...]) -> Shape:
    if not items:
        return JSON_TEXT
    if len(items) == 2 and items[1] is ...:
        return _list(_shape(items[0], (), within))
    shapes = [_shape(item, (), within) for item in items]
    if len({(s.type, s.convert) for s in shapes}) == 1 and all(map(_is_simple, shapes)):
        nullable = any(shape.nullable for shape in shapes)
        return _list(dataclasses.replace(shapes[0], nullable=nullable))
    return JSON_TEXT


def _map(key: object, value: object, *, within: tuple[object, ...]) -> Shape:
    keys, values = _shape(key, (), within), _shape(value, (), within)
    if keys.nullable or keys.mark or keys.type not in _PLAIN:
        return JSON_TEXT
    return map_shape(keys, values)


def _struct(parts: Sequence[Column]) -> Shape:
    if not parts:  # DuckDB and Parquet know no struct without fields
        return JSON_TEXT
    return struct_shape(parts)


def _other(type_: type[object]) -> Shape:
    """Returns the shape of another type of Pydantic, such as a URL: that of its JSON."""
    adapter = adapter_for(type_)
    schema = adapter.json_schema(mode="serialization")
    arrow = _JSON_TYPES.get(schema.get("type", ""))
    if arrow is None:
        return JSON_TEXT
    return Shape(arrow, partial(adapter.serializer.to_python, mode="json"))


_JSON_TYPES = {
    "string": _TEXT,
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
}


def _fields(type_: Any, within: tuple[object, ...]) -> list[Column] | None:
    """Returns the columns of a type with named fields; None for any other type."""
    within = (*within, type_)
    known = known_fields(type_)
    if known is not None:
        found: list[_Found] = [
            (
                name,
                attrgetter(name),
                names_of(name, field),
                _shape(field.annotation, field.metadata, within),
            )
            for name, field in known.items()
            if not field.exclude
        ]
    elif (names := attributes_of(type_)) is not None:
        hints = hints_of(type_)
        get = _entry_getter if is_typeddict(get_origin(type_) or type_) else attrgetter
        found = [
            (name, get(name), (name, name), _shape(hints.get(name, Any), (), within))
            for name in names
        ]
    else:
        return None
    sure = never_null(type_)
    parts = [
        Column(name, get, shape if field in sure else _optional(shape), key)
        for field, get, (name, key), shape in found
    ]
    if len({part.name for part in parts}) < len(parts):
        raise ValueError(f"Two fields of {_shown(type_)} have the same name in a table.")
    return parts


def _optional(shape: Shape) -> Shape:
    if shape.nullable:
        return shape
    # It is left out where it is null, as it may be missing, and must not be None.
    mark = {**(shape.mark or {}), **OPTIONAL_MARK}
    return dataclasses.replace(shape, nullable=True, mark=mark)


def _entry_getter(name: str) -> Callable[[Any], Any]:
    return lambda row: row.get(name)


_Found: TypeAlias = tuple[str, Callable[[Any], Any], tuple[str, str], Shape]


def _shown(type_: object) -> str:
    return getattr(type_, "__name__", str(type_))
