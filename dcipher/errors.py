"""Every error that this package raises.

```
DcipherError
├── ConfigurationError (also ValueError)
│   └── MissingAPIKeyError
├── InvalidParamsError (also ValueError)      before anything is sent
├── APIError                                  .request .attempts .request_id
│   ├── APIConnectionError                    no answer; the cause is in the message
│   │   ├── APITimeoutError (also TimeoutError)
│   │   └── TLSError                          the certificate or the handshake: never sent again
│   ├── APIStatusError                        .status_code .response .error .body .retry_after
│   │   ├── BadRequestError 400 · AuthenticationError 401 · PermissionDeniedError 403 · NotFoundError 404
│   │   ├── ConflictError 409 · UnprocessableEntityError 422 · RateLimitError 429 · InternalServerError ≥ 500
│   │   └── UnexpectedStatus                  not in the OpenAPI document, when raise_on_unexpected_status is set
│   ├── InvalidResponseError                  2xx that is not what the API promises
│   └── SubmissionUnknownError                the answer to a start was lost: .flow_id .idempotency_key
├── RunError                                  .run: ids, last status, message
│   ├── RunFailedError · RunCancelledError
│   ├── WaitTimeoutError (also TimeoutError)  the run goes on
│   └── PollingInterruptedError               the API stayed unreachable; the run may go on
└── ResultError                               .run .output_index
    ├── ResultExpiredError · ResultChangedError · IntegrityError
    ├── ResultParseError                      .location .errors
    │   └── TooManyInvalidRowsError           .rejects
    └── LocalStorageError (also OSError)
```

All of them pickle. None of them holds an API key, a secret or a signed URL.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dcipher

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
    "ConfigurationError",
    "ConflictError",
    "DcipherError",
    "IntegrityError",
    "InternalServerError",
    "InvalidParamsError",
    "InvalidResponseError",
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
    "TooManyInvalidRowsError",
    "UnexpectedStatus",
    "UnprocessableEntityError",
    "WaitTimeoutError",
    "status_error_class",
]


class DcipherError(Exception):
    """The base of every error of this package."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.message = message
        """What happened and what to do next."""

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
    """A setting is missing, malformed or dangerous. Nothing was sent."""


class MissingAPIKeyError(ConfigurationError):
    """There is no API key: not as an argument, not in the environment, not in `.env`."""


class InvalidParamsError(DcipherError, ValueError):
    """The arguments of a call cannot be sent as they are. Nothing was sent."""


@dataclass(frozen=True)
class RequestInfo:
    """The request that an error is about."""

    method: str
    url: str
    """Without the query where that is a secret."""

    def __str__(self) -> str:
        return f"{self.method} {self.url}"


class APIError(DcipherError):
    """A call of the API did not give what it should."""

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
        """The request, without anything secret."""
        self.attempts = attempts
        """How many times it was sent."""
        self.request_id = request_id
        """The service's `X-Request-Id`, for its support."""
        self.run: dcipher.Run | None = None
        """The run that was waited for, with its outputs, where the error ended `flows.run`."""


class APIConnectionError(APIError):
    """There was no answer: no connection, or it broke."""


class APITimeoutError(APIConnectionError, TimeoutError):
    """There was no answer in time. `timeout` bounds one HTTP request."""


class TLSError(APIConnectionError):
    """The connection is not secure: the certificate or the handshake failed.

    It is not tried again.
    """


class APIStatusError(APIError):
    """The API answered with a status that is not a success."""

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
        self.response = response
        """The answer: status, headers and body.

        Its `request` holds the method and the URL alone; no key, no cookies.
        """
        self.error = error
        """The parsed body, where it is one of the known shapes; else `None`."""
        self.body = body
        """The body: parsed JSON, or text; `None` where it was empty."""
        self.retry_after = retry_after
        """Seconds that the service asked to wait, if it did."""

    def _state(self) -> dict[str, Any]:
        # Once somebody has looked at them, httpx keeps the cookies in a jar that does not pickle.
        if self.response is not None:
            vars(self.response).pop("_cookies", None)
        return super()._state()


class BadRequestError(APIStatusError):
    """400: the service did not understand the request."""


class AuthenticationError(APIStatusError):
    """401: the API key is missing, wrong or revoked."""


class PermissionDeniedError(APIStatusError):
    """403: this API key may not do that."""


class NotFoundError(APIStatusError):
    """404: no such flow or run."""


class ConflictError(APIStatusError):
    """409: it collides with something that is going on."""


class UnprocessableEntityError(APIStatusError):
    """422: the parameters do not fit the flow.

    `error.field_errors` says which, where the service says so.
    """


class RateLimitError(APIStatusError):
    """429: too many requests.

    `retry_after` holds the seconds to wait, where the service says so.
    """


class InternalServerError(APIStatusError):
    """500 and above: the service failed."""


class UnexpectedStatus(APIStatusError):  # noqa: N818 - the name that generated clients have for it
    """A status that the OpenAPI document does not list, when `raise_on_unexpected_status` is set."""

    @property
    def content(self) -> bytes:
        """The body's bytes."""
        return b"" if self.response is None else self.response.content


class InvalidResponseError(APIError):
    """A success that is not what the API promises: a login page, an empty body, no task id."""


class SubmissionUnknownError(APIError):
    """The answer to a start was lost, and it may not be sent again.

    Nobody knows whether the run exists.

    To send the same start again without starting a second run, pass `idempotency_key` to
    `flows.start` or `flows.run`.
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
        self.idempotency_key = idempotency_key


class RunError(DcipherError):
    """Something is to be said of a run; `run` holds its ids and what was last seen of it."""

    def __init__(self, message: str = "", *, run: dcipher.Run) -> None:
        super().__init__(message)
        self.run = run
        """The run as last seen: `client.runs.wait(error.run)` re-attaches to it."""


class RunFailedError(RunError):
    """The run ended FAILED, or CANCELFAILED."""


class RunCancelledError(RunError):
    """The run ended CANCELLED."""


class WaitTimeoutError(RunError, TimeoutError):
    """The wait's time is over. The run goes on."""


class PollingInterruptedError(RunError):
    """The API stayed unreachable for too long. The run may go on."""


class ResultError(DcipherError):
    """A result could not be had, or used."""

    def __init__(
        self, message: str = "", *, run: dcipher.Run | None = None, output_index: int | None = None
    ) -> None:
        super().__init__(message)
        self.run = run
        """The run; `None` only where it is said before the run was started."""
        self.output_index = output_index
        """Which of `run.outputs`, from 0; `None` where it is about all of them."""


class ResultExpiredError(ResultError):
    """The signed URL has expired. The service gives it only once: the flow has to be run again."""


class ResultChangedError(ResultError):
    """The result changed while it was downloaded. An existing file is intact."""


class IntegrityError(ResultError):
    """What arrived is not what was promised: too short, too long, another digest.

    An existing file is intact.
    """


class ResultParseError(ResultError):
    """The result is not in the format, or not of the type, that was asked for."""

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
        """Where in the result, such as `[17].score`."""
        self.errors = errors
        """What does not fit: `loc`, `type` and `msg` of each, without the values."""
        self.row = row
        """The number of the row in its result, from 0; `None` where no row is to blame."""
        self.line = line
        """The line of the file that the row begins in, from 1, in NDJSON and CSV; `None` elsewhere."""


class TooManyInvalidRowsError(ResultParseError):
    """More rows do not fit than `max_invalid` permits. The rows before it were given."""

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
        """How many did not fit, and why; with `on_invalid="collect"` also which."""


class LocalStorageError(ResultError, OSError):
    """A result cannot be saved where it should.

    An existing file is intact, unless the text says otherwise. `errno` and `filename` as in OSError.
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
    """The class for a status: 408 and every other 4xx (and 3xx) are `APIStatusError` itself."""
    if status_code >= 500:
        return InternalServerError
    return _BY_STATUS.get(status_code, APIStatusError)
