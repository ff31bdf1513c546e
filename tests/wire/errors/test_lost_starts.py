"""A start whose response was lost."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import TYPE_CHECKING

import httpx
import pytest

from dcipher import Dcipher
from dcipher._wire.errors.lost_starts import unknown_submission
from dcipher._wire.messages.operations import get_flow, run_status, start_run
from dcipher.errors import (
    APIConnectionError,
    APIError,
    APITimeoutError,
    AuthenticationError,
    InvalidResponseError,
    RateLimitError,
    RequestInfo,
    SubmissionUnknownError,
    TLSError,
    status_error_class,
)
from dcipher.resilience import Resilience

if TYPE_CHECKING:
    from collections.abc import Callable

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
def test_a_start_that_may_not_be_sent_again(make: Callable[[], APIError]) -> None:
    """What may have been accepted is said to be unknown, with all that goes on with it."""
    error = make()
    unknown = unknown_submission(error, START, ONCE, in_doubt=True)
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
def test_a_start_that_was_sent_again_in_vain(make: Callable[[], APIError]) -> None:
    """The error stays what it is, and says how to go on without a second run, in its pickle, too."""
    error = make()
    before = str(error)
    assert unknown_submission(error, START, AGAIN, in_doubt=True) is error
    assert str(error).startswith(before)
    assert "idempotency_key='key-1'" in str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301 - our own
    assert error.args == (str(error),)


@pytest.mark.parametrize("rules", [AGAIN, ONCE])
@pytest.mark.parametrize("make", KNOWN)
def test_a_start_that_was_not_accepted(make: Callable[[], APIError], rules: Resilience) -> None:
    """What surely started nothing stays as it is."""
    error = make()
    before = str(error)
    assert unknown_submission(error, START, rules, in_doubt=False) is error
    assert str(error) == before


@pytest.mark.parametrize("operation", [get_flow("f"), run_status("f", "t")])
def test_a_look_submits_nothing(operation: object) -> None:
    """A GET that was lost started no run."""
    error = lost(httpx.ReadTimeout)
    assert unknown_submission(error, operation, ONCE, in_doubt=True) is error  # type: ignore[arg-type]
    assert str(error) == "it was lost."


def test_a_start_without_a_key() -> None:
    """Without a key, the error's is empty."""
    unknown = unknown_submission(
        lost(httpx.ReadError), replace(START, idempotency_key=None), ONCE, in_doubt=True
    )
    assert isinstance(unknown, SubmissionUnknownError)
    assert unknown.idempotency_key == ""


@pytest.mark.parametrize("make", KNOWN)
def test_a_start_that_was_lost_and_then_refused(make: Callable[[], APIError]) -> None:
    """The last failure keeps its class, and the doubt that an earlier attempt left is said."""
    error = make()
    before = str(error)
    assert unknown_submission(error, START, AGAIN, in_doubt=True) is error
    assert str(error).startswith(f"{before} The run may have been started.")
    assert "idempotency_key='key-1'" in str(error)


Step = httpx.TransportError | int


def start_fails(*steps: Step, resend: bool = True) -> APIError:
    """Return the error of a start whose attempts end as in `steps`."""
    left = iter(steps)

    def answer(request: httpx.Request) -> httpx.Response:
        step = next(left)
        if isinstance(step, int):
            return httpx.Response(step)
        raise step

    rules = Resilience(max_retries=len(steps) - 1, backoff_initial=0.0, resend_ambiguous=resend)
    with (
        Dcipher(api_key="k", transport=httpx.MockTransport(answer), resilience=rules) as client,
        pytest.raises(APIError) as caught,
    ):
        client.flows.start("f", idempotency_key="key-1")
    assert next(left, None) is None, "an attempt was not made"
    return caught.value


LOST = httpx.ReadTimeout("lost")
REFUSED = httpx.ConnectError("refused")


@pytest.mark.parametrize(
    ("steps", "cls"),
    [
        ((LOST, REFUSED), APIConnectionError),
        ((500, REFUSED, REFUSED), APIConnectionError),
        ((LOST, 401), AuthenticationError),
        ((LOST, 429), RateLimitError),
        ((REFUSED, LOST), APITimeoutError),
    ],
)
def test_a_lost_start_is_not_forgotten(steps: tuple[Step, ...], cls: type[APIError]) -> None:
    """A lost answer is not forgotten because the attempt after it failed for a plainer reason."""
    error = start_fails(*steps)
    assert type(error) is cls
    assert "idempotency_key='key-1'" in str(error)


@pytest.mark.parametrize("resend", [True, False])
@pytest.mark.parametrize("steps", [(REFUSED,), (REFUSED, REFUSED), (429, REFUSED), (422,)])
def test_a_start_that_never_arrived_leaves_no_doubt(steps: tuple[Step, ...], resend: bool) -> None:
    """Where no attempt can have been accepted, nothing is said of a run that may go on."""
    error = start_fails(*steps, resend=resend)
    assert not isinstance(error, SubmissionUnknownError)
    assert "key-1" not in str(error)


@pytest.mark.parametrize("steps", [(LOST,), (500,), (REFUSED, LOST), (429, LOST)])
def test_a_lost_start_that_may_not_be_sent_again(steps: tuple[Step, ...]) -> None:
    """It is unknown from the first lost answer on, whatever came before."""
    error = start_fails(*steps, resend=False)
    assert isinstance(error, SubmissionUnknownError)
    assert (error.idempotency_key, error.attempts) == ("key-1", len(steps))
