"""Finds the elements of a JSON array, without holding the array in memory."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from dcipher._masking.text import clean
from dcipher._results.parsing.row_errors import ResultSyntaxError

from .strict import BLANKS

if TYPE_CHECKING:
    from dcipher._results.parsing.text_reader import ByteReader

__all__ = ["ArrayReader", "is_bounded"]

# Finds where a value ends. The values of numbers are not needed, and len is the fastest function to
# call. An error inside a value, such as NaN or a control character, makes only that value invalid.
_find_end = json.JSONDecoder(
    strict=False, parse_float=len, parse_int=len, parse_constant=len
).raw_decode
_BLANKS = BLANKS.decode()
_GAP = re.compile(rf"[{_BLANKS}]*([,\]])[{_BLANKS}]*")
_TOKEN = 12  # characters that the longest cut token reaches back: "-Infinity", "\\ud83d\\ude0"


def is_bounded(text: bytes) -> bool:
    """Returns whether `text` is one value from its beginning to its end, which may be invalid inside."""
    shown = text.strip(BLANKS).decode("latin-1")
    try:
        return _find_end(shown)[1] == len(shown)
    except json.JSONDecodeError:
        return False
    except RecursionError:  # as many brackets open as close
        outside = _STRING.sub("", shown)
        return sum(map(outside.count, "[{")) == sum(map(outside.count, "]}"))


_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)


class ArrayReader:
    """The elements of a JSON array, found one after another in a window of its text.

    The characters of the window are its bytes, decoded as Latin-1: other characters than ASCII are
    only in strings, which are skipped, and the bytes of an element are validated.
    """

    def __init__(self, source: ByteReader, data: bytes) -> None:
        """`data`: the bytes after the opening bracket."""
        self._source: ByteReader = source
        self._closed: bool = False
        self.number: int = 0
        self._open_window(data)

    def _open_window(self, data: bytes) -> None:
        self.window: bytes = data.lstrip(BLANKS)
        self._text: str = self.window.decode("latin-1")
        self.start: int = 0  # of the next element
        self.seam: bytes = (
            b""  # from the bracket that ends an element to the one that starts the next
        )
        self._may_guess: bool = True

    def offset(self) -> int:
        """Returns the offset of the next element in the file."""
        return self._source.offset - len(self.window) + self.start

    def stop_guessing(self) -> None:
        """Stops guessing in this window: a wrong guess costs more than a correct one saves."""
        self._may_guess, self.seam = False, b""

    def take(self) -> bytes | None:
        """Returns the next element, or None after the last one."""
        while not self._closed:
            found = self._find()
            if isinstance(found, tuple):
                return self._pass(*found)
            if self.number == 0 and self._text.startswith("]", self.start):
                self.start += 1
                self._closed = True
            else:
                self._read_on(found)
        self._finish()
        return None

    def _find(self) -> tuple[int, re.Match[str]] | json.JSONDecodeError:
        try:
            end = _find_end(self._text, self.start)[1]
        except json.JSONDecodeError as error:
            return error
        except RecursionError:
            raise self._wrong("is nested too deeply") from None
        gap = _GAP.match(self._text, end)  # without one, a number may continue, too
        return (end, gap) if gap else json.JSONDecodeError("Expecting ',' or ']'", self._text, end)

    def _pass(self, end: int, gap: re.Match[str]) -> bytes:
        element = self.window[self.start : end]
        self.number += 1
        self.start = gap.end()
        self._closed = gap[1] == "]"
        seam = self.window[end - 1 : self.start + 1]
        brackets = seam[:1] in (b"}", b"]") and seam[-1:] in (b"{", b"[")
        self.seam = seam if brackets and self._may_guess and not self._closed else b""
        return element

    def _read_on(self, error: json.JSONDecodeError) -> None:
        unterminated = error.msg.startswith("Unterminated string")
        piece = b""
        if unterminated or error.pos >= len(self._text) - _TOKEN:
            # Twice as much each time, so that a huge element is parsed only a few times.
            piece = self._source.read(len(self.window) - self.start)
        if piece:
            self._open_window(self.window[self.start :] + piece)
        elif unterminated or error.pos >= len(self._text.rstrip(_BLANKS)):
            raise self._wrong("the text ends too early")
        else:
            # "Invalid control character at", "Invalid \\escape: " continue with the position.
            message = error.msg.removesuffix(" at").rstrip(": ")
            place = self._source.offset - len(self.window) + error.pos
            raise self._wrong(f"{message} at byte {place}")

    def _finish(self) -> None:
        rest = self.window[self.start :]
        while not rest.strip(BLANKS):
            rest = self._source.read()
            if not rest:
                return
        raise ResultSyntaxError("document", "more text follows the end of the array")

    def _wrong(self, message: str) -> ResultSyntaxError:
        return ResultSyntaxError(f"[{self.number}]", clean(message), row=self.number)
