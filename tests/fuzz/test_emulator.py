"""The emulator obeys its OpenAPI document for any request (schemathesis)."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.exploring import efforts, explore

# Its releases for Python 3.10 are older ones with another interface, so it is not installed there.
schemathesis = pytest.importorskip("schemathesis")
pytest.importorskip("fastapi")

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dcipher.emulator import Emulator

CHECKS = [
    *("not_a_server_error", "status_code_conformance", "content_type_conformance"),
    *("response_schema_conformance", "response_headers_conformance"),
]
WITHOUT_TYPE = [name for name in CHECKS if name != "content_type_conformance"]
OPERATIONS = {
    "getFlow": "/flows/{flow_id}",
    "startRun": "/flows/{flow_id}/run",
    "getRunStatus": "/flows/{flow_id}/status",
    "getResult": "/results/{task_id}/{index}",
}


class Service:
    """An emulator with one flow and one finished run, its contract, and a client of it."""

    def __init__(self, emulator: Emulator, client: httpx.Client) -> None:
        self.client = client
        self.contract = schemathesis.openapi.from_dict(client.get("/openapi.json").json())
        started = client.post("/flows/echo/run", json={"pipelineParams": {"text": "x"}}).json()
        self.result = urlsplit(started["signedResponseURL"])
        self.task_id = started["taskId"]
        self.key = emulator.api_key
        while (
            client.get("/flows/echo/status", params={"taskId": self.task_id}).json()["status"]
            != "SUCCEEDED"
        ):
            time.sleep(0.01)

    def real(self, name: str) -> dict[str, Any]:
        """Path and query of something that exists."""
        _, _, task_id, index = ("/" + self.result.path.lstrip("/")).split("/")
        return {
            "getFlow": {"path_parameters": {"flow_id": "echo"}},
            "startRun": {"path_parameters": {"flow_id": "echo"}},
            "getRunStatus": {
                "path_parameters": {"flow_id": "echo"},
                "query": {"taskId": self.task_id},
            },
            "getResult": {
                "path_parameters": {"task_id": task_id, "index": index},
                "query": dict(parse_qsl(self.result.query)),
            },
        }[name]


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    from dcipher.emulator import Emulator

    with Emulator(queue_time=0.0) as emulator:

        @emulator.flow("echo")
        def echo(text: str = "") -> str:
            return text

        headers = {"Authorization": f"Api-Key {emulator.api_key}"}
        with httpx.Client(base_url=emulator.url, headers=headers) as client:
            yield Service(emulator, client)


def conforms(
    service: Service, case: Any, *, with_key: bool = True, names: list[str] = CHECKS
) -> int:
    """Sends a case, whose response must be in the document. Returns the status."""
    sent = case.as_transport_kwargs(base_url=str(service.client.base_url))
    headers = {name: value for name, value in sent["headers"].items() if _sendable(name, value)}
    headers.pop("Authorization", None)
    if with_key:
        headers["Authorization"] = f"Api-Key {service.key}"
    body = sent.get("data")
    content = json.dumps(sent["json"]).encode() if "json" in sent else body
    request = httpx.Request(
        sent["method"],
        httpx.URL(sent["url"], params=sent.get("params") or None),
        headers=headers,
        content=content if isinstance(content, (bytes, str)) else None,
        cookies=sent.get("cookies"),
    )
    response = httpx.Client.send(service.client, request)
    checks = schemathesis.checks.CHECKS.get_by_names(names)
    case.validate_response(response, checks=checks)
    return response.status_code


def _sendable(name: str, value: Any) -> bool:
    return bool(name) and f"{name}{value}".isascii() and f"{name}{value}".isprintable()


@efforts
@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize("name", list(OPERATIONS))
def test_the_emulator_answers_by_its_contract(
    service: Service, name: str, mode: Any, effort: int
) -> None:
    """Valid or not, with a key or without: no 5xx, and a status, type, schema and headers that are documented."""
    operation = next(
        found.ok()
        for found in service.contract.get_all_operations()
        if found.ok().path == OPERATIONS[name]
    )
    anywhere = operation.as_strategy(generation_mode=mode)
    real = operation.as_strategy(generation_mode=mode, **service.real(name))
    seen: set[int] = set()
    # The type of a result is that of the flow's: a test of its own, below.
    names = WITHOUT_TYPE if name == "getResult" else CHECKS

    @given(anywhere | real, st.sampled_from([True, True, True, False]))
    def check(case: Any, with_key: bool) -> None:
        seen.add(conforms(service, case, with_key=with_key, names=names))

    explore(check, 20 * min(effort, 8))  # ten times as slow as the others
    assert seen, "nothing was sent"


def test_a_result_is_of_a_documented_type(service: Service) -> None:
    """The Content-Type of a result file, here text/plain, is one that the document allows."""
    case = service.contract[OPERATIONS["getResult"]]["GET"].Case(**service.real("getResult"))
    assert conforms(service, case, with_key=False) == 200


def test_a_wrong_contract_is_noticed(service: Service) -> None:
    """The checks can fail: a document without a 404 does not allow one."""
    document = service.client.get("/openapi.json").json()
    del document["paths"]["/flows/{flow_id}"]["get"]["responses"]["404"]
    broken = schemathesis.openapi.from_dict(document)
    operation = broken["/flows/{flow_id}"]["GET"]
    case = operation.Case(path_parameters={"flow_id": "none"})
    with pytest.raises(schemathesis.core.failures.FailureGroup) as caught:
        conforms(service, case)
    assert [error.title for error in caught.value.exceptions] == ["Undocumented status code"]
