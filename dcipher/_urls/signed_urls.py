"""Signed URLs: their expiry, their secrets, and whether they may be fetched."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from urllib.parse import parse_qs, unquote_plus, urljoin, urlsplit

from .hosts import is_this_machine

__all__ = [
    "MAX_REDIRECTS",
    "SIGNATURE",
    "expiry",
    "joined",
    "looks_signed",
    "refusal",
    "secrets_of",
]

MAX_REDIRECTS = 5
LONGEST = 65_536
"""The largest number of characters that httpx accepts."""


def expiry(url: str) -> datetime | None:
    """Returns when `url` expires, or `None` if it does not contain that. It never raises.

    Amazon: `X-Amz-Date` and `X-Amz-Expires`, or `Expires` (epoch seconds, as in CloudFront and S3's
    older scheme); Google: `X-Goog-Date` and `X-Goog-Expires`; Azure: `se`.
    """
    try:
        query = {name.lower(): values[-1] for name, values in parse_qs(urlsplit(url).query).items()}
    except ValueError:
        return None
    for vendor in ("x-amz", "x-goog"):
        if f"{vendor}-expires" in query:
            return _after(query.get(f"{vendor}-date", ""), query[f"{vendor}-expires"])
    if "expires" in query and _SIGNATURES & query.keys():
        return _epoch(query["expires"])
    return _iso(query["se"]) if "se" in query and "sig" in query else None


_SIGNATURES = frozenset({"signature", "sig", "policy", "key-pair-id", "awsaccesskeyid"})


def _after(date: str, seconds: str) -> datetime | None:
    try:
        start = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
        return start + timedelta(seconds=int(seconds))
    except (ValueError, OverflowError):
        return None


def _epoch(seconds: str) -> datetime | None:
    try:
        return datetime.fromtimestamp(int(seconds), timezone.utc)
    except (ValueError, OverflowError, OSError):
        return None


def _iso(text: str) -> datetime | None:
    try:
        # Before Python 3.11, fromisoformat does not know Z.
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


SIGNATURE = (
    r"(?:[?&;]|%(?:25)*(?:3f|26|3b)|\\u00(?:3f|26|3b))"
    r"(?:x-amz-(?:signature|credential|security-token)|x-goog-(?:signature|credential)"
    r"|signature|sig|awsaccesskeyid|token)(?:=|%(?:25)*3d|\\u003d)"
)
"""Matches the text before a signature in a URL, also percent-encoded or escaped, in any case."""
_SIGNED = re.compile(SIGNATURE, re.IGNORECASE)


def looks_signed(text: str) -> bool:
    """Returns whether a text contains a signed URL."""
    # The first characters are rare, and are found much faster than the whole pattern.
    return ("=" in text or "3d" in text or "3D" in text) and _SIGNED.search(text) is not None


# The values of these are not secret, and are common words: application/json, AWS4-HMAC-SHA256.
_PUBLIC = re.compile(
    r"(?:response-(?:content-\w+|cache-control|expires)|x-(?:amz|goog)-(?:algorithm|date|expires"
    r"|signedheaders)|x-amz-(?:content-sha256|checksum-mode)|x-id|alt)\Z",
    re.ASCII | re.IGNORECASE,
)


@lru_cache(maxsize=1024)  # a run is polled many times
def secrets_of(url: str) -> tuple[str, ...]:
    """Returns the values in the query of `url`, encoded and decoded, for redaction."""
    parts = url.partition("#")[0].partition("?")[2].split("&")  # also for an invalid URL
    named = [(part, *part.partition("=")[::2]) for part in parts]
    # A query without names may end with the = of a base64.
    values = [
        value if value.strip("=") else part
        for part, name, value in named
        if not _PUBLIC.match(name)
    ]
    return tuple(form for value in values for form in {value, unquote_plus(value)} if len(form) > 7)


def joined(url: str, location: str) -> str:
    """Returns the target of a redirect. `refusal` handles an invalid one."""
    try:
        return urljoin(url, location)
    except ValueError:
        return location


def refusal(
    url: str,
    *,
    allow_insecure: bool = False,
    may_lead_here: bool = True,
    redirected_from: str | None = None,
) -> str | None:
    """Returns why `url` must not be fetched, or `None`.

    `may_lead_here`: by plain http to this machine, as an emulator's does. `redirected_from`: the URL that
    redirected to it.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port  # a port that is no number raises here
    except ValueError:
        return "it is not a URL"
    if not url.isprintable() or " " in url or len(url) > LONGEST:
        return "it holds blanks or control characters, or is far too long"
    if parts.scheme not in {"http", "https"} or not host:
        return "it is not an http or https URL"
    if parts.username is not None or parts.password is not None:
        return "it carries a user name or password"
    if (
        parts.scheme == "http"
        and redirected_from is not None
        and redirected_from.lower().startswith("https:")
    ):
        return "it leads from https to http"
    if parts.scheme == "http" and not allow_insecure:
        if not is_this_machine(host):
            return "it is not https"
        # The author of a forged run could otherwise send requests behind the firewall of this machine.
        if not may_lead_here:
            return "it leads to this machine by plain http, and the base URL is elsewhere"
    return None
