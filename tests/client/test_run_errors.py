"""The errors and notes about a run."""

from __future__ import annotations

import pickle
import sys
from datetime import datetime, timezone

import pytest

from dcipher._client.waiting.run_errors import (
    closed,
    failure,
    how_to_reattach,
    interrupted,
    not_ended,
    note_run,
    timed_out,
)
from dcipher._results.outputs.missing_outputs import without_outputs
from dcipher.errors import (
    DcipherError,
    PollingInterruptedError,
    ResultError,
    RunCancelledError,
    RunError,
    RunFailedError,
    WaitTimeoutError,
)
from dcipher.models import Output, Run, RunStatus, SecretURL


def run(status: str = "RUNNING", message: str | None = None, task_id: str = "t") -> Run:
    url = SecretURL("https://s/r?sig=SIGNATURE")
    return Run(
        flow_id="f", task_id=task_id, status=status, message=message, outputs=(Output(url=url),)
    )


@pytest.mark.parametrize(
    ("status", "cls", "says"),
    [
        ("FAILED", RunFailedError, "Run t of flow f failed: out of memory"),
        ("CANCELLED", RunCancelledError, "was cancelled: out of memory"),
        ("CANCELFAILED", RunFailedError, r"refused \(CANCELFAILED\): out of memory"),
    ],
)
def test_failure(status: str, cls: type[RunError], says: str) -> None:
    """Each failure has its error, with the message of the service, the run, and advice."""
    error = failure(run(status, "out of memory"))
    assert type(error) is cls
    with pytest.raises(cls, match=says):
        raise error
    assert error.run == run(status, "out of memory")
    assert "tart a new run" in str(error)


@pytest.mark.parametrize(
    "status", [s for s in RunStatus if s not in {"FAILED", "CANCELLED", "CANCELFAILED"}] + ["odd"]
)
def test_no_failure(status: str) -> None:
    """A succeeded, running or unknown status is not an error."""
    assert failure(run(status, "words")) is None


def test_a_failure_without_a_message() -> None:
    """The error says that the service gave no reason."""
    assert "failed without a message." in str(failure(run("FAILED")))
    assert "failed without a message." in str(failure(run("FAILED", "")))


def test_a_failure_with_a_long_message() -> None:
    """Megabytes and terminal escapes are truncated and cleaned in the text, but not in the run."""
    words = "\x1b[31m" + "x" * 1_000_000
    error = failure(run("FAILED", words))
    assert error is not None
    assert error.run.message == words
    assert "\x1b" not in str(error)
    assert len(str(error)) < 400


@pytest.mark.parametrize(
    ("message", "says"), [("Out of memory.", "memory. Check"), (" ", "message. Check")]
)
def test_a_failure_is_a_sentence(message: str, says: str) -> None:
    """One full stop ends the message, and a blank message is missing."""
    assert says in str(failure(run("FAILED", message)))


@pytest.mark.parametrize("status", ["FAILED", "CANCELLED", "CANCELFAILED"])
def test_a_failure_shows_no_signed_url(status: str) -> None:
    """A signed URL in the message is shown without its signature."""
    error = failure(run(status, "cannot write https://s/r?X-Amz-Signature=SIGNATURE"))
    assert error is not None
    assert "SIGNATURE" not in str(error)


def test_timed_out() -> None:
    """The error says that the run continues, and has the line that resumes the wait."""
    error = timed_out(run("setting up cluster"), 2.5, None)
    assert type(error) is WaitTimeoutError
    assert "was setting up cluster after 2.5 s" in str(error)
    assert "client.runs.wait(error.run)" in str(error)
    assert how_to_reattach(run()) in str(error)
    assert error.run.task_id == "t"


def test_interrupted() -> None:
    """The error has the time without a successful poll, and advice."""
    error = interrupted(run(), 900.4)
    assert type(error) is PollingInterruptedError
    assert "could not be fetched for 900 s" in str(error)
    assert how_to_reattach(run()) in str(error)


def test_a_result_too_early() -> None:
    """The error has the status of the run, and how to wait for it."""
    error = not_ended(run("setting up cluster"))
    assert type(error) is ResultError
    assert "Run t of flow f has no result yet: it is setting up cluster" in str(error)
    assert "client.runs.wait(run)" in str(error)
    assert error.run == run("setting up cluster")


def test_a_result_without_its_url() -> None:
    """The error has the reason, and how to store the URL."""
    error = without_outputs(run("SUCCEEDED"), 2)
    assert (type(error), error.output_index) == (ResultError, 2)
    assert "to_json(reveal=True)" in str(error)
    assert without_outputs(run()).output_index is None
    assert "idempotency_key" not in str(error)
    keyed = run("SUCCEEDED").model_copy(update={"idempotency_key": "order-7"})
    assert "repeat the start with idempotency_key='order-7'" in str(without_outputs(keyed))


@pytest.mark.parametrize("status", ["RUNNING", "SUCCEEDED"])
def test_the_error_of_a_closed_client_names_another(status: str) -> None:
    """The error of a closed client names another one, and the key that returns the run."""
    keyed = run(status).model_copy(update={"idempotency_key": "order-7"})
    text = str(closed(DcipherError("This client is closed."), keyed))
    assert "another_client.runs." in text
    assert " client.runs.wait(error.run)" not in text
    assert " client.runs.download(" not in text
    assert "with idempotency_key='order-7'" in text


@pytest.mark.parametrize("status", ["RUNNING", "SUCCEEDED", "odd"])
@pytest.mark.parametrize("index", [None, 3])
def test_a_note_has_the_key_of_the_start(status: str, index: int | None) -> None:
    """For a running or succeeded run, the note has the key of its start; `None` is not a key."""
    for key, words in (("order-7", "idempotency_key='order-7'"), (None, "")):
        error = ValueError()
        note_run(error, run(status).model_copy(update={"idempotency_key": key}), index)
        (note,) = getattr(error, "__notes__", [])
        assert words in note
        assert "idempotency_key=None" not in note


def test_a_result_without_a_url() -> None:
    """For a start without a URL, the error says so. For an empty output, it names both causes."""
    started = Run(
        flow_id="f", task_id="t", status="SUCCEEDED", created_at=datetime.now(timezone.utc)
    )
    text = str(without_outputs(started))
    assert "The service sent no URL for the results of run t of flow f" in text
    assert "JSON" not in text
    empty = str(without_outputs(started.model_copy(update={"outputs": (Output(),)}), 0))
    assert "JSON and pickles leave them out" in empty
    assert "the service sent no URL" in empty
    by_ids = str(without_outputs(Run(flow_id="f", task_id="t", status="SUCCEEDED")))
    assert "gave" not in by_ids


@pytest.mark.skipif(sys.version_info < (3, 11), reason="notes are new in Python 3.11")
@pytest.mark.parametrize(
    ("status", "says"),
    [
        ("SUCCEEDED", "has succeeded. To get it: client.runs.wait("),
        ("CANCELLED", "has ended: its status is CANCELLED."),
        ("RUNNING", "continues. To wait for it: client.runs.wait("),
        ("odd", "continues"),
    ],
)
def test_a_note_has_the_state_of_the_run(status: str, says: str) -> None:
    """A note never says that an ended run continues."""
    error = ValueError()
    note_run(error, run(status))
    (note,) = getattr(error, "__notes__", [])
    assert note.startswith(f"Run t of flow f {says}")


@pytest.mark.skipif(sys.version_info < (3, 11), reason="notes are new in Python 3.11")
def test_an_interruption_is_noted() -> None:
    """After Ctrl-C, the note names the running run. Errors of this package have it themselves."""
    interruption = KeyboardInterrupt()
    note_run(interruption, run())
    notes: list[str] = getattr(interruption, "__notes__", [])
    assert len(notes) == 1
    assert how_to_reattach(run()) in notes[0]
    own = timed_out(run(), 1, None)
    note_run(own, run())
    assert not hasattr(own, "__notes__")


def test_the_line_that_reattaches_is_python() -> None:
    """Ids with quotes are quoted so that the line can be pasted."""
    line = how_to_reattach(run(task_id='it\'s "t"'))
    made = eval(line.removeprefix("client.runs.wait"), {"Run": Run})  # noqa: S307 - the line of our own message
    assert (made.flow_id, made.task_id) == ("f", 'it\'s "t"')


@pytest.mark.parametrize(
    "error", [failure(run("FAILED")), timed_out(run(), 1, None), interrupted(run(), 1)]
)
def test_errors_show_no_signed_url(error: RunError) -> None:
    """The run of an error is complete in this process, but its repr and pickle have no URL."""
    assert error.run.outputs[0].url is not None
    for text in (str(error), repr(error), repr(vars(error)), str(pickle.dumps(error))):
        assert "SIGNATURE" not in text
