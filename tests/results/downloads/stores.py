"""Runs with one result, stores that have it, and the expected files."""

from __future__ import annotations

import hashlib
import random
import re
from typing import TYPE_CHECKING, Any

from dcipher import (
    Resilience,
    Run,
)
from tests.faulty import FaultyServer, Reply

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.faulty import Recorded

MIB = 1024 * 1024
BODY = random.Random(7).randbytes(3 * MIB + 17)  # noqa: S311 - no secret
SMALL = random.Random(8).randbytes(300_000)  # noqa: S311 - no secret
TWICE = Resilience(max_retries=2, backoff_initial=0.01, backoff_max=0.02)
ONCE = Resilience(max_retries=0)
QUERY = "Signature=canary-signature"


def run_at(url: str, *, finished: bool = True) -> Run:
    """A run that has succeeded, with one result. Long ago, unless `finished` is false."""
    ended = {"finished_at": "2020-01-01T00:00:00Z"} if finished else {}
    return Run.model_validate(
        {"flow_id": "f", "task_id": "t", "status": "SUCCEEDED", "outputs": [{"url": url}], **ended}
    )


def result_of(server: FaultyServer) -> Run:
    return run_at(f"{server.url}/result?{QUERY}")


def store(
    body: bytes, *, etag: str = '"1"', cut: int | None = None, after: Any = "close", **more: Any
) -> Callable[[Recorded], Reply]:
    """A store that knows Range and If-Match; after `cut` bytes of an answer the connection ends."""
    after = "keep" if cut is None else after

    def reply(request: Recorded) -> Reply:
        headers = {"ETag": etag, **more}
        match = request.headers.get("if-match")
        if match is not None and match != etag:
            return Reply(b"", 412)
        found = re.fullmatch(r"bytes=(\d+)-", request.headers.get("range", ""))
        if found is None:
            return Reply(body, 200, headers, cut=cut, after=after)
        start = int(found[1])
        if start >= len(body):
            return Reply(b"", 416, {"Content-Range": f"bytes */{len(body)}"})
        headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        return Reply(body[start:], 206, headers, cut=cut, after=after)

    return reply


def assert_untouched(target: Path, *, kept: bool = False) -> None:
    """The old file, and beside it nothing, or what another download can go on with."""
    part = f".{target.name}.dcipher.part"
    beside = {part, f"{part}.json"} if kept else set()
    assert target.read_bytes() == b"old"
    assert {path.name for path in target.parent.iterdir()} == {target.name, *beside}


def assert_saved(target: Path, body: bytes) -> None:
    assert hashlib.sha256(target.read_bytes()).digest() == hashlib.sha256(body).digest()
    assert [path.name for path in target.parent.iterdir()] == [target.name]
