"""Redacts the signatures of URLs in text, for messages and logs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dcipher._urls.signed_urls import SIGNATURE

from .redaction import REDACTED, redact

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["redact_message", "redact_query", "redact_urls"]

# In JSON, a slash may be written as \/ (RFC 8259 section 7). To the end of the word, so that each
# character is matched at most once.
_URL = r"(?i)https?:\\?/[^\s\"<>]*"
# The end of a quotation or a sentence. An apostrophe may also be part of the URL.
_CLOSING = "'.,;:!)]}"
_PARAMETER = rf"(?i)({SIGNATURE})(?!\[redacted\])[^\s&;\"<>]+"


def redact_urls(text: str) -> str:
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


def redact_message(text: str, secrets: Iterable[str], *, is_cut: bool = False) -> str:
    """Returns `text` with secrets and signed URLs masked, for errors; `is_cut`: it was truncated."""
    return redact_urls(redact(text, secrets, is_cut=is_cut))


def redact_query(url: str) -> str:
    """Returns `url` without user info and with its query and fragment masked, for logs and errors."""
    base = re.split(r"[?#]", url, maxsplit=1)[0]
    # RFC 3986 section 3.2: the authority stands between // and the next slash.
    without_user = re.sub(r"\A([^/]*//)[^/]*@", r"\1", base)
    return without_user if base == url else f"{without_user}?{REDACTED}"
