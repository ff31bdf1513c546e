"""Infers the columns of rows without a type: those that hold every value of every row.

JSON has null, booleans, numbers, text, arrays and objects; a column has one of them, or nulls. Of
integers and other numbers together become float64. In CSV all is text, and a column has a narrower
type only where each of its cells is written like it and nothing of it is lost: `007` stays text.
Importing this imports pyarrow.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from dcipher._extras.libraries import library
from dcipher._results.parsing.row_errors import (
    ResultSyntaxError,
    ResultTypeError,
    path_of,
    shown_name,
)

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
from .json_reader import MAX_KEYS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from collections.abc import Set as AbstractSet

__all__ = ["CellKinds", "RowKinds"]

pa = library("pyarrow", "arrow")
pc = library("pyarrow.compute", "arrow")

_NAMES: dict[type, str] = {
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    str: "text",
    list: "an array",
    dict: "an object",
}
_ITEMS = "[]"  # the step from an array to its items, where a name would be ambiguous
_LIMITS = -(2**63), 2**63 - 1


class _MixedError(Exception):
    """Values of two kinds in one place, or an integer beyond Arrow's."""

    def __init__(self, path: tuple[str, ...], culprit: Callable[[object], bool], why: str) -> None:
        super().__init__(why)
        self.path = path
        self.culprit = culprit
        self.why = why


class _Kind:
    """The kind of the values at one path so far."""

    def __init__(self) -> None:
        self._kind: type | None = None
        self._item: _Kind | None = None
        self.parts: dict[str, _Kind] = {}
        self._values: _Kind | None = None
        """That of all values of an object with too many keys for a struct."""
        self._is_text: bool = False
        """Whether it is such an object whose values are of no one kind."""

    def add(self, values: Sequence[Any], path: tuple[str, ...]) -> None:
        """Takes more values into account."""
        kinds = set(map(type, values)) - {type(None)}
        if int in kinds:
            _check_integers(values, path)
        if self._kind is not None:
            kinds.add(self._kind)
        if kinds == {int, float}:
            kinds = {float}
        if len(kinds) > 1:
            raise self._mixed(values, path)
        if kinds:
            (self._kind,) = kinds
        self._descend(values, path)

    def _descend(self, values: Sequence[Any], path: tuple[str, ...]) -> None:
        if self._kind is list:
            self._item = self._item or _Kind()
            self._item.add(list(chain.from_iterable(filter(None, values))), (*path, _ITEMS))
        if self._kind is dict and not self._is_text:
            objects = [value for value in values if value]
            if self._values is None and path:
                self._limit_keys(self.parts.keys() | set(chain.from_iterable(objects)))
            if self._values is not None:
                self._add_values([one for value in objects for one in value.values()])
            else:
                self._add_parts(objects, path)

    def _add_parts(self, objects: Sequence[dict[str, Any]], path: tuple[str, ...]) -> None:
        found: dict[str, list[Any]] = {}
        for name, value in chain.from_iterable(one.items() for one in objects):
            found.setdefault(name, []).append(value)
        for name, values in found.items():
            self.parts.setdefault(name, _Kind()).add(values, (*path, name))

    def _limit_keys(self, names: AbstractSet[str]) -> None:
        if len(names) > MAX_KEYS:
            self._values, parts = _Kind(), self.parts
            self.parts = {}
            for part in parts.values():
                self._merge_values(part)

    def _add_values(self, values: Sequence[Any]) -> None:
        try:
            cast("_Kind", self._values).add(values, ("",))
        except _MixedError:
            self._is_text = True

    def _merge_values(self, other: _Kind) -> None:
        try:
            cast("_Kind", self._values).merge(other)
        except _MixedError:
            self._is_text = True

    def merge(self, other: _Kind) -> None:
        """Merges another one into this one."""
        kinds = {self._kind, other._kind} - {None}
        if kinds == {int, float}:
            kinds = {float}
        if len(kinds) > 1:
            raise _MixedError((), lambda _: True, "is of two kinds")
        self._kind = next(iter(kinds), None)
        if other._item is not None:
            self._item = self._item or _Kind()
            self._item.merge(other._item)
        self._is_text = self._is_text or other._is_text
        if other._values is not None and self._values is None:
            self._values, parts, self.parts = _Kind(), self.parts, {}
            for part in parts.values():
                self._merge_values(part)
        if self._values is not None:
            for part in [*other.parts.values(), *filter(None, [other._values])]:
                self._merge_values(part)
            return
        self._limit_keys(self.parts.keys() | other.parts.keys())
        for name, part in other.parts.items():
            if self._values is None:
                self.parts.setdefault(name, _Kind()).merge(part)
            else:
                self._merge_values(part)

    def _mixed(self, values: Sequence[Any], path: tuple[str, ...]) -> _MixedError:
        kinds: list[type] = [type(value) for value in values if value is not None]
        seen = self._kind or kinds[0]
        alike = (int, float) if seen in (int, float) else (seen,)
        other = next(kind for kind in kinds if kind not in alike)
        why = f"is {_NAMES[other]}, but earlier rows have {_NAMES[seen]}"
        return _MixedError(path, lambda value: type(value) is other, why)

    @property
    def holds_objects(self) -> bool:
        """Whether there is a value, and it is an object."""
        return self._kind is dict

    @property
    def holds_nothing(self) -> bool:
        """Whether there is no value but null."""
        return self._kind is None

    def shape(self) -> Shape:
        """Returns its shape in Arrow."""
        if self._kind is dict and self._values is not None and not self._is_text:
            shape = map_shape(Shape(pa.string()), self._values.shape())
            return replace(shape, nullable=True)
        if self._kind is dict and self.parts and not self._is_text:
            return replace(struct_shape(self.columns()), nullable=True)
        if self._kind is dict:  # DuckDB and Parquet know no struct without fields
            return replace(JSON_TEXT, nullable=True)
        if self._kind is list and self._item is not None:
            return replace(list_shape(self._item.shape()), nullable=True)
        return Shape(_TYPES[self._kind], nullable=True)

    def columns(self) -> list[Column]:
        """Returns the columns of an object."""
        return [Column(name, _member(name), part.shape()) for name, part in self.parts.items()]


_TYPES: dict[type | None, Any] = {
    None: pa.null(),
    bool: pa.bool_(),
    int: pa.int64(),
    float: pa.float64(),
    str: pa.string(),
}


def _check_integers(values: Iterable[Any], path: tuple[str, ...]) -> None:
    low, high = _LIMITS
    integers = [value for value in values if type(value) is int]
    if min(integers) < low or max(integers) > high:
        raise _MixedError(
            path,
            lambda value: type(value) is int and not low <= value <= high,
            "is an integer beyond 64 bits",
        )


class RowKinds:
    """Infers the columns of rows of JSON."""

    def __init__(self) -> None:
        self._kind = _Kind()

    def add(self, rows: Sequence[Any], first: int) -> None:
        """Takes more rows into account. `first` is the number of the first one.

        Raises `ResultTypeError` for values of two kinds in one column.
        """
        try:
            self._kind.add(rows, ())
        except _MixedError as error:
            raise _located(error, rows, first) from None

    def columns(self) -> Columns:
        """Returns the columns that hold all rows so far."""
        if self._kind.holds_objects:
            return Columns(tuple(self._kind.columns()))
        if self._kind.holds_nothing:
            return Columns(())
        return Columns((value_column(self._kind.shape()),))


def _member(name: str) -> Callable[[Any], Any]:
    return lambda row: None if row is None else row.get(name)


def _located(error: _MixedError, rows: Sequence[object], first: int) -> ResultTypeError:
    number = next(n for n, row in enumerate(rows, first) if _has(row, error.path, error.culprit))
    path = "".join(p if p == _ITEMS else path_of((shown_name(p),)) for p in error.path)
    where = f"row {number}" + (f", column {path.removeprefix('.')}" if path else "")
    why = f"{error.why}; pass a model that declares the column"
    return ResultTypeError(where, why, row=number)


def _has(value: Any, path: tuple[str, ...], culprit: Callable[[object], bool]) -> bool:
    if not path:
        return culprit(value)
    step, *rest = path
    if step == _ITEMS and isinstance(value, list):
        items = cast("list[object]", value)
        return any(_has(item, tuple(rest), culprit) for item in items)
    if not isinstance(value, dict):
        return False
    return _has(cast("dict[str, object]", value).get(step), tuple(rest), culprit)


# Integers have no leading zero, and as a float no more digits than it holds: what has them is a
# name of something. RE2 has no look-ahead: casting rejects the remaining ones.
_DIGITS = r"-?(0|[1-9][0-9]{0,14})"
_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TIME = r"[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?"
_CellKind: TypeAlias = tuple[str, Any]
_SHORT = 10**15  # the first integer that `_DIGITS` has no room for
_CELLS: tuple[_CellKind, ...] = (
    (r"^(true|false|True|False|TRUE|FALSE)$", pa.bool_()),
    (r"^(0|-?[1-9][0-9]{0,18})$", pa.int64()),
    (
        rf"^({_DIGITS}(\.[0-9]+)?([eE][+-]?[0-9]+)?|NaN|nan|-?[iI]nf|-?Infinity)$",
        pa.float64(),
    ),
    (rf"^{_DATE}$", pa.date32()),
    (rf"^{_DATE}[T ]{_TIME}$", pa.timestamp("us")),
    (rf"^{_DATE}[T ]{_TIME}(Z|[+-][0-9]{{2}}:?[0-9]{{2}})$", pa.timestamp("us", tz="UTC")),
)


_ENDS = r"^(-?0(\.0*)?([eE].*)?|-?[iI]nf|-?Infinity)$"
"""Zero and infinity, as they are written."""

_FEW = 32  # cells that Python checks faster than a call of pyarrow takes


class CellKinds:
    """Infers the columns of the records of CSV."""

    def __init__(self, header: Sequence[str]) -> None:
        if repeated := [name for name, times in Counter(header).items() if times > 1]:
            names = ", ".join(repr(shown_name(name)) for name in repeated)
            raise ResultSyntaxError("header", f"more than one column is called {names}")
        self._header = list(header)
        self._possible = [list(_CELLS) for _ in header]
        self._filled = [False for _ in header]

    def add(self, columns: Sequence[Any]) -> None:
        """Takes more records into account: an array of text for each column, with null for empty cells."""
        for place, possible in enumerate(self._possible):
            if possible or not self._filled[place]:
                cells = columns[place].drop_null()
                self._filled[place] = self._filled[place] or len(cells) > 0
                possible[:] = _fitting(cells, possible)

    @property
    def schema(self) -> Any:
        """The columns that hold all records so far. Empty cells are null; columns of them are text."""
        return pa.schema(
            [pa.field(name, self._type(place)) for place, name in enumerate(self._header)]
        )

    def batch(self, columns: Sequence[Any], schema: Any) -> Any:
        """Converts columns of text to a `pyarrow.RecordBatch` of a schema."""
        arrays = [
            pc.cast(column, arrow) if arrow != column.type else column
            for column, arrow in zip(columns, schema.types, strict=True)
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=schema)

    def _type(self, place: int) -> Any:
        possible = self._possible[place] if self._filled[place] else []
        return possible[0][1] if possible else pa.string()


def _fitting(cells: Any, kinds: Sequence[_CellKind]) -> list[_CellKind]:
    """Returns the kinds that match all cells."""
    found: dict[Any, Any] = {}
    for pattern, arrow in kinds:
        numbers = found.get(pa.int64())
        if arrow == pa.float64() and numbers is not None and _is_short(numbers):
            found[arrow] = numbers  # a float64 holds them
        elif (values := _read(cells, pattern, arrow)) is not None:
            found[arrow] = values
    return [kind for kind in kinds if kind[1] in found]


def _is_short(numbers: Any) -> bool:
    """Returns whether they have no more digits than a float64 can represent."""
    ends = pc.min_max(numbers).as_py()
    return ends["min"] is None or (ends["min"] > -_SHORT and ends["max"] < _SHORT)


def _read(cells: Any, pattern: str, arrow: Any) -> Any:
    """Returns the cells as values of a type; None if one of them does not have its form."""
    if not _match(cells, pattern):
        return None
    try:
        found = pc.cast(cells, arrow)
    except pa.ArrowInvalid:
        return None
    if pa.types.is_floating(arrow) and not _match(_at_the_ends(cells, found), _ENDS):
        return None
    return found


def _at_the_ends(cells: Any, numbers: Any) -> Any:
    """Returns the cells that became 0 or infinity: some are numbers beyond the range of a float64."""
    return cells.filter(pc.or_(pc.equal(numbers, 0.0), pc.is_inf(numbers)))


def _match(cells: Any, pattern: str) -> bool:
    if not all(map(re.compile(pattern).fullmatch, cells[:_FEW].to_pylist())):
        return False
    rest = cells[_FEW:]
    return len(rest) == 0 or pc.all(pc.match_substring_regex(rest, pattern)).as_py()
