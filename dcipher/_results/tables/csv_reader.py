"""Blocks of CSV as columns of text by pyarrow's own reader, where it finds the cells that ours does.

Both read CSV of RFC 4180. They differ for misplaced quotes and bare carriage returns: a block with one
of these raises `DoubtError`, and the records are read one by one. Importing this imports pyarrow.
"""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, Any, BinaryIO

from dcipher._extras.libraries import library
from dcipher._results.parsing.csv.dialects import Dialect
from dcipher._results.parsing.csv.rows import csv_dialect
from dcipher._results.parsing.json.blocks import BLOCK, DoubtError
from dcipher._results.parsing.text_reader import TextReader

from .inference import CellKinds

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["CellBlocks"]

pa = library("pyarrow", "arrow")
pc = library("pyarrow.compute", "arrow")
pa_csv = library("pyarrow.csv", "arrow")

_MAX_HELD = 1 << 26  # bytes of one record, or of one that does not end


class CellBlocks:
    """Reads blocks of records, and infers the columns that hold all of them."""

    def __init__(self, header: Sequence[str]) -> None:
        self._width = len(header)
        if not header:
            raise DoubtError
        self._kinds = CellKinds(header)
        self._is_learned = False

    def read(self, file: BinaryIO, _: object) -> Iterator[list[Any]]:
        """Yields all records after the header: for each block, a `pyarrow.StringArray` per column.

        An empty cell is null.
        """
        dialect = csv_dialect(TextReader(file))
        if dialect != Dialect(dialect.delimiter):
            raise DoubtError
        _ = file.seek(0)
        is_first = True
        for block in _record_blocks(file, dialect.delimiter):
            columns = _columns(block, self._width, dialect.delimiter)
            if is_first and len(columns[0]):
                columns = [column[1:] for column in columns]  # without the header
                is_first = False
            if not self._is_learned:
                self._kinds.add(columns)
            yield columns

    def num_rows(self, columns: list[Any]) -> int:
        """Returns the number of rows of a block."""
        return len(columns[0])

    def schema(self) -> Any:
        """Returns the columns that fit all blocks, as a `pyarrow.Schema`. Ends the inference."""
        self._is_learned = True
        return self._kinds.schema

    def batch(self, columns: list[Any], schema: Any) -> Any:
        """Returns a block as a `pyarrow.RecordBatch` with these columns."""
        return self._kinds.batch(columns, schema)


def _record_blocks(file: BinaryIO, delimiter: str) -> Iterator[bytes]:
    """Blocks of whole records in which quotes enclose whole cells. Raises `DoubtError`."""
    held = file.read(len(codecs.BOM_UTF8)).removeprefix(codecs.BOM_UTF8)
    while piece := file.read(BLOCK):
        cut = piece.rfind(b"\n") + 1
        block, rest = b"".join((held, memoryview(piece)[:cut])), piece[cut:]
        if cut and _is_plain(block, delimiter):
            yield block
            held = rest
            continue
        # A line break between an odd number of quotes and the next one is in a cell.
        held = block + rest
        if (cut and block.count(b'"') % 2 == 0) or len(held) > _MAX_HELD:
            raise DoubtError
    if not _is_plain(held, delimiter):
        raise DoubtError
    if held:
        yield held


def _is_plain(block: bytes, delimiter: str) -> bool:
    """Returns whether quotes enclose whole cells, carriage returns precede line feeds, and there is no NUL."""
    if not any(odd in block for odd in (b'"', b"\r", b"\0")):
        return True
    cell = rf'(?:[^"{delimiter}\r\n\x00]*|"(?:[^"\r\x00]|""|\r\n)*")'
    table = rf"\A(?:{cell}(?:[{delimiter}]|\r?\n))*{cell}\z"
    ends = pa.array([0, len(block)], pa.int64()).buffers()[1]
    text = pa.Array.from_buffers(pa.large_binary(), 1, [None, ends, pa.py_buffer(block)])
    return bool(pc.match_substring_regex(text, table)[0].as_py())


def _columns(block: bytes, width: int, delimiter: str) -> list[Any]:
    if not block.strip(b"\r\n"):
        return [pa.array([], pa.string())] * width
    names = [str(place) for place in range(width)]
    try:
        table = pa_csv.read_csv(
            pa.BufferReader(block),
            read_options=pa_csv.ReadOptions(
                use_threads=False, column_names=names, block_size=len(block) + 1
            ),
            parse_options=pa_csv.ParseOptions(
                delimiter=delimiter, newlines_in_values=b'"' in block
            ),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
    except pa.ArrowInvalid:  # such as rows of another length
        raise DoubtError from None
    (batch,) = table.to_batches()  # it was one block
    return list(batch.columns)
