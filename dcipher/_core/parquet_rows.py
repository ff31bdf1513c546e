"""The rows of a Parquet file, each validated as a type, in batches that do not grow with the file."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from .adapters import is_sequence
from .result_errors import InvalidRow, ResultSyntaxError, details_of, path_of
from .text import clean

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from .compression import Readable

__all__ = ["MAGIC", "parquet_rows"]

T = TypeVar("T")

MAGIC = b"PAR1"

_BATCH = 1024  # rows that are decoded at once
_BUFFER = 1 << 20  # bytes of each column; without one, pyarrow reads all of a row group


def parquet_rows(
    file: Readable, type_: type[T], adapter: TypeAdapter[T]
) -> Iterator[T | InvalidRow]:
    """The rows, each a mapping by column to Python's values; for a list or tuple type its cells."""
    for number, row in enumerate(_rows(file, as_cells=is_sequence(type_))):
        try:
            value = adapter.validator.validate_python(row)
        except ValidationError as error:
            details = details_of(error)
            yield InvalidRow(number, f"[{number}]{path_of(details[0]['loc'])}", details, row)
        else:
            yield value


def _rows(file: Readable, *, as_cells: bool) -> Iterator[list[Any] | dict[str, Any]]:
    try:
        # By name: its types are incomplete.
        pyarrow: Any = import_module("pyarrow")
        parquet: Any = import_module("pyarrow.parquet")
    except ImportError:
        raise ResultSyntaxError(
            "document", "is Parquet: pip install 'dcipher[arrow]', or read it as bytes"
        ) from None
    if not hasattr(file, "seek"):
        raise ResultSyntaxError("document", "is Parquet inside a compressed file: read it as bytes")
    with _errors():
        source = pyarrow.PythonFile(file, mode="r")
        document = parquet.ParquetFile(source, buffer_size=_BUFFER, pre_buffer=False)
        names: list[str] = document.schema_arrow.names
        _refuse_repeated(names, as_cells=as_cells)
        if not document.num_row_groups:
            return  # pyarrow 18 would look for the last of them
        batches: Iterator[Any] = document.iter_batches(batch_size=_BATCH, use_threads=False)
    while True:
        with _errors():
            batch = next(batches, None)
            if batch is None:
                return
            rows: list[Any] = _cells(batch) if as_cells else batch.to_pylist()
        yield from rows


def _cells(batch: Any) -> list[list[Any]]:
    return list(map(list, zip(*(column.to_pylist() for column in batch.columns), strict=True)))


def _refuse_repeated(names: list[str], *, as_cells: bool) -> None:
    repeated = [name for name, times in Counter(names).items() if times > 1]
    if repeated and not as_cells:
        shown = clean(", ".join(map(repr, repeated)))
        raise ResultSyntaxError("header", f"columns repeat, read rows as list[Any]: {shown}")


@contextmanager
def _errors() -> Generator[None]:
    # pyarrow raises its ArrowInvalid (a ValueError), ArrowNotImplementedError, OSError and more.
    try:
        yield
    except (ResultSyntaxError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001
        message = f"is no Parquet that can be read: {clean(str(error))}"
        raise ResultSyntaxError("document", message) from None
