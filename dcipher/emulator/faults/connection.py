"""Effects on how an answer travels: when, how fast, how far, and what becomes of the connection."""

from __future__ import annotations

from dataclasses import field, replace
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass
from typing_extensions import override

from dcipher.emulator.faults.answers import Answer, Body, Call, Pause, Stop
from dcipher.emulator.faults.effect import Data, Effect, as_bytes

__all__ = [
    "Cut",
    "Delay",
    "Dribble",
    "Drop",
    "Extend",
    "Frame",
    "Raw",
    "Stall",
    "Truncate",
]

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True, repr=False)
class Drop(Effect):
    """Lose the answer: the connection ends without a byte of it.

    Attributes:
        when: `before` the service hears of the request, or `after` it has done its part.
        how: By FIN (`close`) or by RST (`reset`).
    """

    when: Literal["before", "after"] = "before"
    how: Literal["close", "reset"] = "close"
    kind: Literal["drop"] = field(default="drop", kw_only=True)

    @property
    @override
    def asks(self) -> bool:
        return self.when == "after"

    @override
    def apply(self, answer: Answer, call: Call) -> Answer:
        return replace(answer, stop=Stop("head", 0, self.how))


@dataclass(frozen=True, repr=False)
class Cut(Effect):
    """End the connection within an answer, which promises to go on.

    Attributes:
        at: After how many bytes of the part; less than 0 counts from its end. None: after all of
            it, although the connection was promised to be kept.
        part: `head` (status line and headers), or `body` (as it was before it was chunked).
        how: By FIN (`close`), by RST (`reset`), or not at all: silence (`stall`).
    """

    at: int | None = None
    part: Literal["head", "body"] = "body"
    how: Literal["close", "reset", "stall"] = "close"
    kind: Literal["cut"] = field(default="cut", kw_only=True)

    @override
    def apply(self, answer: Answer, call: Call) -> Answer:
        return replace(answer, stop=Stop(self.part, self.at, self.how))


@dataclass(frozen=True, repr=False)
class Stall(Effect):
    """Be silent, then go on.

    Attributes:
        seconds: For how long; None: for ever.
        part: In the `head`, or in the `body`.
        at: After how many bytes of the part; less than 0 counts from its end.
    """

    seconds: Seconds | None = None
    part: Literal["head", "body"] = "head"
    at: int = 0
    kind: Literal["stall"] = field(default="stall", kw_only=True)

    @override
    def apply(self, answer: Answer, call: Call) -> Answer:
        pause = Pause(self.part, self.at, self.seconds)
        return replace(answer, pauses=(*answer.pauses, pause))


@dataclass(frozen=True, repr=False)
class Delay(Effect):
    """Answer later, by so many seconds; what was asked for is done at once."""

    seconds: Seconds
    kind: Literal["delay"] = field(default="delay", kw_only=True)

    @override
    def apply(self, answer: Answer, call: Call) -> Answer:
        return replace(answer, pauses=(*answer.pauses, Pause("head", 0, self.seconds)))


@dataclass(frozen=True, repr=False)
class Dribble(Effect):
    """Send the head or the body slowly. After a slow head the connection is closed."""

    bytes_per_second: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    part: Literal["head", "body"] = "body"
    kind: Literal["dribble"] = field(default="dribble", kw_only=True)

    @override
    def apply(self, answer: Answer, call: Call) -> Answer:
        return replace(answer, rates=(*answer.rates, (self.part, self.bytes_per_second)))


@dataclass(frozen=True, repr=False)
class Truncate(Effect):
    """Send fewer bytes than there are, and end there.

    Attributes:
        at: How many; less than 0: all but so many.
        content_length: The `right` one of what is sent; the `wrong` one of what there was; `none`,
            so that the end of the connection is the end of the body; or `chunked`, without the
            last chunk.
    """

    at: int
    content_length: Literal["right", "wrong", "none", "chunked"] = "right"
    kind: Literal["truncate"] = field(default="truncate", kw_only=True)

    @override
    def apply(self, answer: Answer, call: Call) -> Answer:
        size = len(answer.body)
        body = answer.body.between(0, self.at if self.at >= 0 else size + self.at)
        match self.content_length:
            case "right":
                return replace(answer, body=body, promised=None)
            case "wrong":
                return replace(answer, body=body, promised=size)
            case "none":
                return replace(answer, body=body, framing="close")
            case "chunked":
                return replace(answer, body=body, framing="chunked", unfinished=True)


@dataclass(frozen=True, repr=False)
class Extend(Effect):
    """Send more bytes than Content-Length promises, then close.

    Attributes:
        extra: Text, or bytes (as JSON: `{"base64": "…"}`).
    """

    extra: Data
    kind: Literal["extend"] = field(default="extend", kw_only=True)

    @override
    def apply(self, answer: Answer, call: Call) -> Answer:
        size = len(answer.body)
        body = Body((*answer.body.parts, memoryview(as_bytes(self.extra))))
        return replace(answer, body=body, promised=size)


@dataclass(frozen=True, repr=False)
class Frame(Effect):
    """The right bytes without a Content-Length.

    Attributes:
        framing: `chunked`, or `close`: the end of the connection is the end of the body.
    """

    framing: Literal["chunked", "close"] = "chunked"
    kind: Literal["frame"] = field(default="frame", kw_only=True)

    @override
    def apply(self, answer: Answer, call: Call) -> Answer:
        return replace(answer, framing=self.framing)


@dataclass(frozen=True, repr=False)
class Raw(Effect):
    """Exactly these bytes on the wire; then the connection ends. The service hears of nothing.

    Attributes:
        data: Text, or bytes (as JSON: `{"base64": "…"}`).
        how: By FIN (`close`), by RST (`reset`), or by silence (`stall`).
    """

    data: Data
    how: Literal["close", "reset", "stall"] = "close"
    kind: Literal["raw"] = field(default="raw", kw_only=True)

    @property
    @override
    def asks(self) -> bool:
        return False

    @override
    def apply(self, answer: Answer, call: Call) -> Answer:
        return replace(answer, raw=as_bytes(self.data), stop=Stop("body", None, self.how))
