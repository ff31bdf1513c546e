"""The state of the emulator for the console, with an ETag: an unchanged state is not sent again.

Everything here is called on the event loop.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, final

from dcipher._version import __version__
from dcipher.emulator.gate.masking import masked_text

if TYPE_CHECKING:
    from pydantic import JsonValue

    from dcipher.emulator.faults.rules import Faults
    from dcipher.emulator.gate.exchanges import Exchanges
    from dcipher.emulator.gate.journal import Journal, RequestRecord
    from dcipher.emulator.runs.flows import Flow
    from dcipher.emulator.runs.runs import Run
    from dcipher.emulator.runs.service import Service

__all__ = ["Sources", "Watch", "flow_summary", "run_summary"]

MOST: Final = 1000
"""The number of runs, and of requests, in a state: the newest ones."""
_LONGEST_MESSAGE: Final = 2000


@dataclass(frozen=True, slots=True)
class Sources:
    """The parts of the emulator that the console shows."""

    service: Service
    journal: Journal
    exchanges: Exchanges
    faults: Faults


@final
class Watch:
    """Returns the state of the emulator, if it has changed."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._emulator = secrets.token_hex(6)
        self._resets = 0

    def clear(self) -> None:
        """Notes that the emulator was reset."""
        self._resets += 1

    def state(self, known: str = "") -> dict[str, JsonValue]:
        """Returns the state, or only the time if its ETag is `known`."""
        sources = self._sources
        count = sources.journal.count
        runs = sources.service.runs.every()
        newest = deque(runs, maxlen=MOST)
        flows = sources.service.flows.every()
        rules = sources.faults.rules
        parts = (
            *(self._emulator, self._resets, count, len(runs), len(flows)),
            [(rule.id, rule.words, rule.hits, rule.matched) for rule in rules],
            [(run.status, run.message) for run in newest],
        )
        etag = hashlib.sha256(repr(parts).encode(errors="backslashreplace")).hexdigest()[:32]
        if etag == known:
            return {"etag": etag, "now": time.time()}
        requests = sources.journal.since(max(0, count - MOST))
        return {
            "etag": etag,
            "now": time.time(),
            "emulator": self._emulator,
            "resets": self._resets,
            "version": __version__,
            "run_count": len(runs),
            "request_count": count,
            "runs": [run_summary(run, sources.exchanges.secrets) for run in newest],
            "requests": [self._request(number, record) for number, record in requests],
            "faults": [{**rule.to_python(), "words": rule.words} for rule in rules],
            "flows": [flow_summary(flow) for flow in flows],
        }

    def _request(self, number: int, record: RequestRecord) -> dict[str, JsonValue]:
        exchange = self._sources.exchanges.get(record.request_id)
        return {
            "number": number,
            "method": record.method,
            "path": masked_text(record.path, self._sources.exchanges.secrets),
            "query": record.query,
            "status": record.status,
            "fault": record.fault,
            "unmatched": record.unmatched,
            "at": record.at.timestamp(),
            "seconds": None if exchange is None else exchange.seconds,
        }


def run_summary(run: Run, secrets: tuple[str, ...]) -> dict[str, JsonValue]:
    """Returns a run without its params and results, which may be large."""
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
    """Returns a flow as in the API, and the JSON schema of its params."""
    described: dict[str, JsonValue] = flow.description.model_dump(mode="json", by_alias=True)
    return {
        **described,
        "restricted": flow.restricted,
        "outputs": flow.outputs,
        "schema": dict(flow.schema),
    }
