"""Effects on the digest and the content coding of a body."""

from __future__ import annotations

import hashlib
import zlib
from base64 import b64encode
from collections.abc import Iterable, Iterator
from dataclasses import field
from itertools import pairwise, repeat
from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass
from typing_extensions import override

from dcipher.emulator.faults.effect import Effect
from dcipher.emulator.faults.messages import Call, Response

__all__ = ["Digest", "Encode"]

_BLOCK: Final = 1024 * 1024


@dataclass(frozen=True, repr=False)
class Digest(Effect):
    """Adds a digest of the body, right or wrong.

    Attributes:
        name: The header. `content-digest` is for the bytes that are sent, the others are for the
            complete file.
        right: Whether the digest is right.
    """

    is_heavy: ClassVar[bool] = True

    name: Literal[
        "repr-digest", "content-digest", "content-md5", "x-goog-hash", "x-amz-checksum-sha256"
    ] = "repr-digest"
    right: bool = True
    kind: Literal["digest"] = field(default="digest", kw_only=True)

    @override
    def apply(self, response: Response, call: Call) -> Response:
        parts = response.body.parts
        if response.status == 206 and call.stored is not None and self.name != "content-digest":
            parts = (memoryview(call.stored.content),)
        md5 = self.name in {"content-md5", "x-goog-hash"}
        found = hashlib.md5(usedforsecurity=False) if md5 else hashlib.sha256()
        for part in parts:
            found.update(part)
        if not self.right:
            found.update(b"other")
        value = b64encode(found.digest()).decode()
        # RFC 9530 section 2 and 3: a dictionary of byte sequences.
        form = {"repr-digest": "sha-256=:{}:", "content-digest": "sha-256=:{}:"}
        form["x-goog-hash"] = "md5={}"
        return response.with_headers({self.name: form.get(self.name, "{}").format(value)})


@dataclass(frozen=True, repr=False)
class Encode(Effect):
    """Compresses the body although the client did not ask for it, as some proxies do.

    The ETag becomes weak. Repr-Digest and Accept-Ranges are removed, as they are about the original
    bytes.

    Attributes:
        coding: `gzip`, or `deflate` (RFC 1950).
        members: The number of gzip members.
        truncate: How many of the compressed bytes are sent, with a matching length. A negative
            number: how many are left out at the end.
        bomb: Replaces the body with this number of zero bytes.

    Raises:
        ValueError: `members` is above 1, and `coding` is not `gzip`.
    """

    is_heavy: ClassVar[bool] = True

    coding: Literal["gzip", "deflate"] = "gzip"
    members: Annotated[int, Field(ge=1)] = 1
    truncate: int | None = None
    bomb: Annotated[int, Field(ge=1)] | None = None
    kind: Literal["encode"] = field(default="encode", kw_only=True)

    def __post_init__(self) -> None:
        if self.members > 1 and self.coding != "gzip":
            raise ValueError("members must be 1, unless coding is gzip.")

    @override
    def apply(self, response: Response, call: Call) -> Response:
        size = len(response.body) if self.bomb is None else self.bomb
        bounds = [size * number // self.members for number in range(self.members + 1)]
        pairs = pairwise(bounds)
        encoded = b"".join(
            piece
            for pair in pairs
            for piece in _compressed(self._blocks(response, *pair), self._bits)
        )
        encoded = encoded[: self.truncate]
        etag = response.header("etag")
        weak = {"etag": f"W/{etag}"} if etag and not etag.startswith("W/") else {}
        new = response.with_body(encoded)
        gone = ("accept-ranges", "repr-digest")
        return new.with_headers({"content-encoding": self.coding, **weak}, without=gone)

    @property
    def _bits(self) -> int:
        # For zlib: with the header and trailer of gzip, or with those of RFC 1950.
        return zlib.MAX_WBITS + 16 if self.coding == "gzip" else zlib.MAX_WBITS

    def _blocks(self, response: Response, start: int, stop: int) -> Iterator[bytes | memoryview]:
        if self.bomb is None:
            yield from response.body.between(start, stop).parts
            return
        whole, rest = divmod(stop - start, _BLOCK)
        yield from repeat(bytes(_BLOCK), whole)
        yield bytes(rest)


def _compressed(blocks: Iterable[bytes | memoryview], bits: int) -> Iterator[bytes]:
    compressor = zlib.compressobj(wbits=bits)
    for block in blocks:
        yield compressor.compress(block)
    yield compressor.flush()
