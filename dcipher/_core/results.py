"""A whole result: which format it is in, and its value, validated as a type.

`rows` reads the same formats row by row.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import from_json

from .adapters import adapter_for
from .compression import SUFFIXES, beginning, is_compressed, opened
from .file_kinds import kind_of
from .json_rows import json_lines
from .parquet_files import MAGIC
from .result_errors import InvalidRow, ResultSyntaxError, ResultTypeError, type_error
from .result_text import foreign_encoding
from .rows import Format, iter_rows
from .strict_json import may_hold_nan, require_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import TypeAdapter

__all__ = ["Format", "ResultSyntaxError", "ResultTypeError", "detect_format", "parse_document"]

T = TypeVar("T")
Body: TypeAlias = "bytes | bytearray | memoryview"

_ANY = cast("type[object]", Any)

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
_BLANKS = b" \t\n\r"


def detect_format(content_type: str | None, name: str | None, head: bytes) -> Format:
    """The format that the Content-Type names, else the name's suffix, else the first bytes.

    A type that says nothing of these formats, such as application/octet-stream or text/plain, is
    passed over. `head` should hold the first two lines: JSON and NDJSON differ
    only after the first. They may be compressed.
    """
    media_type = (content_type or "").partition(";")[0].strip().lower()
    if media_type.endswith("+json"):  # RFC 6839, section 3.1
        return Format.JSON
    path = PurePosixPath((name or "").lower())
    suffix = (path.with_suffix("") if path.suffix in SUFFIXES else path).suffix
    return _CONTENT_TYPES.get(media_type) or _SUFFIXES.get(suffix) or _sniff(beginning(head))


def _sniff(head: bytes) -> Format:
    if head.startswith(MAGIC + b"\x15"):  # what follows in any Parquet; a CSV may begin with PAR1
        return Format.PARQUET
    text = head.removeprefix(codecs.BOM_UTF8).lstrip(_BLANKS)
    if text[:1] in (b"{", b"["):
        first, _, rest = text.partition(b"\n")
        # Nothing may follow a JSON document that is complete.
        return Format.NDJSON if rest.strip(_BLANKS) and _is_json(first) else Format.JSON
    if text and _is_json(text):
        return Format.JSON
    return Format.CSV if _is_table(text) else Format.BINARY


def _is_json(text: bytes) -> bool:
    try:
        from_json(text, allow_inf_nan=False)
    except ValueError:
        return False
    return True


def _is_table(text: bytes) -> bool:
    # The first lines have as many cells each, two at least; without a comma nobody can tell.
    if text.startswith(b"<") or b"\0" in text:
        return False
    try:
        whole = text[: text.rfind(b"\n") + 1 or None].decode()
    except UnicodeDecodeError:
        return False
    widths: set[int] = set()
    with suppress(csv.Error):  # a quoted cell that the end of the head cuts
        widths.update(map(len, islice(csv.reader(io.StringIO(whole), strict=True), 5)))
    return len(widths) == 1 and max(widths) > 1


def parse_document(body: Body, type_: type[T], format_: Format) -> T:
    """The whole of a result as a `type_`.

    JSON is validated as it stands. NDJSON, CSV and Parquet are the list of their rows: a `list[X]` has each
    row validated as `iter_rows` does for X, and any other type is given the list. As `bytes` every
    result is what it is; as `str` what is not JSON is its text; a binary one is bytes for Any.

    Raises:
        ResultSyntaxError: the document breaks its format.
        ResultTypeError: it does not fit `type_`.
    """
    return cast("T", _parse(body, type_, format_))


def _parse(body: Body, type_: object, format_: Format) -> object:
    anything = type_ is _ANY or type_ is object
    if type_ is bytes or (anything and format_ is Format.BINARY):
        return bytes(body)
    if format_ is Format.BINARY and type_ is not str:
        raise ResultSyntaxError("document", f"is {kind_of(body)}: read it as bytes")
    if is_compressed(bytes(body[:4])):
        body = opened(io.BytesIO(body)).read()
    if format_ is Format.JSON:
        return _parse_json(_without_mark(body), type_)
    if type_ is str and format_ is not Format.PARQUET:
        return _decoded(body)
    file = io.BytesIO(body)
    if anything or type_ is list:
        return list(_valid(iter_rows(file, _ANY, format_)))
    if (row_type := _row_type(type_)) is not None:
        rows = _valid(iter_rows(file, row_type, format_))
        return tuple(rows) if get_origin(type_) is tuple else list(rows)
    if format_ is Format.NDJSON:
        return _parse_json("[" + ",".join(json_lines(file)) + "]", type_)
    plain = dict[str, str] if format_ is Format.CSV else dict[str, Any]
    return _parse_table(list(_valid(iter_rows(file, plain, format_))), type_)


def _row_type(type_: object) -> type[object] | None:
    # Any other type may constrain the list, or be more than one.
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


def _parse_json(document: str | bytes | bytearray, type_: object) -> object:
    if not document or document.isspace():
        raise ResultSyntaxError("document", "is empty")
    if isinstance(document, (bytes, bytearray)) and (
        encoding := foreign_encoding(bytes(document[:4]))
    ):
        raise ResultSyntaxError("document", f"is {encoding} text, not UTF-8")
    if may_hold_nan(document):
        require_json(document, "document")
    try:
        return cast("object", _adapter(type_).validator.validate_json(document))
    except ValidationError as error:
        if error.errors(include_url=False)[0]["type"] == "json_invalid":  # or a field of type Json
            if not isinstance(document, str):
                _decoded(document)
            require_json(document, "document")
        raise type_error(error) from None


def _parse_table(rows: Sequence[object], type_: object) -> object:
    try:
        return _adapter(type_).validate_python(rows, strict=False)
    except ValidationError as error:
        raise type_error(error) from None


def _adapter(type_: object) -> TypeAdapter[object]:
    return adapter_for(cast("type[object]", type_))


def _without_mark(body: Body) -> bytes | bytearray:
    plain = bytes(body) if isinstance(body, memoryview) else body
    return plain.removeprefix(codecs.BOM_UTF8)


def _decoded(body: Body) -> str:
    try:
        return str(body, "utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"is not UTF-8 text at byte {error.start}"
        raise ResultSyntaxError("document", message) from None
