"""The published dcipher 0.3.5, run by a Python of its own.

It has no look at a run: its call is a start, which is one exchange as well.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import Any

from meter import FLOW, KEY, URL, CPUTime, Memory, looks, run

from dcipher import AsyncDcipher, Dcipher

Dcipher.BASE_URL = URL


def calls(number: int) -> dict[str, Any]:
    number = max(1, number // 10)
    client = Dcipher(KEY)
    client.run_flow(FLOW, {})
    cpu = CPUTime()
    for _ in range(number):
        client.run_flow(FLOW, {})
    return {"cpu": cpu.seconds() / number}


def calls_in_flight(number: int, in_flight: int) -> dict[str, Any]:
    return asyncio.run(_calls_in_flight(max(in_flight, number // 10), in_flight))


async def _calls_in_flight(number: int, in_flight: int) -> dict[str, Any]:
    client = AsyncDcipher(KEY)

    async def caller(share: int) -> None:
        for _ in range(share):
            await client.run_flow(FLOW, {})

    await client.run_flow(FLOW, {})
    cpu = CPUTime()
    await asyncio.gather(*(caller(number // in_flight) for _ in range(in_flight)))
    return {"cpu": cpu.seconds() / number}


def waits(number: int, shortest: float, longest: float) -> dict[str, Any]:
    """Wait for so many runs at once, the seconds that they take spread evenly."""
    step = (longest - shortest) / number
    seconds = [round(shortest + i * step, 3) for i in range(number)]
    before, client = looks(), Dcipher(KEY)

    def lag(duration: float) -> float:
        ended = client.run_flow(f"{duration}-1", {}, wait_until_completion=True)
        return time.monotonic() - float(ended["task_id"].partition("-")[0])

    with ThreadPoolExecutor(len(seconds)) as pool:
        lags = list(pool.map(lag, seconds))
    return {"lag": median(lags), "looks": (looks() - before) / len(lags)}


def download(size: int, path: str) -> dict[str, Any]:
    client = Dcipher(KEY)
    memory, cpu = Memory(), CPUTime()
    client.run_flow(f"0-{size}", {}, save_path=path, wait_until_completion=True)
    return {"cpu": cpu.seconds(), "memory": memory.added()}


def download_async(size: int, path: str) -> dict[str, Any]:
    client = AsyncDcipher(KEY)
    memory, cpu = Memory(), CPUTime()
    asyncio.run(client.run_flow(f"0-{size}", {}, save_path=path, wait_until_completion=True))
    return {"cpu": cpu.seconds(), "memory": memory.added()}


if __name__ == "__main__":
    run(
        {
            "calls": calls,
            "calls_in_flight": calls_in_flight,
            "waits": waits,
            "download": download,
            "download_async": download_async,
        }
    )
