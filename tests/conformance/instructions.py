"""The table of the conformance tests: each fault, and the required outcome of each operation.

An instruction is the fault of one answer. What it means for an operation is one of four things: it is sent AGAIN,
whatever the operation; it is AMBIGUOUS, so that a start is sent again only by leave of `resend_ambiguous`; it is
FINAL, with an error that says so; or it is FINE, for nothing is wrong with what arrives.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from dcipher import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    IntegrityError,
    InternalServerError,
    InvalidResponseError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ResultError,
    UnprocessableEntityError,
)
from dcipher.emulator.faults import (
    Cut,
    Delay,
    Drop,
    Encode,
    Extend,
    Frame,
    Garbage,
    Headers,
    Html,
    Raw,
    Redirect,
    Replace,
    Respond,
    Stall,
    Truncate,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dcipher import DcipherError
    from dcipher.emulator.faults import Effect

__all__ = ["INSTRUCTIONS", "OPERATIONS", "Instruction", "Means", "Operation"]

Operation: TypeAlias = Literal["flow", "start", "start once", "status", "result"]
OPERATIONS: Final[tuple[Operation, ...]] = ("flow", "start", "start once", "status", "result")


class Means(Enum):
    """What is done about it."""

    AGAIN = auto()
    AMBIGUOUS = auto()
    FINAL = auto()
    FINE = auto()


@dataclass(frozen=True)
class Instruction:
    """One fault."""

    name: str
    effects: tuple[Effect, ...]
    means: Means
    error: type[DcipherError] = InternalServerError
    """What is raised in the end."""
    differs: Mapping[Operation, tuple[Means, type[DcipherError]]] = field(default_factory=dict)
    """What is otherwise for some operations."""
    leaves_out: frozenset[Operation] = frozenset()
    """Operations for which it has no meaning."""
    acted: bool = False
    """Whether the service has done what it was asked, before the answer went wrong."""

    def meaning(self, operation: Operation) -> tuple[Means, type[DcipherError]]:
        """What it means for an operation, and the error in the end."""
        return self.differs.get(operation, (self.means, self.error))

    def __str__(self) -> str:
        return self.name


def _status(
    code: int,
    means: Means,
    error: type[DcipherError],
    *,
    result: Means | None = None,
    headers: Mapping[str, str] | None = None,
) -> Instruction:
    differs: dict[Operation, tuple[Means, type[DcipherError]]] = {
        "result": (result or means, ResultError)
    }
    if code == 404:  # the service may not know yet of a run that has just been started
        differs["status"] = (Means.AGAIN, error)
    name = f"{code} {' '.join(headers)}".strip() if headers else str(code)
    return Instruction(name, (Respond(code, headers=headers or {}),), means, error, differs)


def _lost(
    name: str,
    effect: Effect,
    *,
    error: type[DcipherError] = APIConnectionError,
    acted: bool = True,
) -> Instruction:
    """An answer that does not arrive, or not whole."""
    differs: dict[Operation, tuple[Means, type[DcipherError]]] = {
        "result": (Means.AGAIN, IntegrityError)
    }
    return Instruction(name, (effect,), Means.AMBIGUOUS, error, differs, acted=acted)


def _useless(name: str, effect: Effect) -> Instruction:
    """An answer that is whole, and of no use; of a result, nobody could tell."""
    leaves_out = frozenset[Operation]({"result"})
    return Instruction(
        name, (effect,), Means.AMBIGUOUS, InvalidResponseError, leaves_out=leaves_out, acted=True
    )


def _fine(name: str, effect: Effect) -> Instruction:
    return Instruction(name, (effect,), Means.FINE, acted=True)


_STATUSES = (
    # REJECTED: the request was turned away.
    _status(429, Means.AGAIN, RateLimitError),
    _status(429, Means.AGAIN, RateLimitError, headers={"Retry-After": "0"}),
    _status(425, Means.AGAIN, APIStatusError),
    _status(503, Means.AGAIN, InternalServerError, headers={"Retry-After": "0"}),
    # AMBIGUOUS: it may have been done.
    _status(408, Means.AMBIGUOUS, APIStatusError, result=Means.AGAIN),
    _status(409, Means.AMBIGUOUS, ConflictError, result=Means.AGAIN),
    *(
        _status(code, Means.AMBIGUOUS, InternalServerError, result=Means.AGAIN)
        for code in (500, 501, 502, 503, 504, 507, 599)
    ),
    # PERMANENT: the same again would be the same again.
    _status(400, Means.FINAL, BadRequestError),
    _status(401, Means.FINAL, AuthenticationError),
    _status(402, Means.FINAL, APIStatusError),
    _status(403, Means.FINAL, PermissionDeniedError, result=Means.AGAIN),
    _status(404, Means.FINAL, NotFoundError, result=Means.AGAIN),
    _status(405, Means.FINAL, APIStatusError),
    _status(410, Means.FINAL, APIStatusError),
    _status(418, Means.FINAL, APIStatusError),
    _status(422, Means.FINAL, UnprocessableEntityError),
    _status(451, Means.FINAL, APIStatusError),
    Instruction(
        "redirect",
        (Redirect(),),
        Means.FINAL,
        APIStatusError,
        {"result": (Means.FINE, ResultError)},
    ),
)

_CONNECTIONS = (
    _lost("closed before it was read", Drop("before"), acted=False),
    _lost("reset before it was read", Drop("before", how="reset"), acted=False),
    _lost("closed after it was done", Drop("after")),
    _lost("reset after it was done", Drop("after", how="reset")),
    _lost("closed within the head", Cut(20, part="head")),
    _lost("reset within the head", Cut(20, part="head", how="reset")),
    _lost("closed within the body", Cut(10)),
    _lost("reset within the body", Cut(10, how="reset")),
    _lost("one byte short", Cut(-1)),
    _lost("short of its length", Truncate(10, content_length="wrong")),
    _lost("short of its last chunk", Truncate(10, content_length="chunked")),
    _lost("silent before the head", Stall(), error=APITimeoutError),
    _lost("silent within the body", Stall(part="body", at=5), error=APITimeoutError),
    _lost("no HTTP", Raw(b"\x16\x03\x01 who are you?\r\n\r\n"), acted=False),
    _lost("half a head", Raw(b"HTTP/1.1 200 OK\r\nContent-Le"), acted=False),
)

LATIN_1 = '{"id": "f", "taskId": "t", "status": "ä"}'.encode("latin-1")

_CONTENT = (
    _useless("cut, and its length is right", Truncate(10)),
    _useless("a page of HTML", Html()),
    _useless("garbage", Garbage()),
    _useless("nothing", Replace("")),
    _useless("a list", Replace([1, 2])),
    _useless("an empty object", Replace({})),
    _useless("not a number", Replace('{"id": "f", "taskId": "t", "status": NaN}')),
    _useless("another charset", Replace(LATIN_1)),
    _lost("a truncated gzip", Encode("gzip", truncate=-5), error=InvalidResponseError),
    _lost("a gzip bomb", Encode("gzip", bomb=16 * 1024 * 1024), error=InvalidResponseError),
    Instruction(
        "an encoding that nobody knows",
        (Headers({"Content-Encoding": "br-x"}),),
        Means.AMBIGUOUS,
        InvalidResponseError,
        {"result": (Means.FINE, None)},
        acted=True,
    ),
    Instruction(
        "204",
        (Respond(204),),
        Means.AMBIGUOUS,
        InvalidResponseError,
        {"result": (Means.FINAL, ResultError)},
    ),
)

_FINE = (
    _fine("late", Delay(0.05)),
    _fine("in chunks", Frame("chunked")),
    _fine("gzip", Encode("gzip")),
    _fine("gzip of several members", Encode("gzip", members=3)),
    _fine("deflate", Encode("deflate")),
    _fine("with a cookie", Headers({"Set-Cookie": "a=b"})),
    _fine("closed after the answer", Cut()),
    _fine("reset after the answer", Cut(how="reset")),
    _fine("more than was promised", Extend("and more")),
)

INSTRUCTIONS: Final = {
    instruction.name: instruction for instruction in (*_STATUSES, *_CONNECTIONS, *_CONTENT, *_FINE)
}
