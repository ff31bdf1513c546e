"""Replaces a file by a complete one, on any file system.

It renames, so that a reader sees the old file or the new one. If that is impossible, it writes in
place.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from dcipher.logs import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

__all__ = [
    "HalfWrittenError",
    "check_folder",
    "check_replaceable",
    "followed",
    "install",
    "install_in_place",
    "install_without_link",
    "keep_mode",
    "keep_owner",
    "private",
    "replacing",
    "set_mode",
    "synced",
]

# The errors of file systems that do not support an operation: exFAT, FUSE, network mounts.
_LACKING: Final = frozenset(
    {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOTTY}
)
_NOT_PERMITTED: Final = frozenset({errno.EPERM, errno.EACCES})
# A mounted file is busy, and on another device. In a sticky folder, only owners can rename files.
_NOT_RENAMED: Final = _NOT_PERMITTED | {errno.EBUSY, errno.EXDEV}
_NOT_LINKED: Final = _LACKING | _NOT_PERMITTED | {errno.EMLINK, errno.EXDEV}
_BLOCK: Final = 1024 * 1024
_PAGE: Final = 4096
_BINARY: Final = getattr(os, "O_BINARY", 0)
_NOFOLLOW: Final = getattr(os, "O_NOFOLLOW", 0)


def followed(target: Path) -> Path:
    """Returns the target of a symbolic link, as `open()` follows it, or the absolute path.

    Raises an OSError for a loop, and, as the kernel does (proc(5), `protected_symlinks`), for a link
    of another user in a folder where everybody can create one.
    """
    target = Path(os.path.abspath(target))  # noqa: PTH100 - resolve() would follow links
    if not target.is_symlink():
        return target
    folder, link = target.parent.stat(), target.lstat()
    shared = folder.st_mode & stat.S_ISVTX and folder.st_mode & stat.S_IWOTH
    if shared and link.st_uid not in {_user(), folder.st_uid}:
        raise PermissionError(
            errno.EACCES, "it is a symbolic link of another user in a shared folder", str(target)
        )
    file = Path(os.path.realpath(target))
    if file.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(target))
    return file


def _user() -> int:
    return os.geteuid() if hasattr(os, "geteuid") else 0


def check_replaceable(file: Path) -> None:
    """Raises an OSError for an existing file that can neither be renamed over nor written in place."""
    try:
        # access() is no check for root, and for append-only files.
        os.close(os.open(file, os.O_WRONLY | _BINARY | _NOFOLLOW))
    except OSError as error:
        refused = error
    else:
        return  # in place, at least
    known, folder = file.stat(), file.parent.stat()
    owners = {0, known.st_uid, folder.st_uid}
    if folder.st_mode & stat.S_ISVTX and _user() not in owners:
        words = "it belongs to another user, in a folder where only owners replace files"
        raise PermissionError(errno.EPERM, words, str(file))
    if _is_mounted(file):
        raise OSError(errno.EBUSY, "it is mounted there, and cannot be written", str(file))
    # EACCES: a file that may not be written may be replaced. EPERM: an immutable one may not, nor one
    # that may only be appended to.
    if refused.errno in {errno.EPERM, errno.EROFS}:
        raise refused


def check_folder(folder: Path) -> None:
    """Raises an OSError for a folder where no file can be created, written, renamed and removed.

    It tries these operations: access() is no check for root, and on a read-only disk.
    """
    names = [folder / f".{secrets.token_hex(8)}.tmp" for _ in range(2)]
    try:
        with open(names[0], "xb", opener=private, buffering=0) as file:
            file.write(bytes(_PAGE))
        os.replace(*names)  # noqa: PTH105
    finally:
        for name in names:
            with suppress(OSError):
                os.unlink(name)  # noqa: PTH108


def private(name: str, flags: int) -> int:
    """Opens a file with access only for its owner; for `open(opener=…)`."""
    return os.open(name, flags | _NOFOLLOW, 0o600)


def _is_mounted(file: Path) -> bool:
    """Returns whether this file is a mount point, as in containers; proc_pid_mountinfo(5)."""
    with suppress(OSError):
        place = os.path.realpath(file).encode("utf-8", "surrogateescape")
        for line in Path("/proc/self/mountinfo").read_bytes().splitlines():
            mounted = line.split(b" ")[4]
            for escaped in (b" ", b"\t", b"\n", b"\\"):
                mounted = mounted.replace(b"\\%03o" % ord(escaped), escaped)
            if mounted == place:
                return True
    return False


@contextmanager
def replacing(target: Path, *, is_private: bool = False) -> Generator[BinaryIO]:
    """Opens a temporary file beside `target`, which replaces it at the end of the block.

    If the block raises, the temporary file is removed. `is_private`: only its owner can read it.
    """
    # The mode of a temporary file is 0600; a plain open() uses the umask, or the mode of the old file.
    # The name is known before the file is created: Ctrl-C may come between the two.
    target = followed(target)
    name = target.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with open(name, "x+b", opener=private) as file:
            yield file
            file.flush()
            synced(file.fileno(), os.fsync)
            if not is_private:
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


class HalfWrittenError(OSError):
    """A file was being written in place: it contains neither the old nor the new content completely."""


def install(source: Path, target: Path) -> None:
    """Replaces `target` by `source`. After an OSError, `source` still exists."""
    try:
        os.replace(source, target)  # noqa: PTH105
    except OSError as error:
        install_in_place(source, target, error)


def install_in_place(source: Path, target: Path, error: OSError) -> None:
    """Writes `source` over `target`, after a rename that raised `error`. Raises it for other causes."""
    if error.errno not in _NOT_RENAMED or not target.is_file():
        raise error
    _write_in_place(source, target)
    logger.warning(
        "%s cannot be replaced by a rename (%s): it was written in place, where a reader may have "
        "seen a part of it",
        target,
        error.strerror,
    )
    os.unlink(source)  # noqa: PTH108


def _write_in_place(source: Path, target: Path) -> None:
    # Opened before it is changed: if that is refused, the existing file is intact.
    descriptor = os.open(target, os.O_WRONLY | _BINARY | _NOFOLLOW)
    with os.fdopen(descriptor, "wb", buffering=0) as file, source.open("rb", buffering=0) as whole:
        try:
            while block := whole.read(_BLOCK):
                left = memoryview(block)
                while left:
                    left = left[file.write(left) :]
            file.truncate()
            synced(descriptor, os.fsync)
        except OSError as error:
            raise HalfWrittenError(error.errno, error.strerror, str(target)) from error


def install_without_link(source: Path, target: Path, error: OSError) -> None:
    """Moves `source` to `target`, which must not exist, after a hard link that raised `error`.

    It first creates an empty file exclusively, to reserve the name. Raises FileExistsError if
    `target` exists by now.
    """
    if error.errno not in _NOT_LINKED:
        raise error
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | _BINARY, 0o600))
    try:
        os.replace(source, target)  # noqa: PTH105
    except BaseException:
        with suppress(OSError):
            os.unlink(target)  # noqa: PTH108
        raise


def keep_mode(descriptor: int, target: Path) -> bool:
    """Copies the permissions of `target` to a new file. Returns whether `target` exists."""
    try:
        # Without setuid and setgid: downloaded content must not be executed as the owner. write(2) clears
        # them, too.
        mode = target.stat().st_mode & 0o777
    except FileNotFoundError:
        return False
    set_mode(descriptor, mode)
    return True


def set_mode(descriptor: int, mode: int) -> None:
    """Sets permissions, if the system has any."""
    if hasattr(os, "fchmod") and stat.S_IMODE(os.fstat(descriptor).st_mode) != mode:
        _tolerated("permissions", _LACKING | _NOT_PERMITTED, lambda: os.fchmod(descriptor, mode))


def keep_owner(descriptor: int, target: Path) -> None:
    """Copies the owner and the group of `target` to a new file, as far as permitted."""
    if not hasattr(os, "fchown"):
        return
    with suppress(OSError):
        known, ours = target.stat(), os.fstat(descriptor)
        mode = stat.S_IMODE(ours.st_mode)
        if known.st_gid != ours.st_gid:
            with suppress(OSError):
                os.fchown(descriptor, -1, known.st_gid)
        if known.st_uid != ours.st_uid:
            with suppress(OSError):
                os.fchown(descriptor, known.st_uid, -1)
        if stat.S_IMODE(os.fstat(descriptor).st_mode) != mode:  # chown(2) may clear some bits
            os.fchmod(descriptor, mode)


def synced(descriptor: int, sync: Callable[[int], object]) -> None:
    """Makes a file durable, if its file system can."""
    _tolerated("syncing", _LACKING, lambda: sync(descriptor))


_warned: set[str] = set()


def _tolerated(what: str, numbers: frozenset[int], action: Callable[[], object]) -> None:
    """Runs an operation, or warns once that the file system does not support it."""
    try:
        action()
    except OSError as error:
        if error.errno not in numbers:
            raise
        if what not in _warned:
            _warned.add(what)
            logger.warning("the file system does not support %s: %s", what, error.strerror)
