"""Effects on the delivery of a response: its timing, speed and length, and the connection."""

from __future__ import annotations

from dataclasses import field, replace
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass
from typing_extensions import override

from dcipher.emulator.faults.effect import Data, Effect, as_bytes
from dcipher.emulator.faults.messages import Body, Call, Pause, Response, Stop

__all__ = ["Cut", "Delay", "Dribble", "Drop", "Extend", "Frame", "Raw", "Stall", "Truncate"]

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True, repr=False)
class Drop(Effect):
    """Closes the connection without a response.

    Attributes:
        when: `before` the service receives the request, or `after` it has processed it.
        how: `close` sends a FIN, `reset` an RST.
    """

    when: Literal["before", "after"] = "before"
    how: Literal["close", "reset"] = "close"
    kind: Literal["drop"] = field(default="drop", kw_only=True)

    @property
    @override
    def asks(self) -> bool:
        return self.when == "after"

    @override
    def apply(self, response: Response, call: Call) -> Response:
        return replace(response, stop=Stop("head", 0, self.how))


@dataclass(frozen=True, repr=False)
class Cut(Effect):
    """Closes the connection in the middle of a response.

    Attributes:
        at: After how many bytes of the part. A negative number counts from the end of the part.
            `None`: after the complete part, although keep-alive was announced.
        part: `head` (status line and headers), or `body` (counted before chunking).
        how: `close` sends a FIN, `reset` an RST, and `stall` sends nothing more.
    """

    at: int | None = None
    part: Literal["head", "body"] = "body"
    how: Literal["close", "reset", "stall"] = "close"
    kind: Literal["cut"] = field(default="cut", kw_only=True)

    @override
    def apply(self, response: Response, call: Call) -> Response:
        return replace(response, stop=Stop(self.part, self.at, self.how))


@dataclass(frozen=True, repr=False)
class Stall(Effect):
    """Pauses in the middle of a response.

    Attributes:
        seconds: The length of the pause. `None`: without end.
        part: Pause in the `head`, or in the `body`.
        at: After how many bytes of the part. A negative number counts from the end of the part.
    """

    seconds: Seconds | None = None
    part: Literal["head", "body"] = "head"
    at: int = 0
    kind: Literal["stall"] = field(default="stall", kw_only=True)

    @override
    def apply(self, response: Response, call: Call) -> Response:
        pause = Pause(self.part, self.at, self.seconds)
        return replace(response, pauses=(*response.pauses, pause))


@dataclass(frozen=True, repr=False)
class Delay(Effect):
    """Delays the response. The service processes the request at once.

    Attributes:
        seconds: The length of the delay.
    """

    seconds: Seconds
    kind: Literal["delay"] = field(default="delay", kw_only=True)

    @override
    def apply(self, response: Response, call: Call) -> Response:
        return replace(response, pauses=(*response.pauses, Pause("head", 0, self.seconds)))


@dataclass(frozen=True, repr=False)
class Dribble(Effect):
    """Sends the head or the body slowly. After a slow head, the connection is closed.

    Attributes:
        bytes_per_second: The speed.
        part: `head` or `body`.
    """

    bytes_per_second: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    part: Literal["head", "body"] = "body"
    kind: Literal["dribble"] = field(default="dribble", kw_only=True)

    @override
    def apply(self, response: Response, call: Call) -> Response:
        return replace(response, rates=(*response.rates, (self.part, self.bytes_per_second)))


@dataclass(frozen=True, repr=False)
class Truncate(Effect):
    """Sends only the beginning of the body.

    Attributes:
        at: How many bytes are sent. A negative number: how many are left out at the end.
        content_length: `right`: the length of what is sent. `wrong`: the length of the complete body.
            `none`: no length, so that the body ends with the connection. `chunked`: chunked coding,
            without the last chunk.
    """

    at: int
    content_length: Literal["right", "wrong", "none", "chunked"] = "right"
    kind: Literal["truncate"] = field(default="truncate", kw_only=True)

    @override
    def apply(self, response: Response, call: Call) -> Response:
        size = len(response.body)
        body = response.body.between(0, self.at if self.at >= 0 else size + self.at)
        match self.content_length:
            case "right":
                return replace(response, body=body, promised=None)
            case "wrong":
                return replace(response, body=body, promised=size)
            case "none":
                return replace(response, body=body, framing="close")
            case "chunked":
                return replace(response, body=body, framing="chunked", unfinished=True)


@dataclass(frozen=True, repr=False)
class Extend(Effect):
    """Sends more bytes than Content-Length announces, and closes the connection.

    Attributes:
        extra: The additional bytes: text, or bytes (as JSON: `{"base64": "…"}`).
    """

    extra: Data
    kind: Literal["extend"] = field(default="extend", kw_only=True)

    @override
    def apply(self, response: Response, call: Call) -> Response:
        size = len(response.body)
        body = Body((*response.body.parts, memoryview(as_bytes(self.extra))))
        return replace(response, body=body, promised=size)


@dataclass(frozen=True, repr=False)
class Frame(Effect):
    """Sends the body without a Content-Length.

    Attributes:
        framing: `chunked`: chunked coding. `close`: the body ends with the connection.
    """

    framing: Literal["chunked", "close"] = "chunked"
    kind: Literal["frame"] = field(default="frame", kw_only=True)

    @override
    def apply(self, response: Response, call: Call) -> Response:
        return replace(response, framing=self.framing)


@dataclass(frozen=True, repr=False)
class Raw(Effect):
    """Sends exactly these bytes, and closes the connection. The request does not reach the service.

    Attributes:
        data: Text, or bytes (as JSON: `{"base64": "…"}`).
        how: `close` sends a FIN, `reset` an RST, and `stall` sends nothing more.
    """

    data: Data
    how: Literal["close", "reset", "stall"] = "close"
    kind: Literal["raw"] = field(default="raw", kw_only=True)

    @property
    @override
    def asks(self) -> bool:
        return False

    @override
    def apply(self, response: Response, call: Call) -> Response:
        return replace(response, raw=as_bytes(self.data), stop=Stop("body", None, self.how))
