"""Text from elsewhere, made fit to be shown.

No terminal escapes, no secrets, not ten megabytes of it.
"""

from __future__ import annotations

import base64
import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

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
    """`text` with every one of `secrets` masked, in whichever way it is written there.

    Services like to repeat a wrong key in their answer: as it is, percent-encoded, escaped for JSON
    or HTML, or in base64.
    """
    # The longest first: one may begin with another. One or two characters are in every text.
    known = tuple(sorted({s for s in secrets if len(s) > 2}, key=len, reverse=True))
    return _pattern(known).sub(REDACTED, text) if known else text


@lru_cache(maxsize=1024)
def _pattern(secrets: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(form for secret in secrets for form in _forms(secret)))


def _forms(secret: str) -> Iterator[str]:
    yield "".join(map(_written, secret))
    encoded = secret.encode("utf-8", "replace")
    if len(encoded) > 7:  # the base64 of less may be in any text
        for before in range(3):
            text = base64.b64encode(b"\0" * before + encoded).decode().rstrip("=")
            # The characters that stand for it alone, wherever among the other bytes it begins.
            alone = text[-(-before * 8 // 6) : (before + len(encoded)) * 8 // 6]
            yield re.escape(alone).replace(r"\+", "[+-]").replace("/", "[/_]")


_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;|&#34;", "'": "&#x27;|&#39;"}


def _written(character: str) -> str:
    """The ways in which one character may be written."""
    if character.isascii() and character.isalnum():
        return character
    encoded = character.encode("utf-8", "replace")
    ways = [
        r"\\?" + re.escape(character),
        "(?i:" + "".join(f"%{byte:02x}" for byte in encoded) + ")",
        "".join(rf"\\x{byte:02x}" for byte in encoded),
        rf"(?i:\\u{ord(character):04x})",
        *([_ENTITIES[character]] if character in _ENTITIES else []),
        *([r"\+"] if character == " " else []),
    ]
    return f"(?:{'|'.join(ways)})"


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
