"""Redacts the secrets of a text when it is recorded, so that no reader needs to.

Pure. Every search is linear in the text, which comes from outside and is masked on the event loop.
"""

from __future__ import annotations

import base64
import html
import json
import re
from functools import lru_cache, partial
from itertools import pairwise
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from pydantic_core import from_json, to_json

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
_SHORTEST: Final = 3
"""Characters: one or two stand in every text."""
_FIELD = re.compile(r"(?!emu_)[a-z_]{1,16}")
_LAYERS: Final = 4
"""The largest number of nested encodings: a URL in JSON in a form has three."""
_WORDS: Final = tuple(map(re.compile, [r"[^\s\"'<>,;/=?]+", r"\S+", r"(?s:.+)"]))
_ESCAPE = re.compile(r"\\(?:u([0-9a-f]{4})|x([0-9a-f]{2})|(.))", re.DOTALL | re.I)
_URL_SAFE = str.maketrans("+/", "-_")


def is_secret_name(name: str) -> bool:
    """Returns whether a value of this name is secret: `api_key`, `sessionToken`; not `max_tokens`."""
    words = [word.lower() for word in _WORD.findall(name)]
    return any(word in _SECRET_WORDS or word.endswith(_SECRET_ENDS) for word in words) or any(
        word in _KEYS and after == "key" for word, after in pairwise(words)
    )


def masked_known(text: str, secrets: Iterable[str]) -> str:
    """Returns the text without these secrets, and without words that contain an encoded one."""
    for secret in secrets:
        if _is_held(text, secret):
            text = re.sub(re.escape(secret), MASK, text, flags=re.IGNORECASE)
            # The smallest part that contains it: a segment or a value, a word, all.
            for words in _WORDS:
                if _is_held(text, secret):
                    text = words.sub(partial(_masked_word, secret), text)
    return text


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
    text = data.decode()
    secrets = tuple(secret for secret in secrets if _is_held(text, secret))
    return to_json(_without_known(from_json(text), secrets)) if secrets else data


def masked_body(text: str, secrets: Iterable[str] = ()) -> str:
    """Returns a body without its secrets: JSON as JSON, anything else as text.

    JSON without a secret is unchanged.
    """
    # Once for the whole document, which may have thousands of small texts.
    secrets = tuple(secret for secret in secrets if _is_held(text, secret))
    try:
        value: JsonValue = from_json(text)
        masked = masked_value(value, secrets)
    except (ValueError, RecursionError):
        return "".join(_without_members(masked_text(text, secrets)))
    if masked == value:
        return text
    return json.dumps(masked, ensure_ascii=False, separators=(",", ":"))


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


def _masked_word(secret: str, found: re.Match[str]) -> str:
    return MASK if _is_held(found[0], secret) else found[0]


def _is_held(text: str, secret: str) -> bool:
    """Returns whether a text contains a secret, also encoded (URL, JSON, HTML, base64, hex)."""
    if not _SHORTEST <= len(secret) <= len(text):  # no encoding is shorter
        return False
    lower, exact = _forms(secret)
    return any(
        any(form in small for form in lower) or any(form in view for form in exact)
        for view in _decoded(text)
        for small in [view.lower()]
    )


@lru_cache(maxsize=64)
def _forms(secret: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns the patterns for a lower-case text, such as header names, and for the text itself."""
    raw = secret.encode("utf-8", "replace")
    if len(raw) < 8:  # shorter base64 may be in any text
        return (secret.lower(),), ()
    return (secret.lower(), raw.hex()), tuple(dict.fromkeys(_base64_of(raw)))


def _base64_of(raw: bytes) -> Iterator[str]:
    """Returns the base64 of a secret within other bytes, for each offset and both alphabets."""
    for before in range(3):
        text = base64.b64encode(b"\0" * before + raw).decode().rstrip("=")
        alone = text[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6]
        yield alone
        yield alone.translate(_URL_SAFE)


def _decoded(text: str) -> Iterator[str]:
    """Yields the text, and the text with each of a few layers of encoding removed."""
    yield text
    for _ in range(_LAYERS):
        before = text
        for mark, decode in _DECODERS:
            if mark in text and (plain := decode(text)) != text:
                text = plain
                yield text
        if text == before:
            return


def _of_json(text: str) -> str:
    return _ESCAPE.sub(_unescaped, text)


def _unescaped(found: re.Match[str]) -> str:
    code = found[1] or found[2]
    return chr(int(code, 16)) if code else found[3]


def _of_html(text: str) -> str:
    try:
        return html.unescape(text)
    except ValueError:  # a number of too many digits
        return text


_DECODERS: Final = (("%", unquote), ("\\", _of_json), ("&", _of_html))
