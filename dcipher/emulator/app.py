"""The operations of the API, on FastAPI: from a request to the service and back."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import TYPE_CHECKING, Annotated, cast, final

import fastapi
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Route
from typing_extensions import override

from dcipher._version import __version__
from dcipher.emulator.contract.contract import (
    ASSUMED,
    OBSERVED,
    SPECIFIED,
    ErrorResponse,
    FieldError,
    FlowResponse,
    StartResponse,
    StatusResponse,
)
from dcipher.emulator.contract.openapi import (
    api_extra,
    api_responses,
    document,
    result_extra,
    result_responses,
)
from dcipher.emulator.contract.unmatched import no_route
from dcipher.emulator.gate.gate import mark_unmatched, refusal_body, request_id, target
from dcipher.emulator.gate.refusals import Refusal
from dcipher.emulator.runs.results import error_document, select

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pydantic_core import ErrorDetails

    from dcipher.emulator.gate.gate import Receive, Scope, Send
    from dcipher.emulator.runs.results import Selection, StoredResult
    from dcipher.emulator.runs.service import Service

__all__ = ["build_app"]

_CHUNK = 256 * 1024
_LOGGER = logging.getLogger("dcipher.emulator")

FlowID = Annotated[str, fastapi.Path(description="The id of the flow.", json_schema_extra=OBSERVED)]
TaskID = Annotated[
    str, fastapi.Query(alias="taskId", description="The id of the run.", json_schema_extra=OBSERVED)
]
ResultTaskID = Annotated[
    str, fastapi.Path(description="The id of the run.", json_schema_extra=ASSUMED)
]
ResultIndex = Annotated[
    str, fastapi.Path(description="The index of the result, from 0.", json_schema_extra=ASSUMED)
]
IdempotencyKey = Annotated[
    str | None,
    fastapi.Header(
        alias="Idempotency-Key",
        description="Starts of a flow with the same key and the same body are one run.",
        json_schema_extra=ASSUMED,
    ),
]


def build_app(service: Service) -> FastAPI:
    """Returns the application, for use within the gate."""
    app = FastAPI(
        title="Dcipher Workflows API",
        version=__version__,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        # Newer versions of FastAPI report each request to the tracer of the program, which is ours only to
        # test; older ones ignore the argument.
        telemetry={"tracing": False, "metrics": False, "logs": False, "operation_spans": False},
        exception_handlers={
            Refusal: _on_refusal,
            RequestValidationError: _on_invalid,
            HTTPException: _on_http_exception,
            Exception: _on_failure,
        },
    )
    _add_api(app, service)
    _add_results(app, service)
    app.openapi = lambda: document(app)  # type: ignore[method-assign]

    @app.get("/openapi.json", include_in_schema=False)
    async def contract() -> Response:
        return _json(json.dumps(app.openapi()).encode())

    return app


def _add_api(app: FastAPI, service: Service) -> None:
    @app.get(
        "/flows/{flow_id}",
        operation_id="getFlow",
        summary="Fetch a flow and its parameters",
        responses=api_responses("The flow.", FlowResponse, ASSUMED),
        openapi_extra=api_extra(SPECIFIED),
    )
    async def get_flow(flow_id: FlowID) -> Response:
        return _json(service.describe(flow_id))

    @app.post(
        "/flows/{flow_id}/run",
        operation_id="startRun",
        summary="Start a run",
        responses=api_responses("The run was started.", StartResponse, OBSERVED),
        openapi_extra=api_extra(OBSERVED, body=True),
    )
    async def start_run(
        flow_id: FlowID, request: Request, idempotency_key: IdempotencyKey = None
    ) -> Response:
        return _json(await service.start(flow_id, await request.body(), idempotency_key))

    @app.get(
        "/flows/{flow_id}/status",
        operation_id="getRunStatus",
        summary="Fetch the status of a run",
        responses=api_responses("The status.", StatusResponse, OBSERVED),
        openapi_extra=api_extra(OBSERVED),
    )
    async def get_run_status(flow_id: FlowID, task_id: TaskID) -> Response:
        return _json(service.status(flow_id, task_id))


def _add_results(app: FastAPI, service: Service) -> None:
    path = "/results/{task_id}/{index}"

    @app.get(
        path,
        operation_id="getResult",
        summary="Fetch a result file by its signed URL",
        response_class=Response,
        responses=result_responses(),
        openapi_extra=result_extra(),
    )
    async def get_result(request: Request, task_id: ResultTaskID, index: ResultIndex) -> Response:
        refused = _refused(request, service, task_id, index)
        if refused is not None:
            return refused
        stored = service.result(task_id, index)
        if stored is None:
            return _xml(request, 404, "NoSuchKey", "The specified key does not exist.")
        return _file(request, stored)

    @app.head(path, include_in_schema=False)
    async def head_result(request: Request) -> Response:
        # The signature is for GET, so an object store rejects a HEAD.
        return _xml(request, 403, "SignatureDoesNotMatch", "The method is not the signed one.")


def _refused(request: Request, service: Service, task_id: str, index: str) -> Response | None:
    if "authorization" in request.headers:
        return _xml(request, 400, "InvalidArgument", "Only one auth mechanism allowed.")
    expires = request.query_params.get("Expires", "")
    signature = request.query_params.get("Signature", "")
    if not (expires and signature):
        return _xml(request, 403, "AccessDenied", "Access Denied")
    if not service.urls.genuine(task_id, index, expires, signature):
        return _xml(request, 403, "SignatureDoesNotMatch", "The signature does not match.")
    if time.time() >= int(expires) or service.urls_expired(task_id):
        return _xml(request, 403, "AccessDenied", "Request has expired")
    return None


def _file(request: Request, stored: StoredResult) -> Response:
    headers = stored.headers
    size = len(stored.content)
    wanted = dict(request.headers)
    part = select(wanted, size=size, etag=stored.etag, modified=headers["last-modified"])
    if part.status == 412:
        return _xml(request, 412, "PreconditionFailed", "A precondition did not hold.")
    if part.status == 416:
        refused = _xml(request, 416, "InvalidRange", "The requested range is not satisfiable")
        refused.headers["content-range"] = f"bytes */{size}"
        return refused
    if part.status == 304:
        del headers["content-type"]
        return Response(status_code=304, headers=headers)
    if part.status == 206:
        headers["content-range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
    return _Part(stored.content, part, headers)


@final
class _Part(Response):
    """A part of a file, or all of it, sent in chunks: no second copy of a large file."""

    def __init__(self, content: bytes, part: Selection, headers: dict[str, str]) -> None:
        length = str(part.stop - part.start)
        super().__init__(None, part.status, {**headers, "content-length": length})
        self._content = memoryview(content)[part.start : part.stop]

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send(
            {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        )
        for start in range(0, len(self._content), _CHUNK):
            chunk = bytes(self._content[start : start + _CHUNK])
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            # A send that does not wait does not yield: one download must not block the others.
            await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _json(body: bytes, status: int = 200) -> Response:
    return Response(body, status, media_type="application/json")


def _xml(request: Request, status: int, code: str, message: str) -> Response:
    body = error_document(code, message, request_id(request.scope))
    return Response(body, status, media_type="application/xml")


async def _on_refusal(request: Request, error: Exception) -> Response:
    refusal = cast("Refusal", error)
    if refusal.unmatched is not None:
        mark_unmatched(request.scope, refusal.unmatched)
    response = _json(refusal_body(request.scope, refusal), refusal.status)
    response.headers.update(refusal.headers)
    return response


async def _on_invalid(request: Request, error: Exception) -> Response:
    found = cast("Sequence[ErrorDetails]", cast("RequestValidationError", error).errors())
    detail = [FieldError(loc=[*e["loc"]], msg=e["msg"], type=e["type"]) for e in found]
    named = ", ".join(str(item.loc[-1]) for item in detail)
    refusal = Refusal(422, f"The request is not valid: {named}.", detail=detail)
    return await _on_refusal(request, refusal)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    found = cast("HTTPException", error)
    if found.status_code in {404, 405}:
        mark_unmatched(request.scope, no_route(request.method, request.url.path, _routes(request)))
    response = _json(ErrorResponse(message=found.detail).to_json(), found.status_code)
    response.headers.update(found.headers or {})
    return response


def _routes(request: Request) -> Iterator[tuple[str, str]]:
    for route in cast("FastAPI", request.app).routes:
        if isinstance(route, Route) and route.include_in_schema:
            for method in sorted(route.methods or ()):
                yield method, route.path


async def _on_failure(request: Request, error: Exception) -> Response:
    # Before the response, so that its client finds the reason in the log.
    _LOGGER.error("%s failed", target(request.scope), exc_info=error)
    return _json(
        ErrorResponse(message="The emulator failed. Its log has the reason.").to_json(), 500
    )
