"""Rows in Dask: each has its result and was run once, also where a worker was killed."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from dcipher import Dcipher
from tests.conftest import KEY

from .conftest import ROWS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from dcipher import Partition
    from dcipher.emulator import Emulator

    from .conftest import Killer

distributed = pytest.importorskip("dask.distributed", reason="nox -s engines installs Dask")


@pytest.fixture
def dask(service: Emulator) -> Iterator[Any]:
    """Two processes; the environment of the test is theirs."""
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.mark.parametrize("kills", [False, True])
def test_an_executor(
    dask: Any,
    killer: Killer,
    service: Emulator,
    tmp_path: Path,
    is_whole: Callable[..., bool],
    *,
    kills: bool,
) -> None:
    """`flows.map(executor=client.get_executor())`, a worker killed in the middle: nothing lost or doubled."""
    if kills:
        killer.pids = {*dask.run(os.getpid).values()}
    with Dcipher(KEY, base_url=service.url) as client:
        batch = client.flows.map(
            "shout", ROWS, key="id", journal=tmp_path / "shards", read=dict[str, str],
            executor=dask.get_executor(), shard=15, in_flight=4,
        )  # fmt: skip
        found = [*batch]
    assert is_whole(Counter((outcome.key, outcome.status) for outcome in found))
    assert sorted(outcome.index for outcome in found) == [*range(len(ROWS))]
    assert (killer.killed is not None) is kills


@pytest.mark.parametrize("kills", [False, True])
def test_a_dataframe(
    dask: Any, killer: Killer, partition: Partition, is_whole: Callable[..., bool], *, kills: bool
) -> None:
    """`map_partitions(partition, meta=partition.meta)`."""
    pd = pytest.importorskip("pandas")
    dd = pytest.importorskip("dask.dataframe")
    if kills:
        killer.pids = {*dask.run(os.getpid).values()}
    frame = dd.from_pandas(pd.DataFrame(ROWS), npartitions=4)
    done = frame.map_partitions(partition, meta=partition.meta).compute()
    assert is_whole(Counter(zip(done["key"], done["status"], strict=True)))
    assert (killer.killed is not None) is kills
