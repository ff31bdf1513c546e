"""Parses responses: a response in, a model or an exception out."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, cast

from pydantic import ValidationError

from dcipher._masking.redaction import redact, relevant_secrets
from dcipher._masking.urls import redact_urls
from dcipher._urls.signed_urls import expiry, looks_signed, secrets_of
from dcipher.errors import InvalidParamsError
from dcipher.models import (
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

    from .operations import Operation
    from .responses import APIResponse, JSONObject

__all__ = ["flow_of", "output_secrets", "prepare", "started_run", "status_of"]

_MODELS: dict[str, tuple[type[BaseModel], ...]] = {
    "flow": (Flow,),
    "start": (Run, Output),
    "status": (Run, Output),
}


@lru_cache
def prepare(name: str) -> None:
    """Builds the models for the response to the operation `name`, before its request is sent.

    Pydantic imports modules for the first of them, which fails if there are too many open files. After
    a start was accepted, its run would be lost.
    """
    for model in _MODELS[name]:
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


def started_run(
    response: APIResponse, operation: Operation, now: datetime, traceparent: str | None = None
) -> Run:
    """Returns the run of the response to a start, whose span is `traceparent`."""
    known = response.json_object()
    task_id = known.pop("taskId", None)
    # A number is converted to text; True is an int in Python, but not an id.
    task_id = (
        str(task_id) if isinstance(task_id, (str, int)) and not isinstance(task_id, bool) else ""
    )
    try:
        run_status(operation.flow_id, task_id)  # an id that cannot be sent is invalid
    except InvalidParamsError:
        raise response.invalid("it has no valid taskId") from None
    outputs = tuple(_outputs(known))
    return Run(
        **_unknown(known, _with_secrets(response, outputs, known)),
        flow_id=operation.flow_id,
        task_id=task_id,
        outputs=outputs,
        idempotency_key=operation.idempotency_key,
        created_at=now,
        traceparent=traceparent,
    )


def _with_secrets(
    response: APIResponse, outputs: Sequence[Output], rest: JSONObject
) -> APIResponse:
    """Returns the response with the secrets of its URLs, as far as the rest of it may repeat them."""
    if not rest or not outputs:
        return response
    repeated = relevant_secrets(output_secrets(outputs), json.dumps(rest, ensure_ascii=False))
    return replace(response, secrets=(*response.secrets, *repeated))


def _unknown(known: JSONObject, response: APIResponse) -> JSONObject:
    """Returns the unknown fields, with secrets and the signatures of URLs redacted."""
    if not known:
        return {}
    names = known.keys() - Run.model_fields.keys()
    return _redacted({name: known[name] for name in known if name in names}, response)


def _redacted(known: JSONObject, response: APIResponse) -> JSONObject:
    if not response.may_repeat:
        return known
    return {name: _redacted_value(value, response) for name, value in known.items()}


def _redacted_value(value: object, response: APIResponse) -> object:
    if isinstance(value, str):
        return _text(value, response)
    if isinstance(value, list):
        return [_redacted_value(item, response) for item in cast("list[object]", value)]
    if isinstance(value, dict):
        fields = cast("JSONObject", value).items()
        return {_text(name, response): _redacted_value(item, response) for name, item in fields}
    return value


def _status(value: str, response: APIResponse) -> RunStatus | str:
    status = normal_status(value)
    return status if isinstance(status, RunStatus) else normal_status(_text(value, response))


def _text(value: str, response: APIResponse) -> str:
    """Returns `value` without secrets: a run is printed, logged and stored."""
    if not response.may_repeat:
        return value
    value = redact(value, response.secrets)
    return redact_urls(value) if looks_signed(value) else value


def _outputs(known: JSONObject) -> Iterator[Output]:
    """Yields an output for each URL, of one or of several.

    An output with an invalid URL has none: it keeps the indexes of the others.
    """
    if "signedResponseURL" not in known and "signedResponseURLs" not in known:
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


def status_of(response: APIResponse, run: Run, now: datetime) -> Run:
    """Returns `run`, updated by the response to a poll.

    Known outputs are kept, and so is the end of a run, which is final.
    """
    known = response.json_object()
    outputs = tuple(_outputs(known))
    response = _with_secrets(response, outputs, known)
    status, message = known.pop("status", None), known.pop("message", None)
    if not isinstance(status, str) or not status.strip():
        raise response.invalid("it has no status")
    if outputs and all(output.url is None for output in run.outputs):
        run = run.model_copy(update={"outputs": outputs})
    if run.is_terminal:
        return run
    now_is = _status(status, response)
    changes = {
        **_unknown(known, response),
        "status": now_is,
        "message": message if message is None else _text(str(message), response),
    }
    if isinstance(now_is, RunStatus) and now_is.is_terminal:
        changes["finished_at"] = now
    # A copy: the other fields were validated when `run` was created.
    return run.model_copy(update=changes)


def flow_of(response: APIResponse) -> Flow:
    """Returns the flow of the response."""
    known = response.json_object()
    try:
        return Flow.model_validate(_redacted(known, response))
    except ValidationError as error:
        from dcipher._masking.validation import message_of

        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise response.invalid(f"its field {where!r} is invalid ({message_of(first)})") from None
