"""Random plans of faults for a download, each reproducible by its seed."""

from __future__ import annotations

import base64
import gzip
import hashlib
import random
import zlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, TypeAlias

from dcipher import Resilience
from tests.results.downloads.plan_store import Answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.results.downloads.plan_store import Framing, Pairs, Question

    Spoil: TypeAlias = Callable[[Question, Answer], Answer]

__all__ = ["Fault", "Kind", "Plan", "Version", "digest_headers"]

Kind: TypeAlias = Literal["sync", "async", "async through a client of the user's"]

MAX_RETRY_AFTER = 1.0
"""Seconds."""


@dataclass(frozen=True)
class Version:
    """The object as it is at one time."""

    size: int
    seed: int
    text: bool = False
    etag: str | None = None
    digests: tuple[str, ...] = ()
    """Names of headers that promise a digest."""
    wrong: str | None = None
    """The one of them that is not the object's."""
    encoding: str | None = None
    content_type: str = "application/octet-stream"

    @cached_property
    def content(self) -> bytes:
        source = random.Random(self.seed)  # noqa: S311 - no secret
        if not self.text:
            return source.randbytes(self.size)
        row = f'{{"id": {self.seed}, "topic": "{source.random()}"}}\n'.encode()
        return (row * (self.size // len(row) + 1))[: self.size]

    @cached_property
    def wire(self) -> bytes:
        """The content as it is sent."""
        middle = self.size // 2
        if self.encoding == "gzip":
            return gzip.compress(self.content, 1)
        if self.encoding == "members":
            parts = (self.content[:middle], b"", self.content[middle:])
            return b"".join(gzip.compress(part, 1) for part in parts)
        return zlib.compress(self.content, 1) if self.encoding == "deflate" else self.content

    @property
    def resumable(self) -> bool:
        strong = self.etag is not None and len(self.etag) > 2 and self.etag[0] == '"'
        return strong and self.encoding is None

    def headers(self, body: bytes) -> Pairs:
        """What goes with `body`, which is the wire's bytes or a part of them."""
        found = [("Content-Type", self.content_type)]
        if self.etag is not None:
            found.append(("ETag", self.etag))
        if self.encoding is not None:
            found.append(
                ("Content-Encoding", {"members": "gzip"}.get(self.encoding, self.encoding))
            )
        return (*found, *digest_headers(self.digests, self.wire, body, wrong=self.wrong))

    def __str__(self) -> str:
        promised = ", ".join(f"{n}{' (wrong)' * (n == self.wrong)}" for n in self.digests)
        return (
            f"{self.size} bytes of {'text' if self.text else 'noise'}, ETag {self.etag}, "
            f"encoding {self.encoding}, digests: {promised or 'none'}"
        )


def digest_headers(
    names: tuple[str, ...], whole: bytes, body: bytes, wrong: str | None = None
) -> Pairs:
    """The headers that promise digests; `wrong` names the one that lies."""
    found: list[tuple[str, str]] = []
    for name in names:
        # RFC 9530 section 2, RFC 1864: these two are of what is in the answer.
        of = body if name in {"Content-Digest", "Content-MD5"} else whole
        found.append((name.partition("/")[0], _promise(name, of + b"?" * (name == wrong))))
        if name == "x-goog-hash/stored":
            found.append(("x-goog-stored-content-encoding", "gzip"))
    return tuple(found)


def _promise(name: str, body: bytes) -> str:
    def digest(algorithm: str) -> str:
        hashed = hashlib.new(algorithm, body, usedforsecurity=False)
        return base64.b64encode(hashed.digest()).decode()

    if name == "Repr-Digest":
        return f"sha-256=:{digest('sha256')}:"
    if name == "Content-Digest":
        return f"sha-512=:{digest('sha512')}:, unixsum=:AAAA:"
    if name == "x-goog-hash":
        return f"crc32c=AAAAAA==,md5={digest('md5')}"
    if name == "x-goog-hash/stored":  # of the gzip that the store holds, and sends inflated
        return f"md5={base64.b64encode(b'0123456789abcdef').decode()}"
    return digest({"Content-MD5": "md5", "x-amz-checksum-sha1": "sha1"}.get(name, "sha256"))


@dataclass(frozen=True)
class Fault:
    """One answer that is not what it should be."""

    words: str
    spoil: Spoil
    """The answer that is sent, from what an honest store would have sent."""
    cost: int = 1
    """How many attempts it may cost, at most."""
    aftermath: int = 0
    """How many more: where a size was a lie, the honest answer after it does not fit to it."""
    final: bool = False
    """Whether it ends the download: nothing is asked after it."""
    lies: bool = False
    """Whether other bytes than the object's can come of it, and no client can notice."""
    change: Callable[[Version], Version] | None = None
    """The object changes before the answer."""
    error: str | None = None
    """The name of the error, where it is the last answer."""
    slow: bool = False
    """Whether it needs a timeout."""
    bare: bool = False
    """Whether nothing may tell the end of its body from a lost connection."""


@dataclass(frozen=True)
class Plan:
    """An object, the store that has it, what goes wrong, and who downloads it."""

    seed: int
    kind: Kind
    version: Version
    faults: tuple[Fault, ...]
    never_honest: bool
    """Whether the last fault is repeated for ever."""
    framing: Framing
    ranges: bool
    """Whether the store knows Range."""
    conditional: bool
    """Whether the store knows If-Match."""
    fresh: bool
    """Whether the run ended just now: a 403 or 404 may pass."""
    require_integrity: bool
    max_retries: int
    old: bytes | None
    """What is at the target before."""
    rounds: int = 1
    """How often it is downloaded to the same path, until it is there."""

    @property
    def canary(self) -> str:
        return f"canary-{self.seed}-signature"

    @property
    def moved_canary(self) -> str:
        """The signature of the place that a redirect leads to."""
        return f"canary-{self.seed}-elsewhere"

    @property
    def slow(self) -> bool:
        return any(fault.slow for fault in self.faults)

    @property
    def resilience(self) -> Resilience:
        return Resilience(
            max_retries=self.max_retries,
            backoff_initial=0.001,
            backoff_max=0.005,
            max_retry_after=MAX_RETRY_AFTER,
        )

    def recoverable(self, played: int) -> bool:
        """Whether, after so many answers, an honest one comes in the end, and is taken."""
        ahead = self.faults[played:]
        final = any(f.final or (f.bare and self.require_integrity) for f in ahead)
        promises = [name for name in self.version.digests if "stored" not in name]
        verifiable = self.framing != "close" or promises or not self.require_integrity
        return bool(verifiable) and not (self.never_honest or self.version.wrong or final)

    def honest(self, question: Question) -> Answer:
        """What a store without faults would answer (RFC 9110 sections 13.1.1, 14.2 and 15.3.7)."""
        version = question.version
        whole, start = version.wire, question.start
        asked = question.if_match
        if asked is not None and self.conditional and asked != version.etag:
            return Answer(412, framing=self.framing)
        if start is None or not self.ranges:
            return Answer(200, version.headers(whole), whole, self.framing)
        if start >= len(whole):
            return Answer(416, (("Content-Range", f"bytes */{len(whole)}"),), framing=self.framing)
        place = f"bytes {start}-{len(whole) - 1}/{len(whole)}"
        body = whole[start:]
        return Answer(206, (*version.headers(body), ("Content-Range", place)), body, self.framing)

    def __str__(self) -> str:
        store = [
            f"framing by {self.framing}",
            *(["ignores Range"] if not self.ranges else []),
            *(["ignores If-Match"] if not self.conditional else []),
        ]
        ends = "again and again" if self.never_honest else "then honest"
        faults = [fault.words for fault in self.faults]
        return (
            f"{self.kind}, max_retries={self.max_retries}, require_integrity={self.require_integrity}, "
            f"{'just ended' if self.fresh else 'ended long ago'}, "
            f"{'no file' if self.old is None else 'an old file'} at the target, {self.rounds} downloads\n"
            f"  object: {self.version}\n  store: {', '.join(store)}\n"
            f"  answers: {' → '.join([*faults, ends])}"
        )
