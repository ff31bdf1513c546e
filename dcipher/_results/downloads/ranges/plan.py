"""Plans the download of one large result by several connections, and checks their responses.

A range is a pair of offsets, the second one beyond its last byte.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, TypeAlias

from dcipher._results.downloads.transfers.sources import Problem, TransferError
from dcipher._results.downloads.transfers.transfer import check_part, headers_for
from dcipher._wire.retries import Failure, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dcipher._results.downloads.transfers.transfer import Transfer

__all__ = [
    "Claim",
    "Pace",
    "Range",
    "Scheduler",
    "can_be_split",
    "check_range",
    "gaps_of",
    "merged",
    "most_severe",
    "range_headers",
    "split",
    "with_ranges",
]

Range: TypeAlias = "tuple[int, int]"

LARGE = 64 * 1024 * 1024
"""Bytes up to which a result is downloaded by one connection."""
LEAST = 4 * 1024 * 1024
"""Bytes of the smallest range: only one of at least twice the size is split."""
FAST = 256 * 1024 * 1024
"""Bytes a second from which a connection is fast enough: it is not the bottleneck."""
WINDOW = 0.1
"""Seconds for which the rate of a connection is measured."""
STALL_TIMEOUT = 2.0
"""Seconds without a byte after which a range is requested by another connection, too."""


def merged(ranges: Iterable[Range]) -> tuple[Range, ...]:
    """Returns the same bytes as the fewest ranges, in ascending order."""
    found: list[Range] = []
    for start, end in sorted(r for r in ranges if r[0] < r[1]):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return tuple(found)


def gaps_of(done: Iterable[Range], total: int) -> list[Range]:
    """Returns the ranges of `total` bytes that are missing from `done`."""
    gaps: list[Range] = []
    position = 0
    for start, end in merged(done):
        if position < start:
            gaps.append((position, start))
        position = max(position, end)
    return [*gaps, (position, total)] if position < total else gaps


def split(gaps: Iterable[Range], count: int) -> list[Range]:
    """Returns the same bytes as enough ranges for `count` connections, of about equal size."""
    gaps = list(gaps)
    share = max(LEAST, -(-sum(end - start for start, end in gaps) // count))
    return [
        (position, min(position + share, end))
        for start, end in gaps
        for position in range(start, end, share)
    ]


def with_ranges(transfer: Transfer, done: Iterable[Range]) -> Transfer:
    """Returns the transfer with these ranges in its file, too."""
    (_, received), *parts = merged([(0, transfer.received), *transfer.parts, *done])
    return replace(transfer, received=received, parts=tuple(parts))


def can_be_split(transfer: Transfer, status_code: int, headers: Mapping[str, str]) -> bool:
    """Returns whether several connections may download what this response begins."""
    knows_ranges = status_code == 206 or "bytes" in [
        unit.strip().lower() for unit in headers.get("accept-ranges", "").split(",")
    ]
    return (
        knows_ranges
        and transfer.total is not None
        and transfer.total > LARGE
        and transfer.total - transfer.arrived >= 2 * LEAST
        and transfer.etag is not None
        and transfer.encoding is None
    )


def range_headers(transfer: Transfer, wanted: Range) -> dict[str, str]:
    """Returns the headers of a GET for one range of the same object."""
    # Those of a transfer that resumes there, up to the next existing part.
    return headers_for(replace(transfer, received=wanted[0], parts=((wanted[1], wanted[1] + 1),)))


def check_range(
    transfer: Transfer, wanted: Range, status_code: int, headers: Mapping[str, str]
) -> None:
    """Raises `TransferError` if the response is not this range of this object.

    This ends one connection only: a store that refuses this range may serve the others.
    """
    if status_code != 206:
        raise _refused(f"the store returned {status_code} for a range")
    length = headers.get("content-length")
    if length is not None and length != str(wanted[1] - wanted[0]):
        raise _refused("the store sent a range with the wrong length")
    try:
        check_part(transfer, headers, wanted)
    except TransferError as error:
        if error.problem is Problem.CHANGED:
            raise
        raise _refused(str(error)) from None


def _refused(message: str) -> TransferError:
    return TransferError(Problem.REFUSED, message, Failure(Outcome.PERMANENT))


_BY_WEIGHT: Final = (Problem.CHANGED, Problem.EXPIRED, Problem.INTERRUPTED, Problem.BROKEN)


def most_severe(errors: Iterable[TransferError]) -> TransferError:
    """Returns the error to report after all connections have failed.

    An error that makes the existing bytes useless takes precedence over one that a retry may fix.
    """
    order = {problem: rank for rank, problem in enumerate(_BY_WEIGHT)}
    return min(errors, key=lambda error: order.get(error.problem, len(order)))


class Pace:
    """Measures whether a connection is the bottleneck of a transfer."""

    def __init__(self, now: float) -> None:
        self._since = now
        self._size = 0

    def is_slow(self, size: int, now: float) -> bool:
        """Returns whether the connection, with `size` more bytes, was slow in the last window."""
        self._size += size
        seconds = now - self._since
        if seconds < WINDOW:
            return False
        slow = self._size < FAST * seconds
        self._since, self._size = now, 0
        return slow


@dataclass(eq=False)
class Claim:
    """The range of one connection: from `position`, which moves, to `end`, which others may move."""

    start: int
    end: int
    since: float
    """When its last byte was received, by the monotonic clock."""
    position: int = 0
    existing_until: int = 0
    """Offset up to which the bytes existed already: they are skipped, not written twice."""
    is_duplicated: bool = False
    """Whether another connection fetches the same range, because this one is stalled."""

    def __post_init__(self) -> None:
        self.position = self.start

    @property
    def left(self) -> int:
        """Bytes still to be received."""
        return max(0, self.end - self.position)


class Scheduler:
    """Assigns ranges to connections: an equal part each, later half of the largest one left.

    Requests are few and early: a signed URL may expire, which does not affect a connection that
    has its response.
    """

    def __init__(self, transfer: Transfer, connections: int) -> None:
        self._total = transfer.total or 0
        self._done = merged([(0, transfer.received), *transfer.parts])
        self._free = split(gaps_of(self._done, self._total), connections)
        self._active: list[Claim] = []

    @property
    def done(self) -> tuple[Range, ...]:
        """The ranges in the file."""
        return merged([*self._done, *((claim.start, claim.position) for claim in self._active)])

    @property
    def settled(self) -> int:
        """The offset up to which nothing is being written."""
        return min([claim.position for claim in self._active], default=self._total)

    @property
    def is_complete(self) -> bool:
        """Whether all bytes are in the file."""
        return not gaps_of(self.done, self._total)

    def claim(self, now: float) -> Claim | None:
        """Returns the next range for an idle connection; `None`: nothing for now."""
        wanted = self._wanted(now)
        if wanted is None:
            return None
        claim = Claim(*wanted, since=now)
        self._active.append(claim)
        return claim

    def _wanted(self, now: float) -> Range | None:
        if self._free:
            return self._free.pop(0)
        slowest = max(self._active, key=lambda claim: claim.left, default=None)
        if slowest is not None and slowest.left >= 2 * LEAST:
            end, slowest.end = slowest.end, slowest.end - slowest.left // 2
            return slowest.end, end
        for claim in self._active:
            if self._is_stalled(claim, now):
                claim.is_duplicated = True
                return claim.position, claim.end
        return None

    def extend(self, claim: Claim, until: int, now: float, *, is_last: bool) -> bool:
        """Extends a fetched claim, because the same response continues up to `until`; returns whether it could.

        It can if the following range is unclaimed or stalled. `is_last`: this is the last
        connection, so it may also skip existing bytes to reach the next gap.
        """
        for gap in self._free:
            if gap[0] == claim.end < until or (is_last and claim.end < gap[0] < until):
                self._free.remove(gap)
                claim.existing_until = next(
                    end for start, end in self.done if start <= claim.start < end
                )
                claim.end = min(gap[1], until)
                if claim.end < gap[1]:
                    self._free.append((claim.end, gap[1]))
                    self._free.sort()
                return True
        for other in self._active:
            if other.position == claim.end < until and self._is_stalled(other, now):
                other.is_duplicated = True
                claim.end = min(other.end, until)
                return True
        return False

    def all_have_data(self, now: float) -> bool:
        """Returns whether each connection has received data, or is stalled."""
        return not any(
            claim.position == claim.start and now - claim.since < STALL_TIMEOUT
            for claim in self._active
        )

    def _is_stalled(self, claim: Claim, now: float) -> bool:
        return bool(claim.left) and not claim.is_duplicated and now - claim.since >= STALL_TIMEOUT

    def release(self, claim: Claim) -> None:
        """Ends a claim; the rest of it can be claimed again."""
        self._active.remove(claim)
        self._done = merged([*self._done, (claim.start, claim.position)])
        if claim.left:
            self._free = sorted([*self._free, (claim.position, claim.end)])
