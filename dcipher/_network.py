"""What the machine says of the network: certificates and proxies."""

from __future__ import annotations

import base64
import os
import ssl
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import getproxies

import httpx

from ._core.configuration import secret_values
from ._core.text import redact_query
from ._scopes import ForkLock
from .errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence

__all__ = ["environment_proxies", "proxy_secrets", "ssl_context"]

MAX_PORT = 65535

_lock = ForkLock()
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
    with _lock():
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
    named = [(name, os.environ.get(name)) for name in _CERTIFICATE_VARIABLES if trust_env]
    # SSL_CERT_DIR says nothing where SSL_CERT_FILE does, as in httpx.
    name, path = next(((name, path) for name, path in named if path), ("certifi", None))
    if isinstance(verify, str):  # httpx has deprecated paths, and says to do this instead
        name, path = "verify_ssl", verify
    with _certificate_errors(name if path is None else f"{name}={path}"):
        if path is None:
            return httpx.create_ssl_context(verify=True, trust_env=trust_env)
        if name == "SSL_CERT_DIR" or (verify is path and Path(path).is_dir()):
            return ssl.create_default_context(capath=_some_folders(path))
        return ssl.create_default_context(cafile=path)


def _some_folders(paths: str) -> str:
    """OpenSSL takes a list, and says nothing of what is not there."""
    if not any(Path(path).is_dir() for path in paths.split(os.pathsep)):
        raise NotADirectoryError(f"{paths} is not a folder")
    return paths


@contextmanager
def _certificate_errors(source: str) -> Generator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"No certificates can be loaded from {source}: {error}.") from None


def _with_certificate(context: ssl.SSLContext, cert: Any) -> ssl.SSLContext:
    """Load a client certificate, as `httpx.Client(cert=…)` takes it.

    A path, or a tuple of paths and a password.
    """
    if cert:
        files: Sequence[str] = [cert] if isinstance(cert, str) else cert
        with _certificate_errors(f"cert={files[0]}"):
            context.load_cert_chain(*files)
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
    return {**proxies, **{_exempted(host): None for host in exempt}} if proxies else {}


def proxy_secrets(proxies: Iterable[Any], transports: Iterable[Any]) -> tuple[str, ...]:
    """What must not be shown of proxies: their passwords, and what is sent to them.

    `proxies`: URLs, or what httpx makes of them. `transports`: those that were given.
    """
    found = [secret for proxy in proxies if proxy is not None for secret in _secrets_of(proxy)]
    for transport in transports:
        # As far as it can be known: these are httpx's and httpcore's own affairs.
        headers = getattr(getattr(transport, "_pool", None), "_proxy_headers", ())
        found += [part for _, value in headers for part in _credentials(value)]
    return tuple(secret for secret in found if secret)


def _credentials(header: bytes) -> Iterator[str]:
    """What stands in a `Proxy-Authorization`, encoded (RFC 7617 section 2) and not."""
    encoded = header.partition(b" ")[2]
    yield encoded.decode("latin-1")
    with suppress(ValueError):
        yield base64.b64decode(encoded, validate=True).decode().partition(":")[2]


def _secrets_of(proxy: Any) -> Iterator[str]:
    try:
        known = proxy if isinstance(proxy, httpx.Proxy) else httpx.Proxy(proxy)
    except (TypeError, ValueError, httpx.InvalidURL):
        return  # said where it is used
    yield from secret_values(known.headers)
    # As it was written; httpx quotes it anew.
    written = str(proxy).partition("//")[2].partition("/")[0].rpartition("@")[0]
    user, password = known.auth or ("", "")
    # RFC 7617 section 2: what a proxy is sent, and may repeat.
    yield from (password, written.partition(":")[2])
    yield base64.b64encode(f"{user}:{password}".encode()).decode() if password else ""


def _proxy(scheme: str, value: str) -> str:
    url = value if "://" in value else f"http://{value}"
    try:
        parsed = httpx.Proxy(url)
        if not parsed.url.host:
            reason = "it names no host"
        elif (parsed.url.port or 0) > MAX_PORT:
            reason = f"a port is {MAX_PORT} at most"
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


def _exempted(host: str) -> str:
    """Raises `ConfigurationError` where httpx would not understand it, at the first call."""
    pattern = _exemption(host)
    try:
        httpx.URL(pattern)
    except httpx.InvalidURL as error:
        raise ConfigurationError(
            f"NO_PROXY names {redact_query(host)!r}, which is no host ({error})."
        ) from None
    return pattern
