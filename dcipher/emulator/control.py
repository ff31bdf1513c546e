"""The control API, `/_emulator/…`: faults, runs and requests over HTTP, for tests in any language.

It also serves the console: its page, and the requests of the page.

It is an ASGI application around the gate: its requests are not in the journal, and have no faults.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias, cast, final

from pydantic import ValidationError
from pydantic_core import to_json

from dcipher.emulator.console.pages import PAGES
from dcipher.emulator.console.routes import ControlRequest
from dcipher.emulator.contract.contract import FieldError
from dcipher.emulator.faults.definition import Definition
from dcipher.emulator.gate.access import authenticate
from dcipher.emulator.gate.gate import MAX_BODY, Disconnected, read_body
from dcipher.emulator.gate.masking import masked_json
from dcipher.emulator.gate.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from dcipher.emulator.console.routes import Console
    from dcipher.emulator.faults.rules import Faults
    from dcipher.emulator.gate.gate import ASGIApp, Receive, Scope, Send

__all__ = ["Control", "Controlled"]

PREFIX: Final = "/_emulator/"
HEADER: Final = "x-dcipher-emulator"
_NUMBER = re.compile(r"faults/(\d{1,18})")
_Reply: TypeAlias = "tuple[int, object]"
_Response: TypeAlias = "tuple[int, bytes, Mapping[str, str]]"


@dataclass(frozen=True, slots=True)
class Controlled:
    """The objects that the control API reads and changes, on the event loop."""

    faults: Faults
    runs: Callable[[], object]
    requests: Callable[[], object]
    clear: Callable[[], None]
    console: Console


@final
class Control:
    """Responds to `/_emulator/…`, and passes other requests on."""

    def __init__(self, app: ASGIApp, controlled: Controlled, *, api_key: str | None) -> None:
        self._app = app
        self._api_key = api_key
        self._controlled = controlled
        self._routes: Mapping[tuple[str, str], Callable[[bytes], _Reply]] = {
            ("GET", "faults"): lambda _: (200, self._faults()),
            ("POST", "faults"): self._add,
            ("DELETE", "faults"): self._clear,
            ("GET", "runs"): lambda _: (200, controlled.runs()),
            ("GET", "requests"): lambda _: (200, controlled.requests()),
            ("POST", "reset"): self._reset,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves a request."""
        path = cast("str", scope["path"])
        if path != PREFIX[:-1] and not path.startswith(PREFIX):
            await self._app(scope, receive, send)
            return
        try:
            status, body, headers = await self._respond(scope, receive, path)
        except Refusal as refusal:
            secrets = self._controlled.console.exchanges.secrets
            status, headers = refusal.status, refusal.headers
            body = refusal.to_json(secrets)
        except Disconnected:
            return
        await _send(send, status, body, headers)

    async def _respond(self, scope: Scope, receive: Receive, path: str) -> _Response:
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in cast("Iterable[tuple[bytes, bytes]]", scope["headers"])
        }
        method, name = cast("str", scope["method"]), path[len(PREFIX) :]
        try:
            page = self._page(scope, headers, path)
            if page is None:
                self._check(headers)
        except Refusal:
            _ = await read_body(receive, keep=0)
            raise
        body, size = await read_body(receive, keep=MAX_BODY if page is None else 0)
        if page is not None:
            return page
        if size > MAX_BODY:
            raise Refusal(413, f"The body is larger than {MAX_BODY} bytes.")
        query = cast("bytes", scope["query_string"]).decode("latin-1")
        request = ControlRequest(method, name, query, headers["host"], body)
        console = self._controlled.console
        status, value = await console.reply(request) or self._reply(method, name, body)
        return status, masked_json(to_json(value), console.exchanges.secrets), {}

    def _page(self, scope: Scope, headers: Mapping[str, str], path: str) -> _Response | None:
        """Returns a file of the page, if requested by the emulator's own address; None: another request."""
        # A page on another host may resolve its name to our address (DNS rebinding).
        if headers.get("host", "").lower() not in _hosts(scope):
            raise Refusal(403, "The control API is available only at the address of the emulator.")
        if path == PREFIX[:-1]:
            return 308, b"", {"location": PREFIX}
        # A browser that follows a link sends no header of ours; the page itself has no secret.
        page = PAGES.get(path[len(PREFIX) :])
        if page is None:
            return None
        if scope["method"] not in {"GET", "HEAD"}:
            raise Refusal(405, f"{path} supports GET.", headers={"Allow": "GET"})
        return 200, page.content, page.headers

    def _check(self, headers: Mapping[str, str]) -> None:
        """Raises a `Refusal` unless the request comes from a program of the emulator's owner."""
        # A page of another origin cannot send our header without a preflight request, which is rejected.
        if headers.get(HEADER) != "1":
            raise Refusal(403, "The control API requires the header 'X-Dcipher-Emulator: 1'.")
        if self._api_key is not None:
            authenticate(headers.get("authorization"), self._api_key)

    def _reply(self, method: str, name: str, body: bytes) -> _Reply:
        numbered = _NUMBER.fullmatch(name)
        if numbered is not None and method == "DELETE":
            return self._remove(int(numbered[1]))
        route = self._routes.get((method, name))
        if route is not None:
            return route(body)
        allowed = [verb for verb, known in self._routes if known == name]
        allowed = ["DELETE"] if numbered is not None else allowed
        if allowed:
            text = f"{PREFIX}{name} supports {', '.join(allowed)}."
            raise Refusal(405, text, headers={"Allow": ", ".join(allowed)})
        raise Refusal(404, f"The control API has no {PREFIX}{name}.")

    def _faults(self) -> object:
        return [rule.to_python() for rule in self._controlled.faults.rules]

    def _add(self, body: bytes) -> _Reply:
        try:
            definition = Definition.from_json(body)
        except ValidationError as error:
            raise _invalid(error) from None
        return 201, self._controlled.faults.add(definition).to_python()

    def _clear(self, _: bytes) -> _Reply:
        removed = self._faults()
        self._controlled.faults.clear()
        return 200, removed

    def _remove(self, number: int) -> _Reply:
        rule = self._controlled.faults.get(number)
        if rule is None:
            raise Refusal(404, f"There is no fault {number}.")
        rule.remove()
        return 200, rule.to_python()

    def _reset(self, _: bytes) -> _Reply:
        self._controlled.clear()
        return 200, {"message": "Runs, requests, keys and faults were removed."}


def _hosts(scope: Scope) -> frozenset[str]:
    # The local address of the connection, which is known even if the emulator listens on all.
    name, port = cast("tuple[str, int]", scope["server"])
    bound = f"[{name}]" if ":" in name else name
    return frozenset(f"{host}:{port}" for host in (bound, "localhost", "127.0.0.1", "[::1]"))


def _invalid(error: ValidationError) -> Refusal:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    if found[0]["type"] == "json_invalid":
        return Refusal(400, f"The body is not JSON: {found[0]['msg']}")
    detail = [
        FieldError(loc=["body", *item["loc"]], msg=item["msg"], type=item["type"]) for item in found
    ]
    shown = "; ".join(f"{'.'.join(map(str, item.loc))}: {item.msg}" for item in detail[:3])
    return Refusal(422, f"The fault is invalid: {shown}", detail=detail)


async def _send(send: Send, status: int, body: bytes, headers: Mapping[str, str]) -> None:
    named = {
        "content-type": "application/json",
        "content-length": str(len(body)),
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
        **headers,
    }
    raw = [(name.lower().encode(), value.encode()) for name, value in named.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
