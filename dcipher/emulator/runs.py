"""Runs: started, queued, computed in a thread, done. Waiting happens on the event loop."""

from __future__ import annotations

import asyncio
import hashlib
import time
import uuid
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Literal, TypeAlias, cast, final

from dcipher.emulator.errors import Refusal
from dcipher.emulator.results import Result, StoredResult
from dcipher.emulator.unmatched import no_run
from dcipher.emulator.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pydantic import JsonValue

    from dcipher.emulator.flows import Flow

__all__ = ["Run", "RunRecord", "Runs", "Status", "run_identity"]

Status: TypeAlias = Literal["PENDING", "QUEUED", "RUNNING", "SUCCEEDED", "FAILED"]


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run as it was at one moment. Times are in UTC."""

    flow_id: str
    task_id: str
    status: Status
    message: str | None
    params: Mapping[str, JsonValue]
    idempotency_key: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(slots=True)
class Run:
    """A run, as it goes on. Only the event loop's thread changes it, and faults do."""

    flow: Flow
    work: Callable[[], object]
    params: Mapping[str, JsonValue]
    idempotency_key: str | None
    task_id: str
    identity: str
    """The same on every execution of a program, unlike the task id."""
    created_at: float
    status: Status = "PENDING"
    message: str | None = None
    started_at: float | None = None
    finished_at: float | None = None
    results: tuple[StoredResult, ...] = ()
    urls_expired: bool = False

    def record(self) -> RunRecord:
        """A frozen copy."""
        return RunRecord(
            flow_id=self.flow.id,
            task_id=self.task_id,
            status=self.status,
            message=self.message,
            params=self.params,
            idempotency_key=self.idempotency_key,
            created_at=datetime.fromtimestamp(self.created_at, timezone.utc),
            started_at=_moment(self.started_at),
            finished_at=_moment(self.finished_at),
        )


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What a flow came to: its results, or why there are none."""

    results: tuple[StoredResult, ...] = ()
    error: str | None = None


@final
class Runs:
    """All the runs of an emulator."""

    def __init__(self, *, queue_time: float, min_run_time: float, max_workers: int) -> None:
        self._queue_time = queue_time
        self._min_run_time = min_run_time
        self._max_workers = max_workers
        self._workers = Workers()
        self._runs: dict[str, Run] = {}
        self._identities: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots: asyncio.Semaphore | None = None

    def start(
        self,
        flow: Flow,
        work: Callable[[], object],
        params: Mapping[str, JsonValue],
        idempotency_key: str | None,
        body: bytes,
    ) -> Run:
        """A new run that goes on by itself; call it on the event loop."""
        started = run_identity(flow.id, body)
        self._identities[started] += 1
        run = Run(
            flow,
            work,
            params,
            idempotency_key,
            task_id=uuid.uuid4().hex,
            identity=f"{started}/{self._identities[started]}",
            created_at=time.time(),
        )
        self._runs[run.task_id] = run
        task = asyncio.get_running_loop().create_task(self._live(run))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return run

    def find(self, task_id: str) -> Run | None:
        """The run, if there is one."""
        return self._runs.get(task_id)

    def get(self, task_id: str, flow_id: str | None = None) -> Run:
        """The run; a `Refusal` with 404 if there is none, or not of this flow."""
        run = self.find(task_id)
        if run is None or flow_id not in (None, run.flow.id):
            really_of = None if run is None else run.flow.id
            said = no_run(task_id, flow_id or "", really_of=really_of)
            raise Refusal(404, f"There is no run {task_id!r} of this flow.", unmatched=said)
        return run

    def records(self) -> tuple[RunRecord, ...]:
        """Every run in the order of the starts; from any thread."""
        return tuple(run.record() for run in tuple(self._runs.values()))

    def forget(self) -> None:
        """End and forget every run; call it on the event loop, or when there is none."""
        for task in tuple(self._tasks):
            _ = task.cancel()
        self._runs.clear()
        self._identities.clear()

    async def stop(self, *, grace: float) -> None:
        """End every run, and give flows that still compute `grace` seconds."""
        tasks = tuple(self._tasks)
        for task in tasks:
            _ = task.cancel()
        _ = await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(self._workers.stop, grace=grace)

    async def _live(self, run: Run) -> None:
        await asyncio.sleep(self._queue_time)
        run.status = "QUEUED"
        await asyncio.sleep(self._queue_time)
        async with self._free_slot():
            run.status, run.started_at = "RUNNING", time.time()
            began = time.monotonic()
            outcome = await self._workers.call(lambda: self._compute(run))
        least = self._min_run_time if run.flow.duration is None else run.flow.duration
        await asyncio.sleep(max(0.0, began + least - time.monotonic()))
        run.finished_at = time.time()
        run.results, run.message = outcome.results, outcome.error
        run.status = "SUCCEEDED" if outcome.error is None else "FAILED"

    def _free_slot(self) -> asyncio.Semaphore:
        if self._slots is None:  # made late: on Python 3.10 it belongs to the running loop
            self._slots = asyncio.Semaphore(self._max_workers)
        return self._slots

    def _compute(self, run: Run) -> _Outcome:
        """In a worker's thread."""
        try:
            value = self._workers.resolve(run.work())
            files = _files(value, run.flow.outputs)
            now = time.time()
            return _Outcome(tuple(StoredResult.of(file, modified=now) for file in files))
        except BaseException as error:  # noqa: BLE001 (whatever a flow raises is its run's failure)
            return _Outcome(error=str(error) or type(error).__name__)


def run_identity(flow_id: str, body: bytes) -> str:
    """What is the same of equal starts; a run's identity adds how many-th of them it is."""
    return f"{flow_id}/{hashlib.sha256(body).hexdigest()}"


def _files(value: object, outputs: int) -> Sequence[Result]:
    if outputs == 1:
        return [Result.of(value)]
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"The flow has {outputs} outputs but did not return a list or a tuple.")
    values = cast("Sequence[object]", value)
    if len(values) != outputs:
        raise ValueError(f"The flow has {outputs} outputs but returned {len(values)}.")
    return [Result.of(item) for item in values]


def _moment(unix: float | None) -> datetime | None:
    return None if unix is None else datetime.fromtimestamp(unix, timezone.utc)
