"""Decides whether a download ended correctly, only by its plan and the log of the store."""

from __future__ import annotations

import base64
import gzip
import hashlib
import pickle
import re
import traceback
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dcipher
from dcipher import DcipherError, ResultError, ResultExpiredError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.results.downloads.plan_store import Answer, Exchange, Visit
    from tests.results.downloads.plans import Plan

__all__ = ["Outcome", "WrongError", "explained", "judge"]

MIB = 1024 * 1024


class WrongError(AssertionError):
    """A promise was broken."""


@dataclass(frozen=True)
class Outcome:
    """What is left of a download."""

    error: BaseException | None
    files: dict[str, Path]
    """What is in the target's folder, by name."""
    target: Path
    logged: str = ""

    @property
    def saved(self) -> bytes | None:
        return self.target.read_bytes() if self.target.name in self.files else None


def judge(plan: Plan, visit: Visit, outcome: Outcome, since: int = 0) -> None:
    """Raises `WrongError` for a third state between the exact bytes and a typed error.

    `since`: how many requests earlier downloads of the same result have made.
    """
    _judge_requests(plan, visit.log[since:])
    _judge_secrets(plan, outcome)
    if outcome.error is None:
        _judge_file(plan, visit, outcome)
    else:
        _judge_error(plan, visit, outcome, since)


# What was asked


def _judge_requests(plan: Plan, log: list[Exchange]) -> None:
    # Progress of a megabyte earns as many attempts as there were at first.
    progress = sum(len(e.received.body) for e in log if e.received is not None) // MIB
    redirects = sum(e.answer.status in {301, 302, 303, 307, 308} for e in log)
    most = (plan.max_retries + 1) * (1 + progress) + redirects
    _require(len(log) <= most, f"{len(log)} requests where {most} are enough")
    for place, exchange in enumerate(log):
        _judge_request(exchange)
        fault = exchange.fault
        if fault is not None and fault.final:
            after = len(log) - place - 1
            _require(after == 0, f"{after} more requests after the final answer {fault.words!r}")


def _judge_request(exchange: Exchange) -> None:
    headers = exchange.request.headers
    _require(exchange.request.method == "GET", "it was no GET")
    _require(headers.get("accept-encoding") == "identity", "an encoding was asked for")
    _require("authorization" not in headers, "the store was sent a key")
    match = headers.get("if-match", "")
    if "range" in headers:
        _require(exchange.start is not None, f"an odd Range: {headers['range']}")
        _require(re.fullmatch(r'"[^"]+"', match) is not None, f"a Range under {match or 'nothing'}")


# What was saved


def _judge_file(plan: Plan, visit: Visit, outcome: Outcome) -> None:
    _require(set(outcome.files) == {outcome.target.name}, f"in the folder: {[*outcome.files]}")
    saved = outcome.saved or b""
    expected = explained(visit.log, require_integrity=plan.require_integrity)
    _require(
        saved == expected,
        f"{_difference(saved, expected)} what the store's answers add up to",
    )
    if not any(e.fault is not None and e.fault.lies for e in visit.log):
        wanted = visit.version.content
        _require(saved == wanted, f"{_difference(saved, wanted)} the object, and nothing lied")


def _difference(found: bytes, wanted: bytes) -> str:
    if len(found) != len(wanted):
        return f"{len(found)} bytes were saved, {len(wanted)} are in"
    place = next(
        (i for i, pair in enumerate(zip(found, wanted, strict=True)) if pair[0] != pair[1]), 0
    )
    return f"byte {place} of {len(found)} is not that of"


@dataclass(frozen=True)
class _Chain:
    """A 200 and the parts that continue it."""

    etag: str
    promises: tuple[tuple[str, bytes], ...]
    encoding: str
    total: int | None
    body: bytes
    whole: bool
    chunked: bool = False


def explained(log: list[Exchange], *, require_integrity: bool) -> bytes:
    """The bytes that a careful client holds after the last answer, decoded.

    Raises `WrongError` where that answer completes nothing, or not what was promised.
    """
    chains: list[_Chain] = []
    last: _Chain | None = None
    for exchange in log:
        last = _chain(exchange, chains)
        if last is not None:
            chains.append(last)
    _require(last is not None, f"saved after {_said(log)}, which brings nothing")
    assert last is not None
    _require(last.whole, f"saved after {_said(log)}, which is not the end")
    vouched = last.total is not None or last.chunked or bool(last.promises)
    _require(vouched or not require_integrity, "saved what may be half of a body")
    for name, digest in last.promises:
        found = hashlib.new(name, last.body, usedforsecurity=False).digest()
        _require(found == digest, f"saved against the {name} that was promised")
    return _decoded(last)


def _said(log: list[Exchange]) -> str:
    if not log:
        return "no answer"
    fault = log[-1].fault
    return f"{log[-1].answer.status} ({'honest' if fault is None else fault.words})"


def _chain(exchange: Exchange, chains: list[_Chain]) -> _Chain | None:
    answer, received = exchange.answer, exchange.received
    if received is None or answer.status not in {200, 206}:
        return None
    if answer.status == 206:
        return _continued(exchange, chains)
    return _Chain(
        answer.get("etag"),
        tuple(_promises(answer)),
        answer.get("content-encoding").lower(),
        answer.promised if answer.framing == "length" else None,
        received.body,
        received.whole,
        answer.framing == "chunked",
    )


def _continued(exchange: Exchange, chains: list[_Chain]) -> _Chain | None:
    """RFC 9110 section 15.3.7.3: parts fit where a strong validator, place and size agree."""
    answer, received, start = exchange.answer, exchange.received, exchange.start
    match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", answer.get("content-range"), re.IGNORECASE)
    if match is None or received is None or start is None or answer.get("content-encoding"):
        return None
    first, end, total = map(int, match.groups())
    etag = exchange.request.headers.get("if-match", "")
    fitting = [
        chain
        for chain in chains
        if chain.etag == etag == answer.get("etag")
        and len(chain.body) >= start
        and chain.total in {None, total}
        and not chain.encoding
    ]
    if not fitting or first != start or end != total - 1:
        return None
    begun = fitting[-1]
    body = begun.body[:start] + received.body
    return _Chain(begun.etag, begun.promises, "", total, body, len(body) == total)


_SIZES = {"md5": 16, "sha1": 20, "sha256": 32}


def _promises(answer: Answer) -> Iterator[tuple[str, bytes]]:
    for name, value in answer.headers:
        lower = name.lower()
        if lower in {"repr-digest", "content-digest"}:
            for found in re.finditer(r"sha-(256|512)=:([^:]*):", value):
                yield f"sha{found[1]}", base64.b64decode(found[2])
        elif lower == "content-md5":
            yield "md5", base64.b64decode(value)
        elif lower == "x-goog-hash" and not answer.get("x-goog-stored-content-encoding"):
            yield "md5", base64.b64decode(value.partition("md5=")[2])
        elif lower.startswith("x-amz-checksum-"):
            yield lower.rpartition("-")[2], base64.b64decode(value)


def _decoded(chain: _Chain) -> bytes:
    if not chain.body:  # an encoding of nothing is nothing, too
        return b""
    try:
        if chain.encoding in {"gzip", "x-gzip"}:
            return gzip.decompress(chain.body)
        return zlib.decompress(chain.body) if chain.encoding == "deflate" else chain.body
    except (EOFError, OSError, zlib.error) as error:
        raise WrongError(f"saved although its encoding is broken: {error}") from None


# What was raised


def _judge_error(plan: Plan, visit: Visit, outcome: Outcome, since: int) -> None:
    error = outcome.error
    said = f"{type(error).__name__}: {error}"
    _require(isinstance(error, DcipherError), f"not an error of ours: {said}")
    _require(isinstance(error, ResultError), f"not an error of a result: {said}")
    _require(
        outcome.saved == plan.old,
        f"the target was {_words(plan.old)}, and is {_words(outcome.saved)} after {said}",
    )
    others = [name for name in outcome.files if name != outcome.target.name]
    _require(len(others) <= 2, f"debris in the folder: {others}")
    enough = plan.recoverable(since) and _needed(visit, since) <= plan.max_retries
    _require(not enough, f"refused, although the retries are enough: {said}")
    last = visit.log[-1].fault if len(visit.log) > since else None
    expected = None if last is None or last.error is None else getattr(dcipher, last.error)
    _require(expected is None or isinstance(error, expected), f"not a {expected}: {said}")
    by_expiry = last is not None and last.error == "ResultExpiredError"
    _require(by_expiry or not isinstance(error, ResultExpiredError), f"nothing expired: {said}")


def _needed(visit: Visit, since: int) -> int:
    """How many retries are needed at most.

    Where a fault leaves the client with more than there is, or with a part of what is no more, an
    honest store says so (412, 416): that is a retry, too.
    """
    free = [e for e in visit.log[since:] if e.fault is None or e.fault.cost == 0]
    refusals = sum(e.answer.status in {412, 416} for e in free)
    faults = visit.plan.faults
    return sum(fault.cost + fault.aftermath for fault in faults[since:]) + min(
        refusals, len(faults)
    )


def _words(content: bytes | None) -> str:
    return "not there" if content is None else f"{len(content)} bytes"


def _judge_secrets(plan: Plan, outcome: Outcome) -> None:
    places = {"a log": outcome.logged}
    if outcome.error is not None:
        lines = traceback.format_exception(outcome.error)
        places |= {"a traceback": "".join(lines), "a pickle": repr(pickle.dumps(outcome.error))}
        for error in _around(outcome.error):
            places[f"{type(error).__name__}"] = f"{error} {error!r}"
    for place, text in places.items():
        for canary in (plan.canary, plan.moved_canary):
            _require(canary not in text, f"a secret is in {place}: {text[-600:]}")


def _around(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and what it came from, shown or not."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise WrongError(otherwise)
