"""`runs.records`: an iterator that reports invalid rows, and leaves nothing behind."""

from __future__ import annotations

import gc
import gzip
import importlib.util
import io
import json
import pickle
import tempfile
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import anyio
import anyio.lowlevel
import pytest
from pydantic import AfterValidator, BaseModel

from dcipher import (
    AsyncDcipher,
    AsyncRecords,
    Dcipher,
    InvalidParamsError,
    Output,
    Records,
    ResultParseError,
    Run,
    RunStatus,
    TooManyInvalidRowsError,
)
from tests.conftest import KEY
from tests.faulty import Held, Reply
from tests.waiting import HANG

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Connect
    from tests.faulty import FaultyServer


class Row(BaseModel):
    n: int


def finished(server: FaultyServer, *bodies: bytes, kind: str = "application/json") -> Run:
    for index, body in enumerate(bodies):
        server.on(f"/r{index}", Reply(body, 200, {"Content-Type": kind}))
    outputs = [{"url": f"{server.url}/r{index}?Signature=s"} for index in range(len(bodies))]
    return Run(
        flow_id="f",
        task_id="t",
        status=RunStatus.SUCCEEDED,
        outputs=tuple(map(Output.model_validate, outputs)),
    )


def numbers(*values: object) -> bytes:
    return json.dumps([{"n": value} for value in values]).encode()


MIXED = numbers(0, "canary-1", 2, "canary-3", None, 5)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files, in which all results are stored."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setattr("dcipher._results.records_async.SPOOLED", 10)
    monkeypatch.setattr("dcipher._results.records.SPOOLED", 10)
    return folder


def test_invalid_rows_are_collected(connect: Connect, server: FaultyServer) -> None:
    """Valid rows are returned. Of the others, number, location and reason are recorded, without values."""
    records = connect(server).runs.records(
        finished(server, MIXED, numbers("canary", 1)), Row, on_invalid="collect"
    )
    assert [row.n for row in records] == [0, 2, 5, 1]
    rejects = records.rejects
    assert [(r.output_index, r.row) for r in rejects] == [(0, 1), (0, 3), (0, 4), (1, 0)]
    assert rejects.counts() == {"int_parsing": 3, "int_type": 1}
    assert rejects[0].errors[0].location == "n"
    assert (rejects.total, rejects.read, rejects[0].raw) == (4, 8, None)
    assert "canary" not in repr(rejects) + str(rejects.to_list()) + str(pickle.dumps(rejects))


@pytest.mark.parametrize(
    ("body", "media_type", "raw"),
    [
        (b'[{"n": 1}, {"n": "x"}]', "application/json", {"n": "x"}),
        (b'{"n": 1}\n{"n": "x"}\n', "application/x-ndjson", {"n": "x"}),
        (gzip.compress(b"n\n1\nx\n", mtime=0), "text/csv", {"n": "x"}),
        (b"n\n1\nx,y\n", "text/csv", ["x", "y"]),
    ],
)
def test_raw_rows_are_kept_on_request(
    connect: Connect, server: FaultyServer, body: bytes, media_type: str, raw: object
) -> None:
    """With `keep_raw=True`, a reject has its original row, which is not in a repr."""
    run = finished(server, body, kind=media_type)
    records = connect(server).runs.records(run, Row, on_invalid="collect", keep_raw=True)
    assert list(records) == [Row(n=1)]
    assert records.rejects[0].raw == raw
    assert "'x'" not in repr(list(records.rejects))


@pytest.mark.parametrize("on_invalid", ["drop", "collect"])
@pytest.mark.parametrize("limit", [1, 0.3])
def test_too_many_rows_that_do_not_fit(
    connect: Connect, server: FaultyServer, on_invalid: str, limit: float
) -> None:
    """Beyond the limit it stops, after the rows before; the error has the counts, and pickles."""
    records = connect(server).runs.records(
        finished(server, MIXED), Row, on_invalid=on_invalid, max_invalid=limit
    )
    got: list[int] = []
    with pytest.raises(TooManyInvalidRowsError) as caught:
        got.extend(row.n for row in records)
    assert got == ([0, 2] if limit == 1 else [0, 2, 5])
    error = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own bytes
    assert isinstance(error, ResultParseError)
    assert error.rejects.total == (2 if limit == 1 else 3)
    assert len(error.rejects) == (0 if on_invalid == "drop" else error.rejects.total)
    assert "canary" not in str(error)
    assert list(records) == []


def test_a_share_is_checked_at_the_hundredth_row(connect: Connect, server: FaultyServer) -> None:
    """A result with too many invalid rows is abandoned at its hundredth row, not at its end."""
    body = numbers(*["x"] * 60, *range(5000))
    records = connect(server).runs.records(
        finished(server, body), Row, on_invalid="drop", max_invalid=0.5
    )
    got: list[int] = []
    with pytest.raises(TooManyInvalidRowsError, match="60 of 100 rows"):
        got.extend(row.n for row in records)
    assert got == list(range(40))


def test_within_the_limit_all_is_read(connect: Connect, server: FaultyServer) -> None:
    """As many as permitted are no error."""
    for limit in (3, 0.5, 1.0, 10**30):
        records = connect(server).runs.records(
            finished(server, MIXED), Row, on_invalid="drop", max_invalid=limit
        )
        assert [row.n for row in records] == [0, 2, 5]


@pytest.mark.parametrize(
    "wrong",
    [
        {"on_invalid": "skip"},
        {"max_invalid": 3},
        {"on_invalid": "drop", "max_invalid": -1},
        {"on_invalid": "drop", "keep_raw": True},
        {"output_index": 7},
        {"type_": type("Foreign", (), {})},
    ],
    ids=str,
)
def test_arguments_are_checked_at_the_call(
    connect: Connect, server: FaultyServer, wrong: dict[str, Any]
) -> None:
    """The call itself rejects an invalid argument, before anything is sent."""
    run = finished(server, MIXED)
    with pytest.raises(InvalidParamsError):
        connect(server).runs.records(run, **{"type_": Row, **wrong})
    with pytest.raises(InvalidParamsError):
        connect(server).runs.records("t", Row)
    assert server.requests == []


def test_it_is_a_context_manager(connect: Connect, server: FaultyServer, temporary: Path) -> None:
    """Leaving the context, or closing, ends the rows. Closing twice does nothing."""
    client = connect(server)
    run = finished(server, numbers(*range(5000)))
    with client.runs.records(run, Row) as records:
        assert next(records).n == 0
        assert iter(records) is records
    assert list(records) == []
    with closing(client.runs.records(run, Row)) as records:
        assert next(records).n == 0
    records.close()
    records.close()
    assert list(records) == []
    assert list(temporary.iterdir()) == []


def test_after_an_error_there_are_no_more_rows(connect: Connect, server: FaultyServer) -> None:
    """As of a generator that raised."""
    records = connect(server).runs.records(finished(server, MIXED), Row)
    with pytest.raises(ResultParseError, match=r"\[1\]\.n"):
        list(records)
    assert list(records) == []


def test_dropped_rows_leave_no_file(server: FaultyServer, temporary: Path) -> None:
    """Rows that are neither exhausted nor closed leave no file and no warning."""
    run = finished(server, numbers(*range(5000)))

    def drop(client: Dcipher) -> None:
        records = client.runs.records(run, Row)
        assert isinstance(records, Records)
        assert next(records).n == 0

    with Dcipher(KEY, base_url=server.url) as client, warnings.catch_warnings():
        warnings.simplefilter("error")
        drop(client)
        gc.collect()
        assert list(temporary.iterdir()) == []
        assert client.runs.read(run)[1] == {"n": 1}


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_dropped_rows_on_an_event_loop(server: FaultyServer, temporary: Path, backend: str) -> None:
    """The same holds under asyncio and trio, which warn of dropped generators."""
    run = finished(server, numbers(*range(5000)))

    async def drop(client: AsyncDcipher) -> None:
        async for row in client.runs.records(run, Row):
            assert row.n == 0
            break

    async def main() -> None:
        async with AsyncDcipher(KEY, base_url=server.url) as client:
            await drop(client)
            gc.collect()
            await anyio.lowlevel.checkpoint()
            async with aclosing(client.runs.records(run, Row)) as records:
                assert isinstance(records, AsyncRecords)
                assert (await anext(records)).n == 0
            assert [row async for row in records] == []

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        anyio.run(main, backend=backend)
        gc.collect()
    assert list(temporary.iterdir()) == []


def test_a_cancellation_closes_the_rows(server: FaultyServer, temporary: Path) -> None:
    """The client can be used afterwards."""
    run = finished(server, numbers(1))
    server.on("/r0", Reply(numbers(1), delay=5.0))

    async def main() -> None:
        async with AsyncDcipher(KEY, base_url=server.url) as client:
            records = client.runs.records(run, Row)
            with anyio.move_on_after(0.2) as scope:
                await anext(records)
            assert scope.cancelled_caught
            assert [row async for row in records] == []

    anyio.run(main)
    assert list(temporary.iterdir()) == []


def test_one_reader_at_a_time(server: FaultyServer) -> None:
    """Two tasks that read the same rows concurrently get an error."""
    run = finished(server, numbers(*range(300)))

    async def main() -> None:
        async with AsyncDcipher(KEY, base_url=server.url) as client:
            records = client.runs.records(run, Row)
            errors: list[RuntimeError] = []

            async def read() -> None:
                try:
                    async for _ in records:
                        pass
                except RuntimeError as error:
                    errors.append(error)

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(read)
                tasks.start_soon(read)
                await anyio.lowlevel.checkpoint()
                with pytest.raises(RuntimeError, match=r"are (still )?being read"):
                    await records.aclose()
            assert len(errors) == 1

    anyio.run(main)


def test_the_repr_of_records(server: FaultyServer) -> None:
    """It has the run and the number of rows, but no values."""
    with Dcipher(KEY, base_url=server.url) as client:
        records = client.runs.records(finished(server, MIXED), Row, on_invalid="drop")
        assert repr(records) == "<Records of run t: 0 rows read>"
        assert len(list(records)) == 3
        assert repr(records) == "<Records of run t: 6 rows read>"


def test_one_thread_at_a_time(server: FaultyServer) -> None:
    """Two threads that read or close the same rows concurrently get an error."""
    held = Held(Reply(numbers(*range(3))))
    server.on("/r0", held)
    outputs = (Output.model_validate({"url": f"{server.url}/r0"}),)
    run = Run(flow_id="f", task_id="t", status=RunStatus.SUCCEEDED, outputs=outputs)
    with Dcipher(KEY, base_url=server.url) as client, ThreadPoolExecutor() as pool:
        records = client.runs.records(run, Row)
        first = pool.submit(next, records)
        assert server.arrived("/r0")
        for call in (lambda: next(records), records.close):
            with pytest.raises(RuntimeError, match=r"are (still )?being read"):
                call()
        held.let_go.set()
        assert first.result(HANG).n == 0
        assert [row.n for row in records] == [1, 2]


@pytest.mark.parametrize(
    "body", [gzip.compress(MIXED, mtime=0)[:-3], gzip.compress(b" " * (40 << 20), mtime=0)]
)
def test_a_compressed_result_that_is_cut_or_a_bomb(
    connect: Connect, server: FaultyServer, body: bytes, tmp_path: Path
) -> None:
    """As a value or rows, it is a `ResultParseError`. Saved, and as bytes, it is unchanged."""
    run = finished(server, body)
    client = connect(server)
    for read in (client.runs.read, lambda *args: list(client.runs.records(*args))):
        with pytest.raises(ResultParseError, match=r"truncated|expand to more than"):
            read(run, list[Row])
    assert client.runs.read(run, bytes) == body
    (path,) = client.runs.download(run, tmp_path / "output.json.gz")
    assert path.read_bytes() == body


KINDS = {
    "json": "application/json",
    "ndjson": "application/x-ndjson",
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
}
FAILING: list[Any] = [
    lambda value: {}[value],
    lambda value: 1 // 0,
    lambda value: value.x,
    lambda value: value + 1,
]


@pytest.mark.parametrize("on_invalid", ["raise", "drop", "collect"])
@pytest.mark.parametrize("failing", FAILING)
def test_a_validator_that_fails(
    connect: Connect, server: FaultyServer, failing: Any, on_invalid: Any
) -> None:
    """An exception that is not a rejection ends the iteration, with the number of the row, without a value."""

    def check(value: str) -> str:
        return failing(value) if value == "canary" else value

    bodies = [json.dumps(row).encode() for row in (["a", "b"], ["c", "canary", "d"])]
    run = finished(server, *bodies)
    records = connect(server).runs.records(
        run, Annotated[str, AfterValidator(check)], on_invalid=on_invalid
    )
    found = []
    with pytest.raises(ResultParseError, match="row 1: a validator raised") as caught:
        found.extend(records)
    assert (caught.value.row, caught.value.output_index) == (1, 1)
    assert "canary" not in f"{caught.value}{caught.value.__cause__!r}{caught.value.__context__!r}"


@pytest.mark.parametrize("failing", FAILING)
@pytest.mark.parametrize("format_", ["json", "ndjson", "csv", "parquet"])
def test_a_validator_that_fails_in_any_reader(
    connect: Connect, server: FaultyServer, failing: Any, format_: str
) -> None:
    """All readers and formats have the same error: row, class and location, but no value."""

    def check(value: str) -> str:
        return failing(value) if value == "canary" else value

    class Row(BaseModel):
        name: Annotated[str, AfterValidator(check)]

    bodies = {
        "json": b'[{"name": "a"}, {"name": "canary"}]',
        "ndjson": b'{"name": "a"}\n{"name": "canary"}\n',
        "csv": b"name\na\ncanary\n",
    }
    if format_ == "parquet":
        file = io.BytesIO()
        pa = pytest.importorskip("pyarrow", reason="the extra `arrow` is not installed")
        pytest.importorskip("pyarrow.parquet").write_table(
            pa.table({"name": ["a", "canary"]}), file
        )
        bodies["parquet"] = file.getvalue()
    run = finished(server, bodies[format_], kind=KINDS[format_])
    runs, rows_of = connect(server).runs, cast("Any", list)
    readers: list[Callable[[], object]] = [
        lambda: runs.read(run, rows_of[Row]),
        lambda: list(runs.records(run, Row)),
    ]
    if importlib.util.find_spec("pyarrow"):
        readers += [lambda: runs.to_arrow(run, Row), lambda: list(runs.batches(run, Row))]
    for read in readers:
        with pytest.raises(ResultParseError, match=r"row 1.*: a validator raised") as caught:
            read()
        assert caught.value.row == 1
        assert f"Error ({Path(__file__).name}, line " in str(caught.value)
        assert "canary" not in str(caught.value)


def test_an_exception_of_a_validator(connect: Connect, server: FaultyServer) -> None:
    """Another exception is that of the user, and is raised unchanged by all readers."""

    class StopError(Exception):
        pass

    def check(value: str) -> str:
        raise StopError

    run = finished(server, b'["a"]')
    client, type_ = connect(server), Annotated[str, AfterValidator(check)]
    with pytest.raises(StopError):
        client.runs.read(run, cast("Any", list)[type_])
    with pytest.raises(StopError):
        list(client.runs.records(run, type_))
