"""Redacts the secrets of a text when it is recorded, so that no reader needs to.

Pure. Every search is linear in the text, which comes from outside and is masked on the event loop.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from pydantic_core import from_json, to_json

from dcipher._masking.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pydantic import JsonValue

__all__ = [
    "MASK",
    "is_secret_name",
    "masked_body",
    "masked_json",
    "masked_known",
    "masked_text",
    "masked_value",
]

MASK: Final = "***"
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_SECRET_WORDS = {
    *("auth", "authorization", "bearer", "cookie", "credential", "credentials", "passphrase"),
    *("pwd", "signature", "apikey", "accesskey", "privatekey", "secretkey"),
}
_SECRET_ENDS = ("passwd", "password", "secret", "token")
# `key` alone is more often a column or a term than a secret.
_KEYS = {"access", "api", "encryption", "private", "secret", "signing"}
# The query of a URL may be its signature; slashes may be escaped in JSON. The pattern goes to the
# end of the word, so that each character is examined once.
_URL = re.compile(r"https?:(?:\\?/){2}[^\s\"'<>]*", re.I)
_COLON = re.compile(r'"\s*:\s*')
_STRING = r'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)'
_SCALAR = re.compile(rf'{_STRING}|[^\s,{{}}\[\]"]+', re.DOTALL)
_NESTED = re.compile(rf"{_STRING}|[{{}}\[\]]", re.DOTALL)
_LONGEST_NAME: Final = 256
_FIELD = re.compile(r"(?!emu_)[a-z_]{1,16}")


def is_secret_name(name: str) -> bool:
    """Returns whether a value of this name is secret: `api_key`, `sessionToken`; not `max_tokens`."""
    words = [word.lower() for word in _WORD.findall(name)]
    return any(word in _SECRET_WORDS or word.endswith(_SECRET_ENDS) for word in words) or any(
        word in _KEYS and after == "key" for word, after in pairwise(words)
    )


def masked_known(text: str, secrets: Iterable[str]) -> str:
    """Returns the text without these secrets, in any encoding."""
    # No encoding is shorter.
    forms = [form for secret in secrets if len(secret) <= len(text) for form in _forms(secret)]
    return redact(text, forms, mask=MASK) if forms else text


@lru_cache(maxsize=64)
def _forms(secret: str) -> tuple[str, ...]:
    """Returns the secret unchanged, in lower case (names of headers) and in upper case, and in hex."""
    raw = secret.encode("utf-8", "replace")
    in_hex = [raw.hex(), raw.hex().upper()] if len(raw) > 7 else []
    return (secret, secret.lower(), secret.upper(), *in_hex)


def masked_text(text: str, secrets: Iterable[str] = ()) -> str:
    """Returns the text without these secrets, and without the query of any URL."""
    return _URL.sub(_without_query, masked_known(text, secrets))


def masked_value(value: JsonValue, secrets: Iterable[str] = ()) -> JsonValue:
    """Returns a JSON value with redacted texts, and with redacted values of secret names."""
    secrets = tuple(secrets)
    if isinstance(value, str):
        return masked_text(value, secrets)
    if isinstance(value, list):
        return [masked_value(item, secrets) for item in value]
    if isinstance(value, dict):
        return {
            masked_text(name, secrets): MASK
            if is_secret_name(name) and item is not None
            else masked_value(item, secrets)
            for name, item in value.items()
        }
    return value


def masked_json(data: bytes, secrets: Iterable[str]) -> bytes:
    """Returns JSON of the emulator without these secrets."""
    secrets = _contained(data.decode(), secrets)
    return to_json(_without_known(from_json(data), secrets)) if secrets else data


def masked_body(text: str, secrets: Iterable[str] = ()) -> str:
    """Returns a body without its secrets: JSON as JSON, anything else as text.

    JSON without a secret is unchanged.
    """
    secrets = _contained(text, secrets)
    try:
        value: JsonValue = from_json(text)
        masked = masked_value(value, secrets)
    except (ValueError, RecursionError):
        return "".join(_without_members(masked_text(text, secrets)))
    if masked == value:
        return text
    return json.dumps(masked, ensure_ascii=False, separators=(",", ":"))


def _contained(text: str, secrets: Iterable[str]) -> tuple[str, ...]:
    """Returns the secrets in a whole document, which may have thousands of small texts."""
    return tuple(secret for secret in secrets if masked_known(text, (secret,)) != text)


def _without_query(found: re.Match[str]) -> str:
    base, mark, query = found[0].partition("?")
    return f"{base}?{MASK}" if mark and query else found[0]


def _without_members(text: str) -> Iterator[str]:
    """Yields the parts of a text that looks like JSON, with redacted values of secret names."""
    at = 0
    for colon in _COLON.finditer(text):
        if colon.start() < at:
            continue  # within a redacted value
        least = max(0, colon.start() - _LONGEST_NAME)
        name = text[text.rfind('"', least, colon.start()) + 1 or least : colon.start()]
        if name and is_secret_name(name) and (end := _end_of_value(text, colon.end())):
            yield text[at : colon.end()]
            yield f'"{MASK}"'
            at = end
    yield text[at:]


def _end_of_value(text: str, start: int) -> int:
    """Returns the end of a value, which may be truncated; 0 if there is none."""
    if text[start : start + 1] not in {"{", "["}:
        scalar = _SCALAR.match(text, start)
        return 0 if scalar is None else scalar.end()
    depth = 0
    for part in _NESTED.finditer(text, start):
        depth += (part[0] in "{[") - (part[0] in "}]")
        if depth == 0:
            return part.end()
    return len(text)


def _without_known(value: JsonValue, secrets: tuple[str, ...]) -> JsonValue:
    if isinstance(value, str):
        return masked_known(value, secrets)
    if isinstance(value, list):
        return [_without_known(item, secrets) for item in value]
    if isinstance(value, dict):
        # A secret may be a plain word, and equal to the name of a field.
        long = tuple(secret for secret in secrets if not _FIELD.fullmatch(secret))
        return {masked_known(k, long): _without_known(v, secrets) for k, v in value.items()}
    return value
