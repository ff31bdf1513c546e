"""When to poll next, and when to give up."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dcipher._client.waiting.poll_intervals import (
    LONGEST_INTERVAL,
    NEW_RUN_GRACE,
    UNREACHABLE_LIMIT,
    ends_the_wait,
    first_poll_in,
    next_poll_in,
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

jitters = st.floats(0, 1, exclude_max=True)


def polls(duration: float, jitter: float, age: float | None = 0.0) -> list[float]:
    """Returns the ages at which a run is polled, up to the poll that returns its end."""
    now = (age or 0.0) + first_poll_in(age)
    seen = [now]
    while now < duration:
        now += next_poll_in(now, jitter)
        seen.append(now)
    return seen


@pytest.mark.parametrize(
    ("age", "wait"), [(None, 0.0), (0.0, 0.5), (0.2, 0.3), (0.5, 0.0), (3600.0, 0.0)]
)
def test_first_poll(age: float | None, wait: float) -> None:
    """A new run is polled after half a second; one of unknown age at once."""
    assert first_poll_in(age) == pytest.approx(wait)


@pytest.mark.parametrize(
    ("age", "step"),
    [(0.0, 0.5), (0.5, 0.5), (1.0, 1 / 3), (2.0, 0.18), (9.0, 0.6), (225.0, 15.0), (1e9, 15.0)],
)
def test_the_step_is_a_fifteenth_of_the_age(age: float, step: float) -> None:
    """A fifteenth, within its bounds, and more at first; the jitter only shortens it, by a twentieth at most."""
    assert next_poll_in(age, 0.0) == pytest.approx(0.95 * step)
    assert next_poll_in(age, 1.0) == pytest.approx(step)


@given(duration=st.floats(2, 3), jitter=st.floats(0.5, 1))
@settings(max_examples=100, deadline=None)
def test_short_runs_need_few_polls(duration: float, jitter: float) -> None:
    """With the average jitter, a run of two or three seconds needs at most twelve polls."""
    assert len(polls(duration, jitter)) <= 12


def test_short_runs_need_few_polls_at_worst() -> None:
    """Even the shortest intervals are at most thirteen polls in three seconds."""
    assert len(polls(3.0, 0.0)) <= 13


@given(duration=st.floats(0, 7200), jitter=jitters, known=st.booleans())
@settings(max_examples=100, deadline=None)
def test_the_end_is_known_soon(duration: float, jitter: float, known: bool) -> None:
    """The end is known within a fifteenth of the duration (or half a second), and in 15 s at most."""
    lag = polls(duration, jitter, 0.0 if known else None)[-1] - duration
    assert lag <= max(0.5, duration / 15) + 1e-6
    assert lag <= LONGEST_INTERVAL
    if duration >= 2:
        assert lag <= max(0.2, duration / 15) + 1e-6


@pytest.mark.parametrize("jitter", [0.0, 0.5, 0.999])
def test_an_hour_needs_a_few_hundred_polls(jitter: float) -> None:
    """A run of an hour is polled some hundred times, not a thousand."""
    assert 200 < len(polls(3600, jitter)) < 350


@given(age=st.floats(0, 1e12), jitter=jitters)
@settings(max_examples=200, deadline=None)
def test_any_interval_is_in_its_bounds(age: float, jitter: float) -> None:
    """No interval is a hot loop, none is longer than 15 s."""
    assert 0.17 <= next_poll_in(age, jitter) <= LONGEST_INTERVAL


def status(code: int) -> APIError:
    return status_error_class(code)("x", status_code=code)


@pytest.mark.parametrize(
    "error",
    [
        *map(status, (408, 409, 425, 429, 500, 502, 503, 599)),
        APIConnectionError("x"),
        APITimeoutError("x"),
        InvalidResponseError("x"),
    ],
)
def test_failures_that_do_not_end_a_wait(error: APIError) -> None:
    """A temporary failure does not end a wait, for a run of any age."""
    assert not ends_the_wait(error, age=0.0)
    assert not ends_the_wait(error, age=1e6)


@pytest.mark.parametrize(
    "error",
    [
        *map(status, (301, 400, 401, 403, 410, 422)),
        TLSError("x"),
        SubmissionUnknownError("x"),
        APIError("x"),
    ],
)
def test_failures_that_end_a_wait(error: APIError) -> None:
    """A permanent failure ends it at once."""
    assert ends_the_wait(error, age=0.0)


def test_a_new_run_may_not_be_known_yet() -> None:
    """A 404 means "not yet available" for some seconds after the start, and "unknown" later."""
    assert not ends_the_wait(status(404), age=NEW_RUN_GRACE)
    assert ends_the_wait(status(404), age=NEW_RUN_GRACE + 0.1)


def test_a_wait_without_a_limit_outlives_minutes() -> None:
    """Minutes of failures do not end a wait; a quarter of an hour does."""
    assert UNREACHABLE_LIMIT == 15 * 60
