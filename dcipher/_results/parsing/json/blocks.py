"""Splits JSON into blocks of many rows, without parsing them; pure.

A block of valid JSON consists of complete elements or lines. `DoubtError` is raised if that is not certain;
the rows are then read one by one.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING

from .strict import BLANKS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dcipher._results.parsing.text_reader import ByteReader

__all__ = ["BLOCK", "DoubtError", "array_blocks", "line_blocks"]

BLOCK = 1 << 20
"""Bytes of text that are read at once: with fewer, pyarrow's reader is slower."""

_MAX_DEPTH = (
    150  # Pydantic's parser accepts about 200; pyarrow's crashes the process at some thousand
)
_FIRST = 1 << 15  # characters of the first block, which detects unsuitable rows early
_MAX_HELD = 1 << 26  # characters without a boundary
_TRIES = 16  # boundaries that are tried

_NOT_OPENERS = bytes(set(range(256)) - set(b"[{\n"))
_NOT_BRACKETS = bytes(set(range(256)) - set(b'"[]{}'))
_NOT_BRACKETS_OR_ESCAPES = bytes(set(range(256)) - set(b'"[]{}\\/bfnrtu'))
_BRACKETS = b"]}" + BLANKS
_CLOSERS = re.compile(rb"[\]} \t\n\r]{1,16}\Z")
_NEXT = re.compile(rb'[ \t\n\r]*,[ \t\n\r]*{(?:[ \t\n\r]*"[^"\\]{0,64}"[ \t\n\r]*:)?')


class DoubtError(Exception):
    """Another parser may read this differently from ours."""


def line_blocks(source: ByteReader) -> Iterator[bytes]:
    """Yields NDJSON in blocks of lines, each of which is an object."""
    is_first = True
    for _, block in source.blocks(BLOCK):
        lines = block.strip(BLANKS)
        if not lines:
            continue
        if not _is_object_each(lines):
            kept = (line.strip(BLANKS) for line in lines.split(b"\n"))
            lines = b"\n".join(filter(None, kept))
            if not _is_object_each(lines):
                raise DoubtError
        _check_depth(lines)
        cut = lines.find(b"\n", _FIRST) if is_first else -1
        is_first = False
        yield from [lines] if cut < 0 else [lines[:cut], lines[cut + 1 :]]


def _is_object_each(lines: bytes) -> bool:
    # A value cannot continue in a line that begins with a brace after a line that ends with one: there
    # would be a comma. So each line is complete, and equal numbers mean one value per line.
    ends = lines.count(b"}\n{")
    return lines[:1] == b"{" and lines[-1:] == b"}" and ends == lines.count(b"\n")


def array_blocks(source: ByteReader) -> Iterator[bytes]:
    """Yields the objects of a JSON array in blocks of comma-separated elements."""
    held = b""
    while not held and (piece := source.read()):
        held = piece.lstrip(BLANKS)
    if not held.startswith(b"["):
        raise DoubtError
    held, seam = held[1:], b""
    while piece := source.read(max(BLOCK, len(held))):
        held = (held + piece).lstrip(BLANKS)
        limits = [len(held)]
        if not seam:
            seam, limits = _first_seam(held), [_FIRST, len(held)]
        for limit in limits:
            if seam and (cut := _last_cut(held[:limit], seam)):
                yield held[:cut]
                held = held[cut:].lstrip(BLANKS)[1:]  # without the comma
        if len(held) > _MAX_HELD:
            raise DoubtError
    held = held.strip(BLANKS)
    if not held.endswith(b"]"):
        raise DoubtError
    if last := held[:-1].strip(BLANKS):
        if not _is_balanced(last):
            raise DoubtError
        yield last


def _first_seam(text: bytes) -> bytes:
    """Returns the text from the last brackets of the first element to the first key of the second one."""
    with suppress(ValueError, RecursionError):
        # One byte is one character, which is all that brackets and quotes need.
        end = json.JSONDecoder().raw_decode(text.lstrip(BLANKS).decode("latin-1"))[1]
        end += len(text) - len(text.lstrip(BLANKS))
        closers, following = _CLOSERS.search(text[:end]), _NEXT.match(text, end)
        if closers and following:
            return closers[0] + following[0]
    return b""


def _last_cut(text: bytes, seam: bytes) -> int:
    """Returns the end of the last complete element that is followed by another one, or 0."""
    brackets = len(seam) - len(seam.lstrip(_BRACKETS))
    end = len(text)
    for _ in range(_TRIES):
        end = text.rfind(seam, 0, end)
        if end < 0:
            return 0
        # An element, or text, may contain the same.
        if _is_balanced(text[: end + brackets]):
            return end + brackets
    return 0


def _check_depth(lines: bytes) -> None:
    # The number of opening brackets is an upper bound of the depth.
    deepest = max(map(len, lines.translate(None, _NOT_OPENERS).split(b"\n")))
    if deepest > _MAX_DEPTH and not _is_balanced(lines):
        raise DoubtError


def _is_balanced(text: bytes) -> bool:
    """Returns whether all brackets outside of strings are closed, and not nested too deeply."""
    if b"\\" in text:
        # With every escape (RFC 8259, section 7), so that no replacement joins two others.
        text = text.translate(None, _NOT_BRACKETS_OR_ESCAPES)
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    # Two adjacent quotes enclose no bracket, or are between two strings: removing them does not change
    # whether another character is inside of a string.
    marks = text.translate(None, _NOT_BRACKETS).replace(b'""', b"")
    if b'"' in marks:
        marks = b"".join(marks.split(b'"')[::2])
    for _ in range(_MAX_DEPTH):
        if not marks:
            return True
        marks = marks.replace(b"{}", b"").replace(b"[]", b"")
    return not marks
