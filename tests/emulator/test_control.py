"""The control API: each of its routes, and each of its guards."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from dcipher.emulator import Emulator
from dcipher.emulator.faults import Cut, Drop, Respond

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    from tests.emulator.wire import Lab

    Ask = Callable[..., httpx.Response]

HEADER = {"X-Dcipher-Emulator": "1"}


@pytest.fixture
def ask(lab: Lab) -> Ask:
    def send(method: str, path: str, **arguments: Any) -> httpx.Response:
        url = f"{lab.emulator.url}/_emulator/{path}"
        headers = {**HEADER, **arguments.pop("headers", {})}
        return lab.web.request(method, url, headers=headers, **arguments)

    return send


def test_a_fault_is_registered_and_applied(lab: Lab, ask: Ask) -> None:
    """201 with the rule, which is then one of the emulator's, and counts as any other."""
    written = {
        "operation": "start",
        "effects": [{"kind": "respond", "status": 503, "headers": {"Retry-After": "2"}}],
        "times": 2,
    }
    response = ask("POST", "faults", json=written)
    assert response.status_code == 201
    rule = response.json()
    assert (rule["id"], rule["remaining"], rule["hits"]) == (1, 2, 0)
    assert lab.emulator.faults[0].effects == (Respond(503, headers={"Retry-After": "2"}),)
    assert lab.start().status_code == 503
    (shown,) = ask("GET", "faults").json()
    assert shown == {**rule, "hits": 1, "matched": 1, "remaining": 1}
    assert "date" not in rule["effects"][0]["headers"]


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"{", 400, "not JSON"),
        (b"{}", 422, "effects"),
        (b'{"effects": [{"kind": "burn"}]}', 422, "burn"),
        (b'{"effects": [{"kind": "cut", "how": "burn"}]}', 422, "how"),
        (b'{"effects": [{"kind": "cut"}], "count": 1}', 422, "count"),
        (b'{"operation": "start", "effects": [{"kind": "expire_url"}]}', 422, "ExpireURL"),
        (b'{"effects": [{"kind": "statuses", "words": []}]}', 422, "words"),
    ],
)
def test_an_invalid_fault_is_rejected(
    lab: Lab, ask: Ask, body: bytes, status: int, words: str
) -> None:
    """The response has a message, and with 422 the location of each error. Nothing is registered."""
    response = ask("POST", "faults", content=body)
    assert response.status_code == status
    assert words in response.json()["message"]
    if status == 422:
        assert {"loc", "msg", "type"} == set(response.json()["detail"][0])
        assert response.json()["detail"][0]["loc"][0] == "body"
    assert lab.emulator.faults == ()


def test_faults_are_removed(lab: Lab, ask: Ask) -> None:
    """One by its number, or all. The response has the removed ones."""
    lab.emulator.fault("start", Respond(500))
    lab.emulator.fault("start", Drop())
    response = ask("DELETE", "faults/1")
    assert (response.status_code, response.json()["id"]) == (200, 1)
    assert ask("DELETE", "faults/1").status_code == 404
    assert [rule["id"] for rule in ask("DELETE", "faults").json()] == [2]
    assert (lab.emulator.faults, ask("GET", "faults").json()) == ((), [])


def test_runs_and_requests_are_shown(lab: Lab, ask: Ask) -> None:
    """As in Python, without secrets. Requests to the control API are not in the journal."""
    task_id, target = lab.run()
    lab.emulator.fault("result", Cut(5))
    _ = lab.fetch(target)
    (run,) = ask("GET", "runs").json()
    assert (run["task_id"], run["status"], run["params"]) == (task_id, "SUCCEEDED", {"number": 0})
    response = ask("GET", "requests")
    started, fetched = response.json()
    assert (started["method"], started["status"], started["fault"]) == ("POST", 200, None)
    assert (fetched["status"], fetched["fault"]) == (200, "1 on result: Cut(5)")
    signature = target.rpartition("=")[2]
    assert signature not in response.text
    assert lab.emulator.api_key not in response.text
    assert len(lab.emulator.requests) == 2


def test_a_reset_forgets(lab: Lab, ask: Ask) -> None:
    """Runs, requests and faults are gone."""
    _ = lab.run()
    lab.emulator.fault("start", Respond(500))
    assert ask("POST", "reset").status_code == 200
    emulator = lab.emulator
    assert (emulator.runs, emulator.requests, emulator.faults) == ((), (), ())


def test_no_fault_is_for_the_control_api(lab: Lab, ask: Ask) -> None:
    """Nor for the contract: only for the operations of the service."""
    lab.emulator.fault(None, Respond(500), times=None)
    assert ask("GET", "faults").status_code == 200
    assert lab.web.get(f"{lab.emulator.url}/openapi.json").status_code == 200
    assert "/_emulator/" not in lab.web.get(f"{lab.emulator.url}/openapi.json").text
    assert lab.start().status_code == 500


@pytest.mark.parametrize(
    ("method", "path", "status", "allowed"),
    [
        ("PUT", "faults", 405, "GET, POST, DELETE"),
        ("GET", "faults/1", 405, "DELETE"),
        ("POST", "runs", 405, "GET"),
        ("GET", "reset", 405, "POST"),
        ("GET", "nothing", 404, None),
        ("DELETE", "faults/x", 404, None),
        ("POST", "", 405, "GET"),
        ("POST", "state", 405, "GET"),
        ("GET", "flows/file/runs", 405, "POST"),
    ],
)
def test_unknown_paths_and_methods(
    ask: Ask, method: str, path: str, status: int, allowed: str | None
) -> None:
    """404 for another path, 405 with the supported methods for another method; always JSON."""
    response = ask(method, path)
    assert response.status_code == status
    assert response.headers.get("allow") == allowed
    assert response.json()["message"]


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("headers", [{}, {"X-Dcipher-Emulator": "0"}])
def test_a_foreign_page_cannot_use_it(lab: Lab, method: str, headers: dict[str, str]) -> None:
    """Without the header of ours, which a page may not send unasked, it is 403."""
    lab.emulator.fault("start", Respond(500))
    url = f"{lab.emulator.url}/_emulator/faults"
    response = lab.web.request(method, url, headers=headers)
    assert response.status_code == 403
    assert "X-Dcipher-Emulator: 1" in response.json()["message"]
    assert len(lab.emulator.faults) == 1


def test_a_preflight_request_is_rejected(lab: Lab) -> None:
    """A CORS preflight gets 403, and no header that would permit anything."""
    asked = {
        "Origin": "https://example.com",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "x-dcipher-emulator",
    }
    response = lab.web.options(f"{lab.emulator.url}/_emulator/faults", headers=asked)
    assert response.status_code == 403
    assert [name for name in response.headers if name.startswith("access-control")] == []


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:{port}", 200),
        ("localhost:{port}", 200),
        ("LOCALHOST:{port}", 200),
        ("[::1]:{port}", 200),
        ("evil.example:{port}", 403),
        ("127.0.0.1", 403),
        ("localhost:1", 403),
        ("127.0.0.1.evil.example:{port}", 403),
    ],
)
def test_it_accepts_only_its_own_address(lab: Lab, ask: Ask, host: str, status: int) -> None:
    """Another name that DNS resolves to this address is rejected."""
    port = lab.emulator.url.rpartition(":")[2]
    response = ask("GET", "faults", headers={"Host": host.format(port=port)})
    assert response.status_code == status
    if status == 403:
        assert "at the address of the emulator" in response.json()["message"]


def test_with_remote_callers_the_key_is_required(lab: Lab, ask: Ask) -> None:
    """Requests from elsewhere need the API key. Only on a loopback address, they do not."""
    with Emulator(allow_remote=True) as emulator:
        url = f"{emulator.url}/_emulator/faults"
        refused = lab.web.get(url, headers=HEADER)
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == "Api-Key"
        key = {"Authorization": f"Api-Key {emulator.api_key}"}
        assert lab.web.get(url, headers={**HEADER, **key}).json() == []
    assert ask("GET", "faults").status_code == 200


def test_ipv6_has_brackets(lab: Lab) -> None:
    """The control API is reached by the address of the emulator's own URL there, too."""
    try:
        emulator = Emulator(host="::1")
        emulator.start()
    except OSError:
        pytest.skip("no IPv6 here")
    assert lab.web.get(f"{emulator.url}/_emulator/faults", headers=HEADER).json() == []
    emulator.stop()


def test_a_client_that_disconnects_is_not_an_error(
    lab: Lab, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """In the middle of its request: nothing is registered or logged."""
    from tests.emulator.wire import Line

    body = json.dumps({"effects": [{"kind": "drop"}]}).encode()
    with Line(lab.emulator.url) as line:
        line.ask("/_emulator/faults", X_Dcipher_Emulator="1", Content_Length=str(len(body)))
    assert lab.start().status_code == 200
    assert lab.emulator.faults == ()
    assert capfd.readouterr() == ("", "")
    assert [record for record in caplog.records if record.name.startswith("dcipher")] == []
