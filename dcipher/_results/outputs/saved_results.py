"""The results that a client saved: as long as a file is unchanged, it is not downloaded again."""

from __future__ import annotations

import os
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

    from dcipher._results.downloads.transfers.transfer import Transfer
    from dcipher._results.outputs.failures import Rewindable
    from dcipher.models import Run

__all__ = ["SavedResults"]

LIMIT = 1000
"""Files that are remembered."""
_PIECE = 1024 * 1024


class _State(NamedTuple):
    """Detects changes of a file, as make and git do."""

    device: int
    inode: int
    size: int
    modified: int

    @classmethod
    def of(cls, stat: os.stat_result) -> _State:
        return cls(stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns)


class _Saved(NamedTuple):
    result: tuple[str, str, int]
    path: Path
    state: _State
    transfer: Transfer


class SavedResults:
    """The files in which a client, and those derived from it, saved results; in memory only."""

    def __init__(self) -> None:
        # No lock, which a fork could leave locked: each step is atomic.
        self._files: deque[_Saved] = deque(maxlen=LIMIT)

    def add(self, run: Run, index: int, path: Path, transfer: Transfer) -> None:
        """Remembers a file that was just saved."""
        try:
            state = _State.of(path.stat())
        except OSError:  # it was changed in the meantime: it is downloaded again
            return
        self._files.append(_Saved(_key(run, index), path, state, transfer))

    def copy(self, run: Run, index: int, sink: Rewindable) -> Transfer | None:
        """Copies a result from the file in `run.files`; returns None if it must be downloaded."""
        if index >= len(run.files):
            return None
        key, path = _key(run, index), run.files[index]
        saved = [file for file in list(self._files) if (file.result, file.path) == (key, path)]
        return saved[-1].transfer if saved and _is_copied(saved[-1], sink) else None


def _key(run: Run, index: int) -> tuple[str, str, int]:
    return run.flow_id, run.task_id, index


def _is_copied(saved: _Saved, sink: Rewindable) -> bool:
    try:
        file = saved.path.open("rb")
    except OSError:
        return False
    with file:
        if _State.of(os.fstat(file.fileno())) != saved.state:
            return False
        while piece := file.read(_PIECE):
            sink.writelines([piece])
        if _State.of(os.fstat(file.fileno())) == saved.state:
            return True
    sink.restart()
    return False
