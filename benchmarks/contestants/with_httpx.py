"""The yardstick: what one would write with httpx and Pydantic alone."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
from meter import FLOW, KEY, TASK, URL, CPUTime, Memory, run
from pydantic import BaseModel, TypeAdapter

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
                with open(path, "wb") as file:
                    for chunk in response.iter_bytes():
                        file.write(chunk)

        save(1)
        memory, cpu = Memory(), CPUTime()
        save(size)
        return {"cpu": cpu.seconds(), "memory": memory.added()}


def download_async(size: int, path: str) -> dict[str, Any]:
    return asyncio.run(_download_async(size, path))


async def _download_async(size: int, path: str) -> dict[str, Any]:
    async with httpx.AsyncClient() as client:

        async def save(number: int) -> None:
            async with client.stream("GET", f"{URL}/results/{number}") as response:
                response.raise_for_status()
                # Blocking writes: a thread for each would only make it slower.
                with open(path, "wb") as file:  # noqa: ASYNC230
                    async for chunk in response.aiter_bytes():
                        file.write(chunk)

        await save(1)
        memory, cpu = Memory(), CPUTime()
        await save(size)
        return {"cpu": cpu.seconds(), "memory": memory.added()}


if __name__ == "__main__":
    run(
        {
            "calls": calls,
            "calls_in_flight": calls_in_flight,
            "download": download,
            "download_async": download_async,
        }
    )
