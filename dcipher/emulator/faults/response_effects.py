"""Effects on the content of a response: status, headers, body. It remains valid HTTP."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Mapping
from dataclasses import field, replace
from typing import Annotated, ClassVar, Final, Literal, cast

from pydantic import Field, JsonValue
from pydantic.dataclasses import dataclass
from pydantic_core import from_json, to_json
from typing_extensions import override

from dcipher.emulator.contract.contract import ErrorResponse
from dcipher.emulator.faults.effect import (
    Effect,
    HeaderName,
    HeaderValue,
    Payload,
    as_bytes,
    media_type,
)
from dcipher.emulator.faults.messages import Body, Call, Operation, Response, phrase
from dcipher.emulator.gate.refusals import Refusal

__all__ = ["Garbage", "Headers", "Html", "Patch", "Redirect", "Replace", "Respond", "Statuses"]

_OF_THE_SERVER: Final = frozenset({"date", "x-request-id"})
_OF_THE_FILE: Final = ("accept-ranges", "content-range", "etag", "last-modified", "repr-digest")


@dataclass(frozen=True, repr=False)
class Respond(Effect):
    """Responds with a status of its own. The request does not reach the service.

    Attributes:
        status: 200 to 999. Use `Raw` for a lower status.
        headers: Headers in addition to Date and X-Request-Id.
        body: Text, bytes (as JSON: `{"base64": "…"}`), or any other JSON value. Default: for an
            error status, an error body of the API; otherwise, none.
    """

    status: Annotated[int, Field(ge=200, le=999)] = 500
    headers: Mapping[HeaderName, HeaderValue] = field(default_factory=dict[str, str])
    body: Payload = None
    kind: Literal["respond"] = field(default="respond", kw_only=True)

    @property
    @override
    def asks(self) -> bool:
        return False

    @override
    def apply(self, response: Response, call: Call) -> Response:
        kept = tuple(item for item in response.headers if item[0] in _OF_THE_SERVER)
        new = replace(response, status=self.status, headers=kept, body=Body(), promised=None)
        body = self.body
        if body is None and self.status >= 400:
            error = ErrorResponse(message=f"{phrase(self.status)} (a fault of the emulator).")
            body = cast("JsonValue", from_json(error.to_json()))
        if body is not None and new.has_body:
            new = new.with_body(as_bytes(body))
            if body != "":
                new = new.with_headers({"content-type": media_type(body)})
        return new.with_headers(self.headers)


@dataclasses.dataclass(frozen=True, init=False, repr=False)
class Statuses(Effect):
    """Returns these statuses of a run, one per request, and then the real one.

    For example: `Statuses("PENDING", "warming up")`. A fault with it is applied to as many requests
    as there are statuses, multiplied by `times`. All runs share the list, unless the fault has
    `per_run=True`.

    Attributes:
        words: One or more statuses, known or unknown.
        message: The message with each status. Default: none.
    """

    operations: ClassVar[frozenset[Operation]] = frozenset(("status",))

    words: Annotated[tuple[str, ...], Field(min_length=1)]
    message: str | None = None
    kind: Literal["statuses"] = field(default="statuses", kw_only=True)

    def __init__(self, *words: str, message: str | None = None) -> None:
        if not words or not all(isinstance(word, str) for word in words):
            raise TypeError("Statuses takes one or more statuses, each as text.")
        for name, value in {"words": words, "message": message, "kind": "statuses"}.items():
            object.__setattr__(self, name, value)

    @override
    def __repr__(self) -> str:
        arguments = [repr(word) for word in self.words]
        if self.message is not None:
            arguments.append(f"message={self.message!r}")
        return f"Statuses({', '.join(arguments)})"

    @property
    @override
    def calls(self) -> int:
        return len(self.words)

    @override
    def apply(self, response: Response, call: Call) -> Response:
        if response.status != 200:
            return response  # there is no such run
        body = {"status": self.words[call.turn % len(self.words)], "message": self.message}
        return response.with_body(to_json(body, exclude_none=True))


@dataclass(frozen=True, repr=False)
class Replace(Effect):
    """Replaces the body, and keeps status and headers.

    Attributes:
        body: Text, bytes (as JSON: `{"base64": "…"}`), or any other JSON value. Default: empty.
        content_type: The Content-Type. Default: unchanged.
    """

    body: Payload = ""
    content_type: HeaderValue | None = None
    kind: Literal["replace"] = field(default="replace", kw_only=True)

    @override
    def apply(self, response: Response, call: Call) -> Response:
        new = response.with_body(as_bytes(self.body))
        return new.with_headers({"content-type": self.content_type}) if self.content_type else new


@dataclass(frozen=True, repr=False)
class Html(Effect):
    """Replaces the response with an HTML page, as a proxy or a login page does.

    Attributes:
        status: The status. Default: unchanged.
        title: The title of the page.
    """

    status: Annotated[int, Field(ge=200, le=999)] | None = None
    title: str = "Please sign in"
    kind: Literal["html"] = field(default="html", kw_only=True)

    @override
    def apply(self, response: Response, call: Call) -> Response:
        page = (
            f"<!DOCTYPE html>\n<html><head><title>{self.title}</title></head><body></body></html>"
        )
        new = replace(response, status=self.status or response.status).with_body(page.encode())
        return new.with_headers({"content-type": "text/html; charset=utf-8"}, without=_OF_THE_FILE)


@dataclass(frozen=True, repr=False)
class Garbage(Effect):
    """Replaces the body with random bytes, and keeps status and headers.

    Attributes:
        seed: Determines the bytes.
        size: The number of bytes. Default: as many as the body had.
    """

    is_heavy: ClassVar[bool] = True

    seed: int = 0
    size: Annotated[int, Field(ge=0)] | None = None
    kind: Literal["garbage"] = field(default="garbage", kw_only=True)

    @override
    def apply(self, response: Response, call: Call) -> Response:
        chance = random.Random(self.seed)  # noqa: S311 (nothing here is secret, and it must repeat)
        return response.with_body(
            chance.randbytes(len(response.body) if self.size is None else self.size)
        )


@dataclass(frozen=True, repr=False)
class Patch(Effect):
    """Changes the JSON body by a merge patch (RFC 7396).

    If the body is not JSON, the response is a 500 with a message.

    Attributes:
        patch: The merge patch. `null` removes a member.
    """

    patch: JsonValue
    kind: Literal["patch"] = field(default="patch", kw_only=True)

    @override
    def apply(self, response: Response, call: Call) -> Response:
        try:
            value = cast("JsonValue", from_json(bytes(response.body)))
        except ValueError:
            raise Refusal(500, "The fault is a Patch, but the response is not JSON.") from None
        return response.with_body(to_json(_merged(value, self.patch)))


@dataclass(frozen=True, repr=False)
class Headers(Effect):
    """Sets headers of the response, and removes others, Date and X-Request-Id included.

    For Content-Length and Transfer-Encoding, use `Truncate`, `Extend` and `Frame`.

    Attributes:
        set: The headers to add or replace.
        remove: The names of the headers to remove.
    """

    set: Mapping[HeaderName, HeaderValue] = field(default_factory=dict[str, str])
    remove: tuple[HeaderName, ...] = ()
    kind: Literal["headers"] = field(default="headers", kw_only=True)

    @override
    def apply(self, response: Response, call: Call) -> Response:
        return response.with_headers(self.set, without=self.remove)


@dataclass(frozen=True, repr=False)
class Redirect(Effect):
    """Redirects the client.

    Attributes:
        location: Any text: another host, `file:///etc/hosts`, or the same URL for a loop. Default:
            a second URL of the same resource, which is not redirected again.
        status: 300 to 399.
    """

    location: HeaderValue | None = None
    status: Annotated[int, Field(ge=300, le=399)] = 302
    kind: Literal["redirect"] = field(default="redirect", kw_only=True)

    @override
    def apply(self, response: Response, call: Call) -> Response:
        if self.location is None and _SECOND in call.query.split("&"):
            return response
        query = "&".join(part for part in (call.query, _SECOND) if part)
        location = self.location or f"{call.origin}{call.path}?{query}"
        new = replace(response, status=self.status).with_body()
        gone = ("content-type", *_OF_THE_FILE)
        return new.with_headers({"location": location}, without=gone)


_SECOND = "redirected=1"


def _merged(target: JsonValue, patch: JsonValue) -> JsonValue:
    """Applies a merge patch (RFC 7396 section 2)."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            _ = merged.pop(name, None)
        else:
            merged[name] = _merged(merged.get(name), value)
    return merged
