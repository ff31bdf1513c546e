"""The application of the tests: that of the guide, with a route for each kind of error."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from dcipher import DcipherError, NotFoundError, Resilience, Run
from dcipher.fastapi import (
    DcipherDep,
    RunView,
    add_problem_handlers,
    dcipher_lifespan,
    event_responses,
    problems,
    status_events,
)

QUICK = Resilience(backoff_initial=0.002, backoff_max=0.01, deadline=5.0)


def make(*, raising: list[DcipherError] | None = None, docs_url: str | None = None) -> FastAPI:
    app = FastAPI(lifespan=dcipher_lifespan(resilience=QUICK))
    add_problem_handlers(app, docs_url=docs_url)

    @app.post("/runs/{flow_id}", status_code=202, response_model=RunView)
    async def start(flow_id: str, params: dict[str, Any], dcipher: DcipherDep) -> Run:
        return await dcipher.flows.start(
            flow_id, params, idempotency_key=f"canary-idempotency-{len(dcipher.runs.recent)}"
        )

    @app.get("/runs/{flow_id}/{task_id}", response_model=RunView, responses=problems())
    async def status(flow_id: str, task_id: str, dcipher: DcipherDep) -> Run:
        return await dcipher.runs.get(flow_id, task_id)

    @app.get(
        "/runs/{flow_id}/{task_id}/events",
        response_class=StreamingResponse,
        responses=event_responses(NotFoundError),
    )
    async def events(
        flow_id: str, task_id: str, dcipher: DcipherDep, timeout: float | None = None
    ) -> StreamingResponse:
        # As it was started: with the signed URLs of its results.
        known = [run for run in dcipher.runs.recent if run.task_id == task_id]
        run = known[0] if known else Run(flow_id=flow_id, task_id=task_id)
        return status_events(dcipher, run, timeout=timeout)

    @app.get("/raise")
    async def fail() -> None:
        raise (raising or [])[0]

    @app.post("/raise")
    async def fail_to_start() -> None:
        raise (raising or [])[0]

    return app
