"""Every error that this package raises.

```
DcipherError
├── ConfigurationError (ValueError)        nothing was sent
│   └── MissingAPIKeyError
├── InvalidParamsError (ValueError)        nothing was sent
├── APIError                               .request .attempts .request_id
│   ├── APIConnectionError                 no response
│   │   ├── APITimeoutError (TimeoutError)
│   │   └── TLSError                       certificate or handshake
│   ├── APIStatusError                     .status_code .error .body
│   │   ├── BadRequestError 400
│   │   ├── AuthenticationError 401
│   │   ├── PermissionDeniedError 403
│   │   ├── NotFoundError 404
│   │   ├── ConflictError 409
│   │   ├── UnprocessableEntityError 422
│   │   ├── RateLimitError 429             .retry_after
│   │   ├── InternalServerError 500+
│   │   └── UnexpectedStatus               not in the OpenAPI document
│   ├── InvalidResponseError               2xx of another form
│   └── SubmissionUnknownError             .flow_id .idempotency_key
├── RunError                               .run
│   ├── RunFailedError
│   ├── RunCancelledError
│   ├── WaitTimeoutError (TimeoutError)    the run continues
│   └── PollingInterruptedError            the run may continue
├── ResultError                            .run .output_index
│   ├── ResultExpiredError
│   ├── ResultChangedError
│   ├── IntegrityError
│   ├── ResultParseError                   .location .errors
│   │   └── TooManyInvalidRowsError        .rejects
│   └── LocalStorageError (OSError)
└── BatchError                             .report
    ├── TooManyFailuresError               more than max_failures
    └── JournalError                       the journal is unusable
        ├── JournalConflictError
        └── JournalBusyError
```

In brackets: the built-in class that the error also inherits from. Every error can be pickled. None
contains an API key, a secret or a signed URL.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dcipher

from ._hints import Hint
from ._libraries import Lazy

if TYPE_CHECKING:
    import httpx
else:
    httpx = Lazy("httpx")

__all__ = [
    "APIConnectionError",
    "APIError",
    "APIStatusError",
    "APITimeoutError",
    "AuthenticationError",
    "BadRequestError",
    "BatchError",
    "ConfigurationError",
    "ConflictError",
    "DcipherError",
    "IntegrityError",
    "InternalServerError",
    "InvalidParamsError",
    "InvalidResponseError",
    "JournalBusyError",
    "JournalConflictError",
    "JournalError",
    "LocalStorageError",
    "MissingAPIKeyError",
    "NotFoundError",
    "PermissionDeniedError",
    "PollingInterruptedError",
    "RateLimitError",
    "RequestInfo",
    "ResultChangedError",
    "ResultError",
    "ResultExpiredError",
    "ResultParseError",
    "RunCancelledError",
    "RunError",
    "RunFailedError",
    "SubmissionUnknownError",
    "TLSError",
    "TooManyFailuresError",
    "TooManyInvalidRowsError",
    "UnexpectedStatus",
    "UnprocessableEntityError",
    "WaitTimeoutError",
    "status_error_class",
]


class DcipherError(Exception):
    """The base class of every error of this package."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.message = message
        """What happened, and what to do."""
        self.hint: Hint = Hint()
        """The part of the message that says what to do. Empty if there is none.

        `hint.cli` is the same for the command line.
        """

    def __str__(self) -> str:
        return self.message

    # BaseException pickles by calling the class with `args`, which loses (or cannot rebuild)
    # keyword-only state.
    def __reduce__(self) -> tuple[Any, ...]:
        return (_restore, (type(self), self.args, self._state()))

    def _state(self) -> dict[str, Any]:
        return dict(vars(self))


def _restore(cls: type[DcipherError], args: tuple[Any, ...], state: dict[str, Any]) -> DcipherError:
    error = cls.__new__(cls, *args)
    error.args = args
    for name, value in state.items():
        setattr(error, name, value)
    return error


class ConfigurationError(DcipherError, ValueError):
    """A setting is missing, invalid or unsafe. Nothing was sent."""


class MissingAPIKeyError(ConfigurationError):
    """There is no API key in the arguments, the environment or `.env`."""


class InvalidParamsError(DcipherError, ValueError):
    """An argument of a call is invalid. Nothing was sent."""


@dataclass(frozen=True)
class RequestInfo:
    """The request that an error is about."""

    method: str
    """The HTTP method."""
    url: str
    """The URL, without its query if that is a secret."""

    def __str__(self) -> str:
        return f"{self.method} {self.url}"


class APIError(DcipherError):
    """A request to the API failed."""

    def __init__(
        self,
        message: str = "",
        *,
        request: RequestInfo | None = None,
        attempts: int = 1,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.request = request
        """The request, without secrets."""
        self.attempts = attempts
        """How many times the request was sent."""
        self.request_id = request_id
        """The `X-Request-Id` of the response, for the support of the service."""
        self.run: dcipher.Run | None = None
        """The run that the call was about, with its outputs; `None` before there is one."""


class APIConnectionError(APIError):
    """There was no response: the connection failed or was lost."""


class APITimeoutError(APIConnectionError, TimeoutError):
    """There was no response in time. `timeout` is the limit for one HTTP request."""


class TLSError(APIConnectionError):
    """The certificate is invalid, or the TLS handshake failed. It is not retried."""


class APIStatusError(APIError):
    """The API responded with an error status."""

    def __init__(
        self,
        message: str = "",
        *,
        status_code: int = 0,
        response: httpx.Response | None = None,
        error: dcipher.ErrorResponse | None = None,
        body: object = None,
        retry_after: float | None = None,
        request: RequestInfo | None = None,
        attempts: int = 1,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message, request=request, attempts=attempts, request_id=request_id)
        self.status_code = status_code
        """The HTTP status."""
        self.response = response
        """The response: status, headers and body.

        Its `request` has only the method and the URL, without key and cookies.
        """
        self.error = error
        """The parsed body, or `None` if its form is unknown."""
        self.body = body
        """The body as parsed JSON or as text, or `None` if it was empty."""
        self.retry_after = retry_after
        """The seconds of `Retry-After`, or `None`."""

    def _state(self) -> dict[str, Any]:
        # Once they have been read, httpx keeps the cookies in a jar that cannot be pickled.
        if self.response is not None:
            vars(self.response).pop("_cookies", None)
        return super()._state()


class BadRequestError(APIStatusError):
    """400: the service did not understand the request."""


class AuthenticationError(APIStatusError):
    """401: the API key is missing, wrong or revoked."""


class PermissionDeniedError(APIStatusError):
    """403: the API key has no permission for this."""


class NotFoundError(APIStatusError):
    """404: there is no such flow or run."""


class ConflictError(APIStatusError):
    """409: the request conflicts with one in progress."""


class UnprocessableEntityError(APIStatusError):
    """422: the parameters do not match the flow. See `error.field_errors`."""


class RateLimitError(APIStatusError):
    """429: there were too many requests. See `retry_after`."""


class InternalServerError(APIStatusError):
    """500 and above: the service failed."""


class UnexpectedStatus(APIStatusError):  # noqa: N818 - the name that generated clients have for it
    """A status that the OpenAPI document does not list.

    Raised only by an `HTTPClient` with `raise_on_unexpected_status=True`.
    """

    @property
    def content(self) -> bytes:
        """The bytes of the body."""
        return b"" if self.response is None else self.response.content


class InvalidResponseError(APIError):
    """A successful response without the documented form: a login page, an empty body, no task id."""


class SubmissionUnknownError(APIError):
    """The response to a start was lost, and a retry is forbidden. The run may or may not exist.

    To repeat the start without starting a second run, pass `idempotency_key` to `flows.start` or
    `flows.run`.
    """

    def __init__(
        self,
        message: str = "",
        *,
        flow_id: str = "",
        idempotency_key: str = "",
        request: RequestInfo | None = None,
        attempts: int = 1,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message, request=request, attempts=attempts, request_id=request_id)
        self.flow_id = flow_id
        """The id of the flow."""
        self.idempotency_key = idempotency_key
        """The key of the start."""


class RunError(DcipherError):
    """A run failed, was cancelled, or could not be waited for."""

    def __init__(self, message: str = "", *, run: dcipher.Run) -> None:
        super().__init__(message)
        self.run = run
        """The run as last reported. `client.runs.wait(error.run)` resumes waiting for it."""


class RunFailedError(RunError):
    """The run failed: its status is FAILED or CANCELFAILED."""


class RunCancelledError(RunError):
    """The run was cancelled: its status is CANCELLED."""


class WaitTimeoutError(RunError, TimeoutError):
    """The timeout of the wait has passed. The run continues."""


class PollingInterruptedError(RunError):
    """The API was unreachable for too long. The run may continue."""


class ResultError(DcipherError):
    """A result could not be fetched, read or saved."""

    def __init__(
        self, message: str = "", *, run: dcipher.Run | None = None, output_index: int | None = None
    ) -> None:
        super().__init__(message)
        self.run = run
        """The run, or `None` if the error was raised before its start."""
        self.output_index = output_index
        """The index in `run.outputs`, or `None` if the error is about all results."""


class ResultExpiredError(ResultError):
    """The signed URL has expired. The service issues it only once: run the flow again."""


class ResultChangedError(ResultError):
    """The result changed during the download. An existing file is intact."""


class IntegrityError(ResultError):
    """The received bytes do not match the announced length or digest. An existing file is intact."""


class ResultParseError(ResultError):
    """The result is malformed, or does not match the requested type."""

    def __init__(
        self,
        message: str = "",
        *,
        run: dcipher.Run | None = None,
        output_index: int | None = None,
        location: str = "",
        errors: tuple[dict[str, Any], ...] = (),
        row: int | None = None,
        line: int | None = None,
    ) -> None:
        super().__init__(message, run=run, output_index=output_index)
        self.location = location
        """The location in the result, such as `[17].score`."""
        self.errors = errors
        """The validation errors: `loc`, `type` and `msg` of each, without the values."""
        self.row = row
        """The number of the row in its result, from 0, or `None` if the error is not about a row."""
        self.line = line
        """The line in which the row begins, from 1, in NDJSON and CSV; otherwise `None`."""


class TooManyInvalidRowsError(ResultParseError):
    """More rows are invalid than `max_invalid` allows. Earlier rows were returned."""

    def __init__(
        self,
        message: str = "",
        *,
        run: dcipher.Run | None = None,
        output_index: int | None = None,
        location: str = "",
        errors: tuple[dict[str, Any], ...] = (),
        rejects: dcipher.Rejects,
    ) -> None:
        super().__init__(
            message, run=run, output_index=output_index, location=location, errors=errors
        )
        self.rejects = rejects
        """The invalid rows: their number and the reasons; with `on_invalid="collect"`, each row."""


class LocalStorageError(ResultError, OSError):
    """A result cannot be saved. An existing file is intact, unless the message says otherwise.

    `errno` and `filename` are those of `OSError`.
    """

    def __init__(
        self,
        message: str = "",
        *,
        run: dcipher.Run | None = None,
        output_index: int | None = None,
        errno: int | None = None,
        filename: str | None = None,
    ) -> None:
        super().__init__(message, run=run, output_index=output_index)
        self.errno = errno
        self.filename = filename

    # OSError keeps these two outside __dict__.
    def _state(self) -> dict[str, Any]:
        return {**vars(self), "errno": self.errno, "filename": self.filename}


class BatchError(DcipherError):
    """A batch of `flows.map` cannot continue. Started runs continue."""

    def __init__(self, message: str = "", *, report: dcipher.BatchReport | None = None) -> None:
        super().__init__(message)
        self.report = report
        """The outcomes of the rows so far, or `None` if none was begun."""


class TooManyFailuresError(BatchError):
    """More rows failed than `max_failures` allows."""


class JournalError(BatchError):
    """The journal cannot be opened, read or written."""


class JournalConflictError(JournalError):
    """The journal contradicts this call: other params for a key, or another base URL or API key."""


class JournalBusyError(JournalError):
    """Another process is using the journal."""


_BY_STATUS: dict[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    422: UnprocessableEntityError,
    429: RateLimitError,
}


def status_error_class(status_code: int) -> type[APIStatusError]:
    """Returns the class for a status: `APIStatusError` itself for 3xx and for 4xx without a class."""
    if status_code >= 500:
        return InternalServerError
    return _BY_STATUS.get(status_code, APIStatusError)
