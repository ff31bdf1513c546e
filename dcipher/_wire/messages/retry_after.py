"""The header `Retry-After`, in seconds; pure."""

from __future__ import annotations

import re
from datetime import timezone
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["http_date", "retry_after"]

# RFC 9110 section 10.2.3: delay-seconds is 1*DIGIT; some services send decimals. ASCII digits
# only: `str.isdigit` and `float` accept digits of other scripts, signs, exponents, inf, nan and
# underscores.
_SECONDS = re.compile(r"[0-9]{1,300}(?:\.[0-9]{1,300})?\Z", re.ASCII)

# RFC 9110 section 5.6.3; `str.strip` removes blanks of other scripts, too.
_BLANKS = " \t"


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Returns the seconds of `Retry-After`, or `None`. It never raises.

    They are seconds, also as decimals, or an HTTP date in one of its three forms (RFC 9110 section
    5.6.7), relative to the server's `Date`, or else to `now` (seconds since the epoch).
    `retry-after-ms` takes precedence.
    """
    milliseconds = headers.get("retry-after-ms", "").strip(_BLANKS)
    if _SECONDS.match(milliseconds):
        return float(milliseconds) / 1000
    value = headers.get("retry-after", "").strip(_BLANKS)
    if _SECONDS.match(value):
        return float(value)
    until = http_date(value)
    if until is None:
        return None
    server_now = http_date(headers.get("date", ""))
    return max(0.0, until - (now if server_now is None else server_now))


# parsedate_to_datetime accepts nearly any text with a number; a date begins with the name of a day.
_DAY = re.compile(r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? ", re.ASCII)


def http_date(value: str) -> float | None:
    """Returns the seconds since the epoch of an HTTP date in any of its three forms, or `None`."""
    value = value.strip(_BLANKS)
    if not _DAY.match(value) or len(value) > 64 or not value.isascii():
        return None
    try:
        moment = parsedate_to_datetime(value)
        # RFC 850 and asctime dates have no zone: by RFC 9110 section 5.6.7, they are UTC, too.
        return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
