"""The records of a CSV document, each validated as a type (RFC 4180)."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from functools import lru_cache, partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, TypeVar, cast

from pydantic import ValidationError

from dcipher._masking.text import clean
from dcipher._results.parsing.adapters import adapter_for, is_sequence
from dcipher._results.parsing.row_errors import (
    VALIDATOR_BUGS,
    ErrorDetail,
    InvalidRow,
    Location,
    ResultSyntaxError,
    details_of,
    failed_validator,
    path_of,
    shown_name,
)

from .cells import readers_of
from .dialects import SAMPLE, Dialect, dialect_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pydantic import TypeAdapter

    from dcipher._results.parsing.text_reader import TextReader

__all__ = ["NotFittingError", "cells_reader", "csv_dialect", "csv_header", "csv_rows"]

T = TypeVar("T")

_TEXT = (Any, object, dict[str, str], list[str])
"""Types that accept the text of cells."""


def csv_header(text: TextReader) -> list[str]:
    """Returns the names of the columns."""
    return _without_repeated_blanks(_Records(text).header)


def csv_dialect(text: TextReader) -> Dialect:
    """Returns the dialect of the document, as detected from its first lines."""
    return _Records(text).dialect


def csv_rows(text: TextReader, type_: type[T]) -> Iterator[T | InvalidRow]:
    """Yields the records after the header, validated; a record of another length is invalid."""
    records = _Records(text)
    width = len(records.header)
    by_place = is_sequence(type_)
    header = records.header if by_place else _without_repeated_blanks(records.header)
    named = len(header)
    validate = cells_reader(type_, header)
    for number, cells in enumerate(records):
        if len(cells) != width:
            yield _ragged(number, cells, width, records.line)
            continue
        if named < width:
            if any(cells[named:]):
                yield _ragged(number, cells, named, records.line)
                continue
            cells = cells[:named]
        try:
            value = validate(cells)
        except VALIDATOR_BUGS as error:
            raise failed_validator(error, number, records.line) from None
        except NotFittingError as error:
            yield InvalidRow(
                number,
                _cell(number, error.details[0]["loc"], header),
                error.details,
                dict(zip(header, cells, strict=True)) if len(set(header)) == width else cells,
                records.line,
            )
        else:
            yield value


class NotFittingError(Exception):
    """The cells of a record are invalid."""

    def __init__(self, details: tuple[ErrorDetail, ...]) -> None:
        super().__init__()
        self.details = details


def cells_reader(type_: type[T], header: list[str]) -> Callable[[list[str]], T]:
    """Returns a function that validates the cells of a record. It raises `NotFittingError`.

    Raises `ResultSyntaxError` for repeated names.
    """
    adapter = adapter_for(type_)
    by_place = is_sequence(type_)
    repeated = [name for name, times in Counter(header).items() if times > 1]
    if repeated and not by_place:
        names = clean(", ".join(map(repr, repeated)))
        raise ResultSyntaxError(
            "header", f"more than one column is called {names}: read rows as list[str]"
        )
    if type_ in _TEXT:
        plain: object = list if by_place else partial(_named, header)
        return cast("Callable[[list[str]], T]", plain)
    shorter = cells_reader(type_, header[:-1]) if len(header) > 1 and header[-1] == "" else None
    readers = readers_of(adapter).of([""] * len(header) if by_place else header)
    check = cast("Callable[..., T]", adapter.validator.validate_python)

    def validate(cells: list[str]) -> T:
        values: list[Any] = [*cells]
        if readers:
            for place, reader in readers:
                values[place] = reader(cells[place])
        # CSV has only text, so no type is strict.
        try:
            return check(
                values if by_place else dict(zip(header, values, strict=True)), strict=False
            )
        except ValidationError as error:
            refusal = error
        try:
            return _without_empty(adapter, values, [] if by_place else header, refusal)
        except NotFittingError:
            if shorter is None or cells[-1]:
                raise
        # A delimiter at the end of every line adds a column without a name.
        return shorter(cells[:-1])

    return validate


def _named(header: Sequence[str], cells: Sequence[str]) -> dict[str, str]:
    return dict(zip(header, cells, strict=True))


def _without_empty(
    adapter: TypeAdapter[T], values: list[Any], header: list[str], error: ValidationError
) -> T:
    """Validates the row with None instead of the empty cells that were rejected.

    If it is still invalid, the errors are those of the other cells, and of the cells that do not accept
    None, either.
    """
    check = cast("Callable[..., T]", adapter.validator.validate_python)
    names: Sequence[int | str] = header or range(len(values))
    blamed = _blamed(error)
    empty = {
        name for name, value in zip(names, values, strict=True) if value == "" and name in blamed
    }
    if not empty:
        raise NotFittingError(details_of(error, adapter, columns=1)) from None
    tried = [None if name in empty else value for name, value in zip(names, values, strict=True)]
    try:
        return check(dict(zip(header, tried, strict=True)) if header else tried, strict=False)
    except ValidationError as again:
        filled = empty - _blamed(again)
        if filled == empty and blamed <= empty:  # the cells are valid, but the row is not
            raise NotFittingError(details_of(again, adapter, columns=1)) from None
        details = tuple(
            d for d in details_of(error, adapter, columns=1) if filled.isdisjoint(d["loc"])
        )
        raise NotFittingError(details or details_of(again, adapter, columns=1)) from None


def _blamed(error: ValidationError) -> set[int | str]:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return {part for detail in found for part in detail["loc"]}


def _ragged(number: int, cells: list[str], names: int, line: int) -> InvalidRow:
    kind = "too_many_cells" if len(cells) > names else "too_few_cells"
    message = f"Row should have {names} cells, like the header, not {len(cells)}"
    details = (ErrorDetail(loc=(), type=kind, msg=message),)
    return InvalidRow(number, f"row {number}", details, cells, line)


def _cell(number: int, loc: Location, header: list[str]) -> str:
    if not loc:
        return f"row {number}"
    column, *rest = loc
    name = header[column] if isinstance(column, int) and column < len(header) else column
    return f"row {number}, column {shown_name(name)}{path_of(rest)}"


class _Records:
    """The records of a document, blank lines left out; the first of them is the header."""

    def __init__(self, text: TextReader) -> None:
        sample, whole = _sample(text)
        self.dialect: Dialect = dialect_of(sample, whole=whole)
        self.line: int = 0
        """The line of the file that the last record began in, from 1."""
        self._number: int = -1  # of the last row; the header is none
        self._skipped: int = 1 if self.dialect.skipped else 0
        self._aside: int = 0  # lines that were not read by the reader
        self._start: int = 0  # lines before this record
        self._held: list[tuple[int, str]] = []  # blocks that this record may begin in
        self._seen: int = 0  # lines of all blocks
        pieces = chain([sample[self.dialect.skipped :]], iter(text.read, ""))
        blocks = _blocks(pieces, self.dialect.line_end)
        self._feed: Iterator[str] = chain.from_iterable(map(self._lines, blocks))
        self._reader: Any = csv.reader(self._feed, delimiter=self.dialect.delimiter, strict=True)
        self.header: list[str] = next(iter(self), list[str]())

    def __iter__(self) -> Iterator[list[str]]:
        reader = self._reader
        while True:
            try:
                cells: list[str] | None = next(reader, None)
            except csv.Error as error:
                self.line = self._skipped + self._start + 1
                cells = self._long_record(error)
            if cells is None:
                return
            if cells:  # not a blank line
                self.line = self._skipped + self._start + 1
                self._number += 1
            self._start = reader.line_num + self._aside
            if cells:
                yield cells

    def _lines(self, block: str) -> Iterable[str]:
        while len(self._held) > 1 and self._held[1][0] <= self._start:
            del self._held[0]
        self._held.append((self._seen, block))
        end = self.dialect.line_end
        self._seen += block.count(end) + (not block.endswith(end))
        if len(block) < _LARGE:
            return io.StringIO(block, newline="" if end == "\r" else "\n")
        return _long_lines(block, end)

    def _long_record(self, refusal: csv.Error) -> list[str]:
        # A cell beyond csv.field_size_limit(), which is global: setting it would change the caller's.
        held = self._record_so_far()
        if sum(map(len, held)) <= csv.field_size_limit():
            raise self._wrong(_flaw(str(refusal)))
        quotes = sum(line.count('"') for line in held)
        while quotes % 2 and (line := next(self._feed, "")):
            quotes += line.count('"')
            held.append(line)
            self._aside += 1
        record, cells, start = "".join(held), list[str](), 0
        cell = _cell_pattern(self.dialect.delimiter)
        while found := cell.match(record, start):
            quoted, bare = found.group(1, 2)
            cells.append(bare if quoted is None else quoted.replace('""', '"'))
            if found[3] is None:
                return cells
            start = found.end()
        raise self._wrong(
            "a quoted cell is not closed, or its closing quote is not followed by a delimiter"
        )

    def _record_so_far(self) -> list[str]:
        lines: list[str] = []
        for first, block in self._held:
            known = _long_lines(block, self.dialect.line_end)
            begin = max(self._start - first, 0)
            lines += islice(known, begin, max(self._reader.line_num + self._aside - first, begin))
        return lines

    def _wrong(self, message: str) -> ResultSyntaxError:
        number = self._number + 1 - _HEADER
        if number < 0:
            return ResultSyntaxError("header", message, line=self.line)
        return ResultSyntaxError(f"row {number}", message, row=number, line=self.line)


def _without_repeated_blanks(names: list[str]) -> list[str]:
    """Returns the names without trailing empty ones, if several are empty: spreadsheets add such columns."""
    end = len(names)
    while end and names[end - 1] == "" and names.index("") < end - 1:
        end -= 1
    return names[:end]


_HEADER = 1  # records before row 0
_LARGE = 1 << 22  # characters; a StringIO takes four bytes for each


def _sample(text: TextReader) -> tuple[str, bool]:
    """Returns the beginning of the text, and whether that is all of it."""
    pieces, size = list[str](), 0
    try:
        while size < SAMPLE and (piece := text.read()):
            pieces.append(piece)
            size += len(piece)
    except ResultSyntaxError:  # it is raised again after the text before it
        return "".join(pieces), False
    return "".join(pieces), size < SAMPLE


def _blocks(pieces: Iterable[str], end: str) -> Iterator[str]:
    """Yields the text in blocks of complete lines. Only the last line may lack its line end."""
    held: list[str] = []
    for piece in pieces:
        cut = piece.rfind(end) + 1
        held.append(piece[:cut] if cut else piece)
        if cut:
            yield "".join(held)
            held = [piece[cut:]]
    if last := "".join(held):
        yield last


def _long_lines(block: str, line_end: str) -> Iterator[str]:
    start = 0
    while end := block.find(line_end, start) + 1:
        yield block[start:end]
        start = end
    if start < len(block):
        yield block[start:]


@lru_cache(maxsize=8)
def _cell_pattern(delimiter: str) -> re.Pattern[str]:
    d = re.escape(delimiter)
    return re.compile(rf'(?:"([^"]*(?:""[^"]*)*)"|([^"{d}\r\n]*))(?:({d})|[\r\n]*\Z)')


def _flaw(message: str) -> str:
    if message.startswith("new-line character"):
        return (
            "a cell without quotes contains a bare carriage return: quote the cell, or use the same line "
            "end everywhere"
        )
    if message == "unexpected end of data":
        return "the text ends inside a quoted cell"
    return clean(message)
