"""Decides where credentials are sent: only to the origin that they belong to; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from dcipher._masking.secret_names import is_secret_name

if TYPE_CHECKING:
    import httpx

__all__ = ["Origin", "is_at_home", "origin_of", "without_credentials"]

Origin: TypeAlias = "tuple[bytes, bytes, int | None]"


def origin_of(url: httpx.URL) -> Origin:
    """Scheme, host and port (RFC 6454 section 4); `None`: the default port of the scheme."""
    return url.raw_scheme, url.raw_host, url.port


def is_at_home(origin: Origin, home: Origin) -> bool:
    """Returns whether credentials for `home` may be sent to `origin`.

    It is the same origin; or, as with httpx, its https version on the default ports.
    """
    return origin == home or (
        home[0] == b"http" and origin == (b"https", home[1], None) and home[2] is None
    )


def without_credentials(headers: httpx.Headers, key_header: str | None) -> httpx.Headers:
    """Returns the headers that may be sent anywhere: without the key, cookies, and names of secrets."""
    kept = headers.copy()
    for name in headers:
        if name == (key_header or "").lower() or is_secret_name(name):
            del kept[name]
    return kept
