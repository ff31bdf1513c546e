"""A local result file, whose rows are read as those of a run's results."""

from __future__ import annotations

import io
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar, cast

from typing_extensions import override

from dcipher._files.storage_errors import storage_errors
from dcipher._masking.text import clean
from dcipher._results.outputs.failures import HEAD, check_type, type_errors
from dcipher._results.outputs.temporary_files import StoredFile
from dcipher._results.parsing.compression import is_compressed, opened
from dcipher._results.parsing.csv.rows import csv_header
from dcipher._results.parsing.row_errors import ResultReadError, ResultSyntaxError
from dcipher._results.parsing.text_reader import TextReader
from dcipher._results.rows.documents import detect_format
from dcipher._results.rows.reading import Format, iter_rows, iter_texts
from dcipher.errors import LocalStorageError, ResultParseError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from contextlib import AbstractContextManager

    from typing_extensions import Buffer

    from dcipher._results.parsing.compression import Readable
    from dcipher._results.parsing.row_errors import InvalidRow, JSONText

__all__ = ["FilePart", "LocalResult"]

T = TypeVar("T")

_PIECE = 1024 * 1024


class LocalResult:
    """An open result file. `rows(type_)` reads it from its beginning.

    The format is detected from its name, else from its first bytes. If a pipe or a compressed file
    has to be read twice, it is copied to a temporary file.

    Args:
        file: Open for reading bytes, at its beginning. It stays open.
        name: The name in errors. Its suffix determines the format.
        format_: The format, which takes precedence over the name and the bytes.

    Raises:
        ResultParseError: The file is empty, and its format is not known.
    """

    def __init__(self, file: BinaryIO, name: str, format_: Format | None = None) -> None:
        self.name: str = name
        once = not file.seekable()
        self._file: BinaryIO = cast("BinaryIO", cast("object", _Once(file))) if once else file
        self._stored: StoredFile | None = None
        with self.errors():
            head = self._file.read(HEAD)
            self._needs_copy: bool = once or is_compressed(head)
            self.format: Format = format_ or detect_format(None, name, head, self._whole)
            if not head and self.format is Format.BINARY:
                raise ResultSyntaxError("document", "is empty")

    def rows(self, type_: type[T]) -> Iterator[T | InvalidRow]:
        """Yields each row, validated as `type_`, or as an `InvalidRow`, as `iter_rows` does.

        Raises:
            InvalidParamsError: Pydantic does not support the type.
            ResultParseError: Also during iteration: the file is malformed.
        """
        check_type(type_)
        return self._rows(type_)

    def _rows(self, type_: type[T]) -> Iterator[T | InvalidRow]:
        with self.errors():
            source = self.reader() if self.format is Format.PARQUET else self._from_start()
            yield from iter_rows(source, type_, self.format)

    def texts(self) -> Iterator[JSONText | InvalidRow]:
        """Yields each row of JSON or NDJSON as its original text.

        Raises `ResultParseError` during iteration, if it is not JSON.
        """
        with self.errors():
            yield from iter_texts(self._from_start(), self.format)

    def header(self) -> list[str]:
        """Returns the names of the columns of a CSV file. Raises `ResultParseError`."""
        with self.errors():
            return csv_header(TextReader(opened(self._from_start())))

    def reader(self) -> BinaryIO:
        """Returns the decompressed file at its beginning, seekable, for one reader at a time."""
        if self._needs_copy and self._stored is None:
            with self.errors():
                self._stored = _copied(opened(self._from_start()))
        return self._from_start()

    def as_part(self) -> FilePart:
        """Returns the file as a part of a table, which closes it; several may read it concurrently."""
        if not self._needs_copy:
            return FilePart(self, StoredFile(self._file))
        _ = self.reader()
        self._file.close()
        return FilePart(self, cast("StoredFile", self._stored))

    def close(self) -> None:
        """Removes the temporary copy, if there is one."""
        if self._stored is not None:
            self._stored.close()

    @contextmanager
    def errors(self) -> Generator[None]:
        """Converts errors of the file or the disk to a `ResultParseError`, without values of the file."""
        try:
            with type_errors():
                yield
        except ResultReadError as error:
            raise ResultParseError(
                f"{clean(self.name)} cannot be read: {error}.",
                location=error.location,
                errors=tuple(dict(detail) for detail in error.errors),
                row=error.row,
                line=error.line,
            ) from None
        except LocalStorageError:  # the temporary copy
            raise
        except OSError as error:
            raise ResultParseError(
                f"{clean(self.name)} cannot be read: {error.strerror or error}."
            ) from error

    def _whole(self) -> Readable:
        return self.reader() if self._needs_copy else self._from_start()

    def _from_start(self) -> BinaryIO:
        if self._stored is not None:
            return cast("BinaryIO", cast("object", self._stored.reader()))
        self._file.seek(0)
        return self._file


@dataclass(frozen=True)
class FilePart:
    """A result file as a part of a table."""

    result: LocalResult
    stored: StoredFile

    @property
    def name(self) -> str:
        """The name, for errors."""
        return self.result.name

    @property
    def format(self) -> Format:
        """The format of the rows."""
        return self.result.format

    def reader(self) -> BinaryIO:
        """Returns an independent reader, at the beginning."""
        return cast("BinaryIO", cast("object", self.stored.reader()))

    def errors(self) -> AbstractContextManager[None]:
        """Converts errors of the file to a `ResultParseError`."""
        return self.result.errors()

    def close(self) -> None:
        """Closes the file."""
        self.stored.close()


def _copied(source: Readable) -> StoredFile:
    stored = StoredFile()
    while piece := source.read(_PIECE):
        with storage_errors(Path("the temporary folder")):
            stored.file.write(piece)
    return stored


class _Once(io.RawIOBase):
    """A stream with a buffered beginning, to which one can seek until more has been read."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file = file
        self._head = file.read(HEAD)
        self._place = 0

    @override
    def readable(self) -> bool:
        return True

    @override
    def readinto(self, buffer: Buffer, /) -> int:
        view = memoryview(buffer).cast("B")
        data = self._head[self._place : self._place + len(view)] or self._file.read(len(view))
        view[: len(data)] = data
        self._place += len(data)
        return len(data)

    @override
    def tell(self) -> int:
        return self._place

    @override
    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        place = offset + (self._place if whence == io.SEEK_CUR else 0)
        if whence == io.SEEK_END or max(place, self._place) > len(self._head):
            raise io.UnsupportedOperation("it comes once")
        self._place = place
        return place
