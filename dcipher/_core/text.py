"""Text from elsewhere, made fit to be shown.

No terminal escapes, no secrets, not ten megabytes of it.
"""

from __future__ import annotations

import base64
import re
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING

from .signed_urls import SIGNATURE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = [
    "MANY",
    "REDACTED",
    "clean",
    "masked_urls",
    "narrowed",
    "redact_query",
    "unsigned",
    "with_article",
    "without",
]

REDACTED = "[redacted]"

MANY = 100
"""Secrets that are looked for at once at most, and those of a run of very many results."""
LONGEST_BROKEN = 200
"""Characters of a secret that is found though it is broken into lines."""
LONG = 65_536
"""Characters in which that many are looked for."""

# C0 and C1 controls, and the marks that turn the direction of a line around (CVE-2021-42574).
_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]+"
)
# What a secret is broken with where it is too long for its line. The NUL: UTF-16, read as something else.
_BREAKS = "[\x00\r\n\u00ad\u200b-\u200d\u2060\ufeff]*"


def clean(text: str, limit: int = 200) -> str:
    """`text` on one line, without control characters, cut to `limit` characters."""
    # What is far beyond the limit is not even looked at.
    words = " ".join(_UNPRINTABLE.sub(" ", text[: limit * 4]).split())
    return words if len(words) <= limit and len(text) <= limit * 4 else words[: limit - 1] + "…"


def with_article(noun: str) -> str:
    """`noun`, a type's or a file format's name, behind the article that it is spoken with."""
    return f"{'an' if _VOWEL.match(noun) else 'a'} {noun}"


# A u is spoken as in "a UUID", "a uint8", but "an unknown …"; letters one by one: "an ndarray", "an SSLContext".
_VOWEL = re.compile("[aeioAEIO]|un(?!i)|nd|[FHLMNRSX](?=[A-Z])")


def without(text: str, secrets: Iterable[str]) -> str:
    """`text` with every one of `secrets` masked, in whichever way it is written there.

    Services like to repeat a wrong key in their answer: as it is, percent-encoded, escaped for JSON
    or HTML, in base64, or broken into lines.
    """
    # The longest first: one may begin with another. One or two characters are in every text.
    known = sorted({s for s in secrets if len(s) > 2}, key=len, reverse=True)
    for secret in known:
        text = _pattern(secret).sub(REDACTED, text)
    return text


def narrowed(secrets: Sequence[str], text: str) -> Sequence[str]:
    """Of very many secrets, those that `text` may repeat; of few, all.

    To look for each of thousands at each character would take minutes.
    """
    if len(secrets) <= MANY:
        return secrets
    if len(text) > LONG:
        return tuple(secrets[:MANY])
    # Letters and digits are written as they are, in nearly every form of a secret.
    found = (s for s in secrets if all(word in text for word in _WORD.findall(s)))
    return tuple(islice(found, MANY))


_WORD = re.compile("[A-Za-z0-9]+")


@lru_cache(maxsize=1024)
def _pattern(secret: str) -> re.Pattern[str]:
    return re.compile("|".join(_forms(secret)))


def _forms(secret: str) -> Iterator[str]:
    # A session token of a thousand characters would take a second to compile.
    yield (_BREAKS if len(secret) <= LONGEST_BROKEN else "").join(map(_written, secret))
    # Letters, too, where every character is written as an entity.
    yield "".join(f"&#{ord(character)};" for character in secret)
    yield "(?i:" + "".join(f"&#x{ord(character):x};" for character in secret) + ")"
    encoded = secret.encode("utf-8", "replace")
    if len(encoded) > 7:  # the base64 of less may be in any text
        for before in range(3):
            text = base64.b64encode(b"\0" * before + encoded).decode().rstrip("=")
            # The characters that stand for it alone, wherever among the other bytes it begins.
            alone = text[-(-before * 8 // 6) : (before + len(encoded)) * 8 // 6]
            yield re.escape(alone).replace(r"\+", "[+-]").replace("/", "[/_]")


_ENTITIES = {
    "&": "amp",
    "<": "lt",
    ">": "gt",
    '"': "quot",
    "'": "apos",
    "+": "plus",
    "/": "sol",
    "=": "equals",
    "_": "lowbar",
    ".": "period",
    ":": "colon",
    "$": "dollar",
}


def _written(character: str) -> str:
    """The ways in which one character may be written."""
    if character.isascii() and character.isalnum():
        return character
    encoded = character.encode("utf-8", "replace")
    ways = [
        r"\\?" + re.escape(character),
        # However often it was encoded: each time, % becomes %25.
        "(?i:" + "".join(f"%(?:25)*{byte:02x}" for byte in encoded) + ")",
        "".join(rf"\\x{byte:02x}" for byte in encoded),
        rf"(?i:\\u{ord(character):04x})",
        _as_entity(character),
        *([r"\+"] if character == " " else []),
    ]
    return f"(?:{'|'.join(ways)})"


def _as_entity(character: str) -> str:
    """HTML's ways to write any character: by its number, and by its name if it has one."""
    ways = [f"#0*{ord(character)}", f"#[xX]0*(?i:{ord(character):x})"]
    if character in _ENTITIES:
        ways.append(_ENTITIES[character])
    # What was escaped twice begins with &amp;
    return f"&(?:amp;)*(?:{'|'.join(ways)});"


# In JSON, a slash may be written as \/ (RFC 8259 section 7). To the end of the word, so that no text
# takes more than one look at each character.
_URL = re.compile(r"https?:\\?/[^\s\"<>]*", re.IGNORECASE)
# What closes a quotation or a sentence, where an apostrophe does: it may be part of the URL, too.
_CLOSING = "'.,;:!)]}"
_PARAMETER = re.compile(rf"({SIGNATURE})(?!\[redacted\])[^\s&;\"<>]+", re.IGNORECASE)


def masked_urls(text: str) -> str:
    """`text` with the query of every URL in it masked: it may be a signature.

    What has the name of a signature is masked wherever it stands: behind a path, in a URL of
    another scheme or one that is percent-encoded.
    """
    return _PARAMETER.sub(rf"\1{REDACTED}", _URL.sub(_without_query, text))


def _without_query(match: re.Match[str]) -> str:
    base = re.split(r"[?#]", match[0], maxsplit=1)[0]
    if base == match[0]:
        return base
    closing = match[0][len(match[0].rstrip(_CLOSING)) :]
    return f"{base}?{REDACTED}" + "".join(closing.partition("'")[1:])


def unsigned(text: str, secrets: Iterable[str]) -> str:
    """`text` without secrets and without signed URLs, for errors."""
    return masked_urls(without(text, secrets))


def redact_query(url: str) -> str:
    """`url` without user info and with its query and fragment masked, for logs and errors."""
    base = re.split(r"[?#]", url, maxsplit=1)[0]
    # RFC 3986 section 3.2: the authority stands between // and the next slash.
    shown = re.sub(r"\A([^/]*//)[^/]*@", r"\1", base)
    return shown if base == url else f"{shown}?{REDACTED}"
