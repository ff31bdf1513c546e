"""The routes of the control API that the console uses."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final, TypeAlias, final
from urllib.parse import parse_qs

from pydantic_core import from_json, to_json

from dcipher.emulator.console.effects import EFFECTS
from dcipher.emulator.console.presets import PRESETS
from dcipher.emulator.console.snippets import Sent, as_curl, as_python
from dcipher.emulator.console.watch import Sources, Watch, flow_summary, run_summary
from dcipher.emulator.gate.exchanges import READ, Content
from dcipher.emulator.gate.masking import masked_body, masked_text, masked_value
from dcipher.emulator.gate.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pydantic import JsonValue

    from dcipher.emulator.gate.exchanges import Exchange, Exchanges
    from dcipher.emulator.runs.results import StoredResult

__all__ = ["Console", "ControlRequest"]

PREVIEW: Final = 64 * 1024
"""Bytes of a result that are shown."""
_Reply: TypeAlias = "tuple[int, JsonValue]"
_Route: TypeAlias = (
    "tuple[str, re.Pattern[str], Callable[[ControlRequest, str], Awaitable[_Reply]]]"
)


@dataclass(frozen=True, slots=True)
class ControlRequest:
    """A request to the control API that has passed its checks."""

    method: str
    name: str
    """The path behind `/_emulator/`, decoded."""
    query: str
    host: str
    body: bytes


@final
class Console:
    """Responds to the requests of the console."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._watch = Watch(sources)
        self._routes: tuple[_Route, ...] = (
            ("GET", re.compile(r"state()"), self._state),
            ("GET", re.compile(r"catalogue()"), self._catalogue),
            ("GET", re.compile(r"flows()"), self._flows),
            ("GET", re.compile(r"runs/([^/]+)"), self._run),
            ("GET", re.compile(r"requests/(\d{1,18})"), self._request),
            ("POST", re.compile(r"flows/([^/]+)/runs"), self._start),
        )

    @property
    def exchanges(self) -> Exchanges:
        """The store of requests and responses."""
        return self._sources.exchanges

    async def reply(self, request: ControlRequest) -> _Reply | None:
        """Returns status and value; `None` if the route is not one of these."""
        for method, pattern, response in self._routes:
            found = pattern.fullmatch(request.name)
            if found is None:
                continue
            if method != request.method:
                text = f"/_emulator/{request.name} supports {method}."
                raise Refusal(405, text, headers={"Allow": method})
            return await response(request, found[1])
        return None

    def clear(self) -> None:
        """Forgets everything, after a reset."""
        self._sources.exchanges.clear()
        self._watch.clear()

    async def _state(self, request: ControlRequest, _: str) -> _Reply:
        return 200, self._watch.state(parse_qs(request.query).get("known", [""])[-1])

    async def _catalogue(self, _: ControlRequest, _empty: str) -> _Reply:
        return 200, {"presets": [p.to_python() for p in PRESETS], "effects": [*EFFECTS]}

    async def _flows(self, _: ControlRequest, _empty: str) -> _Reply:
        return 200, [flow_summary(flow) for flow in self._sources.service.flows.every()]

    async def _start(self, request: ControlRequest, flow_id: str) -> _Reply:
        # As by the API, but without the signed URL, which only the downloader may know.
        response = from_json(await self._sources.service.start(flow_id, request.body, None))
        return 201, {"task_id": response["taskId"]}

    async def _run(self, _: ControlRequest, task_id: str) -> _Reply:
        run = self._sources.service.runs.get(task_id)
        secrets = self._sources.exchanges.secrets
        return 200, {
            **run_summary(run, secrets),
            "params": _params(dict(run.params), secrets),
            "idempotency_key": run.idempotency_key,
            "urls_expired": run.urls_expired,
            "results": [_preview(result, secrets) for result in run.results],
        }

    async def _request(self, request: ControlRequest, number: str) -> _Reply:
        record = self._sources.journal.get(int(number))
        if record is None:
            raise Refusal(404, f"Request {number} does not exist, or was removed.")
        exchanges = self._sources.exchanges
        exchange = exchanges.get(record.request_id)
        content = Content(None, whole=False) if exchange is None else exchange.request
        path = masked_text(record.path, exchanges.secrets)
        sent = Sent(
            base_url=f"http://{request.host}",
            method=record.method,
            path=path,
            query=record.query,
            headers=record.headers,
            body=content.text if content.whole else None,
        )
        return 200, {
            "number": int(number),
            "method": record.method,
            "path": path,
            "query": record.query,
            "status": record.status,
            "fault": record.fault,
            "at": record.at.timestamp(),
            "request_id": record.request_id,
            "headers": dict(record.headers),
            "exchange": None if exchange is None else _shown(exchange),
            "curl": as_curl(sent),
            "python": as_python(sent),
        }


def _params(params: JsonValue, secrets: tuple[str, ...]) -> str:
    """Returns params as JSON text, truncated if it is long."""
    text = to_json(params, indent=2)
    if len(text) > READ:
        return masked_body(text[:PREVIEW].decode(errors="replace"), secrets) + " …"
    return to_json(masked_value(params, secrets), indent=2).decode()


def _shown(exchange: Exchange) -> JsonValue:
    """Returns an exchange with indented JSON bodies."""
    shown: dict[str, JsonValue] = asdict(exchange)
    for name, content in (("request", exchange.request), ("response", exchange.response)):
        if content.text and content.whole:
            text = _indented(content.text)
            shown[name] = {**asdict(content), "text": text}
    return shown


def _indented(text: str) -> str:
    try:
        return to_json(from_json(text), indent=2).decode()
    except ValueError:
        return text


def _preview(result: StoredResult, secrets: tuple[str, ...]) -> dict[str, JsonValue]:
    data = result.content
    text = None
    if b"\0" not in data[:PREVIEW]:
        text = masked_body(data[:PREVIEW].decode(errors="replace"), secrets)
        text = _indented(text) if len(data) <= PREVIEW else text + " …"
    return {"content_type": result.content_type, "size": len(data), "text": text}
