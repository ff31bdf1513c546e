"""The rows of a JSON document, and of NDJSON's lines.

An invalid row does not end the document if its end can be found: a lone surrogate, NaN, bytes that are
not UTF-8, or a hundred brackets make that row invalid, and the next rows are read. Brackets and quotes
that are not closed end the document, because the next row is unknown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from pydantic import ValidationError

from dcipher._results.parsing.row_errors import (
    VALIDATOR_BUGS,
    ErrorDetail,
    InvalidRow,
    JSONText,
    ResultSyntaxError,
    details_of,
    failed_validator,
    path_of,
)
from dcipher._results.parsing.text_reader import ByteReader

from .arrays import ArrayReader, is_bounded
from .strict import BLANKS, flaw_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from pydantic import TypeAdapter

    from dcipher._results.parsing.compression import Readable

__all__ = ["ReaderFor", "json_lines", "json_rows", "ndjson_rows"]

T = TypeVar("T")

ReaderFor: TypeAlias = "Callable[[bytes], Callable[[bytes], T]]"
"""Returns a reader for the values of a block of text: `JSONReader.reader_for`."""


def json_rows(
    source: ByteReader, reader_for: ReaderFor[T], adapter: TypeAdapter[T]
) -> Iterator[T | InvalidRow]:
    """Yields the elements of the array, or the document as one row."""
    head = b""
    while not head and (piece := source.read()):
        head = piece.lstrip(BLANKS)
    if not head:
        raise ResultSyntaxError("document", "is empty")
    if head[:1] == b"[":
        yield from _array_rows(ArrayReader(source, head[1:]), reader_for, adapter)
        return
    start = source.offset - len(head)
    document = head + b"".join(iter(source.read, b""))
    try:
        yield reader_for(document)(document)
    except VALIDATOR_BUGS as error:
        raise failed_validator(error, 0) from None
    except ValueError as error:
        if _is_broken(error) and not is_bounded(document):
            raise ResultSyntaxError("document", flaw_of(document, start)) from None
        yield _invalid_row(0, document, error, adapter, start)


def _is_broken(error: ValueError) -> bool:
    """Returns whether the error of the parser, or of Pydantic, is about the syntax, and not about the type."""
    if not isinstance(error, ValidationError):
        return True
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return first["type"] == "json_invalid" and not first["loc"]


def _invalid_row(
    number: int,
    data: bytes,
    error: ValueError,
    adapter: TypeAdapter[Any],
    start: int,
    line: int | None = None,
) -> InvalidRow:
    flaw = flaw_of(data, start) if _is_broken(error) else ""
    if flaw or not isinstance(error, ValidationError):  # a row of type Json is text that breaks
        message = f"Row {flaw}" if flaw.startswith("is ") else f"Invalid JSON: {flaw}"
        details = [ErrorDetail(loc=(), type="json_invalid", msg=message)]
    else:
        details = [*details_of(error, adapter)]
    raw = JSONText(data.decode("utf-8", "backslashreplace"))
    return InvalidRow(number, f"[{number}]{path_of(details[0]['loc'])}", (*details,), raw, line)


def _array_rows(
    array: ArrayReader, reader_for: ReaderFor[T], adapter: TypeAdapter[T]
) -> Iterator[T | InvalidRow]:
    window, validate = array.window, reader_for(array.window)
    while True:
        guess, refusal = yield from _guessed_rows(array, validate)
        number, start = array.number, array.offset()
        element = array.take()
        if element is None:
            return
        if refusal is not None and element == guess:  # validated once is enough
            yield _invalid_row(number, element, refusal, adapter, start)
            continue
        if refusal is not None:
            array.stop_guessing()
        if window is not array.window:
            window, validate = array.window, reader_for(array.window)
        try:
            value = validate(element)
        except VALIDATOR_BUGS as error:
            raise failed_validator(error, number) from None
        except ValueError as error:
            yield _invalid_row(number, element, error, adapter, start)
        else:
            yield value


def _guessed_rows(
    array: ArrayReader, validate: Callable[[bytes], T]
) -> Generator[T, None, tuple[bytes, ValueError | None]]:
    # The next occurrence of the seam of the last two elements is assumed to end the element.
    # Validation, which has to parse it anyway, confirms that: text that starts with an element, is
    # valid JSON and ends with a closing bracket is that element.
    window, start, number, seam = array.window, array.start, array.number, array.seam
    guess, refusal = b"", None
    while seam:
        last = window.find(seam, start)
        if last < 0:
            array.stop_guessing()
            break
        guess = window[start : last + 1]
        try:
            value = validate(guess)
        except VALIDATOR_BUGS as error:
            raise failed_validator(error, number) from None
        except ValueError as error:
            refusal = error.with_traceback(None)  # which would keep this frame, and its text
            break
        start = last + len(seam) - 1
        number += 1
        yield value
    array.start, array.number = start, number
    return guess, refusal


def json_lines(file: Readable) -> Iterator[bytes]:
    """Yields the non-blank lines of an NDJSON file, each of which is one JSON value."""
    for row, (start, line, number) in enumerate(_lines(ByteReader(file))):
        if flaw := flaw_of(line, start):
            raise _broken_line(row, flaw, number)
        yield line


def _lines(source: ByteReader) -> Iterator[tuple[int, bytes, int]]:
    # With the offset of each in the file, and its number from 1, as in editors.
    before = 1
    for start, block in source.blocks():
        at, lines = start, block.split(b"\n")
        for number, line in enumerate(lines, before):
            if line.strip(BLANKS):
                yield at, line, number
            at += len(line) + 1
        before += len(lines) - 1


def ndjson_rows(
    source: ByteReader, reader_for: ReaderFor[T], adapter: TypeAdapter[T]
) -> Iterator[T | InvalidRow]:
    """Yields the values of the non-blank lines."""
    row, before = 0, 1
    for start, block in source.blocks():
        validate, lines = reader_for(block), block.split(b"\n")
        place, counted = start, before  # the offset of that line in the file
        for number, line in enumerate(lines, before):
            if not line or (line.isspace() and not line.strip(BLANKS)):
                continue
            try:
                value = validate(line)
            except VALIDATOR_BUGS as error:
                raise failed_validator(error, row, number) from None
            except ValueError as error:
                passed = lines[counted - before : number - before]
                place, counted = place + sum(map(len, passed)) + len(passed), number
                yield _invalid_line(row, line, error, adapter, place, number)
            else:
                yield value
            row += 1
        before += len(lines) - 1


def _invalid_line(
    row: int, line: bytes, error: ValueError, adapter: TypeAdapter[Any], start: int, number: int
) -> InvalidRow:
    if _is_broken(error) and (flaw := flaw_of(line, start)) and not is_bounded(line):
        raise _broken_line(row, flaw, number) from None
    return _invalid_row(row, line, error, adapter, start, number)


def _broken_line(row: int, flaw: str, number: int) -> ResultSyntaxError:
    return ResultSyntaxError(f"[{row}]", flaw, row=row, line=number)
