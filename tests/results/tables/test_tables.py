"""Results as tables: both clients with pandas, polars, pyarrow and DuckDB."""

from __future__ import annotations

import gc
import gzip
import io
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from pydantic import BaseModel, Field

from dcipher import DcipherError, InvalidParamsError, ResultParseError, Run
from dcipher._extras.installation import install
from tests.faulty import RESET, Reply
from tests.results.downloads.stores import run_at

pa = pytest.importorskip("pyarrow", reason="the extra `arrow` is not installed")

import pyarrow.parquet as pq  # noqa: E402 - after the skip

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Connect
    from tests.faulty import FaultyServer


class Pair(BaseModel):
    a: int
    b: str


class Topic(BaseModel):
    label: str
    size: int | None = None
    seen: date | None = None
    at: datetime | None = None
    price: Annotated[Decimal, Field(max_digits=8, decimal_places=2)] | None = None
    tags: list[str] = []
    shares: dict[str, float] = {}


ROWS = [
    {
        "label": "a\0b",
        "size": 2**53 + 1,
        "seen": "1950-02-03",
        "at": "2500-01-01T00:00:00Z",
        "price": "1.5",
        "tags": ["x"],
        "shares": {"k": 0.5},
    },
    {"label": "ü😀"},
]
SHOWN = [
    {
        "label": "a\0b",
        "size": 2**53 + 1,
        "seen": date(1950, 2, 3),
        "at": datetime(2500, 1, 1, tzinfo=timezone.utc),
        "price": Decimal("1.50"),
        "tags": ["x"],
        "shares": [("k", 0.5)],
    },
    {
        "label": "ü😀",
        "size": None,
        "seen": None,
        "at": None,
        "price": None,
        "tags": [],
        "shares": [],
    },
]


def results(server: FaultyServer, *bodies: bytes, kind: str = "application/octet-stream") -> Run:
    """A run that has ended, with these results."""
    urls: list[dict[str, str]] = []
    for number, body in enumerate(bodies):
        server.on(f"/{number}", Reply(body, 200, {"Content-Type": kind}))
        urls.append({"url": f"{server.url}/{number}?Signature=canary-signature"})
    fields = {"flow_id": "f", "task_id": "t", "status": "SUCCEEDED", "outputs": urls}
    return Run.model_validate(fields)


def ndjson(rows: list[Any]) -> bytes:
    return "\n".join(map(json.dumps, rows)).encode()


def parquet(rows: list[Any], **columns: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), file, **columns)
    return file.getvalue()


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (json.dumps(ROWS).encode(), "application/json"),
        (ndjson(ROWS), "application/x-ndjson"),
    ],
    ids=["json", "ndjson"],
)
def test_the_columns_of_a_model(
    connect: Connect, server: FaultyServer, body: bytes, kind: str
) -> None:
    """Rows are validated, and their columns are those of the model, in any format."""
    run = results(server, body, kind=kind)
    client = connect(server)
    made = client.runs.to_arrow(run, Topic)
    made.validate(full=True)
    assert made.to_pylist() == SHOWN
    assert [batch.num_rows for batch in client.runs.batches(run, Topic, size=1)] == [1, 1]
    empty = client.runs.to_arrow(results(server, b"[]"), Topic)
    assert (empty.schema, empty.num_rows) == (made.schema, 0)


def test_csv_with_a_model(connect: Connect, server: FaultyServer) -> None:
    """The type of the column determines the value of a cell. An empty one is None if that is permitted."""
    body = "\ufefflabel,size,seen,at\r\n007,5,1950-02-03,2020-01-01T00:00:00+01:00\r\nb,,,\r\n"
    run = results(server, body.encode(), kind="text/csv")
    made = connect(server).runs.to_arrow(run, Topic).select(["label", "size", "seen", "at"])
    assert made.to_pylist() == [
        {
            "label": "007",
            "size": 5,
            "seen": date(1950, 2, 3),
            "at": datetime(2019, 12, 31, 23, tzinfo=timezone.utc),
        },
        {"label": "b", "size": None, "seen": None, "at": None},
    ]


def test_parquet_with_a_model(connect: Connect, server: FaultyServer) -> None:
    """The rows of a Parquet file are validated as those of JSON are."""
    names = ["label", "size", "seen", "at", "price", "tags"]
    body = parquet(
        [{**dict.fromkeys(names), "label": "b", "tags": [], name: ROWS[0][name]} for name in names]
    )
    made = connect(server).runs.to_arrow(results(server, body), Topic)
    for number, name in enumerate(names):
        assert made[name][number].as_py() == SHOWN[0][name]


def test_parquet_without_a_model(connect: Connect, server: FaultyServer) -> None:
    """A Parquet file is read as it is, column by column; several of one schema are one table."""
    written = pa.table(
        {"n": pa.array([1, 2], pa.uint8()), "d": pa.array(["a", "b"]).dictionary_encode()}
    )
    file = io.BytesIO()
    pq.write_table(written, file)
    run = results(server, file.getvalue(), file.getvalue())
    client = connect(server)
    assert client.runs.to_arrow(run) == pa.concat_tables([written, written])
    assert client.runs.to_arrow(run, output_index=1) == written
    with client.runs.table(run) as table:
        assert table.num_rows == 4
        assert [batch.num_rows for batch in table.batches(size=1)] == [1] * 4


@pytest.mark.parametrize(
    ("bodies", "message"),
    [
        ([b"PAR1\x15 and no more"], "not a Parquet file"),
        (
            [parquet([{"a": 1}]), parquet([{"a": "x"}])],
            "schema: differs from that of the previous result",
        ),
        (
            [parquet([{"a": "x" * 999}])[:5] + b"\0" * 9 + parquet([{"a": "x" * 999}])[14:]],
            "damaged",
        ),
    ],
    ids=["magic only", "two schemas", "damaged"],
)
def test_invalid_parquet(
    connect: Connect, server: FaultyServer, bodies: list[bytes], message: str
) -> None:
    """An invalid or changed Parquet file is a `ResultParseError`."""
    with pytest.raises(ResultParseError, match=message):
        connect(server).runs.to_arrow(results(server, *bodies))


def test_parquet_and_other_formats(connect: Connect, server: FaultyServer) -> None:
    """Parquet and other formats are one table only with a model."""
    run = results(server, parquet([{"label": "a"}]), b'[{"label": "b"}]')
    client = connect(server)
    with pytest.raises(InvalidParamsError, match="output_index"):
        client.runs.to_arrow(run)
    assert client.runs.to_arrow(run, Topic)["label"].to_pylist() == ["a", "b"]


def test_an_invalid_row_of_parquet(connect: Connect, server: FaultyServer) -> None:
    """A row of Parquet that the model rejects is an error with its number."""
    run = results(server, parquet([{"label": "a"}, {"label": None}]))
    with pytest.raises(ResultParseError) as caught:
        connect(server).runs.to_arrow(run, Topic)
    assert caught.value.location == "[1].label"


def test_the_arrow_stream(connect: Connect, server: FaultyServer) -> None:
    """Readers of Arrow accept the table, each time from its first row."""
    table = connect(server).runs.table(results(server, ndjson(ROWS)), Topic)
    for _ in range(2):
        assert pa.table(table).to_pylist() == SHOWN
    columns = pa.schema([pa.field("label", pa.large_string())])
    narrow = table.schema.set(0, columns.field("label"))
    assert pa.table(table, schema=narrow).schema.field("label").type == pa.large_string()
    both = zip(table.batches(size=1), table.batches(size=1), strict=True)
    assert [(a["label"][0].as_py(), b["label"][0].as_py()) for a, b in both] == [
        (row["label"], row["label"]) for row in SHOWN
    ]
    table.close()


def test_polars(connect: Connect, server: FaultyServer) -> None:
    """Polars has the same values, by `to_polars` and by the stream."""
    pl = pytest.importorskip("polars", reason="the extra `polars` is not installed")
    client, run = connect(server), results(server, ndjson(ROWS))
    frame = client.runs.to_polars(run, Topic)
    assert frame["label"].to_list() == ["a\0b", "ü😀"]
    assert frame["at"].to_list() == [SHOWN[0]["at"], None]
    assert frame["price"].to_list() == [Decimal("1.50"), None]
    assert frame["size"].to_list() == [2**53 + 1, None]
    with client.runs.table(run, Topic) as table:
        assert pl.DataFrame(table).equals(frame)
        assert pl.DataFrame(table).equals(frame)


def test_pandas(connect: Connect, server: FaultyServer) -> None:
    """Pandas has the same values: no integer becomes a float, no time is out of bounds."""
    pd = pytest.importorskip("pandas", reason="the extra `pandas` is not installed")
    client, run = connect(server), results(server, ndjson(ROWS))
    frame = client.runs.to_pandas(run, Topic)
    assert list(frame.columns) == list(Topic.model_fields)
    assert frame["size"][0] == 2**53 + 1
    assert frame["size"].isna().tolist() == [False, True]
    assert str(frame["size"].dtype) == "Int64"
    assert frame["at"][0] == pd.Timestamp("2500-01-01T00:00:00Z")
    assert str(frame["at"].dtype) == "datetime64[us, UTC]"
    assert frame["seen"][0] == date(1950, 2, 3)
    assert frame["shares"].tolist() == [{"k": 0.5}, {}]
    if hasattr(pd.DataFrame, "from_arrow"):
        with client.runs.table(run, Topic) as table:
            assert pd.DataFrame.from_arrow(table)["label"].tolist() == ["a\0b", "ü😀"]
    full = client.runs.to_pandas(results(server, b'[{"n": 1, "b": true, "f": 1.5}]'))
    assert [str(dtype) for dtype in full.dtypes] == ["int64", "bool", "float64"]
    gaps = client.runs.to_pandas(results(server, b'[{"b": true, "f": 1.5}, {"s": "x"}]'))
    assert [str(dtype) for dtype in gaps.dtypes[:2]] == ["boolean", "float64"]


def test_duckdb(connect: Connect, server: FaultyServer) -> None:
    """DuckDB finds the table by the name of the variable, also several times."""
    duckdb = pytest.importorskip("duckdb", reason="DuckDB is not installed")
    with connect(server).runs.table(results(server, ndjson(ROWS)), Topic) as topics:
        for _ in range(2):
            assert duckdb.sql("select count(*), max(size), max(price) from topics").fetchall() == [
                (2, 2**53 + 1, Decimal("1.50"))
            ]
        assert duckdb.sql("select label from topics where seen < date '1960-01-01'").fetchall() == [
            ("a\0b",)
        ]
        assert topics.num_rows is None


def test_an_invalid_row(connect: Connect, server: FaultyServer) -> None:
    """An invalid row is an error with its location, without its value, also in the stream."""
    client = connect(server)
    run = results(server, b'[{"label": "a"}, {"label": "b", "size": "canary"}]')
    with pytest.raises(ResultParseError) as caught:
        client.runs.to_arrow(run, Topic)
    assert caught.value.location == "[1].size"
    wide = results(server, json.dumps([{"label": "a"}, {"label": "b", "size": 2**70}]).encode())
    with pytest.raises(ResultParseError, match="beyond 64 bits") as caught:
        list(client.runs.batches(wide, Topic))
    assert caught.value.location == "row 1, column size"
    with (
        client.runs.table(results(server, b'[{"label": 1}, {"label": "canary"}]')) as table,
        pytest.raises(ResultParseError, match="row 1, column label"),
    ):
        pa.table(table)
    run = results(server, b'[{"label": "a"}, {"label": "b", "size": "canary"}]')
    with (
        client.runs.table(run, Topic) as table,
        pytest.raises(Exception, match=r"\[1\].size") as stream,
    ):
        pa.table(table)
    assert "canary" not in f"{caught.value}{stream.value}"


def test_an_invalid_type(connect: Connect, server: FaultyServer) -> None:
    """A type that cannot be validated is rejected before anything is fetched."""

    class Unknown:
        pass

    class Twice(BaseModel):
        a: int
        b: int = Field(serialization_alias="a")

    client, run = connect(server), results(server, b"[]")
    for wrong, message in (
        (Unknown, "Pydantic does not support this type"),
        (Twice, "Two fields of Twice"),
    ):
        with pytest.raises(InvalidParamsError, match=message):
            client.runs.to_arrow(run, wrong)
    for size in (0, -1, True, 1.5):
        with pytest.raises(InvalidParamsError, match="size"):
            list(client.runs.batches(run, size=size))
    assert server.seen("/0") == []


def test_a_closed_table(connect: Connect, server: FaultyServer) -> None:
    """A closed table raises an error. Closing it twice does nothing. Its repr names the run."""
    table = connect(server).runs.table(results(server, b'[{"n": 1}]'))
    with table:
        waiting = table.batches(size=1)
        assert repr(table) == "<Table of run t: 1 result(s)>"
    table.close()
    with pytest.raises(DcipherError, match="closed"):
        table.to_arrow()
    with pytest.raises(DcipherError, match="closed"):
        next(waiting)


BIG = ndjson([{"label": "x" * 1000, "size": n} for n in range(9000)])
"""More than is kept in memory."""


def test_no_temporary_file_remains(
    connect: Connect, server: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No temporary file outlives its table: closed, dropped, left early, or failed."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    client, run = connect(server), results(server, BIG)
    files: list[Any] = []

    def made(**options: Any) -> Any:
        table = client.runs.table(run, **options)
        files.append(table._parts[0].stored.file)
        assert files[-1]._rolled
        return table

    with made() as table:
        assert table.num_rows == 9000
    dropped = made()
    _ = dropped.schema
    del dropped
    stream = made().batches(size=10)
    assert next(stream).num_rows == 10
    gc.collect()
    assert [file.closed for file in files] == [True, True, False]
    del stream
    gc.collect()
    for batch in client.runs.batches(run, Topic, size=10):
        assert batch.num_rows == 10
        break
    server.on("/0", Reply(BIG[:9_000_000], 200, {"Content-Length": str(len(BIG))}), RESET)
    made_here: list[Any] = []
    spooled = tempfile.SpooledTemporaryFile
    monkeypatch.setattr(
        tempfile, "SpooledTemporaryFile", lambda *a: made_here.append(spooled(*a)) or made_here[-1]
    )
    with pytest.raises(DcipherError):
        client.with_options(max_retries=1).runs.to_arrow(run)
    assert [file.closed for file in made_here] == [True]
    assert [file.closed for file in files] == [True, True, True]
    assert list(tmp_path.iterdir()) == []


def test_several_read_at_once(connect: Connect, server: FaultyServer) -> None:
    """Threads that read one table do not get each other's rows."""
    table = connect(server).runs.table(results(server, BIG), Topic)
    with table, ThreadPoolExecutor(3) as pool:
        wholes = list(pool.map(lambda _: table.to_arrow(), range(3)))
    assert all(whole["size"].to_pylist() == list(range(9000)) for whole in wholes)


def test_without_the_libraries() -> None:
    """Without its extra, a call names the extra before anything is fetched."""
    code = """
import sys
sys.modules["pyarrow"] = sys.modules["polars"] = sys.modules["pandas"] = None
from dcipher import Dcipher, Run, Table
client = Dcipher("k", base_url="http://127.0.0.1:9")
for name in ("table", "to_arrow", "to_pandas", "to_polars"):
    try:
        getattr(client.runs, name)(Run(flow_id="f", task_id="t"))
    except ImportError as error:
        print(name, error)
"""
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout.splitlines() == [
        f"table This needs pyarrow: {install('arrow')}",
        f"to_arrow This needs pyarrow: {install('arrow')}",
        f"to_pandas This needs pandas: {install('pandas')}",
        f"to_polars This needs polars: {install('polars')}",
    ]


@pytest.mark.parametrize("typed", [False, True])
def test_a_compressed_result(connect: Connect, server: FaultyServer, typed: bool) -> None:
    """A result that is compressed as a file is a table as any other, as often as it is read."""
    server.on("/r", Reply(gzip.compress(b"a,b\n1,x\n2,y\n")))
    client = connect(server)
    run = run_at(f"{server.url}/r?Signature=s")
    with client.runs.table(run, Pair if typed else None) as table:
        for _ in range(2):
            assert table.to_arrow().to_pylist() == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]
