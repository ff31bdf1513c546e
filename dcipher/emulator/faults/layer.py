"""The ASGI layer of faults, between the gate and the application."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from email.utils import formatdate
from functools import partial
from typing import TYPE_CHECKING, TypeVar, cast, final
from urllib.parse import parse_qsl

from dcipher.emulator.faults.delivery import deliver
from dcipher.emulator.faults.messages import ROUTES, Body, Call, Response
from dcipher.emulator.gate.gate import mark_fault, request_body, request_headers, request_id
from dcipher.emulator.runs.runs import run_identity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dcipher.emulator.faults.effect import Effect
    from dcipher.emulator.faults.messages import Operation
    from dcipher.emulator.faults.rules import Applied, Faults
    from dcipher.emulator.gate.gate import ASGIApp, Message, Receive, Scope, Send
    from dcipher.emulator.runs.service import Service

__all__ = ["FaultLayer"]

T = TypeVar("T")


@final
class FaultLayer:
    """Passes a request on, unless a fault is applied to it."""

    def __init__(self, app: ASGIApp, faults: Faults, service: Service) -> None:
        self._app = app
        self._faults = faults
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves a request that has passed the gate."""
        call = _call(scope, self._service) if self._faults.rules else None
        applied = None if call is None else self._faults.choose(call)
        if applied is None:
            await self._app(scope, receive, send)
            return
        mark_fault(scope, applied.rule.words)
        response = await self._respond(applied, scope, receive)
        await deliver(response, scope, receive, send)

    async def _respond(self, applied: Applied, scope: Scope, receive: Receive) -> Response:
        effects = applied.rule.effects
        heavy = any(effect.is_heavy for effect in effects)
        call = await _called(partial(self._acted, applied), elsewhere=heavy)
        headers = call.headers
        for effect in effects:
            headers = effect.request(replace(call, headers=headers))
        if headers is not call.headers:
            raw = [(k.encode("latin-1"), v.encode("latin-1")) for k, v in headers.items()]
            scope = {**scope, "headers": raw}
        # The gate does not change the headers of a fault, which may be about any of them.
        date, number = ("date", formatdate(usegmt=True)), ("x-request-id", call.request_id)
        response = Response(200, (date, number))
        if all(effect.asks for effect in effects):
            response = await _captured(self._app, scope, receive, response)
        return await _called(partial(_changed, response, effects, call), elsewhere=heavy)

    def _acted(self, applied: Applied) -> Call:
        """Applies the effects on the service. Returns the call, with the current file."""
        call = applied.call
        for effect in applied.rule.effects:
            effect.act(self._service, call)
        if call.task_id is None or call.output_index is None:
            return call
        return replace(call, stored=self._service.result(call.task_id, str(call.output_index)))


def _changed(response: Response, effects: Iterable[Effect], call: Call) -> Response:
    for effect in effects:
        response = effect.apply(response, call)
    return response


async def _called(function: Callable[[], T], *, elsewhere: bool) -> T:
    """Returns the value of a function, called in a thread if it would block the event loop."""
    return await asyncio.to_thread(function) if elsewhere else function()


def _call(scope: Scope, service: Service) -> Call | None:
    """Returns the request, if faults can be applied to it."""
    method, path = cast("str", scope["method"]), cast("str", scope["path"])
    for verb, operation, pattern in ROUTES:
        found = pattern.fullmatch(path)
        if found is not None and verb == method:
            return _described(scope, service, operation, found.groups())
    return None


def _described(
    scope: Scope, service: Service, operation: Operation, names: tuple[str, ...]
) -> Call:
    headers = request_headers(scope)
    query = cast("bytes", scope["query_string"]).decode("latin-1")
    raw_path = cast("bytes | None", scope.get("raw_path")) or cast("str", scope["path"]).encode()
    call = Call(
        operation=operation,
        path=raw_path.decode("latin-1"),
        query=query,
        origin=f"{scope['scheme']}://{headers.get('host', '')}",
        headers=headers,
        identity=names[0],
        request_id=request_id(scope),
    )
    if operation == "flow":
        return replace(call, flow_id=names[0])
    if operation == "start":
        identity = run_identity(names[0], request_body(scope))
        return replace(call, flow_id=names[0], identity=identity)
    if operation == "status":
        task_id = dict(parse_qsl(query)).get("taskId", "")
        run = service.runs.find(task_id)
        identity = task_id if run is None else run.identity
        return replace(call, flow_id=names[0], task_id=task_id, identity=identity)
    run = service.runs.find(names[0])
    return replace(
        call,
        flow_id=None if run is None else run.flow_id,
        task_id=names[0],
        output_index=int(names[1]),
        identity=f"{names[0] if run is None else run.identity}/{int(names[1])}",
    )


async def _captured(app: ASGIApp, scope: Scope, receive: Receive, begun: Response) -> Response:
    """Returns the response of the application, in memory."""
    starts: list[Message] = []
    body = bytearray()

    async def collect(message: Message) -> None:
        if message["type"] == "http.response.start":
            starts.append(message)
        else:
            body.extend(cast("bytes", message.get("body", b"")))

    try:
        await app(scope, receive, collect)
    except Exception:
        # An error is sent before it is raised, and it is in the log.
        if not starts:
            raise
    raw = cast("Iterable[tuple[bytes, bytes]]", starts[0]["headers"])
    headers = tuple((k.decode("latin-1"), v.decode("latin-1")) for k, v in raw)
    return replace(
        begun,
        status=cast("int", starts[0]["status"]),
        headers=(*begun.headers, *(item for item in headers if item[0] != "content-length")),
        body=Body.of(body),
    )
