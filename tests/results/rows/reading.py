"""Helpers that read rows."""

from __future__ import annotations

import io
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from dcipher._results.parsing import text_reader as result_text
from dcipher._results.parsing.row_errors import ResultSyntaxError
from dcipher._results.rows.reading import Format, iter_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

BOM = b"\xef\xbb\xbf"


class Topic(BaseModel):
    name: str
    score: float


def read(body: bytes, type_: Any = Any, format_: Format = Format.JSON) -> list[Any]:
    return list(iter_rows(io.BytesIO(body), type_, format_))


def read_until_error(
    body: bytes, type_: Any = Any, format_: Format = Format.JSON
) -> tuple[list[Any], ResultSyntaxError | None]:
    found: list[Any] = []
    try:
        for row in iter_rows(io.BytesIO(body), type_, format_):
            found.append(row)  # noqa: PERF402 - those before the error are what is asked for
    except ResultSyntaxError as error:
        return found, error
    return found, None


@contextmanager
def in_chunks(size: int) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(result_text, "_CHUNK", size)
        yield
