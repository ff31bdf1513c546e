"""`dcipher runs`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from dcipher.cli.state.ledger import Ledger
from dcipher.models import Output, Run
from tests.faulty import Reply, json_reply

if TYPE_CHECKING:
    from pathlib import Path

    from dcipher.emulator import Emulator
    from tests.cli.conftest import Call
    from tests.faulty import FaultyServer


def start(dcipher: Call, flow: str, *more: str) -> str:
    done = dcipher("flows", "run", flow, "--no-wait", "-q", *more)
    assert done.code == 0, done.err
    return done.out.strip()


def test_a_run_from_here_needs_no_flow(dcipher: Call) -> None:
    """Its flow is in the list of runs; the status is the service's of now."""
    task = start(dcipher, "shout")
    assert Ledger().runs()[0]["status"] == "PENDING"
    assert dcipher("runs", "wait", task).code == 0
    done = dcipher("runs", "status", task)
    assert done.code == 0
    assert "status\tSUCCEEDED\n" in done.out
    assert Ledger().runs()[0]["status"] == "SUCCEEDED"


def test_an_unknown_run(dcipher: Call, emulator: Emulator, state: Path) -> None:
    """It needs --flow, which the error says. With it, the run is stored."""
    task = start(dcipher, "shout", "--no-ledger")
    done = dcipher("runs", "wait", task)
    assert (done.code, done.out) == (2, "")
    assert "--flow FLOW" in done.err
    assert dcipher("runs", "wait", task, "--flow", "shout", "-q").out == f"{task}\n"
    assert Ledger().find(task) is not None


def test_a_run_from_a_file(dcipher: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--run` is enough for everything, the download included."""
    task = start(dcipher, "shout", "--no-ledger", "--save-run", "run.json")
    assert dcipher("runs", "wait", "--run", "run.json", "--no-ledger").code == 0
    assert dcipher("runs", "status", task, "--run", "run.json", "--flow", "shout").code == 0
    done = dcipher("runs", "download", "--run", "run.json", "-o", "out")
    assert (done.code, done.out) == (0, "out\n")
    assert json.loads((tmp_path / "out").read_bytes()) == {"text": "HI"}


@pytest.mark.parametrize(
    ("more", "output"),
    [
        (["--run", "none.json"], "cannot be read"),
        (["--run", "bad.json"], "is not a run"),
        (["other", "--run", "run.json"], "differs from TASK or --flow"),
        (["--run", "run.json", "--flow", "other"], "differs from TASK or --flow"),
        ([], "Pass a TASK"),
    ],
)
def test_files_that_are_no_runs(
    dcipher: Call, tmp_path: Path, more: list[str], output: str
) -> None:
    """A file that is no run, or of another one, is a usage error."""
    (tmp_path / "run.json").write_text(Run(flow_id="f", task_id="t").to_json())
    (tmp_path / "bad.json").write_text('{"url": "canary"}')
    done = dcipher("runs", "status", *more)
    assert done.code == 2
    assert output in done.err
    assert "canary" not in done.err


def test_several_runs_are_waited_for_at_once(dcipher: Call, emulator: Emulator) -> None:
    """All of them are waited for and printed in order. The exit code is the most severe one."""
    tasks = [start(dcipher, flow) for flow in ("slow", "shout", "fails")]
    done = dcipher("runs", "wait", *tasks, "--json")
    assert done.code == 3
    records = json.loads(done.out)
    assert [record["task_id"] for record in records] == tasks
    assert [record["status"] for record in records] == ["SUCCEEDED", "SUCCEEDED", "FAILED"]
    assert "the corpus is empty" in done.err
    ids = dcipher("runs", "wait", tasks[0], tasks[1], "-q")
    assert (ids.code, ids.out.split(), ids.err) == (0, tasks[:2], "")


def test_several_runs_and_a_timeout(dcipher: Call) -> None:
    """Exit code 124, and the command that resumes the wait for the run."""
    tasks = [start(dcipher, flow) for flow in ("slow", "shout")]
    dcipher("runs", "wait", tasks[1])
    done = dcipher("runs", "wait", *tasks, "--timeout", "0")
    assert done.code == 124
    assert f"Next: dcipher runs wait {tasks[0]} --flow slow" in done.err


def test_several_runs_with_an_unknown_one(dcipher: Call) -> None:
    """The others are waited for nevertheless."""
    task = start(dcipher, "shout")
    done = dcipher("runs", "wait", task, "none", "--flow", "shout", "--json")
    assert done.code == 1
    assert json.loads(done.out)[0]["status"] == "SUCCEEDED"
    assert "There is no run 'none'" in done.err


@pytest.mark.parametrize(("flow", "code"), [("shout", 0), ("fails", 3)])
def test_the_exit_code_of_status(dcipher: Call, flow: str, code: int) -> None:
    """It is that of the run, or the most severe of several."""
    task = start(dcipher, flow)
    assert dcipher("runs", "wait", task).code == code
    assert dcipher("runs", "status", task, start(dcipher, "shout")).code == code


def test_watch_prints_each_change(dcipher: Call) -> None:
    """A line a change, the last with the end; objects for programs; the id at the end with -q."""
    task = start(dcipher, "slow")
    lines = dcipher("runs", "watch", task).out.splitlines()
    assert [line.split("  ")[1:3] for line in lines][-1] == [task, "SUCCEEDED"]
    assert len(lines) >= 2
    task = start(dcipher, "fails")
    done = dcipher("runs", "watch", task, "--jsonl")
    assert done.code == 3
    last = json.loads(done.out.splitlines()[-1])
    assert (last["status"], last["message"]) == ("FAILED", "the corpus is empty")
    assert dcipher("runs", "watch", task, "-q").out == f"{task}\n"


def test_watch_several(dcipher: Call) -> None:
    """The changes of all, until the last has ended."""
    tasks = [start(dcipher, flow) for flow in ("slow", "shout")]
    done = dcipher("runs", "watch", *tasks, "--json")
    assert done.code == 0
    ended = {r["task_id"] for r in json.loads(done.out) if r["status"] == "SUCCEEDED"}
    assert ended == set(tasks)
    done = dcipher("runs", "watch", "none", "--flow", "shout")
    assert done.code == 1


def test_download_needs_urls(dcipher: Call, emulator: Emulator) -> None:
    """Without them, the error says how to get the results without a second run, and that works."""
    task = start(dcipher, "shout")
    dcipher("runs", "wait", task)
    done = dcipher("runs", "download", task, "-o", "x")
    assert done.code == 1
    key = done.err.split("--idempotency-key ")[1].split()[0]
    assert dcipher("flows", "run", "shout", "-o", "x", "--idempotency-key", key).code == 0
    assert len(emulator.runs) == 1
    done = dcipher("runs", "download", "elsewhere", "--flow", "f", "-o", "x")
    assert "the key of the first start" in done.err


def test_download_with_stored_urls(dcipher: Call, tmp_path: Path) -> None:
    """`--keep-urls` is sufficient. The bytes are written to a file or to stdout."""
    task = start(dcipher, "shout", "--keep-urls")
    dcipher("runs", "wait", task)
    assert dcipher("runs", "download", task, "-o", "x").out == "x\n"
    assert json.loads((tmp_path / "x").read_bytes()) == {"text": "HI"}
    done = dcipher("runs", "download", task, "-o", "x", "--no-overwrite")
    assert done.code == 1


def test_ids_are_no_paths(
    call: Call, api: FaultyServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A service that answers `/etc/x` for an id has nothing written outside of the folder."""
    monkeypatch.setenv("DCIPHER_API_KEY", "emu_x")
    monkeypatch.setenv("DCIPHER_BASE_URL", api.url)
    monkeypatch.chdir(tmp_path)
    ids = (str(tmp_path / "absolute"), "a/b", ".bashrc")
    for task in ids:
        Ledger().record(
            Run(flow_id="f", task_id=task, outputs=(Output(url=f"{api.url}/r"),)), urls=True
        )
    api.on("/r", Reply(b"result"))
    api.on("/flows/f/status", json_reply('{"status": "SUCCEEDED"}'))
    (tmp_path / "folder").mkdir()
    done = call("runs", "download", *ids, "-o", "folder")
    assert done.code == 0, done.err
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
    names = {path.name for path in (tmp_path / "folder").iterdir()}
    assert names == {f"{tmp_path}/absolute".replace("/", "%2F"), "a%2Fb", "%2Ebashrc"}


def test_download_of_several(dcipher: Call, tmp_path: Path) -> None:
    """Into a folder that is there, each by its id."""
    tasks = [start(dcipher, "shout", "--keep-urls") for _ in range(2)]
    dcipher("runs", "wait", *tasks)
    assert dcipher("runs", "download", *tasks, "-o", "x").code == 2
    (tmp_path / "x").mkdir()
    done = dcipher("runs", "download", *tasks, "-o", "x", "--json")
    assert [record["task_id"] for record in json.loads(done.out)] == tasks
    assert sorted(p.name for p in (tmp_path / "x").iterdir()) == sorted(tasks)
    assert dcipher("runs", "download", *tasks).code == 2


def test_download_of_a_running_run(dcipher: Call) -> None:
    """It has no result yet. The error has the command that waits."""
    task = start(dcipher, "slow", "--keep-urls")
    done = dcipher("runs", "download", task, "-o", "x")
    assert done.code == 1
    assert f"Next: dcipher runs wait {task} --flow slow" in done.err


def test_an_unreadable_list(dcipher: Call, monkeypatch: pytest.MonkeyPatch, state: Path) -> None:
    """With --flow, an unreadable list is a warning."""
    task = start(dcipher, "shout")
    (state / "runs.sqlite3").unlink()
    (state / "runs.sqlite3").mkdir()
    done = dcipher("runs", "wait", task, "--flow", "shout")
    assert done.code == 0
    assert "warning: the list of runs cannot be read" in done.err


def test_an_edited_entry(dcipher: Call, state: Path) -> None:
    """Invalid values are ignored: the ids are sufficient."""
    task = start(dcipher, "shout")
    entry = {"v": 1, "task_id": task, "flow_id": "shout", "created_at": "yesterday"}
    (state / "runs.jsonl").write_text(json.dumps(entry) + "\n")
    assert dcipher("runs", "wait", task).code == 0
