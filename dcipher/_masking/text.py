"""Cleans untrusted text for messages and logs: it removes control characters, and limits the length."""

from __future__ import annotations

import re

__all__ = ["UNPRINTABLE", "clean", "with_article"]

# C0 and C1 controls, and the marks that reverse the direction of a line (CVE-2021-42574).
UNPRINTABLE = "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
_UNPRINTABLE = re.compile(f"{UNPRINTABLE}+")


def clean(text: str, limit: int = 200) -> str:
    """Returns `text` on one line, without control characters, cut to `limit` characters."""
    # Text far beyond the limit is not processed.
    words = " ".join(_UNPRINTABLE.sub(" ", text[: limit * 4]).split())
    return words if len(words) <= limit and len(text) <= limit * 4 else words[: limit - 1] + "…"


def with_article(noun: str) -> str:
    """Returns `noun`, the name of a type or a file format, with its indefinite article."""
    return f"{'an' if _VOWEL.match(noun) else 'a'} {noun}"


# By pronunciation: "a UUID", "a uint8", but "an unknown …"; single letters: "an ndarray", "an SSLContext".
_VOWEL = re.compile("[aeioAEIO]|un(?!i)|nd|[FHLMNRSX](?=[A-Z])")
