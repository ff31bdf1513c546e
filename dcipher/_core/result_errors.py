"""What is wrong with a result: its errors, and the rows that do not fit.

No text here holds a value of the document, only the names of its fields, cleaned and cut.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, TypedDict, cast, get_args

from pydantic_core import PydanticKnownError
from pydantic_core.core_schema import ErrorType
from typing_extensions import override

from .text import clean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

__all__ = [
    "ErrorDetail",
    "InvalidRow",
    "JSONText",
    "Location",
    "ResultReadError",
    "ResultSyntaxError",
    "ResultTypeError",
    "details_of",
    "message_of",
    "path_of",
    "shown_name",
    "type_error",
]

Location = tuple[int | str, ...]

_NAME = 64  # characters of a field's name that are shown
_LONG = 2000  # characters of a validator's message, or of a value, that are looked at
_LEAVES = 200  # values of one input that are masked
_DETAILS = 100  # errors of one row, or one document, that are kept


class ErrorDetail(TypedDict):
    """One thing that does not fit: where inside the row or document, which kind, in words."""

    loc: Location
    type: str
    msg: str


class ResultReadError(ValueError):
    """A result cannot be read as asked; ``location`` says where, ``message`` why.

    ``row`` is the row's number in the data, from 0, and ``line`` the line of the file that it begins
    in, from 1; None where there is none. Neither text holds a value of the document, only the names
    of its fields.
    """

    def __init__(
        self,
        location: str,
        message: str,
        errors: Sequence[ErrorDetail] = (),
        *,
        row: int | None = None,
        line: int | None = None,
    ) -> None:
        self.location: str = location
        self.message: str = message
        self.errors: tuple[ErrorDetail, ...] = tuple(errors)
        self.row: int | None = row
        self.line: int | None = line
        super().__init__(location, message, self.errors)  # what pickling calls it with again

    @override
    def __str__(self) -> str:
        # Both are named, unless the location itself does: `[3].name`, `row 3, column name`.
        named = self.row is None or self.location.startswith("row ")
        counted = [] if named else [f"row {self.row}"]
        counted += [] if self.line is None else [f"line {self.line}"]
        where = f" ({', '.join(counted)})" if counted else ""
        return f"{self.location}{where}: {self.message}"


class ResultSyntaxError(ResultReadError):
    """The document is not what its format asks for: cut off, damaged, or another format."""


class ResultTypeError(ResultReadError):
    """The document is well-formed, and does not fit the type; ``errors`` has up to 100 reasons."""


class JSONText(str):
    """A row as it stands in the document, not parsed yet: few ever ask for it."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class InvalidRow:
    """A row that does not fit: its ``number`` from 0, the place of its first error, every error."""

    number: int
    location: str
    errors: tuple[ErrorDetail, ...]
    raw: object = field(default=None, compare=False, repr=False)
    """The row as it was read: a `JSONText`, or what the cells say."""
    line: int | None = None
    """The line of the file that the row begins in, from 1, where there are lines."""

    def error(self) -> ResultTypeError:
        """The same as an exception."""
        return _refusal(self.location, self.errors, row=self.number, line=self.line)


def type_error(error: ValidationError) -> ResultTypeError:
    """What to raise for a document that its type refuses."""
    details = details_of(error)
    return _refusal(path_of(details[0]["loc"]).removeprefix(".") or "document", details)


def _refusal(
    location: str,
    details: Sequence[ErrorDetail],
    *,
    row: int | None = None,
    line: int | None = None,
) -> ResultTypeError:
    more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
    return ResultTypeError(location, details[0]["msg"] + more, details, row=row, line=line)


def details_of(error: ValidationError) -> tuple[ErrorDetail, ...]:
    """The first hundred of what Pydantic found, without a value."""
    found = error.errors(include_url=False)[:_DETAILS]
    return tuple(
        ErrorDetail(loc=tuple(map(shown_name, e["loc"])), type=e["type"], msg=message_of(e))
        for e in found
    )


def shown_name(part: int | str) -> int | str:
    """A part of a location, fit to be shown: a name is the document's own, of any length."""
    return part if isinstance(part, int) else clean(part, _NAME)


def path_of(loc: Sequence[int | str]) -> str:
    """A location as one writes it, `.topics[3].name`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)


# What the type says of itself. Everything else in the context of an error may be made of the input:
# the tag of a union, a character of a UUID, a byte of a base64, another library's own message.
_OF_THE_TYPE = frozenset(
    {
        *("gt", "ge", "lt", "le", "multiple_of", "max_digits", "decimal_places", "whole_digits"),
        *("min_length", "max_length", "actual_length", "expected_plural", "field_type", "pattern"),
        *("expected", "expected_schemes", "expected_tags", "expected_version", "tz_expected"),
        *("class", "class_name", "method_name", "discriminator", "encoding"),
    }
)
_OWN_TYPES = frozenset(cast("tuple[str, ...]", get_args(ErrorType)))
_LEFT_OUT = re.compile(r"(?:, (?:error:|got)|[,:]) …\Z")
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


def message_of(error: ErrorDetails) -> str:
    """What Pydantic says of an error, without what may be a part of the input.

    The message of a validator is the user's own text: only what it quotes of the input is masked.
    """
    context = error.get("ctx", {})
    kind = error["type"]
    if kind not in _OWN_TYPES or kind in {"value_error", "assertion_error"}:
        return clean(_masked(error["msg"], cast("object", error["input"])))
    if context.keys() <= _OF_THE_TYPE:
        return clean(error["msg"])
    try:
        template = PydanticKnownError(cast("ErrorType", kind), context).message_template
    except (TypeError, ValueError):  # a context that Pydantic itself does not take
        return kind.replace("_", " ")
    known = {name: context[name] for name in context.keys() & _OF_THE_TYPE}
    filled = _PLACEHOLDER.sub(lambda found: str(known.get(found[1], "…")), template)
    return clean(_LEFT_OUT.sub("", filled))


# What a message quotes: between marks, or behind its last colon.
_QUOTED = (re.compile(r"(['\"`])(.+?)\1", re.DOTALL), re.compile(r"(: )([^:]*\S)\Z"))


def _masked(text: str, value: object) -> str:
    text = text[:_LONG]
    leaves = [*islice(_leaves(value), _LEAVES)]
    shown = {way for leaf in leaves for way in _ways(leaf) if way}
    for way in sorted(shown, key=len, reverse=True):  # one may begin with another
        # A short one would hit the message's own words, unless it stands alone.
        pattern = re.escape(way) if len(way) > 2 else rf"(?<!\w){re.escape(way)}(?!\w)"
        text = re.sub(pattern, "…", text, flags=re.IGNORECASE)

    def unquoted(found: re.Match[str]) -> str:
        """A part of the input, too: strptime says which characters remain."""
        part = found[2]
        return found[0].replace(part, "…") if any(part in leaf for leaf in leaves) else found[0]

    for quoted in _QUOTED:
        text = quoted.sub(unquoted, text)
    return text


def _leaves(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        value = list(cast("Mapping[object, object]", value).values())
    if isinstance(value, (list, tuple, set, frozenset)):
        for one in cast("Sequence[object]", value):
            yield from _leaves(one)
    elif value is not None and not isinstance(value, bool):
        yield str(value)[:_LONG]


def _ways(leaf: str) -> tuple[str, ...]:
    # A validator may strip what it quotes, or show it as Python or JSON writes it.
    return leaf, leaf.strip(), repr(leaf)[1:-1], json.dumps(leaf)[1:-1]
