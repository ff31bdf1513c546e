"""Validates the rows of a state folder: SQLite permits any value in any column."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NamedTuple, TypeVar

from pydantic import ConfigDict, Field, JsonValue, TypeAdapter, ValidationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "PARAMS",
    "PATHS",
    "RESULT",
    "RUN",
    "START",
    "ResultRow",
    "RunRow",
    "StartRow",
    "checked",
    "parsed",
    "whole",
]

T = TypeVar("T")

# The range of datetime.
_Time = Annotated[float, Field(ge=0, lt=253402300800, allow_inf_nan=False)]
_Digest = Annotated[bytes, Field(min_length=32, max_length=32)]
_Count = Annotated[int, Field(ge=0, lt=2**31)]


class RunRow(NamedTuple):
    """A row of the table `runs`."""

    task_id: Annotated[str, Field(min_length=1)]
    flow_id: str
    params: str
    idempotency_key: str | None
    identity: Annotated[str, Field(pattern=r"/[0-9a-f]{64}/[0-9]{1,18}$")]
    outputs: Annotated[int, Field(ge=1, lt=2**31)]
    created_at: _Time
    status: Literal["PENDING", "QUEUED", "RUNNING", "SUCCEEDED", "FAILED"]
    message: str | None
    started_at: _Time | None
    finished_at: _Time | None
    urls_expired: Annotated[int, Field(ge=0, le=1)]


class ResultRow(NamedTuple):
    """A row of the table `results`."""

    place: _Count
    content_type: str
    sha256: _Digest
    modified: _Time


class StartRow(NamedTuple):
    """A row of the table `starts`."""

    flow_id: str
    key: str
    digest: _Digest
    task_id: str
    paths: str


RUN: Final = TypeAdapter(RunRow)
RESULT: Final = TypeAdapter(ResultRow)
START: Final = TypeAdapter(StartRow)
PARAMS: Final = TypeAdapter(dict[str, JsonValue])
PATHS: Final = TypeAdapter(tuple[str, ...], config=ConfigDict(strict=True))


def checked(table: str, adapter: TypeAdapter[T], rows: Iterable[tuple[Any, ...]]) -> Iterator[T]:
    """Yields validated rows. Raises a `ValueError` with table, row and column, but no value."""
    for number, row in enumerate(rows, 1):
        try:
            yield adapter.validate_python(row, strict=True)
        except ValidationError as error:
            where = error.errors(include_input=False, include_url=False)[0]["loc"][0]
            fields = getattr(adapter._type, "_fields", ())  # noqa: SLF001
            column = fields[where] if isinstance(where, int) else where
            raise ValueError(f"row {number} of its table {table} has a bad {column}") from None


def parsed(table: str, column: str, adapter: TypeAdapter[T], text: str) -> T:
    """Parses the JSON of a column. Raises a `ValueError` with table and column."""
    try:
        return adapter.validate_json(text)
    except ValidationError:
        raise ValueError(f"a row of its table {table} has a bad {column}") from None


def whole(content: bytes, row: ResultRow) -> bytes:
    """Returns the bytes of a result. Raises `ValueError` if their digest differs."""
    if hashlib.sha256(content).digest() != row.sha256:
        raise ValueError("a row of its table pieces has a bad content")
    return content
