"""Private attributes of httpx and httpcore that are used, and the public names that depend on them.

It runs with the lowest and with the newest of both, and with httpx2 in their place (`nox`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpcore
import httpx

from dcipher import HTTPClient
from tests.faulty import FaultyServer, json_reply

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal


def test_a_transport_of_httpx_sends_by_its_pool(portal: BlockingPortal) -> None:
    """`_pool`: a transport of httpx calls nothing of its own but that, and closes nothing else."""
    calls: list[str] = []

    class Pool:
        def handle_request(self, _: Any) -> httpcore.Response:
            calls.append("send")
            return httpcore.Response(204)

        async def handle_async_request(self, _: Any) -> httpcore.Response:
            calls.append("send")
            return httpcore.Response(204)

        def close(self) -> None:
            calls.append("close")

        async def aclose(self) -> None:
            calls.append("close")

    class Plain(httpx.HTTPTransport):
        def __init__(self) -> None:
            self._pool: Any = Pool()

    class Async(httpx.AsyncHTTPTransport):
        def __init__(self) -> None:
            self._pool: Any = Pool()

    request = httpx.Request("GET", "http://x.invalid/")
    plain, not_blocking = Plain(), Async()
    assert plain.handle_request(request).status_code == 204
    plain.close()

    async def main() -> int:
        response = await not_blocking.handle_async_request(request)
        await not_blocking.aclose()
        return response.status_code

    assert portal.call(main) == 204
    assert calls == ["send", "close"] * 2


def test_a_connection_of_httpcore_sends_by_its_connection(portal: BlockingPortal) -> None:
    """`_connection`: where it is set, a connection of httpcore opens none, and sends by it."""
    calls: list[str] = []

    class Exchanges:
        def handle_request(self, _: Any) -> httpcore.Response:
            calls.append("send")
            return httpcore.Response(204)

        async def handle_async_request(self, _: Any) -> httpcore.Response:
            calls.append("send")
            return httpcore.Response(204)

    origin = httpcore.Origin(b"http", b"x.invalid", 80)
    request = httpcore.Request("GET", "http://x.invalid:80/")
    plain, not_blocking = httpcore.HTTPConnection(origin), httpcore.AsyncHTTPConnection(origin)
    plain._connection = not_blocking._connection = Exchanges()  # type: ignore[assignment]
    assert plain.handle_request(request).status == 204

    async def main() -> int:
        response = await not_blocking.handle_async_request(request)
        return response.status

    assert portal.call(main) == 204
    assert calls == ["send"] * 2


def test_one_request_for_each_connection(kind: str, portal: BlockingPortal) -> None:
    """What is sent goes by our own streams, whatever httpx and httpcore are installed."""
    with FaultyServer() as server:
        server.on("*", json_reply("{}"))
        client = HTTPClient(server.url)

        async def stream() -> Any:
            response = await client.get_or_create_async_httpx_client().get("/")
            await client.aclose()
            return response.extensions["network_stream"]

        if kind == "sync":
            used = client.get_or_create_httpx_client().get("/").extensions["network_stream"]
            client.close()
        else:
            used = portal.call(stream)
    assert type(used).__module__.startswith("dcipher._wire.transport.streams")
    assert used.get_extra_info("is_readable")  # it is closed
