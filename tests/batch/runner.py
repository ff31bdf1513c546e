"""A program that runs a batch, and is killed at a point named by its arguments.

Not a test: `test_resume.py` runs it as a process of its own.
"""

from __future__ import annotations

import inspect
import json
import os
import signal
import sys
import threading
from functools import wraps
from typing import TYPE_CHECKING, Any

import anyio

from dcipher import AsyncDcipher, Dcipher, Resilience
from dcipher._batch.journal import store
from dcipher._batch.pacing import durations, gate
from dcipher._batch.pacing.schedule import Schedule
from dcipher._files import databases
from dcipher._results.downloads.files import part_file
from dcipher._results.results import Results
from dcipher._results.results_async import AsyncResults
from dcipher._wire.api import API
from dcipher._wire.api_async import AsyncAPI

if TYPE_CHECKING:
    from collections.abc import Callable

gate.FIRST_RATE = 500.0  # type: ignore[misc]
durations.FIRST_UNKNOWN = 0.1  # type: ignore[misc]


def die() -> None:
    """As by `kill -9`: nothing is cleaned up."""
    os.kill(os.getpid(), signal.SIGKILL)


class Countdown:
    """Kills at the nth time."""

    def __init__(self, nth: int) -> None:
        self._left = nth

    def __call__(self) -> None:
        self._left -= 1
        if self._left <= 0:
            die()


def around(
    owner: Any,
    name: str,
    *,
    before: Callable[[], None] | None = None,
    after: Callable[[], None] | None = None,
    when: Callable[..., bool] = lambda *_, **__: True,
) -> None:
    original = getattr(owner, name)

    @wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        hit = when(*args, **kwargs)
        if hit and before:
            before()
        result = original(*args, **kwargs)
        if hit and after:
            after()
        return result

    @wraps(original)
    async def async_call(*args: Any, **kwargs: Any) -> Any:
        hit = when(*args, **kwargs)
        if hit and before:
            before()
        result = await original(*args, **kwargs)
        if hit and after:
            after()
        return result

    setattr(owner, name, async_call if inspect.iscoroutinefunction(original) else call)


def becoming(state: str) -> Callable[..., bool]:
    return lambda _, changes: any(change.new == state for change in changes)


def starting(_: object, operation: Any, *__: Any, **___: Any) -> bool:
    return operation.name == "start"


def arm(point: str, kill: Callable[[], None]) -> None:
    """Puts the kill at its point."""
    journal, file = store.Journal, part_file.PartFile
    if point in {"intent", "id", "done"}:
        state = {"intent": "sent", "id": "started", "done": "done"}[point]
        around(journal, "apply", after=kill, when=becoming(state))
    elif point == "before intent":
        around(journal, "apply", before=kill, when=becoming("sent"))
    elif point == "before done":
        around(journal, "apply", before=kill, when=becoming("done"))
    elif point == "response":
        for api in (API, AsyncAPI):
            around(api, "call", after=kill, when=starting)
    elif point == "end":
        around(Schedule, "finish", after=kill)
    elif point == "download":
        for results in (Results, AsyncResults):
            around(results, "save_all", before=kill)
    elif point == "creation of the file":
        around(file, "__init__", after=kill)
    elif point == "middle of the file":
        around(file, "writelines", after=kill)
    elif point == "last byte":
        around(file, "prepare", before=kill)
    elif point == "sync":
        around(part_file, "synced", after=kill)
    elif point == "rename":
        around(file, "_install", after=kill)
    elif point == "folder's sync":
        around(part_file, "_sync_folder", after=kill)
    elif point == "checkpoint":
        around(store, "_prune", after=kill)
    elif point == "creation of the journal":
        around(databases, "transaction", before=kill)
    elif point == "planning":
        around(journal, "plan", after=kill)
    elif point == "page":
        around(journal, "page", after=kill)
    else:
        assert point == "never", point


def signal_elsewhere() -> None:
    """At a byte on stdin, gets SIGTERM in a thread that is not the main one, as the system may do."""
    if os.read(0, 1):
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)


def main() -> None:
    options = json.loads(sys.argv[1])
    threading.Thread(target=signal_elsewhere, daemon=True).start()
    arm(options["point"], Countdown(options["nth"]))
    arguments: dict[str, Any] = {
        "key": "id", "journal": options["journal"], "save": options["save"],
        "on_unknown": options["on_unknown"], "progress": False, "in_flight": options["in_flight"],
    }  # fmt: skip
    rows = [{"id": f"row-{n}", "text": f"t{n}"} for n in range(options["rows"])]
    quick = Resilience(backoff_initial=0.01, backoff_max=0.05)
    given: dict[str, Any] = {"base_url": options["url"], "resilience": quick}

    async def on_loop() -> dict[str, str]:
        async with AsyncDcipher(options["api_key"], **given) as client:
            batch = client.flows.map(options["flow"], rows, **arguments)
            return {outcome.key: outcome.status async for outcome in batch}

    if options["kind"] == "async":
        statuses = anyio.run(on_loop)
    else:
        with Dcipher(options["api_key"], **given) as client:
            batch = client.flows.map(options["flow"], rows, **arguments)
            statuses = {outcome.key: outcome.status for outcome in batch}
    sys.stdout.write(json.dumps(statuses))


if __name__ == "__main__":
    main()
