"""The rows of a Parquet file, each validated as a type, in batches that do not grow with the file."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from functools import partial
from itertools import pairwise, repeat
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, from_json, to_json

from dcipher._masking.text import clean
from dcipher._results.parsing.adapters import is_sequence, kinds_of
from dcipher._results.parsing.json.numbers import parse_decimals
from dcipher._results.parsing.row_errors import (
    VALIDATOR_BUGS,
    ErrorDetail,
    InvalidRow,
    ResultSyntaxError,
    details_of,
    failed_validator,
    path_of,
    shown_name,
)

from .files import ParquetFile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dcipher._results.parsing.compression import Readable

__all__ = ["RefusedError", "parquet_rows", "validated"]

T = TypeVar("T")

_BATCH = 1024  # rows that are decoded at once


def parquet_rows(
    file: Readable, type_: type[T], adapter: TypeAdapter[T]
) -> Iterator[T | InvalidRow]:
    """Yields the rows: each is a mapping from column to value, or the cells for a list or tuple type.

    A value that Python cannot represent makes its row an `InvalidRow`.
    """
    document = ParquetFile(file)
    names: list[str] = document.schema.names
    as_cells = is_sequence(type_)
    repeated = [name for name, times in Counter(names).items() if times > 1]
    if repeated and not as_cells:
        shown = clean(", ".join(map(repr, repeated)))
        raise ResultSyntaxError(
            "header", f"more than one column is called {shown}: read rows as list[Any]"
        )
    validator, first = _Validator(adapter), 0
    for batch in document.batches(_BATCH):
        rows, misfits = _rows(batch, document.written_schema, as_cells=as_cells)
        for number, row in enumerate(rows):
            if details := misfits.get(number):
                yield _invalid_row(first + number, tuple(details), row)
            else:
                yield validator.row(first + number, row)
        first += batch.num_rows


def _rows(
    batch: Any, schema: Any, *, as_cells: bool
) -> tuple[Iterator[Any], dict[int, list[ErrorDetail]]]:
    from .cells import OPTIONAL_MARK, VALUE_MARK, cells, is_marked, key_of  # it imports pyarrow

    names = list(map(key_of, schema))
    if len(set(names)) < len(names):
        names = schema.names
    misfits: dict[int, list[ErrorDetail]] = {}
    columns: list[list[Any]] = []
    for name, column, field in zip(names, batch.columns, schema, strict=True):
        values, wrong = cells(column, field)
        columns.append(values)
        for place, message in wrong.items():
            detail = ErrorDetail(loc=(shown_name(name),), type="parquet_cell", msg=message)
            misfits.setdefault(place, []).append(detail)
    if len(names) == 1 and is_marked(schema.field(0), VALUE_MARK):
        return iter(columns[0]), misfits
    # zip of no columns has no rows.
    records = zip(*columns, strict=True) if columns else repeat((), batch.num_rows)
    if as_cells:
        return map(list, records), misfits
    optional = {
        n for n, field in zip(names, schema, strict=True) if is_marked(field, OPTIONAL_MARK)
    }
    rows = (dict(zip(names, record, strict=True)) for record in records)
    return map(partial(_without, optional), rows) if optional else rows, misfits


def _without(optional: set[str], row: dict[str, Any]) -> dict[str, Any]:
    return {k: value for k, value in row.items() if value is not None or k not in optional}


def _invalid_row(number: int, details: tuple[ErrorDetail, ...], row: object) -> InvalidRow:
    return InvalidRow(number, f"[{number}]{path_of(details[0]['loc'])}", details, row)


class _Validator(Generic[T]):
    """Validates rows of Parquet in the same way as rows of JSON."""

    def __init__(self, adapter: TypeAdapter[T]) -> None:
        self._adapter = adapter

    def row(self, number: int, row: Any) -> T | InvalidRow:
        """Returns the row as its type, or the reason why it is invalid."""
        try:
            return validated(row, self._adapter)
        except VALIDATOR_BUGS as error:
            raise failed_validator(error, number) from None
        except RefusedError as refused:
            details = details_of(refused.error, self._adapter, columns=1)
            return _invalid_row(number, details, refused.value)


class RefusedError(Exception):
    """A value of Parquet is invalid, with the reasons."""

    def __init__(self, error: ValidationError, value: object) -> None:
        super().__init__()
        self.error = error
        self.value = value
        """The value that was validated last."""


def validated(value: Any, adapter: TypeAdapter[T], *, is_table: bool = False) -> T:
    """Validates a row of Parquet, or the list of all rows, as a type. Raises `RefusedError`.

    Rejected text is parsed as JSON if it contains an array or object.
    """
    check = adapter.validator.validate_python
    # For text, a union chooses as for JSON.
    if "union of text" in kinds_of(adapter) and not is_table and _is_of_json(value):
        with suppress(ValidationError, PydanticSerializationError):
            return cast("T", _from_json(value, adapter))
    try:
        return cast("T", check(value))
    except ValidationError as error:
        refusal = error
    changed = (_table_with_parsed_text if is_table else _with_parsed_text)(value, refusal, adapter)
    try:
        if changed is not None:
            return cast("T", check(changed))
    except ValidationError as error:
        value, refusal = changed, error
    try:
        # A strict type accepts some values from JSON, which has few types, that it rejects from Python.
        if all(type(e["input"]) in _OF_JSON for e in refusal.errors(include_url=False)):
            return cast("T", _from_json(value, adapter))
    except ValidationError as error:
        refusal = error
    except PydanticSerializationError:  # bytes that are not UTF-8
        pass
    raise RefusedError(refusal, value)


def _from_json(value: object, adapter: TypeAdapter[Any]) -> object:
    return adapter.validator.validate_json(to_json(value, inf_nan_mode="constants"))


def _is_of_json(row: Any) -> bool:
    if isinstance(row, dict):
        return all(map(_is_cell_of_json, cast("dict[str, object]", row).values()))
    return all(map(_is_cell_of_json, cast("list[object]", row if isinstance(row, list) else [row])))


def _is_cell_of_json(cell: object) -> bool:
    return cell is None or type(cell) in _OF_JSON


_OF_JSON = (bool, int, float, str, list, dict)


def _with_parsed_text(row: Any, error: ValidationError, adapter: TypeAdapter[Any]) -> Any:
    places = {e["loc"][0] for e in error.errors(include_url=False) if e["loc"]}
    return _parsed(row, places, adapter)


def _table_with_parsed_text(rows: list[Any], error: ValidationError, adapter: Any) -> Any:
    # Other parts of a location may name the choices of a union.
    found: dict[int, set[int | str]] = {}
    for detail in error.errors(include_url=False):
        for number, place in pairwise(detail["loc"]):
            if isinstance(number, int) and number < len(rows):
                found.setdefault(number, set()).add(place)
    parsed = {number: _parsed(rows[number], places, adapter) for number, places in found.items()}
    if not any(parsed.values()):
        return None
    return [parsed.get(number) or row for number, row in enumerate(rows)]


def _parsed(row: Any, places: set[int | str], adapter: TypeAdapter[Any]) -> Any:
    """Returns the row with its texts that contain arrays and objects parsed; None if it has none."""
    parse = parse_decimals if "decimal" in kinds_of(adapter) else from_json
    found: dict[Any, Any] = {}
    for place in places:
        with suppress(ValueError, LookupError, TypeError):
            value = parse(row[place]) if isinstance(row[place], str) else None
            if isinstance(value, (list, dict)):
                found[place] = value
    if not found:
        return None
    if isinstance(row, dict):
        return dict[Any, Any](cast("Any", row)) | found
    return [found.get(place, cell) for place, cell in enumerate(row)]
