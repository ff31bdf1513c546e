"""The lock of a journal, for one runner. The kernel releases it when the process ends."""

from __future__ import annotations

import json
import os
import socket
import sys
from contextlib import suppress
from datetime import datetime, timezone
from typing import TYPE_CHECKING
from weakref import WeakSet

from dcipher._masking.text import clean
from dcipher.errors import JournalBusyError, JournalError
from dcipher.errors._hints import with_hint

from .schema import journal_errors

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["JournalLock"]

_HEADER = 1
"""The byte that is locked on Windows; the following ones remain readable."""


class JournalLock:
    """Holds the lock from its construction until `release`.

    Raises `JournalBusyError` if another runner has it, and `JournalError` on a file system where
    locks have no effect.
    """

    def __init__(self, journal: Path) -> None:
        self._path = journal.with_name(f"{journal.name}.lock")
        self._descriptor: int | None = None
        with journal_errors(journal):
            self._descriptor = descriptor = _opened(self._path)
            try:
                self._take(descriptor, journal)
            except BaseException:
                self.release()
                raise
        _held.add(self)

    def _take(self, descriptor: int, journal: Path) -> None:
        if not _locked(descriptor):
            raise with_hint(
                JournalBusyError(f"The journal {journal} is in use by {self._holder()}."),
                "Wait until that has ended, or choose another journal: both would start the same rows.",
            )
        other = _opened(self._path)
        try:
            # On a network file system, locks belong to a process or have no effect: a second one succeeds.
            if _locked(other):
                raise with_hint(
                    JournalError(
                        f"Locks have no effect in {journal.parent}: it is on a network file system."
                    ),
                    "Choose a path on a local disk for journal=….",
                    "Choose a path on a local disk for --journal.",
                )
        finally:
            os.close(other)
        text = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": _now()})
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, _HEADER, os.SEEK_SET)
        os.write(descriptor, text.encode())

    def _holder(self) -> str:
        with suppress(OSError, ValueError, KeyError, TypeError):
            holder = json.loads(self._path.read_bytes()[_HEADER:])
            words = f"process {holder['pid']} on {holder['host']}, since {holder['since']}"
            return clean(words, 200)
        return "another process"

    def release(self) -> None:
        """Releases it. The file remains, because another runner may have just opened it."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)


if sys.platform == "win32":
    import msvcrt

    def _locked(descriptor: int) -> bool:
        """Acquires the lock of an open file; returns whether it could."""
        os.lseek(descriptor, 0, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, _HEADER)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _locked(descriptor: int) -> bool:
        """Acquires the lock of an open file; returns whether it could."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


_held: WeakSet[JournalLock] = WeakSet()


def _forget_in_child() -> None:
    """Closes inherited locks in a child: otherwise the lock would outlive its owner."""
    for lock in tuple(_held):
        lock.release()
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
