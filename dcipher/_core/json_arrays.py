"""Where the elements of a JSON array begin and end, found without holding the array."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from .result_errors import ResultSyntaxError
from .strict_json import BLANKS, may_hold_nan
from .text import clean

if TYPE_CHECKING:
    from .result_text import TextReader

__all__ = ["ArrayReader"]


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


# Finds where a value ends. What numbers are does not matter here, and len is the fastest to ask.
_find_end = json.JSONDecoder(
    parse_float=len, parse_int=len, parse_constant=_refuse_constant
).raw_decode
_GAP = re.compile(rf"[{BLANKS}]*([,\]])[{BLANKS}]*")
_TOKEN = 12  # characters that the longest cut token reaches back: "-Infinity", "\\ud83d\\ude0"


class ArrayReader:
    """The elements of a JSON array, found one after another in a window of its text."""

    def __init__(self, source: TextReader, text: str) -> None:
        """`text` is what follows the opening bracket."""
        self._source: TextReader = source
        self._closed: bool = False
        self.number: int = 0
        self._open_window(text)

    def _open_window(self, text: str) -> None:
        self.text: str = text.lstrip(BLANKS)
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
        elif unterminated or error.pos >= len(self.text.rstrip(BLANKS)):
            raise self._wrong("the text ends too early")
        else:
            raise self._wrong(error.msg)

    def _finish(self) -> None:
        rest = self.text[self.start :]
        while not rest.strip(BLANKS):
            rest = self._source.read()
            if not rest:
                return
        raise ResultSyntaxError("document", "more text follows the end of the array")

    def _wrong(self, message: str) -> ResultSyntaxError:
        return ResultSyntaxError(f"[{self.number}]", clean(message))
