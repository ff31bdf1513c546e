"""The oracle of the plans can fail: downloaders that break one promise each are caught."""

from __future__ import annotations

import random
import re
from contextlib import closing, suppress
from dataclasses import replace
from http.client import HTTPConnection, HTTPException, IncompleteRead
from typing import TYPE_CHECKING, NamedTuple

import pytest

from dcipher import ResultError
from tests.results.downloads.plan_oracle import WrongError
from tests.results.downloads.plan_runner import check, download
from tests.results.downloads.plan_seeds import plan_of
from tests.results.downloads.plan_store import PlanStore
from tests.results.downloads.stores import run_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.results.downloads.plan_store import Visit

BROKEN = (HTTPException, OSError, ValueError)
"""What http.client raises for a bad answer."""
ENOUGH = 150
"""Seeds within which every careless downloader is caught."""


@pytest.fixture(scope="module")
def plans() -> Iterator[PlanStore]:
    with PlanStore() as running:
        yield running


def _failed(visit: Visit, message: str = "It could not be fetched.") -> ResultError:
    return ResultError(message, run=run_at(visit.result), output_index=0)


def _get(visit: Visit, headers: dict[str, str], body: bytearray) -> int:
    """The status of one answer; what comes of its body is appended, however it ends."""
    # Not httpx, which would tell the URL to every log.
    host, _, target = visit.result.removeprefix("http://").partition("/")
    with closing(HTTPConnection(host, timeout=1.0)) as connection:
        connection.request("GET", f"/{target}", headers={"Accept-Encoding": "identity", **headers})
        response = connection.getresponse()
        while chunk := response.read(65536):
            body += chunk
        if response.length:
            raise IncompleteRead(b"", response.length)
        return response.status


def _attempts(visit: Visit) -> range:
    return range(visit.plan.max_retries + 1)


def pastes(visit: Visit, target: Path, _: float) -> None:
    """Asks for the rest, and appends whatever comes."""
    body = bytearray()
    headers: dict[str, str] = {}
    for _attempt in _attempts(visit):
        with suppress(*BROKEN):
            if _get(visit, headers, body) in {200, 206}:
                target.write_bytes(body)
                return
        if body and visit.version.resumable:
            headers = {"Range": f"bytes={len(body)}-", "If-Match": visit.version.etag or ""}
    raise _failed(visit)


def leaves_half(visit: Visit, target: Path, _: float) -> None:
    """Writes into the target itself."""
    for _attempt in _attempts(visit):
        body = bytearray()
        with suppress(*BROKEN):
            if _get(visit, {}, body) == 200:
                target.write_bytes(body)
                return
        if body:
            target.write_bytes(body)
    raise _failed(visit)


def takes_the_end_for_the_end(visit: Visit, target: Path, _: float) -> None:
    """Takes a lost connection for the end of the body."""
    body = bytearray()
    with suppress(*BROKEN):
        _get(visit, {}, body)
    if not body:
        raise _failed(visit)
    target.write_bytes(body)


def lets_errors_through(visit: Visit, target: Path, _: float) -> None:
    """Raises what its library raises."""
    body = bytearray()
    if _get(visit, {}, body) != 200:
        raise _failed(visit)
    target.write_bytes(body)


def gives_up(visit: Visit, _: Path, __: float) -> None:
    """Does not try again."""
    raise _failed(visit)


def never_gives_up(visit: Visit, target: Path, _: float) -> None:
    """Asks again without end, as good as."""
    for _attempt in range(60):
        body = bytearray()
        with suppress(*BROKEN):
            if _get(visit, {}, body) == 200:
                target.write_bytes(body)
                return
    raise _failed(visit)


def talks(visit: Visit, _: Path, __: float) -> None:
    """Says what it was asked to fetch."""
    raise _failed(visit, f"{visit.result} could not be fetched.")


def litters(visit: Visit, target: Path, patience: float) -> None:
    """Leaves a temporary file behind."""
    download(visit, target, patience)
    target.with_name("left-over").touch()


def keeps_nothing(visit: Visit, target: Path, patience: float) -> None:
    """Removes the old file first."""
    target.unlink(missing_ok=True)
    download(visit, target, patience)


def looks_at_no_digest(visit: Visit, target: Path, _: float) -> None:
    """Saves what is whole by its length."""
    body = bytearray()
    with suppress(*BROKEN):
        if _get(visit, {}, body) == 200:
            target.write_bytes(body)
            return
    raise _failed(visit)


class Careless(NamedTuple):
    """A downloader, and what the oracle says of it."""

    by: Callable[[Visit, Path, float], None]
    verdict: str


CARELESS = [
    Careless(pastes, "bytes were saved|is not that of"),
    Careless(leaves_half, "the target was .* and is .* after ResultError"),
    Careless(takes_the_end_for_the_end, "which is not the end"),
    Careless(lets_errors_through, "not an error of ours"),
    Careless(gives_up, "refused, although the retries are enough"),
    Careless(never_gives_up, "requests where .* are enough|more requests after"),
    Careless(talks, "a secret is in"),
    Careless(litters, "in the folder"),
    Careless(keeps_nothing, "the target was .* and is not there"),
    Careless(looks_at_no_digest, "saved against the .* that was promised"),
]


@pytest.mark.parametrize("careless", CARELESS, ids=lambda careless: careless.by.__name__)
def test_a_careless_downloader_is_caught(plans: PlanStore, careless: Careless) -> None:
    """A downloader that breaks one promise is caught by a plan, and for that promise."""
    seeds = random.Random(1).sample(range(1000), ENOUGH)  # noqa: S311 - no secret
    assert any(_verdict(plans, seed, careless.by, careless.verdict) for seed in seeds)


def _verdict(
    plans: PlanStore, seed: int, by: Callable[[Visit, Path, float], None], pattern: str
) -> bool:
    plan = plan_of(seed)
    if plan.slow or plan.version.size > 10**6:
        return False
    try:
        check(replace(plan, rounds=1), plans, by)
    except WrongError as error:
        first = str(error).partition("\nPLAN_SEED")[0]
        return re.search(pattern, first) is not None
    return False
