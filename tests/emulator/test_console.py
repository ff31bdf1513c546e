"""The console without a browser: its files, its requests, and no secret in them."""

from __future__ import annotations

import asyncio
import json
import re
import time
from importlib import resources
from typing import TYPE_CHECKING, Any

import pytest
from pydantic_core import to_json

from dcipher.emulator import Emulator, Result, console
from dcipher.emulator.console.effects import EFFECTS
from dcipher.emulator.console.pages import PAGES
from dcipher.emulator.console.presets import PRESETS
from dcipher.emulator.console.watch import MOST, Sources, Watch
from dcipher.emulator.faults import Drop, ExpireURL, Respond
from dcipher.emulator.faults.definition import Definition
from dcipher.emulator.faults.rules import Faults
from dcipher.emulator.gate.exchanges import Exchanges
from dcipher.emulator.gate.journal import Journal
from dcipher.emulator.runs.pace import Pace
from dcipher.emulator.runs.results import ResultURLs
from dcipher.emulator.runs.runs import Runs
from dcipher.emulator.runs.service import Service
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    from tests.emulator.wire import Lab

    Ask = Callable[..., httpx.Response]

HEADER = {"X-Dcipher-Emulator": "1"}
EVIL = '<img src=x onerror=alert(1)></script>\x1b[31m \u202e"'


@pytest.fixture
def ask(lab: Lab) -> Ask:
    def send(method: str, path: str, **arguments: Any) -> httpx.Response:
        url = f"{lab.emulator.url}/_emulator/{path}"
        headers = {**HEADER, **arguments.pop("headers", {})}
        return lab.web.request(method, url, headers=headers, **arguments)

    return send


# ---- The page.


@pytest.mark.parametrize("name", sorted(PAGES))
def test_the_page_is_isolated(lab: Lab, name: str) -> None:
    """Each file is served without our header, and forbids content from other origins."""
    response = lab.web.get(lab.emulator.console + name)
    assert (response.status_code, response.content) == (200, PAGES[name].content)
    policy = response.headers["content-security-policy"].split("; ")
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert not [rule for rule in policy if "unsafe" in rule or "http" in rule or "*" in rule]
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert response.headers["cache-control"] == "no-store"
    head = lab.web.head(lab.emulator.console + name)
    assert (head.status_code, head.content) == (200, b"")


def test_the_page_needs_the_known_host(lab: Lab) -> None:
    """Another name for this address gets no page, no script and no redirect."""
    for path in ("/_emulator", "/_emulator/", "/_emulator/console.js"):
        response = lab.web.get(lab.emulator.url + path, headers={"Host": "evil.example"})
        assert response.status_code == 403
        assert "at the address of the emulator" in response.json()["message"]


def test_the_page_is_found_without_its_slash(lab: Lab) -> None:
    """Who leaves the last slash out is led to it, on the same host."""
    response = lab.web.get(f"{lab.emulator.url}/_emulator")
    assert (response.status_code, response.headers["location"]) == (308, "/_emulator/")


def test_only_the_page_is_served(ask: Ask) -> None:
    """No other file of the package, and none outside of it, has an address."""
    for name in ("routes.py", "__init__.py", "%2e%2e/control.py", "nothing.js"):
        assert ask("GET", name).status_code == 404
    files = {file.name for file in resources.files(console).iterdir() if file.is_file()}
    assert {name for name in files if not name.endswith((".py", ".pyc"))} == set(PAGES) - {""}


def test_the_page_has_no_markup_from_text() -> None:
    """No inline script or style, nothing from elsewhere, and nothing that makes markup of a string."""
    page = PAGES["index.html"].content.decode()
    assert re.findall(r"<script(?![^>]* src=)|<style|\son\w+=|\sstyle=|javascript:", page) == []
    assert set(re.findall(r'(?:src|href)="([^"]+)"', page)) <= set(PAGES)
    makers = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc"
    keepers = r"localStorage|sessionStorage|indexedDB|document\.cookie"
    for name, served in PAGES.items():
        text = served.content.decode()
        if name.endswith(".js"):
            assert re.findall(f"{makers}|{keepers}", text) == [], name
            assert set(re.findall(r'from "\./([^"]+)"', text)) <= set(PAGES), name
        if name.endswith((".css", ".js", ".html")):
            assert re.findall(r"(?:https?:)?//\w+\.\w+", text) == [], name


def test_the_url_of_the_console() -> None:
    """The URL is available as soon as the emulator has one, and not before."""
    emulator = Emulator()
    with pytest.raises(RuntimeError, match="before it is started"):
        _ = emulator.console
    with emulator:
        assert emulator.console == f"{emulator.url}/_emulator/"


# ---- What has changed.


def test_a_state_is_sent_once(lab: Lab, ask: Ask) -> None:
    """The first response has everything. With its ETag, the next one has only the changes."""
    task_id, _ = lab.run()
    lab.emulator.fault("status", Respond(503))
    first = ask("GET", "state").json()
    assert [run["task_id"] for run in first["runs"]] == [task_id]
    assert [request["path"] for request in first["requests"]] == ["/flows/file/run"]
    assert {"file", "pair", "large"} <= {flow["id"] for flow in first["flows"]}
    assert [fault["words"] for fault in first["faults"]] == ["1 on status: Respond(503)"]
    assert (first["run_count"], first["request_count"]) == (1, 1)

    second = ask("GET", f"state?known={first['etag']}").json()
    assert set(second) == {"etag", "now"}
    assert second["etag"] == first["etag"]

    _ = lab.status(task_id)
    third = ask("GET", f"state?known={second['etag']}").json()
    assert third["etag"] != first["etag"]
    _, (number, status, fault) = [(r["number"], r["status"], r["fault"]) for r in third["requests"]]
    assert (number, status, fault) == (2, 503, "1 on status: Respond(503)")
    assert [(fault["hits"], fault["remaining"]) for fault in third["faults"]] == [(1, 0)]


def test_a_run_that_moves_is_another_state(lab: Lab, ask: Ask) -> None:
    """Each status of a run is another state, until it is over."""
    lab.emulator.flow(f"moving-{time.monotonic_ns()}", duration=1)(lambda: "done")
    flow_id = ask("GET", "flows").json()[-1]["id"]
    task_id = lab.start_of(flow_id)["taskId"]
    (run,) = (one for one in lab.emulator._service.runs.every() if one.task_id == task_id)
    etags: list[str] = []
    for status in ("RUNNING", "SUCCEEDED"):
        assert until(lambda status=status: run.status == status)
        state = ask("GET", "state", params={"known": etags[-1] if etags else ""}).json()
        etags.append(state["etag"])
        assert [one["status"] for one in state["runs"] if one["task_id"] == task_id] == [status]
    assert etags[0] != etags[1]


@pytest.mark.parametrize("known", ["", "x", "é"])
def test_an_unknown_etag_gets_everything(lab: Lab, ask: Ask, known: str) -> None:
    """The ETag of another emulator, or no ETag, gets the complete state."""
    _ = lab.run()
    state = ask("GET", "state", params={"known": known}).json()
    assert (len(state["runs"]), len(state["requests"])) == (1, 1)


def test_a_reset_is_another_state(lab: Lab, ask: Ask) -> None:
    """After a reset, the state of the same emulator is empty, and has another number of resets."""
    _ = lab.run()
    before = ask("GET", "state").json()
    lab.emulator.reset()
    lab.emulator.fault("start", Drop())
    after = ask("GET", f"state?known={before['etag']}").json()
    assert (after["runs"], after["requests"]) == ([], [])
    assert (after["emulator"], after["resets"]) == (before["emulator"], before["resets"] + 1)
    assert [fault["id"] for fault in after["faults"]] == [1]


def test_equal_new_faults_are_a_change(lab: Lab, ask: Ask) -> None:
    """Faults that were cleared and added again with the same numbers are a change."""
    lab.emulator.fault("start", Drop())
    etag = ask("GET", "state").json()["etag"]
    lab.emulator.clear_faults()
    lab.emulator.fault("start", Respond(500))
    state = ask("GET", f"state?known={etag}").json()
    assert [fault["words"] for fault in state["faults"]] == ["1 on start: Respond()"]


def test_of_many_runs_the_newest_are_sent() -> None:
    """A state has the newest thousand runs, and the number of all; an unchanged state is small."""

    async def body() -> None:
        pace = Pace(queue_time=3600)
        service = Service(runs=Runs(pace, max_workers=1), urls=ResultURLs(lifetime=60), pace=pace)
        flow = service.flows.add("many", lambda: None)
        for _ in range(2_500):
            service.runs.launch(service.runs.make(flow, {}, None, b"{}"), flow, flow.bind({}))
        watch = Watch(Sources(service, Journal(), Exchanges(), Faults()))
        state: dict[str, Any] = watch.state()
        newest = [run.task_id for run in service.runs.every()][-MOST:]
        assert [run["task_id"] for run in state["runs"]] == newest
        assert state["run_count"] == 2_500
        assert len(to_json(watch.state(state["etag"]))) < 100
        await service.runs.stop(grace=0)

    asyncio.run(body())


# ---- Flows and their form.


def test_a_start_is_that_of_the_api(lab: Lab, ask: Ask) -> None:
    """It creates an ordinary run, shows no signed URL, and is not in the journal."""
    lab.emulator.fault(None, Respond(500), times=None)
    response = ask("POST", "flows/file/runs", json={"pipelineParams": {"number": 3}})
    assert (response.status_code, set(response.json())) == (201, {"task_id"})
    (run,) = lab.emulator.runs
    assert (run.task_id, run.params) == (response.json()["task_id"], {"number": 3})
    assert lab.emulator.requests == ()


@pytest.mark.parametrize(
    ("flow_id", "body", "status", "loc"),
    [
        ("file", b'{"pipelineParams": {"number": "x"}}', 422, ["body", "pipelineParams", "number"]),
        ("file", b'{"pipelineParams": {"more": 1}}', 422, ["body", "pipelineParams", "more"]),
        ("file", b"[]", 422, ["body"]),
        ("file", b"{", 400, None),
        ("none", b'{"pipelineParams": {}}', 404, None),
    ],
)
def test_an_invalid_start_is_rejected_with_locations(
    lab: Lab, ask: Ask, flow_id: str, body: bytes, status: int, loc: list[str] | None
) -> None:
    """As in the API, each value has its path, so that the form shows it at its field."""
    response = ask("POST", f"flows/{flow_id}/runs", content=body)
    assert response.status_code == status
    assert response.json()["message"]
    if loc is not None:
        assert response.json()["detail"][0]["loc"] == loc
    assert lab.emulator.runs == ()


def test_a_flow_has_the_data_of_its_form(lab: Lab, ask: Ask) -> None:
    """Type, default, description and schema of each param, and whether the flow is restricted."""
    with Emulator(sample_flows=True) as emulator:
        emulator.flow("closed", restricted=True, name=EVIL)(lambda **more: None)
        flows = lab.web.get(f"{emulator.console}flows", headers=HEADER).json()
        closed = f"{emulator.console}flows/closed/runs"
        refused = lab.web.post(closed, headers=HEADER, json={"pipelineParams": {}})
    by_id = {flow["id"]: flow for flow in flows}
    assert list(by_id) == ["keywords", "language-stats", "topics", "closed"]
    documents, top, _ = by_id["keywords"]["params"]
    assert (documents["type"], documents["required"], top["default"]) == ("array", True, 10)
    properties = by_id["keywords"]["schema"]["properties"]
    assert properties["documents"]["items"] == {"type": "string"}
    assert properties["top"]["maximum"] == 1000
    assert (by_id["closed"]["restricted"], by_id["closed"]["name"]) == (True, EVIL)
    assert by_id["closed"]["schema"]["additionalProperties"] is True
    assert refused.status_code == 403


# ---- One run, one request.


def test_a_run_shows_params_and_results_without_secrets(lab: Lab, ask: Ask) -> None:
    """Values of secret names, the key of the emulator and queries of URLs are redacted at any depth."""
    key = lab.emulator.api_key
    flow_id = f"shown-{time.monotonic_ns()}"

    @lab.emulator.flow(flow_id)
    def shown(text: str, options: dict[str, object]) -> dict[str, object]:
        return {"text": text, **options}

    options = {"api_key": "canary-1", "deep": [{"sessionToken": "canary-2", "max_tokens": 5}]}
    text = f"{key} https://host/a?Signature=canary-3 {EVIL}"
    started = lab.start_of(flow_id, text=text, options=options)
    _ = lab.finish(started)
    lab.emulator.fault("result", ExpireURL())
    _ = lab.get(started["signedResponseURL"].removeprefix(lab.emulator.url))
    response = ask("GET", f"runs/{started['taskId']}")
    assert not re.findall(rf"canary|{key}", response.text)
    run = response.json()
    assert json.loads(run["params"])["options"]["deep"] == [
        {"sessionToken": "***", "max_tokens": 5}
    ]
    (result,) = run["results"]
    assert result["content_type"] == "application/json"
    assert EVIL in json.loads(result["text"])["text"]
    assert run["urls_expired"]


def test_a_message_of_a_run_is_redacted(lab: Lab, ask: Ask) -> None:
    """The message of a failed flow may have a signed URL: it is shown without its query."""
    flow_id = f"fails-{time.monotonic_ns()}"

    @lab.emulator.flow(flow_id)
    def fails() -> None:
        raise ValueError(f"{EVIL} https://host/a?Signature=canary {lab.emulator.api_key}")

    _ = lab.finish(lab.start_of(flow_id))
    (run,) = ask("GET", "state").json()["runs"]
    assert run["message"] == f"{EVIL} https://host/a?*** ***"


def test_large_and_binary_results_are_shown_in_part(lab: Lab, ask: Ask) -> None:
    """A long text is truncated, and of binary results only the size is shown."""
    flow_id = f"long-{time.monotonic_ns()}"

    @lab.emulator.flow(flow_id, outputs=2)
    def long(text: str) -> tuple[object, Result]:
        return [text], Result(b"\0\1", "application/octet-stream")

    started = lab.start_of(flow_id, text="é" * 100_000)
    _ = lab.finish(started)
    run = ask("GET", f"runs/{started['taskId']}").json()
    assert 60_000 < len(run["params"].encode()) < 70_000
    first, second = run["results"]
    assert first["size"] == 200_004
    assert first["text"].startswith('["éé')
    assert (second["size"], second["text"]) == (2, None)
    assert ask("GET", "runs/none").status_code == 404


def test_a_request_shows_both_messages(lab: Lab, ask: Ask) -> None:
    """Headers and bodies of request and response, redacted, and the commands to repeat it."""
    body = lab.start(7, key="one").json()
    response = ask("GET", "requests/1")
    for secret in (lab.emulator.api_key, body["signedResponseURL"].rpartition("=")[2]):
        assert secret not in response.text
    request = response.json()
    assert request["headers"]["authorization"] == "***"
    assert json.loads(request["exchange"]["request"]["text"]) == {"pipelineParams": {"number": 7}}
    shown = json.loads(request["exchange"]["response"]["text"])
    assert shown["taskId"] == body["taskId"]
    assert shown["signedResponseURL"].endswith(f"/results/{body['taskId']}/0?***")
    assert request["exchange"]["response_headers"]["content-type"] == "application/json"
    assert request["exchange"]["seconds"] >= 0
    assert "idempotency_key=" in request["python"]
    assert request["curl"].startswith("curl ")


def test_a_request_names_its_fault(lab: Lab, ask: Ask) -> None:
    """An answer that a fault dropped on the wire has neither status nor headers."""
    lab.emulator.fault("start", Drop("after"))
    with lab_line(lab) as line:
        line.ask("/flows/file/run", "POST", b'{"pipelineParams": {}}', **lab.headers)
        _ = line.hear()
    request = ask("GET", "requests/1").json()
    assert (request["status"], request["fault"]) == (None, "1 on start: Drop('after')")
    assert request["exchange"]["response_headers"] == {}
    assert request["exchange"]["request"]["text"]


def lab_line(lab: Lab) -> Any:
    from tests.emulator.wire import Line

    return Line(lab.emulator.url)


def test_an_unknown_request(lab: Lab, ask: Ask) -> None:
    """404 with a message: for the number after the last one, for 0 and for a huge one."""
    _ = lab.start()
    for number in ("2", "0", "9" * 18):
        response = ask("GET", f"requests/{number}")
        assert (response.status_code, number in response.json()["message"]) == (404, True)


# ---- Faults.


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.title)
def test_each_button_is_a_fault(lab: Lab, ask: Ask, preset: Any) -> None:
    """The fault of each button is accepted unchanged."""
    fault = preset.to_python()["fault"]
    assert ask("POST", "faults", json=fault).status_code == 201
    assert lab.emulator.faults[0].remaining in {1, 3}
    assert preset.to_python() in ask("GET", "catalogue").json()["presets"]


@pytest.mark.parametrize("effect", EFFECTS, ids=lambda effect: effect["name"])
def test_each_effect_has_a_form(effect: Any) -> None:
    """The initial values of the form are a valid fault for each of its operations."""
    values = {v["name"]: v["default"] for v in effect["values"] if v["default"] is not None}
    assert effect["description"]
    for operation in [None, *effect["operations"]]:
        fault = {"operation": operation, "effects": [{"kind": effect["kind"], **values}]}
        assert Definition.from_json(to_json(fault)).effects


def test_every_effect_is_offered() -> None:
    """The form has all that a fault can be, with the choices of each."""
    from dcipher.emulator import faults

    assert [effect["name"] for effect in EFFECTS] == sorted(
        set(faults.__all__) - {"Effect", "FaultRule"}
    )
    by_name: dict[str, Any] = {str(effect["name"]): effect for effect in EFFECTS}
    how = {value["name"]: value for value in by_name["Cut"]["values"]}["how"]
    assert (how["choices"], how["default"]) == (["close", "reset", "stall"], "close")
    assert how["description"].startswith("close sends a FIN")


# ---- Who may ask.


def test_with_remote_callers_the_requests_of_the_page_need_the_key(lab: Lab) -> None:
    """The page has no secret and needs no key at the right address; its requests do."""
    with Emulator(allow_remote=True) as emulator:
        assert lab.web.get(emulator.console).status_code == 200
        for path in ("state", "flows", "catalogue"):
            assert lab.web.get(emulator.console + path, headers=HEADER).status_code == 401
        key = {"Authorization": f"Api-Key {emulator.api_key}"}
        state = lab.web.get(f"{emulator.console}state", headers={**HEADER, **key})
    assert state.status_code == 200


@pytest.mark.parametrize("path", ["state", "flows", "catalogue", "runs/x", "requests/1"])
def test_requests_of_the_page_need_the_header(lab: Lab, path: str) -> None:
    """A page of another origin, which cannot send it, is rejected."""
    response = lab.web.get(lab.emulator.console + path)
    assert response.status_code == 403
    assert response.headers["x-content-type-options"] == "nosniff"
