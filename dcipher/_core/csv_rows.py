"""The records of a CSV document, each validated as a type (RFC 4180)."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from .adapters import is_sequence
from .result_errors import (
    ErrorDetail,
    InvalidRow,
    Location,
    ResultSyntaxError,
    details_of,
    path_of,
    shown_name,
)
from .text import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from .result_text import TextReader

__all__ = ["csv_rows"]

T = TypeVar("T")


def csv_rows(text: TextReader, type_: type[T], adapter: TypeAdapter[T]) -> Iterator[T | InvalidRow]:
    """The records after the header, each with as many cells as it has names."""
    records = _records(text)
    header = next(records, list[str]())
    validate = _cells_validator(type_, adapter, header)
    for number, cells in enumerate(records):
        if len(cells) != len(header):
            yield _ragged(number, cells, len(header))
            continue
        try:
            value = validate(cells)
        except ValidationError as error:
            details = details_of(error)
            raw = (
                dict(zip(header, cells, strict=True)) if len(set(header)) == len(header) else cells
            )
            yield InvalidRow(number, _cell(number, details[0]["loc"], header), details, raw)
        else:
            yield value


def _cells_validator(
    type_: type[T], adapter: TypeAdapter[T], header: list[str]
) -> Callable[[list[str]], T]:
    lenient = partial(adapter.validator.validate_python, strict=False)
    if is_sequence(type_):
        # Text is all that CSV has: a strict type is as strict here as validate_strings makes it.
        return cast("Callable[[list[str]], T]", lenient)
    if repeated := [name for name, times in Counter(header).items() if times > 1]:
        names = clean(", ".join(map(repr, repeated)))
        raise ResultSyntaxError("header", f"columns repeat, read rows as list[str]: {names}")
    # Pydantic 2.8 cannot make a named tuple of strings.
    by_name = lenient if hasattr(type_, "_fields") else adapter.validator.validate_strings
    strings = cast("Callable[[dict[str, str]], T]", by_name)

    def validate(cells: list[str]) -> T:
        row = dict(zip(header, cells, strict=True))
        try:
            return strings(row)
        except ValidationError as error:
            empty = _empty_culprits(row, error)
            if not empty:
                raise
            try:  # validate_strings takes no None
                return cast("T", lenient({**row, **dict.fromkeys(empty)}))
            except ValidationError:
                raise error from None

    return validate


def _empty_culprits(row: Mapping[str, str], error: ValidationError) -> list[str]:
    blamed = {part for detail in error.errors(include_url=False) for part in detail["loc"]}
    return [name for name, cell in row.items() if not cell and name in blamed]


def _ragged(number: int, cells: list[str], names: int) -> InvalidRow:
    kind = "too_many_cells" if len(cells) > names else "too_few_cells"
    message = f"Row should have {names} cells as the header, not {len(cells)}"
    return InvalidRow(
        number, f"row {number}", (ErrorDetail(loc=(), type=kind, msg=message),), cells
    )


def _cell(number: int, loc: Location, header: list[str]) -> str:
    if not loc:
        return f"row {number}"
    column, *rest = loc
    name = header[column] if isinstance(column, int) else column
    return f"row {number}, column {shown_name(name)}{path_of(rest)}"


def _records(text: TextReader) -> Iterator[list[str]]:
    held: list[str] = []  # the lines of the record that is being read

    def lines() -> Iterator[str]:
        for block in text.blocks():
            for line in io.StringIO(block) if len(block) < _LARGE else _long_lines(block):
                held.append(line)
                yield line

    feed = lines()
    reader = csv.reader(feed, strict=True)
    for number in count():
        held.clear()
        try:
            cells = next(reader, None)
        except csv.Error as error:
            if sum(map(len, held)) <= csv.field_size_limit():
                raise ResultSyntaxError(f"record {number}", clean(str(error))) from None
            cells = _long_record(number, held, feed)
        if cells is None:
            return
        if cells:  # not a blank line
            yield cells


def _long_lines(block: str) -> Iterator[str]:
    start = 0
    while end := block.find("\n", start) + 1:
        yield block[start:end]
        start = end
    if start < len(block):
        yield block[start:]


_LARGE = 1 << 22  # characters; a StringIO takes four bytes for each
_CELL = re.compile(r'(?:"([^"]*(?:""[^"]*)*)"|([^",\r\n]*))(?:(,)|\r?\n?\Z)')


def _long_record(number: int, held: list[str], feed: Iterator[str]) -> list[str]:
    # A cell beyond csv.field_size_limit(), which is global: setting it would change the caller's.
    quotes = sum(line.count('"') for line in held)
    while quotes % 2 and (line := next(feed, "")):
        quotes += line.count('"')
    record, cells, start = "".join(held), list[str](), 0
    while found := _CELL.match(record, start):
        quoted, bare = found.group(1, 2)
        cells.append(bare if quoted is None else quoted.replace('""', '"'))
        if found[3] is None:
            return cells
        start = found.end()
    raise ResultSyntaxError(f"record {number}", "a quoted cell does not end, or not at a comma")
