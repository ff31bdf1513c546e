"""Reads a complete result: detects its format, and validates its value as a type.

`reading.py` reads the same formats row by row.
"""

from __future__ import annotations

import codecs
import io
import re
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from itertools import pairwise
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast, get_args, get_origin

from pydantic import ValidationError

from dcipher._results.parsing.adapters import adapter_for
from dcipher._results.parsing.compression import SUFFIXES, beginning, is_compressed, opened
from dcipher._results.parsing.csv.cells import readers_of
from dcipher._results.parsing.csv.dialects import is_table
from dcipher._results.parsing.json.rows import json_lines
from dcipher._results.parsing.json.strict import BLANKS, flaw_of, parse_json
from dcipher._results.parsing.parquet.files import MAGIC
from dcipher._results.parsing.parquet.rows import RefusedError, validated
from dcipher._results.parsing.row_errors import (
    VALIDATOR_BUGS,
    InvalidRow,
    ResultSyntaxError,
    ResultTypeError,
    failed_validator,
    type_error,
)
from dcipher._results.parsing.text_reader import require_utf8

from .formats import advice_for, kind_of
from .reading import Format, iter_rows, json_reader_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pydantic import TypeAdapter

    from dcipher._results.parsing.compression import Readable

__all__ = ["Format", "ResultSyntaxError", "ResultTypeError", "detect_format", "parse_document"]

T = TypeVar("T")
Body: TypeAlias = "bytes | bytearray | memoryview"

_ANY = cast("type[object]", Any)
_PIECE = 1 << 20

_CONTENT_TYPES = {
    "application/json": Format.JSON,
    "text/json": Format.JSON,
    "application/json-lines": Format.NDJSON,
    "application/jsonl": Format.NDJSON,
    "application/jsonlines": Format.NDJSON,
    "application/ndjson": Format.NDJSON,
    "application/x-json-lines": Format.NDJSON,
    "application/x-jsonl": Format.NDJSON,
    "application/x-jsonlines": Format.NDJSON,
    "application/x-ndjson": Format.NDJSON,
    "text/jsonl": Format.NDJSON,
    "text/x-ndjson": Format.NDJSON,
    "application/csv": Format.CSV,
    "application/x-csv": Format.CSV,
    "text/csv": Format.CSV,
    "text/x-csv": Format.CSV,
    "application/parquet": Format.PARQUET,
    "application/vnd.apache.parquet": Format.PARQUET,
    "application/x-parquet": Format.PARQUET,
}
_SUFFIXES = {
    ".csv": Format.CSV,
    ".json": Format.JSON,
    ".jsonl": Format.NDJSON,
    ".ndjson": Format.NDJSON,
    ".parquet": Format.PARQUET,
}


def detect_format(
    content_type: str | None,
    name: str | None,
    head: bytes,
    whole: Callable[[], Readable] | None = None,
) -> Format:
    """Returns the format by the Content-Type, else the suffix of the name, else the first bytes.

    Types without a known format, such as application/octet-stream or text/plain, are ignored. `head`
    may be compressed. `whole` opens the decompressed document at its beginning: if `head` ends within
    the first line, more of it is read, in constant memory.
    """
    media_type = (content_type or "").partition(";")[0].strip().lower()
    if media_type.endswith("+json"):  # RFC 6839, section 3.1
        return Format.JSON
    path = PurePosixPath((name or "").lower())
    suffix = (path.with_suffix("") if path.suffix in SUFFIXES else path).suffix
    known = _CONTENT_TYPES.get(media_type) or _SUFFIXES.get(suffix)
    return known or _sniff(beginning(head), whole)


def _sniff(head: bytes, whole: Callable[[], Readable] | None) -> Format:
    if head.startswith(
        MAGIC + b"\x15"
    ):  # the next byte of any Parquet file; a CSV file may begin with PAR1
        return Format.PARQUET
    text = head.removeprefix(codecs.BOM_UTF8).lstrip(BLANKS)
    if _JSON_BEGINS.match(text):
        pieces = [text] if whole is None or b"\n" in text else _pieces(whole)
        return Format.NDJSON if _is_followed(pieces) else Format.JSON
    if text and not flaw_of(text):
        return Format.JSON
    return Format.CSV if _is_table(head) else Format.BINARY


# A brace or bracket with a valid continuation (RFC 8259), unless the head ends there: not "[Note] …".
_JSON_BEGINS = re.compile(rb'(?:\{\s*(?:["}]|\Z)|\[\s*(?:[]"{\[0-9tfn-]|\Z))')


def _pieces(whole: Callable[[], Readable]) -> Iterator[bytes]:
    with suppress(ResultSyntaxError):  # raised again when the file is read
        file = whole()
        yield file.read(_PIECE).removeprefix(codecs.BOM_UTF8).lstrip(BLANKS)
        yield from iter(partial(file.read, _PIECE), b"")


def _is_followed(pieces: Iterable[bytes]) -> bool:
    """Returns whether another value follows in a line after the first one.

    Within a JSON document, a closing bracket at the end of a line is followed by another one, by a
    comma, or by nothing.
    """
    last, ended = b"", False
    for piece in pieces:
        line, rest = (b"", piece) if ended else piece.partition(b"\n")[::2]
        last = line.rstrip(BLANKS)[-1:] or last
        ended = ended or len(line) < len(piece)
        if ended and (following := rest.lstrip(BLANKS)):
            return last in (b"}", b"]") and following[:1] not in (b",", b"}", b"]")
    return False


def _is_table(head: bytes) -> bool:
    if head.removeprefix(codecs.BOM_UTF8).lstrip(BLANKS).startswith(b"<") or b"\0" in head:
        return False
    try:  # the last character may be cut
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(head)
    except UnicodeDecodeError:
        return False
    return is_table(text, whole=False)


def parse_document(body: Body, type_: type[T], format_: Format) -> T:
    """Returns the complete result as a `type_`.

    A JSON document is validated as it is. NDJSON, CSV and Parquet are the list of their rows: for
    `list[X]`, each row is validated as `iter_rows` does for X; any other type validates the list.
    `bytes` is the file itself. `str` is the value of a JSON string, otherwise the text. A binary
    result is bytes for Any.

    Raises:
        ResultSyntaxError: The document is malformed.
        ResultTypeError: It does not match `type_`.
    """
    return cast("T", _parse(body, type_, format_))


def _parse(body: Body, type_: object, format_: Format) -> object:
    anything = type_ is _ANY or type_ is object
    if type_ is bytes or (anything and format_ is Format.BINARY):
        return bytes(body)
    if format_ is Format.BINARY and type_ is not str:
        kind = kind_of(body)
        raise ResultSyntaxError("document", f"is {kind}: {advice_for(kind)}")
    if is_compressed(bytes(body[:4])):
        body = opened(io.BytesIO(body)).read()
    if type_ is str and format_ is not Format.PARQUET:
        return _text(bytes(body), format_)
    if format_ is Format.JSON:
        return _parse_json(bytes(body), type_)
    file = io.BytesIO(body)
    if anything or type_ is list:
        return list(_valid(iter_rows(file, _ANY, format_)))
    if (row_type := _row_type(type_)) is not None:
        rows = _valid(iter_rows(file, row_type, format_))
        return tuple(rows) if get_origin(type_) is tuple else list(rows)
    if format_ is Format.NDJSON:
        return _parse_json(b"[" + b",".join(json_lines(file)) + b"]", type_)
    if format_ is Format.CSV:
        return _parse_cells(list(_valid(iter_rows(file, dict[str, Any], format_))), type_)
    return _parse_table(list(_valid(iter_rows(file, dict[str, Any], format_))), type_)


def _row_type(type_: object) -> type[object] | None:
    # Any other type may constrain the list, or be a union.
    arguments = cast("tuple[type[object], ...]", get_args(type_))
    if get_origin(type_) in (list, Sequence, Iterable):
        return arguments[0]
    if get_origin(type_) is tuple and cast("tuple[object, ...]", arguments)[1:] == (...,):
        return arguments[0]
    return None


def _valid(rows: Iterator[T | InvalidRow]) -> Iterator[T]:
    for row in rows:
        if isinstance(row, InvalidRow):
            raise row.error()
        yield row


def _parse_json(document: bytes, type_: object) -> object:
    require_utf8(document[:4])
    mark = len(codecs.BOM_UTF8) if document.startswith(codecs.BOM_UTF8) else 0
    document = document[mark:]
    if not document or document.isspace():
        raise ResultSyntaxError("document", "is empty")
    validate = json_reader_for(cast("type[object]", type_)).reader_for(document)
    try:
        return validate(document)
    except VALIDATOR_BUGS as error:
        refusal = failed_validator(error)
        if (row_type := _row_type(type_)) is not None:  # its error names the row
            deque(iter_rows(io.BytesIO(document), row_type, Format.JSON), maxlen=0)
        raise refusal from None
    except ValueError as error:
        if flaw := flaw_of(document, mark):
            raise ResultSyntaxError("document", flaw) from None
        adapter = adapter_for(cast("type[object]", type_))
        refused = cast("ValidationError", error)
        raise type_error(refused, adapter, has_rows=_row_type(type_) is not None) from None


def _parse_cells(rows: list[dict[str, Any]], type_: object) -> object:
    """Returns the table for a type other than a plain list of rows, with the cells that its rows need."""
    adapter = adapter_for(cast("type[object]", type_))
    names = list(rows[0]) if rows else []
    readers = [(names[n], reader) for n, reader in readers_of(adapter, table=True).of(names)]
    for row in rows:
        row.update({name: reader(row[name]) for name, reader in readers})
    try:
        return _validated(rows, adapter)
    except ValidationError as error:
        refusal = error
    for detail in refusal.errors(include_url=False):  # an empty cell may be None, as in `csv_rows`
        for number, name in pairwise(detail["loc"]):
            if isinstance(number, int) and number < len(rows) and rows[number].get(str(name)) == "":
                rows[number][str(name)] = None
    try:
        return _validated(rows, adapter)
    except ValidationError:
        raise type_error(refusal, adapter, has_rows=True) from None


def _validated(rows: Sequence[object], adapter: TypeAdapter[Any]) -> object:
    try:
        return adapter.validator.validate_python(rows, strict=False)
    except VALIDATOR_BUGS as error:
        raise failed_validator(error) from None


def _parse_table(rows: Sequence[object], type_: object) -> object:
    adapter = adapter_for(cast("type[object]", type_))
    try:
        return validated(rows, adapter, is_table=True)
    except VALIDATOR_BUGS as error:
        raise failed_validator(error) from None
    except RefusedError as refused:
        raise type_error(refused.error, adapter, has_rows=True) from None


def _text(body: bytes, format_: Format) -> str:
    text = _decoded(body)
    if format_ is Format.JSON:
        with suppress(ValueError):  # otherwise, it is its own text
            value = parse_json(text)
            return value if isinstance(value, str) else text
    return text


def _decoded(body: bytes) -> str:
    try:
        return str(body, "utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        message = f"is not UTF-8 text at byte {error.start}"
        raise ResultSyntaxError("document", message) from None
