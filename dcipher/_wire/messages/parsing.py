"""What came back: a model, or an error. An answer in; a value or an exception out."""

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
    from collections.abc import Iterable, Iterator
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
    """Builds the models that an answer to the operation `name` becomes.

    Before it is sent: Pydantic imports modules for that, which fails where there are too many open
    files, and a start would have been accepted and its run be lost.
    """
    models: tuple[type[BaseModel], ...] = (*_MODELS[name], ErrorResponse, FieldError)
    for model in models:
        model.model_rebuild()


def output_secrets(outputs: Iterable[Output]) -> tuple[str, ...]:
    """What of the signed URLs of a run must not be shown, should the service repeat it."""
    # In no variable: Ctrl-C may strike here, and reporters of errors keep those of each frame.
    return tuple(
        secret
        for output in outputs
        if output.url is not None
        for secret in secrets_of(output.url.get_secret_value())
    )


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
        **_unknown(known, _knowing(answer, outputs, known)),
        flow_id=operation.flow_id,
        task_id=task_id,
        outputs=outputs,
        idempotency_key=operation.idempotency_key,
        created_at=now,
    )


def _knowing(answer: Answer, outputs: Iterable[Output], said: JSONObject) -> Answer:
    """The answer with the secrets of URLs that came with it, as far as the rest of it may repeat them."""
    if not said:
        return answer
    repeated = relevant_secrets(output_secrets(outputs), json.dumps(said, ensure_ascii=False))
    return replace(answer, secrets=(*answer.secrets, *repeated))


def _unknown(known: JSONObject, answer: Answer) -> JSONObject:
    """The fields that nothing is known of, without secrets and the signatures of URLs."""
    names = known.keys() - Run.model_fields.keys()
    return _shown({name: known[name] for name in known if name in names}, answer)


def _shown(known: JSONObject, answer: Answer) -> JSONObject:
    if not answer.may_repeat:
        return known
    return {name: _masked(value, answer) for name, value in known.items()}


def _masked(value: object, answer: Answer) -> object:
    if isinstance(value, str):
        return _text(value, answer)
    if isinstance(value, list):
        return [_masked(item, answer) for item in cast("list[object]", value)]
    if isinstance(value, dict):
        fields = cast("JSONObject", value).items()
        return {_text(name, answer): _masked(item, answer) for name, item in fields}
    return value


def _status(value: str, answer: Answer) -> RunStatus | str:
    status = normal_status(value)
    return status if isinstance(status, RunStatus) else normal_status(_text(value, answer))


def _text(value: str, answer: Answer) -> str:
    """A run is shown, logged and stored: what it says repeats no secret."""
    if not answer.may_repeat:
        return value
    value = redact(value, answer.secrets)
    return masked_urls(value) if looks_signed(value) else value


def _outputs(known: JSONObject) -> Iterator[Output]:
    """One URL or several become one tuple.

    A place whose URL cannot be used stays, without one: the order tells them apart.
    """
    single = _items(known.pop("signedResponseURL", None))
    several = _items(known.pop("signedResponseURLs", None))
    # Both names, one result: it stands once. By their reprs: what is no URL may be no key of a set.
    named_twice = set(map(repr, several))
    for url in [*(url for url in single if repr(url) not in named_twice), *several]:
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
    outputs = tuple(_outputs(known))
    answer = _knowing(answer, outputs, known)
    status, message = known.pop("status", None), known.pop("message", None)
    if not isinstance(status, str) or not status.strip():
        raise answer.invalid("without a status")
    if outputs and all(output.url is None for output in run.outputs):
        run = run.model_copy(update={"outputs": outputs})
    if run.is_terminal:
        return run
    # A copy: the fields that are kept were validated when `run` was made.
    changed = run.model_copy(
        update={
            **_unknown(known, answer),
            "status": _status(status, answer),
            "message": message if message is None else _text(str(message), answer),
        }
    )
    return changed.model_copy(update={"finished_at": now}) if changed.is_terminal else changed


def flow_of(answer: Answer) -> Flow:
    """The flow that the answer describes."""
    known = answer.json_object()
    try:
        return Flow.model_validate(_shown(known, answer))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise answer.invalid(f"its field {where!r} does not fit ({message_of(first)})") from None
