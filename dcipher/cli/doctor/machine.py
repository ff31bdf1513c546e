"""What this machine says of the network: which proxy, which certificates, and in which variable."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from dcipher._wire.proxies.choice import Named, Origin
from dcipher._wire.proxies.environment import environment_proxies, usable_proxy

__all__ = ["Named", "certificates", "proxy_for"]


def proxy_for(url: str) -> Named | None:
    """The proxy that a request to `url` goes by, with its password; `None`: it goes directly.

    Raises `ConfigurationError` for a variable that names no proxy.
    """
    parts = urlsplit(url)
    origin = Origin(parts.scheme.lower(), parts.hostname or "", parts.port)
    return usable_proxy(environment_proxies(), origin)


def certificates() -> Named:
    """The authorities that are trusted, and where that is said."""
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):  # the file wins, as in httpx
        if value := os.environ.get(name):
            return Named(value, name)
    return Named("certifi's", "default")
