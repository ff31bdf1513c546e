"""Many runs: `flows.map` with a journal, beside asyncio and httpx by hand.

`python -m benchmarks.batch [ROWS]`: an emulator in a process of its own, whose clock goes 20 times as
fast, so that a run of 20 s takes one; then a process for each contestant, which prints its CPU time a
run, its requests, and its peak of memory.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

from dcipher import AsyncDcipher, Dcipher

AT_ONCE = 200
RUN = 20.0
SCALE = 20.0


def memory() -> float:
    """The peak of this process, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def rows(count: int):
    for n in range(count):
        yield {"id": n, "text": f"Some text, number {n}, that is to be grouped by its topics."}


async def by_hand(url: str, key: str, count: int) -> dict[str, float]:
    """What one writes in ten minutes: a task a row, a semaphore, a poll every second."""
    polls = 0
    at_once = asyncio.Semaphore(AT_ONCE)
    headers = {"Authorization": f"Api-Key {key}"}
    async with (
        httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as client,
        httpx.AsyncClient(timeout=60) as store,
    ):

        async def one(row: dict[str, object]) -> object:
            nonlocal polls
            async with at_once:
                body = {"pipelineParams": {"text": row["text"]}}
                run = (await client.post("/flows/echo/run", json=body)).raise_for_status().json()
                while True:
                    await asyncio.sleep(3.0 / SCALE)
                    polls += 1
                    target = f"/flows/echo/status?taskId={run['taskId']}"
                    status = (await client.get(target)).raise_for_status().json()["status"]
                    if status in {"SUCCEEDED", "FAILED", "CANCELLED"}:
                        break
                return (await store.get(run["signedResponseURL"])).json()

        tasks = [asyncio.create_task(one(row)) for row in rows(count)]
        await asyncio.gather(*tasks)
    return {"polls": polls / count}


async def mapped_async(url: str, key: str, count: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        async with AsyncDcipher(key, base_url=url) as client:
            batch = client.flows.map(
                "echo",
                rows(count),
                key="id",
                journal=Path(folder, "j.db"),
                read=dict,
                progress=False,
            )
            report = await batch.run()
    assert report.done == count, report
    return {"polls": report.polls / count, "p50": report.seconds.p50 or 0.0}


def mapped(url: str, key: str, count: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder, Dcipher(key, base_url=url) as client:
        batch = client.flows.map(
            "echo", rows(count), key="id", journal=Path(folder, "j.db"), read=dict, progress=False
        )
        report = batch.run()
    assert report.done == count, report
    return {"polls": report.polls / count, "p50": report.seconds.p50 or 0.0}


def contestant(name: str, url: str, key: str, count: int) -> None:
    base, began, used = memory(), time.perf_counter(), cpu()
    if name == "by hand":
        told = asyncio.run(by_hand(url, key, count))
    elif name == "flows.map, async":
        told = asyncio.run(mapped_async(url, key, count))
    else:
        told = mapped(url, key, count)
    told = {
        "cpu_ms": (cpu() - used) * 1000 / count, **told,
        "peak_mib": memory(), "added_mib": memory() - base, "seconds": time.perf_counter() - began,
    }  # fmt: skip
    print(
        name.ljust(18),
        json.dumps({key: round(value, 2) for key, value in told.items()}),
        flush=True,
    )


FLOW = """
from dcipher.emulator import Flows
flows = Flows()
@flows.flow("echo")
def echo(text: str) -> dict[str, str]:
    return {"text": text}
"""


def main() -> None:
    if len(sys.argv) == 5:
        contestant(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
        return
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    for name in ("by hand", "flows.map, async", "flows.map"):
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "benchflows.py").write_text(FLOW, encoding="utf-8")
            ready = Path(folder, "ready.json")
            command = [
                sys.executable, "-m", "dcipher", "emulator", "start", "--flows", "benchflows", "--port", "0",
                "--time-scale", str(SCALE), "--run-time", str(RUN), "--ready-file", str(ready),
            ]  # fmt: skip
            python = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{Path.cwd()}"}
            server = subprocess.Popen(command, env=python, stdout=subprocess.DEVNULL)
            try:
                while not ready.exists():
                    time.sleep(0.1)
                told = json.loads(ready.read_text(encoding="utf-8"))
                here = [sys.executable, "-m", "benchmarks.batch"]
                subprocess.run([*here, name, told["url"], told["api_key"], str(count)], check=True)
            finally:
                server.terminate()
                server.wait()


if __name__ == "__main__":
    main()
