"""Error responses: the handler of an application; the part of errors and events in its OpenAPI document."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request, Response

from dcipher import DcipherError
from dcipher._masking.text import clean
from dcipher.fastapi.problem_documents import MEDIA_TYPE, problem_of, rules_of, schema
from dcipher.fastapi.run_view import RunView
from dcipher.logs import logger

__all__ = ["add_problem_handlers", "event_responses", "problems"]


def add_problem_handlers(app: FastAPI, *, docs_url: str | None = None) -> None:
    """Adds a handler that responds to every `DcipherError` with a problem document (RFC 9457).

    The media type is `application/problem+json`. The members besides those of the RFC: `retryable`
    (the same request may succeed later, and starts no second run), `flow_id` and `task_id` if
    known, and `errors` (the fields of a 422). The document contains neither URLs nor texts of the
    service. The error itself is logged (logger `dcipher`), from status 500 on.

    Other handlers of the application stay; those for a subclass of `DcipherError` take precedence.

    Args:
        app: The application.
        docs_url: A page about the errors: `type` is this URL with the name of the error class as
            the fragment. `None`: `about:blank`.
    """

    async def respond(request: Request, error: Exception) -> Response:
        if not isinstance(error, DcipherError):
            raise error
        problem = problem_of(error, method=request.method, docs_url=docs_url)
        if problem.status >= 500:
            name = type(error).__name__
            logger.error("%s %s: %s: %s", request.method, clean(request.url.path), name, error)
        return Response(problem.to_json(), problem.status, problem.headers, MEDIA_TYPE)

    app.add_exception_handler(DcipherError, respond)


def problems(*errors: type[DcipherError]) -> dict[int | str, dict[str, Any]]:
    """Returns the `responses=` of a route, a router or an application that may raise these errors.

    Args:
        *errors: Classes of errors, which stand for their subclasses, too. Default: all errors.
    """
    found: dict[int, list[str]] = {}
    for rule in {rule: 0 for kind in errors or (DcipherError,) for rule in rules_of(kind)}:
        found.setdefault(rule.status, []).append(rule.detail)
    return {status: _response(status, details) for status, details in sorted(found.items())}


def event_responses(*errors: type[DcipherError]) -> dict[int | str, dict[str, Any]]:
    """Returns the `responses=` of a route that returns `status_events`: its events, and `problems`.

    FastAPI describes a stream as JSON, unless the route has `response_class=StreamingResponse`.

    Args:
        *errors: Classes of errors before the first event. Default: all errors.
    """
    content = {"text/event-stream": {"itemSchema": {"oneOf": _events()}}}
    described = {
        "description": "The changes of the status, as server-sent events",
        "content": content,
    }
    return {200: described, **problems(*errors)}


def _events() -> list[dict[str, Any]]:
    """Returns the schemas of the events, as FastAPI writes those of its own streams."""
    view = RunView.model_json_schema(mode="serialization")
    status = view.pop("$defs")[
        "RunStatus"
    ]  # a reference would be searched at the root of the document
    view["properties"]["status"]["anyOf"][0] = status
    number = {"type": "string", "description": "The number of the change"}
    return [
        _event("A change of the status", view, {"id": number}),
        _event("The last status again", view, {"event": {"const": "end"}, "id": number}),
        _event("An error, which ends the stream", schema(), {"event": {"const": "problem"}}),
    ]


def _event(description: str, data: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    text = {"type": "string", "contentMediaType": "application/json", "contentSchema": data}
    return {
        "type": "object",
        "description": description,
        "required": ["data", *fields],
        "properties": {**fields, "data": text},
    }


def _response(status: int, details: list[str]) -> dict[str, Any]:
    content = {MEDIA_TYPE: {"schema": schema()}}
    if status == 422:  # FastAPI's own, which it omits if there is another
        content["application/json"] = {"schema": _VALIDATION_ERROR}
    return {"description": " Or: ".join(details), "content": content}


_VALIDATION_ERROR = {
    "type": "object",
    "title": "HTTPValidationError",
    "properties": {"detail": {"type": "array", "items": {"type": "object"}}},
}
