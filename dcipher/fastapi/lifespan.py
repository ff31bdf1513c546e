"""The client of the application: made when it starts, closed when it ends, injected into routes."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends
from starlette.requests import HTTPConnection

from dcipher import AsyncDcipher, ConfigurationError
from dcipher.errors._hints import with_hint
from dcipher.fastapi.watching import hub_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from types import FrameType

__all__ = ["DEADLINE", "DcipherDep", "dcipher_lifespan", "get_dcipher"]

DEADLINE = 10.0
"""Seconds for a call with its retries: users who wait for a response expect it sooner than a script."""


def dcipher_lifespan(
    **client_options: Any,
) -> Callable[[Any], AbstractAsyncContextManager[dict[str, Any]]]:
    """Returns a lifespan for `FastAPI(lifespan=…)` and `APIRouter(lifespan=…)`, with one client.

    A call of this client, with its retries, takes about 10 seconds at most (`Resilience.deadline`),
    unless `resilience` says otherwise. Status streams are not affected. When the process receives
    SIGINT or SIGTERM, they end, so that the server can stop.

    To combine it with a lifespan of your own, enter it there, and yield its state with yours:

    ```python
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        async with dcipher_lifespan()(app) as state:
            yield {**state, "mine": 1}
    ```

    The client is in the state of the lifespan (`request.state.dcipher`), which mounted applications
    share, and in `app.state.dcipher`.

    Args:
        **client_options: The arguments of `AsyncDcipher`.
    """

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncGenerator[dict[str, Any]]:
        async with (
            AsyncDcipher(**client_options) as configured,
            _for_requests(configured, client_options) as client,
        ):
            hub = hub_of(client)
            outer, app.state.dcipher = getattr(app.state, "dcipher", None), client
            try:
                with _at_exit_signal(hub.close):
                    yield {"dcipher": client}
            finally:
                hub.close()
                app.state.dcipher = outer

    return lifespan


def _for_requests(client: AsyncDcipher, options: dict[str, Any]) -> AsyncDcipher:
    """Derives the client with a deadline for calls that a user waits for."""
    resilience = client._api.options.resilience  # noqa: SLF001 - of this package
    if options.get("resilience") is None:
        resilience = replace(resilience, deadline=DEADLINE)
    return client.with_options(resilience=resilience)


@contextmanager
def _at_exit_signal(call: Callable[[], None]) -> Generator[None]:
    """Calls `call` when the process receives a signal to end, before the server's own handler.

    A server waits for open responses before it ends the lifespan, without notifying them.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former: dict[int, Any] = {}

    def handle(signum: int, frame: FrameType | None) -> None:
        call()
        former[signum](signum, frame)

    for signum in (signal.SIGINT, signal.SIGTERM):
        if callable(handler := signal.getsignal(signum)):
            former[signum] = handler
            signal.signal(signum, handle)
    try:
        yield
    finally:
        for number, handler in former.items():
            if signal.getsignal(number) is handle:
                signal.signal(number, handler)


def get_dcipher(connection: HTTPConnection) -> AsyncDcipher:
    """Returns the client of the application, for `Depends` and for code that has the request.

    Raises:
        ConfigurationError: The application runs without `dcipher_lifespan`.
    """
    # httpx's ASGITransport, and a lifespan that yields no state, leave only `app.state`.
    for state in (connection.state, connection.app.state):
        client = getattr(state, "dcipher", None)
        if isinstance(client, AsyncDcipher):
            return client
    raise with_hint(
        ConfigurationError("The application has no Dcipher client."),
        "Add it where the application is made: app = FastAPI(lifespan=dcipher_lifespan()). In a test "
        "with httpx's ASGITransport, which runs no lifespan, enter it: "
        "async with app.router.lifespan_context(app): …",
    )


DcipherDep = Annotated[AsyncDcipher, Depends(get_dcipher)]
"""The client of the application, as the type of a route's parameter: `dcipher: DcipherDep`."""
