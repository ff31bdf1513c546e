"""Requests and responses as values, which faults change before anything is sent."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Literal, TypeAlias

from typing_extensions import Self

from dcipher.emulator.runs.results import StoredResult

__all__ = [
    "OPERATIONS",
    "ROUTES",
    "Body",
    "Call",
    "Framing",
    "How",
    "Operation",
    "Part",
    "Pause",
    "Response",
    "Stop",
]

Operation: TypeAlias = Literal["flow", "start", "status", "result"]
Part: TypeAlias = Literal["head", "body"]
How: TypeAlias = Literal["close", "reset", "stall"]
Framing: TypeAlias = Literal["length", "chunked", "close"]

ROUTES: tuple[tuple[str, Operation, re.Pattern[str]], ...] = (
    ("GET", "flow", re.compile(r"/flows/([^/]+)")),
    ("POST", "start", re.compile(r"/flows/([^/]+)/run")),
    ("GET", "status", re.compile(r"/flows/([^/]+)/status")),
    ("GET", "result", re.compile(r"/results/([^/]+)/([0-9]{1,18})")),
)
"""Method, operation and path. The groups of a path are ids."""
OPERATIONS: frozenset[Operation] = frozenset(operation for _, operation, _ in ROUTES)
_STATUS_END = len("HTTP/1.1 200")


@dataclass(frozen=True, slots=True)
class Call:
    """A request, as far as rules and effects use it."""

    operation: Operation
    path: str
    query: str
    origin: str
    """Scheme and host of the emulator, as the client uses them."""
    headers: Mapping[str, str]
    """By lower-case name."""
    identity: str
    """Identifies the run, by a text that is the same in every execution of a test."""
    flow_id: str | None = None
    task_id: str | None = None
    output_index: int | None = None
    request_id: str = ""
    stored: StoredResult | None = None
    """The complete file of a `result`, if it exists."""
    turn: int = 0
    """How often the rule was applied before: to this run with `per_run`, else to any."""


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause after `at` bytes of a part, for some seconds; None: without end."""

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
    """Bytes in pieces, so that a large body is truncated and framed without a copy."""

    parts: tuple[memoryview, ...] = ()

    @classmethod
    def of(cls, *parts: bytes | bytearray) -> Self:
        """Returns a body of these bytes, one after the other."""
        return cls(tuple(memoryview(part) for part in parts if part))

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    def __bytes__(self) -> bytes:
        return b"".join(self.parts)

    def between(self, start: int, stop: int) -> Body:
        """Returns the bytes from `start` to `stop`."""
        found: list[memoryview] = []
        for part in self.parts:
            found.append(part[max(0, start) : max(0, stop)])
            start, stop = start - len(part), stop - len(part)
        return Body(tuple(part for part in found if part))

    def framed(self, before: bytes, after: bytes) -> Body:
        """Returns the body between other bytes."""
        return Body((memoryview(before), *self.parts, memoryview(after)))


@dataclass(frozen=True, slots=True)
class Response:
    """A response, and how it is sent.

    The headers have lower-case names, and neither a length nor a transfer coding: `framing` and
    `promised` stand for them.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: Body = field(default_factory=Body)
    framing: Framing = "length"
    promised: int | None = None
    """The Content-Length, if it differs from that of the body."""
    unfinished: bool = False
    """Chunked, without the last chunk."""
    pauses: tuple[Pause, ...] = ()
    rates: tuple[tuple[Part, float], ...] = ()
    """Bytes a second."""
    stop: Stop | None = None
    raw: bytes | None = None
    """The bytes that are sent instead of all that."""

    def header(self, name: str) -> str | None:
        """Returns the first value of a header."""
        return next((value for known, value in self.headers if known == name), None)

    def with_headers(self, values: Mapping[str, str], *, without: Iterable[str] = ()) -> Response:
        """Returns the response with these headers added or replaced."""
        named = {name.lower(): value for name, value in values.items()}
        gone = {*named, *(name.lower() for name in without)}
        kept = tuple(item for item in self.headers if item[0] not in gone)
        return replace(self, headers=(*kept, *named.items()))

    def with_body(self, *parts: bytes | bytearray) -> Response:
        """Returns the response with another body."""
        return replace(self, body=Body.of(*parts), promised=None)

    def rate(self, part: Part) -> float | None:
        """Returns the bytes per second of a part."""
        return next((rate for known, rate in reversed(self.rates) if known == part), None)

    @property
    def has_body(self) -> bool:
        """Whether the status permits a body (RFC 9110 section 6.4.1), whatever its length says."""
        return self.status not in {204, 304}

    @property
    def is_plain(self) -> bool:
        """Whether it is valid HTTP: a server can send it, and keep the connection."""
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
        """The headers, with those for the end of the body (RFC 9112 section 6)."""
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
    """Returns the standard reason phrase of a status, or another one."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
