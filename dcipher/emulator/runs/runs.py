"""Runs: started, queued, executed in a thread, ended. They wait on the event loop."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, cast, final

from pydantic import JsonValue

from dcipher._concurrency.clock import monotonic
from dcipher.emulator.contract.unmatched import no_run
from dcipher.emulator.gate.refusals import Refusal
from dcipher.emulator.runs.flows import Flow, FlowRegistry
from dcipher.emulator.runs.pace import Pace
from dcipher.emulator.runs.results import Result, StoredResult
from dcipher.emulator.runs.workers import Workers

if TYPE_CHECKING:
    from dcipher.emulator.runs.state import State

__all__ = ["FINISHED", "Run", "RunRecord", "Runs", "Status", "run_identity"]

Status: TypeAlias = Literal["PENDING", "QUEUED", "RUNNING", "SUCCEEDED", "FAILED"]
FINISHED: Final = frozenset(("SUCCEEDED", "FAILED"))
_FLOW_GRACE = 1.0
"""Seconds after the start in which a flow can be registered for the runs that wait for it."""
_FLOW_POLLS = 50
_RETRY_DELAY = 1.0
"""Seconds between two attempts to persist a run on a full disk."""
_LOGGER = logging.getLogger("dcipher.emulator")


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A snapshot of a run. Times are in UTC."""

    flow_id: str
    """The id of the flow."""
    task_id: str
    """The id of the run."""
    status: Status
    """The status, such as `RUNNING`."""
    message: str | None
    """The error message of a failed run."""
    params: Mapping[str, JsonValue]
    """The params of the start."""
    idempotency_key: str | None
    """The `Idempotency-Key` of the start."""
    created_at: datetime
    """When the start was received."""
    started_at: datetime | None
    """When the flow began to execute."""
    finished_at: datetime | None
    """When the run ended."""


@dataclass(slots=True)
class Run:
    """A run. Only the thread of the event loop, and faults, change it."""

    flow_id: str
    outputs: int
    params: Mapping[str, JsonValue]
    idempotency_key: str | None
    task_id: str
    identity: str
    """Identifies the run. It is the same in every execution of a program, unlike the task id."""
    created_at: float
    status: Status = "PENDING"
    message: str | None = None
    started_at: float | None = None
    finished_at: float | None = None
    results: tuple[StoredResult, ...] = ()
    urls_expired: bool = False

    def record(self) -> RunRecord:
        """Returns a frozen copy."""
        return RunRecord(
            flow_id=self.flow_id,
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
    """The outcome of a flow: its results, or an error."""

    results: tuple[StoredResult, ...] = ()
    error: str | None = None


@final
class Runs:
    """All the runs of an emulator."""

    def __init__(
        self, pace: Pace, *, max_workers: int, seed: int | None = None, state: State | None = None
    ) -> None:
        self._pace = pace
        self._max_workers = max_workers
        self._seed = seed
        self._state = state
        self._workers = Workers()
        self._runs: dict[str, Run] = {}
        self._numbers: Counter[str] = Counter()
        """Of equal starts, the number of the last one."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots: asyncio.Semaphore | None = None

    def make(
        self, flow: Flow, params: Mapping[str, JsonValue], idempotency_key: str | None, body: bytes
    ) -> Run:
        """Creates a run."""
        started = run_identity(flow.id, body)
        task_id = identity = ""
        # A folder may contain the ids of another seed or version.
        while not task_id or task_id in self._runs:
            self._numbers[started] += 1
            identity = f"{started}/{self._numbers[started]}"
            task_id = self._task_id(identity)
        return Run(
            flow.id,
            flow.outputs,
            params,
            idempotency_key,
            task_id=task_id,
            identity=identity,
            created_at=time.time(),
        )

    def withdraw(self, run: Run) -> None:
        """Removes a run that could not be persisted: it does not count as a start."""
        started, number = _numbered(run)
        if self._numbers[started] == number:
            self._numbers[started] -= 1

    def launch(self, run: Run, flow: Flow, work: Callable[[], object]) -> None:
        """Starts a run in the background. Call it on the event loop."""
        self._runs[run.task_id] = run
        self._spawn(self._execute(run, flow, work))

    def restore(self, runs: Iterable[Run]) -> None:
        """Restores the runs from before a restart."""
        for run in runs:
            self._runs[run.task_id] = run
            started, number = _numbered(run)
            self._numbers[started] = max(self._numbers[started], number)

    def resume(self, flows: FlowRegistry) -> None:
        """Executes unfinished runs again, from their params. Call it on the event loop."""
        for run in tuple(self._runs.values()):
            if run.status not in FINISHED:
                self._spawn(self._restart(run, flows))

    def find(self, task_id: str) -> Run | None:
        """Returns the run, if there is one."""
        return self._runs.get(task_id)

    def get(self, task_id: str, flow_id: str | None = None) -> Run:
        """Returns the run. Raises a `Refusal` with 404 if there is none, or not of this flow."""
        run = self.find(task_id)
        if run is None or flow_id not in (None, run.flow_id):
            actual_flow = None if run is None else run.flow_id
            text = no_run(task_id, flow_id or "", actual_flow=actual_flow)
            raise Refusal(404, f"There is no run {task_id!r} of this flow.", unmatched=text)
        return run

    def every(self) -> Collection[Run]:
        """Returns the runs, in the order of the starts. Call it on the event loop."""
        return self._runs.values()

    def records(self) -> tuple[RunRecord, ...]:
        """Returns every run, in the order of the starts. Call it from any thread."""
        return tuple(run.record() for run in tuple(self._runs.values()))

    def clear(self) -> None:
        """Ends and removes every run. Call it on the event loop, or when there is none."""
        for task in tuple(self._tasks):
            _ = task.cancel()
        self._runs.clear()
        self._numbers.clear()

    async def stop(self, *, grace: float) -> None:
        """Ends every run. Running flows have `grace` seconds."""
        tasks = tuple(self._tasks)
        for task in tasks:
            _ = task.cancel()
        _ = await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(self._workers.stop, grace=grace)

    def _spawn(self, living: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(living)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _task_id(self, identity: str) -> str:
        """Returns a random id, or, with a seed, the same one for equal starts in any order."""
        if self._seed is None:
            return uuid.uuid4().hex
        text = f"{self._seed}\n{identity}"
        return uuid.UUID(bytes=hashlib.sha256(text.encode()).digest()[:16], version=4).hex

    async def _execute(self, run: Run, flow: Flow, work: Callable[[], object]) -> None:
        waits = self._pace.real(self._pace.queue_time)
        await asyncio.sleep(waits)
        run.status = "QUEUED"
        await asyncio.sleep(waits)
        async with self._free_slot():
            run.status, run.started_at = "RUNNING", time.time()
            began = monotonic()
            outcome = await self._workers.call(lambda: self._compute(run, work))
        seconds = self._pace.min_run_time if flow.duration is None else flow.duration
        least = self._pace.real(seconds)
        await asyncio.sleep(max(0.0, began + least - monotonic()))
        await self._end(run, outcome)

    async def _restart(self, run: Run, flows: FlowRegistry) -> None:
        for _ in range(_FLOW_POLLS):
            if flows.find(run.flow_id) is not None:
                break
            await asyncio.sleep(_FLOW_GRACE / _FLOW_POLLS)
        try:
            flow, work = _rebound(run, flows)
        except (Refusal, LookupError) as error:
            text = f"The emulator ended during this run, and it cannot be executed again: {error}"
            await self._end(run, _Outcome(error=text))
        else:
            await self._execute(run, flow, work)

    async def _end(self, run: Run, outcome: _Outcome) -> None:
        """Persists the outcome before it is published: a restart must not change what a client has received."""
        ended = replace(
            run,
            results=outcome.results,
            message=outcome.error,
            finished_at=time.time(),
            status="SUCCEEDED" if outcome.error is None else "FAILED",
        )
        persisted = await self._persist(ended)
        if not persisted:
            _LOGGER.error(
                "Run %s cannot be persisted: it would be executed again after a restart.",
                run.task_id,
            )
        run.results, run.message, run.finished_at = ended.results, ended.message, ended.finished_at
        run.status = ended.status
        while not persisted:
            await asyncio.sleep(_RETRY_DELAY)
            persisted = await self._persist(replace(run))

    async def _persist(self, run: Run) -> bool:
        if self._state is None:
            return True
        try:
            await self._state.finish(run)
        except OSError as error:
            _LOGGER.error("%s", error)  # noqa: TRY400 (its text has the reason)
            return False
        return True

    def _free_slot(self) -> asyncio.Semaphore:
        if self._slots is None:  # created late: on Python 3.10, it belongs to the running loop
            self._slots = asyncio.Semaphore(self._max_workers)
        return self._slots

    def _compute(self, run: Run, work: Callable[[], object]) -> _Outcome:
        """Calls the flow, in the thread of a worker."""
        try:
            value = self._workers.resolve(work())
            files = _files(value, run.outputs)
            now = time.time()
            return _Outcome(tuple(StoredResult.of(file, modified=now) for file in files))
        except BaseException as error:  # noqa: BLE001 (any exception of a flow fails its run)
            # JSON and databases cannot contain a lone surrogate.
            text = str(error).encode(errors="backslashreplace").decode()
            return _Outcome(error=text or type(error).__name__)


def _rebound(run: Run, flows: FlowRegistry) -> tuple[Flow, Callable[[], object]]:
    """Returns the flow and the call of a run from before a restart. Raises `LookupError` or `Refusal`."""
    flow = flows.find(run.flow_id)
    if flow is None:
        raise LookupError(f"the flow {run.flow_id!r} is no longer registered.")
    if flow.outputs != run.outputs:
        raise LookupError(f"it has {run.outputs} outputs, but its flow now has {flow.outputs}.")
    return flow, flow.bind(run.params)


def run_identity(flow_id: str, body: bytes) -> str:
    """Returns the common identity of equal starts. The identity of a run also has its number among them."""
    return f"{flow_id}/{hashlib.sha256(body).hexdigest()}"


def _numbered(run: Run) -> tuple[str, int]:
    """Returns the common part of an identity, and the number of the run among equal starts."""
    started, _, number = run.identity.rpartition("/")
    return started, int(number)


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
