"""What is secret in a body: masked when it is recorded, so that no later reader has to think of it."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import TYPE_CHECKING

from pydantic_core import from_json

from dcipher.emulator.journal import MASK

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import JsonValue

__all__ = ["is_secret_name", "masked_body", "masked_text", "masked_value"]

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_SECRET_WORDS = {
    *("auth", "authorization", "bearer", "cookie", "credential", "credentials", "passphrase"),
    *("pwd", "signature", "apikey", "accesskey", "privatekey", "secretkey"),
}
_SECRET_ENDS = ("passwd", "password", "secret", "token")
# A key alone is a column or a term more often than it is a secret.
_KEYS = {"access", "api", "encryption", "private", "secret", "signing"}
# Whatever follows the `?` of an address may be its signature; slashes may be escaped in JSON.
_QUERY = re.compile(r"(https?:(?:\\?/){2}[^\s\"'<>?]+\?)[^\s\"'<>]+", re.I)
_MEMBER = re.compile(r'("((?:[^"\\]|\\.)*)"\s*:\s*)("(?:[^"\\]|\\.)*(?:"|\Z)|[^\s,{}\[\]"]+)')


def is_secret_name(name: str) -> bool:
    """Whether a value of this name is a secret: `api_key`, `sessionToken`; not `max_tokens`."""
    words = [word.lower() for word in _WORD.findall(name)]
    return any(word in _SECRET_WORDS or word.endswith(_SECRET_ENDS) for word in words) or any(
        word in _KEYS and after == "key" for word, after in pairwise(words)
    )


def masked_text(text: str, secrets: Iterable[str] = ()) -> str:
    """The text without those secrets, and without the query of any URL."""
    for secret in secrets:
        text = text.replace(secret, MASK)
    return _QUERY.sub(rf"\g<1>{MASK}", text)


def masked_value(value: JsonValue, secrets: Iterable[str] = ()) -> JsonValue:
    """The JSON value, with what has a secret's name masked at any depth, and texts by `masked_text`."""
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


def masked_body(text: str, secrets: Iterable[str] = ()) -> str:
    """A body without its secrets: as JSON where it is JSON, else as text.

    JSON without a secret stays as it is written.
    """
    secrets = tuple(secrets)
    try:
        value: JsonValue = from_json(text)
        masked = masked_value(value, secrets)
    except (ValueError, RecursionError):
        return _MEMBER.sub(_masked_member, masked_text(text, secrets))
    if masked == value:
        return text
    return json.dumps(masked, ensure_ascii=False, separators=(",", ":"))


def _masked_member(found: re.Match[str]) -> str:
    return f'{found[1]}"{MASK}"' if is_secret_name(found[2]) else found[0]
