"""httpx2's clients beside httpx's: their types, and what differs between the two libraries.

httpx2 is a fork of httpx with the same names but its own classes. It is never imported here: a program that
passes one of its clients has already imported it.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import httpx

from dcipher.errors import ConfigurationError

if TYPE_CHECKING:
    from types import TracebackType

__all__ = [
    "AsyncHttpx2Client",
    "Httpx2Client",
    "Httpx2Errors",
    "is_client",
    "is_httpx2",
    "library",
    "plain_response",
    "plain_timeout",
    "usable_client",
]


@runtime_checkable
class Httpx2Client(Protocol):
    """An `httpx2.Client`, or any object with its methods, to type checkers."""

    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def is_closed(self) -> bool: ...
    @property
    def send(self) -> Callable[..., Any]: ...
    def close(self) -> None: ...


@runtime_checkable
class AsyncHttpx2Client(Protocol):
    """An `httpx2.AsyncClient`, or any object with its methods, to type checkers."""

    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def is_closed(self) -> bool: ...
    @property
    def send(self) -> Callable[..., Any]: ...
    def aclose(self) -> Awaitable[None]: ...


def library() -> Any:
    """Returns the module httpx2. `None`: nobody has imported it, or it stands in for httpx."""
    found = sys.modules.get("httpx2")
    return None if found is httpx else found


def is_httpx2(value: object, name: str) -> bool:
    """Returns whether a value is an instance of this class of httpx2."""
    found = library()
    return found is not None and isinstance(value, getattr(found, name))


def is_client(value: object, name: str) -> bool:
    """Returns whether a value is a client of httpx or httpx2: `Client` or `AsyncClient`."""
    return isinstance(value, getattr(httpx, name)) or is_httpx2(value, name)


def usable_client(value: Any, name: str) -> Any:
    """Returns this client. Raises `ConfigurationError` for another value."""
    if not is_client(value, name):
        raise ConfigurationError(
            f"client must be an httpx.{name} or an httpx2.{name}, not {type(value).__name__}."
        )
    return value


def plain_timeout(timeout: Any) -> Any:
    """Returns a timeout of httpx2 as one of httpx, and any other value as it is."""
    return httpx.Timeout(**timeout.as_dict()) if is_httpx2(timeout, "Timeout") else timeout


def plain_response(response: Any, stream: Any) -> httpx.Response:
    """Returns a response of httpx2 as one of httpx, with `stream` for its body."""
    if not response.is_stream_consumed:
        return httpx.Response(
            response.status_code,
            headers=response.headers.raw,
            stream=stream,
            extensions=dict(response.extensions),
        )
    # A hook has read it, or a transport made it of a text: it is decoded.
    coded = (
        (b"content-encoding", b"content-length") if "content-encoding" in response.headers else ()
    )
    headers = [field for field in response.headers.raw if field[0].lower() not in coded]
    return httpx.Response(
        response.status_code,
        headers=headers,
        content=response.content,
        extensions=dict(response.extensions),
    )


class Httpx2Errors(AbstractContextManager[None]):
    """Raises an exception of httpx2 as the one of httpx with the same name."""

    def __init__(self, request: httpx.Request) -> None:
        self._request = request

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        theirs = library()
        if isinstance(error, theirs.InvalidURL):
            raise httpx.InvalidURL(str(error)) from error
        if isinstance(error, theirs.RequestError):
            names = [cls.__name__ for cls in type(error).__mro__]  # a newer one may be unknown here
            name = next(name for name in names if hasattr(httpx, name))
            raise getattr(httpx, name)(str(error), request=self._request) from error
