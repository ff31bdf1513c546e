"""Adaptive rate limiting: requests per second to one service; pure.

Additive increase, multiplicative decrease, with a gate that closes for all callers: a service that
rejects one request rejects the next ones, too.
"""

from __future__ import annotations

import os
from threading import Lock
from typing import Final
from weakref import WeakValueDictionary

__all__ = ["Gate", "shared_gate"]

FIRST_RATE: Final = 5.0
"""The initial requests per second, which double each second until the first rejection."""
FLOOR: Final = 0.1
HIGHEST: Final = 10_000.0
DECREASE: Final = 0.7
DECREASE_INTERVAL: Final = 1.0
POLL_SHARE: Final = 0.5
"""The share of the rate for polls; the rest is for starts."""
PROBE_INTERVAL: Final = 0.05
"""Seconds until the next check whether the probe has a response."""
BUDGET: Final = 500.0
"""Tokens for failures: each costs `FAILURE_COST`, each success returns one."""
FAILURE_COST: Final = 5.0
BUDGET_AFTER_PAUSE: Final = 100.0


class Gate:
    """The rate of one service and one API key, for starts and polls together.

    Each method takes the time, in seconds of any clock that does not go back. The attributes are
    changed by one thread after the other; if two of them race, the rate is off by a request.
    """

    def __init__(self, rate: float | None = None) -> None:
        self.rate: float = max(rate or FIRST_RATE, FLOOR)
        self.closed_until: float = 0.0
        self.throttled: float = 0.0
        """The total seconds for which the gate was closed."""
        self.refusals: int = 0
        self.successes: int = 0
        self.paused_by: str | None = None
        """The reason for closing, while the budget for failures is spent."""
        self._slow_start = rate is None
        self._next_request = 0.0
        self._next_poll = 0.0
        self._last_decrease = -DECREASE_INTERVAL
        self._was_limiting = False
        self.consecutive: int = 0
        """Rejections and failures since the last success."""
        self._failing_since: float | None = None
        self._probe: bool | None = None
        """`False`: the gate was closed, and the next request probes it. `True`: that request is in
        progress. `None`: it is open."""
        self._tokens = BUDGET

    def ready_at(self, now: float, *, poll: bool = False) -> float:
        """Returns when the next request may be sent; a time up to `now` means immediately."""
        at = max(self.open_at(now), self._next_request)
        if poll:
            at = max(at, self._next_poll)
        if at > now:
            self._was_limiting = True
        return at

    def open_at(self, now: float) -> float:
        """Returns when the gate opens, regardless of the rate; soon, while a probe is in progress."""
        return now + PROBE_INTERVAL if self._probe is True else self.closed_until

    def sent(self, now: float, *, poll: bool = False) -> None:
        """Counts a request that is being sent."""
        if self._probe is False:
            self._probe = True
        self._next_request = max(self._next_request, now - 1 / self.rate) + 1 / self.rate
        if poll:
            polls = self.rate * POLL_SHARE
            self._next_poll = max(self._next_poll, now - 1 / polls) + 1 / polls

    def succeeded(self) -> None:
        """Counts a response that is neither a rejection nor a failure of the service."""
        self.successes += 1
        self.consecutive = 0
        self._failing_since = None
        if self._probe is not None:
            self._probe = None
            self._tokens = max(self._tokens, BUDGET_AFTER_PAUSE)
            self.paused_by = None
        self._tokens = min(self._tokens + 1, BUDGET)
        # A rate that no request waited for is not known to be accepted.
        if self._was_limiting:
            self.rate = min(self.rate + (1 if self._slow_start else 1 / self.rate), HIGHEST)
            self._was_limiting = False

    def refused(self, now: float, seconds: float) -> None:
        """Counts a 429, or a 503 with Retry-After: the gate closes for all callers, for so many seconds."""
        self.refusals += 1
        self.consecutive += 1
        self._failing_since = None  # it responds
        self._slow_start = False
        if now - self._last_decrease >= DECREASE_INTERVAL:
            self._last_decrease = now
            self.rate = max(self.rate * DECREASE, FLOOR)
        self._close(now, seconds)

    def failed(self, now: float, reason: str, seconds: float) -> None:
        """Counts a 5xx, or a request without a response; after too many, it closes the gate for a while."""
        self.consecutive += 1
        self._failing_since = now if self._failing_since is None else self._failing_since
        self._tokens -= FAILURE_COST
        if self._tokens < 0 or self._probe is not None:
            self._tokens = max(self._tokens, 0.0)
            self.paused_by = reason
            self._close(now, seconds)

    def failing_for(self, now: float) -> float:
        """Returns the seconds since the first failure after the last response."""
        return 0.0 if self._failing_since is None else now - self._failing_since

    def abandoned(self) -> None:
        """Takes back a request that was counted as sent, but was cancelled."""
        if self._probe is True:
            self._probe = False

    def _close(self, now: float, seconds: float) -> None:
        until = max(self.closed_until, now + seconds)
        self.throttled += until - max(self.closed_until, now)
        self.closed_until = until
        # No burst of waiting requests: one of them probes, the others follow at the rate.
        self._next_request = max(self._next_request, until)
        self._probe = False


_gates: WeakValueDictionary[tuple[int, str, str], Gate] = WeakValueDictionary()
_turn = Lock()


def shared_gate(base_url: str, fingerprint: str, rate: float | None) -> Gate:
    """Returns the gate of a service and a key in this process, which begins with `rate`.

    All clients of the process share it while one of them uses it.
    """
    place = (os.getpid(), base_url, fingerprint)
    with _turn:
        gate = _gates.get(place)
        if gate is None:
            gate = _gates[place] = Gate(rate)
        return gate
