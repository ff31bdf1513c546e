"""The public names for type checkers. Only they read this file; nothing runs it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Iterator
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pandas as pd
import polars as pl
import pyarrow as pa
from pydantic import BaseModel, Field
from typing_extensions import assert_type

from dcipher import (
    APIStatusError,
    AsyncBatch,
    AsyncDcipher,
    AsyncRecords,
    Batch,
    BatchProgress,
    BatchReport,
    Dcipher,
    ErrorResponse,
    Flow,
    FlowCall,
    FlowDrift,
    FlowParam,
    HTTPAuthenticatedClient,
    HTTPClient,
    Outcome,
    Output,
    Records,
    Rejects,
    Resilience,
    ResultParseError,
    Run,
    RunError,
    RunStatus,
    Settings,
    SubmissionUnknownError,
    Table,
)


class Topic(BaseModel):
    label: str
    size: int


class Query(BaseModel):
    text: str


class Topics(FlowCall[list[Topic]], flow="65cf2f3e"):
    text: str
    top: int = Field(default=5, alias="topN")


def told(progress: BatchProgress) -> None:
    print(progress.ended, progress.rows)


def typed_calls() -> None:
    with Dcipher() as client:
        assert_type(client.call(Topics(text="…", topN=3)), list[Topic])
        assert_type(client.flows.check(Topics), FlowDrift)
        assert_type(client.flows.start(Topics(text="…"), idempotency_key="k"), Run)
        assert_type(client.flows.run(Topics(text="…"), save_path="a.json"), Run)
        assert_type(client.flows.map([Topics(text="…")], journal="a.db"), Batch[list[Topic]])
        batch = client.flows.map("f", [{"id": 1}], key="id", read=Topic, max_failures=0.1)
        assert_type(batch, Batch[Topic])
        for outcome in batch:
            assert_type(outcome, Outcome[Topic])
            assert_type(outcome.unwrap(), Topic)
            assert_type(outcome.run, Run | None)
        assert_type(batch.run(), BatchReport)
        assert_type(client.flows.map("f", [{}], save="folder", progress=told), Batch[Any])


async def typed_async_calls() -> None:
    async with AsyncDcipher() as client:
        assert_type(await client.call(Topics(text="…"), wait_timeout=3), list[Topic])
        assert_type(await client.flows.start(Topics(text="…")), Run)
        batch = client.flows.map(Topics(text=text) for text in ("a", "b"))
        assert_type(batch, AsyncBatch[list[Topic]])
        async for outcome in batch:
            assert_type(outcome.unwrap(), list[Topic])
        assert_type(await batch.run(), BatchReport)


def sync_client(run: Run, path: Path) -> None:
    with Dcipher() as client:
        assert_type(client, Dcipher)
        assert_type(client.flows.get("f"), Flow)
        assert_type(client.flows.get("f").params, tuple[FlowParam, ...])
        assert_type(client.flows.start("f", {"text": "…"}), Run)
        assert_type(client.flows.start("f", Query(text="…"), idempotency_key="k"), Run)
        assert_type(client.flows.run("f", {}, save_path=path, wait_timeout=3.0), Run)
        assert_type(client.flows.run("f", on_status=lambda run: print(run.status)), Run)
        assert_type(client.run_flow("f", {"a": 1}, "output.json"), Run)
        assert_type(client.runs.get("f", "t"), Run)
        assert_type(client.runs.refresh(run), Run)
        assert_type(client.runs.wait(run, timeout=1, poll_interval=0.5), Run)
        assert_type(client.runs.watch(run), Generator[Run])
        assert_type(client.runs.download(run, "output.json"), tuple[Path, ...])
        assert_type(client.runs.read(run), Any)
        assert_type(client.runs.read(run, list[Topic]), list[Topic])
        assert_type(client.runs.read(run, bytes), bytes)
        assert_type(client.runs.records(run, Topic), Records[Topic])
        assert_type(client.runs.records(run, Topic, on_invalid="drop"), Records[Topic])
        for topic in client.runs.records(run, Topic):
            assert_type(topic.size, int)
        with client.runs.records(run, Topic, on_invalid="collect", max_invalid=0.1) as records:
            assert_type(list(records), list[Topic])
            assert_type(records.rejects, Rejects)
        with client.runs.table(run, Topic, output_index=0) as table:
            assert_type(table, Table)
            assert_type(table.schema, pa.Schema)
            assert_type(table.num_rows, int | None)
            assert_type(table.batches(size=10), Iterator[pa.RecordBatch])
        assert_type(client.runs.batches(run, Topic, size=10), Generator[pa.RecordBatch])
        assert_type(client.runs.to_arrow(run), pa.Table)
        assert_type(client.runs.to_pandas(run, Topic), pd.DataFrame)
        assert_type(client.runs.to_polars(run, Topic), pl.DataFrame)
        assert_type(client.with_options(timeout=5, max_retries=0), Dcipher)
        assert_type(client.with_options(resilience=Resilience(max_retries=2)), Dcipher)


async def async_client(run: Run, path: Path) -> None:
    async def told(run: Run) -> None:
        print(run.status)

    async with AsyncDcipher("key", base_url="http://localhost", timeout=httpx.Timeout(3)) as client:
        assert_type(client, AsyncDcipher)
        assert_type(await client.flows.get("f"), Flow)
        assert_type(await client.flows.start("f"), Run)
        assert_type(await client.flows.run("f", {}, save_path=path, on_status=told), Run)
        assert_type(await client.flows.run("f", on_status=lambda run: print(run.status)), Run)
        assert_type(await client.runs.wait(run), Run)
        assert_type(client.runs.watch(run), AsyncGenerator[Run])
        async for changed in client.runs.watch(run):
            assert_type(changed, Run)
        assert_type(await client.runs.read(run, list[Topic]), list[Topic])
        assert_type(client.runs.records(run, Topic), AsyncRecords[Topic])
        assert_type(await client.runs.table(run), Table)
        assert_type(client.runs.batches(run), AsyncGenerator[pa.RecordBatch])
        assert_type(await client.runs.to_pandas(run, Topic), pd.DataFrame)
        assert_type(await client.runs.download(run, path, overwrite=False), tuple[Path, ...])
        assert_type(client.with_options(headers={"X-Team": "a"}), AsyncDcipher)


def models(run: Run, output: Output) -> None:
    assert_type(run.status, RunStatus | str)
    assert_type(run.outputs, tuple[Output, ...])
    assert_type(run.files, tuple[Path, ...])
    assert_type(run.is_terminal, bool)
    assert_type(Run.from_json(run.to_json(reveal=True)), Run)
    if output.url is not None:
        assert_type(output.url.get_secret_value(), str)


def errors(error: APIStatusError, lost: SubmissionUnknownError, run: RunError) -> None:
    assert_type(error.error, ErrorResponse | None)
    assert_type(error.response, httpx.Response | None)
    assert_type(error.retry_after, float | None)
    assert_type(lost.idempotency_key, str)
    assert_type(run.run, Run)


def result_errors(error: ResultParseError) -> None:
    assert_type(error.run, Run | None)
    assert_type(error.location, str)


def http_layer() -> None:
    client = HTTPAuthenticatedClient("https://api.example.com", api_key="k", api_secret=b"s")
    assert_type(client.with_headers({"X-A": "b"}), HTTPAuthenticatedClient)
    assert_type(client.with_timeout(3).with_cookies({}), HTTPAuthenticatedClient)
    assert_type(client.set_httpx_client(httpx2.Client()), HTTPAuthenticatedClient)
    client.set_async_httpx_client(httpx2.AsyncClient())
    assert_type(Dcipher(http_client=httpx2.Client()), Dcipher)
    assert_type(Dcipher(http_client=httpx.Client()), Dcipher)
    assert_type(AsyncDcipher(http_client=httpx2.AsyncClient()), AsyncDcipher)
    assert_type(client.get_or_create_httpx_client(), httpx.Client)
    assert_type(client.get_or_create_async_httpx_client(), httpx.AsyncClient)
    assert_type(HTTPClient("https://x").with_resilience(Resilience()), HTTPClient)


def settings() -> None:
    assert_type(Settings().timeout, float)
    assert_type(Settings(timeout=5).base_url, str)
