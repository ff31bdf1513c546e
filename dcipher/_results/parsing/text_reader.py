"""The bytes and the text of a result, read from its file piece by piece."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

from .row_errors import ResultSyntaxError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .compression import Readable

__all__ = ["ByteReader", "TextReader", "foreign_encoding", "require_utf8"]

_CHUNK = 1 << 18  # bytes read at a time


_MARKS = {  # the longer first: that of UTF-32 begins with that of UTF-16
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


def foreign_encoding(head: bytes) -> str | None:
    """Returns the encoding that the first bytes of a text indicate, or None for UTF-8.

    A document nearly always begins with an ASCII character. A zero beside it is the other half of a code unit.
    """
    for mark, name in _MARKS.items():
        if head.startswith(mark):
            return name
    zeros = [byte == 0 for byte in head[:4]]
    if zeros in ([True, True, True, False], [False, True, True, True]):
        return "UTF-32"
    return "UTF-16" if zeros in ([True, False] * 2, [False, True] * 2) else None


def require_utf8(head: bytes) -> None:
    """Raises `ResultSyntaxError` for a text whose first bytes indicate another encoding."""
    if encoding := foreign_encoding(head):
        raise ResultSyntaxError(
            "document",
            f"is {encoding} text, not UTF-8: save it as UTF-8 (iconv -f {encoding} -t UTF-8), "
            "or read it as bytes",
        )


class ByteReader:
    """The bytes of a text, read in pieces, without its byte order mark.

    Raises `ResultSyntaxError` for another encoding than UTF-8, as far as the first bytes indicate it.
    """

    def __init__(self, file: Readable) -> None:
        self._file: Readable = file
        self.offset: int = 0
        """The number of bytes read from the file, including the byte order mark."""

    def read(self, at_least: int = 0) -> bytes:
        """Returns the next bytes, a chunk or more; empty only at the end."""
        first = self.offset == 0
        data = self._bytes(max(_CHUNK, at_least, 4 if first else 0))
        self.offset += len(data)
        if first:
            require_utf8(data[:4])
            if data.startswith(codecs.BOM_UTF8):
                return data[len(codecs.BOM_UTF8) :] or self.read(at_least)
        return data

    def blocks(self, at_least: int = 0) -> Iterator[tuple[int, bytes]]:
        """Yields the rest in blocks of complete lines, each with its offset in the file.

        Only the last line may lack its line end.
        """
        held: list[bytes] = []
        while piece := self.read(at_least):
            cut = piece.rfind(b"\n") + 1
            held.append(piece[:cut] if cut else piece)
            if cut:
                block = b"".join(held)
                held = [piece[cut:]]
                yield self.offset - len(held[0]) - len(block), block
        block = b"".join(held)
        yield self.offset - len(block), block

    def _bytes(self, size: int) -> bytes:
        # A raw file may return fewer bytes than requested.
        pieces: list[bytes] = []
        while size > 0 and (data := self._file.read(size)):
            pieces.append(data)
            size -= len(data)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


class TextReader:
    """The text of a file, read in pieces. Invalid UTF-8 raises after the text before it was returned."""

    def __init__(self, file: Readable) -> None:
        self._bytes: ByteReader = ByteReader(file)
        self._decoder: codecs.IncrementalDecoder = codecs.getincrementaldecoder("utf-8")()
        self._failure: ResultSyntaxError | None = None
        self._ended: bool = False

    def read(self) -> str:
        """Returns the text of the next bytes, a chunk or more; empty only at the end."""
        text = ""
        while not text and not self._ended:
            try:
                text = self._decode(self._bytes.read())
            except ResultSyntaxError as error:
                self._ended, self._failure = True, error
        if not text and self._failure:
            raise self._failure
        return text

    def _decode(self, data: bytes) -> str:
        self._ended = not data
        try:
            return self._decoder.decode(data, final=self._ended)
        except UnicodeDecodeError as error:
            self._ended = True
            where = self._bytes.offset - len(error.object) + error.start
            self._failure = ResultSyntaxError("document", f"is not UTF-8 text at byte {where}")
            return error.object[: error.start].decode()
