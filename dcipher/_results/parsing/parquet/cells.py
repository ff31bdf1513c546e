"""The cells of a column of Parquet as values of Python, each exactly as in the file.

Python's times have microseconds and years from 1 to 9999, text is Unicode, and the keys of a dict are
unique: a cell that Python cannot represent is reported beside the valid ones. Importing this imports
pyarrow.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

from dcipher._extras.libraries import library
from dcipher._masking.text import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = [
    "JSON_MARK",
    "KEY_MARK",
    "OPTIONAL_MARK",
    "VALUE_MARK",
    "cells",
    "is_marked",
    "key_of",
    "plain_cells",
]

pa = library("pyarrow", "arrow")

JSON_MARK = {b"dcipher.json": b"1"}
"""The metadata of a field whose text is JSON, because Arrow has no type for its values."""
VALUE_MARK = {b"dcipher.value": b"1"}
"""The metadata of the only column of rows without names."""
KEY_MARK = b"dcipher.key"
"""The key of the metadata with the name by which the model reads a field: its alias."""
OPTIONAL_MARK = {b"dcipher.optional": b"1"}
"""The metadata of a field that may be missing, and is not None if it is present."""

_TYPE = 64  # characters of a type that are shown


def cells(column: Any, field: Any) -> tuple[list[Any], dict[int, str]]:
    """Returns the values of an array, and for each index of an unsupported value the reason.

    A map is a dict. The metadata of the field is applied: text that was written as JSON is parsed, and
    the fields of a struct have the names by which the model reads them.
    """
    return _cells(column, _converter(field, marked=True))


def plain_cells(column: Any, field: Any) -> tuple[list[Any], dict[int, str]]:
    """Returns the same, without applying the metadata of the field."""
    return _cells(column, _converter(field, marked=False))


def is_marked(field: Any, mark: Mapping[bytes, bytes]) -> bool:
    """Returns whether a field's metadata has a mark."""
    return mark.items() <= (field.metadata or {}).items()


def key_of(field: Any) -> str:
    """Returns the name by which the model reads a field."""
    metadata: Mapping[bytes, bytes] = field.metadata or {}
    alias = metadata.get(KEY_MARK)
    return field.name if alias is None else alias.decode()


def _cells(column: Any, convert: Callable[[Any], Any] | None) -> tuple[list[Any], dict[int, str]]:
    exact = _exact(column.type)
    try:
        return _values(column, exact, convert), {}
    except Exception:  # noqa: BLE001 - pyarrow raises what it likes, zoneinfo and codecs, too
        return _one_by_one(column, exact, convert)


def _one_by_one(
    column: Any, exact: Any, convert: Callable[[Any], Any] | None
) -> tuple[list[Any], dict[int, str]]:
    values: list[Any] = []
    misfits: dict[int, str] = {}
    for place in range(len(column)):
        try:
            # A slice would be validated with all items of the other ones.
            values += _values(column.take(pa.array([place])), exact, convert)
        except Exception:  # noqa: BLE001
            values.append(None)
            misfits[place] = f"Value of {clean(str(column.type), _TYPE)} {_why(column.type)}"
    return values, misfits


def _values(column: Any, exact: Any, convert: Callable[[Any], Any] | None) -> list[Any]:
    if column.type != exact:
        column = column.cast(exact)  # refuses to lose nanoseconds
    column.validate(full=True)  # text that is not UTF-8, times beyond a day
    values: list[Any] = column.to_pylist()
    return values if convert is None else _each(convert, values)


def _why(type_: Any) -> str:
    types = pa.types
    if types.is_temporal(type_):
        return "has nanoseconds, an unknown time zone, or is outside of Python's range (years 1 to 9999, 24 hours)"
    if types.is_string(type_) or types.is_large_string(type_):
        return "is not UTF-8 text"
    if types.is_map(type_):
        return "has a duplicate key, or contains a value that Python cannot hold"
    return "contains a value that Python cannot hold"


def _each(convert: Callable[[Any], Any], values: Sequence[Any]) -> list[Any]:
    return [None if value is None else convert(value) for value in values]


def _exact(type_: Any) -> Any:
    """Returns the type that pyarrow converts to standard Python values without losing digits.

    It converts nanoseconds to values of pandas if pandas is installed, and Pydantic rounds those.
    """
    types = pa.types
    if types.is_timestamp(type_) and type_.unit == "ns":
        return pa.timestamp("us", type_.tz)
    if types.is_time64(type_) and type_.unit == "ns":
        return pa.time64("us")
    if types.is_duration(type_) and type_.unit == "ns":
        return pa.duration("us")
    if types.is_dictionary(type_):
        return _exact(type_.value_type)
    if types.is_map(type_):
        item = type_.item_field
        return pa.map_(_exact(type_.key_type), item.with_type(_exact(item.type)))
    if types.is_struct(type_):
        return pa.struct([_with_exact(type_.field(n)) for n in range(type_.num_fields)])
    if types.is_list(type_):
        return pa.list_(_with_exact(type_.value_field))
    if types.is_large_list(type_):
        return pa.large_list(_with_exact(type_.value_field))
    if types.is_fixed_size_list(type_):
        return pa.list_(_with_exact(type_.value_field), type_.list_size)
    return type_


def _with_exact(field: Any) -> Any:
    return field.with_type(_exact(field.type))


def _converter(field: Any, *, marked: bool) -> Callable[[Any], Any] | None:
    """Returns a function that converts pyarrow's value of a field, or None if no conversion is needed."""
    if marked and is_marked(field, JSON_MARK):
        return from_json
    type_, types = field.type, pa.types
    if types.is_map(type_):
        return partial(_dict, _converter(type_.item_field, marked=marked))
    if types.is_struct(type_):
        members = [_Member.of(type_.field(n), marked=marked) for n in range(type_.num_fields)]
        return partial(_struct, members) if any(m.changes for m in members) else None
    if types.is_list(type_) or types.is_large_list(type_) or types.is_fixed_size_list(type_):
        item = _converter(type_.value_field, marked=marked)
        return None if item is None else partial(_each, item)
    return None


def _dict(convert: Callable[[Any], Any] | None, pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("a key twice")
    if convert is None:
        return made
    return dict(zip(made, _each(convert, list(made.values())), strict=True))


@dataclass(frozen=True, slots=True)
class _Member:
    """A field of a struct, and its entry in a dict."""

    key: str
    convert: Callable[[Any], Any] | None
    optional: bool
    changes: bool

    @classmethod
    def of(cls, field: Any, *, marked: bool) -> _Member:
        convert = _converter(field, marked=marked)
        if not marked:
            return cls(field.name, convert, optional=False, changes=convert is not None)
        key, optional = key_of(field), is_marked(field, OPTIONAL_MARK)
        return cls(key, convert, optional, optional or convert is not None or key != field.name)


def _struct(members: Sequence[_Member], value: dict[str, Any]) -> dict[str, Any]:
    return {
        member.key: inner if inner is None or member.convert is None else member.convert(inner)
        for member, inner in zip(members, value.values(), strict=True)
        if inner is not None or not member.optional
    }
