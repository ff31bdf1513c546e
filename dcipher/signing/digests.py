"""Digests of bodies: the headers `Content-Digest` and `Repr-Digest` (RFC 9530)."""

from __future__ import annotations

import hashlib
import hmac
import re
import zlib
from typing import Protocol

from .structured_fields import decode_base64, serialize

__all__ = ["Hasher", "content_digest", "digest_matches", "digests", "hasher"]

_ALGORITHMS = {"sha-256": hashlib.sha256, "sha-512": hashlib.sha512}

# A comma inside quotes divides nothing; a quote that is never closed reaches to the end.
_MEMBERS = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+', re.DOTALL)
_DIGEST = re.compile(
    r"[ \t]*(?P<algorithm>[a-z*][a-z0-9_.*-]*)=:(?P<digest>[A-Za-z0-9+/]*={0,2}):(?:;.*)?[ \t]*",
    re.DOTALL,
)


def content_digest(body: bytes, algorithm: str = "sha-256") -> str:
    """Returns the value of `Content-Digest` for exactly these bytes (RFC 9530).

    Raises:
        ValueError: `algorithm` is neither `sha-256` nor `sha-512`.
    """
    if algorithm not in _ALGORITHMS:
        raise ValueError(f"algorithm must be one of {', '.join(_ALGORITHMS)}")
    return f"{algorithm}={serialize(_ALGORITHMS[algorithm](body).digest())}"


def digests(header: str) -> dict[str, bytes]:
    """Parses a `Content-Digest` or `Repr-Digest` header, and returns the digests by algorithm.

    Unknown algorithms are included. Malformed members are skipped; no error is raised.
    """
    found: dict[str, bytes] = {}
    for member in _MEMBERS.findall(header):
        if match := _DIGEST.fullmatch(member):
            digest = decode_base64(match["digest"])
            if digest is not None:
                found[match["algorithm"]] = digest
    return found


def digest_matches(header: str, body: bytes) -> bool | None:
    """Returns whether every digest of a known algorithm matches the body; `None` without such one."""
    known = {name: digest for name, digest in digests(header).items() if name in _ALGORITHMS}
    if not known:
        return None
    return all(
        hmac.compare_digest(_ALGORITHMS[name](body).digest(), digest)
        for name, digest in known.items()
    )


class Hasher(Protocol):
    """A hash object, as of `hashlib`."""

    @property
    def digest_size(self) -> int:
        """The size of the digest in bytes."""
        ...

    def update(self, data: bytes | memoryview, /) -> None:
        """Adds data."""

    def digest(self) -> bytes:
        """Returns the digest of the data so far."""
        ...


def hasher(name: str) -> Hasher:
    """Returns a new hash object of `hashlib`, or one for `crc32`.

    Raises:
        ValueError: The name is unknown.
    """
    if name == "crc32":
        return _CRC32()
    return hashlib.new(name, usedforsecurity=False)


class _CRC32:
    digest_size = 4

    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes | memoryview, /) -> None:
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")
