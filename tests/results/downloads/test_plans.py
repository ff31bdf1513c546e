"""Random plans of faults: a download ends with the exact bytes, or with a typed error and the old file.

`PLAN_SEED=123` runs one plan alone, `PLAN_SEED=1000-1999` so many.
"""

from __future__ import annotations

import os
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from dcipher import Resilience, ResultError
from tests.results.downloads.plan_faults import complains, moved, unasked
from tests.results.downloads.plan_runner import check, download
from tests.results.downloads.plan_seeds import plan_of
from tests.results.downloads.plan_store import Answer, PlanStore
from tests.results.downloads.plans import Fault, Plan, Version
from tests.results.downloads.stores import BODY, MIB, result_of, store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Connect
    from tests.faulty import After, FaultyServer
    from tests.results.downloads.plans import Kind

FEW, ALL = 60, 500
"""Plans that every Python runs, and that one does."""


@pytest.fixture(scope="module")
def plans() -> Iterator[PlanStore]:
    """A store for all plans."""
    with PlanStore() as running:
        yield running


def _seeds() -> list[Any]:
    first, _, last = os.environ.get("PLAN_SEED", "").partition("-")
    if first:
        return [*range(int(first), int(last or first) + 1)]
    rest = [pytest.param(seed, marks=pytest.mark.thorough) for seed in range(FEW, ALL)]
    return [*range(FEW), *rest]


@pytest.mark.parametrize("seed", _seeds())
def test_a_plan_of_faults(plans: PlanStore, seed: int) -> None:
    """Exact bytes or a typed error, the old file intact, no debris, no secret, no wrong refusal."""
    check(plan_of(seed), plans)


@pytest.mark.parametrize("kind", ["sync", "async", "async through a client of the user's"])
@pytest.mark.parametrize("seed", range(8))
def test_the_same_plan_on_each_client(plans: PlanStore, seed: int, kind: Kind) -> None:
    """A plan ends well in each of the three ways of a download."""
    check(plan_of(seed, kind=kind), plans)


@pytest.mark.thorough
@pytest.mark.parametrize("seed", [11, 30, 125])
def test_a_plan_with_a_large_object(plans: PlanStore, seed: int) -> None:
    """64 MiB and a byte are as safe as a few."""
    plan = plan_of(seed)
    version = replace(plan.version, size=64 * 1024 * 1024 + 1, encoding=None)
    check(replace(plan, version=version), plans)


CALM = Plan(
    seed=500,
    kind="sync",
    version=Version(size=5000, seed=1, etag='"1"'),
    faults=(),
    never_honest=False,
    framing="length",
    ranges=True,
    conditional=True,
    fresh=False,
    require_integrity=False,
    max_retries=1,
    old=b"old",
)


def test_an_answer_that_nobody_asked_for(plans: PlanStore) -> None:
    """What came before a request was sent is not the answer to it."""
    seeds = random.Random(1)  # noqa: S311 - no secret
    check(replace(CALM, faults=(unasked(seeds, CALM.version),)), plans)


def test_a_store_that_repeats_the_signature_of_a_redirect(plans: PlanStore) -> None:
    """The signature of the place that a redirect leads to is a secret, too."""
    seeds = random.Random(1)  # noqa: S311 - no secret
    repeats = Fault("403", lambda question, _: complains(question, 403), final=True)
    check(replace(CALM, faults=(moved(seeds, CALM.version), repeats)), plans)


def test_a_gzip_that_is_cut_before_its_first_byte(plans: PlanStore) -> None:
    """A body that ends with the connection, and is to be a gzip, is not whole before it begins."""
    nothing = Answer(200, (("Content-Encoding", "gzip"),), framing="close")
    fault = Fault("an empty gzip", lambda _, __: nothing)
    check(replace(CALM, faults=(fault,)), plans)


def test_an_answer_that_is_not_http_1(plans: PlanStore) -> None:
    """RFC 9112 section 2.3: an answer in a version that nobody knows is none."""
    future = Answer(raw=b"HTTP/9.9 200 OK\r\n\r\n", after="close")
    check(replace(CALM, faults=(Fault("HTTP/9.9", lambda _, __: future),)), plans)


LARGE = replace(CALM, version=Version(size=3 * MIB, seed=1, etag='"1"'))
"""What is cut after half of it is worth keeping, and more attempts."""


def _half(after: After = "close") -> Fault:
    return Fault("half of it", lambda _, honest: replace(honest, cut=0.5, after=after))


def test_progress_does_not_overrule_retry_after(plans: PlanStore) -> None:
    """A store that asks for an hour is not asked again at once, however much it brought before."""
    hour = Answer(503, (("Retry-After", "3600"),))
    wait = Fault("503 for an hour", lambda _, __: hour, final=True, error="ResultError")
    check(replace(LARGE, faults=(_half(), wait), max_retries=3), plans)


def test_progress_does_not_put_off_the_deadline(
    connect: Connect, server: FaultyServer, target: Path
) -> None:
    """`deadline` is how long a call may take with all its retries, however much they bring."""
    part = store(BODY * 4, cut=MIB + MIB // 4)
    server.on("/result", lambda request: replace(part(request), delay=0.15))
    client = connect(
        server, resilience=Resilience(max_retries=2, backoff_initial=0.01, deadline=0.4)
    )
    with pytest.raises(ResultError):
        client.runs.download(result_of(server), target)


def test_what_was_kept_makes_nothing_worse(plans: PlanStore, tmp_path: Path) -> None:
    """Where the object has changed since, what was kept of it costs no attempt of the next download."""
    change = Fault(
        "another version", lambda _, honest: honest, change=lambda v: replace(v, seed=2, etag='"2"')
    )
    visit = plans.visit(replace(LARGE, faults=(_half(), change), max_retries=0))
    with pytest.raises(ResultError, match="kept"):
        download(visit, tmp_path / "result.bin", 10.0)
    download(visit, tmp_path / "result.bin", 10.0)
    assert (tmp_path / "result.bin").read_bytes() == visit.version.content
