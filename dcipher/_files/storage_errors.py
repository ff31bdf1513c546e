"""Errors of the operating system as `LocalStorageError`s."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dcipher.errors import LocalStorageError
from dcipher.errors._hints import with_hint

from .replacement import (
    HalfWrittenError,
)

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from dcipher.models import Run

__all__ = ["import_errors", "storage_error", "storage_errors"]


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
    """Converts an OSError to a `LocalStorageError` with the file, the reason, and the remaining files."""
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
    """Returns the error for a file that cannot be written. `left`: the remaining files."""
    failure = LocalStorageError(
        f"The result cannot be saved to {target}: {error.strerror or error}.{left}",
        run=run,
        output_index=index,
        errno=error.errno,
        filename=str(target),
    )
    return with_hint(failure, advice, advice.replace("pass overwrite=True", "pass --overwrite"))


@contextmanager
def import_errors(run: Run) -> Generator[None]:
    """Converts an OSError of an import to a `LocalStorageError`: too many open files, for example."""
    try:
        yield
    except OSError as error:
        raise with_hint(
            LocalStorageError(
                f"A module that reads results cannot be imported: {error.strerror or error}. The run "
                "is not affected.",
                run=run,
                errno=error.errno,
            ),
            "If too many files are open, close some, or raise the limit (ulimit -n). Then try again.",
        ) from error
