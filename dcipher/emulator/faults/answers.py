"""A request and its answer as values: what a fault changes, before anything is on the wire."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Literal, TypeAlias

from typing_extensions import Self

from dcipher.emulator.runs.results import StoredResult

__all__ = [
    "OPERATIONS",
    "Answer",
    "Body",
    "Call",
    "Framing",
    "How",
    "Operation",
    "Part",
    "Pause",
    "Stop",
]

Operation: TypeAlias = Literal["flow", "start", "status", "result"]
Part: TypeAlias = Literal["head", "body"]
How: TypeAlias = Literal["close", "reset", "stall"]
Framing: TypeAlias = Literal["length", "chunked", "close"]

OPERATIONS: frozenset[Operation] = frozenset(("flow", "start", "status", "result"))
_STATUS_END = len("HTTP/1.1 200")


@dataclass(frozen=True, slots=True)
class Call:
    """A request, as far as rules and effects look at it."""

    operation: Operation
    path: str
    query: str
    origin: str
    """Scheme and host by which the client knows the emulator."""
    headers: Mapping[str, str]
    """By lower-case name."""
    identity: str
    """The run that it is about, in words that are the same on every execution of a test."""
    flow_id: str | None = None
    task_id: str | None = None
    output_index: int | None = None
    request_id: str = ""
    stored: StoredResult | None = None
    """The whole file that a `result` is about, where it is there."""
    turn: int = 0
    """How often the rule was applied before: to this run if it counts by run, else to any."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Silence: after `at` bytes of a part, for some seconds, or (None) for ever."""

    part: Part
    at: int
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Stop:
    """The end of the connection: after `at` bytes of a part (None: after all of it)."""

    part: Part
    at: int | None
    how: How


@dataclass(frozen=True, slots=True)
class Body:
    """Bytes in pieces, so that a large body is cut and framed without another copy of it."""

    parts: tuple[memoryview, ...] = ()

    @classmethod
    def of(cls, *parts: bytes | bytearray) -> Self:
        """These bytes, one after the other."""
        return cls(tuple(memoryview(part) for part in parts if part))

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    def __bytes__(self) -> bytes:
        return b"".join(self.parts)

    def between(self, start: int, stop: int) -> Body:
        """The bytes from `start` to `stop`."""
        found: list[memoryview] = []
        for part in self.parts:
            found.append(part[max(0, start) : max(0, stop)])
            start, stop = start - len(part), stop - len(part)
        return Body(tuple(part for part in found if part))

    def framed(self, before: bytes, after: bytes) -> Body:
        """The same between other bytes."""
        return Body((memoryview(before), *self.parts, memoryview(after)))


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, and how it goes over the wire.

    The headers have lower-case names, and neither a length nor a transfer coding: `framing` and
    `promised` stand for them.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: Body = field(default_factory=Body)
    framing: Framing = "length"
    promised: int | None = None
    """The Content-Length, where it is not that of the body."""
    unfinished: bool = False
    """Chunked, without the last chunk."""
    pauses: tuple[Pause, ...] = ()
    rates: tuple[tuple[Part, float], ...] = ()
    """Bytes a second."""
    stop: Stop | None = None
    raw: bytes | None = None
    """What goes over the wire instead of all that."""

    def header(self, name: str) -> str | None:
        """The first value of a header."""
        return next((value for known, value in self.headers if known == name), None)

    def with_headers(self, values: Mapping[str, str], *, without: Iterable[str] = ()) -> Answer:
        """The same with these headers, in place of those of their names."""
        named = {name.lower(): value for name, value in values.items()}
        gone = {*named, *(name.lower() for name in without)}
        kept = tuple(item for item in self.headers if item[0] not in gone)
        return replace(self, headers=(*kept, *named.items()))

    def with_body(self, *parts: bytes | bytearray) -> Answer:
        """The same with another body."""
        return replace(self, body=Body.of(*parts), promised=None)

    def rate(self, part: Part) -> float | None:
        """Bytes a second of a part."""
        return next((rate for known, rate in reversed(self.rates) if known == part), None)

    @property
    def has_body(self) -> bool:
        """RFC 9110 section 6.4.1: these statuses have none, whatever is said of its length."""
        return self.status not in {204, 304}

    @property
    def is_plain(self) -> bool:
        """Whether it is HTTP: a server can send it, and the connection goes on."""
        return (
            self.raw is None
            and self.stop is None
            and self.framing != "close"
            and not self.unfinished
            and self.promised in {None, len(self.body)}
            and self.status < 600  # above, a server has no phrase for it
            and self.rate("head") is None
            and all(pause.part == "body" or pause.at == 0 for pause in self.pauses)
        )

    @property
    def framed_headers(self) -> tuple[tuple[str, str], ...]:
        """The headers with those that say where the body ends (RFC 9112 section 6)."""
        if not self.has_body:
            return self.headers
        if self.framing == "length":
            length = len(self.body) if self.promised is None else self.promised
            return (*self.headers, ("content-length", str(length)))
        if self.framing == "chunked":
            return (*self.headers, ("transfer-encoding", "chunked"))
        return (*self.headers, ("connection", "close"))

    @property
    def head(self) -> bytes:
        """Status line and headers, as bytes."""
        lines = [f"HTTP/1.1 {self.status} {phrase(self.status)}"]
        lines += [f"{name}: {value}" for name, value in self.framed_headers]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def phrase(status: int) -> str:
    """The standard words for a status, or some."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
