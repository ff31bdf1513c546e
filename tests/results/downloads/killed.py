"""A program that downloads a result, and is killed at a named step: `python killed.py URL TARGET KIND STEP`.

A step is what is done and to what, such as `replace part`, with `before` or `after` in front and, where it is done
several times, its number behind: `before sync part 2`. With `list` for a step it prints each, and lives.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import dcipher._results.downloads.files.part_file as parts
import dcipher._results.downloads.files.slots as slots
import dcipher._results.downloads.ranges.plan as ranges
import dcipher._results.downloads.transfers.bodies as bodies
import dcipher._results.downloads.transfers.transfer as rules
from dcipher import AsyncDcipher, Dcipher, Run

URL, TARGET, KIND, STEP = sys.argv[1:5]
OVERWRITE = "new" not in sys.argv[5:]
SEVERAL = "several" in sys.argv[5:]
WATCHED = {"open", "fsync", "replace", "link", "unlink", "pwrite", "posix_fallocate"}

done: Counter[str] = Counter()
opened: dict[int, str] = {}


def role(path: object) -> str:
    name = Path(str(path)).name
    ends = {".part": "part", ".json": "note", ".new": "new note"}
    found = next((role for end, role in ends.items() if name.endswith(end)), "folder")
    return "another part" if ".part." in name and found == "folder" else found


def step(words: str, function: Any, *args: Any, **kwargs: Any) -> Any:
    done[words] += 1
    number = f" {done[words]}" if done[words] > 1 else ""
    reached(f"before {words}{number}")
    result = function(*args, **kwargs)
    reached(f"after {words}{number}")
    return result


def reached(words: str) -> None:
    if STEP == "list":
        sys.stdout.write(f"{words}\n")
    elif words == STEP:
        os.kill(os.getpid(), signal.SIGKILL)


class WatchedOS:
    """`os`, for one module."""

    def __getattr__(self, name: str) -> Any:
        function = getattr(os, name)
        if name == "fdopen":
            return lambda *args, **kwargs: WatchedFile(os.fdopen(*args, **kwargs))
        if name not in WATCHED:
            return function

        def call(what: Any, *args: Any, **kwargs: Any) -> Any:
            if name in {"pwrite", "posix_fallocate"}:
                return step(name, function, what, *args)
            if isinstance(what, int):
                return step(f"sync {opened[what]}", function, what)
            words = "remove" if name == "unlink" else "rename" if name == "replace" else name
            result = step(f"{words} {role(what)}", function, what, *args, **kwargs)
            if name == "open":
                opened[result] = role(what)
            return result

        return call


class WatchedFile:
    def __init__(self, file: Any) -> None:
        self._file = file

    def __getattr__(self, name: str) -> Any:
        function = getattr(self._file, name)
        if name in {"truncate", "write"}:
            words = f"{name} {opened[self._file.fileno()]}"
            return lambda *args: step(words, function, *args)
        return function

    def __enter__(self) -> Any:
        self._file.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.__exit__(*exc)


def lock(descriptor: int, how: int, _flock: Any = fcntl.flock) -> None:
    words = "unlock" if how == fcntl.LOCK_UN else "lock"
    step(f"{words} {opened[descriptor]}", _flock, descriptor, how)


bodies.BUFFER = 128 * 1024  # type: ignore[misc]
rules.KEPT_EVERY = rules.WORTH_KEEPING = 1024 * 1024  # type: ignore[misc]
if SEVERAL:
    ranges.LARGE = ranges.LEAST = 256 * 1024  # type: ignore[misc]
    ranges.WINDOW, ranges.FAST = 0.0, 1 << 60  # type: ignore[misc]
parts.os = slots.os = WatchedOS()  # type: ignore[assignment]
parts._sync_data = WatchedOS().fsync
fcntl.flock = lock

run = Run.model_validate(
    {"flow_id": "f", "task_id": "t", "status": "SUCCEEDED", "outputs": [{"url": URL}]}
)


async def download() -> None:
    async with AsyncDcipher(api_key="emu_x", base_url="http://127.0.0.1:9") as client:
        await client.runs.download(run, TARGET, overwrite=OVERWRITE)


if KIND == "async":
    asyncio.run(download())
else:
    with Dcipher(api_key="emu_x", base_url="http://127.0.0.1:9") as client:
        client.runs.download(run, TARGET, overwrite=OVERWRITE)
