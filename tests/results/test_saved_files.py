"""Result files of this machine: `read_file`, `records_file`, `table_file`."""

from __future__ import annotations

import gzip
import json
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from dcipher import (
    InvalidParamsError,
    ResultParseError,
    TooManyInvalidRowsError,
    read_file,
    records_file,
    table_file,
)
from tests.faulty import FaultyServer, json_reply

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Connect


class Topic(BaseModel):
    label: str
    size: int = 0


ROWS = [{"label": "a", "size": 1}, {"label": "b", "size": 2}]
FILES = {
    "r.json": json.dumps(ROWS).encode(),
    "r.ndjson": b"".join(json.dumps(row).encode() + b"\n" for row in ROWS),
    "r.csv": b"label,size\na,1\nb,2\n",
    "r.json.gz": gzip.compress(json.dumps(ROWS).encode()),
    "r": json.dumps(ROWS).encode(),
}


@pytest.fixture(params=list(FILES))
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / request.param
    path.write_bytes(FILES[request.param])
    return path


def test_a_file_is_read_as_a_result_is(file: Path) -> None:
    """As a value, row by row, and as a table: the same rows, in any format."""
    topics = [Topic(label="a", size=1), Topic(label="b", size=2)]
    assert read_file(file, list[Topic]) == topics
    assert read_file(str(file), bytes) == file.read_bytes()
    with records_file(file, Topic) as rows:
        assert list(rows) == topics
        assert list(rows) == []
    assert [row["label"] for row in records_file(file)] == ["a", "b"]


def test_a_file_as_a_table(file: Path) -> None:
    """A table of a file has the columns of its rows, as often as it is read; it closes the file."""
    pytest.importorskip("pyarrow", reason="the extra `arrow` is not installed")
    with table_file(file) as table:
        assert table.to_arrow().to_pylist() == ROWS
        one, other = table.batches(1), table.batches(1)
        assert [next(one), next(other), next(one)][2].to_pylist() == [ROWS[1]]
        assert repr(table) == f"<Table of {file.name}: 1 result(s)>"
    with pytest.raises(Exception, match="closed"):
        table.to_arrow()
    with table_file(file, Topic) as table:
        assert table.schema.names == ["label", "size"]


def test_parquet(tmp_path: Path) -> None:
    """Parquet, too, with and without its suffix."""
    pa = pytest.importorskip("pyarrow", reason="the extra `arrow` is not installed")
    pq = pytest.importorskip("pyarrow.parquet", reason="the extra `arrow` is not installed")
    for name in ("r.parquet", "r"):
        pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / name)
        assert read_file(tmp_path / name) == ROWS
        assert [row.size for row in records_file(tmp_path / name, Topic)] == [1, 2]
        with table_file(tmp_path / name) as table:
            assert table.num_rows == 2


def test_invalid_rows_are_rejected_as_by_a_client(tmp_path: Path) -> None:
    """`on_invalid`, `max_invalid` and `keep_raw` are those of `runs.records`."""
    path = tmp_path / "r.ndjson"
    path.write_text('{"label": "a"}\n{"size": 3}\n{"label": "c"}\n')
    seen: list[Any] = []
    rows = records_file(path, Topic)
    with pytest.raises(ResultParseError, match=r"r\.ndjson") as caught:
        seen.extend(rows)
    assert (caught.value.row, caught.value.line, len(seen)) == (1, 2, 1)
    assert next(rows, None) is None
    assert [row.label for row in records_file(path, Topic, on_invalid="drop")] == ["a", "c"]
    with records_file(path, Topic, on_invalid="collect", keep_raw=True) as rows:
        assert [row.label for row in rows] == ["a", "c"]
        assert (rows.rejects.total, rows.rejects.read) == (1, 3)
        assert rows.rejects[0].raw == {"size": 3}
    with pytest.raises(TooManyInvalidRowsError, match=r"of r\.ndjson") as many:
        list(records_file(path, Topic, on_invalid="drop", max_invalid=0))
    assert many.value.rejects.total == 1
    with pytest.raises(TooManyInvalidRowsError):
        list(records_file(path, Topic, on_invalid="drop", max_invalid=0.3))
    assert len(list(records_file(path, Topic, on_invalid="drop", max_invalid=0.4))) == 2


@pytest.mark.parametrize("read", [read_file, records_file])
def test_unreadable_files(tmp_path: Path, read: Any) -> None:
    """A missing file is an OSError. The error of a malformed one has its name, but no value."""
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "no.json")
    broken = tmp_path / "b.json"
    broken.write_text('[{"label": "canary"')
    with pytest.raises(ResultParseError, match=r"b\.json") as caught:
        list(read(broken))
    assert "canary" not in str(caught.value)
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(ResultParseError, match="empty"):
        list(read(tmp_path / "empty"))
    with pytest.raises(InvalidParamsError, match="does not support this type"):
        read(broken, threading.Lock)
    with pytest.raises(
        InvalidParamsError, match="format must be one of json, ndjson, csv, parquet"
    ):
        read(broken, format="xml")


def test_a_given_format(tmp_path: Path) -> None:
    """`format=` takes precedence over the suffix."""
    path = tmp_path / "topics.txt"
    path.write_text("label,size\na,1\n")
    assert read_file(path, list[Topic], format="csv") == [Topic(label="a", size=1)]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    """A file that can be read only once is read, too."""
    path = tmp_path / "pipe.json"
    os.mkfifo(path)
    for read in (read_file, lambda path: list(records_file(path))):
        writing = threading.Thread(target=path.write_text, args=(json.dumps(ROWS),))
        writing.start()
        assert read(path) == ROWS
        writing.join()


def test_saved_results_are_read_back(connect: Connect, api: FaultyServer, tmp_path: Path) -> None:
    """These functions read the files that a client saved."""
    api.on("/result", json_reply(json.dumps(ROWS)))
    with connect(api) as client:
        run = client.flows.run("f", save_path=tmp_path / "topics.json")
    assert [read_file(file, list[Topic])[0].label for file in run.files] == ["a"]
