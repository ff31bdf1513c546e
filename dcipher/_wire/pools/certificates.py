"""The certificates of the machine, as SSL contexts."""

from __future__ import annotations

import os
import ssl
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from dcipher._concurrency.scopes import ForkLock
from dcipher._wire.errors.causes import has_too_many_files
from dcipher.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

__all__ = ["ssl_context"]

_lock = ForkLock()
_contexts: dict[tuple[str | None, ...], ssl.SSLContext] = {}


def ssl_context(
    scheme: str, verify: ssl.SSLContext | str | bool, httpx_args: Mapping[str, Any]
) -> ssl.SSLContext:
    """Returns the context for one connection.

    Creating the default one takes 20 ms: it is created once, when https is first needed.
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
    # SSL_CERT_FILE takes precedence over SSL_CERT_DIR, as in httpx.
    name, path = next(((name, path) for name, path in named if path), ("certifi", None))
    if isinstance(verify, str):  # httpx has deprecated paths, and recommends this instead
        name, path = "verify_ssl", verify
    with _certificate_errors(name if path is None else f"{name}={path}"):
        if path is None:
            return httpx.create_ssl_context(verify=True, trust_env=trust_env)
        if name == "SSL_CERT_DIR" or (verify is path and Path(path).is_dir()):
            return ssl.create_default_context(capath=_some_folders(path))
        return ssl.create_default_context(cafile=path)


def _some_folders(paths: str) -> str:
    """Raises an error for missing folders: OpenSSL accepts a list, and ignores them."""
    if not any(Path(path).is_dir() for path in paths.split(os.pathsep)):
        raise NotADirectoryError(f"{paths} is not a folder")
    return paths


@contextmanager
def _certificate_errors(source: str) -> Generator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        if has_too_many_files(error):  # the certificates are not the cause
            raise
        raise ConfigurationError(f"No certificates can be loaded from {source}: {error}.") from None


def _with_certificate(context: ssl.SSLContext, cert: Any) -> ssl.SSLContext:
    """Loads a client certificate, in the form of `httpx.Client(cert=…)`.

    It is a path, or a tuple of paths and a password.
    """
    if cert:
        files: Sequence[str] = [cert] if isinstance(cert, str) else cert
        with _certificate_errors(f"cert={files[0]}"):
            context.load_cert_chain(*files)
    return context
