"""The operations over a real socket: start, status, flow, and their errors."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Annotated, Literal

import httpx
import pytest
from pydantic import BaseModel, Field

from dcipher.emulator import Emulator
from dcipher.emulator.gate.refusals import Refusal
from dcipher.emulator.runs.pace import Pace
from dcipher.emulator.runs.results import ResultURLs
from dcipher.emulator.runs.runs import Runs
from dcipher.emulator.runs.service import Service
from tests.waiting import HANG, until

if TYPE_CHECKING:
    from collections.abc import Callable

    Connect = Callable[[Emulator], httpx.Client]
    Start = Callable[..., httpx.Response]
    Finish = Callable[[httpx.Client, str, httpx.Response], dict[str, str]]


class Settings(BaseModel):
    language: Literal["en", "de"] = "en"
    limit: int = Field(default=3, description="How many.")


def test_a_run_goes_from_start_to_result(
    client: httpx.Client, start: Start, finish: Finish
) -> None:
    """A start returns a task id and a signed URL, which has the result when the run has succeeded."""
    started = start(client, "shout", text="hé", times=2)
    assert started.status_code == 200
    assert set(started.json()) == {"taskId", "signedResponseURL"}
    assert finish(client, "shout", started) == {"status": "SUCCEEDED"}
    result = httpx.get(started.json()["signedResponseURL"])
    assert result.status_code == 200
    assert result.json() == {"text": "HÉHÉ"}
    assert result.headers["content-type"] == "application/json"


def test_a_flow_is_described_from_its_signature(emulator: Emulator, client: httpx.Client) -> None:
    """Names, JSON types, defaults and descriptions of the params come from the annotations."""

    @emulator.flow("described", name="Described", description="All kinds.")
    def described(
        texts: list[str],
        mode: Literal["a", "b"] | None = None,
        top: Annotated[int, Field(ge=1, description="How many.")] = 10,
        mixed: int | str = 1,
        anything: object = None,
        settings: Settings = Settings(),  # noqa: B008 (frozen enough for a test)
    ) -> None: ...

    flow = client.get("/flows/described").json()
    assert (flow["id"], flow["name"], flow["description"]) == (
        "described",
        "Described",
        "All kinds.",
    )
    params = {param.pop("name"): param for param in flow["params"]}
    assert params == {
        "texts": {"type": "array", "required": True},
        "mode": {"type": "string", "required": False},
        "top": {"type": "integer", "required": False, "default": 10, "description": "How many."},
        "mixed": {"required": False, "default": 1},
        "anything": {"required": False},
        "settings": {
            "type": "object",
            "required": False,
            "default": {"language": "en", "limit": 3},
        },
    }


class Opaque:
    """A type without a JSON schema."""


def test_a_param_of_any_type_is_described_as_far_as_possible(
    emulator: Emulator, client: httpx.Client
) -> None:
    """A type without a schema and a default without JSON are left out."""

    @emulator.flow("opaque")
    def opaque(thing: Opaque = Opaque(), number: int = 1) -> None: ...  # noqa: B008 (as above)

    assert client.get("/flows/opaque").json()["params"] == [
        {"name": "thing", "required": False},
        {"name": "number", "required": False, "default": 1},
    ]


def test_name_and_description_default_to_the_function(client: httpx.Client) -> None:
    """By default, a flow has the name of its function and the docstring as its description."""
    flow = client.get("/flows/shout").json()
    assert flow["name"] == "Shout"
    assert flow["description"] == "Say it louder."


def test_invalid_params_are_422_with_locations(client: httpx.Client, start: Start) -> None:
    """Every invalid param has its path, as in FastAPI, and no run is started."""
    response = start(client, "shout", times="many", colour="red")
    assert response.status_code == 422
    assert {(tuple(e["loc"]), e["type"]) for e in response.json()["detail"]} == {
        (("body", "pipelineParams", "text"), "missing"),
        (("body", "pipelineParams", "times"), "int_parsing"),
        (("body", "pipelineParams", "colour"), "extra_forbidden"),
    }
    assert "times: Input should be a valid integer" in response.json()["message"]


def test_more_than_three_errors_are_counted(emulator: Emulator, client: httpx.Client) -> None:
    """The message has three errors and the number of the others."""

    @emulator.flow("four")
    def four(a: int, b: int, c: int, d: int) -> None: ...

    response = client.post("/flows/four/run", json={"pipelineParams": {}})
    assert response.json()["message"].endswith("; and 1 more")
    assert len(response.json()["detail"]) == 4


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"pipelineParams": {"a": NaN}}'])
def test_invalid_json_is_400(client: httpx.Client, body: bytes) -> None:
    """A body that is missing or is not JSON is a 400 with a message."""
    response = client.post("/flows/shout/run", content=body)
    assert response.status_code == 400
    assert "not JSON" in response.json()["message"]


@pytest.mark.parametrize("body", [[], {}, {"pipelineParams": 1}, None])
def test_json_of_another_form_is_422(client: httpx.Client, body: object) -> None:
    """JSON that is not an object with pipelineParams is a 422 with the location."""
    response = client.post("/flows/shout/run", content=json.dumps(body))
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"][0] == "body"


def test_a_status_without_task_id_is_422(client: httpx.Client) -> None:
    """The missing query parameter is named."""
    response = client.get("/flows/shout/status")
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["query", "taskId"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/flows/nope", 404),
        ("POST", "/flows/nope/run", 404),
        ("GET", "/flows/nope/status?taskId=x", 404),
        ("GET", "/flows/shout/status?taskId=x", 404),
        ("GET", "/flows/shout/", 404),
        ("GET", "/", 404),
        ("DELETE", "/flows/shout", 405),
    ],
)
def test_every_error_is_json_with_a_message(
    client: httpx.Client, method: str, path: str, status: int
) -> None:
    """Every error is JSON with a request id, also those of the framework."""
    response = client.request(method, path)
    assert response.status_code == status
    assert response.json()["message"]
    assert response.headers["x-request-id"]


def test_a_405_has_the_allowed_methods(client: httpx.Client) -> None:
    """RFC 9110 section 15.5.6: a 405 has Allow."""
    assert client.delete("/flows/shout").headers["allow"] == "GET"


def test_a_run_belongs_to_its_flow(emulator: Emulator, client: httpx.Client, start: Start) -> None:
    """The status of a run under another flow's id is a 404."""

    @emulator.flow("other")
    def other() -> None: ...

    task_id = start(client, "shout", text="x").json()["taskId"]
    assert client.get("/flows/other/status", params={"taskId": task_id}).status_code == 404


def test_a_restricted_flow_is_403(emulator: Emulator, client: httpx.Client) -> None:
    """Every operation responds with 403 for a flow without permission."""

    @emulator.flow("secret", restricted=True)
    def secret() -> None: ...

    assert client.get("/flows/secret").status_code == 403
    assert client.post("/flows/secret/run", json={"pipelineParams": {}}).status_code == 403
    assert client.get("/flows/secret/status?taskId=x").status_code == 403


def test_request_ids_differ(client: httpx.Client) -> None:
    """Each response has its own id."""
    ids = {client.get("/flows/shout").headers["x-request-id"] for _ in range(3)}
    assert len(ids) == 3


def test_statuses_go_forward_only(connect: Connect, start: Start) -> None:
    """The statuses of a run are PENDING, QUEUED, RUNNING, SUCCEEDED, in this order."""
    with Emulator(queue_time=0.05, min_run_time=0.05) as emulator:

        @emulator.flow("slow")
        def slow() -> str:
            return "done"

        client = connect(emulator)
        task_id = start(client, "slow").json()["taskId"]
        seen: list[str] = []
        while not seen or seen[-1] != "SUCCEEDED":
            response = client.get("/flows/slow/status", params={"taskId": task_id}).json()
            if response["status"] not in seen[-1:]:
                seen.append(response["status"])
        assert seen == ["PENDING", "QUEUED", "RUNNING", "SUCCEEDED"]
        record = emulator.runs[0]
        assert record.started_at is not None
        assert record.finished_at is not None
        assert (record.finished_at - record.started_at).total_seconds() >= 0.045


@pytest.mark.parametrize(
    ("error", "message"), [(ValueError("too short"), "too short"), (KeyError(), "KeyError")]
)
def test_an_exception_fails_the_run(
    emulator: Emulator,
    client: httpx.Client,
    start: Start,
    finish: Finish,
    error: Exception,
    message: str,
) -> None:
    """The message of the run is that of the exception, or its class if that is empty. There is no result."""

    @emulator.flow("broken")
    def broken() -> None:
        raise error

    started = start(client, "broken")
    assert finish(client, "broken", started) == {"status": "FAILED", "message": message}
    assert httpx.get(started.json()["signedResponseURL"]).status_code == 404


def test_even_system_exit_only_fails_the_run(
    emulator: Emulator, client: httpx.Client, start: Start, finish: Finish
) -> None:
    """A flow cannot end the emulator."""

    @emulator.flow("exit")
    def leave() -> None:
        raise SystemExit("bye")

    assert finish(client, "exit", start(client, "exit"))["message"] == "bye"


def test_async_flows_are_awaited(
    emulator: Emulator, client: httpx.Client, start: Start, finish: Finish
) -> None:
    """An `async def` flow runs to its end."""

    @emulator.flow("async")
    async def later(number: int) -> int:
        return number + 1

    started = start(client, "async", number=1)
    assert finish(client, "async", started)["status"] == "SUCCEEDED"
    assert httpx.get(started.json()["signedResponseURL"]).json() == 2


def test_a_flow_may_take_a_model(
    emulator: Emulator, client: httpx.Client, start: Start, finish: Finish
) -> None:
    """One parameter called params with a model: its fields are the flow's params."""

    @emulator.flow("model")
    def takes_model(params: Settings) -> Settings:
        return params

    flow = client.get("/flows/model").json()
    assert [param["name"] for param in flow["params"]] == ["language", "limit"]
    started = start(client, "model", limit=5)
    assert finish(client, "model", started)["status"] == "SUCCEEDED"
    assert httpx.get(started.json()["signedResponseURL"]).json() == {"language": "en", "limit": 5}
    assert start(client, "model", limit="x").status_code == 422


def test_a_flow_may_take_any_params(
    emulator: Emulator, client: httpx.Client, start: Start, finish: Finish
) -> None:
    """With **params nothing is unknown, and names that Pydantic uses itself are fine."""

    @emulator.flow("any")
    def takes_any(json: int, **params: object) -> dict[str, object]:
        return {"json": json, **params}

    started = start(client, "any", json=1, schema=[2], copy=None)
    assert finish(client, "any", started)["status"] == "SUCCEEDED"
    result = httpx.get(started.json()["signedResponseURL"])
    assert result.json() == {"json": 1, "schema": [2], "copy": None}


def test_several_results_have_several_urls(
    emulator: Emulator, client: httpx.Client, start: Start, finish: Finish
) -> None:
    """With outputs=2 the answer has signedResponseURLs, one for each returned value in order."""

    @emulator.flow("two", outputs=2)
    def two() -> tuple[str, bytes]:
        return "text", b"\x00"

    started = start(client, "two")
    assert set(started.json()) == {"taskId", "signedResponseURLs"}
    assert finish(client, "two", started)["status"] == "SUCCEEDED"
    results = [httpx.get(url) for url in started.json()["signedResponseURLs"]]
    assert [result.content for result in results] == [b"text", b"\x00"]
    types = [result.headers["content-type"] for result in results]
    assert types == ["text/plain; charset=utf-8", "application/octet-stream"]


@pytest.mark.parametrize(
    ("value", "message"),
    [("ab", "did not return a list"), ([1, 2, 3], "returned 3"), ((), "returned 0")],
)
def test_another_number_of_results_fails_the_run(
    emulator: Emulator,
    client: httpx.Client,
    start: Start,
    finish: Finish,
    value: object,
    message: str,
) -> None:
    """A flow that does not return as many results as it promised has failed."""

    @emulator.flow("promise", outputs=2)
    def promise() -> object:
        return value

    response = finish(client, "promise", start(client, "promise"))
    assert response["status"] == "FAILED"
    assert message in response["message"]


def test_the_same_key_is_the_same_run(
    emulator: Emulator, client: httpx.Client, start: Start
) -> None:
    """A start sent twice with one Idempotency-Key gets the same bytes and makes one run."""
    first = start(client, "shout", key="k1", text="a")
    second = start(client, "shout", key="k1", text="a")
    assert first.content == second.content
    assert start(client, "shout", key="k2", text="a").content != first.content
    assert [run.idempotency_key for run in emulator.runs] == ["k1", "k2"]
    assert emulator.runs[0].params == {"text": "a"}


def test_the_same_key_with_another_body_is_422(client: httpx.Client, start: Start) -> None:
    """A key is for one body only."""
    assert start(client, "shout", key="k", text="a").status_code == 200
    response = start(client, "shout", key="k", text="b")
    assert response.status_code == 422
    assert "Idempotency-Key" in response.json()["message"]


def test_a_rejected_start_does_not_use_the_key(client: httpx.Client, start: Start) -> None:
    """After a 422, the corrected start can use the same key."""
    assert start(client, "shout", key="k", wrong=1).status_code == 422
    assert start(client, "shout", key="k", text="a").status_code == 200


def test_concurrent_duplicates_are_one_run(emulator: Emulator, connect: Connect) -> None:
    """Twenty concurrent starts with one key create one run, and all get its response."""
    client = connect(emulator)
    body = {"pipelineParams": {"text": "x"}}

    def send(_: int) -> httpx.Response:
        return client.post("/flows/shout/run", json=body, headers={"Idempotency-Key": "same"})

    with ThreadPoolExecutor(20) as pool:
        responses = list(pool.map(send, range(20)))
    assert {response.status_code for response in responses} == {200}
    assert len({response.content for response in responses}) == 1
    assert len(emulator.runs) == 1


def test_a_duplicate_of_a_start_in_progress_is_409(connect: Connect, start: Start) -> None:
    """While a start has no response, only the same key is rejected."""
    with Emulator(accept_time=0.3) as emulator:

        @emulator.flow("f")
        def flow() -> None: ...

        client = connect(emulator)
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(start, client, "f", key="k")
            assert until(lambda: emulator._service._keys._starts)  # type: ignore[union-attr]
            second = start(client, "f", key="k")
            assert first.result().status_code == 200
        assert second.status_code == 409
        assert second.headers["retry-after"] == "1"
        assert start(client, "f", key="k").content == first.result().content
        assert len(emulator.runs) == 1


def service_of(pace: Pace) -> Service:
    """Without a server; on an event loop."""
    runs = Runs(pace, max_workers=1, seed=1)
    return Service(runs=runs, urls=ResultURLs(lifetime=60), pace=pace)


def test_a_reset_rejects_a_start_in_progress() -> None:
    """Its end does not release a key that another start uses by then."""

    async def body() -> None:
        service = service_of(Pace(accept_time=0.01, queue_time=3600))
        service.flows.add("f", lambda: None)
        first = asyncio.create_task(service.start("f", b'{"pipelineParams":{}}', "k"))
        await asyncio.sleep(0)
        service.clear()
        service._accept_time = 3600
        second = asyncio.create_task(service.start("f", b'{"pipelineParams":{}}', "k"))
        with pytest.raises(Refusal, match="was reset during this start") as refused:
            await first
        assert refused.value.status == 503
        with pytest.raises(Refusal, match="in progress"):
            await service.start("f", b'{"pipelineParams":{}}', "k")
        second.cancel()
        await asyncio.wait([second])
        service._accept_time = 0
        await service.start("f", b'{"pipelineParams":{}}', "k")
        assert len(service.runs.every()) == 1
        await service.runs.stop(grace=0)

    asyncio.run(body())


def test_equal_starts_at_one_instant_are_two_runs_or_one() -> None:
    """Without a key, each is a run with its own id. With one, the second is rejected for now."""

    async def body() -> None:
        service = service_of(Pace(accept_time=0.01, queue_time=3600))
        service.flows.add("f", lambda: None)
        starts = [service.start("f", b'{"pipelineParams":{}}', None) for _ in range(20)]
        assert len(set(await asyncio.gather(*starts))) == len(service.runs.every()) == 20
        starts = [service.start("f", b'{"pipelineParams":{}}', "k") for _ in range(20)]
        responses = await asyncio.gather(*starts, return_exceptions=True)
        assert (
            sorted(getattr(response, "status", 200) for response in responses) == [200] + [409] * 19
        )
        assert len(service.runs.every()) == 21
        await service.runs.stop(grace=0)

    asyncio.run(body())


def test_two_changes_of_results_at_once_both_count() -> None:
    """One of each of two files of a run, in threads: neither is lost."""

    async def body() -> None:
        service = service_of(Pace())
        flow = service.flows.add("f", lambda: ("a", "b"), outputs=2)
        run = service.runs.make(flow, {}, None, b"{}")
        service.runs.launch(run, flow, flow.bind({}))
        while run.status != "SUCCEEDED":  # noqa: ASYNC110 (there is no event for it)
            await asyncio.sleep(0.001)
        entered, go = threading.Event(), threading.Event()

        def slowly(content: bytes) -> bytes:
            entered.set()
            assert go.wait(60)
            return content + b"1"

        one = threading.Thread(target=service.replace_result, args=(run.task_id, 0, slowly))
        two = threading.Thread(
            target=service.replace_result, args=(run.task_id, 1, lambda content: content + b"2")
        )
        one.start()
        assert entered.wait(60)
        two.start()
        two.join(0.05)
        go.set()
        one.join(60)
        two.join(60)
        assert [result.content for result in run.results] == [b"a1", b"b2"]
        await service.runs.stop(grace=0)

    asyncio.run(body())


def test_without_idempotency_every_start_is_a_run(connect: Connect, start: Start) -> None:
    """With idempotency=False, the service ignores the header."""
    with Emulator(idempotency=False) as emulator:

        @emulator.flow("f")
        def flow() -> None: ...

        client = connect(emulator)
        responses = {start(client, "f", key="k").content for _ in range(2)}
        assert len(responses) == len(emulator.runs) == 2


def test_the_status_responds_while_a_flow_computes(
    emulator: Emulator, client: httpx.Client, start: Start, finish: Finish
) -> None:
    """Flows do not run on the event loop: a status responds while one blocks its thread."""
    go = threading.Event()

    @emulator.flow("block")
    def block() -> bool:
        return go.wait(HANG)

    started = start(client, "block")
    params = {"taskId": started.json()["taskId"]}
    url = "/flows/block/status"
    assert until(lambda: client.get(url, params=params).json()["status"] == "RUNNING")
    go.set()
    assert finish(client, "block", started)["status"] == "SUCCEEDED"


def test_a_run_is_queued_until_a_worker_is_free(connect: Connect, start: Start) -> None:
    """With one worker the second run is QUEUED while the first computes."""
    go = threading.Event()
    with Emulator(queue_time=0.0, max_workers=1) as emulator:

        @emulator.flow("block")
        def block() -> bool:
            return go.wait(HANG)

        client = connect(emulator)
        _ = start(client, "block"), start(client, "block")
        waiting = ["RUNNING", "QUEUED"]
        assert until(lambda: [run.status for run in emulator.runs] == waiting)
        go.set()


def test_runs_that_wait_need_no_threads(connect: Connect, start: Start) -> None:
    """Waiting runs wait on the event loop."""
    with Emulator(queue_time=0.0) as emulator:

        @emulator.flow("nap", duration=0.2)
        def nap() -> None: ...

        client = connect(emulator)
        for _ in range(300):
            assert start(client, "nap").status_code == 200
        named = [one for one in threading.enumerate() if one.name == "dcipher-emulator-run"]
        assert len(named) < 30
        assert until(lambda: {run.status for run in emulator.runs} == {"SUCCEEDED"})
        assert len(emulator.runs) == 300


def test_a_client_that_disconnects_early(emulator: Emulator, client: httpx.Client) -> None:
    """A start with an incomplete body is in the journal without a status, and starts nothing."""
    host, port = emulator.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as raw:
        raw.sendall(b"POST /flows/shout/run HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{")
    assert until(lambda: emulator.requests)
    assert [record.status for record in emulator.requests] == [None]
    assert client.get("/flows/shout").status_code == 200
    assert emulator.runs == ()


def test_bytes_that_are_not_http_are_400(
    emulator: Emulator, capfd: pytest.CaptureFixture[str]
) -> None:
    """They get a response, and nothing is printed."""
    host, port = emulator.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=HANG) as raw:
        raw.sendall(b"\x00\x01nonsense\r\n\r\n")
        assert b" 400 " in raw.recv(1000)
    assert capfd.readouterr() == ("", "")


def test_a_body_that_is_too_large_is_413(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The body of a start has a limit."""
    monkeypatch.setattr("dcipher.emulator.gate.gate.MAX_BODY", 1000)
    assert client.post("/flows/shout/run", content=b"x" * 1001).status_code == 413


def test_a_failure_of_the_emulator_is_a_500(
    emulator: Emulator, client: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    """An internal error is JSON for the client, and logged by `dcipher.emulator`."""

    def fail(flow_id: str) -> bytes:
        raise RuntimeError(flow_id)

    emulator._service.describe = fail  # type: ignore[method-assign]
    response = client.get("/flows/shout")
    assert response.status_code == 500
    assert response.json()["message"]
    assert [record.name for record in caplog.records] == ["dcipher.emulator"]
