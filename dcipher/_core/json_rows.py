"""The rows of a JSON document, and of NDJSON's lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from pydantic import ValidationError

from .json_arrays import ArrayReader
from .result_errors import InvalidRow, JSONText, ResultSyntaxError, details_of, path_of
from .result_text import TextReader
from .strict_json import BLANKS, may_hold_nan, require_json

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from .compression import Readable

__all__ = ["json_lines", "json_rows", "ndjson_rows"]

T = TypeVar("T")


def json_rows(text: TextReader, validate: Callable[[str], T]) -> Iterator[T | InvalidRow]:
    """The elements of the array, or the one value that the document is."""
    head = ""
    while not head and (piece := text.read()):
        head = piece.lstrip(BLANKS)
    if not head:
        raise ResultSyntaxError("document", "is empty")
    if head[0] == "[":
        yield from _array_rows(ArrayReader(text, head[1:]), validate)
    else:
        document = head + "".join(iter(text.read, ""))
        if may_hold_nan(document):
            require_json(document, "document")
        yield _row(0, document, validate, "document")


def _row(
    number: int, text: str, validate: Callable[[str], T], where: str | None = None
) -> T | InvalidRow:
    try:
        return validate(text)
    except ValidationError as error:
        return _invalid_row(number, text, error, where)


def _invalid_row(
    number: int, text: str, error: ValidationError, where: str | None = None
) -> InvalidRow:
    place, details = f"[{number}]", details_of(error)
    if details[0]["type"] == "json_invalid":  # a field of type Json has that too
        require_json(text, where or place)
    return InvalidRow(number, place + path_of(details[0]["loc"]), details, JSONText(text))


def _array_rows(array: ArrayReader, validate: Callable[[str], T]) -> Iterator[T | InvalidRow]:
    while True:
        guess, refusal = yield from _guessed_rows(array, validate)
        number = array.number
        element = array.take()
        if element is None:
            return
        if refusal is not None and element == guess:  # validated once is enough
            yield _invalid_row(number, element, refusal)
            continue
        if refusal is not None:
            array.stop_guessing()
        yield _row(number, element, validate)


def _guessed_rows(
    array: ArrayReader, validate: Callable[[str], T]
) -> Generator[T, None, tuple[str, ValidationError | None]]:
    # An element is taken to end where the seam of the last two comes next, and validation, which
    # has to parse it anyway, tells whether it does: what starts with an element, is valid JSON and
    # ends with a closing bracket is that element.
    text, start, number, seam = array.text, array.start, array.number, array.seam
    guess, refusal = "", None
    while seam:
        last = text.find(seam, start)
        if last < 0:
            array.stop_guessing()
            break
        guess = text[start : last + 1]
        try:
            value = validate(guess)
        except ValidationError as error:
            refusal = error.with_traceback(None)  # which would keep this frame, and its text
            break
        start = last + len(seam) - 1
        number += 1
        yield value
    array.start, array.number = start, number
    return guess, refusal


def json_lines(file: Readable) -> Iterator[str]:
    """The lines of an NDJSON file that are not blank, each one JSON value."""
    for number, line, _ in _lines(TextReader(file)):
        require_json(line, f"line {number}")
        yield line


def _lines(text: TextReader) -> Iterator[tuple[int, str, bool]]:
    # Numbered from 1, as editors do, blank ones counted; and whether NaN may be in it.
    before = 1
    for block in text.blocks():
        suspicious = may_hold_nan(block)
        lines = block.split("\n")
        for number, line in enumerate(lines, before):
            if line.strip(BLANKS):
                yield number, line, suspicious
        before += len(lines) - 1


def ndjson_rows(text: TextReader, validate: Callable[[str], T]) -> Iterator[T | InvalidRow]:
    """The values of the lines that are not blank."""
    for row, (number, line, suspicious) in enumerate(_lines(text)):
        if suspicious:
            require_json(line, f"line {number}")
        try:
            value = validate(line)
        except ValidationError as error:
            yield _invalid_row(row, line, error, f"line {number}")
        else:
            yield value
