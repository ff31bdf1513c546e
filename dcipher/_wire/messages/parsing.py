"""Parses responses: a response in, a model or an exception out."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, cast

from pydantic import ValidationError

from dcipher._masking.text import masked_urls, redact, relevant_secrets
from dcipher._masking.validation import message_of
from dcipher._urls.signed_urls import expiry, looks_signed, secrets_of
from dcipher.errors import InvalidParamsError
from dcipher.models import (
    ErrorResponse,
    FieldError,
    Flow,
    Output,
    Run,
    RunStatus,
    SecretURL,
    normal_status,
)

from .operations import run_status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from pydantic import BaseModel

    from .answers import Answer, JSONObject
    from .operations import Operation

__all__ = ["flow_of", "output_secrets", "prepare", "started_run", "status_of"]

_MODELS: dict[str, tuple[type[BaseModel], ...]] = {
    "flow": (Flow,),
    "start": (Run, Output),
    "status": (Run, Output),
}


@lru_cache
def prepare(name: str) -> None:
    """Builds the models for the response to the operation `name`, before its request is sent.

    Pydantic imports modules for that, which fails if there are too many open files. After a start was
    accepted, its run would be lost.
    """
    models: tuple[type[BaseModel], ...] = (*_MODELS[name], ErrorResponse, FieldError)
    for model in models:
        model.model_rebuild()


def output_secrets(outputs: Iterable[Output]) -> tuple[str, ...]:
    """Returns the secrets of a run's signed URLs, which the service may repeat."""
    # In no variable: Ctrl-C may come here, and error reporters record the variables of each frame.
    return tuple(
        secret
        for output in outputs
        if output.url is not None
        for secret in secrets_of(output.url.get_secret_value())
    )


def started_run(answer: Answer, operation: Operation, now: datetime) -> Run:
    """Returns the run of the response to a start."""
    known = answer.json_object()
    task_id = known.pop("taskId", None)
    # A number is converted to text; True is an int in Python, but not an id.
    task_id = (
        str(task_id) if isinstance(task_id, (str, int)) and not isinstance(task_id, bool) else ""
    )
    try:
        run_status(operation.flow_id, task_id)  # an id that cannot be sent is invalid
    except InvalidParamsError:
        raise answer.invalid("it has no valid taskId") from None
    outputs = tuple(_outputs(known))
    return Run(
        **_unknown(known, _with_secrets(answer, outputs, known)),
        flow_id=operation.flow_id,
        task_id=task_id,
        outputs=outputs,
        idempotency_key=operation.idempotency_key,
        created_at=now,
    )


def _with_secrets(answer: Answer, outputs: Sequence[Output], rest: JSONObject) -> Answer:
    """Returns the response with the secrets of its URLs, as far as the rest of it may repeat them."""
    if not rest or not outputs:
        return answer
    repeated = relevant_secrets(output_secrets(outputs), json.dumps(rest, ensure_ascii=False))
    return replace(answer, secrets=(*answer.secrets, *repeated))


def _unknown(known: JSONObject, answer: Answer) -> JSONObject:
    """Returns the unknown fields, with secrets and the signatures of URLs redacted."""
    if not known:
        return {}
    names = known.keys() - Run.model_fields.keys()
    return _redacted({name: known[name] for name in known if name in names}, answer)


def _redacted(known: JSONObject, answer: Answer) -> JSONObject:
    if not answer.may_repeat:
        return known
    return {name: _redacted_value(value, answer) for name, value in known.items()}


def _redacted_value(value: object, answer: Answer) -> object:
    if isinstance(value, str):
        return _text(value, answer)
    if isinstance(value, list):
        return [_redacted_value(item, answer) for item in cast("list[object]", value)]
    if isinstance(value, dict):
        fields = cast("JSONObject", value).items()
        return {_text(name, answer): _redacted_value(item, answer) for name, item in fields}
    return value


def _status(value: str, answer: Answer) -> RunStatus | str:
    status = normal_status(value)
    return status if isinstance(status, RunStatus) else normal_status(_text(value, answer))


def _text(value: str, answer: Answer) -> str:
    """Returns `value` without secrets: a run is printed, logged and stored."""
    if not answer.may_repeat:
        return value
    value = redact(value, answer.secrets)
    return masked_urls(value) if looks_signed(value) else value


def _outputs(known: JSONObject) -> Iterator[Output]:
    """Yields an output for each URL, of one or of several.

    An output with an invalid URL has none: it keeps the indexes of the others.
    """
    if not known.keys() & {"signedResponseURL", "signedResponseURLs"}:
        return
    single = _items(known.pop("signedResponseURL", None))
    several = _items(known.pop("signedResponseURLs", None))
    # A URL under both names is one result. Compared by repr: an invalid URL may not be hashable.
    named_twice = set(map(repr, several))
    for url in [*(url for url in single if repr(url) not in named_twice), *several]:
        if isinstance(url, str) and url.strip():
            yield Output(url=SecretURL(url), expires_at=expiry(url))
        else:
            yield Output()


def _items(value: object) -> list[object]:
    """Returns a list of values, for a single value or several."""
    if isinstance(value, list):
        return cast("list[object]", value)
    return [] if value is None else [value]


def status_of(answer: Answer, run: Run, now: datetime) -> Run:
    """Returns `run`, updated by the response to a poll.

    Known outputs are kept, and so is the end of a run, which is final.
    """
    known = answer.json_object()
    outputs = tuple(_outputs(known))
    answer = _with_secrets(answer, outputs, known)
    status, message = known.pop("status", None), known.pop("message", None)
    if not isinstance(status, str) or not status.strip():
        raise answer.invalid("it has no status")
    if outputs and all(output.url is None for output in run.outputs):
        run = run.model_copy(update={"outputs": outputs})
    if run.is_terminal:
        return run
    now_is = _status(status, answer)
    changes = {
        **_unknown(known, answer),
        "status": now_is,
        "message": message if message is None else _text(str(message), answer),
    }
    if isinstance(now_is, RunStatus) and now_is.is_terminal:
        changes["finished_at"] = now
    # A copy: the other fields were validated when `run` was created.
    return run.model_copy(update=changes)


def flow_of(answer: Answer) -> Flow:
    """Returns the flow of the response."""
    known = answer.json_object()
    try:
        return Flow.model_validate(_redacted(known, answer))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise answer.invalid(f"its field {where!r} is invalid ({message_of(first)})") from None
