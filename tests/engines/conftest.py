"""A service for the workers of Dask, Ray and Spark: its address and key are in their environment."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from dcipher import Dcipher
from dcipher.emulator import Emulator
from tests.conftest import KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from dcipher import Partition

ROWS = [{"id": n, "text": f"t{n}"} for n in range(60)]


class Killer:
    """A flow's side of a fault: kills a worker in the middle, once."""

    def __init__(self) -> None:
        self.pids: set[int] = set()
        self.killed: int | None = None
        self._lock = threading.Lock()

    def __call__(self) -> None:
        """Called as each run begins: at the twelfth, a worker that was named is killed."""
        with self._lock:
            self._count = getattr(self, "_count", 0) + 1
            if self._count < 12 or self.killed is not None or not self.pids:
                return
            self.killed = self.pids.pop()
        with suppress(ProcessLookupError):
            os.kill(self.killed, signal.SIGKILL)


@pytest.fixture
def killer() -> Killer:
    return Killer()


@pytest.fixture
def service(killer: Killer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    with Emulator(api_key=KEY, queue_time=0.0) as running:

        @running.flow("shout")
        def shout(text: str) -> dict[str, str]:
            killer()
            return {"text": text.upper()}

        monkeypatch.setenv("DCIPHER_BASE_URL", running.url)
        monkeypatch.setenv("DCIPHER_API_KEY", KEY)
        yield running


@pytest.fixture
def partition(service: Emulator, tmp_path: Path) -> Partition:
    with Dcipher(KEY, base_url=service.url) as client:
        return client.flows.partition(
            "shout", key="id", journal=tmp_path / "journals", read=dict[str, str], in_flight=4
        )


@pytest.fixture
def is_whole(service: Emulator) -> Callable[[Counter[Any]], bool]:
    """Whether each row has its result, and was run once."""

    def check(found: Counter[Any]) -> bool:
        runs = Counter(str(run.params["text"]) for run in service.runs)
        assert runs == {row["text"]: 1 for row in ROWS}
        assert found == {(str(row["id"]), "done"): 1 for row in ROWS}
        return True

    return check
