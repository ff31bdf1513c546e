"""What came back: a model, or an error. An answer in; a value or an exception out."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from pydantic import ValidationError

from ..errors import InvalidParamsError
from ..models import Flow, Output, Run, SecretURL, normal_status
from .operations import run_status
from .signed_urls import expiry, looks_signed
from .text import masked_urls

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from .answers import Answer, JSONObject
    from .operations import Operation

__all__ = ["flow_of", "started_run", "status_of"]


def started_run(answer: Answer, operation: Operation, now: datetime) -> Run:
    """The run that the answer to a start speaks of."""
    known = answer.json_object()
    task_id = known.pop("taskId", None)
    # A number is taken as text; True is an int in Python, but not an id.
    task_id = (
        str(task_id) if isinstance(task_id, (str, int)) and not isinstance(task_id, bool) else ""
    )
    try:
        run_status(operation.flow_id, task_id)  # what cannot be asked for is no id
    except InvalidParamsError:
        raise answer.invalid("without a usable taskId") from None
    outputs = tuple(_outputs(known))
    return Run(
        **_unknown(known),
        flow_id=operation.flow_id,
        task_id=task_id,
        outputs=outputs,
        idempotency_key=operation.idempotency_key,
        created_at=now,
    )


def _unknown(known: JSONObject) -> JSONObject:
    """The fields that nothing is known of, with the signatures of URLs in them masked."""
    return {name: _masked(value) for name, value in known.items() if name not in Run.model_fields}


def _masked(value: object) -> object:
    if isinstance(value, str):
        return masked_urls(value) if looks_signed(value) else value
    if isinstance(value, list):
        return [_masked(item) for item in cast("list[object]", value)]
    if isinstance(value, dict):
        return {name: _masked(item) for name, item in cast("JSONObject", value).items()}
    return value


def _outputs(known: JSONObject) -> Iterator[Output]:
    """One URL or several become one tuple.

    A place whose URL cannot be used stays, without one: the order tells them apart.
    """
    single = _items(known.pop("signedResponseURL", None))
    several = _items(known.pop("signedResponseURLs", None))
    # Both names, one result: it stands once.
    for url in [*(url for url in single if url not in several), *several]:
        if isinstance(url, str) and url.strip():
            yield Output(url=SecretURL(url), expires_at=expiry(url))
        else:
            yield Output()


def _items(value: object) -> list[object]:
    """One or several, under whichever of the two names."""
    if isinstance(value, list):
        return cast("list[object]", value)
    return [] if value is None else [value]


def status_of(answer: Answer, run: Run, now: datetime) -> Run:
    """`run` as the answer to a look at its status has it.

    What is known of it already stays: its outputs, and its end, which is final.
    """
    known = answer.json_object()
    status, message = known.pop("status", None), known.pop("message", None)
    if not isinstance(status, str) or not status.strip():
        raise answer.invalid("without a status")
    outputs = tuple(_outputs(known))
    if outputs and all(output.url is None for output in run.outputs):
        run = run.model_copy(update={"outputs": outputs})
    if run.is_terminal:
        return run
    # A copy: the fields that are kept were validated when `run` was made.
    changed = run.model_copy(
        update={
            **_unknown(known),
            "status": normal_status(status),
            "message": message if message is None or isinstance(message, str) else str(message),
        }
    )
    return changed.model_copy(update={"finished_at": now}) if changed.is_terminal else changed


def flow_of(answer: Answer) -> Flow:
    """The flow that the answer describes."""
    known = answer.json_object()
    try:
        return Flow.model_validate(known)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise answer.invalid(f"its field {where!r} does not fit ({first['msg']})") from None
