"""A running emulator, and a client that has its key."""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING

import httpx
import pytest
import uvicorn.config

from dcipher.emulator import Emulator
from tests.emulator.wire import Lab
from tests.waiting import HANG, until

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
        clients.append(httpx.Client(base_url=running.url, headers=headers, timeout=HANG))
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
        response: dict[str, str] = {}

        def ended() -> bool:
            response.update(client.get(f"/flows/{flow_id}/status", params=params).json())
            return response["status"] in {"SUCCEEDED", "FAILED"}

        assert until(ended), response
        return response

    return wait


PROTOCOLS = {
    "h11": "uvicorn.protocols.http.h11_impl:H11Protocol",
    "httptools": "uvicorn.protocols.http.httptools_impl:HttpToolsProtocol",
}


@pytest.fixture(params=list(PROTOCOLS))
def protocol(request: pytest.FixtureRequest) -> str:
    """Which of uvicorn's two serves `lab` and `own_lab`; without this fixture it is h11."""
    name: str = request.param
    pytest.importorskip(name)
    return name


@pytest.fixture(scope="session")
def web() -> Iterator[httpx.Client]:
    """A client without a key, which opens a connection for every request."""
    limits = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(trust_env=False, timeout=HANG, limits=limits) as client:
        yield client


@pytest.fixture(scope="session")
def make_lab(web: httpx.Client) -> Iterator[Callable[[str], Lab]]:
    with contextlib.ExitStack() as stack:

        def make(protocol: str) -> Lab:
            with pytest.MonkeyPatch.context() as patch:
                patch.setitem(uvicorn.config.HTTP_PROTOCOLS, "auto", PROTOCOLS[protocol])
                return Lab(stack.enter_context(Emulator(queue_time=0.0)), web)

        yield make


@pytest.fixture(scope="session")
def labs(make_lab: Callable[[str], Lab]) -> Callable[[str], Lab]:
    """One `Lab` for each protocol: starting one takes longer than most tests."""
    return functools.cache(make_lab)


@pytest.fixture
def lab(request: pytest.FixtureRequest, labs: Callable[[str], Lab]) -> Iterator[Lab]:
    """An emulator for tests of faults, without the state of an earlier test."""
    chosen = "protocol" in request.fixturenames
    shared = labs(request.getfixturevalue("protocol") if chosen else "h11")
    yield shared
    shared.emulator.reset()


@pytest.fixture
def own_lab(protocol: str, make_lab: Callable[[str], Lab]) -> Lab:
    """The same, for a test that stops it."""
    return make_lab(protocol)
