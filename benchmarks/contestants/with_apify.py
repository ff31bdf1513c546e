"""The status of a run by apify-client, whose HTTP client is written in Rust."""

from __future__ import annotations

import asyncio
from typing import Any

from apify_client import ApifyClient, ApifyClientAsync
from meter import KEY, TASK, URL, CPUTime, run


def calls(number: int) -> dict[str, Any]:
    client = ApifyClient(KEY, api_url=URL)
    assert client.run(TASK).get() is not None
    cpu = CPUTime()
    for _ in range(number):
        client.run(TASK).get()
    return {"cpu": cpu.seconds() / number}


def calls_in_flight(number: int, in_flight: int) -> dict[str, Any]:
    return asyncio.run(_calls_in_flight(number, in_flight))


async def _calls_in_flight(number: int, in_flight: int) -> dict[str, Any]:
    client = ApifyClientAsync(KEY, api_url=URL)

    async def caller(share: int) -> None:
        for _ in range(share):
            await client.run(TASK).get()

    await asyncio.gather(*(caller(1) for _ in range(in_flight)))
    cpu = CPUTime()
    await asyncio.gather(*(caller(number // in_flight) for _ in range(in_flight)))
    return {"cpu": cpu.seconds() / number}


if __name__ == "__main__":
    run({"calls": calls, "calls_in_flight": calls_in_flight})
