"""`progress=`: the display of a run while it is waited for, and of its downloads."""

from __future__ import annotations

import io
import re
import sys
from typing import TYPE_CHECKING, Any

import pytest

from dcipher import InvalidParamsError
from dcipher.emulator import Emulator
from tests.conftest import KEY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Connect


@pytest.fixture(scope="module")
def service() -> Iterator[Emulator]:
    with Emulator(api_key=KEY, queue_time=0.0) as running:

        @running.flow("big")
        def big() -> bytes:
            return b"x" * 3_000_000

        yield running


def test_a_run_in_a_log(
    connect: Connect, service: Emulator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a terminal, each status is a line, and so is the size of the result at the end."""
    with connect(service) as client:
        run = client.flows.run("big", save_path=tmp_path / "big", progress=True)
    lines = capsys.readouterr().err.splitlines()
    assert lines[-2] == f"dcipher: run {run.task_id}: SUCCEEDED"
    assert re.fullmatch(rf"dcipher: run {run.task_id}: 3\.?0? MB of 3\.?0? MB(, .*/s)?", lines[-1])
    assert len({*lines}) == len(lines)


def test_each_step_by_itself(
    connect: Connect, service: Emulator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`runs.wait` displays the status, `runs.download` the bytes; the callbacks are called, too."""
    called: list[Any] = []
    with connect(service) as client:
        run = client.flows.start("big")
        done = client.runs.wait(run, progress="auto", on_status=called.append)
        assert capsys.readouterr().err.endswith(f"run {run.task_id}: SUCCEEDED\n")
        assert called[-1] == done
        client.runs.download(
            done, tmp_path / "a", progress=True, on_progress=lambda *sizes: called.append(sizes)
        )
        assert called[-1] == (3_000_000, 3_000_000)
    assert capsys.readouterr().err == ""  # it took no ten seconds


def test_nothing_is_displayed_by_default(
    connect: Connect,
    service: Emulator,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The default prints nothing, and so does everything with DCIPHER_PROGRESS=0."""
    with connect(service) as client:
        client.flows.run("big", save_path=tmp_path / "a")
        monkeypatch.setenv("DCIPHER_PROGRESS", "0")
        client.flows.run("big", save_path=tmp_path / "b", progress=True)
    assert capsys.readouterr().err == ""


class Broken(io.StringIO):
    """A stream that fails, as a closed one does."""

    def write(self, _text: str, /) -> int:
        raise BrokenPipeError


@pytest.mark.parametrize("stream", [Broken(), None])
def test_a_display_that_fails_costs_no_run(
    connect: Connect,
    service: Emulator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stream: Any,
) -> None:
    """A broken or missing stderr ends the display, and nothing else."""
    monkeypatch.setattr(sys, "stderr", stream)
    with connect(service) as client:
        run = client.flows.run("big", save_path=tmp_path / "a", progress=True)
        rows = [{"n": 1}]
        assert client.flows.map("big", rows, params=lambda _: {}, progress="auto").run().done == 1
    assert run.files == (tmp_path / "a",)


@pytest.mark.parametrize("progress", [None, 1, "yes", print])
def test_an_invalid_progress(connect: Connect, service: Emulator, progress: Any) -> None:
    """Other values are rejected before the start. Functions have the callbacks."""
    before = len(service.runs)
    with connect(service) as client:
        with pytest.raises(InvalidParamsError, match="on_status"):
            client.flows.run("big", progress=progress)
        run = client.flows.start("big")
        with pytest.raises(InvalidParamsError, match="progress"):
            client.runs.wait(run, progress=progress)
        with pytest.raises(InvalidParamsError, match="progress"):
            client.runs.download(run, "x", progress=progress)
    assert len(service.runs) == before + 1


def test_a_bar_for_the_bytes(
    connect: Connect,
    service: Emulator,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A terminal shows a bar, and one line remains at its end."""
    pytest.importorskip("rich")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    with connect(service) as client:
        run = client.flows.run("big", save_path=tmp_path / "a", progress=True)
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", capsys.readouterr().err)
    assert f"run {run.task_id}: SUCCEEDED" in shown
    assert re.search(rf"[\r\n]dcipher: run {run.task_id}: 3 MB of 3 MB.*\n\Z", shown)
