"""A part of many rows, run by the workers of other libraries."""

from __future__ import annotations

import json
import pickle
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from dcipher import (
    BatchProgress,
    FlowCall,
    InvalidParamsError,
    JournalConflictError,
    MissingAPIKeyError,
    Partition,
    TooManyFailuresError,
)
from dcipher.emulator.faults import Drop
from tests.conftest import KEY
from tests.waiting import HANG

if TYPE_CHECKING:
    from pathlib import Path

    from dcipher.emulator import Emulator
    from tests.conftest import Connect

pytestmark = pytest.mark.usefixtures("_quick")


class Text(BaseModel):
    text: str


ROWS = [{"id": n, "text": f"t{n}"} for n in range(12)]


@pytest.fixture
def partition(
    connect: Connect, emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Partition:
    monkeypatch.setenv("DCIPHER_API_KEY", KEY)
    with connect(emulator) as client:
        found: Partition = client.flows.partition(
            "shout", key="id", journal=tmp_path / "journals", read=Text
        )
    return found


def parts() -> list[list[dict[str, Any]]]:
    return [ROWS[:4], ROWS[4:8], ROWS[8:]]


def test_it_pickles_without_the_key(partition: Partition) -> None:
    """It goes to a worker as a pickle, which has no key."""
    text = pickle.dumps(partition)
    assert KEY.encode() not in text
    assert pickle.loads(text) == partition  # noqa: S301 - our own


def test_in_threads(partition: Partition, emulator: Emulator) -> None:
    """Each part is a batch of its own; the outcomes come in the order of its rows."""
    with ThreadPoolExecutor(2) as pool:
        found = [outcome for part in pool.map(partition.rows, parts()) for outcome in part]
    assert [outcome.unwrap().text for outcome in found] == [f"T{n}" for n in range(12)]
    assert len(emulator.runs) == 12


def test_in_processes(partition: Partition, emulator: Emulator) -> None:
    """So it is in other processes, which make their own client."""
    from multiprocessing import get_context

    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        found = [outcome for part in pool.map(partition.rows, parts()[:2]) for outcome in part]
    assert [outcome.status for outcome in found] == ["done"] * 8
    assert len(emulator.runs) == 8


def test_a_part_that_is_executed_again(
    partition: Partition, emulator: Emulator, tmp_path: Path
) -> None:
    """A part that another worker executes again resumes from its journal, and without it starts nothing twice."""
    partition.rows(ROWS[:4])
    assert all(outcome.reused for outcome in pickle.loads(pickle.dumps(partition)).rows(ROWS[:4]))  # noqa: S301
    for file in (tmp_path / "journals").iterdir():
        file.unlink()
    again = partition.rows(ROWS[:4])
    assert [outcome.reused for outcome in again] == [False] * 4
    assert len(emulator.runs) == 4


def test_frames_of_pandas(partition: Partition) -> None:
    """A frame gives a frame of its kind, with its index: key, status, and the result as JSON."""
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(ROWS[:3], index=[10, 11, 12])
    found = partition(frame)
    assert list(found.index) == [10, 11, 12]
    assert list(found["key"]) == ["0", "1", "2"]
    assert [json.loads(value) for value in found["value"]] == [{"text": f"T{n}"} for n in range(3)]
    assert list(found.columns) == list(partition.meta.columns) == partition.schema.names
    assert list(found.dtypes) == list(partition.meta.dtypes)
    [other] = partition.batches([frame])
    assert other.equals(found)


def test_frames_of_others(partition: Partition) -> None:
    """So do tables of pyarrow, record batches and frames of polars."""
    pa = pytest.importorskip("pyarrow")
    pl = pytest.importorskip("polars")
    table = pa.table({"id": [1, 2], "text": ["a", "b"]})
    assert partition(table).schema == partition.schema
    [batch] = partition.batches(table.to_batches())
    assert (type(batch), batch.num_rows) == (pa.RecordBatch, 2)
    assert partition(pl.from_arrow(table))["status"].to_list() == ["done", "done"]
    assert partition.ddl == "key string, status string, value string, task_id string, error string"


def test_no_rows(partition: Partition) -> None:
    """A part without rows has no outcomes; a frame of none has the columns."""
    pd = pytest.importorskip("pandas")
    assert partition.rows([]) == []
    assert list(partition(pd.DataFrame({"id": [], "text": []})).columns) == partition.schema.names


def test_made_up_rows(partition: Partition, emulator: Emulator) -> None:
    """The rows by which Dask finds out what a function returns are refused, and run nothing."""
    pd = pytest.importorskip("pandas")
    with pytest.raises(InvalidParamsError, match=r"meta=partition\.meta"):
        partition(pd.DataFrame({"id": ["foo", "foo"], "text": ["foo", "foo"]}))
    with pytest.raises(InvalidParamsError, match="no column 'id'"):
        partition(pd.DataFrame({"text": ["a"]}))
    assert len(emulator.runs) == 0


def test_a_worker_without_a_key(partition: Partition, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker without a key says so."""
    monkeypatch.delenv("DCIPHER_API_KEY")
    with pytest.raises(MissingAPIKeyError):
        partition.rows(ROWS[:1])


def test_arguments(connect: Connect, emulator: Emulator) -> None:
    """What cannot be meant is refused when it is made."""
    with connect(emulator) as client, pytest.raises(InvalidParamsError, match="in_flight"):
        client.flows.partition("f", key="id", journal="folder", in_flight=0)


# flows.map with an executor


def test_a_batch_in_an_executor(
    partition: Partition, connect: Connect, emulator: Emulator, tmp_path: Path
) -> None:
    """Rows are run in shards by an executor's workers; the same call again resumes."""
    with connect(emulator) as client, ThreadPoolExecutor(2) as pool:
        for turn in range(2):
            batch = client.flows.map(
                "shout", iter(ROWS), key="id", read=Text, journal=tmp_path / "shards",
                executor=pool, shard=5, ordered=True,
            )  # fmt: skip
            found = [*batch]
            assert [outcome.index for outcome in found] == list(range(12))
            assert [outcome.unwrap().text for outcome in found] == [f"T{n}" for n in range(12)]
            assert (batch.report.done, batch.report.reused) == (12, 12 * turn)
            assert not batch.report.stopped
    assert len(emulator.runs) == 12
    assert len([*(tmp_path / "shards").glob("*.db")]) == 3


class Shout(FlowCall[Text], flow="shout"):
    text: str


@pytest.mark.parametrize("ordered", [True, False])
def test_other_shards_of_other_rows(
    connect: Connect,
    emulator: Emulator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ordered: bool,
) -> None:
    """Shards of another size, or rows in another order, send only the start of what is new."""
    monkeypatch.setenv("DCIPHER_API_KEY", KEY)
    more = [*reversed(ROWS), {"id": 99, "text": "new"}]
    with connect(emulator) as client, ThreadPoolExecutor(2) as pool:
        given: dict[str, Any] = {"key": "id", "journal": tmp_path, "executor": pool, "read": Text}
        client.flows.map("shout", ROWS, shard=5, **given).run()
        batch = client.flows.map("shout", more, shard=4, ordered=ordered, **given)
        found = [*batch]
    assert (batch.report.done, batch.report.reused) == (13, 12)
    assert sum(request.path.endswith("/run") for request in emulator.requests) == 13
    indexes = [outcome.index for outcome in found]
    assert (indexes if ordered else sorted(indexes)) == [*range(13)]
    for outcome in found:
        assert outcome.unwrap() == Text(text=more[outcome.index]["text"].upper())


def test_calls_in_an_executor(
    partition: Partition, connect: Connect, emulator: Emulator, tmp_path: Path
) -> None:
    """Calls name the flow and the type there, too."""
    calls = [Shout(text=f"t{n}") for n in range(6)]
    with connect(emulator) as client, ThreadPoolExecutor(2) as pool:
        batch = client.flows.map(calls, journal=tmp_path, executor=pool, shard=4)
        assert sorted(outcome.unwrap().text for outcome in batch) == [f"T{n}" for n in range(6)]


def test_failures_in_an_executor(
    partition: Partition, connect: Connect, emulator: Emulator, tmp_path: Path
) -> None:
    """`max_failures` is judged over all shards; an error of a worker ends the batch with the next step."""
    rows = [{"id": n} for n in range(6)]
    with connect(emulator) as client, ThreadPoolExecutor(2) as pool:
        batch = client.flows.map(
            "fails", rows, key="id", journal=tmp_path, executor=pool, shard=2, max_failures=3
        )
        with pytest.raises(TooManyFailuresError, match="max_failures=3"):
            batch.run()
        assert batch.report.failed >= 4
        assert batch.report.stopped
        broken = client.flows.map(
            "shout", [{"id": 1}, {"id": 1}], key="id", journal=tmp_path, executor=pool
        )
        with pytest.raises(JournalConflictError, match="same key"):
            broken.run()


@pytest.mark.parametrize("rows", [list, iter])
def test_a_key_of_two_shards(
    partition: Partition, connect: Connect, emulator: Emulator, tmp_path: Path, rows: Any
) -> None:
    """A key that comes twice ends the batch, also across shards; of a list, before the first run."""
    given = [{"id": 1, "text": "a"}, {"id": 2, "text": "b"}, {"id": 1, "text": "a"}]
    with connect(emulator) as client, ThreadPoolExecutor(2) as pool:
        batch = client.flows.map(
            "shout", rows(given), key="id", journal=tmp_path, executor=pool, shard=2
        )
        with pytest.raises(JournalConflictError, match="Rows 0 and 2 have the same key, '1'"):
            batch.run()
    if rows is list:
        assert len(emulator.runs) == 0


def test_the_file_of_two_shards(
    partition: Partition, connect: Connect, emulator: Emulator, tmp_path: Path
) -> None:
    """Neither may two shards save to the same file."""
    given = [{"id": "a", "text": "a"}, {"id": "A", "text": "b"}]
    with connect(emulator) as client, ThreadPoolExecutor(2) as pool:
        batch = client.flows.map(
            "shout", given, key="id", journal=tmp_path, save=tmp_path / "results", executor=pool, shard=1
        )  # fmt: skip
        with pytest.raises(JournalConflictError, match="the same file"):
            batch.run()


def test_progress_of_shards(
    partition: Partition, connect: Connect, emulator: Emulator, tmp_path: Path
) -> None:
    """While shards run, the progress is the sum of what their journals say; the last one has all rows."""
    seen: list[BatchProgress] = []
    held = threading.Event()

    @emulator.flow(tmp_path.name)  # the emulator is that of other tests, too
    def wait(text: str) -> str:
        if text == "t0":
            held.wait(HANG)
        return text

    def show(progress: BatchProgress) -> None:
        seen.append(progress)
        if (progress.ended, progress.in_flight) == (11, 1):
            held.set()

    with connect(emulator) as client, ThreadPoolExecutor(3) as pool:
        batch = client.flows.map(
            tmp_path.name, ROWS, key="id", journal=tmp_path, executor=pool, shard=6, progress=show
        )
        report = batch.run()
    assert held.is_set()
    assert {progress.rows for progress in seen} == {12}
    assert (seen[-1].ended, seen[-1].in_flight, seen[-1].is_last) == (12, 0, True)
    assert [progress.is_last for progress in seen[:-1]] == [False] * (len(seen) - 1)
    assert report.done == 12


def test_retried_starts_of_shards(
    partition: Partition, connect: Connect, emulator: Emulator, tmp_path: Path
) -> None:
    """The report names the starts that were sent again in any shard."""
    emulator.fault("start", Drop("after"), nth=4, times=1)
    with connect(emulator) as client, ThreadPoolExecutor(2) as pool:
        batch = client.flows.map("shout", ROWS, key="id", journal=tmp_path, executor=pool, shard=5)
        report = batch.run()
    assert (report.done, report.resent_count, len(report.resent)) == (12, 1, 1)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"journal": None}, "needs journal"),
        ({"shard": 0}, "shard must be"),
        ({"shard": True}, "shard must be"),
        ({"executor": 4}, "executor must be"),
    ],
)
def test_arguments_of_an_executor(
    connect: Connect, emulator: Emulator, tmp_path: Path, options: dict[str, Any], match: str
) -> None:
    """What cannot be meant is refused when the batch is made."""
    given = {"journal": tmp_path, "executor": ThreadPoolExecutor(1), **options}
    with connect(emulator) as client, pytest.raises(InvalidParamsError, match=match):
        client.flows.map("shout", ROWS, key="id", **given)
