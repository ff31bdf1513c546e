"""Problem documents: the response for each error, without text of the service."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fastapi import FastAPI

import dcipher
from dcipher import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    BatchError,
    ConfigurationError,
    ConflictError,
    DcipherError,
    IntegrityError,
    InternalServerError,
    InvalidParamsError,
    InvalidResponseError,
    LocalStorageError,
    MissingAPIKeyError,
    NotFoundError,
    Output,
    PermissionDeniedError,
    PollingInterruptedError,
    RateLimitError,
    ResultError,
    ResultExpiredError,
    Run,
    RunCancelledError,
    RunFailedError,
    RunStatus,
    SubmissionUnknownError,
    TLSError,
    UnprocessableEntityError,
    WaitTimeoutError,
)
from dcipher.emulator.faults import Drop, Respond, Statuses
from dcipher.fastapi import RunView, add_problem_handlers, problems
from tests.fastapi.app import make
from tests.fastapi.conftest import SECRETS
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from dcipher.emulator import Emulator
    from tests.fastapi.conftest import Gate, Site

    Serve = Callable[[Any], Site]

TEXT = "canary: see https://store.example/x?Signature=canary or https://api.example/flows"
RUN = Run.model_validate(
    {
        "flow_id": "f",
        "task_id": "t",
        "status": "RUNNING",
        "message": TEXT,
        "outputs": [{"url": "https://store.example/x?Signature=canary"}],
        "idempotency_key": "canary",
        "files": ["/canary"],
    }
)
ENDED = RUN.model_copy(update={"status": RunStatus.SUCCEEDED})

TABLE: list[tuple[DcipherError, int, bool, bool]] = [
    # the error, its status, whether a GET may be repeated, whether the run is named
    (InvalidParamsError(TEXT), 422, False, False),
    (UnprocessableEntityError(TEXT, status_code=422), 422, False, False),
    (NotFoundError(TEXT, status_code=404), 404, False, False),
    (RateLimitError(TEXT, status_code=429, retry_after=7.2), 503, True, False),
    (APITimeoutError(TEXT), 504, True, False),
    (WaitTimeoutError(TEXT, run=RUN), 504, True, True),
    (SubmissionUnknownError(TEXT, flow_id="f", idempotency_key="canary"), 502, False, False),
    (RunFailedError(TEXT, run=RUN), 502, False, True),
    (RunCancelledError(TEXT, run=RUN), 502, False, True),
    (PollingInterruptedError(TEXT, run=RUN), 502, True, True),
    (BadRequestError(TEXT, status_code=400), 502, False, False),
    (ConflictError(TEXT, status_code=409), 502, True, False),
    (InternalServerError(TEXT, status_code=503), 502, True, False),
    (APIStatusError(TEXT, status_code=302), 502, False, False),
    (APIConnectionError(TEXT), 502, True, False),
    (TLSError(TEXT), 502, False, False),
    (InvalidResponseError(TEXT), 502, True, False),
    (ResultExpiredError(TEXT, run=ENDED), 410, False, True),
    (IntegrityError(TEXT, run=ENDED), 502, False, True),
    (ResultError(TEXT, run=ENDED), 502, False, True),
    (ResultError(TEXT, run=RUN), 409, True, True),
    (LocalStorageError(TEXT, run=ENDED, filename="/canary"), 500, False, True),
    (AuthenticationError(TEXT, status_code=401), 500, False, False),
    (PermissionDeniedError(TEXT, status_code=403), 500, False, False),
    (ConfigurationError(TEXT), 500, False, False),
    (MissingAPIKeyError(TEXT), 500, False, False),
    (BatchError(TEXT), 500, False, False),
    (DcipherError(TEXT), 500, False, False),
]


def respond(app: FastAPI, method: str = "GET", path: str = "/raise") -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as web:
            return await web.request(method, path)

    return asyncio.run(ask())


@pytest.mark.parametrize(("error", "status", "retryable", "named"), TABLE, ids=repr)
def test_row_of_the_table(error: DcipherError, status: int, retryable: bool, named: bool) -> None:
    """Each error has its status and its members, and nothing of its text, of the service or of URLs."""
    answer = respond(make(raising=[error]))
    document = answer.json()
    assert answer.status_code == document["status"] == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert (document["type"], document["retryable"]) == ("about:blank", retryable)
    assert document["title"]
    assert document["detail"].endswith(".")
    assert "canary" not in answer.text + str(answer.headers)
    assert "://" not in answer.text
    assert ("task_id" in document) is named
    if named:
        assert (document["flow_id"], document["task_id"]) == ("f", "t")
    assert ("retry-after" in answer.headers) is isinstance(error, RateLimitError)
    # The responses of the OpenAPI document say so, too: of the class, and of its bases.
    for kind in (type(error), DcipherError):
        declared = problems(kind)[status]
        assert document["detail"] in declared["description"]
        schema = declared["content"]["application/problem+json"]["schema"]
        assert set(schema["required"]) <= set(document) <= set(schema["properties"])


def test_every_error_has_a_row() -> None:
    """No public error is without a response, and each is a client's or a server's error."""
    kinds = [getattr(dcipher.errors, name) for name in dcipher.errors.__all__]
    errors = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Exception)]
    assert len(errors) > 30
    for kind in errors:
        assert set(problems(kind)) <= {404, 409, 410, 422, 500, 502, 503, 504}
        assert problems(kind)
    assert problems() == problems(DcipherError)


@pytest.mark.parametrize(("asked", "sent"), [(7.2, "8"), (0.0, "1"), (None, "5"), (1e300, "86400")])
def test_retry_after_is_in_seconds(asked: float | None, sent: str) -> None:
    """The delay of the service is passed on in the form of HTTP, up to a day."""
    answer = respond(make(raising=[RateLimitError("", status_code=429, retry_after=asked)]))
    assert answer.headers["retry-after"] == sent


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RateLimitError("", status_code=429), True),  # it was not accepted
        (RateLimitError("The run may have been started.", status_code=429), False),
        (InternalServerError("", status_code=500), False),
        (APITimeoutError(""), False),
        (WaitTimeoutError("", run=RUN), False),
        (ResultError("", run=RUN), False),
    ],
    ids=repr,
)
def test_post_is_retryable_only_if_nothing_was_started(error: DcipherError, expected: bool) -> None:
    """A request that may have started a run is not marked as retryable."""
    assert respond(make(raising=[error]), "POST").json()["retryable"] is expected


def test_type_is_the_page_of_the_error() -> None:
    """With `docs_url`, the type is the page's part about the class."""
    app = make(raising=[RunFailedError("", run=RUN)], docs_url="https://docs.example/errors/")
    assert respond(app).json()["type"] == "https://docs.example/errors/#RunFailedError"


def test_other_handlers_are_kept(caplog: pytest.LogCaptureFixture) -> None:
    """A handler of the application for a subclass takes precedence, and one for other errors remains."""
    app = make(raising=[RunFailedError("", run=RUN)])

    @app.exception_handler(RunFailedError)
    async def own(request: Any, error: Exception) -> Any:
        from fastapi.responses import PlainTextResponse

        return PlainTextResponse("mine", 418)

    @app.exception_handler(ValueError)
    async def of_values(request: Any, error: Exception) -> Any:
        raise AssertionError

    assert respond(app).status_code == 418
    app.exception_handlers.pop(RunFailedError)
    other = make(raising=[InvalidParamsError("")])
    other.add_exception_handler(ValueError, of_values)
    assert respond(other).status_code == 422


def test_operator_reads_the_error_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Details that are not sent are logged; errors of the visitor are not."""
    with caplog.at_level(logging.INFO, "dcipher"):
        respond(make(raising=[NotFoundError("no such run", status_code=404)]))
        assert caplog.records == []
        respond(make(raising=[AuthenticationError("the key is wrong", status_code=401)]))
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage() == "GET /raise: AuthenticationError: the key is wrong"


def test_responses_are_in_the_openapi_document(emulator: Emulator, serve: Serve) -> None:
    """The responses of the route have the media type of a problem, and FastAPI's own 422 remains."""
    document = serve(make()).web.get("/openapi.json").json()
    declared = document["paths"]["/runs/{flow_id}/{task_id}"]["get"]["responses"]
    assert set(declared) == {"200", "404", "409", "410", "422", "500", "502", "503", "504"}
    for status, response in declared.items():
        if status != "200":
            assert "application/problem+json" in response["content"]
    assert set(declared["422"]["content"]) == {"application/problem+json", "application/json"}


def test_events_are_in_the_openapi_document(emulator: Emulator, gate: Gate, serve: Serve) -> None:
    """A stream is described as one: each kind of event, whose data has the schema that is declared for it."""
    site = serve(make())
    document = site.web.get("/openapi.json").json()
    declared = document["paths"]["/runs/{flow_id}/{task_id}/events"]["get"]["responses"]
    assert set(declared) == {"200", "404", "422"}
    assert set(declared["200"]["content"]) == {"text/event-stream"}
    assert "$ref" not in json.dumps(declared["200"])
    kinds = declared["200"]["content"]["text/event-stream"]["itemSchema"]["oneOf"]
    assert {kind["properties"]["data"]["contentMediaType"] for kind in kinds} == {
        "application/json"
    }
    events = [kind["properties"].get("event", {}).get("const", "message") for kind in kinds]
    schemas = dict(
        zip(events, (kind["properties"]["data"]["contentSchema"] for kind in kinds), strict=True)
    )
    gate.opened.set()
    run = site.web.post("/runs/gated", json={}).json()
    streams = [site.listen(f"/runs/gated/{run['task_id']}/events")]
    until(lambda: streams[0].ended)
    emulator.fault("status", Statuses("RUNNING"), times=None)
    run = site.web.post("/runs/gated", json={}).json()
    streams.append(site.listen(f"/runs/gated/{run['task_id']}/events?timeout=0.3"))
    until(lambda: streams[1].ended)
    for event, schema in schemas.items():
        data = [sent.data for stream in streams for sent in stream.of(event)]
        assert data
        assert all({*schema["required"]} <= {*one} <= {*schema["properties"]} for one in data)


def test_failing_service_is_a_problem(emulator: Emulator, serve: Serve) -> None:
    """From a real socket: params, ids, the limit, lost responses. None has a secret."""
    site = serve(make())
    wrong = site.web.post("/runs/words", json={"top": "x", "extra": 1})
    assert wrong.status_code == 422
    errors = {tuple(one["loc"]): one["message"] for one in wrong.json()["errors"]}
    assert errors[("text",)] == "This field is required."
    assert errors[("top",)] == "This value is invalid."
    missing = site.web.get("/runs/words/no-such-run")
    assert missing.status_code == 404
    emulator.fault("start", Respond(429, headers={"Retry-After": "600"}), times=1)
    limited = site.web.post("/runs/words", json={"text": "a"})
    assert (limited.status_code, limited.headers["retry-after"]) == (503, "600")
    assert limited.json()["retryable"] is True
    emulator.fault("start", Drop("after"), times=None)
    lost = site.web.post("/runs/words", json={"text": "a"})
    assert (lost.status_code, lost.json()["retryable"]) == (502, False)
    for answer in (wrong, missing, limited, lost):
        text = answer.text + str(answer.headers)
        assert not [secret for secret in SECRETS if secret in text]
        assert emulator.url not in text


def test_field_errors_have_our_own_words(emulator: Emulator, serve: Serve) -> None:
    """Of a field error of the service, only its location and a known type are repeated."""
    detail = [
        {"loc": ["body", "pipelineParams", "text"], "msg": "canary", "type": "missing"},
        {"loc": ["https://x.example/?Signature=canary"], "msg": "m", "type": "see https://canary"},
    ]
    emulator.fault("start", Respond(422, body=json.dumps({"detail": detail})))
    answer = serve(make()).web.post("/runs/words", json={"text": "a"})
    assert answer.json()["errors"] == [
        {"loc": ["text"], "message": "This field is required.", "type": "missing"},
        {"loc": [], "message": "This value is invalid.", "type": None},
    ]
    assert "canary" not in answer.text


def test_run_view_has_only_public_fields() -> None:
    """The view of a complete run has ids, status, message and times, without a signature."""
    view = RunView.model_validate(RUN)
    assert set(view.model_dump()) == {
        *("flow_id", "task_id", "status", "message", "created_at", "finished_at"),
    }
    assert "Signature=canary" not in view.model_dump_json() + repr(view)
    assert RUN.outputs == (Output(url=RUN.outputs[0].url),)


def test_route_returns_a_run_as_its_view(emulator: Emulator, serve: Serve) -> None:
    """`response_model=RunView` accepts the run itself, and leaves out secrets."""
    site = serve(make())
    started = site.web.post("/runs/words", json={"text": "a b"})
    assert started.status_code == 202
    assert not [secret for secret in SECRETS if secret in started.text]
    shown = site.web.get(f"/runs/words/{started.json()['task_id']}")
    assert set(shown.json()) == set(started.json()) == set(RunView.model_fields)


def test_handlers_need_no_lifespan() -> None:
    """The handlers may be added to any application, before or after its routes."""
    app = FastAPI()

    @app.get("/raise")
    async def fail() -> None:
        raise NotFoundError("x", status_code=404)

    add_problem_handlers(app)
    assert respond(app).status_code == 404
