"""Whether and when to retry: every outcome, every `Retry-After`, every delay."""

from __future__ import annotations

import math
import ssl
from dataclasses import replace
from email.utils import formatdate

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dcipher._wire.messages.retry_after import http_date, retry_after
from dcipher._wire.retries import (
    Failure,
    Outcome,
    backoff,
    failure_of,
    is_repeatable,
    may_resend,
    next_delay,
    status_failure,
    transport_failure,
    transport_outcome,
)
from dcipher.errors import (
    APIConnectionError,
    APIError,
    APITimeoutError,
    InvalidResponseError,
    SubmissionUnknownError,
    TLSError,
    status_error_class,
)
from dcipher.resilience import Resilience

NOT_SENT, REJECTED = Outcome.NOT_SENT, Outcome.REJECTED
AMBIGUOUS, PERMANENT = Outcome.AMBIGUOUS, Outcome.PERMANENT
RULES = Resilience()

# RFC 9110 section 5.6.7 gives this moment in its three forms.
MOMENT = 784111777.0
FORMS = [
    "Sun, 06 Nov 1994 08:49:37 GMT",
    "Sunday, 06-Nov-94 08:49:37 GMT",
    "Sun Nov  6 08:49:37 1994",
]


# What may have happened


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (httpx.ConnectError, NOT_SENT),
        (httpx.ConnectTimeout, NOT_SENT),
        (httpx.PoolTimeout, NOT_SENT),
        (httpx.ProxyError, NOT_SENT),
        (httpx.ReadError, AMBIGUOUS),
        (httpx.WriteError, AMBIGUOUS),
        (httpx.CloseError, AMBIGUOUS),
        (httpx.ReadTimeout, AMBIGUOUS),
        (httpx.WriteTimeout, AMBIGUOUS),
        (httpx.RemoteProtocolError, AMBIGUOUS),
        (httpx.LocalProtocolError, PERMANENT),
        (httpx.UnsupportedProtocol, PERMANENT),
    ],
)
def test_outcome_of_a_broken_transport(error: type[httpx.TransportError], outcome: Outcome) -> None:
    """What breaks before a connection stands was not sent; what breaks after may have been read."""
    assert transport_outcome(error("x")) is outcome


def test_every_transport_error_is_judged() -> None:
    """No exception of httpx's transport is overlooked: the two that cannot succeed are known."""

    def leaves(cls: type[Exception]) -> set[type[Exception]]:
        return {leaf for sub in cls.__subclasses__() for leaf in leaves(sub)} or {cls}

    known = {
        cls for cls in leaves(httpx.TransportError) if cls.__module__ == httpx.ReadError.__module__
    }
    permanent = {cls for cls in known if transport_outcome(cls("x")) is PERMANENT}
    names = {cls.__name__ for cls in permanent} - {
        "SSEError"
    }  # httpx2's, for what is not used here
    assert names == {"LocalProtocolError", "UnsupportedProtocol"}


def test_a_foreign_exception_is_permanent() -> None:
    """What nobody knows is not sent again."""
    assert transport_outcome(RuntimeError("x")) is PERMANENT


@pytest.mark.parametrize(
    ("status", "wait", "outcome"),
    [
        (408, None, AMBIGUOUS),
        (409, None, AMBIGUOUS),
        (425, None, REJECTED),
        (429, None, REJECTED),
        (429, 3.0, REJECTED),
        (500, None, AMBIGUOUS),
        (500, 3.0, AMBIGUOUS),
        (503, None, AMBIGUOUS),
        (503, 0.0, REJECTED),
        (503, 3.0, REJECTED),
        (504, None, AMBIGUOUS),
        (599, None, AMBIGUOUS),
        (301, None, PERMANENT),
        (400, None, PERMANENT),
        (401, None, PERMANENT),
        (404, 3.0, PERMANENT),
        (422, None, PERMANENT),
    ],
)
def test_outcome_of_a_status(status: int, wait: float | None, outcome: Outcome) -> None:
    """429, 425 and a 503 with Retry-After were sent back unread; other repeated ones may be done."""
    assert status_failure(status, wait, RULES) == Failure(outcome, wait)


def test_the_statuses_are_the_users() -> None:
    """A status is sent again if the user lists it, and only then."""
    rules = Resilience(retry_statuses=frozenset({404}))
    assert status_failure(404, None, rules).outcome is AMBIGUOUS
    assert status_failure(429, None, rules).outcome is PERMANENT


def caused(error: APIError, cause: BaseException) -> APIError:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (status_error_class(429)("x", status_code=429, retry_after=2.0), Failure(REJECTED, 2.0)),
        (status_error_class(404)("x", status_code=404), Failure(PERMANENT)),
        (InvalidResponseError("x"), Failure(AMBIGUOUS)),
        (APIConnectionError("x"), Failure(AMBIGUOUS)),
        (caused(APIConnectionError("x"), httpx.ConnectError("x")), Failure(NOT_SENT)),
        (caused(APITimeoutError("x"), httpx.ReadTimeout("x")), Failure(AMBIGUOUS)),
        (caused(TLSError("x"), httpx.ConnectError("x")), Failure(PERMANENT)),
        (caused(TLSError("x"), ssl.SSLError("x")), Failure(PERMANENT)),
        (SubmissionUnknownError("x"), Failure(PERMANENT)),
        (APIError("x"), Failure(PERMANENT)),
    ],
)
def test_outcome_of_our_own_errors(error: APIError, failure: Failure) -> None:
    """An error says of the request what its cause says; broken TLS is never tried again."""
    assert failure_of(error, RULES) == failure


@pytest.mark.parametrize(
    ("outcome", "repeatable", "again"),
    [
        (NOT_SENT, False, True),
        (REJECTED, False, True),
        (AMBIGUOUS, False, False),
        (AMBIGUOUS, True, True),
        (PERMANENT, True, False),
    ],
)
def test_what_may_be_sent_again(outcome: Outcome, repeatable: bool, again: bool) -> None:
    """Only an ambiguous outcome asks whether the request can be repeated."""
    assert may_resend(outcome, repeatable=repeatable) is again


@pytest.mark.parametrize(
    ("method", "headers", "resend", "repeatable"),
    [
        ("GET", {}, False, True),
        ("delete", {}, False, True),
        ("POST", {}, True, False),
        ("PATCH", {}, True, False),
        ("POST", {"Idempotency-Key": "k"}, True, True),
        ("POST", {"Idempotency-Key": "k"}, False, False),
    ],
)
def test_what_is_repeatable(
    method: str, headers: dict[str, str], resend: bool, repeatable: bool
) -> None:
    """A safe method always is; another one only with an Idempotency-Key, if the user lets it."""
    rules = Resilience(resend_ambiguous=resend)
    assert is_repeatable(method, httpx.Headers(headers), rules) is repeatable


# Delays


def delay(failure: Failure, rules: Resilience = RULES, **facts: float) -> float | None:
    given_facts = {"attempts": 1, "elapsed": 0.0, "jitter": 0.0, **facts}
    return next_delay(
        failure,
        rules,
        repeatable=True,
        attempts=int(given_facts["attempts"]),
        elapsed=given_facts["elapsed"],
        jitter=given_facts["jitter"],
    )


def test_backoff_doubles_up_to_its_cap() -> None:
    """Half a second, then twice as long each time, eight seconds at most, for ever."""
    assert [backoff(n, RULES) for n in range(1, 8)] == [0.5, 1, 2, 4, 8, 8, 8]
    assert backoff(10**9, RULES) == 8.0


@pytest.mark.parametrize(
    ("failure", "rules", "facts", "expected"),
    [
        (Failure(AMBIGUOUS), RULES, {}, 0.5),
        (Failure(AMBIGUOUS), RULES, {"attempts": 5}, 8.0),
        (Failure(AMBIGUOUS), RULES, {"attempts": 6}, None),
        (Failure(AMBIGUOUS), replace(RULES, max_retries=0), {}, None),
        (Failure(PERMANENT), RULES, {}, None),
        (Failure(REJECTED, 0.0), RULES, {}, 0.5),
        (Failure(REJECTED, 30.0), RULES, {}, 30.0),
        (Failure(REJECTED, 30.0), RULES, {"jitter": 0.5}, 33.75),
        (Failure(REJECTED, 120.0), RULES, {}, 120.0),
        (Failure(REJECTED, 120.1), RULES, {}, None),
        (Failure(REJECTED, 30.0), replace(RULES, deadline=40.0), {"elapsed": 9.0}, 30.0),
        (Failure(REJECTED, 30.0), replace(RULES, deadline=40.0), {"elapsed": 11.0}, None),
        (Failure(AMBIGUOUS), replace(RULES, deadline=1.0), {"elapsed": 0.6}, None),
    ],
)
def test_next_delay(
    failure: Failure, rules: Resilience, facts: dict[str, float], expected: float | None
) -> None:
    """Zero is the normal backoff; past the cap, the deadline or the attempts there is no next one."""
    assert delay(failure, rules, **facts) == expected


seconds = st.floats(0, 1e6)


@given(
    outcome=st.sampled_from(Outcome),
    asked=st.none() | seconds,
    attempts=st.integers(1, 10**6),
    elapsed=seconds,
    jitter=st.floats(0, 1, exclude_max=True),
    rules=st.builds(
        Resilience,
        max_retries=st.integers(0, 10**7),
        backoff_initial=seconds,
        backoff_max=seconds,
        max_retry_after=seconds,
        deadline=st.none() | st.floats(1e-3, 1e6),
    ),
    repeatable=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_any_delay_is_in_its_bounds(
    outcome: Outcome,
    asked: float | None,
    attempts: int,
    elapsed: float,
    jitter: float,
    rules: Resilience,
    repeatable: bool,
) -> None:
    """Not negative, not before Retry-After, not past the cap with its jitter, not past the deadline."""
    wait = next_delay(
        Failure(outcome, asked),
        rules,
        repeatable=repeatable,
        attempts=attempts,
        elapsed=elapsed,
        jitter=jitter,
    )
    if wait is None:
        return
    assert attempts <= rules.max_retries
    assert outcome is not PERMANENT
    assert repeatable or outcome is not AMBIGUOUS
    assert wait >= (asked or 0.0)
    assert wait <= 1.25 * max(rules.backoff_max, rules.max_retry_after)
    assert rules.deadline is None or elapsed + wait <= rules.deadline


# Retry-After


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("1.5", 1.5),
        ("007", 7.0),
        ("9" * 300, float("9" * 300)),
        ("", None),
        ("-1", None),
        ("+1", None),
        ("1e3", None),
        ("inf", None),
        ("nan", None),
        ("1_0", None),
        ("0x10", None),
        ("1, 2", None),
        (".5", None),
        ("5.", None),
        ("\u0661\u0662", None),
        ("\uff11\uff12", None),
        ("9" * 301, None),
        ("soon", None),
        ("Sun", None),
        ("Sun, 99 Foo 1994 08:49:37 GMT", None),
        ("Sun Foo  6 08:49:37 1994", None),
        ("2024-01-01T00:00:00Z", None),
        ("06 Nov 1994 08:49:37 GMT", None),
    ],
)
def test_retry_after_in_seconds(value: str, expected: float | None) -> None:
    """Plain non-negative numbers count; what else looks like one is ignored."""
    assert retry_after({"retry-after": value}, MOMENT) == expected


@pytest.mark.parametrize("form", FORMS)
def test_retry_after_as_a_date(form: str) -> None:
    """All three forms of an HTTP date, against the clock; the past is no time at all."""
    assert http_date(form) == MOMENT
    assert retry_after({"retry-after": form}, MOMENT - 90) == 90.0
    assert retry_after({"retry-after": form}, MOMENT + 90) == 0.0


@pytest.mark.parametrize("server_form", FORMS)
def test_the_servers_own_clock_counts(server_form: str) -> None:
    """Where the answer has a Date, the difference of the two is what the server means."""
    headers = {"retry-after": formatdate(MOMENT + 30, usegmt=True), "date": server_form}
    assert retry_after(headers, now=0.0) == 30.0
    assert retry_after({**headers, "date": "today"}, now=MOMENT) == 30.0


@pytest.mark.parametrize(
    ("milliseconds", "plain", "expected"),
    [("1500", "9", 1.5), ("0", "9", 0.0), ("-1", "9", 9.0), ("x", "", None)],
)
def test_milliseconds_beat_seconds(milliseconds: str, plain: str, expected: float | None) -> None:
    """`retry-after-ms` is the finer one, where it is usable."""
    headers = {"retry-after-ms": milliseconds, "retry-after": plain}
    assert retry_after(headers, MOMENT) == expected


def test_no_header_at_all() -> None:
    """Nothing is asked where nothing is said."""
    assert retry_after({}, MOMENT) is None


date_like = st.builds(
    "{}{}{} {} {} {}".format,
    st.sampled_from(["Sun, ", "Sunday, ", "Sun ", "Mon,", "sun, "]),
    st.integers(-99, 10**6) | st.sampled_from(["Nov", "06-Nov-94", ""]),
    st.sampled_from([" Nov", "-Nov-", "Feb", " 30"]),
    st.integers(-1, 10**30) | st.integers(1, 9999),
    st.sampled_from(["08:49:37", "99:99:99", "24:00:00", "08:49", "08.49.37", "-1:0:0", "9" * 20]),
    st.sampled_from(["GMT", "+9999", "-2400", "+0000", "EST", "1994", "9" * 30, ""]),
)


@given(
    st.dictionaries(
        st.sampled_from(["retry-after", "retry-after-ms", "date"]),
        st.text() | date_like | st.from_regex(r"[0-9]{1,400}(\.[0-9]+)?", fullmatch=True),
    ),
    st.floats(0, 1e11),
)
@settings(max_examples=200, deadline=None)
@example({"retry-after": "Sun, 01 Jan 0001 00:00:00 +2359"}, 0.0)
@example({"retry-after": "Fri, 31 Dec 9999 23:59:59 -2359"}, 0.0)
def test_any_retry_after_is_harmless(headers: dict[str, str], now: float) -> None:
    """Whatever stands there: nothing, or a finite number that is not negative; never an exception."""
    wait = retry_after(headers, now)
    assert wait is None or (math.isfinite(wait) and wait >= 0)


def refused(host: str) -> Failure:
    error = httpx.ConnectError("All connection attempts failed")
    error.__cause__ = ConnectionRefusedError(111, "Connect call failed")
    return transport_failure(error, host)


@pytest.mark.parametrize(
    ("host", "attempts"),
    [
        ("127.0.0.1", 2),
        ("127.3.2.1", 2),
        ("localhost", 2),
        ("::1", 2),
        ("192.0.2.1", 6),
        ("h.example", 6),
    ],
)
def test_a_connection_that_is_refused_here_is_tried_once_more(host: str, attempts: int) -> None:
    """Nobody listens on this machine: a second attempt is enough; another machine may be starting."""
    made = 1
    while next_delay(
        refused(host), Resilience(), repeatable=False, attempts=made, elapsed=0, jitter=0
    ):
        made += 1
    assert made == attempts


def test_never_is_never() -> None:
    """`max_retries=0` is not raised by that."""
    how = Resilience(max_retries=0)
    failure = refused("::1")
    assert next_delay(failure, how, repeatable=True, attempts=1, elapsed=0, jitter=0) is None
