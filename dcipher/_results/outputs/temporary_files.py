"""A downloaded result in a temporary file with several concurrent readers."""

from __future__ import annotations

import io
import tempfile
import weakref
from threading import Lock
from typing import TYPE_CHECKING, BinaryIO, cast

from typing_extensions import override

from dcipher._results.parsing.compression import opened
from dcipher.errors import DcipherError
from dcipher.errors._hints import with_hint

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["StoredFile"]

_PIECE = 1024 * 1024
SPOOLED = 8 * 1024 * 1024
"""Bytes that are kept in memory. A larger result is written to the disk."""


class StoredFile:
    """Bytes that are removed when they are closed or garbage-collected."""

    def __init__(self, file: BinaryIO | None = None) -> None:
        """Receives the file with the bytes, which is closed with this; by default, a temporary one."""
        if file is None:
            # Without a name in the folder, if the system supports that: it does not even survive
            # kill -9.
            spool = tempfile.SpooledTemporaryFile(SPOOLED)  # noqa: SIM115 - closed by `close`
            file = cast("BinaryIO", cast("object", spool))
        self.file: BinaryIO = file
        self._lock = Lock()
        self._closer = weakref.finalize(self, file.close)

    @property
    def closed(self) -> bool:
        """Whether they have been removed."""
        return not self._closer.alive

    def close(self) -> None:
        """Removes them. Closing twice does nothing."""
        with self._lock:
            self._closer()

    @classmethod
    def expanded(cls, file: BinaryIO) -> StoredFile:
        """Decompresses a file into a new one."""
        found = cls()
        file.seek(0)
        source = opened(file)
        while piece := source.read(_PIECE):
            found.file.write(piece)
        return found

    def decompressed(self) -> StoredFile:
        """Decompresses this file into a new one, and closes this one."""
        found = self.expanded(self.file)
        self.close()
        return found

    def read_at(self, place: int, size: int) -> bytes:
        """Returns up to `size` bytes from an offset; none at the end."""
        with self._lock:
            if self.closed:
                raise with_hint(DcipherError("This table is closed."), "Open another one.")
            self.file.seek(place)
            return self.file.read(size)

    def size(self) -> int:
        """Returns the number of bytes."""
        with self._lock:
            return self.file.seek(0, io.SEEK_END)

    def reader(self) -> Reader:
        """Returns a reader, at the beginning."""
        return Reader(self)


class Reader(io.RawIOBase):
    """A reader of a stored file, which is kept as long as a reader exists."""

    def __init__(self, stored: StoredFile) -> None:
        super().__init__()
        self._stored = stored
        self._place = 0

    @override
    def readable(self) -> bool:
        return True

    @override
    def seekable(self) -> bool:
        return True

    @override
    def tell(self) -> int:
        return self._place

    @override
    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place}.get(whence)
        self._place = (self._stored.size() if base is None else base) + offset
        return self._place

    @override
    def readinto(self, buffer: Buffer, /) -> int:
        view = memoryview(buffer).cast("B")
        data = self._stored.read_at(self._place, len(view))
        view[: len(data)] = data
        self._place += len(data)
        return len(data)
