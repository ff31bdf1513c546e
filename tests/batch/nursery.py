"""A process that forks batches and emulators, so that killing hundreds of them does not take hours.

Not a test: `test_kills.py` runs it. Each line of its input is a job, as JSON, whose process id it prints. A
job that ends by itself leaves its result in a file.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import traceback
from importlib import import_module
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from dcipher import AsyncDcipher, Dcipher, Resilience
from dcipher._batch.pacing import durations, gate
from dcipher.emulator import Emulator
from dcipher.emulator.faults import Cut, Drop, ExpireURL, Respond

if TYPE_CHECKING:
    from dcipher.emulator.faults.effect import Effect
    from dcipher.emulator.faults.messages import Operation

for module in (  # once, not in each child
    *("_client.flows", "_client.flows_async", "_results.results", "_results.results_async"),
    "emulator.gate.listener",
):
    import_module(f"dcipher.{module}")
gate.FIRST_RATE = 200.0  # type: ignore[misc]
durations.FIRST_UNKNOWN = 0.05  # type: ignore[misc]


def emulate(job: dict[str, Any]) -> None:
    """Serves until it is killed, with faults that the seed chooses."""
    emulator = Emulator(
        api_key=job["api_key"], port=job["port"], state_dir=job["state"], idempotency=job["idempotency"],
        queue_time=0.0, min_run_time=0.05, url_lifetime=job["url_lifetime"], seed=job["seed"],
    )  # fmt: skip

    @emulator.flow("shout")
    def shout(text: str) -> dict[str, str]:
        return {"text": text.upper()}

    chance = Random(job["seed"])  # noqa: S311 - repeatable
    if job["faults"]:
        busy = Respond(429, headers={"Retry-After": "0"})
        if chance.random() < 0.3:  # a storm
            emulator.fault(None, busy, times=chance.randrange(10, 60))
        disturbed: tuple[tuple[Operation, Effect], ...] = (
            ("start", Drop("after")),
            ("start", Drop("after", "reset")),
            ("start", Drop("before", "reset")),
            ("start", Respond(503)),
            ("start", busy),
            ("status", Drop("before")),
            ("status", Respond(500)),
            ("status", ExpireURL()),
            ("result", Cut(at=3)),
            ("result", Drop("before", "reset")),
        )
        for operation, effect in disturbed:
            emulator.fault(
                operation, effect, times=None, probability=chance.random() * 0.08, seed=job["seed"]
            )
    with emulator:
        _leave(job, {"url": emulator.url})
        threading.Event().wait()


def run_batch(job: dict[str, Any]) -> None:
    """Runs the rows, with the same journal each time."""
    rows = [{"id": f"row-{n}", "text": f"t{n}"} for n in range(job["rows"])]
    options: dict[str, Any] = {
        "key": "id", "journal": job["journal"], "save": job["save"], "on_unknown": job["on_unknown"],
        "progress": False,
    }  # fmt: skip
    given: dict[str, Any] = {
        "base_url": job["url"],
        "resilience": Resilience(backoff_initial=0.01, backoff_max=0.05, max_retries=6),
    }

    async def on_loop() -> tuple[dict[str, str], Any]:
        async with AsyncDcipher(job["api_key"], **given) as client:
            batch = client.flows.map("shout", rows, **options)
            return {outcome.key: outcome.status async for outcome in batch}, batch.report

    if job["is_async"]:
        import anyio

        statuses, report = anyio.run(on_loop)
    else:
        with Dcipher(job["api_key"], **given) as client:
            batch = client.flows.map("shout", rows, **options)
            statuses, report = {outcome.key: outcome.status for outcome in batch}, batch.report
    _leave(
        job,
        {
            "statuses": statuses, "counts": dict(report.counts), "resent": list(report.resent),
            "resent_count": report.resent_count, "text": str(report),
        },
    )  # fmt: skip


def _leave(job: dict[str, Any], result: dict[str, Any]) -> None:
    out = Path(job["out"])
    new = out.with_suffix(f".{os.getpid()}")
    new.write_text(json.dumps(result))
    new.replace(out)


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the children
    for line in sys.stdin:
        job = json.loads(line)
        pid = os.fork()
        if pid:
            sys.stdout.write(f"{pid}\n")
            sys.stdout.flush()
            continue
        try:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            (emulate if job["kind"] == "emulator" else run_batch)(job)
        except BaseException:  # noqa: BLE001 - the test reads it
            _leave(job, {"error": traceback.format_exc()})
        finally:
            os._exit(0)


if __name__ == "__main__":
    main()
