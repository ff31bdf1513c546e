"""The models: frozen, with unknown fields, complete through JSON, and without signed URLs in text."""

from __future__ import annotations

import copy
import json
import pickle
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from dcipher.models import (
    ErrorResponse,
    FieldError,
    Flow,
    FlowParam,
    Output,
    Run,
    RunStatus,
    SecretURL,
    normal_status,
)

NOW = datetime(2024, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
URL = "https://store.example.com/r.json?X-Amz-Signature=SIGNATURE"
EXTRA: dict[str, Any] = {"queue": {"place": 3}}
OUTPUT = Output(url=SecretURL(URL), expires_at=NOW)
RUN = Run(
    flow_id="f",
    task_id="t",
    status="SUCCEEDED",
    message="done",
    outputs=(OUTPUT, Output()),
    idempotency_key="key",
    created_at=NOW,
    finished_at=NOW,
    files=(Path("out.json"),),
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    **EXTRA,
)
FLOW = Flow(
    id="f",
    name="Topics",
    params=(FlowParam(name="top", type="integer", default=[5]),),
    **EXTRA,
)
ERROR = ErrorResponse(message="m", field_errors=(FieldError(loc=("a", 0), message="m"),), **EXTRA)
MODELS: list[BaseModel] = [RUN, OUTPUT, FLOW, FLOW.params[0], ERROR, ERROR.field_errors[0]]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_models_are_frozen(model: BaseModel) -> None:
    """No field of a model, known or unknown, can be set."""
    for name in [*type(model).model_fields, "unknown"]:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(model, name, None)


@pytest.mark.parametrize("cls", [Run, Output, Flow, FlowParam, ErrorResponse, FieldError])
def test_unknown_fields_are_kept(cls: type[BaseModel]) -> None:
    """Additional fields of the service remain, through JSON, too."""
    needed = {"flow_id": "f", "task_id": "t", "id": "f", "name": "n"}
    said = {name: needed[name] for name in needed if name in cls.model_fields}
    model = cls.model_validate({**said, "beyond": {"a": [1]}})
    assert model.model_extra == {"beyond": {"a": [1]}}
    assert cls.model_validate_json(model.model_dump_json()) == model


@pytest.mark.parametrize("model", [FLOW, ERROR, FLOW.params[0], ERROR.field_errors[0]])
def test_models_are_restored_from_json(model: BaseModel) -> None:
    """The JSON of a model is read as an equal model."""
    assert type(model).model_validate_json(model.model_dump_json()) == model


@pytest.mark.parametrize(
    "malformed",
    [
        "",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\n",
        7,
    ],
)
def test_malformed_traceparent(malformed: object) -> None:
    """A run is not lost by a trace that is malformed: it has none (W3C Trace Context, section 3.2)."""
    run = Run.model_validate({"flow_id": "f", "task_id": "t", "traceparent": malformed})
    assert run.traceparent is None
    assert run == Run(flow_id="f", task_id="t")


# Runs through JSON


def test_a_run_is_restored_from_json_without_its_urls() -> None:
    """The URLs are null, and their expiry remains."""
    text = RUN.model_dump_json()
    assert "SIGNATURE" not in text
    stored = Run.model_validate_json(text)
    assert stored == RUN.model_copy(update={"outputs": (Output(expires_at=NOW), Output())})
    assert Run.from_json(RUN.to_json()) == stored


def test_a_revealed_run_is_restored_completely() -> None:
    """`to_json(reveal=True)` is for a later download."""
    assert Run.from_json(RUN.to_json(reveal=True)) == RUN
    assert Run.from_json(RUN.to_json(reveal=True).encode()) == RUN
    assert json.loads(RUN.to_json(reveal=True))["outputs"][0]["url"] == URL


def test_a_run_is_made_of_two_ids() -> None:
    """Two ids are enough to wait for a run from anywhere."""
    run = Run(flow_id="f", task_id="t")
    assert (run.status, run.outputs, run.files) == (RunStatus.PENDING, (), ())
    assert not run.is_terminal
    assert Run.from_json(run.to_json()) == run


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"flow_id": "f"}', '{"flow_id": "f", "task_id": 5}']
)
def test_invalid_runs(text: str) -> None:
    """Anything but a run is a ValidationError."""
    with pytest.raises(ValidationError):
        Run.from_json(text)


def test_the_error_for_an_invalid_run_has_no_url() -> None:
    """The error for a damaged stored run does not contain its URL."""
    with pytest.raises(ValidationError) as caught:
        Run.from_json(
            RUN.to_json(reveal=True)
            .replace('"url":"', '"url":["')
            .replace("SIGNATURE", 'SIGNATURE"],"x":"')
        )
    assert "SIGNATURE" not in str(caught.value)


@pytest.mark.parametrize("mode", ["validation", "serialization"])
def test_a_run_is_a_response_model(mode: Any) -> None:
    """A web framework can describe a run, and its output has no URL."""
    adapter = TypeAdapter(Run)
    assert "outputs" in adapter.json_schema(mode=mode)["properties"]
    assert b"SIGNATURE" not in adapter.dump_json(RUN)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)
texts = st.text(st.characters(codec="utf-8"), max_size=20)
runs = st.builds(
    lambda extra, **known: Run(**{**extra, **known}),
    extra=st.dictionaries(
        texts.filter(lambda name: name not in Run.model_fields), json_values, max_size=3
    ),
    flow_id=texts,
    task_id=texts,
    status=texts | st.sampled_from(RunStatus),
    message=st.none() | texts,
    outputs=st.lists(
        st.builds(
            Output,
            url=st.none() | texts.map(SecretURL),
            expires_at=st.none() | st.datetimes(timezones=st.just(timezone.utc)),
        ),
        max_size=3,
    ).map(tuple),
    created_at=st.none() | st.datetimes(timezones=st.just(timezone.utc)),
    files=st.lists(st.sampled_from([Path("a"), Path("/b/c d.json")])).map(tuple),
)


@given(runs)
@settings(max_examples=150, deadline=None)
def test_any_run_is_restored_from_json(run: Run) -> None:
    """The revealed JSON of any run restores it; the ordinary one all but the URLs."""
    assert Run.from_json(run.to_json(reveal=True)) == run
    hidden = tuple(output.model_copy(update={"url": None}) for output in run.outputs)
    assert Run.from_json(run.to_json()) == run.model_copy(update={"outputs": hidden})


def test_a_run_with_a_strange_file_goes_through_json() -> None:
    """A file name that is no UTF-8 (os.fsdecode makes surrogates of it) does not keep a run from being stored."""
    run = Run(flow_id="f", task_id="t", files=(Path("\udcff.json"),))
    assert Run.from_json(run.to_json()).task_id == "t"


# Signed URLs


@pytest.mark.parametrize(
    "shown",
    [
        repr,
        str,
        format,
        lambda model: repr(model.model_dump()),
        lambda model: repr(model.model_dump(mode="json")),
        lambda model: model.model_dump_json(),
        lambda model: repr(dict(model)),
        lambda model: repr(vars(model)),
        lambda model: repr(list(model.__rich_repr__())),
        lambda model: str(pickle.dumps(model)),
        lambda model: repr(copy.deepcopy(model)),
    ],
)
@pytest.mark.parametrize("model", [RUN, OUTPUT], ids=["run", "output"])
def test_a_signed_url_is_not_shown(shown: Any, model: BaseModel) -> None:
    """No representation of a model shows its URL."""
    assert "SIGNATURE" not in shown(model)


def test_a_signed_url_is_null_in_a_dump() -> None:
    """It is not replaced by asterisks, which could be mistaken for a URL."""
    assert OUTPUT.model_dump() == {"url": None, "expires_at": NOW}
    assert RUN.model_dump(mode="json")["outputs"][0]["url"] is None


def test_get_secret_value_returns_the_signed_url() -> None:
    """`get_secret_value()` returns it unchanged."""
    assert OUTPUT.url is not None
    assert OUTPUT.url.get_secret_value() == URL
    assert isinstance(Output.model_validate({"url": URL}).url, SecretURL)


def test_a_pickle_has_no_urls() -> None:
    """A pickled run has everything but its URLs."""
    back = pickle.loads(pickle.dumps(RUN))  # noqa: S301 - our own
    assert [output.url for output in back.outputs] == [None, None]
    assert back.outputs[0].expires_at == NOW
    assert back.model_copy(update={"outputs": RUN.outputs}) == RUN


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda run: run.model_copy(deep=True)]
)
def test_a_copy_in_the_process_keeps_its_urls(copied: Any) -> None:
    """A copy within the process is complete."""
    assert copied(RUN) == RUN
    assert copied(RUN).outputs[0].url.get_secret_value() == URL


def test_a_copied_url_is_the_same() -> None:
    """A secret is shared by its copies, not written anew."""
    assert copy.copy(OUTPUT.url) is OUTPUT.url


# Status


@pytest.mark.parametrize(
    ("text", "status"),
    [
        *((status.value, status) for status in RunStatus),
        (" succeeded\r\n", RunStatus.SUCCEEDED),
        ("Failed", RunStatus.FAILED),
        (" setting up cluster ", "setting up cluster"),
        ("CANCEL FAILED", "CANCEL FAILED"),
        ("paused", "paused"),
        ("", ""),
    ],
)
def test_normal_status(text: str, status: object) -> None:
    """Known words in any case and with blanks; other words unchanged."""
    assert normal_status(text) == status
    run = Run(flow_id="f", task_id="t", status=text)
    assert run.status == status
    assert type(run.status) is type(status)
    assert Run.from_json(run.to_json()).status == status


@pytest.mark.parametrize(
    ("status", "terminal", "succeeded"),
    [
        ("PENDING", False, False),
        ("QUEUED", False, False),
        ("RUNNING", False, False),
        ("CANCELLING", False, False),
        ("CANCELLED", True, False),
        ("CANCELFAILED", True, False),
        ("SUCCEEDED", True, True),
        ("FAILED", True, False),
        ("setting up cluster", False, False),
        ("DONE", False, False),
    ],
)
def test_is_terminal(status: str, terminal: bool, succeeded: bool) -> None:
    """Four statuses end a run; an unknown one does not."""
    run = Run(flow_id="f", task_id="t", status=status)
    assert (run.is_terminal, run.succeeded) == (terminal, succeeded)
    if isinstance(run.status, RunStatus):
        assert run.status.is_terminal is terminal


def test_a_status_is_its_word() -> None:
    """In a text and in a comparison, a status is the service's word."""
    assert f"{RunStatus.RUNNING}" == str(RunStatus.RUNNING) == RunStatus.RUNNING == "RUNNING"


# The other models


@pytest.mark.parametrize(("said", "flow_id"), [("f", "f"), (5, "5")])
def test_a_flow_needs_only_its_id(said: object, flow_id: str) -> None:
    """Every field but the id is optional, and a number is taken as text."""
    flow = Flow.model_validate({"id": said, "params": None})
    assert (flow.id, flow.name, flow.description, flow.params) == (flow_id, None, None, ())


@pytest.mark.parametrize("said", [{}, {"id": None}, {"id": True}, {"id": 1.5}])
def test_a_flow_without_an_id(said: dict[str, object]) -> None:
    """Without a usable id it is no flow."""
    with pytest.raises(ValidationError):
        Flow.model_validate(said)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (FieldError(loc=("body", 0, "top"), message="too large"), "body.0.top: too large"),
        (FieldError(message="too large"), "too large"),
    ],
)
def test_a_field_error_as_text(error: FieldError, text: str) -> None:
    """Location and message, on one line."""
    assert str(error) == text
