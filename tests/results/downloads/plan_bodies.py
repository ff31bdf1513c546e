"""Wrong bodies of a store: other ranges, other versions, other encodings."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.results.downloads.plan_store import Answer
from tests.results.downloads.plans import Fault

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from tests.results.downloads.plan_store import Pairs, Question
    from tests.results.downloads.plans import Spoil, Version

__all__ = [
    "PAGE",
    "another_range",
    "badly_encoded",
    "changes",
    "changes_secretly",
    "encoded",
    "encoded_part",
    "flipped",
    "ignored_range",
    "long_range",
    "lying_range",
    "multipart",
    "odd_place",
    "other_etag",
    "other_total",
    "page",
    "short_range",
    "unknown_encoding",
    "with_headers",
    "wrong_digest",
]


def with_headers(answer: Answer, **headers: str | None) -> Answer:
    """The answer with headers set, or removed; underscores stand for hyphens."""
    changes = {name.replace("_", "-"): value for name, value in headers.items()}
    lower = {name.lower() for name in changes}
    kept = [pair for pair in answer.headers if pair[0].lower() not in lower]
    kept += [(name, value) for name, value in changes.items() if value is not None]
    return replace(answer, headers=tuple(kept))


# Ranges


def _part(
    q: Question, first: int, last: int, *, total: int | None = None, place: str | None = None
) -> Answer:
    """A 206 with these bytes, which says so unless `place` says otherwise."""
    whole = q.version.wire
    body = whole[max(first, 0) : last + 1]
    size = len(whole) if total is None else total
    said = place or f"bytes {first}-{last}/{size}"
    return Answer(206, (*q.version.headers(body), ("Content-Range", said)), body, q.plan.framing)


def ignored_range(_: random.Random, __: Version) -> Fault:
    def spoil(q: Question, _: Answer) -> Answer:
        return Answer(200, q.version.headers(q.version.wire), q.version.wire, q.plan.framing)

    return Fault("Range ignored", spoil, 0)


def another_range(rng: random.Random, _: Version) -> Fault:
    """Said as it is."""
    shift, short = rng.choice([(-7, 0), (7, 0), (0, 1), (0, 7), (-7, 7), (-(10**9), 0)])

    def spoil(q: Question, _: Answer) -> Answer:
        end = max(0, len(q.version.wire) - 1)
        first = min(max(0, (q.start or 0) + shift), end)
        return _part(q, first, max(first, end - short))

    return Fault(f"another range (from {shift}, {short} short)", spoil)


def lying_range(rng: random.Random, _: Version) -> Fault:
    """The right Content-Range, over bytes of another place."""

    def spoil(q: Question, honest: Answer) -> Answer:
        if honest.status != 206:
            return _part(q, 0, max(0, len(q.version.wire) - 1))
        return replace(honest, body=q.version.wire[: len(honest.body)])

    return Fault("the range's bytes are another range's", spoil, lies=True)


def short_range(rng: random.Random, _: Version) -> Fault:
    """The right Content-Range, over fewer bytes or none."""
    part = rng.choice([0.0, rng.random()])

    def spoil(q: Question, honest: Answer) -> Answer:
        if honest.status != 206:
            return _part(q, 0, max(0, len(q.version.wire) - 1))
        return replace(honest, framing="length", body=honest.body[: int(len(honest.body) * part)])

    return Fault(f"only {part:.0%} of the range", spoil)


def long_range(_: random.Random, __: Version) -> Fault:
    """The right Content-Range, over more bytes."""

    def spoil(q: Question, honest: Answer) -> Answer:
        if honest.status != 206:
            return _part(q, 0, max(0, len(q.version.wire) - 1))
        return replace(honest, body=honest.body + b"more")

    return Fault("more than the range", spoil)


def other_total(rng: random.Random, _: Version) -> Fault:
    more = rng.choice([1, -1, 1000])

    def spoil(q: Question, _: Answer) -> Answer:
        start, end = q.start or 0, len(q.version.wire) - 1
        last = max(start, end + more)
        return _part(q, start, end, place=f"bytes {start}-{last}/{last + 1}")

    return Fault(f"a total {more} off", spoil, aftermath=1)


PLACES = ["bytes {0}-{1}/*", "bytes */{2}", "items {0}-{1}/{2}", "bytes one-two/three", "", "bytes {1}-{0}/{2}",
          "bytes {0}-{1}/{2}, bytes {0}-{1}/{2}", "bytes -{1}/{2}", "bytes +{0}-{1}/{2}",
          "bytes {0}-{1}/{2}x"]  # fmt: skip


def odd_place(rng: random.Random, _: Version) -> Fault:
    form = rng.choice(PLACES)

    def spoil(q: Question, _: Answer) -> Answer:
        start, size = q.start or 0, len(q.version.wire)
        return with_headers(
            _part(q, start, size - 1), Content_Range=form.format(start, size - 1, size)
        )

    return Fault(f"Content-Range {form!r}", spoil)


def other_etag(rng: random.Random, _: Version) -> Fault:
    """A part of the same bytes, under no name or another."""
    etag = rng.choice([None, '"other"', 'W/"v1"', "v1", '""'])

    def spoil(q: Question, _: Answer) -> Answer:
        return with_headers(_part(q, q.start or 0, len(q.version.wire) - 1), ETag=etag)

    return Fault(f"a part with the ETag {etag}", spoil)


def multipart(_: random.Random, __: Version) -> Fault:
    def spoil(q: Question, _: Answer) -> Answer:
        part = _part(q, q.start or 0, len(q.version.wire) - 1)
        body = b"--b\r\nContent-Range: x\r\n\r\n" + part.body + b"\r\n--b--\r\n"
        kind = "multipart/byteranges; boundary=b"
        return with_headers(replace(part, body=body), Content_Type=kind, Content_Range=None)

    return Fault("multipart/byteranges", spoil)


def encoded_part(_: random.Random, __: Version) -> Fault:
    def spoil(q: Question, _: Answer) -> Answer:
        part = _part(q, q.start or 0, len(q.version.wire) - 1)
        return with_headers(
            replace(part, body=gzip.compress(part.body, 1)), Content_Encoding="gzip"
        )

    return Fault("a part that is gzipped", spoil)


# Objects that change


def changes(rng: random.Random, _: Version) -> Fault:
    """Another version, and it says so."""
    number = rng.randrange(2, 10**6)
    more = rng.choice([0, 0, 1, -1, 5000])
    kind = rng.choice(['"v{}"', '"v{}"', 'W/"v{}"', None])

    def change(version: Version) -> Version:
        return replace(
            version,
            seed=number,
            size=max(0, version.size + more),
            etag=None if kind is None else kind.format(number),
        )

    return Fault(f"the object changes by {more} bytes, ETag {kind}", lambda _, a: a, change=change)


def changes_secretly(rng: random.Random, _: Version) -> Fault:
    """Another version, with the same ETag."""
    number = rng.randrange(2, 10**6)
    more = rng.choice([0, 0, 1, -1, 5000])

    def change(version: Version) -> Version:
        return replace(version, seed=number, size=max(0, version.size + more))

    return Fault(
        f"the object changes by {more} bytes, and the ETag does not", lambda _, a: a,
        change=change, lies=True,
    )  # fmt: skip


# Bodies


PAGE = b"<!doctype html><title>Sign in</title><p>Please accept the terms of this network."


def page(rng: random.Random, version: Version) -> Fault:
    status_page = Answer(200, (("Content-Type", "text/html"),), PAGE)
    promises = rng.random() < 0.5

    def spoil(q: Question, _: Answer) -> Answer:
        return (
            replace(status_page, headers=q.version.headers(q.version.wire))
            if promises
            else status_page
        )

    words = " with the object's headers" if promises else ""
    return Fault(f"HTML with 200{words}", spoil, lies=True)


def flipped(rng: random.Random, _: Version) -> Fault:
    place = rng.random()

    def spoil(_: Question, a: Answer) -> Answer:
        if not a.body:
            return a
        body = bytearray(a.body)
        body[int(len(body) * place)] ^= 1 << 3
        return replace(a, body=bytes(body))

    return Fault(f"a bit flipped at {place:.0%}", spoil, lies=True)


def wrong_digest(rng: random.Random, _: Version) -> Fault:
    """One digest that is not the body's; others may be."""
    name = rng.choice(
        ["Repr-Digest", "Content-Digest", "Content-MD5", "x-goog-hash", "x-amz-checksum-sha256"]
    )

    def spoil(q: Question, _: Answer) -> Answer:
        kept = tuple(n for n in q.version.digests if n != name and "stored" not in n)
        version = replace(q.version, digests=(*kept, name), wrong=name)
        return Answer(200, version.headers(version.wire), version.wire, q.plan.framing)

    return Fault(f"a wrong {name}", spoil, error="IntegrityError")


def _encoded(name: str, encode: Callable[[bytes], bytes]) -> Spoil:
    def spoil(q: Question, _: Answer) -> Answer:
        body = encode(q.version.content)
        pairs: Pairs = (("Content-Encoding", name),)
        if q.version.etag is not None:
            pairs = (*pairs, ("ETag", q.version.etag))
        return Answer(200, pairs, body, q.plan.framing)

    return spoil


def _members(content: bytes) -> bytes:
    return b"".join(gzip.compress(part, 1) for part in (content[:1], content[1:], b""))


def _gzipped(content: bytes) -> bytes:
    return gzip.compress(content, 1)


ENCODINGS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("gzip", _gzipped), ("x-gzip", _gzipped), ("deflate", zlib.compress), ("GZIP", _members),
    ("identity", bytes),
]  # fmt: skip


def encoded(rng: random.Random, _: Version) -> Fault:
    name, encode = rng.choice(ENCODINGS)
    return Fault(f"{name}, unasked", _encoded(name, encode), 0, bare=True)


def _with_a_wrong_checksum(content: bytes) -> bytes:
    whole = gzip.compress(content, 1)
    return whole[:-8] + b"\1\2\3\4" + whole[-4:]


BROKEN: list[tuple[str, str, Callable[[bytes], bytes]]] = [
    ("half a gzip", "gzip", lambda c: gzip.compress(c, 1)[:-5]),
    ("half a second member", "gzip", lambda c: gzip.compress(c, 1) + gzip.compress(c, 1)[:-3]),
    ("garbage after a gzip", "gzip", lambda c: gzip.compress(c, 1) + b"garbage"),
    ("a gzip with a wrong checksum", "gzip", _with_a_wrong_checksum),
    ("no gzip", "gzip", lambda c: b"x" + c),
    ("half a deflate", "deflate", lambda c: zlib.compress(c)[:-2]),
    ("a raw deflate", "deflate", lambda c: zlib.compress(c)[2:-4]),
    ("a small bomb", "gzip", lambda _: gzip.compress(b"\0" * 6_000_000)),
]


def badly_encoded(rng: random.Random, _: Version) -> Fault:
    words, name, encode = rng.choice(BROKEN)
    return Fault(words, _encoded(name, encode), error="IntegrityError", bare=True)


def unknown_encoding(rng: random.Random, _: Version) -> Fault:
    name = rng.choice(["br", "zstd", "gzip, gzip", "compress", "aws-chunked"])
    return Fault(f"encoding {name}", _encoded(name, bytes), final=True, error="IntegrityError")
