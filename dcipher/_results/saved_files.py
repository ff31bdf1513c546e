"""Reads a result file of this machine: as a value, row by row, as a table."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias, TypeVar, cast, overload

from typing_extensions import Self, override

from dcipher._results.local_files import LocalResult
from dcipher._results.outputs.failures import check_type
from dcipher._results.outputs.row_policy import OnInvalid, RowPolicy
from dcipher._results.parsing.row_errors import InvalidRow
from dcipher._results.rows.documents import parse_document
from dcipher._results.rows.reading import Format
from dcipher._results.tables.table import Table, check_table
from dcipher.errors import InvalidParamsError
from dcipher.rejects import Rejects

if TYPE_CHECKING:
    from typing import BinaryIO

__all__ = ["FileRecords", "read_file", "records_file", "table_file"]

T = TypeVar("T")
FileFormat: TypeAlias = Literal["json", "ndjson", "csv", "parquet"]


@overload
def read_file(path: str | os.PathLike[str], *, format: FileFormat | None = None) -> Any: ...


@overload
def read_file(
    path: str | os.PathLike[str], type_: type[T], *, format: FileFormat | None = None
) -> T: ...


@overload
def read_file(
    path: str | os.PathLike[str], type_: Any, *, format: FileFormat | None = None
) -> Any: ...


def read_file(
    path: str | os.PathLike[str],
    type_: object = Any,
    *,
    format: FileFormat | None = None,  # noqa: A002 - the field's word
) -> Any:
    """Parses a result file, and validates it as `type_`, as `client.runs.read` does.

    Args:
        path: The file, such as one of `run.files`. A gzip or Zstandard file is decompressed.
        type_: Any type that a `pydantic.TypeAdapter` accepts, such as `list[Topic]`. `bytes` returns
            the file as it is.
        format: The format. `None`: detected from the file name, or the first bytes.

    Returns:
        The content, as a `type_`.

    Raises:
        OSError: The file cannot be opened.
        ResultParseError: The file is malformed, or does not match the type.
        InvalidParamsError: Pydantic cannot validate as that type.
    """
    check_type(type_)
    with Path(path).open("rb") as file:
        if type_ is bytes:
            return file.read()
        result = _local(file, path, format)
        try:
            with result.errors():
                return parse_document(
                    result.reader().read(), cast("type[object]", type_), result.format
                )
        finally:
            result.close()


@overload
def records_file(
    path: str | os.PathLike[str],
    type_: type[T],
    *,
    on_invalid: OnInvalid = "raise",
    max_invalid: float | None = None,
    keep_raw: bool = False,
    format: FileFormat | None = None,
) -> FileRecords[T]: ...


@overload
def records_file(
    path: str | os.PathLike[str],
    type_: object = Any,
    *,
    on_invalid: OnInvalid = "raise",
    max_invalid: float | None = None,
    keep_raw: bool = False,
    format: FileFormat | None = None,
) -> FileRecords[Any]: ...


def records_file(
    path: str | os.PathLike[str],
    type_: object = Any,
    *,
    on_invalid: OnInvalid = "raise",
    max_invalid: float | None = None,
    keep_raw: bool = False,
    format: FileFormat | None = None,  # noqa: A002 - the field's word
) -> FileRecords[Any]:
    """Reads the rows of a result file one by one, each validated as `type_`, in constant memory.

    Args:
        path: The file.
        type_: The type of a row, as for `client.runs.records`.
        on_invalid: `"raise"` at the first invalid row, `"drop"` such rows and count them, or
            `"collect"` them in `.rejects`.
        max_invalid: How many invalid rows are allowed: a number (int) or a share (float).
        keep_raw: Whether `.rejects` keeps the invalid rows themselves. Needs `"collect"`.
        format: The format. `None`: detected from the file name, or the first bytes.

    Returns:
        The rows: an iterator and a context manager.

    Raises:
        OSError: The file cannot be opened.
        ResultParseError: The file is malformed; also while iterating, for a row with `"raise"`.
        TooManyInvalidRowsError: While iterating: more rows are invalid than `max_invalid` allows.
        InvalidParamsError: An argument is invalid.
    """
    check_type(type_)
    policy = RowPolicy(on_invalid, max_invalid, keep_raw=keep_raw)
    return FileRecords(Path(path), type_, policy, format)


def table_file(
    path: str | os.PathLike[str],
    type_: Any = None,
    *,
    format: FileFormat | None = None,  # noqa: A002 - the field's word
) -> Table:
    """Opens a result file as a `Table`, as `client.runs.table` does. Needs the extra `arrow`.

    Args:
        path: The file. It must stay as it is until the table is closed.
        type_: The type of a row, as for `client.runs.table`. `None`: columns that fit every row, or
            those of the Parquet file.
        format: The format. `None`: detected from the file name, or the first bytes.

    Returns:
        The table. Close it, or use it in a `with` statement.

    Raises:
        ImportError: pyarrow is not installed.
        OSError: The file cannot be opened.
        ResultParseError: The file is malformed.
        InvalidParamsError: The rows of that type cannot be a table.
    """
    check_table(type_)
    file = Path(path).open("rb")  # noqa: SIM115 - the table closes it
    try:
        return Table((_local(file, path, format).as_part(),), type_)
    except BaseException:
        file.close()
        raise


class FileRecords(Iterator[T], Generic[T]):
    """The validated rows of a result file: an iterator and a context manager.

    `dcipher.records_file` returns it. It can be iterated once. After an error, there are no more rows.
    """

    def __init__(
        self, path: Path, type_: Any, policy: RowPolicy, format_: FileFormat | None
    ) -> None:
        self._policy = policy
        self._read = 0
        self._file: BinaryIO = path.open("rb")
        try:
            self._result = _local(self._file, path, format_)
            self._rows: Iterator[Any] = self._result.rows(type_)
        except BaseException:
            self._file.close()
            raise

    @property
    def rejects(self) -> Rejects:
        """The invalid rows so far: each row with `on_invalid="collect"`, otherwise their counts."""
        return self._policy.rejects

    @override
    def __next__(self) -> T:
        try:
            for row in self._rows:
                self._read += 1
                self._policy.count(self._read)
                if not isinstance(row, InvalidRow):
                    return cast("T", row)
                with self._result.errors():
                    self._policy.raise_if_fatal(row)
                self._policy.reject(row, 0)
                self._policy.check(self._result.name)
            self._policy.check(self._result.name, at_end=True)
        except BaseException:
            self.close()
            raise
        self.close()
        raise StopIteration

    def close(self) -> None:
        """Closes the file and ends the iteration. Closing twice does nothing."""
        self._rows = iter(())
        self._result.close()
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @override
    def __repr__(self) -> str:
        return f"<FileRecords of {self._result.name}: {self.rejects.read} rows read>"


def _local(file: BinaryIO, path: str | os.PathLike[str], format_: FileFormat | None) -> LocalResult:
    if format_ is not None and format_ not in _FORMATS:
        raise InvalidParamsError(f"format must be one of {', '.join(_FORMATS)}, not {format_!r}.")
    return LocalResult(file, Path(path).name, None if format_ is None else Format(format_))


_FORMATS = ("json", "ndjson", "csv", "parquet")
