"""Errors of requests to the API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dcipher
from dcipher._typing.lazy import Lazy

from ._base import DcipherError

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
    "ConflictError",
    "InternalServerError",
    "InvalidResponseError",
    "NotFoundError",
    "PermissionDeniedError",
    "RateLimitError",
    "RequestInfo",
    "SubmissionUnknownError",
    "TLSError",
    "UnexpectedStatus",
    "UnprocessableEntityError",
    "status_error_class",
]


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
        """The `X-Request-Id` of the response, to quote when you contact support."""
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

    status_code: int = 0
    """The HTTP status. A class for one status has it, too, as in 0.3.5."""

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
        if response is not None:
            status_code = status_code or response.status_code
        self.status_code = status_code or type(self).status_code
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

    status_code = 400


class AuthenticationError(APIStatusError):
    """401: the API key is missing, wrong or revoked."""

    status_code = 401


class PermissionDeniedError(APIStatusError):
    """403: the API key does not permit this request."""

    status_code = 403


class NotFoundError(APIStatusError):
    """404: there is no such flow or run."""

    status_code = 404


class ConflictError(APIStatusError):
    """409: the request conflicts with one in progress."""

    status_code = 409


class UnprocessableEntityError(APIStatusError):
    """422: the parameters do not match the flow. See `error.field_errors`."""

    status_code = 422


class RateLimitError(APIStatusError):
    """429: there were too many requests. See `retry_after`."""

    status_code = 429


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
    """A 2xx response that does not have the documented format: a login page, an empty body, no task id."""


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


_BY_STATUS: dict[int, type[APIStatusError]] = {
    cls.status_code: cls
    for cls in (
        BadRequestError,
        AuthenticationError,
        PermissionDeniedError,
        NotFoundError,
        ConflictError,
        UnprocessableEntityError,
        RateLimitError,
    )
}


def status_error_class(status_code: int) -> type[APIStatusError]:
    """Returns the class for a status: `APIStatusError` itself for 3xx and for 4xx without a class."""
    if status_code >= 500:
        return InternalServerError
    return _BY_STATUS.get(status_code, APIStatusError)
