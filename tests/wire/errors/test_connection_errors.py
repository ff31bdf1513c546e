"""Errors for exceptions of httpx: the class, the host, and the cause."""

from __future__ import annotations

import errno
import ssl

import httpx
import pytest

from dcipher._wire.errors.connection_errors import connection_error, not_sent
from dcipher._wire.retries import Outcome, failure_of
from dcipher.errors import APIConnectionError, APIError, APITimeoutError, TLSError
from dcipher.resilience import Resilience
from tests.wire.messages.made_responses import INFO


def chained(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def failed(error: Exception) -> APIError:
    return connection_error(
        error, INFO, attempts=3, host="api.example.com", configured_by="DCIPHER_BASE_URL"
    )


@pytest.mark.parametrize(
    ("error", "cls", "says"),
    [
        (httpx.ConnectError("refused"), APIConnectionError, "ConnectError: refused"),
        (httpx.ReadError(""), APIConnectionError, ": ReadError. Check"),
        (chained(httpx.ReadError(""), OSError(104, "reset")), APIConnectionError, "reset"),
        (
            httpx.ConnectTimeout("x"),
            APITimeoutError,
            "connecting took longer than the connect timeout",
        ),
        (httpx.WriteTimeout("x"), APITimeoutError, "sending took longer"),
        (httpx.ReadTimeout("x"), APITimeoutError, "it took longer than the timeout"),
        (httpx.PoolTimeout("100 of 100 in use"), APITimeoutError, "100 of 100 in use"),
        (httpx.ConnectError("\x1b[31m" + "x" * 10_000), APIConnectionError, "31m"),
        (
            chained(httpx.ConnectError("x"), ssl.SSLCertVerificationError(1, "self-signed")),
            TLSError,
            "self-signed",
        ),
        (
            chained(httpx.ConnectError("x"), chained(OSError(), ssl.SSLError(1, "wrong version"))),
            TLSError,
            "wrong version",
        ),
        (chained(httpx.ReadError("x"), ssl.SSLEOFError(8, "EOF")), APIConnectionError, "ReadError"),
        (
            httpx.ConnectTimeout("the proxy did not open a tunnel in time"),
            APITimeoutError,
            "(DCIPHER_BASE_URL): the proxy did not open a tunnel in time. Increase",
        ),
    ],
)
def test_connection_error(error: Exception, cls: type[APIError], says: str) -> None:
    """The class says what kind, the message which request, which host, configured where, and why."""
    found = failed(error)
    assert type(found) is cls
    assert (found.request, found.attempts) == (INFO, 3)
    assert says in str(found)
    assert "\x1b" not in str(found)
    assert len(str(found)) < 600
    if not isinstance(error, httpx.PoolTimeout):
        assert "api.example.com (DCIPHER_BASE_URL)" in str(found)


def test_a_cause_in_a_group_is_found() -> None:
    """Connecting to several addresses at once fails with a group of exceptions: the cause is in it."""
    group = OSError("all failed")
    group.exceptions = (ConnectionRefusedError(111, "refused"),)  # type: ignore[attr-defined]
    assert "refused" in str(failed(chained(httpx.ConnectError("x"), group)))


def test_a_cycle_of_causes_ends() -> None:
    """Exceptions that cause each other do not keep the search going."""
    first, second = httpx.ConnectError("a"), OSError("b")
    chained(first, second)
    chained(second, first)
    assert type(failed(first)) is APIConnectionError


@pytest.mark.parametrize(
    "error",
    [
        httpx.ReadError("x"),
        httpx.WriteError("x"),
        httpx.RemoteProtocolError("x"),
        httpx.ReadTimeout("x"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize(
    "cause",
    [ssl.SSLError(1, "bad record mac"), ssl.SSLCertVerificationError(1, "self-signed")],
    ids=lambda cause: type(cause).__name__,
)
def test_a_connection_that_breaks_later_is_not_insecure(
    error: httpx.TransportError, cause: ssl.SSLError
) -> None:
    """Behind a handshake, TLS trouble is a broken connection, after which a start may be lost."""
    found = failed(chained(error, cause))
    assert not isinstance(found, TLSError)
    assert type(found) is (
        APITimeoutError if isinstance(error, httpx.ReadTimeout) else APIConnectionError
    )


@pytest.mark.parametrize(
    "cause",
    [
        ssl.SSLEOFError(8, "EOF"),
        ssl.SSLZeroReturnError(6, "closed"),
        ssl.SSLSyscallError(5, "reset"),
    ],
    ids=lambda cause: type(cause).__name__,
)
def test_a_handshake_that_is_cut_off_is_not_insecure(cause: ssl.SSLError) -> None:
    """A peer that goes away during the handshake says nothing of its certificate: try again."""
    assert type(failed(chained(httpx.ConnectError("x"), cause))) is APIConnectionError


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS])
def test_too_many_files_are_said(number: int) -> None:
    """What is missing is room for a file or socket: nothing was sent, and the advice says how to get some."""
    cause = not_sent(OSError(number, "no more"))
    error = failed(cause)
    error.__cause__ = cause
    assert type(error) is APIConnectionError
    assert "ulimit -n" in str(error)
    assert failure_of(error, Resilience()).outcome is Outcome.NOT_SENT


def test_a_timeout_before_there_was_a_connection_is_one() -> None:
    """It is httpx's error of its kind, with the operating system's behind it."""
    error = TimeoutError("late")
    made = not_sent(error)
    assert isinstance(made, httpx.ConnectTimeout)
    assert made.__cause__ is error
