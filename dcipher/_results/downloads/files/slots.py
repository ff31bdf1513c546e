"""The names of the unfinished files of one target: which is free, locked, or left by a killed download."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import stat
from contextlib import suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, Literal

# Without locks, on Windows, every download has its own file, and none is resumed.
HAS_LOCKS = find_spec("fcntl") is not None

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["FLAGS", "HAS_LOCKS", "part_of"]

SLOTS: Final = 8
"""Concurrent downloads to one target whose files have fixed names, so that they can be resumed."""
FLAGS: Final = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


def part_of(target: Path) -> tuple[Path, int, bool]:
    """Returns a file, open and locked, and whether a later download can find it."""
    resumable = target.with_name(f".{_stem(target.name)}.dcipher.part")
    slots = [resumable, *(resumable.with_name(f"{resumable.name}.{i}") for i in range(1, SLOTS))]
    for path in slots:
        descriptor = _locked(path)
        if descriptor is not None:
            if path == resumable:
                _sweep(slots[1:])
            return path, descriptor, path == resumable
    path = resumable.with_name(f"{resumable.name}.{secrets.token_hex(6)}")
    return path, _created(path), False


def _stem(name: str) -> str:
    """Returns a unique stem of at most 200 bytes: most file systems permit names of 255 bytes."""
    encoded = os.fsencode(name)
    if len(encoded) <= 200:
        return name
    digest = hashlib.sha256(encoded).hexdigest()[:16]
    return f"{encoded[:150].decode('utf-8', 'ignore')}.{digest}"


def _created(path: Path) -> int:
    # 0o666 minus the umask, as for a plain open().
    return os.open(path, FLAGS | os.O_CREAT | os.O_EXCL, 0o666)


def _locked(path: Path, *, create: bool = True) -> int | None:
    """Returns the file of this name, open and locked, or `None` if it is not available.

    Another download may use it, or it may not be a regular file. If the folder cannot be written to,
    creating a new file there raises the error.
    """
    if not HAS_LOCKS:
        return None
    import fcntl

    for _ in range(SLOTS):
        try:
            descriptor, created = _opened(path, create=create)
        except FileExistsError:  # another download has just created it
            continue
        except OSError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            owner = _owner(path, descriptor)
        except OSError as error:
            os.close(descriptor)
            if created and error.errno != errno.EWOULDBLOCK:  # a file system without locks
                os.unlink(path)  # noqa: PTH108
            return None
        if owner == "ours":
            return descriptor
        os.close(descriptor)
        if owner == "another's":
            return None
    return None


def _opened(path: Path, *, create: bool) -> tuple[int, bool]:
    """Returns the file, and whether it was created."""
    try:
        # Opening a pipe of that name must not block.
        return os.open(path, FLAGS | getattr(os, "O_NONBLOCK", 0)), False
    except FileNotFoundError:
        if not create:
            raise
        return _created(path), True


def _owner(path: Path, descriptor: int) -> Literal["ours", "another's", "nobody's"]:
    """Returns the owner of the file that was opened as `path`, and locked."""
    known = os.fstat(descriptor)
    try:
        here = os.path.samestat(known, os.lstat(path))
    except FileNotFoundError:
        here = False
    if not here:  # renamed to its target, or removed, between open and lock
        return "nobody's"
    if not stat.S_ISREG(known.st_mode) or known.st_uid != os.geteuid():
        return "another's"
    if known.st_nlink > 1:  # a second name of a file that is a result by now
        os.unlink(path)  # noqa: PTH108
        return "nobody's"
    return "ours"


def _sweep(paths: Iterable[Path]) -> None:
    """Removes the files of downloads that were killed."""
    for path in paths:
        descriptor = _locked(path, create=False)
        if descriptor is not None:
            with suppress(OSError):
                os.unlink(path)  # noqa: PTH108
            os.close(descriptor)
