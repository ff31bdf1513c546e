"""Errors of a result, and its invalid rows.

No text contains a value of the document, only the names of its fields, cleaned and shortened.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePath
from traceback import walk_tb
from typing import TYPE_CHECKING, Any, TypedDict

from pydantic.errors import PydanticUserError
from typing_extensions import override

from dcipher._masking.text import clean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import TypeAdapter, ValidationError
    from pydantic_core import ErrorDetails
from dcipher._masking.validation import message_of

from .locations import without_keys

__all__ = [
    "VALIDATOR_BUGS",
    "ErrorDetail",
    "InvalidRow",
    "JSONText",
    "Location",
    "ResultReadError",
    "ResultSyntaxError",
    "ResultTypeError",
    "details_of",
    "failed_validator",
    "path_of",
    "shown_name",
    "type_error",
]


Location = tuple[int | str, ...]

_NAME = 64  # characters of a field's name that are shown
_DETAILS = 100  # errors of one row, or one document, that are kept


class ErrorDetail(TypedDict):
    """One error: its location inside the row or document, its type, and a message."""

    loc: Location
    type: str
    msg: str


class ResultReadError(ValueError):
    """A result cannot be read as requested; ``location`` is the position, ``message`` the reason.

    ``row`` is the row's number in the data, from 0, and ``line`` the line of the file that it begins
    in, from 1; None if it has none. No text contains a value of the document, only the names
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
        super().__init__(location, message, self.errors)  # the arguments for unpickling

    @override
    def __str__(self) -> str:
        # Both are named, unless the location has them: `[3].name`, `row 3, column name`.
        named = self.row is None or self.location.startswith("row ")
        counted = [] if named else [f"row {self.row}"]
        counted += [] if self.line is None else [f"line {self.line}"]
        where = f" ({', '.join(counted)})" if counted else ""
        return f"{self.location}{where}: {self.message}"


class ResultSyntaxError(ResultReadError):
    """The document violates its format: it is truncated, damaged, or of another format."""


class ResultTypeError(ResultReadError):
    """The document is well-formed, but does not match the type; ``errors`` has up to 100 reasons."""


class JSONText(str):
    """The text of a row in the document, which is parsed only on request."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class InvalidRow:
    """An invalid row: its ``number`` from 0, the location of its first error, and all errors."""

    number: int
    location: str
    errors: tuple[ErrorDetail, ...]
    raw: object = field(default=None, compare=False, repr=False)
    """The original row: a `JSONText`, or the cells."""
    line: int | None = None
    """The line of the file that the row begins in, from 1, if the format has lines."""

    def error(self) -> ResultTypeError:
        """Returns the error as an exception."""
        return _refusal(self.location, self.errors, row=self.number, line=self.line)


def type_error(
    error: ValidationError, adapter: TypeAdapter[Any], *, has_rows: bool = False
) -> ResultTypeError:
    """Returns the error for a document that does not match its type; it may be a list of rows."""
    details = details_of(error, adapter)
    loc = details[0]["loc"]
    row = loc[0] if has_rows and loc and isinstance(loc[0], int) else None
    return _refusal(path_of(loc).removeprefix(".") or "document", details, row=row)


def _refusal(
    location: str,
    details: Sequence[ErrorDetail],
    *,
    row: int | None = None,
    line: int | None = None,
) -> ResultTypeError:
    more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
    return ResultTypeError(location, details[0]["msg"] + more, details, row=row, line=line)


VALIDATOR_BUGS = (LookupError, ArithmeticError, AttributeError, TypeError)
"""Exceptions of a defective validator of the user.

For Pydantic, ValueError and AssertionError are validation errors. It propagates all others.
"""


_OURS = frozenset({"dcipher", "pydantic"})  # between the reader and the user's function


def failed_validator(
    error: Exception, row: int | None = None, line: int | None = None
) -> ResultTypeError:
    """Returns the error for one of `VALIDATOR_BUGS`, with its location, but without its text.

    The text may be a value of the document (`{}[value]`). An error of the type itself is raised.
    """
    if isinstance(error, PydanticUserError):
        raise error
    place = ""
    for frame, number in walk_tb(error.__traceback__):
        if frame.f_globals.get("__name__", "").partition(".")[0] not in _OURS:
            place = f" ({PurePath(frame.f_code.co_filename).name}, line {number})"
            break
    why = f"a validator raised {type(error).__name__}{place}, which is not a ValueError"
    return ResultTypeError("document" if row is None else f"row {row}", why, row=row, line=line)


def details_of(
    error: ValidationError, adapter: TypeAdapter[Any], *, columns: int = 0
) -> tuple[ErrorDetail, ...]:
    """Returns the first hundred errors of Pydantic, without values.

    `columns`: how many parts of a location are names of columns, and no keys of a mapping.
    """
    found = error.errors(include_url=False)[:_DETAILS]
    return tuple(
        ErrorDetail(loc=_shown(e, adapter, columns), type=e["type"], msg=message_of(e))
        for e in found
    )


def _shown(error: ErrorDetails, adapter: TypeAdapter[Any], columns: int) -> Location:
    loc = error["loc"]
    last = loc[-1:] if error["type"] == "extra_forbidden" else ()  # the name itself is invalid
    parts = without_keys(adapter, loc[: len(loc) - len(last)], columns)
    return tuple(map(shown_name, (*parts, *last)))


def shown_name(part: int | str) -> int | str:
    """Returns a part of a location for display: a name from the document may have any length."""
    return part if isinstance(part, int) else clean(part, _NAME)


def path_of(loc: Sequence[int | str]) -> str:
    """Formats a location: `.topics[3].name`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)
