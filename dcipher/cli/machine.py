"""What this machine says of the network: which proxy, which certificates, and in which variable."""

from __future__ import annotations

import os
from typing import NamedTuple
from urllib.parse import urlsplit

from dcipher._network import environment_proxies

__all__ = ["Named", "certificates", "proxy_for"]


class Named(NamedTuple):
    """A value, and where it stands."""

    value: str
    source: str


def proxy_for(url: str) -> Named | None:
    """The proxy that a request to `url` goes through, with its password; `None`: it goes directly.

    Raises `ConfigurationError` for a variable that names no proxy.
    """
    proxies = environment_proxies()
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    if any(proxy is None and _covers(pattern, host) for pattern, proxy in proxies.items()):
        return None
    for scheme in (parts.scheme.lower(), "all"):
        if proxy := proxies.get(f"{scheme}://"):
            return Named(proxy, _variable(f"{scheme}_proxy"))
    return None


def _covers(pattern: str, host: str) -> bool:
    # httpx's patterns, as `environment_proxies` writes them for NO_PROXY.
    exempt = urlsplit(pattern.replace("all://*", "all://.", 1)).hostname or ""
    if not exempt.startswith("."):
        return host == exempt
    return host == exempt.lstrip(".") or host.endswith(f".{exempt.lstrip('.')}")


def _variable(name: str) -> str:
    # Lower case wins, as in urllib.
    for written in (name, *sorted(os.environ)):
        if written.lower() == name and os.environ.get(written):
            return written
    return "the system's settings"


def certificates() -> Named:
    """The authorities that are trusted, and where that is said."""
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):  # the file wins, as in httpx
        if value := os.environ.get(name):
            return Named(value, name)
    return Named("certifi's", "default")
