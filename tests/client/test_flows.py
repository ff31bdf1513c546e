"""Fetching, starting and running flows, against the emulator."""

from __future__ import annotations

import json
import sys
from functools import partial, wraps
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel, Field

from dcipher import (
    Dcipher,
    InvalidParamsError,
    LocalStorageError,
    NotFoundError,
    ResultError,
    RunFailedError,
    RunStatus,
    UnprocessableEntityError,
    WaitTimeoutError,
)
from dcipher._concurrency.callables import check_callback
from tests.faulty import json_reply

if TYPE_CHECKING:
    from pathlib import Path

    from dcipher import Run
    from dcipher.emulator import Emulator
    from tests.conftest import Connect
    from tests.faulty import FaultyServer


class Shout(BaseModel):
    words: str = Field(alias="text")


def starts(emulator: Emulator) -> int:
    return sum(request.method == "POST" for request in emulator.requests)


class Asynchronous:
    async def __call__(self, run: Run) -> None:
        pass


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"on_status": 5}, "must be a function"),
        ({"on_status": lambda: None}, r"is called with \(run\), and takes \(\)"),
        ({"on_status": lambda run, more: None}, r"takes \(run, more\)"),
        ({"on_status": lambda *, run: None}, r"takes \(\*, run\)"),
        ({"overwrite": "no"}, "overwrite must be True or False"),
    ],
)
def test_invalid_arguments_of_a_run(
    connect: Connect, emulator: Emulator, tmp_path: Path, arguments: dict[str, Any], says: str
) -> None:
    """Arguments that would fail after the run, or lose a file, are rejected before the start."""
    with pytest.raises(InvalidParamsError, match=says):
        connect(emulator).flows.run("shout", {"text": "a"}, save_path=tmp_path / "a", **arguments)
    assert starts(emulator) == 0


def test_an_async_callback_of_a_blocking_client(emulator: Emulator) -> None:
    """A function or an object that would never be awaited is rejected."""
    with (
        Dcipher(emulator.api_key, base_url=emulator.url) as client,
        pytest.raises(InvalidParamsError, match="must not be an async function"),
    ):
        client.flows.run("shout", {"text": "a"}, on_status=Asynchronous())
    assert starts(emulator) == 0


@pytest.mark.parametrize(
    "function", [print, partial(print, 1), int, lambda run, more=1: None, lambda *runs: None]
)
def test_callbacks_of_any_kind(function: Any) -> None:
    """Any object that can be called with a run is accepted, also a wrapper with more parameters."""

    @wraps(lambda database, run: None)
    def wrapper(run: Run) -> None:
        pass

    for taken in (function, wrapper):
        check_callback("on_status", taken)


def test_a_flow_is_described(connect: Connect, emulator: Emulator) -> None:
    """`flows.get` returns name and parameters."""
    flow = connect(emulator).flows.get("shout")
    assert (flow.id, flow.name) == ("shout", "Shout")
    assert [param.name for param in flow.params] == ["text", "times"]


def test_a_start_returns_at_once(connect: Connect, emulator: Emulator) -> None:
    """`flows.start` returns the ids of the run and the URL of its result, without a poll."""
    run = connect(emulator).flows.start("shout", {"text": "é"})
    assert (run.flow_id, run.status, len(run.outputs)) == ("shout", RunStatus.PENDING, 1)
    assert run.task_id == emulator.runs[0].task_id
    assert run.idempotency_key == emulator.runs[0].idempotency_key
    assert emulator.runs[0].params == {"text": "é"}
    assert len(emulator.requests) == 1


def test_params_may_be_a_model(connect: Connect, emulator: Emulator) -> None:
    """A Pydantic model is sent by its aliases."""
    connect(emulator).flows.start("shout", Shout(text="a"))
    assert emulator.runs[0].params == {"text": "a"}


def test_a_run_is_saved(connect: Connect, emulator: Emulator, tmp_path: Path) -> None:
    """`flows.run` waits, saves the result at exactly this path, and sets `run.files`."""
    run = connect(emulator).flows.run("shout", {"text": "a"}, save_path=tmp_path / "out.json")
    assert run.status is RunStatus.SUCCEEDED
    assert run.succeeded
    assert run.files == (tmp_path / "out.json",)
    assert json.loads((tmp_path / "out.json").read_bytes()) == {"text": "A"}
    assert [path.name for path in tmp_path.iterdir()] == ["out.json"]


def test_the_short_form(connect: Connect, emulator: Emulator, tmp_path: Path) -> None:
    """`run_flow` of the client takes three positional arguments, and replaces a file."""
    target = tmp_path / "out.json"
    target.write_text("old")
    run = connect(emulator).run_flow("shout", {"text": "a"}, str(target))
    assert run.files == (target,)
    assert run.finished_at is not None
    assert target.read_text() == '{"text":"A"}'


def test_without_a_path_nothing_is_saved(connect: Connect, emulator: Emulator) -> None:
    """A run without `save_path` has no files, and its result can be read."""
    client = connect(emulator)
    run = client.run_flow("shout")
    assert run.files == ()
    assert client.runs.read(run) == {"text": "HI"}


def test_several_results_are_numbered(connect: Connect, emulator: Emulator, tmp_path: Path) -> None:
    """Several results go to `<stem>_<i><suffix>`, from 0, in the service's order."""
    run = connect(emulator).flows.run("three", save_path=tmp_path / "out.tar.txt")
    assert [path.name for path in run.files] == [f"out.tar_{i}.txt" for i in range(3)]
    assert [path.read_text() for path in run.files] == ["zero", "one", "two"]


def test_overwrite_false_is_checked_before_the_start(
    connect: Connect, emulator: Emulator, tmp_path: Path
) -> None:
    """With `overwrite=False`, an existing file remains, and no run is started."""
    target = tmp_path / "out.json"
    target.write_text("old")
    with pytest.raises(LocalStorageError, match="exists"):
        connect(emulator).flows.run("shout", save_path=target, overwrite=False)
    assert target.read_text() == "old"
    assert starts(emulator) == 0


@pytest.mark.parametrize("name", ["missing/out.json", "", "folder", "file/out.json", "a\0b"])
def test_an_unwritable_path_is_checked_before_the_start(
    connect: Connect, emulator: Emulator, tmp_path: Path, name: str
) -> None:
    """For a missing folder, a folder, or an invalid path, no run is started."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    path = f"{tmp_path}/{name}" if name else ""
    with pytest.raises((LocalStorageError, InvalidParamsError)):
        connect(emulator).flows.run("shout", save_path=path)
    assert starts(emulator) == 0


def test_the_error_of_a_path_is_an_os_error(
    connect: Connect, emulator: Emulator, tmp_path: Path
) -> None:
    """`LocalStorageError` is an OSError with errno and filename, so that existing handlers work."""
    with pytest.raises(OSError, match="folder does not exist") as caught:
        connect(emulator).flows.run("shout", save_path=tmp_path / "no" / "out.json")
    assert isinstance(caught.value, LocalStorageError)
    assert caught.value.errno == 2
    assert caught.value.filename == str(tmp_path / "no" / "out.json")


def test_status_changes_are_reported(connect: Connect, api: FaultyServer) -> None:
    """`on_status` is called once for each change, with the run, and last with the end."""
    words = ["setting up cluster", "SUCCEEDED"]
    api.on("/flows/f/status", *(json_reply(json.dumps({"status": word})) for word in words))
    seen: list[Any] = []
    connect(api).flows.run("f", on_status=seen.append)
    assert [str(run.status) for run in seen] == words
    assert {run.task_id for run in seen} == {"t"}


def test_the_same_key_is_the_same_run(connect: Connect, emulator: Emulator) -> None:
    """Two starts with one idempotency key return one run, also by another client."""
    first = connect(emulator).flows.start("shout", {"text": "a"}, idempotency_key="k-1")
    second = connect(emulator).flows.start("shout", {"text": "a"}, idempotency_key="k-1")
    assert first.task_id == second.task_id
    assert first.idempotency_key == second.idempotency_key == "k-1"
    assert len(emulator.runs) == 1


def test_every_start_has_a_key_of_its_own(connect: Connect, emulator: Emulator) -> None:
    """Without a key of the user's, two starts are two runs."""
    client = connect(emulator)
    keys = {client.flows.start("shout").idempotency_key for _ in range(2)}
    assert len(keys) == len(emulator.runs) == 2


def test_a_failed_run(connect: Connect, emulator: Emulator, tmp_path: Path) -> None:
    """A failed run is a `RunFailedError` with the service's message, and nothing is saved."""
    with pytest.raises(RunFailedError, match="the corpus is empty") as caught:
        connect(emulator).flows.run("fails", save_path=tmp_path / "out")
    assert caught.value.run.status is RunStatus.FAILED
    assert caught.value.run.message == "the corpus is empty"
    assert list(tmp_path.iterdir()) == []


def test_wait_timeout_does_not_end_the_run(connect: Connect, emulator: Emulator) -> None:
    """`wait_timeout` limits the wait. The run of the error can be waited for."""
    client = connect(emulator)
    with pytest.raises(WaitTimeoutError) as caught:
        client.flows.run("slow", wait_timeout=0.1)
    assert client.runs.wait(caught.value.run, timeout=60).succeeded
    assert len(emulator.runs) == 1


def test_an_unknown_flow(connect: Connect, emulator: Emulator) -> None:
    """An unknown flow is a `NotFoundError`, after one request."""
    with pytest.raises(NotFoundError):
        connect(emulator).flows.start("nope")
    assert len(emulator.requests) == 1


def test_parameters_that_do_not_fit(connect: Connect, emulator: Emulator) -> None:
    """A 422 names the fields that do not fit, and no run exists."""
    with pytest.raises(UnprocessableEntityError) as caught:
        connect(emulator).flows.start("shout", {"times": "many", "colour": 1})
    assert caught.value.error is not None
    assert {field.loc[-1] for field in caught.value.error.field_errors} == {"times", "colour"}
    assert emulator.runs == ()


@pytest.mark.parametrize("params", [{"a": float("nan")}, {"a": {1}}, {"a": b""}, {1: 2}, [1], "x"])
def test_parameters_that_json_lacks(connect: Connect, emulator: Emulator, params: Any) -> None:
    """They are an `InvalidParamsError`, and nothing is sent."""
    with pytest.raises(InvalidParamsError):
        connect(emulator).flows.start("shout", params)
    assert emulator.requests == ()


@pytest.mark.parametrize("flow_id", ["", " ", ".", "../admin", "%2e%2e", "a\nb", "..\\x", 7])
def test_invalid_ids(connect: Connect, emulator: Emulator, flow_id: Any) -> None:
    """An id that would lead to another path is rejected before anything is sent."""
    client = connect(emulator)
    for call in (client.flows.get, client.flows.start, client.flows.run):
        with pytest.raises(InvalidParamsError):
            call(flow_id)
    with pytest.raises(InvalidParamsError):
        client.runs.get(flow_id, "t")
    with pytest.raises(InvalidParamsError):
        client.runs.get("f", flow_id)
    assert emulator.requests == ()


def test_ids_are_quoted_completely(connect: Connect, server: FaultyServer) -> None:
    """Any id is one path segment, or one query value. A base URL keeps its path."""
    server.on("*", json_reply('{"status": "RUNNING"}'))
    client = connect(server, base_url=f"{server.url}/prefix/")
    client.runs.get("a b/c?d#é", "x&y=1+2%")
    assert (
        server.requests[0].target
        == "/prefix/flows/a%20b%2Fc%3Fd%23%C3%A9/status?taskId=x%26y%3D1%2B2%25"
    )


@pytest.mark.parametrize("key", ["", "a b", "é", "x" * 256, "a\nb", 7])
def test_keys_that_a_header_cannot_carry(connect: Connect, emulator: Emulator, key: Any) -> None:
    """An idempotency key is 1 to 255 visible ASCII characters; anything else sends nothing."""
    with pytest.raises(InvalidParamsError):
        connect(emulator).flows.start("shout", idempotency_key=key)
    assert emulator.requests == ()


@pytest.mark.skipif(sys.version_info < (3, 11), reason="notes are new in Python 3.11")
def test_a_callback_that_raises_at_the_end(connect: Connect, api: FaultyServer) -> None:
    """The note says that the run has succeeded, and how to get its result; before the end, that it continues."""
    running, done = '{"status": "RUNNING"}', '{"status": "SUCCEEDED"}'
    for wrong_at, says in (("RUNNING", "continues"), ("SUCCEEDED", "has succeeded")):
        api.on("/flows/f/status", json_reply(running), json_reply(done))

        def refuse(run: Run, at: str = wrong_at) -> None:
            if run.status == at:
                raise LookupError(at)

        with pytest.raises(LookupError) as caught:
            connect(api).flows.run("f", on_status=refuse, idempotency_key="canary")
        (note,) = caught.value.__notes__
        assert note.startswith(f"Run t of flow f {says}")
        assert "idempotency_key='canary'" in note


def test_a_run_without_a_url(connect: Connect, api: FaultyServer, tmp_path: Path) -> None:
    """The error names the start, not JSON or a pickle."""
    api.on("/flows/f/run", json_reply('{"taskId": "t"}'))
    with pytest.raises(
        ResultError, match="The service sent no URL for the results of run t"
    ) as caught:
        connect(api).flows.run("f", save_path=tmp_path / "result.json")
    assert "pickle" not in str(caught.value)
