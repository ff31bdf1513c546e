"""Random plans of faults for one result by several connections.

`PLAN_SEED=123` runs one plan alone, `PLAN_SEED=1000-1999` so many.
"""

from __future__ import annotations

import base64
import hashlib
import os
import random
import re
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from dcipher import Resilience, ResultError
from dcipher._results.downloads.ranges import plan as ranges
from tests.faulty import RESET, Reply
from tests.results.downloads.stores import MIB, result_of
from tests.waiting import HANG

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Connect
    from tests.faulty import FaultyServer, Recorded

    Spoil = Callable[[random.Random, Reply], Reply]

FEW, ALL = 12, 120
"""Plans that every Python runs, and that one does."""
BODY = random.Random(5).randbytes(2 * MIB + 4711)  # noqa: S311 - no secret
OTHER = random.Random(6).randbytes(len(BODY))  # noqa: S311 - no secret
CANARY = "canary-signature"


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    """Through an async client of the user's, a result comes by one connection."""
    return str(request.param)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is large begins at a megabyte, and each connection is too slow."""
    small = {"LARGE": MIB, "LEAST": 1 << 16, "WINDOW": 0.0, "FAST": 1 << 60, "STALL_TIMEOUT": 0.2}
    for name, value in small.items():
        monkeypatch.setattr(ranges, name, value)


def _seeds() -> list[Any]:
    first, _, last = os.environ.get("PLAN_SEED", "").partition("-")
    if first:
        return [*range(int(first), int(last or first) + 1)]
    rest = [pytest.param(seed, marks=pytest.mark.thorough) for seed in range(FEW, ALL)]
    return [*range(FEW), *rest]


def _ended(after: Any) -> Spoil:
    """The connection ends somewhere in the body."""
    return lambda seeds, reply: replace(
        reply, cut=seeds.randrange(max(1, len(reply.body))), after=after
    )


def _said(status: int, body: bytes = b"<Error>Signature=canary-signature</Error>") -> Spoil:
    return lambda _, reply: Reply(body, status, {"Retry-After": "0"})


def _moved(seeds: random.Random, reply: Reply) -> Reply:
    """Another range than was asked for."""
    start = seeds.randrange(len(BODY) - 1)
    return _part(reply, start, min(len(BODY), start + len(reply.body)), BODY)


def _other(seeds: random.Random, reply: Reply) -> Reply:
    """The range of another object, under the name of the asked one: only the digest tells."""
    found = re.match(r"bytes (\d+)-(\d+)", reply.headers.get("Content-Range", ""))
    if found is None:
        return replace(reply, body=OTHER)
    return replace(reply, body=OTHER[int(found[1]) : int(found[2]) + 1])


def _part(reply: Reply, start: int, end: int, body: bytes) -> Reply:
    headers = {**reply.headers, "Content-Range": f"bytes {start}-{end - 1}/{len(body)}"}
    return replace(reply, status=206, headers=headers, body=body[start:end])


def _headed(**headers: str) -> Spoil:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _, reply: replace(reply, headers={**reply.headers, **named})


SPOILS: dict[str, Spoil] = {
    "closed": _ended("close"),
    "reset": _ended(RESET),
    "stalled": _ended("stall"),
    "no answer": lambda _, reply: replace(reply, head_cut=0, after="close"),
    "half a head": lambda seeds, reply: replace(reply, head_cut=seeds.randrange(60), after=RESET),
    "garbage": lambda seeds, reply: replace(reply, raw=seeds.randbytes(200), after="close"),
    "late": lambda seeds, reply: replace(reply, delay=seeds.random() / 4),
    "429": _said(429),
    "500": _said(500),
    "503": _said(503),
    "403": _said(403),
    "404": _said(404),
    "412": _said(412),
    "416": _said(416),
    "HTML": _said(200, b"<html>Signature=canary-signature</html>"),
    "the whole": lambda _, reply: Reply(BODY, 200, {"ETag": '"1"'}),
    "another range": _moved,
    "another object": _other,
    "another ETag": _headed(ETag='"2"'),
    "a weak ETag": _headed(ETag='W/"1"'),
    "another size": _headed(Content_Range=f"bytes 0-99/{len(BODY) + 1}"),
    "no range at all": _headed(Content_Range="bytes */*"),
    "another coding": _headed(Content_Encoding="gzip"),
    "too short a length": lambda _, reply: replace(reply, length=max(0, len(reply.body) - 9)),
    "too long a length": lambda _, reply: replace(reply, length=len(reply.body) + 9, after="close"),
    "chunked": lambda _, reply: replace(reply, framing="chunked"),
    "bare": lambda _, reply: replace(reply, framing="none", after="close"),
}
LIES = {"another object", "bare"}
"""Only a digest tells."""


class Bad:
    """A store that knows ranges, and spoils what the plan's seed says, until it has been bad enough."""

    def __init__(self, seed: int) -> None:
        self._seeds = random.Random(seed)  # noqa: S311 - no secret
        self._share = self._seeds.choice([0.2, 0.5, 0.9])
        self._left = self._seeds.randrange(1, 12)
        self._lock = threading.Lock()
        self._kinds = self._seeds.sample(sorted(SPOILS), self._seeds.randrange(1, 5))
        digest = base64.b64encode(hashlib.sha256(BODY).digest()).decode()
        promised = bool(LIES & {*self._kinds}) or self._seeds.random() < 0.5
        self._promise = {"Repr-Digest": f"sha-256=:{digest}:"} if promised else {}
        self.played: list[str] = []

    def heal(self) -> None:
        """Be honest from now on."""
        with self._lock:
            self._left = 0

    def __call__(self, request: Recorded) -> Reply:
        honest = self._honest(request)
        with self._lock:
            if self._left == 0 or self._seeds.random() > self._share:
                return honest
            self._left -= 1
            kind = self._seeds.choice(self._kinds)
            if kind == "HTML" and honest.status == 200:
                return honest  # the first answer is what the object is
            self.played.append(kind)
            return SPOILS[kind](self._seeds, honest)

    def _honest(self, request: Recorded) -> Reply:
        headers = {"ETag": '"1"', "Accept-Ranges": "bytes", **self._promise}
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
        whole = Reply(BODY, 200, headers)
        if asked is None:
            # Slow enough that others are called for help.
            return replace(whole, cut=len(BODY) // 8, after="stall") if self._left else whole
        if request.headers.get("if-match") != '"1"':
            return Reply(b"", 412)
        return _part(whole, int(asked[1]), int(asked[2] or len(BODY) - 1) + 1, BODY)


@pytest.mark.parametrize("seed", _seeds())
def test_a_plan_of_faults(
    connect: Connect, server: FaultyServer, target: Path, kind: str, seed: int
) -> None:
    """The exact bytes, or a typed error and the old file; and the exact bytes once the store is well again."""
    bad = Bad(seed)
    server.on("/result", bad)
    client = connect(
        server,
        timeout=1.0,
        resilience=Resilience(max_retries=4, backoff_initial=0.005, backoff_max=0.02),
    )
    began = time.monotonic()
    failure: ResultError | None = None
    try:
        client.runs.download(result_of(server), target, max_connections=4)
    except ResultError as error:
        failure = error
    assert target.read_bytes() == (BODY if failure is None else b"old"), bad.played
    assert CANARY not in f"{failure!r} {failure}"
    assert time.monotonic() - began < HANG, bad.played
    names = {path.name for path in target.parent.iterdir()} - {target.name}
    assert names <= {f".{target.name}.dcipher.part", f".{target.name}.dcipher.part.json"}
    bad.heal()
    client.runs.download(result_of(server), target, max_connections=4)
    assert target.read_bytes() == BODY, bad.played
    assert [path.name for path in target.parent.iterdir()] == [target.name]
