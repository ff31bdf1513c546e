"""Rows in Spark: each has its result and was run once, also where a worker was killed."""

from __future__ import annotations

import os
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from .conftest import ROWS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dcipher import Partition
    from dcipher.emulator import Emulator

    from .conftest import Killer

sql: Any = pytest.importorskip("pyspark.sql", reason="nox -s engines installs Spark; it needs Java")


@pytest.fixture
def spark(service: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Two workers in this machine; a task that fails is tried four times."""
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    session = (
        sql.SparkSession.builder.master("local[2,4]")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.execution.arrow.maxRecordsPerBatch", "10")
        .getOrCreate()
    )
    yield session
    session.stop()


@pytest.mark.parametrize("kills", [False, True])
def test_map_in_pandas(
    spark: Any, killer: Killer, partition: Partition, is_whole: Callable[..., bool], *, kills: bool
) -> None:
    """`mapInPandas(partition.batches, partition.ddl)`, a worker killed in the middle."""
    pd = pytest.importorskip("pandas")
    if kills:
        pids = spark.sparkContext.parallelize(range(2), 2).map(lambda _: os.getpid()).collect()
        killer.pids = {*pids}
    frame = spark.createDataFrame(pd.DataFrame(ROWS)).repartition(2)
    done = frame.mapInPandas(partition.batches, partition.ddl).toPandas()
    assert is_whole(Counter(zip(done["key"], done["status"], strict=True)))
    assert (killer.killed is not None) is kills


def test_map_in_arrow(spark: Any, partition: Partition, is_whole: Callable[..., bool]) -> None:
    """`mapInArrow`, which passes record batches."""
    pd = pytest.importorskip("pandas")
    frame = spark.createDataFrame(pd.DataFrame(ROWS)).repartition(2)
    done = frame.mapInArrow(partition.batches, partition.ddl).toPandas()
    assert is_whole(Counter(zip(done["key"], done["status"], strict=True)))
