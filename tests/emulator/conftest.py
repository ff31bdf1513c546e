"""A running emulator, and a client that has its key."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import httpx
import pytest

from dcipher.emulator import Emulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator(queue_time=0.0) as running:

        @running.flow("shout", name="Shout")
        def shout(text: str, times: int = 1) -> dict[str, str]:
            """Say it louder."""
            return {"text": text.upper() * times}

        yield running


@pytest.fixture
def connect() -> Iterator[Callable[[Emulator], httpx.Client]]:
    """Clients with an emulator's key, closed at the end."""
    clients: list[httpx.Client] = []

    def make(running: Emulator) -> httpx.Client:
        headers = {"Authorization": f"Api-Key {running.api_key}"}
        clients.append(httpx.Client(base_url=running.url, headers=headers, timeout=10.0))
        return clients[-1]

    yield make
    for made in clients:
        made.close()


@pytest.fixture
def client(emulator: Emulator, connect: Callable[[Emulator], httpx.Client]) -> httpx.Client:
    return connect(emulator)


@pytest.fixture
def start() -> Callable[..., httpx.Response]:
    def post(
        client: httpx.Client, flow_id: str, /, key: str | None = None, **params: object
    ) -> httpx.Response:
        headers = {} if key is None else {"Idempotency-Key": key}
        url = f"/flows/{flow_id}/run"
        return client.post(url, json={"pipelineParams": params}, headers=headers)

    return post


@pytest.fixture
def finish() -> Callable[[httpx.Client, str, httpx.Response], dict[str, str]]:
    def wait(client: httpx.Client, flow_id: str, started: httpx.Response) -> dict[str, str]:
        """Poll until the run is over; its last status answer."""
        params = {"taskId": started.json()["taskId"]}
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            answer = client.get(f"/flows/{flow_id}/status", params=params).json()
            if answer["status"] in {"SUCCEEDED", "FAILED"}:
                return answer
            time.sleep(0.005)
        raise AssertionError(f"the run did not end: {answer}")

    return wait
