"""`status_events` in a real browser: an `EventSource` receives the events of a run to its end, and reconnects."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("fastapi", reason="no FastAPI: pip install 'dcipher[emulator]'")
pytest.importorskip("playwright", reason="no Playwright: pip install --group browser")

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, StreamingResponse

from dcipher import Dcipher, Run
from dcipher.fastapi import (
    DcipherDep,
    add_problem_handlers,
    dcipher_lifespan,
    status_events,
)
from tests.fastapi.conftest import served
from tests.waiting import HANG

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from dcipher.emulator import Emulator

PAGE = """<!doctype html><link rel="icon" href="data:,"><ol id="seen"></ol><p id="state"></p><script>
const [flow, task] = location.hash.slice(1).split("/");
const source = new EventSource(`/runs/${flow}/${task}/events`);
const state = document.getElementById("state");
source.onmessage = (event) => {
  const { status } = JSON.parse(event.data);
  document.getElementById("seen").append(`${event.lastEventId}:${status} `);
};
source.onerror = () => { state.textContent = `error ${source.readyState}`; };
source.onopen = () => { state.textContent = "open"; };
source.addEventListener("end", (event) => {
  state.textContent = `end ${JSON.parse(event.data).status}`;
  source.close();
});
</script>"""


@pytest.fixture
def page(browser: Browser) -> Any:
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(HANG * 1000)
    yield page
    context.close()


class Backend:
    """An application of the user, and its requests."""

    def __init__(self) -> None:
        self.last_ids: list[str | None] = []
        self.app = FastAPI(lifespan=dcipher_lifespan())
        add_problem_handlers(self.app)

        @self.app.get("/")
        def index() -> HTMLResponse:
            return HTMLResponse(PAGE)

        @self.app.get("/runs/{flow_id}/{task_id}/events")
        async def events(
            flow_id: str, task_id: str, dcipher: DcipherDep, request: Request
        ) -> StreamingResponse:
            self.last_ids.append(request.headers.get("last-event-id"))
            return status_events(dcipher, Run(flow_id=flow_id, task_id=task_id))


@pytest.fixture
def gate(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Any:
    gate = threading.Event()
    emulator.flow("gated")(lambda: gate.wait(HANG))
    monkeypatch.setenv("DCIPHER_BASE_URL", emulator.url)
    monkeypatch.setenv("DCIPHER_API_KEY", emulator.api_key)
    yield gate
    gate.set()


def seen(page: Page, *words: str) -> None:
    """Waits until the page shows these statuses, in this order."""
    page.wait_for_function(
        "words => words.every(word => document.body.textContent.includes(word))", arg=list(words)
    )


def start() -> str:
    with Dcipher() as client:
        return client.flows.start("gated").task_id


def test_run_is_seen_to_its_end_and_over_a_restart(page: Page, gate: threading.Event) -> None:
    """A page reconnects to the next process, where the numbers go on, and not after the end."""
    task_id, backend = start(), Backend()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with served(backend.app, port=port) as site:
        page.goto(f"{site.url}/#gated/{task_id}")
        seen(page, "RUNNING", "open")
    seen(page, "error 0")  # the browser is connecting again, by itself
    after = Backend()
    with served(after.app, port=port):
        seen(page, "open")
        gate.set()
        seen(page, "SUCCEEDED", "end SUCCEEDED")
        text = page.locator("#seen").text_content() or ""
        numbers = [int(word.partition(":")[0]) for word in text.split()]
        assert numbers == sorted(set(numbers))
        assert after.last_ids[0] in map(str, numbers[:-1])
        asked = len(after.last_ids)
        page.wait_for_timeout(3000)  # a browser reconnects after two seconds
        assert len(after.last_ids) == asked


def test_run_that_does_not_exist_is_asked_for_once(page: Page, gate: threading.Event) -> None:
    """An error response ends an `EventSource` for good."""
    backend = Backend()
    with served(backend.app) as site:
        page.goto(f"{site.url}/#gated/no-such-run")
        seen(page, "error 2")
        page.wait_for_timeout(3000)
        assert len(backend.last_ids) == 1
