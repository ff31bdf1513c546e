"""Text from elsewhere, made fit to be shown.

No terminal escapes, no secrets, not ten megabytes of it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["REDACTED", "clean", "redact_query", "without"]

REDACTED = "[redacted]"

# C0 and C1 controls, and the marks that turn the direction of a line around (CVE-2021-42574).
_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]+"
)


def clean(text: str, limit: int = 200) -> str:
    """`text` on one line, without control characters, cut to `limit` characters."""
    # What is far beyond the limit is not even looked at.
    words = " ".join(_UNPRINTABLE.sub(" ", text[: limit * 4]).split())
    return words if len(words) <= limit else words[: limit - 1] + "…"


def without(text: str, secrets: Iterable[str]) -> str:
    """`text` with every one of `secrets` masked.

    Services like to repeat a wrong key in their answer.
    """
    for secret in secrets:
        if secret:
            text = text.replace(secret, REDACTED)
    return text


def redact_query(url: str) -> str:
    """`url` without user info and with its query and fragment masked, for logs and errors."""
    base, mark, _ = url.partition("?")
    base, hash_mark, _ = base.partition("#")
    scheme, separator, rest = base.partition("://")
    authority, slash, path = rest.partition("/")
    authority = authority.rpartition("@")[2]
    return f"{scheme}{separator}{authority}{slash}{path}" + (
        f"?{REDACTED}" if mark or hash_mark else ""
    )
