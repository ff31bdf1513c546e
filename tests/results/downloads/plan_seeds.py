"""Generates a plan from its seed."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.results.downloads.plan_faults import FAULTS, GENTLE
from tests.results.downloads.plans import Fault, Plan, Version

if TYPE_CHECKING:
    from tests.results.downloads.plans import Kind

__all__ = ["plan_of"]

KIB = 1024
BORDERS = [64 * KIB, 128 * KIB, 192 * KIB, 1024 * KIB, 2048 * KIB]
DIGESTS = ["Repr-Digest", "Content-Digest", "Content-MD5", "x-goog-hash", "x-goog-hash/stored",
           "x-amz-checksum-sha256", "x-amz-checksum-sha1"]  # fmt: skip


def plan_of(seed: int, *, kind: Kind | None = None) -> Plan:
    """The plan of a seed; the client by the seed as well, unless `kind` says which."""
    rng = random.Random(seed)  # noqa: S311 - no secret
    version = _version(rng, seed)
    fresh = rng.random() < 0.3
    faults = _faults(rng, version, fresh=fresh)
    cost = sum(fault.cost for fault in faults)
    return Plan(
        seed=seed,
        kind=_kind(seed) if kind is None else kind,
        version=version,
        faults=faults,
        never_honest=bool(faults) and rng.random() < 0.1,
        framing=rng.choices(("length", "chunked", "close"), (6, 3, 1))[0],
        ranges=rng.random() < 0.8,
        conditional=rng.random() < 0.7,
        fresh=fresh,
        require_integrity=rng.random() < 0.15,
        max_retries=rng.choice([cost, cost, cost + 2, max(0, cost - 1), len(faults) // 2, 5]),
        old=rng.choice([None, b"old", rng.randbytes(100_000)]) if rng.random() < 0.75 else None,
        rounds=rng.choice([1, 1, 2, 3]),
    )


def _kind(seed: int) -> Kind:
    if seed % 2 == 0:
        return "sync"
    return "async" if seed % 4 == 1 else "async through a client of the user's"


def _version(rng: random.Random, seed: int) -> Version:
    size = _size(rng)
    promised = tuple(rng.sample(DIGESTS, rng.choice([0, 0, 0, 1, 1, 2])))
    lying = [name for name in promised if name != "x-goog-hash/stored"]
    if {"x-goog-hash", "x-goog-hash/stored"} <= {*promised}:
        promised = ("x-goog-hash",)
    encodings = ("gzip", "members", "deflate", None)
    small = size <= 4096 * KIB
    return Version(
        size=size,
        seed=seed,
        text=rng.random() < 0.3,
        etag=rng.choices(
            (f'"v{seed}"', f'W/"v{seed}"', None, f"v{seed}", '"a, b"', '""'), (14, 2, 2, 1, 1, 1)
        )[0],
        digests=promised,
        wrong=rng.choice(lying) if lying and lying[0] in promised and rng.random() < 0.1 else None,
        encoding=rng.choices(encodings, (3, 1, 1, 20))[0] if small else None,
        content_type=rng.choice(["application/json", "text/csv", "application/octet-stream"]),
    )


def _size(rng: random.Random) -> int:
    sort = rng.random()
    if sort < 0.06:
        return rng.choice([0, 0, 1])
    if sort < 0.5:
        return rng.randrange(2, 5000)
    if sort < 0.75:
        return rng.choice(BORDERS) + rng.choice([-1, 0, 1])
    if sort < 0.985:
        return rng.randrange(5000, 3 * 1024 * KIB)
    return rng.randrange(3 * 1024 * KIB, 64 * 1024 * KIB + 1)


def _faults(rng: random.Random, version: Version, *, fresh: bool) -> tuple[Fault, ...]:
    # Half of the plans have only what passes: those must succeed.
    catalogue = GENTLE if rng.random() < 0.5 else FAULTS
    weights, makes = zip(*catalogue, strict=True)
    count = rng.choice([0, 1, 1, 2, 2, 3, 3, 4, 5, 6, 7, 8])
    made = [make(rng, version) for make in rng.choices(makes, weights, k=count)]
    return tuple(_passing(fault) if fresh else fault for fault in made)


def _passing(fault: Fault) -> Fault:
    """Seconds after the end of a run, the store may not know its result yet."""
    return replace(fault, final=False) if fault.words in {"403", "404"} else fault
