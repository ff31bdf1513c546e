"""The same by dcipher, and what only it can do: wait."""

from __future__ import annotations

import asyncio
import time
from statistics import median
from typing import Any

from meter import FLOW, KEY, TASK, URL, CPUTime, Memory, looks, run

from dcipher import AsyncDcipher, Dcipher, Run


def calls(number: int) -> dict[str, Any]:
    with Dcipher(KEY, base_url=URL) as client:
        assert client.runs.get(FLOW, TASK).succeeded
        cpu = CPUTime()
        for _ in range(number):
            client.runs.get(FLOW, TASK)
        return {"cpu": cpu.seconds() / number}


def calls_in_flight(number: int, in_flight: int) -> dict[str, Any]:
    return asyncio.run(_calls_in_flight(number, in_flight))


async def _calls_in_flight(number: int, in_flight: int) -> dict[str, Any]:
    async with AsyncDcipher(KEY, base_url=URL) as client:

        async def caller(share: int) -> None:
            for _ in range(share):
                await client.runs.get(FLOW, TASK)

        await asyncio.gather(*(caller(1) for _ in range(in_flight)))
        cpu = CPUTime()
        await asyncio.gather(*(caller(number // in_flight) for _ in range(in_flight)))
        return {"cpu": cpu.seconds() / number}


def waits(number: int, shortest: float, longest: float) -> dict[str, Any]:
    """Wait for so many runs at once, the seconds that they take spread evenly."""
    step = (longest - shortest) / number
    return asyncio.run(_waits([round(shortest + i * step, 3) for i in range(number)]))


async def _waits(seconds: list[float]) -> dict[str, Any]:
    before = looks()
    memory, cpu = Memory(), CPUTime()
    async with AsyncDcipher(KEY, base_url=URL) as client:

        async def lag(duration: float) -> float:
            started: Run = await client.flows.start(f"{duration}-1")
            ended = await client.runs.wait(started)
            assert ended.succeeded
            return time.monotonic() - float(ended.task_id.partition("-")[0])

        lags = await asyncio.gather(*map(lag, seconds), return_exceptions=True)
    used, added = cpu.seconds(), memory.added()
    done = [one for one in lags if isinstance(one, float)]
    return {
        "cpu": used,
        "memory": added,
        "unfinished": len(lags) - len(done),
        "lag": median(done) if done else float("inf"),
        "looks": (looks() - before) / len(lags),
    }


def download(size: int, path: str) -> dict[str, Any]:
    with Dcipher(KEY, base_url=URL) as client:

        def save(number: int) -> None:
            client.runs.download(client.flows.start(f"0-{number}"), path)

        save(1)
        memory, cpu = Memory(), CPUTime()
        save(size)
        return {"cpu": cpu.seconds(), "memory": memory.added()}


def download_async(size: int, path: str) -> dict[str, Any]:
    return asyncio.run(_download_async(size, path))


async def _download_async(size: int, path: str) -> dict[str, Any]:
    async with AsyncDcipher(KEY, base_url=URL) as client:

        async def save(number: int) -> None:
            await client.runs.download(await client.flows.start(f"0-{number}"), path)

        await save(1)
        memory, cpu = Memory(), CPUTime()
        await save(size)
        return {"cpu": cpu.seconds(), "memory": memory.added()}


def download_limited(size: int, mib: int, path: str, connections: int) -> dict[str, Any]:
    """An object with a validator, of a store that gives each connection so many MiB/s (0: all)."""
    with Dcipher(KEY, base_url=URL) as client:

        def save(number: int) -> None:
            run = client.flows.start(f"0-{number}-{mib}")
            client.runs.download(run, path, max_connections=connections)

        save(1)
        memory, cpu, began = Memory(), CPUTime(), time.monotonic()
        save(size)
        took = time.monotonic() - began
        return {"cpu": cpu.seconds(), "memory": memory.added(), "seconds": took}


if __name__ == "__main__":
    run(
        {
            "calls": calls,
            "calls_in_flight": calls_in_flight,
            "waits": waits,
            "download": download,
            "download_async": download_async,
            "download_limited": download_limited,
        }
    )
