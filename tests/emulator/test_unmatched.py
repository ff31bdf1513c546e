"""Unmatched requests: the journal has the requested route, flow or run, and a suggestion."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dcipher.emulator.contract.unmatched import no_flow, no_route, no_run
from dcipher.emulator.faults import Respond

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    from dcipher.emulator import Emulator

ROUTES = [
    ("GET", "/flows/{flow_id}"),
    ("POST", "/flows/{flow_id}/run"),
    ("GET", "/flows/{flow_id}/status"),
]


@pytest.mark.parametrize(
    ("method", "path", "meant"),
    [
        ("POST", "/flows/x/runs", "POST /flows/{flow_id}/run"),
        ("POST", "/flow/65cf2f3e/run", "POST /flows/{flow_id}/run"),
        ("POST", "/v2/flows/65cf2f3e/run", "POST /flows/{flow_id}/run"),
        ("POST", "/flows/65cf2f3e/status", "GET /flows/{flow_id}/status"),
        ("GET", "/flows/" + "x" * 5000 + "/statu", "GET /flows/{flow_id}"),
        ("GET", "/favicon.ico", None),
        ("GET", "/", None),
    ],
)
def test_nearest_route(method: str, path: str, meant: str | None) -> None:
    """The nearest route is named, with any identifier in it; none if none is similar."""
    said = "no route" if meant is None else f"no route; did you mean {meant}?"
    assert no_route(method, path, ROUTES) == said


def test_nearest_flow() -> None:
    """The flow with a similar id is named, or that none is registered."""
    assert no_flow("keyword", ["topics", "keywords"]) == (
        "no flow 'keyword'; did you mean 'keywords'?"
    )
    assert no_flow("x", ["keywords"]) == "no flow 'x'"
    assert no_flow("x", []) == "no flow 'x': none is registered"
    assert len(no_flow("x" * 100_000, ["keywords"])) < 250


def test_whose_run() -> None:
    """The flow of the run is named."""
    assert no_run("t", "f", actual_flow=None) == "no run 't' of flow 'f'"
    assert no_run("t", "f", actual_flow="g") == "no run 't' of flow 'f'; it is one of 'g'"


@pytest.mark.parametrize(
    ("method", "url", "said"),
    [
        ("GET", "/flows/shou", "no flow 'shou'; did you mean 'shout'?"),
        ("POST", "/flows/shou/run", "no flow 'shou'; did you mean 'shout'?"),
        ("GET", "/flows/shout/status?taskId=t", "no run 't' of flow 'shout'"),
        ("GET", "/flow/shout", "no route; did you mean GET /flows/{flow_id}?"),
        ("DELETE", "/flows/shout", "no route; did you mean GET /flows/{flow_id}?"),
    ],
)
def test_journal(
    client: httpx.Client, emulator: Emulator, method: str, url: str, said: str
) -> None:
    """The journal marks unmatched requests."""
    assert client.request(method, url).status_code in {404, 405}
    assert [request.unmatched for request in emulator.requests] == [said]


def test_run_of_another_flow(
    client: httpx.Client, emulator: Emulator, start: Callable[..., httpx.Response]
) -> None:
    """A run that is requested with another flow is unmatched."""
    emulator.flow("other")(lambda: 1)
    task_id = start(client, "shout", text="hi").json()["taskId"]
    assert client.get("/flows/other/status", params={"taskId": task_id}).status_code == 404
    said = f"no run {task_id!r} of flow 'other'; it is one of 'shout'"
    assert emulator.requests[-1].unmatched == said


def test_other_rejected_requests_match(client: httpx.Client, emulator: Emulator) -> None:
    """A 404 of a fault, a wrong key and invalid params are not unmatched."""
    emulator.fault("flow", Respond(404))
    assert client.get("/flows/shout").status_code == 404
    assert client.get("/flows/nope", headers={"Authorization": "Api-Key emu_x"}).status_code == 401
    assert client.post("/flows/shout/run", json={"pipelineParams": {}}).status_code == 422
    assert [request.unmatched for request in emulator.requests] == [None, None, None]
