"""Adaptive limit of concurrent runs; pure."""

from __future__ import annotations

from typing import Final

__all__ = ["InFlight"]

FIRST: Final = 20
LEAST: Final = 4
MOST: Final = 200
GROWTH: Final = 1.05
CUT: Final = 0.8
CUT_INTERVAL: Final = 15.0
USED: Final = 0.8
"""The share of the limit that must be in use before it grows."""


class InFlight:
    """The limit of concurrent runs: doubled round by round until the first refusal, then by 5 %.

    A round is as many starts accepted without a retry as the limit permits. A retried start does not
    count, and a failure of the service ends the round. `fixed`: the limit of the caller.
    """

    def __init__(self, fixed: int | None = None) -> None:
        self.limit: int = FIRST if fixed is None else fixed
        self._is_fixed = fixed is not None
        self._exact = float(self.limit)
        self._doubling = True
        self._clean = 0
        self._most_used = 0
        self._last_cut: float | None = None

    def accepted(self, in_flight: int, *, first_attempt: bool) -> None:
        """Counts a start that was accepted, with so many runs in flight."""
        self._most_used = max(self._most_used, in_flight)
        if not first_attempt:
            return
        self._clean += 1
        if self._clean >= self.limit:
            if self._most_used >= USED * self.limit:
                self._set(self._exact * (2 if self._doubling else GROWTH))
            self._new_round()

    def refused(self, now: float) -> None:
        """Counts a 429, or a 503 with Retry-After."""
        self._doubling = False
        self._new_round()
        if self._last_cut is None or now - self._last_cut >= CUT_INTERVAL:
            self._last_cut = now
            self._set(self._exact * CUT)

    def failed(self) -> None:
        """Counts a failure of the service: the limit remains, and the round begins anew."""
        self._new_round()

    def _new_round(self) -> None:
        self._clean = 0
        self._most_used = 0

    def _set(self, exact: float) -> None:
        if not self._is_fixed:
            self._exact = min(max(exact, LEAST), MOST)
            self.limit = round(self._exact)
