"""The note beside an unfinished file: what another process must know to go on with it."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveInt, ValidationError

from .digests import hasher
from .downloads import Transfer, is_strong

__all__ = ["note_of", "taken_up"]


class _Note(BaseModel):
    """It holds no URL: whoever goes on has the run."""

    model_config: ClassVar[ConfigDict] = ConfigDict(strict=True, frozen=True)

    version: Literal[1] = 1
    identity: str
    """Which result it is."""
    received: PositiveInt
    total: NonNegativeInt | None
    etag: str
    digests: dict[str, str]
    """hashlib's name → what the whole file hashes to, in hexadecimal digits."""
    content_type: str | None


def note_of(transfer: Transfer, identity: str) -> bytes:
    """What is written down of a transfer that can be resumed."""
    note = _Note(
        identity=identity,
        received=transfer.received,
        total=transfer.total,
        etag=transfer.etag or "",
        digests={name: digest.hex() for name, digest in transfer.digests.items()},
        content_type=transfer.content_type,
    )
    return note.model_dump_json().encode()


def taken_up(text: bytes, identity: str, size: int) -> Transfer:
    """The transfer that goes on where an earlier one ended; a new one where it cannot.

    `text`: the note as it was found. `size`: bytes that are in the file; what is there beyond
    `received` was not synced, and does not count. Of a complete file the last byte is fetched again:
    the answer to that says whether the store still has the same object.
    """
    try:
        note = _Note.model_validate_json(text)
        digests = {name: _digest(name, digits) for name, digits in note.digests.items()}
    except (ValidationError, ValueError):
        return Transfer()
    total = note.received + 1 if note.total is None else note.total
    if (
        note.identity != identity
        or not is_strong(note.etag)
        or note.received > min(size, total)
        or total == 1
    ):
        return Transfer()
    return Transfer(
        received=min(note.received, total - 1),
        total=note.total,
        etag=note.etag,
        digests=digests,
        content_type=note.content_type,
    )


def _digest(name: str, digits: str) -> bytes:
    """Raises ValueError where it is none: without it, damage would not be noticed."""
    digest = bytes.fromhex(digits)
    if len(digest) != hasher(name).digest_size:
        raise ValueError(name)
    return digest
