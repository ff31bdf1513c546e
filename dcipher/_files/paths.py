"""Checks the paths of results."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

from dcipher.errors import InvalidParamsError

from .replacement import (
    check_replaceable,
    followed,
)

__all__ = ["check_target", "path_of"]


def path_of(path: object) -> Path:
    """Returns an argument as a path. Raises `InvalidParamsError` for an invalid one."""
    try:
        text: object = os.fspath(path) if isinstance(path, os.PathLike) else path
    except Exception as error:  # of a class of the program's
        raise InvalidParamsError(
            f"The path cannot be read from a {type(path).__name__}: its __fspath__ failed."
        ) from error
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
    if not isinstance(overwrite, bool):  # the text "no" would count as true, and lose a file
        raise InvalidParamsError(
            f"overwrite must be True or False, not {type(overwrite).__name__}."
        )
    file = followed(target)
    if not file.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "the folder does not exist", str(file.parent))
    if file.is_dir():
        raise IsADirectoryError(errno.EISDIR, "it is a folder", str(target))
    if (file.exists() and not file.is_file()) or _is_descriptor(target):
        raise OSError(errno.EINVAL, "it is not a regular file", str(target))
    if not overwrite and os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, "it already exists", str(target))
    if file.exists():
        check_replaceable(file)
    return file


def _is_descriptor(path: Path) -> bool:
    """Returns whether a path is an open file, such as /dev/stdout: the program writes to it already."""
    while path.is_symlink():
        if _DESCRIPTORS.match(os.path.realpath(path.parent)):
            return True
        path = path.parent / path.readlink()
    return False


_DESCRIPTORS = re.compile(r"/proc/[^/]+/(?:task/[^/]+/)?fd\Z")
