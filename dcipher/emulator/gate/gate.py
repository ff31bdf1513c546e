"""The layer that every request passes: pure ASGI, so that bodies are streamed.

It assigns an id to the request, reads its body, checks the key, the signature and the rate limit in
this order, writes the journal, and responds to errors of inner layers. Further layers are ASGI applications around
it (the control API) or inside it (faults).
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import formatdate
from typing import TYPE_CHECKING, Final, TypeAlias, cast, final
from urllib.parse import quote

from dcipher.emulator.gate.access import RateLimit, SignatureCheck, authenticate
from dcipher.emulator.gate.exchanges import READ
from dcipher.emulator.gate.journal import Journal, RequestRecord, masked_headers, masked_query
from dcipher.emulator.gate.masking import masked_known
from dcipher.emulator.gate.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping

    from dcipher.emulator.gate.exchanges import Exchanges, Recording

__all__ = [
    "TRANSPORT",
    "ASGIApp",
    "Disconnected",
    "Gate",
    "Guard",
    "Message",
    "Receive",
    "Scope",
    "Send",
    "mark_fault",
    "mark_sent",
    "mark_unmatched",
    "read_body",
    "refusal_body",
    "request_body",
    "request_headers",
    "request_id",
    "target",
]

# The types of ASGI, with `object` instead of Starlette's Any.
Scope: TypeAlias = "MutableMapping[str, object]"
Message: TypeAlias = "MutableMapping[str, object]"
Receive: TypeAlias = "Callable[[], Awaitable[Message]]"
Send: TypeAlias = "Callable[[Message], Awaitable[None]]"
ASGIApp: TypeAlias = "Callable[[Scope, Receive, Send], Awaitable[None]]"

MAX_BODY: Final = 64 * 1024 * 1024
BODY_TIME: Final = 30.0
"""Seconds in which a part of a body must arrive: a wait without a limit would exhaust connections."""
_OPEN = ("/results/", "/openapi.json")  # a signed URL is its own authorization
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
TRANSPORT: Final = "dcipher.transport"
"""The key of the connection in the scope."""
_RESPONSE = "dcipher.response"
_BODY = "dcipher.body"
_Headers: TypeAlias = "Iterable[tuple[bytes, bytes]]"
_LOGGER = logging.getLogger("dcipher.emulator")


@dataclass(frozen=True, slots=True)
class Guard:
    """The access checks of a request to the API."""

    api_key: str
    signatures: SignatureCheck
    rate: RateLimit | None

    @property
    def secrets(self) -> tuple[str, ...]:
        """The secrets to redact."""
        return (self.api_key, *filter(None, [self.signatures.secret]))

    def admit(self, request: _Request) -> None:
        """Raises a `Refusal` unless the request has the key, so that its body may be kept."""
        authenticate(request.headers.get("authorization"), self.api_key)

    def check(self, request: _Request, body: bytes) -> None:
        """Raises a `Refusal` for the signature, then for the rate limit."""
        self.signatures.verify(request.method, request.url, request.headers, body)
        if self.rate is not None:
            self.rate.check()


@final
class Gate:
    """An ASGI application around the emulator's own."""

    def __init__(self, app: ASGIApp, guard: Guard, journal: Journal, exchanges: Exchanges) -> None:
        self._app = app
        self._guard = guard
        self._journal = journal
        self._exchanges = exchanges

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves a request. Lifespan and websockets are not passed to it."""
        request = _Request.of(scope)
        recording = self._exchanges.record(request.id)
        response = _Response(request, send, self._record, recording, self._guard.secrets)
        scope[_RESPONSE] = response
        try:
            body = await self._body(request, receive, recording)
            scope[_BODY] = body
            if request.method in _WITH_BODY:
                receive = _replay(body, receive)
            if not request.path.startswith(_OPEN):
                self._guard.check(request, body)
            await self._app(scope, receive, response.send)
        except Refusal as refusal:
            await response.refuse(refusal)
        except Disconnected:
            _LOGGER.debug("%s: the client disconnected", response.target)
        except Exception:
            # If the response has begun, the error is logged elsewhere, or the client has disconnected.
            if not response.begun:
                _LOGGER.exception("%s failed in the emulator", response.target)
                await response.refuse(Refusal(500, "The emulator failed. Its log has the reason."))
        finally:
            response.close()

    async def _body(self, request: _Request, receive: Receive, recording: Recording) -> bytes:
        """Returns the body of a request with the key. Of others, only the beginning is recorded."""
        refused: Refusal | None = None
        wanted = request.method in _WITH_BODY
        if request.path.startswith(_OPEN):
            keep = 0
        else:
            keep = MAX_BODY
            try:
                self._guard.admit(request)
            except Refusal as refusal:
                refused, keep = refusal, READ
        body, size = await read_body(receive, keep=keep) if wanted else (b"", 0)
        recording.record_request(body, size)
        if refused is not None:
            raise refused
        if keep == MAX_BODY and size > keep:
            raise Refusal(413, f"The body is larger than {MAX_BODY} bytes.")
        return body

    def _record(self, response: _Response, status: int | None) -> None:
        request, secrets = response.request, self._guard.secrets
        headers = masked_headers(request.headers, secrets)
        self._journal.add(
            RequestRecord(
                method=masked_known(request.method, secrets),
                path=masked_known(request.path, secrets),
                query=masked_query(request.query, secrets),
                status=status,
                headers=headers,
                idempotency_key=headers.get("idempotency-key"),
                request_id=request.id,
                at=request.at,
                fault=response.fault and masked_known(response.fault, secrets),
                unmatched=response.unmatched and masked_known(response.unmatched, secrets),
            )
        )


def request_id(scope: Scope) -> str:
    """Returns the id of the request."""
    return cast("_Response", scope[_RESPONSE]).request.id


def request_headers(scope: Scope) -> Mapping[str, str]:
    """Returns the headers by lower-case name. Repeated headers are joined with commas."""
    return cast("_Response", scope[_RESPONSE]).request.headers


def request_body(scope: Scope) -> bytes:
    """Returns the complete body."""
    return cast("bytes", scope[_BODY])


def refusal_body(scope: Scope, refusal: Refusal) -> bytes:
    """Returns the body for a refusal, without secrets of the request."""
    return refusal.to_json(cast("_Response", scope[_RESPONSE]).secrets)


def target(scope: Scope) -> str:
    """Returns method and path for the log, without a secret."""
    return cast("_Response", scope[_RESPONSE]).target


def mark_fault(scope: Scope, words: str) -> None:
    """Marks the response as a fault, whose headers must not be changed."""
    cast("_Response", scope[_RESPONSE]).fault = words


def mark_unmatched(scope: Scope, words: str) -> None:
    """Marks the request as unmatched."""
    cast("_Response", scope[_RESPONSE]).unmatched = words


def mark_sent(scope: Scope, status: int | None) -> None:
    """Records the response of a layer that sends on the connection itself."""
    cast("_Response", scope[_RESPONSE]).begin(status)


@dataclass(frozen=True, slots=True)
class _Request:
    """The gate's data of a request, with lower-case header names."""

    method: str
    url: str
    path: str
    query: str
    headers: dict[str, str]
    id: str
    at: datetime

    @classmethod
    def of(cls, scope: Scope) -> _Request:
        headers: dict[str, str] = {}
        for raw_name, raw_value in cast("_Headers", scope["headers"]):
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        path = cast("str", scope["path"])
        raw_path = cast("bytes | None", scope.get("raw_path")) or quote(path).encode()
        query = cast("bytes", scope["query_string"]).decode("latin-1")
        wire = raw_path.decode("latin-1") + (f"?{query}" if query else "")
        return cls(
            method=cast("str", scope["method"]),
            url=f"{scope['scheme']}://{headers.get('host', '')}{wire}",
            path=path,
            query=query,
            headers=headers,
            id=uuid.uuid4().hex,
            at=datetime.now(timezone.utc),
        )


@final
class _Response:
    """Sends the response: adds date and id, and records the status when it begins."""

    def __init__(
        self,
        request: _Request,
        send: Send,
        note: Callable[[_Response, int | None], None],
        recording: Recording,
        secrets: tuple[str, ...],
    ) -> None:
        self.request: _Request = request
        self.secrets: tuple[str, ...] = secrets
        self.begun: bool = False
        self.fault: str | None = None
        self.unmatched: str | None = None
        self._send = send
        self._record = note
        self._recording = recording

    @property
    def target(self) -> str:
        """Method and path for the log, without a secret."""
        return masked_known(f"{self.request.method} {self.request.path}", self.secrets)

    async def send(self, message: Message) -> None:
        """Sends a message of ASGI."""
        if message["type"] == "http.response.start" and not self.begun:
            if self.fault is None:
                headers = cast("_Headers", message.get("headers", ()))
                message["headers"] = [
                    *headers,
                    (b"date", formatdate(usegmt=True).encode()),
                    (b"x-request-id", self.request.id.encode()),
                ]
            # Recorded before it is sent: a client that has the response finds it in the journal.
            self.begin(cast("int", message["status"]))
        self._recording.record_response(message)
        await self._send(message)

    def begin(self, status: int | None) -> None:
        """Records the request, once."""
        if not self.begun:
            self.begun = True
            self._record(self, status)

    async def refuse(self, refusal: Refusal) -> None:
        """Responds with an error, unless a response has begun."""
        if self.begun:
            return
        body = refusal.to_json(self.secrets)
        headers = {
            "content-type": "application/json",
            "content-length": str(len(body)),
            **refusal.headers,
        }
        await self.send(
            {
                "type": "http.response.start",
                "status": refusal.status,
                "headers": [(k.lower().encode(), v.encode()) for k, v in headers.items()],
            }
        )
        await self.send({"type": "http.response.body", "body": body})

    def close(self) -> None:
        """Records the end of the request, with or without a response."""
        self.begin(None)
        self._recording.finish()


class Disconnected(Exception):  # noqa: N818 (not an error of the emulator)
    """The client disconnected before its request was complete."""


async def read_body(receive: Receive, *, keep: int) -> tuple[bytes, int]:
    """Returns the body and its size; only the first chunks of a body larger than `keep`.

    It is read before a request is rejected, even if it is not needed: a client that is disconnected while it
    still writes gets a connection error instead of the response. It reads at most `MAX_BODY`.
    """
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await _next(receive)
        if message["type"] == "http.disconnect":
            raise Disconnected
        chunk = cast("bytes", message.get("body", b""))
        size += len(chunk)
        if size <= keep:
            chunks.append(chunk)
        if size > MAX_BODY or not message.get("more_body", False):
            return b"".join(chunks), size


async def _next(receive: Receive) -> Message:
    try:
        return await asyncio.wait_for(receive(), BODY_TIME)
    except asyncio.TimeoutError:
        text = f"No part of the body was received for {BODY_TIME:g} seconds."
        raise Refusal(408, text, headers={"Connection": "close"}) from None


def _replay(body: bytes, receive: Receive) -> Receive:
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay
