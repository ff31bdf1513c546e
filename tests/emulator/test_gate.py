"""The gate around any ASGI application: exceptions within it become responses, once."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import httpx
import pytest

from dcipher.emulator.faults.delivery import deliver
from dcipher.emulator.faults.messages import Response, Stop
from dcipher.emulator.gate.access import SignatureCheck
from dcipher.emulator.gate.exchanges import Exchanges
from dcipher.emulator.gate.gate import TRANSPORT, Gate, Guard, request_id
from dcipher.emulator.gate.journal import Journal
from dcipher.emulator.gate.refusals import Refusal

if TYPE_CHECKING:
    from dcipher.emulator.gate.gate import ASGIApp, Receive, Scope, Send

KEY = "emu_key"


def _gate(app: ASGIApp, journal: Journal) -> Gate:
    return Gate(app, Guard(KEY, SignatureCheck(None, required=False), None), journal, Exchanges())


def ask(app: ASGIApp) -> tuple[httpx.Response, Journal]:
    """One request through a gate, without a socket."""
    journal = Journal()
    gate = _gate(app, journal)

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(gate)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://gate") as client:
            return await client.get("/flows/f", headers={"Authorization": f"Api-Key {KEY}"})

    return asyncio.run(send()), journal


def test_a_refusal_from_within_is_the_response() -> None:
    """A layer inside the gate rejects a request by raising, with its headers."""

    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise Refusal(503, "Later.", headers={"Retry-After": "7"})

    answer, journal = ask(app)
    assert (answer.status_code, answer.json()) == (503, {"message": "Later."})
    assert answer.headers["retry-after"] == "7"
    assert [record.status for record in journal.records()] == [503]


def test_any_other_exception_is_a_500(caplog: pytest.LogCaptureFixture) -> None:
    """An error in a layer gets a response, and is logged with its traceback."""

    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise RuntimeError("a layer broke")

    answer, _ = ask(app)
    assert answer.status_code == 500
    assert "a layer broke" not in answer.text
    assert "a layer broke" in caplog.text


def test_a_response_that_has_begun_is_not_replaced() -> None:
    """After the first bytes, no other response is possible, whatever is raised."""
    ids: list[str] = []

    for error in (Refusal(400, "too late"), RuntimeError("too late")):

        async def app(
            scope: Scope, _receive: Receive, send: Send, error: Exception = error
        ) -> None:
            ids.append(request_id(scope))
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"whole"})
            raise error

        answer, journal = ask(app)
        assert (answer.status_code, answer.content) == (200, b"whole")
        assert answer.headers["x-request-id"] == ids[-1]
        assert [record.status for record in journal.records()] == [200]


class Peer(asyncio.Protocol):
    """A server's connection, which learns from `connection_lost` that its client has disconnected."""

    def __init__(self) -> None:
        self.lost = asyncio.Event()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()

    async def receive(self) -> dict[str, object]:
        await self.lost.wait()
        return {"type": "http.disconnect"}


@pytest.mark.parametrize(
    "response",
    [
        Response(200, raw=b"HTTP"),
        Response(200, framing="chunked", unfinished=True),
        Response(200, stop=Stop("head", 5, "reset")),
    ],
    ids=["raw", "unfinished", "reset"],
)
def test_a_response_ends_after_the_server_knows_that_the_client_is_gone(response: Response) -> None:
    """A transport is closing before `connection_lost`: in between, uvicorn would log that a response is missing."""

    async def body() -> None:
        near, far = socket.socketpair()
        with near, far:
            transport, peer = await asyncio.get_running_loop().create_connection(Peer, sock=near)

            async def app(scope: Scope, receive: Receive, send: Send) -> None:
                transport.abort()
                await deliver(response, {**scope, TRANSPORT: transport}, peer.receive, send)

            asgi = httpx.ASGITransport(_gate(app, Journal()))  # type: ignore[arg-type]
            async with httpx.AsyncClient(transport=asgi, base_url="http://gate") as client:
                with pytest.raises(AssertionError):  # httpx's: there is no response
                    await client.get("/flows/f", headers={"Authorization": f"Api-Key {KEY}"})
            assert peer.lost.is_set()

    asyncio.run(body())
