"""Writes Python source from values: no text of a service becomes code; pure."""

from __future__ import annotations

import re
import textwrap
from math import isfinite
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["WIDTH", "call_lines", "docstring_lines", "is_literal", "literal"]

WIDTH = 88
"""Columns of a line, as in most formatters."""
_INDENT = "    "


def is_literal(value: object) -> bool:
    """Returns whether a value is JSON, and can be written as source."""
    if isinstance(value, (list, tuple)):
        return all(map(is_literal, cast("Sequence[object]", value)))
    if isinstance(value, dict):
        items = cast("dict[object, object]", value).items()
        return all(isinstance(key, str) and is_literal(item) for key, item in items)
    if isinstance(value, float):
        return isfinite(value)
    return value is None or isinstance(value, (bool, int, str))


def literal(value: object) -> str:
    """Returns a JSON value as source, with the quotes that formatters prefer."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, dict):
        items = cast("dict[object, object]", value).items()
        return f"{{{', '.join(f'{literal(key)}: {literal(item)}' for key, item in items)}}}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(literal, cast('Sequence[object]', value)))}]"
    if value is ...:
        return "..."
    return repr(value).replace("e+", "e")


def _text(value: str) -> str:
    quote = '"' if value.count('"') <= value.count("'") else "'"
    text = "".join(c if c in "'\"" else repr(c)[1:-1] for c in value)
    return f"{quote}{text.replace(quote, chr(92) + quote)}{quote}"


def docstring_lines(text: str, depth: int = 1) -> Iterator[str]:
    """Yields the lines of a docstring with this text, escaped."""
    indent = _INDENT * depth
    lines = [line for part in text.strip().splitlines() for line in _wrapped(part, indent)]
    while lines and not lines[-1]:
        lines.pop()
    body = [_escaped(line) for line in lines] or [""]
    body[0] = f" {body[0]}" if body[0].startswith('"') else body[0]
    if len(body) == 1 and len(body[0]) + len(indent) + 6 <= WIDTH:
        end = " " if body[0].endswith('"') else ""
        yield f'{indent}"""{body[0]}{end}"""'
        return
    yield f'{indent}"""{body[0]}'
    yield from (f"{indent}{line}" if line else "" for line in body[1:])
    yield f'{indent}"""'


def _wrapped(line: str, indent: str) -> list[str]:
    room = WIDTH - len(indent) - 3
    return textwrap.wrap(line, room, break_long_words=False, break_on_hyphens=False) or [""]


def _escaped(line: str) -> str:
    # Quotes that could end the docstring, backslashes, and control characters.
    line = line.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    return re.sub(r"[^ -~]", _printable, line)


def _printable(found: re.Match[str]) -> str:
    character = found[0]
    return character if character.isprintable() else character.encode("unicode_escape").decode()


def call_lines(
    begin: str, arguments: Sequence[tuple[str, object]], depth: int = 1
) -> Iterator[str]:
    """Yields `begin(arguments)`, as formatters break it over lines.

    An argument is its name with `=`, or an empty text, and its value.
    """
    indent = _INDENT * depth
    given = ", ".join(f"{name}{literal(value)}" for name, value in arguments)
    if len(line := f"{indent}{begin}({given})") <= WIDTH:
        yield line
        return
    yield f"{indent}{begin}("
    if len(inner := f"{indent}{_INDENT}{given}") <= WIDTH:
        yield inner
    else:
        for name, value in arguments:
            yield from _item_lines(name, value, indent + _INDENT)
    yield f"{indent})"


def _item_lines(name: str, value: object, indent: str) -> Iterator[str]:
    line = f"{indent}{name}{literal(value)},"
    if len(line) <= WIDTH or not value or not isinstance(value, (dict, list, tuple)):
        yield line
        return
    is_dict = isinstance(value, dict)
    yield f"{indent}{name}{'{' if is_dict else '['}"
    items: list[tuple[str, object]]
    if is_dict:
        named = cast("dict[object, object]", value).items()
        items = [(f"{literal(key)}: ", item) for key, item in named]
    else:
        items = [("", item) for item in cast("Sequence[object]", value)]
    for key, item in items:
        yield from _item_lines(key, item, indent + _INDENT)
    yield f"{indent}{'}' if is_dict else ']'},"
