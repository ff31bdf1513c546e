"""The sidecar beside an unfinished file: used only if it is complete and matches."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcipher._results.downloads.files.sidecar import dump_sidecar, load_sidecar
from dcipher._results.downloads.transfers.sources import Problem, TransferError
from dcipher._results.downloads.transfers.transfer import Transfer, is_due, is_worth_keeping
from dcipher._wire.retries import Failure, Outcome

MIB = 1024 * 1024
SHA = hashlib.sha256(b"x").digest()
HALF = Transfer(
    received=500, total=1000, etag='"1"', digests={"sha256": SHA}, content_type="text/csv"
)


def altered(**more: Any) -> bytes:
    return json.dumps({**json.loads(dump_sidecar(HALF, "me")), **more}).encode()


def test_a_sidecar_is_restored() -> None:
    """The recorded state is resumed."""
    assert load_sidecar(dump_sidecar(HALF, "me"), "me", 500) == HALF


def test_unsynced_bytes() -> None:
    """Bytes beyond the recorded ones are not counted."""
    assert load_sidecar(dump_sidecar(HALF, "me"), "me", 777).received == 500


def test_the_last_byte_of_a_complete_file_is_requested() -> None:
    """The response shows whether the store still has the same object."""
    whole = Transfer(received=1000, total=1000, etag='"1"')
    assert load_sidecar(dump_sidecar(whole, "me"), "me", 1000).received == 999


def test_without_a_total() -> None:
    """A transfer of unknown length is resumed."""
    unknown = Transfer(received=1000, etag='"1"')
    assert load_sidecar(dump_sidecar(unknown, "me"), "me", 1000) == unknown


@pytest.mark.parametrize(
    "sidecar",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"{" * 100_000,
        b"\xff\xfe",
        dump_sidecar(HALF, "me")[:-1],
        altered(version=3),
        altered(identity="another"),
        altered(received=0),
        altered(received=-1),
        altered(received=501),
        altered(received=True),
        altered(received="500"),
        altered(received=1e400),
        altered(total=499),
        altered(total=-1),
        altered(etag=None),
        altered(etag='W/"1"'),
        altered(etag='""'),
        altered(digests=None),
        altered(digests={"sha256": "00"}),
        altered(digests={"sha256": "zz"}),
        altered(digests={"no such": "00"}),
        altered(digests={"sha256": None}),
        altered(content_type=7),
    ],
)
def test_a_mismatching_sidecar(sidecar: bytes) -> None:
    """A sidecar that is damaged, of another result, or of more bytes than exist, starts a new transfer."""
    assert load_sidecar(sidecar, "me", 500) == Transfer()


def test_a_result_of_one_byte() -> None:
    """Without its last byte, it has nothing to resume."""
    one = Transfer(received=1, total=1, etag='"1"')
    assert load_sidecar(dump_sidecar(one, "me"), "me", 1) == Transfer()


@given(st.binary(max_size=200))
def test_any_bytes(sidecar: bytes) -> None:
    """Any content is a transfer that matches the file."""
    assert load_sidecar(sidecar, "me", 10).received <= 10


def stopped(problem: Problem) -> TransferError:
    return TransferError(problem, "…", Failure(Outcome.PERMANENT))


@pytest.mark.parametrize(
    ("error", "kept"),
    [
        (stopped(Problem.INTERRUPTED), True),
        (stopped(Problem.REFUSED), True),
        (stopped(Problem.EXPIRED), False),
        (KeyboardInterrupt(), True),
        (ValueError("of a callback"), True),
        (OSError("full"), False),
    ],
)
def test_parts_that_are_kept(error: BaseException, kept: bool) -> None:
    """A part is kept, unless its URL has expired, or the disk is full."""
    assert is_worth_keeping(Transfer(received=2 * MIB, etag='"1"'), error) is kept


@pytest.mark.parametrize(
    "transfer",
    [
        Transfer(received=2 * MIB),
        Transfer(received=2 * MIB, etag='"1"', encoding="gzip"),
        Transfer(received=MIB - 1, etag='"1"'),
    ],
)
def test_parts_that_are_not_kept(transfer: Transfer) -> None:
    """Without a validator, decoded, or small: nothing is kept."""
    assert not is_worth_keeping(transfer, KeyboardInterrupt())


@pytest.mark.parametrize(
    ("new", "seconds", "due"),
    [
        (256 * MIB, 0.0, True),
        (256 * MIB - 1, 2.9, False),
        (MIB, 3.0, True),
        (MIB - 1, 1000.0, False),
    ],
)
def test_when_the_sidecar_is_written(new: int, seconds: float, due: bool) -> None:
    """Every 256 MiB, or every three seconds after at least a megabyte."""
    transfer = Transfer(received=5 * MIB + new, etag='"1"')
    assert is_due(transfer, 5 * MIB, seconds) is due


def test_no_sidecar_without_a_validator() -> None:
    """Without a validator, there is no state to record."""
    assert not is_due(Transfer(received=1000 * MIB), 0, 1000.0)
