"""Validates headers that a user sets."""

from __future__ import annotations

from collections.abc import Mapping

from dcipher._masking.text import clean
from dcipher.errors import ConfigurationError
from dcipher.errors._hints import with_hint

from .kinds import check_kind

__all__ = ["check_header", "check_headers", "plain_headers"]


def check_headers(headers: Mapping[str, str] | None) -> dict[str, str]:
    """Returns valid headers of the user. Raises for a header that the client sets itself."""
    checked: dict[str, str] = {}
    for name, text in plain_headers(headers).items():
        if name.lower() in _OURS:
            error = ConfigurationError(f"The client itself sets the header {name}.")
            raise with_hint(error, _OURS[name.lower()])
        checked[name] = text
    return checked


def plain_headers(headers: Mapping[str, str] | None) -> dict[str, str]:
    """Returns valid headers."""
    check_kind("headers", headers, Mapping, "a mapping of text to text")
    return {name: check_header(name, value) for name, value in (headers or {}).items()}


def check_header(name: str, value: str) -> str:
    """Returns a valid value. A line break would begin another header (RFC 9110 section 5.5)."""
    if not all(isinstance(part, str) for part in (name, value)):
        raise ConfigurationError(f"headers must be text: {clean(repr(name), 40)} is not.")
    if not name or any(not "!" <= c <= "~" or c in '()<>@,;:\\"/[]?={}' for c in name):
        raise ConfigurationError(f"{clean(repr(name), 40)} is not a valid header name.")
    if not f"{name}{value}".isascii() or not f"{name}{value}".isprintable():
        raise ConfigurationError(f"The header {name!r} contains a line break or is not ASCII.")
    return value.strip()


_OURS = {
    "authorization": "Pass api_key=… instead.",
    "signature": "Pass api_secret=… instead.",
    "signature-input": "Pass api_secret=… instead.",
    "content-digest": "Pass api_secret=… instead.",
    "host": "Pass base_url=… instead.",
    "content-length": "Remove it: it depends on the body.",
    "transfer-encoding": "Remove it: it depends on the body.",
    "idempotency-key": "Pass idempotency_key=… to the call instead.",
}
