"""Dcipher in a FastAPI application: the client, error responses, the status as an event stream.

Example:
    ```python
    from fastapi import FastAPI

    from dcipher import Run
    from dcipher.fastapi import DcipherDep, RunView, add_problem_handlers, dcipher_lifespan

    app = FastAPI(lifespan=dcipher_lifespan())
    add_problem_handlers(app)


    @app.post("/runs", status_code=202, response_model=RunView)
    async def start(text: str, dcipher: DcipherDep) -> Run:
        return await dcipher.flows.start("65cf2f3e", {"text": text})
    ```

It needs the extra `fastapi`.
"""

from __future__ import annotations

from dcipher._extras.installation import install

try:
    from dcipher.fastapi.events import status_events
    from dcipher.fastapi.handlers import add_problem_handlers, event_responses, problems
    from dcipher.fastapi.lifespan import DcipherDep, dcipher_lifespan, get_dcipher
    from dcipher.fastapi.run_view import RunView
except ImportError as _error:
    if (_error.name or "").partition(".")[0] not in {"fastapi", "starlette"}:
        raise
    raise ImportError(
        f"dcipher.fastapi needs FastAPI: {install('fastapi')}", name=_error.name
    ) from _error

__all__ = [
    "DcipherDep",
    "RunView",
    "add_problem_handlers",
    "dcipher_lifespan",
    "event_responses",
    "get_dcipher",
    "problems",
    "status_events",
]
