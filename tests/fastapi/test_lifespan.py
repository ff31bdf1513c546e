"""`dcipher_lifespan` and `DcipherDep`: one client for an application."""

from __future__ import annotations

import asyncio
import signal
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Request, WebSocket

from dcipher import AsyncDcipher, ConfigurationError, DcipherError, MissingAPIKeyError, Resilience
from dcipher.emulator.faults import Respond
from dcipher.fastapi import DcipherDep, add_problem_handlers, dcipher_lifespan, get_dcipher
from tests.fastapi.app import make
from tests.waiting import HANG

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from dcipher.emulator import Emulator
    from tests.fastapi.conftest import Site

    Serve = Callable[[Any], Site]


def route(app: FastAPI | APIRouter) -> None:
    @app.get("/flow")
    async def flow(dcipher: DcipherDep) -> str:
        return (await dcipher.flows.get("words")).id


async def asked(app: FastAPI, path: str = "/flow") -> httpx.Response:
    """Sends a request to an application by httpx's ASGITransport, which has no lifespan and no state."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as web:
        return await web.get(path)


def test_application_router_and_mounted_application_have_it(
    emulator: Emulator, serve: Serve
) -> None:
    """The lifespan serves an application, one of a router, and mounted ones."""
    of_app, of_router, mounted = FastAPI(lifespan=dcipher_lifespan()), FastAPI(), FastAPI()
    route(of_app)
    router = APIRouter(lifespan=dcipher_lifespan())
    route(router)
    of_router.include_router(router)
    route(mounted)
    of_app.mount("/mounted", mounted)
    assert serve(of_app).web.get("/flow").json() == "words"
    assert serve(of_router).web.get("/flow").json() == "words"
    assert serve(of_app).web.get("/mounted/flow").json() == "words"


def test_it_is_composed_with_other_lifespans(emulator: Emulator, serve: Serve) -> None:
    """A lifespan of the user enters it, with or without its own state."""

    @asynccontextmanager
    async def with_state(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        async with dcipher_lifespan()(app) as state:
            yield {**state, "mine": 1}

    @asynccontextmanager
    async def without(app: FastAPI) -> AsyncIterator[None]:
        async with dcipher_lifespan()(app):
            yield

    for lifespan in (with_state, without):
        app = FastAPI(lifespan=lifespan)  # type: ignore[arg-type]
        route(app)

        @app.get("/mine")
        async def mine(request: Request) -> int:
            return getattr(request.state, "mine", 0)

        site = serve(app)
        assert site.web.get("/flow").json() == "words"
        assert site.web.get("/mine").json() == (lifespan is with_state)


def test_application_and_router_may_both_have_it(emulator: Emulator, serve: Serve) -> None:
    """If the lifespan is entered twice, the application starts, serves, and ends without an error."""
    app, router = FastAPI(lifespan=dcipher_lifespan()), APIRouter(lifespan=dcipher_lifespan())
    route(router)
    app.include_router(router)

    async def use() -> None:
        async with app.router.lifespan_context(app):
            assert (await asked(app)).json() == "words"
        assert app.state.dcipher is None

    asyncio.run(use())


def test_asgi_transport_finds_it_in_the_application(emulator: Emulator) -> None:
    """A test with ASGITransport enters the lifespan itself; then the client is there, and gone after it."""
    app = FastAPI(lifespan=dcipher_lifespan())
    route(app)

    async def use() -> None:
        async with app.router.lifespan_context(app):
            assert (await asked(app)).json() == "words"
            client = app.state.dcipher
        with pytest.raises(DcipherError, match="closed"):
            await client.flows.get("words")
        assert app.state.dcipher is None

    asyncio.run(use())


def test_without_the_lifespan_the_line_is_named(emulator: Emulator) -> None:
    """The log has the line to add, and the response has no details."""
    app = FastAPI()
    route(app)
    add_problem_handlers(app)
    with pytest.raises(ConfigurationError, match=r"FastAPI\(lifespan=dcipher_lifespan\(\)\)"):
        get_dcipher(Request({"type": "http", "app": app}))
    answer = asyncio.run(asked(app))
    assert answer.status_code == 500
    assert "lifespan" not in answer.text


def test_websocket_gets_it(emulator: Emulator) -> None:
    """A WebSocket is no request, and gets the client all the same."""
    app = FastAPI(lifespan=dcipher_lifespan())

    @app.websocket("/live")
    async def live(socket: WebSocket, dcipher: DcipherDep) -> None:
        await socket.accept()
        await socket.send_json((await dcipher.flows.get("words")).id)
        await socket.close()

    sent: list[Any] = []

    async def use() -> None:
        async def receive() -> Any:
            return {"type": "websocket.connect"}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "websocket", "path": "/live", "headers": [], "query_string": b""}
        async with app.router.lifespan_context(app):
            await app({**scope, "subprotocols": []}, receive, send)

    asyncio.run(use())
    assert [message.get("text") for message in sent] == [None, '"words"', None]


def options_of(**options: Any) -> Resilience:
    app = FastAPI(lifespan=dcipher_lifespan(**options))

    async def use() -> Resilience:
        async with app.router.lifespan_context(app):
            client: AsyncDcipher = app.state.dcipher
            return client._api.options.resilience

    return asyncio.run(use())


def test_a_call_is_limited_to_ten_seconds(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By default, a call with its retries takes at most ten seconds. Other options are unchanged."""
    monkeypatch.setenv("DCIPHER_MAX_RETRIES", "7")
    assert options_of() == Resilience(max_retries=7, deadline=10.0)
    assert options_of(max_retries=3) == Resilience(max_retries=3, deadline=10.0)
    assert options_of(resilience=Resilience(max_retries=1)) == Resilience(max_retries=1)


@pytest.mark.thorough
def test_failing_service_is_reported_within_ten_seconds(emulator: Emulator, serve: Serve) -> None:
    """A POST to a service that always responds with 503 does not take the time of all retries."""
    emulator.fault("start", Respond(503), times=None)
    app = FastAPI(lifespan=dcipher_lifespan(max_retries=20))
    add_problem_handlers(app)

    @app.post("/runs")
    async def start(dcipher: DcipherDep) -> None:
        await dcipher.flows.start("words", {"text": "a"})

    site = serve(app)
    began = time.monotonic()
    assert site.web.post("/runs").status_code == 502
    assert time.monotonic() - began < HANG / 2  # all of them take two minutes


def test_application_does_not_start_without_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing key is noticed when the application starts, not at the first request."""
    monkeypatch.delenv("DCIPHER_API_KEY", raising=False)
    monkeypatch.chdir("/")
    with pytest.raises(MissingAPIKeyError):
        options_of()


def test_signal_handlers_are_restored(emulator: Emulator) -> None:
    """The lifespan calls the existing handlers, and restores them."""
    called: list[int] = []
    former = signal.signal(signal.SIGTERM, lambda number, frame: called.append(number))
    ours = signal.getsignal(signal.SIGTERM)
    app = make()

    async def use() -> None:
        async with app.router.lifespan_context(app):
            signal.raise_signal(signal.SIGTERM)

    try:
        asyncio.run(use())
        assert called == [signal.SIGTERM]
        assert signal.getsignal(signal.SIGTERM) is ours
    finally:
        signal.signal(signal.SIGTERM, former)
