"""Executes a plan: one or more downloads, each in a thread with a watchdog, checked by the oracle."""

from __future__ import annotations

import logging
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import anyio
import httpx

from dcipher import AsyncDcipher, Dcipher
from tests.conftest import KEY
from tests.results.downloads.plan_oracle import Outcome, WrongError, judge
from tests.results.downloads.stores import run_at
from tests.waiting import HANG

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.results.downloads.plan_store import PlanStore, Visit
    from tests.results.downloads.plans import Plan

    Download: TypeAlias = Callable[[Visit, Path, float], None]

__all__ = ["check", "download"]

WATCHDOG = HANG
"""Seconds that no download may take."""
SHORT, LONG = 0.3, 3.0
"""Seconds of silence after which a client gives up where the plan has a stall."""


def _arguments(visit: Visit, patience: float) -> dict[str, Any]:
    plan = visit.plan
    return {
        "api_key": KEY,
        "base_url": visit.url,
        "resilience": plan.resilience,
        "timeout": patience if plan.slow else 10.0,
    }


def download(visit: Visit, target: Path, patience: float) -> None:
    """The downloader that all this is about."""
    if visit.plan.kind == "sync":
        run = run_at(visit.result, finished=not visit.plan.fresh)
        with Dcipher(**_arguments(visit, patience)) as client:
            client.runs.download(run, target, require_integrity=visit.plan.require_integrity)
    else:
        anyio.run(_download, visit, target, patience)


async def _download(visit: Visit, target: Path, patience: float) -> None:
    run = run_at(visit.result, finished=not visit.plan.fresh)
    arguments = _arguments(visit, patience)
    async with httpx.AsyncClient() as given:
        if visit.plan.kind != "async":
            arguments["http_client"] = given
        async with AsyncDcipher(**arguments) as client:
            await client.runs.download(run, target, require_integrity=visit.plan.require_integrity)


class _Lines(logging.Handler):
    """What is logged, as text."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@contextmanager
def _logged(level: int) -> Iterator[list[str]]:
    """Every line of every logger, at `level`."""
    root, handler = logging.getLogger(), _Lines()
    before = root.level
    root.addHandler(handler)
    root.setLevel(level)
    try:
        yield handler.lines
    finally:
        root.setLevel(before)
        root.removeHandler(handler)


def _carried_out(visit: Visit, by: Download, target: Path, patience: float) -> Outcome:
    """Run one download in a thread, with a watchdog."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            by(visit, target, patience)
        except BaseException as error:  # noqa: BLE001 - the oracle says which may come
            errors.append(error)

    # httpx's every read is a line at DEBUG.
    with _logged(logging.DEBUG if visit.plan.seed % 8 == 0 else logging.INFO) as lines:
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(WATCHDOG)
    if thread.is_alive():
        raise WrongError(f"not finished after {WATCHDOG} s and {len(visit.log)} requests")
    files = {path.name: path for path in target.parent.iterdir()}
    return Outcome(errors[0] if errors else None, files, target, "\n".join(lines))


def check(plan: Plan, store: PlanStore, by: Download = download) -> None:
    """Raises `WrongError`, with the seed and the plan in words, where `by` breaks a promise."""
    try:
        try:
            _check(plan, store, by, SHORT)
        except WrongError:
            if not plan.slow:
                raise
            # On a busy machine an honest answer may come late: that is not the client's fault.
            _check(plan, store, by, LONG)
    except WrongError as error:
        raise WrongError(f"{error}\nPLAN_SEED={plan.seed}: {plan}") from None


def _check(plan: Plan, store: PlanStore, by: Download, patience: float) -> None:
    visit = store.visit(plan)
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "result.bin"
        if plan.old is not None:
            target.write_bytes(plan.old)
        for _ in range(plan.rounds):
            since = len(visit.log)
            outcome = _carried_out(visit, by, target, patience)
            judge(plan, visit, outcome, since)
            if outcome.error is None:
                break
