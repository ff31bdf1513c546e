"""A start whose answer was lost."""

from __future__ import annotations

import pickle
from dataclasses import replace

import httpx
import pytest

from dcipher import Dcipher
from dcipher._core.operations import get_flow, run_status, start_run
from dcipher._core.submissions import unknown_submission
from dcipher.errors import (
    APIConnectionError,
    APIError,
    APITimeoutError,
    InvalidResponseError,
    RequestInfo,
    SubmissionUnknownError,
    TLSError,
    status_error_class,
)
from dcipher.resilience import Resilience

START = start_run("f", {}, "key-1")
AGAIN = Resilience()
ONCE = Resilience(resend_ambiguous=False)
INFO = RequestInfo("POST", "https://h/flows/f/run")


def lost(cause: type[httpx.TransportError]) -> APIError:
    error = APITimeoutError("it was lost.", request=INFO, attempts=3, request_id="r-1")
    error.__cause__ = cause("x")
    return error


def status(code: int, retry_after: float | None = None) -> APIError:
    return status_error_class(code)("no.", status_code=code, retry_after=retry_after)


AMBIGUOUS = [
    lambda: lost(httpx.ReadTimeout),
    lambda: lost(httpx.RemoteProtocolError),
    lambda: InvalidResponseError("HTML."),
    lambda: APIConnectionError("reset."),
    lambda: status(500),
    lambda: status(503),
    lambda: status(408),
]
KNOWN = [
    lambda: lost(httpx.ConnectError),
    lambda: TLSError("expired."),
    lambda: status(401),
    lambda: status(429),
    lambda: status(503, 3.0),
]


@pytest.mark.parametrize("make", AMBIGUOUS)
def test_a_start_that_may_not_be_sent_again(make: type[APIError]) -> None:
    """What may have been accepted is said to be unknown, with all that goes on with it."""
    error = make()
    unknown = unknown_submission(error, START, ONCE)
    assert isinstance(unknown, SubmissionUnknownError)
    assert (unknown.flow_id, unknown.idempotency_key) == ("f", "key-1")
    assert (unknown.request, unknown.attempts, unknown.request_id) == (
        error.request,
        error.attempts,
        error.request_id,
    )
    assert "idempotency_key='key-1'" in str(unknown)
    assert str(error) in str(unknown)


@pytest.mark.parametrize("make", AMBIGUOUS)
def test_a_start_that_was_sent_again_in_vain(make: type[APIError]) -> None:
    """The error stays what it is, and says how to go on without a second run, in its pickle, too."""
    error = make()
    before = str(error)
    assert unknown_submission(error, START, AGAIN) is error
    assert str(error).startswith(before)
    assert "idempotency_key='key-1'" in str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301 - our own
    assert error.args == (str(error),)


@pytest.mark.parametrize("rules", [AGAIN, ONCE])
@pytest.mark.parametrize("make", KNOWN)
def test_a_start_that_was_not_accepted(make: type[APIError], rules: Resilience) -> None:
    """What surely started nothing stays as it is."""
    error = make()
    before = str(error)
    assert unknown_submission(error, START, rules) is error
    assert str(error) == before


@pytest.mark.parametrize("operation", [get_flow("f"), run_status("f", "t")])
def test_a_look_submits_nothing(operation: object) -> None:
    """A GET that was lost started no run."""
    error = lost(httpx.ReadTimeout)
    assert unknown_submission(error, operation, ONCE) is error  # type: ignore[arg-type]
    assert str(error) == "it was lost."


def test_a_start_without_a_key() -> None:
    """Without a key, the error's is empty."""
    unknown = unknown_submission(lost(httpx.ReadError), replace(START, idempotency_key=None), ONCE)
    assert isinstance(unknown, SubmissionUnknownError)
    assert unknown.idempotency_key == ""


@pytest.mark.xfail(strict=True, reason="only the last failure is looked at")
def test_a_start_that_was_lost_before_it_was_refused() -> None:
    """A lost answer is not forgotten because the attempt after it found no connection."""
    failures = iter([httpx.ReadTimeout("lost"), httpx.ConnectError("refused")])

    def fail(request: httpx.Request) -> httpx.Response:
        raise next(failures)

    rules = Resilience(max_retries=1, backoff_initial=0.0)
    with (
        Dcipher(api_key="k", transport=httpx.MockTransport(fail), resilience=rules) as client,
        pytest.raises(APIError) as caught,
    ):
        client.flows.start("f", idempotency_key="key-1")
    assert "key-1" in str(caught.value)
