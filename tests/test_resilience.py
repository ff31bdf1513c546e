"""The retry policy: values, validated at construction."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dcipher.errors import ConfigurationError
from dcipher.resilience import RETRY_STATUSES, Resilience


def test_defaults() -> None:
    """Five retries from half a second up to eight, two minutes of Retry-After, no deadline."""
    rules = Resilience()
    assert (rules.max_retries, rules.backoff_initial, rules.backoff_max) == (5, 0.5, 8.0)
    assert (rules.max_retry_after, rules.deadline, rules.resend_ambiguous) == (120.0, None, True)
    assert rules.retry_statuses == RETRY_STATUSES


def test_statuses_that_are_retried() -> None:
    """408, 409, 425, 429 and every 5xx, and no others."""
    assert {code for code in range(100, 600) if code in RETRY_STATUSES} == {
        408, 409, 425, 429, *range(500, 600),
    }  # fmt: skip


def test_it_is_a_value() -> None:
    """Frozen, comparable, hashable, picklable; `replace` derives another one."""
    rules = Resilience(max_retries=2)
    with pytest.raises(FrozenInstanceError):
        rules.max_retries = 3  # type: ignore[misc]
    assert replace(Resilience(), max_retries=2) == rules
    assert hash(replace(Resilience(), max_retries=2)) == hash(rules)
    assert pickle.loads(pickle.dumps(rules)) == rules  # noqa: S301 - our own


@pytest.mark.parametrize("statuses", [[500, 503], (500, 503), {500, 503}, range(500, 504, 3)])
def test_any_collection_of_statuses(statuses: Any) -> None:
    """Statuses come as a list, a tuple, a set, a range."""
    assert Resilience(retry_statuses=statuses).retry_statuses == frozenset({500, 503})


@pytest.mark.parametrize("name", ["backoff_initial", "backoff_max", "max_retry_after"])
@pytest.mark.parametrize("value", [0, 0.0, 1, 2.5])
def test_seconds(name: str, value: Any) -> None:
    """Any finite number of seconds that is not negative."""
    assert getattr(Resilience(**{name: value}), name) == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_retries", -1),
        ("max_retries", 1.0),
        ("max_retries", True),
        ("max_retries", "5"),
        ("max_retries", None),
        *(
            (name, value)
            for name in ("backoff_initial", "backoff_max", "max_retry_after", "deadline")
            for value in (-1, -0.1, float("nan"), float("inf"), True, "5")
        ),
        ("backoff_max", None),
        ("deadline", 0),
    ],
)
def test_invalid_values(name: str, value: Any) -> None:
    """Negative, infinite and other values than numbers are rejected by name."""
    with pytest.raises(ConfigurationError, match=name):
        Resilience(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("retry_statuses", None),
        ("retry_statuses", 500),
        ("retry_statuses", ["500"]),
        ("retry_statuses", "500"),
        ("retry_statuses", [True, 99]),
        ("retry_statuses", {503, 600}),
        ("retry_statuses", [429, 503.0]),
        ("retry_statuses", [[503]]),
        ("resend_ambiguous", "no"),
        ("resend_ambiguous", 1),
        pytest.param("deadline", 10**400),
        pytest.param("backoff_max", 10**400),
    ],
    ids=lambda value: str(value)[:20],
)
def test_other_invalid_values(name: str, value: Any) -> None:
    """As documented, any invalid value is a `ConfigurationError`."""
    with pytest.raises(ConfigurationError, match=name):
        Resilience(**{name: value})


@given(st.floats() | st.integers(-(2**64), 2**64) | st.none() | st.text() | st.booleans())
@settings(max_examples=100, deadline=None)
def test_any_deadline_is_valid_or_rejected(value: Any) -> None:
    """Any value is None, a positive finite number, or a `ConfigurationError`."""
    try:
        deadline = Resilience(deadline=value).deadline
    except ConfigurationError:
        return
    assert deadline is None or 0 < deadline < float("inf")
