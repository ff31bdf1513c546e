"""Where a result is saved to, and what is wrong with such a place."""

from __future__ import annotations

import errno
import os
import secrets
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ._replacement import (
    HalfWrittenError,
    check_replaceable,
    followed,
    install,
    keep_mode,
    keep_owner,
    private,
    set_mode,
    synced,
)
from .errors import InvalidParamsError, LocalStorageError

if TYPE_CHECKING:
    from collections.abc import Generator

    from .models import Run

__all__ = ["check_target", "import_errors", "replacing", "storage_error", "storage_errors"]


def path_of(path: object) -> Path:
    text: object = os.fspath(path) if isinstance(path, os.PathLike) else path
    if not isinstance(text, str):
        raise InvalidParamsError(
            f"A path must be a str or an os.PathLike of one, not {type(path).__name__}."
        )
    if not text or "\0" in text or text.endswith("/"):
        raise InvalidParamsError("The path is empty, names a folder, or holds a NUL.")
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        raise InvalidParamsError(
            f"The path {text!r} has characters that no name of a file can have here."
        ) from None
    return Path(text)


def check_target(target: Path, *, overwrite: bool) -> Path:
    """Returns the file that is written: what a symbolic link points to, else `target` itself.

    Raises an OSError for a place where no file can be, or none may be replaced.
    """
    file = followed(target)
    if not file.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "the folder does not exist", str(file.parent))
    if file.is_dir():
        raise IsADirectoryError(errno.EISDIR, "it is a folder", str(target))
    if file.exists() and not file.is_file():
        raise OSError(errno.EINVAL, "it is not a regular file", str(target))
    if not overwrite and os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, "it exists already, and overwrite=False", str(target))
    if file.exists():
        check_replaceable(file)
    return file


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
    """Turns an OSError into a `LocalStorageError` that says which file, why, and what is left there."""
    try:
        yield
    except LocalStorageError:
        raise
    except OSError as error:
        advice = _left(target, error) + _ADVICE.get(error.errno or 0, "Choose another path.")
        raise storage_error(error, target, advice, run, index) from error


def _left(target: Path, error: OSError) -> str:
    if isinstance(error, HalfWrittenError):
        return "It was being written in place: what is there now is not whole. "
    return "What was there before is intact. " if os.path.isfile(target) else ""  # noqa: PTH113 - never raises


def storage_error(
    error: OSError, target: Path, advice: str, run: Run | None = None, index: int | None = None
) -> LocalStorageError:
    """Returns the error for a file that cannot be written."""
    return LocalStorageError(
        f"The result cannot be saved to {target}: {error.strerror or error}. {advice}",
        run=run,
        output_index=index,
        errno=error.errno,
        filename=str(target),
    )


@contextmanager
def import_errors(run: Run) -> Generator[None]:
    """Turns an OSError of an import into a `LocalStorageError`: too many open files, for one."""
    try:
        yield
    except OSError as error:
        raise LocalStorageError(
            f"A module that is needed for the results cannot be imported: {error.strerror or error}. "
            "The run is not touched by that. If too many files are open, close some, or raise the "
            "limit (ulimit -n); then ask for the results again.",
            run=run,
            errno=error.errno,
        ) from error


@contextmanager
def replacing(target: Path) -> Generator[BinaryIO]:
    """A file beside `target` that takes its place when all of it is written, and goes if that fails."""
    # A temporary file's mode is 0600, whereas a plain open() follows the umask, or the old file.
    # Its name is known before it is made: Ctrl-C may come between the two.
    target = followed(target)
    name = target.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with open(name, "xb", opener=private) as file:
            yield file
            file.flush()
            synced(file.fileno(), os.fsync)
            if not keep_mode(file.fileno(), target):
                set_mode(file.fileno(), 0o666 & ~_umask())
            keep_owner(file.fileno(), target)
        install(name, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)  # noqa: PTH108
        raise


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
