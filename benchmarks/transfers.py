"""One large result to disk, by whatever is there: curl, aria2c, huggingface_hub, httpx, dcipher.

`python -m benchmarks.transfers [--mib 256] [--rate MIB] [--rounds 3]` prints the medians of
interleaved rounds. Each contestant is a process of its own, measured from outside; what it needs
for a file of one byte is taken off, so that nobody pays for what it imports.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ROOT = Path(__file__).resolve().parent.parent
MIB = 1024 * 1024

HTTPX = """
import sys
import httpx
url, path = sys.argv[1:]
with httpx.stream("GET", url) as response, open(path, "wb") as file:
    response.raise_for_status()
    for chunk in response.iter_bytes():
        file.write(chunk)
"""
HUB = """
import sys
from huggingface_hub import file_download
url, path = sys.argv[1:]
with open(path, "wb") as file:
    file_download.http_get(url, file)
"""
DCIPHER = """
import sys
from dcipher import Dcipher, Run
url, path, connections = sys.argv[1:]
run = Run(flow_id="f", task_id="t", status="SUCCEEDED", outputs=[{"url": url}])
with Dcipher("k", base_url="http://127.0.0.1") as client:
    client.runs.download(run, path, max_connections=int(connections))
"""


class Used(NamedTuple):
    """What a process needed."""

    cpu: float
    wall: float
    memory: float
    """Its highest point, in MiB."""


def contestants() -> Mapping[str, Callable[[str, Path], Sequence[str]]]:
    """Who is installed, by name: the command that brings a URL to a path."""
    python = sys.executable
    four = ("-x4", "-s4", "-k1M", "--file-allocation=falloc", "-q", "--allow-overwrite=true")
    everyone: dict[str, Callable[[str, Path], Sequence[str]]] = {
        "httpx": lambda url, path: (python, "-c", HTTPX, url, str(path)),
        "dcipher": lambda url, path: (python, "-c", DCIPHER, url, str(path), "1"),
        "dcipher, 4": lambda url, path: (python, "-c", DCIPHER, url, str(path), "4"),
    }
    if shutil.which("curl"):
        everyone["curl"] = lambda url, path: ("curl", "-sS", "-o", str(path), url)
    if shutil.which("aria2c"):
        everyone["aria2c -x4"] = lambda url, path: (
            "aria2c",
            *four,
            "-d",
            str(path.parent),
            "-o",
            path.name,
            url,
        )
    if importlib.util.find_spec("huggingface_hub"):
        everyone["huggingface_hub"] = lambda url, path: (python, "-c", HUB, url, str(path))
    return everyone


def measure(command: Sequence[str]) -> Used:
    """Run it, and ask the system what it cost."""
    quiet = {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "PYTHONPATH": str(ROOT)}
    began = time.monotonic()
    # wait4 asks for this very process: getrusage knows the sum over all, and their highest memory.
    process = os.posix_spawnp(command[0], list(command), {**os.environ, **quiet})
    _, status, usage = os.wait4(process, 0)
    if status != 0:
        raise SystemExit(f"failed: {command[0]}")
    wall = time.monotonic() - began
    return Used(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1024)


def make_room(target: Path, size: int) -> None:
    """Let each find the same: memory that was in use until now.

    The first use of a page of memory is dear in a virtual machine.
    """
    with target.open("wb") as file:
        for _ in range(size // MIB):
            file.write(bytes(MIB))
    target.unlink()


def contest(url: str, size: int, rate: int, rounds: int, folder: Path) -> None:
    """The rounds, and the table."""
    target = folder / "result.bin"
    found: dict[str, list[Used]] = {}
    for _ in range(rounds):
        for name, command in contestants().items():
            small = measure(command(f"{url}/objects/1/0", target))
            make_room(target, size)
            large = measure(command(f"{url}/objects/{size}/{rate}", target))
            if target.stat().st_size != size:
                raise SystemExit(f"{name} saved {target.stat().st_size} bytes of {size}")
            target.unlink()
            found.setdefault(name, []).append(
                Used(*(whole - start for whole, start in zip(large, small, strict=True)))
            )
    print(f"{'':16}{'CPU s/GiB':>12}{'MiB per CPU s':>15}{'MiB/s':>9}{'MiB added':>11}")
    for name, used in found.items():
        cpu, wall, memory = (statistics.median(one) for one in zip(*used, strict=True))
        mib = size / MIB
        print(f"{name:16}{cpu / mib * 1024:12.2f}{mib / cpu:15.0f}{mib / wall:9.0f}{memory:11.1f}")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.transfers", description=__doc__)
    parser.add_argument("--mib", type=int, default=256, help="the size")
    parser.add_argument("--rate", type=int, default=0, help="MiB/s of each connection (no limit)")
    parser.add_argument("--rounds", type=int, default=3, help="how many")
    parser.add_argument("--folder", help="where the files go (the temporary folder)")
    options = parser.parse_args()
    size = options.mib * MIB
    command = [sys.executable, "-m", "benchmarks.server", "--blob", str(size)]
    with (
        tempfile.TemporaryDirectory(dir=options.folder) as folder,
        subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as server,
    ):
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        contest(url, size, options.rate, options.rounds, Path(folder))


if __name__ == "__main__":
    main()
