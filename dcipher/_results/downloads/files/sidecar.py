"""The note beside an unfinished file: what another process must know to go on with it."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveInt, ValidationError

from dcipher._results.downloads.transfers.transfer import Transfer, is_strong
from dcipher.signing.digests import hasher

__all__ = ["note_of", "taken_up"]


class _Note(BaseModel):
    """It holds no URL: whoever goes on has the run."""

    model_config: ClassVar[ConfigDict] = ConfigDict(strict=True, frozen=True)

    version: Literal[1, 2] = 1
    """2: there are parts. Who knows only 1 starts anew then, and must."""
    identity: str
    """Which result it is."""
    received: PositiveInt
    parts: list[list[NonNegativeInt]] = []
    """What is there beyond `received`: from a place up to another, in their order."""
    total: NonNegativeInt | None
    etag: str
    digests: dict[str, str]
    """hashlib's name → what the whole file hashes to, in hexadecimal digits."""
    content_type: str | None


def note_of(transfer: Transfer, identity: str) -> bytes:
    """What is written down of a transfer that can be resumed."""
    note = _Note(
        version=2 if transfer.parts else 1,
        identity=identity,
        received=transfer.received,
        parts=[[start, end] for start, end in transfer.parts],
        total=transfer.total,
        etag=transfer.etag or "",
        digests={name: digest.hex() for name, digest in transfer.digests.items()},
        content_type=transfer.content_type,
    )
    return note.model_dump_json(exclude=None if transfer.parts else {"parts"}).encode()


def taken_up(text: bytes, identity: str, size: int) -> Transfer:
    """The transfer that goes on where an earlier one ended; a new one where it cannot.

    `text`: the note as it was found. `size`: bytes that are in the file; what is there beyond
    `received` was not synced, and does not count. Of a complete file the last byte is fetched again:
    the answer to that says whether the store still has the same object.
    """
    try:
        note = _Note.model_validate_json(text)
        digests = {name: _digest(name, digits) for name, digits in note.digests.items()}
        parts = _parts(note, size)
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
        parts=parts,
        total=note.total,
        etag=note.etag,
        digests=digests,
        content_type=note.content_type,
    )


def _parts(note: _Note, size: int) -> tuple[tuple[int, int], ...]:
    """Raises ValueError where they are not beyond each other, in the file, and of the whole."""
    parts = [(start, end) for start, end in note.parts]
    places = [note.received, *(place for part in parts for place in part)]
    ascending = all(one < next_ for one, next_ in pairwise(places))
    if parts and (not ascending or note.version == 1 or places[-1] > min(size, note.total or 0)):
        raise ValueError("parts")
    return tuple(parts)


def _digest(name: str, digits: str) -> bytes:
    """Raises ValueError where it is none: without it, damage would not be noticed."""
    digest = bytes.fromhex(digits)
    if len(digest) != hasher(name).digest_size:
        raise ValueError(name)
    return digest
