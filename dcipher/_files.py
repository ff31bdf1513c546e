"""A result's file: written beside its target, synced, renamed.

A reader never sees half of one, a failure leaves what was there.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
import tempfile
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import InvalidParamsError, LocalStorageError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from typing import BinaryIO

    from .models import Run

__all__ = ["PartFile", "check_targets", "targets"]


def targets(path: str | os.PathLike[str], count: int) -> tuple[Path, ...]:
    """Where `count` results go: one to `path` itself, several to `<stem>_<i><suffix>` from 0."""
    target = _path(path)
    if count == 1:
        return (target,)
    return tuple(target.with_name(f"{target.stem}_{i}{target.suffix}") for i in range(count))


def check_targets(path: str | os.PathLike[str], *, overwrite: bool) -> None:
    """Raises `LocalStorageError` for a path that results cannot be saved to.

    As far as that can be known before they are there.
    """
    target = _path(path)
    with storage_errors(target):
        _check(target, overwrite=overwrite)
        if not overwrite:
            _check(targets(target, 2)[0], overwrite=False)
        # Whether the folder can be written to is known by writing to it: access() says yes to root,
        # on a read-only disk too.
        with tempfile.TemporaryFile(dir=target.parent):
            pass


def _path(path: object) -> Path:
    text: object = os.fspath(path) if isinstance(path, os.PathLike) else path
    if not isinstance(text, str):
        raise InvalidParamsError(
            f"A path must be a str or an os.PathLike of one, not {type(path).__name__}."
        )
    if not text or "\0" in text or text.endswith("/"):
        raise InvalidParamsError("The path is empty, names a folder, or holds a NUL.")
    return Path(text)


def _check(target: Path, *, overwrite: bool) -> None:
    if not target.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "the folder does not exist", str(target.parent))
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, "it is a folder", str(target))
    if target.exists() and not target.is_file():
        raise OSError(errno.EINVAL, "it is not a regular file", str(target))
    if not overwrite and os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, "it exists already, and overwrite=False", str(target))


_ADVICE = {
    errno.ENOENT: "Make the folder first, or choose another path.",
    errno.EEXIST: "Choose another path, or pass overwrite=True.",
    errno.ENOSPC: "Make room, or choose another path.",
    getattr(errno, "EDQUOT", -1): "Make room, or choose another path.",
}


@contextmanager
def storage_errors(
    target: Path, run: Run | None = None, index: int | None = None
) -> Generator[None]:
    """Turns an OSError into a `LocalStorageError` that says which file, why, and that nothing was lost."""
    try:
        yield
    except LocalStorageError:
        raise
    except OSError as error:
        raise LocalStorageError(
            f"The result cannot be saved to {target}: {error.strerror or error}. "
            f"What was there before is intact. {_ADVICE.get(error.errno or 0, 'Choose another path.')}",
            run=run,
            output_index=index,
            errno=error.errno,
            filename=str(target),
        ) from error


_FLAGS = (
    os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
)


class PartFile:
    """The file that becomes `target` once it is whole.

    In the same folder, made exclusively, never through a symbolic link. Raises `LocalStorageError`.
    """

    def __init__(
        self,
        target: Path,
        *,
        overwrite: bool = True,
        run: Run | None = None,
        index: int | None = None,
    ) -> None:
        self._target = target
        self._overwrite = overwrite
        # A name has 255 bytes at most on most file systems: cut by bytes.
        stem = os.fsencode(target.name)[:100].decode("utf-8", "ignore")
        self._path = target.with_name(f".{stem}.{secrets.token_hex(6)}.part")
        self._errors = partial(storage_errors, target, run, index)
        with self._errors():
            _check(target, overwrite=overwrite)
            # 0o666 less the umask: what a plain open() would give.
            self._file: BinaryIO = os.fdopen(os.open(self._path, _FLAGS, 0o666), "wb")

    def writelines(self, chunks: Iterable[bytes | memoryview]) -> None:
        """Append."""
        with self._errors():
            self._file.writelines(chunks)

    def restart(self) -> None:
        """Forget what was written."""
        with self._errors():
            self._file.seek(0)
            self._file.truncate()

    def commit(self) -> None:
        """Write, sync, rename, sync the folder.

        After that, a crash leaves the new file; before, the old one.
        """
        with self._errors():
            self._file.flush()
            self._keep_permissions()
            os.fsync(self._file.fileno())
            self._file.close()
            if self._overwrite:
                self._path.replace(self._target)
            else:
                os.link(self._path, self._target)  # fails where the target exists by now
                self._path.unlink()
            _sync_folder(self._target.parent)

    def _keep_permissions(self) -> None:
        """A plain open() would leave an existing file's permissions alone."""
        with suppress(FileNotFoundError):
            mode = stat.S_IMODE(self._target.stat().st_mode)
            if hasattr(os, "fchmod"):
                os.fchmod(self._file.fileno(), mode)

    def discard(self) -> None:
        """Leave nothing behind. After `commit`, it does nothing."""
        with suppress(
            OSError
        ):  # a full disk may refuse to flush; the bytes are not wanted any more
            self._file.close()
        self._path.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    if not hasattr(os, "O_DIRECTORY"):  # Windows cannot open a folder, and needs not
        return
    # Some file systems cannot, and a folder may be one that cannot be read: the rename is done.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
