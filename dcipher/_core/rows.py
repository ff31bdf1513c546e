"""The rows of a result, one by one and in constant memory, each validated as a type.

The formats differ in what a row is, and agree in the rest:

* JSON: the elements of the top-level array; a document that is not an array is one row;
* NDJSON: the lines that are not blank;
* CSV: the records after the header.

A row that does not fit its type is an `InvalidRow` in the stream, so that the caller decides what
becomes of it. A document that breaks its format's grammar raises `ResultSyntaxError` where it
breaks, after the rows before. Text is UTF-8, with or without a byte order mark; NaN and Infinity
are not JSON (RFC 8259, section 6).
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Generator, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache, partial
from itertools import count
from typing import Annotated, BinaryIO, TypedDict, TypeVar, cast, get_args, get_origin

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, from_json
from pydantic_core.core_schema import ErrorType
from typing_extensions import override

from .text import clean

__all__ = [
    "ErrorDetail",
    "Format",
    "InvalidRow",
    "ResultReadError",
    "ResultSyntaxError",
    "ResultTypeError",
    "adapter_for",
    "iter_rows",
    "json_lines",
    "may_hold_nan",
    "require_json",
    "type_error",
]

T = TypeVar("T")
Location = tuple[int | str, ...]

_CHUNK = 1 << 18  # bytes read at a time
_BLANKS = " \t\n\r"  # JSON's own (RFC 8259, section 2), fewer than str.strip() takes
_NAME = 64  # characters of a field's name that are shown
_DETAILS = 100  # errors of one row, or one document, that are kept


class Format(str, Enum):
    """How a result is written."""

    JSON = "json"
    NDJSON = "ndjson"
    CSV = "csv"
    BINARY = "binary"


# --- what is wrong -------------------------------------------------------------------------------


class ErrorDetail(TypedDict):
    """One thing that does not fit: where inside the row or document, which kind, in words."""

    loc: Location
    type: str
    msg: str


class ResultReadError(ValueError):
    """A result cannot be read as asked; ``location`` says where, ``message`` why.

    Neither text holds a value of the document, only the names of its fields.
    """

    def __init__(self, location: str, message: str, errors: Sequence[ErrorDetail] = ()) -> None:
        super().__init__(location, message, tuple(errors))
        self.location: str = location
        self.message: str = message
        self.errors: tuple[ErrorDetail, ...] = tuple(errors)

    @override
    def __str__(self) -> str:
        return f"{self.location}: {self.message}"


class ResultSyntaxError(ResultReadError):
    """The document is not what its format asks for: cut off, damaged, or another format."""


class ResultTypeError(ResultReadError):
    """The document is well-formed, and does not fit the type; ``errors`` has up to 100 reasons."""


@dataclass(frozen=True, slots=True)
class InvalidRow:
    """A row that does not fit: its ``number`` from 0, the place of its first error, every error."""

    number: int
    location: str
    errors: tuple[ErrorDetail, ...]

    def error(self) -> ResultTypeError:
        """The same as an exception."""
        return _refusal(self.location, self.errors)


def type_error(error: ValidationError) -> ResultTypeError:
    """What to raise for a document that its type refuses."""
    details = _details(error)
    return _refusal(_path(details[0]["loc"]).removeprefix(".") or "document", details)


def _refusal(location: str, details: Sequence[ErrorDetail]) -> ResultTypeError:
    more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
    return ResultTypeError(location, details[0]["msg"] + more, details)


def _details(error: ValidationError) -> tuple[ErrorDetail, ...]:
    found = error.errors(include_url=False)[:_DETAILS]
    return tuple(
        ErrorDetail(loc=tuple(map(_name, e["loc"])), type=e["type"], msg=clean(_message(e)))
        for e in found
    )


def _name(part: int | str) -> int | str:
    return part if isinstance(part, int) else clean(part, _NAME)


def _path(loc: Location) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)


# Pydantic's own words name the type, not the value; those of validators may say anything.
_OWN_WORDS = frozenset(cast("tuple[str, ...]", get_args(ErrorType))) - {
    "assertion_error",
    "value_error",
}


def _message(error: ErrorDetails) -> str:
    if error["type"] == "union_tag_invalid":  # the one that quotes what it got
        context = error.get("ctx", {})
        tags = f"{context.get('discriminator')} is none of {context.get('expected_tags')}"
        return f"Input's tag {tags}"
    if error["type"] in _OWN_WORDS:
        return error["msg"]
    return _masked(error["msg"], cast("object", error["input"]))


def _masked(text: str, value: object) -> str:
    if isinstance(value, Mapping):
        value = list(cast("Mapping[object, object]", value).values())
    values = cast("Sequence[object]", value) if isinstance(value, (list, tuple)) else [value]
    for shown in map(str, (v for v in values if isinstance(v, (str, int, float)))):
        # Shorter ones would hit the message's own words.
        text = text.replace(shown, "…") if len(shown) > 2 else text
    return text


# --- types and documents -------------------------------------------------------------------------


def adapter_for(type_: type[T]) -> TypeAdapter[T]:
    """The adapter of a type, built once for each of the last 128."""
    try:
        _ = hash(type_)
    except TypeError:  # Annotated with a list, say
        return TypeAdapter(type_)
    # int | str and str | int are equal, and validate "1" differently.
    return cast("TypeAdapter[T]", _cached_adapter(cast("Hashable", type_), repr(type_)))


@lru_cache(maxsize=128)
def _cached_adapter(type_: Hashable, _spelling: str) -> TypeAdapter[object]:
    return TypeAdapter(cast("type[object]", type_))


def require_json(text: str | bytes | bytearray, location: str) -> None:
    """Raise `ResultSyntaxError` if `text` is not one JSON value; NaN and Infinity are none."""
    try:
        from_json(text, allow_inf_nan=False, cache_strings=False)
    except ValueError as error:
        # What stands on one line has no use for its number.
        message = str(error).replace("line 1 column", "column")
        if message.startswith("EOF"):
            message = f"the text ends too early ({message})"
        raise ResultSyntaxError(location, clean(message)) from None


def may_hold_nan(text: str | bytes | bytearray) -> bool:
    """Whether NaN or Infinity occurs in `text`: as a value, or inside a string."""
    if isinstance(text, str):
        return "NaN" in text or "Infinity" in text
    return b"NaN" in text or b"Infinity" in text


def iter_rows(file: BinaryIO, type_: type[T], format_: Format) -> Iterator[T | InvalidRow]:
    """The rows of `file` from where it stands, each validated as `type_`, or why it does not fit.

    Every row gives one item, so that `enumerate` gives its number. Memory is bounded by the largest
    row. `file` is read to its end, and stays open. Binary results have no rows.

    A CSV row is a mapping by the header's names to text (`TypeAdapter.validate_strings`), and for a
    list or tuple type the row's cells. An empty cell is "", or None where the type refuses "" and
    takes None. A row with another number of cells than the header is invalid.

    Raises:
        ResultSyntaxError: while iterating, where the document breaks its format.
    """
    text = _Text(file)
    adapter = adapter_for(type_)
    if format_ is Format.JSON:
        return _json_rows(text, adapter.validator.validate_json)
    if format_ is Format.NDJSON:
        return _ndjson_rows(text, adapter.validator.validate_json)
    if format_ is Format.CSV:
        return _csv_rows(text, type_, adapter)
    raise ResultSyntaxError("document", "has no rows: it is neither JSON, NDJSON nor CSV")


class _Text:
    """A file's text, read in pieces; what is not UTF-8 raises after the text before it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file: BinaryIO = file
        self._decoder: codecs.IncrementalDecoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._size: int = 0
        self._failure: ResultSyntaxError | None = None
        self._ended: bool = False

    def read(self, at_least: int = 0) -> str:
        """The text of the next bytes, a chunk or more; the empty string at the end only."""
        text = ""
        while not text and not self._ended:
            data = self._bytes(max(_CHUNK, at_least))
            self._ended = not data
            text = self._decode(data)
        if not text and self._failure:
            raise self._failure
        return text

    def _bytes(self, size: int) -> bytes:
        # A raw file may return less than it is asked for.
        pieces: list[bytes] = []
        while size > 0 and (data := self._file.read(size)):
            pieces.append(data)
            size -= len(data)
        return b"".join(pieces)

    def _decode(self, data: bytes) -> str:
        self._size += len(data)
        try:
            return self._decoder.decode(data, final=self._ended)
        except UnicodeDecodeError as error:
            self._ended = True
            where = self._size - len(error.object) + error.start
            self._failure = ResultSyntaxError("document", f"is not UTF-8 text at byte {where}")
            return error.object[: error.start].decode()


def _blocks(text: _Text) -> Iterator[str]:
    """The text in blocks of whole lines; only the last line may lack its end."""
    held: list[str] = []
    while piece := text.read():
        cut = piece.rfind("\n") + 1
        held.append(piece[:cut] if cut else piece)
        if cut:
            yield "".join(held)
            held = [piece[cut:]]
    yield "".join(held)


# --- JSON ----------------------------------------------------------------------------------------


def _json_rows(text: _Text, validate: Callable[[str], T]) -> Iterator[T | InvalidRow]:
    head = ""
    while not head and (piece := text.read()):
        head = piece.lstrip(_BLANKS)
    if not head:
        raise ResultSyntaxError("document", "is empty")
    if head[0] == "[":
        yield from _array_rows(_Array(text, head[1:]), validate)
    else:
        yield _only_row(head + "".join(iter(text.read, "")), validate)


def _only_row(document: str, validate: Callable[[str], T]) -> T | InvalidRow:
    if may_hold_nan(document):
        require_json(document, "document")
    try:
        return validate(document)
    except ValidationError as error:
        return _invalid_json(0, document, error, "document")


def _invalid_json(number: int, text: str, error: ValidationError, where: str) -> InvalidRow:
    details = _details(error)
    if details[0]["type"] == "json_invalid":  # a field of type Json has that too
        require_json(text, where)
    return InvalidRow(number, f"[{number}]{_path(details[0]['loc'])}", details)


def _row(number: int, text: str, validate: Callable[[str], T]) -> T | InvalidRow:
    try:
        return validate(text)
    except ValidationError as error:
        return _invalid_json(number, text, error, f"[{number}]")


def _array_rows(array: _Array, validate: Callable[[str], T]) -> Iterator[T | InvalidRow]:
    while True:
        guess, refusal = yield from _guessed_rows(array, validate)
        number = array.number
        element = array.take()
        if element is None:
            return
        if refusal is not None and element == guess:  # validated once is enough
            yield _invalid_json(number, element, refusal, f"[{number}]")
            continue
        if refusal is not None:
            array.stop_guessing()
        yield _row(number, element, validate)


def _guessed_rows(
    array: _Array, validate: Callable[[str], T]
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


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


# Finds where a value ends. What numbers are does not matter here, and len is the fastest to ask.
_find_end = json.JSONDecoder(
    parse_float=len, parse_int=len, parse_constant=_refuse_constant
).raw_decode
_GAP = re.compile(rf"[{_BLANKS}]*([,\]])[{_BLANKS}]*")
_TOKEN = 12  # characters that the longest cut token reaches back: "-Infinity", "\\ud83d\\ude0"


class _Array:
    """The elements of a JSON array, found one after another in a window of its text."""

    def __init__(self, source: _Text, text: str) -> None:
        """`text` is what follows the opening bracket."""
        self._source: _Text = source
        self._closed: bool = False
        self.number: int = 0
        self._open_window(text)

    def _open_window(self, text: str) -> None:
        self.text: str = text.lstrip(_BLANKS)
        self.start: int = 0  # of the next element
        self.seam: str = ""  # from the bracket that ends an element to the one that starts the next
        self._may_guess: bool = not may_hold_nan(text)  # Pydantic takes these for numbers

    def stop_guessing(self) -> None:
        """Guess no more in this window: there a wrong guess costs more than it saves."""
        self._may_guess, self.seam = False, ""

    def take(self) -> str | None:
        """The next element's text, or None after the last."""
        while not self._closed:
            found = self._find()
            if isinstance(found, tuple):
                return self._pass(*found)
            if self.number == 0 and self.text.startswith("]", self.start):
                self.start += 1
                self._closed = True
            else:
                self._read_on(found)
        self._finish()
        return None

    def _find(self) -> tuple[int, re.Match[str]] | json.JSONDecodeError:
        try:
            end = _find_end(self.text, self.start)[1]
        except json.JSONDecodeError as error:
            return error
        except RecursionError:
            raise self._wrong("is nested too deeply") from None
        except ValueError as error:
            raise self._wrong(str(error)) from None
        gap = _GAP.match(self.text, end)  # without one, a number may go on, too
        return (end, gap) if gap else json.JSONDecodeError("Expecting ',' or ']'", self.text, end)

    def _pass(self, end: int, gap: re.Match[str]) -> str:
        element = self.text[self.start : end]
        self.number += 1
        self.start = gap.end()
        self._closed = gap[1] == "]"
        seam = self.text[end - 1 : self.start + 1]
        brackets = seam[0] in "}]" and seam[-1] in "{["
        self.seam = seam if brackets and self._may_guess and not self._closed else ""
        return element

    def _read_on(self, error: json.JSONDecodeError) -> None:
        unterminated = error.msg.startswith("Unterminated string")
        piece = ""
        if unterminated or error.pos >= len(self.text) - _TOKEN:
            # Twice as much each time, so that a huge element is not parsed all too often.
            piece = self._source.read(len(self.text) - self.start)
        if piece:
            self._open_window(self.text[self.start :] + piece)
        elif unterminated or error.pos >= len(self.text.rstrip(_BLANKS)):
            raise self._wrong("the text ends too early")
        else:
            raise self._wrong(error.msg)

    def _finish(self) -> None:
        rest = self.text[self.start :]
        while not rest.strip(_BLANKS):
            rest = self._source.read()
            if not rest:
                return
        raise ResultSyntaxError("document", "more text follows the end of the array")

    def _wrong(self, message: str) -> ResultSyntaxError:
        return ResultSyntaxError(f"[{self.number}]", clean(message))


# --- NDJSON --------------------------------------------------------------------------------------


def json_lines(file: BinaryIO) -> Iterator[str]:
    """The lines of an NDJSON file that are not blank, each one JSON value."""
    for number, line, _ in _lines(_Text(file)):
        require_json(line, f"line {number}")
        yield line


def _lines(text: _Text) -> Iterator[tuple[int, str, bool]]:
    # Numbered from 1, as editors do, blank ones counted; and whether NaN may be in it.
    before = 1
    for block in _blocks(text):
        suspicious = may_hold_nan(block)
        lines = block.split("\n")
        for number, line in enumerate(lines, before):
            if line.strip(_BLANKS):
                yield number, line, suspicious
        before += len(lines) - 1


def _ndjson_rows(text: _Text, validate: Callable[[str], T]) -> Iterator[T | InvalidRow]:
    for row, (number, line, suspicious) in enumerate(_lines(text)):
        if suspicious:
            require_json(line, f"line {number}")
        try:
            value = validate(line)
        except ValidationError as error:
            yield _invalid_json(row, line, error, f"line {number}")
        else:
            yield value


# --- CSV -----------------------------------------------------------------------------------------


def _csv_rows(text: _Text, type_: type[T], adapter: TypeAdapter[T]) -> Iterator[T | InvalidRow]:
    records = _records(text)
    header = next(records, list[str]())
    validate = _cells_validator(type_, adapter, header)
    for number, cells in enumerate(records):
        if len(cells) != len(header):
            yield _ragged(number, len(cells), len(header))
            continue
        try:
            value = validate(cells)
        except ValidationError as error:
            details = _details(error)
            yield InvalidRow(number, _cell(number, details[0]["loc"], header), details)
        else:
            yield value


def _cells_validator(
    type_: type[T], adapter: TypeAdapter[T], header: list[str]
) -> Callable[[list[str]], T]:
    lenient = partial(adapter.validator.validate_python, strict=False)
    if _is_sequence(type_):
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


def _is_sequence(type_: object) -> bool:
    while get_origin(type_) is Annotated:
        type_ = cast("object", get_args(type_)[0])
    return (get_origin(type_) or type_) in (list, tuple, Sequence)


def _ragged(number: int, cells: int, names: int) -> InvalidRow:
    kind = "too_many_cells" if cells > names else "too_few_cells"
    message = f"Row should have {names} cells as the header, not {cells}"
    return InvalidRow(number, f"row {number}", (ErrorDetail(loc=(), type=kind, msg=message),))


def _cell(number: int, loc: Location, header: list[str]) -> str:
    if not loc:
        return f"row {number}"
    column = loc[0]
    name = clean(header[column], _NAME) if isinstance(column, int) else column
    return f"row {number}, column {name}{_path(loc[1:])}"


def _records(text: _Text) -> Iterator[list[str]]:
    held: list[str] = []  # the lines of the record that is being read

    def lines() -> Iterator[str]:
        for block in _blocks(text):
            for line in io.StringIO(block):
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
