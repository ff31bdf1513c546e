"""Reads the proxies of the environment, and checks whether httpx can use them."""

from __future__ import annotations

import base64
import os
from contextlib import suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.request import getproxies

import httpx

from dcipher._masking.secret_names import secret_values
from dcipher._masking.urls import redact_query
from dcipher.errors import ConfigurationError
from dcipher.logs import logger

from .choice import Named, Origin, Proxies, unreadable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["environment_proxies", "origin_of", "proxy_secrets", "usable_proxy"]

MAX_PORT = 65535


def environment_proxies() -> Proxies:
    """Reads HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY; lower case takes precedence.

    httpx reads them only for its own transports, and does not support blocks of addresses.
    """
    found = getproxies()
    by_scheme = {
        scheme: Named(_url(value), _variable(f"{scheme}_proxy"))
        for scheme in ("http", "https", "all")
        if (value := found.get(scheme, "").strip())
    }
    no_proxy = found.get("no", "")
    if by_scheme and (numbers := unreadable(no_proxy)):
        logger.warning(
            "NO_PROXY: ignored entry %s: neither a host nor a block of addresses",
            ", ".join(map(str, numbers)),
        )
    return Proxies(by_scheme, no_proxy)


def usable_proxy(proxies: Proxies, origin: Origin) -> Named | None:
    """Returns the proxy for a request to `origin`; `None`: the request is sent directly.

    Raises `ConfigurationError` for an invalid proxy.
    """
    named = proxies.of(origin)
    if named is None or (problem := _problem(named.value)) is None:
        return named
    raise ConfigurationError(
        f"{named.source} is not a valid proxy: {redact_query(named.value)} ({problem})."
    )


def origin_of(url: httpx.URL) -> Origin:
    """Returns the origin of `url`."""
    return Origin(url.scheme, url.host, url.port)


def _url(value: str) -> str:
    scheme, separator, rest = value.partition("://")
    if not separator:
        return f"http://{value}"
    # Desktops and VPN clients write socks:// for SOCKS 5. With httpx, the proxy resolves names in
    # either case.
    return f"socks5://{rest}" if scheme.lower() in {"socks", "socks5h"} else value


def _variable(name: str) -> str:
    # Lower case takes precedence, as in urllib.
    for written in (name, *sorted(os.environ)):
        if written.lower() == name and os.environ.get(written):
            return written
    return "the system's settings"


def _problem(url: str) -> str | None:
    """Returns why httpx cannot use a proxy; `None`: it can."""
    try:
        parsed = httpx.Proxy(url).url
        host = parsed.host
    except UnicodeError:  # IDNA
        return "its host is not valid"
    except (ValueError, httpx.InvalidURL) as error:
        return str(error).replace(url, redact_query(url))
    if not host:
        return "it has no host"
    if not 0 <= (parsed.port or 0) <= MAX_PORT:
        return f"the highest port is {MAX_PORT}"
    if parsed.scheme.startswith("socks") and find_spec("socksio") is None:
        from dcipher._extras.installation import install_library

        return f"SOCKS needs another library: {install_library('httpx[socks]')}"
    return None


def proxy_secrets(proxies: Iterable[Any], transports: Iterable[Any]) -> tuple[str, ...]:
    """Returns the secrets of proxies: passwords, and the credentials that are sent to them.

    `proxies`: URLs, or httpx's objects for them. `transports`: those that the user passed.
    """
    found = [secret for proxy in proxies if proxy is not None for secret in _secrets_of(proxy)]
    for transport in transports:
        # As far as possible: these attributes of httpx and httpcore are private.
        headers = getattr(getattr(transport, "_pool", None), "_proxy_headers", ())
        found += [part for _, value in headers for part in _credentials(value)]
    return tuple(secret for secret in found if secret)


def _credentials(header: bytes) -> Iterator[str]:
    """Yields the credentials in a `Proxy-Authorization`, encoded (RFC 7617 section 2) and decoded."""
    encoded = header.partition(b" ")[2]
    yield encoded.decode("latin-1")
    with suppress(ValueError):
        yield base64.b64decode(encoded, validate=True).decode().partition(":")[2]


def _secrets_of(proxy: Any) -> Iterator[str]:
    try:
        known = proxy if isinstance(proxy, httpx.Proxy) else httpx.Proxy(proxy)
    except (TypeError, ValueError, httpx.InvalidURL):
        return  # an error is raised where it is used
    yield from secret_values(known.headers)
    # In its original spelling; httpx quotes it again.
    written = str(proxy).partition("//")[2].partition("/")[0].rpartition("@")[0]
    user, password = known.auth or ("", "")
    # RFC 7617 section 2: the credentials that a proxy receives, and may repeat.
    yield from (password, written.partition(":")[2])
    yield base64.b64encode(f"{user}:{password}".encode()).decode() if password else ""
