"""Iterates over the rows of the input in constant memory."""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, Iterable, Iterator, Mapping, Sized
from itertools import chain
from typing import Any, Final

from dcipher._extras.libraries import library
from dcipher._masking.text import with_article
from dcipher.errors import InvalidParamsError
from dcipher.errors._hints import with_hint

__all__ = ["check_rows", "is_known_whole", "rows_of"]

CHUNK: Final = 500
"""Rows of an Arrow batch that are converted to Python objects at a time."""

_UNNAMED_INDEX = re.compile(r"__index_level_[0-9]+__\Z")


def check_rows(rows: object) -> Any:
    """Returns the rows. Raises `InvalidParamsError` if they cannot be iterated over."""
    kind = with_article(type(rows).__name__)
    if hasattr(rows, "__arrow_c_stream__"):
        library("pyarrow", "arrow")
        return rows
    is_iterable = isinstance(rows, (Iterable, AsyncIterable))
    if is_iterable and not isinstance(rows, (str, bytes, Mapping)):
        return rows
    raise with_hint(
        InvalidParamsError(f"rows is {kind}."),
        "Pass a list of rows, an iterator, or a table of pandas, polars or pyarrow.",
    )


def is_known_whole(rows: object) -> bool:
    """Returns whether all rows are in memory, so that they can be checked before the first run."""
    return isinstance(rows, Sized) and not isinstance(rows, Iterator)


def rows_of(rows: Any) -> Iterator[object]:
    """Iterates over the rows; those of an Arrow stream come batch by batch."""
    if not hasattr(rows, "__arrow_c_stream__"):
        return iter(rows)
    readers = library("pyarrow", "arrow").RecordBatchReader
    try:
        reader = readers.from_stream(rows)
        names = reader.schema.names
        if len(names) != len({*names}):
            raise ValueError(names)  # noqa: TRY301 - as pandas raises it itself
    except Exception as error:  # of any library; its text may hold values
        raise InvalidParamsError(
            f"rows cannot be read as a table: {with_article(type(rows).__name__)} needs columns of "
            "different names, and of types that Arrow supports."
        ) from error
    # A pandas index without a name is not a column.
    names = [name for name in names if not _UNNAMED_INDEX.match(name)]
    batches = (batch.select(names) for batch in reader)
    slices = (batch.slice(at, CHUNK) for batch in batches for at in range(0, batch.num_rows, CHUNK))
    return chain.from_iterable(piece.to_pylist() for piece in slices)
