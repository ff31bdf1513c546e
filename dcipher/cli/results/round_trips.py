"""Converts typed rows to JSON values, and checks that the type reads the same rows back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from pydantic import AliasChoices, BaseModel
from pydantic_core import PydanticSerializationError

from dcipher._results.parsing.adapters import adapter_for
from dcipher._results.parsing.row_errors import InvalidRow, ResultReadError, path_of, shown_name
from dcipher._results.rows.reading import Format
from dcipher._typing.annotations import is_class
from dcipher.cli.results.row_bytes import as_cells
from dcipher.cli.terminal.errors import CommandError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

__all__ = ["RoundTrip"]


class RoundTrip:
    """Dumps the rows of a type, and compares them with the rows that are read back.

    Its methods raise `CommandError` for a row that changes. `place` returns the row in question, such
    as `row 3`.
    """

    def __init__(self, type_: Any, format_: Format, place: Callable[[], str]) -> None:
        self.type = type_
        self._format = format_
        self._place = place
        self._serializer = adapter_for(type_).serializer
        self._renamed = _renamed(type_)
        self._fields: Sequence[str] | None = getattr(type_, "_fields", None)  # of a named tuple

    def plain(self, row: object) -> object:
        """Returns a row as JSON values, with the names that the type reads."""
        try:
            dumped = self._serializer.to_python(row, mode="json", by_alias=True, warnings=False)
        except (PydanticSerializationError, UnicodeDecodeError):  # the message quotes the bytes
            more = " Bytes need ser_json_bytes='base64' and val_json_bytes='base64'."
            raise self._refusal("", more) from None
        if isinstance(dumped, dict):
            found = cast("dict[str, object]", dumped)
            return {self._renamed.get(name, name): value for name, value in found.items()}
        if self._format is Format.CSV and isinstance(dumped, (list, tuple)):
            values = cast("Sequence[object]", dumped)
            names = self._fields or [str(place) for place in range(len(values))]
            return dict(zip(names, values, strict=False))
        return dumped

    def columns(self, rows: Iterable[object], known: Sequence[str] | None) -> list[str]:
        """Returns the columns of CSV: those of the type, and further ones of the rows."""
        columns = dict.fromkeys([self._renamed.get(name, name) for name in known or ()])
        for row in rows:
            columns.update(dict.fromkeys(as_cells(self.plain(row))))
        return list(columns)

    def check(self, rows: Iterable[object], again: Iterator[object]) -> None:
        """Compares rows with those that were read back."""
        try:
            for row in rows:
                found = next(again, _NOTHING)
                if isinstance(found, InvalidRow):
                    raise self._refusal(path_of(found.errors[0]["loc"]))
                if found is _NOTHING:
                    raise self._refusal("")
                if not _is_same(before := self._view(row), after := self._view(found)):
                    raise self._refusal(_difference(before, after))
            if next(again, _NOTHING) is not _NOTHING:
                raise self._refusal("")
        except ResultReadError:  # it is taken for another document
            raise self._refusal("") from None

    def _view(self, row: Any) -> object:
        # Excluded fields (exclude=True) need not be read back.
        return self._serializer.to_python(row, warnings=False)

    def _refusal(self, location: str, more: str = "") -> CommandError:
        is_parquet, is_csv = self._format is Format.PARQUET, self._format is Format.CSV
        name = "Parquet" if is_parquet else self._format.name
        better = "NDJSON" if is_parquet else f"Parquet{' or NDJSON' * is_csv}"
        where = f", {location.removeprefix('.')}" if location else ""
        return CommandError(
            f"Nothing was converted: {self._place()}{where} would not be read back from {name} "
            f"unchanged.{more}",
            ExitCode.INVALID_ROWS,
            next_step=f"convert to {better}, or remove --model",
        )


_NOTHING = object()


def _is_same(one: object, other: object) -> bool:
    """Returns whether two values are equal, NaN to itself."""
    if isinstance(one, dict) and isinstance(other, dict):
        first, second = cast("dict[object, object]", one), cast("dict[object, object]", other)
        return first.keys() == second.keys() and all(_is_same(first[n], second[n]) for n in first)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        items, others = cast("Sequence[object]", one), cast("Sequence[object]", other)
        return len(items) == len(others) and all(map(_is_same, items, others))
    return one == other or (one != one and other != other)


def _difference(before: object, after: object) -> str:
    if isinstance(before, dict) and isinstance(after, dict):
        first = cast("Mapping[str, object]", before)
        second = cast("Mapping[str, object]", after)
        names = [
            n for n in {**first, **second} if not _is_same(first.get(n, ...), second.get(n, ...))
        ]
        return path_of([shown_name(names[0])]) if names else ""
    return ""


def _renamed(type_: Any) -> dict[str, str]:
    """Returns the alias that each field is written with → the alias that it is read with."""
    if not (is_class(type_) and issubclass(type_, BaseModel)):
        return {}
    found: dict[str, str] = {}
    for name, field in type_.model_fields.items():
        alias = field.validation_alias
        choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
        read = next((one for one in choices if isinstance(one, str)), name)
        found[field.serialization_alias or name] = read
    return found
