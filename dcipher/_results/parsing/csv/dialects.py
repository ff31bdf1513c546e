"""Detects the dialect of a CSV document: its delimiter and its line ends.

RFC 4180 has commas and CRLF; spreadsheets write semicolons, tabs and bare CR as well. The dialect is
detected from the first lines, and an ambiguous document is an error.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from dcipher._results.parsing.row_errors import ResultSyntaxError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["SAMPLE", "Dialect", "dialect_of", "is_table"]

SAMPLE = 1 << 16
"""Characters from which the dialect is detected."""

_DELIMITERS = ",;\t|"
_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
_RECORDS = 20  # that are compared
_QUOTED = re.compile(r'"[^"]*"')


@dataclass(frozen=True)
class Dialect:
    """The delimiter, the line end, and the characters before the header."""

    delimiter: str = ","
    line_end: str = "\n"
    """A line feed, also after a carriage return; or a bare carriage return."""
    skipped: int = 0
    """Characters before the header: Excel's line `sep=;`."""


def dialect_of(sample: str, *, whole: bool) -> Dialect:
    """Returns the dialect of a document that begins with `sample`, which may be all of it.

    Raises `ResultSyntaxError` for an ambiguous header.
    """
    outside = _QUOTED.sub("", sample).rstrip("\r\n")
    line_end = "\r" if "\r" in outside and "\n" not in outside else "\n"
    first = sample.split(line_end, 1)[0]
    stated = first.rstrip("\r").strip('"')
    if stated.lower().startswith("sep=") and len(stated) == len("sep=") + 1:
        skipped = min(len(first) + 1, len(sample))
        return Dialect(stated[-1], line_end, skipped)
    tables = {d: _records(sample, d, line_end, whole=whole) for d in _DELIMITERS}
    return Dialect(_delimiter(tables), line_end)


def _delimiter(tables: dict[str, list[list[str]]]) -> str:
    possible = [d for d, records in tables.items() if records and len(records[0]) > 1]
    even = [d for d in possible if len({len(cells) for cells in tables[d]}) == 1]
    if "," in even or not possible:
        return ","
    found = even or [d for d in possible if d == "," or _is_mostly_even(tables[d])]
    if "," in found or not found:
        return ","
    if len(found) == 1:
        return found[0]
    seen = " and ".join(_NAMES[d] for d in found)
    raise ResultSyntaxError(
        "header", f"contains {seen}, and the delimiter is ambiguous: read it as str"
    )


def _is_mostly_even(records: list[list[str]]) -> bool:
    return sum(len(cells) == len(records[0]) for cells in records[1:]) * 2 > len(records) - 1


def _records(sample: str, delimiter: str, line_end: str, *, whole: bool) -> list[list[str]]:
    lines = io.StringIO(sample, newline="" if line_end == "\r" else "\n")
    records: list[list[str]] = []
    try:
        reader = csv.reader(lines, delimiter=delimiter)
        records.extend(cells for cells in islice(reader, _RECORDS) if cells)
    except csv.Error:  # raised again when the rows are read
        return records
    # A last record may be cut.
    short = len(records) > 1 and len(records[-1]) < len(records[0])
    return records[:-1] if short and not whole and not lines.read(1) else records


def is_table(sample: str, *, whole: bool) -> bool:
    """Returns whether a text of unknown format is a table: a header, and records of the same width."""
    if len(sample) > SAMPLE:
        sample, whole = sample[:SAMPLE], False
    try:
        dialect = dialect_of(sample, whole=whole)
    except ResultSyntaxError:
        return False
    records = _records(sample[dialect.skipped :], dialect.delimiter, dialect.line_end, whole=whole)
    if dialect.skipped:
        return bool(records)
    if len(records) < 2 or len({len(cells) for cells in records}) > 1:
        return False
    # A delimiter may end every line.
    return _is_header(records[0][: None if any(cells[-1] for cells in records) else -1])


def _is_header(names: Sequence[str]) -> bool:
    # Prose has a space after its comma. The first column of an index has no name.
    spoken = [name for name in names[1:] if name != ""]
    return (
        len(names) > 1
        and len(spoken) == len(names) - 1
        and len(set(names)) == len(names)
        and all(name == name.strip() for name in names)
        and all(map(_is_name, filter(None, names)))
        and not all(name.isdigit() for name in names)
    )


def _is_name(name: str) -> bool:
    return name[0].isalpha() or name[0] == "_" or name.isdigit()
