"""The text of a result, read from its file piece by piece."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

from .result_errors import ResultSyntaxError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .compression import Readable

__all__ = ["TextReader", "foreign_encoding"]

_CHUNK = 1 << 18  # bytes read at a time


_MARKS = {  # the longer first: that of UTF-32 begins with that of UTF-16
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


def foreign_encoding(head: bytes) -> str | None:
    """The encoding that the first bytes of a text give away, where that is not UTF-8.

    Each of the formats begins with an ASCII character, as good as always: a zero beside it is its
    other half.
    """
    for mark, name in _MARKS.items():
        if head.startswith(mark):
            return name
    zeros = [byte == 0 for byte in head[:4]]
    if zeros in ([True, True, True, False], [False, True, True, True]):
        return "UTF-32"
    return "UTF-16" if zeros in ([True, False] * 2, [False, True] * 2) else None


class TextReader:
    """A file's text, read in pieces; what is not UTF-8 raises after the text before it."""

    def __init__(self, file: Readable) -> None:
        self._file: Readable = file
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

    def blocks(self) -> Iterator[str]:
        """The rest of the text in blocks of whole lines; only the last line may lack its end."""
        held: list[str] = []
        while piece := self.read():
            cut = piece.rfind("\n") + 1
            held.append(piece[:cut] if cut else piece)
            if cut:
                yield "".join(held)
                held = [piece[cut:]]
        yield "".join(held)

    def _bytes(self, size: int) -> bytes:
        # A raw file may return less than it is asked for.
        pieces: list[bytes] = []
        while size > 0 and (data := self._file.read(size)):
            pieces.append(data)
            size -= len(data)
        return b"".join(pieces)

    def _decode(self, data: bytes) -> str:
        if self._size == 0 and (encoding := foreign_encoding(data)):
            self._ended = True
            self._failure = ResultSyntaxError("document", f"is {encoding} text, not UTF-8")
            return ""
        self._size += len(data)
        try:
            return self._decoder.decode(data, final=self._ended)
        except UnicodeDecodeError as error:
            self._ended = True
            where = self._size - len(error.object) + error.start
            self._failure = ResultSyntaxError("document", f"is not UTF-8 text at byte {where}")
            return error.object[: error.start].decode()
