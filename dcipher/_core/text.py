"""Text from elsewhere, made fit to be shown.

No terminal escapes, no secrets, not ten megabytes of it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["REDACTED", "clean", "masked_urls", "redact_query", "unsigned", "without"]

REDACTED = "[redacted]"

# C0 and C1 controls, and the marks that turn the direction of a line around (CVE-2021-42574).
_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]+"
)


def clean(text: str, limit: int = 200) -> str:
    """`text` on one line, without control characters, cut to `limit` characters."""
    # What is far beyond the limit is not even looked at.
    words = " ".join(_UNPRINTABLE.sub(" ", text[: limit * 4]).split())
    return words if len(words) <= limit and len(text) <= limit * 4 else words[: limit - 1] + "…"


def without(text: str, secrets: Iterable[str]) -> str:
    """`text` with every one of `secrets` masked.

    Services like to repeat a wrong key in their answer.
    """
    # The longest first: one may begin with another. One or two characters are in every text.
    for secret in sorted((s for s in secrets if len(s) > 2), key=len, reverse=True):
        text = text.replace(secret, REDACTED)
    return text


# In JSON, a slash may be written as \/ (RFC 8259 section 7). To the end of the word, so that no text
# takes more than one look at each character.
_URL = re.compile(r"https?:\\?/[^\s\"'<>]*", re.IGNORECASE)


def masked_urls(text: str) -> str:
    """`text` with the query of every URL in it masked: it may be a signature."""
    return _URL.sub(_without_query, text)


def _without_query(match: re.Match[str]) -> str:
    base = re.split(r"[?#]", match[0], maxsplit=1)[0]
    return match[0] if base == match[0] else f"{base}?{REDACTED}"


def unsigned(text: str, secrets: Iterable[str]) -> str:
    """`text` without secrets and without signed URLs, for errors."""
    return masked_urls(without(text, secrets))


def redact_query(url: str) -> str:
    """`url` without user info and with its query and fragment masked, for logs and errors."""
    base = re.split(r"[?#]", url, maxsplit=1)[0]
    # RFC 3986 section 3.2: the authority stands between // and the next slash.
    shown = re.sub(r"\A([^/]*//)[^/]*@", r"\1", base)
    return shown if base == url else f"{shown}?{REDACTED}"
