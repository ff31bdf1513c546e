"""Runs a batch in the workers of an executor: its rows in shards, each a separate batch."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from dcipher._batch.engine.plan import too_many_failures
from dcipher._concurrency.callables import async_call_back
from dcipher._concurrency.clock import monotonic
from dcipher._concurrency.iterables import async_is_streamed
from dcipher._concurrency.sleeping import async_sleep
from dcipher._concurrency.tasks.threads import async_in_thread
from dcipher._progress.displays import display
from dcipher.calls import flow_id_of, is_call, result_type_of
from dcipher.errors import InvalidParamsError
from dcipher.errors._hints import add_note, with_hint

from .inputs.names import stem_of
from .inputs.rows import is_known_whole, rows_of
from .journal.owners import Owners
from .journal.reading import read_resent, states_of
from .journal.states import ENDS
from .journal.store import Journal
from .reports.progress import BatchProgress, snapshot
from .reports.report import BatchReport, report_of
from .reports.tally import Tally

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator
    from concurrent.futures import Executor, Future
    from typing import TypeAlias

    from dcipher._batch.engine.plan import Plan
    from dcipher._batch.journal.states import Entry
    from dcipher._batch.reports.outcomes import Outcome

    from .partition import Partition

    _Part: TypeAlias = tuple[list[int], Path, list[Any]]
    """Positions, journal and rows of a shard."""

__all__ = ["AsyncShards"]

T = TypeVar("T")

AT_ONCE: Final = 16
"""Shards that are submitted before the first of them has ended."""
INTERVAL: Final = 0.02
"""Seconds between two checks for ended shards."""


@dataclass
class AsyncShard(Generic[T]):
    """Some rows, in a worker."""

    positions: list[int]
    """The positions of its rows in the input."""
    journal: Path
    outcomes: Future[list[Outcome[T]]]


class AsyncShards(Generic[T]):
    """Runs a plan in an executor, as the engine does in this process."""

    def __init__(self, partition: Partition, plan: Plan, executor: Executor, shard: object) -> None:
        if isinstance(shard, bool) or not isinstance(shard, int) or shard < 1:
            raise InvalidParamsError(f"shard must be 1 or more, not {shard!r}.")
        if async_is_streamed(plan.rows):
            raise with_hint(
                InvalidParamsError("rows is an async iterator, which an executor cannot read."),
                "Pass a plain iterator with executor=….",
            )
        if not callable(getattr(executor, "submit", None)):
            raise InvalidParamsError(
                f"executor must be an executor of concurrent.futures, or one with its submit(), not {executor!r}."
            )
        self._partition = partition
        self._plan = plan
        self._executor = executor
        self._size = shard
        self._is_stopped = False
        self._submitted: deque[AsyncShard[T]] = deque()
        self._waiting: _Part | None = None
        self._owners: Owners | None = None
        self._held: dict[int, Outcome[T]] = {}
        self._head = 0
        """The position of the first row without an outcome."""
        self._keys: Journal | None = None
        """The keys of all rows, in no file of the user's: two shards must not have the same."""
        self._total = len(plan.rows) if is_known_whole(plan.rows) else None
        self._tally = Tally()
        self._began = monotonic()
        self._display = display(plan.progress, snapshot)
        self.report: BatchReport | None = None

    def stop(self) -> None:
        """Submits nothing more; shards in progress are completed."""
        self._is_stopped = True

    async def outcomes(self) -> AsyncGenerator[Outcome[T]]:
        """Yields the outcome of each row, when its shard has ended; the report is available at the end."""
        self._began = monotonic()
        tally, is_whole = self._tally, False
        try:
            is_checked = self._total is not None
            if is_checked:  # before the first run, as without an executor
                deque(self._shards(), maxlen=0)
            shards = self._shards(is_checked=is_checked)
            while self._submit(shards):
                shard = await self._next()
                found = shard.outcomes.result()
                keys = {outcome.key for outcome in found}
                for key, late in await async_in_thread(read_resent, shard.journal):
                    if key in keys:
                        tally.sent_again(key, late=bool(late))
                for outcome in self._placed(found, shard.positions):
                    tally.add(outcome)
                    yield outcome
                self._judge(tally, at_end=False)
            is_whole = not self._is_stopped
            if is_whole:
                self._judge(tally, at_end=True)
        except GeneratorExit:
            raise
        except BaseException as error:
            folder = self._partition.folder
            add_note(
                error,
                f"To resume from {folder}, run the same line again: nothing is started twice.",
            )
            raise
        finally:
            for shard in self._submitted:
                shard.outcomes.cancel()
            self.report = report_of(
                tally,
                left_running=0,
                total=monotonic() - self._began,
                throttled=0.0,
                starts=tally.rows - tally.reused,
                polls=0,
                stopped=not is_whole,
                journal=self._partition.folder,
            )
            await async_call_back(self._display.close, self._progress(is_last=True))

    def _placed(self, found: list[Outcome[T]], positions: list[int]) -> Iterator[Outcome[T]]:
        """Yields outcomes with their positions in the input; with `ordered`, in that order."""
        for outcome in found:
            index = positions[outcome.index]
            self._held[index] = replace(outcome, index=index)
            if not self._plan.ordered:
                yield self._held.pop(index)
        while self._head in self._held:
            self._head += 1
            yield self._held.pop(self._head - 1)

    def _submit(self, shards: Iterator[_Part]) -> bool:
        """Submits as many shards as permitted; returns whether any is left."""
        while len(self._submitted) < AT_ONCE and not self._is_stopped:
            shard = self._waiting or next(shards, None)
            self._waiting = None
            if shard is None:
                break
            positions, journal, rows = shard
            if any(other.journal == journal for other in self._submitted):
                self._waiting = shard  # a journal has one runner
                break
            outcomes = self._executor.submit(self._partition.rows, rows, journal.name)
            self._submitted.append(AsyncShard(positions, journal, outcomes))
        return bool(self._submitted)

    async def _next(self) -> AsyncShard[T]:
        """Waits for an ended shard; with `ordered`, for the first one."""
        while True:
            looked_at = [self._submitted[0]] if self._plan.ordered else [*self._submitted]
            for shard in looked_at:
                if shard.outcomes.done():
                    self._submitted.remove(shard)
                    return shard
            if self._display.is_due(monotonic()):
                await async_call_back(self._display.report, await async_in_thread(self._progress))
            await async_sleep(INTERVAL)

    def _progress(self, *, is_last: bool = False) -> BatchProgress:
        """The sum over all shards: of those in progress, what their journals say, if they are here."""
        counts, in_flight = Counter(self._tally.counts), 0
        for shard in [] if is_last else [*self._submitted]:
            states = states_of(shard.journal)
            if sum(states.values()) != len(shard.positions):
                continue  # it has rows of other shards
            counts.update({state: count for state, count in states.items() if state in ENDS})
            in_flight += states.get("sent", 0) + states.get("started", 0)
        elapsed, ended = monotonic() - self._began, counts.total()
        fresh = ended - self._tally.reused
        left = self._total is not None and fresh > 0
        return BatchProgress(
            rows=self._total,
            counts=dict(counts),
            reused=self._tally.reused,
            in_flight=in_flight,
            elapsed=elapsed,
            remaining=((self._total or 0) - ended) * elapsed / fresh if left else None,
            is_last=is_last,
        )

    def _shards(self, *, is_checked: bool = False) -> Iterator[_Part]:
        rows, first, folder = rows_of(self._plan.rows), 0, Path(self._partition.folder)
        while shard := [*islice(rows, self._size)]:
            if first == 0 and self._plan.flow_id is None:
                self._partition = _of_call(self._partition, shard[0])
            if self._owners is None:
                self._owners = Owners(folder, self._partition.flow_id)
            entries = self._partition.entries(shard, first)
            if not is_checked:
                self._check_keys(entries)
            parts: dict[str | None, list[Entry]] = {}
            for entry in entries:
                parts.setdefault(self._owners.journal_of(entry.key), []).append(entry)
            for journal, part in parts.items():
                name = journal or self._partition.journal_of(part)
                positions = [entry.position for entry in part]
                yield positions, folder / name, [shard[position - first] for position in positions]
            first += len(shard)
        self._total = first

    def _check_keys(self, entries: list[Entry]) -> None:
        """Raises `JournalConflictError` for a key that comes twice, in whichever shards."""
        if self._keys is None:
            self._keys = Journal(None)
        bare = [replace(entry, params="", secrets=()) for entry in entries]
        flow_id, targets = self._partition.flow_id, self._plan.target(stem_of)
        self._keys.plan(flow_id, bare, _no_idempotency_key, targets=targets)

    def _judge(self, tally: Tally, *, at_end: bool) -> None:
        error = too_many_failures(tally, self._plan.max_failures, at_end=at_end)
        if error is not None:
            raise error


def _no_idempotency_key(_entry: Entry, _generation: int) -> str:
    return ""


def _of_call(partition: Partition, first: object) -> Partition:
    """Returns the partition for calls, which name the flow and the type themselves."""
    if not is_call(first):
        raise InvalidParamsError(
            "Row 0 of the input is not a FlowCall, so flow_id is required: flows.map(flow_id, rows)."
        )
    read = result_type_of(type(first)) if partition.read is None else partition.read
    return replace(partition, flow_id=flow_id_of(type(first)), read=read)
