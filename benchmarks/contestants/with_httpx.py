"""The yardstick: what one would write with httpx and Pydantic alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import httpx
from meter import FLOW, KEY, TASK, URL, CPUTime, Memory, run
from pydantic import BaseModel, TypeAdapter

Save = Callable[[httpx.AsyncClient, int, str], Awaitable[None]]

HEADERS = {"Authorization": f"Api-Key {KEY}"}
STATUS = f"/flows/{FLOW}/status?taskId={TASK}"


class Status(BaseModel):
    status: str
    message: str | None = None


ADAPTER = TypeAdapter(Status)


def typed(response: httpx.Response) -> Status:
    response.raise_for_status()
    return ADAPTER.validate_json(response.content)


def calls(number: int) -> dict[str, Any]:
    with httpx.Client(base_url=URL, headers=HEADERS) as client:
        assert typed(client.get(STATUS)).status == "SUCCEEDED"
        cpu = CPUTime()
        for _ in range(number):
            typed(client.get(STATUS))
        return {"cpu": cpu.seconds() / number}


def calls_in_flight(number: int, in_flight: int) -> dict[str, Any]:
    return asyncio.run(_calls_in_flight(number, in_flight))


async def _calls_in_flight(number: int, in_flight: int) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=URL, headers=HEADERS, timeout=60) as client:

        async def caller(share: int) -> None:
            for _ in range(share):
                typed(await client.get(STATUS))

        await asyncio.gather(*(caller(1) for _ in range(in_flight)))
        cpu = CPUTime()
        await asyncio.gather(*(caller(number // in_flight) for _ in range(in_flight)))
        return {"cpu": cpu.seconds() / number}


def download(size: int, path: str) -> dict[str, Any]:
    with httpx.Client() as client:

        def save(number: int) -> None:
            with client.stream("GET", f"{URL}/results/{number}") as response:
                response.raise_for_status()
                with Path(path).open("wb") as file:
                    for chunk in response.iter_bytes():
                        file.write(chunk)

        save(1)
        memory, cpu = Memory(), CPUTime()
        save(size)
        return {"cpu": cpu.seconds(), "memory": memory.added()}


def download_limited(size: int, mib: int, path: str, connections: int) -> dict[str, Any]:
    """By one, of a store that gives each connection so many MiB/s."""
    assert connections
    with httpx.Client() as client:

        def save(number: int) -> None:
            with client.stream("GET", f"{URL}/objects/{number}/{mib}") as response:
                response.raise_for_status()
                with Path(path).open("wb") as file:
                    for chunk in response.iter_bytes():
                        file.write(chunk)

        save(1)
        memory, cpu, began = Memory(), CPUTime(), time.monotonic()
        save(size)
        took = time.monotonic() - began
        return {"cpu": cpu.seconds(), "memory": memory.added(), "seconds": took}


def download_async(size: int, path: str) -> dict[str, Any]:
    return asyncio.run(_download_async(size, path, save_in_thread))


def download_async_blocking(size: int, path: str) -> dict[str, Any]:
    return asyncio.run(_download_async(size, path, save_blocking))


async def _download_async(size: int, path: str, save: Save) -> dict[str, Any]:
    async with httpx.AsyncClient() as client:
        await save(client, 1, path)
        memory, cpu = Memory(), CPUTime()
        await save(client, size, path)
        return {"cpu": cpu.seconds(), "memory": memory.added()}


async def save_in_thread(client: httpx.AsyncClient, size: int, path: str) -> None:
    """The loop never waits for the disk."""
    async with client.stream("GET", f"{URL}/results/{size}") as response:
        response.raise_for_status()
        async with await anyio.open_file(path, "wb") as file:
            async for chunk in response.aiter_bytes():
                await file.write(chunk)


async def save_blocking(client: httpx.AsyncClient, size: int, path: str) -> None:
    """Everything else in the loop waits for the disk."""
    async with client.stream("GET", f"{URL}/results/{size}") as response:
        response.raise_for_status()
        with Path(path).open("wb") as file:  # noqa: ASYNC230 - that is the point
            async for chunk in response.aiter_bytes():
                file.write(chunk)


JOBS = {
    "calls": calls,
    "calls_in_flight": calls_in_flight,
    "download": download,
    "download_async": download_async,
    "download_limited": download_limited,
    "download_async_blocking": download_async_blocking,
}

if __name__ == "__main__":
    run(JOBS)
