"""A saved result is not downloaded again while its file is unchanged."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from tests.faulty import Reply

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dcipher import Run
    from tests.conftest import Connect
    from tests.faulty import FaultyServer

ROWS = [{"n": 1}, {"n": 2}]


@pytest.fixture
def store(api: FaultyServer) -> FaultyServer:
    """A healthy API whose result is a list of rows, called something else by its type."""
    api.on("/result", Reply(json.dumps(ROWS).encode(), 200, {"Content-Type": "application/json"}))
    return api


def test_a_saved_result_is_read(connect: Connect, store: FaultyServer, tmp_path: Path) -> None:
    """After `flows.run(…, save_path=…)`, a value, rows and a table need no GET, with any file name."""
    client = connect(store)
    run = client.flows.run("f", save_path=tmp_path / "topics.csv")
    assert client.runs.read(run) == ROWS
    assert list(client.runs.records(run, dict)) == ROWS
    assert client.runs.read(run, bytes) == json.dumps(ROWS).encode()
    pytest.importorskip("pyarrow", reason="the extra `arrow` is not installed")
    with client.with_options(timeout=5).runs.table(run) as table:
        assert table.to_arrow().to_pylist() == ROWS
    assert len(store.seen("/result")) == 1


def touched(path: Path) -> None:
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))


def rewritten(path: Path) -> None:
    path.write_text('[{"n": 7}]')


def removed(path: Path) -> None:
    path.unlink()


def replaced(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    touched(other)
    other.replace(path)


def made_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("change", [touched, rewritten, removed, replaced, made_a_folder])
def test_a_file_that_changed_is_not_read(
    connect: Connect, store: FaultyServer, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    """After any change of the file, the result is fetched."""
    client = connect(store)
    run = client.flows.run("f", save_path=tmp_path / "r.json")
    change(tmp_path / "r.json")
    assert client.runs.read(run) == ROWS
    assert len(store.seen("/result")) == 2


def test_only_the_run_that_names_it(connect: Connect, store: FaultyServer, tmp_path: Path) -> None:
    """A run without `files`, of another id, or with another file, is fetched; so is that of another client."""
    client = connect(store)
    run: Run = client.flows.run("f", save_path=tmp_path / "r.json")
    others: list[Any] = [
        run.model_copy(update={"files": ()}),
        run.model_copy(update={"task_id": "u"}),
        run.model_copy(update={"files": (tmp_path / "another.json",)}),
    ]
    for count, other in enumerate(others, 2):
        assert client.runs.read(other) == ROWS
        assert len(store.seen("/result")) == count
    assert connect(store).runs.read(run) == ROWS
    assert len(store.seen("/result")) == 5


def test_a_saved_result_outlives_its_url(
    connect: Connect, store: FaultyServer, tmp_path: Path
) -> None:
    """A result that was saved can be read when its store is gone."""
    client = connect(store)
    run = client.flows.run("f", save_path=tmp_path / "r.json")
    store.on("/result", Reply(b"", 403))
    assert client.runs.read(run) == ROWS
