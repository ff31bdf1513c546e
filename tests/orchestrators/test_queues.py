"""The recipes for Celery and taskiq: a task that is delivered twice is one run; the queue sees no secret."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

from dcipher.emulator.faults import Respond, Stall
from tests.waiting import until

from .recipes import everything, write_recipe

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import ModuleType

    from .conftest import Service


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, service: Service) -> Iterator[Path]:
    service.emulator.flow("65cf2f3e")(lambda text: [{"label": text}] * 2000)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in ("celery_topics", "celery_worker", "taskiq_topics"):
        sys.modules.pop(name, None)


class Queue:
    """A queue of Celery in a folder, and a worker with a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "worker.log"
        self._count = 0

    def work(self) -> subprocess.Popen[bytes]:
        self._count += 1
        words = ("-A", "celery_worker", "worker", "--pool", "solo", "--loglevel", "DEBUG")
        with self.log.open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - our own code
                [sys.executable, "-m", "celery", *words],
                cwd=self.folder,
                stdout=log,
                stderr=log,
            )


@pytest.fixture
def celery(folder: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    pytest.importorskip("celery", reason="nox -s orchestrators installs Celery")
    for name in ("queue", "results"):
        (folder / name).mkdir()
    monkeypatch.setenv("CELERY_BROKER_URL", "filesystem://")
    monkeypatch.setenv("CELERY_RESULT_BACKEND", f"file://{folder / 'results'}")
    write_recipe("celery_topics.py", folder)
    folders = dict.fromkeys(("data_folder_in", "data_folder_out", "control_folder"), "queue")
    source = f"from celery_topics import app\napp.conf.broker_transport_options = {folders}\n"
    (folder / "celery_worker.py").write_text(source, encoding="utf-8")
    import_module("celery_worker")
    return import_module("celery_topics")


def test_celery(celery: ModuleType, folder: Path, service: Service) -> None:
    """A worker is killed in the middle of a start, the task is delivered again: one run, one file."""
    queue = Queue(folder)
    service.emulator.fault("start", Stall())
    chain = celery.start.s("Rivers flow.").set(task_id="first") | celery.finish.s(
        "Rivers flow.", "topics.json"
    )
    chain.apply_async()
    worker = queue.work()
    until(lambda: service.emulator.runs)
    os.kill(worker.pid, signal.SIGKILL)
    assert worker.wait(60) == -signal.SIGKILL
    # A broker delivers again what a dead worker had not acknowledged; that of a folder cannot.
    chain.apply_async()
    worker = queue.work()
    try:
        until((folder / "topics.json").exists)
    finally:
        worker.terminate()
        worker.wait(60)
    (run,) = service.emulator.runs
    assert run.idempotency_key == "first"
    said = everything(folder)
    assert run.task_id in said
    assert service.leaked(said) == []


def test_taskiq(folder: Path, service: Service) -> None:
    """A start and a wait that fail are retried: one run, one file."""
    pytest.importorskip("taskiq", reason="nox -s orchestrators installs taskiq")
    write_recipe("taskiq_topics.py", folder)
    recipe: Any = import_module("taskiq_topics")
    service.emulator.fault("start", Respond(400))
    service.emulator.fault("status", Respond(400))

    async def both() -> tuple[str, str]:
        await recipe.broker.startup()
        first = await recipe.start.kiq("Rivers flow.")
        stored = await first.wait_result(timeout=60)
        second = await recipe.finish.kiq(stored.return_value, "Rivers flow.", "topics.json")
        found = (await second.wait_result(timeout=60)).return_value
        await recipe.broker.shutdown()
        return stored.return_value, found

    stored, task_id = asyncio.run(both())
    (run,) = service.emulator.runs
    assert task_id == run.task_id
    assert (folder / "topics.json").exists()
    service.emulator.check_faults()
    assert service.leaked(stored) == []
