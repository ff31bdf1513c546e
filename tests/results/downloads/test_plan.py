"""One large result by several connections: the rules, without a connection."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcipher._results.downloads.files.sidecar import dump_sidecar, load_sidecar
from dcipher._results.downloads.ranges import plan as ranges
from dcipher._results.downloads.ranges.plan import (
    Claim,
    Pace,
    Scheduler,
    can_be_split,
    check_range,
    gaps_of,
    merged,
    most_severe,
    range_headers,
    split,
    with_ranges,
)
from dcipher._results.downloads.transfers.sources import Problem, TransferError
from dcipher._results.downloads.transfers.transfer import Transfer, headers_for
from dcipher._wire.retries import Failure, Outcome

if TYPE_CHECKING:
    from dcipher._results.downloads.ranges.plan import Range

MIB = 1024 * 1024
WHOLE = Transfer(received=1 * MIB, total=100 * MIB, etag='"1"')
RANGES = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=8)


def bytes_of(found: Any) -> set[int]:
    return {place for start, end in found for place in range(start, end)}


@given(RANGES)
def test_united(found: list[Range]) -> None:
    """The same bytes, in order, with a gap between any two ranges."""
    one = merged(found)
    assert bytes_of(one) == bytes_of(found)
    assert all(a[1] < b[0] for a, b in pairwise(one))


@given(RANGES, st.integers(60, 70))
def test_missing(found: list[Range], total: int) -> None:
    """The received and the missing ranges are everything, and do not overlap."""
    assert bytes_of(gaps_of(found, total)) == set(range(total)) - bytes_of(found)


@given(RANGES, st.integers(1, 9))
def test_split(found: list[Range], count: int) -> None:
    """Splitting loses nothing, and each connection has a range if there is enough."""
    gaps = merged(found)
    shares = split([(a * MIB, b * MIB) for a, b in gaps], count)
    assert merged(shares) == tuple((a * MIB, b * MIB) for a, b in gaps)
    size = sum(b - a for a, b in gaps)
    assert len(shares) >= min(count, size * MIB // ranges.LEAST)
    assert len(shares) <= count + len(gaps)


def test_with_ranges() -> None:
    """Bytes from the beginning are received; a range beyond a gap is a part."""
    transfer = with_ranges(replace(WHOLE, parts=((10, 20),), received=5), [(5, 8), (30, 40)])
    assert (transfer.received, transfer.parts) == (8, ((10, 20), (30, 40)))
    assert transfer.arrived == 28
    assert with_ranges(transfer, [(8, 30)]).received == 40


@pytest.mark.parametrize(
    ("transfer", "status", "fields", "shared"),
    [
        (WHOLE, 200, {"accept-ranges": "bytes"}, True),
        (WHOLE, 200, {"accept-ranges": "items, Bytes"}, True),
        (WHOLE, 206, {}, True),
        (WHOLE, 200, {}, False),
        (WHOLE, 200, {"accept-ranges": "none"}, False),
        (replace(WHOLE, total=64 * MIB), 206, {}, False),
        (replace(WHOLE, total=64 * MIB + 1), 206, {}, True),
        (replace(WHOLE, total=None), 206, {}, False),
        (replace(WHOLE, etag=None), 206, {}, False),
        (replace(WHOLE, encoding="gzip"), 206, {}, False),
        (replace(WHOLE, received=93 * MIB), 206, {}, False),
    ],
)
def test_what_can_be_split(
    transfer: Transfer, status: int, fields: dict[str, str], shared: bool
) -> None:
    """Above 64 MiB, with a strong validator, unencoded, of a store that supports ranges."""
    assert can_be_split(transfer, status, fields) is shared


def test_the_request_for_a_range() -> None:
    """A range is requested by its offsets and the validator."""
    headers = range_headers(WHOLE, (2 * MIB, 3 * MIB))
    assert headers["Range"] == f"bytes={2 * MIB}-{3 * MIB - 1}"
    assert headers["If-Match"] == '"1"'
    assert headers["Accept-Encoding"] == "identity"


def test_the_request_for_a_gap() -> None:
    """One connection that resumes parts of several requests the bytes up to the next part."""
    assert headers_for(replace(WHOLE, received=5, parts=((10, 20),)))["Range"] == "bytes=5-9"
    assert headers_for(replace(WHOLE, received=5))["Range"] == "bytes=5-"


GOOD = {"etag": '"1"', "content-range": f"bytes 10-19/{100 * MIB}", "content-length": "10"}


def test_a_valid_range() -> None:
    """The requested range, of the same object."""
    check_range(WHOLE, (10, 20), 206, GOOD)
    check_range(WHOLE, (10, 20), 206, {k: v for k, v in GOOD.items() if k != "content-length"})


@pytest.mark.parametrize(
    ("status", "fields", "problem"),
    [
        (200, {}, Problem.REFUSED),
        (206, {"etag": '"2"'}, Problem.CHANGED),
        (206, {"etag": 'W/"1"'}, Problem.CHANGED),
        (206, {"content-range": "bytes 10-19/20"}, Problem.CHANGED),
        (206, {"content-range": f"bytes 10-18/{100 * MIB}"}, Problem.REFUSED),
        (206, {"content-range": f"bytes 10-20/{100 * MIB}"}, Problem.REFUSED),
        (206, {"content-range": f"bytes 9-19/{100 * MIB}"}, Problem.REFUSED),
        (206, {"content-range": "bytes 10-19/*"}, Problem.REFUSED),
        (206, {"content-range": ""}, Problem.REFUSED),
        (206, {"content-length": "11"}, Problem.REFUSED),
        (206, {"content-encoding": "gzip"}, Problem.REFUSED),
        (206, {"content-encoding": "no such"}, Problem.REFUSED),
    ],
)
def test_no_part(status: int, fields: dict[str, str], problem: Problem) -> None:
    """Another range, another object, another coding: never pasted together."""
    with pytest.raises(TransferError) as caught:
        check_range(WHOLE, (10, 20), status, {**GOOD, **fields})
    assert caught.value.problem is problem


def stopped(problem: Problem) -> TransferError:
    return TransferError(problem, problem.value, Failure(Outcome.PERMANENT))


def test_the_most_severe_error() -> None:
    """An error that makes the existing bytes useless takes precedence over one that a retry may fix."""
    order = [Problem.REFUSED, Problem.INTERRUPTED, Problem.EXPIRED, Problem.CHANGED]
    for place in range(1, 5):
        assert most_severe(map(stopped, order[:place])).problem is order[place - 1]


def test_pace() -> None:
    """A connection is slow when it brought too little of late; a quick beginning does not count for ever."""
    pace = Pace(now=0.0)
    assert not pace.is_slow(1, 0.09)
    assert not pace.is_slow(ranges.FAST, 0.5)
    assert not pace.is_slow(1, 0.55)
    assert pace.is_slow(1, 0.7)


def carried_out(scheduler: Scheduler, rng: random.Random) -> int:
    """Connections of every sort, until all is there; the number of claims."""
    active: dict[Claim, int] = {}
    """Each with the end of its answer."""
    claims = 0
    for now in range(100_000):
        if scheduler.is_complete:
            return claims
        if len(active) < 4 and (claim := scheduler.claim(float(now) / 10)) is not None:
            active[claim] = claim.end
            claims += 1
        for claim, until in list(active.items()):
            sort = rng.random()
            if sort < 0.01:  # it fails
                del active[claim]
                scheduler.release(claim)
            elif sort < 0.5:
                claim.position = min(claim.position + rng.randrange(1, 3 * MIB), until)
                claim.since = now / 10
                is_last = len(active) == 1
                while claim.position >= claim.end:
                    if not scheduler.extend(claim, until, now / 10, is_last=is_last):
                        scheduler.release(claim)
                        del active[claim]
                        break
    raise AssertionError("it never ends")


@pytest.mark.parametrize("seed", range(60))
def test_scheduler(seed: int) -> None:
    """With failing, stalled and fast connections, all is fetched, and no received byte is lost."""
    rng = random.Random(seed)  # noqa: S311 - no secret
    total = rng.randrange(20, 400) * MIB + rng.randrange(5)
    parts = merged(
        (start, start + rng.randrange(MIB, 9 * MIB))
        for start in rng.sample(range(2 * MIB, total - 10 * MIB), 3)
    )
    transfer = Transfer(received=rng.randrange(1, MIB), total=total, etag='"1"', parts=parts)
    scheduler = Scheduler(transfer, rng.randrange(1, 5))
    assert carried_out(scheduler, rng) < 200
    whole = with_ranges(transfer, scheduler.done)
    assert (whole.received, whole.parts, whole.arrived) == (total, (), total)


def test_as_few_requests_as_possible() -> None:
    """With connections of the same speed, each has one range, without another request."""
    scheduler = Scheduler(Transfer(received=1, total=400 * MIB + 1, etag='"1"'), 4)
    claims = [scheduler.claim(0.0) for _ in range(4)]
    sizes = {claim.left for claim in claims if claim is not None}
    assert sizes == {100 * MIB}


def test_the_slowest_is_helped() -> None:
    """An idle connection takes half of the largest remaining range."""
    scheduler = Scheduler(Transfer(received=1, total=80 * MIB + 1, etag='"1"'), 2)
    one, other = scheduler.claim(0.0), scheduler.claim(0.0)
    assert one is not None
    assert other is not None
    other.position = other.end
    scheduler.release(other)
    third = scheduler.claim(0.0)
    assert third is not None
    assert (one.left, third.left, third.start) == (20 * MIB, 20 * MIB, one.end)


def test_a_stalled_range_is_fetched_by_another() -> None:
    """A small range is requested once more if it is stalled, but not repeatedly at once."""
    scheduler = Scheduler(Transfer(received=1, total=MIB, etag='"1"'), 1)
    one = scheduler.claim(0.0)
    assert one is not None
    assert scheduler.claim(1.9) is None
    again = scheduler.claim(2.1)
    assert again is not None
    assert (again.start, again.end) == (one.start, one.end)
    assert scheduler.claim(4.0) is None
    again.position = again.end
    assert scheduler.is_complete


def test_the_last_connection_skips_existing_bytes() -> None:
    """The last connection continues its response over existing bytes to the next gap."""
    scheduler = Scheduler(Transfer(received=1, total=80 * MIB + 1, etag='"1"'), 2)
    one, other = scheduler.claim(0.0), scheduler.claim(0.0)
    assert one is not None
    assert other is not None
    other.position += MIB
    scheduler.release(other)
    one.position = one.end
    assert not scheduler.extend(one, 80 * MIB + 1, 0.0, is_last=False)
    assert scheduler.extend(one, 80 * MIB + 1, 0.0, is_last=True)
    assert one.end == 80 * MIB + 1


PARTS = Transfer(received=500, total=1000, etag='"1"', parts=((600, 700), (800, 1000)))


def test_a_sidecar_with_parts() -> None:
    """The recorded parts of several connections are resumed."""
    assert load_sidecar(dump_sidecar(PARTS, "me"), "me", 1000) == PARTS


def test_the_form_of_a_note() -> None:
    """A sidecar without parts is one that the version before understands; one with parts is not."""
    assert b"parts" not in dump_sidecar(replace(PARTS, parts=()), "me")
    assert b'"version":1' in dump_sidecar(replace(PARTS, parts=()), "me")
    assert b'"version":2' in dump_sidecar(PARTS, "me")


@pytest.mark.parametrize(
    "parts",
    [
        ((500, 600),),
        ((400, 600),),
        ((600, 600),),
        ((700, 600),),
        ((600, 700), (700, 800)),
        ((600, 1001),),
    ],
)
def test_a_note_of_parts_that_do_not_fit(parts: Any) -> None:
    """Parts that overlap, touch, or lie outside of the file start a new transfer."""
    assert load_sidecar(dump_sidecar(replace(PARTS, parts=parts), "me"), "me", 1000) == Transfer()


def test_a_note_of_more_than_there_is() -> None:
    """A part that the file is too short for was never synced."""
    assert load_sidecar(dump_sidecar(PARTS, "me"), "me", 999) == Transfer()


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"[600,700]", b"[600]"), (b"[600,700]", b"[600,700,800]"), (b"600", b'"600"'),
     (b'"version":2', b'"version":1'), (b'"total":1000', b'"total":null')],
)  # fmt: skip
def test_a_damaged_sidecar(old: bytes, new: bytes) -> None:
    """Any other content starts a new transfer."""
    sidecar = dump_sidecar(PARTS, "me")
    assert old in sidecar
    assert load_sidecar(sidecar.replace(old, new), "me", 1000) == Transfer()
