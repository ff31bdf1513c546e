"""The runs that were started from here: their ids, flows, times and last known status.

A file of JSON lines that only grows, until it is compacted; the last line of a run counts. No
params, and no signed URLs unless they were asked to be kept.
"""

from __future__ import annotations

import json
import os
import time
from bisect import bisect_right
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from itertools import accumulate
from typing import TYPE_CHECKING, Any, cast

from dcipher._concurrency.clock import monotonic
from dcipher.cli.state.folder import make_state_folder, state_folder

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from dcipher.models import Run

__all__ = ["Ledger", "is_off"]

VERSION = 1
LARGEST = 1_000_000
"""Bytes from which on the file is compacted."""
MOST = 1_000
"""Runs that are left then, the newest; fewer where they are long."""
PATIENCE = 2.0
"""Seconds to wait for another process that writes."""

_TEXTS = ("task_id", "flow_id", "status", "created_at", "finished_at", "seen_at", "idempotency_key")


def is_off() -> bool:
    """Whether `DCIPHER_NO_LEDGER` says that nothing is to be remembered."""
    return os.environ.get("DCIPHER_NO_LEDGER", "").strip().lower() not in {"", "0", "false", "no"}


class Ledger:
    """The file. Reading and writing raise `OSError`: a run must not fail for it."""

    def __init__(self, path: Path | None = None) -> None:
        self.path: Path = path or state_folder() / "runs.jsonl"
        self.foreign: int = 0
        """Lines that the last reading could not use."""

    def record(self, run: Run, *, urls: bool = False) -> None:
        """Add what is known of `run`; with `urls`, the signed URLs of its results, too."""
        line = json.dumps(_entry(run, urls=urls), ensure_ascii=True) + "\n"
        make_state_folder()
        with self._locked():
            self._compact_if_large()
            _append(self.path, line.encode())

    def runs(self) -> list[dict[str, Any]]:
        """What is known of each run, the newest first."""
        self.foreign = 0
        found: dict[tuple[str, str], dict[str, Any]] = {}
        for line in self._lines():
            entry = _read(line)
            if entry is None:
                self.foreign += 1
                continue
            key = entry["flow_id"], entry["task_id"]
            known = found.pop(key, {})  # a dict keeps its order: what was seen last comes last
            found[key] = {**known, **{name: v for name, v in entry.items() if v is not None}}
            # The end is when it was first seen.
            found[key]["finished_at"] = known.get("finished_at") or entry.get("finished_at")
        # Of several with the same time, the one that was seen last.
        newest = list(found.values())[::-1]
        return sorted(newest, key=lambda entry: str(entry.get("created_at")), reverse=True)

    def find(self, task_id: str, flow_id: str | None = None) -> dict[str, Any] | None:
        """What is known of one run."""
        for entry in self.runs():
            if entry["task_id"] == task_id and flow_id in {None, entry["flow_id"]}:
                return entry
        return None

    def _lines(self) -> Iterator[bytes]:
        with suppress(FileNotFoundError), self.path.open("rb") as file:
            yield from file

    @contextmanager
    def _locked(self) -> Generator[None]:
        """Alone with the file, among all processes."""
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
        lock = os.open(self.path.with_suffix(".lock"), flags, 0o600)
        try:
            end = monotonic() + PATIENCE
            while not _take(lock):
                if monotonic() > end:
                    raise TimeoutError(f"another process keeps {self.path} locked")
                time.sleep(0.01)
            yield
        finally:
            os.close(lock)  # which gives the lock back

    def _compact_if_large(self) -> None:
        if not self.path.exists() or self.path.stat().st_size < LARGEST:
            return
        lines = [json.dumps(entry) + "\n" for entry in self.runs()[:MOST]]
        # With signed URLs they are long: what is left must be well below the size that compacts.
        sizes = list(accumulate(map(len, lines)))
        lines = lines[: max(1, bisect_right(sizes, LARGEST // 2))]
        beside = self.path.with_suffix(f".{os.getpid()}.tmp")
        try:
            _append(beside, "".join(reversed(lines)).encode())
            beside.replace(self.path)
        finally:
            beside.unlink(missing_ok=True)


def _entry(run: Run, *, urls: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "v": VERSION,
        "task_id": run.task_id,
        "flow_id": run.flow_id,
        "status": str(run.status),
        "created_at": _text(run.created_at),
        "finished_at": _text(run.finished_at),
        "seen_at": _text(datetime.now(timezone.utc)),
        "idempotency_key": run.idempotency_key,
    }
    if urls and any(output.url for output in run.outputs):
        entry["outputs"] = json.loads(run.to_json(reveal=True))["outputs"]
    return entry


def _text(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def _read(line: bytes) -> dict[str, Any] | None:
    """A line's entry; `None` for what is damaged, or another program's."""
    try:
        found: object = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    entry = cast("dict[str, Any]", found)
    texts = all(isinstance(entry.get(name, ""), str | None) for name in _TEXTS)
    whole = entry.get("v") == VERSION and entry.get("task_id") and entry.get("flow_id")
    return entry if texts and whole else None


def _append(path: Path, data: bytes) -> None:
    # One write to a file opened with O_APPEND: what others write is not in between (POSIX, write).
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
    file = os.open(path, flags | getattr(os, "O_BINARY", 0), 0o600)
    try:
        if hasattr(os, "fchmod"):
            os.fchmod(file, 0o600)
        before = os.fstat(file).st_size
        if before and _last_byte(file, before) != b"\n":  # a process was killed within its line
            data = b"\n" + data
        if os.write(file, data) != len(data):  # a full disk: no half line is left
            os.ftruncate(file, before)
            raise OSError("no space left")
    finally:
        os.close(file)


def _last_byte(file: int, size: int) -> bytes:
    os.lseek(file, size - 1, os.SEEK_SET)  # O_APPEND writes at the end nevertheless
    return os.read(file, 1)


def _take(lock: int) -> bool:
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(lock, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
