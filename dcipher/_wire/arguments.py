"""Validates the arguments of an `HTTPClient`."""

from __future__ import annotations

from collections.abc import Mapping

import httpx

from dcipher._settings.checks import DEFAULT_CONNECT_TIMEOUT, DEFAULT_TIMEOUT, check_timeout
from dcipher._settings.kinds import check_kind
from dcipher.errors import ConfigurationError

__all__ = ["plain_cookies", "reachable", "request_timeout", "slots_of"]


def request_timeout(timeout: float | httpx.Timeout | None) -> httpx.Timeout:
    """Returns the `httpx.Timeout` for a timeout.

    Args:
        timeout: Seconds for one request, of which at most 10 to connect, or an `httpx.Timeout`.
            `None`: 60 seconds. `httpx.Timeout(None)`: no limit.

    Raises:
        ConfigurationError: The timeout is not positive and finite.
    """
    if isinstance(timeout, httpx.Timeout):
        for phase, seconds in timeout.as_dict().items():
            if seconds is not None:
                check_timeout(seconds, f"timeout ({phase})")
        return timeout
    seconds = DEFAULT_TIMEOUT if timeout is None else check_timeout(timeout, "timeout")
    return httpx.Timeout(seconds, connect=min(seconds, DEFAULT_CONNECT_TIMEOUT))


def reachable(base_url: str) -> str:
    """Returns a valid URL. httpx rejects further ones, such as names that IDNA cannot encode."""
    try:
        _ = httpx.URL(base_url).host
    except (httpx.InvalidURL, ValueError):  # IDNA raises a UnicodeError
        raise ConfigurationError("base_url is not a URL that requests can be sent to.") from None
    return base_url


def plain_cookies(cookies: Mapping[str, str] | None) -> dict[str, str]:
    """Returns valid cookies."""
    check_kind("cookies", cookies, Mapping, "a mapping of text to text")
    checked = dict(cookies or {})
    if not all(isinstance(part, str) for part in (*checked, *checked.values())):
        raise ConfigurationError("cookies must be text.")
    return checked


def slots_of(cls: type) -> list[str]:
    """Returns the slots of a class and its bases."""
    return [name for base in cls.__mro__ for name in getattr(base, "__slots__", ())]
