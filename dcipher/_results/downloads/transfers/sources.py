"""Where the bytes of a result come from, and why a transfer stops."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from dcipher._wire.retries import Failure, Outcome

__all__ = [
    "CLOCK_ERROR",
    "MAX_EXPANSION",
    "Problem",
    "Source",
    "TransferError",
    "broken",
    "changed",
    "interrupted",
]

CLOCK_ERROR = 30 * 86400.0
"""Seconds by which this machine's clock may be wrong."""
MAX_EXPANSION = 250
"""How many times its encoded size a result may have.

Gzip cannot do more than 1,032, text stays below 50.
"""


class Problem(Enum):
    """Why a transfer stopped."""

    INTERRUPTED = "interrupted"
    REFUSED = "refused"
    EXPIRED = "expired"
    CHANGED = "changed"
    BROKEN = "broken"


class TransferError(Exception):
    """A transfer stopped.

    `failure` determines whether it is retried. The text is safe to display.
    """

    def __init__(
        self,
        problem: Problem,
        message: str,
        failure: Failure,
        *,
        status_code: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status_code = status_code
        """The status of the store's response, if that is the problem."""
        self.problem = problem
        self.failure = failure
        self.kept: int = 0
        """Bytes that another download can resume."""
        self.advice: str = ""
        """What to do about it, if that does not follow from the problem."""


@dataclass(frozen=True)
class Source:
    """One signed URL, and how to fetch it.

    Times are seconds since the epoch.
    """

    url: str = field(repr=False)
    identity: str = ""
    """Identifies the result, whatever its URL's signature: a part of another one is not resumed."""
    expires_at: float | None = None
    """The expiry in the URL itself."""
    fresh_until: float = 0.0
    """Until then, a 403 or 404 means that the result is not available yet."""
    allow_insecure: bool = False
    may_lead_here: bool = True
    """Whether plain http to this machine is permitted."""
    require_integrity: bool = False
    keeps_encoded: bool = False
    """Whether a body in an unsupported encoding is accepted as it is, which a file may be."""

    def has_expired(self, now: float) -> bool:
        """Returns whether the URL has expired, by its own expiry."""
        return self.expires_at is not None and self.expires_at <= now

    def is_hopeless(self, now: float) -> bool:
        """Returns whether it expired so long ago that a wrong clock cannot be the reason.

        Until then the request is sent: the store's clock decides. `now`: by this machine's clock.
        """
        return self.has_expired(now - CLOCK_ERROR)


def interrupted(message: str) -> TransferError:
    return TransferError(Problem.INTERRUPTED, message, Failure(Outcome.AMBIGUOUS))


def changed() -> TransferError:
    return TransferError(
        Problem.CHANGED, "it changed between two parts of the transfer", Failure(Outcome.AMBIGUOUS)
    )


def broken(message: str) -> TransferError:
    # A damaged copy may be whole the next time: it is fetched again, from the start.
    return TransferError(Problem.BROKEN, message, Failure(Outcome.AMBIGUOUS))
