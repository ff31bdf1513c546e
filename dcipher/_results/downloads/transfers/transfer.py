"""The state of a download: what to request next, what a response means, whether it is complete; pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from dcipher._masking.text import clean
from dcipher._masking.urls import redact_message
from dcipher._urls.signed_urls import secrets_of
from dcipher._wire.messages.encodings import encoding_of
from dcipher._wire.messages.retry_after import http_date, retry_after
from dcipher._wire.retries import Failure, Outcome, status_failure

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dcipher.resilience import Resilience
from dcipher._results.downloads.transfers.promised_digests import promised_digests
from dcipher._results.downloads.transfers.sources import (
    Problem,
    Source,
    TransferError,
    broken,
    changed,
    interrupted,
)

__all__ = [
    "FRESH",
    "KEPT",
    "Sink",
    "Transfer",
    "begin",
    "check_part",
    "check_whole",
    "headers_for",
    "is_due",
    "is_strong",
    "is_worth_keeping",
    "may_refuse_ranges",
    "refused",
]


FRESH = 10.0
"""Seconds after the end of a run in which a 403 or 404 of the store means "not available yet"."""
KEPT = "kept"
"""The encoding of a body that is saved as it is."""
WORTH_KEEPING = 1024 * 1024
"""Bytes from which a part is kept: fewer are faster to download again."""
KEPT_EVERY = 256 * 1024 * 1024
"""Bytes after which the received part is made durable."""
KEPT_AFTER = 3.0
"""Seconds after which it is: no more than these are lost in a power failure."""


class Sink(Protocol):
    """Where the bytes of a result are written."""

    def resume(self) -> Transfer:
        """Returns the transfer of an earlier download of the same result, or a new one."""
        ...

    def read(self, start: int, end: int, /) -> Iterable[bytes]:
        """Yields the written bytes between two offsets."""
        ...

    def seek(self, offset: int, /) -> None:
        """Moves to an offset, where the next bytes are written."""

    def writelines(self, chunks: Iterable[bytes | memoryview], /) -> object:
        """Writes chunks, one after the other."""

    def reserve(self, total: int, /) -> bool:
        """Checks that there is space for `total` bytes; returns whether threads may use `write_at`."""
        ...

    def write_at(self, offset: int, chunk: bytes | memoryview, /) -> None:
        """Writes at an offset, independently of other threads."""

    def restart(self) -> None:
        """Discards the written bytes."""

    def persist(self, transfer: Transfer, /) -> bool:
        """Makes the received bytes durable, for a later download; returns whether that is possible."""
        ...

    def discard(self) -> None:
        """Removes what was persisted."""

    def prepare(self) -> None:
        """Makes the complete result durable, which may take a while."""

    def commit(self) -> None:
        """Makes the complete result visible."""

    def close(self) -> None:
        """Removes everything that was neither persisted nor committed."""


@dataclass(frozen=True)
class Transfer:
    """The state of the download of one result."""

    received: int = 0
    """Raw bytes in the file, from its beginning."""
    parts: tuple[tuple[int, int], ...] = ()
    """The ranges in the file beyond them, in ascending order, with gaps between."""
    total: int | None = None
    etag: str | None = None
    """A strong validator; without one, nothing is resumed."""
    encoding: str | None = None
    digests: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    """The digests that the raw bytes must have, by hashlib's names."""
    content_type: str | None = None
    self_delimiting: bool = True
    """Whether the end of the body can be distinguished from a lost connection."""

    @property
    def arrived(self) -> int:
        """All raw bytes in the file."""
        return self.received + sum(end - start for start, end in self.parts)

    @property
    def gap_ends(self) -> int | None:
        """The end of the next gap; `None`: the end of the result."""
        return self.parts[0][0] if self.parts else self.total

    @property
    def can_resume(self) -> bool:
        """Whether the download can be resumed.

        That of an encoded body cannot: the file has the decoded bytes.
        """
        return self.received > 0 and self.etag is not None and self.encoding is None


def headers_for(transfer: Transfer) -> dict[str, str]:
    """Returns the headers of the next GET."""
    headers = {"Accept-Encoding": "identity", "Accept": "*/*"}
    if transfer.can_resume:
        last = transfer.parts[0][0] - 1 if transfer.parts else ""
        headers["Range"] = f"bytes={transfer.received}-{last}"
        # RFC 9110 section 13.1.1. Some servers ignore If-Range (observed); the ETag of the response
        # is compared as well.
        headers["If-Match"] = str(transfer.etag)
    return headers


def begin(
    transfer: Transfer,
    status_code: int,
    headers: Mapping[str, str],
    *,
    keeps_encoded: bool = False,
) -> Transfer:
    """Returns the transfer as a response continues it.

    Its `received` is the offset of the next byte: 0 means from the start. `keeps_encoded`: a body in
    an unsupported encoding is saved as it is.

    Raises `TransferError` for a response that does not match.
    """
    if status_code == 206 and transfer.can_resume:
        return _continued(transfer, headers)
    if status_code not in {200, 203}:
        raise broken(f"the store returned {status_code} for a plain request")
    # A weak one is of the same object (RFC 9110 section 8.8.3.2). Without any, it may be the page of
    # a proxy: the response to a plain request is the result.
    if transfer.can_resume and headers.get("etag", "").strip().removeprefix("W/") != transfer.etag:
        raise changed()
    length = headers.get("content-length", "")
    return Transfer(
        total=int(length) if _DIGITS.match(length) else None,
        # RFC 9110 section 15.3.4: 203 is a 200 that a proxy has changed, and no part of another response.
        etag=_etag(headers) if status_code == 200 else None,
        encoding=_encoding(headers, keeps_encoded=keeps_encoded),
        digests=promised_digests(headers),
        content_type=headers.get("content-type"),
        self_delimiting=bool(_DIGITS.match(length)) or "transfer-encoding" in headers,
    )


_DIGITS = re.compile(r"[0-9]{1,18}\Z", re.ASCII)
_CONTENT_RANGE = re.compile(
    r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})\Z", re.ASCII | re.IGNORECASE
)


def _continued(transfer: Transfer, headers: Mapping[str, str]) -> Transfer:
    return replace(
        transfer, total=check_part(transfer, headers, (transfer.received, transfer.gap_ends))
    )


def check_part(
    transfer: Transfer, headers: Mapping[str, str], wanted: tuple[int, int | None]
) -> int:
    """Returns the size of the result, after checking that a response is the wanted part of it.

    `wanted`: its first offset, and its end (`None`: the end of the result). RFC 9110 section 15.3.7:
    parts are combined only if validator, offset and size agree. Raises `TransferError`.
    """
    if _etag(headers) != transfer.etag:
        raise changed()
    match = _CONTENT_RANGE.match(headers.get("content-range", "").strip())
    if match is None or _encoding(headers) is not None:
        raise interrupted("the store sent something other than the requested range")
    start, end, total = (int(number) for number in match.groups())
    if transfer.total is not None and total != transfer.total:
        raise changed()
    if (start, end + 1) != (wanted[0], total if wanted[1] is None else wanted[1]):
        raise interrupted("the store sent a range other than the requested one")
    return total


def refused(
    status_code: int,
    headers: Mapping[str, str],
    excerpt: str,
    *,
    source: Source,
    now: float,
    resilience: Resilience,
    secrets: Iterable[str] = (),
) -> TransferError:
    """Returns the error for an error status. `secrets`: those of the URLs that it redirected to."""
    # Some stores repeat the request in their errors.
    words = clean(redact_message(excerpt, [*secrets_of(source.url), *secrets], is_cut=True))
    text = f"the store returned {status_code}" + (f": {words}" if words else "")
    if status_code in {412, 416}:
        return changed()
    if status_code in {400, 401, 403, 404, 410}:
        # RFC 9110 section 6.6.1: the clock of the store, which decides.
        store_now = http_date(headers.get("date", ""))
        expired = source.has_expired(now if store_now is None else store_now)
        if expired or "expired" in words.lower():
            return TransferError(Problem.EXPIRED, text, Failure(Outcome.PERMANENT))
        again = (
            Outcome.AMBIGUOUS
            if now < source.fresh_until and status_code in {403, 404}
            else Outcome.PERMANENT
        )
        failure = Failure(again)
    else:
        failure = status_failure(status_code, retry_after(headers, now), resilience)
    return TransferError(Problem.REFUSED, text, failure, status_code=status_code)


def check_whole(transfer: Transfer, hashes: Mapping[str, bytes]) -> None:
    """Raises `TransferError` if the received bytes are not those that were announced.

    `hashes`: those of the raw bytes, by hashlib's names.
    """
    if transfer.total is not None and transfer.received < transfer.total:
        raise interrupted(f"only {transfer.received} of {transfer.total} bytes arrived")
    if transfer.total is not None and transfer.received > transfer.total:
        raise broken(f"{transfer.received} bytes arrived, but {transfer.total} were announced")
    for name, promised in transfer.digests.items():
        if hashes[name] != promised:
            raise broken(f"its {name} digest does not match the one that the store sent")


def may_refuse_ranges(error: TransferError) -> bool:
    """Returns whether an error may mean that the store rejects ranges, and would send the whole file."""
    final = error.failure.outcome is Outcome.PERMANENT
    return error.status_code is not None and (final or error.status_code == 501)


def is_due(transfer: Transfer, kept: int, seconds: float) -> bool:
    """Returns whether to make durable what was received since `kept` bytes, `seconds` ago.

    That is done rarely, because it waits for the disk.
    """
    new = transfer.arrived - kept
    return transfer.can_resume and (
        new >= KEPT_EVERY or (new >= WORTH_KEEPING and seconds >= KEPT_AFTER)
    )


def is_worth_keeping(transfer: Transfer, error: BaseException) -> bool:
    """Returns whether to keep what was received before this error, for another download to resume."""
    if not transfer.can_resume or transfer.arrived < WORTH_KEEPING:
        return False
    if isinstance(error, TransferError):
        return error.problem is not Problem.EXPIRED
    # Ctrl-C, a cancellation, an error of a callback: it may be resumed. A full disk is not filled further.
    return not isinstance(error, OSError)


def _etag(headers: Mapping[str, str]) -> str | None:
    """Returns a strong ETag (RFC 9110 section 8.8.1). A weak one does not promise the same bytes."""
    etag = headers.get("etag", "").strip()
    return etag if is_strong(etag) else None


def is_strong(etag: str) -> bool:
    """Returns whether it is one strong ETag, of characters that a header can contain."""
    return _STRONG.match(etag) is not None


# RFC 9110 section 8.8.3, without obs-text.
_STRONG = re.compile(r'"[\x21\x23-\x7e]+"\Z', re.ASCII)


def _encoding(headers: Mapping[str, str], *, keeps_encoded: bool = False) -> str | None:
    try:
        return encoding_of(headers.get("content-encoding", ""))
    except ValueError as error:
        if keeps_encoded:
            return KEPT
        words = f"{error}, which is not supported: runs.download saves the result as it is"
        raise TransferError(Problem.BROKEN, words, Failure(Outcome.PERMANENT)) from None
