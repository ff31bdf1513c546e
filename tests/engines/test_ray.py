"""Rows in Ray: each has its result and was run once, also where a worker was killed."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from .conftest import ROWS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dcipher import Partition
    from dcipher.emulator import Emulator

    from .conftest import Killer

ray: Any = pytest.importorskip("ray", reason="nox -s engines installs Ray")


@pytest.fixture
def _ray(service: Emulator) -> Iterator[None]:
    variables = {name: value for name, value in os.environ.items() if name.startswith("DCIPHER_")}
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        runtime_env={"env_vars": variables},
    )
    yield
    ray.shutdown()


@pytest.mark.usefixtures("_ray")
@pytest.mark.parametrize("kills", [False, True])
def test_tasks(
    killer: Killer, partition: Partition, is_whole: Callable[..., bool], *, kills: bool
) -> None:
    """Tasks of `partition.rows`, a worker killed in the middle: Ray runs the task again, and it resumes."""
    if kills:
        # The workers that exist are those that the tasks get.
        pid = ray.remote(lambda: os.getpid())
        killer.pids = {*ray.get([pid.remote() for _ in range(8)])}
    task = ray.remote(max_retries=5)(lambda rows: partition.rows(rows))
    found = ray.get([task.remote(ROWS[first : first + 15]) for first in range(0, 60, 15)])
    assert is_whole(Counter((o.key, o.status) for outcomes in found for o in outcomes))
    assert (killer.killed is not None) is kills


@pytest.mark.usefixtures("_ray")
def test_a_dataset(partition: Partition, is_whole: Callable[..., bool]) -> None:
    """`map_batches(partition, batch_format="pandas")`, of pyarrow as well."""
    pd = pytest.importorskip("pandas")
    for form in ("pandas", "pyarrow"):
        frame = ray.data.from_pandas(pd.DataFrame(ROWS))
        done = frame.map_batches(partition, batch_format=form, batch_size=20).to_pandas()
        assert is_whole(Counter(zip(done["key"], done["status"], strict=True)))
