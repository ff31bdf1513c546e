"""Problem documents (RFC 9457) for errors; pure.

A document contains only our own text: the message of an error names hosts and ids, and repeats text
of the service.
"""

from __future__ import annotations

import json
import math
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from dcipher import (
    APIError,
    APITimeoutError,
    AuthenticationError,
    ConfigurationError,
    DcipherError,
    InvalidParamsError,
    LocalStorageError,
    NotFoundError,
    PermissionDeniedError,
    PollingInterruptedError,
    RateLimitError,
    Resilience,
    ResultError,
    ResultExpiredError,
    RunCancelledError,
    RunError,
    RunFailedError,
    SubmissionUnknownError,
    UnprocessableEntityError,
    WaitTimeoutError,
)
from dcipher._wire.errors.lost_starts import is_in_doubt
from dcipher._wire.retries import Outcome, failure_of

if TYPE_CHECKING:
    from dcipher import Run
    from dcipher.models import FieldError

__all__ = ["MEDIA_TYPE", "Problem", "problem_of", "rules_of", "schema"]

MEDIA_TYPE: Final = "application/problem+json"

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""The methods of a request that starts no run (RFC 9110 section 9.2.1)."""


class Rule(NamedTuple):
    """The response for a kind of error."""

    status: int
    detail: str


_OURS = "The server is misconfigured. Its operator has to act."

# The first match counts: subclasses before their bases.
_RULES: Final[tuple[tuple[type[DcipherError], Rule], ...]] = (
    (InvalidParamsError, Rule(422, "The parameters are invalid.")),
    (UnprocessableEntityError, Rule(422, "The parameters do not match the flow.")),
    (NotFoundError, Rule(404, "There is no such flow or run.")),
    (RateLimitError, Rule(503, "There are too many requests. Try again later.")),
    (AuthenticationError, Rule(500, _OURS)),
    (PermissionDeniedError, Rule(500, _OURS)),
    (ConfigurationError, Rule(500, _OURS)),
    (SubmissionUnknownError, Rule(502, "It is unknown whether the run was started.")),
    (APITimeoutError, Rule(504, "The analysis service did not respond in time.")),
    (APIError, Rule(502, "The analysis service failed, or is unreachable.")),
    (WaitTimeoutError, Rule(504, "The run has not ended in time. It continues.")),
    (RunFailedError, Rule(502, "The run failed.")),
    (RunCancelledError, Rule(502, "The run was cancelled.")),
    (PollingInterruptedError, Rule(502, "The analysis service is unreachable.")),
    (ResultExpiredError, Rule(410, "The result has expired. Start a new run.")),
    (LocalStorageError, Rule(500, "The server cannot store the result.")),
    (ResultError, Rule(502, "The result cannot be fetched or read.")),
    (DcipherError, Rule(500, "The server failed.")),
)
_NOT_ENDED = Rule(409, "The run has not ended. It has no result yet.")


class Problem(NamedTuple):
    """A response: its status, its headers, its document."""

    status: int
    headers: dict[str, str]
    document: dict[str, Any]

    def to_json(self) -> str:
        """Returns the document."""
        return json.dumps(self.document)


def rules_of(kind: type[DcipherError]) -> list[Rule]:
    """Returns the rules for the errors of a class and its subclasses."""
    rules = [_rule_of(kind), *(rule for base, rule in _RULES if issubclass(base, kind))]
    return [*rules, _NOT_ENDED] if issubclass(ResultError, kind) else rules


def _rule_of(kind: type[DcipherError]) -> Rule:
    return next(rule for base, rule in _RULES if issubclass(kind, base))


def problem_of(error: DcipherError, *, method: str = "GET", docs_url: str | None = None) -> Problem:
    """Returns the response for an error. `method`: that of the request to the application."""
    run = _run_of(error)
    rule = _rule_of(type(error))
    if type(error) is ResultError and run is not None and not run.is_terminal:
        rule = _NOT_ENDED
    document: dict[str, Any] = {
        "type": "about:blank" if docs_url is None else f"{docs_url}#{type(error).__name__}",
        "title": HTTPStatus(rule.status).phrase,
        "status": rule.status,
        "detail": rule.detail,
        "retryable": _is_retryable(error, rule.status, method),
    }
    if run is not None:
        document |= {"flow_id": run.flow_id, "task_id": run.task_id}
    elif isinstance(error, SubmissionUnknownError):
        document["flow_id"] = error.flow_id
    if isinstance(error, UnprocessableEntityError):
        found = error.error.field_errors if error.error is not None else ()
        document["errors"] = [_field_error(one) for one in found]
    headers = {}
    if isinstance(error, RateLimitError):
        headers["Retry-After"] = _seconds(error.retry_after)
    return Problem(rule.status, headers, document)


def _run_of(error: DcipherError) -> Run | None:
    run: Run | None = getattr(error, "run", None)
    return run


def _is_retryable(error: DcipherError, status: int, method: str) -> bool:
    """Returns whether the same request may succeed later, and starts no second run."""
    is_safe = method in SAFE_METHODS
    if isinstance(error, APIError):
        outcome = failure_of(error, Resilience()).outcome
        if is_safe:
            return outcome is not Outcome.PERMANENT
        return outcome in {Outcome.NOT_SENT, Outcome.REJECTED} and not is_in_doubt(error)
    if isinstance(error, RunError):
        return is_safe and isinstance(error, (WaitTimeoutError, PollingInterruptedError))
    return is_safe and status == _NOT_ENDED.status


def _seconds(retry_after: float | None) -> str:
    """Returns the value of `Retry-After`: whole seconds, at most a day."""
    return "5" if retry_after is None else str(math.ceil(min(max(retry_after, 1.0), 86_400.0)))


# The error types of Pydantic, which FastAPI's errors have; other texts are those of the service.
_MESSAGES: Final = {
    "missing": "This field is required.",
    "extra_forbidden": "There is no such field.",
    "unexpected_keyword_argument": "There is no such field.",
    "missing_argument": "This field is required.",
}
_NAME = re.compile(r"[\w-]{1,64}\Z", re.ASCII)


def _field_error(error: FieldError) -> dict[str, Any]:
    """Returns the location of the error in the params, and a description in our own words."""
    loc = error.loc[2:] if error.loc[:2] == ("body", "pipelineParams") else error.loc
    names = [part for part in loc if isinstance(part, int) or _NAME.match(part)]
    kind = error.type if error.type is not None and _NAME.match(error.type) else None
    message = _MESSAGES.get(kind or "", "This value is invalid.")
    return {"loc": names, "message": message, "type": kind}


def schema() -> dict[str, Any]:
    """Returns the JSON schema of a problem document."""
    text = {"type": "string"}
    place = {"type": "array", "items": {"anyOf": [text, {"type": "integer"}]}}
    field = {"loc": place, "message": text, "type": {"anyOf": [text, {"type": "null"}]}}
    return {
        "type": "object",
        "title": "Problem",
        "required": ["type", "title", "status", "detail", "retryable"],
        "properties": {
            "type": {"type": "string", "format": "uri-reference"},
            "title": text,
            "status": {"type": "integer"},
            "detail": text,
            "retryable": {"type": "boolean"},
            "flow_id": text,
            "task_id": text,
            "errors": {"type": "array", "items": {"type": "object", "properties": field}},
        },
    }
