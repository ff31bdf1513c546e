"""The settings of the fuzzers: the same cases each time, a few of them always and thousands under `thorough`."""

from __future__ import annotations

import pickle
import unicodedata
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, settings

from dcipher import APIStatusError, DcipherError, ErrorResponse

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["assert_told_well", "efforts", "explore"]

THOROUGH = 5
"""How many times as many cases `thorough` tries."""

efforts = pytest.mark.parametrize(
    "effort",
    [
        pytest.param(1, id="quick"),
        pytest.param(THOROUGH, id="thorough", marks=pytest.mark.thorough),
    ],
)


def explore(check: Callable[[], None], examples: int) -> None:
    """Runs a property that `given` decorates. The cases depend on its code, not on the day.

    A failure prints the smallest case, and the line that reproduces it.
    """
    # What a case costs is for the timeout of the suite to judge: this machine may be busy.
    quiet = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    profile = settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        print_blob=True,
        suppress_health_check=quiet,
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
    )
    profile(check)()


# Marks that turn the direction of a line around (CVE-2021-42574) are of the category Cf.
_DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def assert_told_well(error: DcipherError, *, hides: str | None = None) -> None:
    """Checks that an error is short, on one line, clean, printable, and the same after a pickle.

    `hides`: what it must not show, nor what stands behind it.
    """
    text = str(error)
    if hides is not None:
        assert hides not in f"{error} {error!r} {error.__cause__!r} {vars(error)}"
    assert 0 < len(text) < 1000, f"{len(text)} characters: {text}"
    assert not [c for c in text if unicodedata.category(c) in {"Cc", "Cs"} or c in _DIRECTIONS]
    text.encode()
    repr(error).encode("utf-8", "backslashreplace")
    if isinstance(error, APIStatusError) and error.response is not None:
        dict(error.response.cookies)  # a look must not change whether it pickles
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert (type(again), str(again), repr(again)) == (type(error), text, repr(error))
    if isinstance(error, APIStatusError):
        _assert_answer_told(error, again)


def _assert_answer_told(error: APIStatusError, again: Any) -> None:
    assert error.error is None or isinstance(error.error, ErrorResponse)
    assert error.response is not None
    assert error.response.status_code == error.status_code == again.status_code
    assert error.response.content == again.response.content
    assert isinstance(error.response.text, str)
    repr(error.error), repr(error.body), repr(error.response.headers)
    if error.error is not None:
        error.error.model_dump(mode="json")
        repr(again.error)
