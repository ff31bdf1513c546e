"""The errors and notes about a run."""

from __future__ import annotations

import pickle
import sys
from datetime import datetime, timezone

import pytest

from dcipher._client.waiting.outcomes import (
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
    """Each bad end is its error, with the service's words, the run, and what to do next."""
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
    """What ended well, goes on, or is not known is no error."""
    assert failure(run(status, "words")) is None


def test_a_failure_without_words() -> None:
    """Where the service does not say why, that is said."""
    assert "failed without a message." in str(failure(run("FAILED")))
    assert "failed without a message." in str(failure(run("FAILED", "")))


def test_a_failure_in_too_many_words() -> None:
    """Megabytes and terminal escapes are cut and cleaned where they are shown, not where they are kept."""
    words = "\x1b[31m" + "x" * 1_000_000
    error = failure(run("FAILED", words))
    assert error is not None
    assert error.run.message == words
    assert "\x1b" not in str(error)
    assert len(str(error)) < 400


@pytest.mark.parametrize(
    ("message", "says"), [("Out of memory.", "memory. Check"), (" ", "message. Check")]
)
def test_a_failure_is_told_in_sentences(message: str, says: str) -> None:
    """One full stop ends the service's words, and blanks are no words."""
    assert says in str(failure(run("FAILED", message)))


@pytest.mark.parametrize("status", ["FAILED", "CANCELLED", "CANCELFAILED"])
def test_a_failure_shows_no_signed_url(status: str) -> None:
    """A signed URL in the service's words is shown without its signature."""
    error = failure(run(status, "cannot write https://s/r?X-Amz-Signature=SIGNATURE"))
    assert error is not None
    assert "SIGNATURE" not in str(error)


def test_timed_out() -> None:
    """The error says that the run goes on, and the line in it waits again."""
    error = timed_out(run("setting up cluster"), 2.5, None)
    assert type(error) is WaitTimeoutError
    assert "was setting up cluster after 2.5 s" in str(error)
    assert "client.runs.wait(error.run)" in str(error)
    assert how_to_reattach(run()) in str(error)
    assert error.run.task_id == "t"


def test_interrupted() -> None:
    """The error says for how long nothing was seen, and how to go on."""
    error = interrupted(run(), 900.4)
    assert type(error) is PollingInterruptedError
    assert "could not be fetched for 900 s" in str(error)
    assert how_to_reattach(run()) in str(error)


def test_a_result_too_early() -> None:
    """The error says what the run does, and how to wait for it."""
    error = not_ended(run("setting up cluster"))
    assert type(error) is ResultError
    assert "Run t of flow f has no result yet: it is setting up cluster" in str(error)
    assert "client.runs.wait(run)" in str(error)
    assert error.run == run("setting up cluster")


def test_a_result_whose_url_is_gone() -> None:
    """The error says why, and how to keep the URL the next time."""
    error = without_outputs(run("SUCCEEDED"), 2)
    assert (type(error), error.output_index) == (ResultError, 2)
    assert "to_json(reveal=True)" in str(error)
    assert without_outputs(run()).output_index is None
    assert "idempotency_key" not in str(error)
    keyed = run("SUCCEEDED").model_copy(update={"idempotency_key": "order-7"})
    assert "repeat the start with idempotency_key='order-7'" in str(without_outputs(keyed))


@pytest.mark.parametrize("status", ["RUNNING", "SUCCEEDED"])
def test_a_closed_client_is_not_told_to_be_asked(status: str) -> None:
    """The error of a client that was closed names another one, and the key that gives the run again."""
    keyed = run(status).model_copy(update={"idempotency_key": "order-7"})
    text = str(closed(DcipherError("This client is closed."), keyed))
    assert "another_client.runs." in text
    assert " client.runs.wait(error.run)" not in text
    assert " client.runs.download(" not in text
    assert "with idempotency_key='order-7'" in text


@pytest.mark.parametrize("status", ["RUNNING", "SUCCEEDED", "odd"])
@pytest.mark.parametrize("index", [None, 3])
def test_a_note_names_the_key_of_a_run_that_can_be_had(status: str, index: int | None) -> None:
    """Of a run that goes on, or went well, the note has the key of its start; `None` is no key."""
    for key, words in (("order-7", "idempotency_key='order-7'"), (None, "")):
        error = ValueError()
        note_run(error, run(status).model_copy(update={"idempotency_key": key}), index)
        (note,) = getattr(error, "__notes__", [])
        assert words in note
        assert "idempotency_key=None" not in note


def test_a_result_without_a_url() -> None:
    """A start that gave no URL is said to have given none; of an empty place, both causes are named."""
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
def test_a_note_says_what_the_run_does(status: str, says: str) -> None:
    """A note never says that a run goes on which has ended."""
    error = ValueError()
    note_run(error, run(status))
    (note,) = getattr(error, "__notes__", [])
    assert note.startswith(f"Run t of flow f {says}")


@pytest.mark.skipif(sys.version_info < (3, 11), reason="notes are new in Python 3.11")
def test_an_interruption_is_noted() -> None:
    """Ctrl-C tells which run goes on; errors of this package say it themselves."""
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
def test_errors_hold_no_signed_url(error: RunError) -> None:
    """The run of an error is whole in this process, and shows and pickles no URL."""
    assert error.run.outputs[0].url is not None
    for text in (str(error), repr(error), repr(vars(error)), str(pickle.dumps(error))):
        assert "SIGNATURE" not in text
