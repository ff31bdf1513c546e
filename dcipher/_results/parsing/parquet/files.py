"""Parquet files, opened and read in batches: one reader for rows and for tables."""

from __future__ import annotations

import tempfile
import weakref
from base64 import b64decode
from contextlib import contextmanager, suppress
from importlib import import_module
from shutil import copyfileobj
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from dcipher._extras.installation import install
from dcipher._results.parsing.row_errors import ResultSyntaxError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    from dcipher._results.parsing.compression import Readable

__all__ = ["MAGIC", "ParquetFile"]

MAGIC = b"PAR1"

_BUFFER = 1 << 16  # bytes of each column; without one, pyarrow reads all of a row group
_ROWS = 1024  # of a batch; more take no less time
_BYTES = 1 << 19  # of a batch, about
_OF_COLUMN = 1 << 13  # bytes of a column in a batch, at least: each takes time
_SPOOLED = 8 << 20  # bytes of a decompressed file that stay in memory


class ParquetFile:
    """A Parquet file that is open, with pyarrow.

    Parquet is read from its end, so a file that cannot seek, such as a compressed one, is first copied to a
    temporary file.

    Raises `ResultSyntaxError` if pyarrow is not installed, or cannot read the file.
    """

    def __init__(self, file: Readable) -> None:
        try:
            # By name: its types are incomplete.
            pyarrow: Any = import_module("pyarrow")
            parquet: Any = import_module("pyarrow.parquet")
        except ImportError:
            raise ResultSyntaxError(
                "document", f"is Parquet: {install('arrow')}, or read it as bytes"
            ) from None
        if not hasattr(file, "seek"):
            file = copy = _copied(file)
            _ = weakref.finalize(self, copy.close)
        with _errors("it is not a Parquet file, or its end is missing"):
            source = pyarrow.PythonFile(file, mode="r")
            self._file: Any = parquet.ParquetFile(source, buffer_size=_BUFFER, pre_buffer=False)
            self.schema: Any = self._file.schema_arrow
            self.written_schema: Any = _written(self._file.metadata.metadata, self.schema, pyarrow)
            """The same, with the metadata of every field."""
            self.num_rows: int = self._file.metadata.num_rows
            self.has_dictionary: bool = any("dictionary<" in str(one) for one in self.schema.types)

    def batches(self, size: int) -> Iterator[Any]:
        """Yields the rows as `pyarrow.RecordBatch`es of at most `size` rows, and of about 512 KiB.

        The metadata has the bytes of a row as they are encoded, which are few if values repeat.
        So the first batch has one row, and the size of a batch determines the number of rows of the
        next one. A batch with a dictionary repeats it, and has as many rows as the metadata permits.
        """
        if not self._file.num_row_groups:
            return  # pyarrow 18 would search for the last one
        nbytes = max(_BYTES, _OF_COLUMN * len(self.schema))
        most = min(size, self._rows_within(nbytes))
        rows = most if self.has_dictionary else 1
        with _errors():
            batches: Iterator[Any] = self._file.iter_batches(batch_size=rows, use_threads=False)
        while True:
            with _errors():
                self._file.reader.set_batch_size(rows)
                batch = next(batches, None)
            if batch is None:
                return
            if not self.has_dictionary:
                fitting = nbytes * batch.num_rows // max(batch.nbytes, 1)
                rows = max(1, min(most, _ROWS, fitting, 4 * rows))
            yield batch

    def _rows_within(self, nbytes: int) -> int:
        """Returns the number of encoded rows within some bytes, in the row group with the longest rows."""
        metadata = self._file.metadata
        groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
        rows = [nbytes * g.num_rows // max(g.total_byte_size, 1) for g in groups if g.num_rows]
        return max(1, min(rows, default=1))


def _written(metadata: Mapping[bytes, bytes] | None, schema: Any, pyarrow: Any) -> Any:
    # pyarrow 22 returns no metadata for the fields of a map, although it writes it; other writers do not.
    stored = (metadata or {}).get(b"ARROW:schema")
    if stored is not None:
        with suppress(ValueError, pyarrow.ArrowException, OSError):
            found: Any = pyarrow.ipc.read_schema(pyarrow.py_buffer(b64decode(stored)))
            if found.equals(schema):
                return found
    return schema


def _copied(file: Readable) -> BinaryIO:
    spool = tempfile.SpooledTemporaryFile(_SPOOLED)  # noqa: SIM115 - its reader closes it
    copyfileobj(cast("BinaryIO", cast("object", file)), spool)
    spool.seek(0)
    return cast("BinaryIO", cast("object", spool))


@contextmanager
def _errors(otherwise: str = "it is damaged") -> Generator[None]:
    # pyarrow raises its ArrowInvalid (a ValueError), ArrowNotImplementedError, OSError and more;
    # its texts may quote the content of the file.
    try:
        yield
    except (ResultSyntaxError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001
        why = otherwise
        if "crypt" in str(error):
            why = "it is encrypted, and there is no key to read it with"
        elif isinstance(error, NotImplementedError):
            why = "it has a type that pyarrow does not support"
        message = f"is not a readable Parquet file: {why}"
        raise ResultSyntaxError("document", message) from None
