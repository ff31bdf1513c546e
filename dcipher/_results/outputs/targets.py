"""The targets of results."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dcipher._files.paths import check_target, path_of
from dcipher._files.replacement import check_folder
from dcipher._files.storage_errors import storage_errors

if TYPE_CHECKING:
    import os
    from pathlib import Path

__all__ = ["check_targets", "targets"]


def targets(path: str | os.PathLike[str], count: int) -> tuple[Path, ...]:
    """Returns the targets of `count` results: `path` itself, or `<stem>_<i><suffix>` from 0."""
    target = path_of(path)
    if count == 1:
        return (target,)
    return tuple(target.with_name(f"{target.stem}_{i}{target.suffix}") for i in range(count))


def check_targets(path: str | os.PathLike[str], *, overwrite: bool) -> None:
    """Raises `LocalStorageError` for a path that results cannot be saved to, as far as is known."""
    target = path_of(path)
    with storage_errors(target):
        file = check_target(target, overwrite=overwrite)
        if not overwrite:
            check_target(targets(target, 2)[0], overwrite=False)
        check_folder(file.parent)
