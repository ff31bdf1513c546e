"""What the contestants' scripts share: the job on the command line, the meters, the report."""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import urlopen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["FLOW", "KEY", "TASK", "URL", "CPUTime", "Memory", "looks", "run"]

KEY = "benchmark-key"
FLOW = "0-1"
TASK = "1.0-0"
"""A run that ended long ago."""
URL = os.environ["BENCHMARK_URL"]


class CPUTime:
    """User and system time of this process, all threads, since it was made."""

    def __init__(self) -> None:
        self._since = time.process_time()

    def seconds(self) -> float:
        return time.process_time() - self._since


class Memory:
    """The highest point since it was made over what was in use then, in bytes."""

    def __init__(self) -> None:
        self._before = _in_use() or _peak()

    def added(self) -> int:
        return _peak() - self._before


def _peak() -> int:
    # getrusage counts what the parent had when it forked, too; the kernel's own figure does not.
    return _kernel("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if sys.platform == "darwin" else 1024
    )


def _in_use() -> int:
    return _kernel("VmRSS")


def _kernel(field: str) -> int:
    """A line of /proc/self/status in bytes; 0 where there is no such file."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def looks() -> int:
    """How often the server was asked for the status of a run, so far."""
    with urlopen(f"{URL}/looks") as answer:
        return int(json.load(answer)["looks"])


def run(jobs: Mapping[str, Callable[..., Mapping[str, object]]]) -> None:
    """Do the job that the command line names, with its arguments, and print what it returns."""
    name, arguments = sys.argv[1], json.loads(sys.argv[2])
    print(json.dumps(jobs[name](**arguments)))
