"""Many runs: `flows.map` with a journal, beside asyncio and httpx by hand.

`python -m benchmarks.batch [ROWS] [--seconds 2] [--in-flight 200]`: a server that costs next to nothing,
in a process of its own; then a process for each contestant, which prints its CPU time a run, its polls,
and its peak of memory. The polls are timed by the length of the runs: those of 2 s cost as many as those
of 20 s, and take a tenth of the time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from dcipher import AsyncDcipher, BatchReport, Dcipher

KEY = "benchmark-key"


def memory() -> float:
    """The peak of this process, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def cpu() -> float:
    """The CPU time of this process, in seconds."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def rows(count: int):
    """The rows, one by one."""
    for n in range(count):
        yield {"id": n, "text": f"Some text, number {n}, that is to be grouped by its topics."}


async def by_hand(url: str, flow_id: str, asked: argparse.Namespace) -> dict[str, float]:
    """What one writes in ten minutes: a task a row, a semaphore, a poll every 0.15 of the usual time."""
    polls = 0
    at_once = asyncio.Semaphore(asked.in_flight)
    headers = {"Authorization": f"Api-Key {KEY}"}
    limits = httpx.Limits(max_connections=None)
    async with (
        httpx.AsyncClient(base_url=url, headers=headers, timeout=60, limits=limits) as client,
        httpx.AsyncClient(timeout=60, limits=limits) as store,
    ):

        async def one(row: dict[str, object]) -> object:
            nonlocal polls
            async with at_once:
                body = {"pipelineParams": {"text": row["text"]}}
                run = (await client.post(f"/flows/{flow_id}/run", json=body)).raise_for_status()
                started = run.json()
                target = f"/flows/{flow_id}/status?taskId={started['taskId']}"
                status = ""
                while status not in {"SUCCEEDED", "FAILED", "CANCELLED"}:
                    await asyncio.sleep(0.15 * asked.seconds)
                    polls += 1
                    status = (await client.get(target)).raise_for_status().json()["status"]
                return (await store.get(started["signedResponseURL"])).json()

        tasks = [asyncio.create_task(one(row)) for row in rows(asked.rows)]
        await asyncio.gather(*tasks)
    return {"polls": polls / asked.rows}


def _figures(report: BatchReport, asked: argparse.Namespace) -> dict[str, float]:
    assert report.done == asked.rows, report
    return {"polls": report.polls / asked.rows, "p50": report.seconds.p50 or 0.0}


def _options(asked: argparse.Namespace, folder: str) -> dict[str, Any]:
    return {
        "key": "id", "journal": Path(folder, "j.db"), "read": dict, "progress": False,
        "in_flight": asked.in_flight,
    }  # fmt: skip


async def mapped_async(url: str, flow_id: str, asked: argparse.Namespace) -> dict[str, float]:
    """By `AsyncDcipher`."""
    with tempfile.TemporaryDirectory() as folder:
        async with AsyncDcipher(KEY, base_url=url) as client:
            batch = client.flows.map(flow_id, rows(asked.rows), **_options(asked, folder))
            return _figures(await batch.run(), asked)


def mapped(url: str, flow_id: str, asked: argparse.Namespace) -> dict[str, float]:
    """By `Dcipher`."""
    with tempfile.TemporaryDirectory() as folder, Dcipher(KEY, base_url=url) as client:
        batch = client.flows.map(flow_id, rows(asked.rows), **_options(asked, folder))
        return _figures(batch.run(), asked)


def contestant(url: str, asked: argparse.Namespace) -> None:
    """Does the work, and prints what it cost."""
    base, began, used = memory(), time.perf_counter(), cpu()
    flow_id = f"{asked.seconds}-json"
    if asked.contestant == "by hand":
        figures = asyncio.run(by_hand(url, flow_id, asked))
    elif asked.contestant == "async":
        figures = asyncio.run(mapped_async(url, flow_id, asked))
    else:
        figures = mapped(url, flow_id, asked)
    figures = {
        "cpu_ms": (cpu() - used) * 1000 / asked.rows, **figures,
        "peak_mib": memory(), "added_mib": memory() - base, "seconds": time.perf_counter() - began,
    }  # fmt: skip
    rounded = {name: round(value, 2) for name, value in figures.items()}
    print(asked.contestant.ljust(8), json.dumps(rounded), flush=True)


def main() -> None:
    """Runs all contestants, or one of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", type=int, nargs="?", default=10_000)
    parser.add_argument("--seconds", type=float, default=2.0, help="of a run")
    parser.add_argument("--in-flight", type=int, default=200)
    parser.add_argument("--contestant", choices=("by hand", "async", "blocking"))
    parser.add_argument("--url", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.url is not None:
        contestant(asked.url, asked)
        return
    names = [asked.contestant] if asked.contestant else ["by hand", "async", "blocking"]
    options = [str(asked.rows), f"--seconds={asked.seconds}", f"--in-flight={asked.in_flight}"]
    for name in names:
        command = [sys.executable, "-m", "benchmarks.server"]
        server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            url = server.stdout.readline().strip()
            here = [sys.executable, "-m", "benchmarks.batch", f"--contestant={name}"]
            subprocess.run([*here, f"--url={url}", *options], check=True)
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
