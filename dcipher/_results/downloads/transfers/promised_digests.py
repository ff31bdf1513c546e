"""The digests of a result in the headers of the store; pure."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from dcipher.signing.digests import digests as structured_digests

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

from dcipher._results.downloads.transfers.sources import broken

__all__ = ["promised_digests"]


_HASHLIB = {"sha-256": "sha256", "sha-512": "sha512", "md5": "md5", "sha": "sha1"}


def promised_digests(headers: Mapping[str, str]) -> dict[str, bytes]:
    """Returns the announced digests of the bytes: by RFC 9530, RFC 1864, Google's and Amazon's headers.

    An ETag is never used as an MD5. CRC-32C and CRC-64 are ignored: Python has neither.
    """
    found: dict[str, bytes] = {}
    for name, digest in _promised(headers):
        if found.setdefault(name, digest) != digest:
            raise broken(f"the store sent two different {name} digests of it")
    return found


_SIZES = {"crc32": 4, "md5": 16, "sha1": 20, "sha256": 32}


def _promised(headers: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
    """Yields each: hashlib's name of the algorithm, and the digest."""
    for header in ("content-digest", "repr-digest"):
        for name, value in structured_digests(headers.get(header, "")).items():
            if name in _HASHLIB:
                yield _HASHLIB[name], value
    plain = {
        "md5": [headers.get("content-md5", ""), *_google(headers, "md5")],
        "sha256": [headers.get("x-amz-checksum-sha256", "")],
        "sha1": [headers.get("x-amz-checksum-sha1", "")],
        "crc32": [headers.get("x-amz-checksum-crc32", "")],
    }
    for name, values in plain.items():
        for text in values:
            digest = _base64(text)
            # Amazon's checksum of a multipart upload has another form: digest-parts
            if len(digest) == _SIZES[name]:
                yield name, digest


def _google(headers: Mapping[str, str], name: str) -> list[str]:
    """Returns Google's hash, which is that of the stored bytes, also if a gzip file is sent decoded."""
    if headers.get("x-goog-stored-content-encoding", "identity") != "identity":
        return []
    parts = [part.strip().partition("=") for part in headers.get("x-goog-hash", "").split(",")]
    return [value for key, _, value in parts if key == name]


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        return b""
