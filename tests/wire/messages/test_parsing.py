"""Parsed responses: a model or an error, for any bytes."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import example, given, settings

from dcipher._wire.messages.operations import run_status, start_run
from dcipher._wire.messages.parsing import flow_of, started_run, status_of
from dcipher.errors import APIError, InvalidResponseError
from dcipher.models import Flow, Output, Run, RunStatus, SecretURL
from tests.wire.messages.made_responses import CUT, INFO, URL, answer, bodies, header_sets

NOW = datetime(2024, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
START = start_run("f", {}, "key")
RUN = Run(
    flow_id="f",
    task_id="t",
    idempotency_key="key",
    created_at=NOW - timedelta(minutes=1),
    outputs=(Output(url=SecretURL("https://s/r?sig=SIGNATURE")),),
)
# Starts


@pytest.mark.parametrize(
    ("said", "task_id", "urls"),
    [
        ({"taskId": "t"}, "t", []),
        ({"taskId": 17}, "17", []),
        ({"taskId": "t", "signedResponseURL": URL}, "t", [URL]),
        ({"taskId": "t", "signedResponseURLs": [URL, "https://s/2"]}, "t", [URL, "https://s/2"]),
        ({"taskId": "t", "signedResponseURL": "a", "signedResponseURLs": [URL]}, "t", ["a", URL]),
        ({"taskId": "t", "signedResponseURL": URL, "signedResponseURLs": []}, "t", [URL]),
        (
            {"taskId": "t", "signedResponseURLs": ["https://a", None, " ", 5]},
            "t",
            ["https://a", *3 * [None]],
        ),
        ({"taskId": "t", "signedResponseURL": None, "signedResponseURLs": None}, "t", []),
    ],
)
def test_started_run(said: dict[str, object], task_id: str, urls: list[str | None]) -> None:
    """The task id as text, one URL or several as one tuple, in their places."""
    run = started_run(answer(said), START, NOW)
    assert (run.flow_id, run.task_id, run.status) == ("f", task_id, RunStatus.PENDING)
    assert (run.idempotency_key, run.created_at) == ("key", NOW)
    assert [output.url and output.url.get_secret_value() for output in run.outputs] == urls


def test_a_start_with_very_many_urls_takes_no_longer() -> None:
    """The time grows as the number of URLs does, though both names give them all."""
    urls: list[object] = [f"https://s/{number}" for number in range(20_000)]
    said = {"taskId": "t", "signedResponseURL": [*urls, {}], "signedResponseURLs": urls}
    began = time.process_time()
    assert len(started_run(answer(said), START, NOW).outputs) == 20_001
    assert time.process_time() - began < 2.5


def test_started_run_knows_when_its_urls_expire() -> None:
    """What a URL says of its end is kept beside it."""
    run = started_run(answer({"taskId": "t", "signedResponseURL": URL}), START, NOW)
    assert run.outputs[0].expires_at == NOW + timedelta(seconds=60)


def test_started_run_keeps_what_it_does_not_know() -> None:
    """Unknown fields stay; the service cannot set what is this side's to say."""
    said = {"taskId": "t", "queue": {"place": 3}, "flow_id": "g", "files": ["/etc/passwd"]}
    run = started_run(answer(said), START, NOW)
    assert run.model_extra == {"queue": {"place": 3}}
    assert (run.flow_id, run.files) == ("f", ())


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "the body is empty"),
        (b" \n", "the body is empty"),
        (b"<html><h1>Log in</h1></html>", "the body is not JSON"),
        (b'{"taskId": "t"', "the body is not JSON"),
        (b'{"taskId": NaN}', "the body is not JSON"),
        (b'{"taskId": "t", "x": Infinity}', "the body is not JSON"),
        (b'{"taskId": "\\ud800"}', "the body is not JSON"),
        (b'{"taskId": "\xff"}', "the body is not JSON"),
        (b"[" * 100_000, "the body is not JSON"),
        (b"[]", "a JSON list instead of an object"),
        (b"null", "a JSON NoneType"),
        (b'"t"', "a JSON str"),
        (b"{}", "it has no valid taskId"),
        (b'{"taskId": null}', "it has no valid taskId"),
        (b'{"taskId": true}', "it has no valid taskId"),
        (b'{"taskId": 1.5}', "it has no valid taskId"),
        (b'{"taskId": ""}', "it has no valid taskId"),
        (b'{"taskId": "  "}', "it has no valid taskId"),
        (b'{"taskId": ["t"]}', "it has no valid taskId"),
    ],
)
def test_a_start_that_is_none(body: bytes, why: str) -> None:
    """A 2xx that is not what the API promises is an error that says what came, and from where."""
    with pytest.raises(InvalidResponseError, match=why) as caught:
        started_run(answer(body, headers={"x-request-id": "r-1"}), START, NOW)
    error = caught.value
    assert (error.request, error.attempts, error.request_id) == (INFO, 2, "r-1")
    assert "base_url" in str(error)
    assert len(str(error)) < 500


def test_a_cut_answer_does_not_show_its_signed_url() -> None:
    """The answer to a start that breaks off behind the URL is an error without the signature."""
    with pytest.raises(InvalidResponseError) as caught:
        started_run(answer(CUT), START, NOW)
    assert "SIGNATURE" not in str(caught.value)


@pytest.mark.parametrize("task_id", ["../t", "a\0b", "..", "%2e%2e", "a\u202eb", "t" * 1025])
def test_an_id_that_cannot_be_asked_for_is_none(task_id: str) -> None:
    """A task id with which no status can be asked is not usable: that is said at once."""
    with pytest.raises(InvalidResponseError, match="it has no valid taskId"):
        started_run(answer({"taskId": task_id}), START, NOW)


@pytest.mark.parametrize("task_id", ["a/b", "/a", "a b", "a%2Fb", "ä", "t" * 1024])
def test_a_started_run_can_be_asked_for(task_id: str) -> None:
    """Any other id is kept as it is, slashes and blanks too, and is asked for."""
    run = started_run(answer({"taskId": task_id}), START, NOW)
    assert run.task_id == run_status("f", run.task_id).task_id == task_id


@pytest.mark.parametrize(
    "said", [{"signedResponseURLs": URL}, {"signedResponseURL": [URL]}], ids=["plural", "singular"]
)
def test_a_url_in_the_other_shape_is_not_lost(said: dict[str, Any]) -> None:
    """The URL comes only once: one text under the plural name, or a list under the other, is taken."""
    run = started_run(answer({"taskId": "t", **said}), START, NOW)
    assert [output.url and output.url.get_secret_value() for output in run.outputs] == [URL]


@pytest.mark.parametrize("several", [[URL], [URL, "https://s/2"]])
def test_a_url_under_both_names_is_one(several: list[str]) -> None:
    """One of several that is given singly, too, is one output: files are named by their number."""
    said = {"taskId": "t", "signedResponseURL": URL, "signedResponseURLs": several}
    run = started_run(answer(said), START, NOW)
    assert [output.url and output.url.get_secret_value() for output in run.outputs] == several


# Looks


@pytest.mark.parametrize(
    ("said", "status", "message"),
    [
        ({"status": "RUNNING"}, RunStatus.RUNNING, None),
        ({"status": " succeeded\n", "message": "ok"}, RunStatus.SUCCEEDED, "ok"),
        ({"status": "setting up cluster"}, "setting up cluster", None),
        ({"status": "PAUSED", "message": None}, "PAUSED", None),
        ({"status": "FAILED", "message": {"code": 5}}, RunStatus.FAILED, "{'code': 5}"),
        ({"status": "FAILED", "message": ""}, RunStatus.FAILED, ""),
    ],
)
def test_status_of(said: dict[str, object], status: object, message: str | None) -> None:
    """The state as the service says it, normalised; a message of any kind as text."""
    seen = status_of(answer(said), RUN, NOW)
    assert (seen.status, seen.message) == (status, message)
    assert seen.finished_at == (NOW if seen.is_terminal else None)


def test_a_look_keeps_what_is_known() -> None:
    """Outputs, ids, the key and earlier unknown fields stay; new unknown fields join them."""
    earlier = status_of(answer({"status": "QUEUED", "place": 3, "a": 1}), RUN, NOW)
    seen = status_of(
        answer({"status": "RUNNING", "a": 2, "outputs": [], "task_id": "x"}), earlier, NOW
    )
    assert seen == RUN.model_copy(update={"status": RunStatus.RUNNING, "place": 3, "a": 2})
    assert seen.model_extra == {"place": 3, "a": 2}


def test_the_end_is_dated_once() -> None:
    """A second look at a run that has ended does not move its end."""
    first = status_of(answer({"status": "SUCCEEDED"}), RUN, NOW)
    second = status_of(answer({"status": "SUCCEEDED"}), first, NOW + timedelta(hours=1))
    assert second.finished_at == NOW


def test_a_run_may_go_back() -> None:
    """RUNNING may become PENDING again."""
    running = status_of(answer({"status": "RUNNING"}), RUN, NOW)
    assert status_of(answer({"status": "PENDING"}), running, NOW).status is RunStatus.PENDING


@pytest.mark.parametrize("status", ["RUNNING", "setting up cluster"])
def test_the_end_is_final(status: str) -> None:
    """Terminal is final: a run that has ended does not run again at another look."""
    ended = status_of(answer({"status": "SUCCEEDED"}), RUN, NOW)
    assert status_of(answer({"status": status}), ended, NOW).is_terminal


@pytest.mark.parametrize(
    "said", [{"signedResponseURL": URL}, {"signedResponseURLs": [URL]}], ids=["one", "several"]
)
def test_a_signed_url_in_a_status_is_a_secret(said: dict[str, Any]) -> None:
    """Should a status give the URL after all, it is masked as in the answer to the start."""
    seen = status_of(answer({"status": "SUCCEEDED", **said}), Run(flow_id="f", task_id="t"), NOW)
    assert "X-Amz-Signature" not in f"{seen!r} {seen.model_dump()} {seen.to_json()}"


@pytest.mark.parametrize(
    "said", [{"signedResponseURL": URL}, {"signedResponseURLs": [URL]}], ids=["one", "several"]
)
@pytest.mark.parametrize("status", ["RUNNING", "SUCCEEDED"])
def test_a_signed_url_in_a_status_is_an_output(said: dict[str, Any], status: str) -> None:
    """Should a status give the URL after all, the run has it as its output, and knows its end."""
    seen = status_of(answer({"status": status, **said}), Run(flow_id="f", task_id="t"), NOW)
    assert seen.outputs == (
        Output(url=SecretURL(URL), expires_at=datetime(2024, 1, 2, 3, 5, 5, tzinfo=timezone.utc)),
    )
    assert not seen.model_extra


def test_a_look_does_not_replace_outputs() -> None:
    """The outputs that are known already stay, and in their order."""
    said = {"status": "RUNNING", "signedResponseURLs": [URL, "https://s/2"]}
    assert status_of(answer(said), RUN, NOW).outputs == RUN.outputs


@pytest.mark.parametrize(
    "run",
    [
        Run.model_validate_json(RUN.model_dump_json()),
        Run(flow_id="f", task_id="t", status=RunStatus.SUCCEEDED),
    ],
    ids=["stored without its URL", "ended without outputs"],
)
def test_a_look_brings_back_a_lost_url(run: Run) -> None:
    """A run whose URL is not known takes the one that the status gives."""
    seen = status_of(answer({"status": "SUCCEEDED", "signedResponseURL": URL}), run, NOW)
    assert [output.url and output.url.get_secret_value() for output in seen.outputs] == [URL]


def test_the_end_keeps_everything() -> None:
    """A look at a run that has ended changes nothing of it: neither message nor unknown fields."""
    ended = status_of(answer({"status": "FAILED", "message": "why", "a": 1}), RUN, NOW)
    assert status_of(answer({"status": "SUCCEEDED", "message": "m", "a": 2}), ended, NOW) == ended


def test_a_look_at_the_end_is_judged() -> None:
    """What is no status is an error, also where the end is known."""
    ended = status_of(answer({"status": "SUCCEEDED"}), RUN, NOW)
    with pytest.raises(InvalidResponseError):
        status_of(answer({}), ended, NOW)


@pytest.mark.parametrize("body", [b"{}", b'{"status": null}', b'{"status": " "}', b'{"status": 5}'])
def test_a_look_without_a_status(body: bytes) -> None:
    """An answer without a state says nothing."""
    with pytest.raises(InvalidResponseError, match="it has no status"):
        status_of(answer(body), RUN, NOW)


# Flows


def test_flow_of() -> None:
    """Every field but the id may be missing or null, and unknown ones stay."""
    flow = flow_of(answer({"id": 5, "params": None, "owner": "me"}))
    assert flow == Flow.model_validate({"id": "5", "owner": "me"})
    assert (
        flow_of(answer({"id": "f", "params": [{"name": "top", "unit": 1}]})).params[0].name == "top"
    )


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({}, "its field 'id' is invalid"),
        ({"id": None}, "its field 'id'"),
        ({"id": "f", "params": [{"type": "string"}]}, r"its field 'params\.0\.name'"),
        ({"id": "f", "name": ["SECRET"]}, "its field 'name'"),
    ],
)
def test_a_flow_that_is_none(said: dict[str, object], why: str) -> None:
    """What does not fit is named by its place, without the value."""
    with pytest.raises(InvalidResponseError, match=why) as caught:
        flow_of(answer(said))
    assert "SECRET" not in str(caught.value)


@given(bodies, header_sets)
@settings(max_examples=150, deadline=None)
@example(b'{"taskId": %s}' % (b"1" * 5000), {})
@example(b'{"status": "x", "message": %s}' % (b"1" * 5000), {})
@example(b'{"id": "f", "params": [{"name": 5, "default": %s}]}' % (b"[" * 100 + b"]" * 100), {})
def test_any_success_is_a_model_or_an_error(body: bytes, headers: dict[str, str]) -> None:
    """Whatever body and headers: a model, or an `APIError` that can be printed."""
    said = answer(body, 200, headers)
    for parse in (
        lambda: started_run(said, START, NOW),
        lambda: status_of(said, RUN, NOW),
        lambda: flow_of(said),
    ):
        try:
            model = parse()
        except APIError as failure:
            str(failure).encode()
        else:
            assert isinstance(model, (Run, Flow))
