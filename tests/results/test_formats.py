"""Results whose format is detected only by their bytes: both clients agree."""

from __future__ import annotations

import gzip
import io
import json
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from dcipher import Output, ResultParseError, Run, RunStatus
from tests.faulty import Reply

if TYPE_CHECKING:
    from tests.conftest import Connect
    from tests.faulty import FaultyServer

needs_arrow = pytest.mark.skipif(
    find_spec("pyarrow") is None, reason="the extra `arrow` is not installed"
)


class Topic(BaseModel):
    name: str
    score: float


def served(server: FaultyServer, body: bytes, content_type: str, name: str = "result") -> Run:
    server.on("*", Reply(body, 200, {"Content-Type": content_type}))
    output = Output.model_validate({"url": f"{server.url}/{name}"})
    return Run(flow_id="f", task_id="t", status=RunStatus.SUCCEEDED, outputs=(output,))


@pytest.mark.parametrize(
    "text",
    ["Rivers flow, lakes rest.", "Rivers, lakes.\nSeas, straits.\n", "one\ntwo\n", "[Note] x"],
)
def test_prose_is_text(connect: Connect, server: FaultyServer, text: str) -> None:
    """Without a type, text is `str` or bytes. It has no rows, and the error has advice."""
    client = connect(server)
    run = served(server, text.encode(), "text/plain")
    assert client.runs.read(run, str) == text
    assert client.runs.read(run) == text.encode()
    for call in (
        lambda: client.runs.read(run, list[Topic]),
        lambda: list(client.runs.records(run)),
    ):
        with pytest.raises(ResultParseError, match=r"text that is neither.*read it as str"):
            call()


def test_a_table_of_one_line(connect: Connect, server: FaultyServer) -> None:
    """With the type or the suffix of CSV, one line is sufficient."""
    client = connect(server)
    for content_type, name in (("text/csv", "result"), ("text/plain", "result.csv")):
        run = served(server, b"name,score\n", content_type, name)
        assert client.runs.read(run) == []
        assert list(client.runs.records(run, Topic)) == []
    for body in (b"name,score\na,1\n", b"name\tscore\na\t1\n", b'[{"name": "a", "score": 1}]'):
        run = served(server, body, "text/plain")
        assert list(client.runs.records(run, Topic)) == [Topic(name="a", score=1)]
        assert client.runs.read(run, list[Topic]) == [Topic(name="a", score=1)]


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_a_first_line_beyond_the_head(connect: Connect, server: FaultyServer, pack: Any) -> None:
    """NDJSON is distinguished from JSON by the bytes after its first line, of any length."""
    rows = [{"text": "x" * 200_000}, {"text": "y"}]
    body = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    client = connect(server)
    run = served(server, pack(body), "application/octet-stream")
    assert client.runs.read(run) == rows
    assert list(client.runs.records(run)) == rows
    run = served(server, pack(json.dumps(rows[0]).encode()), "application/octet-stream")
    assert client.runs.read(run) == rows[0]
    assert list(client.runs.records(run)) == rows[:1]


@needs_arrow
def test_parquet_in_gzip(connect: Connect, server: FaultyServer) -> None:
    """All readers read a compressed Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = io.BytesIO()
    pq.write_table(pa.table({"name": ["a", "b"], "score": [1.0, 2.0]}), file)
    client = connect(server)
    run = served(server, gzip.compress(file.getvalue()), "application/gzip", "x.parquet.gz")
    rows = [{"name": "a", "score": 1.0}, {"name": "b", "score": 2.0}]
    assert client.runs.read(run) == list(client.runs.records(run)) == rows
    assert list(client.runs.records(run, Topic)) == [Topic(**row) for row in rows]
    assert client.runs.to_arrow(run).to_pylist() == rows


@pytest.mark.parametrize("format_", ["application/json", "application/x-ndjson", "text/csv"])
def test_numbers_of_rows_and_lines(connect: Connect, server: FaultyServer, format_: str) -> None:
    """Errors and rejects have the row from 0, and the line from 1 if the format has lines."""
    body = {
        "application/json": b'[{"name": "a", "score": 1}, {"name": "\\ud800", "score": 1}]',
        "application/x-ndjson": b'{"name": "a", "score": 1}\n\n{"name": "\\ud800", "score": 1}\n',
        "text/csv": b"name,score\na,1\n\nb,x\n",
    }[format_]
    line = {"application/json": None, "application/x-ndjson": 3, "text/csv": 4}[format_]
    client = connect(server)
    run = served(server, body, format_)
    with pytest.raises(ResultParseError) as caught:
        list(client.runs.records(run, Topic))
    assert (caught.value.row, caught.value.line) == (1, line)
    assert "row 1" in str(caught.value)
    assert line is None or f"line {line}" in str(caught.value)
    records = client.runs.records(run, Topic, on_invalid="collect")
    assert [row.name for row in records] == ["a"]
    (reject,) = records.rejects
    assert (reject.row, reject.line) == (1, line)
    assert reject.to_dict().get("line") == line
