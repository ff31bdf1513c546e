"""Checks the path of a result, and writes files atomically."""

from __future__ import annotations

import errno
import os
import secrets
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from dcipher._hints import with_hint

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
            f"A path must be a str or an os.PathLike, not {type(path).__name__}."
        )
    if not text or "\0" in text or text.endswith("/"):
        raise InvalidParamsError("The path is empty, names a folder, or contains a NUL.")
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        raise InvalidParamsError(
            f"The path {text!r} has characters that a file name cannot have on this system."
        ) from None
    return Path(text)


def check_target(target: Path, *, overwrite: bool) -> Path:
    """Returns the file to write: the target of a symbolic link, or `target` itself.

    Raises an OSError if no file can be written there, or an existing file must not be replaced.
    """
    file = followed(target)
    if not file.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "the folder does not exist", str(file.parent))
    if file.is_dir():
        raise IsADirectoryError(errno.EISDIR, "it is a folder", str(target))
    if file.exists() and not file.is_file():
        raise OSError(errno.EINVAL, "it is not a regular file", str(target))
    if not overwrite and os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, "it already exists", str(target))
    if file.exists():
        check_replaceable(file)
    return file


_ADVICE = {
    errno.ENOENT: "Create the folder first, or choose another path.",
    errno.EEXIST: "Choose another path, or pass overwrite=True.",
    errno.ENOSPC: "Free disk space, or choose another path.",
    getattr(errno, "EDQUOT", -1): "Free disk space, or choose another path.",
}


@contextmanager
def storage_errors(
    target: Path, run: Run | None = None, index: int | None = None
) -> Generator[None]:
    """Converts an OSError to a `LocalStorageError` with the file, the reason, and what is left there."""
    try:
        yield
    except LocalStorageError:
        raise
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0, "Choose another path.")
        raise storage_error(error, target, advice, run, index, left=_left(target, error)) from error


def _left(target: Path, error: OSError) -> str:
    if isinstance(error, HalfWrittenError):
        return " It was being written in place, and is incomplete now."
    return " The existing file is intact." if os.path.isfile(target) else ""  # noqa: PTH113 - never raises


def storage_error(
    error: OSError,
    target: Path,
    advice: str,
    run: Run | None = None,
    index: int | None = None,
    *,
    left: str = "",
) -> LocalStorageError:
    """Returns the error for a file that cannot be written. `left`: what is there now."""
    failure = LocalStorageError(
        f"The result cannot be saved to {target}: {error.strerror or error}.{left}",
        run=run,
        output_index=index,
        errno=error.errno,
        filename=str(target),
    )
    return with_hint(failure, advice, advice.replace("pass overwrite=True", "give --overwrite"))


@contextmanager
def import_errors(run: Run) -> Generator[None]:
    """Converts an OSError of an import to a `LocalStorageError`: too many open files, for example."""
    try:
        yield
    except OSError as error:
        raise LocalStorageError(
            f"A module that reads results cannot be imported: {error.strerror or error}. The run is "
            "not affected. If too many files are open, close some, or raise the limit (ulimit -n). "
            "Then try again.",
            run=run,
            errno=error.errno,
        ) from error


@contextmanager
def replacing(target: Path) -> Generator[BinaryIO]:
    """Opens a temporary file beside `target`, which replaces it at the end of the block.

    If the block raises, the temporary file is removed.
    """
    # The mode of a temporary file is 0600; a plain open() uses the umask, or the mode of the old file.
    # The name is known before the file is created: Ctrl-C may come between the two.
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
