"""Blocks of JSON as arrays of Arrow by pyarrow's own reader, where it reads the values that ours does.

pyarrow accepts more than JSON (NaN, two values in a line), parses text as times, and rounds integers
beside other numbers. A block is checked before and after, and `DoubtError` is raised if the result may
differ: the rows are then read one by one. Importing this imports pyarrow.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, BinaryIO

from dcipher._extras.libraries import library
from dcipher._results.parsing.json.blocks import DoubtError, array_blocks, line_blocks
from dcipher._results.parsing.json.numbers import may_be_far
from dcipher._results.parsing.text_reader import ByteReader
from dcipher._results.rows.reading import Format

from .columns import JSON_TEXT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["MAX_KEYS", "StructBlocks"]

pa = library("pyarrow", "arrow")
pc = library("pyarrow.compute", "arrow")
pa_json = library("pyarrow.json", "arrow")
types = pa.types

MAX_KEYS = 256
"""Different keys of an object inside of rows: with more of them, it is a map and no struct."""

_MAX_NESTED = 4 * MAX_KEYS
"""Fields inside of columns: with more of them, some are keys of maps, and pyarrow's reader takes long."""
_EXACT = 2.0**53  # float64 holds the integers below
_TEXT = replace(JSON_TEXT, nullable=True)  # of objects without fields
_NOTHING = pa.struct([])


class StructBlocks:
    """Reads blocks of objects, and infers the columns that hold all of them."""

    def __init__(self) -> None:
        self._type: Any = _NOTHING

    def read(self, file: BinaryIO, format_: Format) -> Iterator[Any]:
        """Yields all rows: each block as a `pyarrow.StructArray`."""
        source = ByteReader(file)
        if format_ is Format.JSON:
            return map(self._elements, array_blocks(source))
        return map(self._lines, line_blocks(source))

    def num_rows(self, array: Any) -> int:
        """Returns the number of rows of a block."""
        return len(array)

    def _lines(self, block: bytes) -> Any:
        table = self._table(block, "")
        if table.num_rows != block.count(b"\n") + 1:
            raise DoubtError
        return self._learned(_only(table.to_struct_array()), block)

    def _elements(self, block: bytes) -> Any:
        # As the one row of one column. What is no list of elements would be more, or no JSON.
        table = self._table(b'{"r":[' + block + b"]}", "r")
        if table.num_rows != 1 or table.num_columns != 1:
            raise DoubtError
        return self._learned(_only(table.column(0)).flatten(), block)

    def schema(self) -> Any:
        """Returns the columns that fit all blocks so far, as a `pyarrow.Schema`."""
        return pa.schema([_final_field(field.name, field.type) for field in _members(self._type)])

    def batch(self, array: Any, schema: Any) -> Any:
        """Returns an array as a `pyarrow.RecordBatch` with these columns."""
        if not len(schema):  # an array has a length, no column has none
            return pa.RecordBatch.from_struct_array(pa.array([{}] * len(array), _NOTHING))
        columns = _recast(array, pa.struct(list(schema))).flatten()
        return pa.RecordBatch.from_arrays(columns, schema=schema)

    def _table(self, data: bytes, column: str) -> Any:
        if not _is_utf8(data):
            raise DoubtError
        try:
            table = _read(data, _hint(self._type, lambda _: True), column)
        except pa.ArrowInvalid:
            table = _read_surely(data, _hint(self._type, types.is_string), column)
        rows = _row_type(table, column)
        if _any(rows, types.is_timestamp) or any(map(_is_short, table.columns)):
            # Text that looks like a time is text. And pyarrow loses nulls at the head of a list
            # whose type is not in the schema. It puts the fields of the schema before the others.
            self._type = _common(self._type, _without_times(rows))
            table = _read_surely(data, _hint(self._type, lambda _: True), column)
            if any(map(_is_short, table.columns)):
                raise DoubtError
        return table

    def _learned(self, array: Any, block: bytes) -> Any:
        self._type = _common(self._type, array.type)
        if sum(map(_count, _members(self._type))) - self._type.num_fields > _MAX_NESTED:
            raise DoubtError
        fields = [array.field(n) for n in range(array.type.num_fields)]
        if any(map(_is_doubtful, fields)):
            raise DoubtError
        if any(map(_has_zero, fields)) and may_be_far(block):  # 1e-400 is none
            raise DoubtError
        return array


def _is_utf8(data: bytes) -> bool:
    try:
        return data.isascii() or data.decode() is not None
    except UnicodeDecodeError:
        return False


def _row_type(table: Any, column: str) -> Any:
    if not column:
        return pa.struct(list(table.schema))
    found = table.schema.field(0).type if table.num_columns == 1 else None
    if found is None or not types.is_list(found) or not types.is_struct(found.value_type):
        raise DoubtError
    return found.value_type


def _is_short(column: Any) -> bool:
    """Returns whether the offsets of a list exceed its items."""
    return any(map(_is_short_array, column.chunks))


def _is_short_array(array: Any) -> bool:
    type_ = array.type
    if types.is_list(type_) and not types.is_null(type_.value_type):
        return array.offsets[-1].as_py() > len(array.values) or _is_short_array(array.values)
    return types.is_struct(type_) and any(map(_is_short_array, _parts(array)))


def _is_doubtful(array: Any) -> bool:
    """Returns whether there may be a rounded number, NaN, or an object that is a map."""
    type_ = array.type
    if types.is_floating(type_):
        ends = pc.min_max(array).as_py()
        small = ends["min"] is None or (ends["min"] > -_EXACT and ends["max"] < _EXACT)
        return not small or pc.any(pc.is_nan(array)).as_py() is True
    if types.is_struct(type_) and type_.num_fields > MAX_KEYS:
        return True
    return any(map(_is_doubtful, _parts(array)))


def _has_zero(array: Any) -> bool:
    """Returns whether a number that is no integer is zero."""
    if types.is_floating(array.type):
        return pc.any(pc.equal(array, 0.0)).as_py() is True
    return any(map(_has_zero, _parts(array)))


def _parts(array: Any) -> list[Any]:
    """Yields the arrays that the values of an array consist of."""
    if types.is_list(array.type):
        return [array.values]
    if types.is_struct(array.type):
        return [array.field(n) for n in range(array.type.num_fields)]
    return []


def _read(data: bytes, hint: Any, column: str) -> Any:
    fields = _members(hint) if hint is not None else []
    if column:
        fields = [pa.field(column, pa.list_(hint))] if fields else []
    return pa_json.read_json(
        pa.BufferReader(data),
        read_options=pa_json.ReadOptions(use_threads=False, block_size=len(data) + 1),
        parse_options=pa_json.ParseOptions(
            explicit_schema=pa.schema(fields) if fields else None,
            newlines_in_values=bool(column) and b"\n" in data,
        ),
    )


def _read_surely(data: bytes, hint: Any, column: str) -> Any:
    try:
        return _read(data, hint, column)
    except pa.ArrowInvalid:
        raise DoubtError from None


def _only(column: Any) -> Any:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)


def _members(struct: Any) -> list[Any]:
    return [struct.field(n) for n in range(struct.num_fields)]


def _any(type_: Any, is_such: Callable[[Any], bool]) -> bool:
    if is_such(type_):
        return True
    if types.is_list(type_):
        return _any(type_.value_type, is_such)
    return types.is_struct(type_) and any(_any(f.type, is_such) for f in _members(type_))


def _hint(type_: Any, is_kept: Callable[[Any], bool]) -> Any:
    """Returns the part of a type for pyarrow's schema, without what has only been null or empty."""
    if types.is_struct(type_):
        hints = [(f.name, _hint(f.type, is_kept)) for f in _members(type_)]
        fields = [pa.field(name, hint) for name, hint in hints if hint is not None]
        return pa.struct(fields) if fields else None
    if types.is_list(type_):
        item = _hint(type_.value_type, is_kept)
        return None if item is None else pa.list_(item)
    return None if types.is_null(type_) or not is_kept(type_) else type_


def _count(field: Any) -> int:
    """Returns the number of fields in a field, itself included."""
    type_ = field.type
    while types.is_list(type_):
        type_ = type_.value_type
    return 1 + (sum(map(_count, _members(type_))) if types.is_struct(type_) else 0)


def _without_times(type_: Any) -> Any:
    if types.is_struct(type_):
        return pa.struct([pa.field(f.name, _without_times(f.type)) for f in _members(type_)])
    if types.is_list(type_):
        return pa.list_(_without_times(type_.value_type))
    return pa.string() if types.is_timestamp(type_) else type_


def _common(one: Any, other: Any) -> Any:
    """Returns the type that holds the values of both."""
    if one == other or types.is_null(other):
        return one
    if types.is_null(one):
        return other
    if {one, other} == {pa.int64(), pa.float64()}:
        return pa.float64()
    if types.is_list(one) and types.is_list(other):
        return pa.list_(_common(one.value_type, other.value_type))
    if types.is_struct(one) and types.is_struct(other):
        found = {field.name: field.type for field in _members(one)}
        for field in _members(other):
            found[field.name] = _common(found.get(field.name, pa.null()), field.type)
        return pa.struct(found.items())
    raise DoubtError


def _final_field(name: str, type_: Any) -> Any:
    if types.is_struct(type_) and not type_.num_fields:
        return _TEXT.field(name)
    if types.is_struct(type_):
        return pa.field(name, pa.struct([_final_field(f.name, f.type) for f in _members(type_)]))
    if types.is_list(type_):
        return pa.field(name, pa.list_(_final_field("item", type_.value_type)))
    return pa.field(name, type_)


def _recast(array: Any, type_: Any) -> Any:
    """Converts an array to a type that holds its values."""
    if types.is_null(array.type):
        return pa.nulls(len(array), type_)
    if array.type == type_ and not _any(type_, types.is_null):
        return array
    if types.is_list(type_):
        values = array.values
        if types.is_null(values.type):  # pyarrow's reader counts them wrongly
            values = pa.nulls(array.offsets[-1].as_py())
        values = _recast(values, type_.value_type)
        mask = array.is_null() if array.null_count else None
        return pa.ListArray.from_arrays(array.offsets, values, type=type_, mask=mask)
    if types.is_struct(type_):
        names = [field.name for field in _members(array.type)]
        places = {name: place for place, name in enumerate(names)}
        fields = _members(type_)
        children = [
            _recast(array.field(places[field.name]), field.type)
            if field.name in places
            else pa.nulls(len(array), field.type)
            for field in fields
        ]
        mask = array.is_null() if array.null_count else None
        return pa.StructArray.from_arrays(children, fields=fields, mask=mask)
    if types.is_struct(array.type):  # without fields
        return pc.if_else(array.is_valid(), pa.scalar("{}"), pa.scalar(None, pa.string()))
    try:
        return array.cast(type_)
    except pa.ArrowInvalid:  # an integer that a float64 does not hold
        raise DoubtError from None
