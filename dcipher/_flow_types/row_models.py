"""Generates the model of a result's rows from an Arrow table of a sample; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dcipher._extras.libraries import library

from .names import class_name, field_names
from .source import call_lines, docstring_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["RowModels"]


class RowModels:
    """The models for the rows of a result: one for the row, one for each object within it."""

    def __init__(self, name: str, columns: Any, *, is_list: bool, of_objects: bool = True) -> None:
        """Receives the name of the row's class, and a `pyarrow.Table`.

        `is_list`: whether the result is a list of rows. `of_objects`: whether rows are objects;
        otherwise the table has one column with their values.
        """
        self._name = name
        self._columns = columns
        self._is_list = is_list
        self._of_objects = of_objects
        self._row = name
        self._sources: list[str] = []

    @property
    def annotation(self) -> str:
        """The type of the result; after `sources`."""
        return f"list[{self._row}]" if self._is_list else self._row

    def sources(self, taken: list[str]) -> Sequence[str]:
        """Returns the source of each class, in order of dependency; adds their names to `taken`."""
        self._sources = []
        arrays = [(field, self._columns.column(i)) for i, field in enumerate(self._columns.schema)]
        if not arrays and self._is_list:
            self._row = "Any"
        elif self._of_objects:
            self._row = self._model(self._name, arrays, taken)
        else:
            ((field, array),) = arrays
            self._row = self._annotation(field, array, self._name, taken)
            self._row += " | None" if array.null_count and self._row != "Any" else ""
        return self._sources

    def _model(self, name: str, fields: list[tuple[Any, Any]], taken: list[str]) -> str:
        chosen = class_name(name, "Row", taken)
        taken.append(chosen)
        names = field_names(field.name for field, _ in fields)
        lines = [f"class {chosen}(BaseModel):"]
        what = "A row of the result" if name == self._name else f"{name.partition(' ')[2]} of a row"
        lines += docstring_lines(f"{what}, as in the sample that this was generated from.")
        for field, array in fields:
            annotation = self._annotation(field, array, f"{name} {field.name}", taken)
            lines += [
                "",
                *_field(names[field.name], field.name, annotation, bool(array.null_count)),
            ]
        self._sources.append("\n".join(lines))
        return chosen

    def _annotation(self, field: Any, array: Any, name: str, taken: list[str]) -> str:
        pa, kinds = library("pyarrow", "arrow"), library("pyarrow.types", "arrow")
        type_: Any = field.type
        if kinds.is_list(type_) or kinds.is_large_list(type_):
            inner = _flat(array)
            item = self._annotation(type_.value_field, inner, name, taken)
            return f"list[{item} | None]" if inner.null_count and item != "Any" else f"list[{item}]"
        if kinds.is_map(type_):
            chunks: list[Any] = array.chunks if isinstance(array, pa.ChunkedArray) else [array]
            items = pa.chunked_array([chunk.items for chunk in chunks], type_.item_type)
            values = self._annotation(type_.item_field, items, name, taken)
            return f"dict[str, {values}]"
        if kinds.is_struct(type_):
            present = array.drop_null()
            parts = [(type_.field(i), part) for i, part in enumerate(present.flatten())]
            return self._model(name, parts, taken)
        return next((word for fits, word in _kinds() if fits(type_)), "Any")


def _flat(array: Any) -> Any:
    return library("pyarrow.compute", "arrow").list_flatten(array)


def _kinds() -> Iterator[tuple[Any, str]]:
    kinds = library("pyarrow.types", "arrow")
    yield kinds.is_boolean, "bool"
    yield kinds.is_integer, "int"
    yield kinds.is_floating, "float"
    yield kinds.is_decimal, "Decimal"
    yield kinds.is_string, "str"
    yield kinds.is_large_string, "str"
    yield kinds.is_timestamp, "datetime"
    yield kinds.is_date, "date"
    yield kinds.is_time, "time"


def _field(name: str, column: str, annotation: str, may_be_missing: bool) -> Iterator[str]:
    arguments: list[tuple[str, object]] = []
    if may_be_missing:
        annotation = annotation if annotation == "Any" else f"{annotation} | None"
        arguments.append(("default=", None))
    if name != column:
        arguments.append(("alias=", column))
        yield from call_lines(f"{name}: {annotation} = Field", arguments)
    else:
        yield f"    {name}: {annotation}{' = None' if may_be_missing else ''}"
