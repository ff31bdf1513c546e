"""One large result by several connections: who fetches which bytes, and what an answer must be.

A range is a pair of places, the second one beyond its last byte.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, TypeAlias

from dcipher._results.downloads.transfers.sources import Problem, TransferError
from dcipher._results.downloads.transfers.transfer import check_part, headers_for
from dcipher._wire.errors.retries import Failure, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dcipher._results.downloads.transfers.transfer import Transfer

__all__ = [
    "Claim",
    "Pace",
    "Range",
    "Shares",
    "can_be_shared",
    "divided",
    "fetched",
    "missing",
    "part_headers",
    "part_of",
    "united",
    "worst",
]

Range: TypeAlias = "tuple[int, int]"

LARGE = 64 * 1024 * 1024
"""Bytes: what is not larger comes by one connection."""
LEAST = 4 * 1024 * 1024
"""Bytes: what is not twice as much is not divided."""
FAST = 256 * 1024 * 1024
"""Bytes a second: a connection that brings as many is not helped, for it is not what holds it up."""
WINDOW = 0.1
"""Seconds for which its pace is measured."""
PATIENCE = 2.0
"""Seconds without a byte after which what a connection has to bring is asked of another one, too."""


def united(ranges: Iterable[Range]) -> tuple[Range, ...]:
    """The same bytes in as few ranges as can be, in their order."""
    found: list[Range] = []
    for start, end in sorted(r for r in ranges if r[0] < r[1]):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return tuple(found)


def missing(done: Iterable[Range], total: int) -> list[Range]:
    """What is left of so many bytes."""
    gaps: list[Range] = []
    place = 0
    for start, end in united(done):
        if place < start:
            gaps.append((place, start))
        place = max(place, end)
    return [*gaps, (place, total)] if place < total else gaps


def divided(gaps: Iterable[Range], count: int) -> list[Range]:
    """The same bytes in enough ranges for `count` connections, none much larger than their share."""
    gaps = list(gaps)
    share = max(LEAST, -(-sum(end - start for start, end in gaps) // count))
    return [
        (place, min(place + share, end))
        for start, end in gaps
        for place in range(start, end, share)
    ]


def fetched(transfer: Transfer, done: Iterable[Range]) -> Transfer:
    """The transfer with all these ranges in its file."""
    (_, received), *parts = united([(0, transfer.received), *transfer.parts, *done])
    return replace(transfer, received=received, parts=tuple(parts))


def can_be_shared(transfer: Transfer, status_code: int, headers: Mapping[str, str]) -> bool:
    """Whether others may help with what this answer is the beginning of."""
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


def part_headers(transfer: Transfer, wanted: Range) -> dict[str, str]:
    """The headers of a GET for one range of it, and of no other object."""
    # As of a transfer that goes on there, up to what it has already.
    return headers_for(replace(transfer, received=wanted[0], parts=((wanted[1], wanted[1] + 1),)))


def part_of(
    transfer: Transfer, wanted: Range, status_code: int, headers: Mapping[str, str]
) -> None:
    """Raises `TransferError` where the answer to that is not this range of this object.

    That is one connection's affair: a store that does not give this part may give the others.
    """
    if status_code != 206:
        raise _not_that(f"the store answered {status_code} to a request for a part")
    length = headers.get("content-length")
    if length is not None and length != str(wanted[1] - wanted[0]):
        raise _not_that("the store answered with a part of another length")
    try:
        check_part(transfer, headers, wanted)
    except TransferError as error:
        if error.problem is Problem.CHANGED:
            raise
        raise _not_that(str(error)) from None


def _not_that(message: str) -> TransferError:
    return TransferError(Problem.REFUSED, message, Failure(Outcome.PERMANENT))


_BY_WEIGHT: Final = (Problem.CHANGED, Problem.EXPIRED, Problem.INTERRUPTED, Problem.BROKEN)


def worst(errors: Iterable[TransferError]) -> TransferError:
    """What is said of a transfer that none of its connections goes on with.

    What makes all that is there useless, before what another attempt may mend.
    """
    order = {problem: place for place, problem in enumerate(_BY_WEIGHT)}
    return min(errors, key=lambda error: order.get(error.problem, len(order)))


class Pace:
    """Whether a connection is what a transfer waits for."""

    def __init__(self, now: float) -> None:
        self._since = now
        self._size = 0

    def is_slow(self, size: int, now: float) -> bool:
        """Whether, with `size` bytes more, it was slow of late."""
        self._size += size
        seconds = now - self._since
        if seconds < WINDOW:
            return False
        slow = self._size < FAST * seconds
        self._since, self._size = now, 0
        return slow


@dataclass(eq=False)
class Claim:
    """What one connection fetches: from `place`, which moves, to `end`, which others may move."""

    start: int
    end: int
    since: float
    """When its last byte came, by the monotonic clock."""
    place: int = 0
    there_until: int = 0
    """Before that, all was there when it was claimed: it is read over, not written twice."""
    is_doubled: bool = False
    """Whether another connection fetches the same, for this one has come to a standstill."""

    def __post_init__(self) -> None:
        self.place = self.start

    @property
    def left(self) -> int:
        """Bytes that are still to come."""
        return max(0, self.end - self.place)


class Shares:
    """Who fetches what: each its share, and then a half of what the slowest has left.

    As few requests as can be, and early: a signed URL may expire meanwhile, which a connection that
    was answered does not mind.
    """

    def __init__(self, transfer: Transfer, connections: int) -> None:
        self._total = transfer.total or 0
        self._done = united([(0, transfer.received), *transfer.parts])
        self._free = divided(missing(self._done, self._total), connections)
        self._active: list[Claim] = []

    @property
    def done(self) -> tuple[Range, ...]:
        """What is in the file."""
        return united([*self._done, *((claim.start, claim.place) for claim in self._active)])

    @property
    def settled(self) -> int:
        """Up to there, nobody writes any more."""
        return min([claim.place for claim in self._active], default=self._total)

    @property
    def is_complete(self) -> bool:
        """Whether that is everything."""
        return not missing(self.done, self._total)

    def claim(self, now: float) -> Claim | None:
        """What a connection that is idle fetches next; `None`: nothing for the moment."""
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
            if self._stands_still(claim, now):
                claim.is_doubled = True
                return claim.place, claim.end
        return None

    def extended(self, claim: Claim, until: int, now: float, *, alone: bool) -> bool:
        """Whether a connection whose claim is fetched goes on with the same answer, up to `until`.

        That is where nobody has claimed what follows, or nothing of it has come for long; or where
        `alone`, over what is there already: nobody else brings what is behind it.
        """
        for gap in self._free:
            if gap[0] == claim.end < until or (alone and claim.end < gap[0] < until):
                self._free.remove(gap)
                claim.there_until = next(
                    end for start, end in self.done if start <= claim.start < end
                )
                claim.end = min(gap[1], until)
                if claim.end < gap[1]:
                    self._free.append((claim.end, gap[1]))
                    self._free.sort()
                return True
        for other in self._active:
            if other.place == claim.end < until and self._stands_still(other, now):
                other.is_doubled = True
                claim.end = min(other.end, until)
                return True
        return False

    def are_answered(self, now: float) -> bool:
        """Whether each connection has got something, or nothing for so long that it is not waited for."""
        return not any(
            claim.place == claim.start and now - claim.since < PATIENCE for claim in self._active
        )

    def _stands_still(self, claim: Claim, now: float) -> bool:
        return bool(claim.left) and not claim.is_doubled and now - claim.since >= PATIENCE

    def release(self, claim: Claim) -> None:
        """What is left of a claim is free again."""
        self._active.remove(claim)
        self._done = united([*self._done, (claim.start, claim.place)])
        if claim.left:
            self._free = sorted([*self._free, (claim.place, claim.end)])
