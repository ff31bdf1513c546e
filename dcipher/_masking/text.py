"""Cleans untrusted text for messages and logs.

It removes terminal escapes and secrets, and limits the length.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dcipher._urls.signed_urls import SIGNATURE

from .redaction import MANY, REDACTED, redact, relevant_secrets

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "MANY",
    "REDACTED",
    "UNPRINTABLE",
    "clean",
    "masked_urls",
    "redact",
    "redact_query",
    "relevant_secrets",
    "unsigned",
    "with_article",
]

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


# In JSON, a slash may be written as \/ (RFC 8259 section 7). To the end of the word, so that each
# character is matched at most once.
_URL = r"(?i)https?:\\?/[^\s\"<>]*"
# The end of a quotation or a sentence. An apostrophe may also be part of the URL.
_CLOSING = "'.,;:!)]}"
_PARAMETER = rf"(?i)({SIGNATURE})(?!\[redacted\])[^\s&;\"<>]+"


def masked_urls(text: str) -> str:
    """Returns `text` with the query of every URL in it masked: it may be a signature.

    A parameter with the name of a signature is masked anywhere: after a path, in a URL of
    another scheme or one that is percent-encoded.
    """
    return re.sub(_PARAMETER, rf"\1{REDACTED}", re.sub(_URL, _without_query, text))


def _without_query(match: re.Match[str]) -> str:
    base = re.split(r"[?#]", match[0], maxsplit=1)[0]
    if base == match[0]:
        return base
    closing = match[0][len(match[0].rstrip(_CLOSING)) :]
    return f"{base}?{REDACTED}" + "".join(closing.partition("'")[1:])


def unsigned(text: str, secrets: Iterable[str], *, is_cut: bool = False) -> str:
    """Returns `text` with secrets and signed URLs masked, for errors; `is_cut`: it was truncated."""
    return masked_urls(redact(text, secrets, is_cut=is_cut))


def redact_query(url: str) -> str:
    """Returns `url` without user info and with its query and fragment masked, for logs and errors."""
    base = re.split(r"[?#]", url, maxsplit=1)[0]
    # RFC 3986 section 3.2: the authority stands between // and the next slash.
    without_user = re.sub(r"\A([^/]*//)[^/]*@", r"\1", base)
    return without_user if base == url else f"{without_user}?{REDACTED}"
