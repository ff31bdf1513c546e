"""A store that executes a plan of faults, and logs requests and responses.

The log is the truth that a download is judged by: nothing in it comes from the client but its requests.
"""

from __future__ import annotations

import re
import socket
import threading
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal, TypeAlias

from tests.faulty import FaultyServer, Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from typing_extensions import Self

    from tests.faulty import After, Recorded
    from tests.results.downloads.plans import Fault, Plan, Version

__all__ = ["Answer", "Exchange", "Framing", "Pairs", "PlanStore", "Question", "Received", "Visit"]

Framing: TypeAlias = Literal["length", "chunked", "close"]
Pairs: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Received:
    """The most that a client can have got of an answer."""

    body: bytes
    whole: bool
    """Whether the body's framing says that this is all."""


@dataclass(frozen=True)
class Answer:
    """One answer, byte by byte."""

    status: int = 200
    headers: Pairs = ()
    body: bytes = b""
    framing: Framing = "length"
    length: int | None = None
    """The promised Content-Length, where it is another than the body's."""
    http: str = "HTTP/1.1"
    before: bytes = b""
    """Interim answers."""
    behind: bytes = b""
    """What is sent after the end."""
    raw: bytes | None = None
    """What is sent instead of all that."""
    cut: float | None = None
    """The part of all these bytes after which `after` happens."""
    after: After = "keep"
    trickle: float = 0.0
    delay: float = 0.0

    def get(self, name: str) -> str:
        """A header; empty where it is missing, joined where it is there twice."""
        return ", ".join(value for key, value in self.headers if key.lower() == name.lower())

    def head(self) -> bytes:
        phrase = HTTPStatus(self.status).phrase
        lines = [f"{self.http} {self.status} {phrase}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if self.framing == "chunked":
            lines.append("Transfer-Encoding: chunked")
        elif self.framing == "length" and self.status not in {204, 304}:
            lines.append(f"Content-Length: {self.promised}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    @property
    def promised(self) -> int:
        return len(self.body) if self.length is None else self.length

    def data(self) -> bytes:
        """Everything that is sent."""
        if self.raw is not None:
            return self.raw
        body = _chunked(self.body) if self.framing == "chunked" else self.body
        data = b"".join((self.before, self.head(), body, self.behind))
        return data if self.cut is None else data[: int(len(data) * self.cut)]

    def received(self) -> Received | None:
        """What comes of it; `None` where not even the head is whole."""
        start = len(self.before) + len(self.head())
        sent = self.data()
        if self.raw is not None or len(sent) < start:
            return None
        body = sent[start:]
        if self.framing == "chunked":
            return _dechunked(body)
        if self.framing == "length":
            return Received(body[: self.promised], len(body) >= self.promised)
        return Received(body, self.after in {"keep", "close"})

    def reply(self) -> Reply:
        ends = "close" if self.framing == "close" and self.after == "keep" else self.after
        return Reply(raw=self.data(), trickle=self.trickle, delay=self.delay, after=ends)


_CHUNK = 50_000


def _chunked(body: bytes) -> bytes:
    pieces = [body[start : start + _CHUNK] for start in range(0, len(body), _CHUNK)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in [*pieces, b""])


def _dechunked(data: bytes) -> Received:
    body: list[bytes] = []
    place = 0
    while (end := data.find(b"\r\n", place)) >= 0:
        size = int(data[place:end], 16)
        if size == 0:
            return Received(b"".join(body), data.startswith(b"\r\n", end + 2))
        body.append(data[end + 2 : end + 2 + size])
        place = end + 4 + size
    return Received(b"".join(body), whole=False)


@dataclass(frozen=True)
class Question:
    """What a request asks for, and of what."""

    request: Recorded
    version: Version
    plan: Plan
    visit: Visit

    @property
    def start(self) -> int | None:
        """The first byte that is asked for; `None`: the whole."""
        found = re.fullmatch(r"bytes=(\d+)-", self.request.headers.get("range", ""))
        return int(found[1]) if found else None

    @property
    def if_match(self) -> str | None:
        return self.request.headers.get("if-match")


@dataclass(frozen=True)
class Exchange:
    """One request, and what came back."""

    request: Recorded
    start: int | None
    answer: Answer
    received: Received | None
    fault: Fault | None
    version: Version


@dataclass
class Visit:
    """One plan on its way: where it is, and its log."""

    plan: Plan
    url: str
    """Of the store."""
    dead: str
    """A URL where nothing listens."""
    version: Version
    log: list[Exchange] = field(default_factory=list)
    played: int = 0

    @property
    def path(self) -> str:
        return f"/plan/{self.plan.seed}"

    @property
    def result(self) -> str:
        """The signed URL."""
        return f"{self.url}{self.path}?Signature={self.plan.canary}&X-Part=a%2Fb"

    def answer(self, request: Recorded) -> Reply:
        fault = self._next()
        if fault is not None and fault.change is not None:
            self.version = fault.change(self.version)
        question = Question(request, self.version, self.plan, self)
        honest = self.plan.honest(question)
        answer = honest if fault is None else fault.spoil(question, honest)
        self.log.append(
            Exchange(request, question.start, answer, answer.received(), fault, self.version)
        )
        return answer.reply()

    def _next(self) -> Fault | None:
        faults: Sequence[Fault] = self.plan.faults
        place = self.played
        self.played += 1
        if place >= len(faults) and self.plan.never_honest:
            # What changes the object changes it once.
            return replace(faults[-1], change=None) if faults else None
        return faults[place] if place < len(faults) else None


class PlanStore:
    """Plays plans, each under a path of its own."""

    def __init__(self) -> None:
        self._server = FaultyServer()
        self._lock = threading.Lock()
        self._dead = socket.socket()

    def __enter__(self) -> Self:
        self._dead.bind(("127.0.0.1", 0))  # bound, but nobody listens: connections are refused
        self._server.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.__exit__(*exc)
        self._dead.close()

    def visit(self, plan: Plan) -> Visit:
        """Lay a plan out."""
        dead = f"http://127.0.0.1:{self._dead.getsockname()[1]}/x?Signature={plan.canary}"
        visit = Visit(plan, self._server.url, dead, plan.version)
        answer = self._locked(visit.answer)
        self._server.on(visit.path, answer)
        self._server.on(f"{visit.path}/moved", answer)
        loop = Answer(302, (("Location", f"{visit.path}/loop?Signature={plan.canary}"),))
        self._server.on(f"{visit.path}/loop", loop.reply())
        return visit

    def _locked(self, answer: Callable[[Recorded], Reply]) -> Callable[[Recorded], Reply]:
        def one_by_one(request: Recorded) -> Reply:
            with self._lock:
                return answer(request)

        return one_by_one
