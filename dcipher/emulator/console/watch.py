"""What has changed since somebody looked: so that a page which asks twice a second costs little.

Everything here is called on the event loop.
"""

from __future__ import annotations

import secrets
import time
from bisect import bisect_right
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple, final

from dcipher._version import __version__
from dcipher.emulator.gate.masking import masked_text

if TYPE_CHECKING:
    from pydantic import JsonValue

    from dcipher.emulator.faults.rules import FaultRule, Faults
    from dcipher.emulator.gate.exchanges import Exchanges
    from dcipher.emulator.gate.journal import Journal, RequestRecord
    from dcipher.emulator.runs.flows import Flow
    from dcipher.emulator.runs.runs import Run
    from dcipher.emulator.runs.service import Service

__all__ = ["Sources", "Watch", "flow_summary", "run_summary"]

MOST: Final = 1000
"""Runs, and requests, in one answer."""
_LONGEST_MESSAGE: Final = 2000
_FINAL: Final = frozenset(("SUCCEEDED", "FAILED"))


@dataclass(frozen=True, slots=True)
class Sources:
    """What there is to look at."""

    service: Service
    journal: Journal
    exchanges: Exchanges
    faults: Faults


class _Cursor(NamedTuple):
    """How far somebody has looked."""

    emulator: str
    epoch: int = 0
    runs: int = 0
    requests: int = 0
    faults: int = -1
    flows: int = -1

    @classmethod
    def of(cls, text: str) -> _Cursor | None:
        """What `str` has written; None for anything else."""
        emulator, *numbers = text.split(".")
        if len(numbers) != len(cls._fields) - 1 or not all(
            n.lstrip("-").isdecimal() and n.isascii() and len(n) < 19 for n in numbers
        ):
            return None
        return cls(emulator, *map(int, numbers))

    def write(self) -> str:
        return ".".join(map(str, self))


@final
class Watch:
    """Numbers the changes of runs, and says what came after one of them."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._emulator = secrets.token_hex(6)
        self._epoch = 0
        self._runs = _Runs()
        self._faults = _Faults()

    def forget(self) -> None:
        """The emulator was reset."""
        self._epoch += 1
        self._runs = _Runs()

    def state(self, after: str) -> dict[str, JsonValue]:
        """What is new after a cursor, and the next cursor.

        `fresh` says that the cursor is not of this emulator's life, or of before its reset: what
        was known is to be forgotten. `more`: ask again at once.
        """
        seen = _Cursor.of(after)
        fresh = seen is None or (seen.emulator, seen.epoch) != (self._emulator, self._epoch)
        if seen is None or fresh:
            seen = _Cursor(self._emulator, self._epoch)
        sources = self._sources
        self._runs.look(sources.service)
        runs, to_run = self._runs.since(seen.runs)
        count = sources.journal.count
        requests = sources.journal.since(max(seen.requests, count - MOST))
        fault_changes = self._faults.look(sources.faults)
        flows = sources.service.flows.every()
        now = _Cursor(self._emulator, self._epoch, to_run, count, fault_changes, len(flows))
        answer: dict[str, JsonValue] = {
            "emulator": self._emulator,
            "version": __version__,
            "cursor": now.write(),
            "fresh": fresh,
            "more": to_run < self._runs.last,
            "now": time.time(),
            "run_count": len(sources.service.runs.every()),
            "request_count": count,
            "runs": [run_summary(run, self._secrets) for run in runs],
            "requests": [self._request(number, record) for number, record in requests],
        }
        if seen.faults != now.faults:
            answer["faults"] = [
                {**rule.to_python(), "words": rule.words} for rule in sources.faults.rules
            ]
        if seen.flows != now.flows:
            answer["flows"] = [flow_summary(flow) for flow in flows]
        return answer

    @property
    def _secrets(self) -> tuple[str, ...]:
        return self._sources.exchanges.secrets

    def _request(self, number: int, record: RequestRecord) -> dict[str, JsonValue]:
        exchange = self._sources.exchanges.get(record.request_id)
        return {
            "number": number,
            "method": record.method,
            "path": masked_text(record.path, self._secrets),
            "query": record.query,
            "status": record.status,
            "fault": record.fault,
            "unmatched": record.unmatched,
            "at": record.at.timestamp(),
            "seconds": None if exchange is None else exchange.seconds,
        }


@final
class _Runs:
    """Each change of a run, by its number."""

    def __init__(self) -> None:
        self.last = 0
        self._known = 0
        self._open: dict[str, Run] = {}
        self._seen: dict[str, tuple[str, str | None]] = {}
        # One entry a run, by its last change: both grow together, and what was changed again
        # leaves a hole that is closed now and then.
        self._numbers: list[int] = []
        self._changed: list[Run | None] = []
        self._place: dict[str, int] = {}

    def look(self, service: Service) -> None:
        """Note what has changed; what is over is not looked at again."""
        for run in islice(service.runs.every(), self._known, None):
            self._known += 1
            self._open[run.task_id] = run
        for task_id, run in tuple(self._open.items()):
            shown = (run.status, run.message)
            if self._seen.get(task_id) != shown:
                self._seen[task_id] = shown
                self._note(run)
            if run.status in _FINAL:
                del self._open[task_id]
                del self._seen[task_id]

    def since(self, number: int) -> tuple[list[Run], int]:
        """The next runs that changed after a number, and the number of the last of them."""
        start = bisect_right(self._numbers, number)
        found: list[Run] = []
        for index in range(start, len(self._changed)):
            run = self._changed[index]
            if run is not None:
                found.append(run)
                number = self._numbers[index]
            if len(found) == MOST:
                return found, number
        return found, self.last

    def _note(self, run: Run) -> None:
        before = self._place.get(run.task_id)
        if before is not None:
            self._changed[before] = None
        self.last += 1
        self._place[run.task_id] = len(self._changed)
        self._numbers.append(self.last)
        self._changed.append(run)
        if len(self._changed) > 2 * len(self._place) + MOST:
            self._close_holes()

    def _close_holes(self) -> None:
        pairs = zip(self._numbers, self._changed, strict=True)
        kept = [(number, run) for number, run in pairs if run is not None]
        self._numbers = [number for number, _ in kept]
        self._changed = [run for _, run in kept]
        self._place = {run.task_id: place for place, (_, run) in enumerate(kept)}


@final
class _Faults:
    """How often the faults have changed."""

    def __init__(self) -> None:
        self._changes = 0
        self._seen: tuple[tuple[FaultRule, int, int], ...] = ()

    def look(self, faults: Faults) -> int:
        # The rules themselves are kept, since their numbers begin again after a reset.
        found = tuple((rule, rule.hits, rule.matched) for rule in faults.rules)
        if found != self._seen:
            self._seen = found
            self._changes += 1
        return self._changes


def run_summary(run: Run, secrets: tuple[str, ...]) -> dict[str, JsonValue]:
    """A run without its params and results, which may be large."""
    message = run.message
    if message is not None:
        message = masked_text(message[:_LONGEST_MESSAGE], secrets)
    return {
        "task_id": run.task_id,
        "flow_id": run.flow_id,
        "status": run.status,
        "message": message,
        "created_at": run.created_at,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
    }


def flow_summary(flow: Flow) -> dict[str, JsonValue]:
    """A flow as the API describes it, and the JSON Schema of its params."""
    described: dict[str, JsonValue] = flow.description.model_dump(mode="json", by_alias=True)
    return {
        **described,
        "restricted": flow.restricted,
        "outputs": flow.outputs,
        "schema": dict(flow.schema),
    }
