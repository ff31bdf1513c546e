"""The sidecar of an unfinished file: the state that another process needs to resume it."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveInt, ValidationError

from dcipher._results.downloads.transfers.transfer import Transfer, is_strong
from dcipher.signing.digests import hasher

__all__ = ["dump_sidecar", "load_sidecar"]


class _Sidecar(BaseModel):
    """The content of a sidecar. It has no URL: the process that resumes has the run."""

    model_config: ClassVar[ConfigDict] = ConfigDict(strict=True, frozen=True)

    version: Literal[1, 2] = 1
    """2: with parts. A version of the package that knows only 1 must start over."""
    identity: str
    """Identifies the result."""
    received: PositiveInt
    parts: list[list[NonNegativeInt]] = []
    """Ranges that exist beyond `received`, in ascending order."""
    total: NonNegativeInt | None
    etag: str
    digests: dict[str, str]
    """The digest of the whole file by hashlib's name, in hexadecimal digits."""
    content_type: str | None


def dump_sidecar(transfer: Transfer, identity: str) -> bytes:
    """Returns the sidecar of a transfer that can be resumed."""
    sidecar = _Sidecar(
        version=2 if transfer.parts else 1,
        identity=identity,
        received=transfer.received,
        parts=[[start, end] for start, end in transfer.parts],
        total=transfer.total,
        etag=transfer.etag or "",
        digests={name: digest.hex() for name, digest in transfer.digests.items()},
        content_type=transfer.content_type,
    )
    return sidecar.model_dump_json(exclude=None if transfer.parts else {"parts"}).encode()


def load_sidecar(text: bytes, identity: str, size: int) -> Transfer:
    """Returns the transfer that resumes an earlier one, or a new one if that is impossible.

    `text`: the sidecar. `size`: the size of the file; bytes beyond `received` were not synced, and do
    not count. The last byte of a complete file is fetched again: the response shows whether the
    store still has the same object.
    """
    try:
        sidecar = _Sidecar.model_validate_json(text)
        digests = {name: _digest(name, digits) for name, digits in sidecar.digests.items()}
        parts = _parts(sidecar, size)
    except (ValidationError, ValueError):
        return Transfer()
    total = sidecar.received + 1 if sidecar.total is None else sidecar.total
    if (
        sidecar.identity != identity
        or not is_strong(sidecar.etag)
        or sidecar.received > min(size, total)
        or total == 1
    ):
        return Transfer()
    return Transfer(
        received=min(sidecar.received, total - 1),
        parts=parts,
        total=sidecar.total,
        etag=sidecar.etag,
        digests=digests,
        content_type=sidecar.content_type,
    )


def _parts(sidecar: _Sidecar, size: int) -> tuple[tuple[int, int], ...]:
    """Returns the parts. Raises ValueError if they overlap, or exceed the file or the total."""
    parts = [(start, end) for start, end in sidecar.parts]
    offsets = [sidecar.received, *(offset for part in parts for offset in part)]
    ascending = all(one < next_ for one, next_ in pairwise(offsets))
    if parts and (
        not ascending or sidecar.version == 1 or offsets[-1] > min(size, sidecar.total or 0)
    ):
        raise ValueError("parts")
    return tuple(parts)


def _digest(name: str, digits: str) -> bytes:
    """Returns the digest. Raises ValueError for an invalid one: damage would not be detected."""
    digest = bytes.fromhex(digits)
    if len(digest) != hasher(name).digest_size:
        raise ValueError(name)
    return digest
