"""An emulator in its own process, which a test can kill."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.waiting import HANG

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Emulated"]

ROOT = Path(__file__).parents[2]
PROGRAM = """
import logging, sys, time
from dcipher.emulator import Emulator

logging.basicConfig(format="%(message)s")
state_dir, port, *flows = sys.argv[1:]
emulator = Emulator(state_dir=state_dir, port=int(port), queue_time=0, seed=1)
if "quick" in flows:
    emulator.flow("quick")(lambda text: text.upper())
if "slow" in flows:
    emulator.flow("slow", duration=0.5)(lambda text: "slow " + text)
if "stuck" in flows:
    emulator.flow("slow")(lambda text: time.sleep(60))
if "bytes" in flows:
    emulator.flow("bytes")(lambda size: bytes(range(256)) * (size // 256))
emulator.start()
print(emulator.url, emulator.api_key, flush=True)
for line in sys.stdin:
    import resource

    size = int(line) if int(line) else resource.RLIM_INFINITY
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    print("limited", flush=True)
emulator.stop()
"""


class Emulated:
    """`with Emulated(folder, "quick") as process:`, then `.url` and `.key`."""

    def __init__(self, folder: Path, *flows: str, port: int = 0) -> None:
        words = [sys.executable, "-c", PROGRAM, str(folder), str(port), *flows]
        self._process = subprocess.Popen(  # noqa: S603 (our own interpreter)
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert self._process.stdout is not None
        words = self._process.stdout.readline().split()
        if len(words) != 2:
            raise AssertionError(self._process.communicate()[1])
        self.url, self.key = words
        self.errors = ""
        self.port = int(self.url.rpartition(":")[2])

    def limit(self, size: int) -> None:
        """No file grows beyond this many bytes, as on a full disk; 0 lifts the limit."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{size}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "limited\n"

    def kill(self) -> None:
        """End it as kill -9 does."""
        self._process.kill()
        self.errors = self._process.communicate(timeout=HANG)[1]

    def end(self) -> str:
        """Ends it regularly. Returns its stderr."""
        errors = self._process.communicate("", timeout=HANG)[1]
        assert self._process.returncode == 0, errors
        return errors

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.returncode is None:
            self.kill()
