"""Results that are compressed files (`output.json.gz`, `output.csv.zst`), read piece by piece.

This is independent of a Content-Encoding, which belongs to the response and is removed with it.
The first bytes identify the compression: no text begins with them, whereas names and types remain
after a store decompressed the file.
"""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, BinaryIO, Protocol, cast

from dcipher._masking.text import clean
from dcipher._wire.messages.encodings import Inflater

from .row_errors import ResultSyntaxError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

__all__ = ["MAX_EXPANSION", "SUFFIXES", "Readable", "beginning", "is_compressed", "opened"]

MAX_EXPANSION = 250
"""The maximum ratio of decompressed to compressed size, beyond the first 16 MiB."""

SUFFIXES = frozenset({".gz", ".gzip", ".zst", ".zstd"})

_GRACE = 16 * 1024 * 1024
_GZIP = b"\x1f\x8b\x08"  # RFC 1952, section 2.3.1
_ZSTD = b"\x28\xb5\x2f\xfd"  # RFC 8878, section 3.1.1
_CHUNK = 1 << 16
_STEP = 1 << 20
# A block of 128 KiB may be encoded in four bytes, and not every library limits its output.
_ZSTD_SLICE = 256


class Readable(Protocol):
    """A file to read rows from. `read` may return fewer bytes than requested, and none at the end."""

    def read(self, size: int = ..., /) -> bytes:
        """Returns up to `size` bytes."""
        ...


def is_compressed(head: bytes) -> bool:
    """Returns whether a file with these first bytes is gzip or Zstandard."""
    return head.startswith((_GZIP, _ZSTD))


def opened(file: BinaryIO) -> Readable:
    """Returns `file` from its current position, decompressed if it is compressed."""
    head = b""
    while len(head) < len(_ZSTD) and (more := file.read(len(_ZSTD) - len(head))):
        head += more
    file.seek(-len(head), 1)
    return _Decompressed(file, head) if is_compressed(head) else file


def beginning(head: bytes) -> bytes:
    """Returns the first bytes of a file decompressed, as far as possible."""
    if not is_compressed(head):
        return head
    found = b""
    try:
        for piece in _expander(head).feed(head):
            found += piece
            if len(found) >= _CHUNK:
                break
    except (ValueError, ResultSyntaxError):
        pass  # raised again when the file is read
    return found


class _Expander(Protocol):
    def feed(self, chunk: bytes, /) -> Iterator[bytes]: ...
    def finish(self) -> None: ...


def _limit(compressed: int) -> int:
    return compressed * MAX_EXPANSION + _GRACE


def _expander(head: bytes) -> _Expander:
    return Inflater("gzip", _limit) if head.startswith(_GZIP) else _Zstd(_limit)


class _Decompressed:
    def __init__(self, file: BinaryIO, head: bytes) -> None:
        self._pieces: Iterator[bytes] = _pieces(file, _expander(head))
        self._held: bytes = b""

    def read(self, size: int = -1, /) -> bytes:
        try:
            if size < 0:
                return self._held + b"".join(self._pieces)
            piece = self._held or next(self._pieces, b"")
        except ValueError as error:
            raise ResultSyntaxError("document", clean(str(error))) from None
        self._held = piece[size:]
        return piece[:size]


def _pieces(file: BinaryIO, expander: _Expander) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield from expander.feed(chunk)
    expander.finish()


class _Frame(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int = ..., /) -> bytes: ...


class _Zstd:
    """Expands Zstandard, as `Inflater` does gzip."""

    def __init__(self, limit: Callable[[int], int]) -> None:
        self._frames, self._error = _zstd()
        self._frame: _Frame = self._frames()
        self._limit = limit
        self._read = self._given = 0

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        for start in range(0, len(chunk), _ZSTD_SLICE):
            yield from self._feed(chunk[start : start + _ZSTD_SLICE])

    def _feed(self, data: bytes) -> Iterator[bytes]:
        self._read += len(data)
        while data or not (self._frame.eof or self._frame.needs_input):
            if self._frame.eof:  # RFC 8878, section 3.1: a file is one or more frames
                self._frame = self._frames()
            try:
                piece = self._frame.decompress(data, _STEP)
            except self._error as error:
                raise ValueError(f"its compressed body is broken ({error})") from None
            data = self._frame.unused_data if self._frame.eof else b""
            self._given += len(piece)
            if self._given > self._limit(self._read):
                raise ValueError(
                    f"{self._read} bytes expand to more than {self._limit(self._read)}"
                )
            if piece:
                yield piece

    def finish(self) -> None:
        if not self._frame.eof:
            raise ValueError("its compressed body is truncated")


def _zstd() -> tuple[Callable[[], _Frame], type[Exception]]:
    # The first is in the standard library since Python 3.14; the second is its backport.
    for name in ("compression.zstd", "backports.zstd", "zstandard"):
        try:
            library = import_module(name)
        except ImportError:
            continue
        error = cast("type[Exception]", library.ZstdError)
        if name == "zstandard":
            return partial(_OtherFrame, library), error
        return cast("Callable[[], _Frame]", library.ZstdDecompressor), error
    from dcipher._extras.installation import install_library

    raise ResultSyntaxError(
        "document",
        f"is compressed with Zstandard: {install_library('zstandard')}, or read it as bytes",
    )


class _OtherFrame:
    """A frame of the library zstandard, which returns the complete output at once."""

    needs_input = True

    def __init__(self, library: ModuleType) -> None:
        self._object = library.ZstdDecompressor().decompressobj()

    @property
    def eof(self) -> bool:
        return cast("bool", self._object.eof)

    @property
    def unused_data(self) -> bytes:
        return cast("bytes", self._object.unused_data)

    def decompress(self, data: bytes, _max_length: int = -1, /) -> bytes:
        return cast("bytes", self._object.decompress(data))
