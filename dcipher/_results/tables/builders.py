"""Builds arrays of Arrow from values that are added in pieces.

Only the leaves of the added values are held (numbers, text, times), not the objects around them, which
would slow down the garbage collection of Python. Importing this imports pyarrow.
"""

from __future__ import annotations

from itertools import accumulate, chain, count, repeat
from typing import TYPE_CHECKING, Any

from pydantic_core import PydanticSerializationError
from typing_extensions import override

from dcipher._extras.libraries import library

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from .columns import Column, Shape

__all__ = ["REFUSALS", "Builder", "Leaves", "Lists", "Maps", "NullError", "Parts", "Structs"]

pa = library("pyarrow", "arrow")


class NullError(ValueError):
    """A null of a type that is not nullable."""


# UnicodeEncodeError, of a lone surrogate, is a ValueError; ArrowInvalid is one, too.
REFUSALS = (
    ValueError,
    TypeError,
    OverflowError,
    AttributeError,
    pa.ArrowException,
    PydanticSerializationError,
)
"""Exceptions of a builder for a value that Arrow cannot represent. The builder is unusable afterwards."""


class Builder:
    """Builds arrays of a shape."""

    def __init__(self, shape: Shape) -> None:
        self._type: Any = shape.type
        self._convert = shape.convert
        self._nullable = shape.nullable

    def add(self, _: Iterable[Any], /) -> None:
        """Adds values; None is a null."""
        raise NotImplementedError

    def array(self) -> Any:
        """Returns the added values as a `pyarrow.Array`, and clears the builder."""
        raise NotImplementedError


class Leaves(Builder):
    """Values that pyarrow converts one by one."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        self._values: list[Any] = []

    @override
    def add(self, values: Iterable[Any], /) -> None:
        self._values += _each(self._convert, values)

    @override
    def array(self) -> Any:
        array = pa.array(self._values, type=self._type, from_pandas=False)
        if array.null_count and not self._nullable:
            raise NullError
        self._values.clear()
        return array


class _Nested(Builder):
    """Values that consist of other values."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        self._missing: list[bool] = []

    @override
    def add(self, values: Iterable[Any], /) -> None:
        given = [*_each(self._convert, values)]
        if not self._nullable:
            self._add(given)
            return
        present = [value for value in given if value is not None]
        whole = len(present) == len(given)
        self._missing += repeat(False, len(given)) if whole else [value is None for value in given]
        self._add(present)

    @override
    def array(self) -> Any:
        array, missing = self._array(), self._missing
        self._missing = []
        return _with_nulls(array, missing) if any(missing) else array

    def _add(self, _: Sequence[Any], /) -> None:
        raise NotImplementedError

    def _array(self) -> Any:
        raise NotImplementedError


class Lists(_Nested):
    """Lists, and other collections."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        (item,) = shape.parts
        self._items = item.builder()
        self._sizes: list[int] = []

    @override
    def _add(self, values: Sequence[Any], /) -> None:
        if not _SIZED.issuperset(map(type, values)):
            values = [*map(_listed, values)]
        self._sizes += map(len, values)
        self._items.add(chain.from_iterable(values))

    @override
    def _array(self) -> Any:
        offsets, self._sizes = _offsets(self._sizes), []
        return pa.ListArray.from_arrays(offsets, self._items.array(), type=self._type)


class Maps(_Nested):
    """Mappings, with keys of one shape and values of another one."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        keys, values = shape.parts
        self._keys, self._values = keys.builder(), values.builder()
        self._sizes: list[int] = []

    @override
    def _add(self, values: Sequence[Any], /) -> None:
        self._sizes += map(len, values)
        self._keys.add(chain.from_iterable(one.keys() for one in values))
        self._values.add(chain.from_iterable(one.values() for one in values))

    @override
    def _array(self) -> Any:
        offsets, self._sizes = _offsets(self._sizes), []
        keys, values = self._keys.array(), self._values.array()
        return pa.MapArray.from_arrays(offsets, keys, values, type=self._type)


class Structs(_Nested):
    """Values with named fields."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        self._parts = Parts(shape.columns)
        self._fields: list[Any] = [column.field() for column in shape.columns]

    @override
    def _add(self, values: Sequence[Any], /) -> None:
        self._parts.add(values)

    @override
    def _array(self) -> Any:
        return pa.StructArray.from_arrays(self._parts.arrays(), fields=self._fields)


class Parts:
    """A builder for each column of values."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._builders = [(column.get, column.shape.builder()) for column in columns]

    def add(self, values: Sequence[Any]) -> None:
        """Adds values."""
        for get, builder in self._builders:
            builder.add(map(get, values))

    def arrays(self) -> list[Any]:
        """Returns the added values as a `pyarrow.Array` for each column."""
        return [builder.array() for _, builder in self._builders]


_SIZED = frozenset({list, tuple, set, frozenset})


def _listed(value: Any) -> Sequence[Any]:
    # Such as an unvalidated default: text has items, too, but is not a list.
    if isinstance(value, (str, bytes, bytearray, dict)):
        raise TypeError
    return list(value)


def _each(convert: Callable[[Any], Any] | None, values: Iterable[Any]) -> Iterable[Any]:
    if convert is None:
        return values
    return [None if value is None else convert(value) for value in values]


def _offsets(sizes: Iterable[int]) -> Any:
    return pa.array(accumulate(sizes, initial=0), pa.int32())


def _with_nulls(array: Any, missing: Sequence[bool]) -> Any:
    """Returns an array with nulls between its values."""
    if not len(array):
        return pa.array([None] * len(missing), array.type)
    places = count()
    if not pa.types.is_struct(array.type):
        return array.take(pa.array([None if gap else next(places) for gap in missing], pa.int64()))
    # The fields of a null struct are ignored, but may have to be non-null.
    filled = array.take(pa.array([0 if gap else next(places) for gap in missing], pa.int64()))
    fields = [array.type.field(n) for n in range(array.type.num_fields)]
    parts = [filled.field(n) for n in range(len(fields))]
    return pa.StructArray.from_arrays(parts, fields=fields, mask=pa.array(missing))
