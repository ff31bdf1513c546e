"""The unfinished file of a result: written beside its target, synced, renamed.

No reader sees half a file, and a failure leaves an existing file intact. The part received before an
interruption is kept, with a sidecar beside it, and the next download to the same path resumes it.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from dcipher._files.paths import check_target
from dcipher._files.replacement import (
    install_in_place,
    install_without_link,
    keep_mode,
    keep_owner,
    synced,
)
from dcipher._files.storage_errors import storage_error, storage_errors
from dcipher._results.downloads.transfers.transfer import Transfer

from . import slots
from .sidecar import dump_sidecar, load_sidecar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from io import FileIO

    from dcipher.errors import LocalStorageError
    from dcipher.models import Run

    _Known: TypeAlias = "tuple[int, int, int]"

__all__ = ["PartFile"]

_READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_sync_data = getattr(os, "fdatasync", os.fsync)
_BLOCK = 1024 * 1024
# The errors of file systems that cannot reserve space.
_CANNOT = {errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.ENODEV}
MANY: Final = 32
"""Chunks that are written by one system call."""


class PartFile:
    """The file that becomes `target` once it is complete.

    It is in the same folder, never behind a symbolic link, and locked while it is written. A second download
    to the same target has its own file, and the last rename wins. `identity` identifies the result:
    the part of another one is not resumed. Raises `LocalStorageError`.
    """

    def __init__(
        self,
        target: Path,
        identity: str,
        *,
        overwrite: bool = True,
        run: Run | None = None,
        index: int | None = None,
    ) -> None:
        # Absolute: the program may change its working directory.
        self._target = Path(os.path.abspath(target))  # noqa: PTH100 - resolve() would follow links
        self._identity = identity
        self._overwrite = overwrite
        self._errors = partial(storage_errors, target, run, index)
        self._error = partial(storage_error, target=target, run=run, index=index)
        self._process = os.getpid()
        self._is_persisted = False
        self._ended = False
        with self._errors():
            # Beside the target of a symbolic link: a rename within one folder is atomic.
            self._target = check_target(self._target, overwrite=overwrite)
            self._path, descriptor, lasting = slots.part_of(self._target)
            sidecar = self._path.with_name(f"{self._path.name}.json")
            self._sidecar = sidecar if lasting and not sidecar.is_dir() else None
            self._known_sidecar: _Known | None = None
            # Without a buffer: a child process would write its copy of the buffer.
            self._file: FileIO = os.fdopen(descriptor, "wb", buffering=0)
            try:
                keep_mode(self._file.fileno(), self._target)
            except BaseException:
                self.close()
                raise

    def resume(self) -> Transfer:
        """Returns the transfer of an earlier download of the same result, or a new one."""
        with self._errors():
            transfer = Transfer()
            if self._sidecar is not None:
                size = os.fstat(self._file.fileno()).st_size
                transfer = load_sidecar(_read(self._sidecar), self._identity, size)
            if transfer.received == 0:
                self.restart()
            else:
                self._is_persisted, self._known_sidecar = True, _known(self._sidecar)
                if self._sidecar is not None:
                    _removed(_new(self._sidecar))
                self._file.truncate(max(transfer.received, *map(max, transfer.parts), 0))
                self.seek(transfer.received)
            return transfer

    def read(self, start: int, end: int) -> Iterator[bytes]:
        """Yields the bytes between two offsets."""
        with self._errors():
            while block := os.pread(self._file.fileno(), max(0, min(_BLOCK, end - start)), start):
                start += len(block)
                yield block

    def seek(self, offset: int) -> None:
        """Seeks to an offset."""
        with self._errors():
            self._file.seek(offset)

    def reserve(self, total: int) -> bool:
        """Checks that the disk has space for the result, and raises an error now if it has not.

        The space is released at once: bytes that are never received must not occupy it. Returns
        whether several threads can write the file, which is not possible on Windows.
        """
        if not hasattr(os, "pwrite"):
            return False
        with self._errors():
            size = os.fstat(self._file.fileno()).st_size
            try:
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(self._file.fileno(), 0, total)
            except OSError as error:
                if error.errno not in _CANNOT:
                    raise
            finally:
                self._file.truncate(size)
        return True

    def write_at(self, offset: int, chunk: bytes | memoryview) -> None:
        """Writes at an offset, independently of other threads."""
        left = memoryview(chunk)
        with self._errors():
            while left:
                written = os.pwrite(self._file.fileno(), left, offset)
                left, offset = left[written:], offset + written

    def writelines(self, chunks: Iterable[bytes | memoryview]) -> None:
        """Writes the chunks, one after the other."""
        pieces = list(chunks)
        if len(pieces) > MANY:
            pieces = [b"".join(pieces)]
        with self._errors():
            for piece in pieces:
                left = memoryview(piece)
                while left:
                    left = left[self._file.write(left) :]

    def restart(self) -> None:
        """Truncates the file."""
        with self._errors():
            self._forget()
            self._file.seek(0)
            self._file.truncate()

    def persist(self, transfer: Transfer) -> bool:
        """Makes the received part durable, for a later download.

        Returns False if that is impossible: the file has no fixed name, or is already renamed.
        """
        if self._sidecar is None or not self._is_here():
            return False
        with self._errors():
            synced(self._file.fileno(), _sync_data)
            _write(self._sidecar, dump_sidecar(transfer, self._identity))
            self._is_persisted, self._known_sidecar = True, _known(self._sidecar)
        return True

    def _is_here(self) -> bool:
        """Returns whether the file of this name is ours.

        Ctrl-C may come just after the rename, somebody may remove the file, and a child process has
        the file of its parent.
        """
        if self._file.closed or self._process != os.getpid():
            return False
        with suppress(OSError):
            return os.path.samestat(os.fstat(self._file.fileno()), os.lstat(self._path))
        return False

    def prepare(self) -> None:
        """Syncs the complete file to disk, which may take a while."""
        with self._errors():
            keep_mode(self._file.fileno(), self._target)
            synced(self._file.fileno(), os.fsync)

    def commit(self) -> None:
        """Renames the file, and syncs its folder.

        A crash before that leaves the old file; after that, the new one.
        """
        with self._errors():
            if not self._is_here():
                raise FileNotFoundError(
                    errno.ENOENT,
                    "the unfinished file was removed by another program",
                    str(self._path),
                )
            if not slots.HAS_LOCKS:
                self._file.close()  # Windows renames no open file
            # Renamed while it is locked: no other download may resume it and truncate it.
            self._install()
            self._ended = True
            # Another download that took the free name may have its own sidecar there.
            if (
                self._sidecar is not None
                and _known(self._sidecar) == self._known_sidecar
                and _removed(self._sidecar)
            ):
                _sync_folder(self._sidecar)
            self._close()
            _sync_folder(self._target)

    def _install(self) -> None:
        if not self._overwrite:
            try:
                os.link(self._path, self._target)  # fails if the target exists by now
            except OSError as error:
                install_without_link(self._path, self._target, error)
            else:
                os.unlink(self._path)  # noqa: PTH108
            return
        if not self._file.closed:
            # Not before: an unfinished file of another user is not resumed.
            keep_owner(self._file.fileno(), self._target)
        try:
            os.replace(self._path, self._target)  # noqa: PTH105 - all of this file's doing is os's
        except OSError as error:
            self._install_in_place(error)

    def _install_in_place(self, error: OSError) -> None:
        try:
            install_in_place(self._path, self._target, error)
        except OSError as final:
            raise self._rescued(final) from final

    def _rescued(self, error: OSError) -> LocalStorageError:
        """Returns the error that names the file with the complete result: it was paid for."""
        name = f"{self._target.stem}.{secrets.token_hex(4)}{self._target.suffix}"
        whole = self._target.with_name(name)
        try:
            os.replace(self._path, whole)  # noqa: PTH105
        except OSError:
            whole, self._is_persisted = self._path, True
        else:
            _sync_folder(whole)
        advice = f"The whole result is in {whole}: move it, or download it again to another path."
        return self._error(error, advice=advice)

    def discard(self) -> None:
        """Keeps nothing."""
        with suppress(OSError):  # a sidecar that cannot be removed is rejected later
            self._forget()

    def close(self) -> None:
        """Removes everything that is not kept. After `commit`, it does nothing."""
        if self._ended:
            return
        self._ended = True
        # Removed while it is locked, if possible: so it is our own file.
        ours = self._is_persisted or not self._is_here()
        steps = [self._close] if ours else [self._remove, self._close]
        for step in steps if slots.HAS_LOCKS else reversed(steps):
            with suppress(OSError):
                step()

    def _close(self) -> None:
        """Closes the file, and releases the lock, which a child process would keep."""
        if slots.HAS_LOCKS and not self._file.closed and self._process == os.getpid():
            import fcntl

            with suppress(OSError):
                fcntl.flock(self._file.fileno(), fcntl.LOCK_UN)
        self._file.close()

    def _remove(self) -> None:
        os.unlink(self._path)  # noqa: PTH108

    def _forget(self) -> None:
        """Removes the sidecar durably, before it becomes wrong."""
        self._is_persisted = False
        if self._sidecar is not None and self._process == os.getpid():
            removed = [_removed(path) for path in (_new(self._sidecar), self._sidecar)]
            if any(removed):
                _sync_folder(self._sidecar)


def _read(sidecar: Path) -> bytes:
    try:
        descriptor = os.open(sidecar, _READ)
    except OSError:
        return b""
    with os.fdopen(descriptor, "rb") as file:
        known = os.fstat(descriptor)
        if not stat.S_ISREG(known.st_mode) or known.st_uid != os.geteuid():
            return b""
        return file.read(_BLOCK)


def _write(sidecar: Path, text: bytes) -> None:
    """Writes the sidecar atomically, readable only by its owner."""
    new = _new(sidecar)
    _removed(new)
    descriptor = os.open(new, slots.FLAGS | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(text)
        file.flush()
        synced(descriptor, _sync_data)
    os.replace(new, sidecar)  # noqa: PTH105
    _sync_folder(sidecar)


def _known(path: Path | None) -> _Known | None:
    """Returns the identity of a file, or `None` if it does not exist. Inode numbers are reused."""
    if path is None:
        return None
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns


def _new(sidecar: Path) -> Path:
    """Returns the path for writing the next sidecar. The lock of the part protects it, too."""
    return sidecar.with_name(f"{sidecar.name}.new")


def _removed(path: Path) -> bool:
    """Removes a file. Returns whether it existed."""
    try:
        os.unlink(path)  # noqa: PTH108
    except FileNotFoundError:
        return False
    return True


def _sync_folder(path: Path) -> None:
    """Makes renames and removals in the folder of `path` durable."""
    if not hasattr(os, "O_DIRECTORY"):  # Windows cannot open a folder, and does not need to
        return
    # Some file systems do not support it, and a folder may be unreadable: the rename is done.
    with suppress(OSError):
        descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
