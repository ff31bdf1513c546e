"""The list of runs that were started from here."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from dcipher.cli.state import ledger as module
from dcipher.cli.state.folder import make_state_folder, state_folder
from dcipher.cli.state.ledger import Ledger
from dcipher.models import Output, Run, RunStatus
from tests.cli.conftest import Call, environment

POSIX = pytest.mark.skipif(os.name == "nt", reason="modes of files are POSIX")
NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
URL = "https://s/r?Signature=canary-signature"


def run(task: str, status: str = "RUNNING", after: int = 0, **more: object) -> Run:
    created = NOW + timedelta(seconds=after)
    values = {"flow_id": "f", "task_id": task, "status": status, "created_at": created, **more}
    return Run.model_validate(values)


def with_url(task: str) -> Run:
    return run(task, outputs=[Output.model_validate({"url": URL})])


def test_the_last_status_of_a_run_counts() -> None:
    """A run has one entry with its last status. Its end is when this status was first fetched."""
    ledger = Ledger()
    ledger.record(run("a"))
    ledger.record(run("b", after=1))
    ledger.record(run("a", "SUCCEEDED", finished_at=NOW + timedelta(seconds=5)))
    ledger.record(run("a", "SUCCEEDED", finished_at=NOW + timedelta(seconds=99)))
    b, a = ledger.runs()
    assert (a["task_id"], a["status"], a["finished_at"]) == (
        "a",
        "SUCCEEDED",
        "2026-01-01T00:00:05Z",
    )
    assert b["task_id"] == "b"
    assert ledger.find("a", "f") == a
    assert ledger.find("a", "other") is None


@POSIX
def test_it_is_private(state: Path) -> None:
    """The folder has mode 0700, the files 0600, with any umask. An open file is restricted."""
    before = os.umask(0)
    try:
        Ledger().record(run("a"))
    finally:
        os.umask(before)
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in state.iterdir()} == {0o600}
    (state / "runs.sqlite3").chmod(0o644)
    Ledger().record(run("a", "SUCCEEDED"))
    assert stat.S_IMODE((state / "runs.sqlite3").stat().st_mode) == 0o600


def test_it_contains_no_params_and_urls(state: Path) -> None:
    """A signed URL is stored only if this was requested."""
    Ledger().record(with_url("a"))
    file = state / "runs.sqlite3"
    assert b"canary" not in file.read_bytes()
    Ledger().record(with_url("a"), urls=True)
    assert b"canary-signature" in file.read_bytes()
    found = Ledger().find("a")
    assert found is not None
    assert found["outputs"][0]["url"] == URL


@pytest.mark.parametrize("content", [b"garbage" * 1000, b"SQLite format 3\0"])
def test_another_file_is_an_error(call: Call, content: bytes, state: Path) -> None:
    """A file that is not a list is named, and not changed. It does not fail a run."""
    make_state_folder()
    (state / "runs.sqlite3").write_bytes(content)
    done = call("runs", "list")
    assert (done.code, str(state / "runs.sqlite3") in done.err) == (1, True)
    with pytest.raises(OSError, match=r"runs\.sqlite3 cannot be used"):
        Ledger().record(run("a"))
    assert (state / "runs.sqlite3").read_bytes() == content


def test_a_newer_list_is_an_error_and_stays() -> None:
    """A list of a newer version is neither read nor changed."""
    ledger = Ledger()
    ledger.record(run("a"))
    with closing(sqlite3.connect(ledger.path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    for use in (lambda: ledger.record(run("b")), lambda: ledger.find("a")):
        with pytest.raises(OSError, match="newer version of dcipher"):
            use()


WRITER = """
import sys
from dcipher.cli.state.ledger import Ledger
from dcipher.models import Run
for i in range(40):
    Ledger().record(Run(flow_id="f", task_id=f"{sys.argv[1]}-{i}"))
"""


def test_several_processes_write_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that four processes write at the same time is lost."""
    words = [sys.executable, "-c", WRITER]
    writers = [subprocess.Popen([*words, str(n)], env=environment()) for n in range(4)]  # noqa: S603
    try:
        assert [writer.wait(60) for writer in writers] == [0] * 4
    finally:
        for writer in writers:
            writer.kill()
    assert len(Ledger().runs()) == 160


def test_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the newest runs are stored."""
    monkeypatch.setattr(module, "MOST", 10)
    for i in range(30):
        Ledger().record(run(f"t{i}", after=i))
    assert [entry["task_id"] for entry in Ledger().runs()] == [f"t{i}" for i in range(29, 19, -1)]


def test_a_locked_file(monkeypatch: pytest.MonkeyPatch, state: Path) -> None:
    """A lock that is not released is an OSError after a short wait."""
    monkeypatch.setattr(module, "TIMEOUT", 0.05)
    Ledger().record(run("a"))
    with closing(sqlite3.connect(state / "runs.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(OSError, match="locked"):
            Ledger().record(run("b"))
    Ledger().record(run("b"))


@POSIX
def test_a_link_is_not_followed(state: Path, tmp_path: Path) -> None:
    """A link in the folder cannot redirect a write to another file."""
    make_state_folder()
    (state / "runs.sqlite3").symlink_to(tmp_path / "other")
    with pytest.raises(OSError, match=r"."):
        Ledger().record(run("a"))
    assert not (tmp_path / "other").exists()


def test_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """DCIPHER_STATE_DIR, then an absolute XDG_STATE_HOME, then the folder of the platform."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert state_folder() == Path(os.environ["DCIPHER_STATE_DIR"])
    monkeypatch.delenv("DCIPHER_STATE_DIR")
    assert state_folder() == tmp_path / "dcipher"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    expected = {
        "linux": tmp_path / ".local/state/dcipher",
        "darwin": tmp_path / "Library/Application Support/dcipher",
        "win32": tmp_path / "AppData/Local/dcipher",
    }
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    for platform, folder in expected.items():
        monkeypatch.setattr(sys, "platform", platform)
        assert state_folder() == folder


def test_no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a home directory, the error names the variable for the folder."""

    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("DCIPHER_STATE_DIR")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", nowhere)
    with pytest.raises(FileNotFoundError, match="DCIPHER_STATE_DIR"):
        make_state_folder()


def test_listing(call: Call) -> None:
    """The newest runs first, limited in number and status if requested; only ids with -q."""
    for i, status in enumerate(["SUCCEEDED", "FAILED", "RUNNING"]):
        Ledger().record(run(f"t{i}", status, after=i))
    assert call("runs", "list", "-q").out.split() == ["t2", "t1", "t0"]
    assert call("runs", "list", "-q", "--limit", 1).out.split() == ["t2"]
    assert call("runs", "list", "-q", "--status", "failed").out.split() == ["t1"]
    records = json.loads(call("runs", "list", "--json").out)
    assert [record["status"] for record in records] == ["RUNNING", "FAILED", "SUCCEEDED"]
    first = call("runs", "list").out.splitlines()[0].split("\t")
    assert first[:3] == ["t2", "f", "RUNNING"]


def test_an_empty_list(call: Call) -> None:
    """An empty list is not an error. For programs, it is an empty list."""
    done = call("runs", "list")
    assert (done.code, done.out, done.err) == (0, "", "The list of runs is empty.\n")
    assert json.loads(call("runs", "list", "--json").out) == []


def test_statuses_of_models_are_words() -> None:
    """The status of the service is stored, not the name of an enum in Python."""
    Ledger().record(run("a", RunStatus.FAILED))
    assert Ledger().runs()[0]["status"] == "FAILED"


def test_a_start_is_there_until_its_run_is_known(state: Path) -> None:
    """Each start has its own entry, which is not a run. The run, or an error, replaces it."""
    ledger = Ledger()
    for key in ("k1", "k2", "k1", "k3"):
        ledger.begin("f", key)
    assert sorted(start["idempotency_key"] for start in ledger.starts()) == ["k1", "k2", "k3"]
    assert ledger.runs() == []
    ledger.record(run("a", idempotency_key="k1"))
    ledger.forget("k2")
    assert [start["idempotency_key"] for start in ledger.starts()] == ["k3"]
    assert [entry["task_id"] for entry in ledger.runs()] == ["a"]


def test_a_start_of_last_month_is_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its key has expired."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return NOW

    with monkeypatch.context() as patch:
        patch.setattr(module, "datetime", Clock)
        Ledger().begin("f", "k1")
        assert len(Ledger().starts()) == 1
    assert Ledger().starts() == []
