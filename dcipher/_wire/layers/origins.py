"""Decides where credentials are sent: only to the origin that they belong to; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dcipher._masking.secret_names import is_secret_name

if TYPE_CHECKING:
    import httpx

    from dcipher._wire.proxies.choice import Origin

__all__ = ["is_at_home", "without_credentials"]


def is_at_home(origin: Origin, home: Origin) -> bool:
    """Returns whether credentials for `home` may be sent to `origin`.

    It is the same origin; or, as with httpx, its https version on the default ports.
    """
    return origin == home or (
        home.scheme == "http" and origin == ("https", home.host, None) and home.port is None
    )


def without_credentials(headers: httpx.Headers, key_header: str | None) -> httpx.Headers:
    """Returns the headers that may be sent anywhere: without the key, cookies, and names of secrets."""
    kept = headers.copy()
    for name in headers:
        if name == (key_header or "").lower() or is_secret_name(name):
            del kept[name]
    return kept
