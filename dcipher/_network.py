"""What the machine says of the network: certificates and proxies."""

from __future__ import annotations

import os
import ssl
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import getproxies

import httpx

from ._core.text import redact_query
from .errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["environment_proxies", "ssl_context"]

_lock = threading.Lock()
_contexts: dict[tuple[str | None, ...], ssl.SSLContext] = {}


def ssl_context(
    scheme: str, verify: ssl.SSLContext | str | bool, httpx_args: Mapping[str, Any]
) -> ssl.SSLContext:
    """The context for one connection.

    The default one takes 20 ms to make: it is made once, when https is first needed.
    """
    if isinstance(verify, ssl.SSLContext):
        return verify
    trust_env = bool(httpx_args.get("trust_env", True))
    cert = httpx_args.get("cert")
    if scheme == "http" or verify is False:
        return _with_certificate(_without_verification(), cert)
    if verify is not True or cert:
        return _with_certificate(_built(verify, trust_env), cert)
    variables = tuple(os.environ.get(name) for name in _CERTIFICATE_VARIABLES if trust_env)
    with _lock:
        if variables not in _contexts:
            _contexts[variables] = _built(True, trust_env)
        return _contexts[variables]


_CERTIFICATE_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def _without_verification() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _built(verify: str | bool, trust_env: bool) -> ssl.SSLContext:
    try:
        if isinstance(verify, str):  # httpx has deprecated paths, and says to do this instead
            if Path(verify).is_dir():
                return ssl.create_default_context(capath=verify)
            return ssl.create_default_context(cafile=verify)
        for name in _CERTIFICATE_VARIABLES:
            # httpx 0.27 passes over what is not there, and later ones do not say which variable.
            if trust_env and os.environ.get(name) and not Path(os.environ[name]).exists():
                raise FileNotFoundError(f"{os.environ[name]} does not exist")
        return httpx.create_ssl_context(verify=True, trust_env=trust_env)
    except (OSError, ValueError) as error:
        named = [
            f"{name}={os.environ[name]}" for name in _CERTIFICATE_VARIABLES if os.environ.get(name)
        ]
        blamed = f"verify_ssl={verify}" if isinstance(verify, str) else " ".join(named) or "certifi"
        raise ConfigurationError(f"No certificates can be loaded from {blamed}: {error}.") from None


def _with_certificate(context: ssl.SSLContext, cert: Any) -> ssl.SSLContext:
    """Load a client certificate, as `httpx.Client(cert=…)` takes it.

    A path, or a tuple of paths and a password.
    """
    if cert:
        context.load_cert_chain(*([cert] if isinstance(cert, str) else cert))
    return context


def environment_proxies() -> dict[str, str | None]:
    """URL pattern of httpx → proxy, or `None` for what goes without one.

    HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY.

    httpx reads them itself only where it builds its own transports. Raises `ConfigurationError` for
    a proxy that it cannot use.
    """
    found = getproxies()
    exempt = [host.strip() for host in found.get("no", "").split(",") if host.strip()]
    if "*" in exempt:
        return {}
    proxies: dict[str, str | None] = {}
    for scheme in ("http", "https", "all"):
        if found.get(scheme):
            proxies[f"{scheme}://"] = _proxy(scheme, found[scheme])
    # A proxy elsewhere cannot reach this machine, and would see what is sent to it in the clear.
    exempt += ["localhost", "127.0.0.1", "::1"]
    return {**proxies, **{_exemption(host): None for host in exempt}} if proxies else {}


def _proxy(scheme: str, value: str) -> str:
    url = value if "://" in value else f"http://{value}"
    try:
        parsed = httpx.Proxy(url)
        if not parsed.url.host:
            reason = "it names no host"
        elif parsed.url.scheme.startswith("socks") and find_spec("socksio") is None:
            reason = "SOCKS needs another library: pip install 'httpx[socks]'"
        else:
            return url
    except (ValueError, httpx.InvalidURL) as error:
        reason = str(error).replace(url, redact_query(url))
    raise ConfigurationError(
        f"{scheme.upper()}_PROXY is not a proxy that can be used: {redact_query(value)} ({reason})."
    )


def _exemption(host: str) -> str:
    """`example.com` in NO_PROXY means its subdomains, too.

    Addresses and localhost mean themselves.
    """
    import ipaddress

    if "://" in host:
        return host
    bare = host.split("/")[0].strip("[]")
    try:
        version = ipaddress.ip_address(bare).version
    except ValueError:
        return f"all://{host}" if host.lower() == "localhost" else f"all://*{host}"
    return f"all://{host}" if version == 4 else f"all://[{bare}]"
